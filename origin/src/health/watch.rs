//! Who looks at the database, and how seldom.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_postgres::{Client, Error};

use super::ANSWER_TIME_MAX;
use super::look::{FAILED, Look, NO_ANSWER, UNREACHABLE};
use crate::{config, db};

/// The last look, and the session that looks.
#[derive(Debug)]
pub(crate) struct Watch {
    started: Instant,
    config: config::Database,
    /// Kept from one look to the next; none before the first and after one that failed.
    session: Mutex<Option<Client>>,
    latest: Latest<Result<Arc<Look>, &'static str>>,
}

/// How long a look is passed on before the database is asked again.
const FRESH: Duration = Duration::from_secs(1);

/// Longest time for one look.
const LOOK_TIME_MAX: Duration = Duration::from_secs(2);

// Whoever waits for another's look, and then has to look again because that one went away, still answers.
const _: () = assert!(2 * LOOK_TIME_MAX.as_millis() <= ANSWER_TIME_MAX.as_millis());

impl Watch {
    /// Looks by the way that pages take, so that a pooler that is away is seen.
    pub(crate) fn new(config: config::Database) -> Self {
        let config = config::Database { direct_url: None, ..config };
        Self { started: Instant::now(), config, session: Mutex::default(), latest: Latest::default() }
    }

    pub(super) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// The database as it was at most [`FRESH`] ago, or why it could not be looked at.
    pub(super) async fn look(&self) -> Result<Arc<Look>, &'static str> {
        self.latest.get(|| self.take()).await
    }

    /// Whether it said anything, if only an error, to the last look.
    pub(crate) async fn hears(&self) -> bool {
        self.look().await.map_or_else(|why| why == FAILED, |_| true)
    }

    async fn take(&self) -> Result<Arc<Look>, &'static str> {
        // Taken out, so that a session whose look was given up is closed and not asked again.
        let kept = self.session.lock().await.take().filter(|session| !session.is_closed());
        let attempt = async {
            let session = match kept {
                Some(session) => session,
                None => db::session_within(&self.config, "seawall-health", LOOK_TIME_MAX).await.map_err(|error| {
                    tracing::debug!(event = "health.unreachable", error = format!("{error:#}"), "no health session");
                    let refused = error.downcast_ref().is_some_and(|error: &Error| error.as_db_error().is_some());
                    if refused { FAILED } else { UNREACHABLE }
                })?,
            };
            let look = Look::take(&session).await.map_err(|error| {
                tracing::debug!(event = "health.failed", %error, "the database answered health with an error: {error}");
                FAILED
            })?;
            Ok((session, look))
        };
        let (session, look) = tokio::time::timeout(LOOK_TIME_MAX, attempt).await.unwrap_or(Err(NO_ANSWER))?;
        *self.session.lock().await = Some(session);
        Ok(Arc::new(look))
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test(start_paused = true)]
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

    #[tokio::test(start_paused = true)]
    async fn an_old_answer_is_asked_again() {
        let latest = Latest(Mutex::new(Instant::now().checked_sub(FRESH).map(|at| (at, 1))));
        assert_eq!(latest.get(|| async { 2 }).await, 2);
        assert_eq!(latest.get(|| async { 3 }).await, 2);
    }
}
