//! The call to the origin: behind the breaker, not more often than it takes, within the deadline, and a
//! second time where that may help.

pub(crate) mod notes;

use alloc::{format, rc::Rc, vec, vec::Vec};
use core::{ops::RangeInclusive, time::Duration};

use seawall_core::{
    breaker::{
        Outcome, Reply, State,
        shared::{Member, MemberGate, MemberPermit, Report},
    },
    cache::HttpDate,
    headers::Fields,
    policy::{Authority, Policy, Route, Scope, Upstream, UpstreamId},
    priority::Priority,
    retry::{Attempt, Decision, Failure, Repeatable, Spent},
    throttle::{End, Pass, Throttle, Ticket},
    time::{Timestamp, millis},
};

use crate::{
    Edge, Platform,
    authority::{self, Intent, Question, shard_of},
    client::Client,
    failover,
    limits::{ATTEMPTS_MAX, RETRY_AFTER_UNREACHABLE, RETRY_WAIT_MAX},
    maintenance,
    message::{Headers, Request, Response},
    platform::FetchError,
    protect, purge, reach,
    record::Metric,
    silence::Silence,
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
    /// The upstream refuses more than it takes, and this call was not made.
    Throttled,
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
            Self::Throttled => "throttled",
            Self::Failed(error) => error.as_str(),
        }
    }

    /// Whether the upstream was sent anything.
    pub(crate) const fn was_called(self) -> bool {
        matches!(self, Self::Failed(_))
    }

    /// What to tell a client to wait.
    pub(crate) const fn retry_after(self) -> Duration {
        match self {
            Self::Open { retry_after } | Self::Maintenance { retry_after } => retry_after,
            Self::Throttled | Self::Failed(_) => RETRY_AFTER_UNREACHABLE,
        }
    }
}

/// Calls the route's upstream, if its breaker and throttle let the call through; tries a second time when the call
/// failed in a way that may pass, if the request may be sent twice and the budget allows it.
pub(crate) async fn fetch<P: Platform>(
    edge: &Rc<Edge>,
    platform: &P,
    route: &Route,
    mut request: Request<P>,
    asker: Asker,
) -> Result<Fetched<P>, Unavailable> {
    if asker == Asker::Visitor && maintenance::holds(edge, route) {
        return Err(Unavailable::Maintenance { retry_after: edge.policy.site().maintenance.retry_after });
    }
    let upstream = edge.policy.upstream_of(route);
    let began = platform.now();
    let repeatable = match request.body {
        // A body flows past once.
        Some(_) => Repeatable::No,
        None => Repeatable::of(&request.method, request.headers.field("idempotency-key").as_deref()),
    };
    // The origin writes it into its own log, so that both lines of one call can be found.
    request.headers.set("x-request-id", &format!("{:016x}", platform.random()));
    let mut first: Option<(Result<Fetched<P>, Unavailable>, Spent)> = None;
    for number in 1..=ATTEMPTS_MAX {
        let left = upstream.deadline.saturating_sub(platform.now().since(began));
        let result = attempt(edge, platform, route, &mut request, left).await;
        let (result, spent) = match (result, first.take()) {
            // What was not sent again says less than what the first answer said.
            (Err(Unavailable::Open { .. } | Unavailable::Throttled), Some((first, _))) => return first,
            (result, first) => (result, first.map(|(_, spent)| spent)),
        };
        let tried = Tried { number, repeatable, spent, began };
        match again(edge, platform, route, &result, tried) {
            Some((delay, spent)) => {
                platform.log(&format!("edge.retry upstream={} delay_ms={}", upstream.name.as_str(), millis(delay)));
                platform.sleep(delay).await;
                first = Some((result, spent));
            }
            None => return result,
        }
    }
    // The last try returns above.
    Err(Unavailable::Failed(FetchError::Unreachable))
}

/// What is known of a call that has ended.
struct Tried {
    number: u32,
    repeatable: Repeatable,
    /// What this try cost, if it was not the first.
    spent: Option<Spent>,
    began: Timestamp,
}

/// Whether to try a call again, after how long and at what cost. Settles what it has cost so far.
fn again<P: Platform>(
    edge: &Edge,
    platform: &P,
    route: &Route,
    result: &Result<Fetched<P>, Unavailable>,
    tried: Tried,
) -> Option<(Duration, Spent)> {
    let Tried { number, repeatable, spent, began } = tried;
    let (now, upstream) = (platform.now(), edge.policy.upstream_of(route));
    let reply = reply(result, now)?;
    let mut state = edge.state.borrow_mut();
    let budget = &mut state.budgets[usize::from(route.upstream.0)];
    let Some(failure) = Failure::classify(reply) else {
        match spent {
            Some(spent) => budget.retried(&upstream.retry, spent),
            None => budget.succeeded(&upstream.retry),
        }
        return None;
    };
    // Whoever counts calls wants fewer: a visitor gets the 429.
    if number >= ATTEMPTS_MAX || failure == Failure::Throttled {
        return None;
    }
    let retry_after = match reply {
        Reply::Status { retry_after, .. } => retry_after,
        Reply::Disconnected | Reply::TimedOut | Reply::Abandoned => None,
    };
    let time_left = upstream.deadline.saturating_sub(now.since(began)).min(RETRY_WAIT_MAX);
    let failed = Attempt { number, repeatable, failure, retry_after, time_left };
    match budget.decide(&upstream.retry, &failed, (platform.random() >> 32) as u32) {
        Decision::Retry { delay, spent } => Some((delay, spent)),
        Decision::GiveUp(_) => None,
    }
}

