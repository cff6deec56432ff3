//! Steps of the refill, and the edges of the constructor.

use super::*;
use crate::limit::tests::Expect::{Never, Ok, Wait};
use crate::limit::tests::{SECOND, at, check, ns, units};

fn rule(capacity: u32, refill: u32, interval_ns: u64) -> IntervalBucket {
    IntervalBucket::new(units(capacity), units(refill), ns(interval_ns)).expect("rules of the tests are sound")
}

#[test]
fn ten_with_five_each_second() {
    check(
        rule(10, 5, SECOND),
        &[
            (300, 10, Ok(0)),
            (300, 1, Wait(1000, 0)),
            (300, 6, Wait(2000, 0)),
            (1299, 1, Wait(1, 0)),
            (1300, 3, Ok(2)),
            // The interval began at 1300, whatever was spent in it.
            (2299, 3, Wait(1, 2)),
            (2300, 7, Ok(0)),
            // The clock steps back: no tokens, and a longer wait.
            (1000, 1, Wait(2300, 0)),
            (60_000, 11, Never),
            (60_000, 10, Ok(0)),
            // Intervals go on from 300 while the state is kept.
            (60_000, 1, Wait(300, 0)),
        ],
    );
}

/// A store may drop a full bucket; its intervals then start later, and never bring a token sooner.
#[test]
fn a_dropped_bucket_gets_no_token_sooner() {
    let rule = rule(3, 1, 10 * SECOND);
    let Decision::Allow { next } = rule.decide(None, at(0), 1) else { panic!("a new bucket is full") };
    assert_eq!(rule.expires(next), at(10 * SECOND));
    let now = at(17 * SECOND);
    let (Decision::Allow { next: kept }, Decision::Allow { next: dropped }) =
        (rule.decide(Some(next), now, 3), rule.decide(None, now, 3))
    else {
        panic!("both are full")
    };
    assert_eq!(rule.decide(Some(kept), now, 1), Decision::Deny { retry_after: ns(3 * SECOND) });
    assert_eq!(rule.decide(Some(dropped), now, 1), Decision::Deny { retry_after: ns(10 * SECOND) });
}

/// With one token in each interval and the state kept, it decides as the continuous bucket does that began at the
/// same moment and whose tokens are asked for at the ends of intervals.
#[test]
fn at_the_ends_of_intervals_it_is_the_continuous_bucket() {
    let (stepped, continuous) = (rule(5, 1, SECOND), Quota::new(units(1), ns(SECOND), units(5)).expect("sound"));
    let (mut tokens, mut tat) = (None, None);
    for step in 0..2000_u64 {
        let (now, cost) = (at(step / 3 * SECOND), [1, 2, 0, 3, 1, 1, 5][step as usize % 7]);
        let (a, b) = (stepped.decide(tokens, now, cost), continuous.decide(tat, now, cost));
        assert_eq!(a.ruling(), b.ruling(), "step {step}");
        if let (Decision::Allow { next: a }, Decision::Allow { next: b }) = (a, b) {
            (tokens, tat) = (Some(a), Some(b));
        }
    }
}

#[test]
fn what_is_no_rule_is_refused() {
    let day = Duration::from_secs(86_400);
    for (capacity, refill, interval, expect) in [
        (1, 1, Duration::ZERO, Some(RuleError::TimeNotWholeMicros)),
        (1, 1, ns(1000), None),
        (3660, 1, day, None),
        (3661, 1, day, Some(RuleError::RefillTooLong)),
        (3661, 2, day, None),
        (u32::MAX, 1, Quota::WINDOW_MAX, Some(RuleError::RefillTooLong)),
        (1, 1, Duration::MAX, Some(RuleError::TimeTooLong)),
    ] {
        assert_eq!(IntervalBucket::new(units(capacity), units(refill), interval).err(), expect);
    }
}
