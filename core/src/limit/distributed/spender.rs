//! One key in one isolate.

mod demand;
mod explain;

use core::time::Duration;

use super::rate::Rate;
use super::{Account, Answer, Ask, Mode, Terms};
use crate::limit::{Decision, Quota, Ruling, Tat};
use crate::time::{Timestamp, nanos};
use demand::Demand;

/// What an isolate knows and holds of one key: a plain value of fixed size, for a
/// [`KeyTable`](crate::limit::table::KeyTable).
///
/// A host calls [`Spender::spend`] for each request and does what the [`Step`] says. An ask that is not answered
/// may be sent again as it is.
///
/// # When the clock steps back
///
/// What is held is given up, because nobody can say when it expires; the authority frees it when its time is
/// over. Nothing more is admitted than without the step. Times never leave the isolate, so `now` may come from any
/// clock, and one that never steps is best: a step that is shorter than the silence before it cannot be seen, and
/// units are then held for so much longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spender {
    born: u64,
    seq: u64,
    /// The latest time that was seen.
    clock: Timestamp,
    /// Until then requests are refused without asking.
    denied_until: Timestamp,
    /// Whether the authority's newest word was that there is too little: then one ask is under way at a time, and nothing
    /// is asked for before `denied_until`.
    short: bool,
    /// When the authority says that there is room again.
    room_at: Timestamp,
    /// The ask with an account that is under way.
    asked: Option<Asked>,
    demand: Demand,
    held: u32,
    /// What was held when the newest grant had arrived: by how much the authority lets this spender run ahead.
    lot: u32,
    expires: Timestamp,
    /// About how long an answer takes.
    trip: Duration,
    /// The newest ask whose grant arrived.
    acked: u64,
    /// All that was spent without asking.
    total: u64,
    /// The part of it that no answer has confirmed.
    unsynced: u32,
    /// When all that the key owes is earned back, as far as known here; what is held counts as owed.
    view: Timestamp,
    synced: Timestamp,
    /// What was counted here while the authority did not answer.
    alone: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    seq: u64,
    at: Timestamp,
    total: u64,
}

/// What to do with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// Let it pass.
    Allow {
        /// To be sent without anyone waiting; its answer goes to [`Spender::answer`].
        tell: Option<Ask>,
    },
    /// Refuse it.
    Deny {
        /// When there is room again, as far as the authority said.
        retry_after: Duration,
    },
    /// Refuse it for good: the cost is above the burst.
    Never,
    /// Send this, and let [`Spender::answer`] or [`Spender::unreachable`] decide.
    Ask(Ask),
}

