//! The way of a request whose response may be shared: what is stored, one call for those who need it, and what is
//! stored again when the origin fails.

use core::time::Duration;
use std::rc::Rc;

use futures_channel::oneshot;
use seawall_core::{
    cache::{
        Ask, CacheOptions, CacheStatus, Decision, ForwardReason, HttpDate, Keep, Known, Metadata, Stored,
        collapse::{Collapse, Joiner, Landed, Landing, Role, Ticket},
        conditional::{self, Evaluation, evaluate},
        decide,
        decide::stand_in,
        judge::{OnError, Origin},
        key::{CacheKey, Target},
        on_response,
        purge::{Purges, Selector, Strength},
        response::is_origin_failure,
        store::{Exchange, Reason, unstored},
        validate::{Validators, is_fixed_by_body},
    },
    headers::Fields,
    policy::Route,
    problem::{Problem, Status},
    time::Timestamp,
};

use crate::{
    Edge, Platform,
    answer::{self, Answer, Conditions},
    failure::{CallFailure, Remembered},
    guard::{self, Fetched, Unavailable},
    limits::{FAILURE_REMEMBERED_FOR, FLIGHT_MARGIN, FOLLOW_ROUNDS_MAX, FOLLOWERS_MAX, UNCOLLAPSED_FOR},
    lookup::{self, Found, Lookup, look_up},
    message::{Headers, Request, Response},
    platform::FetchError,
};

use super::{forward, target_of, unavailable_answer};

/// What a route that may be cached needs at every step.
pub(super) struct Cached<'a, P: Platform> {
    pub(super) edge: &'a Rc<Edge>,
    pub(super) platform: &'a P,
    pub(super) route: &'a Route,
    pub(super) options: CacheOptions,
    pub(super) key: CacheKey,
    /// What the client itself says of caches, ranges and copies it has.
    pub(super) conditions: &'a Conditions,
}

/// The same, for work that outlives the request.
struct Detached<P: Platform> {
    edge: Rc<Edge>,
    platform: P,
    route: Route,
    options: CacheOptions,
    key: CacheKey,
    conditions: Conditions,
}

impl<P: Platform> Detached<P> {
    fn cached(&self) -> Cached<'_, P> {
        let Self { edge, platform, route, options, key, conditions } = self;
        Cached { edge, platform, route, options: options.clone(), key: *key, conditions }
    }
}

