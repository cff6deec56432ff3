//! May this failed call be tried again?
//!
//! A retry helps one visitor and burdens an upstream that may be failing from burden. Three things keep retries
//! from becoming the outage: only calls that may be repeated are; each waits longer than the last, at random;
//! and a [`Budget`] that fills with successes and empties with retries stops them all when most calls fail.
//!
//! ```
//! use core::time::Duration;
//! use seawall_core::retry::{Attempt, Budget, Config, Decision, Failure, Repeatable};
//!
//! let config = Config::default();
//! let mut budget = Budget::full(&config);
//! let attempt = Attempt {
//!     number: 1,
//!     repeatable: Repeatable::of("GET", None),
//!     failure: Failure::Transient,
//!     retry_after: None,
//!     time_left: Duration::from_secs(8),
//! };
//! let Decision::Retry { delay, spent } = budget.decide(&config, &attempt, 1 << 31) else { panic!("it may") };
//! assert_eq!(delay, Duration::from_millis(25));
//! // The host waits, tries again, and succeeds:
//! budget.retried(&config, spent);
//! ```

mod config;
mod explain;

#[cfg(test)]
mod tests;

use core::time::Duration;

pub use config::{Config, Settings};

use crate::breaker::Reply;
pub use crate::settings::ConfigError;
use crate::time::nanos;

/// The tokens of one upstream: a plain value, one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Budget {
    tokens: u32,
}

/// A call that failed, and what is known about trying it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which try just failed; the first is one.
    pub number: u32,
    /// Whether the request may be sent twice.
    pub repeatable: Repeatable,
    /// How it failed.
    pub failure: Failure,
    /// How long the upstream asked to be left alone, if it did.
    pub retry_after: Option<Duration>,
    /// How long anyone waits for the answer.
    pub time_left: Duration,
}

/// Whether a request may be sent twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeatable {
    /// Yes: its method is idempotent (RFC 9110 §9.2.2).
    Method,
    /// Yes: it carries an `Idempotency-Key`, by which the upstream knows a second one.
    Key,
    /// No.
    No,
}

/// How a call failed, where trying again may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The upstream, or the way to it, failed for a moment.
    Transient,
    /// The upstream counts its callers.
    Throttled,
}

/// Whether to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Wait, then try again. The tokens are spent.
    Retry {
        /// How long to wait.
        delay: Duration,
        /// What was spent, to be given to [`Budget::retried`] when the retry succeeds.
        spent: Spent,
    },
    /// Answer with what there is.
    GiveUp(Reason),
}

/// What a retry cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent(u32);

/// Why a call is not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It might be done twice.
    NotRepeatable,
    /// It was tried as often as the configuration allows.
    Attempts,
    /// Nobody would wait for the answer any more.
    Deadline,
    /// Too many calls fail: the tokens are spent.
    Budget,
}

impl Repeatable {
    /// What a request's method and its `Idempotency-Key` field, if it has one, say. An empty key is none.
    #[must_use]
    pub fn of(method: &str, idempotency_key: Option<&str>) -> Self {
        // RFC 9110 §9.2.2: PUT, DELETE, and safe request methods are idempotent.
        if matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE") {
            Self::Method
        } else if idempotency_key.is_some_and(|key| !key.trim().is_empty()) {
            Self::Key
        } else {
            Self::No
        }
    }
}

impl Failure {
    /// Sorts the end of a call; `None` where another try would end the same, or nobody waits for one.
    ///
    /// 500 is not among them: a page that breaks, breaks again.
    #[must_use]
    pub const fn classify(reply: Reply) -> Option<Self> {
        match reply {
            Reply::Status { status: 429, .. } => Some(Self::Throttled),
            Reply::Status { status: 502..=504, .. } | Reply::Disconnected | Reply::TimedOut => Some(Self::Transient),
            Reply::Status { .. } | Reply::Abandoned => None,
        }
    }
}

impl Reason {
    /// The word for fields, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotRepeatable => "not-repeatable",
            Self::Attempts => "attempts",
            Self::Deadline => "deadline",
            Self::Budget => "budget",
        }
    }
}

impl Budget {
    /// A full budget, as a process starts with.
    #[must_use]
    pub fn full(config: &Config) -> Self {
        Self { tokens: config.capacity }
    }

    /// What is left.
    #[must_use]
    pub const fn tokens(&self) -> u32 {
        self.tokens
    }

    /// Decides on trying again, and spends the tokens for it.
    ///
    /// The wait is drawn evenly from zero to the back-off of this try (full jitter): `random` is a fraction of
    /// 2^32 that the host draws. It is never shorter than what the upstream asked for.
    pub fn decide(&mut self, config: &Config, attempt: &Attempt, random: u32) -> Decision {
        if attempt.repeatable == Repeatable::No {
            return Decision::GiveUp(Reason::NotRepeatable);
        }
        if attempt.number >= config.attempts {
            return Decision::GiveUp(Reason::Attempts);
        }
        let (base, cost) = match attempt.failure {
            Failure::Transient => (config.base, config.cost),
            Failure::Throttled => (config.throttled_base, config.throttled_cost),
        };
        let delay = full_jitter(base, config.delay_max, attempt.number, random);
        let delay = delay.max(attempt.retry_after.unwrap_or_default());
        if delay >= attempt.time_left {
            return Decision::GiveUp(Reason::Deadline);
        }
        match self.spend(cost) {
            Some(spent) => Decision::Retry { delay, spent },
            None => Decision::GiveUp(Reason::Budget),
        }
    }

    /// Spends the tokens for one more call of another kind: to another server that answers the same, at once. `None` when
    /// they are spent.
    pub fn take(&mut self, config: &Config, failure: Failure) -> Option<Spent> {
        self.spend(match failure {
            Failure::Transient => config.cost,
            Failure::Throttled => config.throttled_cost,
        })
    }

    fn spend(&mut self, cost: u32) -> Option<Spent> {
        self.tokens = self.tokens.checked_sub(cost)?;
        Some(Spent(cost))
    }

    /// A first try succeeded: one token comes back.
    pub fn succeeded(&mut self, config: &Config) {
        self.refill(config, 1);
    }

    /// A retry succeeded: what it cost comes back.
    pub fn retried(&mut self, config: &Config, spent: Spent) {
        self.refill(config, spent.0);
    }

    fn refill(&mut self, config: &Config, tokens: u32) {
        self.tokens = self.tokens.saturating_add(tokens).min(config.capacity);
    }
}

/// A time from zero to `base` doubled for each try after the first, at most `max`.
fn full_jitter(base: Duration, max: Duration, number: u32, random: u32) -> Duration {
    let doublings = number.saturating_sub(1).min(DOUBLINGS_MAX);
    let ceiling = nanos(base).saturating_mul(1 << doublings).min(nanos(max));
    // `random` is a fraction of 2^32, so the result is below the ceiling.
    Duration::from_nanos(((u128::from(ceiling) * u128::from(random)) >> 32) as u64)
}

/// The back-off stops doubling here, where the longest delay has long taken over.
const DOUBLINGS_MAX: u32 = 16;
