//! What each message does, and what each side does without one.

mod fleet;
mod hoarder;
mod short;

use core::num::NonZeroU32;

use super::*;
use crate::limit::Quota;
use crate::time::Timestamp;

const START: u64 = 1_772_323_200_000;
const TTL: Duration = Duration::from_secs(1);

fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_millis(START + ms)
}

fn units(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("numbers of the tests are above zero")
}

/// A thousand units for each ten seconds, a hundred at once: one in 10 ms.
fn quota() -> Quota {
    Quota::new(units(1000), Duration::from_secs(10), units(100)).expect("a sound quota")
}

fn terms(mode: Mode) -> Terms {
    Terms::new(quota(), mode).unwrap_or_else(|error| panic!("{error}"))
}

fn lease(outstanding_max: u32) -> Terms {
    terms(Mode::Lease { outstanding_max, ttl: TTL })
}

fn tell_later(unsynced_max: u32) -> Terms {
    terms(Mode::Async { unsynced_max, sync_every: TTL })
}

fn ask(isolate: u64, seq: u64, spend: u32, account: Account) -> Ask {
    Ask { isolate, born: 0, seq, spend, account }
}

fn want(want: u32, kept: u32, returned: u32, acked: u64) -> Account {
    Account::Lease { want, kept, returned, acked }
}

/// The account was taken in.
fn holds(kept: u32, granted: u32) -> Option<Holding> {
    Some(Holding { kept, granted })
}

fn hear(ledger: &mut Ledger, terms: &Terms, ask: &Ask, ms: u64) -> Answer {
    ledger.hear(terms, ask, at(ms)).answer
}

#[test]
fn an_exact_ask_is_decided_as_by_a_quota_alone() {
    let terms = terms(Mode::Exact);
    let mut ledger = Ledger::new();
    for seq in 1..=100 {
        assert_eq!(hear(&mut ledger, &terms, &ask(seq % 7, seq, 1, Account::None), 0).ruling, Ruling::Allow);
    }
    let denied = hear(&mut ledger, &terms, &ask(1, 101, 1, Account::None), 0);
    assert_eq!(denied.ruling, Ruling::Deny { retry_after: Duration::from_millis(10) });
    assert_eq!(denied.remaining(&terms), 0);
    let allowed = hear(&mut ledger, &terms, &ask(1, 102, 1, Account::None), 10);
    assert_eq!((allowed.ruling, allowed.debt), (Ruling::Allow, Duration::from_secs(1)));
    assert_eq!(hear(&mut ledger, &terms, &ask(1, 103, 101, Account::None), 10).ruling, Ruling::Never);
}

#[test]
fn what_was_spent_at_once_can_be_looked_at_first_and_taken_back() {
    let terms = lease(40);
    let mut ledger = Ledger::new();
    assert_eq!(ledger.peek(&terms, 101, at(0)), Ruling::Never);
    assert_eq!(hear(&mut ledger, &terms, &ask(1, 1, 100, Account::None), 0).ruling, Ruling::Allow);
    let wait = Ruling::Deny { retry_after: Duration::from_millis(30) };
    assert_eq!((ledger.peek(&terms, 3, at(0)), ledger.peek(&terms, 3, at(30))), (wait, Ruling::Allow));
    ledger.refund(&terms, 2, at(0));
    assert_eq!((ledger.peek(&terms, 2, at(0)), ledger.peek(&terms, 3, at(0))), (Ruling::Allow, deny(10)));
    // No more comes back than was ever spent.
    ledger.refund(&terms, 1000, at(0));
    assert_eq!((ledger.peek(&terms, 100, at(0)), ledger.peek(&terms, 101, at(0))), (Ruling::Allow, Ruling::Never));
}

fn deny(ms: u64) -> Ruling {
    Ruling::Deny { retry_after: Duration::from_millis(ms) }
}

