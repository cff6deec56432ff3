//! The reference vectors, and what happens at the edges.

mod model;

use super::*;

const START: u64 = 1_772_323_200_000;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_millis(START + ms)
}

fn config(settings: Settings) -> Config {
    Config::new(settings).unwrap_or_else(|error| panic!("{error}"))
}

/// The configuration of the vectors: five calls, half of them, no jitter.
fn five() -> Config {
    config(Settings { min_calls: 5, jitter_permille: 0, ..Settings::default() })
}

const FAIL: Outcome = Outcome::Failure { slow: false, retry_after: None };

/// A breaker with its configuration, driven by hand.
struct Bench {
    config: Config,
    breaker: Breaker,
}

impl Bench {
    fn new(config: Config) -> Self {
        Self { config, breaker: Breaker::new() }
    }

    fn permit(&mut self, ms: u64) -> Permit {
        match self.breaker.admit(&self.config, at(ms)) {
            Gate::Pass(permit) => permit,
            Gate::Reject { retry_after } => panic!("rejected at {ms} for {retry_after:?}"),
        }
    }

    /// Calls at once, and says where that leads.
    fn call(&mut self, ms: u64, outcome: Outcome) -> State {
        let permit = self.permit(ms);
        self.breaker.record(&self.config, permit, outcome, at(ms), 0);
        self.breaker.state(at(ms))
    }

    /// For how many milliseconds a call is rejected.
    fn rejected(&mut self, ms: u64) -> u64 {
        match self.breaker.admit(&self.config, at(ms)) {
            Gate::Pass(_) => panic!("admitted at {ms}"),
            Gate::Reject { retry_after } => u64::try_from(retry_after.as_millis()).expect("waits are short"),
        }
    }

    /// Trips with `min_calls` failures at `ms`.
    fn trip(&mut self, ms: u64) {
        for _ in 0..self.config.min_calls {
            self.call(ms, FAIL);
        }
        assert_eq!(self.breaker.state(at(ms)), State::Open);
    }
}

#[test]
fn it_opens_probes_opens_for_longer_and_closes() {
    let mut bench = Bench::new(five());
    assert_eq!(bench.call(0, Outcome::Success), State::Closed);
    assert_eq!(bench.call(100, Outcome::Success), State::Closed);
    assert_eq!(bench.call(200, FAIL), State::Closed);
    assert_eq!(bench.call(300, FAIL), State::Closed);
    assert_eq!(bench.call(400, FAIL), State::Open);
    assert_eq!((bench.rejected(500), bench.rejected(1399)), (900, 1));

    assert_eq!(bench.call(1400, FAIL), State::HalfOpen);
    assert_eq!(bench.call(1450, FAIL), State::Open);
    assert_eq!(bench.breaker.opens(), 2);
    assert_eq!(bench.rejected(3449), 1);

    assert_eq!(bench.call(3450, Outcome::Success), State::HalfOpen);
    assert_eq!(bench.call(3500, Outcome::Success), State::Closed);
    assert_eq!(bench.breaker.opens(), 0);

    let generation = bench.breaker.generation;
    assert_eq!(bench.call(3600, FAIL), State::Closed);
    assert_eq!(bench.breaker.generation, generation);
    for ms in 3601..3604 {
        assert_eq!(bench.call(ms, FAIL), State::Closed);
    }
    assert_eq!(bench.call(3604, FAIL), State::Open);
}

#[test]
fn lost_probes_make_room_when_their_lease_ends() {
    let mut bench = Bench::new(five());
    for ms in 0..5 {
        bench.call(ms, FAIL);
    }
    assert_eq!(bench.rejected(1003), 1);
    let lost = [bench.permit(1004), bench.permit(1004), bench.permit(1004)];
    assert_eq!((bench.rejected(1004), bench.rejected(3003)), (2000, 1));
    let held = bench.permit(3004);

    // What became of a lost probe counts when it is told after all, and its lease is not freed twice.
    let [first, second, _] = lost;
    bench.breaker.record(&bench.config, first, Outcome::Success, at(3005), 0);
    assert_eq!(bench.breaker.state(at(3005)), State::HalfOpen);
    let another = bench.permit(3005);
    assert_eq!(bench.rejected(3005), 1999);
    bench.breaker.record(&bench.config, second, Outcome::Success, at(3006), 0);
    assert_eq!(bench.breaker.state(at(3006)), State::Closed);

    // The two that are still out belong to the past.
    let closed = bench.breaker.clone();
    bench.breaker.record(&bench.config, held, FAIL, at(3007), 0);
    bench.breaker.record(&bench.config, another, FAIL, at(3007), 0);
    assert_eq!(bench.breaker, closed);
}

