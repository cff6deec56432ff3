//! May this client make this request?
//!
//! Limits of the isolate are counted first: what they refuse costs no call, and a refusal that this isolate remembers
//! costs none either. Then come those that the platform counts at this location, and last the shared ones, while the
//! cache is looked at. Each of these groups is charged whole or not at all; what an earlier group was charged stays
//! charged when a later one refuses.
//!
//! What comes from the cache costs a shared limit its `hit_cost`, and where that is nothing a limit that is used up
//! does not refuse it.

mod own;
mod places;
mod shared;

use alloc::{rc::Rc, vec::Vec};

use seawall_core::{
    limit::{Admission, LeaseId, LimitId},
    policy::{Limit, Route, Scope},
    time::Timestamp,
};

use crate::{Edge, Platform, authority::is_held, client::Client};

pub(crate) use self::places::Places;
pub(crate) use self::shared::Charged;

/// What the limits said, and who decided.
pub(crate) struct Admitted {
    pub(crate) admission: Admission,
    pub(crate) source: Source,
    /// What may have to be given back.
    charged: Charged,
    /// Whether the shared limits are yet to be charged: what they cost is at hand.
    later: bool,
}

/// Who decided on the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// This isolate: no shared limit had to be asked.
    Isolate,
    /// The platform, at this location.
    Location,
    /// This isolate, with units of shared limits that it holds or may spend before it tells.
    Held,
    /// The authority.
    Authority,
    /// A refusal of the authority, remembered in this isolate until its wait is over.
    Remembered,
    /// This isolate, by each limit's `on_store_failure`, because an authority did not answer.
    Fallback,
}

impl Source {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Isolate => "isolate",
            Self::Location => "location",
            Self::Held => "held",
            Self::Authority => "authority",
            Self::Remembered => "remembered",
            Self::Fallback => "fallback",
        }
    }
}

impl Admitted {
    const fn here(admission: Admission, source: Source) -> Self {
        Self { admission, source, charged: Charged::nothing(), later: false }
    }

    /// The same, after what was decided before.
    fn after(mut self, own: &Admission) -> Self {
        self.admission.verdicts.splice(0..0, own.verdicts.iter().copied());
        self
    }
}

/// A limit and its place in the policy.
type Named<'a> = (LimitId, &'a Limit);

/// Counts a request that the cache answers without waiting; `None`, and nothing counted, when its limits need more than
/// this isolate's counters, or refuse. Shared limits that a hit costs nothing are not asked.
pub(crate) fn at_once(edge: &Edge, route: &Route, client: Client, now: Timestamp) -> Option<Admission> {
    let (mut here, now) = (Vec::new(), edge.steady(now));
    for (id, limit) in edge.policy.limits_of(route) {
        match limit.scope {
            Scope::Isolate if !is_held(&limit.algorithm) => here.push((id, limit)),
            Scope::Shared { .. } if limit.hit_cost == 0 => {}
            Scope::Isolate | Scope::Location | Scope::Shared { .. } => return None,
        }
    }
    let admission = own::count(edge, client, LeaseId(0), &here, now);
    admission.refusal().is_none().then_some(admission)
}

/// The refusal of a request that this isolate refuses without asking anybody; `None` when it would not.
pub(crate) fn refused_at_once(
    edge: &Edge,
    route: &Route,
    client: Client,
    may_hit: bool,
    now: Timestamp,
) -> Option<Admission> {
    let (mut here, mut remembered) = (Vec::new(), Admission::default());
    let now = edge.steady(now);
    let mut spares_hits = may_hit;
    for (id, limit) in edge.policy.limits_of(route) {
        match limit.scope {
            // Who holds a place has a number, which nobody has here.
            _ if is_held(&limit.algorithm) => return None,
            Scope::Isolate => here.push((id, limit)),
            Scope::Location => {}
            Scope::Shared { .. } => {
                spares_hits &= limit.hit_cost == 0;
                if let Some(until) = edge.state.borrow().denials.get(client.key(id), now) {
                    remembered.verdicts.push(own::denied(id, until.since(now)));
                }
            }
        }
    }
    let refusal = own::refusal(edge, client, &here, now);
    if refusal.is_some() || remembered.verdicts.is_empty() || spares_hits {
        return refusal;
    }
    // The whole way would charge these first.
    let mut admission = own::count(edge, client, LeaseId(0), &here, now);
    admission.extend(remembered);
    Some(admission)
}

