//! A quota, how it is shared out, and by how much at most it is exceeded.

use core::num::NonZeroU32;
use core::ops::RangeInclusive;
use core::time::Duration;

use super::Restart;
use crate::limit::Quota;
use crate::settings::ConfigError;

/// How isolates share one quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Mode {
    /// The authority decides on each request. For what must not be exceeded at all, and for keys that each isolate
    /// sees seldom.
    Exact,
    /// Isolates hold units for a while. For keys that each isolate sees often.
    Lease {
        /// Most units that all isolates hold together. Zero: none are held, and every request asks.
        outstanding_max: u32,
        /// How long units may be held; at [`Terms::TTL`].
        ttl: Duration,
    },
    /// Isolates spend first and tell later. For keys that are seen seldom but must be answered at once.
    Async {
        /// Most units that one isolate has spent and the authority has not confirmed. Zero: every request asks.
        unsynced_max: u32,
        /// How long what was spent is kept to oneself; at [`Terms::SYNC_EVERY`].
        sync_every: Duration,
    },
}

/// A quota and how isolates share it.
///
/// ```
/// use core::{num::NonZeroU32, time::Duration};
/// use seawall_core::limit::{Quota, distributed::{Mode, Terms}};
///
/// let units = |number| NonZeroU32::new(number).unwrap();
/// let quota = Quota::new(units(1000), Duration::from_secs(10), units(100))?;
/// let mode = Mode::Lease { outstanding_max: 50, ttl: Duration::from_secs(1) };
/// let terms = Terms::new(quota, mode)?;
/// // In no ten seconds more than 1099 units by the quota, and 50 by the leases.
/// assert_eq!((terms.window_bound(), terms.overshoot_bound(10_000)), (1099, 50));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "Parts", into = "Parts"))]
pub struct Terms {
    quota: Quota,
    mode: Mode,
}

impl Terms {
    /// Range of a lease's `ttl`: a shorter one ends before the answer comes from far away; with a longer one a
    /// stopped isolate's units are away for too long.
    pub const TTL: RangeInclusive<Duration> = Duration::from_millis(200)..=Duration::from_secs(60);
    /// Range of `sync_every`.
    pub const SYNC_EVERY: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(60);

    /// Checks that the times are in their ranges.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first one that is not.
    pub fn new(quota: Quota, mode: Mode) -> Result<Self, ConfigError> {
        let check = match mode {
            Mode::Exact => ("mode", "", true),
            Mode::Lease { ttl, .. } => ("ttl", "a time from 200ms to 1m", Self::TTL.contains(&ttl)),
            Mode::Async { sync_every, .. } => {
                ("sync_every", "a time from 50ms to 1m", Self::SYNC_EVERY.contains(&sync_every))
            }
        };
        ConfigError::first(Self { quota, mode }, [check])
    }

    /// What one key may spend.
    #[must_use]
    pub const fn quota(&self) -> &Quota {
        &self.quota
    }

    /// How isolates share it.
    #[must_use]
    pub const fn mode(&self) -> &Mode {
        &self.mode
    }

    /// Most units that one store alone admits in any window: `limit + burst - 1`.
    #[must_use]
    pub fn window_bound(&self) -> u64 {
        u64::from(self.quota.limit().get()) + u64::from(self.quota.burst().get()) - 1
    }

    /// Most units above [`Terms::window_bound`] that `isolates` together admit in any window, whatever happens to
    /// messages and clocks of isolates. An isolate that was replaced during the window counts twice.
    #[must_use]
    pub fn overshoot_bound(&self, isolates: u64) -> u64 {
        match self.mode {
            Mode::Exact => 0,
            Mode::Lease { outstanding_max, .. } => u64::from(outstanding_max),
            Mode::Async { unsynced_max, .. } => isolates.saturating_mul(u64::from(unsynced_max)),
        }
    }

    /// Most units that come to that for each restart of the authority in the window.
    #[must_use]
    pub fn restart_bound(&self, restart: &Restart) -> u64 {
        let burst = u64::from(self.quota.burst().get());
        match restart {
            Restart::Cold => burst,
            Restart::Saved(_) => burst / SAVED_PARTS,
            Restart::Strict(_) => 0,
        }
    }

    /// What an isolate counts by itself while the authority does not answer, when about so many isolates serve the
    /// key: together they stay within the quota, except that each may spend one unit.
    #[must_use]
    pub fn share(&self, isolates: NonZeroU32) -> Quota {
        let part = |units: NonZeroU32| NonZeroU32::new(units.get() / isolates).unwrap_or(NonZeroU32::MIN);
        let share = Quota::new(part(self.quota.limit()), self.quota.window(), part(self.quota.burst()));
        // The refill grows at most by the rounding of both; where that passes the bound the quota stays whole.
        share.unwrap_or(self.quota)
    }
}

/// A snapshot is written whenever a part of the burst, of so many, has been charged since the last.
pub(super) const SAVED_PARTS: u64 = 4;

/// What terms are made of: their serialised form, so that reading them checks them again.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Parts {
    quota: Quota,
    mode: Mode,
}

#[cfg(feature = "serde")]
impl From<Terms> for Parts {
    fn from(Terms { quota, mode }: Terms) -> Self {
        Self { quota, mode }
    }
}

#[cfg(feature = "serde")]
impl TryFrom<Parts> for Terms {
    type Error = ConfigError;

    fn try_from(parts: Parts) -> Result<Self, ConfigError> {
        Self::new(parts.quota, parts.mode)
    }
}
