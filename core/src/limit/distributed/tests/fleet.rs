//! Any schedule of requests, messages, clocks and restarts: the bound holds.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::time::nanos;

const ISOLATES: usize = 3;

#[derive(Clone, Debug)]
enum Event {
    /// So many requests of one unit arrive at an isolate.
    Requests(usize, u8),
    /// So many messages arrive, each the one at that place; the first is kept for another arrival or not.
    Deliver(usize, bool, u8),
    Lose(usize),
    /// An isolate's clock steps to another offset.
    Step(usize, u64),
    /// An isolate forgets the key.
    Forget(usize),
    /// The authority starts anew.
    Restart(u8),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        30 => (0..ISOLATES, 1..12_u8).prop_map(|(isolate, count)| Event::Requests(isolate, count)),
        60 => (0..3_usize, prop::bool::weighted(0.2), 1..12_u8).prop_map(|(place, copy, count)| Event::Deliver(place, copy, count)),
        2 => (0..8_usize).prop_map(Event::Lose),
        1 => (0..ISOLATES, 0..10_000_u64).prop_map(|(isolate, offset)| Event::Step(isolate, offset)),
        1 => (0..ISOLATES).prop_map(Event::Forget),
        1 => (0..3_u8).prop_map(Event::Restart),
    ]
}

#[derive(Clone, Copy)]
enum Message {
    Ask(usize, Ask),
    Answer(usize, Ask, Answer),
}

/// Three isolates and an authority, with everything that may happen between them.
struct Fleet {
    terms: Terms,
    ledger: Ledger,
    saved: Option<Snapshot>,
    spenders: Vec<(Spender, u64)>,
    under_way: Vec<Message>,
    now: u64,
    /// Which asks have been allowed their units.
    allowed: BTreeSet<(u64, u64, u64)>,
    /// When units were spent: those that were asked for count when the authority decided.
    spent: Vec<(u64, u64)>,
    /// Units that restarts forgave and isolates took with them, and when.
    forgiven: Vec<(u64, u64)>,
    /// When the authority last started anew.
    restarted: Option<u64>,
    /// What each isolate's spender spent without asking.
    unasked: [u64; ISOLATES],
}

