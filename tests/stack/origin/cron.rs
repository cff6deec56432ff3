use anyhow::{Context as _, Result, ensure};
use seawall_xtask::process::Logs;
use serde_json::{Value, json};

use crate::support::cable::{Cable, State};
use crate::support::cron::{WORKER, ask, run};
use crate::support::{Answer, Call, City, Database, Gate, Reply, Site, Upstream, until};

/// A site that runs jobs.
fn worker(database: &Database, further: &[(&str, &str)]) -> Result<Site> {
    Site::start_with(&database.origin, 0, &[&WORKER, further].concat())
}

async fn until_ready(site: &Site) -> Result<()> {
    until(async || Ok(site.visitor().get("/health/ready").await?.status == 200)).await
}

/// Waits until the newest run is being done, and returns it.
async fn begun(site: &Site) -> Result<Value> {
    until(async || Ok(last(site).await?["status"] == "running")).await?;
    last(site).await
}

/// The number of a run that was started.
fn id(started: &Answer) -> Result<String> {
    let place = started.field("location");
    Ok(place.strip_prefix("/cron/runs/").with_context(|| format!("no run: {place}"))?.to_owned())
}

/// What a job is answered that was started: it may end before the answer, or after it.
const DONE_OR_BEGUN: [u16; 2] = [200, 202];

/// The newest run.
async fn last(site: &Site) -> Result<Value> {
    let status = ask(site, "GET", "/cron/status").send().await?;
    ensure!(status.status == 200, "{}", status.text());
    status.json()?["jobs"].get(0).cloned().context("no run")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn only_a_worker_runs_jobs_and_only_for_who_has_the_secret() -> Result<()> {
    let database = Database::create("cron_access")?;
    let none = database.serve()?;
    let only = worker(&database, &[("CRON_WORKER", "only")])?;
    let both = worker(&database, &[])?;
    for (site, target, with_secret, without) in [
        (&none, "/cron/prune", &[404][..], 404),
        (&both, "/cron/prune", &DONE_OR_BEGUN, 401),
        (&both, "/cron/no-such-job", &[404], 401),
        (&only, "/cron/prune", &DONE_OR_BEGUN, 401),
    ] {
        until_ready(site).await?;
        let allowed = ask(site, "POST", target).send().await?;
        assert!(with_secret.contains(&allowed.status), "{target}: {}", allowed.text());
        let refused = site.visitor().ask("POST", target).send().await?;
        assert_eq!(refused.status, without, "{target}");
        assert_eq!(refused.field("www-authenticate"), if without == 401 { "Bearer" } else { "" });
    }
    let unknown = ask(&both, "POST", "/cron/no-such-job").send().await?.text();
    assert!(unknown.contains("nightly") && unknown.contains("prune"), "{unknown}");
    // Results of exports that take all the room they may keep no run out.
    let results =
        "INSERT INTO jobs (job_id, kind, payload, sole, state, attempts_max, retention_seconds, ended_at, expires_at,
                                     result_bytes)
                   VALUES ('1', 'export', '{}', false, 'done', 1, 60, now(), now() + interval '1 hour', 1::int8 << 30)";
    database.connect().await?.batch_execute(results).await?;
    until(async || Ok(last(&both).await?["status"] == "success")).await?;
    run(&both, "prune").await?;
    for (target, status) in [("/", 404), ("/search?q=x", 404), ("/health", 200), ("/cronicle", 404)] {
        assert_eq!(only.visitor().get(target).await?.status, status, "{target}");
    }
    assert_eq!(both.visitor().get("/").await?.status, 200);
    Ok(())
}

