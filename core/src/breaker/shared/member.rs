//! The side of one isolate.

use core::time::Duration;

use super::{Hint, Reply, Report, Standing};
use crate::breaker::{Breaker, Config, Counts, Gate, Outcome, Permit, State};
use crate::time::Timestamp;

/// The breaker of one upstream in one isolate, which believes an [`Authority`](super::Authority).
///
/// # When the clock steps back
///
/// A wait is cut to the longest that could begin now, as in [`Breaker`]; a lease that was asked for at a
/// later time than now is not used.
#[derive(Clone, Debug)]
pub struct Member {
    isolate: u64,
    seq: u64,
    local: Breaker,
    hint: Held,
    unsent: Unsent,
    asked: Option<Asked>,
    /// Until then the authority is not asked, because it did not answer.
    away_until: Timestamp,
}

/// What may be done with one call.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum MemberGate {
    /// Call, and give the permit back with the result.
    Pass(MemberPermit),
    /// Do not call.
    Reject {
        /// When a call may be let through again. Above zero.
        retry_after: Duration,
    },
    /// Send this to the authority first; then [`Member::answer`] or [`Member::unreachable`] says more.
    Ask(Report),
}

/// The right to one call. Given back to [`Member::record`] with the result.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a call without a recorded result tells the breaker nothing"]
pub struct MemberPermit(pub(super) Right);

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// The isolate's own breaker let it through, under the hint of that generation.
    Local { permit: Permit, generation: u64 },
    /// The authority leased a probe.
    Leased { lease: u32, generation: u64 },
}

/// The latest hint, in the isolate's own time.
#[derive(Clone, Copy, Debug)]
struct Held {
    generation: u64,
    /// `None`: closed.
    until: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Unsent {
    counts: Counts,
    retry_after: Option<Duration>,
    since: Timestamp,
    /// When the last report left that was sent for a failure's sake.
    told: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    seq: u64,
    at: Timestamp,
}

impl Member {
    /// A closed breaker that has heard nothing. `isolate` is a number that no other isolate has: one drawn at
    /// random when it starts.
    #[must_use]
    pub fn new(isolate: u64) -> Self {
        Self {
            isolate,
            seq: 0,
            local: Breaker::new(),
            hint: Held { generation: 0, until: None },
            unsent: Unsent::default(),
            asked: None,
            away_until: Timestamp::UNIX_EPOCH,
        }
    }

    /// Where the isolate stands at `now`: the next call meets this state.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> State {
        match self.hint.until {
            None => self.local.state(now),
            Some(until) if now < until => State::Open,
            Some(_) => State::HalfOpen,
        }
    }

    /// The latest hint, for others to [adopt](Member::adopt): it may travel from isolate to isolate in any way. Before
    /// the first one it is of generation zero.
    #[must_use]
    pub fn hint(&self, now: Timestamp) -> Hint {
        let standing = match self.hint.until.map(|until| until.since(now)) {
            None => Standing::Closed,
            Some(Duration::ZERO) => Standing::HalfOpen { wait: Duration::ZERO },
            Some(wait) => Standing::Open { wait },
        };
        Hint { generation: self.hint.generation, standing }
    }

    /// How often the isolate's own breaker opened since it was last closed.
    #[must_use]
    pub const fn opens(&self) -> u32 {
        self.local.opens()
    }

    /// Asks for one call at `now`.
    pub fn admit(&mut self, config: &Config, now: Timestamp) -> MemberGate {
        let Some(until) = &mut self.hint.until else { return self.admit_here(config, now) };
        *until = (*until).min(now.after(config.pause_max()));
        if now < *until {
            return MemberGate::Reject { retry_after: until.since(now) };
        }
        self.away_until = self.away_until.min(now.after(config.probe_timeout));
        if now < self.away_until {
            return self.admit_here(config, now);
        }
        // One question at a time; one that is not answered within a lease never is.
        if let Some(asked) = self.asked {
            let over = asked.at.min(now).after(config.probe_timeout);
            if now < over {
                return MemberGate::Reject { retry_after: over.since(now) };
            }
        }
        let report = Report { wants_probe: true, ..self.report(config, now) };
        self.asked = Some(Asked { seq: report.seq, at: now });
        MemberGate::Ask(report)
    }

    /// Takes the authority's reply to what [`MemberGate::Ask`] asked, and decides on the call.
    pub fn answer(&mut self, config: &Config, reply: &Reply, now: Timestamp) -> MemberGate {
        let asked = self.asked.take_if(|asked| asked.seq == reply.seq);
        self.adopt(&reply.hint, now);
        let Some(until) = self.hint.until else { return self.admit_here(config, now) };
        // The authority's lease began after the question left, so counting from there it ends later than here.
        let holds = |asked: &Asked| asked.at <= now && now < asked.at.after(config.probe_timeout);
        match (reply.lease, asked.filter(holds)) {
            (Some(lease), Some(_)) if reply.hint.generation == self.hint.generation => {
                MemberGate::Pass(MemberPermit(Right::Leased { lease, generation: self.hint.generation }))
            }
            _ => {
                // Nothing to wait for means that a lease was missed; it ends within this time.
                let wait = if now < until { until.since(now) } else { config.probe_timeout };
                MemberGate::Reject { retry_after: wait }
            }
        }
    }