/// A call that the throttle was told of. Dropped before its end, because its visitor went away, it says nothing of the
/// upstream.
struct Sent<'a> {
    edge: &'a Edge,
    which: usize,
    ticket: Option<Ticket>,
}

impl Sent<'_> {
    fn ended(mut self) -> Option<Ticket> {
        self.ticket.take()
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        // Nobody holds the state across a wait, and only there a call is dropped.
        if let (Some(ticket), Ok(mut state)) = (self.ticket.take(), self.edge.state.try_borrow_mut())
            && let Some(upstream) = self.edge.policy.upstreams().get(self.which)
        {
            state.throttles[self.which].record(&upstream.throttle, ticket, End::Unknown);
        }
    }
}

/// Calls once.
async fn attempt<P: Platform>(
    edge: &Rc<Edge>,
    platform: &P,
    route: &Route,
    request: &mut Request<P>,
    deadline: Duration,
) -> Result<Fetched<P>, Unavailable> {
    let which = usize::from(route.upstream.0);
    let upstream = edge.policy.upstream_of(route);
    let request_time = platform.now();
    // One number is drawn for both, which use a half each.
    let random = platform.random();
    if platform.has_notes() {
        // Pages that nobody stores know of what has opened too.
        purge::keep_up(edge, platform).await;
    }
    let was_closed = is_closed(edge, which, request_time);
    let was_open = edge.state.borrow().breakers[which].holds_for(&upstream.breaker, request_time);
    let permit = permit(edge, platform, route.upstream, upstream)
        .await
        .map_err(|retry_after| Unavailable::Open { retry_after })?;
    // A probe is what finds out whether the upstream is well, so it is always made.
    let priority = if was_closed { route.priority } else { Priority::Always };
    let pass =
        edge.state.borrow_mut().throttles[which].admit(&upstream.throttle, priority, platform.now(), random as u32);
    let Pass::Send(ticket) = pass else {
        let mut state = edge.state.borrow_mut();
        // No probe, so nobody waits for a report.
        let _ = state.breakers[which].record(&upstream.breaker, permit, Outcome::Ignored, platform.now(), 0);
        return Err(Unavailable::Throttled);
    };
    let sent = Sent { edge, which, ticket: Some(ticket) };
    let mut result = failover::fetch(edge, platform, route.upstream, upstream, request, deadline).await;
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
    let result = result.map(|response| Fetched { response, request_time, response_time }).map_err(Unavailable::Failed);
    // Every call that was made has a reply.
    let reply = reply(&result, response_time).unwrap_or(Reply::Disconnected);
    let outcome = Outcome::classify(&upstream.breaker, reply, elapsed);
    let (report, opened) = {
        let mut state = edge.state.borrow_mut();
        if let Some(ticket) = sent.ended() {
            state.throttles[which].record(&upstream.throttle, ticket, End::classify(reply));
        }
        match reply {
            Reply::Status { .. } => state.silences[which] = Silence::default(),
            Reply::TimedOut => state.silences[which].goes_on(response_time),
            Reply::Disconnected | Reply::Abandoned => {}
        }
        let random = (random >> 32) as u32;
        let report = state.breakers[which].record(&upstream.breaker, permit, outcome, response_time, random);
        if !was_closed && state.breakers[which].state(response_time) == State::Closed {
            // It has proved itself: what it refused before says nothing any more.
            state.throttles[which] = Throttle::new();
        }
        let holds = state.breakers[which].holds_for(&upstream.breaker, response_time);
        (report, holds.filter(|_| was_open.is_none()))
    };
    if let Some(report) = report.filter(|_| has_authority(edge.policy)) {
        tell(edge, platform, route.upstream, report);
    }
    if let Some(wait) = opened.filter(|_| platform.has_notes()) {
        notes::tell(edge, platform, route.upstream, wait);
    }
    result
}

fn is_closed(edge: &Edge, which: usize, now: Timestamp) -> bool {
    edge.state.borrow().breakers[which].state(now) == State::Closed
}