#[test]
fn a_request_that_is_asked_about_anyway_leaves_what_is_held() {
    let terms = lease(40);
    let (mut ledger, mut spender) = (Ledger::new(), Spender::new(at(0)));
    // Enough requests at once that some units are held.
    while ledger.held() == 0 {
        let Step::Ask(ask) = spender.spend(&terms, 1, 1, at(0)) else { panic!("nothing is held yet") };
        let answer = hear(&mut ledger, &terms, &ask, 0);
        assert_eq!(spender.answer(&terms, &answer, at(0), 0), Ruling::Allow);
    }
    let (left, debt) = spender.standing(&terms, at(0));
    assert!(left < 100 && debt > Duration::ZERO && debt <= Duration::from_millis(200), "{left} {debt:?}");
    let Step::Ask(ask) = spender.spend_there(&terms, 1, 1, at(0)) else { panic!("it asks") };
    assert_eq!(ask.spend, 1);
    let answer = hear(&mut ledger, &terms, &ask, 0);
    assert_eq!(spender.answer(&terms, &answer, at(0), 0), Ruling::Allow);
    assert!(matches!(spender.spend(&terms, 1, 1, at(0)), Step::Allow { .. }));
    assert_eq!(spender.spend_there(&terms, 1, 101, at(0)), Step::Never);
    // A refusal is remembered here too.
    let refusal = Answer { ruling: deny(700), ..answer };
    let _ = spender.answer(&terms, &refusal, at(0), 0);
    assert!(matches!(spender.spend_there(&terms, 1, 1, at(100)), Step::Deny { .. }));
}

#[test]
fn a_copy_gets_the_first_answer_and_is_not_charged() {
    let terms = lease(40);
    let mut ledger = Ledger::new();
    let first = ask(1, 1, 5, want(10, 0, 0, 0));
    let answer = hear(&mut ledger, &terms, &first, 0);
    assert_eq!((answer.ruling, answer.holding), (Ruling::Allow, holds(0, 10)));
    let state = ledger.held();
    assert_eq!(hear(&mut ledger, &terms, &first, 3), answer);
    assert_eq!((ledger.held(), state), (10, 10));
    // One that was overtaken is told that it may spend, and nothing about what it was granted.
    let _ = hear(&mut ledger, &terms, &ask(1, 2, 1, Account::None), 3);
    let again = hear(&mut ledger, &terms, &first, 3);
    assert_eq!((again.ruling, again.holding), (Ruling::Allow, None));
    assert_eq!(hear(&mut ledger, &terms, &ask(2, 1, 0, Account::None), 3).debt, Duration::from_millis(157));
    // One that was refused is refused again, even when there is room by then.
    let refused = ask(1, 3, 100, Account::None);
    let wait = |ms| Ruling::Deny { retry_after: Duration::from_millis(ms) };
    assert_eq!(hear(&mut ledger, &terms, &refused, 3).ruling, wait(157));
    let _ = hear(&mut ledger, &terms, &ask(1, 4, 0, Account::None), 3);
    assert_eq!(hear(&mut ledger, &terms, &refused, 3).ruling, wait(157));
    assert_eq!(hear(&mut ledger, &terms, &refused, 500).ruling, wait(10));
}

#[test]
fn grants_leave_half_to_others_and_stay_below_the_bound() {
    let terms = lease(40);
    let mut ledger = Ledger::new();
    let grants: alloc::vec::Vec<Option<Holding>> =
        (1..=8).map(|isolate| hear(&mut ledger, &terms, &ask(isolate, 1, 0, want(1000, 0, 0, 0)), 0).holding).collect();
    assert_eq!(grants, [20, 10, 5, 3, 1, 1, 0, 0].map(|granted| holds(0, granted)));
    assert_eq!(ledger.held(), 40);
    // What is asked for and spent at once is not held, and goes on.
    assert_eq!(hear(&mut ledger, &terms, &ask(9, 1, 1, want(5, 0, 0, 0)), 0).ruling, Ruling::Allow);
    // After its time all is free again, and lost.
    let later = hear(&mut ledger, &terms, &ask(9, 2, 0, want(0, 0, 0, 0)), 1000);
    assert_eq!((ledger.held(), later.debt), (0, Duration::ZERO));

    // Few units left are shared too: ten of them, five.
    let mut ledger = Ledger::new();
    let answer = hear(&mut ledger, &terms, &ask(1, 1, 90, want(1000, 0, 0, 0)), 0);
    assert_eq!((answer.holding, answer.remaining(&terms)), (holds(0, 5), 5));
}

