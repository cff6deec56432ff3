//! Time for one operation, of several contenders in turn: that of the processor, so that waiting for others who use the
//! machine does not count.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// One who does the operation, as often as it is told.
pub(crate) struct Contender<'a> {
    /// What the table calls it.
    pub(crate) name: &'static str,
    /// Does the operation so many times.
    pub(crate) work: Box<dyn FnMut(u64) + 'a>,
}

/// The nanoseconds that one operation took each contender.
pub(crate) struct Figures {
    /// What the operation is.
    pub(crate) operation: &'static str,
    /// Name, and the median of [`RUNS`] runs.
    pub(crate) medians: Vec<(&'static str, f64)>,
    /// At most this share of the second contender's time is what core aims for.
    pub(crate) target: Option<f64>,
}

impl Figures {
    /// The first contender's time over the second's.
    pub(crate) fn ratio(&self) -> Option<f64> {
        match self.medians[..] {
            [(_, own), (_, other), ..] => Some(own / other),
            _ => None,
        }
    }
}

/// Lets the contenders work one after another, several times, so that what else the machine does meets all of them.
pub(crate) fn compare(
    operation: &'static str,
    target: Option<f64>,
    count: u64,
    mut contenders: Vec<Contender<'_>>,
) -> Figures {
    let mut runs = vec![Vec::new(); contenders.len()];
    for run in 0..=RUNS {
        for (contender, times) in contenders.iter_mut().zip(&mut runs) {
            let started = worked();
            (contender.work)(count);
            let time = worked() - started;
            // The first run warms caches and branch predictors.
            if run > 0 {
                times.push(time.as_nanos() as f64 / count as f64);
            }
        }
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let medians = contenders.iter().zip(runs).map(|(contender, times)| (contender.name, median(times))).collect();
    Figures { operation, medians, target }
}

/// How long the processor has worked for this thread.
fn worked() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // Neither part is ever negative.
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Runs that count; odd, so that one of them is the median.
const RUNS: u32 = 5;
