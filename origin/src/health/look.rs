//! One look at the database: everything that a health answer says about it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use super::schema::EXPECTED;
use crate::cron::{LastRun, last_runs};
use crate::db::indexes::{self, Broken};
use crate::db::migrations;

/// What the database answered.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// How long it took.
    pub(super) took: Duration,
    /// The columns of each expected table that is there.
    pub(super) columns: BTreeMap<String, Vec<String>>,
    /// Indexes that no query uses.
    pub(super) broken_indexes: Vec<Broken>,
    /// Migrations that this binary knows and the database lacks.
    pub(super) pending_migrations: Vec<&'static str>,
    /// The last run of each job.
    pub(super) last_runs: Vec<LastRun>,
    /// Rows of each table, as of its last analysis.
    pub(super) estimated_rows: Vec<(String, i64)>,
}

/// Why there was no look: it took too long, no session could be opened, or the database answered with an error.
pub(super) const NO_ANSWER: &str = "no answer in time";
pub(super) const UNREACHABLE: &str = "the database cannot be reached";
pub(super) const FAILED: &str = "the database answered with an error";

const COLUMNS: &str = "
    SELECT relname::text, array_agg(attname::text ORDER BY attnum), max(reltuples)::int8
      FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
     WHERE pg_class.oid = ANY (SELECT to_regclass(name) FROM unnest($1) name)
       AND attnum > 0 AND NOT attisdropped
     GROUP BY relname";

impl Look {
    /// Looks now.
    pub(super) async fn take(client: &Client) -> Result<Self, tokio_postgres::Error> {
        let started = Instant::now();
        let names: Vec<&str> = EXPECTED.iter().map(|(table, _)| *table).collect();
        let tables: [(&(dyn ToSql + Sync), Type); 1] = [(&names, Type::TEXT_ARRAY)];
        let (rows, pending_migrations, broken_indexes) = tokio::try_join!(
            client.query_typed(COLUMNS, &tables),
            migrations::pending(client),
            indexes::broken(client)
        )?;
        // Before its migration there is no log, and then nothing ran.
        let last_runs = match last_runs(client).await {
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Vec::new(),
            runs => runs?,
        };
        let took = started.elapsed();
        let mut look = Self { took, pending_migrations, broken_indexes, last_runs, ..Self::default() };
        for row in &rows {
            let table: String = row.try_get(0)?;
            look.estimated_rows.push((table.clone(), row.try_get(2)?));
            look.columns.insert(table, row.try_get(1)?);
        }
        Ok(look)
    }

    /// Rows of each table, without those that the database has not counted yet.
    pub(super) fn estimates(&self) -> BTreeMap<&str, u64> {
        let known = self.estimated_rows.iter();
        known.filter_map(|(table, rows)| Some((table.as_str(), u64::try_from(*rows).ok()?))).collect()
    }
}
