use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::{join, try_join_all};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::support::cron::{WORKER, run};
use crate::support::{Database, Site, until};

const STATS: &str = "/api/stats";
/// A row in each table that is counted.
const ROWS: &str = "
    INSERT INTO permits (record_id, permit_number) VALUES ('1', '202601010001');
    INSERT INTO addenda (row_key, occurrence, application_number) VALUES ('1', 1, '202601010001'), ('2', 1, '2')";
/// Statements that count now.
const COUNTING: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'active' AND query LIKE '%FROM addenda%' AND pid <> pg_backend_pid()";

/// Leaves a row for each answer that someone has tried to store.
const NOTE_STORES: &str = "
    CREATE TABLE stored ();
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO stored DEFAULT VALUES; RETURN NEW; END';
    CREATE TRIGGER noted BEFORE INSERT ON page_cache FOR EACH ROW WHEN (NEW.payload IS NOT NULL) EXECUTE FUNCTION note()";

async fn site(database: &Database) -> Result<Site> {
    let site = Site::start_with(&database.origin, 0, &[&WORKER[..], &[("PAGE_MEMORY_MIB", "8")]].concat())?;
    until(async || Ok(site.visitor().get("/health/ready").await?.status == 200)).await?;
    Ok(site)
}

async fn stats(site: &Site) -> Result<Value> {
    let answer = site.visitor().get(STATS).await?;
    ensure!(answer.status == 200, "{}", answer.text());
    answer.json()
}

/// Waits for a statement that `counted` counts, and for everyone who is on the way: nobody runs it beside the one who does.
/// The others wait for seconds only, so each look costs no session.
async fn alone(watcher: &Client, counted: &str) -> Result<()> {
    let look = async || anyhow::Ok(watcher.query_one(counted, &[]).await?.get::<_, i64>(0));
    until(async || Ok(look().await? == 1)).await?;
    for _ in 0..20 {
        ensure!(look().await? == 1);
    }
    Ok(())
}

/// Forty visitors of two processes ask for what nobody has computed: one statement counts, and all get its result.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_computes_for_all() -> Result<()> {
    let database = Database::create("cache_flight")?;
    let client = database.connect().await?;
    client.batch_execute(ROWS).await?;
    let sites = [site(&database).await?, site(&database).await?];
    let watcher = database.connect().await?;
    client.batch_execute("BEGIN; LOCK TABLE addenda").await?;
    let asked = try_join_all((0..40).map(|number| stats(&sites[number % 2])));
    let counted = async {
        alone(&watcher, COUNTING).await?;
        client.batch_execute("COMMIT").await?;
        anyhow::Ok(())
    };
    let (answers, counted) = join(asked, counted).await;
    counted?;
    let answers = answers?;
    for answer in &answers {
        assert_eq!((&answer["permits"], &answer["routing_records"]), (&json!(1), &json!(2)), "{answer}");
    }
    let computed = answers.iter().filter(|answer| answer.get("_cached").is_none()).count();
    assert_eq!(computed, 1, "{answers:?}");
    assert!(answers.iter().all(|answer| answer.get("_cached").is_none() || answer["_cached_at"].is_string()));
    Ok(())
}

