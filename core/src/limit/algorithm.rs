//! Every rule behind one type, and every state behind another.

use alloc::boxed::Box;
use core::num::NonZeroU32;
use core::time::Duration;

use super::{
    Concurrency, Decision, FixedWindow, IntervalBucket, LeaseId, Leases, Log, Quota, Ruling, SlidingLog, SlidingWindow,
    Tat, Tokens, WindowCount, WindowCounts,
};
use crate::time::{Timestamp, seconds_ceil};

/// One of the rules that a limit may follow.
///
/// | rule | state | any window admits at most | choose it for |
/// |---|---|---|---|
/// | [`Quota`] (GCRA) | 8 bytes | burst + limit - 1 | everything, unless there is a reason |
/// | [`SlidingWindow`] | 16 bytes | 2 limit - 1, and limit from a steady client | a limit that people read as "per window" |
/// | [`FixedWindow`] | 16 bytes | 2 limit | quotas by day or month |
/// | [`IntervalBucket`] | 16 bytes | capacity + refills | the behaviour of a hosted token bucket |
/// | [`SlidingLog`] | 0.5 KiB | limit | few and dear actions: sign-ins, codes |
/// | [`Concurrency`] | 1.5 KiB | (live leases: limit) | how many at once |
///
/// ```
/// use core::num::NonZeroU32;
/// use core::time::Duration;
/// use seawall_core::limit::{Algorithm, Decision, SlidingWindow, Spend};
/// use seawall_core::time::Timestamp;
///
/// let rule = Algorithm::from(SlidingWindow::new(NonZeroU32::new(10).unwrap(), Duration::from_secs(60))?);
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let spend = Spend::new(4, 0xc0ffee);
/// let Decision::Allow { next } = rule.decide(None, now, &spend) else { panic!("a new key may spend") };
/// assert_eq!(rule.remaining(Some(&next), now), 6);
/// # Ok::<(), seawall_core::limit::RuleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Algorithm {
    /// The generic cell rate algorithm, which is the continuous token bucket.
    Gcra(Quota),
    /// The sliding window counter.
    SlidingWindow(SlidingWindow),
    /// The fixed window.
    FixedWindow(FixedWindow),
    /// The token bucket that is refilled in steps.
    IntervalBucket(IntervalBucket),
    /// The sliding log.
    SlidingLog(SlidingLog),
    /// Leases on a number of places.
    Concurrency(Concurrency),
}

/// The state of one key under an [`Algorithm`]: a plain value of bounded size.
///
/// A state of one rule means nothing to another. Where a limit changes its rule, keys start anew.
///
/// Counters stand in place; a log and leases, which are few and large, are on the heap, so that a state of any kind is
/// quick to move.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum State {
    /// Of [`Algorithm::Gcra`].
    Gcra(Tat),
    /// Of [`Algorithm::SlidingWindow`].
    SlidingWindow(WindowCounts),
    /// Of [`Algorithm::FixedWindow`].
    FixedWindow(WindowCount),
    /// Of [`Algorithm::IntervalBucket`].
    IntervalBucket(Tokens),
    /// Of [`Algorithm::SlidingLog`].
    SlidingLog(Box<Log>),
    /// Of [`Algorithm::Concurrency`].
    Concurrency(Box<Leases>),
}

/// What one request wants of one limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spend {
    /// How many units, all or none. Zero asks without spending.
    pub cost: u32,
    /// The key that spends, as tables know it: it places the windows of
    /// [`Period::per_key`](super::Period::per_key).
    pub key: u128,
    /// The lease that a [`Concurrency`] gives or renews; of no meaning to other rules.
    pub lease: LeaseId,
}

impl Spend {
    /// `cost` units of `key`, with the lease of number zero.
    #[must_use]
    pub const fn new(cost: u32, key: u128) -> Self {
        Self { cost, key, lease: LeaseId(0) }
    }

    /// The same, to be held by `lease`.
    #[must_use]
    pub const fn with_lease(self, lease: LeaseId) -> Self {
        Self { lease, ..self }
    }
}

