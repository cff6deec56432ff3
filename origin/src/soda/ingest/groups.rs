//! The database's side of groups: which of ours are read again, how the city writes them, and which others share a key with
//! them.

use tokio_postgres::{Client, GenericClient};

use super::changed::Spellings;
use super::{Extent, GROUPS_MAX, SPELLINGS_MAX};
use crate::soda::datasets::{Dataset, From, Group, Key};

/// Notes groups that are read again.
pub(super) async fn read_again(session: &Client, groups: &[String]) -> Result<(), tokio_postgres::Error> {
    session.execute("INSERT INTO regrouped SELECT unnest($1::text[])", &[&groups]).await?;
    session.batch_execute("ANALYZE regrouped").await
}

/// What the city is asked for to read groups: the values as we store them and as it is known to write them, which are
/// of one group.
pub(super) async fn asked(
    session: &Client,
    dataset: &Dataset,
    stored: Vec<String>,
    written: Vec<String>,
) -> Result<Vec<String>, tokio_postgres::Error> {
    let statement = "SELECT spelling FROM ingest_spellings WHERE dataset_id = $1 AND value = ANY($2)";
    let known = session.query(statement, &[&dataset.id, &stored]).await?;
    let mut asked: Vec<String> = known.iter().map(|row| row.get(0)).chain(stored).chain(written).collect();
    asked.sort_unstable();
    asked.dedup();
    Ok(asked)
}

/// Groups of ours that are not read again and have rows with the key of a row that is. Keys that do not hold the group tell
/// such rows apart by their order alone, which is that of all of them; and a row keeps its key when it changes its group.
/// One more than may be read, at most.
pub(super) async fn sharing_keys(
    session: &Client,
    dataset: &Dataset,
    group: &Group,
) -> Result<Vec<String>, tokio_postgres::Error> {
    match dataset.key {
        Key::Fields(fields) if !fields.contains(&group.field) => {}
        // The others hold it, digests of all of a row among them.
        Key::Fields(_) | Key::Digest | Key::Unique(_) => return Ok(Vec::new()),
    }
    let statement = format!(
        "SELECT DISTINCT ours.{column} FROM {table} ours
          WHERE {own} AND ours.{column} IS NOT NULL AND ours.row_key IN (
                SELECT row_key FROM incoming
                UNION SELECT kept.row_key FROM {table} kept JOIN regrouped ON kept.{column} = regrouped.value)
            AND NOT EXISTS (SELECT FROM regrouped WHERE regrouped.value = ours.{column})
          LIMIT $1",
        column = group.column,
        table = dataset.table,
        own = own_rows(dataset),
    );
    let rows = session.query(&statement, &[&(GROUPS_MAX as i64 + 1)]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// How many spellings of the dataset's groups are known.
pub(super) async fn spellings(session: &Client, dataset: &Dataset) -> Result<usize, tokio_postgres::Error> {
    let statement = "SELECT count(*) FROM ingest_spellings WHERE dataset_id = $1";
    let known: i64 = session.query_one(statement, &[&dataset.id]).await?.get(0);
    Ok(usize::try_from(known).unwrap_or(usize::MAX))
}

/// Keeps how the city writes groups: what a whole load saw, and further what changes bring.
pub(super) async fn keep_spellings(
    session: &impl GenericClient,
    dataset: &Dataset,
    spellings: &Spellings,
    extent: Extent,
) -> Result<(), tokio_postgres::Error> {
    if extent == Extent::Whole {
        session.execute("DELETE FROM ingest_spellings WHERE dataset_id = $1", &[&dataset.id]).await?;
    }
    let (stored, written) = spellings.lists();
    // What is known takes no room from what is new: below the bound nothing is lost, and at the bound the load of changes stops.
    let statement = "INSERT INTO ingest_spellings (dataset_id, value, spelling)
        SELECT $1, value, spelling FROM unnest($2::text[], $3::text[]) AS seen (value, spelling)
         WHERE NOT EXISTS (SELECT FROM ingest_spellings known
                            WHERE known.dataset_id = $1 AND known.spelling = seen.spelling)
         LIMIT greatest($4 - (SELECT count(*) FROM ingest_spellings WHERE dataset_id = $1), 0)";
    session.execute(statement, &[&dataset.id, &stored, &written, &(SPELLINGS_MAX as i64)]).await?;
    Ok(())
}

/// Which rows of the table, as `ours`, are this dataset's: several may share one table, told apart by `source`.
pub(super) fn own_rows(dataset: &Dataset) -> String {
    let constants = dataset.columns.iter().filter_map(|column| match column.from {
        From::Constant(value) => Some(format!("ours.{} = '{value}'", column.name)),
        _ => None,
    });
    constants.chain(["true".to_owned()]).collect::<Vec<_>>().join(" AND ")
}