impl Spender {
    /// A spender of a key that this isolate has not served, or has forgotten.
    ///
    /// `now` tells it apart from an earlier one of the same isolate and key.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        let born = now.as_unix_nanos();
        Self { born, seq: born, clock: now, ..Self::default() }
    }

    /// When this spender is worth nothing any more, and a table may drop it: what it holds has expired, no refusal
    /// is remembered, and everything is told. Dropped earlier, what it holds is lost until then.
    #[must_use]
    pub fn expires(&self, terms: &Terms, now: Timestamp) -> Timestamp {
        let memory = match terms.mode() {
            Mode::Exact => Duration::from_secs(1),
            Mode::Lease { ttl, .. } => *ttl * 4,
            Mode::Async { sync_every, .. } => *sync_every * 4,
        };
        let kept = self.expires.max(self.denied_until).max(self.view).max(self.alone);
        kept.max(now.after(memory))
    }

    /// Decides on a request that costs `cost` in isolate `isolate`, at `now`.
    pub fn spend(&mut self, terms: &Terms, isolate: u64, cost: u32, now: Timestamp) -> Step {
        self.look_at_clock(now);
        if cost > terms.quota().burst().get() {
            return Step::Never;
        }
        match *terms.mode() {
            Mode::Exact => {}
            Mode::Lease { ttl, .. } => {
                self.demand.add(cost, ttl, now);
                if now < self.expires && self.held >= cost {
                    self.held -= cost;
                    return Step::Allow { tell: self.renew(terms, isolate, ttl, now) };
                }
            }
            Mode::Async { unsynced_max, sync_every } => {
                let rate = Rate::of(terms.quota());
                let owed = nanos(self.view.since(now));
                let fits = self.unsynced.saturating_add(cost) <= unsynced_max && rate.wait_ns(owed, cost) == 0;
                if fits && now >= self.denied_until {
                    self.view = now.after(Duration::from_nanos(owed.saturating_add(rate.worth(u64::from(cost)))));
                    self.total += u64::from(cost);
                    self.unsynced += cost;
                    if self.unsynced == cost {
                        self.synced = self.synced.max(now);
                    }
                    let many = u64::from(self.unsynced) * 2 >= u64::from(unsynced_max);
                    let tells = (many || now >= self.synced.after(sync_every)) && !self.waits(terms, now);
                    return Step::Allow { tell: tells.then(|| self.ask(terms, isolate, 0, now)) };
                }
            }
        }
        self.ask_or_deny(terms, isolate, cost, now)
    }

    /// Decides on a request that the authority is asked about anyway, because of another limit that it meets: never
    /// [`Step::Allow`]. What is held stays held.
    pub fn spend_there(&mut self, terms: &Terms, isolate: u64, cost: u32, now: Timestamp) -> Step {
        self.look_at_clock(now);
        if cost > terms.quota().burst().get() {
            return Step::Never;
        }
        if let Mode::Lease { ttl, .. } = *terms.mode() {
            self.demand.add(cost, ttl, now);
        }
        self.ask_or_deny(terms, isolate, cost, now)
    }

    /// Takes back `units` that [`Spender::spend`] allowed here and that were not needed after all. What was held until a
    /// lease that has ended since is lost with it.
    pub fn refund(&mut self, terms: &Terms, units: u32, now: Timestamp) {
        self.look_at_clock(now);
        match terms.mode() {
            Mode::Exact => {}
            Mode::Lease { .. } => {
                self.held = self.held_at(now).saturating_add(if now < self.expires { units } else { 0 })
            }
            Mode::Async { .. } => {
                // Of what was told already, as much is told less by what comes next.
                self.total = self.total.saturating_sub(u64::from(units));
                self.unsynced = self.unsynced.saturating_sub(units);
                let owed = nanos(self.view.since(now)).saturating_sub(Rate::of(terms.quota()).worth(u64::from(units)));
                self.view = now.after(Duration::from_nanos(owed));
            }
        }
    }

    /// How many units could be spent here at `now`, as far as known, and how long until everything spent is earned
    /// back: for response fields.
    #[must_use]
    pub fn standing(&self, terms: &Terms, now: Timestamp) -> (u32, Duration) {
        let debt = self.view.since(now);
        let left = Rate::of(terms.quota()).remaining(nanos(debt)).saturating_add(self.held_at(now));
        (left.min(terms.quota().burst().get()), debt)
    }

    /// Takes the authority's answer at `now`, and says what becomes of the request that waited for it, if one did.
    /// An answer that comes twice, or too late, changes nothing.
    ///
    /// `random` is any number the host draws; it spreads the moments at which refused isolates ask again.
    pub fn answer(&mut self, terms: &Terms, answer: &Answer, now: Timestamp, random: u32) -> Ruling {
        self.look_at_clock(now);
        let rate = Rate::of(terms.quota());
        let left = rate.remaining(nanos(answer.debt));
        if !matches!(terms.mode(), Mode::Async { .. }) {
            self.view = now.after(answer.debt);
        }
        if let Some(asked) = self.asked.take_if(|asked| asked.seq == answer.seq)
            && let Some(holding) = answer.holding
        {
            self.trip = (self.trip + now.since(asked.at)) / 2;
            match *terms.mode() {
                Mode::Exact => {}
                Mode::Lease { ttl, .. } => {
                    // The authority's time began after the ask left, so it ends later than here.
                    let expires = asked.at.after(ttl);
                    if now < expires {
                        self.acked = asked.seq;
                        self.held = self.held_at(now).min(holding.kept).saturating_add(holding.granted);
                        self.lot = self.held;
                        self.expires = expires;
                    }
                    // It got all that could be had, and that is no half of what it needs.
                    let patience = self.patience(terms);
                    self.short = patience.is_some() && left == 0 && self.held < self.demand.wanted() / 2;
                    if self.short {
                        self.denied_until = now.after(hold(terms, Duration::ZERO, patience, random));
                    }
                }
                Mode::Async { .. } => {
                    // What was spent since the ask left is still to be told.
                    self.unsynced = u32::try_from(self.total.saturating_sub(asked.total)).unwrap_or(u32::MAX);
                    let untold = rate.worth(u64::from(self.unsynced));
                    self.view = now.after(answer.debt.saturating_add(Duration::from_nanos(untold)));
                    self.synced = now;
                }
            }
        }
        // An ask that came again after many others is refused though there is room: that says nothing of the next one.
        let again = |retry_after| answer.holding.is_none() && left > 0 && nanos(retry_after) == rate.interval_ns;
        if let Ruling::Deny { retry_after } = answer.ruling
            && !again(retry_after)
        {
            self.room_at = now.after(retry_after);
            let patience = self.patience(terms);
            self.denied_until = now.after(hold(terms, retry_after, patience, random));
            self.short = patience.is_some();
        }
        answer.ruling
    }

    /// Decides on a request that costs `cost`, because the authority did not answer: under `share`, which is
    /// [`Terms::share`] or anything narrower.
    pub fn unreachable(&mut self, share: &Quota, cost: u32, now: Timestamp) -> Ruling {
        self.look_at_clock(now);
        match share.decide(Some(Tat::from_unix_nanos(self.alone.as_unix_nanos())), now, cost.min(share.burst().get())) {
            Decision::Allow { next } => {
                self.alone = next.expires();
                Ruling::Allow
            }
            Decision::Deny { retry_after } => Ruling::Deny { retry_after },
            Decision::Never => Ruling::Never,
        }
    }

    /// Hears that the ask with this number got no answer: what the authority said before it went away counts for nothing, so
    /// each request is decided as its policy says until it is back.
    pub fn lost(&mut self, seq: u64) {
        self.asked.take_if(|asked| asked.seq == seq);
        self.short = false;
    }

    /// What to send before this spender is dropped or the isolate stops: what it holds goes back, and what it spent
    /// is told. `None` when there is nothing to say.
    pub fn close(&mut self, terms: &Terms, isolate: u64, now: Timestamp) -> Option<Ask> {
        self.look_at_clock(now);
        match terms.mode() {
            Mode::Exact => None,
            Mode::Lease { .. } => {
                let returned = self.held_at(now);
                self.held = 0;
                let account = Account::Lease { want: 0, kept: 0, returned, acked: self.acked };
                (returned > 0).then(|| self.ask_with(isolate, 0, account, now))
            }
            Mode::Async { .. } => (self.unsynced > 0).then(|| {
                let account = Account::Async { total: self.total, unsynced: self.unsynced };
                self.ask_with(isolate, 0, account, now)
            }),
        }
    }

    fn ask_or_deny(&mut self, terms: &Terms, isolate: u64, cost: u32, now: Timestamp) -> Step {
        if now < self.denied_until {
            return Step::Deny { retry_after: self.room_at.max(self.denied_until).since(now) };
        }
        if self.short && self.waits(terms, now) {
            let soon = Duration::from_nanos(Rate::of(terms.quota()).interval_ns);
            return Step::Deny { retry_after: self.trip.max(soon) };
        }
        Step::Ask(self.ask(terms, isolate, cost, now))
    }

    /// Asks for more to hold before it runs out or expires, and gives back what is not needed.
    ///
    /// It runs out when the rest of the last grant lasts no longer than [`TRIPS`] answers take. Measured by the grant and not by
    /// what is wanted: where all together want more than may be held, nobody ever has what it wants.
    fn renew(&mut self, terms: &Terms, isolate: u64, ttl: Duration, now: Timestamp) -> Option<Ask> {
        let wanted = self.demand.wanted();
        let meanwhile = TRIPS * u128::from(wanted) * self.trip.as_nanos() / ttl.as_nanos().max(1);
        let low = self.lot > 0 && u128::from(self.held) <= meanwhile.max(u128::from(self.lot / 4));
        let old = self.expires.since(now) < ttl / 4;
        let nothing_there = self.short && now < self.denied_until;
        if nothing_there || !(low || old && self.held.max(wanted) > 0) || self.waits(terms, now) {
            return None;
        }
        let kept = self.held.min(wanted);
        let returned = self.held - kept;
        self.held = kept;
        let account = Account::Lease { want: wanted - kept, kept, returned, acked: self.acked };
        Some(self.ask_with(isolate, 0, account, now))
    }

    /// Asks for `spend` units, and says what else there is to say, unless an answer to that is still awaited.
    fn ask(&mut self, terms: &Terms, isolate: u64, spend: u32, now: Timestamp) -> Ask {
        let account = match terms.mode() {
            _ if self.waits(terms, now) => Account::None,
            Mode::Exact => Account::None,
            Mode::Lease { .. } => {
                let kept = self.held_at(now);
                let want = self.demand.wanted().saturating_sub(spend).saturating_sub(kept);
                Account::Lease { want, kept, returned: 0, acked: self.acked }
            }
            Mode::Async { .. } => Account::Async { total: self.total, unsynced: self.unsynced },
        };
        self.ask_with(isolate, spend, account, now)
    }

    fn ask_with(&mut self, isolate: u64, spend: u32, account: Account, now: Timestamp) -> Ask {
        self.seq += 1;
        if account != Account::None {
            self.asked = Some(Asked { seq: self.seq, at: now, total: self.total });
        }
        Ask { isolate, born: self.born, seq: self.seq, spend, account }
    }

    /// Whether the answer to an account may still come.
    fn waits(&self, terms: &Terms, now: Timestamp) -> bool {
        let patience = match terms.mode() {
            Mode::Exact => Duration::ZERO,
            Mode::Lease { ttl, .. } => PATIENCE.min(*ttl / 2),
            Mode::Async { .. } => PATIENCE,
        };
        self.asked.is_some_and(|asked| now < asked.at.after(patience))
    }

    /// For how long this isolate may leave alone an authority that has too little, so that what is earned meanwhile fits into
    /// the burst although only half of what is there is granted at a time. `None` where the burst is earned before an
    /// answer comes.
    fn patience(&self, terms: &Terms) -> Option<Duration> {
        let Mode::Lease { outstanding_max: 1.., ttl } = *terms.mode() else { return None };
        let refill = Duration::from_nanos(Rate::of(terms.quota()).refill_ns);
        let patience = (refill / 2).saturating_sub(self.trip).min(ttl / 2);
        (patience > self.trip).then_some(patience)
    }

    fn held_at(&self, now: Timestamp) -> u32 {
        if now < self.expires { self.held } else { 0 }
    }

    /// Gives up, when the clock steps back, what cannot be timed any more.
    fn look_at_clock(&mut self, now: Timestamp) {
        if now < self.clock {
            (self.held, self.expires, self.asked) = (0, Timestamp::UNIX_EPOCH, None);
            self.denied_until = self.denied_until.min(now);
            self.synced = self.synced.min(now);
        }
        self.clock = now;
    }
}

