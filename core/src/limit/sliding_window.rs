//! The sliding window counter: two windows, the older one weighted by how much of it is still in sight.

use core::num::NonZeroU32;
use core::time::Duration;

use super::window::window_ns;
use super::{Decision, RuleError, Ruling};
use crate::time::Timestamp;

/// At most about `limit` units in any `window`, from two counters for each key.
///
/// The units of the last whole window count in proportion to how much of that window is still within sight;
/// the product is exact, so rounding admits nothing. Windows start at multiples of their length since 1970.
///
/// # What it promises
///
/// At most `2 * limit - 1` units in any interval as long as the window, and at most `limit` from a client that
/// spends evenly: the estimate takes the last window's units as spread evenly over it. For a hard bound at a
/// small limit there is [`SlidingLog`](super::SlidingLog), for a tight one at any limit a small burst of
/// [`Quota`](super::Quota).
///
/// # What happens at the edges
///
/// - A clock that steps back to before the stored window counts as the start of that window: nothing more is
///   admitted, and the wait grows by the step.
/// - A cost above the limit never passes; a cost of zero passes while no more than the limit counts.
///
/// ```
/// use core::num::NonZeroU32;
/// use core::time::Duration;
/// use seawall_core::limit::{Decision, SlidingWindow};
/// use seawall_core::time::Timestamp;
///
/// let rule = SlidingWindow::new(NonZeroU32::new(10).unwrap(), Duration::from_secs(60))?;
/// let start = Timestamp::from_unix_seconds(1_800_000_000);
/// let Decision::Allow { next } = rule.decide(None, start, 10) else { panic!("a new key may spend all") };
/// // Halfway through the next window, half of the ten still count.
/// let later = start.after(Duration::from_secs(90));
/// assert_eq!(rule.remaining(Some(next), later), 5);
/// # Ok::<(), seawall_core::limit::RuleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "super::window::Terms", into = "super::window::Terms")
)]
pub struct SlidingWindow {
    limit: NonZeroU32,
    window_ns: u64,
}

/// The state of one key under a [`SlidingWindow`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WindowCounts {
    /// Where the current window ends. Kept instead of its number, so that most decisions need no division.
    end: Timestamp,
    current: u32,
    previous: u32,
}

/// The two counters as they stand at one moment.
#[derive(Clone, Copy)]
struct View {
    end: Timestamp,
    current: u32,
    previous: u32,
    /// How much of the current window is still to come: the weight of the previous one.
    rest_ns: u64,
    /// How far the clock is before the current window.
    behind_ns: u64,
}

impl SlidingWindow {
    /// `limit` units in any `window`, which is whole microseconds, at least one, and at most
    /// [`Quota::WINDOW_MAX`](super::Quota::WINDOW_MAX). Accepted: 10 for each minute. Refused: 1500 nanoseconds.
    ///
    /// # Errors
    ///
    /// [`RuleError::TimeNotWholeMicros`] or [`RuleError::TimeTooLong`].
    pub fn new(limit: NonZeroU32, window: Duration) -> Result<Self, RuleError> {
        Ok(Self { limit, window_ns: window_ns(window)? })
    }

    /// Units in each window.
    #[must_use]
    pub const fn limit(&self) -> NonZeroU32 {
        self.limit
    }

    /// The window.
    #[must_use]
    pub const fn window(&self) -> Duration {
        Duration::from_nanos(self.window_ns)
    }

    /// Decides on spending `cost` at `now`. Divides only for a new window or to refuse; allocates nothing.
    #[inline]
    pub fn decide(&self, stored: Option<WindowCounts>, now: Timestamp, cost: u32) -> Decision<WindowCounts> {
        let view = self.view(stored, now);
        Decision::of(self.rule(view, cost), || WindowCounts {
            end: view.end,
            // No overflow: the rule admits no more than the limit.
            current: view.current + cost,
            previous: view.previous,
        })
    }

    /// How many units could be spent at `now`.
    #[must_use]
    pub fn remaining(&self, stored: Option<WindowCounts>, now: Timestamp) -> u32 {
        let view = self.view(stored, now);
        let weighted = (u128::from(view.previous) * u128::from(view.rest_ns)).div_ceil(u128::from(self.window_ns));
        // The weighted count is at most `previous`, for the rest is at most the window.
        self.limit.get().saturating_sub(view.current).saturating_sub(weighted as u32)
    }

    /// How long until nothing that was spent counts any more.
    #[must_use]
    pub fn full_reset(&self, stored: Option<WindowCounts>, now: Timestamp) -> Duration {
        stored.map_or(Duration::ZERO, |counts| self.expires(counts).since(now))
    }

