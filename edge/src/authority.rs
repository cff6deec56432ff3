//! The authority of shared limits: what is asked of it, and what it answers.
//!
//! The edge asks once for each request, naming the client and the limits; the authority reads its own clock,
//! decides on all of them together, and charges all or none. Both sides read the same policy, so no quota travels.

use seawall_core::{
    limit::{Admission, Check, JointDecision, LIMITS_PER_REQUEST_MAX, LimitId, Tat, decide_all},
    policy::Policy,
    time::Timestamp,
};

use crate::client::Client;

/// What the edge asks: may this client make a request under these limits?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who asks.
    pub client: Client,
    /// The shared limits of the route, at most [`LIMITS_PER_REQUEST_MAX`], each once.
    pub limits: Vec<LimitId>,
}

/// A text from the wire that is no question, or asks about limits that the policy does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedQuestion;

impl Question {
    /// The question as one URL path: client and limits in hexadecimal.
    #[must_use]
    pub fn to_path(&self) -> String {
        let limits: Vec<String> = self.limits.iter().map(|limit| format!("{:x}", limit.0)).collect();
        format!("/judge/{:x}/{}", self.client.to_bits(), limits.join(","))
    }

    /// Reads [`Question::to_path`].
    ///
    /// # Errors
    /// When the path is no question, names no limit, one twice, too many, or one that `policy` does not have.
    pub fn from_path(path: &str, policy: &Policy) -> Result<Self, MalformedQuestion> {
        let parse = || {
            let (client, limits) = path.strip_prefix("/judge/")?.split_once('/')?;
            let client = Client::from_bits(u64::from_str_radix(client, 16).ok()?);
            let mut question = Self { client, limits: Vec::new() };
            for limit in limits.split(',') {
                let limit = LimitId(u16::from_str_radix(limit, 16).ok()?);
                let is_new = policy.limit(limit).is_some() && !question.limits.contains(&limit);
                if !is_new || question.limits.len() == LIMITS_PER_REQUEST_MAX {
                    return None;
                }
                question.limits.push(limit);
            }
            Some(question)
        };
        parse().ok_or(MalformedQuestion)
    }

    /// Decides at `now`, the authority's own clock. `stored` reads the state of a key; the states to keep come
    /// back beside the answer, none when the request is refused.
    pub fn decide(
        &self,
        policy: &Policy,
        mut stored: impl FnMut(u128) -> Option<Tat>,
        now: Timestamp,
    ) -> (Admission, Vec<(u128, Tat)>) {
        let checks: Vec<Check<'_>> = self
            .limits
            .iter()
            .filter_map(|id| {
                let limit = policy.limit(*id)?;
                Some(Check { limit: *id, quota: &limit.quota, stored: stored(self.client.key(*id)), cost: limit.cost })
            })
            .collect();
        let decision = decide_all(&checks, now);
        let keep = match &decision {
            JointDecision::Allow { next } => {
                checks.iter().map(|check| self.client.key(check.limit)).zip(next.as_slice().iter().copied()).collect()
            }
            JointDecision::Deny { .. } => Vec::new(),
        };
        (decision.admission(&checks, now), keep)
    }
}

/// An answer as text for the wire.
#[must_use]
pub fn encode(admission: &Admission) -> String {
    crate::lookup::to_hex(admission)
}

/// Reads [`encode`]; `None` when the text is no answer.
#[must_use]
pub fn decode(text: &str) -> Option<Admission> {
    crate::lookup::from_hex(text)
}