/// What is a little old is served at once, and computed anew beside that; what is too old, or was made old, is computed
/// first; and what cannot be computed is served however old it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_entry_grows_old_by_the_databases_clock() -> Result<()> {
    let database = Database::create("cache_age")?;
    let client = database.connect().await?;
    client.batch_execute(ROWS).await?;
    let site = site(&database).await?;
    let aged = async |by: &str| {
        let sql = format!("UPDATE page_cache SET computed_at = now() - interval '{by}' WHERE cache_key = 'stats'");
        client.batch_execute(&sql).await
    };
    assert_eq!(stats(&site).await?.get("_cached"), None);
    client.batch_execute("INSERT INTO permits (record_id, permit_number) VALUES ('2', '2')").await?;
    aged("59 minutes").await?;
    assert_eq!((&stats(&site).await?["_cached"], &stats(&site).await?["permits"]), (&json!(true), &json!(1)));

    aged("61 minutes").await?;
    client.batch_execute("BEGIN; LOCK TABLE addenda").await?;
    let asked = Instant::now();
    assert_eq!(stats(&site).await?["permits"], 1);
    assert!(asked.elapsed() < Duration::from_secs(5), "nobody waits for what is computed beside the serving");
    until(async || Ok(database.number(COUNTING).await? == 1)).await?;
    client.batch_execute("COMMIT").await?;
    until(async || Ok(stats(&site).await?["permits"] == 2)).await?;

    client.batch_execute("INSERT INTO permits (record_id, permit_number) VALUES ('3', '3')").await?;
    // Who computes for longer than his lease lasts is overtaken, and does not put back what is older.
    aged("61 minutes").await?;
    client.batch_execute(NOTE_STORES).await?;
    client.batch_execute("BEGIN; LOCK TABLE addenda").await?;
    stats(&site).await?;
    until(async || Ok(database.number(COUNTING).await? == 1)).await?;
    let overtaking = "UPDATE page_cache SET computing_until = NULL, computed_at = clock_timestamp(),
        payload = jsonb_set(payload, '{permits}', '77') WHERE cache_key = 'stats'";
    database.connect().await?.batch_execute(overtaking).await?;
    client.batch_execute("COMMIT").await?;
    until(async || Ok(database.number("SELECT count(*) FROM stored").await? == 1)).await?;
    assert_eq!(stats(&site).await?["permits"], 77);

    aged("26 hours").await?;
    assert_eq!(stats(&site).await?["permits"], 3);

    client.batch_execute("UPDATE page_cache SET invalidated_at = now(); ALTER TABLE addenda RENAME TO away").await?;
    let answer = stats(&site).await?;
    assert_eq!((&answer["permits"], &answer["_cached"]), (&json!(3), &json!(true)), "{answer}");
    client.batch_execute("DELETE FROM page_cache").await?;
    assert_eq!(site.visitor().get(STATS).await?.status, 503);
    client.batch_execute("ALTER TABLE away RENAME TO addenda").await?;
    until(async || Ok(site.visitor().get(STATS).await?.status == 200)).await
}

