//! The generic cell rate algorithm, by virtual scheduling.

use core::fmt;
use core::num::NonZeroU32;
use core::time::Duration;

use super::Decision;
use crate::time::{Timestamp, nanos};

/// How much one key may spend: `limit` units for each `window`, and up to `burst` of them at once.
///
/// One unit is earned back every `window / limit`, rounded up to a whole nanosecond, so that the rate is
/// never above what was asked. From an idle start, any interval of length `d` admits at most
/// `burst + ceil(d / interval) - 1` units; over one `window` that is `burst + limit - 1`. Who wants no more
/// than `limit` in any window takes a small burst.
///
/// # What happens at the edges
///
/// - Clock stepping back: what was spent stays spent, so nothing more is admitted, and the wait grows by the
///   step.
/// - `now` within one refill of the year 2554, where [`Timestamp`] ends: states stop growing there, and
///   limits become loose.
///
/// ```
/// use core::num::NonZeroU32;
/// use core::time::Duration;
/// use seawall_core::limit::{Decision, Quota};
/// use seawall_core::time::Timestamp;
///
/// let two = NonZeroU32::new(2).unwrap();
/// let quota = Quota::new(two, Duration::from_secs(60), two)?;
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
///
/// let Decision::Allow { next: first } = quota.decide(None, now, 1) else { panic!("a new key may spend") };
/// let Decision::Allow { next: second } = quota.decide(Some(first), now, 1) else { panic!("burst is two") };
/// assert_eq!(quota.decide(Some(second), now, 1), Decision::Deny { retry_after: Duration::from_secs(30) });
/// # Ok::<(), seawall_core::limit::QuotaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "Terms", into = "Terms"))]
pub struct Quota {
    limit: NonZeroU32,
    burst: NonZeroU32,
    window_ns: u64,
    /// Time in which one unit is earned back.
    interval_ns: u64,
    /// Time in which an empty bucket fills: `burst` intervals.
    refill_ns: u64,
}

/// The state of one key: its theoretical arrival time, when everything spent so far is earned back.
///
/// A state that lies in the past equals no state at all, so a store may drop it at [`Tat::expires`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Tat(u64);

impl Quota {
    /// Longest window. A longer one is a contract to be counted by calendar, not a rate.
    pub const WINDOW_MAX: Duration = Duration::from_secs(366 * 86_400);

    /// Longest time from empty to full. It keeps every sum of a time and a refill far inside 64 bits, for
    /// five centuries.
    pub const REFILL_MAX: Duration = Duration::from_secs(10 * 366 * 86_400);

    /// `limit` units for each `window`, at most `burst` of them at once.
    ///
    /// The window is at least one nanosecond for each unit and at most [`Quota::WINDOW_MAX`]; `burst` units
    /// are earned within [`Quota::REFILL_MAX`]. Accepted: 600 for each minute, 300 at once. Refused: any
    /// number for each zero seconds.
    ///
    /// # Errors
    ///
    /// [`QuotaError`] says which of these bounds was crossed.
    pub fn new(limit: NonZeroU32, window: Duration, burst: NonZeroU32) -> Result<Self, QuotaError> {
        let window_ns = nanos(window);
        if window_ns < u64::from(limit.get()) {
            return Err(QuotaError::WindowTooShort);
        }
        if window > Self::WINDOW_MAX {
            return Err(QuotaError::WindowTooLong);
        }
        let interval_ns = window_ns.div_ceil(u64::from(limit.get()));
        match interval_ns.checked_mul(u64::from(burst.get())) {
            Some(refill_ns) if refill_ns <= nanos(Self::REFILL_MAX) => {
                Ok(Self { limit, burst, window_ns, interval_ns, refill_ns })
            }
            _ => Err(QuotaError::RefillTooLong),
        }
    }

    /// Units earned in each window.
    #[must_use]
    pub const fn limit(&self) -> NonZeroU32 {
        self.limit
    }

    /// The window in which [`Quota::limit`] units are earned.
    #[must_use]
    pub const fn window(&self) -> Duration {
        Duration::from_nanos(self.window_ns)
    }

    /// Units that may be spent at once.
    #[must_use]
    pub const fn burst(&self) -> NonZeroU32 {
        self.burst
    }

    /// Decides on spending `cost` at `now`, for a key whose state is `stored` (`None`: never seen).
    ///
    /// A cost of zero asks only whether the key is within its burst, which it is unless the clock stepped
    /// back. Costs a handful of integer operations, without a division unless it denies, and no allocation.
    #[inline]
    pub const fn decide(&self, stored: Option<Tat>, now: Timestamp, cost: u32) -> Decision {
        if cost > self.burst.get() {
            return Decision::Never;
        }
        // No overflow: `cost` is at most `burst`, and `burst` intervals are `refill_ns`.
        let charge = cost as u64 * self.interval_ns;
        let debt = debt_ns(stored, now);
        let debt_max = self.refill_ns - charge;
        if debt <= debt_max {
            let spent_by = now.as_unix_nanos().saturating_add(debt + charge);
            Decision::Allow { next: Tat(spent_by) }
        } else {
            Decision::Deny { retry_after: Duration::from_nanos(debt - debt_max) }
        }
    }

