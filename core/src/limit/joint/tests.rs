//! Sets of limits.

use alloc::vec;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::limit::tests::{START, aged, any_rule, any_state};
use crate::limit::{Decision, Quota, Refusal};

fn quota(limit: u32, window: u64, burst: u32) -> Algorithm {
    let units = |number| NonZeroU32::new(number).expect("quotas of the tests are above zero");
    Quota::new(units(limit), Duration::from_secs(window), units(burst)).expect("quotas of the tests are sound").into()
}

const NOW: Timestamp = START;

/// The state of a key that has spent `units` at once.
fn spent(rule: &Algorithm, units: u32) -> State {
    match rule.decide(None, NOW, &Spend::new(units, 0)) {
        Decision::Allow { next } => next,
        Decision::Deny { .. } | Decision::Never => panic!("{units} fit the burst"),
    }
}

fn check<'a>(limit: u16, algorithm: &'a Algorithm, stored: Option<&'a State>, cost: u32) -> Check<'a> {
    Check { limit: LimitId(limit), algorithm, stored, spend: Spend::new(cost, 0) }
}

/// The states that a decision asks to keep.
fn next(decision: &JointDecision<'_>) -> Vec<State> {
    decision.next_states().map(|(_, state)| state).collect()
}

#[test]
fn all_are_charged_when_all_have_room() {
    let (short, long) = (quota(5, 1, 5), quota(100, 3600, 50));
    let ten = spent(&long, 10);
    let checks = [check(0, &short, None, 1), check(3, &long, Some(&ten), 2)];
    let decision = decide_all(&checks, NOW);
    assert_eq!(decision.ruling(), Ruling::Allow);
    assert_eq!(next(&decision), [spent(&short, 1), spent(&long, 12)]);

    let admission = decision.admission();
    assert_eq!(admission.refusal(), None);
    let verdict = |limit, remaining, effective_window_seconds| Verdict {
        limit: LimitId(limit),
        ruling: Ruling::Allow,
        remaining,
        effective_window_seconds,
    };
    assert_eq!(admission.verdicts, [verdict(0, 4, 1), verdict(3, 38, 432)]);
}

#[test]
fn nothing_is_charged_when_one_has_no_room() {
    let (short, long) = (quota(5, 1, 5), quota(100, 3600, 50));
    let all = spent(&long, 50);
    let checks = [check(0, &short, None, 1), check(3, &long, Some(&all), 2)];
    let decision = decide_all(&checks, NOW);
    let retry_after = Duration::from_secs(72);
    assert_eq!(decision.ruling(), Ruling::Deny { retry_after });
    assert_eq!(next(&decision), []);

    let admission = decision.admission();
    let room = Verdict { limit: LimitId(0), ruling: Ruling::Allow, remaining: 5, effective_window_seconds: 1 };
    let full =
        Verdict { limit: LimitId(3), ruling: Ruling::Deny { retry_after }, remaining: 0, effective_window_seconds: 72 };
    assert_eq!(admission.verdicts, [room, full]);
    assert_eq!(admission.refusal(), Some(Refusal { retry_after: Some(retry_after) }));
    assert_eq!(admission.violated().collect::<Vec<_>>(), [&full]);
}

/// A limit that objects to a large cost reports the units it has, and the wait for that cost.
#[test]
fn an_objecting_limit_with_units_left_says_both() {
    let quota = quota(5, 5, 5);
    let three = spent(&quota, 3);
    let checks = [check(0, &quota, Some(&three), 4)];
    let verdict = decide_all(&checks, NOW).admission().verdicts[0];
    let retry_after = Duration::from_secs(2);
    assert_eq!(verdict.ruling, Ruling::Deny { retry_after });
    assert_eq!((verdict.remaining, verdict.effective_window_seconds), (2, 2));
}

