//! The response fields that tell a client where it stands
//! (draft-ietf-httpapi-ratelimit-headers-11 of 2026-05-23; RFC 9110 §10.2.3).
//!
//! A cache must not keep these: they are true of one client at one moment. Hosts strip them from what they
//! store and add them to each answer.

use alloc::string::String;
use core::fmt::Write;
use core::time::Duration;

use super::{LimitId, Verdict};
use crate::policy::Policy;
use crate::time::seconds_ceil;

/// Field name of [`rate_limit_policy`], in lower case.
pub const RATE_LIMIT_POLICY: &str = "ratelimit-policy";
/// Field name of [`rate_limit`], in lower case.
pub const RATE_LIMIT: &str = "ratelimit";
/// Field name of [`retry_after_seconds`], in lower case.
pub const RETRY_AFTER: &str = "retry-after";

/// The value of `RateLimit-Policy`: what the limits allow, such as `"search";q=15;w=60`.
///
/// Limits that `policy` does not have are left out, and so is `w` of a window with a part of a second, which
/// the field cannot express. `None` when nothing is left, because a field without a value is not sent.
#[must_use]
pub fn rate_limit_policy(policy: &Policy, limits: impl IntoIterator<Item = LimitId>) -> Option<String> {
    let mut value = String::new();
    for limit in limits.into_iter().filter_map(|id| policy.limit(id)) {
        start_item(&mut value, &limit.name);
        let window = limit.quota.window();
        append(&mut value, format_args!(";q={}", limit.quota.limit()));
        if window.subsec_nanos() == 0 {
            append(&mut value, format_args!(";w={}", window.as_secs()));
        }
    }
    (!value.is_empty()).then_some(value)
}

/// The value of `RateLimit`: what is left and for how long, such as `"search";r=12;t=12`.
///
/// Verdicts on limits that `policy` does not have are left out: an authority may run another release.
/// `None` when nothing is left.
#[must_use]
pub fn rate_limit<'a>(policy: &Policy, verdicts: impl IntoIterator<Item = &'a Verdict>) -> Option<String> {
    let mut value = String::new();
    for verdict in verdicts {
        let Some(limit) = policy.limit(verdict.limit) else { continue };
        start_item(&mut value, &limit.name);
        append(&mut value, format_args!(";r={};t={}", verdict.remaining, verdict.effective_window_seconds));
    }
    (!value.is_empty()).then_some(value)
}

/// The value of `Retry-After` for a wait: whole seconds, rounded up, so that who waits that long passes.
#[must_use]
pub const fn retry_after_seconds(retry_after: Duration) -> u64 {
    seconds_ceil(retry_after)
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
