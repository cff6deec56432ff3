//! How long an upstream has been silent: calls in a row that outlived the patience of who asked.

use seawall_core::time::Timestamp;

use crate::limits::{SILENCE_REMEMBERED_FOR, SILENT_CALLS};

/// The calls of one upstream that nobody waited for to the end, since it last answered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Silence {
    calls: u32,
    /// When it was noticed last; a clock that steps back makes it last longer, by the step.
    at: Timestamp,
}

impl Silence {
    /// A call has outlived somebody's patience.
    pub(crate) fn outlived(&mut self, now: Timestamp) {
        self.calls = if self.is_remembered(now) { self.calls.saturating_add(1) } else { 1 };
        self.at = now;
    }

    /// A call has ended without an answer: it is silent still, if it was.
    pub(crate) fn goes_on(&mut self, now: Timestamp) {
        if self.is_remembered(now) {
            self.at = now;
        }
    }

    /// Whether nobody need wait for it: what it did long ago says nothing of what it does now.
    pub(crate) fn is_known(&self, now: Timestamp) -> bool {
        self.calls >= SILENT_CALLS && self.is_remembered(now)
    }

    fn is_remembered(&self, now: Timestamp) -> bool {
        now.since(self.at) < SILENCE_REMEMBERED_FOR
    }
}
