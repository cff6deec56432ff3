//! Migrations: embedded in the binary and applied by `origin migrate`, each in its own transaction.
//!
//! A lock keeps two processes from applying at once; the second waits and then finds nothing to do.
//! What was applied is remembered with a checksum, so a migration that was edited after its release is refused.
//!
//! A site serves meanwhile. Whoever waits for a table's lock makes everybody wait who comes after, readers too, so a
//! migration waits for [`LOCK_TIME_MAX`] only, lets those pass who came meanwhile, and tries again.

use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

/// One step of the schema.
#[derive(Debug)]
pub struct Migration {
    /// Its number; steps are applied in this order.
    pub version: i32,
    /// Its file name without the ending.
    pub name: &'static str,
    sql: &'static str,
}

impl Migration {
    fn checksum(&self) -> String {
        crate::digest::hex(&Sha256::digest(self.sql))
    }
}

/// Every migration that this binary knows, in order.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "0001_city_data", sql: include_str!("../../migrations/0001_city_data.sql") },
    Migration { version: 2, name: "0002_cron", sql: include_str!("../../migrations/0002_cron.sql") },
    Migration {
        version: 3,
        name: "0003_request_metrics",
        sql: include_str!("../../migrations/0003_request_metrics.sql"),
    },
    Migration { version: 4, name: "0004_page_cache", sql: include_str!("../../migrations/0004_page_cache.sql") },
    Migration { version: 5, name: "0005_jobs", sql: include_str!("../../migrations/0005_jobs.sql") },
    Migration { version: 6, name: "0006_signals", sql: include_str!("../../migrations/0006_signals.sql") },
    Migration { version: 7, name: "0007_accounts", sql: include_str!("../../migrations/0007_accounts.sql") },
    Migration { version: 8, name: "0008_brief", sql: include_str!("../../migrations/0008_brief.sql") },
    Migration {
        version: 9,
        name: "0009_trades_and_property",
        sql: include_str!("../../migrations/0009_trades_and_property.sql"),
    },
    Migration {
        version: 10,
        name: "0010_search_and_entities",
        sql: include_str!("../../migrations/0010_search_and_entities.sql"),
    },
    Migration { version: 11, name: "0011_purge_queue", sql: include_str!("../../migrations/0011_purge_queue.sql") },
    Migration {
        version: 12,
        name: "0012_page_cache_prefix",
        sql: include_str!("../../migrations/0012_page_cache_prefix.sql"),
    },
    Migration {
        version: 13,
        name: "0013_narrowed_search",
        sql: include_str!("../../migrations/0013_narrowed_search.sql"),
    },
    Migration {
        version: 14,
        name: "0014_page_cache_tags",
        sql: include_str!("../../migrations/0014_page_cache_tags.sql"),
    },
    Migration { version: 15, name: "0015_spellings", sql: include_str!("../../migrations/0015_spellings.sql") },
    Migration { version: 16, name: "0016_purges_once", sql: include_str!("../../migrations/0016_purges_once.sql") },
    Migration { version: 17, name: "0017_bounded_work", sql: include_str!("../../migrations/0017_bounded_work.sql") },
    Migration {
        version: 18,
        name: "0018_indexes_of_less",
        sql: include_str!("../../migrations/0018_indexes_of_less.sql"),
    },
    Migration {
        version: 19,
        name: "0019_planning_records",
        sql: include_str!("../../migrations/0019_planning_records.sql"),
    },
    Migration { version: 20, name: "0020_purged_tags", sql: include_str!("../../migrations/0020_purged_tags.sql") },
    Migration {
        version: 21,
        name: "0021_planning_changes",
        sql: include_str!("../../migrations/0021_planning_changes.sql"),
    },
];

