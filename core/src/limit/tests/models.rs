//! A million random decisions of each rule beside a slow and obvious model, with no difference.
//!
//! A model writes down what was admitted and asks its definition each time; a wait is found by looking for it.
//! `cargo test -p seawall-core limit::tests::models -- --nocapture` prints how many decisions were compared.

use alloc::collections::BTreeMap;
use std::println;

use super::*;

/// One key under one rule, by definition.
trait Model {
    /// Whether `spend` fits at `now`.
    fn fits(&self, now: u64, spend: &Spend) -> bool;
    /// Times after `now` at which something that counts ceases to, in order: nothing else makes room.
    fn changes(&self, now: u64, spend: &Spend) -> Vec<u64>;
    /// Writes down what was admitted.
    fn charge(&mut self, now: u64, spend: &Spend);
    /// Takes it back.
    fn refund(&mut self, now: u64, spend: &Spend);
    /// Largest cost that ever fits.
    fn cost_max(&self) -> u32;

    fn ruling(&self, now: u64, spend: &Spend) -> Ruling {
        if spend.cost > self.cost_max() {
            return Ruling::Never;
        }
        if self.fits(now, spend) {
            return Ruling::Allow;
        }
        let fits = |time: &u64| self.fits(*time, spend);
        let until = self.changes(now, spend).into_iter().find(fits).expect("some change makes room");
        Ruling::Deny { retry_after: ns(until - now) }
    }
}

/// The earliest time in `from..=to` at which `fits` holds, which stays true once it is.
fn earliest(mut from: u64, mut to: u64, fits: impl Fn(u64) -> bool) -> u64 {
    while from < to {
        let middle = from + (to - from) / 2;
        if fits(middle) { to = middle } else { from = middle + 1 }
    }
    from
}

/// A continuous token bucket. Tokens are counted in nanoseconds of earning, so nothing is rounded.
struct ContinuousBucket {
    interval: i128,
    capacity: i128,
    level: i128,
    seen: u64,
}

impl ContinuousBucket {
    /// Earns with time and loses when it goes back.
    fn level(&self, now: u64) -> i128 {
        (self.level + i128::from(now) - i128::from(self.seen)).min(self.capacity)
    }

    fn set(&mut self, now: u64, level: i128) {
        (self.level, self.seen) = (level.min(self.capacity), now);
    }
}

impl Model for ContinuousBucket {
    fn fits(&self, now: u64, spend: &Spend) -> bool {
        i128::from(spend.cost) * self.interval <= self.level(now)
    }

    fn changes(&self, now: u64, spend: &Spend) -> Vec<u64> {
        let missing = i128::from(spend.cost) * self.interval - self.level(now);
        [now + missing as u64].into()
    }

    fn charge(&mut self, now: u64, spend: &Spend) {
        self.set(now, self.level(now) - i128::from(spend.cost) * self.interval);
    }

    fn refund(&mut self, now: u64, spend: &Spend) {
        self.set(now, self.level(now) + i128::from(spend.cost) * self.interval);
    }

    fn cost_max(&self) -> u32 {
        (self.capacity / self.interval) as u32
    }
}

/// Units by the number of their window; the clock does not go back behind the newest.
struct SlidingCounts {
    limit: u32,
    window: u64,
    by_window: BTreeMap<u64, u32>,
}

impl SlidingCounts {
    fn clamped(&self, now: u64) -> u64 {
        self.by_window.last_key_value().map_or(now, |(newest, _)| now.max(newest * self.window))
    }

    fn units(&self, window: Option<u64>) -> u32 {
        window.and_then(|window| self.by_window.get(&window)).copied().unwrap_or(0)
    }

    fn touch(&mut self, now: u64) -> u64 {
        let window = self.clamped(now) / self.window;
        self.by_window.retain(|number, _| number + 1 >= window);
        self.by_window.entry(window).or_insert(0);
        window
    }
}

