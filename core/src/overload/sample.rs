//! How long some calls took.

use super::Config;
use crate::time::Timestamp;

/// The calls since a time: enough of them decide what becomes of the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    began: Timestamp,
    calls: u32,
    sum_ns: u64,
    overloaded: u32,
    in_flight_max: u32,
}

impl Sample {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { began: now, calls: 0, sum_ns: 0, overloaded: 0, in_flight_max: 0 }
    }

    pub(super) fn add(&mut self, took_ns: u64) {
        self.calls = self.calls.saturating_add(1);
        self.sum_ns = self.sum_ns.saturating_add(took_ns);
    }

    pub(super) fn add_overloaded(&mut self) {
        self.overloaded = self.overloaded.saturating_add(1);
    }

    pub(super) fn saw_in_flight(&mut self, in_flight: u32) {
        self.in_flight_max = self.in_flight_max.max(in_flight);
    }

    pub(super) fn in_flight_max(&self) -> u32 {
        self.in_flight_max
    }

    /// The mean, with each overloaded call counted as `overloaded_ns`; zero without calls.
    pub(super) fn mean_ns(&self, overloaded_ns: u64) -> u64 {
        let sum = u128::from(self.sum_ns) + u128::from(overloaded_ns) * u128::from(self.overloaded);
        let calls = u128::from(self.calls) + u128::from(self.overloaded);
        // A mean of 64-bit numbers fits 64 bits.
        sum.checked_div(calls).unwrap_or(0) as u64
    }

    /// Takes the sample when it has calls enough, and lasted long enough to see more than one burst.
    ///
    /// While the idle latency is measured, calls alone count.
    pub(super) fn take_if_full(&mut self, config: &Config, measuring: bool, now: Timestamp) -> Option<Self> {
        // A clock that stepped back ends the sample rather than prolonging it.
        let lasted = now < self.began || now >= self.began.after(config.sample_time);
        let calls = self.calls.saturating_add(self.overloaded);
        let full = if measuring { self.calls >= config.sample_calls } else { calls >= config.sample_calls && lasted };
        full.then(|| core::mem::replace(self, Self::new(now)))
    }
}