/// The right to one call, after the word of the authority where that decides; or how long to wait.
async fn permit<P: Platform>(
    edge: &Edge,
    platform: &P,
    id: UpstreamId,
    upstream: &Upstream,
) -> Result<MemberPermit, Duration> {
    let config = &upstream.breaker;
    let with = |decide: &mut dyn FnMut(&mut Member, Timestamp) -> MemberGate| {
        let mut state = edge.state.borrow_mut();
        decide(&mut state.breakers[usize::from(id.0)], platform.now())
    };
    let gate = match with(&mut |breaker, now| breaker.admit(config, now)) {
        MemberGate::Ask(report) => {
            let question = question(edge, id, report);
            match reach::ask(edge, platform, shard_of(id), &question).await.map(|reply| reply.reports.first().copied())
            {
                Ok(Some(reply)) => with(&mut |breaker, now| breaker.answer(config, &reply, now)),
                Ok(None) | Err(_) => with(&mut |breaker, now| breaker.unreachable(config, now)),
            }
        }
        gate => gate,
    };
    match gate {
        MemberGate::Pass(permit) => Ok(permit),
        MemberGate::Reject { retry_after } => Err(retry_after),
        // It asks once only.
        MemberGate::Ask(_) => Err(config.probe_timeout),
    }
}

/// Tells the authority of an upstream's breaker what happened, without anyone waiting.
fn tell<P: Platform>(edge: &Rc<Edge>, platform: &P, id: UpstreamId, report: Report) {
    let question = question(edge, id, report);
    let (edge, host) = (Rc::clone(edge), platform.clone());
    platform.spawn(async move {
        if let Ok(reply) = reach::ask(&edge, &host, shard_of(id), &question).await {
            take_hints(&edge, &question, &reply, host.now());
        }
    });
}

/// Adds to a question what this isolate was told of the upstream, and what it saw if the question goes to the keeper of
/// its breaker anyway.
pub(crate) fn add_report(edge: &Edge, id: UpstreamId, shard: u64, question: &mut Question, now: Timestamp) {
    let mut state = edge.state.borrow_mut();
    let upstream = edge.policy.upstreams().get(usize::from(id.0)).zip(state.breakers.get_mut(usize::from(id.0)));
    let Some((upstream, breaker)) = upstream else { return };
    question.hint = Some((id, breaker.hint(now)));
    if shard_of(id) == shard {
        question.reports.push((id, breaker.report(&upstream.breaker, now)));
    }
}

/// Believes what the keepers of breakers say.
pub(crate) fn take_hints(edge: &Edge, question: &Question, reply: &authority::Reply, now: Timestamp) {
    let mut state = edge.state.borrow_mut();
    for ((id, _), reply) in question.reports.iter().zip(&reply.reports) {
        if let Some(breaker) = state.breakers.get_mut(usize::from(id.0)) {
            breaker.adopt(&reply.hint, now);
        }
    }
    let hinted = question.hint.and_then(|(id, _)| state.breakers.get_mut(usize::from(id.0)));
    if let Some((breaker, hint)) = hinted.zip(reply.hint) {
        breaker.adopt(&hint, now);
    }
}

fn question(edge: &Edge, id: UpstreamId, report: Report) -> Question {
    Question {
        isolate: edge.isolate,
        seq: edge.next_question(),
        intent: Intent::Judge,
        client: Client::new(None),
        lease: seawall_core::limit::LeaseId(0),
        limits: Vec::new(),
        asks: Vec::new(),
        reports: vec![(id, report)],
        hint: None,
    }
}

/// Whether isolates share their breakers: where a policy shares no limit, there is no authority to keep them.
fn has_authority(policy: &Policy) -> bool {
    policy.limits().iter().any(|limit| matches!(limit.scope, Scope::Shared { authority: Authority::Objects, .. }))
}

/// How a call ended; `None` when it was not made.
fn reply<P: Platform>(result: &Result<Fetched<P>, Unavailable>, now: Timestamp) -> Option<Reply> {
    Some(match result {
        Ok(Fetched { response, .. }) => {
            Reply::Status { status: response.status, retry_after: retry_after(&response.headers, now) }
        }
        Err(Unavailable::Failed(FetchError::Unreachable)) => Reply::Disconnected,
        Err(Unavailable::Failed(FetchError::Timeout)) => Reply::TimedOut,
        Err(Unavailable::Open { .. } | Unavailable::Maintenance { .. } | Unavailable::Throttled) => return None,
    })
}

/// The status codes that an answer may have.
const FINAL_STATUSES: RangeInclusive<u16> = 200..=599;

/// `Retry-After` (RFC 9110 §10.2.3): a number of seconds, or a date.
fn retry_after(response: &impl Fields, now: Timestamp) -> Option<Duration> {
    let value = response.field("retry-after")?;
    let value = value.trim();
    let seconds = value.parse().map(Duration::from_secs);
    seconds.ok().or_else(|| Some(value.parse::<HttpDate>().ok()?.timestamp().since(now)))
}
