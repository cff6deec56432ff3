//! One breaker for many isolates.
//!
//! An isolate lives shortly and sees little: alone, each of 500 isolates has to run into a dead upstream
//! twenty times before it knows. So each has a [`Member`], which counts for itself and tells an [`Authority`]
//! in a [`Report`] what it saw; the authority opens on the sum, and its [`Reply`] carries a [`Hint`] of where
//! it stands. Reports and replies ride on calls that are made anyway, such as those of a shared limit.
//!
//! - **A member may open first**, on what it saw itself. It never closes what is open for all: that takes the
//!   authority's word, or an authority that cannot be reached.
//! - **Probes are leased by the authority**, at most [`Settings::probes`](super::Settings::probes) in all
//!   isolates together. A lease is used by the isolate that asked, once, and only while it surely holds: its
//!   time counts from when the isolate asked.
//! - **When the authority does not answer**, [`Member::unreachable`] decides with the isolate's own breaker.
//!   Probes are then as many as isolates ask.
//!
//! Messages may be lost, doubled and overtake each other. What a lost one counted is not counted; a copy
//! changes nothing; an older hint than the one that is held is ignored. A message says for how long, never
//! when, so clocks of isolates need not agree with anything. Generations tell hints apart; an authority that
//! starts anew begins above those of its predecessor by beginning at its clock's nanoseconds.

mod authority;
mod member;

#[cfg(test)]
mod tests;

use core::time::Duration;

pub use authority::Authority;
pub use member::{Member, MemberGate, MemberPermit};

use super::{Counts, Outcome};

/// What a member tells the authority.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Report {
    /// Who speaks.
    pub isolate: u64,
    /// The number of this message among those of the isolate, from one.
    pub seq: u64,
    /// The generation of the hint under which `counts` were counted.
    pub generation: u64,
    /// Ends of calls since the last report.
    pub counts: Counts,
    /// The longest wait that the upstream asked for in them.
    pub retry_after: Option<Duration>,
    /// The end of a leased probe: which lease, and what became of it.
    pub settled: Option<(u32, Outcome)>,
    /// Whether a probe is asked for.
    pub wants_probe: bool,
}

/// What the authority answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Reply {
    /// The number of the report that this answers.
    pub seq: u64,
    /// Where the authority stands.
    pub hint: Hint,
    /// The probe that was asked for: one call, to be made within
    /// [`Settings::probe_timeout`](super::Settings::probe_timeout) of asking.
    pub lease: Option<u32>,
}

/// Where an authority stands, to be believed until a later one comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Hint {
    /// Grows with each change.
    pub generation: u64,
    /// What holds in this generation.
    pub standing: Standing,
}

impl Hint {
    /// The same, so much later.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        let standing = match self.standing {
            Standing::Closed => Standing::Closed,
            Standing::Open { wait } if wait > time => Standing::Open { wait: wait - time },
            Standing::Open { wait } | Standing::HalfOpen { wait } => {
                Standing::HalfOpen { wait: wait.saturating_sub(time) }
            }
        };
        Self { standing, ..self }
    }
}

/// What a hint says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Standing {
    /// Call.
    Closed,
    /// Do not call.
    Open {
        /// For how long, from now.
        wait: Duration,
    },
    /// Ask for a probe.
    HalfOpen {
        /// When one may be free, from now.
        wait: Duration,
    },
}