impl Fleet {
    fn new(terms: Terms) -> Self {
        let spenders = (0..ISOLATES).map(|_| (Spender::new(at(5000)), 5000)).collect();
        let (ledger, under_way) = (Ledger::new(), vec![]);
        let (allowed, spent, forgiven) = (BTreeSet::new(), vec![], vec![]);
        let (saved, restarted) = (None, None);
        let unasked = [0; ISOLATES];
        Self { terms, ledger, saved, spenders, under_way, now: 0, allowed, spent, forgiven, restarted, unasked }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Requests(isolate, count) => {
                for _ in 0..count {
                    let (spender, offset) = &mut self.spenders[isolate];
                    match spender.spend(&self.terms, isolate as u64, 1, at(self.now + *offset)) {
                        Step::Allow { tell } => {
                            self.spent.push((self.now, 1));
                            self.unasked[isolate] += 1;
                            self.under_way.extend(tell.map(|ask| Message::Ask(isolate, ask)));
                        }
                        Step::Ask(ask) => self.under_way.push(Message::Ask(isolate, ask)),
                        Step::Deny { retry_after } => assert!(!retry_after.is_zero()),
                        Step::Never => panic!("a unit is never above the burst"),
                    }
                }
            }
            Event::Deliver(place, copy, count) => {
                for nth in 0..count {
                    if place < self.under_way.len() {
                        let copied = copy && nth == 0;
                        let message = if copied { self.under_way[place] } else { self.under_way.remove(place) };
                        self.arrive(message);
                    }
                }
            }
            Event::Lose(place) if place < self.under_way.len() => {
                self.under_way.remove(place);
            }
            Event::Lose(_) => {}
            Event::Step(isolate, offset) => {
                let (spender, own) = &mut self.spenders[isolate];
                // It looks at its clock before and after: a step within a silence could not be seen.
                for offset in [*own, offset] {
                    let now = at(self.now + offset);
                    assert_eq!(spender.spend(&self.terms, isolate as u64, u32::MAX, now), Step::Never);
                }
                *own = offset;
            }
            Event::Forget(isolate) => {
                // Its clock may have stepped back; what tells spenders apart must not.
                let (_, offset) = self.spenders[isolate];
                let born = self.now + offset.max(10_000) + 1;
                self.spenders[isolate] = (Spender::new(at(born)), offset);
                self.unasked[isolate] = 0;
                if let Mode::Async { unsynced_max, .. } = self.terms.mode() {
                    self.forgiven.push((self.now, u64::from(*unsynced_max)));
                }
            }
            Event::Restart(kind) => {
                let restart = match (kind, self.saved) {
                    (0, _) => Restart::Cold,
                    (1, Some(saved)) => Restart::Saved(saved),
                    (1, None) | (2, None) => Restart::Strict(None),
                    (_, saved) => Restart::Strict(saved),
                };
                self.forgiven.push((self.now, self.terms.restart_bound(&restart)));
                self.ledger = Ledger::resume(&self.terms, restart, at(self.now));
                self.saved = None;
                self.restarted = Some(self.now);
            }
        }
    }

    fn arrive(&mut self, message: Message) {
        match message {
            Message::Ask(isolate, ask) => {
                let heard = self.ledger.hear(&self.terms, &ask, at(self.now));
                self.saved = heard.save.or(self.saved);
                self.under_way.push(Message::Answer(isolate, ask, heard.answer));
                let allowed = ask.spend > 0 && heard.answer.ruling == Ruling::Allow;
                if allowed && self.allowed.insert((ask.isolate, ask.born, ask.seq)) {
                    self.spent.push((self.now, u64::from(ask.spend)));
                }
            }
            Message::Answer(isolate, ask, answer) => {
                let (spender, offset) = &mut self.spenders[isolate];
                // What a forgotten spender asked is of no use to the next.
                let _ = spender.answer(&self.terms, &answer, at(self.now + *offset), ask.spend);
            }
        }
    }

    /// How many units an isolate could spend now without asking, if every answer under way to it arrived.
    fn at_hand(&self, isolate: usize) -> u32 {
        let (mut spender, offset) = self.spenders[isolate];
        let now = at(self.now + offset);
        for message in &self.under_way {
            if let Message::Answer(to, _, answer) = message
                && *to == isolate
            {
                let _ = spender.answer(&self.terms, &Answer { ruling: Ruling::Allow, ..*answer }, now, 0);
            }
        }
        let spends = |_: &u32| matches!(spender.spend(&self.terms, isolate as u64, 1, now), Step::Allow { .. });
        (0..10_000).take_while(spends).count() as u32
    }

    /// What isolates could spend without asking, against what the authority knows them to hold, or lets them.
    fn check_now(&self) {
        match *self.terms.mode() {
            Mode::Exact => assert!((0..ISOLATES).all(|isolate| self.at_hand(isolate) == 0)),
            Mode::Lease { outstanding_max, ttl } => {
                let mut ledger = self.ledger.clone();
                let _ = ledger.hear(&self.terms, &ask(u64::MAX, self.now + 1, 0, Account::None), at(self.now));
                assert!(ledger.held() <= outstanding_max);
                let at_hand: u32 = (0..ISOLATES).map(|isolate| self.at_hand(isolate)).sum();
                assert!(at_hand <= outstanding_max, "{at_hand} at hand, {outstanding_max} allowed");
                // One that starts anew knows nothing of earlier leases, and grants none while they last.
                let knows = self.restarted.is_none_or(|restarted| self.now >= restarted + ttl.as_millis() as u64);
                assert!(!knows || at_hand <= ledger.held(), "{at_hand} at hand, {} known", ledger.held());
            }
            Mode::Async { unsynced_max, .. } => {
                for isolate in 0..ISOLATES {
                    // Sent now, its account would charge all that is not charged yet.
                    let mut ledger = self.ledger.clone();
                    let tell = |ledger: &mut Ledger, ask: &Ask| ledger.hear(&self.terms, ask, at(self.now)).answer.debt;
                    let (mut spender, offset) = self.spenders[isolate];
                    let nothing = ask(u64::MAX, self.now + 1, 0, Account::None);
                    let before = tell(&mut ledger, &nothing);
                    let untold = spender.close(&self.terms, isolate as u64, at(self.now + offset)).map(|ask| {
                        let Account::Async { total, .. } = ask.account else { panic!("it is async") };
                        assert_eq!(total, self.unasked[isolate]);
                        (tell(&mut ledger, &ask) - before).as_nanos() / self.terms.quota().interval().as_nanos()
                    });
                    // One that starts anew may charge again what was charged before.
                    let untold = if self.restarted.is_none() { untold.unwrap_or(0) as u32 } else { 0 };
                    assert!(untold <= unsynced_max, "{untold} not charged, {unsynced_max} allowed");
                    assert!(untold + self.at_hand(isolate) <= 2 * unsynced_max);
                }
            }
        }
    }

    /// Every window that begins with a spending, against the bound.
    fn check(&self) {
        let window_ms = self.terms.quota().window().as_millis() as u64;
        let mut spent = self.spent.clone();
        spent.sort_unstable();
        for (place, (from, _)) in spent.iter().enumerate() {
            let inside = |(time, _): &&(u64, u64)| *time < from + window_ms;
            let units: u64 = spent[place..].iter().take_while(inside).map(|(_, units)| units).sum();
            let within = |(time, _): &&(u64, u64)| (*from..from + window_ms).contains(time);
            let forgiven: u64 = self.forgiven.iter().filter(within).map(|(_, units)| units).sum();
            let bound = self.terms.window_bound() + self.terms.overshoot_bound(ISOLATES as u64) + forgiven;
            assert!(units <= bound, "{units} units in the window from {from} ms, bound {bound}");
        }
    }
}

