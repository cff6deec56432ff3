use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use seawall_core::policy::Policy;
use seawall_xtask::project::Project;
use seawall_xtask::tools;
use serde_json::{Value, json};
use toml::Table;

use crate::support::edge::require_worker;
use crate::support::{Call, City, Edge, Reply, Upstream, until};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NIGHTLY: &str = "0 9 * * *";

fn wrangler_toml() -> Result<Table> {
    Ok(std::fs::read_to_string(Project::here().path("wrangler.toml"))?.parse()?)
}

/// What stands at a path of tables; lists count from zero.
fn at<'a>(table: &'a Table, path: &str) -> Option<&'a toml::Value> {
    let mut parts = path.split('.');
    let first = table.get(parts.next()?)?;
    parts.try_fold(first, |value, part| match value {
        toml::Value::Array(list) => list.get(part.parse::<usize>().ok()?),
        value => value.get(part),
    })
}

#[test]
fn the_timers_of_wrangler_toml_are_those_of_the_policy() -> Result<()> {
    let policy = Policy::compile(&std::fs::read_to_string(Project::here().path("policy.toml"))?)?;
    let jobs: BTreeSet<&str> = policy.site().jobs.iter().map(|job| job.schedule.as_str()).collect();
    let file = wrangler_toml()?;
    let crons = at(&file, "triggers.crons").and_then(toml::Value::as_array).context("no [triggers]")?;
    let crons: BTreeSet<&str> = crons.iter().filter_map(toml::Value::as_str).collect();
    assert_eq!(crons, jobs);
    Ok(())
}

