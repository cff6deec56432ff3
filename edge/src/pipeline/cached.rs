//! The way of a request whose response may be shared: what is stored, one call for those who need it, and what is
//! stored again when the origin fails.

use std::rc::Rc;

use futures_channel::oneshot;
use seawall_core::{
    cache::{
        CacheStatus, ForwardReason, Metadata, Reuse,
        key::CacheKey,
        store::{self, Exchange, is_fixed_by_body},
    },
    headers::Fields,
    policy::{Lifetime, Route},
    time::Timestamp,
};

use crate::{
    Edge, Platform,
    answer::Answer,
    collapse::{Failure, Lease, Remembered, Role},
    guard::{self, Fetched, Unavailable},
    limits::{FAILURE_REMEMBERED_FOR, FLIGHT_MARGIN, FOLLOW_AT_MOST, FOLLOW_TIMES_MAX, UNCOLLAPSED_FOR},
    lookup::{self, Found, Lookup, look_up},
    message::{Headers, Request, Response},
    platform::FetchError,
};

use super::{forward, unavailable_answer};

/// What a route that may be cached needs at every step.
pub(super) struct Cached<'a, P: Platform> {
    pub(super) edge: &'a Rc<Edge>,
    pub(super) platform: &'a P,
    pub(super) route: &'a Route,
    pub(super) lifetime: &'a Lifetime,
    pub(super) key: CacheKey,
}

/// The same, for work that outlives the request.
struct Detached<P: Platform> {
    edge: Rc<Edge>,
    platform: P,
    route: Route,
    lifetime: Lifetime,
    key: CacheKey,
}

impl<P: Platform> Detached<P> {
    const fn cached(&self) -> Cached<'_, P> {
        let Self { edge, platform, route, lifetime, key } = self;
        Cached { edge, platform, route, lifetime, key: *key }
    }
}

