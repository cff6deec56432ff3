//! What the users count together: one histogram for each scenario, and one row for each second.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::outcome::{Failure, Outcome};
use crate::scenario::Scenario;

/// Longest time that is told apart, in microseconds; `--timeout` is at most 120 s, and a request that was due before its
/// turn came waits longer.
const HIGHEST_US: u64 = 600_000_000;
/// Three digits: a percentile is off by a thousandth at most.
const DIGITS: u8 = 3;
/// Two digits for the row of a second, which is only plotted.
const SECOND_DIGITS: u8 = 2;

/// Times in microseconds of one scenario, and how its requests ended.
pub(crate) struct Tally {
    /// Of whole answers only.
    pub(crate) times_us: Histogram<u64>,
    pub(crate) limited: u64,
    pub(crate) failed: BTreeMap<Failure, u64>,
}

/// One second of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Second {
    pub(crate) answered: u64,
    pub(crate) limited: u64,
    pub(crate) failed: u64,
    /// In microseconds; 0 when nothing was answered.
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
}

/// Counts from `start` on, for `duration`; what ends outside of it does not count.
pub(crate) struct Recorder {
    pub(crate) start: Instant,
    pub(crate) end: Instant,
    pub(crate) tallies: BTreeMap<Scenario, Tally>,
    seconds: Vec<Second>,
    current: Second,
    current_us: Histogram<u64>,
}

impl Tally {
    fn new() -> Self {
        Self { times_us: histogram(DIGITS), limited: 0, failed: BTreeMap::new() }
    }

    pub(crate) fn errors(&self) -> u64 {
        self.failed.values().sum()
    }

    pub(crate) fn total(&self) -> u64 {
        self.times_us.len() + self.limited + self.errors()
    }
}

impl Recorder {
    pub(crate) fn new(scenarios: &[Scenario], start: Instant, duration: Duration) -> Self {
        Self {
            start,
            end: start + duration,
            tallies: scenarios.iter().map(|scenario| (*scenario, Tally::new())).collect(),
            seconds: Vec::new(),
            current: Second::default(),
            current_us: histogram(SECOND_DIGITS),
        }
    }

    /// Counts a request that took `took` and ended at `now`. In the open model `took` begins when it was due.
    pub(crate) fn record(&mut self, scenario: Scenario, outcome: Outcome, took: Duration, now: Instant) {
        if now < self.start || now >= self.end {
            return;
        }
        self.roll(now);
        self.count(scenario, outcome, took);
    }

    /// Counts a request that was due before the end and came to nothing after it.
    pub(crate) fn record_late(&mut self, scenario: Scenario, outcome: Outcome, took: Duration) {
        self.roll(self.end);
        self.count(scenario, outcome, took);
    }

    fn count(&mut self, scenario: Scenario, outcome: Outcome, took: Duration) {
        let Some(tally) = self.tallies.get_mut(&scenario) else { return };
        match outcome {
            Outcome::Answered => {
                let us = u64::try_from(took.as_micros()).unwrap_or(HIGHEST_US);
                tally.times_us.saturating_record(us);
                self.current_us.saturating_record(us);
                self.current.answered += 1;
            }
            Outcome::Limited => {
                tally.limited += 1;
                self.current.limited += 1;
            }
            Outcome::Failed(failure) => {
                *tally.failed.entry(failure).or_default() += 1;
                self.current.failed += 1;
            }
        }
    }

    /// Closes the seconds that have ended before `now`.
    fn roll(&mut self, now: Instant) {
        let passed = now.min(self.end).saturating_duration_since(self.start).as_secs();
        while (self.seconds.len() as u64) < passed {
            self.close();
        }
    }

    fn close(&mut self) {
        let mut second = std::mem::take(&mut self.current);
        if !self.current_us.is_empty() {
            second.p50_us = self.current_us.value_at_quantile(0.5);
            second.p99_us = self.current_us.value_at_quantile(0.99);
        }
        self.current_us.reset();
        self.seconds.push(second);
    }

    /// How many requests of all scenarios have ended, and how many of them failed.
    pub(crate) fn progress(&self) -> (u64, u64) {
        self.tallies.values().fold((0, 0), |(total, errors), tally| (total + tally.total(), errors + tally.errors()))
    }

    /// The rows of all seconds; what came after the last whole one is added to it.
    pub(crate) fn seconds(mut self) -> (BTreeMap<Scenario, Tally>, Vec<Second>) {
        self.roll(self.end);
        if let Some(last) = self.seconds.last_mut() {
            last.answered += self.current.answered;
            last.limited += self.current.limited;
            last.failed += self.current.failed;
        }
        (self.tallies, self.seconds)
    }
}

fn histogram(digits: u8) -> Histogram<u64> {
    // The bounds are constants that satisfy it: 1 <= HIGHEST_US / 2, and at most five digits.
    Histogram::new_with_bounds(1, HIGHEST_US, digits).expect("constant bounds")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn only_what_ends_within_the_run_counts() {
        let start = Instant::now() + ms(5_000);
        let mut recorder = Recorder::new(&[Scenario::Health], start, ms(3_000));
        for (at, counts) in [(0, true), (2_999, true), (3_000, false)] {
            let before = recorder.progress().0;
            recorder.record(Scenario::Health, Outcome::Answered, ms(1), start + ms(at));
            assert_eq!(recorder.progress().0 - before, u64::from(counts), "{at}");
        }
        recorder.record(Scenario::Health, Outcome::Answered, ms(1), start - ms(1));
        assert_eq!(recorder.progress(), (2, 0));
    }

    #[test]
    fn a_second_without_answers_has_a_row() {
        let start = Instant::now();
        let mut recorder = Recorder::new(&[Scenario::Health], start, ms(4_000));
        recorder.record(Scenario::Health, Outcome::Answered, ms(7), start + ms(100));
        recorder.record(Scenario::Health, Outcome::Failed(Failure::Timeout), ms(9), start + ms(2_500));
        recorder.record(Scenario::Health, Outcome::Limited, ms(9), start + ms(2_600));
        recorder.record_late(Scenario::Health, Outcome::Failed(Failure::NotSent), ms(5_000));
        let (tallies, seconds) = recorder.seconds();
        let rows: Vec<_> = seconds.iter().map(|second| (second.answered, second.limited, second.failed)).collect();
        assert_eq!(rows, [(1, 0, 0), (0, 0, 0), (0, 1, 1), (0, 0, 1)]);
        assert!((6_900..=7_100).contains(&seconds[0].p50_us), "{}", seconds[0].p50_us);
        assert_eq!(tallies[&Scenario::Health].total(), 4);
    }

    #[test]
    fn times_beyond_the_highest_are_counted_as_the_highest() {
        let start = Instant::now();
        let mut recorder = Recorder::new(&[Scenario::Health], start, ms(1_000));
        recorder.record(Scenario::Health, Outcome::Answered, Duration::from_secs(5_000), start);
        let most = recorder.tallies[&Scenario::Health].times_us.max();
        assert!((HIGHEST_US..HIGHEST_US + HIGHEST_US / 500).contains(&most), "{most}");
    }
}
