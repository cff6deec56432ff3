//! The authority of one key.

mod history;
mod needed;

use alloc::vec::Vec;
use core::time::Duration;

use super::rate::Rate;
use super::terms::SAVED_PARTS;
use super::{Account, Answer, Ask, Holding, Mode, Terms};
use crate::limit::Ruling;
use crate::time::Timestamp;
use history::{History, Known};
use needed::Needed;

/// What one key has spent, and who holds how much of it.
///
/// A state belongs to one [`Terms`]. A ledger that [`Ledger::is_idle`] says as much as none, so a host drops it.
///
/// # Cost
///
/// An ask finds its isolate in a sorted list of at most [`MEMBERS_MAX`]; when a lease has expired, and no more than
/// once for each, the list is walked. Each isolate that was heard lately takes about 400 bytes.
///
/// # When the clock steps back
///
/// What was spent stays spent, and leases are cut to their time from now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ledger {
    /// When everything charged is earned back, in nanoseconds since the Unix epoch.
    tat: u64,
    /// What was last written down of that.
    saved: u64,
    /// Sorted by isolate.
    members: Vec<Member>,
    /// The sum of what members hold.
    held: u32,
    /// What members need, all together.
    needed: Needed,
    /// No lease expires before that.
    expires_from: Timestamp,
    /// Nothing is granted to be held before that.
    grants_from: Timestamp,
    /// The latest time at which something was heard.
    heard: Timestamp,
    /// Counts asks: the clock by which the isolate that has been silent longest is found.
    asks: u64,
}

/// What the authority knows of one isolate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Member {
    isolate: u64,
    born: u64,
    history: History,
    /// The newest ask that carried an account; zero: none did.
    newest: u64,
    answer: Answer,
    last: u64,
    /// Units charged for this isolate, to be spent by it later.
    held: u32,
    /// The part of them that the newest grant brought.
    granted: u32,
    /// What it said that it needs to hold.
    need: u32,
    expires: Timestamp,
    /// What the isolate said that it spent without asking.
    total: u64,
}

/// Most isolates that are remembered for one key. Above it, the one that holds nothing and has been silent longest
/// is forgotten; when all hold something, a newcomer's requests are decided one by one.
pub const MEMBERS_MAX: usize = 1024;

/// What an ask led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Heard {
    /// What to answer.
    pub answer: Answer,
    /// What to write down before answering, so that a restart forgets little; `None` when what is written is
    /// good enough.
    pub save: Option<Snapshot>,
}

/// What a ledger writes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Snapshot(u64);

impl Snapshot {
    /// The snapshot as one number: nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn as_unix_nanos(self) -> u64 {
        self.0
    }

    /// The snapshot that was stored as `nanos`.
    #[must_use]
    pub const fn from_unix_nanos(nanos: u64) -> Self {
        Self(nanos)
    }
}

/// What an authority that starts anew knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Nothing: the key starts with a full burst. Forgives up to a burst.
    Cold,
    /// The last snapshot, as [`Heard::save`] asked for them. Forgives up to a quarter of a burst.
    Saved(Snapshot),
    /// The last snapshot, if there is one, and the worst is assumed of what came after it: a quarter of a burst
    /// is taken as spent, or all of it without a snapshot. Forgives nothing.
    Strict(Option<Snapshot>),
}

impl Ledger {
    /// The ledger of a key that was never seen.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The ledger of an authority that starts anew at `now`.
    ///
    /// Until every lease of its predecessor has expired it grants nothing to be held.
    #[must_use]
    pub fn resume(terms: &Terms, restart: Restart, now: Timestamp) -> Self {
        let refill_ns = Rate::of(terms.quota()).refill_ns;
        let tat = match restart {
            Restart::Cold => 0,
            Restart::Saved(Snapshot(tat)) => tat,
            Restart::Strict(Some(Snapshot(tat))) => {
                tat.max(now.as_unix_nanos()).saturating_add(refill_ns / SAVED_PARTS)
            }
            Restart::Strict(None) => now.as_unix_nanos().saturating_add(refill_ns),
        };
        let grants_from = match terms.mode() {
            Mode::Lease { ttl, .. } => now.after(*ttl),
            Mode::Exact | Mode::Async { .. } => now,
        };
        Self { tat, saved: tat, grants_from, heard: now, ..Self::default() }
    }

    /// Whether nothing is owed and nothing held at `now`, and nobody was heard for so long that copies of asks may
    /// still be under way.
    #[must_use]
    pub fn is_idle(&self, now: Timestamp) -> bool {
        let quiet = now.since(self.heard) >= QUIET && now >= self.grants_from;
        quiet && self.tat <= now.as_unix_nanos() && self.members.iter().all(|member| member.expires <= now)
    }