/// The nightly load brings the city's data, and its run is in the log and in health.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_nightly_load_brings_the_citys_data() -> Result<()> {
    let city = City::shared()?;
    let database = Database::create("cron_nightly")?;
    let stand_in = database.origin.stand_in(city.files(), Logs::Keep)?;
    let site = worker(&database, &[("SODA_BASE_URL", &stand_in.url())])?;
    until_ready(&site).await?;
    let keyed = || ask(&site, "POST", "/cron/nightly").field("idempotency-key", "night-1").send();
    let first = keyed().await?;
    ensure!([200, 202].contains(&first.status), "{}", first.text());
    until(async || Ok(last(&site).await?["status"] == "success")).await?;
    assert_eq!(database.contents().await?, city.database().contents().await?);

    let run = last(&site).await?;
    let permits = database.number("SELECT count(*) FROM permits").await?;
    let inserted =
        ["permits", "electrical_permits", "plumbing_permits"].map(|name| run["counts"][name]["inserted"].as_i64());
    assert_eq!(inserted.into_iter().sum::<Option<i64>>(), Some(permits), "{run}");
    // Called again with its key, the run is named and nothing runs.
    let again = keyed().await?;
    assert_eq!((again.status, &again.json()?["log_id"]), (200, &run["log_id"]), "{}", again.text());
    until(async || {
        let health = site.visitor().get("/health").await?.json()?;
        let last = &health["cron"][0];
        Ok(last["job_type"] == "nightly" && last["status"] == "success")
    })
    .await?;
    Ok(())
}

/// While the city's API hangs a run goes on, in one process at a time. When that process is killed, another one goes on
/// with the run by itself, and no half of any dataset is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_run_that_was_begun_comes_to_its_end_although_its_process_is_killed() -> Result<()> {
    let city = City::shared()?;
    let database = Database::create("cron_crash")?;
    let stand_in = database.origin.stand_in(city.files(), Logs::Keep)?;
    let cable = Cable::to(stand_in.port, State::Silent).await?;
    let soda = format!("http://127.0.0.1:{}", cable.port());
    let one = worker(&database, &[("SODA_BASE_URL", &soda)])?;
    until_ready(&one).await?;
    let before = database.contents().await?;

    let started = ask(&one, "POST", "/cron/nightly").send().await?;
    assert_eq!(started.status, 202, "{}", started.text());
    let begun = begun(&one).await?;
    assert_eq!((begun["log_id"].to_string(), &begun["progress"]["done"]), (id(&started)?, &json!(0)), "{begun}");
    let two = worker(&database, &[("SODA_BASE_URL", &soda)])?;
    until_ready(&two).await?;
    for site in [&one, &two] {
        let skipped = ask(site, "POST", "/cron/nightly").send().await?;
        assert_eq!((skipped.status, &skipped.json()?["status"]), (200, &json!("skipped")));
        // Another job is not kept waiting.
        run(site, "prune").await?;
    }

    one.kill();
    cable.set(State::Whole);
    let runs = "SELECT count(*) FROM cron_log WHERE job_type = 'nightly' AND status = 'success' AND attempts = 2";
    until(async || Ok(database.number(runs).await? == 1)).await?;
    assert_ne!(database.contents().await?, before);
    assert_eq!(database.contents().await?, city.database().contents().await?);
    assert_eq!(database.number("SELECT count(*) FROM cron_log WHERE job_type = 'nightly'").await?, 1);
    Ok(())
}

/// What was answered is in the queue: a process that ends at that moment leaves its run to others, and it counts as no
/// failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_process_that_is_stopped_gives_its_run_back() -> Result<()> {
    let city = City::shared()?;
    let database = Database::create("cron_stopped")?;
    let stand_in = database.origin.stand_in(city.files(), Logs::Keep)?;
    let cable = Cable::to(stand_in.port, State::Silent).await?;
    let soda = format!("http://127.0.0.1:{}", cable.port());
    let mut one = worker(&database, &[("SODA_BASE_URL", &soda)])?;
    until_ready(&one).await?;
    assert_eq!(ask(&one, "POST", "/cron/nightly").send().await?.status, 202);
    begun(&one).await?;
    one.stop().await?;
    let given_back = "SELECT count(*) FROM cron_log JOIN jobs USING (job_id)
                       WHERE status = 'queued' AND state = 'queued' AND failures = 0 AND fence = 1";
    assert_eq!(database.number(given_back).await?, 1);

    cable.set(State::Whole);
    let two = worker(&database, &[("SODA_BASE_URL", &soda)])?;
    until_ready(&two).await?;
    until(async || Ok(last(&two).await?["status"] == "success")).await?;
    assert_eq!(database.contents().await?, city.database().contents().await?);
    Ok(())
}

