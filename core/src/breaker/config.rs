//! When a breaker opens, and how it finds back.

use core::ops::RangeInclusive;
use core::time::Duration;

use crate::settings::{ConfigError, checked};
use crate::time::nanos;

/// The choices that make a [`Config`]. [`Settings::default`] suits an edge in front of a web origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Settings {
    /// How far back results count; at [`Settings::WINDOW`].
    pub window: Duration,
    /// In how many steps the window slides; 1 to [`Settings::BUCKETS_MAX`].
    pub buckets: u8,
    /// Fewest results in the window that can open the breaker; at [`Settings::MIN_CALLS`].
    pub min_calls: u32,
    /// Share of failures that opens the breaker; 1 to 1000.
    pub failure_rate_permille: u16,
    /// From how long on a call is slow; at [`Settings::SLOW_CALL`]. `None`: slowness opens nothing.
    pub slow_call: Option<Duration>,
    /// Share of slow calls that opens the breaker, where `slow_call` is set; 1 to 1000.
    pub slow_rate_permille: u16,
    /// First wait; at [`Settings::OPEN`]. It doubles each time that the probes fail.
    pub open_base: Duration,
    /// Longest wait before jitter; from `open_base`, at [`Settings::OPEN`].
    pub open_cap: Duration,
    /// Largest random addition to a wait; 0 to 1000.
    pub jitter_permille: u16,
    /// Probes at a time while half-open; 1 to [`Settings::PROBES_MAX`].
    pub probes: u8,
    /// Successful probes that close the breaker; 1 to `probes`.
    pub probes_to_close: u8,
    /// After how long a probe without a result makes room for another; at [`Settings::PROBE_TIMEOUT`].
    pub probe_timeout: Duration,
    /// Whether a response with status 500 is a failure.
    pub fail_on_500: bool,
}

impl Settings {
    /// Range of `window`: shorter than the first holds too few calls, longer than the last is history.
    pub const WINDOW: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
    /// Most buckets: finer steps cost memory in every copy of the state and change no decision that matters.
    pub const BUCKETS_MAX: u8 = crate::ring::BUCKETS_MAX;
    /// Range of `min_calls`: above the last no breaker of one host ever opens.
    pub const MIN_CALLS: RangeInclusive<u32> = 1..=1_000_000;
    /// Range of `slow_call`: the longest deadline that an upstream may have is ten minutes.
    pub const SLOW_CALL: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(600);
    /// Range of `open_base` and `open_cap`: after an hour someone has to look anyway.
    pub const OPEN: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);
    /// Most probes: more is no longer a probe.
    pub const PROBES_MAX: u8 = 16;
    /// Range of `probe_timeout`: the longest deadline that an upstream may have is ten minutes.
    pub const PROBE_TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(600);
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            buckets: 10,
            min_calls: 20,
            failure_rate_permille: 500,
            slow_call: None,
            slow_rate_permille: 800,
            open_base: Duration::from_secs(1),
            open_cap: Duration::from_secs(60),
            jitter_permille: 200,
            probes: 3,
            probes_to_close: 2,
            probe_timeout: Duration::from_secs(2),
            fail_on_500: false,
        }
    }
}

/// Settings that hold together.
///
/// ```
/// use seawall_core::breaker::{Config, Settings};
///
/// assert!(Config::new(Settings::default()).is_ok());
/// assert!(Config::new(Settings { probes: 1, probes_to_close: 2, ..Settings::default() }).is_err());
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
        let checks = [
            ("window", "a time from 100ms to 1h", Settings::WINDOW.contains(&s.window)),
            ("buckets", "a whole number from 1 to 16", (1..=Settings::BUCKETS_MAX).contains(&s.buckets)),
            ("min_calls", "a whole number from 1 to 1000000", Settings::MIN_CALLS.contains(&s.min_calls)),
            ("failure_rate_permille", "a whole number from 1 to 1000", (1..=1000).contains(&s.failure_rate_permille)),
            ("slow_call", "a time from 1ms to 10m", s.slow_call.is_none_or(|time| Settings::SLOW_CALL.contains(&time))),
            ("slow_rate_permille", "a whole number from 1 to 1000", (1..=1000).contains(&s.slow_rate_permille)),
            ("open_base", "a time from 1ms to 1h", Settings::OPEN.contains(&s.open_base)),
            ("open_cap", "a time from open_base to 1h", (s.open_base..=*Settings::OPEN.end()).contains(&s.open_cap)),
            ("jitter_permille", "a whole number from 0 to 1000", s.jitter_permille <= 1000),
            ("probes", "a whole number from 1 to 16", (1..=Settings::PROBES_MAX).contains(&s.probes)),
            ("probes_to_close", "a whole number from 1 to probes", (1..=s.probes).contains(&s.probes_to_close)),
            ("probe_timeout", "a time from 1ms to 10m", Settings::PROBE_TIMEOUT.contains(&s.probe_timeout)),
        ];
        ConfigError::first(settings, checks).map(Self)
    }

    /// How long to stay open after opening `opens` times before: back-off with jitter, or what the upstream
    /// asked for when that is longer.
    pub(super) fn pause(&self, opens: u32, retry_after: Option<Duration>, random: u32) -> Duration {
        let back_off = nanos(self.open_base).saturating_mul(1 << opens.min(OPENS_EXPONENT_MAX));
        let back_off = back_off.min(nanos(self.open_cap));
        let jitter_max = u128::from(back_off) * u128::from(self.jitter_permille) / 1000;
        // `random` is a fraction of 2^32, so the jitter is less than the back-off, and both fit twice.
        let jitter = (jitter_max * u128::from(random)) >> 32;
        let pause = Duration::from_nanos(back_off + jitter as u64);
        pause.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))
    }

    /// No pause is longer than this.
    pub(super) fn pause_max(&self) -> Duration {
        let jitter_max = self.open_cap * u32::from(self.jitter_permille) / 1000;
        (self.open_cap + jitter_max).max(RETRY_AFTER_MAX)
    }
}

/// Longest pause that an upstream's `Retry-After` may ask for: a wrong field must not keep the site dark, and
/// asking a resting upstream once in five minutes harms nobody.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// The back-off stops doubling here, where the cap has long taken over.
const OPENS_EXPONENT_MAX: u32 = 16;

checked!(Config, Settings);