    /// How many units could be spent at `now`.
    #[must_use]
    pub const fn remaining(&self, stored: Option<Tat>, now: Timestamp) -> u32 {
        let free = self.refill_ns.saturating_sub(debt_ns(stored, now)) / self.interval_ns;
        // At most `burst`, because `refill_ns` is `burst` intervals.
        free as u32
    }

    /// How long until everything spent is earned back; zero when nothing is owed.
    #[must_use]
    pub const fn full_reset(&self, stored: Option<Tat>, now: Timestamp) -> Duration {
        Duration::from_nanos(debt_ns(stored, now))
    }

    /// Gives back `units` that were charged. Never more than was charged: the state stays at `now` or after it.
    #[must_use]
    pub const fn refund(&self, stored: Option<Tat>, now: Timestamp, units: u32) -> Tat {
        let owed = debt_ns(stored, now).saturating_sub(self.interval_ns.saturating_mul(units as u64));
        Tat(now.as_unix_nanos().saturating_add(owed))
    }

    /// The state under this quota of a key that was counted under `from`, at `now`: as many units are owed as
    /// before (rounded up), or the whole burst.
    #[must_use]
    pub fn rescale(&self, from: &Self, stored: Tat, now: Timestamp) -> Tat {
        let owed = u128::from(debt_ns(Some(stored), now));
        let owed = (owed * u128::from(self.interval_ns)).div_ceil(u128::from(from.interval_ns));
        // At most a refill, which is far below 64 bits.
        let owed = owed.min(u128::from(self.refill_ns)) as u64;
        Tat(now.as_unix_nanos().saturating_add(owed))
    }

    /// The time in which one unit is earned back: the window by the limit, rounded up.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval_ns)
    }

    /// The time in which an empty bucket fills: [`Quota::burst`] intervals.
    #[must_use]
    pub const fn refill(&self) -> Duration {
        Duration::from_nanos(self.refill_ns)
    }

    /// The effective window, in whole seconds rounded up, at least one: a client can use no more than
    /// [`Quota::remaining`] within it (draft-ietf-httpapi-ratelimit-headers-11, parameter `t`).
    ///
    /// With units left it is the time to a full bucket, which caps the rate that the two numbers suggest;
    /// with none left it is the wait for the next unit.
    #[must_use]
    pub const fn effective_window_seconds(&self, stored: Option<Tat>, now: Timestamp) -> u64 {
        let debt = debt_ns(stored, now);
        let debt_max = self.refill_ns - self.interval_ns;
        let window_ns = if debt > debt_max { debt - debt_max } else { debt };
        let seconds = window_ns.div_ceil(NANOS_PER_SECOND);
        if seconds == 0 { 1 } else { seconds }
    }
}

impl Tat {
    /// The state as whole nanoseconds since the Unix epoch: all there is to store.
    #[must_use]
    pub const fn as_unix_nanos(self) -> u64 {
        self.0
    }

    /// The state that was stored as `nanos`.
    #[must_use]
    pub const fn from_unix_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// When this state equals no state, and a store may drop it.
    #[must_use]
    pub const fn expires(self) -> Timestamp {
        Timestamp::from_unix_nanos(self.0)
    }
}

/// What is owed at `now`: the time until everything spent is earned back.
#[inline]
const fn debt_ns(stored: Option<Tat>, now: Timestamp) -> u64 {
    match stored {
        Some(Tat(tat)) => tat.saturating_sub(now.as_unix_nanos()),
        None => 0,
    }
}

/// Why a [`Quota`] cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuotaError {
    /// The window is zero, or shorter than one nanosecond for each unit.
    WindowTooShort,
    /// The window is longer than [`Quota::WINDOW_MAX`].
    WindowTooLong,
    /// The burst takes longer than [`Quota::REFILL_MAX`] to earn.
    RefillTooLong,
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WindowTooShort => "the window must be at least one nanosecond for each unit of the limit",
            Self::WindowTooLong => "the window must be at most 366 days",
            Self::RefillTooLong => "the burst must be earned back within ten years; make it smaller",
        })
    }
}

impl core::error::Error for QuotaError {}

/// What a quota was made from: its serialised form, so that reading one checks it again.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Terms {
    limit: NonZeroU32,
    window: Duration,
    burst: NonZeroU32,
}

#[cfg(feature = "serde")]
impl From<Quota> for Terms {
    fn from(quota: Quota) -> Self {
        Self { limit: quota.limit, window: quota.window(), burst: quota.burst }
    }
}

#[cfg(feature = "serde")]
impl TryFrom<Terms> for Quota {
    type Error = QuotaError;

    fn try_from(terms: Terms) -> Result<Self, QuotaError> {
        Self::new(terms.limit, terms.window, terms.burst)
    }
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests;
