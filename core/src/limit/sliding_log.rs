//! The sliding log: every unit has its time, so every window is exact.

use core::fmt;
use core::num::NonZeroU32;
use core::time::Duration;

use super::window::window_ns;
use super::{Decision, RuleError, Ruling};
use crate::time::Timestamp;

/// At most `limit` units in **every** window, for limits so small that each unit may be written down: sign-ins,
/// one-time codes, password resets.
///
/// A unit spent at `t` counts until `t + window`, and not any more then.
///
/// # What happens at the edges
///
/// - A clock that steps back: what is written down stays, new units are written down at the time of the newest,
///   and the wait grows by the step.
/// - A cost above the limit never passes; a cost of zero passes while no more than the limit counts.
///
/// # What it costs
///
/// A state of about half a kilobyte for each key ([`Log`]), looked through once for each decision.
///
/// ```
/// use core::num::NonZeroU32;
/// use core::time::Duration;
/// use seawall_core::limit::{Decision, SlidingLog};
/// use seawall_core::time::Timestamp;
///
/// let rule = SlidingLog::new(NonZeroU32::new(2).unwrap(), Duration::from_secs(60))?;
/// let at = |seconds: u64| Timestamp::from_unix_seconds(1_800_000_000 + seconds);
/// let Decision::Allow { next } = rule.decide(None, at(0), 1) else { panic!("a new key may spend") };
/// let Decision::Allow { next } = rule.decide(Some(&next), at(50), 1) else { panic!("two fit") };
/// assert_eq!(rule.decide(Some(&next), at(59), 1), Decision::Deny { retry_after: Duration::from_secs(1) });
/// assert_eq!(rule.decide(Some(&next), at(59), 2), Decision::Deny { retry_after: Duration::from_secs(51) });
/// # Ok::<(), seawall_core::limit::RuleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "super::window::Terms", into = "super::window::Terms")
)]
pub struct SlidingLog {
    limit: NonZeroU32,
    window_ns: u64,
}

/// The state of one key under a [`SlidingLog`]: when each unit was spent, oldest first, in a ring held in place.
#[derive(Clone, Copy)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "Times", into = "Times"))]
pub struct Log {
    times: [Timestamp; UNITS_MAX],
    /// Where the oldest is.
    first: u8,
    len: u8,
}

impl SlidingLog {
    /// Largest limit: with it, a state takes about half a kilobyte, and a decision looks at 64 numbers. Above
    /// it a [`SlidingWindow`](super::SlidingWindow) is close enough.
    pub const LIMIT_MAX: u32 = UNITS_MAX as u32;

    /// At most `limit` units, up to [`SlidingLog::LIMIT_MAX`], in every `window`, which is whole microseconds, at
    /// least one, and at most [`Quota::WINDOW_MAX`](super::Quota::WINDOW_MAX).
    ///
    /// # Errors
    ///
    /// [`RuleError`] says which of these bounds was crossed.
    pub fn new(limit: NonZeroU32, window: Duration) -> Result<Self, RuleError> {
        if limit.get() > Self::LIMIT_MAX {
            return Err(RuleError::LogTooLong);
        }
        Ok(Self { limit, window_ns: window_ns(window)? })
    }

    /// Units in every window.
    #[must_use]
    pub const fn limit(&self) -> NonZeroU32 {
        self.limit
    }

    /// The window.
    #[must_use]
    pub const fn window(&self) -> Duration {
        Duration::from_nanos(self.window_ns)
    }

    /// Decides on spending `cost` at `now`. Allocates nothing; a state to keep is a copy.
    #[inline]
    pub fn decide(&self, stored: Option<&Log>, now: Timestamp, cost: u32) -> Decision<Log> {
        Decision::of(self.ruling(stored, now, cost), || {
            let mut next = stored.copied().unwrap_or_default();
            next.drop_oldest(self.expired(&next, now));
            let time = next.newest().map_or(now, |newest| newest.max(now));
            for _ in 0..cost {
                next.push(time);
            }
            next
        })
    }

    /// How many units could be spent at `now`.
    #[must_use]
    pub fn remaining(&self, stored: Option<&Log>, now: Timestamp) -> u32 {
        self.limit.get().saturating_sub(self.live(stored, now))
    }

    /// How long until nothing that was spent counts any more.
    #[must_use]
    pub fn full_reset(&self, stored: Option<&Log>, now: Timestamp) -> Duration {
        stored.map_or(Duration::ZERO, |log| self.expires(log).since(now))
    }

