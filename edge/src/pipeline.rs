//! A request's way through the edge, stage by stage.
//!
//! The branching stands here; what a stage does stands in its module, and what it decides in `seawall-core`.

mod at_once;
mod cached;
mod explain;
mod refused_at_once;

use alloc::{
    borrow::ToOwned,
    boxed::Box,
    format,
    rc::Rc,
    string::{String, ToString},
    vec::Vec,
};
use core::{mem, pin::pin};

use futures_util::{
    FutureExt,
    future::{Either, join, select},
};
use seawall_core::{
    cache::{
        AuthorizationUse, CacheOptions, CacheStatus, ForwardReason, RequestFields, SURROGATE_DEVICE,
        invalidate::{invalidation, is_safe},
        key::{CacheKey, Target},
        negotiate::reduced,
        purge::{Selector, Strength},
        query,
    },
    headers::Fields,
    limit::Admission,
    policy::{Diagnostics, Methods, Query, Route},
    problem::{Problem, Status},
    time::Timestamp,
};

use crate::{
    Edge, Isolate, Platform, Store as _,
    admit::{Admitted, Admitting, Fare, Places},
    answer::{self, Answer, Conditions},
    client::Client,
    control,
    guard::{self, Asker, Fetched, Unavailable},
    lookup::{forget, look_up},
    maintenance,
    message::{Headers, Request, Response},
    protect::Last,
    purge::{self, By, Order},
    record::{Metric, Record, known_method},
    sanitise::{self, Malformed, canonical_path, sanitise},
};

use self::cached::{Cached, Step};

pub(crate) use self::explain::explain;

pub use self::{
    at_once::{HEAD_FIELDS, Head, Quick, Shown, at_once},
    refused_at_once::Refused,
};

/// Writes down what [`at_once`] has counted since it was last written down. [`handle`] does so by
/// itself; this is for a host whose isolates may end before they are asked again.
pub fn write_counts<P: Platform>(edge: &Edge, platform: &P, now: Timestamp) {
    let counted = edge.state.borrow_mut().tally.take(now);
    if let Some(counted) = counted {
        counted.write(edge.policy, platform);
    }
}

/// Answers one request.
///
/// Never fails: whatever goes wrong becomes a response that says what the client can do. Writes one log line.
pub async fn handle<P: Platform>(edge: Rc<Isolate<P>>, platform: P, request: Request<P>) -> Response<P> {
    let arrival = platform.now();
    let (edge, platform) = (&edge, &platform);
    if edge.state.borrow().tally.is_due(arrival) {
        write_counts(edge, platform, arrival);
    }
    // Comparing secrets costs little, and reading a field for it something, so it is done where it can matter.
    let operators_matter = maintenance::is_on(edge) || edge.policy.site().diagnostics == Diagnostics::Operator;
    let is_operator = operators_matter && edge.is_operator(&request.headers);
    let is_encrypted = request.scheme == "https";
    let Answered { mut response, record, route } = answered(edge, platform, request, is_operator).await;
    let elapsed = platform.now().since(arrival);
    Last { policy: edge.policy, route, is_encrypted, is_operator, elapsed }.apply(&mut response.headers);
    if record.method == "HEAD" {
        response.body = None;
    }
    let record = Record { status: response.status, elapsed, ..record };
    platform.log(&record.to_line());
    platform.measure(&Metric::Request(&record));
    response
}

/// An answer, and what is known of it.
struct Answered<'a, P: Platform> {
    response: Response<P>,
    record: Record<'a>,
    route: Option<&'a Route>,
}

impl<'a, P: Platform> Answered<'a, P> {
    /// The answer to a request that never came to a route.
    const fn unrouted(response: Response<P>, record: Record<'a>) -> Self {
        Self { response, record, route: None }
    }
}

