//! What a breaker said, as a line.

use alloc::{string::String, vec::Vec};

use super::window::{Counts, Window};
use super::{Breaker, Config, Gate, Lease, Outcome, Permit, Phase, Probes, Settings, State};
use crate::explain::{Inputs, InvalidLine, Line, Record};
use crate::time::Timestamp;

impl Breaker {
    /// The line of what [`Breaker::admit`] says at `now`, under the policy of that name; see [`crate::explain`].
    #[must_use]
    pub fn explain(&self, config: &Config, now: Timestamp, policy: &str) -> String {
        let mut line = Line::new("breaker.admit", policy);
        match self.clone().admit(config, now) {
            Gate::Pass(permit) => {
                line.word("verdict", "pass").word("why", if permit.lease.is_some() { "probe" } else { "closed" })
            }
            Gate::Reject { retry_after } => {
                let why = if self.state(now) == State::Open { "open" } else { "probes-out" };
                line.word("verdict", "reject").word("why", why).time("retry-after", Some(retry_after))
            }
        };
        // Writing refuses nothing.
        let _ = Seen::new(self, config, now).record(&mut Record::write(&mut line));
        line.into_text()
    }

    /// The line of what [`Breaker::record`] makes of the end of a call, under the policy of that name; see
    /// [`crate::explain`].
    #[must_use]
    pub fn explain_end(
        &self,
        config: &Config,
        permit: &Permit,
        outcome: Outcome,
        now: Timestamp,
        random: u32,
        policy: &str,
    ) -> String {
        let mut seen = Seen::new(self, config, now);
        let is_current = permit.generation == self.generation;
        let probe = permit.lease;
        let mut end = End { is_current, probe: probe.unwrap_or_default(), outcome, random };
        let mut after = self.clone();
        after.record(config, Permit { generation: permit.generation, lease: probe }, outcome, now, random);
        let mut line = Line::new("breaker.record", policy);
        line.word(
            "verdict",
            match (&self.phase, &after.phase) {
                (Phase::Open { .. }, Phase::Open { .. }) => "stays",
                (_, Phase::Open { .. }) => "opens",
                (Phase::HalfOpen { .. }, Phase::Closed { .. }) => "closes",
                _ => "stays",
            },
        );
        if let (false, Phase::Open { until }) = (matches!(self.phase, Phase::Open { .. }), &after.phase) {
            line.time("for", Some(until.since(now)));
        }
        // Writing refuses nothing.
        let mut record = Record::write(&mut line);
        let _ = end.record(&mut record);
        let _ = seen.record(&mut record);
        line.into_text()
    }

    pub(crate) fn replay(inputs: &Inputs<'_>, policy: &str) -> Result<String, InvalidLine> {
        let (breaker, config, now) = Seen::read(inputs)?;
        Ok(breaker.explain(&config, now, policy))
    }

    pub(crate) fn replay_end(inputs: &Inputs<'_>, policy: &str) -> Result<String, InvalidLine> {
        let mut end = End { is_current: false, probe: 0, outcome: Outcome::Ignored, random: 0 };
        end.record(&mut Record::read(inputs))?;
        let (breaker, config, now) = Seen::read(inputs)?;
        let generation = if end.is_current { breaker.generation } else { breaker.generation.wrapping_sub(1) };
        let permit = Permit { generation, lease: (end.probe != 0).then_some(end.probe) };
        Ok(breaker.explain_end(&config, &permit, end.outcome, now, end.random, policy))
    }
}

/// How a call ended.
struct End {
    /// Whether it began in the state that the breaker is in now.
    is_current: bool,
    /// The number of its lease; zero when it was no probe.
    probe: u32,
    outcome: Outcome,
    random: u32,
}

impl End {
    fn record(&mut self, record: &mut Record<'_>) -> Result<(), InvalidLine> {
        record.flag("current", &mut self.is_current)?;
        record.number("probe", &mut self.probe)?;
        let (mut failed, mut slow, mut retry_after) = match self.outcome {
            Outcome::Failure { slow, retry_after } => (Some(true), slow, retry_after),
            Outcome::Slow => (Some(false), true, None),
            Outcome::Success => (Some(false), false, None),
            Outcome::Ignored => (None, false, None),
        };
        record.word("failed", &mut failed, &[(Some(true), "yes"), (Some(false), "no"), (None, "ignored")])?;
        record.flag("slow", &mut slow)?;
        record.optional_time("asked-to-wait", &mut retry_after)?;
        self.outcome = match failed {
            Some(true) => Outcome::Failure { slow, retry_after },
            Some(false) if slow => Outcome::Slow,
            Some(false) => Outcome::Success,
            None => Outcome::Ignored,
        };
        record.number("random", &mut self.random)
    }
}

