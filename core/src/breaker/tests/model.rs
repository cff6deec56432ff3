//! The invariants, and a slow model to compare with.

use alloc::vec;

use proptest::prelude::*;

use super::*;

/// The breaker again, from the formulas and without care for cost: every result is kept with its bucket.
struct Model {
    config: Config,
    generation: u64,
    opens: u32,
    results: Vec<(u64, bool, bool)>,
    until: Option<u64>,
    half: Option<HalfOpen>,
}

#[derive(Default)]
struct HalfOpen {
    /// When each lease ends, and which call holds it.
    leases: Vec<(u64, usize)>,
    succeeded: u8,
    failed: u8,
}

impl Model {
    fn admit(&mut self, now: u64, call: usize) -> Result<u64, u64> {
        if let Some(until) = self.until {
            if now < until {
                return Err(until - now);
            }
            (self.until, self.half) = (None, Some(HalfOpen::default()));
            self.generation += 1;
        }
        if let Some(HalfOpen { leases, succeeded, failed }) = &mut self.half {
            leases.retain(|(expires, _)| *expires > now);
            if leases.len() + usize::from(*succeeded + *failed) >= usize::from(self.config.probes) {
                return Err(leases.iter().map(|(expires, _)| *expires).min().expect("some probe is out") - now);
            }
            leases.push((now + self.config.probe_timeout.as_millis() as u64, call));
        }
        Ok(self.generation)
    }

    fn record(&mut self, generation: u64, call: usize, outcome: Outcome, now: u64, random: u32) {
        if generation != self.generation {
            return;
        }
        let (failed, slow) = match outcome {
            Outcome::Success => (Some(false), false),
            Outcome::Slow => (Some(false), true),
            Outcome::Failure { slow, .. } => (Some(true), slow),
            Outcome::Ignored => (None, false),
        };
        let trips = if let Some(half) = &mut self.half {
            half.leases.retain(|(_, holder)| *holder != call);
            half.succeeded += u8::from(failed == Some(false) && !slow);
            half.failed += u8::from(failed == Some(true) || slow);
            if half.succeeded >= self.config.probes_to_close {
                (self.half, self.opens, self.results) = (None, 0, Vec::new());
                self.generation += 1;
                return;
            }
            half.failed > self.config.probes - self.config.probes_to_close
        } else {
            let Some(failed) = failed else { return };
            let width = (self.config.window.as_millis() as u64).div_ceil(u64::from(self.config.buckets));
            let bucket = (START + now) / width;
            self.results.push((bucket, failed, slow));
            let counted: Vec<(bool, bool)> = self
                .results
                .iter()
                .filter(|(at, ..)| *at + u64::from(self.config.buckets) > bucket)
                .map(|(_, failed, slow)| (*failed, *slow))
                .collect();
            let failures = counted.iter().filter(|(failed, _)| *failed).count();
            let slow = counted.iter().filter(|(_, slow)| *slow).count();
            let too_slow = slow * 1000 >= usize::from(self.config.slow_rate_permille) * counted.len();
            counted.len() >= self.config.min_calls as usize
                && (failures * 1000 >= usize::from(self.config.failure_rate_permille) * counted.len()
                    || (self.config.slow_call.is_some() && too_slow))
        };
        if trips {
            let back_off = (self.config.open_base.as_millis() as u64) << self.opens.min(16);
            let back_off = back_off.min(self.config.open_cap.as_millis() as u64);
            let jitter = back_off * u64::from(self.config.jitter_permille) / 1000 * u64::from(random >> 31) / 2;
            let asked = outcome.retry_after().unwrap_or_default().min(RETRY_AFTER_MAX).as_millis() as u64;
            (self.until, self.half) = (Some(now + (back_off + jitter).max(asked)), None);
            self.opens += 1;
            self.generation += 1;
        }
    }
}

/// One thing that happens to a breaker: time passes, then a call starts or one that is out ends.
#[derive(Clone, Debug)]
enum Step {
    Start,
    /// Ends the call of that place among those that are out, if there is one.
    End(usize, Outcome, bool),
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => Just(Outcome::Success),
        3 => any::<bool>().prop_map(|slow| Outcome::Failure { slow, retry_after: None }),
        1 => (0..400_u64).prop_map(|s| Outcome::Failure { slow: false, retry_after: Some(Duration::from_secs(s)) }),
        2 => Just(Outcome::Slow),
        1 => Just(Outcome::Ignored),
    ]
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let gap = prop_oneof![4 => 0..50_u64, 2 => 0..3000_u64, 1 => 0..100_000_u64];
    let end = (0..8_usize, outcome(), any::<bool>()).prop_map(|(place, outcome, high)| Step::End(place, outcome, high));
    prop::collection::vec((gap, prop_oneof![Just(Step::Start), end]), 1..150)
}

