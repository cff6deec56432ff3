//! May this client make this request? Limits of the isolate are counted here, shared ones by their authority.

use std::rc::Rc;

use seawall_core::{
    limit::{Admission, Check, LeaseId, LimitId, Ruling, Spend, State, Verdict, decide_all},
    policy::{Limit, Route, Scope, StoreFailure},
    time::Timestamp,
};

use crate::{
    Edge, Platform,
    authority::{Intent, Question, is_held},
    client::Client,
    limits::{AUTHORITY_DEADLINE, AUTHORITY_SHARDS},
};

/// What the limits said, and whether their authority was reached.
pub(crate) struct Admitted {
    pub(crate) admission: Admission,
    pub(crate) source: Source,
}

/// Who decided on the shared limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The route has none.
    Isolate,
    /// The authority.
    Authority,
    /// A refusal of the authority, remembered in this isolate until its wait is over.
    Remembered,
    /// This isolate, by each limit's `on_store_failure`, because the authority did not answer.
    Fallback,
}

impl Source {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Isolate => "isolate",
            Self::Authority => "authority",
            Self::Remembered => "remembered",
            Self::Fallback => "fallback",
        }
    }
}

/// Decides on the request under the route's limits. Limits of the isolate come first: what they refuse costs no
/// call, and a refusal that this isolate remembers costs none either.
pub(crate) async fn admit<P: Platform>(
    edge: &Edge,
    platform: &P,
    route: &Route,
    client: Client,
    lease: LeaseId,
) -> Admitted {
    let now = platform.now();
    let (shared, own): (Vec<Named<'_>>, Vec<Named<'_>>) =
        edge.policy.limits_of(route).partition(|(_, limit)| matches!(limit.scope, Scope::Shared { .. }));
    let mut admission = count_here(edge, client, lease, own.into_iter(), now);
    if admission.refusal().is_some() || shared.is_empty() {
        return Admitted { admission, source: Source::Isolate };
    }
    let remembered: Vec<Verdict> = shared.iter().filter_map(|(id, _)| remembered(edge, client, *id, now)).collect();
    if !remembered.is_empty() {
        admission.verdicts.extend(remembered);
        return Admitted { admission, source: Source::Remembered };
    }
    let limits = shared.iter().map(|(id, _)| *id).collect();
    let question = Question { intent: Intent::Judge, client, limits, lease };
    let source = match platform.judge(client.shard(AUTHORITY_SHARDS), &question, AUTHORITY_DEADLINE).await {
        Ok(answer) => {
            remember_refusals(edge, client, &answer, platform.now());
            admission.extend(answer);
            Source::Authority
        }
        // Fail as each limit says: the policy's choice, made beside the limit.
        Err(error) => {
            platform.log(&format!("edge.limit.authority failed: {error}"));
            admission.extend(without_authority(edge, client, lease, &shared, platform.now()));
            Source::Fallback
        }
    };
    Admitted { admission, source }
}

/// The places that a request holds under limits on how many run at once. Dropping it gives them back, whether the
/// request was answered, refused or given up by its client; a place whose isolate is gone frees itself in time.
pub(crate) struct Places<P: Platform> {
    edge: Rc<Edge>,
    platform: P,
    client: Client,
    lease: LeaseId,
    limits: Vec<LimitId>,
}

impl<P: Platform> Places<P> {
    /// A lease for what `route` may hold.
    pub(crate) fn new(edge: &Rc<Edge>, platform: &P, route: &Route, client: Client) -> Self {
        let held = edge.policy.limits_of(route).filter(|(_, limit)| is_held(&limit.algorithm));
        let limits: Vec<LimitId> = held.map(|(id, _)| id).collect();
        let lease = LeaseId(if limits.is_empty() { 0 } else { platform.random() });
        Self { edge: Rc::clone(edge), platform: platform.clone(), client, lease, limits }
    }

    pub(crate) const fn lease(&self) -> LeaseId {
        self.lease
    }
}

