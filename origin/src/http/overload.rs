//! How many requests run at a time: core's adaptive bound, one for each upstream of the policy.
//!
//! Pages that only need this process and pages that need its database wait for different things, so each kind has a
//! bound of its own, by the `upstream` that its route names. A route's priority says who goes first; what is `always`
//! (health, administration, jobs) gets in whatever happens.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use seawall_core::overload::{Config, End, Gate, Overload, Permit};
use seawall_core::policy::Policy;
use seawall_core::priority::Priority;

use crate::error::Error;
use crate::guard::now;
use crate::logging::Seldom;

/// The bounds, in the order of the policy's upstreams.
#[derive(Debug)]
pub(crate) struct Gates {
    policy: Arc<Policy>,
    config: Config,
    bounds: Vec<Mutex<Overload>>,
    shed: Seldom,
}

/// How often it is said that requests are refused.
const SAY_EVERY: Duration = Duration::from_secs(30);

impl Gates {
    pub(crate) fn new(policy: Arc<Policy>) -> Self {
        let config = *policy.overload();
        let bounds = policy.upstreams().iter().map(|_| Mutex::new(Overload::new(&config, now()))).collect();
        Self { policy, config, bounds, shed: Seldom::default() }
    }

    fn lock(&self, upstream: usize) -> Option<MutexGuard<'_, Overload>> {
        // Its methods do not panic; if one did, its last state is still a bound.
        Some(self.bounds.get(upstream)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request that runs. Dropped without an end, because its client left, it says nothing about the load.
struct Running {
    gates: Arc<Gates>,
    upstream: usize,
    permit: Option<Permit>,
}

impl Running {
    fn end(mut self, end: End) {
        self.finish(end);
    }

    fn finish(&mut self, end: End) {
        if let (Some(mut bound), Some(permit)) = (self.gates.lock(self.upstream), self.permit.take()) {
            bound.finish(&self.gates.config, permit, end, now(), rand::random());
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.finish(End::Unknown);
    }
}

/// Answers 503 when more requests run than go well.
pub(crate) async fn layer(State(gates): State<Arc<Gates>>, request: Request, next: Next) -> Response {
    let route = gates.policy.route(request.method().as_str(), request.uri().path());
    let (upstream, priority) =
        route.map_or((0, Priority::Normal), |route| (usize::from(route.upstream.0), route.priority));
    let gate = gates.lock(upstream).map(|mut bound| bound.admit(&gates.config, priority, now()));
    let permit = match gate {
        Some(Gate::Admit(permit)) => Some(permit),
        Some(Gate::Shed { in_flight, limit }) => {
            gates.shed.say(SAY_EVERY, |unsaid| {
                tracing::warn!(
                    event = "overload.shed",
                    in_flight,
                    limit,
                    unsaid,
                    "{in_flight} requests run and {limit} may, so further ones are refused"
                );
            });
            return Error::shed().into_response();
        }
        None => None,
    };
    let running = Running { gates: Arc::clone(&gates), upstream, permit };
    let response = next.run(request).await;
    running.end(match response.extensions().get::<Error>() {
        Some(error) if error.is_busy() => End::Overloaded,
        Some(error) if error.status().is_server_error() => End::Unknown,
        _ => End::Done,
    });
    response
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use futures_util::FutureExt as _;
    use futures_util::future::join_all;
    use http::header::RETRY_AFTER;
    use tokio::sync::Semaphore;
    use tower::ServiceExt as _;

    use super::*;

    const POLICY: &str = r#"
        version = 1
        [upstream.origin]
        [upstream.data]
        [overload]
        law = "additive"
        latency_max = "1s"
        limit_min = 2
        limit_start = 4
        limit_max = 4
        normal_permille = 1000
        [[route]]
        name = "health"
        path = "/health"
        upstream = "data"
        priority = "always"
        [[route]]
        name = "data"
        path = "/data"
        upstream = "data"
        [[route]]
        name = "others"
        path = "/**"
    "#;

    async fn ask(app: &Router, path: &str) -> Response {
        app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn beyond_the_bound_only_what_is_always_admitted_gets_in() {
        let open = Arc::new(Semaphore::new(0));
        let wait = {
            let open = Arc::clone(&open);
            move || async move { drop(open.acquire().await) }
        };
        let gates = Arc::new(Gates::new(Arc::new(Policy::compile(POLICY).unwrap())));
        let app = Router::new()
            .route("/data", get(wait))
            .fallback(|| async {})
            .layer(from_fn_with_state(Arc::clone(&gates), layer));
        let mut stuck: Vec<_> = (0..4).map(|_| Box::pin(ask(&app, "/data"))).collect();
        for request in &mut stuck {
            assert!(request.now_or_never().is_none());
        }
        let refused = ask(&app, "/data").await;
        assert_eq!((refused.status().as_u16(), &refused.headers()[RETRY_AFTER]), (503, &"1".parse().unwrap()));
        assert_eq!(ask(&app, "/health").await.status(), 200);
        assert_eq!(ask(&app, "/").await.status(), 200, "another upstream has a bound of its own");

        // A client that leaves makes room.
        drop(stuck.pop());
        let mut another = Box::pin(ask(&app, "/data"));
        assert!((&mut another).now_or_never().is_none());
        open.add_permits(1);
        for response in join_all(stuck.into_iter().chain([another])).await {
            assert_eq!(response.status(), 200);
        }
        assert_eq!(gates.lock(1).unwrap().in_flight(), 0);
    }

    #[tokio::test]
    async fn answers_that_came_too_late_lower_the_bound_and_our_bugs_do_not() {
        let gates = Arc::new(Gates::new(Arc::new(Policy::compile(POLICY).unwrap())));
        let app = Router::new()
            .route("/bug", get(|| async { Error::bug("a bug") }))
            .route("/busy", get(|| async { Error::busy("too slow") }))
            .layer(from_fn_with_state(Arc::clone(&gates), layer));
        let limit = || gates.lock(0).unwrap().limit();
        ask(&app, "/bug").await;
        assert_eq!(limit(), 4);
        ask(&app, "/busy").await;
        assert_eq!(limit(), 3);
    }
}
