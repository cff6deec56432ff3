//! What one isolate said of a shared limit, as a line.

use alloc::string::String;
use core::num::NonZeroU32;
use core::time::Duration;

use super::{Asked, Mode, Quota, Spender, Step, Terms};
use crate::explain::{Inputs, InvalidLine, Line, Record};
use crate::time::Timestamp;

impl Spender {
    /// The line of what [`Spender::spend`] says to the same request, under the policy of that name; see
    /// [`crate::explain`]. Nothing is spent, and nothing is sent.
    #[must_use]
    pub fn explain(&self, terms: &Terms, isolate: u64, cost: u32, now: Timestamp, policy: &str) -> String {
        let mut line = Line::new("limit.shared", policy);
        match { *self }.spend(terms, isolate, cost, now) {
            Step::Allow { tell } => line.word("verdict", "allow").flag("tells", tell.is_some()),
            Step::Deny { retry_after } => line.word("verdict", "deny").time("retry-after", Some(retry_after)),
            Step::Never => line.word("verdict", "never"),
            Step::Ask(_) => line.word("verdict", "ask"),
        };
        let mut request = Request { cost, isolate, now };
        let mut record = Record::write(&mut line);
        // Writing refuses nothing.
        let _ = request.record(&mut record);
        let _ = record_terms(Some(terms), &mut record);
        let _ = { *self }.record(&mut record);
        line.into_text()
    }

    pub(crate) fn replay(inputs: &Inputs<'_>, policy: &str) -> Result<String, InvalidLine> {
        let mut record = Record::read(inputs);
        let mut request = Request { cost: 0, isolate: 0, now: Timestamp::UNIX_EPOCH };
        request.record(&mut record)?;
        let terms = record_terms(None, &mut record)?;
        let mut spender = Self::default();
        spender.record(&mut record)?;
        let Request { cost, isolate, now } = request;
        Ok(spender.explain(&terms, isolate, cost, now, policy))
    }

    fn record(&mut self, record: &mut Record<'_>) -> Result<(), InvalidLine> {
        record.number("born", &mut self.born)?;
        record.number("seq", &mut self.seq)?;
        record.at("clock", &mut self.clock)?;
        record.at("denied-until", &mut self.denied_until)?;
        record.flag("short", &mut self.short)?;
        record.at("room-at", &mut self.room_at)?;
        let mut waits = self.asked.is_some();
        record.flag("asked", &mut waits)?;
        if waits {
            let mut asked = self.asked.unwrap_or(Asked { seq: 0, at: Timestamp::UNIX_EPOCH, total: 0 });
            record.number("asked-seq", &mut asked.seq)?;
            record.at("asked-at", &mut asked.at)?;
            record.number("asked-total", &mut asked.total)?;
            self.asked = Some(asked);
        }
        self.demand.record(record)?;
        record.number("held", &mut self.held)?;
        record.number("lot", &mut self.lot)?;
        record.time("trip", &mut self.trip)?;
        record.at("expires", &mut self.expires)?;
        record.number("acked", &mut self.acked)?;
        record.number("total", &mut self.total)?;
        record.number("unsynced", &mut self.unsynced)?;
        record.at("view", &mut self.view)?;
        record.at("synced", &mut self.synced)?;
        record.at("alone", &mut self.alone)
    }
}

struct Request {
    cost: u32,
    isolate: u64,
    now: Timestamp,
}

impl Request {
    fn record(&mut self, record: &mut Record<'_>) -> Result<(), InvalidLine> {
        record.number("cost", &mut self.cost)?;
        record.number("isolate", &mut self.isolate)?;
        record.at("now", &mut self.now)
    }
}

fn record_terms(terms: Option<&Terms>, record: &mut Record<'_>) -> Result<Terms, InvalidLine> {
    let quota = terms.map(Terms::quota);
    let (mut limit, mut burst) = quota.map_or((0, 0), |quota| (quota.limit().get(), quota.burst().get()));
    let mut window = quota.map_or(Duration::ZERO, Quota::window);
    let (mut kind, mut units, mut time) = match terms.map(Terms::mode) {
        None | Some(Mode::Exact) => ("exact", 0, Duration::ZERO),
        Some(Mode::Lease { outstanding_max, ttl }) => ("lease", *outstanding_max, *ttl),
        Some(Mode::Async { unsynced_max, sync_every }) => ("async", *unsynced_max, *sync_every),
    };
    record.number("limit", &mut limit)?;
    record.time("window", &mut window)?;
    record.number("burst", &mut burst)?;
    record.word("mode", &mut kind, &["exact", "lease", "async"].map(|kind| (kind, kind)))?;
    let mode = if kind == "exact" {
        Mode::Exact
    } else {
        record.number("units-max", &mut units)?;
        record.time("mode-time", &mut time)?;
        match kind {
            "lease" => Mode::Lease { outstanding_max: units, ttl: time },
            _ => Mode::Async { unsynced_max: units, sync_every: time },
        }
    };
    let units = |number, name| NonZeroU32::new(number).ok_or_else(|| record.invalid(name));
    let quota = Quota::new(units(limit, "limit")?, window, units(burst, "burst")?);
    let quota = quota.map_err(|_| record.invalid("window"))?;
    Terms::new(quota, mode).map_err(|_| record.invalid("mode-time"))
}
