//! Liveness, readiness and the schema.
//!
//! `/health` says how the process and what it depends on are; `/health/ready` says whether everything a page needs is
//! there; `/health/schema` compares the tables with what this binary expects. All three read one look at the database,
//! taken at most once a second however often they are asked, over a session of its own: who polls takes no connection
//! from a visitor. They answer within [`ANSWER_TIME_MAX`] whatever the database does.

mod look;
pub mod schema;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Serialize;

use self::look::Look;
pub(crate) use self::watch::Watch;
use crate::cron::LastRun;
use crate::db::Stats;
use crate::documents;
use crate::server::Site;

/// Longest time to any health answer. Those who poll give up after 5 s.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(4);

/// What `/health` answers.
#[derive(Debug, Serialize)]
struct HealthAnswer<'a> {
    /// `ok`, or `degraded` when pages that need the database fail.
    status: &'static str,
    version: &'static str,
    uptime_s: u64,
    database: DatabaseAnswer,
    pool: Stats,
    #[serde(skip_serializing_if = "Option::is_none")]
    replica: Option<ReplicaAnswer>,
    /// Pages that are kept for everybody.
    cache: CacheAnswer,
    /// Rows of each table as the database estimates them; none of those not yet analysed.
    tables: BTreeMap<&'a str, u64>,
    /// The last run of each job.
    cron: &'a [LastRun],
    /// The breaker of the city's API in this process.
    soda: &'static str,
    /// The breaker of Redis; while it is not closed, this process counts by itself. Absent without Redis.
    #[serde(skip_serializing_if = "Option::is_none")]
    redis: Option<&'static str>,
}

/// Whether the database answers.
#[derive(Debug, Serialize)]
struct DatabaseAnswer {
    reachable: bool,
    /// Time for an answer; absent when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_us: Option<u64>,
    /// Why it is not reachable.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// The replica: while its breaker is not closed, the primary does its work.
#[derive(Debug, Serialize)]
struct ReplicaAnswer {
    breaker: &'static str,
    pool: Stats,
}

/// What this process and the page cache of all processes keep.
#[derive(Debug, Serialize)]
struct CacheAnswer {
    /// Answers that the page cache was asked for since the process started, and those that it had.
    asked: u64,
    hits: u64,
    /// Whether the page cache answers; while it is not closed, pages come from memory as they are.
    breaker: &'static str,
    memory: documents::Kept,
}

/// What `/health/ready` answers.
#[derive(Debug, Serialize)]
struct ReadyAnswer<'a> {
    ready: bool,
    checks: Checks,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing_tables: Vec<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pending_migrations: &'a [&'static str],
    /// Why a check could not be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// Each check by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Checks {
    db_pool: bool,
    tables: bool,
    migrations: bool,
}

/// `GET /health`: 200, or 503 when the database does not answer. Reveals neither addresses nor error texts.
pub(crate) async fn health(State(site): State<Arc<Site>>) -> Response {
    let look = look(&site).await;
    let database = match &look {
        Ok(look) => {
            DatabaseAnswer { reachable: true, latency_us: u64::try_from(look.took.as_micros()).ok(), reason: None }
        }
        Err(reason) => DatabaseAnswer { reachable: false, latency_us: None, reason: Some(reason) },
    };
    let replica = site.databases.replica();
    let (hits, asked) = site.cache.hits();
    let answer = HealthAnswer {
        status: if database.reachable { "ok" } else { "degraded" },
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: site.watch.uptime().as_secs(),
        database,
        pool: site.databases.primary().stats(),
        replica: replica
            .map(|replica| ReplicaAnswer { breaker: replica.state().as_str(), pool: replica.pool().stats() }),
        cache: CacheAnswer { asked, hits, breaker: site.documents.state().as_str(), memory: site.documents.kept() },
        tables: look.as_ref().map(|look| look.estimates()).unwrap_or_default(),
        cron: look.as_ref().map(|look| look.last_runs.as_slice()).unwrap_or_default(),
        soda: site.context.soda.breaker_state().as_str(),
        redis: site.limiter.redis().map(|state| state.as_str()),
    };
    (status(look.is_ok()), Json(answer)).into_response()
}

/// `GET /health/ready`: 200 only when the database answers, every table is there and no migration is due.
pub(crate) async fn ready(State(site): State<Arc<Site>>) -> Response {
    let look = look(&site).await;
    let answer = readiness(look.as_deref().map_err(|reason| *reason));
    (status(answer.ready), Json(answer)).into_response()
}

/// `GET /health/schema`: 200 when every expected table has its columns, and no index is broken.
pub(crate) async fn schema(State(site): State<Arc<Site>>) -> Response {
    match look(&site).await {
        Ok(look) => {
            let compared = schema::compare(&look.columns, &look.broken_indexes);
            (status(compared.is_whole()), Json(compared)).into_response()
        }
        Err(reason) => {
            let answer = serde_json::json!({ "status": "unknown", "reason": reason });
            (StatusCode::SERVICE_UNAVAILABLE, Json(answer)).into_response()
        }
    }
}

async fn look(site: &Site) -> Result<Arc<Look>, &'static str> {
    tokio::time::timeout(ANSWER_TIME_MAX, site.watch.look()).await.unwrap_or(Err(look::NO_ANSWER))
}

fn readiness<'a>(look: Result<&'a Look, &'static str>) -> ReadyAnswer<'a> {
    let look = match look {
        Ok(look) => look,
        Err(reason) => {
            let checks = Checks::default();
            return ReadyAnswer {
                ready: false,
                checks,
                missing_tables: vec![],
                pending_migrations: &[],
                reason: Some(reason),
            };
        }
    };
    let missing_tables = schema::missing_tables(&look.columns);
    let checks =
        Checks { db_pool: true, tables: missing_tables.is_empty(), migrations: look.pending_migrations.is_empty() };
    let ready = checks.tables && checks.migrations;
    ReadyAnswer { ready, checks, missing_tables, pending_migrations: &look.pending_migrations, reason: None }
}

fn status(good: bool) -> StatusCode {
    if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Look {
        let columns = schema::EXPECTED
            .iter()
            .map(|(table, columns)| ((*table).to_owned(), columns.iter().map(|name| (*name).to_owned()).collect()))
            .collect();
        Look { columns, ..Look::default() }
    }

    #[test]
    fn ready_means_tables_and_migrations() {
        let ready = readiness(Ok(&whole())).ready;
        assert!(ready);

        let mut lacking = whole();
        lacking.columns.remove("permits");
        let answer = readiness(Ok(&lacking));
        assert_eq!((answer.ready, answer.checks.tables, answer.missing_tables), (false, false, vec!["permits"]));

        let pending = Look { pending_migrations: vec!["0009_more"], ..whole() };
        let answer = readiness(Ok(&pending));
        assert_eq!((answer.ready, answer.checks.migrations), (false, false));
        assert_eq!(answer.pending_migrations, ["0009_more"]);
    }

    #[test]
    fn a_failed_look_names_the_reason_and_nothing_else() {
        let json = serde_json::to_value(readiness(Err("no answer in time"))).unwrap();
        let expected = serde_json::json!({
            "ready": false,
            "checks": {"db_pool": false, "tables": false, "migrations": false},
            "reason": "no answer in time",
        });
        assert_eq!(json, expected);
    }
}
