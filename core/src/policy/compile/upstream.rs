//! The tables `[upstream.*]`.

use alloc::format;
use alloc::vec::Vec;

use super::PolicyError;
use super::reader::{Entry, MILLISECOND, Section};
use crate::policy::{Name, Policy, Upstream};
use crate::{breaker, retry, throttle};

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
    section.only(&["deadline", "patience", "breaker", "throttle", "retry"])?;
    let deadline = section.time_or("deadline", Upstream::DEADLINE, Upstream::DEADLINE_DEFAULT)?;
    let patience = section.time_or("patience", Upstream::DEADLINE, Upstream::PATIENCE_DEFAULT)?;
    let sub = |key| section.get(key).map(Entry::section).transpose();
    Ok(Upstream {
        name,
        deadline,
        patience,
        breaker: sub("breaker")?.map_or_else(
            || Ok(breaker::Config::default()),
            |section| read_breaker(&section, breaker::Settings::default()),
        )?,
        throttle: sub("throttle")?
            .map_or_else(|| Ok(throttle::Config::default()), |section| read_throttle(&section))?,
        retry: sub("retry")?.map_or_else(|| Ok(retry::Config::default()), |section| read_retry(&section))?,
    })
}

/// Reads a breaker; `default` is what is not written.
pub(super) fn read_breaker(section: &Section<'_>, default: breaker::Settings) -> Result<breaker::Config, PolicyError> {
    use breaker::Settings;
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
    let open_base = section.time_or("open_base", Settings::OPEN, default.open_base)?;
    let probes = section.whole_or("probes", 1..=Settings::PROBES_MAX, default.probes)?;
    let rate = |key, default| section.whole_or(key, 1..=1000, default);
    let settings = Settings {
        window: section.time_or("window", Settings::WINDOW, default.window)?,
        buckets: section.whole_or("buckets", 1..=Settings::BUCKETS_MAX, default.buckets)?,
        min_calls: section.whole_or("min_calls", Settings::MIN_CALLS, default.min_calls)?,
        failure_rate_permille: rate("failure_rate_permille", default.failure_rate_permille)?,
        slow_call: section.get("slow_call").map(|entry| entry.time(Settings::SLOW_CALL, MILLISECOND)).transpose()?,
        slow_rate_permille: rate("slow_rate_permille", default.slow_rate_permille)?,
        open_base,
        open_cap: section.time_or("open_cap", open_base..=*Settings::OPEN.end(), default.open_cap)?,
        jitter_permille: section.whole_or("jitter_permille", 0..=1000, default.jitter_permille)?,
        probes,
        probes_to_close: section.whole_or("probes_to_close", 1..=probes, default.probes_to_close)?,
        probe_timeout: section.time_or("probe_timeout", Settings::PROBE_TIMEOUT, default.probe_timeout)?,
        fail_on_500: section.boolean_or("fail_on_500", default.fail_on_500)?,
    };
    breaker::Config::new(settings).map_err(|error| section.unfit(&error))
}

fn read_throttle(section: &Section<'_>) -> Result<throttle::Config, PolicyError> {
    use throttle::Settings;
    section.only(&["window", "buckets", "min_calls", "k_permille", "k_critical_permille", "k_sheddable_permille"])?;
    let default = Settings::default();
    let k = |key, default| section.whole_or(key, Settings::K, default);
    let settings = Settings {
        window: section.time_or("window", Settings::WINDOW, default.window)?,
        buckets: section.whole_or("buckets", 1..=breaker::Settings::BUCKETS_MAX, default.buckets)?,
        min_calls: section.whole_or("min_calls", Settings::MIN_CALLS, default.min_calls)?,
        k_permille: k("k_permille", default.k_permille)?,
        k_critical_permille: k("k_critical_permille", default.k_critical_permille)?,
        k_sheddable_permille: k("k_sheddable_permille", default.k_sheddable_permille)?,
    };
    throttle::Config::new(settings).map_err(|error| section.unfit(&error))
}

fn read_retry(section: &Section<'_>) -> Result<retry::Config, PolicyError> {
    use retry::Settings;
    section.only(&["attempts", "base", "throttled_base", "delay_max", "capacity", "cost", "throttled_cost"])?;
    let default = Settings::default();
    let settings = Settings {
        attempts: section.whole_or("attempts", Settings::ATTEMPTS, default.attempts)?,
        base: section.time_or("base", Settings::BASE, default.base)?,
        throttled_base: section.time_or("throttled_base", Settings::BASE, default.throttled_base)?,
        delay_max: section.time_or("delay_max", *Settings::BASE.start()..=Settings::DELAY_MAX, default.delay_max)?,
        capacity: section.whole_or("capacity", Settings::CAPACITY, default.capacity)?,
        cost: section.whole_or("cost", Settings::CAPACITY, default.cost)?,
        throttled_cost: section.whole_or("throttled_cost", Settings::CAPACITY, default.throttled_cost)?,
    };
    retry::Config::new(settings).map_err(|error| section.unfit(&error))
}
