//! The database's side of a load: the temporary table, and the transaction that makes ours equal to it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio_postgres::{Client, GenericClient};

use super::groups::{self, own_rows};
use super::guard::{self, Filled};
use super::read::Read;
use super::{Extent, LoadError, REFUSED_KEPT_MAX, Shrink};
use crate::permits::parcel::Parcel;
use crate::purge;
use crate::soda::datasets::{Dataset, Key};
use crate::soda::row::{Encoder, QUARANTINE_KEPT_MAX, Refusal};

/// What a load did to the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Rows that are new.
    pub inserted: u64,
    /// Rows whose content changed.
    pub updated: u64,
    /// Rows that were already there.
    pub unchanged: u64,
    /// Rows that the city no longer publishes.
    pub deleted: u64,
    /// Rows left out because their unique value was read twice.
    pub repeated: u64,
}

impl Changes {
    /// Rows of the table after the load.
    #[must_use]
    pub const fn stored(&self) -> u64 {
        self.inserted + self.updated + self.unchanged
    }
}

/// Creates the temporary tables `incoming`, and `regrouped` for the groups that are read again.
pub(super) async fn prepare(session: &Client, dataset: &Dataset) -> Result<(), tokio_postgres::Error> {
    let table = dataset.table;
    session
        .batch_execute(&format!(
            "SET work_mem = '{WORK_MEM}'; CREATE TEMP TABLE incoming (soda_id text, place bigint, LIKE {table});
             CREATE TEMP TABLE regrouped (value text PRIMARY KEY)"
        ))
        .await
}

pub(super) fn copy_statement(dataset: &'static Dataset) -> String {
    format!("COPY incoming (soda_id, place, {}) FROM STDIN", Encoder::columns(dataset).join(", "))
}

/// Deletes all but the last reading of each row.
pub(super) const FORGET_OLDER: &str = "DELETE FROM incoming USING (
        SELECT soda_id, max(place) AS last FROM incoming WHERE soda_id IS NOT NULL
        GROUP BY soda_id HAVING count(*) > 1
    ) again WHERE incoming.soda_id = again.soda_id AND incoming.place < again.last";

/// `$1`: identifiers. Those of rows that were taken, and where.
pub(super) const TAKEN: &str = "SELECT soda_id, max(place) FROM incoming WHERE soda_id = ANY($1) GROUP BY soda_id";

/// `$1`: the identifier of a row that was refused when it was read last.
pub(super) const FORGET: &str = "DELETE FROM incoming WHERE soda_id = $1";

/// Up to when the dataset's changes are known; `None` where a whole load has to come first.
pub(super) async fn updated_through(
    session: &Client,
    dataset: &Dataset,
) -> Result<Option<String>, tokio_postgres::Error> {
    let statement = format!("SELECT updated_through FROM ingest_log WHERE dataset_id = $1 AND {CHANGES_TELL}");
    Ok(session.query_opt(&statement, &[&dataset.id]).await?.and_then(|row| row.get(0)))
}

/// Whether the dataset was read whole, and its changes are known, since so long ago.
pub(super) async fn read_whole_within(
    session: &Client,
    dataset: &Dataset,
    within: Duration,
) -> Result<bool, tokio_postgres::Error> {
    let statement = format!(
        "SELECT EXISTS (SELECT FROM ingest_log WHERE dataset_id = $1 AND {CHANGES_TELL}
            AND last_full > now() - make_interval(secs => $2))"
    );
    Ok(session.query_one(&statement, &[&dataset.id, &within.as_secs_f64()]).await?.get(0))
}

/// Of a row of `ingest_log`: whether changes can be read since it. Of a load by a program that notes no spellings they cannot,
/// whole or not.
const CHANGES_TELL: &str = "updated_through IS NOT NULL AND spellings_at = last_fetched";

/// How many rows the table holds now.
pub(super) async fn held(session: &impl GenericClient, dataset: &Dataset) -> Result<u64, tokio_postgres::Error> {
    let statement = format!("SELECT count(*) FROM {} ours WHERE {}", dataset.table, own_rows(dataset));
    let row = session.query_one(&statement, &[]).await?;
    Ok(row.get::<_, i64>(0).cast_unsigned())
}

