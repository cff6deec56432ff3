//! The tables `[upstream.*]`.

use alloc::format;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use core::time::Duration;

use super::PolicyError;
use super::reader::{Entry, Section};
use crate::breaker::{Config, Settings};
use crate::policy::{Name, Policy, Upstream};

pub(super) fn read_all(root: &Section<'_>) -> Result<Vec<Upstream>, PolicyError> {
    let sections = root.require("upstream")?.section()?;
    let named = sections.named_sections()?;
    if named.len() > Policy::UPSTREAMS_MAX {
        return Err(sections.error(format!(
            "expected at most {} upstreams, found {}",
            Policy::UPSTREAMS_MAX,
            named.len()
        )));
    }
    named.into_iter().map(|(name, section)| read(name, &section)).collect()
}

fn read(name: Name, section: &Section<'_>) -> Result<Upstream, PolicyError> {
    section.only(&["deadline", "breaker"])?;
    let deadline = match section.get("deadline") {
        Some(deadline) => deadline.time(Upstream::DEADLINE, MILLISECOND)?,
        None => Upstream::DEADLINE_DEFAULT,
    };
    let breaker = match section.get("breaker") {
        Some(breaker) => read_breaker(&breaker.section()?)?,
        None => Config::default(),
    };
    Ok(Upstream { name, deadline, breaker })
}

fn read_breaker(section: &Section<'_>) -> Result<Config, PolicyError> {
    section.only(&[
        "window",
        "buckets",
        "min_calls",
        "failure_rate_permille",
        "slow_call",
        "slow_rate_permille",
        "open_base",
        "open_cap",
        "jitter_permille",
        "probes",
        "probes_to_close",
        "probe_timeout",
        "fail_on_500",
    ])?;
    let default = Settings::default();
    let open_base = read_time(section.get("open_base"), Settings::OPEN, default.open_base)?;
    let probes = read_whole(section.get("probes"), 1..=Settings::PROBES_MAX, default.probes)?;
    let settings = Settings {
        window: read_time(section.get("window"), Settings::WINDOW, default.window)?,
        buckets: read_whole(section.get("buckets"), 1..=Settings::BUCKETS_MAX, default.buckets)?,
        min_calls: read_whole(section.get("min_calls"), Settings::MIN_CALLS, default.min_calls)?,
        failure_rate_permille: read_whole(
            section.get("failure_rate_permille"),
            1..=1000,
            default.failure_rate_permille,
        )?,
        slow_call: section.get("slow_call").map(|entry| entry.time(Settings::SLOW_CALL, MILLISECOND)).transpose()?,
        slow_rate_permille: read_whole(section.get("slow_rate_permille"), 1..=1000, default.slow_rate_permille)?,
        open_base,
        open_cap: read_time(section.get("open_cap"), open_base..=*Settings::OPEN.end(), default.open_cap)?,
        jitter_permille: read_whole(section.get("jitter_permille"), 0..=1000, default.jitter_permille)?,
        probes,
        probes_to_close: read_whole(section.get("probes_to_close"), 1..=probes, default.probes_to_close)?,
        probe_timeout: read_time(section.get("probe_timeout"), Settings::PROBE_TIMEOUT, default.probe_timeout)?,
        fail_on_500: section.get("fail_on_500").map_or(Ok(default.fail_on_500), |entry| entry.boolean())?,
    };
    // What is left to refuse: a default that does not go with what was written.
    Config::new(settings).map_err(|error| section.error(format!("{error}; the default does not fit, so set it")))
}

fn read_time(
    entry: Option<Entry<'_>>,
    range: RangeInclusive<Duration>,
    default: Duration,
) -> Result<Duration, PolicyError> {
    entry.map_or(Ok(default), |entry| entry.time(range, MILLISECOND))
}

fn read_whole<T>(entry: Option<Entry<'_>>, range: RangeInclusive<T>, default: T) -> Result<T, PolicyError>
where
    T: Copy + Into<u64> + TryFrom<u64>,
{
    let Some(entry) = entry else { return Ok(default) };
    let number = entry.whole((*range.start()).into()..=(*range.end()).into())?;
    // In range, so it fits the type of the range.
    Ok(T::try_from(number).unwrap_or(default))
}

/// The finest time that can be written.
const MILLISECOND: Duration = Duration::from_millis(1);
