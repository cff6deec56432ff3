//! What goes to the script and comes back. That it decides as Rust does is tested against a real Redis, in
//! `tests/redis`.

use proptest::prelude::*;

use super::*;
use crate::limit::tests::{KEY, MS, START, aged, any_rule, any_state, at, ns, units};
use crate::limit::{Concurrency, FixedWindow, Period, Ruling, SlidingWindow};

fn asked(algorithm: &Algorithm, cost: u32) -> Asked<'_> {
    Asked { limit: LimitId(0), algorithm, spend: Spend::new(cost, KEY).with_lease(LeaseId(u64::MAX)) }
}

#[test]
fn a_call_has_six_arguments_for_each_limit() {
    let sound = "rules of the tests are sound";
    let rules: [Algorithm; 4] = [
        Quota::new(units(3), ns(1000 * MS), units(2)).expect(sound).into(),
        SlidingWindow::new(units(10), ns(60_000 * MS)).expect(sound).into(),
        FixedWindow::new(units(10), Period::month(-480).expect(sound)).into(),
        Concurrency::new(units(10), ns(MS)).expect(sound).into(),
    ];
    let asked: Vec<Asked<'_>> = rules.iter().map(|rule| asked(rule, 2)).collect();
    let keys = ["a", "b", "c", "d"].map(ToString::to_string);
    let Call { keys: sent, args } = Call::new(Operation::Spend, &asked, keys.clone(), Some(at(1999)));
    assert_eq!(sent, keys);
    assert_eq!(args[..2], ["spend", "1772323200000001"]);
    let expect = [
        ["g", "2", "666666", "668", "0", "0"],
        ["s", "2", "10", "60000000", "", ""],
        ["f", "2", "10", "0", "-28800000000", ""],
        ["c", "2", "10", "1000", "", "18446744073709551615"],
    ];
    assert_eq!(args[2..], expect.concat());
    let args = Call::new(Operation::Peek, &[self::asked(&rules[0], 3)], [], None).args;
    assert_eq!(args, ["peek", "", "g", "3", "1000000", "2", "-1", "0"]);
}

#[test]
fn what_the_script_does_not_answer_is_refused() {
    for elements in [
        &[][..],
        &["1"],
        &["2", "1"],
        &["1", "now"],
        &["1", "18446744073709551615"],
        &["1", "1", "x 1"],
        &["1", "1", "g 1"],
        &["1", "1", "g 1 2 3"],
        &["1", "1", "s 1 2"],
        &["1", "1", "l 2 1"],
        &["1", "1", "c 1 2"],
        &["1", "1", "f 1 4294967296"],
    ] {
        assert_eq!(Reply::parse(elements.iter().copied()), Err(MalformedReply), "{elements:?}");
    }
    let reply = Reply::parse(["0", "7", "", "g 1 2"]).expect("an answer of the script");
    let stored = [None, Some(State::Gcra(Tat::from_unix_nanos(1002)))].into();
    assert_eq!(reply, Reply { allowed: false, now: Timestamp::from_unix_nanos(7000), stored });
}

#[test]
fn the_answer_names_the_limits_that_object() {
    let rule = Algorithm::from(SlidingWindow::new(units(10), ns(60_000 * MS)).expect("sound"));
    let now = START.as_unix_nanos() / 1000;
    let state = format!("s {} 9 0", now + 60_000_000);
    let reply = Reply::parse(["0", &now.to_string(), &state]).expect("an answer of the script");
    let admission = reply.admission(&[asked(&rule, 2)]);
    assert_eq!(admission.verdicts[0].ruling, Ruling::Deny { retry_after: ns(66_666 * MS + 666_667) });
    assert_eq!(reply.refusal(&[asked(&rule, 2)]), admission.refusal());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is kept as text comes back as it was, but for parts of a microsecond.
    #[test]
    fn states_travel_as_text((rule, past) in any_rule().prop_flat_map(|rule| (Just(rule), any_state(rule)))) {
        let whole: Vec<(u64, u32)> = past.into_iter().map(|(before, cost)| (before / 1000 * 1000, cost)).collect();
        if let Some(state) = aged(&rule, &whole) {
            prop_assert_eq!(state_from_text(&state_to_text(&state)), Some(state));
        }
    }
}
