//! A request's way through the edge, stage by stage.
//!
//! The branching stands here; what a stage does stands in its module, and what it decides in `seawall-core`.

mod cached;

use core::pin::pin;
use std::rc::Rc;

use futures_util::{FutureExt, future::join};
use seawall_core::{
    cache::{
        CacheOptions, CacheStatus, ForwardReason,
        groups::GroupId,
        invalidate::{invalidation, is_safe},
        key::{CacheKey, Target},
        negotiate::reduced,
        purge::{Selector, Strength},
        query,
    },
    headers::Fields,
    limit::Admission,
    policy::{Query, Route},
    problem::{Problem, Status},
    time::Timestamp,
};

use crate::{
    Edge, Platform,
    admit::{Admitted, Admitting, Places},
    answer::{self, Answer, Conditions},
    client::Client,
    control,
    guard::{self, Fetched, Unavailable},
    lookup::{forget, look_up},
    message::{Headers, Request, Response},
    sanitise::{Malformed, canonical_path, sanitise},
};

use self::cached::{Cached, Step};

/// Answers one request.
///
/// Never fails: whatever goes wrong becomes a response that says what the client can do. Writes one log line.
pub async fn handle<P: Platform>(edge: Rc<Edge>, platform: P, mut request: Request<P>) -> Response<P> {
    let arrival = platform.now();
    if let Err(malformed) = sanitise(&mut request) {
        platform.log(&format!("edge.request refused reason=malformed-{}", malformed.as_str()));
        return malformed_answer(&platform, malformed);
    }
    if let Some(name) = control::name(&request.path) {
        return control::answer(&edge, &platform, name, &request).await;
    }
    let Some(route) = edge.policy.route(&request.method, &request.path) else {
        platform.log("edge.request refused reason=no-route");
        let problem = Problem::plain(Status::NotFound, "No route of this site takes this address.");
        return answer::refused(&platform, &problem, "no-route");
    };
    if let Query::Only(names) = &route.query {
        request.query = query::keep(&request.query, names);
    }
    let client = Client::new(request.client);
    let is_head = request.method == "HEAD";
    let conditions = Conditions::of(&request.headers);

    let options = cacheable(route, &request);
    let places = Places::new(&edge, &platform, route, client);
    let begun = Admitting::begin(&edge, route, client, places.lease(), options.is_ok(), arrival);
    let counted = match begun {
        Ok(mut admitting) => admitting.count_at_location(&platform).await.map(|()| admitting),
        Err(refusal) => Err(refusal),
    };
    let (admitted, answer) = match (counted, options) {
        (Err(refusal), _) => {
            let answer = refused(&edge, &platform, &refusal.admission);
            (refusal, answer)
        }
        (Ok(admitting), Ok(options)) => {
            let options = options.clone();
            let (key, forward) = for_the_cache(request, &options);
            let (edge, platform, conditions) = (&edge, &platform, &conditions);
            let cached = Cached { edge, platform, route, options, key, conditions };
            through_the_cache(&admitting, &cached, forward).await
        }
        (Ok(admitting), Err(reason)) => {
            let admitted = admitting.check(&platform).await;
            match admitted.admission.refusal() {
                Some(_) => {
                    let answer = refused(&edge, &platform, &admitted.admission);
                    (admitted, answer)
                }
                None => (admitted, pass(&edge, &platform, route, for_the_origin(request), reason).await),
            }
        }
    };
    let cache = answer.cache;
    let response = answer::finish(&platform, answer, &edge.policy, &route.limits, &admitted.admission, is_head);
    log(&platform, route, &response, cache, &admitted, arrival);
    response
}

