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

/// The value of `RateLimit-Policy`: what the limits allow, such as `"search";q=15;w=60`.
///
/// Limits that `policy` does not have are left out, and so is `w` of a window with a part of a second, which
/// the field cannot express. `None` when nothing is left, because a field without a value is not sent.
#[must_use]
pub fn rate_limit_policy(policy: &Policy, limits: impl IntoIterator<Item = LimitId>) -> Option<String> {
    let mut value = String::new();
    for limit in limits.into_iter().filter_map(|id| policy.limit(id)) {
        start_item(&mut value, &limit.name);
        append(&mut value, format_args!(";q={}", limit.algorithm.quota()));
        if let Some(window) = limit.algorithm.window().filter(|window| window.subsec_nanos() == 0) {
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

#[cfg(all(test, feature = "toml"))]
mod tests {
    use super::*;
    use crate::limit::Ruling;

    fn policy() -> Policy {
        let limits = [("burst", 20, "1s"), ("hour", 1000, "1h"), ("fine", 3, "1500ms")];
        let mut text = String::from("version = 1\n[upstream.origin]\n[[route]]\nname = \"all\"\npath = \"/**\"\n");
        for (name, quota, window) in limits {
            append(&mut text, format_args!("[limit.{name}]\nalgorithm = \"gcra\"\nquota = {quota}\n"));
            append(&mut text, format_args!("window = \"{window}\"\nkey = \"client\"\nscope = \"isolate\"\n"));
        }
        Policy::compile(&text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn verdict(limit: u16, remaining: u32, effective_window_seconds: u64) -> Verdict {
        Verdict { limit: LimitId(limit), ruling: Ruling::Allow, remaining, effective_window_seconds }
    }

    #[test]
    fn the_policy_field_lists_what_is_allowed() {
        for (limits, expect) in [
            (&[0, 1][..], Some("\"burst\";q=20;w=1, \"hour\";q=1000;w=3600")),
            (&[1, 0], Some("\"hour\";q=1000;w=3600, \"burst\";q=20;w=1")),
            // A window with a part of a second cannot be expressed.
            (&[2], Some("\"fine\";q=3")),
            // A limit of another policy.
            (&[9, 0], Some("\"burst\";q=20;w=1")),
            (&[9], None),
            (&[], None),
        ] {
            let value = rate_limit_policy(&policy(), limits.iter().map(|&limit| LimitId(limit)));
            assert_eq!(value.as_deref(), expect);
        }
    }

    #[test]
    fn the_limit_field_lists_what_is_left() {
        for (verdicts, expect) in [
            (&[verdict(1, 12, 240)][..], Some("\"hour\";r=12;t=240")),
            (&[verdict(0, 0, 1), verdict(1, 999, 4)], Some("\"burst\";r=0;t=1, \"hour\";r=999;t=4")),
            (&[verdict(9, 1, 1)], None),
            (&[], None),
        ] {
            assert_eq!(rate_limit(&policy(), verdicts).as_deref(), expect);
        }
    }

    #[test]
    fn who_waits_the_whole_seconds_passes() {
        for (wait, seconds) in
            [(Duration::from_nanos(1), 1), (Duration::from_secs(4), 4), (Duration::from_millis(4001), 5)]
        {
            assert_eq!(retry_after_seconds(wait), seconds);
        }
    }
}
