//! The side that decides for all.

use alloc::vec::Vec;

use super::{Hint, Reply, Report};
use crate::breaker::{Breaker, Config, Gate, Permit, Settings};
use crate::senders::Senders;
use crate::time::Timestamp;

/// The breaker of one upstream for all isolates.
///
/// A plain value: keep it in memory, and write it down when [`Hint::generation`] changed, which in good times
/// is never.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Authority {
    pub(super) breaker: Breaker,
    /// Probes of this generation whose end is not known, the newest [`LEASED_MAX`] of them.
    leased: Vec<Leased>,
    heard: Senders,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Leased {
    lease: u32,
    isolate: u64,
    seq: u64,
}

/// How many leases are remembered, lost ones included: four rounds of the most probes there may be. What
/// becomes of an older one is not heard any more.
const LEASED_MAX: usize = 4 * Settings::PROBES_MAX as usize;

impl Authority {
    /// A closed authority that has heard nothing.
    ///
    /// `now` makes its generations later than those of an authority that was here before. One that starts
    /// with an earlier clock is not believed until it has caught up; isolates then decide by themselves.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        let breaker = Breaker { generation: now.as_unix_nanos(), ..Breaker::default() };
        Self { breaker, leased: Vec::new(), heard: Senders::default() }
    }

    /// Where it stands, for an answer that carries nothing else.
    #[must_use]
    pub fn hint(&self, config: &Config, now: Timestamp) -> Hint {
        Hint { generation: self.breaker.generation, standing: self.breaker.standing(config, now) }
    }

    /// Hears `report` at `now`. `random` is any number; it spreads waits, and decides nothing else.
    ///
    /// A report heard before changes nothing, and gets the same probe while its lease holds.
    pub fn hear(&mut self, config: &Config, report: &Report, now: Timestamp, random: u32) -> Reply {
        let generation = self.breaker.generation;
        let first = self.heard.is_first(report.isolate, report.seq);
        // An isolate that has heard nothing yet counts from its start, and is heard while the breaker is closed.
        let from_start = report.generation == 0 && self.breaker.is_closed();
        if first && (report.generation == generation || from_start) {
            if let Some((lease, outcome)) = report.settled
                && self.leased.iter().any(|leased| leased.lease == lease && leased.isolate == report.isolate)
            {
                self.leased.retain(|leased| leased.lease != lease);
                self.breaker.record(config, Permit { generation, lease: Some(lease) }, outcome, now, random);
            }
            self.breaker.tally(config, report.counts, report.retry_after, now, random);
        }
        let lease = report.wants_probe.then(|| self.lease(config, report, first, now)).flatten();
        if self.breaker.generation != generation {
            self.leased.retain(|leased| Some(leased.lease) == lease);
        }
        Reply { seq: report.seq, hint: self.hint(config, now), lease }
    }

    fn lease(&mut self, config: &Config, report: &Report, first: bool, now: Timestamp) -> Option<u32> {
        if !first {
            let again = |leased: &&Leased| (leased.isolate, leased.seq) == (report.isolate, report.seq);
            let lease = self.leased.iter().find(again)?.lease;
            return self.breaker.holds(lease, now).then_some(lease);
        }
        if self.breaker.is_closed() {
            return None;
        }
        let Gate::Pass(Permit { lease: Some(lease), .. }) = self.breaker.admit(config, now) else { return None };
        if self.leased.len() >= LEASED_MAX {
            self.leased.remove(0);
        }
        self.leased.push(Leased { lease, isolate: report.isolate, seq: report.seq });
        Some(lease)
    }
}