#[test]
fn what_comes_back_is_credited_once_and_in_time() {
    let terms = lease(40);
    for (name, second, ms, debt_ms, held) in [
        ("all of it", ask(1, 2, 0, want(0, 0, 20, 1)), 0, 0, 0),
        ("some, the rest kept", ask(1, 2, 0, want(0, 15, 5, 1)), 0, 150, 15),
        ("some, the rest spent", ask(1, 2, 0, want(0, 0, 5, 1)), 0, 150, 0),
        ("more than was held", ask(1, 2, 0, want(0, 15, 100, 1)), 0, 150, 15),
        ("more than was held, kept", ask(1, 2, 0, want(0, 100, 0, 1)), 0, 200, 20),
        ("after its time", ask(1, 2, 0, want(0, 0, 20, 1)), 1000, 0, 0),
        ("a grant that never arrived", ask(1, 2, 0, want(0, 0, 0, 0)), 0, 0, 0),
        ("an older ask", ask(1, 1, 0, want(0, 0, 20, 1)), 0, 200, 20),
        ("of another isolate", ask(2, 2, 0, want(0, 0, 20, 1)), 0, 200, 20),
        ("of an earlier spender", Ask { born: 1, ..ask(1, 2, 0, want(0, 0, 20, 1)) }, 0, 200, 20),
    ] {
        let mut ledger = Ledger::new();
        let born = if name == "of an earlier spender" { 2 } else { 0 };
        let granted = hear(&mut ledger, &terms, &Ask { born, ..ask(1, 1, 0, want(20, 0, 0, 0)) }, 0).holding;
        assert_eq!(granted, holds(0, 20));
        for _ in 0..3 {
            let _ = hear(&mut ledger, &terms, &second, ms);
        }
        let debt = hear(&mut ledger, &terms, &ask(9, 1, 0, Account::None), ms).debt;
        assert_eq!((debt, ledger.held()), (Duration::from_millis(debt_ms), held), "{name}");
    }
}

#[test]
fn what_was_spent_without_asking_is_charged_once() {
    let terms = tell_later(10);
    let mut ledger = Ledger::new();
    let tell = |seq, total, unsynced| ask(1, seq, 0, Account::Async { total, unsynced });
    let debt = |ledger: &mut Ledger, ask: Ask| hear(ledger, &terms, &ask, 0).debt.as_millis() / 10;
    assert_eq!(debt(&mut ledger, tell(1, 4, 4)), 4);
    // An overtaken one says nothing new; the next says what a lost one said.
    assert_eq!(debt(&mut ledger, tell(3, 9, 5)), 9);
    assert_eq!(debt(&mut ledger, tell(2, 6, 2)), 9);
    assert_eq!(debt(&mut ledger, tell(3, 9, 5)), 9);
    assert_eq!(debt(&mut ledger, tell(5, 20, 9)), 20);
    // A spender that was forgotten starts from nothing.
    assert_eq!(debt(&mut ledger, Ask { born: 7, ..tell(8, 2, 2) }), 22);
    // More than the burst may be owed, and is earned back before anything passes.
    let full = debt(&mut ledger, Ask { born: 7, ..tell(9, 102, 100) });
    assert_eq!(full, 122);
    let denied = hear(&mut ledger, &terms, &ask(2, 1, 1, Account::None), 0);
    assert_eq!(denied.ruling, Ruling::Deny { retry_after: Duration::from_millis(230) });
}

