//! Limits that are counted by this isolate, or by the platform at this location.

use alloc::vec::Vec;

use seawall_core::{
    limit::{Admission, Algorithm, Check, LeaseId, LimitId, Ruling, Spend, State, Verdict, decide_all},
    policy::StoreFailure,
    time::{Timestamp, seconds_ceil},
};

use crate::{Edge, Platform, client::Client, reach::CLOSED_RETRY_AFTER};

use super::Named;

/// Counts in this isolate, all limits or none.
pub(super) fn count(edge: &Edge, client: Client, lease: LeaseId, limits: &[Named<'_>], now: Timestamp) -> Admission {
    if limits.is_empty() {
        return Admission::default();
    }
    let rules: Vec<Rule<'_>> =
        limits.iter().map(|(id, limit)| Rule { id: *id, cost: limit.cost, algorithm: &limit.algorithm }).collect();
    count_rules(edge, client, lease, &rules, now)
}

/// A limit as it is counted here.
struct Rule<'a> {
    id: LimitId,
    cost: u32,
    algorithm: &'a Algorithm,
}

fn count_rules(edge: &Edge, client: Client, lease: LeaseId, rules: &[Rule<'_>], now: Timestamp) -> Admission {
    let stored = stored(edge, client, rules, now);
    let checks = checks(client, lease, rules, &stored);
    let decision = decide_all(&checks, now);
    let mut state = edge.state.borrow_mut();
    for (check, next) in decision.next_states() {
        state.counters.put(check.spend.key, &next, check.algorithm.expires(&next), now);
    }
    decision.admission()
}

/// What limits of this isolate say to a request that they refuse; `None` when they do not. Counts nothing.
pub(super) fn refusal(edge: &Edge, client: Client, limits: &[Named<'_>], now: Timestamp) -> Option<Admission> {
    let rules: Vec<Rule<'_>> =
        limits.iter().map(|(id, limit)| Rule { id: *id, cost: limit.cost, algorithm: &limit.algorithm }).collect();
    let stored = stored(edge, client, &rules, now);
    let checks = checks(client, LeaseId(0), &rules, &stored);
    let decision = decide_all(&checks, now);
    (decision.ruling() != Ruling::Allow).then(|| decision.admission())
}

fn stored(edge: &Edge, client: Client, rules: &[Rule<'_>], now: Timestamp) -> Vec<Option<State>> {
    let state = edge.state.borrow();
    rules.iter().map(|rule| state.counters.get(rule.algorithm, client.key(rule.id), now)).collect()
}

fn checks<'a>(client: Client, lease: LeaseId, rules: &[Rule<'a>], stored: &'a [Option<State>]) -> Vec<Check<'a>> {
    let check = |(rule, stored): (&Rule<'a>, &'a Option<State>)| Check {
        limit: rule.id,
        algorithm: rule.algorithm,
        stored: stored.as_ref(),
        spend: Spend::new(rule.cost, client.key(rule.id)).with_lease(lease),
    };
    rules.iter().zip(stored).map(check).collect()
}

/// Counts at this location. What the platform does not count there is counted in this isolate.
pub(super) async fn count_at_location<P: Platform>(
    edge: &Edge,
    platform: &P,
    client: Client,
    lease: LeaseId,
    limits: &[Named<'_>],
) -> Admission {
    let mut admission = Admission::default();
    for (id, limit) in limits {
        match platform.count_at_location(limit.name.as_str(), client.key(*id)).await {
            // Only yes or no is known: a refusal ends with the window at the latest.
            Some(true) => {}
            Some(false) => {
                let retry_after = limit.algorithm.window().unwrap_or(CLOSED_RETRY_AFTER);
                admission.verdicts.push(denied(*id, retry_after));
            }
            None => admission.extend(count(edge, client, lease, &[(*id, limit)], edge.steady(platform.now()))),
        }
    }
    admission
}

/// What shared limits do while their authority is away.
pub(super) fn without_authority(
    edge: &Edge,
    client: Client,
    lease: LeaseId,
    limits: &[(Named<'_>, StoreFailure)],
    now: Timestamp,
) -> Admission {
    edge.state.borrow_mut().authorities.fallbacks += 1;
    let of = |failure: StoreFailure| limits.iter().filter(move |(_, choice)| *choice == failure);
    let closed: Vec<Verdict> =
        of(StoreFailure::Closed).map(|((limit, _), _)| denied(*limit, CLOSED_RETRY_AFTER)).collect();
    if !closed.is_empty() {
        return Admission { verdicts: closed };
    }
    let shares: Vec<(LimitId, u32, Algorithm)> =
        of(StoreFailure::Local).map(|((id, limit), _)| (*id, limit.cost, limit.share())).collect();
    let rules: Vec<Rule<'_>> = shares
        .iter()
        // Of a share that is smaller than the cost, a request takes all.
        .map(|(id, cost, share)| Rule { id: *id, cost: (*cost).min(share.cost_max().get()), algorithm: share })
        .collect();
    count_rules(edge, client, lease, &rules, now)
}

/// The refusal of one limit.
pub(super) fn denied(limit: LimitId, retry_after: core::time::Duration) -> Verdict {
    let seconds = seconds_ceil(retry_after).max(1);
    Verdict { limit, ruling: Ruling::Deny { retry_after }, remaining: 0, effective_window_seconds: seconds }
}
