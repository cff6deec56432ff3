//! Several limits on one request: all are charged, or none is.

use core::time::Duration;

use super::{Admission, Decision, LIMITS_PER_REQUEST_MAX, LimitId, Quota, Ruling, Tat, Verdict};
use crate::time::{Timestamp, seconds_ceil};

/// One limit that a request has to pass.
#[derive(Clone, Copy, Debug)]
pub struct Check<'a> {
    /// Which limit this is, for the [`Verdict`].
    pub limit: LimitId,
    /// What it allows.
    pub quota: &'a Quota,
    /// The state of the request's key under this limit.
    pub stored: Option<Tat>,
    /// What the request costs under this limit.
    pub cost: u32,
}

/// What to do with one request that several limits judge.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum JointDecision {
    /// Every limit has room: let it pass, and store each state of `next` for the check of the same place.
    Allow {
        /// The states to keep, in the order of the checks.
        next: NextStates,
    },
    /// At least one limit has no room: refuse it. What is stored stays as it is, in all of them.
    Deny {
        /// The wait of the limit that asks for the longest one; `None` when no wait helps.
        retry_after: Option<Duration>,
    },
}

/// Up to [`LIMITS_PER_REQUEST_MAX`] states, held in place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NextStates {
    states: [Tat; LIMITS_PER_REQUEST_MAX],
    len: usize,
}

impl NextStates {
    /// The states, in the order of the checks.
    #[must_use]
    pub fn as_slice(&self) -> &[Tat] {
        &self.states[..self.len]
    }
}

