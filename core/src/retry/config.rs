//! How often to try again, how soon, and out of which budget.

use core::ops::RangeInclusive;
use core::time::Duration;

use crate::settings::{ConfigError, checked};

/// The choices that make a [`Config`]. [`Settings::default`] suits a native server; an edge takes two attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Settings {
    /// Most tries of one call, the first included; at [`Settings::ATTEMPTS`]. One means no retry.
    pub attempts: u32,
    /// Ceiling of the first wait; at [`Settings::BASE`]. It doubles with each try.
    pub base: Duration,
    /// The same after a refusal by a counter, such as 429.
    pub throttled_base: Duration,
    /// Ceiling of every wait; from both bases to [`Settings::DELAY_MAX`].
    pub delay_max: Duration,
    /// Tokens of a full budget; at [`Settings::CAPACITY`].
    pub capacity: u32,
    /// Tokens that a retry costs; 1 to `capacity`.
    pub cost: u32,
    /// Tokens that a retry costs after a refusal by a counter; 1 to `capacity`.
    pub throttled_cost: u32,
}

impl Settings {
    /// Range of `attempts`: beyond the last, a call that fails is only slower to fail.
    pub const ATTEMPTS: RangeInclusive<u32> = 1..=10;
    /// Range of `base` and `throttled_base`.
    pub const BASE: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);
    /// Longest `delay_max`: nobody waits longer for one call.
    pub const DELAY_MAX: Duration = Duration::from_secs(600);
    /// Range of `capacity`: at the last it bounds nothing any more.
    pub const CAPACITY: RangeInclusive<u32> = 1..=1_000_000;
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            attempts: 3,
            base: Duration::from_millis(50),
            throttled_base: Duration::from_secs(1),
            delay_max: Duration::from_secs(20),
            capacity: 500,
            cost: 14,
            throttled_cost: 5,
        }
    }
}

/// Settings that hold together.
///
/// ```
/// use seawall_core::retry::{Config, Settings};
///
/// assert!(Config::new(Settings::default()).is_ok());
/// assert!(Config::new(Settings { attempts: 0, ..Settings::default() }).is_err());
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
        let delay_max = (s.base.max(s.throttled_base)..=Settings::DELAY_MAX).contains(&s.delay_max);
        ConfigError::first(
            settings,
            [
                ("attempts", "a whole number from 1 to 10", Settings::ATTEMPTS.contains(&s.attempts)),
                ("base", "a time from 1ms to 1m", Settings::BASE.contains(&s.base)),
                ("throttled_base", "a time from 1ms to 1m", Settings::BASE.contains(&s.throttled_base)),
                ("delay_max", "a time from base and throttled_base to 10m", delay_max),
                ("capacity", "a whole number from 1 to 1000000", Settings::CAPACITY.contains(&s.capacity)),
                ("cost", "a whole number from 1 to capacity", (1..=s.capacity).contains(&s.cost)),
                ("throttled_cost", "a whole number from 1 to capacity", (1..=s.capacity).contains(&s.throttled_cost)),
            ],
        )
        .map(Self)
    }
}

checked!(Config, Settings);
