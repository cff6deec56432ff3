//! The shortest way: an answer that waits for nothing, from isolate memory, or a refusal.
//!
//! It takes the same steps as [`handle`](super::handle), by the same functions, and gives up where one of them would
//! have to wait, or to do anything but send all of what is kept or refuse. The whole way then begins anew.

use alloc::{
    borrow::{Cow, ToOwned},
    boxed::Box,
    string::{String, ToString},
};
use core::{net::IpAddr, time::Duration};

use seawall_core::{
    cache::{
        Ask, AuthorizationUse, CacheOptions, CacheStatus, Decision, RequestFields, Stored, VaryOptions, append_status,
        conditional, decide,
        judge::Origin,
        key::{CacheKey, Target},
        negotiate::reduced,
        query,
    },
    headers::Fields,
    limit::{Admission, Verdict, fields},
    policy::{Diagnostics, Policy, Query, Route},
    time::Timestamp,
};

use crate::{
    Isolate, Platform, admit,
    answer::{CONDITIONS, keep_here},
    client::Client,
    control, maintenance,
    memory::{Place, Places, Responses},
    message::{Headers, parts},
    protect, sanitise,
};

use super::{PREFERENCES, refused_at_once::Refused};

/// The parts of a request that decide how it is answered, as the host has them, without a copy.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The method, as it came.
    pub method: &'a str,
    /// The absolute URL, as it came.
    pub url: &'a str,
    /// The client's address as the platform saw it.
    pub client: Option<IpAddr>,
    /// The values of [`HEAD_FIELDS`], in that order.
    pub fields: [Option<&'a str>; HEAD_FIELDS.len()],
}

impl Fields for Head<'_> {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        let (_, value) = HEAD_FIELDS.iter().zip(&self.fields).find(|(known, _)| **known == name)?;
        value.map(Cow::Borrowed)
    }
}

/// The fields that a host reads for a [`Head`]: those by which a cache decides, and those that send a request the whole
/// way.
pub const HEAD_FIELDS: [&str; 12] = {
    let mut names = ["accept", "accept-language", "authorization", "connection", "", "", "", "", "", "", "", ""];
    let mut at = 0;
    while at < CONDITIONS.len() {
        names[at + 4] = CONDITIONS[at];
        at += 1;
    }
    names
};

/// What an answer says beyond what is kept.
#[derive(Debug)]
pub struct Shown<'a> {
    /// How old the response is.
    pub age: Duration,
    /// How much longer it is fresh.
    pub ttl: Duration,
    policy: &'a Policy,
    route: &'a Route,
    is_encrypted: bool,
    admission: Admission,
}

impl Shown<'_> {
    /// Writes all of it: for a host that keeps no fields ready.
    pub fn write(&self, headers: &mut impl Headers) {
        let status = self.cache_status(headers.field("cache-status").as_deref());
        headers.set("cache-status", &status);
        headers.set("age", &self.age.as_secs().to_string());
        if let Some(value) = self.rate_limit() {
            headers.set(fields::RATE_LIMIT, &value);
        }
        self.write_constant(headers);
    }

    /// Writes what is the same on every answer made of one response, and takes out what is meant for this hop alone.
    pub fn write_constant(&self, headers: &mut impl Headers) {
        keep_here(headers);
        if let Some(value) = fields::rate_limit_policy(self.policy, self.route.limits.iter().copied()) {
            headers.set(fields::RATE_LIMIT_POLICY, &value);
        }
        if let Some(fields) = self.policy.security_fields(Some(self.route)) {
            protect::secure(headers, fields, self.is_encrypted);
        }
    }

    /// `Cache-Status`, behind what the caches before this one said. The same for the same `ttl`.
    #[must_use]
    pub fn cache_status(&self, before: Option<&str>) -> String {
        append_status(before, &CacheStatus::Hit { ttl: self.ttl }.to_string())
    }

    /// What the limits said: `RateLimit` is the same for the same verdicts.
    #[must_use]
    pub fn verdicts(&self) -> &[Verdict] {
        &self.admission.verdicts
    }

    /// `RateLimit`; it tells one client about itself.
    #[must_use]
    pub fn rate_limit(&self) -> Option<String> {
        fields::rate_limit(self.policy, &self.admission.verdicts)
    }
}

/// An answer that waits for nothing.
#[derive(Debug)]
pub enum Quick<'a, Ready> {
    /// What isolate memory has ready, and what to say beside it.
    Hit(&'a Ready, Shown<'a>),
    /// Nothing, because a limit of the client is used up.
    Refusal(Refused<'a>),
}

