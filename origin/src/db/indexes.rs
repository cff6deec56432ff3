//! Indexes that are there and that no query uses.

use tokio_postgres::Client;

/// An index that `CREATE INDEX CONCURRENTLY` or `REINDEX CONCURRENTLY` left half made. Writes keep it up, reads pass it over,
/// and `CREATE INDEX IF NOT EXISTS` takes it for the whole one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its name.
    pub index: String,
    /// The statement that mends it, for a session outside of a transaction.
    pub mend: String,
}

impl Broken {
    fn new(index: String) -> Self {
        // `REINDEX CONCURRENTLY` makes its copy, and keeps what it replaces, under these names; the index itself is whole.
        let copy = ["_ccnew", "_ccold"]
            .iter()
            .any(|mark| index.trim_end_matches(|c: char| c.is_ascii_digit()).ends_with(mark));
        let verb = if copy { "DROP" } else { "REINDEX" };
        Self { mend: format!("{verb} INDEX CONCURRENTLY \"{}\"", index.replace('"', "\"\"")), index }
    }
}

/// The broken indexes of the schema's tables, by name; one that is being made just now is not among them. While another role makes
/// one, and we may not see which, there are none to name: a false alarm would have it made anew. One query.
///
/// # Errors
/// When the database cannot be asked.
pub async fn broken(client: &Client) -> Result<Vec<Broken>, tokio_postgres::Error> {
    let rows = client.query_typed(BROKEN, &[]).await?;
    rows.iter().map(|row| Ok(Broken::new(row.try_get(0)?))).collect()
}

const BROKEN: &str = "
    SELECT made.relname::text
      FROM pg_index JOIN pg_class made ON made.oid = indexrelid
     WHERE NOT indisvalid AND made.relkind = 'i' AND made.relnamespace = current_schema()::regnamespace
       AND NOT EXISTS (
           SELECT FROM pg_stat_progress_create_index
            WHERE index_relid = indexrelid OR index_relid IS NULL AND datname = current_database())
     ORDER BY 1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_dropped_and_an_index_is_made_anew() {
        for (index, mend) in [
            ("permits_street_type", "REINDEX INDEX CONCURRENTLY \"permits_street_type\""),
            ("odd\"name", "REINDEX INDEX CONCURRENTLY \"odd\"\"name\""),
            ("permits_parcel_ccnew", "DROP INDEX CONCURRENTLY \"permits_parcel_ccnew\""),
            ("permits_parcel_ccold2", "DROP INDEX CONCURRENTLY \"permits_parcel_ccold2\""),
        ] {
            assert_eq!(Broken::new(index.to_owned()).mend, mend);
        }
    }
}
