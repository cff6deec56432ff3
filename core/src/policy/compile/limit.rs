//! The tables `[limit.*]`.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::time::Duration;

use super::PolicyError;
use super::reader::{Entry, MILLISECOND, Section};
use crate::limit::distributed::{Mode, Terms};
use crate::limit::fields::Unit;
use crate::limit::{
    Algorithm, Concurrency, FixedWindow, IntervalBucket, Period, Quota, QuotaError, SlidingLog, SlidingWindow,
};
use crate::policy::{Authority, Limit, LimitKey, Name, Policy, Scope, StoreFailure};

pub(super) fn read_all(root: &Section<'_>) -> Result<Vec<Limit>, PolicyError> {
    let Some(sections) = root.get("limit") else { return Ok(Vec::new()) };
    let sections = sections.section()?;
    let named = sections.named_sections()?;
    if named.len() > Policy::LIMITS_MAX {
        return Err(sections.error(format!("expected at most {} limits, found {}", Policy::LIMITS_MAX, named.len())));
    }
    named.into_iter().map(|(name, section)| read(name, &section)).collect()
}

fn read(name: Name, section: &Section<'_>) -> Result<Limit, PolicyError> {
    let kind = KINDS[section.require("algorithm")?.word(&KINDS.map(Kind::as_str))?];
    let common =
        ["algorithm", "quota", "cost", "unit", "key", "scope", "authority", "on_store_failure", "hit_cost", "isolates"];
    let shared = if kind == Kind::Gcra { &["mode", "epsilon_permille", "ttl", "sync_every"][..] } else { &[] };
    section.only(&[&common, kind.options(), shared].concat())?;
    let algorithm = read_algorithm(kind, section)?;
    let cost = section.whole_or("cost", 1..=algorithm.cost_max().get(), 1)?;
    let unit = match kind {
        Kind::Concurrency => section.choice("unit", [(Unit::ConcurrentRequests.as_str(), Unit::ConcurrentRequests)])?,
        _ => section.choice("unit", [Unit::Requests, Unit::ContentBytes].map(|unit| (unit.as_str(), unit)))?,
    };
    section.require("key")?.word(&["client"])?;
    let scope = read_scope(section, kind, cost)?;
    let hit_cost = read_hit_cost(section, kind, scope, cost)?;
    let isolates = section.whole_or("isolates", 1..=Limit::ISOLATES_MAX, ISOLATES_DEFAULT)?;
    let isolates = NonZeroU32::new(isolates).unwrap_or(NonZeroU32::MIN);
    let mode = read_mode(section, &algorithm, scope, isolates)?;
    Ok(Limit { name, algorithm, unit, cost, hit_cost, key: LimitKey::Client, scope, mode, isolates })
}

/// The algorithms, before their numbers are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gcra,
    SlidingWindow,
    FixedWindow,
    IntervalBucket,
    SlidingLog,
    Concurrency,
}

const KINDS: [Kind; 6] =
    [Kind::Gcra, Kind::SlidingWindow, Kind::FixedWindow, Kind::IntervalBucket, Kind::SlidingLog, Kind::Concurrency];

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Gcra => "gcra",
            Self::SlidingWindow => "sliding-window",
            Self::FixedWindow => "fixed-window",
            Self::IntervalBucket => "interval-bucket",
            Self::SlidingLog => "sliding-log",
            Self::Concurrency => "concurrency",
        }
    }

    /// The options that say when units come back.
    const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Gcra | Self::IntervalBucket => &["window", "burst"],
            Self::SlidingWindow | Self::SlidingLog => &["window"],
            Self::FixedWindow => &["window", "period", "utc_offset"],
            Self::Concurrency => &["held_for"],
        }
    }
}