/// The refused rows, with those among them whose unique value was read before.
pub(super) fn all_refused(dataset: &Dataset, refused: &BTreeMap<Refusal, u64>, repeats: u64) -> BTreeMap<Refusal, u64> {
    let mut refused = refused.clone();
    if repeats > 0 {
        *refused.entry(repeated(dataset)).or_default() += repeats;
    }
    refused
}

/// How a row is refused whose unique value was read before.
fn repeated(dataset: &Dataset) -> Refusal {
    Refusal::Repeated(match dataset.key {
        Key::Unique(column) => column,
        Key::Fields(_) | Key::Digest => "row_key",
    })
}

/// Makes the table equal to `incoming`, in one transaction with the log of the load, unless the guard stops it.
pub(super) async fn merge(
    session: &mut Client,
    dataset: &'static Dataset,
    read: &Read,
    shrink: Shrink,
    extent: Extent,
) -> Result<Changes, LoadError> {
    let statements = Statements::new(dataset);
    let table = dataset.table;
    let transaction = session.transaction().await?;
    if extent == Extent::Whole {
        transaction.execute("DELETE FROM ingest_refused WHERE dataset_id = $1", &[&dataset.id]).await?;
        transaction.execute("DELETE FROM ingest_quarantine WHERE dataset_id = $1", &[&dataset.id]).await?;
    }
    let (reasons, rows): (Vec<_>, Vec<_>) =
        read.kept.iter().map(|(refusal, row)| (refusal.to_string(), stored_form(row))).unzip();
    transaction.execute(KEEP_REFUSED, &[&dataset.id, &reasons, &rows]).await?;
    keep_quarantine(&transaction, dataset, read).await?;
    groups::keep_spellings(&transaction, dataset, &read.spellings, extent).await?;

    let mut changes = Changes::default();
    match dataset.key {
        Key::Unique(_) => {
            let room = i64::try_from(REFUSED_KEPT_MAX - read.kept.len()).unwrap_or_default();
            let reason = repeated(dataset).to_string();
            let row = transaction.query_one(&statements.drop_repeated, &[&dataset.id, &reason, &room]).await?;
            changes.repeated = row.get::<_, i64>(0).cast_unsigned();
        }
        Key::Fields(_) | Key::Digest => {
            transaction.execute(&statements.number_occurrences, &[]).await?;
        }
    }
    guard::refusals(read.rows, &all_refused(dataset, &read.refused, changes.repeated), extent)?;
    transaction.batch_execute("ANALYZE incoming").await?;
    let held = held(&transaction, dataset).await?;
    transaction.batch_execute(TOUCHED).await?;
    let count = async |statement: &str| -> Result<u64, tokio_postgres::Error> {
        Ok(transaction.query_one(statement, &[]).await?.get::<_, i64>(0).cast_unsigned())
    };
    if extent == Extent::Whole {
        guard::columns(held, &filled(&transaction, dataset, &statements).await?, shrink)?;
        // Deleting is how they are counted: on an error the transaction ends without effect.
        changes.deleted = count(&statements.delete).await?;
        guard::deletions(held, changes.deleted, shrink)?;
    }
    if extent == Extent::Changes
        && read.refused.is_empty()
        && let Some(delete) = &statements.delete_of_groups
    {
        // What the city has just been asked for and did not send is gone, however much it is. A refused row was sent, and
        // ours of its group stay until the next load of all.
        changes.deleted = count(delete).await?;
    }
    if let Some(moved) = &statements.moved {
        transaction.execute(moved, &[]).await?;
    }
    changes.updated = count(&statements.update).await?;
    changes.inserted = count(&statements.insert).await?;
    queue_purges(&transaction, dataset, held, &changes).await?;
    let staged: i64 = transaction.query_one("SELECT count(*) FROM incoming", &[]).await?.get(0);
    changes.unchanged = staged.cast_unsigned() - changes.inserted - changes.updated;

    let rows_read = i64::try_from(read.rows).unwrap_or(i64::MAX);
    let refused = rows_read - staged;
    let stored = match extent {
        Extent::Whole => staged,
        Extent::Changes => i64::try_from(held + changes.inserted - changes.deleted).unwrap_or(i64::MAX),
    };
    let whole = extent == Extent::Whole;
    transaction
        .execute(LOG, &[&dataset.id, &dataset.title, &rows_read, &stored, &refused, &read.updated_through, &whole])
        .await?;
    if !whole {
        transaction.execute(FORGET_REFUSED, &[&dataset.id, &(REFUSED_KEPT_MAX as i64)]).await?;
    }
    transaction.commit().await?;
    let changed = changes.deleted + changes.updated + changes.inserted > 0;
    if changed && let Err(error) = session.batch_execute(&format!("ANALYZE {table}")).await {
        // The load stands; only plans may be worse until Postgres looks at the table by itself.
        tracing::warn!(event = "ingest.analyze_failed", table, %error, "{table} could not be analysed: {error}");
    }
    Ok(changes)
}