impl<P: Platform> Cached<'_, P> {
    /// Answers from what is stored if it may be used, otherwise from the origin.
    pub(super) async fn serve(&self, found: Lookup<P>, request: Request<P>) -> Answer<P> {
        let mut needed = match self.usable(found, &request) {
            Step::Answer(answer) => return answer,
            Step::Fetch(needed) => needed,
        };
        let mut waits = 0;
        loop {
            // HEAD fetches nothing that could serve others.
            let alone = request.method == "HEAD" || waits == FOLLOW_TIMES_MAX || self.is_uncollapsed();
            match if alone { Role::Alone } else { self.join() } {
                Role::Lead(lease) => return self.lead(needed, request, lease).await,
                Role::Alone => return self.fetch(needed, request, None).await,
                Role::Follow => {
                    let since = self.platform.now();
                    self.platform.wait(&self.key, FOLLOW_AT_MOST).await;
                    waits += 1;
                    let reason = needed.reason();
                    match self.usable(look_up(self.platform, &self.key, &request.headers).await, &request) {
                        Step::Answer(mut answer) => {
                            let status = Some(answer.response.status);
                            answer.cache = collapsed(reason, status, None);
                            return answer;
                        }
                        Step::Fetch(next) => needed = next,
                    }
                    if let Some(failure) = self.failure_since(since) {
                        return self.share_failure(needed, failure);
                    }
                }
            }
        }
    }

    /// Leads in work of its own: a visitor who leaves takes nothing from those who wait.
    async fn lead(&self, needed: Needed<P>, request: Request<P>, lease: Lease) -> Answer<P> {
        let reason = needed.reason();
        let (sender, receiver) = oneshot::channel();
        let detached = self.detached();
        self.platform.spawn(async move {
            let answer = detached.cached().fetch(needed, request, Some(lease)).await;
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

    fn detached(&self) -> Detached<P> {
        Detached {
            edge: Rc::clone(self.edge),
            platform: self.platform.clone(),
            route: self.route.clone(),
            lifetime: *self.lifetime,
            key: self.key,
        }
    }

    /// The answer from what is stored, or what is needed instead.
    fn usable(&self, found: Lookup<P>, request: &Request<P>) -> Step<P> {
        let found = match found {
            Lookup::Found(found) => found,
            Lookup::Missing(reason) => return Step::Fetch(Needed::Response(reason)),
        };
        match found.reuse {
            Reuse::Fresh { age, ttl } => Step::Answer(from_store(found, age, CacheStatus::Hit { ttl })),
            Reuse::StaleWhileRevalidate { age, stale_for } => {
                self.revalidate_in_background(request);
                let cache = CacheStatus::StaleHit { stale_for, detail: "stale-while-revalidate" };
                Step::Answer(from_store(found, age, cache))
            }
            Reuse::Validate { .. } => Step::Fetch(Needed::Validation(found)),
        }
    }

    /// Starts one refresh of what is stored, unless one is under way.
    fn revalidate_in_background(&self, request: &Request<P>) {
        let Role::Lead(lease) = self.join() else { return };
        let refresh = Request {
            method: String::from("GET"),
            scheme: request.scheme.clone(),
            host: request.host.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: request.headers.clone(),
            body: None,
            client: request.client,
        };
        let detached = self.detached();
        self.platform.spawn(async move {
            let cached = detached.cached();
            cached.refresh(refresh).await;
            cached.land(lease);
        });
    }

    /// Brings what is stored up to date. When the origin fails it stays as it is; when the origin answers with what
    /// may not be shared, it is no longer right and goes.
    async fn refresh(&self, mut request: Request<P>) {
        let stale = match look_up(self.platform, &self.key, &request.headers).await {
            Lookup::Found(found) => {
                ask_whether_changed(&mut request, &found);
                Some(found)
            }
            Lookup::Missing(_) => None,
        };
        let fields = request.headers.clone();
        let fetched = match guard::fetch(self.edge, self.platform, self.route, request).await {
            Ok(fetched) => fetched,
            Err(unavailable) => {
                return self.platform.log(&format!("edge.refresh failed reason={}", unavailable.as_str()));
            }
        };
        let fetched = match stale {
            Some(found) if fetched.response.status == 304 => merge(found, fetched),
            _ => fetched,
        };
        let status = fetched.response.status;
        match self.decide(&fields, &fetched) {
            store::Decision::Store(metadata) => self.save(&fields, &metadata, fetched.response).await,
            store::Decision::Refuse(_) if is_origin_failure(status) || status == 429 => {
                self.platform.log(&format!("edge.refresh failed status={status}"));
            }
            store::Decision::Refuse(refusal) => {
                self.platform.log(&format!("edge.refresh dropped reason={} status={status}", refusal.as_str()));
                if let Err(error) = self.platform.remove(&self.key).await {
                    self.platform.log(&format!("edge.cache.remove failed: {error}"));
                }
            }
        }
    }

    /// Fetches from the origin, stores what may be stored, and falls back on what is stored when the origin fails.
    async fn fetch(&self, needed: Needed<P>, mut request: Request<P>, lease: Option<Lease>) -> Answer<P> {
        let reason = needed.reason();
        let is_get = request.method == "GET";
        let mut stale = match needed {
            Needed::Response(_) => None,
            Needed::Validation(found) => Some(found),
        };
        if let Some(found) = stale.as_ref().filter(|_| is_get) {
            ask_whether_changed(&mut request, found);
        }
        let fields = request.headers.clone();
        let fetched = match guard::fetch(self.edge, self.platform, self.route, request).await {
            Ok(fetched) => fetched,
            Err(unavailable) => {
                self.land_failed(lease, Failure::Unavailable(unavailable));
                return match stale.filter(lookup::usable_on_error) {
                    Some(found) => self.stale_on_error(found, None, unavailable.as_str()),
                    None => unavailable_answer(self.platform, unavailable, reason),
                };
            }
        };
        let status = fetched.response.status;
        if is_origin_failure(status)
            && let Some(found) = stale.take_if(|found| lookup::usable_on_error(found))
        {
            self.land_failed(lease, Failure::Status(status));
            return self.stale_on_error(found, Some(status), "stale-if-error");
        }
        let fetched = match stale {
            Some(found) if status == 304 => merge(found, fetched),
            _ => fetched,
        };
        let decision =
            if is_get { self.decide(&fields, &fetched) } else { store::Decision::Refuse(store::Reason::Method) };
        match decision {
            store::Decision::Store(metadata) => self.store_and_answer(&fields, metadata, fetched, reason, lease),
            store::Decision::Refuse(refusal) => {
                if is_origin_failure(status) {
                    self.land_failed(lease, Failure::Status(status));
                } else if let Some(lease) = lease {
                    self.let_pass_side_by_side();
                    self.land(lease);
                }
                let cache = forward(reason, Some(status), false, Some(refusal.as_str()));
                Answer::plain(fetched.response, cache)
            }
        }
    }

    /// Sends the response to the client while it is stored; the others are told once it is.
    fn store_and_answer(
        &self,
        fields: &P::Headers,
        metadata: Metadata,
        fetched: Fetched<P>,
        reason: ForwardReason,
        lease: Option<Lease>,
    ) -> Answer<P> {
        let Fetched { mut response, origin_status, .. } = fetched;
        let (ours, theirs) = response.body.take().map(|body| self.platform.split(body)).unzip();
        response.body = theirs;
        let copy = Response::new(response.status, response.headers.clone(), ours);
        let detached = self.detached();
        let (fields, stored) = (fields.clone(), metadata.clone());
        self.platform.spawn(async move {
            let cached = detached.cached();
            cached.save(&fields, &stored, copy).await;
            if let Some(lease) = lease {
                cached.land(lease);
            }
        });
        let age = metadata.current_age(self.platform.now());
        let cache = forward(reason, Some(origin_status), true, None);
        Answer { response, cache, stored: Some(metadata), age: Some(age) }
    }

    async fn save(&self, fields: &P::Headers, metadata: &Metadata, response: Response<P>) {
        let mut response = response;
        for name in ONE_ANSWER_ONLY {
            response.headers.remove(name);
        }
        if let Err(error) = lookup::save(self.platform, &self.key, fields, metadata, response).await {
            self.platform.log(&format!("edge.cache.save failed: {error}"));
            // Nobody finds what could not be stored, so waiting for it is of no use.
            self.let_pass_side_by_side();
        }
    }

    fn decide(&self, fields: &P::Headers, fetched: &Fetched<P>) -> store::Decision {
        // The origin was asked for plain bytes, and not every platform's cache keeps others as they are.
        if fetched.response.headers.field("content-encoding").is_some() {
            return store::Decision::Refuse(store::Reason::Encoded);
        }
        store::decide(
            &Exchange {
                method: "GET",
                request: fields,
                status: fetched.response.status,
                response: &fetched.response.headers,
                request_time: fetched.request_time,
                response_time: fetched.response_time,
            },
            self.lifetime,
        )
    }

    fn stale_on_error(&self, found: Found<P>, status: Option<u16>, detail: &'static str) -> Answer<P> {
        let now = self.platform.now();
        let age = found.metadata.current_age(now);
        let stale_for = age.saturating_sub(found.metadata.freshness_lifetime);
        let cache = match status {
            Some(_) => forward(ForwardReason::Stale, status, false, Some(detail)),
            None => CacheStatus::StaleHit { stale_for, detail },
        };
        from_store(found, age, cache)
    }

    /// What a request gets whose leader failed: what the leader got, from its own copy or none.
    fn share_failure(&self, needed: Needed<P>, failure: Failure) -> Answer<P> {
        let reason = needed.reason();
        let (unavailable, status) = match failure {
            Failure::Unavailable(unavailable) => (unavailable, None),
            Failure::Status(status) => (Unavailable::Failed(FetchError::Unreachable), Some(status)),
        };
        let detail = failure.as_str();
        match needed {
            Needed::Validation(found) if lookup::usable_on_error(&found) => self.stale_on_error(found, status, detail),
            Needed::Validation(_) | Needed::Response(_) => {
                let mut answer = unavailable_answer(self.platform, unavailable, reason);
                answer.cache = collapsed(reason, status, Some(detail));
                answer
            }
        }
    }

    /// Takes the lead for this key, or learns who has it.
    fn join(&self) -> Role {
        let now = self.platform.now();
        let deadline = self.edge.policy.upstream_of(self.route).deadline;
        self.edge.state.borrow_mut().flights.join(self.key, now, now.after(deadline.saturating_add(FLIGHT_MARGIN)))
    }

    fn is_uncollapsed(&self) -> bool {
        self.edge.state.borrow().uncollapsed.get(self.key.low_bits(), self.platform.now()).is_some()
    }

    /// Remembers that waiting for each other's response is of no use here.
    fn let_pass_side_by_side(&self) {
        let now = self.platform.now();
        self.edge.state.borrow_mut().uncollapsed.put(self.key.low_bits(), (), now.after(UNCOLLAPSED_FOR), now);
    }

    /// The failure of a call for this key that ended at or after `since`.
    fn failure_since(&self, since: Timestamp) -> Option<Failure> {
        let remembered = self.edge.state.borrow().failures.get(self.key.low_bits(), self.platform.now())?;
        (remembered.at >= since).then_some(remembered.failure)
    }

    /// Ends the lead of a call that failed, and lets those who waited for it know.
    fn land_failed(&self, lease: Option<Lease>, failure: Failure) {
        let Some(lease) = lease else { return };
        let now = self.platform.now();
        let expires = now.after(FAILURE_REMEMBERED_FOR);
        let remembered = Remembered { at: now, failure };
        self.edge.state.borrow_mut().failures.put(self.key.low_bits(), remembered, expires, now);
        self.land(lease);
    }

    fn land(&self, lease: Lease) {
        self.edge.state.borrow_mut().flights.land(&self.key, lease);
        self.platform.wake(&self.key);
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
enum Needed<P: Platform> {
    /// A response.
    Response(ForwardReason),
    /// A word from the origin that this is still right.
    Validation(Found<P>),
}

impl<P: Platform> Needed<P> {
    const fn reason(&self) -> ForwardReason {
        match self {
            Self::Response(reason) => *reason,
            Self::Validation(_) => ForwardReason::Stale,
        }
    }
}

/// Adds the validators of what is stored, so that an unchanged response costs the origin a 304.
fn ask_whether_changed<P: Platform>(request: &mut Request<P>, found: &Found<P>) {
    for (name, validator) in [("if-none-match", "etag"), ("if-modified-since", "last-modified")] {
        if let Some(value) = found.response.headers.field(validator) {
            request.headers.set(name, &value);
        }
    }
}

fn from_store<P: Platform>(found: Found<P>, age: core::time::Duration, cache: CacheStatus) -> Answer<P> {
    Answer { response: found.response, cache, stored: Some(found.metadata), age: Some(age) }
}

/// The stored response with the fields of the 304 that validated it (RFC 9111 §3.2).
fn merge<P: Platform>(found: Found<P>, validation: Fetched<P>) -> Fetched<P> {
    let mut response = found.response;
    validation.response.headers.each(&mut |name, value| {
        if !is_fixed_by_body(name) {
            response.headers.set(name, value);
        }
    });
    Fetched { response, ..validation }
}

/// The status of a request that another one's call answered.
const fn collapsed(reason: ForwardReason, status: Option<u16>, detail: Option<&'static str>) -> CacheStatus {
    CacheStatus::Forward { reason, status, stored: false, collapsed: true, detail }
}

/// The statuses that `stale-if-error` stands in for (RFC 5861 §4).
const fn is_origin_failure(status: u16) -> bool {
    matches!(status, 500 | 502..=504)
}

/// Response fields of one answer to one client at one moment.
const ONE_ANSWER_ONLY: [&str; 8] = [
    "age",
    "cache-status",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "server-timing",
    "x-request-id",
    "x-response-time",
];