impl Model for SlidingCounts {
    fn fits(&self, now: u64, spend: &Spend) -> bool {
        let now = self.clamped(now);
        let (window, elapsed) = (now / self.window, now % self.window);
        let (current, previous) = (self.units(Some(window)), self.units(window.checked_sub(1)));
        let width = u128::from(self.window);
        let seen = u128::from(previous) * u128::from(self.window - elapsed);
        seen + u128::from(current + spend.cost) * width <= u128::from(self.limit) * width
    }

    fn changes(&self, now: u64, spend: &Spend) -> Vec<u64> {
        [earliest(now, self.clamped(now) + 2 * self.window, |time| self.fits(time, spend))].into()
    }

    fn charge(&mut self, now: u64, spend: &Spend) {
        let window = self.touch(now);
        *self.by_window.entry(window).or_insert(0) += spend.cost;
    }

    fn refund(&mut self, now: u64, spend: &Spend) {
        let window = self.touch(now);
        for _ in 0..spend.cost {
            let newest = [Some(window), window.checked_sub(1)].into_iter().flatten().find(|w| self.units(Some(*w)) > 0);
            if let Some(window) = newest {
                *self.by_window.entry(window).or_insert(0) -= 1;
            }
        }
    }

    fn cost_max(&self) -> u32 {
        self.limit
    }
}

/// Units of the newest window, which is where the model's calendar says.
struct OneWindow<F> {
    limit: u32,
    /// The end of the window of a time.
    end_of: F,
    newest: (u64, u32),
}

impl<F: Fn(u64) -> u64> OneWindow<F> {
    fn at(&self, now: u64) -> (u64, u32) {
        if now < self.newest.0 { self.newest } else { ((self.end_of)(now), 0) }
    }
}

impl<F: Fn(u64) -> u64> Model for OneWindow<F> {
    fn fits(&self, now: u64, spend: &Spend) -> bool {
        self.at(now).1 + spend.cost <= self.limit
    }

    fn changes(&self, now: u64, _: &Spend) -> Vec<u64> {
        [self.at(now).0].into()
    }

    fn charge(&mut self, now: u64, spend: &Spend) {
        let (end, used) = self.at(now);
        self.newest = (end, used + spend.cost);
    }

    fn refund(&mut self, now: u64, spend: &Spend) {
        let (end, used) = self.at(now);
        self.newest = (end, used.saturating_sub(spend.cost));
    }

    fn cost_max(&self) -> u32 {
        self.limit
    }
}

/// Tokens that arrive one interval after the other.
struct SteppedBucket {
    capacity: u32,
    refill: u32,
    interval: u64,
    /// When the interval began, and the tokens; none before the first request.
    level: Option<(u64, u32)>,
}

impl SteppedBucket {
    fn at(&self, now: u64) -> (u64, u32) {
        let (mut began, mut tokens) = self.level.unwrap_or((now, self.capacity));
        while began + self.interval <= now {
            began += self.interval;
            tokens = (tokens + self.refill).min(self.capacity);
        }
        (began, tokens)
    }
}

impl Model for SteppedBucket {
    fn fits(&self, now: u64, spend: &Spend) -> bool {
        spend.cost <= self.at(now).1
    }

    fn changes(&self, now: u64, _: &Spend) -> Vec<u64> {
        let (began, _) = self.at(now);
        (1..=u64::from(self.capacity)).map(|number| began + number * self.interval).collect()
    }

    fn charge(&mut self, now: u64, spend: &Spend) {
        let (began, tokens) = self.at(now);
        self.level = Some((began, tokens - spend.cost));
    }

    fn refund(&mut self, now: u64, spend: &Spend) {
        let (began, tokens) = self.at(now);
        self.level = Some((began, (tokens + spend.cost).min(self.capacity)));
    }

    fn cost_max(&self) -> u32 {
        self.capacity
    }
}

/// The time of each unit.
struct Times {
    limit: u32,
    window: u64,
    times: Vec<u64>,
}

impl Times {
    fn live(&self, now: u64) -> impl Iterator<Item = u64> + '_ {
        self.times.iter().copied().filter(move |time| time + self.window > now)
    }
}

impl Model for Times {
    fn fits(&self, now: u64, spend: &Spend) -> bool {
        self.live(now).count() as u32 + spend.cost <= self.limit
    }

