//! The fixed window: so many units, then none until the next window starts.

use core::num::NonZeroU32;
use core::ops::RangeInclusive;
use core::time::Duration;

use super::mix::fold;
use super::window::window_ns;
use super::{Decision, RuleError, Ruling};
use crate::cache::date::{civil_from_days, days_from_civil};
use crate::time::Timestamp;

/// `limit` units in each window of a [`Period`]: for quotas that people agree on by day or by month.
///
/// # What it promises
///
/// At most `limit` units in each window, hence up to twice that in an interval of any length that crosses a
/// boundary. Who needs a bound on every interval takes [`Quota`](super::Quota),
/// [`SlidingWindow`](super::SlidingWindow) or [`SlidingLog`](super::SlidingLog).
///
/// # What happens at the edges
///
/// - While the clock has not reached the end of the stored window, that window counts, also after a step back.
/// - A cost above the limit never passes; a cost of zero passes while no more than the limit is spent.
///
/// ```
/// use core::num::NonZeroU32;
/// use core::time::Duration;
/// use seawall_core::limit::{Decision, FixedWindow, Period};
/// use seawall_core::time::Timestamp;
///
/// let rule = FixedWindow::new(NonZeroU32::new(1000).unwrap(), Period::day(-8 * 60)?);
/// // 2026-03-01, 23:00 in a city eight hours behind UTC: the next day starts in an hour.
/// let now = Timestamp::from_unix_seconds(1_772_348_400 + 86_400);
/// let Decision::Allow { next } = rule.decide(None, now, 1000, 0) else { panic!("a new key may spend all") };
/// assert_eq!(rule.decide(Some(next), now, 1, 0), Decision::Deny { retry_after: Duration::from_secs(3600) });
/// # Ok::<(), seawall_core::limit::RuleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FixedWindow {
    limit: NonZeroU32,
    period: Period,
}

/// When windows start and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Terms", into = "Terms"))]
pub struct Period(Terms);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Terms {
    Aligned { window_ns: u64 },
    PerKey { window_ns: u64 },
    Day { utc_offset_minutes: i16 },
    Month { utc_offset_minutes: i16 },
}

/// The state of one key under a [`FixedWindow`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WindowCount {
    /// Where the window ends. Kept instead of its start, so that most decisions need no division, and a state
    /// knows when it expires.
    end: Timestamp,
    used: u32,
}

impl FixedWindow {
    /// `limit` units in each window of `period`.
    #[must_use]
    pub const fn new(limit: NonZeroU32, period: Period) -> Self {
        Self { limit, period }
    }

    /// Units in each window.
    #[must_use]
    pub const fn limit(&self) -> NonZeroU32 {
        self.limit
    }

    /// When windows start and end.
    #[must_use]
    pub const fn period(&self) -> Period {
        self.period
    }

    /// Decides on spending `cost` at `now` for `key`, which places the windows of [`Period::per_key`] and is of
    /// no meaning to other periods. Divides only where a window starts; allocates nothing.
    #[inline]
    pub fn decide(&self, stored: Option<WindowCount>, now: Timestamp, cost: u32, key: u128) -> Decision<WindowCount> {
        let at_now = self.at(stored, now, key);
        // No overflow: the rule admits no more than the limit.
        Decision::of(self.rule(at_now, now, cost), || WindowCount { used: at_now.used + cost, ..at_now })
    }

    /// How many units could be spent at `now`.
    #[must_use]
    pub fn remaining(&self, stored: Option<WindowCount>, now: Timestamp) -> u32 {
        let used = stored.filter(|count| now < count.end).map_or(0, |count| count.used);
        self.limit.get().saturating_sub(used)
    }

    /// How long until nothing that was spent counts any more.
    #[must_use]
    pub fn full_reset(&self, stored: Option<WindowCount>, now: Timestamp) -> Duration {
        stored.map_or(Duration::ZERO, |count| count.expires().since(now))
    }

    /// Gives back `units` that were charged in the window of `now`; what an earlier window charged is gone.
    #[must_use]
    pub fn refund(&self, stored: Option<WindowCount>, now: Timestamp, units: u32, key: u128) -> WindowCount {
        let at_now = self.at(stored, now, key);
        WindowCount { used: at_now.used.saturating_sub(units), ..at_now }
    }