    /// Hears `ask` at `now`.
    pub fn hear(&mut self, terms: &Terms, ask: &Ask, now: Timestamp) -> Heard {
        self.expire(terms, now);
        self.asks += 1;
        let place = self.member(ask);
        let rate = Rate::of(terms.quota());
        if let Some(again) = place.and_then(|place| self.again(rate, &self.members[place], ask, now)) {
            return Heard { answer: again, save: None };
        }
        let taken_in = match ask.account {
            Account::None => false,
            Account::Lease { kept, returned, acked, .. } => {
                place.is_some_and(|place| self.settle(rate, place, ask.seq, (kept, returned, acked), now))
            }
            Account::Async { total, unsynced } => {
                self.tally(rate, place, ask.seq, (total, unsynced), now);
                true
            }
        };
        let ruling = self.spend(rate, terms, ask.spend, now);
        let holding = match (ask.account, place) {
            (Account::Lease { want, .. }, Some(place)) if taken_in => {
                // Who is refused finds nothing left to hold, but keeps what it has.
                let want = if ruling == Ruling::Allow { want } else { 0 };
                let kept = self.members[place].held;
                Some(Holding { kept, granted: self.grant(rate, terms, place, want, now) })
            }
            _ => taken_in.then(Holding::default),
        };
        let debt = self.debt(now);
        let answer = Answer { seq: ask.seq, ruling, holding, debt };
        if let Some(place) = place {
            let member = &mut self.members[place];
            member.history.note(ask.seq, ruling == Ruling::Allow);
            member.answer = answer;
            member.last = self.asks;
        }
        let unsaved = self.tat.saturating_sub(self.saved.max(now.as_unix_nanos()));
        let save = (unsaved > rate.refill_ns / SAVED_PARTS).then(|| {
            self.saved = self.tat;
            Snapshot(self.tat)
        });
        Heard { answer, save }
    }

    /// Whether `units` could be spent at `now`; charges nothing. For a request that meets other limits too, and is to
    /// be charged under all of them or none.
    #[must_use]
    pub fn peek(&self, terms: &Terms, units: u32, now: Timestamp) -> Ruling {
        if units > terms.quota().burst().get() {
            return Ruling::Never;
        }
        match Rate::of(terms.quota()).wait_ns(self.debt_ns(now), units) {
            0 => Ruling::Allow,
            wait_ns => Ruling::Deny { retry_after: Duration::from_nanos(wait_ns) },
        }
    }

    /// Takes back `units` that were spent at once by an ask, once for each such ask. Never more than is owed.
    pub fn refund(&mut self, terms: &Terms, units: u32, now: Timestamp) {
        let debt_ns = self.debt_ns(now).saturating_sub(Rate::of(terms.quota()).worth(u64::from(units)));
        self.owe(debt_ns, now);
    }

    /// The answer to an ask that came before; `None` when it did not.
    fn again(&self, rate: Rate, member: &Member, ask: &Ask, now: Timestamp) -> Option<Answer> {
        let ruling = match member.history.look_up(ask.seq) {
            Known::New => return None,
            _ if member.answer.seq == ask.seq => return Some(member.answer),
            Known::Allowed => Ruling::Allow,
            Known::Refused => {
                let wait_ns = rate.wait_ns(self.debt_ns(now), ask.spend);
                Ruling::Deny { retry_after: Duration::from_nanos(wait_ns.max(rate.interval_ns)) }
            }
        };
        // What it was granted is not remembered; the isolate's next ask gives it back.
        Some(Answer { seq: ask.seq, ruling, holding: None, debt: self.debt(now) })
    }

    /// How long until everything charged is earned back.
    #[must_use]
    pub fn debt(&self, now: Timestamp) -> Duration {
        Duration::from_nanos(self.debt_ns(now))
    }

    /// How many units isolates hold at most.
    #[must_use]
    pub const fn held(&self) -> u32 {
        self.held
    }

    /// How many isolates are remembered.
    #[cfg(test)]
    pub(super) fn members_len(&self) -> usize {
        self.members.len()
    }

    fn debt_ns(&self, now: Timestamp) -> u64 {
        self.tat.saturating_sub(now.as_unix_nanos())
    }

    fn owe(&mut self, debt_ns: u64, now: Timestamp) {
        self.tat = now.as_unix_nanos().saturating_add(debt_ns);
    }

    /// Frees what isolates held for too long.
    fn expire(&mut self, terms: &Terms, now: Timestamp) {
        let stepped_back = now < self.heard;
        self.heard = now;
        if now < self.expires_from && !stepped_back {
            return;
        }
        let latest = match terms.mode() {
            Mode::Lease { ttl, .. } => now.after(*ttl),
            Mode::Exact | Mode::Async { .. } => now,
        };
        self.grants_from = self.grants_from.min(latest);
        self.expires_from = Timestamp::from_unix_nanos(u64::MAX);
        self.held = 0;
        for member in &mut self.members {
            member.expires = member.expires.min(latest);
            if member.expires <= now {
                self.needed.change(member.need, 0);
                (member.held, member.granted, member.need) = (0, 0, 0);
            } else {
                self.held = self.held.saturating_add(member.held);
                self.expires_from = self.expires_from.min(member.expires);
            }
        }
    }

