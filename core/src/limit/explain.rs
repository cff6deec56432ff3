//! What limits said, as a line.
//!
//! A line holds the rule and the state in numbers. The key, which may name a client, is in it only under windows that
//! start for each key at another time, because there it decides.

use alloc::{format, string::String, vec::Vec};
use core::num::NonZeroU32;
use core::time::Duration;

use super::fixed_window::PeriodParts;
use super::{
    Algorithm, Check, Concurrency, Decision, FixedWindow, IntervalBucket, JointDecision, LIMITS_PER_REQUEST_MAX, Lease,
    LeaseId, Leases, LimitId, Log, Period, Quota, Ruling, SlidingLog, SlidingWindow, Spend, State, Tat, Tokens,
    WindowCount, WindowCounts, decide_all,
};
use crate::explain::{Inputs, InvalidLine, Line, Record};
use crate::time::{Timestamp, nanos};

impl Algorithm {
    /// The line of what [`Algorithm::decide`] says of the same spending, under the policy of that name; see
    /// [`crate::explain`].
    #[must_use]
    pub fn explain(&self, stored: Option<&State>, now: Timestamp, spend: &Spend, policy: &str) -> String {
        let mut line = Line::new("limit", policy);
        let after = match self.decide(stored, now, spend) {
            Decision::Allow { next } => Some(next),
            Decision::Deny { .. } | Decision::Never => None,
        };
        write_ruling(&mut line, "", self.peek(stored, now, spend));
        line.word("remaining", &format!("{}", self.remaining(after.as_ref().or(stored), now)));
        let mut inputs = Inquiry { rule: *self, stored: stored.cloned(), spend: *spend };
        let mut now = now;
        let mut record = Record::write(&mut line);
        // Writing refuses nothing.
        let _ = record.at("now", &mut now);
        let _ = inputs.record(&mut record);
        line.into_text()
    }
}

impl JointDecision<'_> {
    /// The line of this decision, with what each limit said; `name` finds the name of a limit in the policy. See
    /// [`crate::explain`].
    #[must_use]
    pub fn explain<'n>(&self, name: impl Fn(LimitId) -> &'n str) -> String {
        let mut line = Line::new("limit.joint", "");
        write_ruling(&mut line, "", self.ruling());
        let mut now = self.now();
        // Writing refuses nothing.
        let _ = Record::write(&mut line).at("now", &mut now);
        for (place, check) in self.checks().iter().enumerate() {
            let under = format!("{place}.");
            line.text(&format!("{under}policy"), name(check.limit));
            write_ruling(&mut line, &under, check.algorithm.peek(check.stored, now, &check.spend));
            let mut inputs = Inquiry { rule: *check.algorithm, stored: check.stored.cloned(), spend: check.spend };
            let _ = inputs.record(&mut Record::write(&mut line).under(&under));
        }
        line.into_text()
    }
}

pub(crate) fn replay(inputs: &Inputs<'_>, policy: &str) -> Result<String, InvalidLine> {
    let mut now = Timestamp::UNIX_EPOCH;
    let mut record = Record::read(inputs);
    record.at("now", &mut now)?;
    let mut asked = Inquiry::nothing()?;
    asked.record(&mut record)?;
    Ok(asked.rule.explain(asked.stored.as_ref(), now, &asked.spend, policy))
}

pub(crate) fn replay_joint(inputs: &Inputs<'_>) -> Result<String, InvalidLine> {
    let mut now = Timestamp::UNIX_EPOCH;
    Record::read(inputs).at("now", &mut now)?;
    let mut names = Vec::new();
    let mut asked = Vec::new();
    for place in 0..LIMITS_PER_REQUEST_MAX {
        let Ok(name) = inputs.text(&format!("{place}.policy")) else { break };
        let mut one = Inquiry::nothing()?;
        one.record(&mut Record::read(inputs).under(&format!("{place}.")))?;
        names.push(name);
        asked.push(one);
    }
    let check = |(place, asked)| {
        let Inquiry { rule, stored, spend }: &Inquiry = asked;
        Check { limit: LimitId(place), algorithm: rule, stored: stored.as_ref(), spend: *spend }
    };
    let checks: Vec<Check<'_>> = (0..).zip(&asked).map(check).collect();
    Ok(decide_all(&checks, now).explain(|limit| names.get(usize::from(limit.0)).map_or("", String::as_str)))
}

