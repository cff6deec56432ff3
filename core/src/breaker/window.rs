//! Results of the recent past, counted in buckets of time.

use super::{Config, Outcome, Settings};
use crate::time::{Timestamp, nanos};

/// Counts of the newest buckets, as a ring: bucket `n` of time lives at `n mod buckets`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Window {
    buckets: [Bucket; Settings::BUCKETS_MAX as usize],
    /// Which bucket of time is the newest.
    newest: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Bucket {
    calls: u32,
    failures: u32,
}

impl Window {
    /// Counts one result. Answers whether the failure rate is reached.
    pub(super) fn record(&mut self, config: &Config, outcome: &Outcome, now: Timestamp) -> bool {
        let failure = match outcome {
            Outcome::Success => 0,
            Outcome::Failure { .. } => 1,
            Outcome::Ignored => return false,
        };
        let buckets = u64::from(config.buckets);
        let ring = &mut self.buckets[..usize::from(config.buckets)];

        let bucket_ns = nanos(config.window).div_ceil(buckets);
        let current = now.as_unix_nanos() / bucket_ns;
        for passed in 0..current.saturating_sub(self.newest).min(buckets) {
            ring[((current - passed) % buckets) as usize] = Bucket::default();
        }
        self.newest = self.newest.max(current);

        let bucket = &mut ring[(self.newest % buckets) as usize];
        bucket.calls = bucket.calls.saturating_add(1);
        bucket.failures = bucket.failures.saturating_add(failure);

        let calls: u64 = ring.iter().map(|bucket| u64::from(bucket.calls)).sum();
        let failures: u64 = ring.iter().map(|bucket| u64::from(bucket.failures)).sum();
        calls >= u64::from(config.min_calls) && failures * 1000 >= u64::from(config.failure_rate_permille) * calls
    }
}
