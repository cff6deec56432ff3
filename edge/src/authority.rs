//! The authority of shared limits: what is asked of it, and what it answers.
//!
//! A request asks at most once, naming the client and the limits; the authority reads its own clock, decides on all of
//! them together, and charges all or none. What isolates hold and spend by themselves travels the same way, and so
//! does what they know of an upstream's health. Both sides read the same policy, so no quota travels.
//!
//! A question has a number among those of its isolate: sent again, it gets the same answer and charges nothing.

mod shard;

use alloc::{string::String, vec::Vec};

use seawall_core::{
    breaker::shared,
    limit::{
        Admission, Algorithm, LIMITS_PER_REQUEST_MAX, LeaseId, LimitId, State,
        distributed::{Answer, Ask, Mode, Snapshot},
    },
    policy::{Authority, Limit, Policy, Scope, UpstreamId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

pub use shard::{Heard, Shard};

use crate::{client::Client, limits::AUTHORITY_SHARDS};

/// What the edge asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Which isolate asks.
    pub isolate: u64,
    /// The number of the question among those of the isolate. Sent again, it keeps its number.
    pub seq: u64,
    /// What it wants to know, or to say.
    pub intent: Intent,
    /// Who is counted.
    pub client: Client,
    /// Which request of the client this is, for limits on how many run at once.
    pub lease: LeaseId,
    /// The limits that are decided here, each once.
    pub limits: Vec<LimitId>,
    /// What the isolate asks and says about limits of which it may hold units, each limit once.
    pub asks: Vec<(LimitId, Ask)>,
    /// What the isolate saw of upstreams whose breaker is kept here, each once.
    pub reports: Vec<(UpstreamId, shared::Report)>,
    /// The newest hint that the isolate has of an upstream, wherever its breaker is kept: shards pass hints on.
    pub hint: Option<(UpstreamId, shared::Hint)>,
}

/// What is wanted of the authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Intent {
    /// Admit a request, or refuse it. Without a limit it only hears what the isolate says.
    Judge,
    /// Give back what a request was charged: it was refused elsewhere, or a place that it held is free.
    GiveBack,
    /// The request was answered from the cache: give back what that costs less.
    WasHit,
}

/// What the authority answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// What the limits that are decided here say, in the question's order.
    pub admission: Admission,
    /// The answers to the asks, in the question's order.
    pub answers: Vec<Answer>,
    /// The answers to the reports, in the question's order.
    pub reports: Vec<shared::Reply>,
    /// The newest hint that was heard here, if it is newer than the question's.
    pub hint: Option<shared::Hint>,
}

/// A text from the wire that is no question, or asks about what the policy does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedQuestion;

impl Question {
    /// The question as text for a URL's path.
    #[must_use]
    pub fn encode(&self) -> String {
        crate::lookup::to_hex(self)
    }

    /// Reads [`Question::encode`].
    ///
    /// # Errors
    /// When the text is no question, or names a limit or upstream twice, too many of them, or one that `policy` does not
    /// have.
    pub fn decode(text: &str, policy: &Policy) -> Result<Self, MalformedQuestion> {
        let question: Self = crate::lookup::from_hex(text).ok_or(MalformedQuestion)?;
        let limits: Vec<LimitId> =
            question.limits.iter().copied().chain(question.asks.iter().map(|(limit, _)| *limit)).collect();
        let known = limits.iter().all(|limit| policy.limit(*limit).is_some());
        let asked_of = |limit: &LimitId| policy.limit(*limit).is_some_and(is_shared_out);
        let each_once = limits.iter().enumerate().all(|(at, limit)| !limits[..at].contains(limit));
        let reports = &question.reports;
        let upstreams = reports.iter().enumerate().all(|(at, (upstream, _))| {
            usize::from(upstream.0) < policy.upstreams().len()
                && !reports[..at].iter().any(|(earlier, _)| earlier == upstream)
        });
        let hinted = question.hint.is_none_or(|(upstream, _)| usize::from(upstream.0) < policy.upstreams().len());
        let fits = known
            && hinted
            && each_once
            && upstreams
            && limits.len() <= LIMITS_PER_REQUEST_MAX
            && question.asks.iter().all(|(limit, _)| asked_of(limit))
            && (question.intent != Intent::Judge || !question.limits.iter().any(asked_of));
        if fits { Ok(question) } else { Err(MalformedQuestion) }
    }
}

impl Reply {
    /// The reply as text for the wire.
    #[must_use]
    pub fn encode(&self) -> String {
        crate::lookup::to_hex(self)
    }

    /// Reads [`Reply::encode`]; `None` when the text is no reply, or none to `question`.
    #[must_use]
    pub fn decode(text: &str, question: &Question) -> Option<Self> {
        let reply: Self = crate::lookup::from_hex(text)?;
        let fits = reply.answers.len() == question.asks.len() && reply.reports.len() == question.reports.len();
        fits.then_some(reply)
    }
}

/// Whether what a limit counts is held while a request runs, and given back.
pub(crate) const fn is_held(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::Concurrency(_))
}

/// Whether isolates hold units of a limit, or spend some before they tell.
pub(crate) fn is_shared_out(limit: &Limit) -> bool {
    matches!(limit.scope, Scope::Shared { authority: Authority::Objects, .. }) && limit.mode != Mode::Exact
}

/// The shard that keeps the breaker of an upstream for all isolates.
pub(crate) const fn shard_of(upstream: UpstreamId) -> u64 {
    upstream.0 as u64 % AUTHORITY_SHARDS
}

/// What an authority writes down of one key until it is worth nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The client under one limit.
    pub key: u128,
    /// What it has spent.
    pub written: Written,
    /// When that is worth nothing any more.
    pub expires: Timestamp,
    /// The isolate and the number of the question that led to it, which may be sent again.
    pub asked: (u64, u64),
    /// When it was written, by the time that limits count by.
    pub at: Timestamp,
}

impl Kept {
    /// As text for a store.
    #[must_use]
    pub fn encode(&self) -> String {
        crate::lookup::to_hex(self)
    }

    /// Reads [`Kept::encode`]; `None` when the text was not written by this release.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        crate::lookup::from_hex(text)
    }
}

/// What is written down of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Written {
    /// The whole state of a limit that is decided here.
    State(State),
    /// What a limit of which isolates hold units writes down now and then.
    Snapshot(Snapshot),
}
