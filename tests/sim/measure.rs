//! What a run is judged by.

use std::time::Duration;

use seawall_core::limit::Quota;

/// A run in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) requests: u64,
    pub(crate) admitted: u64,
    /// What one store admits of the same requests, each decided when it arrives.
    pub(crate) ideal: u64,
    /// Most admitted in any window.
    pub(crate) worst_window: u64,
    /// The same for the one store.
    pub(crate) ideal_window: u64,
    /// What the terms allow in any window: a single store's bound, and the overshoot.
    pub(crate) bound: u64,
    /// The overshoot in it.
    pub(crate) overshoot: u64,
    /// Messages sent to the authority.
    pub(crate) calls: u64,
    /// Requests that one store would have admitted, and for which no other one was admitted in their place.
    pub(crate) wrong_denials: u64,
    /// Requests refused because nobody answered.
    pub(crate) unanswered: u64,
    /// Most units that the authority knew isolates to hold.
    pub(crate) held_max: u64,
}

impl Report {
    pub(crate) fn keeps_its_bound(&self) -> bool {
        self.worst_window <= self.bound
    }
}

/// A token bucket: one store, and nothing between it and the requests.
struct Bucket {
    interval_ns: u64,
    refill_ns: u64,
    tat_ns: u64,
}

impl Bucket {
    fn new(quota: &Quota) -> Self {
        let interval_ns = nanos(quota.window()).div_ceil(u64::from(quota.limit().get()));
        Self { interval_ns, refill_ns: interval_ns * u64::from(quota.burst().get()), tat_ns: 0 }
    }

    fn has_room(&self, now_ns: u64) -> bool {
        self.tat_ns.saturating_sub(now_ns) + self.interval_ns <= self.refill_ns
    }

    fn charge(&mut self, now_ns: u64) {
        self.tat_ns = self.tat_ns.max(now_ns) + self.interval_ns;
    }
}

/// Admits what one store would, and answers when.
pub(crate) fn ideal(quota: &Quota, arrivals: &[u64]) -> Vec<u64> {
    let mut bucket = Bucket::new(quota);
    let admit = |now_ns: &u64| {
        let admits = bucket.has_room(*now_ns);
        if admits {
            bucket.charge(*now_ns);
        }
        admits
    };
    arrivals.iter().copied().filter(admit).collect()
}

/// Most of `times`, which are in order, in any half-open window.
pub(crate) fn worst_window(times: &[u64], window: Duration) -> u64 {
    let window_ns = nanos(window);
    let mut from = 0;
    let mut worst = 0;
    for (place, time) in times.iter().enumerate() {
        while time - times[from] >= window_ns {
            from += 1;
        }
        worst = worst.max(place - from + 1);
    }
    worst as u64
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    seawall_core::time::nanos(duration)
}