/// When computing takes too long, everyone gets what was there before, who computes included; and a visitor who leaves
/// while the cache is asked leaves no connection that the next would wait behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_database_that_hangs_costs_patience_and_no_answer() -> Result<()> {
    let database = Database::create("cache_slow")?;
    let client = database.connect().await?;
    client.batch_execute(ROWS).await?;
    let site = Site::start_with(&database.origin, 0, &[("DB_POOL_MIN", "1"), ("DB_POOL_MAX", "2")])?;
    until(async || Ok(site.visitor().get("/health/ready").await?.status == 200)).await?;
    stats(&site).await?;
    client.batch_execute("UPDATE page_cache SET invalidated_at = now(); BEGIN; LOCK TABLE addenda").await?;
    for answer in try_join_all((0..2).map(|_| stats(&site))).await? {
        assert_eq!((&answer["_cached"], &answer["permits"]), (&json!(true), &json!(1)), "{answer}");
    }
    client.batch_execute("COMMIT; BEGIN; LOCK TABLE page_cache").await?;
    let waiting = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND query LIKE '%page_cache%' AND wait_event_type = 'Lock'";
    for _ in 0..2 {
        let asked = tokio::spawn(site.visitor().get(STATS));
        until(async || Ok(database.number(waiting).await? == 1)).await?;
        asked.abort();
        until(async || Ok(database.number(waiting).await? == 0)).await?;
    }
    for _ in 0..4 {
        assert_eq!(site.visitor().get("/search?q=market").await?.status, 200);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn jobs_compute_ahead_and_keep_the_cache_within_its_bound() -> Result<()> {
    let database = Database::create("cache_jobs")?;
    let client = database.connect().await?;
    client.batch_execute(ROWS).await?;
    let site = site(&database).await?;
    assert_eq!(run(&site, "compute-caches").await?["counts"], json!({"computed": 2, "errors": 0}));
    assert_eq!(stats(&site).await?["_cached"], true);

    let more = "INSERT INTO page_cache (cache_key, payload, computed_at, ttl_seconds, stale_seconds)
                SELECT 'brief:' || n, '{}', now() - interval '1 minute' * n, 60, 0 FROM generate_series(1, 10010) n";
    client.batch_execute(more).await?;
    // Nobody could compute the first, and someone may be computing the second.
    let leases = "INSERT INTO page_cache (cache_key, ttl_seconds, stale_seconds, computing_until)
                  VALUES ('given up', 1, 0, now() - interval '2 hours'), ('begun', 1, 0, now() - interval '30 minutes')";
    client.batch_execute(leases).await?;
    let pruned = run(&site, "prune").await?;
    assert_eq!(pruned["counts"]["page_cache"], 13, "{pruned}");
    assert_eq!(
        client.execute("DELETE FROM page_cache WHERE computed_at IS NULL AND cache_key = 'begun'", &[]).await?,
        1
    );
    let kept = database.number("SELECT count(*) FROM page_cache WHERE cache_key = 'stats'").await?;
    assert_eq!((kept, database.number("SELECT count(*) FROM page_cache").await?), (1, 10_000));
    client.query_one("SELECT 1 FROM page_cache WHERE cache_key = 'brief:1'", &[]).await.context("the newest stay")?;
    Ok(())
}

/// A parcel with a permit, and one more that the report has to count.
const PARCEL: &str =
    "INSERT INTO permits (record_id, permit_number, block, lot) VALUES ('1', '202601010001', '3507', '004')";
const REPORT: &str = "/report/3507/004";
const REPORT_JSON: &str = "/api/v1/report/3507/004";
const PERMIT: &str = "/permit/202601010001";
const PERMIT_JSON: &str = "/api/v1/permit/202601010001";
/// Entries that are being made.
const PENDING: &str = "SELECT count(*) FROM page_cache WHERE computing_until > now() AND tags @> '{pending}'";
/// Someone whose page can be asked for.
const FIRM: &str = "INSERT INTO entities VALUES
    ('00ff00ff00ff00ff', 'A Firm', NULL, 'contractor', NULL, NULL, 'singleton', 'low', 1, 0, '{}')";
/// How long a visitor waits for a page that is made anew.
const PATIENCE: Duration = Duration::from_secs(3);
/// What is the same for everybody.
const DOCUMENTS: [&str; 10] = [
    PERMIT,
    PERMIT_JSON,
    "/firm/00ff00ff00ff00ff",
    "/api/v1/firm/00ff00ff00ff00ff",
    "/velocity",
    "/api/v1/velocity",
    "/stuck",
    "/api/v1/stuck",
    "/about-data",
    "/api/v1/search?q=market",
];
/// Statements that read the reports' complaints now.
const REPORTING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
    AND wait_event_type = 'Lock' AND query LIKE '%complaints%' AND pid <> pg_backend_pid()";

/// A document is made once for two processes and their visitors, and served from memory by each; what is made old by its tag
/// shows its change, and what has no other tag stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_is_made_once_and_purged_by_its_tag() -> Result<()> {
    let database = Database::create("documents")?;
    let client = database.connect().await?;
    client.batch_execute(PARCEL).await?;
    let sites = [site(&database).await?, site(&database).await?];
    let watcher = database.connect().await?;
    client.batch_execute("BEGIN; LOCK TABLE complaints").await?;
    let report = async |site: &Site| {
        let answer = site.visitor().get(REPORT).await?;
        ensure!(answer.status == 200, "{}", answer.text());
        Ok(answer)
    };
    let asked = try_join_all((0..40).map(|number| report(&sites[number % 2])));
    let counted = async {
        alone(&watcher, REPORTING).await?;
        client.batch_execute("COMMIT").await?;
        anyhow::Ok(())
    };
    let (answers, counted) = join(asked, counted).await;
    counted?;
    let answers = answers?;
    assert!(answers.iter().all(|answer| answer.text() == answers[0].text()));

    // A permit says on which parcels it stands only once it is read.
    let permit = async |site: &Site| {
        let answer = site.visitor().get(PERMIT).await?;
        ensure!(answer.status == 200, "{}", answer.text());
        Ok(answer)
    };
    for site in &sites {
        assert_eq!(permit(site).await?.field("cache-tag"), "reports,signals,velocity,parcel-3507-004");
    }
    // The row says nothing of purges, so nobody sees it before the tag is told.
    client.batch_execute("UPDATE permits SET status = 'withdrawn'").await?;
    assert!(!report(&sites[0]).await?.text().contains("withdrawn"));
    client.batch_execute("INSERT INTO purge_queue (tag) VALUES ('parcel-0001-001')").await?;
    run(&sites[0], "compute-caches").await?;
    let old = "SELECT count(*) FROM page_cache WHERE cache_key LIKE 'document:%' AND invalidated_at IS NOT NULL";
    assert_eq!(database.number(old).await?, 0);
    client.batch_execute("INSERT INTO purge_queue (tag) VALUES ('parcel-3507-004')").await?;
    run(&sites[0], "compute-caches").await?;
    for site in &sites {
        until(async || Ok(report(site).await?.text().contains("withdrawn"))).await?;
        until(async || Ok(permit(site).await?.text().contains("withdrawn"))).await?;
    }

    // Those who come while a page is made anew wait for it as long as who makes it.
    client.batch_execute("BEGIN; LOCK TABLE complaints").await?;
    database.connect().await?.batch_execute("UPDATE page_cache SET invalidated_at = clock_timestamp()").await?;
    until(async || {
        let asked = try_join_all((0..3).map(|_| async {
            let since = Instant::now();
            let answer = report(&sites[0]).await?;
            Ok::<_, anyhow::Error>((answer.field("cache-control") == "no-store", since.elapsed()))
        }));
        // On a machine that pauses by itself the database may seem silent.
        Ok(asked.await?.iter().all(|(is_old, took)| *is_old && *took >= PATIENCE))
    })
    .await?;
    client.batch_execute("COMMIT").await?;
    until(async || Ok(report(&sites[0]).await?.field("cache-control") != "no-store")).await?;

    // What is purged while a page is made may be in it or not, so it is made once more.
    client.batch_execute("DELETE FROM page_cache").await?;
    client.batch_execute("BEGIN; LOCK TABLE complaints").await?;
    let made = tokio::spawn(sites[0].visitor().get(REPORT_JSON));
    until(async || Ok(database.number(PENDING).await? == 1)).await?;
    database.connect().await?.batch_execute("INSERT INTO purge_queue (tag) VALUES ('parcel-0002-002')").await?;
    run(&sites[0], "compute-caches").await?;
    client.batch_execute("COMMIT").await?;
    assert_eq!(made.await??.status, 200);
    let old = "SELECT count(*) FROM page_cache WHERE invalidated_at IS NOT NULL AND tags @> '{parcel-3507-004}'";
    assert_eq!(database.number(old).await?, 1);
    Ok(())
}

