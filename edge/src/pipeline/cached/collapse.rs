//! What requests for one URL share: a call that one of them makes, and its failure.

use core::time::Duration;

use futures_channel::oneshot;
use seawall_core::{
    cache::{
        CacheStatus, Content, ForwardReason, Metadata,
        collapse::{Collapse, Joiner, Landed, Landing, Role, Ticket},
        judge::OnError,
        key::CacheKey,
    },
    time::Timestamp,
};

use crate::{
    Platform,
    answer::Answer,
    failure::{CallFailure, Remembered},
    guard::Unavailable,
    landings::Moment,
    limits::{FAILURE_REMEMBERED_FOR, FLIGHT_MARGIN, FOLLOWERS_MAX, PART_UNCOLLAPSED_FOR, UNCOLLAPSED_FOR},
    message::Request,
    platform::FetchError,
};

use super::{
    Cached, Needed, Patience,
    pop::{Gathered, Lead},
    range, unavailable_answer,
};

impl<P: Platform> Cached<'_, P> {
    /// Calls in work of its own: a visitor who leaves, or whose patience ends, takes nothing from those who wait. Without a
    /// ticket nobody else waits for it.
    pub(super) async fn lead(
        &self,
        needed: Needed<P>,
        request: Request<P>,
        ticket: Option<Ticket>,
        patience: Option<Patience>,
    ) -> Answer<P> {
        let (reason, flight) = (needed.reason, self.flight(&needed));
        let (sender, mut receiver) = oneshot::channel();
        let detached = self.detached(self.conditions.clone());
        let asked = patience.map(|_| request.again(&request.method));
        self.platform.spawn(async move {
            let cached = detached.cached();
            let lead = |pop| ticket.map(|here| Lead { flight, here, pop });
            let gathered = match ticket {
                Some(_) => cached.gather(needed, &request).await,
                None => Gathered::Call(needed, None),
            };
            let answer = match gathered {
                Gathered::Call(needed, pop) => cached.fetch(needed, request, lead(pop)).await,
                Gathered::Answer(answer) => {
                    cached.land(lead(None), Landing::Open);
                    answer
                }
            };
            // Nobody listens when the visitor has left; what may be stored is stored all the same.
            let _ = sender.send(answer);
        });
        if let Some((asked, patience)) = asked.zip(patience)
            && let Some(answer) = self.out_of_patience(&asked, &flight, patience, &mut receiver).await
        {
            return answer;
        }
        match receiver.await {
            Ok(answer) => answer,
            // The host ended the work that it had promised to go on with.
            Err(oneshot::Canceled) => {
                unavailable_answer(self.platform, Unavailable::Failed(FetchError::Unreachable), reason)
            }
        }
    }

    /// What a request gets whose leader failed: what it found stored, or the same failure.
    pub(super) fn share_failure(&self, needed: Needed<P>, request: &Request<P>, failure: CallFailure) -> Answer<P> {
        let (unavailable, status) = match failure {
            CallFailure::Unavailable(unavailable) => (unavailable, None),
            CallFailure::Status(status) => (Unavailable::Failed(FetchError::Unreachable), Some(status)),
        };
        let cache = collapsed(needed.reason, status, Some(failure.as_str()));
        let reason = needed.reason;
        let found = needed.found.filter(|_| needed.on_error == OnError::Serve);
        if let Some(answer) = found.and_then(|found| self.stand_in(*found, request, failure)) {
            return answer;
        }
        Answer { cache, ..unavailable_answer(self.platform, unavailable, reason) }
    }

    /// The failure of a call that ended at or after `since`.
    pub(super) fn failure_since(&self, flight: &CacheKey, since: Timestamp) -> Option<CallFailure> {
        let remembered = self.edge.state.borrow().failures.get(flight.low_bits(), self.platform.now())?;
        (remembered.at >= since).then_some(remembered.failure)
    }

    /// Ends the lead of a call that failed, and lets those who waited for it know.
    pub(super) fn land_failed(&self, lead: Option<Lead>, failure: CallFailure) {
        if let Some(lead) = lead {
            let now = self.platform.now();
            let expires = now.after(FAILURE_REMEMBERED_FOR);
            let remembered = Remembered { at: now, failure };
            self.edge.state.borrow_mut().failures.put(lead.flight.low_bits(), remembered, expires, now);
        }
        self.land(lead, Landing::Open);
    }

    /// The name of the call that a request needs: that of the response, and of a part of it one of its own, so that nobody
    /// waits for other bytes than it wants. Calls that are not shared, such as those of HEAD, have one name too: by it one
    /// that hangs is known, and says nothing of the others.
    pub(super) fn flight(&self, needed: &Needed<P>) -> CacheKey {
        match &needed.portion {
            _ if !needed.collapse => self.key.part(UNSHARED),
            Some(portion) => self.key.part(portion.range.as_bytes()),
            None => self.key,
        }
    }

    /// The name of the call that refreshes what is stored: that of the response, and of a part of it the name that a request
    /// for that part has.
    pub(super) fn refreshed_as(&self, stored: &Metadata) -> CacheKey {
        match stored.content {
            Content::Part { first, last, .. } => self.key.part(range(first, last).as_bytes()),
            Content::Whole { .. } => self.key,
        }
    }

    /// A moment among the ends of calls.
    pub(in super::super) fn moment(&self) -> Moment {
        self.edge.state.borrow().landings.moment()
    }

    /// Whether this call has ended since.
    pub(super) fn landed_since(&self, flight: &CacheKey, moment: Moment) -> bool {
        self.edge.state.borrow().landings.landed_since(moment, flight, self.platform.now())
    }

    /// Takes the lead for this call, or learns who has it: who `has_stale` to give at once does not follow it.
    pub(super) fn join(&self, flight: &CacheKey, waited: Duration, has_stale: bool) -> Role {
        let joiner = Joiner { has_stale, waited, id: None };
        let (now, collapse) = (self.platform.now(), self.collapse());
        self.edge.state.borrow_mut().flights.join(flight, joiner, now, &collapse)
    }

    pub(super) fn land(&self, lead: Option<Lead>, landing: Landing) {
        let Some(Lead { flight, here: ticket, pop }) = lead else { return };
        let (now, mut collapse) = (self.platform.now(), self.collapse());
        let is_part = flight != self.key;
        if is_part {
            collapse.uncacheable_for = PART_UNCOLLAPSED_FOR;
        }
        if let Some(ticket) = pop {
            self.land_there(flight, ticket, if is_part { Landing::Open } else { landing });
        }
        let landed = {
            let state = &mut *self.edge.state.borrow_mut();
            // What cannot be shared is worth no second look.
            if landing == Landing::Open {
                state.landings.land(&flight, now);
            }
            state.flights.land(&flight, ticket, landing, now, &collapse)
        };
        if landed == Landed::Ended {
            self.platform.wake(&flight);
        }
    }

    fn collapse(&self) -> Collapse {
        let deadline = self.edge.policy.upstream_of(self.route).deadline;
        // Who waits for another isolate first may have a call of its own to make after that.
        let deadline = if self.is_gathered() { deadline.saturating_mul(2) } else { deadline };
        let lease = deadline.saturating_add(FLIGHT_MARGIN);
        Collapse {
            lease,
            // As long as a leader may take: who waits for one that was lost leads next.
            wait: lease,
            followers_max: FOLLOWERS_MAX,
            uncacheable_for: UNCOLLAPSED_FOR,
        }
    }
}

/// What stands in a name where a part has its range, which begins with a unit.
const UNSHARED: &[u8] = b"";

/// The status of a request that another one's call answered.
pub(super) const fn collapsed(reason: ForwardReason, status: Option<u16>, detail: Option<&'static str>) -> CacheStatus {
    CacheStatus::Forward { reason, status, stored: false, collapsed: true, detail }
}
