//! How much one client may ask for: the limits of policy.toml, counted in Redis for all processes, or here.
//!
//! A route's limits are charged together or not at all. Those of scope `isolate` are counted in this process; those of
//! scope `shared` in Redis by core's script, in one round trip. Without `REDIS_URL` they are counted here too. While
//! Redis does not answer, each does as its `on_store_failure` says; a breaker keeps requests from waiting for it, and
//! lets a probe through now and then, so that counting goes back to Redis by itself. Who was refused is refused from memory
//! until there can be room again.

mod client;
mod memory;
mod refused;
mod shared;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue};
use seawall_core::breaker;
use seawall_core::limit::fields::{RATE_LIMIT, RATE_LIMIT_POLICY, rate_limit, rate_limit_policy, retry_after_seconds};
use seawall_core::limit::{Admission, LeaseId, LimitId, Ruling, Verdict};
use seawall_core::policy::{Limit, Policy, Route, Scope, StoreFailure};
use seawall_core::problem::{self, Problem};

use self::client::Client;
pub(crate) use self::client::Peer;
use self::memory::Memory;
use self::refused::Refused;
use self::shared::Shared;
use crate::config;
use crate::error::Error;
use crate::guard::now;
use crate::http::errors::speaks_json;
use crate::logging::Seldom;
use crate::policy;
use crate::vouch::is_from_edge;

static RATE_LIMIT_FIELD: HeaderName = HeaderName::from_static(RATE_LIMIT);
static RATE_LIMIT_POLICY_FIELD: HeaderName = HeaderName::from_static(RATE_LIMIT_POLICY);

/// Counts for all routes of a policy.
#[derive(Debug)]
pub(crate) struct Limiter {
    policy: Arc<Policy>,
    settings: config::Limits,
    memory: Memory,
    shared: Option<Shared>,
    refused: Refused,
    unavailable: Seldom,
    misconfigured: Seldom,
}

/// A limit and its place in the policy.
type Named<'a> = (LimitId, &'a Limit);

/// What a client waits when a limit that fails closed has no Redis.
const CLOSED_RETRY_AFTER: Duration = Duration::from_secs(5);

/// How often it is said that Redis does not answer, or that a proxy is not trusted.
const SAY_EVERY: Duration = Duration::from_secs(30);

const REFUSED: &str = "You are asking faster than this site allows. Please wait a little and try again.";

impl Limiter {
    /// Takes the memory for its counters now; connects to Redis with the first request.
    ///
    /// # Errors
    /// When `REDIS_URL` is not understood.
    pub(crate) fn new(settings: config::Limits, policy: Arc<Policy>) -> anyhow::Result<Self> {
        let (deadline, breaker) = policy::redis(&policy);
        let shared = Shared::new(&settings, deadline, breaker)?;
        let memory = Memory::new(&policy);
        if settings.trusted_proxy_hops > 0 && settings.edge_secret.is_none() {
            tracing::warn!(
                event = "limit.edge_not_proven",
                "TRUSTED_PROXY_HOPS is set and EDGE_SECRET is not: who reaches this process past the edge says who it is"
            );
        }
        Ok(Self {
            policy,
            settings,
            memory,
            shared,
            refused: Refused::new(),
            unavailable: Seldom::default(),
            misconfigured: Seldom::default(),
        })
    }

    /// Where the breaker of Redis stands; `None` without Redis.
    pub(crate) fn redis(&self) -> Option<breaker::State> {
        self.shared.as_ref().map(Shared::state)
    }

    async fn admit(&self, route: &Route, client: Client, lease: LeaseId) -> Admission {
        let (shared, own): (Vec<Named<'_>>, Vec<Named<'_>>) =
            self.policy.limits_of(route).partition(|(_, limit)| matches!(limit.scope, Scope::Shared { .. }));
        let mut admission = self.memory.charge(&own, client, lease, now());
        if admission.refusal().is_some() || shared.is_empty() {
            return admission;
        }
        let Some(redis) = &self.shared else {
            admission.extend(self.memory.charge(&shared, client, lease, now()));
            return admission;
        };
        let asked = Instant::now();
        if let Some(standing) = self.refused.standing(&shared, client, asked) {
            admission.extend(standing);
            return admission;
        }
        match redis.charge(&shared, client, lease).await {
            Ok(answer) => {
                self.refused.note(&shared, client, &answer, asked);
                admission.extend(answer);
            }
            Err(error) => {
                self.unavailable.say(SAY_EVERY, |unsaid| {
                    tracing::warn!(
                        event = "limit.redis_failed", unsaid, %error,
                        "Redis does not answer, so this process counts by itself: {error}"
                    );
                });
                admission.extend(self.without_redis(&shared, client, lease));
            }
        }
        admission
    }

