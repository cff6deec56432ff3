//! What would become of a request, and why: the steps of [`handle`](super::handle) by the same functions, without
//! counting it and without a call to the origin.

use alloc::string::{String, ToString};

use seawall_core::{
    cache::{Ask, Stored, decide::situation, explain, judge::Origin},
    json::append_string,
    limit::fields,
    policy::{Query, Route, Scope},
    time::Timestamp,
};

use crate::{
    Isolate, Platform,
    answer::Conditions,
    guard::Asker,
    lookup::{Lookup, look_up},
    maintenance,
    message::Request,
    sanitise::sanitise,
};

use super::{cacheable, for_the_cache, query};

/// Explains a request as JSON. The stores are read; nothing else happens.
pub(crate) async fn explain<P: Platform>(isolate: &Isolate<P>, platform: &P, mut request: Request<P>) -> String {
    let mut json = String::from("{");
    if let Err(malformed) = sanitise(&mut request) {
        member(&mut json, "outcome", "malformed");
        member(&mut json, "why", malformed.as_str());
        return json + "}";
    }
    for (name, value) in [
        ("method", &request.method),
        ("scheme", &request.scheme),
        ("host", &request.host),
        ("path", &request.path),
        ("query", &request.query),
    ] {
        member(&mut json, name, value);
    }
    if !isolate.policy.site().hosts.take(&request.host) {
        member(&mut json, "outcome", "host-not-served");
        return json + "}";
    }
    let Some(route) = isolate.policy.route(&request.method, &request.path) else {
        member(&mut json, "outcome", "no-route");
        return json + "}";
    };
    let now = platform.now();
    describe_route(&mut json, isolate, route, now);
    if let Query::Only(names) = &route.query {
        request.query = query::keep(&request.query, names);
    }
    let conditions = Conditions::of(&request.headers);
    match cacheable(route, &request, Asker::Visitor) {
        Err(reason) => member(&mut json, "cache", reason.as_str()),
        Ok(options) => {
            let (key, forward) = for_the_cache(request, options);
            member(&mut json, "key", &key.to_string());
            member(&mut json, "key_query", &forward.query);
            let found = look_up(isolate, platform, &key, &forward, conditions.range(), options).await;
            let stored = match &found {
                Lookup::Found(found) => Stored::Response(&found.metadata),
                Lookup::OtherVariants => Stored::OtherVariants,
                Lookup::Nothing => Stored::Nothing,
            };
            if let Lookup::Found(found) = &found {
                let age = found.metadata.current_age(platform.now());
                let left = found.metadata.freshness_lifetime.saturating_sub(age);
                member(&mut json, "stored_status", &found.metadata.status.to_string());
                member(&mut json, "age_s", &age.as_secs().to_string());
                member(&mut json, "fresh_for_s", &left.as_secs().to_string());
            }
            let state = isolate.state.borrow();
            let origin = if maintenance::holds(isolate, route) { Origin::Held } else { Origin::Reachable };
            let ask = Ask {
                target: forward.target(),
                key: &key,
                request: &conditions,
                purges: &state.purges,
                origin,
                now: platform.now(),
            };
            let line = explain::reuse(&situation(&ask, stored, options), route.name.as_str());
            member(&mut json, "cache", &line);
        }
    }
    member(&mut json, "outcome", "routed");
    json + "}"
}

fn describe_route<P: Platform>(json: &mut String, isolate: &Isolate<P>, route: &Route, now: Timestamp) {
    let policy = isolate.policy;
    let upstream = policy.upstream_of(route);
    member(json, "route", route.name.as_str());
    member(json, "upstream", upstream.name.as_str());
    let breaker = isolate.state.borrow().breakers[usize::from(route.upstream.0)].state(now);
    member(json, "breaker", breaker.as_str());
    member(json, "maintenance", if maintenance::holds(isolate, route) { "yes" } else { "no" });
    let limits = fields::rate_limit_policy(policy, route.limits.iter().copied());
    member(json, "limits", &limits.unwrap_or_default());
    let shared = policy.limits_of(route).find_map(|(_, limit)| match limit.scope {
        Scope::Shared { on_store_failure, .. } => Some(on_store_failure.as_str()),
        Scope::Isolate | Scope::Location => None,
    });
    member(json, "without_authority", shared.unwrap_or("unaffected"));
}

fn member(json: &mut String, name: &str, value: &str) {
    if json.len() > 1 {
        json.push(',');
    }
    append_string(json, name);
    json.push(':');
    append_string(json, value);
}
