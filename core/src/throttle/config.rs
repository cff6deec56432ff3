//! How far a throttle lets calls run ahead of what is accepted.

use core::ops::RangeInclusive;
use core::time::Duration;

use crate::priority::Priority;
use crate::ring::{BUCKETS_MAX, Cut};
use crate::settings::{ConfigError, checked};

use super::PATIENCE_DIVISOR;

/// The choices that make a [`Config`]. [`Settings::default`] suits an edge; a native server takes a window of two
/// minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Settings {
    /// How far back calls count; at [`Settings::WINDOW`]. Longer than nearly all calls take.
    pub window: Duration,
    /// In how many steps the window slides; 1 to 16.
    pub buckets: u8,
    /// Fewest calls in the window with which any is dropped; at [`Settings::MIN_CALLS`]. With few, a single failure
    /// says too much.
    pub min_calls: u32,
    /// How many calls are sent for each that is accepted, in thousandths; at [`Settings::K`]. Smaller spares the
    /// upstream more, and finds out later that it is well.
    pub k_permille: u32,
    /// The same for [`Priority::Critical`]; from `k_permille`.
    pub k_critical_permille: u32,
    /// The same for [`Priority::Sheddable`]; up to `k_permille`.
    pub k_sheddable_permille: u32,
}

impl Settings {
    /// Range of `window`: shorter than the first holds too few calls, longer than the last is history.
    pub const WINDOW: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
    /// Range of `min_calls`: above the last no throttle of one host ever works.
    pub const MIN_CALLS: RangeInclusive<u32> = 1..=1_000_000;
    /// Range of each `k`: below the first a healthy upstream is throttled by chance, and one that is full is not
    /// used up; at the last nothing is ever throttled that matters.
    pub const K: RangeInclusive<u32> = 1100..=1_000_000;
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(30),
            buckets: 10,
            min_calls: 20,
            k_permille: 2000,
            k_critical_permille: 2500,
            k_sheddable_permille: 1300,
        }
    }
}

/// Settings that hold together.
///
/// ```
/// use seawall_core::throttle::{Config, Settings};
///
/// assert!(Config::new(Settings::default()).is_ok());
/// assert!(Config::new(Settings { k_permille: 1000, ..Settings::default() }).is_err());
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
        let critical = (s.k_permille..=*Settings::K.end()).contains(&s.k_critical_permille);
        let sheddable = (*Settings::K.start()..=s.k_permille).contains(&s.k_sheddable_permille);
        ConfigError::first(
            settings,
            [
                ("window", "a time from 1s to 1h", Settings::WINDOW.contains(&s.window)),
                ("buckets", "a whole number from 1 to 16", (1..=BUCKETS_MAX).contains(&s.buckets)),
                ("min_calls", "a whole number from 1 to 1000000", Settings::MIN_CALLS.contains(&s.min_calls)),
                ("k_permille", "a whole number from 1100 to 1000000", Settings::K.contains(&s.k_permille)),
                ("k_critical_permille", "a whole number from k_permille to 1000000", critical),
                ("k_sheddable_permille", "a whole number from 1100 to k_permille", sheddable),
            ],
        )
        .map(Self)
    }

    pub(super) fn cut(&self) -> Cut {
        Cut { window: self.window, buckets: self.buckets }
    }

    /// How long a call under way is believed to be accepted, in steps that are as fine as can be: a crowd must not fall
    /// out at once.
    pub(super) fn patience(&self) -> Cut {
        Cut { window: self.window / PATIENCE_DIVISOR, buckets: BUCKETS_MAX }
    }

    pub(super) fn k_permille(&self, priority: Priority) -> u32 {
        match priority {
            Priority::Sheddable => self.k_sheddable_permille,
            Priority::Normal => self.k_permille,
            Priority::Critical | Priority::Always => self.k_critical_permille,
        }
    }
}

checked!(Config, Settings);
