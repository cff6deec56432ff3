use anyhow::{Context, Result, ensure};
use seawall_xtask::process::{Logs, Service};
use seawall_xtask::scratch;
use serde_json::json;

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

/// An entry of an index holds 2,704 bytes, and a row whose entry is longer cannot be stored: whatever is looked up by is short.
#[tokio::test]
async fn a_text_of_any_length_is_no_obstacle_to_an_index() -> Result<()> {
    let database = Database::create("long_texts")?;
    let indexed = "SELECT DISTINCT attname::text FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
          JOIN pg_am ON pg_am.oid = relam JOIN pg_depend ON objid = indexrelid AND refobjid = indrelid
          JOIN pg_attribute ON attrelid = indrelid AND attnum = refobjsubid
         WHERE indrelid = 'permits'::regclass AND amname = 'btree' AND atttypid = 'text'::regtype ORDER BY 1";
    let rows = database.connect().await?.query(indexed, &[]).await?;
    let mut columns: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    // A row without what tells it apart is refused.
    columns.retain(|column| !["record_id", "permit_number"].contains(&column.as_str()));
    ensure!(columns.iter().any(|column| column == "permit_type_definition"), "{columns:?}");
    // Words that differ, so that the server cannot make them shorter.
    let long = |column: &str| {
        (0..2_000).map(|n: u64| format!("{column}{:x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect::<String>()
    };
    let files = scratch::dir("long-texts")?;
    let of = |column: &str| {
        let mut row = json!({":id": column, "record_id": column, "permit_number": "1", "status": "filed"});
        row[column] = json!(long(column));
        row
    };
    let lines: Vec<String> = columns.iter().map(|column| format!("{}\n", of(column))).collect();
    std::fs::write(files.path().join("permits.jsonl"), lines.concat())?;
    let served = database.origin.stand_in(files.path(), Logs::Keep)?;
    let load = database.ingest(&served.url(), &["permits"])?;
    ensure!(load.succeeded, "{}", load.text);
    let loaded = load.of("permits")?;
    assert_eq!((loaded.read, loaded.inserted), (columns.len() as u64, columns.len() as u64), "{}", load.text);
    Ok(())
}
