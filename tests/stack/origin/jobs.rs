use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use seawall_xtask::process::Signal;
use serde_json::{Value, json};

use crate::support::visitor::Answer;
use crate::support::{City, Database, Site, until};

/// Permits on one street: their export is four portions long.
const ROWS: &str = "
    INSERT INTO permits (record_id, permit_number, street_name, description, filed_date)
    SELECT n::text, n::text, 'Long', repeat('x', 200), '2026-01-01' FROM generate_series(1, 3000) n";
const EXPORT: &str = "/api/v1/exports?q=long+street";

async fn site(database: &Database, further: &[(&str, &str)]) -> Result<Site> {
    let site = Site::start_with(&database.origin, 0, further)?;
    until(async || Ok(site.visitor().get("/health/ready").await?.status == 200)).await?;
    Ok(site)
}

/// Asks for long work; the address of the job.
async fn ask(site: &Site, target: &str) -> Result<String> {
    let asked = site.visitor().ask("POST", target).send().await?;
    ensure!(asked.status == 202 && asked.field("retry-after") == "1", "{} {}", asked.status, asked.text());
    let job = asked.json()?;
    ensure!(asked.field("location") == format!("/api/v1/jobs/{}", job["job_id"].as_str().context("an id")?), "{job}");
    Ok(asked.field("location"))
}

async fn look(site: &Site, job: &str) -> Result<Value> {
    let answer = site.visitor().get(job).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    // Who asks is told when to ask again, for as long as there is something to wait for.
    let job = answer.json()?;
    let waits = ["queued", "running"].contains(&job["state"].as_str().context("a state")?);
    ensure!(waits != answer.field("retry-after").is_empty(), "{job}");
    Ok(job)
}

async fn until_state(site: &Site, job: &str, state: &str) -> Result<Value> {
    until(async || Ok(look(site, job).await?["state"] == state)).await.with_context(|| format!("not {state}"))?;
    look(site, job).await
}

async fn result(site: &Site, job: &str) -> Result<Answer> {
    site.visitor().get(&format!("{job}/result")).await
}

/// How many rows an export says it has. A row may have several lines.
async fn rows_of(database: &Database, job: &str) -> Result<i64> {
    let id = job.rsplit('/').next().unwrap_or_default();
    database.number(&format!("SELECT (counts->>'rows')::int8 FROM jobs WHERE job_id = '{id}'")).await
}

