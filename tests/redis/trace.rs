use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use seawall_core::limit::lua::{Asked, Call, Operation, Reply};
use seawall_core::limit::{
    Algorithm, Check, Concurrency, FixedWindow, IntervalBucket, LeaseId, LimitId, Period, Quota, Ruling, SlidingLog,
    SlidingWindow, Spend, State, decide_all,
};
use seawall_core::time::Timestamp;

use crate::client::Client;

/// Calls sent before their answers are read.
const BATCH: u32 = 250;

/// Rules of every kind: small ones that meet their edges often, ones with awkward numbers, and the largest there are.
pub(crate) fn rules() -> Vec<Algorithm> {
    const SOUND: &str = "the rules are sound";
    let units = |number| NonZeroU32::new(number).expect("above zero");
    let micros = Duration::from_micros;
    let year = Quota::WINDOW_MAX;
    let gcra = |limit, window, burst| Quota::new(units(limit), window, units(burst)).expect(SOUND).into();
    let sliding = |limit, window| SlidingWindow::new(units(limit), window).expect(SOUND).into();
    let fixed = |limit, period: Result<Period, _>| FixedWindow::new(units(limit), period.expect(SOUND)).into();
    let bucket =
        |capacity, refill, interval| IntervalBucket::new(units(capacity), units(refill), interval).expect(SOUND).into();
    let log = |limit, window| SlidingLog::new(units(limit), window).expect(SOUND).into();
    let leases = |limit, ttl| Concurrency::new(units(limit), ttl).expect(SOUND).into();
    vec![
        gcra(5, micros(1_000_000), 5),
        gcra(6000, micros(1_000_000), 6000),
        gcra(3, micros(1_000_000), 1),
        gcra(7, Duration::from_nanos(1_000_003), 20),
        // Half a microsecond for each: the parts of one add up to a whole.
        gcra(2, micros(1), 50),
        gcra(1, year, 10),
        sliding(10, micros(10_000_000)),
        sliding(3, micros(7_777_777)),
        sliding(1, micros(1)),
        sliding(u32::MAX, year),
        fixed(10, Period::aligned(micros(10_000_000))),
        fixed(5, Period::per_key(micros(7_777_777))),
        fixed(7, Period::day(-480)),
        fixed(7, Period::month(330)),
        bucket(10, 5, micros(1_000_000)),
        bucket(7, 3, micros(7_777_777)),
        bucket(u32::MAX, u32::MAX, year),
        log(5, micros(60_000_000)),
        log(64, micros(999_983)),
        leases(5, micros(30_000_000)),
        leases(64, micros(999_983)),
    ]
}

/// Requests under some of the given rules, on a clock that now and then steps back, here and in Redis.
pub(crate) struct Steps {
    rules: Vec<Algorithm>,
    /// How many rules a request meets at most.
    at_once: u64,
    now_us: u64,
    random: u64,
    /// What core keeps.
    states: HashMap<u128, State>,
}

/// One request, and what core says to it.
struct Step {
    operation: Operation,
    now: Timestamp,
    asked: Vec<(usize, Spend)>,
    stored: Vec<Option<State>>,
    ruling: Ruling,
}

impl Steps {
    pub(crate) fn new(rules: &[Algorithm], at_once: u64) -> Self {
        let random = rules.iter().fold(0x5eed, |seed, rule| mix(seed ^ u64::from(rule.cost_max().get())));
        Self { rules: rules.into(), at_once, now_us: 1_772_323_200_000_000, random, states: HashMap::new() }
    }

    /// Compares `steps` requests; says how many there were.
    pub(crate) fn compare(&mut self, client: &mut Client, steps: u32) -> String {
        client.command(&["FLUSHALL"]).expect("Redis forgets");
        let (mut denied, mut refunds) = (0, 0);
        for _ in 0..steps.div_ceil(BATCH) {
            let batch: Vec<Step> = (0..BATCH).map(|_| self.step()).collect();
            let calls: Vec<Call> = batch.iter().map(|step| self.call(step)).collect();
            let replies = client.run_all(&calls).expect("the script runs");
            for ((step, call), reply) in batch.iter().zip(&calls).zip(replies) {
                let reply = Reply::parse(reply.iter().map(String::as_str)).expect("an answer of the script");
                assert_eq!(reply.stored, step.stored, "the states before {call:?}");
                assert_eq!(reply.now, step.now, "the time of {call:?}");
                let allowed = step.ruling == Ruling::Allow;
                assert_eq!(reply.allowed, allowed, "{:?} by core: {call:?} with {:?}", step.ruling, step.stored);
                denied += u32::from(!allowed);
                refunds += u32::from(step.operation == Operation::Refund);
            }
        }
        let compared = steps.div_ceil(BATCH) * BATCH;
        format!("{compared} calls compared, {denied} refused, {refunds} taken back: no difference")
    }

