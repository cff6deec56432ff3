//! The way of a request whose response may be shared: what is stored, one call for those who need it, and what is
//! stored again when the origin fails.

use std::rc::Rc;

use seawall_core::{
    cache::{
        CacheStatus, ForwardReason, Metadata, Reuse,
        key::CacheKey,
        store::{self, Exchange, is_fixed_by_body},
    },
    headers::Fields,
    policy::{Lifetime, Route},
};

use crate::{
    Edge, Platform,
    answer::Answer,
    collapse::Role,
    guard::{self, Fetched},
    limits::{FLIGHT_MARGIN, FOLLOW_AT_MOST, UNCOLLAPSED_FOR},
    lookup::{self, Found, Lookup, look_up},
    message::{Headers, Request, Response},
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

impl<P: Platform> Cached<'_, P> {
    /// Answers from what is stored if it may be used, otherwise from the origin.
    pub(super) async fn serve(&self, found: Lookup<P>, request: Request<P>) -> Answer<P> {
        let needed = match self.usable(found, &request) {
            Step::Answer(answer) => return answer,
            Step::Fetch(needed) => needed,
        };
        // HEAD fetches nothing that could serve others.
        let role = if request.method == "HEAD" || self.is_uncollapsed() { Role::Alone } else { self.join() };
        match role {
            Role::Lead | Role::Alone => self.fetch(needed, request, role).await,
            Role::Follow => {
                self.platform.wait(&self.key, FOLLOW_AT_MOST).await;
                let found = look_up(self.platform, &self.key, &request.headers).await;
                match self.usable(found, &request) {
                    Step::Answer(mut answer) => {
                        answer.cache = CacheStatus::Forward {
                            reason: needed.reason(),
                            status: Some(answer.response.status),
                            stored: false,
                            collapsed: true,
                            detail: None,
                        };
                        answer
                    }
                    Step::Fetch(needed) => self.fetch(needed, request, Role::Alone).await,
                }
            }
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
        if self.join() != Role::Lead {
            return;
        }
        let (edge, platform, key) = (Rc::clone(self.edge), self.platform.clone(), self.key);
        let (route, lifetime) = (self.route.clone(), *self.lifetime);
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
        self.platform.spawn(async move {
            let cached = Cached { edge: &edge, platform: &platform, route: &route, lifetime: &lifetime, key };
            cached.refresh(refresh).await;
            cached.land();
        });
    }

    /// Brings what is stored up to date. When the origin fails it stays as it is.
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
        match self.decide(&fields, &fetched) {
            store::Decision::Store(metadata) => self.save(&fields, &metadata, fetched.response).await,
            store::Decision::Refuse(refusal) => self.platform.log(&format!(
                "edge.refresh dropped reason={} status={}",
                refusal.as_str(),
                fetched.response.status
            )),
        }
    }

    /// Fetches from the origin, stores what may be stored, and falls back on what is stored when the origin fails.
    async fn fetch(&self, needed: Needed<P>, mut request: Request<P>, role: Role) -> Answer<P> {
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
                self.land_if(role);
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
            self.land_if(role);
            return self.stale_on_error(found, Some(status), "stale-if-error");
        }
        let fetched = match stale {
            Some(found) if status == 304 => merge(found, fetched),
            _ => fetched,
        };
        let decision =
            if is_get { self.decide(&fields, &fetched) } else { store::Decision::Refuse(store::Reason::Method) };
        match decision {
            store::Decision::Store(metadata) => self.store_and_answer(&fields, metadata, fetched, reason, status, role),
            store::Decision::Refuse(refusal) => {
                // A failure says nothing about whether the next response can be shared.
                if role == Role::Lead && !is_origin_failure(status) {
                    self.let_pass_side_by_side();
                }
                self.land_if(role);
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
        status: u16,
        role: Role,
    ) -> Answer<P> {
        let mut response = fetched.response;
        let (ours, theirs) = response.body.take().map(|body| self.platform.split(body)).unzip();
        response.body = theirs;
        let copy = Response::new(response.status, response.headers.clone(), ours);
        let (edge, platform, key) = (Rc::clone(self.edge), self.platform.clone(), self.key);
        let (route, lifetime) = (self.route.clone(), *self.lifetime);
        let (fields, stored) = (fields.clone(), metadata.clone());
        self.platform.spawn(async move {
            let cached = Cached { edge: &edge, platform: &platform, route: &route, lifetime: &lifetime, key };
            cached.save(&fields, &stored, copy).await;
            cached.land_if(role);
        });
        let age = metadata.current_age(self.platform.now());
        let cache = forward(reason, Some(status), true, None);
        Answer { response, cache, stored: Some(metadata), age: Some(age) }
    }

    async fn save(&self, fields: &P::Headers, metadata: &Metadata, response: Response<P>) {
        let mut response = response;
        for name in ONE_ANSWER_ONLY {
            response.headers.remove(name);
        }
        if let Err(error) = lookup::save(self.platform, &self.key, fields, metadata, response).await {
            self.platform.log(&format!("edge.cache.save failed: {error}"));
        }
    }

    fn decide(&self, fields: &P::Headers, fetched: &Fetched<P>) -> store::Decision {
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

    fn land_if(&self, role: Role) {
        if role == Role::Lead {
            self.land();
        }
    }

    fn land(&self) {
        self.edge.state.borrow_mut().flights.land(&self.key);
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
