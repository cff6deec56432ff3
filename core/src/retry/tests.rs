//! Who may try again and when, and what the budget bounds.

use proptest::prelude::*;

use super::*;

const HALF: u32 = 1 << 31;

fn attempt(number: u32, failure: Failure) -> Attempt {
    let repeatable = Repeatable::Method;
    Attempt { number, repeatable, failure, retry_after: None, time_left: Duration::from_secs(60) }
}

fn delay(decision: Decision) -> Duration {
    match decision {
        Decision::Retry { delay, .. } => delay,
        Decision::GiveUp(reason) => panic!("gave up: {}", reason.as_str()),
    }
}

#[test]
fn a_request_is_repeatable_by_its_method_or_its_key() {
    for (method, key, repeatable) in [
        ("GET", None, Repeatable::Method),
        ("HEAD", None, Repeatable::Method),
        ("OPTIONS", None, Repeatable::Method),
        ("TRACE", None, Repeatable::Method),
        ("PUT", None, Repeatable::Method),
        ("DELETE", None, Repeatable::Method),
        ("POST", None, Repeatable::No),
        ("PATCH", None, Repeatable::No),
        ("get", None, Repeatable::No),
        ("POST", Some("\"8e03978e\""), Repeatable::Key),
        ("POST", Some(" "), Repeatable::No),
    ] {
        assert_eq!(Repeatable::of(method, key), repeatable, "{method} {key:?}");
    }
}

#[test]
fn ends_of_calls_are_sorted() {
    let status = |status| Reply::Status { status, retry_after: None };
    for (reply, failure) in [
        (status(200), None),
        (status(404), None),
        (status(429), Some(Failure::Throttled)),
        (status(500), None),
        (status(502), Some(Failure::Transient)),
        (status(503), Some(Failure::Transient)),
        (status(504), Some(Failure::Transient)),
        (Reply::Disconnected, Some(Failure::Transient)),
        (Reply::TimedOut, Some(Failure::Transient)),
        (Reply::Abandoned, None),
    ] {
        assert_eq!(Failure::classify(reply), failure, "{reply:?}");
    }
}

#[test]
fn the_wait_doubles_at_random_up_to_its_ceiling() {
    let config = Config::new(Settings { attempts: 10, ..Settings::default() }).expect("ten is allowed");
    let mut budget = Budget::full(&config);
    for (number, failure, random, ms) in [
        (1, Failure::Transient, 0, 0),
        (1, Failure::Transient, HALF, 25),
        (2, Failure::Transient, HALF, 50),
        (5, Failure::Transient, HALF, 400),
        (9, Failure::Transient, HALF, 6400),
        (1, Failure::Throttled, HALF, 500),
        (6, Failure::Throttled, HALF, 10_000),
        (9, Failure::Throttled, HALF, 10_000),
    ] {
        let decision = budget.decide(&config, &attempt(number, failure), random);
        assert_eq!(delay(decision), Duration::from_millis(ms), "{number} {failure:?}");
    }
    assert_eq!(full_jitter(Duration::from_secs(60), Settings::DELAY_MAX, u32::MAX, u32::MAX).as_secs(), 599);
}

#[test]
fn what_the_upstream_asks_for_wins() {
    let config = Config::default();
    let mut budget = Budget::full(&config);
    for (asked, delay_ms) in [(0, 25), (1, 1000), (59, 59_000)] {
        let retry_after = Some(Duration::from_secs(asked));
        let decision = budget.decide(&config, &Attempt { retry_after, ..attempt(1, Failure::Transient) }, HALF);
        assert_eq!(delay(decision), Duration::from_millis(delay_ms), "{asked}");
    }
    // Nobody waits that long; and giving up costs nothing.
    let tokens = budget.tokens();
    let too_long = Attempt { retry_after: Some(Duration::from_secs(60)), ..attempt(1, Failure::Transient) };
    assert_eq!(budget.decide(&config, &too_long, HALF), Decision::GiveUp(Reason::Deadline));
    assert_eq!(budget.tokens(), tokens);
}

