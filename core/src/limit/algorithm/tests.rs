//! What the enum adds to its rules.

use core::mem::size_of;

use super::*;
use crate::limit::Period;
use crate::limit::tests::{KEY, SECOND, at, ns, units};

fn one_of_each() -> [Algorithm; 6] {
    let sound = "rules of the tests are sound";
    let (limit, time) = (units(10), ns(60 * SECOND));
    [
        Quota::new(limit, time, units(5)).expect(sound).into(),
        SlidingWindow::new(limit, time).expect(sound).into(),
        FixedWindow::new(limit, Period::month(0).expect(sound)).into(),
        IntervalBucket::new(units(20), limit, time).expect(sound).into(),
        SlidingLog::new(limit, time).expect(sound).into(),
        Concurrency::new(limit, time).expect(sound).into(),
    ]
}

/// Two limits that swap their rules must not read each other's states.
#[test]
fn a_state_of_another_rule_is_no_state() {
    for rule in one_of_each() {
        for other in one_of_each().into_iter().filter(|other| *other != rule) {
            let Decision::Allow { next } = other.decide(None, at(0), &Spend::new(3, KEY)) else { panic!("three fit") };
            assert_eq!(rule.remaining(Some(&next), at(0)), rule.cost_max().get());
            assert_eq!(rule.expires(&next), Timestamp::UNIX_EPOCH);
            assert_eq!(rule.rescale(&other, &next, at(0), KEY), None);
        }
    }
}

#[test]
fn what_clients_are_told_of_each_rule() {
    let minute = Some(ns(60 * SECOND));
    let expect = [
        ("gcra", 10, minute, 5),
        ("sliding-window", 10, minute, 10),
        ("fixed-window", 10, None, 10),
        ("interval-bucket", 10, minute, 20),
        ("sliding-log", 10, minute, 10),
        ("concurrency", 10, None, 10),
    ];
    for (rule, expect) in one_of_each().into_iter().zip(expect) {
        assert_eq!((rule.as_str(), rule.quota().get(), rule.window(), rule.cost_max().get()), expect);
    }
}

/// What the documentation says a state takes.
#[test]
fn states_are_as_small_as_stated() {
    assert_eq!(size_of::<Tat>(), 8);
    assert_eq!(size_of::<WindowCounts>(), 16);
    assert_eq!(size_of::<WindowCount>(), 16);
    assert_eq!(size_of::<Tokens>(), 16);
    assert!(size_of::<Log>() <= 520);
    assert!(size_of::<Leases>() <= 1552);
}
