//! What one isolate keeps between requests.

use alloc::{rc::Rc, vec::Vec};
use core::{
    cell::{Cell, RefCell},
    num::NonZeroUsize,
    ops::Deref,
};

use seawall_core::{
    breaker::{Breaker, shared::Member},
    cache::{collapse::Flights, purge::Purges, search::SearchRules},
    headers::Fields,
    limit::{
        distributed::Spender,
        states::{Capacities, StateTable},
        table::KeyTable,
    },
    policy::Policy,
    retry::Budget,
    throttle::Throttle,
    time::Timestamp,
};

use crate::{
    Platform, Settings,
    authority::is_shared_out,
    failure::Remembered,
    landings::Landings,
    limits::{
        AUTHORITY_SHARDS, DENIALS_REMEMBERED, FAILURES_REMEMBERED, FLIGHTS_MAX, LOCAL_COUNTERS, SLOW_REMEMBERED,
        SPENDERS, UNCOLLAPSED_KEYS,
    },
    memory::Memory,
    purge::Feed,
    reach::Authorities,
    settings::SECRET_FIELD,
    silence::Silence,
    steady::Steady,
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
    /// The traffic policy, which nothing changes while the process lives.
    pub policy: &'static Policy,
    /// What the host's configuration says beside it.
    pub settings: Settings,
    /// A number that no other isolate has, by which authorities know this one.
    pub(crate) isolate: u64,
    questions: Cell<u64>,
    pub(crate) state: RefCell<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    /// By upstream, in the policy's order.
    pub(crate) breakers: Vec<Member>,
    /// By upstream too.
    pub(crate) throttles: Vec<Throttle>,
    /// By upstream too.
    pub(crate) budgets: Vec<Budget>,
    /// The time by which limits count.
    pub(crate) clock: Steady,
    /// Who decides on shared limits, and how well they answer.
    pub(crate) authorities: Authorities,
    /// Of each origin under each upstream, where there are several.
    pub(crate) origins: Vec<Breaker>,
    /// Answers that are yet to be written down.
    pub(crate) tally: Tally,
    /// Limits of scope "isolate", and shared ones while their authority is away.
    pub(crate) counters: StateTable,
    /// What this isolate holds of limits that are shared out; `None` where the policy has none.
    pub(crate) spenders: Option<KeyTable<Spender>>,
    /// Until when a client is refused under a shared limit.
    pub(crate) denials: KeyTable<Timestamp>,
    /// Calls that others may share, and URLs whose requests do not wait for each other.
    pub(crate) flights: Flights,
    /// Whether the object answers by which isolates share calls.
    pub(crate) pop: Breaker,
    /// How the last call for a URL failed, for those who waited for it.
    pub(crate) failures: KeyTable<Remembered>,
    /// By upstream: whether it answers at all.
    pub(crate) silences: Vec<Silence>,
    /// For which URLs a call did so.
    pub(crate) slow: KeyTable<Timestamp>,
    /// Which calls have ended, for those who looked before.
    pub(crate) landings: Landings,
    /// What this isolate knows to be invalid.
    pub(crate) purges: Purges,
    /// Which queries of a path are the same, as origins said.
    pub(crate) searches: SearchRules,
    /// How it stands to the log of all purges.
    pub(crate) feed: Feed,
    /// What it read in the note that stands for that log, and wrote there.
    pub(crate) noted: Purges,
}

impl Edge {
    /// An isolate that has seen nothing. `seed` is a number that clients cannot know.
    #[must_use]
    pub fn new(policy: &'static Policy, seed: u64) -> Self {
        // As unguessable as the seed, and says nothing of it.
        let isolate = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
        let upstreams = policy.upstreams();
        let holds_units = policy.limits().iter().any(is_shared_out);
        let state = State {
            breakers: upstreams.iter().map(|_| Member::new(isolate)).collect(),
            throttles: upstreams.iter().map(|_| Throttle::new()).collect(),
            budgets: upstreams.iter().map(|upstream| Budget::full(&upstream.retry)).collect(),
            clock: Steady::default(),
            authorities: Authorities::new(AUTHORITY_SHARDS),
            spenders: holds_units.then(|| KeyTable::new(const { NonZeroUsize::new(SPENDERS).unwrap() }, seed)),
            origins: Vec::new(),
            tally: Tally::default(),
            counters: StateTable::new(
                policy.limits().iter().map(|limit| &limit.algorithm),
                Capacities::for_keys(const { NonZeroUsize::new(LOCAL_COUNTERS).unwrap() }),
                seed,
            ),
            denials: KeyTable::new(const { NonZeroUsize::new(DENIALS_REMEMBERED).unwrap() }, seed),
            flights: Flights::new(FLIGHTS_MAX + UNCOLLAPSED_KEYS),
            pop: Breaker::new(),
            failures: KeyTable::new(const { NonZeroUsize::new(FAILURES_REMEMBERED).unwrap() }, seed),
            silences: upstreams.iter().map(|_| Silence::default()).collect(),
            slow: KeyTable::new(const { NonZeroUsize::new(SLOW_REMEMBERED).unwrap() }, seed),
            landings: Landings::new(seed),
            purges: Purges::default(),
            searches: SearchRules::default(),
            feed: Feed::default(),
            noted: Purges::default(),
        };
        Self { policy, settings: Settings::default(), isolate, questions: Cell::new(0), state: RefCell::new(state) }
    }

    /// The time by which limits count.
    pub(crate) fn steady(&self, now: Timestamp) -> Timestamp {
        self.state.borrow_mut().clock.at(now)
    }

    /// The number of the next question to an authority.
    pub(crate) fn next_question(&self) -> u64 {
        let next = self.questions.get() + 1;
        self.questions.set(next);
        next
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
