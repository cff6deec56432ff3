//! What limits said about one request, as plain values.

use alloc::vec::Vec;
use core::time::Duration;

use crate::time::{nanos, seconds_ceil};

/// The place of a limit in its policy; [`Policy::limit`](crate::policy::Policy::limit) finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LimitId(pub u16);

/// What one limit said about one request: what remains after it, and whether it passed.
///
/// An authority in another place sends this back; it holds no name, because both sides read one policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Verdict {
    /// The limit.
    pub limit: LimitId,
    /// Whether this limit let the request pass.
    pub ruling: Ruling,
    /// Units left when the decision was made, with this request's cost taken off if it was charged.
    pub remaining: u32,
    /// A client can use no more than `remaining` within this many seconds. At least one.
    pub effective_window_seconds: u64,
}

/// Whether one limit let a request pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Ruling {
    /// There was room. It was charged only if every other limit had room too.
    Allow,
    /// There was no room.
    Deny {
        /// The shortest wait after which there is, if nothing else is spent meanwhile.
        retry_after: Duration,
    },
    /// The cost is above the burst: no wait helps.
    Never,
}

/// What all limits said about one request. It is admitted when none of them objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Admission {
    /// One verdict for each limit that was asked.
    pub verdicts: Vec<Verdict>,
}

/// A request was refused by at least one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The longest wait that any of them asks for; `None` when no wait helps.
    pub retry_after: Option<Duration>,
}

impl Admission {
    /// Why the request is refused; `None` when it is admitted.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        self.violated().map(|verdict| Refusal { retry_after: verdict.retry_after() }).reduce(|a, b| {
            // Passing every limit takes the longest of all waits; one that never ends wins.
            Refusal { retry_after: a.retry_after.zip(b.retry_after).map(|(a, b)| a.max(b)) }
        })
    }

    /// The verdicts that object.
    pub fn violated(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().filter(|verdict| verdict.ruling != Ruling::Allow)
    }

    /// Lengthens the wait of each refusal by a random part of up to a tenth, so that clients who were refused in the
    /// same moment do not come back in the same moment. `random` is any number, drawn once for each answer.
    ///
    /// Waits get longer only, so who obeys them passes as before; effective windows go along.
    pub fn jitter(&mut self, random: u32) {
        for verdict in &mut self.verdicts {
            if let Ruling::Deny { retry_after } = &mut verdict.ruling {
                let longest = nanos(*retry_after) / JITTER_PARTS;
                // A part of 64 bits by one below 2^32, in units of 2^32.
                let added = (u128::from(longest) * u128::from(random)) >> 32;
                *retry_after = retry_after.saturating_add(Duration::from_nanos(added as u64));
                verdict.effective_window_seconds = seconds_ceil(*retry_after).max(1);
            }
        }
    }

    /// Adds what limits asked elsewhere said about the same request.
    pub fn extend(&mut self, other: Self) {
        self.verdicts.extend(other.verdicts);
    }
}

impl Verdict {
    /// How long to wait, when this limit objects and waiting helps.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self.ruling {
            Ruling::Deny { retry_after } => Some(retry_after),
            Ruling::Allow | Ruling::Never => None,
        }
    }
}

/// A wait grows by at most one of so many parts.
const JITTER_PARTS: u64 = 10;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn a_refusal_waits_up_to_a_tenth_longer() {
        let seconds = Duration::from_secs;
        for (random, expect) in [(0, 20_000), (1 << 31, 21_000), (u32::MAX, 22_000)] {
            let deny = Verdict {
                limit: LimitId(0),
                ruling: Ruling::Deny { retry_after: seconds(20) },
                remaining: 0,
                effective_window_seconds: 20,
            };
            let allow = Verdict { ruling: Ruling::Allow, ..deny };
            let mut admission = Admission { verdicts: vec![deny, allow] };
            admission.jitter(random);
            let [jittered, same] = admission.verdicts[..] else { panic!("two verdicts") };
            let wait = jittered.retry_after().expect("it still refuses");
            assert_eq!(wait.as_nanos().div_ceil(1_000_000), expect);
            assert_eq!(jittered.effective_window_seconds, seconds_ceil(wait));
            assert_eq!(same, allow);
            assert_eq!(admission.refusal(), Some(Refusal { retry_after: Some(wait) }));
        }
        let forever = Verdict {
            limit: LimitId(0),
            ruling: Ruling::Deny { retry_after: Duration::MAX },
            remaining: 0,
            effective_window_seconds: 1,
        };
        let mut admission = Admission { verdicts: vec![forever] };
        admission.jitter(u32::MAX);
        assert_eq!(admission.verdicts[0].retry_after(), Some(Duration::MAX));
    }
}
