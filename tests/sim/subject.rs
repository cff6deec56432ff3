//! The limits that are simulated.

use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::{Result, anyhow};
use seawall_core::limit::distributed::{Mode, Terms};
use seawall_core::limit::{Algorithm, Quota};
use seawall_core::policy::{Limit, Policy};

use crate::Kind;

/// One limit.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) quota: Quota,
    /// How isolates share it, where a policy says so.
    mode: Option<Mode>,
}

impl Subject {
    /// A key that each isolate sees seldom, and one that it sees all the time.
    pub(crate) fn references() -> Vec<Self> {
        let units = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let subject = |name: &str, limit, burst| {
            let quota = Quota::new(units(limit), Duration::from_secs(10), units(burst)).ok()?;
            Some(Self { name: name.to_owned(), quota, mode: None })
        };
        [subject("thin", 1000, 100), subject("hot", 100_000, 10_000)].into_iter().flatten().collect()
    }

    /// The limits of a policy that count as GCRA; others are decided at their authority only.
    pub(crate) fn of_policy(text: &str) -> Result<Vec<Self>> {
        let policy = Policy::compile(text)?;
        let subject = |limit: &Limit| match limit.algorithm {
            Algorithm::Gcra(quota) => Some(Self { name: limit.name.to_string(), quota, mode: Some(limit.mode) }),
            _ => None,
        };
        let subjects: Vec<Self> = policy.limits().iter().filter_map(subject).collect();
        if subjects.is_empty() { Err(anyhow!("the policy has no limit that counts as gcra")) } else { Ok(subjects) }
    }

    /// The terms of a mode: those of the policy where it chose that mode. Otherwise `epsilon_permille` of the quota may be held or untold by all isolates together.
    pub(crate) fn terms(&self, kind: Kind, epsilon_permille: u64, ttl_ms: u64, isolates: NonZeroU32) -> Result<Terms> {
        let epsilon = u64::from(self.quota.limit().get()) * epsilon_permille / 1000;
        // At most the limit, which has 32 bits.
        let units = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let mode = match (kind, self.mode) {
            (Kind::Lease, Some(mode @ Mode::Lease { .. })) | (Kind::Async, Some(mode @ Mode::Async { .. })) => mode,
            (Kind::Exact, _) => Mode::Exact,
            (Kind::Lease, _) => Mode::Lease { outstanding_max: units(epsilon), ttl: Duration::from_millis(ttl_ms) },
            (Kind::Async, _) => Mode::Async {
                unsynced_max: units(epsilon / u64::from(isolates.get())),
                sync_every: Duration::from_secs(1),
            },
        };
        Ok(Terms::new(self.quota, mode)?)
    }
}
