//! Counters of this process, in bounded memory.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use seawall_core::limit::states::{Capacities, StateTable};
use seawall_core::limit::{Admission, Algorithm, Check, LeaseId, Spend, State, decide_all};
use seawall_core::policy::Policy;
use seawall_core::time::Timestamp;

use super::Named;
use super::client::Client;

/// The states of all clients under all limits.
#[derive(Debug)]
pub(super) struct Memory(Mutex<StateTable>);

/// Clients times limits that are counted at a time: 64 Ki counters in about 3 MiB. Beyond that the ones that owe least
/// are forgotten first.
const COUNTERS: NonZeroUsize = NonZeroUsize::new(1 << 16).expect("above zero");

impl Memory {
    pub(super) fn new(policy: &Policy) -> Self {
        let rules = policy.limits().iter().map(|limit| &limit.algorithm);
        Self(Mutex::new(StateTable::new(rules, Capacities::for_keys(COUNTERS), rand::random())))
    }

    /// Charges all limits, or none.
    pub(super) fn charge(&self, limits: &[Named<'_>], client: Client, lease: LeaseId, now: Timestamp) -> Admission {
        let mut table = self.lock();
        let stored: Vec<Option<State>> =
            limits.iter().map(|(id, limit)| table.get(&limit.algorithm, client.key(*id), now)).collect();
        let checks: Vec<Check<'_>> = limits
            .iter()
            .zip(&stored)
            .map(|((id, limit), stored)| Check {
                limit: *id,
                algorithm: &limit.algorithm,
                stored: stored.as_ref(),
                spend: Spend::new(limit.cost, client.key(*id)).with_lease(lease),
            })
            .collect();
        let decision = decide_all(&checks, now);
        for (check, next) in decision.next_states() {
            table.put(check.spend.key, &next, check.algorithm.expires(&next), now);
        }
        decision.admission()
    }

    /// Gives back what a lease holds.
    pub(super) fn release(&self, limits: &[Named<'_>], client: Client, lease: LeaseId, now: Timestamp) {
        let mut table = self.lock();
        for (id, limit) in limits {
            let (algorithm, key) = (&limit.algorithm, client.key(*id));
            if let Some(stored) = table.get(algorithm, key, now) {
                let next = algorithm.refund(Some(&stored), now, &Spend::new(limit.cost, key).with_lease(lease));
                table.put(key, &next, algorithm.expires(&next), now);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, StateTable> {
        // A table that a panic left is whole: each of its changes is one assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the rule counts what runs, so that its charge has to be given back.
pub(super) const fn is_held(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::Concurrency(_))
}