#[test]
fn results_older_than_the_window_are_forgotten() {
    let mut bench = Bench::new(five());
    for ms in 0..4 {
        assert_eq!(bench.call(ms, FAIL), State::Closed);
    }
    // Ten seconds later the bucket of these four is used again.
    assert_eq!(bench.call(10_000, FAIL), State::Closed);
    // Long after, everything is.
    assert_eq!(bench.call(1_000_000, FAIL), State::Closed);
    for ms in 1_000_001..1_000_004 {
        assert_eq!(bench.call(ms, FAIL), State::Closed);
    }
    assert_eq!(bench.call(1_000_004, FAIL), State::Open);
}

#[test]
fn the_rate_opens_it_when_it_is_just_reached() {
    for (rate, opens) in [(499, true), (500, true), (501, false)] {
        let mut bench =
            Bench::new(config(Settings { min_calls: 4, failure_rate_permille: rate, ..Settings::default() }));
        for outcome in [Outcome::Success, Outcome::Success, FAIL] {
            assert_eq!(bench.call(0, outcome), State::Closed);
        }
        assert_eq!(bench.call(0, FAIL) == State::Open, opens, "{rate}");
    }
}

#[test]
fn waits_double_up_to_the_cap() {
    let mut bench = Bench::new(five());
    bench.trip(0);
    let mut now = 0;
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
        assert_eq!(bench.rejected(now), seconds * 1000);
        now += seconds * 1000;
        bench.call(now, FAIL);
        bench.call(now, FAIL);
    }
}

#[test]
fn jitter_spreads_the_wait_upwards() {
    let config = config(Settings { min_calls: 1, ..Settings::default() });
    for (random, ms) in [(0, 1000), (1 << 31, 1100), (u32::MAX, 1199)] {
        let mut bench = Bench::new(config);
        let permit = bench.permit(0);
        bench.breaker.record(&config, permit, FAIL, at(0), random);
        assert_eq!(bench.rejected(0), ms, "{random}");
    }
}

#[test]
fn the_upstream_may_ask_for_more_within_reason() {
    for (asked, ms) in [(0, 1000), (1, 1000), (30, 30_000), (300, 300_000), (301, 300_000), (u64::MAX, 300_000)] {
        let mut bench = Bench::new(config(Settings { min_calls: 1, jitter_permille: 0, ..Settings::default() }));
        bench.call(0, Outcome::Failure { slow: false, retry_after: Some(Duration::from_secs(asked)) });
        assert_eq!(bench.rejected(0), ms, "{asked}");
    }
}

#[test]
fn ignored_results_count_for_nothing() {
    let mut bench = Bench::new(five());
    for ms in 0..4 {
        bench.call(ms, FAIL);
    }
    for ms in 4..100 {
        assert_eq!(bench.call(ms, Outcome::Ignored), State::Closed);
    }
    assert_eq!(bench.call(100, FAIL), State::Open);
    // An ignored probe gives its place back.
    for _ in 0..10 {
        assert_eq!(bench.call(1100, Outcome::Ignored), State::HalfOpen);
    }
}

#[test]
fn a_clock_that_steps_back_locks_nothing() {
    let hour = 3_600_000;
    let mut bench = Bench::new(five());
    bench.trip(hour);
    // No wait is longer than it could be had it begun now.
    assert_eq!(bench.rejected(0), 300_000);
    assert_eq!(bench.rejected(1), 299_999);
    let _lost = [bench.permit(hour + 1000), bench.permit(hour + 1000), bench.permit(hour + 1000)];
    assert_eq!(bench.rejected(0), 2000);
    let _held = bench.permit(2000);

    // Results of an earlier time count into the newest bucket.
    let mut bench = Bench::new(five());
    for ms in [hour, 0, hour, 0] {
        assert_eq!(bench.call(ms, FAIL), State::Closed);
    }
    assert_eq!(bench.call(0, FAIL), State::Open);
}

#[test]
fn ends_of_calls_are_sorted() {
    let status = |status| Reply::Status { status, retry_after: Some(Duration::from_secs(3)) };
    let failed = Outcome::Failure { slow: false, retry_after: Some(Duration::from_secs(3)) };
    let strict = config(Settings { fail_on_500: true, ..Settings::default() });
    for (reply, outcome, outcome_strict) in [
        (status(200), Outcome::Success, Outcome::Success),
        (status(304), Outcome::Success, Outcome::Success),
        (status(404), Outcome::Success, Outcome::Success),
        (status(429), Outcome::Ignored, Outcome::Ignored),
        (status(500), Outcome::Success, failed),
        (status(501), Outcome::Success, Outcome::Success),
        (status(502), failed, failed),
        (status(503), failed, failed),
        (status(504), failed, failed),
        (status(505), Outcome::Success, Outcome::Success),
        (Reply::Disconnected, FAIL, FAIL),
        (Reply::TimedOut, FAIL, FAIL),
        (Reply::Abandoned, Outcome::Ignored, Outcome::Ignored),
    ] {
        let took = Duration::from_secs(600);
        assert_eq!(Outcome::classify(&Config::default(), reply, took), outcome, "{reply:?}");
        assert_eq!(Outcome::classify(&strict, reply, took), outcome_strict, "{reply:?}");
    }
}

