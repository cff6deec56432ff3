//! The invariants, and an upstream that takes only so much.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::*;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_millis(1_772_323_200_000 + ms)
}

/// Numbers as a host would draw them.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 32) as u32
    }
}

/// Offers `offered` calls each 100 ms to an upstream that accepts `capacity` of them.
struct Bench {
    config: Config,
    throttle: Throttle,
    random: Random,
    step: u64,
}

/// What became of the calls of some steps.
#[derive(Default)]
struct Seen {
    offered: u64,
    sent: u64,
    accepted: u64,
}

impl Bench {
    fn new(k_permille: u32) -> Self {
        let settings = Settings {
            k_permille,
            k_critical_permille: k_permille.max(2500),
            k_sheddable_permille: k_permille.min(1300),
            ..Settings::default()
        };
        let config = Config::new(settings).unwrap_or_else(|error| panic!("{error}"));
        Self { config, throttle: Throttle::new(), random: Random(7), step: 0 }
    }

    fn run(&mut self, seconds: u64, offered: u64, capacity: u64) -> Seen {
        let mut seen = Seen::default();
        for _ in 0..seconds * 10 {
            self.step += 1;
            let mut room = capacity;
            for _ in 0..offered {
                seen.offered += 1;
                let random = self.random.next();
                let pass = self.throttle.admit(&self.config, Priority::Normal, at(100 * self.step), random);
                let Pass::Send(ticket) = pass else { continue };
                seen.sent += 1;
                let end = if room > 0 { End::Accepted } else { End::Refused };
                room = room.saturating_sub(1);
                seen.accepted += u64::from(end == End::Accepted);
                self.throttle.record(&self.config, ticket, end);
            }
        }
        seen
    }
}

#[test]
fn an_overloaded_upstream_is_sent_k_times_what_it_accepts() {
    for k in [1500, 2000, 2500] {
        let mut bench = Bench::new(k);
        bench.run(120, 200, 50);
        let seen = bench.run(600, 200, 50);
        let permille = seen.sent * 1000 / seen.accepted;
        let off = permille.abs_diff(u64::from(k));
        assert!(off * 50 <= u64::from(k), "{permille} permille sent for each accepted, {k} expected");
    }
}

#[test]
fn it_recovers_within_a_window_from_overload_and_within_four_from_outage() {
    let mut bench = Bench::new(2000);
    bench.run(120, 200, 50);
    bench.run(30, 200, 200);
    let seen = bench.run(30, 200, 200);
    assert_eq!(seen.sent, seen.offered);

    let mut bench = Bench::new(2000);
    let dead = bench.run(120, 200, 0);
    // About one in a hundred is sent, once the window is full of refusals.
    assert!(dead.sent * 50 < dead.offered, "{} of {}", dead.sent, dead.offered);
    bench.run(120, 200, 200);
    let seen = bench.run(30, 200, 200);
    assert_eq!(seen.sent, seen.offered);
}

#[test]
fn what_matters_less_is_dropped_first() {
    let mut bench = Bench::new(2000);
    bench.run(60, 200, 50);
    let probability = |priority| match bench.throttle.clone().admit(&bench.config, priority, at(60_000), 0) {
        Pass::Drop { probability_permille } => probability_permille,
        Pass::Send(_) => 0,
    };
    let [sheddable, normal, critical, always] = Priority::ALL.map(probability);
    assert!(sheddable > normal && normal > critical && critical > always, "{sheddable} {normal} {critical}");
    assert_eq!(always, 0);
}

#[test]
fn some_calls_always_pass() {
    let config = Config::default();
    let mut throttle = Throttle::new();
    for _ in 0..100_000 {
        if let Pass::Send(ticket) = throttle.admit(&config, Priority::Normal, at(0), u32::MAX) {
            throttle.record(&config, ticket, End::Refused);
        }
    }
    let admit = |random| throttle.clone().admit(&config, Priority::Normal, at(0), random);
    assert_eq!(admit(DROP_MAX - 1), Pass::Drop { probability_permille: DROP_MAX_PERMILLE });
    assert!(matches!(admit(DROP_MAX), Pass::Send(_)));
}