/// A dataset that loaded is not loaded again when another did not.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_run_that_is_tried_again_goes_on_where_it_was() -> Result<()> {
    let city = City::shared()?;
    let database = Database::create("cron_again")?;
    let stand_in = database.origin.stand_in(city.files(), Logs::Keep)?;
    let client = database.connect().await?;
    client.batch_execute("ALTER TABLE violations RENAME TO away").await?;
    let site = worker(&database, &[("SODA_BASE_URL", &stand_in.url())])?;
    until(async || Ok(site.visitor().get("/health").await?.status == 200)).await?;
    ask(&site, "POST", "/cron/nightly").send().await?;
    until(async || {
        let run = last(&site).await?;
        Ok(run["status"] == "queued" && run["error_message"].is_string())
    })
    .await?;
    let loaded =
        "SELECT count(*) FROM ingest_log WHERE last_fetched < (SELECT started_at FROM cron_log) + interval '1 day'";
    assert!(database.number(loaded).await? > 0);
    client.batch_execute("ALTER TABLE away RENAME TO violations; UPDATE ingest_log SET rows_read = 0").await?;
    until(async || Ok(last(&site).await?["status"] == "success")).await?;
    let again = "SELECT count(*) FROM ingest_log WHERE rows_read > 0";
    assert_eq!(database.number(again).await?, 1, "only what had failed");
    assert_eq!(database.contents().await?, city.database().contents().await?);
    Ok(())
}

/// Forty reviews in the last quarter and twenty in the half year before, at two stations.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn velocity_is_that_of_the_last_quarter_or_of_the_half_year_where_that_has_too_few() -> Result<()> {
    let database = Database::create("cron_velocity")?;
    let reviews = "
        INSERT INTO addenda (row_key, occurrence, application_number, addenda_number, station, arrive, finish_date,
                             review_results)
        SELECT station || n, 1, n::text, 0, station, today - ago, today - ago + interval '1 day' * days, result
          FROM (SELECT (now() AT TIME ZONE 'America/Los_Angeles')::date::timestamp AS today) t,
               (SELECT 'BLDG' AS station, n, interval '30 days' AS ago, n % 5 AS days, 'Approved' AS result
                  FROM generate_series(1, 40) n
                UNION ALL SELECT 'CP-ZOC', n, interval '30 days', 4, 'Approved' FROM generate_series(1, 9) n
                UNION ALL SELECT 'CP-ZOC', n, interval '120 days', 10, 'Approved' FROM generate_series(10, 29) n
                UNION ALL SELECT 'SFFD', n, interval '30 days', 1, 'Not Applicable' FROM generate_series(1, 40) n) r";
    let client = database.connect().await?;
    client.batch_execute(reviews).await?;
    // A later finish of the same review counts, the earlier does not.
    client
        .batch_execute(
            "INSERT INTO addenda (row_key, occurrence, application_number, addenda_number, station, arrive, finish_date)
             SELECT row_key || 'again', 1, application_number, 0, station, arrive, finish_date - interval '1 hour'
               FROM addenda WHERE station = 'BLDG'",
        )
        .await?;
    let site = worker(&database, &[])?;
    until_ready(&site).await?;
    for _ in 0..2 {
        assert_eq!(run(&site, "velocity-refresh").await?["counts"], json!({"rows_inserted": 4, "stations": 2}));
    }
    let figures = "SELECT station || ' ' || period, p25_days, p50_days, p75_days, p90_days, sample_count
                     FROM station_velocity_v2 ORDER BY 1";
    let rows = client.query(figures, &[]).await?;
    let rows: Vec<(String, [f64; 4], i32)> =
        rows.iter().map(|row| (row.get(0), [1, 2, 3, 4].map(|column| row.get(column)), row.get(5))).collect();
    let expected = [
        ("BLDG baseline", [1.0, 2.0, 3.0, 4.0], 40),
        ("BLDG current", [1.0, 2.0, 3.0, 4.0], 40),
        ("CP-ZOC baseline", [4.0, 10.0, 10.0, 10.0], 29),
        ("CP-ZOC current", [4.0, 10.0, 10.0, 10.0], 29),
    ];
    assert_eq!(rows, expected.map(|(name, days, count)| (name.to_owned(), days, count)));
    Ok(())
}

