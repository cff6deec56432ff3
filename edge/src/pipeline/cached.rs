//! The way of a request whose response may be shared: what is stored is used or the origin is asked, and what came is
//! stored or what is stored stands in.
mod call;
mod collapse;
mod patience;
mod pop;

use alloc::{
    borrow::{Cow, ToOwned},
    boxed::Box,
    format,
    rc::Rc,
    string::{String, ToString},
    vec::Vec,
};
use core::time::Duration;

use seawall_core::{
    cache::{
        Ask, CacheOptions, CacheStatus, Content, Decision, ForwardReason, Metadata, Stored,
        collapse::{Landing, Lone, Role},
        conditional::{self, Evaluation, evaluate},
        decide,
        decide::stand_in,
        judge::{OnError, Origin},
        key::{CacheKey, Target},
        partial::{Portion, part_bytes_max, portion},
        purge::{Purges, Selector, Strength},
        response::is_origin_failure,
        store::{Reason, unstored},
    },
    headers::Fields,
    policy::Route,
    problem::{Problem, Status},
};

use crate::{
    Isolate, Platform,
    admit::Fare,
    answer::{self, Answer, Conditions},
    failure::CallFailure,
    landings::Moment,
    limits::FOLLOW_ROUNDS_MAX,
    lookup::{self, Found, Lookup, learn, look_up, promote},
    message::{Headers, Request, Response},
    record::{self, Metric},
};

use self::{
    call::{Called, Failure},
    collapse::collapsed,
    patience::Patience,
    pop::Lead,
};
use super::{forward, unavailable_answer};

/// What a route that may be cached needs at every step.
pub(super) struct Cached<'a, P: Platform> {
    pub(super) edge: &'a Rc<Isolate<P>>,
    pub(super) platform: &'a P,
    pub(super) route: &'a Route,
    pub(super) options: CacheOptions,
    pub(super) key: CacheKey,
    /// What the client itself says of caches, ranges and copies it has.
    pub(super) conditions: &'a Conditions,
}

