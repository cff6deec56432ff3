//! The authority of shared limits: what is asked of it, and what it answers.
//!
//! The edge asks once for each request, naming the client and the limits; the authority reads its own clock,
//! decides on all of them together, and charges all or none. Both sides read the same policy, so no quota travels.

use seawall_core::{
    limit::{Admission, Algorithm, Check, LIMITS_PER_REQUEST_MAX, LeaseId, LimitId, Spend, State, decide_all},
    policy::Policy,
    time::Timestamp,
};

use crate::client::Client;

/// What the edge asks: may this client make a request under these limits?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What it wants to know, or to say.
    pub intent: Intent,
    /// Who asks.
    pub client: Client,
    /// The shared limits of the route, at most [`LIMITS_PER_REQUEST_MAX`], each once.
    pub limits: Vec<LimitId>,
    /// Which request of the client this is, for limits on how many run at once.
    pub lease: LeaseId,
}

/// What is wanted of the authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Admit a request, or refuse it.
    Judge,
    /// Free the places of a request that is over. It may come twice, or never: a place frees itself in time.
    Release,
}

/// A text from the wire that is no question, or asks about limits that the policy does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedQuestion;

impl Question {
    /// The question as one URL path: client, limits and request in hexadecimal.
    #[must_use]
    pub fn to_path(&self) -> String {
        let limits: Vec<String> = self.limits.iter().map(|limit| format!("{:x}", limit.0)).collect();
        let intent = match self.intent {
            Intent::Judge => "judge",
            Intent::Release => "release",
        };
        format!("/{intent}/{:x}/{}/{:x}", self.client.to_bits(), limits.join(","), self.lease.0)
    }

    /// Reads [`Question::to_path`].
    ///
    /// # Errors
    /// When the path is no question, names no limit, one twice, too many, or one that `policy` does not have.
    pub fn from_path(path: &str, policy: &Policy) -> Result<Self, MalformedQuestion> {
        let parse = || {
            let mut parts = path.strip_prefix('/')?.split('/');
            let intent = match parts.next()? {
                "judge" => Intent::Judge,
                "release" => Intent::Release,
                _ => return None,
            };
            let client = Client::from_bits(u64::from_str_radix(parts.next()?, 16).ok()?);
            let (limits, lease) = (parts.next()?, LeaseId(u64::from_str_radix(parts.next()?, 16).ok()?));
            if parts.next().is_some() {
                return None;
            }
            let mut question = Self { intent, client, limits: Vec::new(), lease };
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
    /// keep come back beside the answer, none when the request is refused. A release is answered with no verdict, and
    /// gives back nothing that was spent rather than held.
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
                spend: Spend::new(limit.cost, self.client.key(*id)).with_lease(self.lease),
            })
            .collect();
        let keep = |check: &Check<'_>, state: State| Kept {
            key: check.spend.key,
            expires: check.algorithm.expires(&state),
            state,
        };
        match self.intent {
            Intent::Judge => {
                let decision = decide_all(&checks, now);
                (decision.admission(), decision.next_states().map(|(check, state)| keep(check, state)).collect())
            }
            Intent::Release => {
                let held = checks.iter().filter(|check| is_held(check.algorithm));
                let free = |check: &Check<'_>| check.algorithm.refund(check.stored, now, &check.spend);
                (Admission::default(), held.map(|check| keep(check, free(check))).collect())
            }
        }
    }
}

/// Whether what a limit counts is held while a request runs, and given back.
pub(crate) const fn is_held(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::Concurrency(_))
}

/// A state that an authority keeps until it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
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
