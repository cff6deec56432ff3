//! A quota as the numbers that leases are counted with.

use crate::limit::Quota;
use crate::time::nanos;

/// What one unit and a whole burst are worth in time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) interval_ns: u64,
    pub(super) refill_ns: u64,
}

impl Rate {
    pub(super) fn of(quota: &Quota) -> Self {
        let interval_ns = nanos(quota.window()).div_ceil(u64::from(quota.limit().get()));
        Self { interval_ns, refill_ns: interval_ns.saturating_mul(u64::from(quota.burst().get())) }
    }

    /// The time in which `units` are earned.
    pub(super) fn worth(self, units: u64) -> u64 {
        self.interval_ns.saturating_mul(units)
    }

    /// How many units could be spent with so much owed.
    pub(super) fn remaining(self, debt_ns: u64) -> u32 {
        // At most the burst, which has 32 bits.
        (self.refill_ns.saturating_sub(debt_ns) / self.interval_ns) as u32
    }

    /// How long until `units` could be spent with so much owed; zero when they can be now.
    pub(super) fn wait_ns(self, debt_ns: u64, units: u32) -> u64 {
        debt_ns.saturating_add(self.worth(u64::from(units))).saturating_sub(self.refill_ns)
    }
}
