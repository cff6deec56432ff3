use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;

use crate::support::{Database, Site, Visitor, WAIT, until};

const SEARCH: &str = "/search?q=202601010001";

async fn until_ready(site: &Site) -> Result<()> {
    until(async || Ok(site.visitor().get("/health/ready").await?.status == 200)).await
}

/// The value of a line of Prometheus's text.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn requests_are_counted_by_route_on_a_port_of_their_own() -> Result<()> {
    let database = Database::create("metrics_port")?;
    let mut site = Site::start_with(&database.origin, 0, &[("METRICS_PORT", "0"), ("DB_POOL_MAX", "3")])?;
    let url = site.server.service.wait_for_line("metrics on http://127.0.0.1:", WAIT)?;
    let port = url.trim().trim_end_matches("/metrics").parse().context("a port")?;
    until_ready(&site).await?;
    for target in ["/search?q=a1", "/search?q=b2", "/report/0001/001", "/nowhere", "/metrics"] {
        site.visitor().get(target).await?;
    }
    let text = Visitor::local(port).get("/metrics").await?.text();
    let count = |labels: &str| value(&text, &format!("seawall_request_duration_seconds_count{{{labels}}}"));
    assert_eq!(count(r#"route="/search",method="GET",status="2xx""#), Some(2.0), "{text}");
    assert_eq!(count(r#"route="/report/{block}/{lot}",method="GET",status="4xx""#), Some(1.0), "{text}");
    // Whoever asks the site for its metrics finds nothing.
    assert_eq!(count(r#"route="none",method="GET",status="4xx""#), Some(2.0), "{text}");
    assert_eq!(value(&text, r#"seawall_pool_connections{pool="primary",figure="max"}"#), Some(3.0), "{text}");
    assert_eq!(value(&text, r#"seawall_breaker{dependency="soda",state="closed"}"#), Some(1.0), "{text}");
    assert_eq!(value(&text, "seawall_request_samples_dropped_total"), Some(0.0), "{text}");

    // What the database does not take is counted and said, no request fails of it, and writing goes on.
    let client = database.connect().await?;
    client.batch_execute("ALTER TABLE request_metrics RENAME TO away").await?;
    until(async || {
        for answer in try_join_all((0..20).map(|_| site.visitor().get("/methodology"))).await? {
            ensure!(answer.status == 200, "{}", answer.text());
        }
        let text = Visitor::local(port).get("/metrics").await?.text();
        Ok(value(&text, "seawall_request_samples_dropped_total") > Some(0.0))
    })
    .await?;
    let log = site.server.service.last_lines();
    assert!(log.contains("samples of requests were not written"), "{log}");
    client.batch_execute("ALTER TABLE away RENAME TO request_metrics").await?;
    until(async || {
        try_join_all((0..20).map(|_| site.visitor().get("/methodology"))).await?;
        Ok(database.number("SELECT count(*) FROM request_metrics WHERE path = '/methodology'").await? > 0)
    })
    .await
}

/// Requests that took longer than 200 ms are all in the sample, also when the process is stopped right after them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_requests_are_all_kept_and_written_before_the_process_ends() -> Result<()> {
    let database = Database::create("metrics_slow")?;
    let mut site = database.serve()?;
    until_ready(&site).await?;
    let blocker = database.connect().await?;
    blocker.batch_execute("BEGIN; LOCK TABLE permits").await?;
    let visitor = site.visitor();
    let asked = tokio::spawn(try_join_all((0..5).map(|_| visitor.get(SEARCH))));
    let waiting = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock'
                      AND query_start < clock_timestamp() - interval '250 ms'";
    until(async || Ok(database.number(waiting).await? == 5)).await?;
    blocker.batch_execute("COMMIT").await?;
    for answer in asked.await?? {
        assert_eq!(answer.status, 200);
    }
    site.stop().await?;
    let kept = "SELECT count(*) FROM request_metrics
                 WHERE path = '/search' AND method = 'GET' AND status_code = 200 AND duration_ms > 200 AND weight = 1";
    assert_eq!(database.number(kept).await?, 5);
    Ok(())
}
