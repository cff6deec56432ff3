//! Between which bounds a limit moves, and how.

use core::ops::RangeInclusive;
use core::time::Duration;

use crate::priority::Priority;
use crate::settings::{ConfigError, checked};

/// The choices that make a [`Config`]. [`Settings::default`] suits a server in front of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Settings {
    /// How the limit moves.
    pub law: Law,
    /// Smallest limit, and what gets in while the idle latency is measured; 1 to `limit_max`.
    pub limit_min: u32,
    /// Limit to start from; `limit_min` to `limit_max`.
    pub limit_start: u32,
    /// Largest limit; at most [`Settings::LIMIT_MAX`].
    pub limit_max: u32,
    /// Calls that decide together; 1 to 1000.
    pub sample_calls: u32,
    /// Shortest time that they span; at most [`Settings::SAMPLE_TIME_MAX`].
    pub sample_time: Duration,
    /// Part of the limit that [`Priority::Normal`] may use; `sheddable_permille` to 1000.
    pub normal_permille: u16,
    /// Part of the limit that [`Priority::Sheddable`] may use; 1 to `normal_permille`.
    pub sheddable_permille: u16,
}

/// How a limit moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Law {
    /// By the ratio of the idle latency to the latency now.
    Gradient {
        /// How much longer than when idle calls may take before the limit sinks; 0 to 1000 thousandths.
        tolerance_permille: u16,
        /// How often the idle latency is measured; at [`Settings::MEASURE_EVERY`].
        measure_every: Duration,
    },
    /// Up by one, down by a part.
    Additive {
        /// Calls that take longer show that there are too many; at [`Settings::LATENCY_MAX`].
        latency_max: Duration,
        /// What is left of the limit then, in thousandths; 500 to 999.
        decrease_permille: u16,
    },
}

impl Settings {
    /// Largest `limit_max`: more calls than one process has file descriptors for.
    pub const LIMIT_MAX: u32 = 100_000;
    /// Longest `sample_time`: a limit that moves less often than that follows nothing.
    pub const SAMPLE_TIME_MAX: Duration = Duration::from_secs(60);
    /// Range of `measure_every`: more often it costs more calls than it saves.
    pub const MEASURE_EVERY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
    /// Range of `latency_max`.
    pub const LATENCY_MAX: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(600);
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            law: Law::Gradient { tolerance_permille: 250, measure_every: Duration::from_secs(60) },
            limit_min: 3,
            limit_start: 20,
            limit_max: 1000,
            sample_calls: 50,
            sample_time: Duration::from_millis(100),
            normal_permille: 900,
            sheddable_permille: 700,
        }
    }
}

/// Settings that hold together.
///
/// ```
/// use seawall_core::overload::{Config, Settings};
///
/// assert!(Config::new(Settings::default()).is_ok());
/// assert!(Config::new(Settings { limit_min: 0, ..Settings::default() }).is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Settings", into = "Settings"))]
pub struct Config(Settings);

impl Config {
    /// Checks that each setting is in its range.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first one that is not.
    pub fn new(settings: Settings) -> Result<Self, ConfigError> {
        let s = &settings;
        let (name, expected, fits) = match s.law {
            Law::Gradient { tolerance_permille: 1001.., .. } => {
                ("tolerance_permille", "a whole number from 0 to 1000", false)
            }
            Law::Gradient { measure_every, .. } => {
                ("measure_every", "a time from 1s to 1h", Settings::MEASURE_EVERY.contains(&measure_every))
            }
            Law::Additive { decrease_permille, .. } if !(500..=999).contains(&decrease_permille) => {
                ("decrease_permille", "a whole number from 500 to 999", false)
            }
            Law::Additive { latency_max, .. } => {
                ("latency_max", "a time from 1ms to 10m", Settings::LATENCY_MAX.contains(&latency_max))
            }
        };
        let start = (s.limit_min..=s.limit_max).contains(&s.limit_start);
        let normal = (s.sheddable_permille..=1000).contains(&s.normal_permille);
        let sheddable = (1..=s.normal_permille).contains(&s.sheddable_permille);
        ConfigError::first(
            settings,
            [
                (name, expected, fits),
                ("limit_max", "a whole number from 1 to 100000", (1..=Settings::LIMIT_MAX).contains(&s.limit_max)),
                ("limit_min", "a whole number from 1 to limit_max", (1..=s.limit_max).contains(&s.limit_min)),
                ("limit_start", "a whole number from limit_min to limit_max", start),
                ("sample_calls", "a whole number from 1 to 1000", (1..=1000).contains(&s.sample_calls)),
                ("sample_time", "a time up to 1m", s.sample_time <= Settings::SAMPLE_TIME_MAX),
                ("normal_permille", "a whole number from sheddable_permille to 1000", normal),
                ("sheddable_permille", "a whole number from 1 to normal_permille", sheddable),
            ],
        )
        .map(Self)
    }

    /// The part of `limit` that calls of a priority may use; at least one.
    pub(super) fn limit_for(&self, priority: Priority, limit: u32) -> u32 {
        let permille = match priority {
            Priority::Sheddable => self.sheddable_permille,
            Priority::Normal => self.normal_permille,
            Priority::Critical | Priority::Always => 1000,
        };
        // At most the limit, so it fits.
        ((u64::from(limit) * u64::from(permille) / 1000) as u32).max(1)
    }
}

checked!(Config, Settings);
