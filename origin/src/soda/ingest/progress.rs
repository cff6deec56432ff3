//! Progress of a load: a bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal as _, stderr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::report::grouped;

/// Where progress goes. One serves all datasets, one after the other.
#[derive(Debug)]
pub struct Progress {
    shown: Mutex<Shown>,
}

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    Lines { name: &'static str, expected: u64, began: Instant, last: Instant },
    Nothing,
}

impl Progress {
    /// A bar when standard error is a terminal, otherwise a line now and then.
    #[must_use]
    pub fn new() -> Self {
        let now = Instant::now();
        let shown = if stderr().is_terminal() {
            Shown::Bar(ProgressBar::hidden())
        } else {
            Shown::Lines { name: "", expected: 0, began: now, last: now }
        };
        Self { shown: Mutex::new(shown) }
    }

    /// Shows nothing.
    #[must_use]
    pub const fn silent() -> Self {
        Self { shown: Mutex::new(Shown::Nothing) }
    }

    /// A dataset of `expected` rows begins.
    pub(crate) fn begin(&self, dataset: &'static str, rows: u64) {
        match &mut *self.lock() {
            Shown::Bar(bar) => {
                *bar = ProgressBar::new(rows).with_style(style()).with_prefix(dataset);
                bar.enable_steady_tick(Duration::from_millis(100));
            }
            Shown::Lines { name, expected, began, last } => {
                (*name, *expected, *began) = (dataset, rows, Instant::now());
                *last = *began;
                eprintln!("{dataset}: reading {} rows", grouped(rows));
            }
            Shown::Nothing => {}
        }
    }

    /// So many rows of it have been read.
    pub(super) fn rows(&self, read: u64) {
        match &mut *self.lock() {
            Shown::Bar(bar) => bar.set_position(read),
            Shown::Lines { name, expected, began, last } if last.elapsed() >= LINE_EVERY => {
                *last = Instant::now();
                eprintln!("{name}: {}", state(read, *expected, began.elapsed()));
            }
            Shown::Lines { .. } | Shown::Nothing => {}
        }
    }

    /// Everything is read; the table is being changed.
    pub(super) fn merge(&self) {
        match &*self.lock() {
            Shown::Bar(bar) => bar.set_message("storing"),
            Shown::Lines { name, began, .. } => eprintln!("{name}: storing, after {} s", began.elapsed().as_secs()),
            Shown::Nothing => {}
        }
    }

    /// The load ended, well or not.
    pub fn end(&self) {
        if let Shown::Bar(bar) = &*self.lock() {
            bar.finish_and_clear();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

/// Often enough to see that it lives, seldom enough for a log.
const LINE_EVERY: Duration = Duration::from_secs(5);

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:<20} {wide_bar} {human_pos}/{human_len} {per_sec} {eta} left {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn state(read: u64, expected: u64, elapsed: Duration) -> String {
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    let per_second = read.saturating_mul(1_000) / elapsed_ms;
    let left_s = expected.saturating_sub(read) / per_second.max(1);
    format!("{} of {} rows, {} rows/s, {left_s} s left", grouped(read), grouped(expected), grouped(per_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_rate_and_time_left() {
        assert_eq!(state(10_000, 40_000, Duration::from_secs(5)), "10,000 of 40,000 rows, 2,000 rows/s, 15 s left");
        assert_eq!(state(0, 40_000, Duration::ZERO), "0 of 40,000 rows, 0 rows/s, 40000 s left");
    }
}