#[test]
fn a_crowd_that_comes_before_the_first_answer_is_sent() {
    let config = Config::default();
    let mut throttle = Throttle::new();
    let mut admit = |random| throttle.admit(&config, Priority::Normal, at(0), random);
    assert!((0..1000).all(|_| matches!(admit(0), Pass::Send(_))));
}

/// Offers one call each `gap_ms`, and lets each end after `takes_ms`, to see which are sent.
fn sent_to_a_slow_upstream(config: &Config, gap_ms: u64, takes_ms: u64, end: End, span_ms: u64) -> Vec<(u64, bool)> {
    let mut throttle = Throttle::new();
    let mut random = Random(3);
    let mut under_way: VecDeque<(u64, Ticket)> = VecDeque::new();
    let mut calls = Vec::new();
    for now in (0..span_ms).step_by(gap_ms as usize) {
        while under_way.front().is_some_and(|(ends, _)| *ends <= now) {
            let (_, ticket) = under_way.pop_front().expect("it was there");
            throttle.record(config, ticket, end);
        }
        let pass = throttle.admit(config, Priority::Normal, at(now), random.next());
        if let Pass::Send(ticket) = pass {
            under_way.push_back((now + takes_ms, ticket));
        }
        calls.push((now, matches!(pass, Pass::Send(_))));
    }
    calls
}

#[test]
fn calls_that_say_nothing_are_taken_out() {
    let config = Config::default();
    let mut throttle = Throttle::new();
    for _ in 0..1000 {
        let Pass::Send(ticket) = throttle.admit(&config, Priority::Normal, at(0), 0) else { panic!("nothing refused") };
        throttle.record(&config, ticket, End::Unknown);
    }
    // A ticket from before the window changes nothing.
    let Pass::Send(late) = throttle.admit(&config, Priority::Normal, at(0), 0) else { panic!("nothing refused") };
    let Pass::Send(_) = throttle.admit(&config, Priority::Always, at(40_000), 0) else { panic!("always") };
    let before = throttle.clone();
    throttle.record(&config, late, End::Accepted);
    assert_eq!(throttle, before);
}

#[test]
fn ends_of_calls_are_sorted() {
    let status = |status| Reply::Status { status, retry_after: None };
    for (reply, end) in [
        (status(200), End::Accepted),
        (status(404), End::Accepted),
        (status(429), End::Refused),
        (status(500), End::Accepted),
        (status(502), End::Refused),
        (status(503), End::Refused),
        (status(504), End::Refused),
        (Reply::Disconnected, End::Refused),
        (Reply::TimedOut, End::Refused),
        (Reply::Abandoned, End::Unknown),
    ] {
        assert_eq!(End::classify(reply), end, "{reply:?}");
    }
}

