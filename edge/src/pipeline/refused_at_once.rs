//! The shortest way to a refusal: of a client whose limit this isolate knows to be used up.
//!
//! Whoever is refused comes again, and fast. So the answer waits for nothing, reads no field of the request but its
//! client, and is made of what the policy and a counter say. It is the same answer as the whole way gives.

use alloc::string::{String, ToString};
use core::time::Duration;

use seawall_core::{
    cache::CacheStatus,
    limit::{Admission, fields},
    policy::{Diagnostics, Policy, Route},
    problem::{self, Problem},
    time::{Timestamp, seconds_ceil},
};

use crate::{
    Edge, admit,
    client::Client,
    control, maintenance,
    message::{Headers, parts},
    protect, sanitise,
};

use super::{Head, LIMITED, TOO_MANY};

/// A refusal that is ready to be sent.
#[derive(Debug)]
pub struct Refused<'a> {
    policy: &'a Policy,
    route: &'a Route,
    is_encrypted: bool,
    admission: Admission,
}

/// Refuses what this isolate knows it must refuse; `None` when the request must take the whole way.
///
/// Nothing is charged. What it refuses is counted, and written down by a later request.
pub fn refused_at_once<'a>(edge: &'a Edge, now: Timestamp, head: &Head<'_>) -> Option<Refused<'a>> {
    if head.method == "HEAD" || edge.policy.site().diagnostics == Diagnostics::Operator {
        return None;
    }
    let (scheme, host, path, query) = parts(head.url)?;
    let (host, path) = sanitise::place(host, path, query).ok()?;
    if !edge.policy.site().hosts.take(&host) || control::name(&path).is_some() {
        return None;
    }
    let route = edge.policy.route(head.method, &path)?;
    if maintenance::holds(edge, route) || edge.state.borrow().tally.is_due(now) {
        return None;
    }
    let may_hit = head.method == "GET" && route.cache.as_ref().is_some_and(|rule| rule.edge.is_some());
    let admission = admit::refused_at_once(edge, route, Client::new(head.client), may_hit, now)?;
    let place = edge.policy.routes().iter().position(|known| core::ptr::eq(known, route))?;
    edge.state.borrow_mut().tally.deny(place, now);
    Some(Refused { policy: edge.policy, route, is_encrypted: scheme == "https", admission })
}

impl Refused<'_> {
    /// The status of the answer.
    pub const STATUS: u16 = 429;

    /// Writes the fields of the answer, onto none.
    pub fn write(&self, headers: &mut impl Headers) {
        headers.set("content-type", problem::CONTENT_TYPE);
        headers.set("cache-control", "no-store");
        let retry_after = self.admission.refusal().and_then(|refusal| refusal.retry_after);
        if let Some(wait) = retry_after {
            headers.set(fields::RETRY_AFTER, &seconds_ceil(wait).max(1).to_string());
        }
        headers.set("cache-status", &CacheStatus::Refused { detail: LIMITED }.to_string());
        if let Some(value) = fields::rate_limit_policy(self.policy, self.route.limits.iter().copied()) {
            headers.set(fields::RATE_LIMIT_POLICY, &value);
        }
        if let Some(value) = fields::rate_limit(self.policy, &self.admission.verdicts) {
            headers.set(fields::RATE_LIMIT, &value);
        }
        let is_operator = false;
        let elapsed = Duration::ZERO;
        let Self { policy, is_encrypted, .. } = *self;
        protect::Last { policy, route: Some(self.route), is_encrypted, is_operator, elapsed }.apply(headers);
    }

    /// The body of the answer.
    #[must_use]
    pub fn body(&self) -> String {
        let violated = self.admission.violated().filter_map(|verdict| self.policy.limit(verdict.limit));
        Problem::quota_exceeded(violated.map(|limit| limit.name.as_str()), TOO_MANY).to_json()
    }
}
