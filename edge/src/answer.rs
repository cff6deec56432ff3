//! The last stage: what the client gets, with the fields that say what was done and why.

use core::time::Duration;
use std::borrow::Cow;

use seawall_core::{
    cache::{CacheStatus, Metadata, conditional, store::TARGETED},
    headers::Fields,
    limit::{Admission, LimitId, fields},
    policy::Policy,
    problem::{self, Problem},
    time::seconds_ceil,
};

use crate::{
    Platform,
    message::{Headers, Response},
    sanitise::HOP_BY_HOP,
};

/// An answer on its way out.
pub(crate) struct Answer<P: Platform> {
    pub(crate) response: Response<P>,
    /// What the cache did.
    pub(crate) cache: CacheStatus,
    /// What is known of the response, where it is or was made a stored one.
    pub(crate) stored: Option<Metadata>,
    /// The age of a stored response.
    pub(crate) age: Option<Duration>,
}

impl<P: Platform> Answer<P> {
    /// A response that the cache had no part in.
    pub(crate) const fn plain(response: Response<P>, cache: CacheStatus) -> Self {
        Self { response, cache, stored: None, age: None }
    }
}

/// The client's own validators.
pub(crate) struct Conditions {
    if_none_match: Option<String>,
    if_modified_since: Option<String>,
}

impl Conditions {
    pub(crate) fn of(request: &impl Fields) -> Self {
        let value = |name| request.field(name).map(Cow::into_owned);
        Self { if_none_match: value("if-none-match"), if_modified_since: value("if-modified-since") }
    }
}

impl Fields for Conditions {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        match name {
            "if-none-match" => self.if_none_match.as_deref(),
            "if-modified-since" => self.if_modified_since.as_deref(),
            _ => None,
        }
        .map(Cow::Borrowed)
    }
}

/// A problem that this edge answers itself, never stored by anyone.
pub(crate) fn problem<P: Platform>(platform: &P, problem: &Problem<'_>, retry_after: Option<Duration>) -> Response<P> {
    let mut headers = P::Headers::default();
    headers.set("content-type", problem::CONTENT_TYPE);
    headers.set("cache-control", "no-store");
    if let Some(retry_after) = retry_after {
        // Zero would invite the client to come back at once.
        headers.set(fields::RETRY_AFTER, &seconds_ceil(retry_after).max(1).to_string());
    }
    Response::new(problem.status(), headers, Some(platform.text(problem.to_json())))
}

/// The whole answer to a request that no route takes.
pub(crate) fn refused<P: Platform>(platform: &P, problem: &Problem<'_>, detail: &'static str) -> Response<P> {
    let mut response = self::problem(platform, problem, None);
    response.headers.set("cache-status", &CacheStatus::Refused { detail }.to_string());
    response
}

/// Says what was done, in the fields of the response, and takes out what is meant for this hop alone.
///
/// A client whose validators match gets 304 (RFC 9110 §13).
pub(crate) fn finish<P: Platform>(
    answer: Answer<P>,
    policy: &Policy,
    limits: &[LimitId],
    admission: &Admission,
    conditions: &Conditions,
    is_head: bool,
) -> Response<P> {
    let Answer { mut response, cache, stored, age } = answer;
    for name in HOP_BY_HOP.iter().chain(&TARGETED) {
        response.headers.remove(name);
    }
    // Caches nearer to the origin come first (RFC 9211 §2).
    let line = match response.headers.field("cache-status") {
        Some(upstream) => format!("{upstream}, {cache}"),
        None => cache.to_string(),
    };
    response.headers.set("cache-status", &line);
    if let Some(age) = age {
        response.headers.set("age", &age.as_secs().to_string());
    }
    if let Some(value) = fields::rate_limit_policy(policy, limits.iter().copied()) {
        response.headers.set(fields::RATE_LIMIT_POLICY, &value);
    }
    if let Some(value) = fields::rate_limit(policy, &admission.verdicts) {
        response.headers.set(fields::RATE_LIMIT, &value);
    }
    let known =
        stored.is_some_and(|stored| conditional::answer(&stored, conditions) == conditional::Answer::NotModified);
    if known {
        response.status = 304;
        for name in ["content-encoding", "content-language", "content-length", "content-range", "content-type"] {
            response.headers.remove(name);
        }
    }
    if known || is_head {
        response.body = None;
    }
    response
}
