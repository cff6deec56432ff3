//! What one isolate keeps between requests.

use core::{cell::RefCell, num::NonZeroUsize, ops::Deref};
use std::rc::Rc;

use seawall_core::{
    breaker::Breaker,
    cache::{collapse::Flights, purge::Purges, search::SearchRules},
    headers::Fields,
    limit::{
        states::{Capacities, StateTable},
        table::KeyTable,
    },
    policy::Policy,
    time::Timestamp,
};

use crate::{
    Platform, Settings,
    failure::Remembered,
    limits::{DENIALS_REMEMBERED, FAILURES_REMEMBERED, FLIGHTS_MAX, LOCAL_COUNTERS, UNCOLLAPSED_KEYS},
    memory::Memory,
    purge::Feed,
    settings::SECRET_FIELD,
    tally::Tally,
};

/// One isolate: what every platform keeps alike, and the responses that this one keeps ready.
#[derive(Debug)]
pub struct Isolate<P: Platform> {
    /// What does not depend on the platform.
    pub(crate) edge: Rc<Edge>,
    /// The first tier.
    pub(crate) memory: RefCell<Memory<P>>,
}

impl<P: Platform> Isolate<P> {
    /// An isolate around what does not depend on the platform. `seed` is a number that clients cannot know.
    #[must_use]
    pub fn new(edge: Edge, seed: u64) -> Self {
        Self { edge: Rc::new(edge), memory: RefCell::new(Memory::new(seed)) }
    }
}

impl<P: Platform> Deref for Isolate<P> {
    type Target = Edge;

    fn deref(&self) -> &Edge {
        &self.edge
    }
}

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
    /// Of each origin under each upstream, where there are several.
    pub(crate) origins: Vec<Breaker>,
    /// Answers that are yet to be written down.
    pub(crate) tally: Tally,
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
    /// Which queries of a path are the same, as origins said.
    pub(crate) searches: SearchRules,
    /// How it stands to the log of all purges.
    pub(crate) feed: Feed,
}

impl Edge {
    /// An isolate that has seen nothing. `seed` is a number that clients cannot know.
    #[must_use]
    pub fn new(policy: Policy, seed: u64) -> Self {
        let state = State {
            breakers: policy.upstreams().iter().map(|_| Breaker::new()).collect(),
            origins: Vec::new(),
            tally: Tally::default(),
            counters: StateTable::new(
                policy.limits().iter().map(|limit| &limit.algorithm),
                Capacities::for_keys(const { NonZeroUsize::new(LOCAL_COUNTERS).unwrap() }),
                seed,
            ),
            denials: KeyTable::new(const { NonZeroUsize::new(DENIALS_REMEMBERED).unwrap() }, seed),
            flights: Flights::new(FLIGHTS_MAX + UNCOLLAPSED_KEYS),
            failures: KeyTable::new(const { NonZeroUsize::new(FAILURES_REMEMBERED).unwrap() }, seed),
            purges: Purges::default(),
            searches: SearchRules::default(),
            feed: Feed::default(),
        };
        Self { policy, settings: Settings::default(), state: RefCell::new(state) }
    }

    /// Whether a request carries the control secret.
    pub(crate) fn is_operator(&self, request: &impl Fields) -> bool {
        let Some(secret) = &self.settings.control_secret else { return false };
        request.field(SECRET_FIELD).is_some_and(|text| secret.is(&text))
    }

    /// The same isolate under these settings.
    #[must_use]
    pub fn with_settings(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }
}