    /// When `state` equals no state, and a store may drop it.
    #[must_use]
    pub const fn expires(&self, state: WindowCounts) -> Timestamp {
        match state {
            WindowCounts { current: 0, previous: 0, .. } => Timestamp::UNIX_EPOCH,
            WindowCounts { current: 0, end, .. } => end,
            WindowCounts { end, .. } => plus(end, self.window_ns),
        }
    }

    /// Gives back `units` that were charged: of this window first, then of the last one.
    #[must_use]
    pub fn refund(&self, stored: Option<WindowCounts>, now: Timestamp, units: u32) -> WindowCounts {
        let View { end, current, previous, .. } = self.view(stored, now);
        let of_previous = units.saturating_sub(current);
        WindowCounts { end, current: current.saturating_sub(units), previous: previous.saturating_sub(of_previous) }
    }

    /// The state under this rule of a key that was counted under `from`, at `now`: what counts goes on counting.
    ///
    /// With the window unchanged both counters stay. With another window, what counts now (rounded up) counts
    /// as spent in the current window, so it counts longer than it would have.
    #[must_use]
    pub fn rescale(&self, from: &Self, stored: WindowCounts, now: Timestamp) -> WindowCounts {
        if from.window_ns == self.window_ns {
            return stored;
        }
        let view = from.view(Some(stored), now);
        let weighted = (u128::from(view.previous) * u128::from(view.rest_ns)).div_ceil(u128::from(from.window_ns));
        // At most `previous`, as above.
        let current = view.current.saturating_add(weighted as u32);
        WindowCounts { end: self.window_end(now), current, previous: 0 }
    }

    pub(super) fn ruling(&self, stored: Option<WindowCounts>, now: Timestamp, cost: u32) -> Ruling {
        self.rule(self.view(stored, now), cost)
    }

    #[inline]
    fn rule(&self, view: View, cost: u32) -> Ruling {
        let limit = self.limit.get();
        if cost > limit {
            return Ruling::Never;
        }
        let window = u128::from(self.window_ns);
        let in_window = limit.checked_sub(cost).and_then(|left| left.checked_sub(view.current));
        let wait_ns = match in_window {
            // prev * (W - e) + (cur + n) * W <= L * W, exactly.
            Some(room) => {
                let seen = u128::from(view.previous) * u128::from(view.rest_ns);
                let room = u128::from(room) * window;
                if seen <= room {
                    return Ruling::Allow;
                }
                // Denied, so `previous` is above zero, and the quotient is below the rest.
                view.rest_ns - (room / u128::from(view.previous)) as u64
            }
            // The next window has to start first, in which what is current is the previous one. It is above
            // zero, for the cost alone is within the limit.
            None => {
                let room = u128::from(limit - cost) * window / u128::from(view.current);
                view.rest_ns + self.window_ns.saturating_sub(u64::try_from(room).unwrap_or(u64::MAX))
            }
        };
        Ruling::Deny { retry_after: Duration::from_nanos(view.behind_ns.saturating_add(wait_ns)) }
    }

    #[inline]
    fn view(&self, stored: Option<WindowCounts>, now: Timestamp) -> View {
        let (end, current, previous) = match stored {
            Some(counts) if now < counts.end => (counts.end, counts.current, counts.previous),
            Some(counts) if now < plus(counts.end, self.window_ns) => {
                (plus(counts.end, self.window_ns), 0, counts.current)
            }
            _ => (self.window_end(now), 0, 0),
        };
        let until_end = end.as_unix_nanos().saturating_sub(now.as_unix_nanos());
        let rest_ns = until_end.min(self.window_ns);
        View { end, current, previous, rest_ns, behind_ns: until_end - rest_ns }
    }

    const fn window_end(&self, now: Timestamp) -> Timestamp {
        let now = now.as_unix_nanos();
        plus(Timestamp::from_unix_nanos(now - now % self.window_ns), self.window_ns)
    }
}

impl WindowCounts {
    /// Where the current window ends, and the units of it and of the one before: all there is to store.
    #[must_use]
    pub const fn to_parts(self) -> (Timestamp, u32, u32) {
        (self.end, self.current, self.previous)
    }

    /// The state that was stored as these parts.
    #[must_use]
    pub const fn from_parts(end: Timestamp, current: u32, previous: u32) -> Self {
        Self { end, current, previous }
    }
}

const fn plus(time: Timestamp, ns: u64) -> Timestamp {
    Timestamp::from_unix_nanos(time.as_unix_nanos().saturating_add(ns))
}

#[cfg(feature = "serde")]
super::window::made_from_terms!(SlidingWindow);

#[cfg(test)]
mod tests;
