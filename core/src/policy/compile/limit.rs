//! The tables `[limit.*]`.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::time::Duration;

use super::PolicyError;
use super::reader::{Entry, Section};
use crate::limit::fields::Unit;
use crate::limit::{Quota, QuotaError};
use crate::policy::{Limit, LimitKey, Name, Policy, Scope, StoreFailure};

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
    section.only(&["algorithm", "quota", "window", "burst", "cost", "key", "scope", "on_store_failure"])?;
    section.require("algorithm")?.word(&["gcra"])?;
    let quota = read_quota(section)?;
    let cost = match section.get("cost") {
        Some(cost) => whole(&cost, 1..=quota.burst().get())?.get(),
        None => 1,
    };
    section.require("key")?.word(&["client"])?;
    let scope = read_scope(section)?;
    Ok(Limit { name, algorithm: quota.into(), unit: Unit::Requests, cost, key: LimitKey::Client, scope })
}

fn read_quota(section: &Section<'_>) -> Result<Quota, PolicyError> {
    let limit = whole(&section.require("quota")?, 1..=u32::MAX)?;
    let window_entry = section.require("window")?;
    let window = window_entry.time(WINDOW_MIN..=Quota::WINDOW_MAX, WINDOW_MIN)?;
    let burst_entry = section.get("burst");
    let burst = burst_entry.as_ref().map_or(Ok(limit), |entry| whole(entry, 1..=u32::MAX))?;
    Quota::new(limit, window, burst).map_err(|error| match (error, burst_entry) {
        (QuotaError::RefillTooLong, Some(burst)) => burst.error(error.to_string()),
        _ => window_entry.error(error.to_string()),
    })
}

fn read_scope(section: &Section<'_>) -> Result<Scope, PolicyError> {
    let on_store_failure = section.get("on_store_failure");
    let scope = section.require("scope")?.word(&["isolate", "shared"])?;
    if scope == 0 {
        return match on_store_failure {
            None => Ok(Scope::Isolate),
            Some(entry) => Err(entry.error("only a limit with scope \"shared\" has a store that may fail".to_string())),
        };
    }
    let choices = [StoreFailure::Local, StoreFailure::Open, StoreFailure::Closed];
    let on_store_failure = match on_store_failure {
        Some(entry) => choices[entry.word(&choices.map(StoreFailure::as_str))?],
        None => StoreFailure::Local,
    };
    Ok(Scope::Shared { on_store_failure })
}

fn whole(entry: &Entry<'_>, range: core::ops::RangeInclusive<u32>) -> Result<NonZeroU32, PolicyError> {
    let number = entry.whole(u64::from(*range.start())..=u64::from(*range.end()))?;
    // Every range here starts at one and ends within 32 bits.
    Ok(u32::try_from(number).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN))
}

/// The finest window that can be written.
const WINDOW_MIN: Duration = Duration::from_millis(1);
