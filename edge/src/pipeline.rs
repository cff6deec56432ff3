//! A request's way through the edge, stage by stage.
//!
//! The branching stands here; what a stage does stands in its module, and what it decides in `seawall-core`.

mod cached;

use std::rc::Rc;

use seawall_core::{
    cache::{
        CacheStatus, ForwardReason,
        key::{CacheKey, Target},
        query,
    },
    headers::Fields,
    limit::Admission,
    policy::{Lifetime, Query, Route},
    problem::{Problem, Status},
    time::Timestamp,
};

use crate::{
    Edge, Platform,
    admit::{self, Admitted},
    answer::{self, Answer, Conditions},
    client::Client,
    guard::{self, Fetched, Unavailable},
    lookup::look_up,
    message::{Headers, Request, Response},
    sanitise::{Malformed, sanitise},
};

use self::cached::Cached;

/// Answers one request.
///
/// Never fails: whatever goes wrong becomes a response that says what the client can do. Writes one log line.
pub async fn handle<P: Platform>(edge: Rc<Edge>, platform: P, mut request: Request<P>) -> Response<P> {
    let arrival = platform.now();
    if let Err(malformed) = sanitise(&mut request) {
        platform.log(&format!("edge.request refused reason=malformed-{}", malformed.as_str()));
        return malformed_answer(&platform, malformed);
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

    let admitted = admit::admit(&edge, &platform, route, client);
    let (admitted, answer) = match cacheable(route, &request) {
        Ok(lifetime) => {
            let (key, forward) = for_the_cache(request);
            // The limits and the look-up do not wait for each other; a refusal drops what was found.
            let (admitted, found) =
                futures_util::future::join(admitted, look_up(&platform, &key, &forward.headers)).await;
            let answer = match refused(&edge, &platform, &admitted.admission) {
                Some(answer) => answer,
                None => Cached { edge: &edge, platform: &platform, route, lifetime, key }.serve(found, forward).await,
            };
            (admitted, answer)
        }
        Err(reason) => {
            let admitted = admitted.await;
            let answer = match refused(&edge, &platform, &admitted.admission) {
                Some(answer) => answer,
                None => pass(&edge, &platform, route, for_the_origin(request), reason).await,
            };
            (admitted, answer)
        }
    };
    let cache = answer.cache;
    let response = answer::finish(answer, &edge.policy, &route.limits, &admitted.admission, &conditions, is_head);
    log(&platform, route, &response, cache, &admitted, arrival);
    response
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

/// The lifetimes of a route whose responses may be shared, or why this request must not touch the cache.
fn cacheable<'a, P: Platform>(route: &'a Route, request: &Request<P>) -> Result<&'a Lifetime, ForwardReason> {
    let lifetime = route.cache.as_ref().and_then(|rule| rule.edge.as_ref()).ok_or(ForwardReason::Bypass)?;
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        Err(ForwardReason::Method)
    } else if request.headers.field("authorization").is_some() {
        Err(ForwardReason::Request)
    } else {
        Ok(lifetime)
    }
}

/// The cache key of a request, and the request that the origin gets for it: only fields that every visitor may
/// share. What cannot reach the origin cannot change what others are served.
fn for_the_cache<P: Platform>(request: Request<P>) -> (CacheKey, Request<P>) {
    let key = CacheKey::new(&Target {
        scheme: &request.scheme,
        host: &request.host,
        path: &request.path,
        query: &request.query,
    });
    let mut headers = P::Headers::default();
    for name in SHARED_REQUEST_FIELDS {
        if let Some(value) = request.headers.field(name) {
            headers.set(name, &value);
        }
    }
    headers.set("accept-encoding", "identity");
    let forward = for_the_origin(Request { headers, body: None, ..request });
    (key, forward)
}

/// Says who is asking, as the platform saw it.
fn for_the_origin<P: Platform>(mut request: Request<P>) -> Request<P> {
    request.headers.set("x-forwarded-proto", &request.scheme);
    if let Some(client) = request.client {
        request.headers.set("x-forwarded-for", &client.to_string());
    }
    request
}

/// Passes a request through without the cache.
async fn pass<P: Platform>(
    edge: &Edge,
    platform: &P,
    route: &Route,
    request: Request<P>,
    reason: ForwardReason,
) -> Answer<P> {
    match guard::fetch(edge, platform, route, request).await {
        Ok(Fetched { response, .. }) => {
            let cache = forward(reason, Some(response.status), false, None);
            Answer::plain(response, cache)
        }
        Err(unavailable) => unavailable_answer(platform, unavailable, reason),
    }
}

fn refused<P: Platform>(edge: &Edge, platform: &P, admission: &Admission) -> Option<Answer<P>> {
    let refusal = admission.refusal()?;
    let names =
        admission.violated().filter_map(|verdict| edge.policy.limit(verdict.limit)).map(|limit| limit.name.as_str());
    let problem =
        Problem::quota_exceeded(names, "Too many requests from this address. Retry-After says when to come back.");
    let response = answer::problem(platform, &problem, refusal.retry_after);
    Some(Answer::plain(response, CacheStatus::Refused { detail: "limited" }))
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
