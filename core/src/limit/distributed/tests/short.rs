//! What isolates that hold leases do when more is asked for than there is.

use super::*;

/// A spender that asked at 0 and got this answer 40 ms later, so that an answer takes about 20 ms as it sees it.
fn told(terms: &Terms, holding: Option<Holding>, ruling: Ruling, debt_ms: u64) -> Spender {
    let mut spender = Spender::new(at(0));
    let mut first = None;
    // Twenty requests at once: it needs that many in each lease.
    for _ in 0..20 {
        let Step::Ask(ask) = spender.spend(terms, 1, 1, at(0)) else {
            panic!("nothing is held, and nothing was refused")
        };
        first.get_or_insert(ask);
    }
    let seq = first.map_or(0, |ask| ask.seq);
    let _ = spender.answer(terms, &Answer { seq, ruling, holding, debt: Duration::from_millis(debt_ms) }, at(40), 0);
    spender
}

const fn refused(ms: u64) -> Ruling {
    Ruling::Deny { retry_after: Duration::from_millis(ms) }
}

#[test]
fn after_a_refusal_one_ask_at_a_time_finds_out() {
    let terms = lease(50);
    let mut spender = told(&terms, holds(0, 0), refused(10), 1000);
    // Half a burst is earned in 500 ms; 20 ms of that the answer takes; at least half of the rest passes in silence.
    assert!(matches!(spender.spend(&terms, 1, 1, at(279)), Step::Deny { .. }));
    let Step::Ask(ask) = spender.spend(&terms, 1, 1, at(280)) else { panic!("it is time to ask") };
    for ms in [280, 300, 310] {
        assert_eq!(spender.spend(&terms, 1, 1, at(ms)), Step::Deny { retry_after: Duration::from_millis(20) }, "{ms}");
    }
    // Its answer was lost: the next request asks again.
    let mut lost = spender;
    assert!(matches!(lost.spend(&terms, 1, 1, at(779)), Step::Deny { .. }));
    assert!(matches!(lost.spend(&terms, 1, 1, at(780)), Step::Ask(_)));
    // There is enough again, and all is as before: who finds nothing held asks, also while an answer is awaited.
    let enough = Answer { seq: ask.seq, ruling: Ruling::Allow, holding: holds(0, 1), debt: Duration::ZERO };
    assert_eq!(spender.answer(&terms, &enough, at(320), 0), Ruling::Allow);
    assert!(matches!(spender.spend(&terms, 1, 1, at(320)), Step::Allow { .. }));
    for _ in 0..3 {
        assert!(matches!(spender.spend(&terms, 1, 1, at(321)), Step::Ask(_)));
    }
}

#[test]
fn who_gets_the_last_units_spends_them_and_waits() {
    let terms = lease(50);
    for (granted, debt_ms, waits) in [(3, 1000, true), (3, 985, false), (10, 1000, false)] {
        let mut spender = told(&terms, holds(0, granted), Ruling::Allow, debt_ms);
        for _ in 0..granted {
            let step = spender.spend(&terms, 1, 1, at(41));
            assert!(matches!(step, Step::Allow { tell } if tell.is_none() || !waits), "{granted} {debt_ms}: {step:?}");
        }
        let step = spender.spend(&terms, 1, 1, at(41));
        assert_eq!(matches!(step, Step::Deny { .. }), waits, "{granted} {debt_ms}: {step:?}");
    }
}

#[test]
fn where_a_burst_is_earned_before_an_answer_comes_nobody_waits_for_one() {
    // A burst of five is earned in 50 ms.
    let quota = Quota::new(units(1000), Duration::from_secs(10), units(5)).expect("a sound quota");
    let terms = Terms::new(quota, *lease(50).mode()).expect("sound terms");
    let mut spender = told(&terms, holds(0, 0), refused(10), 50);
    assert!(matches!(spender.spend(&terms, 1, 1, at(49)), Step::Deny { .. }));
    for _ in 0..3 {
        assert!(matches!(spender.spend(&terms, 1, 1, at(50)), Step::Ask(_)));
    }
}

#[test]
fn a_refusal_in_spite_of_room_says_nothing_of_the_next_request() {
    let terms = lease(50);
    let mut spender = told(&terms, None, refused(10), 30);
    assert!(matches!(spender.spend(&terms, 1, 1, at(41)), Step::Ask(_)));
}

#[test]
fn the_rest_of_a_burst_is_granted_whole() {
    let terms = lease(100);
    let mut ledger = Ledger::new();
    assert_eq!(hear(&mut ledger, &terms, &ask(1, 1, 93, Account::None), 0).ruling, Ruling::Allow);
    // Half of seven, then a sixteenth of the burst is reached and half of nothing is left to others.
    for (isolate, granted) in [(2, 4), (3, 3), (4, 0)] {
        assert_eq!(hear(&mut ledger, &terms, &ask(isolate, 1, 0, want(9, 0, 0, 0)), 0).holding, holds(0, granted));
    }
}

/// Three units a request: two that are left are no room for one.
#[test]
fn a_refusal_with_a_unit_left_is_remembered() {
    let terms = terms(Mode::Exact);
    let mut ledger = Ledger::default();
    let _ = hear(&mut ledger, &terms, &ask(2, 1, 98, Account::None), 0);
    let mut spender = Spender::new(at(0));
    let Step::Ask(asked) = spender.spend(&terms, 1, 3, at(5)) else { panic!("nothing is known yet") };
    let answer = hear(&mut ledger, &terms, &asked, 5);
    assert_eq!(spender.answer(&terms, &answer, at(5), 0), refused(5));
    assert!(matches!(spender.spend(&terms, 1, 3, at(9)), Step::Deny { .. }));
    assert!(matches!(spender.spend(&terms, 1, 3, at(10)), Step::Ask(_)));
}

#[test]
fn an_authority_that_is_away_is_short_of_nothing() {
    let terms = lease(50);
    let mut spender = told(&terms, holds(0, 0), refused(10), 1000);
    let Step::Ask(ask) = spender.spend(&terms, 1, 1, at(280)) else { panic!("it is time to ask") };
    assert!(matches!(spender.spend(&terms, 1, 1, at(281)), Step::Deny { .. }));
    spender.lost(ask.seq);
    for _ in 0..3 {
        assert!(matches!(spender.spend(&terms, 1, 1, at(281)), Step::Ask(_)));
    }
}
