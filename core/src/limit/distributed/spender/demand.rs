//! How many units a key needs in the time of one lease.

use core::time::Duration;

use crate::explain::{InvalidLine, Record};
use crate::time::{Timestamp, nanos};

/// A moving average of the units asked for in each lease's time, over about two of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Demand {
    /// Which lease's time, counted from the epoch, `units` belongs to.
    slot: u64,
    units: u32,
    /// The average of the slots before, in 256ths.
    average_256: u64,
}

impl Demand {
    pub(super) fn add(&mut self, units: u32, ttl: Duration, now: Timestamp) {
        // The shortest lease is far above zero.
        let slot = now.as_unix_nanos() / nanos(ttl).max(1);
        if slot > self.slot {
            self.fold(u64::from(self.units) * 256);
            for _ in 0..(slot - self.slot - 1).min(SLOTS_MAX) {
                self.fold(0);
            }
            (self.slot, self.units) = (slot, 0);
        }
        self.units = self.units.saturating_add(units);
    }

    /// What it is made of, for a line.
    pub(super) fn record(&mut self, record: &mut Record<'_>) -> Result<(), InvalidLine> {
        record.number("demand-slot", &mut self.slot)?;
        record.number("demand-units", &mut self.units)?;
        record.number("demand-average-256", &mut self.average_256)
    }

    /// How many units to hold. The slot that runs counts as soon as it is above the average, so that a key which
    /// becomes busy is not asked about one by one for long.
    pub(super) fn wanted(&self) -> u32 {
        u32::try_from(self.average_256 / 256).unwrap_or(u32::MAX).max(self.units.saturating_sub(1))
    }

    /// Two fifths of the newest slot: what is left of a slot after two more is a seventh.
    fn fold(&mut self, units_256: u64) {
        self.average_256 = (self.average_256 * 3 + units_256 * 2) / 5;
    }
}

/// After so many empty slots nothing is left of what was before.
const SLOTS_MAX: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_rate_and_forgets_it() {
        let ttl = Duration::from_secs(1);
        let at = |ms: u64| Timestamp::from_unix_millis(1_772_323_200_000 + ms);
        let mut demand = Demand::default();
        demand.add(1, ttl, at(0));
        assert_eq!(demand.wanted(), 0);
        for ms in (0..10_000).step_by(100) {
            demand.add(1, ttl, at(ms));
        }
        assert_eq!(demand.wanted(), 9);
        demand.add(1, ttl, at(10_000));
        assert_eq!(demand.wanted(), 9);
        demand.add(1, ttl, at(100_000));
        assert_eq!(demand.wanted(), 0);
        // A busy moment counts at once, and a clock that steps back stays in the newest slot.
        for _ in 0..50 {
            demand.add(1, ttl, at(0));
        }
        assert_eq!(demand.wanted(), 50);
    }
}
