//! The authority of shared limits: what is asked of it, and what it answers.
//!
//! The edge asks once for each request, naming the client and the limits; the authority reads its own clock,
//! decides on all of them together, and charges all or none. Both sides read the same policy, so no quota travels.

use seawall_core::{
    limit::{Admission, Algorithm, Check, LIMITS_PER_REQUEST_MAX, LimitId, Spend, State, decide_all},
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

    /// Decides at `now`, the authority's own clock. `stored` reads the state of a key under a rule; the states to
    /// keep come back beside the answer, none when the request is refused.
    pub fn decide(
        &self,
        policy: &Policy,
        mut stored: impl FnMut(&Algorithm, u128) -> Option<State>,
        now: Timestamp,
    ) -> (Admission, Vec<Kept>) {
        let limits = self.limits.iter().filter_map(|id| Some((*id, policy.limit(*id)?)));
        let limits: Vec<_> =
            limits.map(|(id, limit)| (id, limit, stored(&limit.algorithm, self.client.key(id)))).collect();
        let checks: Vec<Check<'_>> = limits
            .iter()
            .map(|(id, limit, stored)| Check {
                limit: *id,
                algorithm: &limit.algorithm,
                stored: stored.as_ref(),
                spend: Spend::new(limit.cost, self.client.key(*id)),
            })
            .collect();
        let decision = decide_all(&checks, now);
        let keep = decision
            .next_states()
            .map(|(check, state)| Kept { key: check.spend.key, expires: check.algorithm.expires(&state), state })
            .collect();
        (decision.admission(), keep)
    }
}

/// A state that an authority keeps until it expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The client under one limit.
    pub key: u128,
    /// What it has spent.
    pub state: State,
    /// When that is worth nothing any more.
    pub expires: Timestamp,
}

impl Kept {
    /// The state as text for a store.
    #[must_use]
    pub fn state_to_text(&self) -> String {
        crate::lookup::to_hex(&self.state)
    }

    /// Reads [`Kept::state_to_text`]; `None` when the text is no state of this release.
    #[must_use]
    pub fn state_from_text(text: &str) -> Option<State> {
        crate::lookup::from_hex(text)
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