/// How full the columns are; none when every one has a value in some row, because then ours need not be counted.
async fn filled(
    session: &impl GenericClient,
    dataset: &'static Dataset,
    statements: &Statements,
) -> Result<Vec<Filled>, tokio_postgres::Error> {
    let incoming = session.query_one(&statements.filled_incoming, &[]).await?;
    let count = |row: &tokio_postgres::Row, index| row.get::<_, i64>(index).cast_unsigned();
    let read: Vec<_> = (0..dataset.columns.len()).map(|index| count(&incoming, index)).collect();
    if read.iter().all(|rows| *rows > 0) {
        return Ok(Vec::new());
    }
    let ours = session.query_one(&statements.filled_ours, &[]).await?;
    let columns = dataset.columns.iter().zip(read).enumerate();
    Ok(columns.map(|(index, (column, read))| Filled { column: column.name, held: count(&ours, index), read }).collect())
}

/// Sorting and joining the largest dataset in memory would need more; this keeps the smaller ones off the disk.
const WORK_MEM: &str = "64MB";

const KEEP_REFUSED: &str = "INSERT INTO ingest_refused (dataset_id, reason, row)
    SELECT $1, reason, row::jsonb FROM unnest($2::text[], $3::text[]) AS kept (reason, row)";

const LOG: &str = "INSERT INTO ingest_log
        (dataset_id, dataset_name, last_fetched, rows_read, rows_stored, rows_refused, data_as_of, updated_through,
         last_full, spellings_at)
    VALUES ($1, $2, now(), $3, $4, $5, (SELECT max(data_as_of) FROM incoming), $6, CASE WHEN $7 THEN now() END, now())
    ON CONFLICT (dataset_id) DO UPDATE SET
        dataset_name = excluded.dataset_name, last_fetched = excluded.last_fetched, rows_read = excluded.rows_read,
        rows_stored = excluded.rows_stored, rows_refused = excluded.rows_refused,
        data_as_of = coalesce(excluded.data_as_of, ingest_log.data_as_of),
        updated_through = excluded.updated_through, last_full = coalesce(excluded.last_full, ingest_log.last_full),
        spellings_at = excluded.spellings_at";

/// Loads of changes add to what was refused: the newest stay.
const FORGET_REFUSED: &str = "DELETE FROM ingest_refused WHERE ctid IN (
        SELECT ctid FROM ingest_refused WHERE dataset_id = $1 ORDER BY refused_at DESC OFFSET $2)";

/// Keeps the implausible dates of a load beside those that are there, up to the bound of one load.
async fn keep_quarantine(
    session: &impl GenericClient,
    dataset: &Dataset,
    read: &Read,
) -> Result<(), tokio_postgres::Error> {
    let doubts = read.encoder.quarantine();
    let columns: Vec<_> = doubts.iter().map(|doubt| doubt.column).collect();
    let values: Vec<_> = doubts.iter().map(|doubt| doubt.value.replace('\0', "")).collect();
    let keys: Vec<_> = doubts.iter().map(|doubt| doubt.row_key.as_deref()).collect();
    let statement = "INSERT INTO ingest_quarantine (dataset_id, column_name, value, row_key)
        SELECT $1, column_name, value, row_key
        FROM unnest($2::text[], $3::text[], $4::text[]) AS doubt (column_name, value, row_key)";
    session.execute(statement, &[&dataset.id, &columns, &values, &keys]).await?;
    let beyond = "DELETE FROM ingest_quarantine WHERE ctid IN (
        SELECT ctid FROM ingest_quarantine WHERE dataset_id = $1 ORDER BY seen_at DESC OFFSET $2)";
    session.execute(beyond, &[&dataset.id, &(QUARANTINE_KEPT_MAX as i64)]).await?;
    Ok(())
}

