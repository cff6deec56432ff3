//! The token bucket that is refilled in steps.

use core::num::NonZeroU32;
use core::time::Duration;

use super::window::window_ns;
use super::{Decision, Quota, RuleError, Ruling};
use crate::time::{Timestamp, nanos};

/// A bucket of `capacity` tokens that gets `refill` tokens after each whole `interval`.
///
/// This is the token bucket that hosted limiters call so: tokens arrive in steps. The bucket that fills
/// continuously is [`Quota`](super::Quota): one token in each interval of it, without the steps, in a third of
/// the state, and with the same decisions wherever the interval divides.
///
/// # What it promises
///
/// At most `capacity + refill * ceil(d / interval)` tokens in any half-open interval of length `d`: unlike under
/// a [`Quota`](super::Quota), a whole refill may come at once.
///
/// # What happens at the edges
///
/// - The intervals of a key start with its first request. A state may be dropped when the bucket is full; the
///   intervals then start anew, which brings no token sooner.
/// - A clock that steps back brings no tokens, and the wait grows by the step.
///
/// ```
/// use core::num::NonZeroU32;
/// use core::time::Duration;
/// use seawall_core::limit::{Decision, IntervalBucket};
/// use seawall_core::time::Timestamp;
///
/// let units = |number| NonZeroU32::new(number).unwrap();
/// let rule = IntervalBucket::new(units(10), units(5), Duration::from_secs(60))?;
/// let start = Timestamp::from_unix_seconds(1_800_000_000);
/// let Decision::Allow { next } = rule.decide(None, start, 10) else { panic!("a new bucket is full") };
/// assert_eq!(rule.remaining(Some(next), start.after(Duration::from_secs(59))), 0);
/// assert_eq!(rule.remaining(Some(next), start.after(Duration::from_secs(60))), 5);
/// # Ok::<(), seawall_core::limit::RuleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "Terms", into = "Terms"))]
pub struct IntervalBucket {
    capacity: NonZeroU32,
    refill: NonZeroU32,
    interval_ns: u64,
}

/// The state of one key under an [`IntervalBucket`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Tokens {
    /// When the interval that runs began.
    filled_at: Timestamp,
    tokens: u32,
}

impl IntervalBucket {
    /// `refill` tokens after each `interval`, up to `capacity`.
    ///
    /// The interval is whole microseconds, at least one, and at most [`Quota::WINDOW_MAX`]; an empty bucket
    /// fills within [`Quota::REFILL_MAX`]. Accepted: 5 each minute up to 10. Refused: any number each zero
    /// seconds.
    ///
    /// # Errors
    ///
    /// [`RuleError`] says which of these bounds was crossed.
    pub fn new(capacity: NonZeroU32, refill: NonZeroU32, interval: Duration) -> Result<Self, RuleError> {
        let interval_ns = window_ns(interval)?;
        let intervals = u64::from(capacity.get().div_ceil(refill.get()));
        match intervals.checked_mul(interval_ns) {
            Some(full_ns) if full_ns <= nanos(Quota::REFILL_MAX) => Ok(Self { capacity, refill, interval_ns }),
            _ => Err(RuleError::RefillTooLong),
        }
    }

    /// Tokens that may be spent at once.
    #[must_use]
    pub const fn capacity(&self) -> NonZeroU32 {
        self.capacity
    }

    /// Tokens that each interval brings.
    #[must_use]
    pub const fn refill(&self) -> NonZeroU32 {
        self.refill
    }