/// The permit numbers of a CSV, sorted.
fn numbers(csv: &str) -> Vec<u32> {
    let mut numbers: Vec<u32> = csv.lines().skip(1).filter_map(|line| line.split(',').next()?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_export_is_asked_for_and_fetched_when_it_is_done() -> Result<()> {
    let city = City::shared()?;
    let database = city.database();
    let site = site(database, &[]).await?;
    let permit = database.some_permit().await?;
    let job = ask(&site, &format!("/api/v1/exports?q={}", permit.number)).await?;
    let done = until_state(&site, &job, "done").await?;
    assert_eq!(
        (&done["kind"], &done["attempts"], &done["result"]["truncated"]),
        (&json!("export"), &json!(1), &json!(false))
    );
    let csv = result(&site, &job).await?;
    assert_eq!((csv.status, csv.field("content-type").as_str()), (200, "text/csv; charset=utf-8"));
    assert_eq!(csv.field("content-disposition"), "attachment; filename=\"permits.csv\"");
    assert_eq!(csv.field("cache-control"), "private, no-cache");
    assert_eq!(done["result"]["bytes"], csv.text().len());
    let rows = format!("SELECT count(*) FROM permits WHERE permit_number = '{}'", permit.number);
    assert_eq!(csv.text().matches(&permit.number).count(), usize::try_from(database.number(&rows).await?)?);
    assert!(csv.text().starts_with("permit_number,record_id,"), "{}", csv.text());

    // Filters are an export's too; where they leave nothing, so does the export.
    let narrowed = "SELECT block, lot, lower(status), lower(permit_type_definition),
            extract(year FROM filed_date)::int4::text, count(*)
          FROM permits WHERE block || lot IS NOT NULL AND (block, lot) IN (
            SELECT block, lot FROM permits GROUP BY 1, 2
            HAVING count(DISTINCT lower(status)) > 1 AND count(DISTINCT extract(year FROM filed_date)) > 1)
         GROUP BY 1, 2, 3, 4, 5 HAVING count(*) = count(status || permit_type_definition || filed_date)
         ORDER BY count(*) DESC, 1, 2, 3, 4, 5 LIMIT 1";
    let row = database.connect().await?.query_one(narrowed, &[]).await?;
    let [block, lot, status, kind, year] = [0, 1, 2, 3, 4].map(|column| row.get::<_, String>(column));
    let kind = kind.replace(' ', "+");
    for (filters, expected) in [
        (format!("status={status}&type={kind}&year={year}&after=2999-01-01T00:00:00_1"), row.get::<_, i64>(5)),
        (format!("status={status}&year=2099"), 0),
    ] {
        let job = ask(&site, &format!("/api/v1/exports?q={block}/{lot}&{filters}")).await?;
        let done = until_state(&site, &job, "done").await?;
        assert_eq!(done["result"]["bytes"], result(&site, &job).await?.text().len());
        assert_eq!(rows_of(database, &job).await?, expected, "{filters}");
    }

    // What has ended cannot be cancelled; what never was cannot be seen, and neither can runs of cron.
    assert_eq!(site.visitor().ask("DELETE", &job).send().await?.status, 409);
    for wrong in ["/api/v1/jobs/0123456789abcdef0123456789abcdef", "/api/v1/jobs/x", "/api/v1/jobs/x/result"] {
        assert_eq!(site.visitor().get(wrong).await?.status, 404, "{wrong}");
    }
    for wrong in
        ["/api/v1/exports", "/api/v1/exports?q=%3F", "/api/v1/exports?q=market&year=x", "/api/v1/report/1/2/whole"]
    {
        assert_eq!(site.visitor().ask("POST", wrong).send().await?.status, 400, "{wrong}");
    }
    // A report that shows everything is not made anew.
    let report = format!("/api/v1/report/{}/{}", permit.block, permit.lot);
    let whole = site.visitor().ask("POST", &format!("{report}/whole")).send().await?;
    assert_eq!((whole.status, whole.field("location")), (303, report));
    Ok(())
}

/// The same call with the same key gives one job, also when it comes many times at once; other work with that key is
/// other work.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn asking_twice_with_one_key_gives_one_job_and_the_queue_has_an_end() -> Result<()> {
    let database = Database::create("jobs_keys")?;
    // Nobody works here.
    let site = site(&database, &[("JOB_SLOTS", "0")]).await?;
    let keyed =
        async |target: &str, key: &str| site.visitor().ask("POST", target).field("idempotency-key", key).send().await;
    let key = "0b8c5b8e-0000-4000-8000-000000000000";
    let answers = try_join_all((0..8).map(|_| keyed(EXPORT, key))).await?;
    let ids: Vec<String> = answers.iter().map(|answer| answer.field("location")).collect();
    assert!(answers.iter().all(|answer| answer.status == 202) && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_ne!(keyed("/api/v1/exports?q=short+street", key).await?.field("location"), ids[0]);
    assert_eq!(keyed(EXPORT, "too short").await?.status, 400);

    let waiting = "INSERT INTO jobs (job_id, kind, payload, sole, attempts_max, retention_seconds)
                   SELECT n::text, 'export', '{}', false, 1, 60 FROM generate_series(3, 100) n";
    let client = database.connect().await?;
    client.batch_execute(waiting).await?;
    let full = site.visitor().ask("POST", EXPORT).send().await?;
    assert_eq!((full.status, full.field("retry-after").as_str()), (503, "30"));
    // Who asks again after its own job is not turned away.
    assert_eq!(keyed(EXPORT, key).await?.status, 202);

    // What waits is cancelled at once, and makes room.
    let cancelled = site.visitor().ask("DELETE", &ids[0]).send().await?;
    assert_eq!((cancelled.status, &cancelled.json()?["state"]), (200, &json!("cancelled")));
    assert_eq!(site.visitor().ask("DELETE", &ids[0]).send().await?.status, 200);
    assert_eq!(result(&site, &ids[0]).await?.status, 409);
    let another = ask(&site, EXPORT).await?;
    assert_eq!(site.visitor().ask("DELETE", &another).send().await?.status, 200);

    // As much room as results may take.
    client.batch_execute("UPDATE jobs SET result_bytes = 1::int8 << 30 WHERE state = 'cancelled'").await?;
    assert_eq!(site.visitor().ask("POST", EXPORT).send().await?.status, 503);
    Ok(())
}

/// A worker is killed after the first portion of a result, and another one hangs there and wakes up when its job is done
/// by a third: what is fetched has each row once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_or_hangs_loses_nothing_and_repeats_nothing() -> Result<()> {
    let database = Database::create("jobs_killed")?;
    let client = database.connect().await?;
    client.batch_execute(ROWS).await?;
    let web = site(&database, &[("JOB_SLOTS", "0")]).await?;
    let job = ask(&web, EXPORT).await?;
    let id = job.rsplit('/').next().context("an id")?;
    // Whoever stores the second portion of these leases waits until the transaction ends.
    let blocker = database.connect().await?;
    blocker.batch_execute("BEGIN").await?;
    for fence in [1, 2] {
        let taken = format!("INSERT INTO job_parts VALUES ('{id}', {fence}, 1, '')");
        blocker.batch_execute(&taken).await?;
    }
    let stored = |fence: i32| format!("SELECT count(*) FROM job_parts WHERE fence = {fence} AND part = 0");
    let killed = site(&database, &[]).await?;
    until(async || Ok(database.number(&stored(1)).await? == 1)).await?;
    killed.kill();
    let hanging = site(&database, &[]).await?;
    until(async || Ok(database.number(&stored(2)).await? == 1)).await?;
    hanging.server.service.signal(Signal::STOP)?;
    let third = site(&database, &[]).await?;
    let done = until_state(&web, &job, "done").await?;
    assert_eq!(done["attempts"], 3, "{done}");
    let csv = result(&third, &job).await?.text();
    assert_eq!(numbers(&csv), (1..=3000).collect::<Vec<_>>());

    // The one that hung goes on and is refused.
    blocker.batch_execute("ROLLBACK").await?;
    hanging.server.service.signal(Signal::CONT)?;
    until(async || Ok(hanging.server.service.last_lines().contains("jobs.lost"))).await?;
    let after = look(&web, &job).await?;
    assert_eq!((&after["state"], &after["attempts"]), (&json!("done"), &json!(3)));
    assert_eq!(result(&web, &job).await?.text(), csv);
    Ok(())
}

/// A job that goes on is cancelled, its statement with it; one of a process that is stopped goes to another; what fails
/// is tried again, and in the end stays as failed; and what is old is forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_end_when_nobody_wants_them_and_when_they_have_failed_often_enough() -> Result<()> {
    const AT_WORK: &str = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'seawall-export' AND wait_event_type = 'Lock'";
    let database = Database::create("jobs_end")?;
    let client = database.connect().await?;
    client.batch_execute(ROWS).await?;
    let expired =
        "INSERT INTO jobs (job_id, kind, payload, sole, state, attempts_max, retention_seconds, ended_at, expires_at)
                   VALUES ('old', 'export', '{}', false, 'done', 1, 1, now(), now() - interval '1 second');
                   INSERT INTO job_parts VALUES ('old', 1, 0, '')";
    client.batch_execute(expired).await?;
    let mut one = site(&database, &[("JOB_SLOTS", "1")]).await?;
    until(async || Ok(database.number("SELECT count(*) FROM job_parts").await? == 0)).await?;

    client.batch_execute("BEGIN; LOCK TABLE permits").await?;
    let unwanted = ask(&one, EXPORT).await?;
    until(async || Ok(database.number(AT_WORK).await? == 1)).await?;
    let cancelled = one.visitor().ask("DELETE", &unwanted).send().await?;
    assert_eq!((cancelled.status, &cancelled.json()?["cancel_requested"]), (202, &json!(true)));
    until_state(&one, &unwanted, "cancelled").await?;
    until(async || Ok(database.number(AT_WORK).await? == 0)).await?;

    let moved = ask(&one, EXPORT).await?;
    until(async || Ok(database.number(AT_WORK).await? == 1)).await?;
    one.stop().await?;
    client.batch_execute("COMMIT").await?;
    let two = site(&database, &[]).await?;
    assert_eq!(until_state(&two, &moved, "done").await?["attempts"], 2);
    let failures = "SELECT sum(failures)::int8 FROM jobs";
    assert_eq!(database.number(failures).await?, 0, "to be cancelled or given back is no failure");

    client.batch_execute("ALTER TABLE permits RENAME COLUMN street_name TO away").await?;
    let dead = ask(&two, EXPORT).await?;
    let failed = until_state(&two, &dead, "failed").await?;
    assert_eq!(failed["attempts"], 3, "{failed}");
    assert!(!failed.to_string().contains("street_name"), "the reason is for operators: {failed}");
    assert_eq!(result(&two, &dead).await?.status, 409);
    let reason = "SELECT count(*) FROM jobs WHERE state = 'failed' AND error LIKE '%street_name%'";
    assert_eq!(database.number(reason).await?, 1);
    // An operator who has mended the cause queues it again.
    client
        .batch_execute(
            "ALTER TABLE permits RENAME COLUMN away TO street_name;
             UPDATE jobs SET state = 'queued', failures = 0, ended_at = NULL, expires_at = NULL WHERE state = 'failed'",
        )
        .await?;
    until_state(&two, &dead, "done").await?;
    Ok(())
}

/// A parcel with more permits than a page shows has a report of its own making.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_report_that_is_longer_than_a_page_is_made_beside_the_serving() -> Result<()> {
    let database = Database::create("jobs_report")?;
    let rows = "INSERT INTO permits (record_id, permit_number, block, lot, status)
                SELECT n::text, n::text, '0001', '001', 'issued' FROM generate_series(1, 501) n";
    database.connect().await?.batch_execute(rows).await?;
    let site = site(&database, &[]).await?;
    let page = site.visitor().get("/api/v1/report/0001/001").await?.json()?;
    assert_eq!((&page["summary"]["permits"], &page["truncated"]), (&json!(500), &json!(["permits"])));
    let job = ask(&site, "/api/v1/report/0001/001/whole").await?;
    until_state(&site, &job, "done").await?;
    let whole = result(&site, &job).await?;
    assert_eq!(whole.field("content-type"), "application/json");
    let whole = whole.json()?;
    assert_eq!((&whole["summary"]["permits"], whole.get("truncated")), (&json!(501), None));
    Ok(())
}
