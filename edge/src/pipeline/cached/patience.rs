//! How long a request waits for an origin that does not answer, where something stored may stand in.
//!
//! A call that hangs ends with its upstream's deadline, which is long: for most requests there is nothing better than to
//! wait. Who can be given an older page waits for the upstream's patience only, and for nothing where it is known that the
//! call for the page takes longer, or that the upstream has been silent for some calls, or is being probed. The call goes on
//! in the background, and is the probe.

use core::{pin::pin, time::Duration};

use futures_channel::oneshot;
use futures_util::future::{Either, select};
use seawall_core::{
    breaker::State,
    cache::{ForwardReason, decide::stand_in, judge::OnError, key::CacheKey},
};

use crate::{
    Platform,
    answer::Answer,
    failure::CallFailure,
    guard::Unavailable,
    limits::{FLIGHT_MARGIN, SLOW_REMEMBERED_FOR},
    message::Request,
    platform::FetchError,
};

use super::{Cached, Needed, Step, call::Called};

/// How long a request waits for a call, and what the call is to it then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) time: Duration,
    pub(super) then: CallFailure,
}

impl<P: Platform> Cached<'_, P> {
    /// `None` where nothing may stand in, and the request waits for as long as the call takes: so too where the client itself
    /// wants the origin asked (RFC 9111 §5.2.1.4), who gets what is stored when that has failed.
    pub(super) fn patience(&self, needed: &Needed<P>, request: &Request<P>, flight: &CacheKey) -> Option<Patience> {
        let found = needed.found.as_ref().filter(|_| needed.on_error == OnError::Serve)?;
        if needed.reason == ForwardReason::Request {
            return None;
        }
        let (state, now) = (self.edge.state.borrow(), self.platform.now());
        stand_in(&self.ask(request.target(), &state.purges), &found.metadata, &self.options)?;
        let which = usize::from(self.route.upstream.0);
        let slow = Unavailable::Failed(FetchError::Timeout);
        // An open one refuses the call at once, and says so itself.
        let is_probed = state.breakers[which].state(now) == State::HalfOpen;
        let outlived = |call: &CacheKey| state.slow.get(call.low_bits(), now).is_some();
        // HEAD is answered no sooner than GET.
        let is_slow =
            state.silences[which].is_known(now) || outlived(flight) || (!needed.collapse && outlived(&self.key));
        let (time, then) = if is_probed {
            (Duration::ZERO, Unavailable::Open { retry_after: Duration::ZERO })
        } else if is_slow {
            (Duration::ZERO, slow)
        } else {
            (self.edge.policy.upstream_of(self.route).patience, slow)
        };
        Some(Patience { time, then: CallFailure::Unavailable(then) })
    }

    /// Waits for the answer of a call, but no longer than he has patience: then what is stored stands in, if it is still there.
    /// `None` when the answer came first, or nothing stands in.
    pub(super) async fn out_of_patience(
        &self,
        asked: &Request<P>,
        flight: &CacheKey,
        patience: Patience,
        answer: &mut oneshot::Receiver<Answer<P>>,
    ) -> Option<Answer<P>> {
        let Patience { time, then } = patience;
        if !time.is_zero() {
            let sleeping = pin!(self.platform.sleep(time));
            if let Either::Left((came, _)) = select(&mut *answer, sleeping).await {
                return came.ok();
            }
        }
        self.note_slowness(flight, time);
        // What is there now may be something else, which may be served, or may not.
        match self.usable(self.look_up(asked).await, asked) {
            Step::Answer(answer) | Step::Stale(answer, _) => Some(answer),
            Step::Fetch(Needed { found: Some(found), on_error: OnError::Serve, .. }) => {
                self.stand_in(*found, asked, then)
            }
            Step::Fetch(_) => None,
        }
    }

    /// Whether a call that has ended was slower than the patience of who asked, who got something stored then; and is no more,
    /// if the origin has answered.
    pub(super) fn was_slow(&self, flight: &CacheKey, called: &Called<P>) -> bool {
        let (state, now) = (&mut *self.edge.state.borrow_mut(), self.platform.now());
        let was_slow = state.slow.get(flight.low_bits(), now).is_some();
        if was_slow && !matches!(called, Called::Failed { .. }) {
            state.slow.remove(flight.low_bits());
        }
        was_slow
    }

    /// Remembers that the call for a page outlived somebody's patience, if he had any.
    fn note_slowness(&self, flight: &CacheKey, patience: Duration) {
        let (state, now) = (&mut *self.edge.state.borrow_mut(), self.platform.now());
        // Until the call must have ended, at least.
        let lease = self.edge.policy.upstream_of(self.route).deadline.saturating_add(FLIGHT_MARGIN);
        state.slow.put(flight.low_bits(), now, now.after(lease.max(SLOW_REMEMBERED_FOR)), now);
        if !patience.is_zero() {
            state.silences[usize::from(self.route.upstream.0)].outlived(now);
        }
    }
}
