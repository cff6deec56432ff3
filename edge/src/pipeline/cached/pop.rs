//! What the isolates of one place share: a call that one of them makes.

use alloc::rc::Rc;
use core::time::Duration;

use seawall_core::cache::{
    CollapseScope,
    collapse::{Collapse, Joiner, Landing, Role, Ticket},
    key::CacheKey,
};

use crate::{
    Platform,
    answer::Answer,
    limits::{POP_FOLLOWERS_MAX, POP_LOOKS_MAX, POP_MARGIN, UNCOLLAPSED_FOR},
    message::Request,
    pop,
};

use super::{Cached, Needed, Step, collapse::collapsed};

/// Who leads a call: in this isolate, and in its whole place where the policy and the host have it so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lead {
    /// The name of the call.
    pub(super) flight: CacheKey,
    pub(super) here: Ticket,
    pub(super) pop: Option<Ticket>,
}

/// What becomes of a request whose isolate makes no other call for its key.
pub(super) enum Gathered<P: Platform> {
    /// Another isolate's call has answered it.
    Answer(Answer<P>),
    /// It makes the call, for the whole place if it has a ticket.
    Call(Needed<P>, Option<Ticket>),
}

impl<P: Platform> Cached<'_, P> {
    /// Whether calls for this key are shared with other isolates.
    pub(super) fn is_gathered(&self) -> bool {
        self.options.collapse == CollapseScope::Pop && self.platform.has_pop()
    }

    /// Takes the lead for this key in the whole place, or waits for the isolate that has it and looks what it stored. When
    /// the wait is over, when the response cannot be shared, or when nobody knows who leads, the request goes by itself.
    pub(super) async fn gather(&self, mut needed: Needed<P>, request: &Request<P>) -> Gathered<P> {
        if !self.is_gathered() || !needed.collapse {
            return Gathered::Call(needed, None);
        }
        let reason = needed.reason;
        let mut joiner = self.joiner(false);
        let flight = self.flight(&needed);
        for look in 0..POP_LOOKS_MAX {
            match pop::join(self.edge, self.platform, &flight, joiner, self.gathering()).await {
                Ok(Role::Lead(ticket)) => return Gathered::Call(needed, Some(ticket)),
                Ok(Role::Follow { wait }) => {
                    let since = self.platform.now();
                    self.platform.sleep(pop::pause(look).min(wait)).await;
                    joiner.waited = joiner.waited.saturating_add(self.platform.now().since(since));
                }
                Ok(Role::Alone(_) | Role::Stale) | Err(pop::Away) => break,
            }
            let found = self.look_up(request).await;
            needed = match self.usable(found, request) {
                Step::Answer(mut answer) | Step::Stale(mut answer, _) => {
                    answer.cache = collapsed(reason, Some(answer.response.status), None);
                    return Gathered::Answer(answer);
                }
                Step::Fetch(needed) => needed,
            };
        }
        Gathered::Call(needed, None)
    }

    /// The right to refresh what is stored: the ticket of the whole place where calls are shared there. `None` when another
    /// isolate does it.
    pub(super) async fn gather_refresh(&self, flight: &CacheKey) -> Option<Option<Ticket>> {
        if !self.is_gathered() {
            return Some(None);
        }
        match pop::join(self.edge, self.platform, flight, self.joiner(true), self.gathering()).await {
            Ok(Role::Lead(ticket)) => Some(Some(ticket)),
            Ok(Role::Alone(_)) | Err(pop::Away) => Some(None),
            Ok(Role::Stale | Role::Follow { .. }) => None,
        }
    }

    /// Tells the place how a lead ended, without anyone waiting.
    pub(super) fn land_there(&self, flight: CacheKey, ticket: Ticket, landing: Landing) {
        let (edge, platform) = (Rc::clone(&self.edge.edge), self.platform.clone());
        let collapse = self.gathering();
        self.platform.spawn(async move {
            pop::land(&edge, &platform, &flight, (ticket, landing), collapse).await;
        });
    }

    fn joiner(&self, has_stale: bool) -> Joiner {
        let id = u128::from(self.edge.isolate) << 64 | u128::from(self.edge.next_question());
        Joiner { has_stale, waited: Duration::ZERO, id: Some(id) }
    }

    /// A lead is lost soon after its call must have ended, and who waited for it leads next.
    fn gathering(&self) -> Collapse {
        let lease = self.edge.policy.upstream_of(self.route).deadline.saturating_add(POP_MARGIN);
        Collapse { lease, wait: lease, followers_max: POP_FOLLOWERS_MAX, uncacheable_for: UNCOLLAPSED_FOR }
    }
}