    fn changes(&self, now: u64, _: &Spend) -> Vec<u64> {
        self.live(now).map(|time| time + self.window).collect()
    }

    fn charge(&mut self, now: u64, spend: &Spend) {
        self.times = self.live(now).collect();
        let time = self.times.iter().copied().fold(now, u64::max);
        self.times.extend((0..spend.cost).map(|_| time));
    }

    fn refund(&mut self, now: u64, spend: &Spend) {
        self.times = self.live(now).collect();
        self.times.truncate(self.times.len().saturating_sub(spend.cost as usize));
    }

    fn cost_max(&self) -> u32 {
        self.limit
    }
}

/// Who holds how much until when.
struct Holders {
    limit: u32,
    ttl: u64,
    held: BTreeMap<LeaseId, (u64, u32)>,
}

impl Holders {
    fn others(&self, now: u64, lease: LeaseId) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.held.iter().filter(move |(id, (until, _))| **id != lease && *until > now).map(|(_, held)| *held)
    }
}

impl Model for Holders {
    fn fits(&self, now: u64, spend: &Spend) -> bool {
        self.others(now, spend.lease).map(|(_, units)| units).sum::<u32>() + spend.cost <= self.limit
    }

    fn changes(&self, now: u64, spend: &Spend) -> Vec<u64> {
        let mut ends: Vec<u64> = self.others(now, spend.lease).map(|(until, _)| until).collect();
        ends.sort_unstable();
        ends
    }

    fn charge(&mut self, now: u64, spend: &Spend) {
        self.held.retain(|_, (until, _)| *until > now);
        if spend.cost > 0 {
            let before = self.held.get(&spend.lease).map_or(0, |(until, _)| *until);
            self.held.insert(spend.lease, ((now + self.ttl).max(before), spend.cost));
        }
    }

    fn refund(&mut self, now: u64, spend: &Spend) {
        self.held.retain(|id, (until, _)| *until > now && *id != spend.lease);
    }

    fn cost_max(&self) -> u32 {
        self.limit
    }
}

/// Compares `steps` decisions on one key, over gaps that suit `window` and a clock that now and then steps back.
fn agree(rule: impl Into<Algorithm>, mut model: impl Model, window: u64, steps: u32) {
    let rule = rule.into();
    let (mut now, mut state, mut denied) = (START.as_unix_nanos(), None, 0);
    let mut random = mix::fold(u128::from(window), u64::from(rule.cost_max().get()));
    for step in 0..steps {
        random = mix::mix(random.wrapping_add(u64::from(step) | 1));
        let gap_of = |range: u64| (random >> 20) % range.max(1);
        match random % 64 {
            0..8 => {}
            8..40 => now += gap_of(window / 8),
            40..52 => now += gap_of(window),
            // Onto a boundary, or next to it.
            52..56 => now += window - now % window + gap_of(3) - 1,
            56..60 => now += gap_of(4 * window),
            60 => now += gap_of(window) / 1000 * 1000,
            61 => now -= gap_of(window),
            62 => now -= gap_of(3 * window),
            _ => now += 1,
        }
        let cost = match random >> 8 & 7 {
            0..4 => 1,
            4 => 0,
            _ => (random >> 12) as u32 % (rule.cost_max().get() + 2),
        };
        let spend = Spend::new(cost, KEY).with_lease(LeaseId(random >> 40 & 15));
        let time = Timestamp::from_unix_nanos(now);
        if random >> 56 == 0 {
            state = Some(rule.refund(state.as_ref(), time, &spend));
            model.refund(now, &spend);
        } else {
            let expect = model.ruling(now, &spend);
            let seen = rule.decide(state.as_ref(), time, &spend);
            assert_eq!(seen.ruling(), expect, "step {step}: {rule:?} {state:?} at {now}, {spend:?}");
            match seen {
                Decision::Allow { next } => {
                    state = Some(next);
                    model.charge(now, &spend);
                }
                Decision::Deny { .. } => denied += 1,
                Decision::Never => {}
            }
        }
        let state = &mut state;
        let expired = state.as_ref().is_some_and(|state| rule.expires(state) <= time);
        // A store may forget what has expired; a stepped bucket's intervals start anew then, see its own test.
        if expired && step % 2 == 0 && !matches!(rule, Algorithm::IntervalBucket(_)) {
            assert_eq!(rule.remaining(state.as_ref(), time), rule.cost_max().get());
        }
    }
    println!("{}: {steps} decisions compared, {denied} of them refusals: no difference", rule.as_str());
}