fn read_algorithm(kind: Kind, section: &Section<'_>) -> Result<Algorithm, PolicyError> {
    let quota_max = match kind {
        Kind::SlidingLog => SlidingLog::LIMIT_MAX,
        Kind::Concurrency => Concurrency::LIMIT_MAX,
        _ => u32::MAX,
    };
    let quota = whole(&section.require("quota")?, 1..=quota_max)?;
    let window = |key| {
        let entry = section.require(key)?;
        Ok((entry.time(MILLISECOND..=Quota::WINDOW_MAX, MILLISECOND)?, entry))
    };
    let burst_entry = section.get("burst");
    let burst = burst_entry.as_ref().map_or(Ok(quota), |entry| whole(entry, 1..=u32::MAX))?;
    Ok(match kind {
        Kind::Gcra => {
            let (window, entry) = window("window")?;
            let rule = Quota::new(quota, window, burst).map_err(|error| match (error, burst_entry) {
                (QuotaError::RefillTooLong, Some(burst)) => burst.error(error.to_string()),
                _ => entry.error(error.to_string()),
            })?;
            rule.into()
        }
        Kind::SlidingWindow => {
            let (window, entry) = window("window")?;
            SlidingWindow::new(quota, window).map_err(|error| entry.error(error.to_string()))?.into()
        }
        Kind::FixedWindow => FixedWindow::new(quota, read_period(section)?).into(),
        Kind::IntervalBucket => {
            let (window, entry) = window("window")?;
            IntervalBucket::new(burst, quota, window).map_err(|error| entry.error(error.to_string()))?.into()
        }
        Kind::SlidingLog => {
            let (window, entry) = window("window")?;
            SlidingLog::new(quota, window).map_err(|error| entry.error(error.to_string()))?.into()
        }
        Kind::Concurrency => {
            let (held_for, entry) = window("held_for")?;
            Concurrency::new(quota, held_for).map_err(|error| entry.error(error.to_string()))?.into()
        }
    })
}

/// When fixed windows start: by the calendar, or each key by itself.
fn read_period(section: &Section<'_>) -> Result<Period, PolicyError> {
    let offset = section.get("utc_offset");
    let fixed = match section.get("period") {
        Some(period) => {
            if let Some(window) = section.get("window") {
                return Err(window.error("a calendar's period is its window; write one of both".to_string()));
            }
            let minutes = offset.as_ref().map_or(Ok(0), read_utc_offset)?;
            let of = [Period::day, Period::month][period.word(&["day", "month"])?];
            of(minutes).map_err(|error| offset.unwrap_or(period).error(error.to_string()))?
        }
        None => {
            if let Some(offset) = offset {
                return Err(offset.error("only the periods day and month have a place on earth".to_string()));
            }
            let entry = section.require("window")?;
            let window = entry.time(MILLISECOND..=Quota::WINDOW_MAX, MILLISECOND)?;
            Period::per_key(window).map_err(|error| entry.error(error.to_string()))?
        }
    };
    Ok(fixed)
}

/// An offset such as `"-08:00"`, in minutes.
fn read_utc_offset(entry: &Entry<'_>) -> Result<i16, PolicyError> {
    const EXPECTED: &str = "an offset from \"-12:00\" to \"+14:00\"";
    let text = entry.text(EXPECTED)?;
    let parse = || {
        let (sign, digits) = (text.get(..1)?, text.get(1..)?);
        let (hours, minutes) =
            digits.split_once(':').filter(|(hours, minutes)| hours.len() == 2 && minutes.len() == 2)?;
        let number =
            |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<i16>().ok());
        let minutes = number(hours)?? * 60 + number(minutes)?.filter(|minutes| *minutes < 60)?;
        match sign {
            "+" => Some(minutes),
            "-" => Some(-minutes),
            _ => None,
        }
    };
    let in_range = |minutes: &i16| Period::UTC_OFFSET_MINUTES.contains(minutes);
    parse().filter(in_range).ok_or_else(|| entry.expected(EXPECTED))
}

