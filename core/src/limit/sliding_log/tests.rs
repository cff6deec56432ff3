//! Exact windows, and the edges of the ring.

use alloc::vec::Vec;

use super::*;
use crate::limit::tests::Expect::{Never, Ok, Wait};
use crate::limit::tests::{SECOND, at, check, ns, units};

fn rule(limit: u32) -> SlidingLog {
    SlidingLog::new(units(limit), ns(10 * SECOND)).expect("rules of the tests are sound")
}

#[test]
fn three_in_every_ten_seconds() {
    check(
        rule(3),
        &[
            (0, 1, Ok(2)),
            (4_000, 2, Ok(0)),
            (4_000, 1, Wait(6_000, 0)),
            (4_000, 2, Wait(10_000, 0)),
            (9_999, 1, Wait(1, 0)),
            (10_000, 1, Ok(0)),
            (10_000, 4, Never),
            // The clock steps back: nothing written down is forgotten.
            (2_000, 1, Wait(12_000, 0)),
            (14_000, 2, Ok(0)),
            (100_000, 3, Ok(0)),
        ],
    );
}

#[test]
fn the_ring_goes_round_at_its_largest() {
    let rule = rule(SlidingLog::LIMIT_MAX);
    let mut log = None;
    // One unit in each eighth of a second: 80 would be spent in a window, and 64 may be.
    let mut admitted = Vec::new();
    for step in 0..1000_u64 {
        let now = at(step * SECOND / 8);
        if let Decision::Allow { next } = rule.decide(log.as_ref(), now, 1) {
            log = Some(next);
            admitted.push(step);
        }
    }
    // 64 of each 80, the first 64 of them.
    let expect: Vec<u64> = (0..1000).filter(|step| step % 80 < 64).collect();
    assert_eq!(admitted, expect);
    assert_eq!(log.map(|log| log.times().count()), Some(40 + 24));
}

#[test]
fn a_refund_takes_the_newest_first() {
    let log = Log::from_times([0, 1, 2].map(at)).expect("three in order");
    let left: Vec<_> = rule(3).refund(Some(&log), at(3), 2).times().collect();
    assert_eq!(left, [at(0)]);
}

#[test]
fn what_is_no_rule_or_no_log_is_refused() {
    for (limit, window, expect) in [
        (64, ns(1000), None),
        (65, ns(1000), Some(RuleError::LogTooLong)),
        (1, ns(1), Some(RuleError::TimeNotWholeMicros)),
        (1, Duration::MAX, Some(RuleError::TimeTooLong)),
    ] {
        assert_eq!(SlidingLog::new(units(limit), window).err(), expect);
    }
    assert!(Log::from_times((0..64).map(at)).is_some());
    assert!(Log::from_times((0..65).map(at)).is_none());
    assert!(Log::from_times([1, 0].map(at)).is_none());
}

#[cfg(feature = "serde")]
#[test]
fn an_unsound_log_does_not_travel() {
    let bytes = postcard::to_allocvec(&Times([1, 0].map(at).into())).expect("times are plain data");
    assert!(postcard::from_bytes::<Log>(&bytes).is_err());
}