    /// The place of the ask's isolate among the members; `None` when there is none left.
    fn member(&mut self, ask: &Ask) -> Option<usize> {
        let fresh = Member {
            isolate: ask.isolate,
            born: ask.born,
            history: History::default(),
            newest: 0,
            answer: Answer { seq: 0, ruling: Ruling::Allow, holding: None, debt: Duration::ZERO },
            last: self.asks,
            held: 0,
            granted: 0,
            need: 0,
            expires: Timestamp::UNIX_EPOCH,
            total: 0,
        };
        match self.members.binary_search_by_key(&ask.isolate, |member| member.isolate) {
            Ok(place) => {
                // Whoever was there before took what it held with it; that stays charged until it expires.
                let member = &mut self.members[place];
                if member.born < ask.born {
                    let (held, expires) = (member.held, member.expires);
                    self.needed.change(member.need, 0);
                    *member = Member { held, expires, ..fresh };
                } else if member.born > ask.born {
                    return None;
                }
                Some(place)
            }
            Err(_) => {
                if self.members.len() >= MEMBERS_MAX {
                    let free = (0..self.members.len()).filter(|&place| self.members[place].held == 0);
                    let silent = free.min_by_key(|&place| self.members[place].last)?;
                    let forgotten = self.members.remove(silent);
                    self.needed.change(forgotten.need, 0);
                }
                let place = self.members.partition_point(|member| member.isolate < ask.isolate);
                self.members.insert(place, fresh);
                Some(place)
            }
        }
    }

    /// Takes in what an isolate holds and gives back, unless a later ask has said that.
    fn settle(
        &mut self,
        rate: Rate,
        place: usize,
        seq: u64,
        (kept, returned, acked): (u32, u32, u64),
        now: Timestamp,
    ) -> bool {
        let member = &mut self.members[place];
        if seq < member.newest {
            return false;
        }
        let before = member.held;
        // The newest grant never arrived, and the isolate will not use it any more.
        let lost = if member.newest > acked { member.granted } else { 0 };
        member.newest = seq;
        member.granted = 0;
        let arrived = before - lost;
        member.held = arrived.min(kept);
        let back = lost + (arrived - member.held).min(returned);
        self.held -= before - member.held;
        let debt_ns = self.debt_ns(now).saturating_sub(rate.worth(u64::from(back)));
        self.owe(debt_ns, now);
        true
    }

    /// Charges what an isolate spent without asking.
    fn tally(&mut self, rate: Rate, place: Option<usize>, seq: u64, (total, unsynced): (u64, u32), now: Timestamp) {
        let units = match place.map(|place| &mut self.members[place]) {
            // Nothing was heard of it: what it has not had confirmed may be charged twice, never not at all.
            None => u64::from(unsynced),
            Some(member) if member.newest == 0 => {
                (member.newest, member.total) = (seq, total);
                u64::from(unsynced)
            }
            Some(member) => {
                let units = total.saturating_sub(member.total);
                member.total = member.total.max(total);
                units
            }
        };
        let debt_ns = self.debt_ns(now).saturating_add(rate.worth(units));
        self.owe(debt_ns, now);
    }

    fn spend(&mut self, rate: Rate, terms: &Terms, units: u32, now: Timestamp) -> Ruling {
        // Who spends nothing passes, whatever a clock that stepped back makes of the debt.
        let ruling = if units == 0 { Ruling::Allow } else { self.peek(terms, units, now) };
        if ruling == Ruling::Allow {
            self.owe(self.debt_ns(now).saturating_add(rate.worth(u64::from(units))), now);
        }
        ruling
    }

    /// Grants up to `want` units to be held: no more than the member's share, and at most half of what is left, so that
    /// others find some too.
    fn grant(&mut self, rate: Rate, terms: &Terms, place: usize, want: u32, now: Timestamp) -> u32 {
        let Mode::Lease { outstanding_max, ttl } = *terms.mode() else { return 0 };
        let member = &mut self.members[place];
        let need = want.saturating_add(member.held);
        self.needed.change(member.need, need);
        member.need = need;
        let share = self.needed.share(need, outstanding_max).saturating_sub(member.held);
        let free = if now < self.grants_from { 0 } else { outstanding_max.saturating_sub(self.held) };
        let left = rate.remaining(self.tat.saturating_sub(now.as_unix_nanos()));
        let part = if left <= terms.quota().burst().get() / REST_PARTS { left } else { left.div_ceil(2) };
        let granted = want.min(share).min(free.div_ceil(2)).min(part);
        member.granted = granted;
        member.held += granted;
        if need > 0 {
            member.expires = now.after(ttl);
            self.expires_from = self.expires_from.min(member.expires);
        }
        self.held += granted;
        let debt_ns = self.debt_ns(now).saturating_add(rate.worth(u64::from(granted)));
        self.owe(debt_ns, now);
        granted
    }
}

/// The rest of a burst is granted whole, once it is one of so many parts: in halves it would take many asks to find out
/// that nothing is left.
const REST_PARTS: u32 = 16;

/// After this nothing of an earlier ask is under way any more.
const QUIET: Duration = Duration::from_secs(60);