    /// The state under this rule of a key that was counted under `from`, at `now`.
    ///
    /// What is spent in the window of `from` counts as spent in this rule's window, also where it is longer.
    #[must_use]
    pub fn rescale(&self, from: &Self, stored: WindowCount, now: Timestamp, key: u128) -> WindowCount {
        if from.period == self.period {
            return stored;
        }
        let used = if now < stored.end { stored.used } else { 0 };
        WindowCount { used, ..self.at(None, now, key) }
    }

    pub(super) fn ruling(&self, stored: Option<WindowCount>, now: Timestamp, cost: u32, key: u128) -> Ruling {
        self.rule(self.at(stored, now, key), now, cost)
    }

    #[inline]
    fn rule(&self, at_now: WindowCount, now: Timestamp, cost: u32) -> Ruling {
        let limit = self.limit.get();
        if cost > limit {
            Ruling::Never
        } else if at_now.used <= limit - cost {
            Ruling::Allow
        } else {
            Ruling::Deny { retry_after: at_now.end.since(now) }
        }
    }

    /// The window of `now`, and what is spent in it.
    #[inline]
    fn at(&self, stored: Option<WindowCount>, now: Timestamp, key: u128) -> WindowCount {
        match stored {
            Some(count) if now < count.end => count,
            _ => WindowCount { end: self.period.end(now, key), used: 0 },
        }
    }
}

impl Period {
    /// Range of an offset from UTC, in minutes east: all that clocks on earth show.
    pub const UTC_OFFSET_MINUTES: RangeInclusive<i16> = -720..=840;

    /// Windows of one length, all starting at multiples of it since 1970. All keys start anew at once, so a
    /// crowd that was refused comes back in one moment; [`Period::per_key`] avoids that.
    ///
    /// The window is whole microseconds, at least one, and at most
    /// [`Quota::WINDOW_MAX`](super::Quota::WINDOW_MAX).
    ///
    /// # Errors
    ///
    /// [`RuleError::TimeNotWholeMicros`] or [`RuleError::TimeTooLong`].
    pub fn aligned(window: Duration) -> Result<Self, RuleError> {
        Ok(Self(Terms::Aligned { window_ns: window_ns(window)? }))
    }

    /// Windows of one length, shifted for each key by its hash, so that not all keys start anew at once.
    ///
    /// # Errors
    ///
    /// As [`Period::aligned`].
    pub fn per_key(window: Duration) -> Result<Self, RuleError> {
        Ok(Self(Terms::PerKey { window_ns: window_ns(window)? }))
    }

    /// Days that start at midnight, `utc_offset_minutes` east of Greenwich: -480 for eight hours behind UTC.
    ///
    /// The offset is fixed: where clocks change twice a year, whoever keeps the policy changes it, or the day
    /// starts an hour off. Core has no table of time zones.
    ///
    /// # Errors
    ///
    /// [`RuleError::OffsetOutOfRange`] outside [`Period::UTC_OFFSET_MINUTES`].
    pub fn day(utc_offset_minutes: i16) -> Result<Self, RuleError> {
        Self::checked(Terms::Day { utc_offset_minutes })
    }

    /// Months of the Gregorian calendar, as [`Period::day`] otherwise.
    ///
    /// # Errors
    ///
    /// [`RuleError::OffsetOutOfRange`] outside [`Period::UTC_OFFSET_MINUTES`].
    pub fn month(utc_offset_minutes: i16) -> Result<Self, RuleError> {
        Self::checked(Terms::Month { utc_offset_minutes })
    }

    /// How long each window is; `None` for months, which differ.
    #[must_use]
    pub const fn window(&self) -> Option<Duration> {
        match self.0 {
            Terms::Aligned { window_ns } | Terms::PerKey { window_ns } => Some(Duration::from_nanos(window_ns)),
            Terms::Day { .. } => Some(Duration::from_nanos(NANOS_PER_DAY)),
            Terms::Month { .. } => None,
        }
    }