fn any_config() -> impl Strategy<Value = Config> {
    let closed = (100..20_000_u64, 1..=Settings::BUCKETS_MAX, 1..8_u32, 1..=1000_u16, any::<bool>(), 1..=1000_u16);
    // Even times, so that half a jitter is whole milliseconds.
    let open = (1..1500_u64, 0..30_000_u64, 0..=1_u16, 1..6_u8, 0..6_u8, 1..5000_u64);
    (closed, open).prop_map(
        |((window, buckets, min_calls, rate, slow, slow_rate), (base, more, jitter, probes, close, timeout))| {
            config(Settings {
                window: Duration::from_millis(window),
                buckets,
                min_calls,
                failure_rate_permille: rate,
                slow_call: slow.then_some(Duration::from_secs(1)),
                slow_rate_permille: slow_rate,
                open_base: Duration::from_millis(2 * base),
                open_cap: Duration::from_millis(2 * (base + more)),
                jitter_permille: jitter * 1000,
                probes,
                probes_to_close: 1 + close % probes,
                probe_timeout: Duration::from_millis(timeout),
                fail_on_500: false,
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// (a) Whatever happened before, also to the clock, a healthy upstream is called again within the longest
    /// pause, one lease and one step.
    #[test]
    fn a_healthy_upstream_is_found_again(
        config in any_config(),
        steps in steps(),
        back in 0..1_000_000_u64,
        step in 1..5000_u64,
    ) {
        let mut breaker = Breaker::new();
        let mut now = 1_000_000;
        let mut out = vec![];
        for (gap, event) in steps {
            now += gap;
            match event {
                Step::Start => match breaker.admit(&config, at(now)) {
                    Gate::Pass(permit) => out.push(permit),
                    Gate::Reject { .. } => {}
                },
                Step::End(place, outcome, high) if place < out.len() => {
                    breaker.record(&config, out.swap_remove(place), outcome, at(now), if high { u32::MAX } else { 0 });
                }
                Step::End(..) => {}
            }
        }
        // Everything still out is lost; from here on all is well.
        now -= back.min(now);
        let deadline = at(now).after(config.pause_max()).after(config.probe_timeout).after(Duration::from_millis(2 * step));
        while breaker.state(at(now)) != State::Closed {
            prop_assert!(at(now) <= deadline, "{breaker:?}");
            while let Gate::Pass(permit) = breaker.admit(&config, at(now)) {
                breaker.record(&config, permit, Outcome::Success, at(now), 0);
                if breaker.state(at(now)) == State::Closed {
                    break;
                }
            }
            now += step;
        }
    }

    /// (b) to (e): the breaker does what the model does, step by step. At no time are there more leases than
    /// probes; a breaker opens into the future; results of old generations change nothing.
    #[test]
    fn it_agrees_with_the_slow_model(config in any_config(), steps in steps()) {
        // The model counts whole milliseconds, so buckets must be whole milliseconds too.
        let width = (config.window.as_millis() as u64).div_ceil(u64::from(config.buckets));
        let window = Duration::from_millis(width * u64::from(config.buckets));
        let config = Config::new(Settings { window, ..*config }).expect("the window grew by milliseconds");
        let mut breaker = Breaker::new();
        let mut model =
            Model { config, generation: 0, opens: 0, results: vec![], until: None, half: None };
        let mut out: Vec<(Permit, u64, usize)> = vec![];
        let mut now = 0;
        for (call, (gap, step)) in steps.into_iter().enumerate() {
            now += gap;
            match step {
                Step::Start => match (breaker.admit(&config, at(now)), model.admit(now, call)) {
                    (Gate::Pass(permit), Ok(generation)) => out.push((permit, generation, call)),
                    (Gate::Reject { retry_after }, Err(wait)) => {
                        prop_assert_eq!(retry_after, Duration::from_millis(wait));
                        prop_assert!(wait > 0);
                    }
                    (gate, expect) => prop_assert!(false, "{:?} instead of {:?}", gate, expect),
                },
                Step::End(place, outcome, high) if place < out.len() => {
                    let (permit, generation, call) = out.swap_remove(place);
                    let random = u32::from(high) << 31;
                    let before = breaker.clone();
                    let stale = permit.generation != breaker.generation;
                    breaker.record(&config, permit, outcome, at(now), random);
                    model.record(generation, call, outcome, now, random);
                    prop_assert!(!stale || breaker == before);
                    if let Phase::Open { until } = breaker.phase && before.phase != breaker.phase {
                        prop_assert!(until > at(now));
                    }
                }
                Step::End(..) => {}
            }
            if let Phase::HalfOpen { probes } = &breaker.phase {
                prop_assert!(probes.leases.len() <= usize::from(config.probes));
            }
            let state = match (model.until, &model.half) {
                (Some(until), _) if now < until => State::Open,
                (None, None) => State::Closed,
                _ => State::HalfOpen,
            };
            prop_assert_eq!(breaker.state(at(now)), state);
            prop_assert_eq!((breaker.generation, breaker.opens), (model.generation, model.opens));
        }
    }

    /// (c) A closed breaker stays closed below `min_calls`. (f) With one failure or slow call turned into a
    /// success it never opens earlier.
    #[test]
    fn fewer_failures_never_open_it_earlier(
        config in any_config(),
        results in prop::collection::vec((0..500_u64, outcome()), 1..60),
        spared in any::<prop::sample::Index>(),
    ) {
        let opens_after = |results: &[(u64, Outcome)]| {
            let mut breaker = Breaker::new();
            let mut now = 0;
            results.iter().position(|(gap, outcome)| {
                now += gap;
                if let Gate::Pass(permit) = breaker.admit(&config, at(now)) {
                    breaker.record(&config, permit, *outcome, at(now), 0);
                }
                breaker.state(at(now)) != State::Closed
            })
        };
        let first = opens_after(&results);
        prop_assert!(first.is_none_or(|place| place + 1 >= config.min_calls as usize));
        let counts = |place: &usize| !matches!(results[*place].1, Outcome::Success | Outcome::Ignored);
        let failures: Vec<usize> = (0..results.len()).filter(counts).collect();
        if !failures.is_empty() {
            let mut better = results;
            better[failures[spared.index(failures.len())]].1 = Outcome::Success;
            let later = opens_after(&better);
            prop_assert!(later.is_none_or(|later| first.is_some_and(|first| first <= later)));
        }
    }
}