fn write_ruling(line: &mut Line, under: &str, ruling: Ruling) {
    let verdict = format!("{under}verdict");
    match ruling {
        Ruling::Allow => line.word(&verdict, "allow"),
        Ruling::Never => line.word(&verdict, "never"),
        Ruling::Deny { retry_after } => {
            line.word(&verdict, "deny").time(&format!("{under}retry-after"), Some(retry_after))
        }
    };
}

/// All that one limit's decision depends on, but for the time.
struct Inquiry {
    rule: Algorithm,
    stored: Option<State>,
    spend: Spend,
}

impl Inquiry {
    /// Something to read over.
    fn nothing() -> Result<Self, InvalidLine> {
        let rule = Quota::new(NonZeroU32::MIN, Duration::from_secs(1), NonZeroU32::MIN);
        let rule = rule.map_err(|_| InvalidLine::of("rule"))?.into();
        Ok(Self { rule, stored: None, spend: Spend::default() })
    }

    fn record(&mut self, record: &mut Record<'_>) -> Result<(), InvalidLine> {
        record.number("cost", &mut self.spend.cost)?;
        self.record_rule(record)?;
        match &self.rule {
            Algorithm::FixedWindow(rule) if rule.period().is_per_key() => record.number("key", &mut self.spend.key)?,
            Algorithm::Concurrency(_) => record.number("lease", &mut self.spend.lease.0)?,
            _ => {}
        }
        let mut is_stored = self.stored.is_some();
        record.flag("stored", &mut is_stored)?;
        self.stored = if is_stored { self.record_state(record)? } else { None };
        Ok(())
    }

    fn record_rule(&mut self, record: &mut Record<'_>) -> Result<(), InvalidLine> {
        let mut kind = self.rule.as_str();
        record.word("rule", &mut kind, &KINDS.map(|kind| (kind, kind)))?;
        // Zero where the rule has no such number, or is still to be read.
        let (mut limit, mut burst) = (self.rule.quota().get(), self.rule.cost_max().get());
        let mut window = match &self.rule {
            Algorithm::Concurrency(rule) => rule.ttl(),
            rule => rule.window().unwrap_or_default(),
        };
        record.number("limit", &mut limit)?;
        let units = |number, name| NonZeroU32::new(number).ok_or_else(|| InvalidLine::of(name));
        let limit = units(limit, "limit")?;
        if kind == "fixed-window" {
            let period = match &self.rule {
                Algorithm::FixedWindow(rule) => rule.period().parts(),
                _ => PeriodParts::Day { utc_offset_minutes: 0 },
            };
            self.rule = FixedWindow::new(limit, record_period(period, record)?).into();
            return Ok(());
        }
        record.time("window", &mut window)?;
        let invalid = || InvalidLine::of("window");
        self.rule = match kind {
            "sliding-window" => SlidingWindow::new(limit, window).map_err(|_| invalid())?.into(),
            "sliding-log" => SlidingLog::new(limit, window).map_err(|_| invalid())?.into(),
            "concurrency" => Concurrency::new(limit, window).map_err(|_| invalid())?.into(),
            kind => {
                record.number("burst", &mut burst)?;
                let burst = units(burst, "burst")?;
                if kind == "gcra" {
                    Quota::new(limit, window, burst).map_err(|_| invalid())?.into()
                } else {
                    IntervalBucket::new(burst, limit, window).map_err(|_| invalid())?.into()
                }
            }
        };
        Ok(())
    }

