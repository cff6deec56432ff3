//! The response fields that tell a client where it stands
//! (draft-ietf-httpapi-ratelimit-headers-11 of 2026-05-23; RFC 9110 §10.2.3).
//!
//! A cache must not keep these: they are true of one client at one moment. Hosts strip them from what they
//! store and add them to each answer. Where the origin sent its own, [`merge_rate_limit`] and
//! [`merge_rate_limit_policy`] keep the tighter of both.
//!
//! A refusal's wait is lengthened a little before it is sent ([`Admission::jitter`]), so that clients who were
//! refused together do not come back together.

use alloc::string::String;
use core::fmt::Write;
use core::time::Duration;

use super::{Admission, Algorithm, LimitId, Ruling, Verdict};
use crate::policy::Policy;
use crate::time::{nanos, seconds_ceil};

mod merge;
mod partition;

pub use merge::{ORIGIN_ITEMS_MAX, merge_rate_limit, merge_rate_limit_policy};
pub use partition::PartitionKey;

/// What a limit counts: parameter `qu` of draft-ietf-httpapi-ratelimit-headers-11.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Unit {
    /// Requests, which goes without saying.
    #[default]
    Requests,
    /// Bytes of content.
    ContentBytes,
    /// Requests in flight.
    ConcurrentRequests,
}

impl Unit {
    /// The word for it in `RateLimit-Policy` and policy.toml.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::ContentBytes => "content-bytes",
            Self::ConcurrentRequests => "concurrent-requests",
        }
    }
}

/// Field name of [`rate_limit_policy`], in lower case.
pub const RATE_LIMIT_POLICY: &str = "ratelimit-policy";
/// Field name of [`rate_limit`], in lower case.
pub const RATE_LIMIT: &str = "ratelimit";
/// Field name of [`retry_after_seconds`], in lower case.
pub const RETRY_AFTER: &str = "retry-after";

/// How many times faster than its quota earns, at most, a limit invites a client to go.
///
/// `r` by `t` reads as a rate, and a long window that is nearly unspent has a short `t`: of 10,000 in 1,000 seconds,
/// `r=9990;t=1` would invite all of it at once. `t` is raised until the rate is this many times the quota's own; a
/// short burst, as limits by the minute have it, stays as it is.
pub const INVITED_RATE_MAX: u32 = 16;

/// A limit in `RateLimit-Policy`, with the part of its clients that the answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The limit.
    pub limit: LimitId,
    /// Whose share of it this is, if the client is to know: parameter `pk`.
    pub partition: Option<PartitionKey>,
}

impl From<LimitId> for Listed {
    fn from(limit: LimitId) -> Self {
        Self { limit, partition: None }
    }
}

/// The value of `RateLimit-Policy`: what the limits allow, such as `"search";q=15;w=60`.
///
/// Limits that `policy` does not have are left out, and so is `w` of a window with a part of a second, which
/// the field cannot express. `None` when nothing is left, because a field without a value is not sent.
#[must_use]
pub fn rate_limit_policy<L: Into<Listed>>(policy: &Policy, limits: impl IntoIterator<Item = L>) -> Option<String> {
    let mut value = String::new();
    for Listed { limit, partition } in limits.into_iter().map(Into::into) {
        let Some(limit) = policy.limit(limit) else { continue };
        append_policy(&mut value, &limit.name, &limit.algorithm, limit.unit, partition);
    }
    (!value.is_empty()).then_some(value)
}

/// The value of `RateLimit`: what is left and for how long, such as `"search";r=12;t=12`.
///
/// A limit that refuses states its wait; another one its effective window, or longer, so that it invites no rate
/// above [`INVITED_RATE_MAX`]. Verdicts on limits that `policy` does not have are left out: an authority may run
/// another release. `None` when nothing is left.
#[must_use]
pub fn rate_limit<'a>(policy: &Policy, verdicts: impl IntoIterator<Item = &'a Verdict>) -> Option<String> {
    let mut value = String::new();
    for verdict in verdicts {
        let Some(limit) = policy.limit(verdict.limit) else { continue };
        let seconds = match verdict.ruling {
            Ruling::Allow => verdict.effective_window_seconds.max(slowest(&limit.algorithm, verdict.remaining)),
            Ruling::Deny { .. } | Ruling::Never => verdict.effective_window_seconds,
        };
        start_item(&mut value, &limit.name);
        append(&mut value, format_args!(";r={};t={seconds}", verdict.remaining));
    }
    (!value.is_empty()).then_some(value)
}