    /// What shared limits do while Redis is away: the policy's choice, made beside each limit.
    fn without_redis(&self, limits: &[Named<'_>], client: Client, lease: LeaseId) -> Admission {
        let of = |failure: StoreFailure| {
            limits.iter().copied().filter(
                move |(_, limit)| matches!(limit.scope, Scope::Shared { on_store_failure, .. } if on_store_failure == failure),
            )
        };
        let refused: Vec<Verdict> = of(StoreFailure::Closed)
            .map(|(limit, _)| Verdict {
                limit,
                ruling: Ruling::Deny { retry_after: CLOSED_RETRY_AFTER },
                remaining: 0,
                effective_window_seconds: CLOSED_RETRY_AFTER.as_secs(),
            })
            .collect();
        if refused.is_empty() {
            self.memory.charge(&of(StoreFailure::Local).collect::<Vec<_>>(), client, lease, now())
        } else {
            Admission { verdicts: refused }
        }
    }

    /// Gives back the places that a request held.
    fn release(self: Arc<Self>, limits: Vec<LimitId>, client: Client, lease: LeaseId) {
        let named = limits.iter().filter_map(|&id| Some((id, self.policy.limit(id)?)));
        let held: Vec<Named<'_>> = named.collect();
        self.memory.release(&held, client, lease, now());
        if self.shared.is_none() || !held.iter().any(|(_, limit)| matches!(limit.scope, Scope::Shared { .. })) {
            return;
        }
        let limiter = Arc::clone(&self);
        tokio::spawn(async move {
            let named = limits.iter().filter_map(|&id| Some((id, limiter.policy.limit(id)?)));
            let shared: Vec<Named<'_>> =
                named.filter(|(_, limit)| matches!(limit.scope, Scope::Shared { .. })).collect();
            if let Some(redis) = &limiter.shared
                && let Err(error) = redis.release(&shared, client, lease).await
            {
                // What is not given back ends by itself.
                tracing::debug!(event = "limit.not_released", %error, "a place was not given back: {error}");
            }
        });
    }

    fn client(&self, request: &Request) -> Client {
        let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
        if self.settings.trusted_proxy_hops == 0 && request.headers().contains_key("x-forwarded-for") {
            self.misconfigured.say(SAY_EVERY, |_| {
                tracing::warn!(
                    event = "limit.proxy_not_trusted",
                    "requests carry X-Forwarded-For and TRUSTED_PROXY_HOPS is 0, so all visitors of a proxy count as one"
                );
            });
        }
        let hops = if self.comes_from_the_edge(request.headers()) { self.settings.trusted_proxy_hops } else { 0 };
        Client::of(peer, request.headers(), hops)
    }

    /// Whether what the request says of its client is believed: always without `EDGE_SECRET`.
    fn comes_from_the_edge(&self, headers: &HeaderMap) -> bool {
        self.settings.edge_secret.as_ref().is_none_or(|secret| is_from_edge(headers, secret))
    }
}

/// The places that a request holds under limits on how many run at once; dropping it gives them back.
struct Places {
    limiter: Arc<Limiter>,
    client: Client,
    lease: LeaseId,
    limits: Vec<LimitId>,
}

impl Drop for Places {
    fn drop(&mut self) {
        Arc::clone(&self.limiter).release(std::mem::take(&mut self.limits), self.client, self.lease);
    }
}

/// Refuses what is too much with 429 and says in each answer what is left.
pub(crate) async fn layer(State(limiter): State<Arc<Limiter>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let route = limiter.policy.route(request.method().as_str(), path).filter(|route| !route.limits.is_empty());
    let Some(route) = route.filter(|_| limiter.settings.on) else { return next.run(request).await };
    let client = limiter.client(&request);
    let held = |(id, limit): Named<'_>| memory::is_held(&limit.algorithm).then_some(id);
    let limits: Vec<LimitId> = limiter.policy.limits_of(route).filter_map(held).collect();
    let lease = LeaseId(if limits.is_empty() { 0 } else { rand::random() });
    let mut admission = limiter.admit(route, client, lease).await;
    admission.jitter(rand::random());
    let refusal = admission.refusal();
    let mut response = match refusal {
        Some(_) => refused(&limiter.policy, &admission, speaks_json(path)),
        None => {
            let places = (!limits.is_empty()).then(|| Places { limiter: Arc::clone(&limiter), client, lease, limits });
            let response = next.run(request).await;
            drop(places);
            response
        }
    };
    let headers = response.headers_mut();
    set(headers, &RATE_LIMIT_POLICY_FIELD, rate_limit_policy(&limiter.policy, route.limits.iter().copied()));
    set(headers, &RATE_LIMIT_FIELD, rate_limit(&limiter.policy, &admission.verdicts));
    let wait = refusal.and_then(|refusal| refusal.retry_after);
    set(headers, &RETRY_AFTER, wait.map(|wait| retry_after_seconds(wait).to_string()));
    response
}

fn set(headers: &mut HeaderMap, name: &HeaderName, value: Option<String>) {
    // Core writes names of the policy and numbers, which a field takes.
    if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
        headers.insert(name, value);
    }
}

/// Programs read which limits objected; people read a page, which [`crate::http::errors`] writes.
fn refused(policy: &Policy, admission: &Admission, for_programs: bool) -> Response {
    if !for_programs {
        return Error::too_many(REFUSED).into_response();
    }
    let violated = admission.violated().filter_map(|verdict| policy.limit(verdict.limit));
    let body = Problem::quota_exceeded(violated.map(|limit| &*limit.name), REFUSED).to_json();
    let kind = [(CONTENT_TYPE, HeaderValue::from_static(problem::CONTENT_TYPE))];
    (http::StatusCode::TOO_MANY_REQUESTS, kind, body).into_response()
}

#[cfg(test)]
mod tests;