/// What a refresh, which nobody waits for, costs the shared limits of its route: as much as a miss. The limits of the
/// isolate and of the location have counted the request that led to it.
pub(crate) enum Fare<P: Platform> {
    /// Nobody pays.
    Free,
    /// This client does, once it is known that the call is made here; these places are held meanwhile, and this is charged by
    /// then.
    Due(Client, Places<P>, Charged),
    /// That request was charged.
    Paid(Client, LeaseId, Charged),
}

impl<P: Platform> Fare<P> {
    /// What `client` pays for a request that was charged nothing.
    pub(crate) fn due(edge: &Rc<Edge>, platform: &P, route: &Route, client: Client) -> Self {
        Self::Due(client, Places::new(edge, platform, route, client), Charged::nothing())
    }

    /// Charges what is due, and says whether the limits let the call pass.
    pub(crate) async fn pay(&mut self, edge: &Rc<Edge>, platform: &P, route: &Route) -> bool {
        let Self::Due(client, places, charged) = self else { return true };
        let call = Admitting::of_shared(edge, route, *client, places.lease());
        let admitted = call.check(platform).await;
        *charged = admitted.charged;
        admitted.admission.refusal().is_none()
    }

    /// Gives back what was paid: no call is made here, and the request was answered from the cache.
    pub(crate) fn give_back(self, edge: &Rc<Edge>, platform: &P) {
        let (client, lease, charged) = match self {
            Self::Free => return,
            Self::Due(client, places, charged) => (client, places.lease(), charged),
            Self::Paid(client, lease, charged) => (client, lease, charged),
        };
        shared::give_back(edge, platform, client, lease, charged, shared::Back::Hit);
    }
}

/// A request that the limits of its isolate let pass.
pub(crate) struct Admitting<'a> {
    edge: &'a Rc<Edge>,
    route: &'a Route,
    client: Client,
    lease: LeaseId,
    own: Admission,
    located: Vec<Named<'a>>,
    shared: Vec<Named<'a>>,
    /// Whether no shared limit has a say on what comes from the cache.
    pub(crate) spares_hits: bool,
}

impl<'a> Admitting<'a> {
    /// Counts the request under the limits of this isolate, and recalls refusals.
    ///
    /// # Errors
    /// With the refusal.
    pub(crate) fn begin(
        edge: &'a Rc<Edge>,
        route: &'a Route,
        client: Client,
        lease: LeaseId,
        may_hit: bool,
        now: Timestamp,
    ) -> Result<Self, Admitted> {
        let now = edge.steady(now);
        let (mut here, mut located, mut shared) = (Vec::new(), Vec::new(), Vec::new());
        for (id, limit) in edge.policy.limits_of(route) {
            let group = match limit.scope {
                Scope::Isolate => &mut here,
                Scope::Location => &mut located,
                Scope::Shared { .. } => &mut shared,
            };
            group.push((id, limit));
        }
        let own = own::count(edge, client, lease, &here, now);
        if own.refusal().is_some() {
            return Err(Admitted::here(own, Source::Isolate));
        }
        let spares_hits = may_hit && shared.iter().all(|(_, limit)| limit.hit_cost == 0);
        let admitting = Self { edge, route, client, lease, own, located, shared, spares_hits };
        match admitting.remembered(now) {
            Some(refusal) if !spares_hits => Err(refusal),
            _ => Ok(admitting),
        }
    }

    /// The shared limits of a route alone.
    fn of_shared(edge: &'a Rc<Edge>, route: &'a Route, client: Client, lease: LeaseId) -> Self {
        let is_shared = |(_, limit): &Named<'_>| matches!(limit.scope, Scope::Shared { .. });
        let shared = edge.policy.limits_of(route).filter(is_shared).collect();
        Self { edge, route, client, lease, own: Admission::default(), located: Vec::new(), shared, spares_hits: false }
    }