fn read_mode(
    section: &Section<'_>,
    algorithm: &Algorithm,
    scope: Scope,
    isolates: NonZeroU32,
) -> Result<Mode, PolicyError> {
    let Some(entry) = section.get("mode") else {
        return without_mode(section, &["epsilon_permille", "ttl", "sync_every"]);
    };
    let word = entry.word(&["exact", "lease", "async"])?;
    match scope {
        Scope::Isolate | Scope::Location if word != 0 => {
            return Err(entry.error("only a limit with scope \"shared\" is shared by isolates".to_string()));
        }
        Scope::Shared { authority: Authority::Redis, .. } if word != 0 => {
            return Err(entry.error("a Redis decides on each request; \"objects\" can share units out".to_string()));
        }
        _ => {}
    }
    // Half a unit is no unit: such a quota is decided exactly. At most the quota, which has 32 bits.
    let epsilon = section.whole_or("epsilon_permille", 0..=1000, EPSILON_PERMILLE_DEFAULT)?;
    let units = (u64::from(algorithm.quota().get()) * u64::from(epsilon) / 1000) as u32;
    Ok(match word {
        0 => without_mode(section, &["epsilon_permille", "ttl", "sync_every"])?,
        1 => {
            without_mode(section, &["sync_every"])?;
            Mode::Lease { outstanding_max: units, ttl: section.time_or("ttl", Terms::TTL, TTL_DEFAULT)? }
        }
        _ => {
            without_mode(section, &["ttl"])?;
            let sync_every = section.time_or("sync_every", Terms::SYNC_EVERY, SYNC_EVERY_DEFAULT)?;
            Mode::Async { unsynced_max: units / isolates, sync_every }
        }
    })
}

/// Refuses options that mean nothing in the mode that was chosen.
fn without_mode(section: &Section<'_>, options: &[&str]) -> Result<Mode, PolicyError> {
    match options.iter().find_map(|option| section.get(option)) {
        None => Ok(Mode::Exact),
        Some(entry) => Err(entry.error("this option belongs to another mode".to_string())),
    }
}

fn read_scope(section: &Section<'_>, kind: Kind, cost: u32) -> Result<Scope, PolicyError> {
    let entry = section.require("scope")?;
    let scope = entry.word(&["isolate", "location", "shared"])?;
    if scope == 2 {
        let authority = Authority::ALL.map(|authority| (authority.as_str(), authority));
        let choices = [StoreFailure::Local, StoreFailure::Open, StoreFailure::Closed];
        return Ok(Scope::Shared {
            authority: section.choice("authority", authority)?,
            on_store_failure: section.choice("on_store_failure", choices.map(|choice| (choice.as_str(), choice)))?,
        });
    }
    for (option, fault) in [
        ("authority", "only a limit with scope \"shared\" has an authority"),
        ("on_store_failure", "only a limit with scope \"shared\" has a store that may fail"),
    ] {
        if let Some(entry) = section.get(option) {
            return Err(entry.error(fault.to_string()));
        }
    }
    if scope == 0 {
        return Ok(Scope::Isolate);
    }
    if kind == Kind::Concurrency || cost != 1 {
        return Err(entry.error("a location counts requests, one by one, and takes nothing back".to_string()));
    }
    Ok(Scope::Location)
}

/// What a hit costs: nothing under a limit that is shared, so that only what reaches the origin counts.
fn read_hit_cost(section: &Section<'_>, kind: Kind, scope: Scope, cost: u32) -> Result<u32, PolicyError> {
    let entry = section.get("hit_cost");
    match (scope, kind, entry) {
        (Scope::Shared { .. }, Kind::Concurrency, Some(entry)) => {
            Err(entry.error("what is held while a request runs is held for a hit too".to_string()))
        }
        (Scope::Shared { .. }, Kind::Concurrency, None) => Ok(cost),
        (Scope::Shared { .. }, ..) => section.whole_or("hit_cost", 0..=cost, 0),
        (Scope::Isolate | Scope::Location, _, Some(entry)) => {
            Err(entry.error("only a limit with scope \"shared\" may spare what comes from the cache".to_string()))
        }
        (Scope::Isolate | Scope::Location, _, None) => Ok(cost),
    }
}

fn whole(entry: &Entry<'_>, range: core::ops::RangeInclusive<u32>) -> Result<NonZeroU32, PolicyError> {
    let number = entry.whole(u64::from(*range.start())..=u64::from(*range.end()))?;
    // Every range here starts at one and ends within 32 bits.
    Ok(u32::try_from(number).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN))
}

/// Keys are seldom served by more isolates than this.
const ISOLATES_DEFAULT: u32 = 10;
/// A twentieth of the quota: what nobody notices, and enough to save most calls.
const EPSILON_PERMILLE_DEFAULT: u16 = 50;
/// Longer than any answer takes, and short enough that what a stopped isolate held is soon free.
const TTL_DEFAULT: Duration = Duration::from_secs(1);
const SYNC_EVERY_DEFAULT: Duration = Duration::from_secs(1);