async fn answered<'a, P: Platform>(
    edge: &'a Rc<Isolate<P>>,
    platform: &P,
    mut request: Request<P>,
    is_operator: bool,
) -> Answered<'a, P> {
    if let Err(malformed) = sanitise(&mut request) {
        let record = Record::refused("none", &request.method, malformed.as_str());
        return Answered::unrouted(malformed_answer(platform, malformed), record);
    }
    if !edge.policy.site().hosts.take(&request.host) {
        let problem = Problem::plain(Status::MisdirectedRequest, "This host is not served here.");
        let record = Record::refused("none", &request.method, "host");
        return Answered::unrouted(answer::refused(platform, &problem, "host"), record);
    }
    if let Some(name) = control::name(&request.path).map(str::to_owned) {
        let (response, known) = control::answer(edge, platform, &name, &mut request).await;
        return Answered::unrouted(response, Record::refused("control", &request.method, known));
    }
    let Some(route) = edge.policy.route(&request.method, &request.path) else {
        if !Methods::KNOWN.contains(&&*request.method) {
            let record = Record::refused("none", &request.method, Malformed::Method.as_str());
            return Answered::unrouted(malformed_answer(platform, Malformed::Method), record);
        }
        let problem = Problem::plain(Status::NotFound, "No route of this site takes this address.");
        let record = Record::refused("none", &request.method, "no-route");
        return Answered::unrouted(answer::refused(platform, &problem, "no-route"), record);
    };
    let method = known_method(&request.method);
    let is_held = maintenance::holds(edge, route);
    let accept = if is_held { maintenance::accept(&request.headers) } else { None };
    if is_held && !is_operator && !edge.policy.site().maintenance.stored {
        let response = maintenance::page(edge, platform, accept.as_deref());
        let cache = CacheStatus::Refused { detail: "maintenance" };
        let record = Record::routed(edge.policy, route, method, cache, None);
        return Answered { response, record, route: Some(route) };
    }
    if let Query::Only(names) = &route.query {
        request.query = query::keep(&request.query, names);
    }
    let client = Client::new(request.client);
    let conditions = Conditions::of(&request.headers);

    let asker = if is_held && is_operator { Asker::Operator } else { Asker::Visitor };
    let options = cacheable(route, &request, asker);
    let places = Places::new(&edge.edge, platform, route, client);
    let begun = Admitting::begin(&edge.edge, route, client, places.lease(), options.is_ok(), platform.now());
    let counted = match begun {
        Ok(mut admitting) => admitting.count_at_location(platform).await.map(|()| admitting),
        Err(refusal) => Err(refusal),
    };
    let (admitted, answer) = match (counted, options) {
        (Err(refusal), _) => {
            let answer = refused(edge, platform, &refusal.admission);
            (refusal, answer)
        }
        (Ok(admitting), Ok(options)) => {
            let options = CacheOptions { body_bytes_max: platform.near().body_bytes_max(), ..options.clone() };
            let (key, forward) = for_the_cache(request, &options);
            let cached = Cached { edge, platform, route, options, key, conditions: &conditions };
            through_the_cache(&admitting, &cached, forward).await
        }
        (Ok(admitting), Err(reason)) => {
            let admitted = admitting.check(platform).await;
            sanitise::drop_many_ranges(&mut request.headers);
            match admitted.admission.refusal() {
                Some(_) => {
                    let answer = refused(edge, platform, &admitted.admission);
                    (admitted, answer)
                }
                None => (admitted, pass(edge, platform, route, for_the_origin(request), reason, asker).await),
            }
        }
    };
    let cache = answer.cache;
    let answer = match cache {
        // The stage that wanted the origin knows nothing of pages.
        CacheStatus::Forward { status: None, detail: Some("maintenance"), .. } => {
            Answer::plain(maintenance::page(edge, platform, accept.as_deref()), cache)
        }
        _ => answer,
    };
    let response = answer::finish(answer, edge.policy, &route.limits, &admitted.admission);
    let record = Record::routed(edge.policy, route, method, cache, Some(&admitted));
    Answered { response, record, route: Some(route) }
}