#[test]
fn the_longest_wait_counts_and_never_outlasts_it() {
    let (short, long) = (quota(5, 1, 5), quota(100, 3600, 50));
    let (all_short, all_long) = (spent(&short, 5), spent(&long, 50));
    let denied = [check(0, &short, Some(&all_short), 1), check(1, &long, Some(&all_long), 1)];
    assert_eq!(decide_all(&denied, NOW).ruling(), Ruling::Deny { retry_after: Duration::from_secs(36) });

    for checks in [[denied[1], check(0, &short, None, 6)], [check(0, &short, None, 6), denied[1]]] {
        let decision = decide_all(&checks, NOW);
        assert_eq!(decision.ruling(), Ruling::Never);
        assert_eq!(decision.admission().refusal(), Some(Refusal { retry_after: None }));
    }
}

#[test]
fn no_check_allows() {
    let decision = decide_all(&[], NOW);
    assert_eq!((decision.ruling(), next(&decision)), (Ruling::Allow, Vec::new()));
    assert_eq!(decision.admission(), Admission::default());
}

#[test]
fn as_many_checks_as_a_route_may_name() {
    let quota = quota(5, 1, 5);
    let checks = vec![check(0, &quota, None, 1); LIMITS_PER_REQUEST_MAX];
    assert_eq!(next(&decide_all(&checks, NOW)), vec![spent(&quota, 1); LIMITS_PER_REQUEST_MAX]);
}

#[test]
#[should_panic = "at most 8 limits"]
fn one_check_more_is_a_fault_of_the_caller() {
    let quota = quota(5, 1, 5);
    let _ = decide_all(&vec![check(0, &quota, None, 1); LIMITS_PER_REQUEST_MAX + 1], NOW);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the rules are, the joint decision is exactly what the single ones say together, and after
    /// waiting as long as it asks for, the request passes.
    #[test]
    fn it_agrees_with_the_single_decisions(
        limits in prop::collection::vec(
            any_rule().prop_flat_map(|rule| (Just(rule), any_state(rule), 0..9_u32)),
            0..=LIMITS_PER_REQUEST_MAX,
        ),
        later in 0..3_000_u64,
    ) {
        let now = NOW.after(Duration::from_millis(later));
        let stored: Vec<Option<State>> = limits.iter().map(|(rule, past, _)| aged(rule, past)).collect();
        let checks: Vec<Check<'_>> = (0..)
            .zip(&limits)
            .zip(&stored)
            .map(|((id, (rule, _, cost)), stored)| check(id, rule, stored.as_ref(), *cost))
            .collect();
        let single: Vec<Decision<State>> =
            checks.iter().map(|check| check.algorithm.decide(check.stored, now, &check.spend)).collect();
        let decision = decide_all(&checks, now);
        let admission = decision.admission();
        let objecting = single.iter().filter(|decision| decision.ruling() != Ruling::Allow).count();
        prop_assert_eq!(admission.violated().count(), objecting);
        match decision.ruling() {
            Ruling::Allow => {
                let allowed: Vec<_> = next(&decision).into_iter().map(|next| Decision::Allow { next }).collect();
                prop_assert_eq!(allowed, single);
                prop_assert_eq!(admission.refusal(), None);
            }
            Ruling::Deny { retry_after } => {
                prop_assert_eq!(admission.refusal(), Some(Refusal { retry_after: Some(retry_after) }));
                prop_assert!(next(&decision).is_empty() && objecting > 0);
                prop_assert_eq!(decide_all(&checks, now.after(retry_after)).ruling(), Ruling::Allow);
                let sooner = now.after(retry_after - Duration::from_nanos(1));
                prop_assert_ne!(decide_all(&checks, sooner).ruling(), Ruling::Allow);
            }
            Ruling::Never => {
                prop_assert_eq!(admission.refusal(), Some(Refusal { retry_after: None }));
                prop_assert!(next(&decision).is_empty() && objecting > 0);
            }
        }
    }
}
