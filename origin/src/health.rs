//! Liveness and readiness.
//!
//! `/health` says whether the process and its database answer; `/health/ready` says whether everything a page
//! needs is there. Both look at the database at most once a second however often they are asked, and answer within
//! [`ANSWER_TIME_MAX`] whatever the database does.

mod probe;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Serialize;

pub(crate) use self::probe::Health;
use self::probe::{Database, Readiness};
use crate::server::Site;

/// Longest time to any health answer. Those who poll give up after 5 s.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(4);

/// What `/health` answers.
#[derive(Debug, Serialize)]
struct HealthAnswer {
    /// `ok`, or `degraded` when pages that need the database fail.
    status: &'static str,
    version: &'static str,
    uptime_s: u64,
    database: Database,
    pool: PoolAnswer,
}

/// The pool: `in_use + idle = size`, and `size <= max`.
#[derive(Debug, Serialize)]
struct PoolAnswer {
    size: usize,
    in_use: usize,
    idle: usize,
    waiting: usize,
    min: usize,
    max: usize,
}

/// `GET /health`: 200, or 503 when the database does not answer. Reveals neither addresses nor error texts.
pub(crate) async fn health(State(site): State<Arc<Site>>) -> Response {
    let database = tokio::time::timeout(ANSWER_TIME_MAX, site.health.database(&site.pool)).await;
    let database = database.unwrap_or_else(|_| Database::away("no answer in time"));
    let stats = site.pool.stats();
    let answer = HealthAnswer {
        status: if database.reachable { "ok" } else { "degraded" },
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: site.health.uptime().as_secs(),
        pool: PoolAnswer {
            size: stats.size,
            in_use: stats.in_use,
            idle: stats.idle,
            waiting: stats.waiting,
            min: stats.min,
            max: stats.max,
        },
        database,
    };
    (status(answer.database.reachable), Json(answer)).into_response()
}

/// `GET /health/ready`: 200 only when the pool lends a connection, every table is there and no migration is due.
pub(crate) async fn ready(State(site): State<Arc<Site>>) -> Response {
    let readiness = tokio::time::timeout(ANSWER_TIME_MAX, site.health.readiness(&site.pool)).await;
    let readiness = readiness.unwrap_or_else(|_| Readiness::failed("no answer in time"));
    (status(readiness.ready), Json(readiness)).into_response()
}

fn status(good: bool) -> StatusCode {
    if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
