//! What the tests are made of: the processes they start, and the people who visit.

use std::time::Duration;

use anyhow::{Context, Result};

pub(crate) mod cable;
pub(crate) mod city;
pub(crate) mod cron;
pub(crate) mod edge;
pub(crate) mod fleet;
pub(crate) mod mail;
pub(crate) mod upstash;
pub(crate) mod upstream;
pub(crate) mod visitor;

pub(crate) use self::city::{City, Database, Site};
pub(crate) use self::edge::{Authority, Edge};
pub(crate) use self::fleet::Fleet;
pub(crate) use self::upstream::{Call, Gate, Reply, Upstream};
pub(crate) use self::visitor::{Answer, Visitor};

/// How long anything may take to come about on a machine that is slow and busy: leases that run out and loads of a whole
/// city are among what is waited for.
pub(crate) const WAIT: Duration = Duration::from_secs(180);

/// The result of `work`, or an error after [`WAIT`]: a test that waits for what never comes fails instead of hanging.
pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(WAIT, work).await.with_context(|| format!("{what}: not within {WAIT:?}"))
}

/// The field that says what the cache did, of many answers, sorted.
pub(crate) fn cache_statuses(answers: &[Answer]) -> Vec<String> {
    let mut statuses: Vec<String> = answers.iter().map(|answer| answer.field("cache-status")).collect();
    statuses.sort();
    statuses
}

/// Asks until the answer is yes.
pub(crate) async fn until(ask: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let look = async {
        while !ask().await? {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    };
    soon("what was waited for", look).await?
}

/// How often a waiting loop looks: seldom enough for the smallest limit of the policy.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(50);