    fn record_state(&self, record: &mut Record<'_>) -> Result<Option<State>, InvalidLine> {
        let mut at = Timestamp::UNIX_EPOCH;
        let (mut one, mut two) = (0, 0);
        let mut list = Vec::new();
        match &self.stored {
            Some(State::Gcra(tat)) => at = Timestamp::from_unix_nanos(tat.as_unix_nanos()),
            Some(State::SlidingWindow(counts)) => (at, one, two) = counts.to_parts(),
            Some(State::FixedWindow(count)) => (at, one) = count.to_parts(),
            Some(State::IntervalBucket(tokens)) => (at, one) = tokens.to_parts(),
            Some(State::SlidingLog(log)) => list = log.times().map(Timestamp::as_unix_nanos).collect(),
            Some(State::Concurrency(leases)) => {
                let parts = |lease: &Lease| [lease.id.0, lease.expires.as_unix_nanos(), u64::from(lease.units)];
                list = leases.as_slice().iter().flat_map(parts).collect();
            }
            None => {}
        }
        Ok(Some(match &self.rule {
            Algorithm::Gcra(_) => {
                record.at("tat", &mut at)?;
                Tat::from_unix_nanos(at.as_unix_nanos()).into()
            }
            Algorithm::SlidingWindow(_) => {
                record.at("window-end", &mut at)?;
                record.number("current", &mut one)?;
                record.number("previous", &mut two)?;
                WindowCounts::from_parts(at, one, two).into()
            }
            Algorithm::FixedWindow(_) => {
                record.at("window-end", &mut at)?;
                record.number("used", &mut one)?;
                WindowCount::from_parts(at, one).into()
            }
            Algorithm::IntervalBucket(_) => {
                record.at("filled-at", &mut at)?;
                record.number("tokens", &mut one)?;
                Tokens::from_parts(at, one).into()
            }
            Algorithm::SlidingLog(_) => {
                record.numbers("spent-at", &mut list)?;
                let times = list.into_iter().map(Timestamp::from_unix_nanos);
                Log::from_times(times).ok_or_else(|| record.invalid("spent-at"))?.into()
            }
            Algorithm::Concurrency(_) => {
                record.numbers("leases", &mut list)?;
                let lease = |[id, expires, units]: &[u64; 3]| {
                    let units = u32::try_from(*units).ok()?;
                    Some(Lease { id: LeaseId(*id), expires: Timestamp::from_unix_nanos(*expires), units })
                };
                let leases: Option<Vec<Lease>> = list.as_chunks().0.iter().map(lease).collect();
                leases.and_then(Leases::from_leases).ok_or_else(|| record.invalid("leases"))?.into()
            }
        }))
    }
}

fn record_period(parts: PeriodParts, record: &mut Record<'_>) -> Result<Period, InvalidLine> {
    let (mut kind, mut window, mut offset) = match parts {
        PeriodParts::Every { window_ns, per_key: false } => ("aligned", window_ns, 0),
        PeriodParts::Every { window_ns, per_key: true } => ("per-key", window_ns, 0),
        PeriodParts::Day { utc_offset_minutes } => ("day", 0, utc_offset_minutes),
        PeriodParts::Month { utc_offset_minutes } => ("month", 0, utc_offset_minutes),
    };
    record.word("period", &mut kind, &["aligned", "per-key", "day", "month"].map(|kind| (kind, kind)))?;
    let period = if matches!(kind, "aligned" | "per-key") {
        let mut length = Duration::from_nanos(window);
        record.time("window", &mut length)?;
        window = nanos(length);
        let length = Duration::from_nanos(window);
        if kind == "aligned" { Period::aligned(length) } else { Period::per_key(length) }
    } else {
        record.number("utc-offset-minutes", &mut offset)?;
        if kind == "day" { Period::day(offset) } else { Period::month(offset) }
    };
    period.map_err(|_| record.invalid("period"))
}

const KINDS: [&str; 6] = ["gcra", "sliding-window", "fixed-window", "interval-bucket", "sliding-log", "concurrency"];
