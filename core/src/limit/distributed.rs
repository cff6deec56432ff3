//! One limit over many isolates, without a call to its store for each request.
//!
//! The **authority** of a key keeps one [`Ledger`]. Each isolate that serves the key keeps one [`Spender`], which
//! says what to do with a request, and what to send; the host carries an [`Ask`] there and an [`Answer`] back.
//! Both sides are plain state machines. Three modes trade calls for exactness, and each says by how much at
//! most:
//!
//! | mode | a call to the authority | above the quota in any window |
//! |---|---|---|
//! | [`Mode::Exact`] | for each request | nothing |
//! | [`Mode::Lease`] | when the units at hand run out | `outstanding_max`, whatever the number of isolates |
//! | [`Mode::Async`] | when the units not told are too many or too old | `unsynced_max` for each isolate |
//!
//! # Why the bounds hold
//!
//! **Lease.** Units are charged when they are granted, and held by isolates until they are spent, returned or
//! expired. Let `level` be what the key could spend at once, and `held` what isolates hold. Whatever is spent in a
//! window comes from what was held at its start, from the level then, or from what is earned meanwhile: at most
//! `held + level + earned`. The level is at most the burst, and what is earned is what a single store would earn
//! too. So the excess is at most `held`, which the authority never lets grow above `outstanding_max`. Units
//! come back before they expire or not at all, so what an isolate loses is not granted twice. A unit that is asked for and
//! spent at once is never held.
//!
//! **Async.** An isolate spends at most `unsynced_max` units that the authority has not confirmed. Each view of
//! the key is therefore wrong by at most what the others have not told. An isolate that is stopped takes what it
//! did not tell with it, so one that starts in its place counts as another isolate.
//!
//! # What may go wrong, and what happens then
//!
//! - **Messages are lost, doubled, or overtake each other.** An ask has a number; a copy gets the first answer and
//!   charges nothing. Units of an answer that was lost are taken back by the next ask, which says what
//!   arrived. A return is credited once.
//! - **Clocks differ.** No message holds a time of day. Units expire in an isolate counted from when it asked,
//!   which is before the authority granted them. An isolate that sees its clock step back gives up what it holds.
//! - **The authority starts anew** ([`Ledger::resume`]): it prolongs no lease from before, and grants nothing to be
//!   held until all of them have expired. What is forgotten depends on what was written down; see [`Restart`].
//! - **The authority does not answer**: [`Spender::unreachable`] counts in the isolate, under its share of the
//!   quota.

mod ledger;
mod rate;
mod spender;
mod terms;

#[cfg(test)]
mod tests;

use core::time::Duration;

pub use ledger::{Heard, Ledger, MEMBERS_MAX, Restart, Snapshot};
pub use spender::{DENIED_ASYNC_MAX, Spender, Step};
pub use terms::{Mode, Terms};

use super::Ruling;

/// What an isolate asks of the authority of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ask {
    /// Who asks.
    pub isolate: u64,
    /// Which [`Spender`] of the isolate: one that was forgotten and made anew is another.
    pub born: u64,
    /// The number of this ask among those of the spender; it grows. Sent again, it keeps its number.
    pub seq: u64,
    /// Units to be spent at once, all or none; zero when nothing waits for the answer.
    pub spend: u32,
    /// What the isolate did and holds, and what it wants.
    pub account: Account,
}

/// What an ask says besides its own units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Account {
    /// Nothing.
    None,
    /// The state of a lease.
    Lease {
        /// Units wanted to be held.
        want: u32,
        /// Units held now, and kept.
        kept: u32,
        /// Units given back.
        returned: u32,
        /// The newest ask whose grant arrived.
        acked: u64,
    },
    /// What was spent without asking.
    Async {
        /// All that the spender ever spent so.
        total: u64,
        /// The part of it that no answer has confirmed.
        unsynced: u32,
    },
}

/// What the authority answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Answer {
    /// The number of the ask.
    pub seq: u64,
    /// Whether the units to be spent at once may be.
    pub ruling: Ruling,
    /// What became of the account; `None`: it was not taken in, and nothing about it changed.
    pub holding: Option<Holding>,
    /// How long until everything charged is earned back.
    pub debt: Duration,
}

/// What an isolate may hold from now on, until the lease's time after asking. Nothing, in other modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Holding {
    /// How many of the units that it kept the authority knows of: one that started anew knows of none.
    pub kept: u32,
    /// How many come to them.
    pub granted: u32,
}

impl Answer {
    /// How many units are left, for response fields.
    #[must_use]
    pub fn remaining(&self, terms: &Terms) -> u32 {
        rate::Rate::of(terms.quota()).remaining(crate::time::nanos(self.debt))
    }
}
