//! The same decisions inside a Redis: a script as data, what to send to it, and how to read what it answers.
//!
//! One call of [`SCRIPT`] decides on all limits of a request, whatever their rules, and charges all or none: Redis
//! runs a script to its end before anything else. Core does no I/O; a host sends [`Call::keys`] and [`Call::args`]
//! with `EVALSHA` (or `EVAL`), and hands the answer to [`Reply::parse`].
//!
//! # How it comes to the same as Rust
//!
//! The script decides only whether there is room, and keeps the new states. What each limit says to the client
//! ([`Reply::admission`]) is computed here, from the states as the script found them, by the same code as anywhere
//! else.
//!
//! Lua's numbers are doubles, exact up to 2^53, so times are **whole microseconds**, which is also as fine as
//! Redis's clock is. Rules take nothing finer for a window, an interval or a life
//! ([`RuleError::TimeNotWholeMicros`](super::RuleError::TimeNotWholeMicros)), so nothing is rounded. Only the
//! interval of a [`Quota`] may have a part of a microsecond: its state and sums are kept as microseconds and
//! nanoseconds, exactly; the product of the sliding window is kept in three digits. Given the same times, in whole
//! microseconds, script and Rust agree on every decision and every state.
//!
//! # Time
//!
//! The clock is Redis's own (`TIME`): hosts send none, so their clocks need not agree. Checks send one.
//! A key lives until its full reset, rounded up to a millisecond, and is then gone by itself (`SET` with `PXAT`, so
//! Redis 6.2 or newer).
//!
//! # Clusters
//!
//! All keys of one call have to be in one slot. [`key`] puts the partition into a hash tag, so the limits of one
//! client are together; limits of different partitions on one request need a Redis that is no cluster.
//!
//! ```
//! use core::num::NonZeroU32;
//! use core::time::Duration;
//! use seawall_core::limit::lua::{self, Asked, Call, Operation, Reply};
//! use seawall_core::limit::{Algorithm, LimitId, Quota, Spend};
//!
//! let five = NonZeroU32::new(5).unwrap();
//! let rule = Algorithm::from(Quota::new(five, Duration::from_secs(1), five)?);
//! let asked = [Asked { limit: LimitId(0), algorithm: &rule, spend: Spend::new(1, 0xc0ffee) }];
//!
//! let call = Call::new(Operation::Spend, &asked, [lua::key("seawall", 0xc0ffee, "search")], None);
//! assert_eq!(call.keys, ["seawall:{c0ffee}:search"]);
//!
//! // What Redis answers: there was room, its time, and no state so far.
//! let reply = Reply::parse(["1", "1800000000000000", ""])?;
//! assert_eq!(reply.admission(&asked).verdicts[0].remaining, 4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use super::fixed_window::{PeriodParts, key_shift_ns};
use super::{
    Admission, Algorithm, Check, Lease, LeaseId, Leases, LimitId, Log, Quota, Refusal, Spend, State, Tat, Tokens,
    WindowCount, WindowCounts, decide_all,
};
use crate::time::{Timestamp, nanos};

/// The script.
pub const SCRIPT: &str = concat!(
    include_str!("../../lua/numbers.lua"),
    include_str!("../../lua/gcra.lua"),
    include_str!("../../lua/sliding_window.lua"),
    include_str!("../../lua/fixed_window.lua"),
    include_str!("../../lua/interval_bucket.lua"),
    include_str!("../../lua/sliding_log.lua"),
    include_str!("../../lua/concurrency.lua"),
    include_str!("../../lua/decide.lua"),
);

/// The script's SHA-1, by which `EVALSHA` names it. A test that has a Redis compares them.
pub const SCRIPT_SHA1: &str = "dfa6fa8b07efd96a4640046477348b32140206d2";

/// What to do with the limits of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Charge all of them, or none.
    Spend,
    /// Say what a charge would come to, and charge nothing.
    Peek,
    /// Take back a charge, or release a lease.
    Refund,
}

/// One limit that the script is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Which limit this is, for the verdict.
    pub limit: LimitId,
    /// What it allows.
    pub algorithm: &'a Algorithm,
    /// What the request wants of this limit.
    pub spend: Spend,
}

/// What to send with the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `KEYS`, one for each limit.
    pub keys: Vec<String>,
    /// `ARGV`.
    pub args: Vec<String>,
}

/// What the script answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Whether there was room in all limits, so that all are charged.
    pub allowed: bool,
    /// The time at which it was decided: Redis's.
    pub now: Timestamp,
    /// The state of each limit before the decision.
    pub stored: Vec<Option<State>>,
}