    /// When `state` equals no state, and a store may drop it.
    #[must_use]
    pub fn expires(&self, state: &Log) -> Timestamp {
        state.newest().map_or(Timestamp::UNIX_EPOCH, |newest| self.leaves(newest))
    }

    /// Gives back the `units` that were charged last, as far as they still count.
    #[must_use]
    pub fn refund(&self, stored: Option<&Log>, now: Timestamp, units: u32) -> Log {
        let mut next = stored.copied().unwrap_or_default();
        next.drop_oldest(self.expired(&next, now));
        // At most the length, which fits.
        next.len -= units.min(u32::from(next.len)) as u8;
        next
    }

    pub(super) fn ruling(&self, stored: Option<&Log>, now: Timestamp, cost: u32) -> Ruling {
        let limit = self.limit.get();
        if cost > limit {
            return Ruling::Never;
        }
        let live = self.live(stored, now);
        let Some(log) = stored.filter(|_| live + cost > limit) else { return Ruling::Allow };
        // So many of the oldest have to leave first: at least one, and at most all, as the cost alone is within
        // the limit.
        let excess = live + cost - limit;
        let last = log.at(usize::from(log.len) - (live - excess) as usize - 1);
        Ruling::Deny { retry_after: self.leaves(last).since(now) }
    }

    /// How many units count at `now`.
    fn live(&self, stored: Option<&Log>, now: Timestamp) -> u32 {
        stored.map_or(0, |log| u32::from(log.len) - self.expired(log, now) as u32)
    }

    /// How many of the oldest count no more.
    fn expired(&self, log: &Log, now: Timestamp) -> usize {
        log.times().take_while(|time| self.leaves(*time) <= now).count()
    }

    /// When a unit spent at `time` counts no more.
    fn leaves(&self, time: Timestamp) -> Timestamp {
        Timestamp::from_unix_nanos(time.as_unix_nanos().saturating_add(self.window_ns))
    }
}

impl Log {
    /// When each unit was spent, oldest first: all there is to store.
    pub fn times(&self) -> impl Iterator<Item = Timestamp> + '_ {
        (0..usize::from(self.len)).map(|place| self.at(place))
    }

    /// The state that was stored as these times; `None` when they are more than [`SlidingLog::LIMIT_MAX`] or not
    /// in order.
    #[must_use]
    pub fn from_times(times: impl IntoIterator<Item = Timestamp>) -> Option<Self> {
        let mut log = Self::default();
        for time in times {
            if usize::from(log.len) == UNITS_MAX || log.newest().is_some_and(|newest| newest > time) {
                return None;
            }
            log.push(time);
        }
        Some(log)
    }

    fn at(&self, place: usize) -> Timestamp {
        self.times[(usize::from(self.first) + place) % UNITS_MAX]
    }

    fn newest(&self) -> Option<Timestamp> {
        Some(self.at(usize::from(self.len).checked_sub(1)?))
    }

    fn push(&mut self, time: Timestamp) {
        debug_assert!(usize::from(self.len) < UNITS_MAX, "a log never holds more than its limit");
        self.times[(usize::from(self.first) + usize::from(self.len)) % UNITS_MAX] = time;
        self.len += 1;
    }

    fn drop_oldest(&mut self, count: usize) {
        self.first = ((usize::from(self.first) + count) % UNITS_MAX) as u8;
        self.len -= count as u8;
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { times: [Timestamp::UNIX_EPOCH; UNITS_MAX], first: 0, len: 0 }
    }
}

impl PartialEq for Log {
    fn eq(&self, other: &Self) -> bool {
        self.times().eq(other.times())
    }
}

impl Eq for Log {}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.times().map(Timestamp::as_unix_nanos)).finish()
    }
}

/// A log's serialised form, so that reading one checks it again.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Times(alloc::vec::Vec<Timestamp>);

#[cfg(feature = "serde")]
impl From<Log> for Times {
    fn from(log: Log) -> Self {
        Self(log.times().collect())
    }
}

#[cfg(feature = "serde")]
impl TryFrom<Times> for Log {
    type Error = &'static str;

    fn try_from(Times(times): Times) -> Result<Self, Self::Error> {
        Self::from_times(times).ok_or("a log of at most 64 times, oldest first")
    }
}

#[cfg(feature = "serde")]
super::window::made_from_terms!(SlidingLog);

/// Units that a log holds.
const UNITS_MAX: usize = 64;
// Places in the ring are counted in eight bits.
const _: () = assert!(UNITS_MAX <= u8::MAX as usize);

#[cfg(test)]
mod tests;