#[test]
fn a_restart_forgives_what_it_says() {
    let terms = lease(40);
    let mut ledger = Ledger::new();
    let mut saved = None;
    for seq in 1..=95 {
        saved = ledger.hear(&terms, &ask(1, seq, 1, Account::None), at(0)).save.or(saved);
    }
    assert_eq!(saved.map(|saved| saved.as_unix_nanos() / 10_000_000 - START / 10), Some(78));
    let spendable = |restart| {
        let mut ledger = Ledger::resume(&terms, restart, at(0));
        (1..=200)
            .filter(|&seq| hear(&mut ledger, &terms, &ask(1, seq, 1, Account::None), 0).ruling == Ruling::Allow)
            .count()
    };
    assert_eq!(spendable(Restart::Cold), 100);
    assert_eq!(spendable(Restart::Saved(saved.expect("saved"))), 22);
    assert_eq!(spendable(Restart::Strict(saved)), 0);
    assert_eq!(spendable(Restart::Strict(None)), 0);

    // Nothing is granted to be held until the leases of the one before have expired.
    let mut ledger = Ledger::resume(&terms, Restart::Cold, at(0));
    assert_eq!(hear(&mut ledger, &terms, &ask(1, 1, 1, want(5, 0, 0, 0)), 999).holding, holds(0, 0));
    assert_eq!(hear(&mut ledger, &terms, &ask(1, 2, 1, want(5, 0, 0, 0)), 1000).holding, holds(0, 5));
}

#[test]
fn only_so_many_isolates_are_remembered() {
    let terms = lease(4000);
    let mut ledger = Ledger::new();
    for isolate in 0..2 * MEMBERS_MAX as u64 {
        let _ = hear(&mut ledger, &terms, &ask(isolate, 1, 0, Account::None), 0);
    }
    assert_eq!(ledger.members_len(), MEMBERS_MAX);
    // The silent are forgotten first; one that holds something is not.
    let _ = hear(&mut ledger, &terms, &ask(7, 1, 0, want(10, 0, 0, 0)), 0);
    for isolate in 10_000..12_000 {
        let _ = hear(&mut ledger, &terms, &ask(isolate, 1, 0, Account::None), 0);
    }
    assert_eq!((ledger.members_len(), ledger.held()), (MEMBERS_MAX, 10));
    assert!(!ledger.is_idle(at(60_000 - 1)));
    assert!(ledger.is_idle(at(60_000)));
}

/// A spender and its authority without anything between them.
struct Pair {
    terms: Terms,
    ledger: Ledger,
    spender: Spender,
    calls: u32,
}

impl Pair {
    fn new(terms: Terms) -> Self {
        Self { terms, ledger: Ledger::new(), spender: Spender::new(at(0)), calls: 0 }
    }

    fn tell(&mut self, ask: &Ask, ms: u64) -> Ruling {
        self.calls += 1;
        let answer = self.ledger.hear(&self.terms, ask, at(ms)).answer;
        self.spender.answer(&self.terms, &answer, at(ms), 0)
    }

    fn spend(&mut self, ms: u64) -> Ruling {
        match self.spender.spend(&self.terms, 1, 1, at(ms)) {
            Step::Allow { tell } => {
                tell.map(|ask| self.tell(&ask, ms));
                Ruling::Allow
            }
            Step::Deny { retry_after } => Ruling::Deny { retry_after },
            Step::Never => Ruling::Never,
            Step::Ask(ask) => self.tell(&ask, ms),
        }
    }
}