#[test]
fn a_call_is_slow_from_its_limit_on() {
    let config = config(Settings { slow_call: Some(Duration::from_secs(1)), ..Settings::default() });
    let status = |status| Reply::Status { status, retry_after: None };
    let failed = |slow| Outcome::Failure { slow, retry_after: None };
    for (reply, ms, outcome) in [
        (status(200), 999, Outcome::Success),
        (status(200), 1000, Outcome::Slow),
        (status(404), 1000, Outcome::Slow),
        (status(503), 999, failed(false)),
        (status(503), 1000, failed(true)),
        (Reply::TimedOut, 1000, failed(true)),
        (status(429), 1000, Outcome::Ignored),
        (Reply::Abandoned, 1000, Outcome::Ignored),
    ] {
        assert_eq!(Outcome::classify(&config, reply, Duration::from_millis(ms)), outcome, "{reply:?} in {ms} ms");
    }
}

#[test]
fn slow_calls_open_it_and_slow_probes_keep_it_open() {
    let slow = |rate| Settings { slow_call: Some(Duration::from_secs(1)), slow_rate_permille: rate, ..*five() };
    let mut bench = Bench::new(config(slow(800)));
    for outcome in [Outcome::Success, Outcome::Slow, Outcome::Slow, Outcome::Slow] {
        assert_eq!(bench.call(0, outcome), State::Closed);
    }
    // A failure that was slow counts in both rates; here it completes the one of slow calls.
    assert_eq!(bench.call(0, Outcome::Failure { slow: true, retry_after: None }), State::Open);
    assert_eq!(bench.call(1000, Outcome::Slow), State::HalfOpen);
    assert_eq!(bench.call(1000, Outcome::Slow), State::Open);
    assert_eq!(bench.rejected(1000), 2000);

    // Without the option, or one permille below the rate, nothing happens.
    for settings in [slow(801), Settings { slow_call: None, ..slow(1) }] {
        let mut bench = Bench::new(config(settings));
        assert_eq!(bench.call(0, Outcome::Success), State::Closed);
        for _ in 0..4 {
            assert_eq!(bench.call(0, Outcome::Slow), State::Closed);
        }
    }
}

#[test]
fn settings_out_of_range_are_named() {
    let sound = Settings::default();
    let hour = Duration::from_secs(3600);
    for (settings, name) in [
        (Settings { window: Duration::from_millis(99), ..sound }, "window"),
        (Settings { window: hour + Duration::from_nanos(1), ..sound }, "window"),
        (Settings { buckets: 0, ..sound }, "buckets"),
        (Settings { buckets: 17, ..sound }, "buckets"),
        (Settings { min_calls: 0, ..sound }, "min_calls"),
        (Settings { failure_rate_permille: 0, ..sound }, "failure_rate_permille"),
        (Settings { failure_rate_permille: 1001, ..sound }, "failure_rate_permille"),
        (Settings { slow_call: Some(Duration::ZERO), ..sound }, "slow_call"),
        (Settings { slow_call: Some(Duration::from_secs(601)), ..sound }, "slow_call"),
        (Settings { slow_rate_permille: 0, ..sound }, "slow_rate_permille"),
        (Settings { slow_rate_permille: 1001, ..sound }, "slow_rate_permille"),
        (Settings { open_base: Duration::ZERO, ..sound }, "open_base"),
        (Settings { open_base: hour * 2, open_cap: hour * 2, ..sound }, "open_base"),
        (Settings { open_cap: Duration::from_millis(999), ..sound }, "open_cap"),
        (Settings { jitter_permille: 1001, ..sound }, "jitter_permille"),
        (Settings { probes: 0, ..sound }, "probes"),
        (Settings { probes: 17, ..sound }, "probes"),
        (Settings { probes_to_close: 0, ..sound }, "probes_to_close"),
        (Settings { probes_to_close: 4, ..sound }, "probes_to_close"),
        (Settings { probe_timeout: Duration::ZERO, ..sound }, "probe_timeout"),
        (Settings { probe_timeout: Duration::from_secs(601), ..sound }, "probe_timeout"),
    ] {
        assert_eq!(Config::new(settings).map_err(|error| error.setting), Err(name));
    }
}

#[cfg(feature = "serde")]
#[test]
fn a_breaker_travels_as_bytes() {
    let mut bench = Bench::new(five());
    bench.call(0, FAIL);
    let closed = bench.breaker.clone();
    bench.trip(100_000);
    let open = bench.breaker.clone();
    let _permit = bench.permit(101_000);
    for breaker in [closed, open, bench.breaker] {
        let bytes = postcard::to_allocvec(&breaker).expect("a breaker is plain data");
        assert_eq!(postcard::from_bytes(&bytes), Ok(breaker));
    }
}
