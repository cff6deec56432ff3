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
