//! Several origins that answer the same: the next one when the one before does not.

use alloc::string::ToString;
use core::{cell::RefMut, ops::Range, time::Duration};

use seawall_core::{
    breaker::{Breaker, Gate, Outcome, Permit, Reply},
    headers::Fields,
    policy::{Upstream, UpstreamId},
    retry::{Failure, Repeatable},
    time::Timestamp,
};

use crate::{
    Edge, Platform,
    limits::ORIGINS_MAX,
    message::{Headers, Request, Response},
    platform::FetchError,
    settings::EDGE_SECRET_FIELD,
};

/// Calls the first origin that is not known to be away, and the next when it fails.
///
/// Each has a breaker of its own in this isolate, beside the upstream's, which sees only what came of all of them. Only
/// a request that may be sent twice and has no body moves on, after its part of what is left of the deadline and at the
/// cost of a retry: a call is a call, and when all of them fail the budget runs out. When all
/// are known to be away the first is called all the same: whether to call at all has been decided before. Every call
/// shows the origin that it comes from this edge.
pub(crate) async fn fetch<P: Platform>(
    edge: &Edge,
    platform: &P,
    id: UpstreamId,
    upstream: &Upstream,
    request: &mut Request<P>,
    deadline: Duration,
) -> Result<Response<P>, FetchError> {
    let origins = platform.origins().clamp(1, ORIGINS_MAX);
    let key = request.headers.field("idempotency-key");
    let may_move = request.body.is_none() && Repeatable::of(&request.method, key.as_deref()) != Repeatable::No;
    if let Some(secret) = &edge.settings.edge_secret {
        request.headers.set(EDGE_SECRET_FIELD, secret.expose());
    }
    let began = platform.now();
    let (mut from, mut last, mut spent) = (0, None, None);
    loop {
        let now = platform.now();
        let (origin, permit) = match (next(edge, id, upstream, from..origins, now), last) {
            (Some((origin, permit)), _) => (origin, permit),
            (None, None) => (0, None),
            (None, Some(last)) => return last,
        };
        let left = deadline.saturating_sub(now.since(began));
        // Those that come after it get as much time as it does. There are few, so the number fits.
        let parts = if may_move { u32::try_from(origins - origin).unwrap_or(1) } else { 1 };
        let result = platform.fetch(origin, request, left / parts).await;
        let reply = reply(&result);
        if let Some(permit) = permit {
            let ended = platform.now();
            let outcome = Outcome::classify(&upstream.breaker, reply, ended.since(now));
            // The upper half of a random number is as random as the whole.
            let random = (platform.random() >> 32) as u32;
            breaker(edge, id, origin).record(&upstream.breaker, permit, outcome, ended, random);
        }
        let failure = Failure::classify(reply);
        if let (None, Some(spent)) = (failure, spent) {
            edge.state.borrow_mut().budgets[usize::from(id.0)].retried(&upstream.retry, spent);
        }
        if !may_move || origin + 1 == origins || failure != Some(Failure::Transient) {
            return result;
        }
        spent = edge.state.borrow_mut().budgets[usize::from(id.0)].take(&upstream.retry, Failure::Transient);
        if spent.is_none() {
            return result;
        }
        platform.log(&["edge.failover upstream=", upstream.name.as_str(), " origin=", &origin.to_string()].concat());
        (from, last) = (origin + 1, Some(result));
    }
}

/// The next origin that its breaker does not hold back, and its permit where it is not the only one.
fn next(
    edge: &Edge,
    id: UpstreamId,
    upstream: &Upstream,
    origins: Range<usize>,
    now: Timestamp,
) -> Option<(usize, Option<Permit>)> {
    if origins == (0..1) {
        return Some((0, None));
    }
    let mut origins = origins;
    origins.find_map(|origin| match breaker(edge, id, origin).admit(&upstream.breaker, now) {
        Gate::Pass(permit) => Some((origin, Some(permit))),
        Gate::Reject { .. } => None,
    })
}

fn reply<P: Platform>(result: &Result<Response<P>, FetchError>) -> Reply {
    match result {
        Ok(response) => Reply::Status { status: response.status, retry_after: None },
        Err(FetchError::Unreachable) => Reply::Disconnected,
        Err(FetchError::Timeout) => Reply::TimedOut,
    }
}

/// The breaker of one origin under one upstream, made when it is first asked.
fn breaker(edge: &Edge, id: UpstreamId, origin: usize) -> RefMut<'_, Breaker> {
    let place = usize::from(id.0) * ORIGINS_MAX + origin;
    RefMut::map(edge.state.borrow_mut(), |state| {
        if state.origins.len() <= place {
            state.origins.resize_with(place + 1, Breaker::new);
        }
        &mut state.origins[place]
    })
}