/// The way of a request whose response may be shared. The shared limits and the look-up do not wait for each other.
///
/// Where hits cost nothing, one that is at hand asks no limit at all, and one that comes later gets back what was
/// charged for it; otherwise a refusal drops what was found.
async fn through_the_cache<P: Platform>(
    admitting: &Admitting<'_>,
    cached: &Cached<'_, P>,
    request: Request<P>,
) -> (Admitted, Answer<P>) {
    let Cached { edge, platform, options, key, .. } = cached;
    let (mut admitted, step) = {
        let mut looking = pin!(look_up(*platform, key, &request.headers, &options.vary));
        match looking.as_mut().now_or_never() {
            Some(found) if admitting.spares_hits => match cached.usable(found, &request) {
                Step::Answer(answer) => return (admitting.spared(platform.now()), answer),
                step => (admitting.check(*platform).await, Ok(step)),
            },
            Some(found) => (admitting.check(*platform).await, Err(found)),
            None => {
                let (admitted, found) = join(admitting.check(*platform), looking).await;
                (admitted, Err(found))
            }
        }
    };
    let is_refused = |admitted: &Admitted| admitted.admission.refusal().is_some();
    if is_refused(&admitted) && !admitting.spares_hits {
        let answer = refused(edge, *platform, &admitted.admission);
        return (admitted, answer);
    }
    match step.unwrap_or_else(|found| cached.usable(found, &request)) {
        Step::Answer(answer) => {
            admitting.hit(*platform, &mut admitted);
            (admitted, answer)
        }
        Step::Fetch(needed) => {
            let admitted = admitting.missed(*platform, admitted).await;
            if is_refused(&admitted) {
                let answer = refused(edge, *platform, &admitted.admission);
                return (admitted, answer);
            }
            let answer = cached.fetch_needed(needed, request).await;
            (admitted, answer)
        }
    }
}

/// One line for each request. No path, query or address: they may say who is looking for what.
fn log<P: Platform>(
    platform: &P,
    route: &Route,
    response: &Response<P>,
    cache: CacheStatus,
    admitted: &Admitted,
    arrival: Timestamp,
) {
    platform.log(&format!(
        "edge.request route={} status={} cache=\"{cache}\" limits={} elapsed_ms={}",
        route.name.as_str(),
        response.status,
        admitted.source.as_str(),
        platform.now().since(arrival).as_millis(),
    ));
}

/// The choices of a route whose responses may be shared, or why this request must not touch the cache.
fn cacheable<'a, P: Platform>(route: &'a Route, request: &Request<P>) -> Result<&'a CacheOptions, ForwardReason> {
    let rule = route.cache.as_ref().filter(|rule| rule.edge.is_some()).ok_or(ForwardReason::Bypass)?;
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        Err(ForwardReason::Method)
    } else if request.headers.field("authorization").is_some() {
        Err(ForwardReason::Request)
    } else {
        Ok(&rule.options)
    }
}

/// The cache key of a request, and the request that the origin gets for it: only fields that every visitor may
/// share, reduced to what the origin offers. What cannot reach the origin cannot change what others are served.
fn for_the_cache<P: Platform>(request: Request<P>, options: &CacheOptions) -> (CacheKey, Request<P>) {
    let key = CacheKey::new(&target_of(&request));
    let mut headers = P::Headers::default();
    for name in SHARED_REQUEST_FIELDS {
        let value = request.headers.field(name);
        match reduced(name, value.as_deref(), &options.vary) {
            Some(choice) => headers.set(name, choice),
            None => value.iter().for_each(|value| headers.set(name, value)),
        }
    }
    headers.set("accept-encoding", "identity");
    let forward = for_the_origin(Request { headers, body: None, ..request });
    (key, forward)
}

/// What a request asks for, for its key.
fn target_of<P: Platform>(request: &Request<P>) -> Target<'_> {
    Target {
        method: &request.method,
        tenant: "",
        scheme: &request.scheme,
        host: &request.host,
        path: &request.path,
        query: &request.query,
    }
}

/// Says who is asking, as the platform saw it.
fn for_the_origin<P: Platform>(mut request: Request<P>) -> Request<P> {
    request.headers.set("x-forwarded-proto", &request.scheme);
    if let Some(client) = request.client {
        request.headers.set("x-forwarded-for", &client.to_string());
    }
    request
}

/// Passes a request through without the cache. What it changed does not count any more.
async fn pass<P: Platform>(
    edge: &Rc<Edge>,
    platform: &P,
    route: &Route,
    request: Request<P>,
    reason: ForwardReason,
) -> Answer<P> {
    let place = (!is_safe(&request.method)).then(|| Place {
        method: request.method.clone(),
        scheme: request.scheme.clone(),
        host: request.host.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
    });
    match guard::fetch(edge, platform, route, request).await {
        Ok(Fetched { response, .. }) => {
            if let Some(place) = place {
                place.invalidate(edge, platform, &response).await;
            }
            let cache = forward(reason, Some(response.status), false, None);
            Answer::plain(response, cache)
        }
        Err(unavailable) => unavailable_answer(platform, unavailable, reason),
    }
}