/// The same, for work that outlives the request.
struct Detached<P: Platform> {
    edge: Rc<Isolate<P>>,
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
    /// Answers from the origin, or from what another request gets from it meanwhile. The look-up that found nothing to
    /// answer with began at the moment `looked`.
    pub(super) async fn fetch_needed(
        &self,
        mut needed: Needed<P>,
        request: Request<P>,
        mut looked: Moment,
    ) -> Answer<P> {
        let reason = needed.reason;
        let mut waited = Duration::ZERO;
        for _ in 0..FOLLOW_ROUNDS_MAX {
            let since = self.platform.now();
            let flight = self.flight(&needed);
            let patience = self.patience(&needed, &request, &flight);
            let at_once = patience.filter(|patience| patience.time <= waited);
            if !needed.collapse && at_once.is_none() {
                break;
            }
            // What ended since then may be what is needed: there is nobody to wait for, and something to look at.
            if !self.landed_since(&flight, looked) {
                let wait = match (self.join(&flight, waited, at_once.is_some()), at_once) {
                    (Role::Lead(ticket), _) => return self.lead(needed, request, Some(ticket), patience).await,
                    // A call that nobody would wait for is not made beside another.
                    (Role::Stale | Role::Alone(Lone::Followers | Lone::Waited | Lone::Full), Some(patience)) => {
                        return self.share_failure(needed, &request, patience.then);
                    }
                    (Role::Follow { wait }, _) => {
                        patience.map_or(wait, |patience| wait.min(patience.time.saturating_sub(waited)))
                    }
                    (Role::Alone(Lone::Uncacheable), _) if needed.portion.is_none() && !needed.validate => {
                        // All of it would be fetched for a part, and by the next who asks again.
                        needed.portion = portion(self.conditions, None, part_bytes_max(&self.options))
                            .map(|asked| self.ranged(asked));
                        break;
                    }
                    (Role::Alone(_) | Role::Stale, _) => break,
                };
                self.platform.wait(&flight, wait).await;
                waited = waited.saturating_add(self.platform.now().since(since));
            }
            looked = self.moment();
            let found = self.look_up(&request).await;
            needed = match self.usable(found, &request) {
                Step::Answer(mut answer) => {
                    answer.cache = collapsed(reason, Some(answer.response.status), None);
                    return answer;
                }
                Step::Stale(mut answer, flight) => {
                    // The request was charged for a call that it did not make.
                    self.refresh_aside(flight, &request, || Fare::Free);
                    answer.cache = collapsed(reason, Some(answer.response.status), None);
                    return answer;
                }
                Step::Fetch(needed) => needed,
            };
            if let Some(failure) = self.failure_since(&flight, since) {
                return self.share_failure(needed, &request, failure);
            }
        }
        match self.patience(&needed, &request, &self.flight(&needed)) {
            None => self.fetch(needed, request, None).await,
            patience => self.lead(needed, request, None, patience).await,
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
    pub(super) fn usable(&self, found: Lookup<P>, request: &Request<P>) -> Step<P> {
        if let Lookup::Found(found) = &found {
            learn(self.edge, &request.target(), found, &self.options);
        }
        let step = {
            let stored = match &found {
                Lookup::Found(found) => Stored::Response(&found.metadata),
                Lookup::OtherVariants => Stored::OtherVariants,
                Lookup::Nothing => Stored::Nothing,
            };
            let state = self.edge.state.borrow();
            let ask = self.ask(request.target(), &state.purges);
            match decide(&ask, stored, &self.options) {
                Decision::Serve(serve) => Ok(serve),
                Decision::Fetch(fetch) => Err(Needed {
                    reason: fetch.reason,
                    on_error: fetch.on_error,
                    validate: !fetch.validators.is_empty(),
                    collapse: fetch.collapse,
                    portion: fetch.portion.map(|portion| self.ranged(portion)),
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
            (Ok(serve), Lookup::Found(mut found)) => {
                promote(self.edge, self.platform, &self.key, &mut found);
                let cache = serve.status();
                let flight = self.refreshed_as(&found.metadata);
                let answer = Answer { response: found.response, cache, age: Some(serve.age), how: serve.answer };
                if serve.refresh { Step::Stale(answer, flight) } else { Step::Answer(answer) }
            }
            (Err(needed), Lookup::Found(found))
                if needed.validate || needed.on_error == OnError::Serve || needed.portion.is_some() =>
            {
                Step::Fetch(Needed { found: Some(found), ..needed })
            }
            (Err(needed), _) => Step::Fetch(needed),
            // Only what was found is served.
            (Ok(_), Lookup::OtherVariants | Lookup::Nothing) => Step::Fetch(Needed::response(ForwardReason::Miss)),
        }
    }

    async fn look_up(&self, request: &Request<P>) -> Lookup<P> {
        look_up(self.edge, self.platform, &self.key, request, self.conditions.range(), &self.options).await
    }

    /// A part as the origin is asked for it.
    fn ranged(&self, portion: Portion<'_>) -> Ranged {
        let asked = |name| self.conditions.field(name).map(Cow::into_owned);
        match portion {
            Portion::AsAsked => {
                Ranged { range: asked("range").unwrap_or_default(), if_range: asked("if-range"), completes: false }
            }
            Portion::Rest { first, etag } => Ranged {
                range: ["bytes=", &first.to_string(), "-"].concat(),
                if_range: Some(etag.to_owned()),
                completes: true,
            },
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

    /// Starts one refresh of what is stored, as the call of this name, unless one is under way, and answers whether it did.
    /// What it costs is charged when it is known that no other isolate makes the call, and one who is refused then gets what is
    /// stored and starts nothing.
    pub(super) fn refresh_aside(&self, flight: CacheKey, request: &Request<P>, fare: impl FnOnce() -> Fare<P>) -> bool {
        let Role::Lead(ticket) = self.join(&flight, Duration::ZERO, true) else { return false };
        let mut fare = fare();
        let refresh = request.again("GET");
        let detached = self.detached(self.conditions.clone());
        self.platform.spawn(async move {
            let cached = detached.cached();
            let (edge, platform, route) = (&cached.edge.edge, cached.platform, cached.route);
            let pop = cached.gather_refresh(&flight).await;
            let is_elsewhere = pop.is_none();
            if is_elsewhere || (fare.pay(edge, platform, route).await && !cached.refresh(refresh, flight).await) {
                fare.give_back(edge, platform);
            }
            cached.land(Some(Lead { flight, here: ticket, pop: pop.flatten() }), Landing::Open);
        });
        true
    }

    /// Brings what is stored up to date. When the origin fails, or finds fault with the request, it stays as it is; when
    /// the origin answers with what may not be shared, it is no longer right and goes. When something else is stored by now,
    /// another call has brought it. Of a part all that is stored is asked for, whichever bytes of it somebody wanted. Answers
    /// whether it called.
    async fn refresh(&self, request: Request<P>, flight: CacheKey) -> bool {
        let found = match self.look_up(&request).await {
            Lookup::Found(found) => Some(found),
            Lookup::OtherVariants | Lookup::Nothing => None,
        };
        if found.as_ref().is_some_and(|found| self.refreshed_as(&found.metadata) != flight) {
            return false;
        }
        let validate = found.as_ref().is_some_and(|found| found.metadata.has_validator());
        let portion = found.as_ref().and_then(|found| match found.metadata.content {
            Content::Part { first, last, .. } => {
                Some(Ranged { range: range(first, last), if_range: None, completes: false })
            }
            Content::Whole { .. } => None,
        });
        let on_error = if found.is_some() { OnError::Serve } else { OnError::Fail };
        let reason = ForwardReason::Stale;
        let asked = request.again("GET");
        match self.call(Needed { reason, on_error, validate, collapse: true, portion, found }, request).await {
            Called::Kept { metadata, response, .. } => {
                // Nobody waits for a refresh, so nobody has to know whether the store took it.
                let _ = self.save(&asked, &metadata, response).await;
            }
            Called::Passed { response, detail, .. } if is_about_the_page(response.status, detail) => {
                self.drop_stored(&asked, detail, response.status).await;
            }
            Called::Passed { response, detail, .. } => {
                let (status, reason) = (response.status, detail.as_str());
                self.platform.log(&format!("edge.refresh failed status={status} reason={reason}"));
            }
            Called::Failed { failure: Failure::Status(response), .. } => {
                self.platform.log(&format!("edge.refresh failed status={}", response.status));
            }
            Called::Failed { failure: Failure::Unavailable(unavailable), .. } => {
                self.platform.log(&format!("edge.refresh failed reason={}", unavailable.as_str()));
                return unavailable.was_called();
            }
        }
        true
    }

    /// Takes away what is stored, because the origin has answered with what may not be shared. In this isolate what is on its
    /// way into a store counts no more either. What an equal query has stored under its own name is found stale by who asks
    /// for it, and goes with its own refresh.
    async fn drop_stored(&self, asked: &Request<P>, detail: Reason, status: u16) {
        self.platform.log(&format!("edge.refresh dropped reason={} status={status}", detail.as_str()));
        let target = asked.target();
        self.edge.state.borrow_mut().purges.change(Selector::Key(self.key), Strength::Hard, self.platform.now());
        lookup::forget(self.edge, self.platform, &target, &self.key).await;
    }

    /// Fetches from the origin, stores what may be stored, and falls back on what is stored when the origin fails.
    async fn fetch(&self, needed: Needed<P>, request: Request<P>, lead: Option<Lead>) -> Answer<P> {
        let (reason, flight, found) = (needed.reason, self.flight(&needed), needed.found.is_some());
        let asked = request.again(&request.method);
        let called = self.call(needed, request).await;
        // What stood in for a slow call may be stored though nothing was found for this request.
        let stood_in = self.was_slow(&flight, &called);
        match called {
            Called::Kept { metadata, response, status } => {
                let how = match evaluate(&metadata, &asked.method, self.conditions, self.options.origin_preconditions) {
                    Evaluation::Answer(how) => how,
                    Evaluation::Forward | Evaluation::Missing => conditional::Answer::Full,
                };
                let age = metadata.current_age(self.platform.now());
                let response = self.store_while_answering(asked, metadata, response, lead);
                Answer { response, cache: forward(reason, Some(status), true, None), age: Some(age), how }
            }
            Called::Passed { response, status, detail, uncacheable } => {
                if (found || stood_in) && asked.method == "GET" && is_about_the_page(response.status, detail) {
                    self.drop_stored(&asked, detail, status).await;
                }
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

    /// Sends the response to the client while it is stored; the others are told once it is.
    fn store_while_answering(
        &self,
        asked: Request<P>,
        metadata: Box<Metadata>,
        mut response: Response<P>,
        lead: Option<Lead>,
    ) -> Response<P> {
        let copy = lookup::copy(&mut response);
        let detached = self.detached(Conditions::default());
        self.platform.spawn(async move {
            let cached = detached.cached();
            let landing = cached.save(&asked, &metadata, copy).await;
            cached.land(lead, landing);
        });
        response
    }

    /// Stores a response. What the store did not take can be shared no more than what may not be stored.
    async fn save(&self, asked: &Request<P>, metadata: &Metadata, mut response: Response<P>) -> Landing {
        let mut names = Vec::new();
        unstored(&response.headers, &self.options, |name| names.push(name.to_owned()));
        for name in names {
            response.headers.remove(&name);
        }
        let saved = lookup::save(self.edge, self.platform, &self.key, asked, &self.options, metadata, response).await;
        match saved {
            Ok(()) => Landing::Open,
            Err(error) => {
                self.platform.log(&format!("edge.cache.save failed: {error}"));
                self.platform.measure(&Metric::Failure(record::Failure::CacheSave));
                Landing::Uncacheable
            }
        }
    }

    /// What is stored, in place of an origin that failed.
    fn stand_in(&self, found: Found<P>, asked: &Request<P>, failure: CallFailure) -> Option<Answer<P>> {
        let state = self.edge.state.borrow();
        let serve = stand_in(&self.ask(asked.target(), &state.purges), &found.metadata, &self.options)?;
        let cache = match failure {
            CallFailure::Status(status) => forward(ForwardReason::Stale, Some(status), false, Some("stale-if-error")),
            CallFailure::Unavailable(unavailable) => {
                CacheStatus::StaleHit { stale_for: serve.stale_for, detail: unavailable.as_str() }
            }
        };
        Some(Answer { response: found.response, cache, age: Some(serve.age), how: serve.answer })
    }
}

/// Whether what an answer to GET forbids holds for what is stored too. An answer is about the page if it is no failure and
/// not about the request of the visitor who happened to be the first; statuses that may mean that the page is gone or
/// protected now are about it. Nor do some reasons say that it is no longer right: they are about the request, about the store,
/// about when it came or about what the origin can do now.
const fn is_about_the_page(status: u16, reason: Reason) -> bool {
    let is_silent = matches!(
        reason,
        Reason::Method
            | Reason::Partial
            | Reason::RequestNoStore
            | Reason::Authorization
            | Reason::Purged
            | Reason::TooLong
            | Reason::StandIn
    );
    !is_silent && matches!(status, 200..=399 | 401..=404 | 410 | 451)
}

/// These bytes, as the origin is asked for them.
fn range(first: u64, last: u64) -> String {
    format!("bytes={first}-{last}")
}

/// What follows from a look-up.
pub(super) enum Step<P: Platform> {
    /// The request has its answer.
    Answer(Answer<P>),
    /// It has, and what it was answered with is to be refreshed by the call of this name.
    Stale(Answer<P>, CacheKey),
    /// The origin is needed.
    Fetch(Needed<P>),
}

/// What a request needs that nothing stored can give.
pub(super) struct Needed<P: Platform> {
    reason: ForwardReason,
    on_error: OnError,
    /// Whether to ask if what was found is still right.
    validate: bool,
    /// Whether requests for the key may share the call.
    collapse: bool,
    /// What part to ask for, in place of all of it.
    portion: Option<Ranged>,
    found: Option<Box<Found<P>>>,
}

/// A part as the origin is asked for it.
struct Ranged {
    range: String,
    if_range: Option<String>,
    /// Whether the client wants all of it, and this is what is missing.
    completes: bool,
}

impl<P: Platform> Needed<P> {
    const fn response(reason: ForwardReason) -> Self {
        Self { reason, on_error: OnError::Fail, validate: false, collapse: true, portion: None, found: None }
    }
}
