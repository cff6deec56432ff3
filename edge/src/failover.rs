//! Several origins that answer the same: the next one when the one before does not.

use core::time::Duration;

use seawall_core::{
    breaker::{Breaker, Gate, Outcome, Reply},
    headers::Fields,
    policy::{Upstream, UpstreamId},
    retry::{Failure, Repeatable},
};

use crate::{
    Edge, Platform,
    limits::ORIGINS_MAX,
    message::{Request, Response},
    platform::FetchError,
};

/// Calls the first origin that is not known to be away, and the next when it fails.
///
/// Each has a breaker of its own in this isolate, beside the upstream's, which sees only what came of all of them. Only
/// a request that may be sent twice and has no body moves on, after its part of what is left of the deadline. When all
/// are known to be away the first is called all the same: whether to call at all has been decided before.
pub(crate) async fn fetch<P: Platform>(
    edge: &Edge,
    platform: &P,
    id: UpstreamId,
    upstream: &Upstream,
    request: &mut Request<P>,
    deadline: Duration,
) -> Result<Response<P>, FetchError> {
    let origins = platform.origins().min(ORIGINS_MAX);
    if origins <= 1 {
        return platform.fetch(request, deadline).await;
    }
    let key = request.headers.field("idempotency-key");
    let may_move = request.body.is_none() && Repeatable::of(&request.method, key.as_deref()) != Repeatable::No;
    let began = platform.now();
    let mut last = None;
    for origin in 0..origins {
        let now = platform.now();
        let gate = breaker(edge, id, origin, |breaker| breaker.admit(&upstream.breaker, now));
        let Gate::Pass(permit) = gate else { continue };
        let left = deadline.saturating_sub(now.since(began));
        let within = if may_move && origin + 1 < origins {
            // Those that come after it get as much time as it does.
            left / u32::try_from(origins - origin).unwrap_or(1)
        } else {
            left
        };
        let result = platform.fetch_from(origin, request, within).await;
        let ended = platform.now();
        let reply = reply(&result);
        let outcome = Outcome::classify(&upstream.breaker, reply, ended.since(now));
        let random = (platform.random() >> 32) as u32;
        breaker(edge, id, origin, |breaker| breaker.record(&upstream.breaker, permit, outcome, ended, random));
        if !may_move || Failure::classify(reply) != Some(Failure::Transient) {
            return result;
        }
        platform.log(&["edge.failover upstream=", upstream.name.as_str(), " origin=", &origin.to_string()].concat());
        last = Some(result);
    }
    match last {
        Some(result) => result,
        None => platform.fetch(request, deadline).await,
    }
}

fn reply<P: Platform>(result: &Result<Response<P>, FetchError>) -> Reply {
    match result {
        Ok(response) => Reply::Status { status: response.status, retry_after: None },
        Err(FetchError::Unreachable) => Reply::Disconnected,
        Err(FetchError::Timeout) => Reply::TimedOut,
    }
}

/// The breaker of one origin under one upstream, made when it is first asked.
fn breaker<T>(edge: &Edge, id: UpstreamId, origin: usize, ask: impl FnOnce(&mut Breaker) -> T) -> T {
    let mut state = edge.state.borrow_mut();
    let place = usize::from(id.0) * ORIGINS_MAX + origin;
    if state.origins.len() <= place {
        state.origins.resize_with(place + 1, Breaker::new);
    }
    ask(&mut state.origins[place])
}