/// Where an unsafe request went.
struct Place {
    method: String,
    scheme: String,
    host: String,
    path: String,
    query: String,
}

impl Place {
    fn target<'a>(&'a self, method: &'a str, path: &'a str, query: &'a str) -> Target<'a> {
        Target { method, tenant: "", scheme: &self.scheme, host: &self.host, path, query }
    }

    /// Makes invalid what the answer to an unsafe request says has changed (RFC 9111 §4.4, RFC 9875 §3): in this isolate
    /// at once, for responses that are on their way as well, and in the platform's store.
    async fn invalidate<P: Platform>(&self, edge: &Edge, platform: &P, response: &Response<P>) {
        let target = self.target(&self.method, &self.path, &self.query);
        let changed = invalidation(&target, response.status, &response.headers, &CacheOptions::default());
        let now = platform.now();
        for place in changed.places {
            // The same canonical form, and the same parameters, as the key of a request for it has.
            let Some(path) = canonical_path(&place.path) else { continue };
            let route = edge.policy.route("GET", &path);
            if route.is_none_or(|route| route.cache.as_ref().is_none_or(|rule| rule.edge.is_none())) {
                continue;
            }
            let query = match route.map(|route| &route.query) {
                Some(Query::Only(names)) => query::keep(&place.query, names),
                _ => place.query,
            };
            let key = CacheKey::new(&self.target("GET", &path, &query));
            edge.state.borrow_mut().purges.purge(Selector::Key(key), Strength::Hard, now);
            if let Err(error) = forget(platform, &key).await {
                platform.log(&format!("edge.cache.invalidate failed: {error}"));
            }
        }
        let purge = |group: GroupId| {
            edge.state.borrow_mut().purges.purge(Selector::Group(group), Strength::Hard, now);
        };
        changed.groups.into_iter().for_each(purge);
        if changed.groups_left_out > 0 {
            platform.log(&format!("edge.cache.invalidate left out groups={}", changed.groups_left_out));
        }
    }
}

fn refused<P: Platform>(edge: &Edge, platform: &P, admission: &Admission) -> Answer<P> {
    let names =
        admission.violated().filter_map(|verdict| edge.policy.limit(verdict.limit)).map(|limit| limit.name.as_str());
    let problem =
        Problem::quota_exceeded(names, "Too many requests from this address. Retry-After says when to come back.");
    let retry_after = admission.refusal().and_then(|refusal| refusal.retry_after);
    let response = answer::problem(platform, &problem, retry_after);
    Answer::plain(response, CacheStatus::Refused { detail: "limited" })
}

fn malformed_answer<P: Platform>(platform: &P, malformed: Malformed) -> Response<P> {
    let status = match malformed.status() {
        414 => Status::UriTooLong,
        501 => Status::NotImplemented,
        _ => Status::BadRequest,
    };
    answer::refused(platform, &Problem::plain(status, malformed.detail()), "malformed")
}

fn unavailable_answer<P: Platform>(platform: &P, unavailable: Unavailable, reason: ForwardReason) -> Answer<P> {
    let problem = Problem::temporary_reduced_capacity(
        "The site behind this address is not answering, and no stored copy of the page exists here.",
    );
    let response = answer::problem(platform, &problem, Some(unavailable.retry_after()));
    Answer::plain(response, forward(reason, None, false, Some(unavailable.as_str())))
}

const fn forward(
    reason: ForwardReason,
    status: Option<u16>,
    stored: bool,
    detail: Option<&'static str>,
) -> CacheStatus {
    CacheStatus::Forward { reason, status, stored, collapsed: false, detail }
}

/// Request fields that reach the origin on a route that is cached. Each is either in the key through `Vary`, or
/// says nothing that an origin has a reason to repeat.
const SHARED_REQUEST_FIELDS: [&str; 2] = ["accept", "accept-language"];
