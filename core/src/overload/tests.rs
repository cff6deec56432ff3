//! A server with so many workers, in virtual time.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_millis(1_772_323_200_000 + ms)
}

fn additive() -> Settings {
    let law = Law::Additive { latency_max: Duration::from_millis(100), decrease_permille: 900 };
    Settings { law, ..Settings::default() }
}

/// A server that works on `workers` calls at a time, each for `service_ms`; the others wait in turn. Each step is a
/// millisecond.
struct Server {
    config: Config,
    overload: Overload,
    workers: usize,
    service_ms: u64,
    /// When each worker is done, with what it works on.
    busy: Vec<(u64, Permit)>,
    waiting: VecDeque<Permit>,
    now: u64,
    /// Calls to come, in thousandths of one.
    due_1000: u64,
    done: u64,
    shed: u64,
    waiting_max: usize,
}

impl Server {
    fn new(settings: Settings, workers: usize, service_ms: u64) -> Self {
        let config = Config::new(settings).unwrap_or_else(|error| panic!("{error}"));
        let overload = Overload::new(&config, at(0));
        let (busy, waiting) = (Vec::new(), VecDeque::new());
        let (now, due_1000, done, shed, waiting_max) = (0, 0, 0, 0, 0);
        Self { config, overload, workers, service_ms, busy, waiting, now, due_1000, done, shed, waiting_max }
    }

    /// Offers `per_second` calls for `ms` milliseconds, and answers how many were done.
    fn run(&mut self, ms: u64, per_second: u64) -> u64 {
        let before = self.done;
        (self.shed, self.waiting_max) = (0, 0);
        for _ in 0..ms {
            self.now += 1;
            let now = at(self.now);
            let (over, busy) = core::mem::take(&mut self.busy).into_iter().partition(|(end, _)| *end <= self.now);
            self.busy = busy;
            let over: Vec<(u64, Permit)> = over;
            for (_, permit) in over {
                self.done += 1;
                self.overload.finish(&self.config, permit, End::Done, now, 0);
            }
            self.due_1000 += per_second;
            while self.due_1000 >= 1000 {
                self.due_1000 -= 1000;
                match self.overload.admit(&self.config, Priority::Normal, now) {
                    Gate::Admit(permit) => self.waiting.push_back(permit),
                    Gate::Shed { .. } => self.shed += 1,
                }
            }
            while self.busy.len() < self.workers
                && let Some(permit) = self.waiting.pop_front()
            {
                self.busy.push((self.now + self.service_ms, permit));
            }
            self.waiting_max = self.waiting_max.max(self.waiting.len());
        }
        self.done - before
    }
}

#[test]
fn under_a_step_of_load_it_works_at_capacity_with_a_short_queue() {
    for settings in [Settings::default(), additive()] {
        // Twenty workers of 20 ms: a thousand calls a second.
        let mut server = Server::new(settings, 20, 20);
        server.run(10_000, 500);
        assert_eq!(server.shed * 100 / 5000, 0, "half the capacity needs no shedding");
        server.run(20_000, 5000);
        let done = server.run(10_000, 5000);
        assert!(done >= 9_000, "{done} of 10000 with {:?}", settings.law);
        // No call waits for more than a tenth of a second, where without a limit it would be forever.
        assert!(server.waiting_max <= 100, "{} wait", server.waiting_max);
    }
}

#[test]
fn it_follows_an_upstream_that_becomes_slower_and_well_again() {
    let mut server = Server::new(Settings::default(), 20, 20);
    server.run(30_000, 5000);
    // A jump: each call takes five times as long.
    server.service_ms = 100;
    server.run(5_000, 5000);
    assert!(server.overload.limit() < 40, "{}", server.overload.limit());
    let done = server.run(120_000, 5000);
    assert!(done >= 200 * 120 * 8 / 10, "{done} done while slow");
    assert!(server.waiting_max <= 100, "{} wait", server.waiting_max);
    server.service_ms = 20;
    server.run(70_000, 5000);
    let done = server.run(10_000, 5000);
    assert!(done >= 9_000, "{done} of 10000 after recovery");
}

#[test]
fn a_limit_that_is_not_used_does_not_grow() {
    let mut server = Server::new(Settings::default(), 1000, 20);
    server.run(60_000, 100);
    assert!(server.overload.limit() <= 20 + 20, "{}", server.overload.limit());
    let mut server = Server::new(additive(), 1000, 20);
    server.run(60_000, 100);
    assert_eq!(server.overload.limit(), 20);
}