/// An answer that is none of [`SCRIPT`]'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedReply;

/// A key for [`Call::new`]: `space` tells applications apart, `partition` is who is counted, `limit` the limit's
/// name.
#[must_use]
pub fn key(space: &str, partition: u128, limit: &str) -> String {
    format!("{space}:{{{partition:x}}}:{limit}")
}

impl Call {
    /// What to send about `asked`, the keys in the same order. `now` is for checks: without it Redis's clock counts.
    ///
    /// The same key must not appear twice, as in [`decide_all`].
    #[must_use]
    pub fn new(
        operation: Operation,
        asked: &[Asked<'_>],
        keys: impl IntoIterator<Item = String>,
        now: Option<Timestamp>,
    ) -> Self {
        let now = now.map_or_else(String::new, |now| (now.as_unix_nanos() / 1000).to_string());
        let mut args = Vec::with_capacity(2 + ARGS_EACH * asked.len());
        args.extend([operation.as_str().to_string(), now]);
        for Asked { algorithm, spend, .. } in asked {
            args.push(letter(algorithm).to_string());
            args.push(spend.cost.to_string());
            args.extend(numbers(algorithm, spend));
        }
        Self { keys: keys.into_iter().collect(), args }
    }
}

impl Operation {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Spend => "spend",
            Self::Peek => "peek",
            Self::Refund => "refund",
        }
    }
}