/// What was asked for before is there when the database is not; what nobody asked for says when to come back. That a
/// parcel is not known is kept in bounded number.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn documents_outlast_their_database_and_nothings_are_few() -> Result<()> {
    let database = Database::create("documents_away")?;
    let client = database.connect().await?;
    client.batch_execute(PARCEL).await?;
    client.batch_execute(FIRM).await?;
    let site = site(&database).await?;
    let asked = async |target: &str| Ok::<_, anyhow::Error>(site.visitor().get(target).await?);
    let first = asked(REPORT).await?;
    for target in ["/search?q=nothing+like+it", "/report/9999/999", "/sitemap.xml", "/demo"] {
        assert!([200, 404].contains(&asked(target).await?.status), "{target}");
    }
    let mut before = Vec::new();
    for target in DOCUMENTS {
        let answer = asked(target).await?;
        ensure!(answer.status == 200, "{target}: {}", answer.text());
        before.push((answer.field("content-type"), answer.field("cache-tag"), answer.field("etag"), answer.body));
    }
    // Those of two searches; a parcel that is not known has no row.
    assert_eq!(database.number("SELECT count(*) FROM page_cache WHERE is_negative").await?, 2);
    let more = "INSERT INTO page_cache (cache_key, payload, computed_at, ttl_seconds, stale_seconds, is_negative)
                SELECT 'x' || n, '{}', now() - interval '1 minute' * n, 60, 0, true FROM generate_series(1, 1100) n";
    client.batch_execute(more).await?;
    assert_eq!(run(&site, "prune").await?["counts"]["page_cache"], 102);
    assert_eq!(database.number("SELECT count(*) FROM page_cache WHERE is_negative").await?, 1_000);

    for table in [
        "permits",
        "page_cache",
        "purged_tags",
        "complaints",
        "entities",
        "station_velocity_v2",
        "permit_signals",
        "ingest_log",
    ] {
        client.batch_execute(&format!("ALTER TABLE {table} RENAME TO {table}_away")).await?;
    }
    for (target, before) in DOCUMENTS.into_iter().zip(before) {
        let answer = asked(target).await?;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        assert_eq!(
            (answer.field("content-type"), answer.field("cache-tag"), answer.field("etag"), answer.body),
            before,
            "{target}"
        );
    }
    for coding in ["br", "gzip", ""] {
        let request = site.visitor().ask("GET", REPORT).field("accept-encoding", coding);
        let answer = request.send().await?;
        assert_eq!((answer.status, answer.field("content-encoding")), (200, coding.to_owned()));
        let tag = first.field("etag");
        assert_eq!(answer.field("etag"), if coding.is_empty() { tag } else { format!("W/{tag}") });
    }
    assert_eq!(asked("/report/9999/999").await?.status, 404);
    let answer = asked("/report/0001/001").await?;
    assert_eq!((answer.status, answer.field("retry-after").is_empty()), (503, false));
    Ok(())
}

