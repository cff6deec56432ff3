//! Counts of the recent past, in buckets of time that slide.

use core::time::Duration;

use crate::time::{Timestamp, nanos};

/// Most buckets: finer steps cost memory in every copy of the state and change no decision that matters.
pub(crate) const BUCKETS_MAX: u8 = 16;

/// The newest buckets of time, as a ring: bucket `n` of time lives at `n mod buckets`.
///
/// A clock that steps back counts into the newest bucket until it has caught up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Ring<B> {
    buckets: [B; BUCKETS_MAX as usize],
    /// Which bucket of time is the newest.
    newest: u64,
}

/// How a window of time is cut into buckets: 1 to [`BUCKETS_MAX`] of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) window: Duration,
    pub(crate) buckets: u8,
}

impl<B: Copy + Default> Ring<B> {
    /// Forgets what is older than the window at `now`, and answers which bucket of time is the newest.
    pub(crate) fn slide(&mut self, cut: Cut, now: Timestamp) -> u64 {
        let buckets = u64::from(cut.buckets);
        let current = now.as_unix_nanos() / nanos(cut.window).div_ceil(buckets);
        for passed in 0..current.saturating_sub(self.newest).min(buckets) {
            self.buckets[((current - passed) % buckets) as usize] = B::default();
        }
        self.newest = self.newest.max(current);
        self.newest
    }

    /// Bucket `number` of time, if the window still holds it.
    pub(crate) fn bucket(&mut self, cut: Cut, number: u64) -> Option<&mut B> {
        let buckets = u64::from(cut.buckets);
        let held = number <= self.newest && self.newest - number < buckets;
        held.then(|| &mut self.buckets[(number % buckets) as usize])
    }

    /// All buckets of the window, in no order.
    pub(crate) fn iter(&self, cut: Cut) -> impl Iterator<Item = &B> {
        self.buckets[..usize::from(cut.buckets)].iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUT: Cut = Cut { window: Duration::from_secs(10), buckets: 10 };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(1_772_323_200 + seconds)
    }

    fn sum(ring: &Ring<u32>) -> u32 {
        ring.iter(CUT).sum()
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut ring = Ring::default();
        for second in 0..10 {
            let newest = ring.slide(CUT, at(second));
            *ring.bucket(CUT, newest).expect("the newest is held") += 1;
        }
        assert_eq!(sum(&ring), 10);
        let newest = ring.slide(CUT, at(10));
        assert_eq!(sum(&ring), 9);
        assert!(ring.bucket(CUT, newest - 9).is_some());
        assert!(ring.bucket(CUT, newest - 10).is_none());
        assert!(ring.bucket(CUT, newest + 1).is_none());
        ring.slide(CUT, at(1_000_000));
        assert_eq!(sum(&ring), 0);
    }

    #[test]
    fn a_clock_that_steps_back_stays_in_the_newest_bucket() {
        let mut ring: Ring<u32> = Ring::default();
        let newest = ring.slide(CUT, at(100));
        assert_eq!(ring.slide(CUT, at(0)), newest);
    }
}