impl Reply {
    /// Reads the elements of the script's answer, which are texts.
    ///
    /// # Errors
    ///
    /// [`MalformedReply`] when they are not what the script of this release answers.
    pub fn parse<'a>(elements: impl IntoIterator<Item = &'a str>) -> Result<Self, MalformedReply> {
        let mut elements = elements.into_iter();
        let allowed = match elements.next() {
            Some("1") => true,
            Some("0") => false,
            _ => return Err(MalformedReply),
        };
        let now = elements.next().and_then(micros).ok_or(MalformedReply)?;
        let stored = elements.map(|text| match text {
            "" => Ok(None),
            text => state_from_text(text).map(Some).ok_or(MalformedReply),
        });
        Ok(Self { allowed, now, stored: stored.collect::<Result<_, _>>()? })
    }

    /// What each limit says, for the response fields: `asked` is what the call was made from, with
    /// [`Operation::Spend`] or [`Operation::Peek`].
    #[must_use]
    pub fn admission(&self, asked: &[Asked<'_>]) -> Admission {
        decide_all(&self.checks(asked), self.now).admission()
    }

    /// Why the request is refused; `None` when it is admitted.
    #[must_use]
    pub fn refusal(&self, asked: &[Asked<'_>]) -> Option<Refusal> {
        self.admission(asked).refusal()
    }

    fn checks<'a>(&'a self, asked: &[Asked<'a>]) -> Vec<Check<'a>> {
        let check = |(&Asked { limit, algorithm, spend }, stored): (&Asked<'a>, &'a Option<State>)| Check {
            limit,
            algorithm,
            stored: stored.as_ref(),
            spend,
        };
        asked.iter().zip(&self.stored).map(check).collect()
    }
}

/// A state as the script keeps it. Times finer than a microsecond, which it never makes, are cut, but for GCRA.
#[must_use]
pub fn state_to_text(state: &State) -> String {
    let us = |time: Timestamp| time.as_unix_nanos() / 1000;
    match state {
        State::Gcra(tat) => {
            let ns = tat.as_unix_nanos();
            format!("g {} {}", ns / 1000, ns % 1000)
        }
        State::SlidingWindow(counts) => {
            let (end, current, previous) = counts.to_parts();
            format!("s {} {current} {previous}", us(end))
        }
        State::FixedWindow(count) => {
            let (end, used) = count.to_parts();
            format!("f {} {used}", us(end))
        }
        State::IntervalBucket(tokens) => {
            let (filled_at, tokens) = tokens.to_parts();
            format!("i {} {tokens}", us(filled_at))
        }
        State::SlidingLog(log) => log.times().fold("l".to_string(), |text, time| format!("{text} {}", us(time))),
        State::Concurrency(leases) => leases.as_slice().iter().fold("c".to_string(), |text, lease| {
            format!("{text} {} {} {}", lease.id.0, us(lease.expires), lease.units)
        }),
    }
}

/// Reads what the script keeps; `None` when it is no state of this release.
#[must_use]
pub fn state_from_text(text: &str) -> Option<State> {
    let mut words = text.split(' ');
    let letter = words.next()?;
    let mut words = words.filter(|word| !word.is_empty());
    let state = match letter {
        "g" => {
            let us: u64 = words.next()?.parse().ok()?;
            let ns: u64 = words.next()?.parse().ok()?;
            State::Gcra(Tat::from_unix_nanos(us.checked_mul(1000)?.checked_add(ns)?))
        }
        "s" => State::SlidingWindow(WindowCounts::from_parts(
            micros(words.next()?)?,
            words.next()?.parse().ok()?,
            words.next()?.parse().ok()?,
        )),
        "f" => State::FixedWindow(WindowCount::from_parts(micros(words.next()?)?, words.next()?.parse().ok()?)),
        "i" => State::IntervalBucket(Tokens::from_parts(micros(words.next()?)?, words.next()?.parse().ok()?)),
        "l" => Log::from_times(words.by_ref().map(micros).collect::<Option<Vec<_>>>()?)?.into(),
        "c" => {
            let mut leases = Vec::new();
            while let Some(id) = words.next() {
                leases.push(Lease {
                    id: LeaseId(id.parse().ok()?),
                    expires: micros(words.next()?)?,
                    units: words.next()?.parse().ok()?,
                });
            }
            Leases::from_leases(leases)?.into()
        }
        _ => return None,
    };
    words.next().is_none().then_some(state)
}

/// What tells states and rules apart in the script.
const fn letter(algorithm: &Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Gcra(_) => "g",
        Algorithm::SlidingWindow(_) => "s",
        Algorithm::FixedWindow(_) => "f",
        Algorithm::IntervalBucket(_) => "i",
        Algorithm::SlidingLog(_) => "l",
        Algorithm::Concurrency(_) => "c",
    }
}

/// The four numbers of a rule and a cost.
fn numbers(algorithm: &Algorithm, spend: &Spend) -> [String; 4] {
    let us = |time| (nanos(time) / 1000).to_string();
    let none = String::new;
    match algorithm {
        Algorithm::Gcra(rule) => gcra_numbers(rule, spend.cost),
        Algorithm::SlidingWindow(rule) => [rule.limit().to_string(), us(rule.window()), none(), none()],
        Algorithm::FixedWindow(rule) => {
            let (window_us, ahead_us) = match rule.period().parts() {
                PeriodParts::Every { window_ns, per_key: false } => (window_ns / 1000, 0),
                // Below a year, so it fits.
                PeriodParts::Every { window_ns, per_key: true } => {
                    (window_ns / 1000, (key_shift_ns(spend.key, window_ns) / 1000) as i64)
                }
                PeriodParts::Day { utc_offset_minutes } => (MICROS_PER_DAY, micros_of(utc_offset_minutes)),
                PeriodParts::Month { utc_offset_minutes } => (0, micros_of(utc_offset_minutes)),
            };
            [rule.limit().to_string(), window_us.to_string(), ahead_us.to_string(), none()]
        }
        Algorithm::IntervalBucket(rule) => {
            [rule.capacity().to_string(), rule.refill().to_string(), us(rule.interval()), none()]
        }
        Algorithm::SlidingLog(rule) => [rule.limit().to_string(), us(rule.window()), none(), none()],
        Algorithm::Concurrency(rule) => [rule.limit().to_string(), us(rule.ttl()), none(), spend.lease.0.to_string()],
    }
}

fn gcra_numbers(rule: &Quota, cost: u32) -> [String; 4] {
    let pair = |ns: u64| [(ns / 1000).to_string(), (ns % 1000).to_string()];
    let charge = nanos(rule.interval()).saturating_mul(u64::from(cost));
    let [cost_us, cost_ns] = pair(charge);
    // A cost above the burst has no room, whatever is owed.
    let [room_us, room_ns] =
        nanos(rule.refill()).checked_sub(charge).map_or_else(|| ["-1".to_string(), "0".to_string()], pair);
    [cost_us, cost_ns, room_us, room_ns]
}

fn micros(word: &str) -> Option<Timestamp> {
    Some(Timestamp::from_unix_nanos(word.parse::<u64>().ok()?.checked_mul(1000)?))
}

const fn micros_of(minutes: i16) -> i64 {
    minutes as i64 * 60_000_000
}

impl fmt::Display for MalformedReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redis did not answer as the limiter's script does; is another script stored under its name?")
    }
}

impl core::error::Error for MalformedReply {}

/// Elements of `ARGV` for each limit.
const ARGS_EACH: usize = 6;
const MICROS_PER_DAY: u64 = 86_400_000_000;

#[cfg(test)]
mod tests;