/// The statements that depend on the dataset's columns. Names come from constants, never from data.
struct Statements {
    drop_repeated: String,
    number_occurrences: String,
    /// Rows with a value, for each column of the dataset.
    filled_incoming: String,
    filled_ours: String,
    delete: String,
    /// Deletes what is gone from the groups that were read again. One that comes back empty has just had a changed row, so
    /// the city's answer is not to be believed; it stays until the next load of all.
    delete_of_groups: Option<String>,
    /// Notes the parcels, or permits, that rows leave.
    moved: Option<String>,
    update: String,
    insert: String,
}

impl Statements {
    fn new(dataset: &'static Dataset) -> Self {
        let table = dataset.table;
        let columns = Encoder::columns(dataset);
        let all = columns.join(", ");
        let keys = dataset.key_columns();
        let key = keys[0];
        let same: Vec<_> = keys.iter().map(|key| format!("ours.{key} = incoming.{key}")).collect();
        let same = same.join(" AND ");
        let content: Vec<_> = columns.iter().filter(|column| !keys.contains(column)).copied().collect();
        let set: Vec<_> = content.iter().map(|column| format!("{column} = incoming.{column}")).collect();
        let compared = |side: &str| {
            let columns = content.iter().filter(|column| **column != "data_as_of");
            columns.map(|column| format!("{side}.{column}")).collect::<Vec<_>>().join(", ")
        };
        let filled: Vec<_> = dataset.columns.iter().map(|column| format!("count({})", column.name)).collect();
        let filled = filled.join(", ");
        // Of rows that share a key, the order does not depend on how they were read.
        let numbered = |order: &str| {
            format!(
                "SELECT ctid AS at, row_number() OVER (PARTITION BY {key} ORDER BY {order}) AS number FROM incoming
                 WHERE {key} IN (SELECT {key} FROM incoming GROUP BY {key} HAVING count(*) > 1)"
            )
        };
        Self {
            drop_repeated: format!(
                "WITH repeated AS ({}),
                 gone AS (DELETE FROM incoming USING repeated WHERE incoming.ctid = repeated.at AND repeated.number > 1
                     RETURNING to_jsonb(incoming) AS row),
                 kept AS (INSERT INTO ingest_refused (dataset_id, reason, row) SELECT $1, $2, row FROM gone LIMIT $3)
                 SELECT count(*) FROM gone",
                numbered(&format!("data_as_of DESC NULLS LAST, {all}"))
            ),
            number_occurrences: format!(
                "UPDATE incoming SET occurrence = repeated.number FROM ({}) repeated
                 WHERE incoming.ctid = repeated.at AND repeated.number > 1",
                numbered(&content.join(", "))
            ),
            filled_incoming: format!("SELECT {filled} FROM incoming"),
            filled_ours: format!("SELECT {filled} FROM {table} ours WHERE {}", own_rows(dataset)),
            delete: touching(
                dataset,
                &format!(
                    "DELETE FROM {table} ours WHERE {} AND NOT EXISTS (SELECT FROM incoming WHERE {same})",
                    own_rows(dataset)
                ),
                "ours.",
            ),
            delete_of_groups: dataset.group.map(|group| {
                let statement = format!(
                    "DELETE FROM {table} ours USING regrouped WHERE {} AND ours.{column} = regrouped.value
                        AND EXISTS (SELECT FROM incoming WHERE incoming.{column} = regrouped.value)
                        AND NOT EXISTS (SELECT FROM incoming WHERE {same})",
                    own_rows(dataset),
                    column = group.column
                );
                touching(dataset, &statement, "ours.")
            }),
            moved: place(dataset, "ours.").zip(place(dataset, "incoming.")).map(|(from, to)| {
                format!(
                    "INSERT INTO touched SELECT DISTINCT {from} FROM {table} ours JOIN incoming ON {same}
                     WHERE ({from}) IS DISTINCT FROM ({to})"
                )
            }),
            update: touching(
                dataset,
                &format!(
                    "UPDATE {table} ours SET {} FROM incoming WHERE {same} AND ({}) IS DISTINCT FROM ({})",
                    set.join(", "),
                    compared("ours"),
                    compared("incoming")
                ),
                "ours.",
            ),
            insert: touching(
                dataset,
                &format!(
                    "INSERT INTO {table} ({all}) SELECT {all} FROM incoming
                     WHERE NOT EXISTS (SELECT FROM {table} ours WHERE {same})"
                ),
                "",
            ),
        }
    }
}

