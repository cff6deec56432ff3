//! The last stage: what the client gets, with the fields that say what was done and why.

use alloc::{
    borrow::Cow,
    format,
    string::{String, ToString},
};
use core::time::Duration;

use seawall_core::{
    cache::{CONSUMED, CacheStatus, append_status, conditional, groups::TAG_FIELD, range::ContentRange},
    headers::Fields,
    limit::{Admission, LimitId, fields},
    policy::Policy,
    problem::{self, Problem},
    time::seconds_ceil,
};

use crate::{
    Body, Platform,
    message::{Headers, Response},
    sanitise::HOP_BY_HOP,
};

/// An answer on its way out.
pub(crate) struct Answer<P: Platform> {
    pub(crate) response: Response<P>,
    /// What the cache did.
    pub(crate) cache: CacheStatus,
    /// The age of a stored response.
    pub(crate) age: Option<Duration>,
    /// How much of it the client gets.
    pub(crate) how: conditional::Answer,
}

impl<P: Platform> Answer<P> {
    /// A response that the cache had no part in.
    pub(crate) const fn plain(response: Response<P>, cache: CacheStatus) -> Self {
        Self { response, cache, age: None, how: conditional::Answer::Full }
    }
}

/// What a client says of the copies it has, of ranges and of caches. The origin does not see it on a route that is
/// cached.
#[derive(Clone, Default)]
pub(crate) struct Conditions([Option<String>; CONDITIONS.len()]);

impl Conditions {
    pub(crate) fn of(request: &impl Fields) -> Self {
        Self(CONDITIONS.map(|name| request.field(name).map(Cow::into_owned)))
    }

    /// What the client wants a part of.
    pub(crate) fn range(&self) -> Option<&str> {
        let (_, range) = CONDITIONS.iter().zip(&self.0).find(|(name, _)| **name == "range")?;
        range.as_deref()
    }
}

impl Fields for Conditions {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        let (_, value) = CONDITIONS.iter().zip(&self.0).find(|(known, _)| **known == name)?;
        value.as_deref().map(Cow::Borrowed)
    }
}

/// What of a request [`Conditions`] holds.
pub(crate) const CONDITIONS: [&str; 8] = [
    "cache-control",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "pragma",
    "range",
];

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
/// A client whose validators match gets 304 (RFC 9110 §13), one that asked for a part gets that, where the platform can
/// cut it out.
pub(crate) fn finish<P: Platform>(
    answer: Answer<P>,
    policy: &Policy,
    limits: &[LimitId],
    admission: &Admission,
) -> Response<P> {
    let Answer { mut response, cache, age, how } = answer;
    keep_here(&mut response.headers);
    // Caches nearer to the origin come first (RFC 9211 §2).
    let line = append_status(response.headers.field("cache-status").as_deref(), &cache.to_string());
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
    cut(&mut response, how);
    response
}

/// Takes out of a response what is meant for this hop alone.
pub(crate) fn keep_here(headers: &mut impl Headers) {
    let named = headers.field("connection").map(|value| value.to_ascii_lowercase()).unwrap_or_default();
    let named = named.split(',').map(str::trim).filter(|name| !name.is_empty());
    for name in named.chain(HOP_BY_HOP).chain(CONSUMED).chain([TAG_FIELD]) {
        headers.remove(name);
    }
}

/// Leaves of a response what the client gets.
fn cut<P: Platform>(response: &mut Response<P>, how: conditional::Answer) {
    match how {
        conditional::Answer::Full => return,
        conditional::Answer::Part(range) => {
            let Some(body) = response.body.take() else { return };
            // What is stored may be a part itself, and then it begins where it says.
            let own = response.headers.field("content-range").and_then(|value| ContentRange::parse(&value));
            let own = own.filter(|_| response.status == 206);
            if own == Some(range) {
                return response.body = Some(body);
            }
            match body.slice(range.first - own.map_or(0, |own| own.first), range.length()) {
                Ok(part) => response.body = Some(part),
                Err(whole) => return response.body = Some(whole),
            }
            response.headers.set("content-range", &range.to_string());
            response.headers.set("content-length", &range.length().to_string());
        }
        conditional::Answer::NotModified
        | conditional::Answer::PreconditionFailed
        | conditional::Answer::Unsatisfiable { .. } => {
            for name in ["content-encoding", "content-language", "content-length", "content-range", "content-type"] {
                response.headers.remove(name);
            }
            response.body = None;
        }
    }
    if let conditional::Answer::Unsatisfiable { complete } = how {
        response.headers.set("content-range", &format!("bytes */{complete}"));
    }
    response.status = how.status(response.status);
}