fn any_terms() -> impl Strategy<Value = Terms> {
    let mode = prop_oneof![
        Just(Mode::Exact),
        (0..100_u32, 200..1000_u64)
            .prop_map(|(outstanding_max, ms)| Mode::Lease { outstanding_max, ttl: Duration::from_millis(ms) }),
        (0..30_u32, 50..1000_u64)
            .prop_map(|(unsynced_max, ms)| Mode::Async { unsynced_max, sync_every: Duration::from_millis(ms) }),
    ];
    (1..600_u32, 1000..3000_u64, 1..300_u32, mode).prop_map(|(limit, window_ms, burst, mode)| {
        let quota = Quota::new(units(limit), Duration::from_millis(window_ms), units(burst)).expect("a sound quota");
        Terms::new(quota, mode).expect("times in their ranges")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_bound_holds_for_any_schedule(
        terms in any_terms(),
        steps in prop::collection::vec((0..40_u64, event()), 1..500),
    ) {
        let mut fleet = Fleet::new(terms);
        for (gap, event) in steps {
            fleet.now += gap;
            fleet.apply(event);
            fleet.check_now();
        }
        fleet.check();
    }

    /// Without anything between them, a spender and a ledger admit what a quota alone admits.
    #[test]
    fn exact_is_the_quota(gaps in prop::collection::vec(0..400_u64, 1..200)) {
        let terms = terms(Mode::Exact);
        let mut pair = Pair::new(terms);
        let mut stored = None;
        let mut now = 0;
        for gap in gaps {
            now += gap / 20;
            let expect = match quota().decide(stored, at(now), 1) {
                crate::limit::Decision::Allow { next } => {
                    stored = Some(next);
                    None
                }
                crate::limit::Decision::Deny { retry_after } => Some(nanos(retry_after)),
                crate::limit::Decision::Never => panic!("a unit is never above the burst"),
            };
            match pair.spend(now) {
                Ruling::Allow => prop_assert_eq!(expect, None),
                Ruling::Deny { retry_after } => prop_assert_eq!(expect, Some(nanos(retry_after))),
                Ruling::Never => prop_assert!(false, "a unit is never above the burst"),
            }
        }
    }
}