impl Algorithm {
    /// The word for it in policy.toml, logs and metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Gcra(_) => "gcra",
            Self::SlidingWindow(_) => "sliding-window",
            Self::FixedWindow(_) => "fixed-window",
            Self::IntervalBucket(_) => "interval-bucket",
            Self::SlidingLog(_) => "sliding-log",
            Self::Concurrency(_) => "concurrency",
        }
    }

    /// Decides on `spend` at `now`, for a key whose state is `stored`: `None`, or a state of another rule, is a
    /// key never seen. Allocates a log or leases to keep, and nothing under the other rules.
    #[inline]
    pub fn decide(&self, stored: Option<&State>, now: Timestamp, spend: &Spend) -> Decision<State> {
        let &Spend { cost, key, lease } = spend;
        match self {
            Self::Gcra(rule) => rule.decide(State::gcra(stored), now, cost).map(State::Gcra),
            Self::SlidingWindow(rule) => {
                rule.decide(State::sliding_window(stored), now, cost).map(State::SlidingWindow)
            }
            Self::FixedWindow(rule) => rule.decide(State::fixed_window(stored), now, cost, key).map(State::FixedWindow),
            Self::IntervalBucket(rule) => {
                rule.decide(State::interval_bucket(stored), now, cost).map(State::IntervalBucket)
            }
            Self::SlidingLog(rule) => rule.decide(State::sliding_log(stored), now, cost).map(State::from),
            Self::Concurrency(rule) => rule.decide(State::concurrency(stored), now, lease, cost).map(State::from),
        }
    }

    /// What [`Algorithm::decide`] says, without the state to keep: a peek, which costs no copy of a state.
    #[inline]
    #[must_use]
    pub fn peek(&self, stored: Option<&State>, now: Timestamp, spend: &Spend) -> Ruling {
        let &Spend { cost, key, lease } = spend;
        match self {
            Self::Gcra(rule) => rule.decide(State::gcra(stored), now, cost).ruling(),
            Self::SlidingWindow(rule) => rule.ruling(State::sliding_window(stored), now, cost),
            Self::FixedWindow(rule) => rule.ruling(State::fixed_window(stored), now, cost, key),
            Self::IntervalBucket(rule) => rule.ruling(State::interval_bucket(stored), now, cost),
            Self::SlidingLog(rule) => rule.ruling(State::sliding_log(stored), now, cost),
            Self::Concurrency(rule) => rule.ruling(State::concurrency(stored), now, lease, cost),
        }
    }

    /// How many units could be spent at `now`.
    #[must_use]
    pub fn remaining(&self, stored: Option<&State>, now: Timestamp) -> u32 {
        match self {
            Self::Gcra(rule) => rule.remaining(State::gcra(stored), now),
            Self::SlidingWindow(rule) => rule.remaining(State::sliding_window(stored), now),
            Self::FixedWindow(rule) => rule.remaining(State::fixed_window(stored), now),
            Self::IntervalBucket(rule) => rule.remaining(State::interval_bucket(stored), now),
            Self::SlidingLog(rule) => rule.remaining(State::sliding_log(stored), now),
            Self::Concurrency(rule) => rule.remaining(State::concurrency(stored), now),
        }
    }

    /// How long until nothing that was spent counts any more; zero when nothing does.
    #[must_use]
    pub fn full_reset(&self, stored: Option<&State>, now: Timestamp) -> Duration {
        stored.map_or(Duration::ZERO, |state| self.expires(state).since(now))
    }

    /// When `state` equals no state, and a store may drop it. A state of another rule is worth nothing ever.
    #[must_use]
    pub fn expires(&self, state: &State) -> Timestamp {
        match (self, state) {
            (Self::Gcra(_), State::Gcra(state)) => state.expires(),
            (Self::SlidingWindow(rule), State::SlidingWindow(state)) => rule.expires(*state),
            (Self::FixedWindow(_), State::FixedWindow(state)) => state.expires(),
            (Self::IntervalBucket(rule), State::IntervalBucket(state)) => rule.expires(*state),
            (Self::SlidingLog(rule), State::SlidingLog(state)) => rule.expires(state),
            (Self::Concurrency(_), State::Concurrency(state)) => state.expires(),
            _ => Timestamp::UNIX_EPOCH,
        }
    }

    /// Takes a charge back: `spend.cost` units, or the whole of `spend.lease` under [`Algorithm::Concurrency`].
    /// Never gives more than was charged.
    #[must_use]
    pub fn refund(&self, stored: Option<&State>, now: Timestamp, spend: &Spend) -> State {
        let &Spend { cost, key, lease } = spend;
        match self {
            Self::Gcra(rule) => State::Gcra(rule.refund(State::gcra(stored), now, cost)),
            Self::SlidingWindow(rule) => State::SlidingWindow(rule.refund(State::sliding_window(stored), now, cost)),
            Self::FixedWindow(rule) => State::FixedWindow(rule.refund(State::fixed_window(stored), now, cost, key)),
            Self::IntervalBucket(rule) => State::IntervalBucket(rule.refund(State::interval_bucket(stored), now, cost)),
            Self::SlidingLog(rule) => rule.refund(State::sliding_log(stored), now, cost).into(),
            Self::Concurrency(rule) => rule.release(State::concurrency(stored), now, lease).into(),
        }
    }

    /// The state under this rule of a key that was counted under `from`, at `now`, so that a change of quota
    /// forgives nobody; `None` where the rules are of different kinds, whose states mean nothing to each other.
    ///
    /// A log and leases stay as they are: a longer window or life holds for what is spent from now on.
    #[must_use]
    pub fn rescale(&self, from: &Self, stored: &State, now: Timestamp, key: u128) -> Option<State> {
        Some(match (self, from, stored) {
            (Self::Gcra(to), Self::Gcra(from), State::Gcra(state)) => State::Gcra(to.rescale(from, *state, now)),
            (Self::SlidingWindow(to), Self::SlidingWindow(from), State::SlidingWindow(state)) => {
                State::SlidingWindow(to.rescale(from, *state, now))
            }
            (Self::FixedWindow(to), Self::FixedWindow(from), State::FixedWindow(state)) => {
                State::FixedWindow(to.rescale(from, *state, now, key))
            }
            (Self::IntervalBucket(to), Self::IntervalBucket(from), State::IntervalBucket(state)) => {
                State::IntervalBucket(to.rescale(from, *state, now))
            }
            (Self::SlidingLog(_), Self::SlidingLog(_), State::SlidingLog(_))
            | (Self::Concurrency(_), Self::Concurrency(_), State::Concurrency(_)) => stored.clone(),
            _ => return None,
        })
    }

    /// The effective window, in whole seconds rounded up, at least one: parameter `t` of
    /// draft-ietf-httpapi-ratelimit-headers-11, within which a client can use no more than what remains.
    ///
    /// With units left it is the time to a full reset, with none left the wait for the next unit.
    #[must_use]
    pub fn effective_window_seconds(&self, stored: Option<&State>, now: Timestamp, key: u128) -> u64 {
        let wait = match self.remaining(stored, now) {
            0 => match self.peek(stored, now, &Spend { cost: 1, key, lease: LEASE_OF_NOBODY }) {
                Ruling::Deny { retry_after } => retry_after,
                // One unit is within every limit, and none remains; only the holder of that lease gets here.
                Ruling::Allow | Ruling::Never => self.full_reset(stored, now),
            },
            _ => self.full_reset(stored, now),
        };
        seconds_ceil(wait).max(1)
    }

    /// The quota that `RateLimit-Policy` states: units for each [`Algorithm::window`].
    #[must_use]
    pub const fn quota(&self) -> NonZeroU32 {
        match self {
            Self::Gcra(rule) => rule.limit(),
            Self::SlidingWindow(rule) => rule.limit(),
            Self::FixedWindow(rule) => rule.limit(),
            Self::IntervalBucket(rule) => rule.refill(),
            Self::SlidingLog(rule) => rule.limit(),
            Self::Concurrency(rule) => rule.limit(),
        }
    }

    /// The window of [`Algorithm::quota`]; `None` for months, which differ, and for what is held rather than
    /// spent.
    #[must_use]
    pub const fn window(&self) -> Option<Duration> {
        match self {
            Self::Gcra(rule) => Some(rule.window()),
            Self::SlidingWindow(rule) => Some(rule.window()),
            Self::FixedWindow(rule) => rule.period().window(),
            Self::IntervalBucket(rule) => Some(rule.interval()),
            Self::SlidingLog(rule) => Some(rule.window()),
            Self::Concurrency(_) => None,
        }
    }

    /// The largest cost that can pass; one above it is never admitted.
    #[must_use]
    pub const fn cost_max(&self) -> NonZeroU32 {
        match self {
            Self::Gcra(rule) => rule.burst(),
            Self::IntervalBucket(rule) => rule.capacity(),
            Self::SlidingWindow(_) | Self::FixedWindow(_) | Self::SlidingLog(_) | Self::Concurrency(_) => self.quota(),
        }
    }
}

