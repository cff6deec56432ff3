//! What is said to clients.

use core::num::NonZeroU32;

use super::*;
use crate::limit::{Concurrency, FixedWindow, Period, Quota, SlidingWindow};

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
        (&[verdict(0, 0, 1), verdict(1, 10, 3564)], Some("\"burst\";r=0;t=1, \"hour\";r=10;t=3564")),
        // 999 within 4 seconds would be 900 times the quota's rate; 16 times is 999 within 225.
        (&[verdict(1, 999, 4)], Some("\"hour\";r=999;t=225")),
        (&[Verdict { ruling: Ruling::Never, ..verdict(1, 999, 4) }], Some("\"hour\";r=999;t=4")),
        (&[verdict(9, 1, 1)], None),
        (&[], None),
    ] {
        assert_eq!(rate_limit(&policy(), verdicts).as_deref(), expect);
    }
}

#[test]
fn who_waits_the_whole_seconds_passes() {
    for (wait, seconds) in [(Duration::from_nanos(1), 1), (Duration::from_secs(4), 4), (Duration::from_millis(4001), 5)]
    {
        assert_eq!(retry_after_seconds(wait), seconds);
    }
}

/// The example of the draft's security considerations: 10,000 in 1,000 seconds, all of it left.
#[test]
fn no_more_than_sixteen_times_the_rate_is_invited() {
    let all = NonZeroU32::new(10_000).expect("above zero");
    let rule = Quota::new(all, Duration::from_secs(1000), all).expect("sound").into();
    for (remaining, seconds) in [(0, 0), (1, 1), (160, 1), (161, 2), (10_000, 63)] {
        assert_eq!(slowest(&rule, remaining), seconds);
    }
}

#[test]
fn what_is_counted_and_for_whom_is_said_where_it_is_not_plain() {
    let partition = Some(PartitionKey::new(b"secret", b"client"));
    let listed = Listed { limit: LimitId(0), partition };
    let value = rate_limit_policy(&policy(), [listed]).expect("a limit of the policy");
    assert!(value.starts_with("\"burst\";q=20;w=1;pk=:") && value.ends_with("=:"), "{value}");

    let ten = NonZeroU32::new(10).expect("above zero");
    let minute = Duration::from_secs(60);
    let held = Concurrency::new(ten, minute).expect("sound").into();
    let bytes = SlidingWindow::new(ten, minute).expect("sound").into();
    let month = FixedWindow::new(ten, Period::month(0).expect("sound")).into();
    for (rule, unit, expect) in [
        (held, Unit::ConcurrentRequests, "\"it\";q=10;qu=\"concurrent-requests\""),
        (bytes, Unit::ContentBytes, "\"it\";q=10;qu=\"content-bytes\";w=60"),
        // Months differ, so they have no `w`.
        (month, Unit::Requests, "\"it\";q=10"),
    ] {
        let mut value = String::new();
        append_policy(&mut value, "it", &rule, unit, None);
        assert_eq!(value, expect);
    }
}

#[test]
fn the_older_fields_speak_of_the_limit_that_binds_most() {
    let policy = policy();
    let deny = |limit, seconds| Verdict {
        ruling: Ruling::Deny { retry_after: Duration::from_secs(seconds) },
        ..verdict(limit, 0, seconds)
    };
    for (verdicts, expect) in [
        (&[verdict(1, 12, 240), verdict(0, 3, 1)][..], Some((20, 3, 1))),
        (&[verdict(0, 3, 1), deny(1, 30)], Some((1000, 0, 30))),
        (&[deny(0, 1), deny(1, 30)], Some((1000, 0, 30))),
        (&[verdict(9, 1, 1)], None),
        (&[], None),
    ] {
        let legacy = Legacy::of(&policy, &Admission { verdicts: verdicts.into() });
        assert_eq!(legacy.map(|legacy| (legacy.limit, legacy.remaining, legacy.reset_seconds)), expect);
    }
    let names = Legacy { limit: 1, remaining: 2, reset_seconds: 3 }.fields();
    assert_eq!(names, [("x-ratelimit-limit", 1), ("x-ratelimit-remaining", 2), ("x-ratelimit-reset", 3)]);
}