/// Parcels, or permits, whose reports a load makes old.
const TOUCHED: &str = "CREATE TEMP TABLE touched (block text, lot text, permit_number text) ON COMMIT DROP";

/// The statement, which then counts its rows and notes what they belong to.
fn touching(dataset: &Dataset, statement: &str, side: &str) -> String {
    let place = place(dataset, side).unwrap_or_else(|| "NULL, NULL, NULL".to_owned());
    format!(
        "WITH changed (block, lot, permit_number) AS ({statement} RETURNING {place}),
         noted AS (INSERT INTO touched SELECT DISTINCT block, lot, permit_number FROM changed)
         SELECT count(*) FROM changed"
    )
}

/// What a row belongs to, as `touched` has it.
fn place(dataset: &Dataset, side: &str) -> Option<String> {
    let has = |name: &str| dataset.columns.iter().any(|column| column.name == name);
    match () {
        () if has("block") => Some(format!("{side}block, {side}lot, NULL::text")),
        () if has("permit_number") => Some(format!("NULL::text, NULL::text, {side}permit_number")),
        () if has("application_number") => Some(format!("NULL::text, NULL::text, {side}application_number")),
        () => None,
    }
}

/// Queues the pages that the load has made old. The first load of a dataset makes none old that anybody has stored.
async fn queue_purges(
    session: &impl GenericClient,
    dataset: &Dataset,
    held: u64,
    changes: &Changes,
) -> Result<(), tokio_postgres::Error> {
    let mut tags = vec![purge::LOADS.to_owned()];
    if changes.deleted + changes.updated + changes.inserted > 0 {
        tags.push(purge::SEARCH.to_owned());
    }
    if dataset.table == "addenda" {
        tags.push(purge::VELOCITY.to_owned());
    }
    let parcels = if held == 0 {
        None
    } else {
        // One more than are purged one by one. A lot that a permit has left is of the rows before, and read too.
        let statement = "SELECT DISTINCT coalesce(permits.block, touched.block), coalesce(permits.lot, touched.lot)
            FROM touched LEFT JOIN permits ON permits.permit_number = touched.permit_number
            WHERE coalesce(permits.block, touched.block) IS NOT NULL AND coalesce(permits.lot, touched.lot) IS NOT NULL
            LIMIT $1";
        let rows = session.query(statement, &[&(purge::PARCELS_MAX as i64 + 1)]).await?;
        (rows.len() <= purge::PARCELS_MAX).then_some(rows)
    };
    match parcels {
        Some(rows) => tags.extend(rows.iter().filter_map(|row| {
            let parcel = Parcel::parse(row.get(0), row.get(1)).ok()?;
            Some(purge::parcel_tag(&parcel))
        })),
        None => tags.push(purge::REPORTS.to_owned()),
    }
    purge::queue(session, &tags).await
}

/// Longest refused row that is kept whole.
const ROW_BYTES_MAX: usize = 16 * 1024;

/// A refused row as JSON text that Postgres takes: without NUL characters, and only its start when it is long.
fn stored_form(row: &Value) -> String {
    let text = without_nul(row).to_string();
    if text.len() <= ROW_BYTES_MAX {
        return text;
    }
    let end = text.floor_char_boundary(ROW_BYTES_MAX);
    Value::String(text[..end].to_owned()).to_string()
}

fn without_nul(value: &Value) -> Value {
    let clean = |text: &str| text.replace('\0', "");
    match value {
        Value::String(text) => Value::String(clean(text)),
        Value::Array(values) => values.iter().map(without_nul).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (clean(name), without_nul(value))).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refused_rows_take_a_form_that_postgres_holds() {
        assert_eq!(stored_form(&json!({"a\u{0}": ["b\u{0}c", 1, null]})), r#"{"a":["bc",1,null]}"#);
        let long = stored_form(&json!({"a": "é".repeat(ROW_BYTES_MAX)}));
        assert!(serde_json::from_str::<Value>(&long).unwrap().as_str().unwrap().len() <= ROW_BYTES_MAX);
    }

    #[test]
    fn a_new_stamp_alone_is_no_change() {
        for dataset in crate::soda::datasets::DATASETS {
            let update = Statements::new(dataset).update;
            let (set, compared) = update.split_once(" FROM incoming ").unwrap();
            assert!(set.contains("data_as_of = incoming.data_as_of"), "{update}");
            assert!(!compared.contains("data_as_of"), "{update}");
        }
    }
}
