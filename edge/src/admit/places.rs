//! Places that are held while a request runs.

use alloc::{rc::Rc, vec::Vec};

use seawall_core::{
    limit::{LeaseId, LimitId, Spend},
    policy::Route,
};

use crate::{Edge, Platform, authority::is_held, client::Client};

use super::shared::{Back, Charged, give_back};

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
        if self.limits.is_empty() {
            return;
        }
        let Self { edge, client, lease, .. } = &*self;
        let now = edge.steady(self.platform.now());
        let mut charged = Charged::nothing();
        for id in &self.limits {
            let Some(limit) = edge.policy.limit(*id) else { continue };
            let (algorithm, key) = (&limit.algorithm, client.key(*id));
            let mut state = edge.state.borrow_mut();
            if let Some(stored) = state.counters.get(algorithm, key, now) {
                let next = algorithm.refund(Some(&stored), now, &Spend::new(limit.cost, key).with_lease(*lease));
                state.counters.put(key, &next, algorithm.expires(&next), now);
            }
            charged.note(*id, limit.scope);
        }
        give_back(edge, &self.platform, *client, *lease, charged, Back::All);
    }
}
