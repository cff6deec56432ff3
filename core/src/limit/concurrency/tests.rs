//! Leases taken, renewed, released, and lost.

use super::*;
use crate::limit::tests::{SECOND, at, ns, units};

fn rule(limit: u32) -> Concurrency {
    Concurrency::new(units(limit), ns(30 * SECOND)).expect("rules of the tests are sound")
}

fn take(rule: &Concurrency, state: &mut Leases, second: u64, id: u64, units: u32) -> Result<u32, u64> {
    match rule.decide(Some(state), at(second * SECOND), LeaseId(id), units) {
        Decision::Allow { next } => {
            *state = next;
            Ok(rule.remaining(Some(state), at(second * SECOND)))
        }
        Decision::Deny { retry_after } => Err(retry_after.as_secs()),
        Decision::Never => Err(u64::MAX),
    }
}

#[test]
fn leases_are_taken_renewed_released_and_lost() {
    let (rule, mut held) = (rule(3), Leases::default());
    assert_eq!(take(&rule, &mut held, 0, 1, 1), Ok(2));
    assert_eq!(take(&rule, &mut held, 5, 2, 2), Ok(0));
    assert_eq!(take(&rule, &mut held, 6, 3, 1), Err(24));
    assert_eq!(take(&rule, &mut held, 6, 3, 2), Err(29));
    assert_eq!(take(&rule, &mut held, 6, 3, 4), Err(u64::MAX));
    // The same request again is no second one, and a renewal pushes the end.
    assert_eq!(take(&rule, &mut held, 10, 1, 1), Ok(0));
    assert_eq!(take(&rule, &mut held, 10, 3, 1), Err(25));
    held = rule.release(Some(&held), at(11 * SECOND), LeaseId(2));
    held = rule.release(Some(&held), at(11 * SECOND), LeaseId(2));
    assert_eq!(take(&rule, &mut held, 11, 3, 1), Ok(1));
    // Holder 1 is never heard of again: its place is free when its lease ends.
    assert_eq!(take(&rule, &mut held, 39, 4, 2), Err(1));
    assert_eq!(take(&rule, &mut held, 40, 4, 2), Ok(0));
    // No units: a question that takes nothing.
    assert_eq!(take(&rule, &mut held, 40, 5, 0), Ok(0));
    assert_eq!(held.as_slice().len(), 2);
}

#[test]
fn a_clock_that_steps_back_keeps_leases() {
    let (rule, mut held) = (rule(1), Leases::default());
    assert_eq!(take(&rule, &mut held, 100, 1, 1), Ok(0));
    assert_eq!(take(&rule, &mut held, 50, 2, 1), Err(80));
    // A renewal by an earlier clock does not shorten the lease.
    assert_eq!(take(&rule, &mut held, 50, 1, 1), Ok(0));
    assert_eq!(held.expires(), at(130 * SECOND));
}

#[test]
fn as_many_leases_as_a_state_holds() {
    let (rule, mut held) = (rule(Concurrency::LIMIT_MAX), Leases::default());
    for id in 0..64 {
        assert_eq!(take(&rule, &mut held, id / 4, id, 1), Ok(63 - id as u32));
    }
    assert_eq!(held.as_slice().len(), 64);
    assert!(take(&rule, &mut held, 29, 64, 1).is_err());
    // The first four end at 30.
    assert_eq!(take(&rule, &mut held, 30, 64, 1), Ok(3));
}

#[test]
fn what_is_no_rule_or_no_state_is_refused() {
    for (limit, ttl, expect) in [
        (64, ns(1000), None),
        (65, ns(1000), Some(RuleError::TooManyLeases)),
        (1, ns(1), Some(RuleError::TimeNotWholeMicros)),
        (1, Duration::MAX, Some(RuleError::TimeTooLong)),
    ] {
        assert_eq!(Concurrency::new(units(limit), ttl).err(), expect);
    }
    let lease = |units| Lease { id: LeaseId(1), expires: at(0), units };
    for (leases, sound) in [(&[lease(1); 64][..], true), (&[lease(1); 65], false), (&[lease(0)], false)] {
        assert_eq!(Leases::from_leases(leases.iter().copied()).is_some(), sound);
    }
    assert!(Leases::from_leases([lease(64)]).is_some() && Leases::from_leases([lease(65)]).is_none());
}
