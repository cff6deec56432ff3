//! The shortest way: an answer from isolate memory that waits for nothing.
//!
//! It takes the same steps as [`handle`](super::handle), by the same functions, and gives up where one of them would
//! have to wait, to refuse, or to do anything but send all of what is kept. The whole way then begins anew.

use core::{net::IpAddr, time::Duration};
use std::borrow::Cow;

use seawall_core::{
    cache::{
        Ask, CacheOptions, CacheStatus, Decision, RequestFields, Stored, VaryOptions, append_status, conditional,
        decide,
        judge::Origin,
        key::{CacheKey, Target},
        negotiate::reduced,
        query,
    },
    headers::Fields,
    limit::{Admission, fields},
    policy::{Diagnostics, Policy, Query, Route},
    time::Timestamp,
};

use crate::{
    Isolate, Platform, admit, answer::CONDITIONS, client::Client, control, maintenance, message::Headers, protect,
    sanitise,
};

use super::PREFERENCES;

/// The parts of a request that decide how it is answered, as the host has them, without a copy.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The method, as it came.
    pub method: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host and, where it is not the scheme's own, port.
    pub host: &'a str,
    /// The path as it came.
    pub path: &'a str,
    /// The query without `?`, as it came.
    pub query: &'a str,
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
    admission: &'a Admission,
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

    /// Writes what is the same on every answer made of one response.
    pub fn write_constant(&self, headers: &mut impl Headers) {
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

    /// `RateLimit`; it tells one client about itself.
    #[must_use]
    pub fn rate_limit(&self) -> Option<String> {
        fields::rate_limit(self.policy, &self.admission.verdicts)
    }
}

/// Answers with what isolate memory has ready; `None` when the request must take the whole way, which is decided before
/// anything is counted.
///
/// Waits for nothing, logs nothing, and allocates little: a host may call it first for every request.
pub fn at_once<P: Platform, R>(
    isolate: &Isolate<P>,
    now: Timestamp,
    head: &Head<'_>,
    send: impl FnOnce(&P::Ready, &Shown<'_>) -> R,
) -> Option<R> {
    let is_plain = head.method == "GET" && head.field("authorization").is_none() && head.field("connection").is_none();
    if !is_plain {
        return None;
    }
    let (host, path) = sanitise::place(head.host, head.path, head.query).ok()?;
    let site = isolate.policy.site();
    if !site.hosts.take(&host) || site.diagnostics == Diagnostics::Operator || control::name(&path).is_some() {
        return None;
    }
    let route = isolate.policy.route(head.method, &path)?;
    if maintenance::holds(isolate, route) {
        return None;
    }
    // What varies on a field that is not among those of the head is found on the whole way.
    let is_told_apart = |options: &CacheOptions| options.request_fields == RequestFields::Preferences;
    let rule = route.cache.as_ref().filter(|rule| rule.edge.is_some() && is_told_apart(&rule.options))?;
    let query = match &route.query {
        Query::Only(names) if !head.query.is_empty() => Cow::Owned(query::keep(head.query, names)),
        Query::Only(_) => Cow::Borrowed(""),
        Query::All => Cow::Borrowed(head.query),
    };
    let target =
        Target { method: head.method, tenant: "", scheme: head.scheme, host: &host, path: &path, query: &query };
    let key = CacheKey::new(&target);
    let for_origin = ForOrigin { head, options: &rule.options.vary };
    let mut memory = isolate.memory.borrow_mut();
    let (age, ttl, ready) = {
        let (metadata, ready) = memory.find(&key, &for_origin, &rule.options.vary, now)?;
        let state = isolate.state.borrow();
        let ask = Ask { target, key: &key, request: head, purges: &state.purges, origin: Origin::Reachable, now };
        match decide(&ask, Stored::Response(metadata), &rule.options) {
            Decision::Serve(serve)
                if serve.answer == conditional::Answer::Full && !serve.refresh && !serve.ttl.is_zero() =>
            {
                (serve.age, serve.ttl, ready)
            }
            _ => return None,
        }
    };
    let admission = admit::at_once(isolate, route, Client::new(head.client), now)?;
    let is_encrypted = head.scheme == "https";
    let shown = Shown { age, ttl, policy: &isolate.policy, route, is_encrypted, admission: &admission };
    let answer = send(ready, &shown);
    memory.see(&key);
    Some(answer)
}

/// A request as the origin would get it, for what a stored response varies on.
struct ForOrigin<'a> {
    head: &'a Head<'a>,
    options: &'a VaryOptions,
}

impl Fields for ForOrigin<'_> {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        match name {
            "accept-encoding" => Some(Cow::Borrowed("identity")),
            "x-forwarded-proto" => Some(Cow::Borrowed(self.head.scheme)),
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