    /// Where the window of `now` ends, for `key`.
    #[must_use]
    pub fn end(&self, now: Timestamp, key: u128) -> Timestamp {
        let now = now.as_unix_nanos();
        let end = match self.0 {
            Terms::Aligned { window_ns } => next_multiple(now, window_ns),
            Terms::PerKey { window_ns } => {
                let shift = key_shift_ns(key, window_ns);
                next_multiple(now.saturating_add(shift), window_ns).saturating_sub(shift)
            }
            Terms::Day { utc_offset_minutes } => {
                at_offset(now, utc_offset_minutes, |local| next_multiple(local, NANOS_PER_DAY))
            }
            Terms::Month { utc_offset_minutes } => at_offset(now, utc_offset_minutes, next_month),
        };
        Timestamp::from_unix_nanos(end)
    }

    /// Whether the key decides when windows start.
    pub(super) const fn is_per_key(&self) -> bool {
        matches!(self.0, Terms::PerKey { .. })
    }

    /// What this is made of, for a store that counts by itself.
    pub(super) const fn parts(&self) -> PeriodParts {
        match self.0 {
            Terms::Aligned { window_ns } => PeriodParts::Every { window_ns, per_key: false },
            Terms::PerKey { window_ns } => PeriodParts::Every { window_ns, per_key: true },
            Terms::Day { utc_offset_minutes } => PeriodParts::Day { utc_offset_minutes },
            Terms::Month { utc_offset_minutes } => PeriodParts::Month { utc_offset_minutes },
        }
    }

    fn checked(terms: Terms) -> Result<Self, RuleError> {
        match terms {
            Terms::Aligned { window_ns } => Self::aligned(Duration::from_nanos(window_ns)),
            Terms::PerKey { window_ns } => Self::per_key(Duration::from_nanos(window_ns)),
            Terms::Day { utc_offset_minutes: offset } | Terms::Month { utc_offset_minutes: offset } => {
                if Self::UTC_OFFSET_MINUTES.contains(&offset) {
                    Ok(Self(terms))
                } else {
                    Err(RuleError::OffsetOutOfRange)
                }
            }
        }
    }
}

/// What a [`Period`] is made of.
pub(super) enum PeriodParts {
    Every { window_ns: u64, per_key: bool },
    Day { utc_offset_minutes: i16 },
    Month { utc_offset_minutes: i16 },
}

impl WindowCount {
    /// When this state equals no state, and a store may drop it.
    #[must_use]
    pub const fn expires(self) -> Timestamp {
        match self.used {
            0 => Timestamp::UNIX_EPOCH,
            _ => self.end,
        }
    }

    /// Where the window ends, and the units spent in it: all there is to store.
    #[must_use]
    pub const fn to_parts(self) -> (Timestamp, u32) {
        (self.end, self.used)
    }

    /// The state that was stored as these parts.
    #[must_use]
    pub const fn from_parts(end: Timestamp, used: u32) -> Self {
        Self { end, used }
    }
}

/// How far a key's windows are shifted: whole microseconds, below the window.
pub(super) const fn key_shift_ns(key: u128, window_ns: u64) -> u64 {
    fold(key, 0) % (window_ns / 1000) * 1000
}

/// The first multiple of `step` after `time`.
const fn next_multiple(time: u64, step: u64) -> u64 {
    (time - time % step).saturating_add(step)
}

/// The end that `end_of` finds in local time. Before midnight of 1970-01-01 it is that midnight's day.
fn at_offset(now: u64, minutes: i16, end_of: impl FnOnce(u64) -> u64) -> u64 {
    let offset = i64::from(minutes) * NANOS_PER_MINUTE;
    let end = end_of(now.saturating_add_signed(offset));
    if offset < 0 { end.saturating_add(offset.unsigned_abs()) } else { end.saturating_sub(offset.unsigned_abs()) }
}

fn next_month(local: u64) -> u64 {
    let (year, month, _) = civil_from_days(local / NANOS_PER_DAY);
    let (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    days_from_civil(year, month, 1).saturating_mul(NANOS_PER_DAY)
}

#[cfg(feature = "serde")]
impl From<Period> for Terms {
    fn from(Period(terms): Period) -> Self {
        terms
    }
}

#[cfg(feature = "serde")]
impl TryFrom<Terms> for Period {
    type Error = RuleError;

    fn try_from(terms: Terms) -> Result<Self, RuleError> {
        Self::checked(terms)
    }
}

const NANOS_PER_MINUTE: i64 = 60_000_000_000;
const NANOS_PER_DAY: u64 = 86_400_000_000_000;

#[cfg(test)]
mod tests;