const MILLION: u32 = 1_000_000;

/// Rules with other numbers share a million.
fn share(of: usize) -> u32 {
    MILLION.div_ceil(of as u32)
}

#[test]
fn gcra() {
    let rules = [(5, SECOND, 5), (3, SECOND, 1), (7, 10 * MS, 20), (100, 60 * SECOND, 10), (1, 1000, 1)];
    for (limit, window, burst) in rules {
        let rule = Quota::new(units(limit), ns(window), units(burst)).expect("sound");
        let interval = i128::from(window.div_ceil(u64::from(limit)));
        let capacity = interval * i128::from(burst);
        let model = ContinuousBucket { interval, capacity, level: capacity, seen: START.as_unix_nanos() };
        agree(rule, model, window, share(rules.len()));
    }
}

#[test]
fn sliding_window() {
    let rules = [(10, 10 * SECOND), (1, 1000), (3, 7_777_000), (100, 60 * SECOND)];
    for (limit, window) in rules {
        let rule = SlidingWindow::new(units(limit), ns(window)).expect("sound");
        agree(rule, SlidingCounts { limit, window, by_window: BTreeMap::new() }, window, share(rules.len()));
    }
}

#[test]
fn fixed_window() {
    let rules = [(10, 10 * SECOND), (1, 1000), (3, 7_777_000), (100, 60 * SECOND)];
    for (limit, window) in rules {
        let rule = FixedWindow::new(units(limit), Period::aligned(ns(window)).expect("sound"));
        let end_of = |now| (1..).map(|number| (now / window + number) * window).find(|end| *end > now).expect("an end");
        agree(rule, OneWindow { limit, end_of, newest: (0, 0) }, window, share(rules.len()));
    }
}

#[test]
fn fixed_window_by_key() {
    let window = 10 * SECOND;
    let period = Period::per_key(ns(window)).expect("sound");
    // The shift is where a window ends that would otherwise end at a multiple.
    let shift = window - period.end(Timestamp::UNIX_EPOCH, KEY).as_unix_nanos();
    assert!(shift > 0 && shift < window && shift.is_multiple_of(1000));
    let end_of = |now: u64| ((now + shift) / window + 1) * window - shift;
    agree(FixedWindow::new(units(10), period), OneWindow { limit: 10, end_of, newest: (0, 0) }, window, MILLION);
}

#[test]
fn interval_bucket() {
    let rules = [(10, 5, SECOND), (1, 1, 1000), (7, 3, 7_777_000), (100, 1, 60 * SECOND)];
    for (capacity, refill, interval) in rules {
        let rule = IntervalBucket::new(units(capacity), units(refill), ns(interval)).expect("sound");
        agree(rule, SteppedBucket { capacity, refill, interval, level: None }, interval, share(rules.len()));
    }
}

#[test]
fn sliding_log() {
    let rules = [(5, 60 * SECOND), (1, 1000), (10, 7_777_000), (64, SECOND)];
    for (limit, window) in rules {
        let rule = SlidingLog::new(units(limit), ns(window)).expect("sound");
        agree(rule, Times { limit, window, times: Vec::new() }, window, share(rules.len()));
    }
}

#[test]
fn concurrency() {
    let rules = [(5, 60 * SECOND), (1, 1000), (10, 7_777_000), (64, SECOND)];
    for (limit, ttl) in rules {
        let rule = Concurrency::new(units(limit), ns(ttl)).expect("sound");
        agree(rule, Holders { limit, ttl, held: BTreeMap::new() }, ttl, share(rules.len()));
    }
}
