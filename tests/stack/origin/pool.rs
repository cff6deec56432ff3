use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::future::{join_all, try_join_all};
use seawall_xtask::pgbouncer::PgBouncer;
use seawall_xtask::process::Logs;

use crate::support::cable::{Cable, State};
use crate::support::{City, Database, Site, Visitor, WAIT, until};

/// A permit that only one of two databases has.
const PERMIT: &str = "INSERT INTO permits (record_id, permit_number) VALUES ('1', '202601010001')";
const SEARCH: &str = "/api/v1/search?q=202601010001";

fn figure(health: &serde_json::Value, name: &str) -> Result<u64> {
    health["pool"][name].as_u64().with_context(|| format!("no {name} in {health}"))
}

async fn until_ready(site: &Site) -> Result<()> {
    until(async || Ok(site.visitor().get("/health/ready").await?.status == 200)).await
}

/// The drill of docs/operating/drills.md: as many visitors as connections are stuck behind a lock. Those after them are told
/// to come back, pages that need no database come, health and metrics, which take no connection of theirs, count them, the
/// log says it once, and all is well when the lock is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_full_pool_says_when_to_come_back_and_its_figures_add_up() -> Result<()> {
    let database = Database::create("pool_full")?;
    // So long that all who are late are waiting before the first of them is told, and who is stuck before them is not given
    // up meanwhile.
    let variables = [("DB_POOL_MIN", "1"), ("DB_POOL_MAX", "2"), ("DB_CHECKOUT_TIMEOUT", "3s"), ("METRICS_PORT", "0")];
    let mut site = Site::start_with(&database.origin, 0, &variables)?;
    let url = site.server.service.wait_for_line("metrics on http://127.0.0.1:", WAIT)?;
    let metrics = Visitor::local(url.trim().trim_end_matches("/metrics").parse().context("a port")?);
    until_ready(&site).await?;
    let blocker = database.connect().await?;
    blocker.batch_execute("BEGIN; LOCK TABLE permits").await?;

    let visitor = site.visitor();
    let stuck = tokio::spawn(try_join_all((0..2).map(|_| visitor.get(SEARCH))));
    until(async || {
        let health = site.visitor().get("/health").await?.json()?;
        assert_eq!(figure(&health, "in_use")? + figure(&health, "idle")?, figure(&health, "size")?, "{health}");
        Ok(figure(&health, "in_use")? == 2)
    })
    .await?;
    let late = tokio::spawn(try_join_all((0..8).map(|_| visitor.get(SEARCH))));
    let waiting = |count| format!("seawall_pool_connections{{pool=\"primary\",figure=\"waiting\"}} {count}\n");
    until(async || Ok(metrics.get("/metrics").await?.text().contains(&waiting(8)))).await?;
    assert_eq!(visitor.get("/methodology").await?.status, 200, "it needs no database");
    for answer in late.await?? {
        assert_eq!((answer.status, answer.field("retry-after").as_str()), (503, "2"), "{}", answer.text());
    }
    let health = site.visitor().get("/health").await?;
    assert_eq!(health.status, 200);
    assert_eq!((figure(&health.json()?, "size")?, figure(&health.json()?, "max")?), (2, 2));

    blocker.batch_execute("COMMIT").await?;
    for answer in stuck.await?? {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    // A connection is back a moment after its answer.
    until(async || {
        let health = visitor.get("/health").await?.json()?;
        Ok((figure(&health, "in_use")?, figure(&health, "waiting")?) == (0, 0))
    })
    .await?;
    assert_eq!(visitor.get(SEARCH).await?.status, 200);
    assert!(metrics.get("/metrics").await?.text().contains(&waiting(0)));
    let log = site.server.service.last_lines();
    for said_once in ["no connection of the primary pool became free in time", "raise DB_POOL_MAX"] {
        assert_eq!(log.matches(said_once).count(), 1, "{said_once} in {log}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_database_ends_a_statement_that_takes_too_long() -> Result<()> {
    let database = Database::create("pool_slow")?;
    let site = Site::start_with(&database.origin, 0, &[("DB_STATEMENT_TIMEOUT", "300ms")])?;
    until_ready(&site).await?;
    let blocker = database.connect().await?;
    blocker.batch_execute("BEGIN; LOCK TABLE permits").await?;
    let asked = Instant::now();
    let answer = site.visitor().get(SEARCH).await?;
    assert_eq!((answer.status, answer.field("retry-after").as_str()), (503, "2"));
    // The longest time of any request is 8 s; what ended this one is the database.
    assert!((Duration::from_millis(300)..Duration::from_secs(7)).contains(&asked.elapsed()), "{:?}", asked.elapsed());
    let set = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'SET %'";
    assert_eq!(database.number(set).await?, 0, "the timeout travels with the start of a session");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pool_that_the_server_has_no_room_for_ends_the_start() -> Result<()> {
    let database = Database::create("pool_large")?;
    let max = database.number("SELECT current_setting('max_connections')::int8").await?;
    // Six sessions are kept beside the pool, and one for each further slot; the superuser that tests are has no reserve to leave alone.
    for (pool_max, job_slots, beside) in [(max - 6, 2, 6), (max - 5, 2, 6), (max - 6, 3, 7)] {
        let fits = pool_max + beside <= max;
        let (pool_max, job_slots) = (pool_max.to_string(), job_slots.to_string());
        let variables = [("DB_POOL_MAX", &*pool_max), ("JOB_SLOTS", &job_slots)];
        let mut site = Site::start_with(&database.origin, 0, &variables)?;
        if fits {
            until_ready(&site).await?;
            continue;
        }
        let ended = site.server.service.wait()?;
        let log = site.server.service.last_lines();
        assert!(!ended.success() && log.contains(&format!("set DB_POOL_MAX to {} or less", max - beside)), "{log}");
    }
    Ok(())
}

/// Which of two databases answers shows in what is found. 0 of all requests fail while the replica goes and comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_replica_is_read_from_and_the_primary_stands_in() -> Result<()> {
    let (primary, replica) = (Database::create("pool_primary")?, Database::create("pool_replica")?);
    replica.connect().await?.batch_execute(PERMIT).await?;
    let cable = Cable::to(replica.port(), State::Whole).await?;
    let url = replica.origin.database_url.replace(&format!(":{}/", replica.port()), &format!(":{}/", cable.port()));
    let site = Site::start_with(&primary.origin, 0, &[("DATABASE_URL_READONLY", &url)])?;
    until_ready(&site).await?;

    let (asked, failed, slowest) = (Cell::new(0), Cell::new(0), Cell::new(Duration::ZERO));
    let found = async || -> Result<u64> {
        let answers = join_all((0..8).map(async |_| {
            let since = Instant::now();
            (site.visitor().get(SEARCH).await, since.elapsed())
        }));
        let mut on_replica = 0;
        for (answer, took) in answers.await {
            asked.set(asked.get() + 1);
            slowest.set(slowest.get().max(took));
            match answer {
                Ok(answer) if answer.status == 200 => {
                    on_replica += answer.json()?["total"].as_u64().context("a total")?;
                }
                _ => failed.set(failed.get() + 1),
            }
        }
        Ok(on_replica)
    };
    until(async || Ok(found().await? == 8)).await?;
    // What is kept for others is read from the primary: a replica may be behind the change that has made it old.
    for (database, signals) in [(&primary, 1), (&replica, 2)] {
        let more = format!(
            "INSERT INTO permit_signals (permit_number, signal_type, tier)
            SELECT n::text, 'hold_comments', 'behind' FROM generate_series(1, {signals}) n"
        );
        database.connect().await?.batch_execute(&more).await?;
    }
    assert_eq!(site.visitor().get("/api/v1/stuck").await?.json()?["comments"], 1);
    for state in [State::Cut, State::Silent] {
        cable.set(state);
        // The breaker opens, and then nobody waits for the replica.
        until(async || {
            let all_on_primary = found().await? == 0;
            let health = site.visitor().get("/health").await?.json()?;
            Ok(all_on_primary && health["replica"]["breaker"] != "closed")
        })
        .await?;
        cable.set(State::Whole);
        until(async || Ok(found().await? == 8)).await?;
        let (asked, slowest) = (asked.take(), slowest.take());
        println!(
            "the replica {state:?} and back: of {asked} requests {} failed, the slowest took {slowest:?}",
            failed.get()
        );
        assert_eq!(failed.get(), 0, "requests failed though the primary stood in");
    }
    Ok(())
}

/// PgBouncer lends four sessions to eight connections, each for one transaction: whatever relied on a session's state
/// would fail or see another's.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn everything_works_through_pgbouncer_in_transaction_mode() -> Result<()> {
    let city = City::shared()?;
    let direct = city.database().serve()?;
    let bouncer = PgBouncer::start(city.database().port(), 4)?;
    let mut origin = city.database().origin.clone();
    let name = origin.database_url.rsplit('/').next().unwrap_or_default().to_owned();
    origin.database_url = bouncer.url(&name);
    let pooled = Site::start_with(&origin, 0, &[("DB_POOLER", "pgbouncer")])?;
    until_ready(&direct).await?;
    until_ready(&pooled).await?;

    let permit = city.database().some_permit().await?;
    let targets = [
        format!("/api/v1/report/{}/{}", permit.block, permit.lot),
        format!("/api/v1/search?q={}", permit.number),
        "/api/v1/search?q=market".to_owned(),
        "/about-data".to_owned(),
    ];
    for target in &targets {
        let expected = direct.visitor().get(target).await?;
        let answers = try_join_all((0..40).map(|_| pooled.visitor().get(target))).await?;
        for answer in answers {
            assert_eq!((answer.status, answer.text()), (200, expected.text()), "{target}");
        }
    }
    assert_eq!(pooled.visitor().get("/health/schema").await?.status, 200);
    // Nobody is told of work through it, and it is done all the same.
    let asked = pooled.visitor().ask("POST", &format!("/api/v1/exports?q={}", permit.number)).send().await?;
    assert_eq!(asked.status, 202, "{}", asked.text());
    let job = asked.field("location");
    until(async || Ok(pooled.visitor().get(&job).await?.json()?["state"] == "done")).await?;
    let csv = pooled.visitor().get(&format!("{job}/result")).await?.text();
    assert!(csv.contains(&permit.number), "{csv}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn migrations_run_through_pgbouncer() -> Result<()> {
    let database = Database::create_empty("pool_migrated")?;
    let bouncer = PgBouncer::start(database.port(), 2)?;
    let mut origin = database.origin.clone();
    origin.database_url = bouncer.url("pool_migrated");
    let migrate = || {
        let mut command = origin.command(&["migrate"]);
        command.env("DB_POOLER", "pgbouncer").output().context("cannot run the origin")
    };
    let output = migrate()?;
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&migrate()?.stdout).contains("nothing to apply"));
    Ok(())
}

/// Without `DB_POOLER` the start says what to set.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pgbouncer_that_was_not_expected_is_named() -> Result<()> {
    let city = City::shared()?;
    let bouncer = PgBouncer::start(city.database().port(), 2)?;
    let mut origin = city.database().origin.clone();
    origin.database_url = bouncer.url("city");
    let server = origin.serve(0, &[("DB_POOL_MIN", "1")], Logs::Keep)?;
    until(async || Ok(server.service.last_lines().contains("set DB_POOLER=pgbouncer"))).await
}
