use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;

use crate::support::city::POOL_MIN;
use crate::support::{Database, Site, Visitor, until};

/// How long `/health` is polled, from how many connections, and how often in all: 1,000 times a second.
const POLLED_FOR: Duration = Duration::from_secs(3);
const POLLERS: u32 = 50;
const POLLS: u32 = 3_000;
/// Transactions while it is polled, beside those of each second: the server's own, and sessions that start.
const TRANSACTIONS_BESIDE_MAX: i64 = 34;

async fn until_ready(site: &Site) -> Result<()> {
    until(async || Ok(site.visitor().get("/health/ready").await?.status == 200)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_schema_is_the_one_that_the_migrations_make_and_what_is_missing_is_named() -> Result<()> {
    let database = Database::create("health_schema")?;
    let site = database.serve()?;
    until_ready(&site).await?;
    // What a container's engine runs to know the same.
    let check = || {
        let mut command = database.origin.command(&["check"]);
        command.env("BIND", "0.0.0.0").env("PORT", site.server.port.to_string()).output()
    };
    assert!(check()?.status.success());
    let answer = site.visitor().get("/health/schema").await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // As many columns as are expected, and none of those missing: the same columns.
    let client = database.connect().await?;
    let counted = "SELECT table_name::text, count(*) FROM information_schema.columns
                    WHERE table_schema = 'public' GROUP BY table_name";
    let rows = client.query(counted, &[]).await?;
    let answer = answer.json()?;
    assert_eq!(answer["tables"].as_object().map(serde_json::Map::len), Some(rows.len()), "{answer}");
    for row in rows {
        let (table, columns): (String, i64) = (row.get(0), row.get(1));
        assert_eq!(answer["tables"][&table]["columns"], columns, "{table}");
    }

    // An index that broke off while it was made, as it does on rows that are not unique: everybody takes it for the whole one.
    client.batch_execute("INSERT INTO permits (record_id, permit_number) VALUES ('1', '1'), ('2', '1')").await?;
    client.batch_execute("DROP INDEX permits_permit_number").await?;
    let broken =
        client.batch_execute("CREATE UNIQUE INDEX CONCURRENTLY permits_permit_number ON permits (permit_number)");
    ensure!(broken.await.is_err(), "the index is whole");
    // The server says that it failed before it says that it is over; what comes next waits for that.
    client.batch_execute("SELECT 1").await?;
    let mend = "REINDEX INDEX CONCURRENTLY \"permits_permit_number\"";
    let refused = database.origin.command(&["migrate"]).output()?;
    ensure!(!refused.status.success(), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains(mend), "{refused:?}");
    until(async || Ok(site.visitor().get("/health/schema").await?.status == 503)).await?;
    let answer = site.visitor().get("/health/schema").await?.json()?;
    assert_eq!(answer["broken_indexes"]["permits_permit_number"], mend, "{answer}");
    client.batch_execute("DELETE FROM permits WHERE record_id = '2'").await?;
    client.batch_execute(mend).await?;
    until(async || Ok(site.visitor().get("/health/schema").await?.status == 200)).await?;
    let migrated = database.origin.command(&["migrate"]).output()?;
    ensure!(migrated.status.success(), "{migrated:?}");

    // One that another role makes is half made for as long as a writer holds it up, and is not broken.
    let (mut writer, maker) = (database.connect().await?, database.connect().await?);
    let writing = writer.transaction().await?;
    writing.batch_execute("LOCK TABLE permits IN ROW EXCLUSIVE MODE").await?;
    let made =
        tokio::spawn(async move { maker.batch_execute("CREATE INDEX CONCURRENTLY slow ON permits (lot)").await });
    let half = "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('slow') AND NOT indisvalid";
    until(async || Ok(database.number(half).await? == 1)).await?;
    client
        .batch_execute(
            "CREATE ROLE stranger;
             GRANT ALL ON SCHEMA public TO stranger;
             GRANT ALL ON ALL TABLES IN SCHEMA public TO stranger;
             ALTER DATABASE health_schema SET role = stranger",
        )
        .await?;
    let migrated = database.origin.command(&["migrate"]).output()?;
    client.batch_execute("ALTER DATABASE health_schema RESET role").await?;
    ensure!(migrated.status.success(), "{migrated:?}");
    writing.rollback().await?;
    made.await??;

    client.batch_execute("ALTER TABLE permits DROP COLUMN lot; DROP TABLE addenda").await?;
    until(async || Ok(site.visitor().get("/health/schema").await?.status == 503)).await?;
    let answer = site.visitor().get("/health/schema").await?.json()?;
    assert_eq!(answer["tables"]["permits"]["missing_columns"], serde_json::json!(["lot"]));
    assert_eq!(answer["tables"]["addenda"]["status"], "missing");
    let ready = site.visitor().get("/health/ready").await?;
    assert_eq!((ready.status, &ready.json()?["missing_tables"]), (503, &serde_json::json!(["addenda"])));
    let refused = check()?;
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("addenda"), "{refused:?}");
    // A table is missing, but the process and its database are well.
    assert_eq!(site.visitor().get("/health").await?.status, 200);
    Ok(())
}

/// `/health` polled 1,000 times a second: every poll is answered, the pool lends nothing, and the database is hardly
/// asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polling_leaves_pool_and_database_alone() -> Result<()> {
    let database = Database::create("health_polled")?;
    let site = database.serve()?;
    until_ready(&site).await?;
    until(async || Ok(site.visitor().get("/health").await?.json()?["pool"]["idle"] == POOL_MIN)).await?;
    let committed = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
    let before = database.number(committed).await?;
    let started = Instant::now();
    let visitor = site.visitor();
    try_join_all((0..POLLERS).map(|poller| poll(visitor, started, poller))).await?;
    // A busy machine takes longer; what the polls may cost grows with the seconds and not with them.
    let took = started.elapsed();
    let transactions_max = TRANSACTIONS_BESIDE_MAX + 2 * i64::try_from(took.as_secs())?;
    // Two statements a second, and a few of the server's own. The polls themselves would be thousands.
    let transactions = database.number(committed).await? - before;
    println!("{POLLS} polls in {took:?}, {transactions} transactions");
    assert!(transactions <= transactions_max, "{transactions}");
    Ok(())
}

async fn poll(visitor: Visitor, started: Instant, poller: u32) -> Result<()> {
    let every = POLLED_FOR / (POLLS / POLLERS);
    let mut beat = tokio::time::interval_at((started + every * poller / POLLERS).into(), every);
    let mut session = visitor.session().await?;
    for _ in 0..POLLS / POLLERS {
        beat.tick().await;
        let answer = session.get("/health").await?;
        ensure!(answer.status == 200, "{}", answer.text());
        let pool = &answer.json()?["pool"];
        ensure!(pool["in_use"] == 0 && pool["size"] == POOL_MIN, "{pool}");
    }
    Ok(())
}