#[test]
fn settings_out_of_range_are_named() {
    let sound = Settings::default();
    for (settings, name) in [
        (Settings { window: Duration::from_millis(999), ..sound }, "window"),
        (Settings { window: Duration::from_secs(3601), ..sound }, "window"),
        (Settings { buckets: 0, ..sound }, "buckets"),
        (Settings { buckets: 17, ..sound }, "buckets"),
        (Settings { k_permille: 1099, ..sound }, "k_permille"),
        (Settings { k_critical_permille: 1999, ..sound }, "k_critical_permille"),
        (Settings { k_sheddable_permille: 1099, ..sound }, "k_sheddable_permille"),
        (Settings { k_sheddable_permille: 2001, ..sound }, "k_sheddable_permille"),
    ] {
        assert_eq!(Config::new(settings).map_err(|error| error.setting), Err(name));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// While `k` times what is accepted covers what is asked, nothing is dropped, whatever the number drawn.
    #[test]
    fn nothing_is_dropped_while_enough_is_accepted(
        k in 1100..10_000_u32,
        steps in prop::collection::vec((0..2000_u64, any::<bool>(), any::<u32>()), 1..300),
    ) {
        let mut bench = Bench::new(k);
        let mut now = 0;
        // The same counts, kept call by call: the bucket of time, and whether it was accepted.
        let mut calls: Vec<(u64, bool)> = Vec::new();
        for (gap, accepted, random) in steps {
            now += gap;
            let bucket = at(now).as_unix_millis() / 3000;
            calls.retain(|(at, _)| at + 10 > bucket);
            let accepts = calls.iter().filter(|(_, accepted)| *accepted).count() as u64;
            let covered = accepts * u64::from(k) >= calls.len() as u64 * 1000;
            match bench.throttle.admit(&bench.config, Priority::Normal, at(now), random) {
                Pass::Send(ticket) => {
                    let end = if accepted { End::Accepted } else { End::Refused };
                    bench.throttle.record(&bench.config, ticket, end);
                    calls.push((bucket, accepted));
                }
                Pass::Drop { probability_permille } => {
                    prop_assert!(!covered);
                    prop_assert!(probability_permille <= DROP_MAX_PERMILLE);
                    calls.push((bucket, false));
                }
            }
        }
    }

    /// However late the deadline, even after the window, an upstream that only hangs is soon sent few calls. (With one
    /// bucket a window forgets all that it knew when it ends.)
    #[test]
    fn a_hanging_upstream_is_left_alone_whatever_the_deadline(
        k in 1100..=3000_u32, window_s in 2..120_u64, buckets in 2..=16_u8, deadline_permille in 1..4000_u64,
    ) {
        let settings = Settings {
            window: Duration::from_secs(window_s),
            buckets,
            k_permille: k,
            k_critical_permille: 3000,
            k_sheddable_permille: 1100,
            ..Settings::default()
        };
        let config = Config::new(settings).expect("all are in range");
        let window_ms = 1000 * window_s;
        // Four hundred calls a window; each window at least halves what is sent.
        let calls = sent_to_a_slow_upstream(
            &config, window_ms / 400, window_ms * deadline_permille / 1000, End::Refused, 12 * window_ms,
        );
        let late = calls.iter().filter(|(now, _)| *now >= 8 * window_ms);
        let sent = late.clone().filter(|(_, sent)| *sent).count();
        let of = late.count();
        prop_assert!(sent * 10 < of, "{sent} of {of}");
    }

    /// Slow answers are answers: below `k` times the patience none is held back, not even those of a first crowd.
    #[test]
    fn an_upstream_that_answers_slowly_is_sent_everything(
        window_s in 2..120_u64, buckets in 1..=16_u8, of_bound_permille in 1..900_u64,
    ) {
        let settings = Settings { window: Duration::from_secs(window_s), buckets, ..Settings::default() };
        let config = Config::new(settings).expect("all are in range");
        let window_ms = 1000 * window_s;
        let bound_ms = window_ms * u64::from(settings.k_permille) / u64::from(PATIENCE_DIVISOR) / 1000;
        let takes_ms = bound_ms * of_bound_permille / 1000;
        let calls = sent_to_a_slow_upstream(&config, window_ms / 400, takes_ms, End::Accepted, 3 * window_ms);
        prop_assert!(calls.iter().all(|(_, sent)| *sent));
    }

    /// With the largest `k`, an upstream that accepts anything at all is never throttled for long runs of calls.
    #[test]
    fn a_large_k_never_throttles(refused in 0..900_u64) {
        let mut bench = Bench::new(*Settings::K.end());
        bench.run(1, 1, 1);
        let seen = bench.run(1, refused / 10, 0);
        prop_assert_eq!(seen.sent, seen.offered);
    }
}