#[test]
fn a_busy_key_seldom_asks() {
    for (terms, calls_max) in [(terms(Mode::Exact), 1000), (lease(50), 100), (tell_later(20), 120)] {
        let mut pair = Pair::new(terms);
        let allowed = (0..1000).filter(|n| pair.spend(n * 11) == Ruling::Allow).count();
        assert_eq!(allowed, 1000, "{:?}", terms.mode());
        assert!(pair.calls <= calls_max, "{} calls with {:?}", pair.calls, terms.mode());
    }
}

#[test]
fn a_refusal_is_remembered() {
    for terms in [terms(Mode::Exact), lease(0), tell_later(0), lease(50), tell_later(20)] {
        let mut pair = Pair::new(terms);
        while pair.spend(0) == Ruling::Allow {}
        let calls = pair.calls;
        let Ruling::Deny { retry_after } = pair.spend(1) else { panic!("denied for 10 ms") };
        assert!(retry_after <= Duration::from_millis(9 + 10 * 50), "{retry_after:?}");
        assert_eq!(pair.calls, calls, "{:?}", terms.mode());
    }
}

#[test]
fn a_lease_is_used_only_while_it_surely_holds() {
    let terms = lease(50);
    let mut spender = Spender::new(at(0));
    // Asked at 0; the answer with 20 units took 300 ms, so they hold until 1000.
    let Step::Ask(first) = spender.spend(&terms, 1, 1, at(0)) else { panic!("nothing is held") };
    let answer = Answer { seq: first.seq, ruling: Ruling::Allow, holding: holds(0, 20), debt: Duration::ZERO };
    let copy = spender;
    assert_eq!(spender.answer(&terms, &answer, at(300), 0), Ruling::Allow);
    assert_eq!(spender.answer(&terms, &answer, at(300), 0), Ruling::Allow);
    assert!(matches!(spender.spend(&terms, 1, 20, at(999)), Step::Allow { .. }));
    assert!(matches!(spender.spend(&terms, 1, 1, at(999)), Step::Ask(_)));
    let mut late = copy;
    assert_eq!(late.answer(&terms, &answer, at(1000), 0), Ruling::Allow);
    assert!(matches!(late.spend(&terms, 1, 1, at(1000)), Step::Ask(_)));
    // A clock that steps back gives up what is held, and what is under way.
    let mut back = copy;
    assert_eq!(back.answer(&terms, &answer, at(300), 0), Ruling::Allow);
    assert!(matches!(back.spend(&terms, 1, 1, at(299)), Step::Ask(_)));
    let mut early = copy;
    assert!(matches!(early.spend(&terms, 1, 1, at(0)), Step::Ask(_)));
    assert!(matches!(early.spend(&terms, 1, 1, Timestamp::from_unix_millis(START - 5000)), Step::Ask(_)));
    assert_eq!(early.answer(&terms, &answer, Timestamp::from_unix_millis(START - 4900), 0), Ruling::Allow);
    assert!(matches!(early.spend(&terms, 1, 1, Timestamp::from_unix_millis(START - 4900)), Step::Ask(_)));
}

/// The authority and the isolate must agree on whether what is kept was prolonged.
#[test]
fn who_is_refused_keeps_what_it_has_for_as_long_as_the_authority_thinks() {
    let terms = lease(50);
    let mut ledger = Ledger::new();
    assert_eq!(hear(&mut ledger, &terms, &ask(1, 1, 0, want(10, 0, 0, 0)), 0).holding, holds(0, 10));
    assert_eq!(hear(&mut ledger, &terms, &ask(1, 2, 95, want(10, 10, 0, 1)), 900).ruling, Ruling::Allow);
    let refused = hear(&mut ledger, &terms, &ask(1, 3, 100, want(10, 10, 0, 2)), 900);
    assert!(matches!(refused.ruling, Ruling::Deny { .. }));
    assert_eq!(refused.holding, holds(10, 0));
    let _ = hear(&mut ledger, &terms, &ask(2, 1, 0, Account::None), 1899);
    assert_eq!(ledger.held(), 10);
    // An account that was overtaken is not taken in, and says so.
    assert_eq!(hear(&mut ledger, &terms, &ask(1, 5, 0, want(0, 10, 0, 3)), 1899).holding, holds(10, 0));
    assert_eq!(hear(&mut ledger, &terms, &ask(1, 4, 0, want(9, 10, 0, 3)), 1899).holding, None);
}