/// A breaker as its decisions see it: what was counted is one sum.
struct Seen {
    state: State,
    opens: u32,
    counts: Counts,
    until: Timestamp,
    probes: Probes,
    settings: Settings,
    now: Timestamp,
}

impl Seen {
    fn new(breaker: &Breaker, config: &Config, now: Timestamp) -> Self {
        let mut seen = Self {
            state: State::Closed,
            opens: breaker.opens,
            counts: Counts::default(),
            until: Timestamp::UNIX_EPOCH,
            probes: Probes::default(),
            settings: **config,
            now,
        };
        match &breaker.phase {
            Phase::Closed { window } => seen.counts = window.sum(config, now),
            Phase::Open { until } => (seen.state, seen.until) = (State::Open, *until),
            Phase::HalfOpen { probes } => (seen.state, seen.probes) = (State::HalfOpen, probes.clone()),
        }
        seen
    }

    fn read(inputs: &Inputs<'_>) -> Result<(Breaker, Config, Timestamp), InvalidLine> {
        let config = Config::default();
        let mut seen = Self::new(&Breaker::new(), &config, Timestamp::UNIX_EPOCH);
        seen.record(&mut Record::read(inputs))?;
        let config = Config::new(seen.settings).map_err(|error| InvalidLine::of(error.setting))?;
        let phase = match seen.state {
            State::Closed => Phase::Closed { window: Window::of(&config, seen.counts, seen.now) },
            State::Open => Phase::Open { until: seen.until },
            State::HalfOpen => Phase::HalfOpen { probes: seen.probes },
        };
        Ok((Breaker { generation: 0, opens: seen.opens, phase }, config, seen.now))
    }

    fn record(&mut self, record: &mut Record<'_>) -> Result<(), InvalidLine> {
        let Self { state, opens, counts, until, probes, settings, now } = self;
        record.at("now", now)?;
        let states = [State::Closed, State::Open, State::HalfOpen].map(|state| (state, state.as_str()));
        record.word("state", state, &states)?;
        record.number("opens", opens)?;
        match state {
            State::Closed => {
                record.number("calls", &mut counts.calls)?;
                record.number("failures", &mut counts.failures)?;
                record.number("slow-calls", &mut counts.slow)?;
            }
            State::Open => record.at("until", until)?,
            State::HalfOpen => {
                record.number("issued", &mut probes.issued)?;
                record.number("succeeded", &mut probes.succeeded)?;
                record.number("failed-probes", &mut probes.failed)?;
                let lease = |lease: &Lease| [u64::from(lease.id), lease.expires.as_unix_nanos()];
                let mut leases: Vec<u64> = probes.leases.iter().flat_map(lease).collect();
                record.numbers("leases", &mut leases)?;
                let lease = |pair: &[u64; 2]| {
                    let id = u32::try_from(pair[0]).map_err(|_| InvalidLine::of("leases"))?;
                    Ok(Lease { id, expires: Timestamp::from_unix_nanos(pair[1]) })
                };
                probes.leases = leases.as_chunks().0.iter().map(lease).collect::<Result<_, _>>()?;
            }
        }
        record_settings(settings, record)
    }
}

fn record_settings(settings: &mut Settings, record: &mut Record<'_>) -> Result<(), InvalidLine> {
    let Settings { min_calls, failure_rate_permille, slow_call, slow_rate_permille, open_base, open_cap, .. } =
        settings;
    record.number("min-calls", min_calls)?;
    record.number("failure-rate-permille", failure_rate_permille)?;
    record.optional_time("slow-call", slow_call)?;
    record.number("slow-rate-permille", slow_rate_permille)?;
    record.time("open-base", open_base)?;
    record.time("open-cap", open_cap)?;
    record.number("jitter-permille", &mut settings.jitter_permille)?;
    record.number("probes", &mut settings.probes)?;
    record.number("probes-to-close", &mut settings.probes_to_close)?;
    record.time("probe-timeout", &mut settings.probe_timeout)?;
    // Neither decides anything once the counts are summed up.
    let Settings { window, buckets, .. } = Settings::default();
    (settings.window, settings.buckets) = (window, buckets);
    Ok(())
}