/// Decides on one request under several limits: charged in all of them, or in none.
///
/// No check at all allows. A key under two limits is two checks; the same key of the same limit must not
/// appear twice, because each check would see the state without the other's charge. Allocates nothing.
///
/// # Panics
///
/// With more than [`LIMITS_PER_REQUEST_MAX`] checks, which a compiled policy never asks for.
pub fn decide_all(checks: &[Check<'_>], now: Timestamp) -> JointDecision {
    assert!(checks.len() <= LIMITS_PER_REQUEST_MAX, "a request meets at most {LIMITS_PER_REQUEST_MAX} limits");
    let mut next = NextStates { len: checks.len(), ..NextStates::default() };
    let mut denied: Option<Option<Duration>> = None;
    for (check, state) in checks.iter().zip(&mut next.states) {
        let wait = match check.quota.decide(check.stored, now, check.cost) {
            Decision::Allow { next } => {
                *state = next;
                continue;
            }
            Decision::Deny { retry_after } => Some(retry_after),
            Decision::Never => None,
        };
        denied = Some(match denied {
            None => wait,
            Some(longest) => longest.zip(wait).map(|(a, b)| a.max(b)),
        });
    }
    match denied {
        None => JointDecision::Allow { next },
        Some(retry_after) => JointDecision::Deny { retry_after },
    }
}

impl JointDecision {
    /// What each limit says, for the response fields: `checks` and `now` are those of the decision.
    ///
    /// Computed apart from the decision, because a store that only has to say yes or no need not pay for it.
    #[must_use]
    pub fn admission(&self, checks: &[Check<'_>], now: Timestamp) -> Admission {
        let charged = match self {
            Self::Allow { next } => next.as_slice(),
            Self::Deny { .. } => &[],
        };
        let verdict = |(place, check): (usize, &Check<'_>)| {
            let state = charged.get(place).copied().or(check.stored);
            let mut effective_window_seconds = check.quota.effective_window_seconds(state, now);
            let ruling = if charged.is_empty() {
                match check.quota.decide(check.stored, now, check.cost) {
                    Decision::Allow { .. } => Ruling::Allow,
                    Decision::Never => Ruling::Never,
                    Decision::Deny { retry_after } => {
                        // The draft: Retry-After is not earlier than the end of the effective window. So
                        // for the limit that objects they are the same, even when it has units left.
                        effective_window_seconds = seconds_ceil(retry_after);
                        Ruling::Deny { retry_after }
                    }
                }
            } else {
                Ruling::Allow
            };
            Verdict {
                limit: check.limit,
                ruling,
                remaining: check.quota.remaining(state, now),
                effective_window_seconds,
            }
        };
        Admission { verdicts: checks.iter().enumerate().map(verdict).collect() }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;
    use core::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;
    use crate::limit::Refusal;

    fn quota(limit: u32, window: u64, burst: u32) -> Quota {
        let units = |number| NonZeroU32::new(number).expect("quotas of the tests are above zero");
        Quota::new(units(limit), Duration::from_secs(window), units(burst)).expect("quotas of the tests are sound")
    }

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_772_323_200);

    /// The state of a key that has spent `units` at once.
    fn spent(quota: &Quota, units: u32) -> Option<Tat> {
        match quota.decide(None, NOW, units) {
            Decision::Allow { next } => Some(next),
            Decision::Deny { .. } | Decision::Never => panic!("{units} fit the burst"),
        }
    }

    fn check(limit: u16, quota: &Quota, stored: Option<Tat>, cost: u32) -> Check<'_> {
        Check { limit: LimitId(limit), quota, stored, cost }
    }

    #[test]
    fn all_are_charged_when_all_have_room() {
        let (short, long) = (quota(5, 1, 5), quota(100, 3600, 50));
        let checks = [check(0, &short, None, 1), check(3, &long, spent(&long, 10), 2)];
        let decision = decide_all(&checks, NOW);
        let JointDecision::Allow { next } = &decision else { panic!("both have room") };
        assert_eq!(next.as_slice(), [spent(&short, 1).unwrap(), spent(&long, 12).unwrap()]);

        let admission = decision.admission(&checks, NOW);
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
        let checks = [check(0, &short, None, 1), check(3, &long, spent(&long, 50), 2)];
        let decision = decide_all(&checks, NOW);
        let retry_after = Duration::from_secs(72);
        assert_eq!(decision, JointDecision::Deny { retry_after: Some(retry_after) });

        let admission = decision.admission(&checks, NOW);
        let room = Verdict { limit: LimitId(0), ruling: Ruling::Allow, remaining: 5, effective_window_seconds: 1 };
        let full = Verdict {
            limit: LimitId(3),
            ruling: Ruling::Deny { retry_after },
            remaining: 0,
            effective_window_seconds: 72,
        };
        assert_eq!(admission.verdicts, [room, full]);
        assert_eq!(admission.refusal(), Some(Refusal { retry_after: Some(retry_after) }));
        assert_eq!(admission.violated().collect::<Vec<_>>(), [&full]);
    }

    /// A limit that objects to a large cost reports the units it has, and the wait for that cost.
    #[test]
    fn an_objecting_limit_with_units_left_says_both() {
        let quota = quota(5, 5, 5);
        let checks = [check(0, &quota, spent(&quota, 3), 4)];
        let verdict = decide_all(&checks, NOW).admission(&checks, NOW).verdicts[0];
        let retry_after = Duration::from_secs(2);
        assert_eq!(verdict.ruling, Ruling::Deny { retry_after });
        assert_eq!((verdict.remaining, verdict.effective_window_seconds), (2, 2));
    }

    #[test]
    fn the_longest_wait_counts_and_never_outlasts_it() {
        let (short, long) = (quota(5, 1, 5), quota(100, 3600, 50));
        let denied = [check(0, &short, spent(&short, 5), 1), check(1, &long, spent(&long, 50), 1)];
        let longest = Some(Duration::from_secs(36));
        assert_eq!(decide_all(&denied, NOW), JointDecision::Deny { retry_after: longest });

        for checks in [[denied[1], check(0, &short, None, 6)], [check(0, &short, None, 6), denied[1]]] {
            let decision = decide_all(&checks, NOW);
            assert_eq!(decision, JointDecision::Deny { retry_after: None });
            assert_eq!(decision.admission(&checks, NOW).refusal(), Some(Refusal { retry_after: None }));
        }
    }

    #[test]
    fn no_check_allows() {
        let decision = decide_all(&[], NOW);
        assert_eq!(decision, JointDecision::Allow { next: NextStates::default() });
        assert_eq!(decision.admission(&[], NOW), Admission::default());
    }

    #[test]
    fn as_many_checks_as_a_route_may_name() {
        let quota = quota(5, 1, 5);
        let checks = vec![check(0, &quota, None, 1); LIMITS_PER_REQUEST_MAX];
        let JointDecision::Allow { next } = decide_all(&checks, NOW) else { panic!("all have room") };
        assert_eq!(next.as_slice(), [spent(&quota, 1).unwrap(); LIMITS_PER_REQUEST_MAX]);
    }

    #[test]
    #[should_panic = "at most 8 limits"]
    fn one_check_more_is_a_fault_of_the_caller() {
        let quota = quota(5, 1, 5);
        let _ = decide_all(&vec![check(0, &quota, None, 1); LIMITS_PER_REQUEST_MAX + 1], NOW);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        /// The joint decision is exactly what the single ones say together, and after waiting as long as it
        /// asks for, the request passes.
        #[test]
        fn it_agrees_with_the_single_decisions(
            limits in prop::collection::vec((1..9_u32, 1..9_u64, 1..9_u32, 0..20_u64, 0..9_u32), 0..=LIMITS_PER_REQUEST_MAX),
        ) {
            let quotas: Vec<Quota> = limits.iter().map(|&(limit, window, burst, ..)| quota(limit, window, burst)).collect();
            let checks: Vec<Check<'_>> = (0..).zip(&quotas).zip(&limits).map(|((id, quota), &(.., ahead, cost))| {
                check(id, quota, Some(Tat::from_unix_nanos(NOW.after(Duration::from_secs(ahead)).as_unix_nanos())), cost)
            }).collect();
            let single: Vec<Decision> =
                checks.iter().map(|check| check.quota.decide(check.stored, NOW, check.cost)).collect();
            let decision = decide_all(&checks, NOW);
            let admission = decision.admission(&checks, NOW);
            match &decision {
                JointDecision::Allow { next } => {
                    let next: Vec<Decision> = next.as_slice().iter().map(|&next| Decision::Allow { next }).collect();
                    prop_assert_eq!(next, single);
                    prop_assert_eq!(admission.refusal(), None);
                }
                JointDecision::Deny { retry_after } => {
                    prop_assert_eq!(admission.refusal(), Some(Refusal { retry_after: *retry_after }));
                    let objecting = single.iter().filter(|decision| !matches!(decision, Decision::Allow { .. }));
                    prop_assert_eq!(objecting.count(), admission.violated().count());
                    if let Some(wait) = retry_after {
                        let passes = matches!(decide_all(&checks, NOW.after(*wait)), JointDecision::Allow { .. });
                        prop_assert!(passes);
                        let sooner = NOW.after(*wait - Duration::from_nanos(1));
                        let refused = matches!(decide_all(&checks, sooner), JointDecision::Deny { .. });
                        prop_assert!(refused);
                    }
                }
            }
        }
    }
}