macro_rules! each_kind {
    ($($kind:ident, $read:ident: $rule:ty, $state:ty, |$found:ident| $shown:expr, $given:ty;)*) => {
        $(
            impl From<$rule> for Algorithm {
                fn from(rule: $rule) -> Self {
                    Self::$kind(rule)
                }
            }

            impl From<$state> for State {
                #[inline]
                fn from(state: $state) -> Self {
                    Self::$kind(state.into())
                }
            }
        )*

        impl State {
            $(
                /// The state, if it is one of this kind.
                #[inline]
                fn $read(stored: Option<&Self>) -> Option<$given> {
                    match stored {
                        Some(Self::$kind($found)) => Some($shown),
                        _ => None,
                    }
                }
            )*
        }
    };
}

each_kind! {
    Gcra, gcra: Quota, Tat, |found| *found, Tat;
    SlidingWindow, sliding_window: SlidingWindow, WindowCounts, |found| *found, WindowCounts;
    FixedWindow, fixed_window: FixedWindow, WindowCount, |found| *found, WindowCount;
    IntervalBucket, interval_bucket: IntervalBucket, Tokens, |found| *found, Tokens;
    SlidingLog, sliding_log: SlidingLog, Log, |found| found, &Log;
    Concurrency, concurrency: Concurrency, Leases, |found| found, &Leases;
}

// Four words, however much a log or leases hold.
const _: () = assert!(size_of::<State>() <= 32);

/// A lease to ask with for somebody who holds none: hosts draw ids at random.
const LEASE_OF_NOBODY: LeaseId = LeaseId(u64::MAX);

#[cfg(test)]
mod tests;