    /// Counts the request at this location. Does not wait where no limit is counted there.
    ///
    /// # Errors
    /// With the refusal.
    pub(crate) async fn count_at_location<P: Platform>(&mut self, platform: &P) -> Result<(), Admitted> {
        if self.located.is_empty() {
            return Ok(());
        }
        let (edge, client, lease) = (self.edge, self.client, self.lease);
        let counted = own::count_at_location(edge, platform, client, lease, &self.located).await;
        let refused = counted.refusal().is_some();
        self.own.extend(counted);
        if refused {
            return Err(Admitted::here(self.own.clone(), Source::Location));
        }
        Ok(())
    }

    /// Who is counted.
    pub(crate) const fn client(&self) -> Client {
        self.client
    }

    /// What is known without the shared limits, for a request that costs them nothing.
    pub(crate) fn spared(&self, now: Timestamp) -> Admitted {
        Admitted::here(self.standing(self.edge.steady(now)), Source::Isolate)
    }

    /// Asks the shared limits, as far as they have to be asked before it is known what the cache has.
    pub(crate) async fn check<P: Platform>(&self, platform: &P) -> Admitted {
        if self.shared.is_empty() {
            let source = if self.located.is_empty() { Source::Isolate } else { Source::Location };
            return Admitted::here(self.own.clone(), source);
        }
        let now = self.edge.steady(platform.now());
        if let Some(refusal) = self.remembered(now) {
            return refusal;
        }
        if self.spares_hits && self.is_at_hand(now) {
            return Admitted { later: true, ..Admitted::here(self.standing(now), Source::Held) };
        }
        self.decide(platform).await
    }

    /// Whether the cache may answer before the shared limits have.
    pub(crate) fn may_come_later(&self) -> bool {
        self.spares_hits && !self.shared.is_empty()
    }

    /// [`Admitting::check`], for a request that may be answered before it ends.
    pub(crate) fn check_aside<P: Platform>(&self, platform: &P) -> impl Future<Output = Admitted> + 'static {
        let (edge, host) = (Rc::clone(self.edge), platform.clone());
        let Self { route, client, lease, spares_hits, ref own, .. } = *self;
        let own = own.clone();
        let place = edge.policy.routes().iter().position(|known| core::ptr::eq(known, route));
        async move {
            let Some(route) = place.and_then(|place| edge.policy.routes().get(place)) else {
                // A route is always one of the policy's.
                return Admitted::here(own, Source::Isolate);
            };
            Admitting { own, spares_hits, ..Admitting::of_shared(&edge, route, client, lease) }.check(&host).await
        }
    }

    /// Gives back what `checking` is charged, once it has ended: the cache had the answer before.
    pub(crate) fn was_hit<P: Platform>(&self, platform: &P, checking: impl Future<Output = Admitted> + 'static) {
        let (edge, host) = (Rc::clone(self.edge), platform.clone());
        let (client, lease) = (self.client, self.lease);
        platform.spawn(async move {
            let charged = checking.await.charged;
            shared::give_back(&edge, &host, client, lease, charged, shared::Back::Hit);
        });
    }

    /// Charges what [`Admitting::check`] left for later, because the cache has no answer.
    pub(crate) async fn missed<P: Platform>(&self, platform: &P, admitted: Admitted) -> Admitted {
        if admitted.later { self.decide(platform).await } else { admitted }
    }

    /// What a refresh costs that this request leads to.
    pub(crate) fn fare<P: Platform>(&self, platform: &P, admitted: &mut Admitted) -> Fare<P> {
        if admitted.later {
            Fare::due(self.edge, platform, self.route, self.client)
        } else {
            Fare::Paid(self.client, self.lease, core::mem::take(&mut admitted.charged))
        }
    }

    /// Gives back what a request costs less because the cache had its answer. What the fields say follows.
    pub(crate) fn hit<P: Platform>(&self, platform: &P, admitted: &mut Admitted) {
        let charged = core::mem::take(&mut admitted.charged);
        self.credit(&mut admitted.admission, &charged, shared::Back::Hit);
        self.give_back(platform, charged, shared::Back::Hit);
    }
}
