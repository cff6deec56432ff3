//! What limits said about one request, as plain values.

use alloc::vec::Vec;
use core::time::Duration;

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