impl<P: Platform> Cached<'_, P> {
    /// Answers from what is stored if it may be used, otherwise from the origin.
    pub(super) async fn serve(&self, found: Lookup<P>, request: Request<P>) -> Answer<P> {
        let mut needed = match self.usable(found, &request) {
            Step::Answer(answer) => return answer,
            Step::Fetch(needed) => needed,
        };
        let reason = needed.reason;
        let mut waited = Duration::ZERO;
        for _ in 0..FOLLOW_ROUNDS_MAX {
            let role = if needed.collapse { Some(self.join(waited)) } else { None };
            let wait = match role {
                Some(Role::Lead(ticket)) => return self.lead(needed, request, ticket).await,
                Some(Role::Follow { wait }) => wait,
                Some(Role::Alone(_) | Role::Stale) | None => break,
            };
            let since = self.platform.now();
            self.platform.wait(&self.key, wait).await;
            waited = waited.saturating_add(self.platform.now().since(since));
            let found = look_up(self.platform, &self.key, &request.headers, &self.options.vary).await;
            needed = match self.usable(found, &request) {
                Step::Answer(mut answer) => {
                    answer.cache = collapsed(reason, Some(answer.response.status), None);
                    return answer;
                }
                Step::Fetch(needed) => needed,
            };
            if let Some(failure) = self.failure_since(since) {
                return self.share_failure(needed, &request, failure);
            }
        }
        self.fetch(needed, request, None).await
    }

    /// Leads in work of its own: a visitor who leaves takes nothing from those who wait.
    async fn lead(&self, needed: Needed<P>, request: Request<P>, ticket: Ticket) -> Answer<P> {
        let reason = needed.reason;
        let (sender, receiver) = oneshot::channel();
        let detached = self.detached(self.conditions.clone());
        self.platform.spawn(async move {
            let answer = detached.cached().fetch(needed, request, Some(ticket)).await;
            // Nobody listens when the visitor has left; what may be stored is stored all the same.
            let _ = sender.send(answer);
        });
        match receiver.await {
            Ok(answer) => answer,
            // The host ended the work that it had promised to go on with.
            Err(oneshot::Canceled) => {
                unavailable_answer(self.platform, Unavailable::Failed(FetchError::Unreachable), reason)
            }
        }
    }

    fn detached(&self, conditions: Conditions) -> Detached<P> {
        Detached {
            edge: Rc::clone(self.edge),
            platform: self.platform.clone(),
            route: self.route.clone(),
            options: self.options.clone(),
            key: self.key,
            conditions,
        }
    }

    /// The answer from what is stored, or what is needed instead.
    fn usable(&self, found: Lookup<P>, request: &Request<P>) -> Step<P> {
        let step = {
            let stored = match &found {
                Lookup::Found(found) => Stored::Response(&found.metadata),
                Lookup::OtherVariants => Stored::OtherVariants,
                Lookup::Nothing => Stored::Nothing,
            };
            let state = self.edge.state.borrow();
            let ask = self.ask(target_of(request), &state.purges);
            match decide(&ask, stored, &self.options) {
                Decision::Serve(serve) => Ok(serve),
                Decision::Fetch(fetch) => Err(Needed {
                    reason: fetch.reason,
                    on_error: fetch.on_error,
                    validate: !fetch.validators.is_empty(),
                    collapse: fetch.collapse,
                    found: None,
                }),
                Decision::Refuse(why) => {
                    let problem = Problem::plain(Status::GatewayTimeout, "Nothing stored here answers this request.");
                    let response = answer::problem(self.platform, &problem, None);
                    let cache = CacheStatus::Refused { detail: why.as_str() };
                    return Step::Answer(Answer::plain(response, cache));
                }
            }
        };
        match (step, found) {
            (Ok(serve), Lookup::Found(found)) => {
                if serve.refresh {
                    self.revalidate_in_background(request);
                }
                let cache = serve.status();
                Step::Answer(Answer { response: found.response, cache, age: Some(serve.age), how: serve.answer })
            }
            (Err(needed), Lookup::Found(found)) if needed.validate || needed.on_error == OnError::Serve => {
                Step::Fetch(Needed { found: Some(found), ..needed })
            }
            (Err(needed), _) => Step::Fetch(needed),
            // Only what was found is served.
            (Ok(_), Lookup::OtherVariants | Lookup::Nothing) => Step::Fetch(Needed::response(ForwardReason::Miss)),
        }
    }

    fn ask<'b>(&'b self, target: Target<'b>, purges: &'b Purges) -> Ask<'b, Conditions> {
        Ask {
            target,
            key: &self.key,
            request: self.conditions,
            purges,
            // The breaker decides when the call is made, and what is stored stands in then.
            origin: Origin::Reachable,
            now: self.platform.now(),
        }
    }

    /// Starts one refresh of what is stored, unless one is under way.
    fn revalidate_in_background(&self, request: &Request<P>) {
        let Role::Lead(ticket) = self.join(Duration::ZERO) else { return };
        let refresh = again(request, "GET");
        let detached = self.detached(Conditions::default());
        self.platform.spawn(async move {
            let cached = detached.cached();
            cached.refresh(refresh).await;
            cached.land(Some(ticket), Landing::Open);
        });
    }

    /// Brings what is stored up to date. When the origin fails it stays as it is; when the origin answers with what
    /// may not be shared, it is no longer right and goes.
    async fn refresh(&self, request: Request<P>) {
        let found = match look_up(self.platform, &self.key, &request.headers, &self.options.vary).await {
            Lookup::Found(found) => Some(found),
            Lookup::OtherVariants | Lookup::Nothing => None,
        };
        let validate = found.as_ref().is_some_and(|found| found.metadata.has_validator());
        let on_error = if found.is_some() { OnError::Serve } else { OnError::Fail };
        let reason = ForwardReason::Stale;
        let fields = request.headers.clone();
        match self.call(Needed { reason, on_error, validate, collapse: true, found }, request).await {
            Called::Kept { metadata, response, .. } => {
                // Nobody waits for a refresh, so nobody has to know whether the store took it.
                let _ = self.save(&fields, &metadata, response).await;
            }
            Called::Passed { response, .. } if is_origin_failure(response.status) || response.status == 429 => {
                self.platform.log(&format!("edge.refresh failed status={}", response.status));
            }
            Called::Passed { response, detail, .. } => {
                let (reason, status) = (detail.as_str(), response.status);
                self.platform.log(&format!("edge.refresh dropped reason={reason} status={status}"));
                if let Err(error) = self.platform.remove(&self.key).await {
                    self.platform.log(&format!("edge.cache.remove failed: {error}"));
                }
            }
            Called::Failed { failure: Failure::Status(response), .. } => {
                self.platform.log(&format!("edge.refresh failed status={}", response.status));
            }
            Called::Failed { failure: Failure::Unavailable(unavailable), .. } => {
                self.platform.log(&format!("edge.refresh failed reason={}", unavailable.as_str()));
            }
        }
    }

    /// Fetches from the origin, stores what may be stored, and falls back on what is stored when the origin fails.
    async fn fetch(&self, needed: Needed<P>, request: Request<P>, lead: Option<Ticket>) -> Answer<P> {
        let reason = needed.reason;
        let (fields, asked) = (request.headers.clone(), again(&request, &request.method));
        match self.call(needed, request).await {
            Called::Kept { metadata, response, status } => {
                let how = match evaluate(&metadata, &asked.method, self.conditions, self.options.origin_preconditions) {
                    Evaluation::Answer(how) => how,
                    Evaluation::Forward | Evaluation::Missing => conditional::Answer::Full,
                };
                let age = metadata.current_age(self.platform.now());
                let response = self.store_while_answering(fields, metadata, response, lead);
                Answer { response, cache: forward(reason, Some(status), true, None), age: Some(age), how }
            }
            Called::Passed { response, status, detail, uncacheable } => {
                // A failure says nothing about whether the next response can be shared.
                if is_origin_failure(status) {
                    self.land_failed(lead, CallFailure::Status(status));
                } else if uncacheable && asked.method == "GET" {
                    self.land(lead, Landing::Uncacheable);
                } else {
                    self.land(lead, Landing::Open);
                }
                Answer::plain(response, forward(reason, Some(status), false, Some(detail.as_str())))
            }
            Called::Failed { found, failure } => {
                self.land_failed(lead, failure.shared());
                if let Some(answer) = found.and_then(|found| self.stand_in(*found, &asked, failure.shared())) {
                    return answer;
                }
                match failure {
                    Failure::Unavailable(unavailable) => unavailable_answer(self.platform, unavailable, reason),
                    Failure::Status(response) => {
                        let cache = forward(reason, Some(response.status), false, None);
                        Answer::plain(response, cache)
                    }
                }
            }
        }
    }

    /// Calls the origin, once more without conditions if its answer is about something else, and decides on what came.
    async fn call(&self, needed: Needed<P>, mut request: Request<P>) -> Called<P> {
        let Needed { on_error, validate, mut found, .. } = needed;
        let asked = again(&request, &request.method);
        if let Some(found) = found.as_ref().filter(|_| validate) {
            set_conditions(&mut request, &Validators::of(&found.metadata));
        }
        let mut request = Some(request);
        loop {
            let generation = self.edge.state.borrow_mut().purges.stamp(self.platform.now());
            let first = request.take();
            let is_first = first.is_some();
            let sent = first.unwrap_or_else(|| again(&asked, &asked.method));
            let fetched = match guard::fetch(self.edge, self.platform, self.route, sent).await {
                Ok(fetched) => fetched,
                Err(unavailable) => {
                    let found = found.filter(|_| on_error == OnError::Serve);
                    return Called::Failed { found, failure: Failure::Unavailable(unavailable) };
                }
            };
            let Fetched { mut response, request_time, response_time } = fetched;
            let status = response.status;
            if status != 304 && response.headers.field("date").is_none() {
                // RFC 9110 §6.6.1: who receives a response without a Date writes down when.
                response.headers.set("date", &HttpDate::from_timestamp(response_time).to_string());
            }
            let exchange = Exchange {
                target: target_of(&asked),
                request: &asked.headers,
                status,
                response: &response.headers,
                request_time,
                response_time,
                generation,
                random: (self.platform.random() >> 32) as u32,
            };
            let known = found.as_ref().map(|found| Known {
                metadata: &found.metadata,
                fields: &found.response.headers,
                on_error,
            });
            let keep = {
                let state = self.edge.state.borrow();
                on_response(&exchange, known, &self.key, &state.purges, &self.options).keep
            };
            let uncacheable = keep.is_uncacheable();
            return match (keep, found.take()) {
                (Keep::Refetch, _) if is_first => continue,
                (Keep::Store(metadata), _) => Called::Kept { metadata, response, status },
                (Keep::Update(metadata), Some(found)) => {
                    Called::Kept { metadata, response: self.updated(*found, &response, response_time), status }
                }
                (Keep::Confirm(metadata), Some(found)) => {
                    let mut response = found.response;
                    response.headers.set("date", &HttpDate::from_timestamp(response_time).to_string());
                    Called::Kept { metadata, response, status }
                }
                (Keep::UpdateUnstored(detail), Some(found)) => {
                    let response = self.updated(*found, &response, response_time);
                    Called::Passed { response, status, detail, uncacheable }
                }
                (Keep::ServeStored, found) => Called::Failed { found, failure: Failure::Status(response) },
                (Keep::Outdate, _) => {
                    let now = self.platform.now();
                    self.edge.state.borrow_mut().purges.purge(Selector::Key(self.key), Strength::Soft, now);
                    Called::Passed { response, status, detail: Reason::Method, uncacheable: false }
                }
                // No platform here joins bodies, and none is asked for parts.
                (Keep::Join(..), _) => Called::Passed { response, status, detail: Reason::Partial, uncacheable },
                (Keep::Refuse(detail), _) => Called::Passed { response, status, detail, uncacheable },
                (Keep::Refetch | Keep::Update(_) | Keep::Confirm(_) | Keep::UpdateUnstored(_), _) => {
                    Called::Passed { response, status, detail: Reason::Status, uncacheable }
                }
            };
        }
    }

    /// The stored response with the fields of the answer that validated it (RFC 9111 §3.2).
    fn updated(&self, found: Found<P>, answer: &Response<P>, response_time: Timestamp) -> Response<P> {
        let mut response = found.response;
        // The date of an answer that has none is when it came.
        response.headers.set("date", &HttpDate::from_timestamp(response_time).to_string());
        let content_fields = self.options.update_content_fields;
        let mut replaced = Vec::new();
        answer.headers.each(&mut |name, value| {
            let name = name.to_ascii_lowercase();
            if is_fixed_by_body(&name, content_fields) {
                return;
            }
            if replaced.contains(&name) {
                response.headers.append(&name, value);
            } else {
                response.headers.set(&name, value);
                replaced.push(name);
            }
        });
        response
    }

    /// Sends the response to the client while it is stored; the others are told once it is.
    fn store_while_answering(
        &self,
        fields: P::Headers,
        metadata: Metadata,
        mut response: Response<P>,
        lead: Option<Ticket>,
    ) -> Response<P> {
        let (ours, theirs) = response.body.take().map(|body| self.platform.split(body)).unzip();
        response.body = theirs;
        let copy = Response::new(response.status, response.headers.clone(), ours);
        let detached = self.detached(Conditions::default());
        self.platform.spawn(async move {
            let cached = detached.cached();
            let landing = cached.save(&fields, &metadata, copy).await;
            cached.land(lead, landing);
        });
        response
    }

    /// Stores a response. What the store did not take can be shared no more than what may not be stored.
    async fn save(&self, fields: &P::Headers, metadata: &Metadata, mut response: Response<P>) -> Landing {
        let mut names = Vec::new();
        unstored(&response.headers, &self.options, |name| names.push(name.to_owned()));
        for name in names {
            response.headers.remove(&name);
        }
        let saved = lookup::save(self.platform, &self.key, fields, &self.options.vary, metadata, response).await;
        match saved {
            Ok(()) => Landing::Open,
            Err(error) => {
                self.platform.log(&format!("edge.cache.save failed: {error}"));
                Landing::Uncacheable
            }
        }
    }

    /// What is stored, in place of an origin that failed.
    fn stand_in(&self, found: Found<P>, asked: &Request<P>, failure: CallFailure) -> Option<Answer<P>> {
        let state = self.edge.state.borrow();
        let serve = stand_in(&self.ask(target_of(asked), &state.purges), &found.metadata, &self.options)?;
        let cache = match failure {
            CallFailure::Status(status) => forward(ForwardReason::Stale, Some(status), false, Some("stale-if-error")),
            CallFailure::Unavailable(unavailable) => {
                CacheStatus::StaleHit { stale_for: serve.stale_for, detail: unavailable.as_str() }
            }
        };
        Some(Answer { response: found.response, cache, age: Some(serve.age), how: serve.answer })
    }

    /// What a request gets whose leader failed: what it found stored, or the same failure.
    fn share_failure(&self, needed: Needed<P>, request: &Request<P>, failure: CallFailure) -> Answer<P> {
        let (unavailable, status) = match failure {
            CallFailure::Unavailable(unavailable) => (unavailable, None),
            CallFailure::Status(status) => (Unavailable::Failed(FetchError::Unreachable), Some(status)),
        };
        let cache = collapsed(needed.reason, status, Some(failure.as_str()));
        let reason = needed.reason;
        let found = needed.found.filter(|_| needed.on_error == OnError::Serve);
        if let Some(answer) = found.and_then(|found| self.stand_in(*found, request, failure)) {
            return answer;
        }
        Answer { cache, ..unavailable_answer(self.platform, unavailable, reason) }
    }

    /// The failure of a call for this key that ended at or after `since`.
    fn failure_since(&self, since: Timestamp) -> Option<CallFailure> {
        let remembered = self.edge.state.borrow().failures.get(self.key.low_bits(), self.platform.now())?;
        (remembered.at >= since).then_some(remembered.failure)
    }

    /// Ends the lead of a call that failed, and lets those who waited for it know.
    fn land_failed(&self, lead: Option<Ticket>, failure: CallFailure) {
        if lead.is_some() {
            let now = self.platform.now();
            let expires = now.after(FAILURE_REMEMBERED_FOR);
            let remembered = Remembered { at: now, failure };
            self.edge.state.borrow_mut().failures.put(self.key.low_bits(), remembered, expires, now);
        }
        self.land(lead, Landing::Open);
    }

    /// Takes the lead for this key, or learns who has it.
    fn join(&self, waited: Duration) -> Role {
        let joiner = Joiner { has_stale: false, waited };
        let (now, collapse) = (self.platform.now(), self.collapse());
        self.edge.state.borrow_mut().flights.join(&self.key, joiner, now, &collapse)
    }

    fn land(&self, lead: Option<Ticket>, landing: Landing) {
        let Some(ticket) = lead else { return };
        let (now, collapse) = (self.platform.now(), self.collapse());
        let landed = self.edge.state.borrow_mut().flights.land(&self.key, ticket, landing, now, &collapse);
        if landed == Landed::Ended {
            self.platform.wake(&self.key);
        }
    }

    fn collapse(&self) -> Collapse {
        let lease = self.edge.policy.upstream_of(self.route).deadline.saturating_add(FLIGHT_MARGIN);
        Collapse {
            lease,
            // As long as a leader may take: who waits for one that was lost leads next.
            wait: lease,
            followers_max: FOLLOWERS_MAX,
            uncacheable_for: UNCOLLAPSED_FOR,
        }
    }
}