#[test]
fn every_environment_has_what_the_edge_needs() -> Result<()> {
    let file = wrangler_toml()?;
    let objects = at(&file, "durable_objects.bindings");
    assert!(objects.is_some());
    for name in ["staging", "production"] {
        let environment = at(&file, &format!("env.{name}")).and_then(toml::Value::as_table).context(name)?;
        assert_eq!(at(environment, "durable_objects.bindings"), objects, "{name}");
        let secrets: BTreeSet<&str> = at(environment, "secrets.required")
            .and_then(toml::Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(toml::Value::as_str)
            .collect();
        assert_eq!(secrets, BTreeSet::from(["CONTROL_SECRET", "CRON_SECRET", "ORIGIN"]), "{name}");
        assert_eq!(at(environment, "vars"), None, "{name} holds no variable and no secret");
        assert!(at(environment, "version_metadata.binding").is_some(), "{name}");
        assert!(at(environment, "analytics_engine_datasets.0.binding").is_some(), "{name}");
    }
    assert_eq!(at(&file, "env.production.workers_dev"), None, "production inherits that it has no second name");
    assert_eq!(at(&file, "workers_dev").and_then(toml::Value::as_bool), Some(false));
    Ok(())
}

#[test]
fn every_environment_can_be_deployed() -> Result<()> {
    require_worker()?;
    let project = Project::here();
    for name in ["", "staging", "production"] {
        let mut wrangler = tools::wrangler(&project)?;
        let output = wrangler.args(["deploy", "--dry-run", "--env", name]).output()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        ensure!(output.status.success() && said.contains("env.LIMITER (Limiter)"), "{name}: {said}");
        ensure!(!said.contains("WARNING"), "{name}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_timer_starts_the_origins_job_and_a_failed_job_fails_the_run() -> Result<()> {
    let answer = |call: &Call| match call.field("authorization").as_str() {
        authorization if authorization == format!("Bearer {SECRET}") => Reply::text("started"),
        _ => Reply::text("").status(401),
    };
    let upstream = Upstream::start(answer).await?;
    let edge = Edge::before_with(&upstream.url(), &[("CRON_SECRET", SECRET)])?;
    let outcome = edge.tick(NIGHTLY).await?;
    assert!(outcome.contains("\"ok\""), "{outcome}");
    let calls = upstream.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!((calls[0].method.as_str(), calls[0].target.as_str()), ("POST", "/cron/nightly"));
    assert!(calls[0].field("idempotency-key").starts_with("nightly-"), "{}", calls[0].field("idempotency-key"));
    until(async || Ok(edge.log().contains("edge.cron job=nightly outcome=ok status=200 attempts=1"))).await?;
    assert_eq!(edge.points().await?, [json!({"indexes": ["job"], "blobs": ["job", "nightly", "ok"], "doubles": [1]})]);

    upstream.answer(|_| Reply::text("").status(500));
    let outcome = edge.tick(NIGHTLY).await?;
    assert!(outcome.contains("\"exception\""), "Cloudflare is to count this run as failed: {outcome}");
    until(async || Ok(edge.log().contains("edge.cron job=nightly outcome=refused status=500 attempts=1"))).await?;
    let unknown = edge.tick("1 2 3 4 5").await?;
    assert!(unknown.contains("\"exception\""), "{unknown}");
    Ok(())
}

#[tokio::test]
async fn the_operators_paths_want_the_secret_and_tell_how_the_isolate_is() -> Result<()> {
    let upstream = Upstream::start(|_| Reply::text("page")).await?;
    let closed = Edge::before(&upstream.url())?;
    assert_eq!(closed.visitor(1).get("/__seawall/health").await?.status, 404);
    drop(closed);
    let edge = Edge::before_with(&upstream.url(), &[("CONTROL_SECRET", SECRET)])?;
    let anybody = edge.visitor(1).get("/__seawall/health").await?;
    assert_eq!((anybody.status, anybody.text().as_str()), (200, "{\"status\":\"ok\"}"));
    let health = edge.visitor(1).ask("GET", "/__seawall/health").field("authorization", &format!("Bearer {SECRET}"));
    let health = health.send().await?.json()?;
    assert_eq!((&health["status"], &health["authority"]), (&json!("ok"), &json!("answers")), "{health}");
    assert_eq!(health["policy"].as_str().map(str::len), Some(16), "{health}");
    assert_eq!(edge.visitor(1).get("/__seawall/purge").await?.status, 401);
    assert!(upstream.calls().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_variable_takes_the_site_down_and_operators_see_through_it() -> Result<()> {
    let upstream = Upstream::start(|_| Reply::text("page")).await?;
    let variables = [("MAINTENANCE", "on"), ("CONTROL_SECRET", SECRET)];
    let edge = Edge::before_with(&upstream.url(), &variables)?;
    let page = edge.visitor(1).ask("GET", "/methodology").field("accept", "text/html").send().await?;
    assert_eq!((page.status, page.field("retry-after").as_str()), (503, "600"));
    assert!(page.text().contains("<h1>"), "{}", page.text());
    let preview = edge.visitor(1).ask("GET", "/methodology").field("seawall-secret", SECRET).send().await?;
    assert_eq!((preview.status, preview.text().as_str()), (200, "page"));
    assert_eq!(upstream.calls().len(), 1);
    assert_eq!(upstream.calls()[0].field("seawall-secret"), "", "the secret goes no further");
    Ok(())
}

#[tokio::test]
async fn every_request_and_call_is_counted_in_columns_that_do_not_move() -> Result<()> {
    let upstream = Upstream::start(|_| Reply::text("page")).await?;
    let edge = Edge::before(&upstream.url())?;
    let answer = edge.visitor(1).get("/no/such/page").await?;
    assert_eq!(answer.field("x-content-type-options"), "nosniff");
    let points = edge.points().await?;
    let blobs = |at: usize| points.get(at).map(|point| point["blobs"].clone()).unwrap_or_default();
    assert_eq!(blobs(0), json!(["call", "origin", "ok"]));
    assert_eq!(
        blobs(1),
        json!(["request", "everything-else", "GET", "bypass", "-", "isolate", "-", "-"]),
        "docs/operating/cloudflare.md names the columns"
    );
    assert_eq!(points[1]["doubles"].as_array().map(Vec::len), Some(5));
    assert_eq!(points[1]["doubles"][0], Value::from(200));
    Ok(())
}

/// What a deployment runs to know that it went well, on the real thing; and that it says no where it should.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_smoke_test_passes_a_site_that_is_well_and_no_other() -> Result<()> {
    let city = City::shared()?;
    let site = city.database().serve()?;
    until(async || Ok(site.visitor().get("/health/ready").await?.status == 200)).await?;
    let edge = Edge::before(&site.server.url())?;
    let smoke = |arguments: &[&str], seconds: &str| {
        let script = Project::here().path("deploy/smoke.sh");
        std::process::Command::new(script).args(arguments).env("SMOKE_SECONDS", seconds).output()
    };
    let (origin, edge) = (site.server.url(), edge.url());
    for arguments in [vec![&*origin], vec![&*edge], vec![&*edge, "edge"]] {
        let output = smoke(&arguments, "60")?;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    let past_the_edge = smoke(&[&origin, "edge"], "0")?;
    assert!(!past_the_edge.status.success(), "{past_the_edge:?}");
    let port = site.kill();
    let gone = smoke(&[&format!("http://127.0.0.1:{port}")], "0")?;
    assert!(!gone.status.success(), "{gone:?}");
    Ok(())
}