impl<P: Platform> Drop for Places<P> {
    fn drop(&mut self) {
        let Self { edge, client, lease, .. } = &*self;
        let now = self.platform.now();
        let mut shared = Vec::new();
        for id in &self.limits {
            let Some(limit) = edge.policy.limit(*id) else { continue };
            let (algorithm, key) = (&limit.algorithm, client.key(*id));
            let mut state = edge.state.borrow_mut();
            if let Some(stored) = state.counters.get(algorithm, key, now) {
                let next = algorithm.refund(Some(&stored), now, &Spend::new(limit.cost, key).with_lease(*lease));
                state.counters.put(key, &next, algorithm.expires(&next), now);
            }
            if matches!(limit.scope, Scope::Shared { .. }) {
                shared.push(*id);
            }
        }
        if !shared.is_empty() {
            let question = Question { intent: Intent::Release, client: *client, limits: shared, lease: *lease };
            let platform = self.platform.clone();
            self.platform.spawn(async move {
                let shard = question.client.shard(AUTHORITY_SHARDS);
                // What does not arrive ends by itself.
                if let Err(error) = platform.judge(shard, &question, AUTHORITY_DEADLINE).await {
                    platform.log(&format!("edge.limit.release failed: {error}"));
                }
            });
        }
    }
}

/// A limit and its place in the policy.
type Named<'a> = (LimitId, &'a Limit);

/// Counts in this isolate, all limits or none.
fn count_here<'a>(
    edge: &Edge,
    client: Client,
    lease: LeaseId,
    limits: impl Iterator<Item = Named<'a>>,
    now: Timestamp,
) -> Admission {
    let mut state = edge.state.borrow_mut();
    let limits: Vec<(Named<'_>, Option<State>)> =
        limits.map(|(id, limit)| ((id, limit), state.counters.get(&limit.algorithm, client.key(id), now))).collect();
    let checks: Vec<Check<'_>> = limits
        .iter()
        .map(|((id, limit), stored)| Check {
            limit: *id,
            algorithm: &limit.algorithm,
            stored: stored.as_ref(),
            spend: Spend::new(limit.cost, client.key(*id)).with_lease(lease),
        })
        .collect();
    let decision = decide_all(&checks, now);
    for (check, next) in decision.next_states() {
        state.counters.put(check.spend.key, &next, check.algorithm.expires(&next), now);
    }
    decision.admission()
}

/// What shared limits do while their authority is away.
fn without_authority(edge: &Edge, client: Client, lease: LeaseId, limits: &[Named<'_>], now: Timestamp) -> Admission {
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
        count_here(edge, client, lease, of(StoreFailure::Local), now)
    } else {
        Admission { verdicts: refused }
    }
}

/// The refusal of this client that this isolate remembers.
fn remembered(edge: &Edge, client: Client, limit: LimitId, now: Timestamp) -> Option<Verdict> {
    let until = edge.state.borrow().denials.get(client.key(limit), now)?;
    let retry_after = until.since(now);
    Some(Verdict {
        limit,
        ruling: Ruling::Deny { retry_after },
        remaining: 0,
        effective_window_seconds: seawall_core::time::seconds_ceil(retry_after),
    })
}

fn remember_refusals(edge: &Edge, client: Client, answer: &Admission, now: Timestamp) {
    let mut state = edge.state.borrow_mut();
    for verdict in answer.violated() {
        // A place that is held may be given back at any moment, so its wait is no promise.
        let is_held = edge.policy.limit(verdict.limit).is_some_and(|limit| is_held(&limit.algorithm));
        if let Some(retry_after) = verdict.retry_after().filter(|_| !is_held) {
            let until = now.after(retry_after);
            state.denials.put(client.key(verdict.limit), until, until, now);
        }
    }
}

/// What a client waits when a limit that fails closed has no authority.
const CLOSED_RETRY_AFTER: core::time::Duration = core::time::Duration::from_secs(5);