#[test]
fn what_matters_less_goes_first_and_health_checks_always_get_in() {
    let config = Config::new(Settings { limit_start: 10, ..additive() }).expect("a sound variation");
    let mut overload = Overload::new(&config, at(0));
    let mut admitted = [0; 4];
    for (place, priority) in Priority::ALL.into_iter().enumerate() {
        for _ in 0..20 {
            match overload.admit(&config, priority, at(0)) {
                Gate::Admit(_held) => admitted[place] += 1,
                Gate::Shed { in_flight, limit } => assert!(in_flight >= limit),
            }
        }
    }
    assert_eq!(admitted, [7, 2, 1, 20]);
    assert_eq!(overload.in_flight(), 30);
}

#[test]
fn refusals_further_on_lower_the_limit() {
    for settings in [Settings { sample_time: Duration::ZERO, ..Settings::default() }, additive()] {
        let config = Config::new(settings).expect("a sound variation");
        let mut overload = Overload::new(&config, at(0));
        let call = |overload: &mut Overload, ms: u64, end| {
            let Gate::Admit(permit) = overload.admit(&config, Priority::Critical, at(ms)) else { panic!("room") };
            overload.finish(&config, permit, end, at(ms + 1), 0);
        };
        for ms in 0..100 {
            call(&mut overload, 10 * ms, End::Done);
        }
        let before = overload.limit();
        for ms in 100..500 {
            call(&mut overload, 10 * ms, End::Overloaded);
        }
        assert!(overload.limit() < before, "{} from {before}", overload.limit());
        assert!(overload.limit() >= config.limit_min);
    }
}

#[test]
fn settings_out_of_range_are_named() {
    let sound = Settings::default();
    let gradient = |tolerance_permille, seconds| {
        let law = Law::Gradient { tolerance_permille, measure_every: Duration::from_secs(seconds) };
        Settings { law, ..sound }
    };
    let additive = |ms, decrease_permille| {
        let law = Law::Additive { latency_max: Duration::from_millis(ms), decrease_permille };
        Settings { law, ..sound }
    };
    for (settings, name) in [
        (gradient(1001, 60), "tolerance_permille"),
        (gradient(0, 0), "measure_every"),
        (gradient(0, 3601), "measure_every"),
        (additive(100, 499), "decrease_permille"),
        (additive(100, 1000), "decrease_permille"),
        (additive(0, 900), "latency_max"),
        (Settings { limit_max: 100_001, ..sound }, "limit_max"),
        (Settings { limit_min: 0, ..sound }, "limit_min"),
        (Settings { limit_min: 1001, ..sound }, "limit_min"),
        (Settings { limit_start: 2, ..sound }, "limit_start"),
        (Settings { sample_calls: 0, ..sound }, "sample_calls"),
        (Settings { sample_time: Duration::from_secs(61), ..sound }, "sample_time"),
        (Settings { normal_permille: 699, ..sound }, "normal_permille"),
        (Settings { sheddable_permille: 0, ..sound }, "sheddable_permille"),
    ] {
        assert_eq!(Config::new(settings).map_err(|error| error.setting), Err(name));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the calls and the clock do: the limit stays within its bounds, what is in flight is counted
    /// exactly, and nothing below [`Priority::Always`] gets in above the limit.
    #[test]
    fn the_limit_stays_within_its_bounds(
        law in any::<bool>(),
        steps in prop::collection::vec((0..5000_u64, 0..6_u8, any::<u32>()), 1..400),
    ) {
        let base = if law { additive() } else { Settings { sample_calls: 5, ..Settings::default() } };
        let config = Config::new(Settings { limit_max: 50, ..base }).expect("a sound variation");
        let mut overload = Overload::new(&config, at(0));
        let mut out = Vec::new();
        for (ms, step, random) in steps {
            let end = match step {
                0..=2 => {
                    let priority = Priority::ALL[step as usize + usize::from(random % 8 == 0)];
                    match overload.admit(&config, priority, at(ms)) {
                        Gate::Admit(permit) => {
                            out.push(permit);
                            prop_assert!(priority == Priority::Always || overload.in_flight() <= overload.limit());
                        }
                        Gate::Shed { in_flight, limit } => prop_assert!(limit <= in_flight && priority != Priority::Always),
                    }
                    continue;
                }
                3 => End::Done,
                4 => End::Overloaded,
                _ => End::Unknown,
            };
            if !out.is_empty() {
                let permit = out.swap_remove(random as usize % out.len());
                overload.finish(&config, permit, end, at(ms), random);
            }
            prop_assert!((config.limit_min..=config.limit_max).contains(&overload.limit()));
            prop_assert_eq!(overload.in_flight() as usize, out.len());
        }
    }
}
