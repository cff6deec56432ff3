//! Laws that every rule obeys, whatever its numbers and its past.

use alloc::{borrow::ToOwned, format};

use super::*;
use crate::explain::replay;

/// A rule, a state that a key may be in, and a time a little after the last request.
fn any_case() -> impl Strategy<Value = (Algorithm, Option<State>, Timestamp)> {
    any_rule().prop_flat_map(|rule| {
        let window = rule.window().map_or(SECOND, |window| window.as_nanos() as u64);
        (Just(rule), any_state(rule), prop_oneof![Just(0), 0..window / 4 + 1, 0..3 * window])
            .prop_map(|(rule, past, later)| (rule, aged(&rule, &past), at(later)))
    })
}

fn spend(cost: u32) -> Spend {
    Spend::new(cost, KEY)
}

/// Keeps what a decision allows.
fn keep(decision: Decision<State>, state: &mut Option<State>) -> bool {
    match decision {
        Decision::Allow { next } => {
            *state = Some(next);
            true
        }
        Decision::Deny { .. } | Decision::Never => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Waiting exactly as long as a refusal says is enough, and a nanosecond less is not.
    #[test]
    fn the_wait_is_exact((rule, state, now) in any_case(), cost in 1..13_u32) {
        if let Ruling::Deny { retry_after } = rule.peek(state.as_ref(), now, &spend(cost)) {
            prop_assert_eq!(rule.peek(state.as_ref(), now.after(retry_after), &spend(cost)), Ruling::Allow);
            let sooner = now.after(retry_after - ns(1));
            let left = rule.peek(state.as_ref(), sooner, &spend(cost));
            prop_assert_eq!(left, Ruling::Deny { retry_after: ns(1) });
        }
    }

    /// What cannot pass is what is above the largest cost, and nothing else waits for good.
    #[test]
    fn only_what_is_too_large_never_passes((rule, state, now) in any_case(), cost in 0..16_u32) {
        let never = rule.peek(state.as_ref(), now, &spend(cost)) == Ruling::Never;
        prop_assert_eq!(never, cost > rule.cost_max().get());
    }

    /// `remaining` is the largest cost that passes.
    #[test]
    fn what_remains_is_what_passes((rule, state, now) in any_case()) {
        let passes = |cost| rule.peek(state.as_ref(), now, &spend(cost)) == Ruling::Allow;
        let largest = (1..=rule.cost_max().get()).rev().find(|cost| passes(*cost)).unwrap_or(0);
        prop_assert_eq!(rule.remaining(state.as_ref(), now), largest);
    }

    /// A cost of n is n costs of one at the same time: both leave as much, or neither passes.
    #[test]
    fn a_cost_is_so_many_single_units((rule, state, now) in any_case(), cost in 1..13_u32) {
        let (mut at_once, mut singly) = (state.clone(), state);
        let all = (0..cost).all(|unit| {
            let spend = spend(1).with_lease(LeaseId(1000 + u64::from(unit)));
            keep(rule.decide(singly.as_ref(), now, &spend), &mut singly)
        });
        let spend = spend(cost).with_lease(LeaseId(1000));
        prop_assert_eq!(keep(rule.decide(at_once.as_ref(), now, &spend), &mut at_once), all);
        if all {
            prop_assert_eq!(rule.remaining(at_once.as_ref(), now), rule.remaining(singly.as_ref(), now));
        }
    }

    /// An earlier clock never admits what a later one refuses.
    #[test]
    fn an_earlier_clock_admits_no_more((rule, state, now) in any_case(), cost in 0..13_u32, back in 0..5 * SECOND) {
        let Some(state) = state else { return Ok(()) };
        let earlier = Timestamp::from_unix_nanos(now.as_unix_nanos() - back);
        prop_assert!(rule.remaining(Some(&state), earlier) <= rule.remaining(Some(&state), now));
        if rule.peek(Some(&state), earlier, &spend(cost)) == Ruling::Allow {
            prop_assert_eq!(rule.peek(Some(&state), now, &spend(cost)), Ruling::Allow);
        }
    }

    /// Past its expiry a state equals no state, and before it something is still owed.
    #[test]
    fn an_expired_state_is_no_state((rule, state, now) in any_case(), cost in 0..13_u32, later in 0..SECOND) {
        let Some(state) = state else { return Ok(()) };
        let expires = rule.expires(&state);
        prop_assert_eq!(rule.full_reset(Some(&state), now), expires.since(now));
        let expired = Timestamp::from_unix_nanos(expires.as_unix_nanos().max(now.as_unix_nanos()) + later);
        prop_assert_eq!(rule.remaining(Some(&state), expired), rule.cost_max().get());
        prop_assert_eq!(rule.peek(Some(&state), expired, &spend(cost)), rule.peek(None, expired, &spend(cost)));
        if expires > now {
            let before = Timestamp::from_unix_nanos(expires.as_unix_nanos() - 1);
            prop_assert!(rule.remaining(Some(&state), before) < rule.cost_max().get());
        }
    }

    /// A refund takes back exactly the charge, twice the refund gives no more than everything.
    #[test]
    fn a_refund_undoes_a_charge((rule, state, now) in any_case(), cost in 1..13_u32) {
        let before = rule.remaining(state.as_ref(), now);
        let spend = spend(cost).with_lease(LeaseId(1000));
        let mut charged = state.clone();
        if keep(rule.decide(state.as_ref(), now, &spend), &mut charged) {
            prop_assert_eq!(rule.remaining(charged.as_ref(), now), before - cost);
            let refunded = rule.refund(charged.as_ref(), now, &spend);
            prop_assert_eq!(rule.remaining(Some(&refunded), now), before);
            let twice = rule.refund(Some(&refunded), now, &spend);
            prop_assert!(rule.remaining(Some(&twice), now) <= rule.cost_max().get());
        }
        let of_nothing = rule.refund(None, now, &spend);
        prop_assert_eq!(rule.remaining(Some(&of_nothing), now), rule.cost_max().get());
    }

    /// A change of the quota that leaves the time as it is forgives nothing and takes nothing.
    #[test]
    fn a_change_of_quota_keeps_what_is_spent((rule, state, now) in any_case(), other in 1..12_u32) {
        let Some(state) = state else { return Ok(()) };
        let spent = rule.cost_max().get() - rule.remaining(Some(&state), now);
        let sound = "rules of the tests are sound";
        let changed: Algorithm = match rule {
            Algorithm::Gcra(rule) => {
                // One unit takes as long as before.
                Quota::new(units(1), rule.interval(), units(other)).expect(sound).into()
            }
            Algorithm::SlidingWindow(rule) => SlidingWindow::new(units(other), rule.window()).expect(sound).into(),
            Algorithm::FixedWindow(rule) => FixedWindow::new(units(other), rule.period()).into(),
            Algorithm::IntervalBucket(rule) => {
                IntervalBucket::new(units(other), rule.refill(), rule.interval()).expect(sound).into()
            }
            Algorithm::SlidingLog(rule) => SlidingLog::new(units(other), rule.window()).expect(sound).into(),
            Algorithm::Concurrency(rule) => Concurrency::new(units(other), rule.ttl()).expect(sound).into(),
        };
        let moved = changed.rescale(&rule, &state, now, KEY);
        prop_assert!(moved.is_some());
        prop_assert_eq!(changed.remaining(moved.as_ref(), now), changed.cost_max().get().saturating_sub(spent));
        prop_assert_eq!(rule.rescale(&rule, &state, now, KEY).map(|state| rule.remaining(Some(&state), now)),
            Some(rule.remaining(Some(&state), now)));
    }

    /// A change of the time forgives nothing that counts at that moment.
    #[test]
    fn a_change_of_time_forgives_nothing((rule, state, now) in any_case(), micros in 1..100_000_000_u64) {
        let Some(state) = state else { return Ok(()) };
        let time = Duration::from_micros(micros);
        let sound = "rules of the tests are sound";
        let changed: Algorithm = match rule {
            Algorithm::Gcra(rule) => Quota::new(rule.limit(), time.max(ns(12)), rule.burst()).expect(sound).into(),
            Algorithm::SlidingWindow(rule) => SlidingWindow::new(rule.limit(), time).expect(sound).into(),
            Algorithm::FixedWindow(rule) => FixedWindow::new(rule.limit(), Period::per_key(time).expect(sound)).into(),
            Algorithm::IntervalBucket(rule) => {
                IntervalBucket::new(rule.capacity(), rule.refill(), time).expect(sound).into()
            }
            Algorithm::SlidingLog(_) | Algorithm::Concurrency(_) => rule,
        };
        let moved = changed.rescale(&rule, &state, now, KEY).expect("the same kind of rule");
        prop_assert!(changed.remaining(Some(&moved), now) <= rule.remaining(Some(&state), now));
    }

    /// With units left the effective window runs to the full reset, with none left to the next unit.
    #[test]
    fn the_effective_window_is_never_below_a_second((rule, state, now) in any_case()) {
        let seconds = rule.effective_window_seconds(state.as_ref(), now, KEY);
        prop_assert!(seconds >= 1);
        if rule.remaining(state.as_ref(), now) == 0 {
            let Ruling::Deny { retry_after } = rule.peek(state.as_ref(), now, &spend(1)) else {
                return Err(TestCaseError::fail("none remains, so one is refused"));
            };
            prop_assert!(Duration::from_secs(seconds) >= retry_after);
            prop_assert!(Duration::from_secs(seconds - 1) < retry_after);
        }
        if let (Algorithm::Gcra(quota), Some(State::Gcra(tat))) = (rule, state) {
            prop_assert_eq!(seconds, quota.effective_window_seconds(Some(tat), now));
        }
    }

    /// The end of the range of time saturates and never panics.
    #[test]
    fn nothing_overflows(rule in any_rule(), state in any::<[u64; 2]>(), now: u64, cost in 0..16_u32) {
        let [a, b] = state.map(Timestamp::from_unix_nanos);
        let lease = Lease { id: LeaseId(0), expires: a, units: 1 };
        for state in [
            State::Gcra(Tat::from_unix_nanos(a.as_unix_nanos())),
            State::SlidingWindow(WindowCounts::from_parts(a, u32::MAX, b.as_unix_nanos() as u32)),
            State::FixedWindow(WindowCount::from_parts(a, u32::MAX)),
            State::IntervalBucket(Tokens::from_parts(a, b.as_unix_nanos() as u32)),
            Log::from_times([a.min(b), a.max(b)]).expect("two in order").into(),
            Leases::from_leases([lease, Lease { expires: b, ..lease }]).expect("two leases").into(),
        ] {
            for now in [now, 0, u64::MAX].map(Timestamp::from_unix_nanos) {
                let mut kept = Some(state.clone());
                keep(rule.decide(kept.as_ref(), now, &spend(cost)), &mut kept);
                prop_assert!(rule.remaining(kept.as_ref(), now) <= rule.cost_max().get());
                let _ = rule.refund(kept.as_ref(), now, &spend(cost));
                let _ = rule.effective_window_seconds(kept.as_ref(), now, KEY);
                let _ = rule.rescale(&rule, &state, now, KEY);
            }
        }
    }

    /// A line says what was decided, and deciding again from the line gives the same line.
    #[test]
    fn every_decision_survives_its_line((rule, state, now) in any_case(), cost in 0..13_u32, (other, others, _) in any_case()) {
        let spend = spend(cost);
        let line = rule.explain(state.as_ref(), now, &spend, "my \"site\"");
        let verdict = match rule.peek(state.as_ref(), now, &spend) {
            Ruling::Allow => "verdict=allow ".to_owned(),
            Ruling::Never => "verdict=never ".to_owned(),
            Ruling::Deny { retry_after } => format!("verdict=deny retry-after={}ns ", retry_after.as_nanos()),
        };
        prop_assert!(line.contains(&verdict), "{}", line);
        prop_assert_eq!(replay(&line), Ok(line));

        let check = |limit, algorithm, stored| Check { limit: LimitId(limit), algorithm, stored, spend };
        let checks = [check(3, &rule, state.as_ref()), check(1, &other, others.as_ref())];
        let line = decide_all(&checks, now).explain(|limit| if limit == LimitId(3) { "a" } else { "b" });
        prop_assert!(line.contains(" 0.policy=\"a\" ") && line.contains(" 1.policy=\"b\" "), "{}", line);
        prop_assert_eq!(replay(&line), Ok(line));
    }

    #[cfg(feature = "serde")]
    #[test]
    fn rules_and_states_travel_as_bytes((rule, state, _) in any_case()) {
        let bytes = postcard::to_allocvec(&rule).expect("a rule is plain data");
        prop_assert_eq!(postcard::from_bytes::<Algorithm>(&bytes), Ok(rule));
        let bytes = postcard::to_allocvec(&state).expect("a state is plain data");
        prop_assert_eq!(postcard::from_bytes::<Option<State>>(&bytes), Ok(state));
    }
}
