//! Wall-clock time as the host reads it.

use core::time::Duration;

/// A point in wall-clock time: whole nanoseconds since the Unix epoch.
///
/// Hosts read their clock once at each step (arrival, and after each awaited call) and pass the value
/// down. Wall clocks step back: [`Timestamp::since`] then answers zero, and each caller says what zero
/// means there. The range ends in the year 2554.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch.
    pub const UNIX_EPOCH: Self = Self(0);

    /// The point `nanos` nanoseconds after the Unix epoch.
    #[must_use]
    pub const fn from_unix_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The point `millis` milliseconds after the Unix epoch; saturates in the year 2554.
    #[must_use]
    pub const fn from_unix_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(NANOS_PER_MILLI))
    }

    /// The point `seconds` seconds after the Unix epoch; saturates in the year 2554.
    #[must_use]
    pub const fn from_unix_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND))
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn as_unix_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn as_unix_millis(self) -> u64 {
        self.0 / NANOS_PER_MILLI
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn as_unix_seconds(self) -> u64 {
        self.0 / NANOS_PER_SECOND
    }

    /// How long after `earlier` this is; zero when the clock stepped back.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The point `duration` later; saturates in the year 2554.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

/// A duration as whole nanoseconds, saturating at 584 years.
#[must_use]
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A duration as whole milliseconds, saturating: what logs and fields say of it.
#[must_use]
pub const fn millis(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1000).saturating_add(duration.subsec_millis() as u64)
}

/// A duration as whole seconds, rounded up: what a `Retry-After` may promise.
#[must_use]
pub const fn seconds_ceil(duration: Duration) -> u64 {
    let whole = duration.as_secs();
    if duration.subsec_nanos() == 0 { whole } else { whole.saturating_add(1) }
}

const NANOS_PER_MILLI: u64 = 1_000_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_steps_back_gives_zero() {
        let later = Timestamp::from_unix_seconds(10);
        let earlier = Timestamp::from_unix_seconds(9);
        assert_eq!(later.since(earlier), Duration::from_secs(1));
        assert_eq!(earlier.since(later), Duration::ZERO);
    }

    #[test]
    fn the_far_end_saturates() {
        let end = Timestamp::from_unix_seconds(u64::MAX);
        assert_eq!(end.as_unix_nanos(), u64::MAX);
        assert_eq!(end.after(Duration::MAX), end);
    }

    #[test]
    fn a_part_of_a_second_is_rounded_up() {
        assert_eq!(seconds_ceil(Duration::ZERO), 0);
        assert_eq!(seconds_ceil(Duration::from_nanos(1)), 1);
        assert_eq!(seconds_ceil(Duration::from_secs(1)), 1);
        assert_eq!(seconds_ceil(Duration::MAX), u64::MAX);
    }
}