/// The way of a request whose response may be shared. The shared limits and the look-up do not wait for each other.
///
/// Where hits cost nothing, one that is at hand asks no limit at all. One that comes later does not wait for the limits
/// that it asked, and gets back what they charged for it. Otherwise a refusal drops what was found.
async fn through_the_cache<P: Platform>(
    admitting: &Admitting<'_>,
    cached: &Cached<'_, P>,
    request: Request<P>,
) -> (Admitted, Answer<P>) {
    let Cached { edge, platform, options, key, conditions, .. } = cached;
    let looked = cached.moment();
    let (mut admitted, step) = {
        // Nor does the log of purges wait for either; most of the time it has nothing to be asked.
        let found = look_up(edge, *platform, key, &request, conditions.range(), options);
        let mut looking = pin!(join(found, purge::keep_up(&edge.edge, *platform)).map(|(found, ())| found));
        match looking.as_mut().now_or_never() {
            Some(found) if admitting.spares_hits => match cached.usable(found, &request) {
                Step::Answer(answer) => return (admitting.spared(platform.now()), answer),
                Step::Stale(answer, flight) => {
                    let fare = || Fare::due(&edge.edge, *platform, cached.route, admitting.client());
                    cached.refresh_aside(flight, &request, fare);
                    return (admitting.spared(platform.now()), answer);
                }
                step => (admitting.check(*platform).await, Ok(step)),
            },
            Some(found) => (admitting.check(*platform).await, Err(found)),
            None if admitting.may_come_later() => {
                match select(Box::pin(admitting.check_aside(*platform)), looking).await {
                    Either::Left((admitted, looking)) => (admitted, Err(looking.await)),
                    Either::Right((found, checking)) => match cached.usable(found, &request) {
                        Step::Answer(answer) => {
                            admitting.was_hit(*platform, checking);
                            return (admitting.spared(platform.now()), answer);
                        }
                        // Whether a refresh may begin, the limits say.
                        step => (checking.await, Ok(step)),
                    },
                }
            }
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
        Step::Stale(answer, flight) => {
            // Who was charged for a miss pays the refresh; who was refused starts none.
            let refused = is_refused(&admitted);
            if refused || !cached.refresh_aside(flight, &request, || admitting.fare(*platform, &mut admitted)) {
                admitting.hit(*platform, &mut admitted);
            }
            (admitted, answer)
        }
        Step::Fetch(needed) => {
            let admitted = admitting.missed(*platform, admitted).await;
            if is_refused(&admitted) {
                let answer = refused(edge, *platform, &admitted.admission);
                return (admitted, answer);
            }
            let answer = cached.fetch_needed(needed, request, looked).await;
            (admitted, answer)
        }
    }
}

/// The choices of a route whose responses may be shared, or why this request must not touch the cache.
fn cacheable<'a, P: Platform>(
    route: &'a Route,
    request: &Request<P>,
    asker: Asker,
) -> Result<&'a CacheOptions, ForwardReason> {
    let rule = route.cache.as_ref().filter(|rule| rule.edge.is_some()).ok_or(ForwardReason::Bypass)?;
    if asker == Asker::Operator {
        // What is not for visitors yet is not stored for them.
        Err(ForwardReason::Bypass)
    } else if !matches!(request.method.as_str(), "GET" | "HEAD") {
        Err(ForwardReason::Method)
    } else if rule.options.authorization == AuthorizationUse::Bypass && request.headers.field("authorization").is_some()
    {
        Err(ForwardReason::Request)
    } else {
        Ok(&rule.options)
    }
}

/// The cache key of a request, and the request that the origin gets for it: only fields that the policy lets it see,
/// preferences reduced to what it offers. What cannot reach the origin cannot change what others are served.
fn for_the_cache<P: Platform>(mut request: Request<P>, options: &CacheOptions) -> (CacheKey, Request<P>) {
    let key = CacheKey::new(&request.target());
    // A shared answer to a request with Authorization is one that the origin gave for it.
    let shared_with = match options.authorization {
        AuthorizationUse::Share => Some("authorization"),
        AuthorizationUse::Bypass => None,
    };
    let kept = |names: &mut dyn Iterator<Item = &str>| kept(&request.headers, names.chain(shared_with));
    let mut headers = match &options.request_fields {
        RequestFields::Preferences => kept(&mut PREFERENCES.into_iter()),
        RequestFields::Only(names) => kept(&mut names.iter().map(String::as_str)),
        RequestFields::All => {
            let mut headers = mem::take(&mut request.headers);
            ANSWERED_HERE.iter().for_each(|name| headers.remove(name));
            headers
        }
    };
    for name in PREFERENCES {
        let choice = reduced(name, headers.field(name).as_deref(), &options.vary).map(str::to_owned);
        if let Some(choice) = choice {
            headers.set(name, &choice);
        }
    }
    headers.set("accept-encoding", "identity");
    if options.surrogate_control {
        headers.append("surrogate-capability", &format!("{SURROGATE_DEVICE}=\"Surrogate/1.0\""));
    }
    let forward = for_the_origin(Request { headers, body: None, ..request });
    (key, forward)
}