    /// The time between two refills.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval_ns)
    }

    /// Decides on spending `cost` at `now`. Divides only when an interval is over or to refuse; allocates nothing.
    #[inline]
    pub fn decide(&self, stored: Option<Tokens>, now: Timestamp, cost: u32) -> Decision<Tokens> {
        let filled = self.filled(stored, now);
        // No underflow: the rule admits no more than the tokens there are.
        Decision::of(self.rule(filled, now, cost), || Tokens { tokens: filled.tokens - cost, ..filled })
    }

    /// How many tokens could be spent at `now`.
    #[must_use]
    pub fn remaining(&self, stored: Option<Tokens>, now: Timestamp) -> u32 {
        self.filled(stored, now).tokens
    }

    /// How long until the bucket is full; zero when it is.
    #[must_use]
    pub fn full_reset(&self, stored: Option<Tokens>, now: Timestamp) -> Duration {
        stored.map_or(Duration::ZERO, |tokens| self.expires(tokens).since(now))
    }

    /// When the bucket is full, and a store may drop `state`.
    #[must_use]
    pub fn expires(&self, state: Tokens) -> Timestamp {
        match self.capacity.get().saturating_sub(state.tokens) {
            0 => Timestamp::UNIX_EPOCH,
            missing => self.when_earned(state, missing),
        }
    }

    /// Gives back `units` tokens, up to a full bucket.
    #[must_use]
    pub fn refund(&self, stored: Option<Tokens>, now: Timestamp, units: u32) -> Tokens {
        let filled = self.filled(stored, now);
        Tokens { tokens: filled.tokens.saturating_add(units).min(self.capacity.get()), ..filled }
    }

    /// The state under this rule of a key that was counted under `from`, at `now`: as many tokens are missing
    /// as before, or all of them. With another interval, the interval starts anew.
    #[must_use]
    pub fn rescale(&self, from: &Self, stored: Tokens, now: Timestamp) -> Tokens {
        let filled = from.filled(Some(stored), now);
        let missing = from.capacity.get().saturating_sub(filled.tokens);
        Tokens {
            filled_at: if from.interval_ns == self.interval_ns { filled.filled_at } else { filled.filled_at.max(now) },
            tokens: self.capacity.get().saturating_sub(missing),
        }
    }

    pub(super) fn ruling(&self, stored: Option<Tokens>, now: Timestamp, cost: u32) -> Ruling {
        self.rule(self.filled(stored, now), now, cost)
    }

    #[inline]
    fn rule(&self, filled: Tokens, now: Timestamp, cost: u32) -> Ruling {
        if cost > self.capacity.get() {
            return Ruling::Never;
        }
        match cost.checked_sub(filled.tokens) {
            None | Some(0) => Ruling::Allow,
            Some(missing) => Ruling::Deny { retry_after: self.when_earned(filled, missing).since(now) },
        }
    }

    /// When a bucket gets `missing` tokens, above zero and at most the capacity.
    fn when_earned(&self, state: Tokens, missing: u32) -> Timestamp {
        // No overflow: a whole capacity is earned within `REFILL_MAX`.
        let wait_ns = u64::from(missing.div_ceil(self.refill.get())) * self.interval_ns;
        Timestamp::from_unix_nanos(state.filled_at.as_unix_nanos().saturating_add(wait_ns))
    }

    /// The bucket with what the time until `now` has brought.
    #[inline]
    fn filled(&self, stored: Option<Tokens>, now: Timestamp) -> Tokens {
        let capacity = self.capacity.get();
        let Some(tokens) = stored else { return Tokens { filled_at: now, tokens: capacity } };
        let passed_ns = now.as_unix_nanos().saturating_sub(tokens.filled_at.as_unix_nanos());
        if passed_ns < self.interval_ns {
            return Tokens { tokens: tokens.tokens.min(capacity), ..tokens };
        }
        let intervals = passed_ns / self.interval_ns;
        let brought = intervals.saturating_mul(u64::from(self.refill.get()));
        let level = u64::from(tokens.tokens).saturating_add(brought).min(u64::from(capacity));
        // Whole intervals that have passed end at `now` at the latest; the level is at most the capacity.
        let filled_at = tokens.filled_at.as_unix_nanos() + intervals * self.interval_ns;
        Tokens { filled_at: Timestamp::from_unix_nanos(filled_at), tokens: level as u32 }
    }
}

impl Tokens {
    /// When the running interval began, and the tokens left then: all there is to store.
    #[must_use]
    pub const fn to_parts(self) -> (Timestamp, u32) {
        (self.filled_at, self.tokens)
    }

    /// The state that was stored as these parts.
    #[must_use]
    pub const fn from_parts(filled_at: Timestamp, tokens: u32) -> Self {
        Self { filled_at, tokens }
    }
}

/// What a rule was made from: its serialised form, so that reading one checks it again.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Terms {
    capacity: NonZeroU32,
    refill: NonZeroU32,
    interval: Duration,
}

#[cfg(feature = "serde")]
impl From<IntervalBucket> for Terms {
    fn from(rule: IntervalBucket) -> Self {
        Self { capacity: rule.capacity, refill: rule.refill, interval: rule.interval() }
    }
}

#[cfg(feature = "serde")]
impl TryFrom<Terms> for IntervalBucket {
    type Error = RuleError;

    fn try_from(terms: Terms) -> Result<Self, RuleError> {
        Self::new(terms.capacity, terms.refill, terms.interval)
    }
}

#[cfg(test)]
mod tests;