/// How many migrations this binary knows.
pub const EXPECTED: usize = MIGRATIONS.len();

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The text of an applied migration differs from this binary's.
    #[error("migration {0} was changed after it was applied here; add a new migration instead of editing that one")]
    Changed(&'static str),
    /// The database is ahead of this binary.
    #[error("the database has migration {0}, which this binary does not know; deploy a newer binary")]
    Newer(i32),
    /// A migration's own statements failed; the database is as it was before it.
    #[error("migration {0} failed and was rolled back")]
    Failed(&'static str, #[source] tokio_postgres::Error),
    /// The database did not answer.
    #[error("the database cannot be asked for its migrations")]
    Database(#[from] tokio_postgres::Error),
}

/// Names of the migrations that the database still lacks, in the order they would be applied. One query.
///
/// # Errors
/// When the database cannot be asked.
pub async fn pending(client: &Client) -> Result<Vec<&'static str>, tokio_postgres::Error> {
    let applied = applied(client).await?;
    Ok(MIGRATIONS.iter().filter(|known| !applied.iter().any(|row| row.0 == known.version)).map(|m| m.name).collect())
}

/// Applies what is missing and calls `on_applied` after each. Does nothing when nothing is missing.
///
/// # Errors
/// When an applied migration was changed, the database is newer than this binary, or a statement fails.
pub async fn migrate(
    client: &mut Client,
    mut on_applied: impl FnMut(&'static Migration, Duration),
) -> Result<(), MigrateError> {
    let mut tries = 0;
    loop {
        let transaction = client.transaction().await?;
        // Held by the transaction, so that it is given up with it, also when this process dies, and holds through
        // PgBouncer too. Who waited for it reads afterwards what the other has applied.
        transaction.query_typed("SELECT pg_advisory_xact_lock($1)", &[(&LOCK, Type::INT8)]).await?;
        transaction.batch_execute(TABLE).await?;
        let applied = applied(transaction.client()).await?;
        for (version, checksum) in &applied {
            let known =
                MIGRATIONS.iter().find(|known| known.version == *version).ok_or(MigrateError::Newer(*version))?;
            if known.checksum() != *checksum {
                return Err(MigrateError::Changed(known.name));
            }
        }
        // Numbers are given out before they are merged, so one may come after a later one.
        let missing = |known: &&Migration| applied.iter().all(|(version, _)| *version != known.version);
        let Some(migration) = MIGRATIONS.iter().find(missing) else {
            transaction.commit().await?;
            return Ok(());
        };
        let started = Instant::now();
        let failed = |error| MigrateError::Failed(migration.name, error);
        let bounded = format!("SET LOCAL lock_timeout = {}", LOCK_TIME_MAX.as_millis());
        transaction.batch_execute(&bounded).await.map_err(failed)?;
        if let Err(error) = transaction.batch_execute(migration.sql).await {
            tries += 1;
            if error.code() != Some(&SqlState::LOCK_NOT_AVAILABLE) || tries == TRIES_MAX {
                return Err(failed(error));
            }
            transaction.rollback().await?;
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(&migration.version, Type::INT4), (&migration.name, Type::TEXT), (&migration.checksum(), Type::TEXT)];
        transaction.query_typed(RECORD, &parameters).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        on_applied(migration, started.elapsed());
    }
}

async fn applied(client: &Client) -> Result<Vec<(i32, String)>, tokio_postgres::Error> {
    match client.query_typed("SELECT version, checksum FROM schema_migrations ORDER BY version", &[]).await {
        Ok(rows) => rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect(),
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// How long a migration may stand in the way of everybody who comes after it; pages are given up after 8 s.
pub const LOCK_TIME_MAX: Duration = Duration::from_secs(2);

/// How long others may pass before it tries again.
const PAUSE: Duration = Duration::from_secs(1);

/// How often it tries in all: for a minute and a half, within which any statement of a page has ended. What holds a table
/// for longer is a load, and the deployment is tried again after it.
const TRIES_MAX: u32 = 30;

/// Any number works that no other lock of ours uses; loads take theirs from the dataset's id.
const LOCK: i64 = 0x5EA_7A11;

const TABLE: &str = "SET LOCAL client_min_messages = warning;
    CREATE TABLE IF NOT EXISTS schema_migrations (
        version integer PRIMARY KEY,
        name text NOT NULL,
        checksum text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )";

const RECORD: &str = "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_up_and_names_carry_them() {
        assert!(MIGRATIONS.is_sorted_by(|one, next| one.version < next.version));
        for migration in MIGRATIONS {
            assert!(migration.name.starts_with(&format!("{:04}_", migration.version)), "{}", migration.name);
        }
    }
}