/// Answers with what isolate memory has ready, or refuses what this isolate knows it must refuse; `None` when the request
/// must take the whole way, which is decided before anything is counted.
///
/// Waits for nothing, logs nothing, and allocates little: a host may call it first for every request. What it answers is
/// counted, and written down by a later request.
pub fn at_once<P: Platform, R>(
    isolate: &Isolate<P>,
    now: Timestamp,
    head: &Head<'_>,
    answer: impl FnOnce(Quick<'_, P::Ready>) -> R,
) -> Option<R> {
    let is_due = isolate.state.borrow().tally.is_due(now);
    // A refusal has a body, which is not sent to HEAD.
    if is_due || isolate.policy.site().diagnostics == Diagnostics::Operator || head.method == "HEAD" {
        return None;
    }
    // Other options name fields that the whole way takes out of the request, or refuses it for.
    if !head.field("connection").is_none_or(|option| KEEPING.iter().any(|known| option.eq_ignore_ascii_case(known))) {
        return None;
    }
    let memory = &mut *isolate.memory.borrow_mut();
    let found;
    let place = if head.method == "GET" && Places::take(head.url) {
        memory.urls.of(head.url, || resolve(isolate, head))?
    } else {
        found = resolve(isolate, head)?;
        &found
    };
    let route = isolate.policy.routes().get(place.route)?;
    if maintenance::holds(isolate, route) {
        return None;
    }
    let client = Client::new(head.client);
    if let Some(Hit { ready, key, age, ttl }) = hit(isolate, &memory.responses, now, head, place, route)
        && let Some(admission) = admit::at_once(isolate, route, client, now)
    {
        let is_encrypted = place.is_encrypted();
        let shown = Shown { age, ttl, policy: isolate.policy, route, is_encrypted, admission };
        let answer = answer(Quick::Hit(ready, shown));
        memory.responses.see(&key);
        isolate.state.borrow_mut().tally.count(place.route, now);
        return Some(answer);
    }
    let may_hit = head.method == "GET" && route.cache.as_ref().is_some_and(|rule| rule.edge.is_some());
    let admission = admit::refused_at_once(isolate, route, client, may_hit, now)?;
    isolate.state.borrow_mut().tally.deny(place.route, now);
    Some(answer(Quick::Refusal(Refused::new(isolate.policy, place, route, admission))))
}

/// A response that serves a request as it is.
struct Hit<'a, Ready> {
    ready: &'a Ready,
    key: CacheKey,
    age: Duration,
    ttl: Duration,
}

/// What memory has for a request.
fn hit<'a, P: Platform>(
    isolate: &Isolate<P>,
    responses: &'a Responses<P>,
    now: Timestamp,
    head: &Head<'_>,
    place: &Place,
    route: &Route,
) -> Option<Hit<'a, P::Ready>> {
    let key = place.key.filter(|_| head.field("authorization").is_none())?;
    let options = &route.cache.as_ref()?.options;
    let for_origin = ForOrigin { head, scheme: &place.scheme, options: &options.vary };
    let (metadata, ready) = responses.find(&key, &for_origin, &options.vary, now)?;
    let state = isolate.state.borrow();
    if state.feed.is_due(now) {
        return None;
    }
    let origin = Origin::Reachable;
    let ask = Ask { target: place.target(), key: &key, request: head, purges: &state.purges, origin, now };
    match decide(&ask, Stored::Response(metadata), options) {
        Decision::Serve(serve)
            if serve.answer == conditional::Answer::Full && !serve.refresh && !serve.ttl.is_zero() =>
        {
            Some(Hit { ready, key, age: serve.age, ttl: serve.ttl })
        }
        _ => None,
    }
}

/// What the whole way makes of the URL; `None` when it would not come to a route.
fn resolve<P: Platform>(isolate: &Isolate<P>, head: &Head<'_>) -> Option<Place> {
    let (scheme, host, path, query) = parts(head.url)?;
    let (host, path) = sanitise::place(host, path, query).ok()?;
    if !isolate.policy.site().hosts.take(&host) || control::name(&path).is_some() {
        return None;
    }
    let route = isolate.policy.route(head.method, &path)?;
    let query = match &route.query {
        Query::Only(names) => query::keep(query, names),
        Query::All => query.to_owned(),
    };
    let key = is_stored(route, head.method)
        .then(|| CacheKey::new(&Target { method: "GET", tenant: "", scheme, host: &host, path: &path, query: &query }));
    let route = isolate.policy.routes().iter().position(|known| core::ptr::eq(known, route))?;
    let [scheme, host, path, query] = [scheme, &host, &path, &query].map(Box::from);
    Some(Place { scheme, host, path, query, key, route })
}

/// Whether memory may have an answer that a [`Head`] is enough to choose.
fn is_stored(route: &Route, method: &str) -> bool {
    let Some(rule) = route.cache.as_ref().filter(|rule| rule.edge.is_some()) else { return false };
    let CacheOptions { request_fields, authorization, surrogate_control, .. } = &rule.options;
    // What else may reach the origin, a response may vary on, and a head does not have it.
    method == "GET"
        && *request_fields == RequestFields::Preferences
        && *authorization == AuthorizationUse::Bypass
        && !*surrogate_control
}

/// Options of `Connection` that are about the connection alone, which clients and proxies send as a matter of course.
const KEEPING: [&str; 2] = ["keep-alive", "close"];

/// A request as the origin would get it, for what a stored response varies on.
struct ForOrigin<'a> {
    head: &'a Head<'a>,
    scheme: &'a str,
    options: &'a VaryOptions,
}

impl Fields for ForOrigin<'_> {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        match name {
            "accept-encoding" => Some(Cow::Borrowed("identity")),
            "x-forwarded-proto" => Some(Cow::Borrowed(self.scheme)),
            "x-forwarded-for" => self.head.client.map(|client| Cow::Owned(client.to_string())),
            name if PREFERENCES.contains(&name) => {
                let value = self.head.field(name);
                match reduced(name, value.as_deref(), self.options) {
                    Some(choice) => Some(Cow::Borrowed(choice)),
                    None => value,
                }
            }
            _ => None,
        }
    }
}
