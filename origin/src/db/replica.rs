//! A replica that pages are read from, as long as it answers.

use std::time::Duration;

use seawall_core::breaker;
use tokio_postgres::error::SqlState;

use super::{CheckoutError, Pool, ReadOnly, Reader};
use crate::error::Error;
use crate::guard::{End, Guard};
use crate::logging::Seldom;

/// The replica's pool behind a breaker: a replica that is away costs one page in a while its patience, not every page.
#[derive(Debug)]
pub struct Replica {
    pool: Pool,
    guard: Guard,
    said: Seldom,
}

/// Longest time that a page spends on the replica, the wait for a connection included. The primary then still has the
/// larger part of [`REQUEST_TIME_MAX`](crate::http::limits::REQUEST_TIME_MAX).
pub const REPLICA_TIME_MAX: Duration = Duration::from_secs(2);

/// Longest wait for one of the replica's connections.
const CHECKOUT_TIME_MAX: Duration = Duration::from_secs(1);
const _: () = assert!(CHECKOUT_TIME_MAX.as_millis() < REPLICA_TIME_MAX.as_millis());

/// How often it is said that the primary stands in.
const SAY_EVERY: Duration = Duration::from_secs(30);

impl Replica {
    pub(super) fn new(pool: Pool, breaker: breaker::Config) -> Self {
        Self { pool, guard: Guard::new(breaker), said: Seldom::default() }
    }

    /// Its connections.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Where its breaker stands.
    #[must_use]
    pub fn state(&self) -> breaker::State {
        self.guard.state()
    }

    /// Reads from the replica; `None` when the primary has to do it.
    pub(super) async fn read<W: ReadOnly>(&self, work: &W) -> Option<Result<W::Answer, Error>> {
        let call = self.guard.admit()?;
        let attempt = async {
            // A pool whose connections are all lent says nothing about the replica; the wait for one has a bound of its own,
            // so that it does not look like a replica that hangs.
            let lent = tokio::time::timeout(CHECKOUT_TIME_MAX, Reader::borrow(&self.pool)).await;
            let is_full = || self.pool.stats().is_full();
            let lent = lent.unwrap_or_else(|_| if is_full() { Err(CheckoutError::Exhausted) } else { Err(hangs()) });
            let reader = lent.map_err(Failure::Checkout)?;
            let answer = work.read(&reader).await.map_err(Failure::Statement)?;
            reader.finish();
            Ok(answer)
        };
        let failure = match tokio::time::timeout(REPLICA_TIME_MAX, attempt).await {
            Ok(Ok(answer)) => {
                call.end(End::Answered);
                return Some(Ok(answer));
            }
            // The primary would say the same.
            Ok(Err(Failure::Statement(error))) if !is_the_replicas(&error) => {
                call.end(End::Answered);
                return Some(Err(error.into()));
            }
            Ok(Err(failure)) => failure,
            Err(_) => Failure::TimedOut,
        };
        // More pages than connections says nothing about the replica's health; the primary may still have room.
        if !matches!(failure, Failure::Checkout(CheckoutError::Exhausted)) {
            call.end(End::Failed);
        }
        let error = format!("{:#}", anyhow::Error::from(failure));
        self.said.say(SAY_EVERY, |unsaid| {
            tracing::warn!(
                event = "db.replica_failed",
                unsaid,
                error,
                "the replica did not answer, so the primary was asked: {error}"
            );
        });
        None
    }
}

fn hangs() -> CheckoutError {
    CheckoutError::Unreachable(format!("no connection within {CHECKOUT_TIME_MAX:?}").into())
}

/// Why the replica gave no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no connection to the replica")]
    Checkout(#[source] CheckoutError),
    #[error("the replica failed")]
    Statement(#[source] tokio_postgres::Error),
    #[error("no answer within {REPLICA_TIME_MAX:?}")]
    TimedOut,
}

/// Whether the primary may well answer what the replica did not: its connection broke, it is shutting down or
/// recovering, it ended the statement to go on replaying, or it is behind with the schema.
fn is_the_replicas(error: &tokio_postgres::Error) -> bool {
    let Some(state) = error.code() else { return true };
    matches!(state.code().get(..2), Some("08" | "53" | "57" | "58" | "XX"))
        || [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::UNDEFINED_TABLE,
            SqlState::UNDEFINED_COLUMN,
            SqlState::UNDEFINED_FUNCTION,
        ]
        .contains(state)
}