#[test]
fn it_gives_up_for_a_reason() {
    let config = Config::default();
    let sound = attempt(1, Failure::Transient);
    for (attempt, tokens, reason) in [
        (Attempt { repeatable: Repeatable::No, ..sound }, 500, Reason::NotRepeatable),
        (Attempt { number: 3, ..sound }, 500, Reason::Attempts),
        (Attempt { time_left: Duration::ZERO, ..sound }, 500, Reason::Deadline),
        (sound, 13, Reason::Budget),
        (Attempt { failure: Failure::Throttled, ..sound }, 4, Reason::Budget),
    ] {
        let mut budget = Budget { tokens };
        assert_eq!(budget.decide(&config, &attempt, 0), Decision::GiveUp(reason));
        assert_eq!(budget.tokens, tokens);
    }
}

#[test]
fn settings_out_of_range_are_named() {
    let sound = Settings::default();
    let minute = Duration::from_secs(60);
    for (settings, name) in [
        (Settings { attempts: 0, ..sound }, "attempts"),
        (Settings { attempts: 11, ..sound }, "attempts"),
        (Settings { base: Duration::ZERO, ..sound }, "base"),
        (Settings { base: minute * 2, ..sound }, "base"),
        (Settings { throttled_base: Duration::ZERO, ..sound }, "throttled_base"),
        (Settings { throttled_base: minute, ..sound }, "delay_max"),
        (Settings { delay_max: minute * 11, ..sound }, "delay_max"),
        (Settings { capacity: 0, ..sound }, "capacity"),
        (Settings { capacity: 1_000_001, ..sound }, "capacity"),
        (Settings { cost: 0, ..sound }, "cost"),
        (Settings { cost: 501, ..sound }, "cost"),
        (Settings { throttled_cost: 501, ..sound }, "throttled_cost"),
    ] {
        assert_eq!(Config::new(settings).map_err(|error| error.setting), Err(name));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// In a total outage a full budget allows 35 retries, and one more for each 14 successes before it.
    #[test]
    fn retries_in_an_outage_are_bounded(
        successes in 0..2000_u32,
        calls in 0..200_u32,
        randoms in any::<u32>(),
    ) {
        let config = Config::default();
        let mut budget = Budget { tokens: 0 };
        for _ in 0..successes {
            budget.succeeded(&config);
        }
        prop_assert_eq!(budget.tokens(), successes.min(500));
        let mut retries = 0;
        for _ in 0..calls {
            for number in 1..=3 {
                let decision = budget.decide(&config, &attempt(number, Failure::Transient), randoms);
                if let Decision::Retry { delay, .. } = decision {
                    retries += 1;
                    prop_assert!(delay <= config.delay_max);
                }
            }
        }
        prop_assert!(retries <= 35 && retries <= successes / 14);
        prop_assert_eq!(retries, (2 * calls).min(successes.min(500) / 14));
    }

    /// The budget stays within its bounds, and a retry that succeeds has cost nothing.
    #[test]
    fn a_retry_that_helps_is_free(steps in prop::collection::vec((any::<bool>(), any::<bool>()), 0..500)) {
        let config = Config::default();
        let mut budget = Budget::full(&config);
        for (fails, retry_helps) in steps {
            let before = budget.tokens();
            if !fails {
                budget.succeeded(&config);
                prop_assert_eq!(budget.tokens(), (before + 1).min(500));
            } else if let Decision::Retry { spent, .. } = budget.decide(&config, &attempt(1, Failure::Throttled), 0) {
                prop_assert_eq!(budget.tokens(), before - 5);
                if retry_helps {
                    budget.retried(&config, spent);
                    prop_assert_eq!(budget.tokens(), before);
                }
            } else {
                prop_assert!(before < 5);
            }
        }
    }
}
