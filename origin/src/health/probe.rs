//! What is asked of the database, and how seldom.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Mutex;

use super::ANSWER_TIME_MAX;
use crate::db::{CheckoutError, Pool, migrations};
use crate::permits::Reader;

/// How long an answer of the database is passed on before it is asked again.
const FRESH: Duration = Duration::from_secs(1);

/// Longest time for one look at the database.
const PROBE_TIME_MAX: Duration = Duration::from_secs(2);

// Whoever waits for another's look, and then has to look again because that one went away, still answers.
const _: () = assert!(2 * PROBE_TIME_MAX.as_millis() <= ANSWER_TIME_MAX.as_millis());

/// Tables the pages read.
const TABLES: [&str; 8] =
    ["addenda", "complaints", "contacts", "ingest_log", "ingest_refused", "inspections", "permits", "violations"];

/// The last answers of the database.
#[derive(Debug)]
pub(crate) struct Health {
    started: Instant,
    database: Latest<Database>,
    readiness: Latest<Readiness>,
}

/// Whether the database answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Database {
    pub(super) reachable: bool,
    /// Time for a connection and an answer; absent when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_us: Option<u64>,
    /// Why it is not reachable.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// Whether everything a page needs is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Readiness {
    pub(super) ready: bool,
    checks: Checks,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing_tables: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pending_migrations: Vec<&'static str>,
    /// Why a check could not be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// Each check by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Checks {
    db_pool: bool,
    tables: bool,
    migrations: bool,
}

impl Health {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), database: Latest::default(), readiness: Latest::default() }
    }

    pub(super) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) async fn database(&self, pool: &Pool) -> Database {
        self.database.get(|| probe(pool)).await
    }

    pub(super) async fn readiness(&self, pool: &Pool) -> Readiness {
        self.readiness.get(|| check(pool)).await
    }
}

impl Database {
    pub(super) fn away(reason: &'static str) -> Self {
        Self { reachable: false, latency_us: None, reason: Some(reason) }
    }
}

impl Readiness {
    pub(super) fn failed(reason: &'static str) -> Self {
        let checks = Checks { db_pool: false, tables: false, migrations: false };
        let (missing_tables, pending_migrations) = (Vec::new(), Vec::new());
        Self { ready: false, checks, missing_tables, pending_migrations, reason: Some(reason) }
    }

    fn of(missing_tables: Vec<&'static str>, pending: Result<Vec<&'static str>, &'static str>) -> Self {
        let checks = Checks {
            db_pool: true,
            tables: missing_tables.is_empty(),
            migrations: pending.as_ref().is_ok_and(Vec::is_empty),
        };
        let reason = pending.as_ref().err().copied();
        Self {
            ready: checks.tables && checks.migrations,
            checks,
            missing_tables,
            pending_migrations: pending.unwrap_or_default(),
            reason,
        }
    }
}

/// The latest answer to a question. While one caller asks, the others wait for its answer.
#[derive(Debug)]
struct Latest<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Latest<T> {
    async fn get<F: Future<Output = T>>(&self, ask: impl FnOnce() -> F) -> T {
        let mut latest = self.0.lock().await;
        if let Some((at, answer)) = &*latest
            && at.elapsed() < FRESH
        {
            return answer.clone();
        }
        let answer = ask().await;
        *latest = Some((Instant::now(), answer.clone()));
        answer
    }
}

async fn probe(pool: &Pool) -> Database {
    let started = Instant::now();
    let look = async {
        let reader = Reader::borrow(pool).await.map_err(|error| reason(&error))?;
        reader.simple_query("SELECT 1").await.map_err(|_| "the database answered with an error")?;
        reader.finish();
        Ok(())
    };
    match tokio::time::timeout(PROBE_TIME_MAX, look).await {
        Ok(Ok(())) => {
            let latency_us = u64::try_from(started.elapsed().as_micros()).ok();
            Database { reachable: true, latency_us, reason: None }
        }
        Ok(Err(reason)) => Database::away(reason),
        Err(_) => Database::away("no answer in time"),
    }
}

async fn check(pool: &Pool) -> Readiness {
    let look = async {
        let reader = match Reader::borrow(pool).await {
            Ok(reader) => reader,
            Err(error) => return Readiness::failed(reason(&error)),
        };
        // Names come from the constant above.
        let names = TABLES.map(|table| format!("('{table}')")).join(", ");
        let missing = format!("SELECT name FROM (VALUES {names}) tables (name) WHERE to_regclass(name) IS NULL");
        let Ok(rows) = reader.query_typed(&missing, &[]).await else {
            return Readiness::failed("the database answered with an error");
        };
        let is_missing =
            |table: &&str| rows.iter().any(|row| row.try_get::<_, &str>(0).is_ok_and(|name| name == *table));
        let missing = TABLES.into_iter().filter(is_missing).collect();
        let pending = migrations::pending(&reader).await;
        let pending = pending.map_err(|_| "the database does not say which migrations it has");
        reader.finish();
        Readiness::of(missing, pending)
    };
    tokio::time::timeout(PROBE_TIME_MAX, look).await.unwrap_or_else(|_| Readiness::failed("no answer in time"))
}

fn reason(error: &CheckoutError) -> &'static str {
    match error {
        CheckoutError::Exhausted => "every connection is busy",
        _ => "the database cannot be reached",
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn many_who_ask_at_once_cost_one_look() {
        let latest = Latest::default();
        let looks = Cell::new(0);
        let ask = || async {
            looks.set(looks.get() + 1);
            tokio::task::yield_now().await;
            looks.get()
        };
        let answers = join_all((0..100).map(|_| latest.get(ask))).await;
        assert_eq!(answers, vec![1; 100]);
    }

    #[tokio::test]
    async fn an_old_answer_is_asked_again() {
        let latest = Latest(Mutex::new(Instant::now().checked_sub(FRESH).map(|at| (at, 1))));
        assert_eq!(latest.get(|| async { 2 }).await, 2);
        assert_eq!(latest.get(|| async { 3 }).await, 2);
    }

    #[test]
    fn ready_means_all_three() {
        for (missing, pending, ready) in [
            (vec![], Ok(vec![]), true),
            (vec!["permits"], Ok(vec![]), false),
            (vec![], Ok(vec!["0002_more"]), false),
            (vec![], Err("silent"), false),
        ] {
            let readiness = Readiness::of(missing.clone(), pending.clone());
            assert_eq!(readiness.ready, ready);
            assert_eq!(readiness.missing_tables, missing);
            assert_eq!(readiness.reason, pending.err());
        }
    }

    #[test]
    fn a_failed_look_names_the_reason_and_nothing_else() {
        let json = serde_json::to_value(Readiness::failed("no answer in time")).unwrap();
        let expected = serde_json::json!({
            "ready": false,
            "checks": {"db_pool": false, "tables": false, "migrations": false},
            "reason": "no answer in time",
        });
        assert_eq!(json, expected);
        let json = serde_json::to_value(Database::away("every connection is busy")).unwrap();
        assert_eq!(json, serde_json::json!({"reachable": false, "reason": "every connection is busy"}));
    }
}