/// Leaves a row for each statement that writes into the page cache, whatever it writes.
const NOTE_WRITES: &str = "
    CREATE TABLE written ();
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO written DEFAULT VALUES; RETURN NULL; END';
    CREATE TRIGGER noted BEFORE INSERT OR UPDATE OR DELETE ON page_cache FOR EACH STATEMENT EXECUTE FUNCTION note()";
/// Permits that a crawler reads, and numbers that it makes up.
const CRAWLED: usize = 50;

/// Who reads all permits, and numbers that there are none of, costs the page cache nothing; and a purge still reaches what each
/// process has in memory, also one that was away for many purges.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_crawl_leaves_the_page_cache_alone() -> Result<()> {
    let database = Database::create("crawled")?;
    let client = database.connect().await?;
    let permits = format!(
        "INSERT INTO permits (record_id, permit_number, block, lot, status)
         SELECT n::text, 'P' || n, '0001', lpad(n::text, 3, '0'), 'filed' FROM generate_series(1, {CRAWLED}) n"
    );
    client.batch_execute(&permits).await?;
    client.batch_execute(FIRM).await?;
    client.batch_execute(NOTE_WRITES).await?;
    let sites = [site(&database).await?, site(&database).await?];
    let asked = async |site: &Site, target: &str, status: u16| {
        let answer = site.visitor().get(target).await?;
        ensure!(answer.status == status, "{target}: {}", answer.text());
        Ok(answer.text())
    };
    for site in &sites {
        for number in 1..=CRAWLED {
            for (target, status) in [
                (format!("/permit/P{number}"), 200),
                (format!("/api/v1/permit/P{number}"), 200),
                (format!("/permit/X{number}"), 404),
                (format!("/firm/{number:016x}"), 404),
            ] {
                asked(site, &target, status).await?;
            }
        }
        asked(site, "/firm/00ff00ff00ff00ff", 200).await?;
        let health = site.visitor().get("/health").await?.json()?;
        assert_eq!(health["cache"]["asked"], 0, "{health}");
        assert_eq!(health["cache"]["memory"]["pages"], 4 * CRAWLED + 1, "{health}");
    }
    assert_eq!(database.number("SELECT count(*) FROM written").await?, 0);
    // A parcel that is not known is looked for by one process at a time, and leaves nothing.
    asked(&sites[0], "/report/9999/999", 404).await?;
    assert_eq!(database.number("SELECT count(*) FROM page_cache").await?, 0);

    let purge = async |tag: &str| {
        client.execute("INSERT INTO purge_queue (tag) VALUES ($1)", &[&tag]).await?;
        run(&sites[0], "compute-caches").await.map(drop)
    };
    client.batch_execute("UPDATE permits SET status = 'withdrawn'").await?;
    purge("parcel-0001-001").await?;
    for site in &sites {
        until(async || Ok(asked(site, "/permit/P1", 200).await?.contains("withdrawn"))).await?;
        assert!(!asked(site, "/permit/P2", 200).await?.contains("withdrawn"), "nobody has said that it is old");
    }
    // More than the table remembers.
    client.batch_execute("UPDATE purged_tags SET place = place + 100 WHERE tag = ''").await?;
    purge("parcel-0002-002").await?;
    assert_eq!(database.number("SELECT count(*) FROM purged_tags WHERE tag = 'parcel-0001-001'").await?, 0);
    for site in &sites {
        until(async || Ok(asked(site, "/permit/P2", 200).await?.contains("withdrawn"))).await?;
    }
    Ok(())
}

#[tokio::test]
async fn pages_that_nothing_can_be_kept_of_are_made_all_the_same() -> Result<()> {
    let database = Database::create("read_only")?;
    // As on a server that was a replica until now, or whose disk is full.
    let read_only = "ALTER DATABASE read_only SET default_transaction_read_only = on";
    database.connect().await?.batch_execute(read_only).await?;
    let site = database.serve()?;
    for target in ["/search?q=market", "/api/v1/search?q=market", "/velocity", "/about-data"] {
        let answer = site.visitor().get(target).await?;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    }
    assert_eq!(database.number("SELECT count(*) FROM page_cache").await?, 0);
    Ok(())
}