/// The fields of these names.
fn kept<'a, H: Headers>(request: &H, names: impl Iterator<Item = &'a str>) -> H {
    let mut headers = H::default();
    for name in names {
        if let Some(value) = request.field(name) {
            headers.set(name, &value);
        }
    }
    headers
}

/// Says who is asking, as the platform saw it.
fn for_the_origin<P: Platform>(mut request: Request<P>) -> Request<P> {
    request.headers.set("x-forwarded-proto", &request.scheme);
    // Whoever names no coding may take any (RFC 9110 §12.5.3), and many take none. A platform's own client that names one
    // where we do not would let a page through that its visitor cannot read.
    if request.headers.field("accept-encoding").is_none() {
        request.headers.set("accept-encoding", "identity");
    }
    if let Some(client) = request.client {
        request.headers.set("x-forwarded-for", &client.to_string());
    }
    request
}

/// Passes a request through without the cache. What it changed does not count any more.
async fn pass<P: Platform>(
    edge: &Isolate<P>,
    platform: &P,
    route: &Route,
    request: Request<P>,
    reason: ForwardReason,
    asker: Asker,
) -> Answer<P> {
    let place = (!is_safe(&request.method)).then(|| Place {
        method: request.method.clone(),
        scheme: request.scheme.clone(),
        host: request.host.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
    });
    match guard::fetch(&edge.edge, platform, route, request, asker).await {
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
    async fn invalidate<P: Platform>(&self, edge: &Isolate<P>, platform: &P, response: &Response<P>) {
        let target = self.target(&self.method, &self.path, &self.query);
        let changed = invalidation(&target, response.status, &response.headers, &CacheOptions::default());
        let now = platform.now();
        let mut orders = Vec::new();
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
            let target = self.target("GET", &path, &query);
            let key = CacheKey::new(&target);
            orders.push(Selector::Url { key, path: CacheKey::of_path(&target) });
            forget(edge, platform, &target, &key).await;
        }
        orders.extend(changed.groups.into_iter().map(Selector::Group));
        for selector in &orders {
            edge.state.borrow_mut().purges.change(selector.clone(), Strength::Hard, now);
        }
        if purge::has_log(platform) && !orders.is_empty() {
            let orders = orders
                .into_iter()
                .map(|selector| Order { by: By::Visitor, selector, strength: Strength::Hard })
                .collect();
            let (edge, platform_) = (Rc::clone(&edge.edge), platform.clone());
            platform.spawn(async move {
                // Here it holds already; elsewhere, what is stored ends by its own time.
                let _ = purge::ask(&edge, &platform_, orders).await;
            });
        }
        if changed.groups_left_out > 0 {
            platform.log(&format!("edge.cache.invalidate left out groups={}", changed.groups_left_out));
        }
    }
}

fn refused<P: Platform>(edge: &Edge, platform: &P, admission: &Admission) -> Answer<P> {
    let names =
        admission.violated().filter_map(|verdict| edge.policy.limit(verdict.limit)).map(|limit| limit.name.as_str());
    let problem = Problem::quota_exceeded(names, TOO_MANY);
    let retry_after = admission.refusal().and_then(|refusal| refusal.retry_after);
    let response = answer::problem(platform, &problem, retry_after);
    Answer::plain(response, CacheStatus::Refused { detail: LIMITED })
}

/// What a refused client reads.
const TOO_MANY: &str = "Too many requests from this address. Retry-After says when to come back.";
/// The word for it in `Cache-Status` and the log.
const LIMITED: &str = "limited";

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

/// Request fields that state preferences. Each is either in the key through `Vary`, or says nothing that an origin has a
/// reason to repeat.
const PREFERENCES: [&str; 2] = ["accept", "accept-language"];

/// Request fields that the cache acts on in the origin's place.
const ANSWERED_HERE: [&str; 6] =
    ["if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range"];