/// The value of `Retry-After` for a wait: whole seconds, rounded up, so that who waits that long passes.
#[must_use]
pub const fn retry_after_seconds(retry_after: Duration) -> u64 {
    seconds_ceil(retry_after)
}

/// The fields of many older limiters, for clients that know no others: `X-RateLimit-Limit`, `-Remaining` and
/// `-Reset`, the last in seconds from now. They name no limit, so they speak of the one that binds most: the one that
/// refuses with the longest wait, or else the one with the least left.
///
/// No standard describes them; hosts send them only where they are asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Legacy {
    /// What the quota is.
    pub limit: u32,
    /// What is left of it.
    pub remaining: u32,
    /// Until when, in seconds from now.
    pub reset_seconds: u64,
}

impl Legacy {
    /// Names and values, names in lower case.
    #[must_use]
    pub fn fields(&self) -> [(&'static str, u64); 3] {
        [
            ("x-ratelimit-limit", self.limit.into()),
            ("x-ratelimit-remaining", self.remaining.into()),
            ("x-ratelimit-reset", self.reset_seconds),
        ]
    }

    /// What they say of an admission; `None` when no limit of `policy` was asked.
    #[must_use]
    pub fn of(policy: &Policy, admission: &Admission) -> Option<Self> {
        let known = admission.verdicts.iter().filter_map(|verdict| Some((policy.limit(verdict.limit)?, verdict)));
        let (limit, verdict) = known.min_by_key(|(_, verdict)| match verdict.ruling {
            Ruling::Never => (0, 0, 0),
            Ruling::Deny { retry_after } => (1, u64::MAX - nanos(retry_after), 0),
            Ruling::Allow => (2, 0, verdict.remaining),
        })?;
        Some(Self {
            limit: limit.algorithm.quota().get(),
            remaining: verdict.remaining,
            reset_seconds: verdict.effective_window_seconds,
        })
    }
}

fn append_policy(value: &mut String, name: &str, algorithm: &Algorithm, unit: Unit, partition: Option<PartitionKey>) {
    start_item(value, name);
    append(value, format_args!(";q={}", algorithm.quota()));
    if unit != Unit::Requests {
        append(value, format_args!(";qu=\"{}\"", unit.as_str()));
    }
    if let Some(window) = algorithm.window().filter(|window| window.subsec_nanos() == 0) {
        append(value, format_args!(";w={}", window.as_secs()));
    }
    if let Some(partition) = partition {
        append(value, format_args!(";pk={partition}"));
    }
}

/// The shortest window for `remaining` units that keeps within [`INVITED_RATE_MAX`], in seconds rounded up.
fn slowest(algorithm: &Algorithm, remaining: u32) -> u64 {
    let Some(window) = algorithm.window() else { return 0 };
    let needed = u128::from(remaining) * window.as_nanos();
    let earned_each_second = u128::from(algorithm.quota().get()) * u128::from(INVITED_RATE_MAX) * NANOS_PER_SECOND;
    u64::try_from(needed.div_ceil(earned_each_second)).unwrap_or(u64::MAX)
}

/// Starts a list item with a name; names hold no character that a structured field must escape.
fn start_item(value: &mut String, name: &str) {
    if !value.is_empty() {
        value.push_str(", ");
    }
    append(value, format_args!("\"{name}\""));
}

fn append(value: &mut String, text: core::fmt::Arguments<'_>) {
    // Writing to a String fails only if a formatted value does, and numbers and strings do not.
    let _ = value.write_fmt(text);
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;

#[cfg(all(test, feature = "toml"))]
mod tests;
