//! A refusal of a client whose limit this isolate knows to be used up.
//!
//! Whoever is refused comes again, and fast. So the answer waits for nothing, and is made of what the policy and a counter
//! say. It is the same answer as the whole way gives, and hosts can keep most of it from one to the next.

use alloc::string::{String, ToString};
use core::time::Duration;

use seawall_core::{
    cache::CacheStatus,
    limit::{Admission, Ruling, Verdict, fields},
    policy::{Policy, Route},
    problem::{self, Problem},
    time::seconds_ceil,
};

use crate::{memory::Place, message::Headers, protect};

use super::{LIMITED, TOO_MANY};

/// A refusal that is ready to be sent.
#[derive(Debug)]
pub struct Refused<'a> {
    policy: &'a Policy,
    place: usize,
    route: &'a Route,
    is_encrypted: bool,
    admission: Admission,
}

impl<'a> Refused<'a> {
    /// The status of the answer.
    pub const STATUS: u16 = 429;

    pub(super) fn new(policy: &'a Policy, place: &Place, route: &'a Route, admission: Admission) -> Self {
        Self { policy, place: place.route, route, is_encrypted: place.is_encrypted(), admission }
    }

    /// The place of the route among the policy's.
    #[must_use]
    pub const fn place(&self) -> usize {
        self.place
    }

    /// Whether the visitor came over a transport that is secure.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// What the limits said. Two refusals of one route with the same verdicts, over the same transport, are the same.
    #[must_use]
    pub fn verdicts(&self) -> &[Verdict] {
        &self.admission.verdicts
    }

    /// Whether one with these verdicts was for the same limits: then only [`Refused::write_wait`] writes something else.
    #[must_use]
    pub fn is_like(&self, verdicts: &[Verdict]) -> bool {
        let refusing = |verdict: &Verdict| (verdict.limit, verdict.ruling != Ruling::Allow);
        self.admission.verdicts.iter().map(refusing).eq(verdicts.iter().map(refusing))
    }

    /// Writes the fields of the answer, onto none.
    pub fn write(&self, headers: &mut impl Headers) {
        headers.set("content-type", problem::CONTENT_TYPE);
        headers.set("cache-control", "no-store");
        headers.set("cache-status", &CacheStatus::Refused { detail: LIMITED }.to_string());
        if let Some(value) = fields::rate_limit_policy(self.policy, self.route.limits.iter().copied()) {
            headers.set(fields::RATE_LIMIT_POLICY, &value);
        }
        self.write_wait(&mut |name, value| match value {
            Some(value) => headers.set(name, value),
            None => headers.remove(name),
        });
        let is_operator = false;
        let elapsed = Duration::ZERO;
        let Self { policy, is_encrypted, .. } = *self;
        protect::Last { policy, route: Some(self.route), is_encrypted, is_operator, elapsed }.apply(headers);
    }

    /// Writes what says how long to wait; `None` stands for a field that is not there.
    pub fn write_wait(&self, set: &mut dyn FnMut(&str, Option<&str>)) {
        let retry_after = self.admission.refusal().and_then(|refusal| refusal.retry_after);
        let retry_after = retry_after.map(|wait| seconds_ceil(wait).max(1).to_string());
        set(fields::RETRY_AFTER, retry_after.as_deref());
        set(fields::RATE_LIMIT, fields::rate_limit(self.policy, &self.admission.verdicts).as_deref());
    }

    /// The body of the answer.
    #[must_use]
    pub fn body(&self) -> String {
        let violated = self.admission.violated().filter_map(|verdict| self.policy.limit(verdict.limit));
        Problem::quota_exceeded(violated.map(|limit| limit.name.as_str()), TOO_MANY).to_json()
    }
}
