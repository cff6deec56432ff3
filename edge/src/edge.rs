//! What one isolate keeps between requests.

use core::{cell::RefCell, num::NonZeroUsize};

use seawall_core::{
    breaker::Breaker,
    cache::{collapse::Flights, purge::Purges},
    limit::{
        states::{Capacities, StateTable},
        table::KeyTable,
    },
    policy::Policy,
    time::Timestamp,
};

use crate::{
    Settings,
    failure::Remembered,
    limits::{DENIALS_REMEMBERED, FAILURES_REMEMBERED, FLIGHTS_MAX, LOCAL_COUNTERS, UNCOLLAPSED_KEYS},
};

/// One isolate's policy and memory. Shared by its requests, which run one at a time between two awaits.
///
/// Losing it, as hosts do when they end an isolate, loses counts that live in this isolate, remembered refusals and
/// the breaker's history; nothing that is shared.
#[derive(Debug)]
pub struct Edge {
    /// The traffic policy.
    pub policy: Policy,
    /// What the host's configuration says beside it.
    pub settings: Settings,
    pub(crate) state: RefCell<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    /// By upstream, in the policy's order.
    pub(crate) breakers: Vec<Breaker>,
    /// Limits of scope "isolate", and shared ones while their authority is away.
    pub(crate) counters: StateTable,
    /// Until when a client is refused under a shared limit.
    pub(crate) denials: KeyTable<Timestamp>,
    /// Calls that others may share, and URLs whose requests do not wait for each other.
    pub(crate) flights: Flights,
    /// How the last call for a URL failed, for those who waited for it.
    pub(crate) failures: KeyTable<Remembered>,
    /// What this isolate knows to be invalid.
    pub(crate) purges: Purges,
}

impl Edge {
    /// An isolate that has seen nothing. `seed` is a number that clients cannot know.
    #[must_use]
    pub fn new(policy: Policy, seed: u64) -> Self {
        let state = State {
            breakers: policy.upstreams().iter().map(|_| Breaker::new()).collect(),
            counters: StateTable::new(
                policy.limits().iter().map(|limit| &limit.algorithm),
                Capacities::for_keys(const { NonZeroUsize::new(LOCAL_COUNTERS).unwrap() }),
                seed,
            ),
            denials: KeyTable::new(const { NonZeroUsize::new(DENIALS_REMEMBERED).unwrap() }, seed),
            flights: Flights::new(FLIGHTS_MAX + UNCOLLAPSED_KEYS),
            failures: KeyTable::new(const { NonZeroUsize::new(FAILURES_REMEMBERED).unwrap() }, seed),
            purges: Purges::default(),
        };
        Self { policy, settings: Settings::default(), state: RefCell::new(state) }
    }

    /// The same isolate under these settings.
    #[must_use]
    pub fn with_settings(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }
}
