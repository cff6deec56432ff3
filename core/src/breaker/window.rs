//! Results of the recent past, and whether they open the breaker.

use super::{Config, Outcome};
use crate::ring::{Cut, Ring};
use crate::time::Timestamp;

/// Counts of the newest buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Window(Ring<Counts>);

/// How many calls ended, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Counts {
    /// Calls that say something about the upstream's health.
    pub calls: u32,
    /// Those of them that failed.
    pub failures: u32,
    /// Those of them that took too long, failed or not.
    pub slow: u32,
}

impl Window {
    /// Adds what happened at `now`. Answers whether a rate that opens the breaker is reached.
    pub(super) fn record(&mut self, config: &Config, counts: Counts, now: Timestamp) -> bool {
        if counts.calls == 0 {
            return false;
        }
        let cut = Cut { window: config.window, buckets: config.buckets };
        let newest = self.0.slide(cut, now);
        if let Some(bucket) = self.0.bucket(cut, newest) {
            bucket.add(counts);
        }
        let sum = |count: fn(&Counts) -> u32| self.0.iter(cut).map(|bucket| u64::from(count(bucket))).sum::<u64>();
        let calls = sum(|bucket| bucket.calls);
        let reaches = |part: u64, permille: u16| part * 1000 >= u64::from(permille) * calls;
        calls >= u64::from(config.min_calls)
            && (reaches(sum(|bucket| bucket.failures), config.failure_rate_permille)
                || (config.slow_call.is_some() && reaches(sum(|bucket| bucket.slow), config.slow_rate_permille)))
    }
}

impl Window {
    /// All that counts at `now`, together.
    pub(super) fn sum(&self, config: &Config, now: Timestamp) -> Counts {
        let cut = Cut { window: config.window, buckets: config.buckets };
        let mut window = self.clone();
        window.0.slide(cut, now);
        let mut sum = Counts::default();
        window.0.iter(cut).for_each(|bucket| sum.add(*bucket));
        sum
    }

    /// A window in which so much was counted at `now`.
    pub(super) fn of(config: &Config, counts: Counts, now: Timestamp) -> Self {
        let mut window = Self::default();
        let _ = window.record(config, counts, now);
        window
    }
}

impl Counts {
    /// The end of one call.
    #[must_use]
    pub const fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Success => Self { calls: 1, failures: 0, slow: 0 },
            Outcome::Slow => Self { calls: 1, failures: 0, slow: 1 },
            Outcome::Failure { slow, .. } => Self { calls: 1, failures: 1, slow: *slow as u32 },
            Outcome::Ignored => Self { calls: 0, failures: 0, slow: 0 },
        }
    }

    /// Adds `other`; saturates.
    pub const fn add(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.failures = self.failures.saturating_add(other.failures);
        self.slow = self.slow.saturating_add(other.slow);
    }
}