    /// Decides on the call by the isolate's own breaker, because the authority did not answer.
    pub fn unreachable(&mut self, config: &Config, now: Timestamp) -> MemberGate {
        self.asked = None;
        self.away_until = now.after(config.probe_timeout);
        self.admit_here(config, now)
    }

    /// Takes back a permit with what became of the call, at `now`. `random` spreads waits.
    ///
    /// Answers with a report that the authority should hear at once, without anyone waiting for it: the end
    /// of a probe, what made this isolate open by itself, or a failure after a quiet time. The reply goes to [`Member::adopt`].
    pub fn record(
        &mut self,
        config: &Config,
        permit: MemberPermit,
        outcome: Outcome,
        now: Timestamp,
        random: u32,
    ) -> Option<Report> {
        match permit.0 {
            Right::Leased { lease, generation } => {
                let report = self.report(config, now);
                Some(Report { generation, counts: Counts::default(), settled: Some((lease, outcome)), ..report })
            }
            Right::Local { permit, generation } => {
                let was_closed = self.local.is_closed();
                self.local.record(config, permit, outcome, now, random);
                let opens = was_closed && !self.local.is_closed();
                if generation != self.hint.generation {
                    return None;
                }
                let counts = Counts::of(&outcome);
                if self.unsent.counts.calls == 0 {
                    self.unsent.since = now;
                }
                self.unsent.counts.add(counts);
                self.unsent.retry_after = self.unsent.retry_after.max(outcome.retry_after());
                let quiet = config.window / u32::from(config.buckets);
                let tells = counts.failures + counts.slow > 0 && self.unsent.told.after(quiet) <= now;
                if !tells && !opens {
                    return None;
                }
                self.unsent.told = now;
                Some(self.report(config, now))
            }
        }
    }

    /// What the authority has not heard yet, to ride on a call that is made anyway. What is older than the
    /// window is left out.
    pub fn report(&mut self, config: &Config, now: Timestamp) -> Report {
        self.seq += 1;
        let told = Unsent { told: self.unsent.told, ..Unsent::default() };
        let unsent = core::mem::replace(&mut self.unsent, told);
        let counts = if now.since(unsent.since) < config.window { unsent.counts } else { Counts::default() };
        Report {
            isolate: self.isolate,
            seq: self.seq,
            generation: self.hint.generation,
            counts,
            retry_after: unsent.retry_after,
            settled: None,
            wants_probe: false,
        }
    }

    /// Believes `hint`, unless one of a later generation is held.
    pub fn adopt(&mut self, hint: &Hint, now: Timestamp) {
        if hint.generation < self.hint.generation {
            return;
        }
        let news = hint.generation > self.hint.generation;
        // Before the first word of an authority the isolate went by itself, and what it saw still holds.
        let first = self.hint.generation == 0;
        let until = match hint.standing {
            Standing::Closed => None,
            Standing::Open { wait } | Standing::HalfOpen { wait } => Some(now.after(wait)),
        };
        match (until, hint.standing) {
            (None, _) if news && first => {}
            (None, _) if news => self.local.close(),
            (Some(until), _) if news => self.local.open(until),
            // The same generation says the same, except when the next probe may be free.
            (Some(_), Standing::HalfOpen { .. }) => {}
            _ => return,
        }
        if news {
            self.unsent.counts = Counts::default();
            self.unsent.retry_after = None;
        }
        self.hint = Held { generation: hint.generation, until };
    }

    /// For how long the isolate's own breaker lets no call through, while it is open; for isolates without an authority
    /// to [warn](Member::warn) each other.
    #[must_use]
    pub fn holds_for(&self, config: &Config, now: Timestamp) -> Option<Duration> {
        match self.local.standing(config, now) {
            Standing::Open { wait } => Some(wait),
            Standing::Closed | Standing::HalfOpen { .. } => None,
        }
    }

    /// Opens the isolate's own breaker for `wait`, because another isolate's has opened and no authority decides. One that
    /// is not closed goes by what it saw itself; when the wait is over each isolate makes its own probes.
    pub fn warn(&mut self, config: &Config, wait: Duration, now: Timestamp) {
        if self.hint.generation == 0 && self.local.is_closed() && !wait.is_zero() {
            self.local.open(now.after(wait.min(config.pause_max())));
        }
    }

    fn admit_here(&mut self, config: &Config, now: Timestamp) -> MemberGate {
        match self.local.admit(config, now) {
            Gate::Pass(permit) => {
                MemberGate::Pass(MemberPermit(Right::Local { permit, generation: self.hint.generation }))
            }
            Gate::Reject { retry_after } => MemberGate::Reject { retry_after },
        }
    }
}