#[test]
fn what_is_left_goes_back_before_a_spender_is_dropped() {
    let mut pair = Pair::new(lease(50));
    for n in 0..100 {
        assert_eq!(pair.spend(n), Ruling::Allow);
    }
    assert!(pair.ledger.held() > 0);
    let closing = pair.spender.close(&pair.terms, 1, at(100)).expect("something is held");
    let _ = pair.tell(&closing, 100);
    assert_eq!(pair.ledger.held(), 0);
    assert_eq!(pair.spender.close(&pair.terms, 1, at(100)), None);
    // Nothing is owed but what was spent: 100 units, ten of which have been earned back.
    let debt = hear(&mut pair.ledger, &pair.terms, &ask(9, 1, 0, Account::None), 100).debt;
    assert_eq!(debt, Duration::from_millis(900));

    let mut pair = Pair::new(tell_later(20));
    assert_eq!(pair.spend(0), Ruling::Allow);
    let closing = pair.spender.close(&pair.terms, 1, at(1)).expect("something is untold");
    assert_eq!(closing.account, Account::Async { total: 1, unsynced: 1 });
}

#[test]
fn without_the_authority_each_isolate_has_its_share() {
    let terms = lease(50);
    let share = terms.share(units(20));
    assert_eq!((share.limit().get(), share.burst().get()), (50, 5));
    let mut spender = Spender::new(at(0));
    let allowed = (0..10_000).filter(|ms| spender.unreachable(&share, 1, at(*ms)) == Ruling::Allow).count();
    assert_eq!(allowed, 5 + 49);
    // One unit at least, so that nobody is shut out for good.
    let least = terms.share(units(5000));
    assert_eq!((least.limit().get(), least.burst().get()), (1, 1));
    // A cost above the share is taken as the whole share.
    assert_eq!(Spender::new(at(0)).unreachable(&least, 9, at(0)), Ruling::Allow);
}

#[test]
fn terms_out_of_range_are_named() {
    for (mode, name) in [
        (Mode::Lease { outstanding_max: 1, ttl: Duration::from_millis(199) }, "ttl"),
        (Mode::Lease { outstanding_max: 1, ttl: Duration::from_secs(61) }, "ttl"),
        (Mode::Async { unsynced_max: 1, sync_every: Duration::from_millis(49) }, "sync_every"),
        (Mode::Async { unsynced_max: 1, sync_every: Duration::from_secs(61) }, "sync_every"),
    ] {
        assert_eq!(Terms::new(quota(), mode).map_err(|error| error.setting), Err(name));
    }
    assert_eq!(tell_later(3).overshoot_bound(100), 300);
    assert_eq!(terms(Mode::Exact).overshoot_bound(100), 0);
    assert_eq!(lease(7).restart_bound(&Restart::Cold), 100);
    assert_eq!(lease(7).restart_bound(&Restart::Saved(Snapshot::from_unix_nanos(0))), 25);
    assert_eq!(lease(7).restart_bound(&Restart::Strict(None)), 0);
}

#[cfg(feature = "serde")]
#[test]
fn terms_ledgers_and_messages_travel_as_bytes() {
    let mut pair = Pair::new(lease(50));
    for n in 0..50 {
        let _ = pair.spend(n);
    }
    let bytes = postcard::to_allocvec(&pair.ledger).expect("a ledger is plain data");
    assert_eq!(postcard::from_bytes(&bytes), Ok(pair.ledger));
    let bytes = postcard::to_allocvec(&pair.terms).expect("terms are plain data");
    assert_eq!(postcard::from_bytes(&bytes), Ok(pair.terms));
}
