//! Core's breaker around a dependency of this process: the replica, Redis.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use seawall_core::breaker::{Breaker, Config, Gate, Outcome, Permit, State};
use seawall_core::time::Timestamp;

/// A breaker that callers share; clones are the same one.
#[derive(Clone, Debug)]
pub struct Guard {
    breaker: Arc<Mutex<Breaker>>,
    config: Config,
}

/// The right to one call. [`Call::end`] says how it went; a call that is dropped before says nothing.
#[derive(Debug)]
#[must_use = "a call without an end tells the breaker nothing"]
pub struct Call {
    guard: Guard,
    permit: Option<Permit>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The dependency did its work.
    Answered,
    /// It did not, or not in time.
    Failed,
}

impl Guard {
    /// A closed breaker.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { breaker: Arc::default(), config }
    }

    /// Asks for one call; `None` while the dependency is to be left alone.
    pub fn admit(&self) -> Option<Call> {
        match self.lock().admit(&self.config, now()) {
            Gate::Pass(permit) => Some(Call { guard: self.clone(), permit: Some(permit) }),
            Gate::Reject { .. } => None,
        }
    }

    /// Where the breaker stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.lock().state(now())
    }

    fn lock(&self) -> MutexGuard<'_, Breaker> {
        // The breaker's methods do not panic; if one did, its last state is still a breaker.
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    /// Says how it went.
    pub fn end(mut self, end: End) {
        self.record(match end {
            End::Answered => Outcome::Success,
            End::Failed => Outcome::Failure { slow: false, retry_after: None },
        });
    }

    fn record(&mut self, outcome: Outcome) {
        let Some(permit) = self.permit.take() else { return };
        self.guard.lock().record(&self.guard.config, permit, outcome, now(), rand::random());
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // The caller went away, which says nothing about the dependency; a probe's place becomes free at once.
        self.record(Outcome::Ignored);
    }
}

/// The wall clock, for core. Before 1970 it is 1970.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_open_it_and_dropped_calls_do_not() {
        let guard = Guard::new(Config::default());
        let calls = || (0..1_000).map_while(|_| guard.admit());
        assert_eq!(calls().map(drop).count(), 1_000);
        assert_eq!(guard.state(), State::Closed);
        let failed = calls().map(|call| call.end(End::Failed)).count();
        assert!((1..1_000).contains(&failed), "{failed}");
        assert_eq!(guard.state(), State::Open);
        assert!(guard.admit().is_none());
    }
}
