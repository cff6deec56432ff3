//! Several limits on one request: all are charged, or none is.

use core::time::Duration;

use super::{Admission, Algorithm, LIMITS_PER_REQUEST_MAX, LimitId, Ruling, Spend, State, Verdict};
use crate::time::{Timestamp, seconds_ceil};

/// One limit that a request has to pass.
#[derive(Clone, Copy, Debug)]
pub struct Check<'a> {
    /// Which limit this is, for the [`Verdict`].
    pub limit: LimitId,
    /// What it allows.
    pub algorithm: &'a Algorithm,
    /// The state of the request's key under this limit.
    pub stored: Option<&'a State>,
    /// What the request wants of this limit.
    pub spend: Spend,
}

/// What to do with one request that several limits judge.
///
/// It holds what each limit said, and makes states and verdicts only for who asks: a store that only has to say
/// yes or no need not pay for them.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct JointDecision<'a> {
    checks: &'a [Check<'a>],
    now: Timestamp,
    ruling: Ruling,
}

/// Decides on one request under several limits, whatever their rules: charged in all of them, or in none.
///
/// No check at all allows. A key under two limits is two checks; the same key of the same limit must not
/// appear twice, because each check would see the state without the other's charge. Allocates nothing.
///
/// # Panics
///
/// With more than [`LIMITS_PER_REQUEST_MAX`] checks, which a compiled policy never asks for.
///
/// ```
/// use core::num::NonZeroU32;
/// use core::time::Duration;
/// use seawall_core::limit::{Algorithm, Check, LimitId, Quota, Ruling, SlidingLog, Spend, decide_all};
/// use seawall_core::time::Timestamp;
///
/// let units = |number| NonZeroU32::new(number).unwrap();
/// let second = Algorithm::from(Quota::new(units(5), Duration::from_secs(1), units(5))?);
/// let hour = Algorithm::from(SlidingLog::new(units(1), Duration::from_secs(3600))?);
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let check = |limit, algorithm, stored| Check { limit: LimitId(limit), algorithm, stored, spend: Spend::new(1, 7) };
///
/// let checks = [check(0, &second, None), check(1, &hour, None)];
/// let decision = decide_all(&checks, now);
/// assert_eq!(decision.ruling(), Ruling::Allow);
/// let states: Vec<_> = decision.next_states().map(|(_, state)| state).collect();
///
/// // The hour has no room, so the second is not charged either.
/// let checks = [check(0, &second, Some(&states[0])), check(1, &hour, Some(&states[1]))];
/// let decision = decide_all(&checks, now);
/// assert_eq!(decision.ruling(), Ruling::Deny { retry_after: Duration::from_secs(3600) });
/// assert_eq!(decision.next_states().count(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[inline]
pub fn decide_all<'a>(checks: &'a [Check<'a>], now: Timestamp) -> JointDecision<'a> {
    assert!(checks.len() <= LIMITS_PER_REQUEST_MAX, "a request meets at most {LIMITS_PER_REQUEST_MAX} limits");
    let ruling = checks
        .iter()
        .map(|check| check.algorithm.peek(check.stored, now, &check.spend))
        .fold(Ruling::Allow, Ruling::and);
    JointDecision { checks, now, ruling }
}

impl<'a> JointDecision<'a> {
    /// What all limits say together: to wait as long as the one that asks for the longest wait, and for good
    /// when one of them says so.
    #[must_use]
    pub const fn ruling(&self) -> Ruling {
        self.ruling
    }

    pub(super) const fn checks(&self) -> &'a [Check<'a>] {
        self.checks
    }

    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }

    /// The states to keep, each with its check, in the order of the checks: none when the request is refused,
    /// for then nothing is charged.
    pub fn next_states(&self) -> impl Iterator<Item = (&'a Check<'a>, State)> + use<'a> {
        let (now, allowed) = (self.now, self.ruling == Ruling::Allow);
        let charged = if allowed { self.checks } else { &[] };
        charged.iter().filter_map(move |check| match check.algorithm.decide(check.stored, now, &check.spend) {
            super::Decision::Allow { next } => Some((check, next)),
            // The same inputs gave `Allow` before.
            super::Decision::Deny { .. } | super::Decision::Never => None,
        })
    }

    /// What each limit says, for the response fields.
    #[must_use]
    pub fn admission(&self) -> Admission {
        let mut charged = self.next_states();
        let verdict = |check: &Check<'_>| {
            let next = charged.next().map(|(_, state)| state);
            let ruling = check.algorithm.peek(check.stored, self.now, &check.spend);
            check.verdict(ruling, next.as_ref().or(check.stored), self.now)
        };
        Admission { verdicts: self.checks.iter().map(verdict).collect() }
    }
}

impl Check<'_> {
    fn verdict(&self, ruling: Ruling, state: Option<&State>, now: Timestamp) -> Verdict {
        let effective_window_seconds = match ruling {
            // The draft: Retry-After is not earlier than the end of the effective window. So for the limit that
            // objects they are the same, even when it has units left.
            Ruling::Deny { retry_after } => seconds_ceil(retry_after),
            Ruling::Allow | Ruling::Never => self.algorithm.effective_window_seconds(state, now, self.spend.key),
        };
        let remaining = self.algorithm.remaining(state, now);
        Verdict { limit: self.limit, ruling, remaining, effective_window_seconds }
    }
}

impl Ruling {
    /// What two limits say together.
    #[inline]
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Allow, other) => other,
            (Self::Never, _) | (_, Self::Never) => Self::Never,
            (Self::Deny { retry_after }, Self::Allow) => Self::Deny { retry_after },
            (Self::Deny { retry_after: a }, Self::Deny { retry_after: b }) => Self::Deny { retry_after: longer(a, b) },
        }
    }
}

fn longer(a: Duration, b: Duration) -> Duration {
    a.max(b)
}

#[cfg(test)]
mod tests;
