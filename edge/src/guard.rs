//! The call to the origin: behind the breaker, within the deadline, and its end told to the breaker.

use core::{ops::RangeInclusive, time::Duration};

use seawall_core::{
    breaker::{Gate, Outcome, Reply},
    headers::Fields,
    policy::Route,
    time::Timestamp,
};

use crate::{
    Edge, Platform, failover,
    limits::RETRY_AFTER_UNREACHABLE,
    maintenance,
    message::{Headers, Request, Response},
    platform::FetchError,
    protect,
    record::Metric,
};

/// A response of the origin, and when it was asked for and came.
pub(crate) struct Fetched<P: Platform> {
    pub(crate) response: Response<P>,
    pub(crate) request_time: Timestamp,
    pub(crate) response_time: Timestamp,
}

/// Why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// The breaker holds calls back.
    Open {
        /// Until then.
        retry_after: Duration,
    },
    /// The site is down on purpose.
    Maintenance {
        /// What the policy tells visitors to wait.
        retry_after: Duration,
    },
    /// The call failed.
    Failed(FetchError),
}

/// Who wants the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// Anybody.
    Visitor,
    /// Who carries the control secret, and is let through while the site is down on purpose.
    Operator,
}

impl Unavailable {
    /// The word for it in headers, log and metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Open { .. } => "breaker-open",
            Self::Maintenance { .. } => "maintenance",
            Self::Failed(error) => error.as_str(),
        }
    }

    /// What to tell a client to wait.
    pub(crate) const fn retry_after(self) -> Duration {
        match self {
            Self::Open { retry_after } | Self::Maintenance { retry_after } => retry_after,
            Self::Failed(_) => RETRY_AFTER_UNREACHABLE,
        }
    }
}

/// Calls the route's upstream, if its breaker lets the call through.
pub(crate) async fn fetch<P: Platform>(
    edge: &Edge,
    platform: &P,
    route: &Route,
    mut request: Request<P>,
    asker: Asker,
) -> Result<Fetched<P>, Unavailable> {
    if asker == Asker::Visitor && maintenance::holds(edge, route) {
        return Err(Unavailable::Maintenance { retry_after: edge.policy.site().maintenance.retry_after });
    }
    let upstream = edge.policy.upstream_of(route);
    let which = usize::from(route.upstream.0);
    let request_time = platform.now();
    let gate = edge.state.borrow_mut().breakers[which].admit(&upstream.breaker, request_time);
    let permit = match gate {
        Gate::Pass(permit) => permit,
        Gate::Reject { retry_after } => return Err(Unavailable::Open { retry_after }),
    };
    // The origin writes it into its own log, so that both lines of one call can be found.
    request.headers.set("x-request-id", &format!("{:016x}", platform.random()));
    let mut result = failover::fetch(edge, platform, route.upstream, upstream, request, upstream.deadline).await;
    if let Ok(response) = &mut result
        && !FINAL_STATUSES.contains(&response.status)
    {
        // RFC 9110 §15: what is no status code counts as an error of the server, and no client could be given it.
        response.status = 502;
    }
    let response_time = platform.now();
    let elapsed = response_time.since(request_time);
    let word = match &mut result {
        Ok(response) => {
            protect::time_call(&mut response.headers, elapsed);
            "ok"
        }
        Err(error) => error.as_str(),
    };
    platform.measure(&Metric::Call { upstream: upstream.name.as_str(), outcome: word, elapsed });
    let reply = match &result {
        Ok(response) => Reply::Status { status: response.status, retry_after: retry_after(&response.headers) },
        Err(FetchError::Unreachable) => Reply::Disconnected,
        Err(FetchError::Timeout) => Reply::TimedOut,
    };
    let outcome = Outcome::classify(&upstream.breaker, reply, elapsed);
    // The upper half of a random number is as random as the whole.
    let random = (platform.random() >> 32) as u32;
    edge.state.borrow_mut().breakers[which].record(&upstream.breaker, permit, outcome, response_time, random);
    result.map(|response| Fetched { response, request_time, response_time }).map_err(Unavailable::Failed)
}

/// The status codes that an answer may have.
const FINAL_STATUSES: RangeInclusive<u16> = 200..=599;

/// `Retry-After` in seconds; a date there is left out, for no origin behind Seawall sends one.
fn retry_after(response: &impl Fields) -> Option<Duration> {
    response.field("retry-after")?.trim().parse().ok().map(Duration::from_secs)
}
