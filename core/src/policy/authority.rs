//! Who decides on limits that are one for all, and how long a request waits for the answer.

use core::ops::RangeInclusive;
use core::time::Duration;

use crate::breaker;

/// Who keeps the counters of a shared limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Authority {
    /// The objects that the edge's platform offers for it: near the edge, and able to share units out.
    Objects,
    /// A Redis, by its own protocol or over HTTP: one for the edge, the origin and whoever else uses it.
    Redis,
}

impl Authority {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Objects, Self::Redis];

    /// The word for it in policy.toml, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Objects => "objects",
            Self::Redis => "redis",
        }
    }
}

/// How an authority is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Reach {
    /// How long a request waits for its answer; at [`Reach::DEADLINE`].
    pub deadline: Duration,
    /// When it is left alone, so that one that is away does not cost every request its deadline.
    pub breaker: breaker::Config,
}

impl Reach {
    /// Range of `deadline`: nothing answers within less than the first, and beyond the last visitors have left.
    pub const DEADLINE: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(4);
    /// The deadline when none is written: within a region an answer takes a few milliseconds, and a visitor would
    /// notice more than this.
    pub const DEADLINE_DEFAULT: Duration = Duration::from_millis(500);

    /// What a breaker before an authority starts from: three requests may wait for nothing before it opens, one
    /// at a time finds out whether the authority is back.
    #[must_use]
    pub fn breaker_default() -> breaker::Settings {
        breaker::Settings {
            min_calls: 3,
            open_cap: Duration::from_secs(10),
            probes: 1,
            probes_to_close: 1,
            ..breaker::Settings::default()
        }
    }
}

impl Default for Reach {
    fn default() -> Self {
        // The settings above are in their ranges; a test makes one.
        let breaker = breaker::Config::new(Self::breaker_default()).unwrap_or_default();
        Self { deadline: Self::DEADLINE_DEFAULT, breaker }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_their_ranges() {
        let settings = Reach::breaker_default();
        assert_eq!(Reach::default().breaker.min_calls, settings.min_calls);
        assert!(breaker::Config::new(settings).is_ok() && Reach::DEADLINE.contains(&Reach::DEADLINE_DEFAULT));
    }
}
