//! What operators watch: counters and times for Prometheus on a port of its own, and a sample of requests in the database.
//!
//! Requests are known by the pattern of their route, so that neither grows with what visitors ask for.

mod figures;
mod samples;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{Method, StatusCode};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use seawall_core::breaker;
use tokio::net::TcpListener;
use tokio::time::Instant;

pub(crate) use self::figures::Figures;
pub(crate) use self::samples::{Dropped, Samples, WRITE_TIME_MAX};
use crate::db::Pool;
use crate::server::Site;

/// Upper bounds of the buckets that times fall into, in seconds: from a static page to the longest request.
const BUCKETS_S: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 8.0];

const REQUEST_TIME: &str = "seawall_request_duration_seconds";

/// How often samples of times are counted when nobody scrapes.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// What the routes of health begin with.
const HEALTH: &str = "/health";

/// The route of a request that fits none.
const NO_ROUTE: &str = "none";

/// Times each request and takes a sample.
pub(crate) async fn layer(State(samples): State<Arc<Samples>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = known(request.method());
    let response = next.run(request).await;
    let (took, status) = (started.elapsed(), response.status());
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let labels = [("route", route.to_owned()), ("method", method.to_owned()), ("status", class(status).to_owned())];
    metrics::histogram!(REQUEST_TIME, &labels).record(took);
    // Polls are no visitors, and writing them down would cost the database what health itself does not.
    if !route.starts_with(HEALTH) {
        samples.offer(route, method, status.as_u16(), took, rand::random());
    }
    response
}

/// A client can invent methods; what it invents is one.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        429 => "429",
        503 => "503",
        ..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500.. => "5xx",
    }
}

/// Answers Prometheus at `address` for as long as the process runs. Says where when it listens.
///
/// # Errors
/// When the address cannot be bound, or something else records in this process.
pub(crate) async fn serve(address: SocketAddr, site: Arc<Site>, dropped: Dropped) -> anyhow::Result<()> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(REQUEST_TIME.to_owned()), &BUCKETS_S)
        .context("the buckets are sorted")?
        .install_recorder()
        .context("metrics cannot be recorded")?;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another port with METRICS_PORT"))?;
    let address = listener.local_addr().context("the listening socket has no address")?;
    println!("metrics on http://{address}/metrics");
    let upkeep = recorder.clone();
    tokio::spawn(async move {
        // Samples of times wait to be counted until this or a scrape, and scrapes may never come.
        let mut beat = tokio::time::interval(UPKEEP_EVERY);
        loop {
            beat.tick().await;
            upkeep.run_upkeep();
        }
    });
    let scrape = move || {
        observe(&site, &dropped);
        std::future::ready(([(CONTENT_TYPE, "text/plain; version=0.0.4")], recorder.render()).into_response())
    };
    let router = Router::new().route("/metrics", get(scrape));
    tokio::spawn(async move {
        // It ends with the process; until then an error is one connection's.
        let _ = axum::serve(listener, router).await;
    });
    Ok(())
}

/// Reads what is, as opposed to what happened.
fn observe(site: &Site, dropped: &Dropped) {
    pool("primary", site.databases.primary());
    if let Some(replica) = site.databases.replica() {
        pool("replica", replica.pool());
        breaker_state("replica", replica.state());
    }
    breaker_state("soda", site.context.soda.breaker_state());
    if let Some(state) = site.limiter.redis() {
        breaker_state("redis", state);
    }
    metrics::counter!("seawall_request_samples_dropped_total").absolute(dropped.count());
}

fn pool(name: &'static str, pool: &Pool) {
    let stats = pool.stats();
    let figures = [("in_use", stats.in_use), ("idle", stats.idle), ("waiting", stats.waiting), ("max", stats.max)];
    for (figure, connections) in figures {
        // Far below 2^52.
        metrics::gauge!("seawall_pool_connections", "pool" => name, "figure" => figure).set(connections as f64);
    }
}

fn breaker_state(name: &'static str, state: breaker::State) {
    for (word, is) in
        [("closed", breaker::State::Closed), ("half-open", breaker::State::HalfOpen), ("open", breaker::State::Open)]
    {
        let value = if state == is { 1.0 } else { 0.0 };
        metrics::gauge!("seawall_breaker", "dependency" => name, "state" => word).set(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_few_whatever_clients_send() {
        for (method, expected) in [("GET", "GET"), ("DELETE", "DELETE"), ("PURGE", "other"), ("get", "other")] {
            assert_eq!(known(&Method::from_bytes(method.as_bytes()).unwrap()), expected);
        }
        for (status, expected) in
            [(101, "1xx"), (200, "2xx"), (304, "3xx"), (404, "4xx"), (429, "429"), (500, "5xx"), (503, "503")]
        {
            assert_eq!(class(StatusCode::from_u16(status).unwrap()), expected);
        }
    }
}