    fn call(&self, step: &Step) -> Call {
        let asked: Vec<Asked<'_>> = step
            .asked
            .iter()
            .map(|(at, spend)| Asked { limit: LimitId(*at as u16), algorithm: &self.rules[*at], spend: *spend })
            .collect();
        let keys = step.asked.iter().map(|(at, _)| format!("trace:{at}"));
        Call::new(step.operation, &asked, keys, Some(step.now))
    }

    /// The next request, decided by core, whose states go on.
    fn step(&mut self) -> Step {
        let first = self.below(self.rules.len() as u64) as usize;
        let count = 1 + self.below(self.at_once) as usize;
        // Different rules: their number is no multiple of five.
        let places: Vec<usize> = (0..count).map(|offset| (first + 5 * offset) % self.rules.len()).collect();
        self.pass_time(first);
        let now = Timestamp::from_unix_nanos(self.now_us * 1000);
        let asked: Vec<(usize, Spend)> = places
            .into_iter()
            .map(|at| {
                let largest = u64::from(self.rules[at].cost_max().get());
                let cost = match self.below(8) {
                    0..4 => 1,
                    4 => 0,
                    5 => self.below(largest + 2),
                    _ => self.below(largest.min(8) + 1),
                };
                let cost = u32::try_from(cost).unwrap_or(u32::MAX);
                // Ids that no double holds exactly.
                let lease = LeaseId(u64::MAX - self.below(16));
                (at, Spend::new(cost, at as u128).with_lease(lease))
            })
            .collect();
        let stored: Vec<Option<State>> = asked.iter().map(|(_, spend)| self.states.get(&spend.key).cloned()).collect();
        let operation = match self.below(16) {
            0 => Operation::Refund,
            1 => Operation::Peek,
            _ => Operation::Spend,
        };
        let mut step = Step { operation, now, asked, stored, ruling: Ruling::Allow };
        for (at, next) in self.decide(&mut step) {
            let key = at as u128;
            // As a table does: what is worth nothing is not kept.
            if self.rules[at].expires(&next) <= now {
                self.states.remove(&key);
            } else {
                self.states.insert(key, next);
            }
        }
        step
    }

    /// What core says, and the states that it would keep.
    fn decide(&self, step: &mut Step) -> Vec<(usize, State)> {
        let asked = || step.asked.iter().zip(&step.stored);
        if step.operation == Operation::Refund {
            let refund = |((at, spend), stored): (&(usize, Spend), &Option<State>)| {
                (*at, self.rules[*at].refund(stored.as_ref(), step.now, spend))
            };
            return asked().map(refund).collect();
        }
        let checks: Vec<Check<'_>> = asked()
            .map(|((at, spend), stored)| Check {
                limit: LimitId(*at as u16),
                algorithm: &self.rules[*at],
                stored: stored.as_ref(),
                spend: *spend,
            })
            .collect();
        let decision = decide_all(&checks, step.now);
        let next = match step.operation {
            Operation::Spend => {
                decision.next_states().map(|(check, state)| (usize::from(check.limit.0), state)).collect()
            }
            Operation::Peek | Operation::Refund => Vec::new(),
        };
        step.ruling = decision.ruling();
        next
    }

    /// Gaps that suit the rule: none, small ones, to a boundary or next to it, long ones, and back.
    fn pass_time(&mut self, at: usize) {
        let window = match &self.rules[at] {
            Algorithm::Concurrency(rule) => rule.ttl(),
            rule => rule.window().unwrap_or(MONTH),
        };
        // Years would soon reach the end of time.
        let window = window.clamp(Duration::from_micros(8), MONTH).as_micros() as u64;
        match self.below(64) {
            0..10 => {}
            10..40 => self.now_us += self.below(window / 8),
            40..50 => self.now_us += self.below(window),
            50..54 => self.now_us += (window - self.now_us % window + self.below(3)).saturating_sub(1),
            54..58 => self.now_us += self.below(4 * window).min(86_400_000_000),
            58 | 59 => self.now_us -= self.below(window).min(3_600_000_000),
            _ => self.now_us += 1,
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random = mix(self.random.wrapping_add(0x9e37_79b9_7f4a_7c15));
        (self.random >> 11) % bound.max(1)
    }
}

const MONTH: Duration = Duration::from_secs(30 * 86_400);

/// Spreads every bit over all bits.
const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
