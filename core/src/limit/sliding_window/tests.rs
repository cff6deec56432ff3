//! The reference vectors, and the edges of the constructor.

use super::*;
use crate::limit::tests::Expect::{Never, Ok, Wait};
use crate::limit::tests::{MS, SECOND, at, check, check_from, ns, units};
use crate::limit::{Quota, State};

fn rule(limit: u32, window_ns: u64) -> SlidingWindow {
    SlidingWindow::new(units(limit), ns(window_ns)).expect("rules of the tests are sound")
}

#[test]
fn ten_for_each_ten_seconds() {
    check(
        rule(10, 10 * SECOND),
        &[
            (9_999, 10, Ok(0)),
            (9_999, 1, Wait(1001, 0)),
            (10_000, 1, Wait(1000, 0)),
            (10_001, 1, Wait(999, 0)),
            (11_000, 1, Ok(0)),
            (11_000, 1, Wait(1000, 0)),
            (15_000, 4, Ok(0)),
            (15_000, 1, Wait(1000, 0)),
            (15_000, 6, Wait(7000, 0)),
            (40_000, 10, Ok(0)),
            (40_000, 1, Wait(11_000, 0)),
            (40_000, 11, Never),
        ],
    );
}

/// 42 in the last minute, 18 in this one, a quarter of it over: 49.5 count, and a fraction is not rounded away.
#[test]
fn a_fraction_counts() {
    let rule = rule(50, 60 * SECOND);
    let counts = WindowCounts { end: at(60 * SECOND), current: 18, previous: 42 };
    assert_eq!(rule.remaining(Some(counts), at(15 * SECOND)), 0);
    let Decision::Deny { retry_after } = rule.decide(Some(counts), at(15 * SECOND), 1) else { panic!("49.5 + 1 > 50") };
    // 714.285714... ms, to the nanosecond above; the published vector rounds to 715 ms.
    assert_eq!(retry_after, ns(714_285_715));
    let fifty_one = SlidingWindow::new(units(51), rule.window()).expect("sound");
    assert_eq!(fifty_one.remaining(Some(counts), at(15 * SECOND)), 1);
}

#[test]
fn a_clock_that_steps_back_counts_as_the_start_of_the_window() {
    let counts = WindowCounts { end: at(20 * SECOND), current: 5, previous: 10 };
    check_from(
        rule(10, 10 * SECOND),
        Some(State::SlidingWindow(counts)),
        // Five of ten are spent in the window from 10 s, and at its start all ten of the last one count.
        &[(5_000, 1, Wait(11_000, 0)), (10_000, 1, Wait(6_000, 0)), (0, 1, Wait(16_000, 0))],
    );
}

#[test]
fn a_change_of_the_window_takes_along_what_counts() {
    let minute = rule(50, 60 * SECOND);
    let counts = WindowCounts { end: at(60 * SECOND), current: 18, previous: 42 };
    let hour = rule(50, 3600 * SECOND);
    let moved = hour.rescale(&minute, counts, at(15 * SECOND));
    assert_eq!((moved.current, moved.previous), (50, 0));
    let larger = rule(60, 60 * SECOND);
    assert_eq!(larger.rescale(&minute, counts, at(15 * SECOND)), counts);
}

#[test]
fn a_refund_takes_from_this_window_first() {
    let counts = WindowCounts { end: at(10 * SECOND), current: 2, previous: 5 };
    for (units, left) in [(0, (2, 5)), (1, (1, 5)), (2, (0, 5)), (3, (0, 4)), (7, (0, 0)), (u32::MAX, (0, 0))] {
        let WindowCounts { current, previous, .. } = rule(10, 10 * SECOND).refund(Some(counts), at(0), units);
        assert_eq!((current, previous), left);
    }
}

#[test]
fn what_is_no_rule_is_refused() {
    for (window, expect) in [
        (Duration::ZERO, Some(RuleError::TimeNotWholeMicros)),
        (ns(999), Some(RuleError::TimeNotWholeMicros)),
        (ns(1000), None),
        (ns(1500), Some(RuleError::TimeNotWholeMicros)),
        (ns(MS), None),
        (Quota::WINDOW_MAX, None),
        (Quota::WINDOW_MAX + ns(1000), Some(RuleError::TimeTooLong)),
        (Duration::MAX, Some(RuleError::TimeTooLong)),
    ] {
        assert_eq!(SlidingWindow::new(units(1), window).err(), expect, "{window:?}");
    }
}

/// The product of the largest limit and the longest window needs more than 64 bits.
#[test]
fn the_largest_rule_is_exact() {
    let rule = SlidingWindow::new(NonZeroU32::MAX, Quota::WINDOW_MAX).expect("sound");
    let end = rule.window_end(at(0));
    let counts = WindowCounts { end, current: 0, previous: u32::MAX };
    let start = Timestamp::from_unix_nanos(end.as_unix_nanos() - rule.window_ns);
    // One unit comes free after ceil(W / L) nanoseconds.
    let unit = rule.window_ns.div_ceil(u64::from(u32::MAX));
    assert_eq!(rule.decide(Some(counts), start, 1), Decision::Deny { retry_after: ns(unit) });
    assert!(matches!(rule.decide(Some(counts), start.after(ns(unit)), 1), Decision::Allow { .. }));
    assert_eq!(rule.decide(Some(counts), start, u32::MAX), Decision::Deny { retry_after: rule.window() });
}