/// What follows from a look-up.
enum Step<P: Platform> {
    /// The request has its answer.
    Answer(Answer<P>),
    /// The origin is needed.
    Fetch(Needed<P>),
}

/// What a request needs that nothing stored can give.
struct Needed<P: Platform> {
    reason: ForwardReason,
    on_error: OnError,
    /// Whether to ask if what was found is still right.
    validate: bool,
    /// Whether requests for the key may share the call.
    collapse: bool,
    found: Option<Box<Found<P>>>,
}

impl<P: Platform> Needed<P> {
    const fn response(reason: ForwardReason) -> Self {
        Self { reason, on_error: OnError::Fail, validate: false, collapse: true, found: None }
    }
}

/// What came of a call.
enum Called<P: Platform> {
    /// A response to store and to answer with; `status` is what the origin said.
    Kept { metadata: Metadata, response: Response<P>, status: u16 },
    /// A response for this request alone.
    Passed { response: Response<P>, status: u16, detail: Reason, uncacheable: bool },
    /// The origin failed; what was found may stand in.
    Failed { found: Option<Box<Found<P>>>, failure: Failure<P> },
}

/// How the origin failed.
enum Failure<P: Platform> {
    /// With an answer that says so.
    Status(Response<P>),
    /// Without one.
    Unavailable(Unavailable),
}

impl<P: Platform> Failure<P> {
    /// What those who waited are told of it.
    const fn shared(&self) -> CallFailure {
        match self {
            Self::Status(response) => CallFailure::Status(response.status),
            Self::Unavailable(unavailable) => CallFailure::Unavailable(*unavailable),
        }
    }
}

/// The status of a request that another one's call answered.
const fn collapsed(reason: ForwardReason, status: Option<u16>, detail: Option<&'static str>) -> CacheStatus {
    CacheStatus::Forward { reason, status, stored: false, collapsed: true, detail }
}

/// A request for the same, without a body.
fn again<P: Platform>(request: &Request<P>, method: &str) -> Request<P> {
    Request {
        method: method.to_owned(),
        scheme: request.scheme.clone(),
        host: request.host.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
        headers: request.headers.clone(),
        body: None,
        client: request.client,
    }
}

/// Adds the validators of what is stored, so that an unchanged response costs the origin a 304.
fn set_conditions<P: Platform>(request: &mut Request<P>, validators: &Validators<'_>) {
    if let Some(etag) = validators.etag {
        request.headers.set("if-none-match", etag);
    }
    if let Some(modified) = validators.last_modified {
        request.headers.set("if-modified-since", &modified.to_string());
    }
}