/// Each signal from the least that makes it, and beside it what just does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_signal_has_its_cause_and_a_parcel_its_tier() -> Result<()> {
    const ROWS: &str = "
        INSERT INTO station_velocity_v2 VALUES ('BLDG', 'initial', 'current', 1, 2, 5, 10, 100);
        INSERT INTO permits (record_id, permit_number, status, permit_type_definition, issued_date, block, lot)
        SELECT n, n, status, kind, now() - issued::interval, '0001', lot FROM (VALUES
            ('comments', 'filed', '', NULL, '001'), ('answered', 'filed', '', NULL, '001'),
            ('planning', 'filed', '', NULL, '001'), ('stalled', 'filed', '', NULL, '002'),
            ('slow', 'Filed ', '', NULL, '002'), ('quick', 'filed', '', NULL, '002'),
            ('finished', 'complete', '', NULL, '002'),
            ('uninspected', 'expired', '', NULL, '003'), ('minor', 'expired', 'otc alterations', NULL, '004'),
            ('inconclusive', 'expired', 'alterations', NULL, '004'), ('counter', 'expired', 'otc alterations', NULL, '005'),
            ('final', 'expired', '', NULL, '006'), ('active', 'issued', '', '3 years', '003'),
            ('stale', 'issued', '', '3 years', '005'), ('long ago', 'issued', '', '9 years', '005'),
            ('young', 'issued', '', '1 year', '006')) v (n, status, kind, issued, lot);
        INSERT INTO addenda (row_key, occurrence, application_number, addenda_number, station, arrive, finish_date, review_results)
        SELECT n || k, 1, n, number, station, now() - came::interval, now() - went::interval, result FROM (VALUES
            ('comments', 1, 0, 'BLDG', '9 days', '2 days', 'Issued Comments'),
            ('answered', 1, 0, 'BLDG', '9 days', '5 days', 'Issued Comments'),
            ('answered', 2, 1, 'BLDG', '2 days', NULL, NULL),
            ('planning', 1, 0, 'CP-ZOC', '400 days', NULL, NULL), ('stalled', 1, 0, 'CP-ZOC', '300 days', NULL, NULL),
            ('stalled', 2, 0, 'SFFD', '400 days', NULL, NULL), ('slow', 1, 0, 'BLDG', '12 days', NULL, NULL),
            ('quick', 1, 0, 'BLDG', '8 days', NULL, NULL), ('finished', 1, 0, 'PPC', '800 days', NULL, NULL)
            ) v (n, k, number, station, came, went, result);
        INSERT INTO inspections (row_key, occurrence, source, reference_number, scheduled_date, result, inspection_description)
        SELECT n || k, 1, 'building', n, now() - ago::interval, result, kind FROM (VALUES
            ('uninspected', 4, '1 year', 'PASSED', 'rough'), ('minor', 3, '1 year', 'FAILED', 'rough'),
            ('inconclusive', 9, '1 year', 'NO ENTRY', 'final'), ('final', 5, '1 year', 'PASSED', 'Final inspection'),
            ('active', 2, '4 years', 'Disapproved', 'rough'), ('stale', 1, '1 month', 'PASSED', 'rough'),
            ('long ago', 5, '6 years', 'PASSED', 'rough')) v (n, many, ago, result, kind), generate_series(1, many) k;
        INSERT INTO violations (row_key, occurrence, complaint_number, block, lot, status, nov_category_description)
        VALUES ('1', 1, 'c1', '0002', '001', 'active', 'building section'), ('2', 1, 'c2', '0002', '002', 'Not Active', 'hearing'),
               ('3', 1, 'c3', '0002', '003', 'active', 'Director''s hearing'), ('4', 1, 'c1', '0002', '001', 'active', '');
        INSERT INTO complaints (row_key, occurrence, complaint_number, block, lot, status)
        VALUES ('1', 1, 'c1', '0002', '001', 'active'), ('2', 1, 'c2', '0002', '002', 'active'),
               ('3', 1, 'c4', NULL, NULL, 'active'), ('4', 1, 'c5', '0002', '004', 'not active')";
    let database = Database::create("cron_signals")?;
    let client = database.connect().await?;
    client.batch_execute(ROWS).await?;
    let site = worker(&database, &[])?;
    until_ready(&site).await?;
    for _ in 0..2 {
        let expected = json!({"permit_signals": 12, "property_signals": 14, "property_health": 9});
        assert_eq!(run(&site, "signals").await?["counts"], expected);
    }
    let listed = async |sql: &str| -> Result<Vec<String>> {
        Ok(client.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
    };
    let permits =
        "SELECT concat_ws(' ', permit_number, signal_type, tier, nullif(station, '')) FROM permit_signals ORDER BY 1";
    let expected = [
        "active stale_with_activity at_risk",
        "comments hold_comments at_risk BLDG",
        "counter expired_otc slower",
        "inconclusive expired_inconclusive behind",
        "long ago stale_no_activity slower",
        "minor expired_minor_activity behind",
        "planning hold_stalled_planning at_risk CP-ZOC",
        "slow station_slow behind BLDG",
        "stale stale_no_activity slower",
        "stalled hold_stalled behind CP-ZOC",
        "stalled hold_stalled behind SFFD",
        "uninspected expired_uninspected at_risk",
    ];
    assert_eq!(listed(permits).await?, expected);
    let parcels = "SELECT concat_ws(' ', block, lot, tier, at_risk, behind, slower) FROM property_health ORDER BY 1";
    let expected = [
        "0001 001 high_risk 2 0 0",
        "0001 002 behind 0 2 0",
        "0001 003 high_risk 2 0 0",
        "0001 004 behind 0 2 0",
        "0001 005 slower 0 0 2",
        "0001 006 on_track 0 0 0",
        "0002 001 at_risk 1 0 0",
        "0002 002 slower 0 0 1",
        "0002 003 high_risk 2 0 0",
    ];
    assert_eq!(listed(parcels).await?, expected);
    let items = "SELECT concat_ws(' ', lot, signal_type, items) FROM property_signals
                  WHERE block = '0001' AND lot IN ('002', '005') ORDER BY 1";
    let expected = ["002 hold_stalled 1", "002 station_slow 1", "005 expired_otc 1", "005 stale_no_activity 2"];
    assert_eq!(listed(items).await?, expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn old_runs_are_pruned_and_others_kept() -> Result<()> {
    let database = Database::create("cron_prune")?;
    // More than one portion, and rows just young enough.
    let old = "INSERT INTO cron_log (job_type, started_at, completed_at, status)
               SELECT 'nightly', now() - interval '91 days', now(), 'success' FROM generate_series(1, 5001)
               UNION ALL SELECT 'nightly', now() - interval '89 days', now(), 'success' FROM generate_series(1, 7)";
    database.connect().await?.batch_execute(old).await?;
    let site = worker(&database, &[])?;
    until_ready(&site).await?;
    let run = run(&site, "prune").await?;
    assert_eq!(run["counts"]["cron_log"], 5001, "{run}");
    assert_eq!(database.number("SELECT count(*) FROM cron_log WHERE job_type = 'nightly'").await?, 7);
    Ok(())
}

/// An edge that has taken many purges a moment ago is asked again, many parcels are purged as one, and what is queued again
/// while the edge is told is told again.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_edge_is_told_of_what_is_old_until_it_knows() -> Result<()> {
    let tags = |call: &Call| -> Result<Value> { Ok(serde_json::from_str::<Value>(&call.body())?["tags"].clone()) };
    let database = Database::create("cron_purge")?;
    let gate = Gate::closed();
    let (mut calls, told) = (0, gate.clone());
    let edge = Upstream::start(move |_| {
        calls += 1;
        if calls == 1 { Reply::text("").status(429) } else { Reply::text("{}").after(&told) }
    })
    .await?;
    let site = worker(&database, &[("PURGE_URL", &edge.url()), ("PURGE_SECRET", "0123456789abcdef0123456789abcdef")])?;
    until_ready(&site).await?;
    let waiting = "INSERT INTO purge_queue (tag) SELECT 'parcel-0001-' || n FROM generate_series(1, 201) n;
                   INSERT INTO purge_queue (tag) VALUES ('velocity')";
    database.connect().await?.batch_execute(waiting).await?;
    let telling = ask(&site, "POST", "/cron/compute-caches").send();
    let again = async {
        let second = edge.call(2).await?;
        until(async || Ok(second.body().ends_with('}'))).await?;
        assert_eq!(tags(&second)?, json!(["velocity", "reports"]));
        run(&site, "velocity-refresh").await?;
        gate.open();
        let third = edge.call(3).await?;
        until(async || Ok(third.body().ends_with('}'))).await?;
        assert_eq!(tags(&third)?, json!(["velocity"]));
        anyhow::Ok(())
    };
    let (_, again) = tokio::join!(telling, again);
    again?;
    until(async || Ok(database.number("SELECT count(*) FROM purge_queue").await? == 0)).await
}

/// An edge that refuses purges makes the page cache old once for each change, and not at every try.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_edge_that_refuses_costs_the_page_cache_nothing_more() -> Result<()> {
    let database = Database::create("cron_refused")?;
    let edge = Upstream::start(|_| Reply::text("").status(401)).await?;
    let site = worker(&database, &[("PURGE_URL", &edge.url()), ("PURGE_SECRET", "0123456789abcdef0123456789abcdef")])?;
    until_ready(&site).await?;
    let client = database.connect().await?;
    // As a page that is computed again after it was made old.
    let computed = "INSERT INTO page_cache (cache_key, payload, computed_at, ttl_seconds, stale_seconds, tags)
        VALUES ('one', '{}', now(), 900, 0, '{reports}'), ('other', '{}', now(), 900, 0, '{velocity}')
        ON CONFLICT (cache_key) DO UPDATE SET invalidated_at = NULL";
    let old = async || -> Result<Vec<String>> {
        let rows = client
            .query(
                "SELECT cache_key FROM page_cache WHERE invalidated_at IS NOT NULL AND cache_key IN ('one', 'other')",
                &[],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    };
    let queue = |tag: &str| {
        format!(
            "INSERT INTO purge_queue (tag) VALUES ('{tag}')
        ON CONFLICT (tag) DO UPDATE SET queued_at = clock_timestamp()"
        )
    };
    let mut refused = 0;
    for (queued, made_old) in
        [(Some("reports"), &["one"][..]), (None, &[]), (Some("velocity"), &["other"]), (Some("reports"), &["one"])]
    {
        client.batch_execute(computed).await?;
        if let Some(tag) = queued {
            client.batch_execute(&queue(tag)).await?;
        }
        ask(&site, "POST", "/cron/compute-caches").send().await?;
        until(async || Ok(edge.calls().len() > refused)).await?;
        until(async || {
            Ok(database.number("SELECT count(*) FROM cron_log WHERE status IN ('queued', 'running')").await? == 0)
        })
        .await?;
        refused = edge.calls().len();
        assert_eq!(old().await?, made_old, "after {queued:?}");
    }
    assert_eq!(database.number("SELECT count(*) FROM purge_queue").await?, 2, "the edge was told of neither");
    Ok(())
}

/// A page that is forgotten is asked for at once and read from the replica, so the edge is told once that has the change; and
/// while nobody knows whether it has, the edge is told, and told again when someone does.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_edge_is_told_when_the_replica_has_replayed_the_change() -> Result<()> {
    let (database, replica) = (Database::create("replay_primary")?, Database::create("replay_replica")?);
    // A server of its own that says of itself how far it is.
    let behind = "CREATE SCHEMA behind; CREATE TABLE behind.place AS SELECT '0/0'::pg_lsn AS lsn;
        CREATE FUNCTION behind.pg_last_wal_replay_lsn() RETURNS pg_lsn LANGUAGE sql AS 'SELECT lsn FROM behind.place';
        ALTER DATABASE replay_replica SET search_path = behind, pg_catalog, public";
    replica.connect().await?.batch_execute(behind).await?;
    let cable = Cable::to(replica.port(), State::Whole).await?;
    let replica_url =
        replica.origin.database_url.replace(&format!(":{}/", replica.port()), &format!(":{}/", cable.port()));
    let edge = Upstream::start(|_| Reply::text("{}")).await?;
    let url = edge.url();
    let further = [
        ("PURGE_URL", url.as_str()),
        ("PURGE_SECRET", "0123456789abcdef0123456789abcdef"),
        ("DATABASE_URL_READONLY", &replica_url),
    ];
    let site = worker(&database, &further)?;
    until_ready(&site).await?;
    database.connect().await?.batch_execute("INSERT INTO purge_queue (tag) VALUES ('velocity')").await?;
    let telling = run(&site, "compute-caches");
    let replaying = async {
        let asks = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'seawall-replay'";
        until(async || Ok(replica.number(asks).await? > 0)).await?;
        assert_eq!(edge.calls().len(), 0, "the edge was told of what the replica lacks");
        replica.connect().await?.batch_execute("UPDATE behind.place SET lsn = 'FFFFFFFF/0'").await?;
        edge.call(1).await.map(drop)
    };
    let (told, replayed) = tokio::join!(telling, replaying);
    replayed?;
    told?;
    let left = async || database.number("SELECT count(*) FROM purge_queue WHERE cache_done_for IS NULL").await;
    until(async || Ok(left().await? == 0)).await?;

    cable.set(State::Cut);
    // More than one portion.
    let many = "INSERT INTO purge_queue (tag) SELECT 'parcel-0001-' || n FROM generate_series(1, 199) n
        UNION ALL SELECT unnest('{velocity,signals,loads}'::text[])";
    database.connect().await?.batch_execute(many).await?;
    for _ in 0..2 {
        let told = edge.calls().len();
        let run = ask(&site, "POST", "/cron/compute-caches").send().await?.json()?;
        until(async || {
            Ok(ask(&site, "GET", &format!("/cron/runs/{}", run["log_id"])).send().await?.json()?["status"] == "success")
        })
        .await?;
        assert!(edge.calls().len() >= told + 2, "all portions were told");
        assert_eq!(left().await?, 202, "and stay until it is known that pages show the change");
    }
    cable.set(State::Whole);
    ask(&site, "POST", "/cron/compute-caches").send().await?;
    until(async || Ok(database.number("SELECT count(*) FROM purge_queue").await? == 0)).await
}