/// For how long a refusal is remembered without asking again.
///
/// Where isolates may return units there can be room before the authority's word, so a refusal is remembered for a
/// part of a lease at most, and not for the same part by all: with `patience`, for half of that at least, so that what is
/// earned comes in pieces that are worth an ask.
fn hold(terms: &Terms, retry_after: Duration, patience: Option<Duration>, random: u32) -> Duration {
    match *terms.mode() {
        Mode::Lease { outstanding_max: 1.., ttl } => {
            let most = patience.unwrap_or(ttl / 2);
            let least = retry_after.max(patience.unwrap_or_default() / 2).min(ttl / 2);
            let later = (u128::from(nanos(most.saturating_sub(least))) * u128::from(random)) >> 32;
            least + Duration::from_nanos(later as u64)
        }
        Mode::Async { unsynced_max: 1.., .. } => retry_after.min(DENIED_ASYNC_MAX),
        Mode::Exact | Mode::Lease { .. } | Mode::Async { .. } => retry_after,
    }
}

/// How long an isolate in [`Mode::Async`] refuses by itself: what others will tell is unknown, so it asks again
/// soon.
pub const DENIED_ASYNC_MAX: Duration = Duration::from_millis(100);

/// After this an ask counts as lost: answers from far away take a third of it.
const PATIENCE: Duration = Duration::from_millis(500);

/// An answer may take so many times as long as most do before an isolate runs dry and asks for each request.
const TRIPS: u128 = 2;
