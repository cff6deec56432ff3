use anyhow::{Context, Result};
use seawall_xtask::process::{Logs, Service};

use crate::support::{Database, until};

/// A migration waits for a lock that somebody holds, and does not stand in the way for long: it gives up its place,
/// which shows as another transaction, and comes to its end when the lock is free.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_migration_that_waits_for_a_lock_lets_others_pass() -> Result<()> {
    let database = Database::create_empty("migrate_locked")?;
    let mut client = database.connect().await?;
    // Whoever makes a table of this name waits for the end of this transaction.
    let holder = client.transaction().await?;
    holder.batch_execute("CREATE TABLE permits ()").await?;

    let mut migrate = Service::start("origin migrate", database.origin.command(&["migrate"]), Logs::Keep)?;
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND application_name = 'seawall-migrate' AND wait_event_type = 'Lock'";
    until(async || Ok(database.number(waiting).await? == 1)).await?;
    let began = "SELECT coalesce(max(extract(epoch FROM xact_start) * 1000), 0)::bigint FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = 'seawall-migrate'";
    let first = database.number(began).await?;
    until(async || Ok(database.number(began).await? > first && database.number(waiting).await? == 1)).await?;

    holder.rollback().await?;
    let status = migrate.wait().context("the migration does not end")?;
    assert!(status.success(), "{}", migrate.last_lines());
    assert!(database.number("SELECT count(*) FROM schema_migrations").await? > 0);
    Ok(())
}
