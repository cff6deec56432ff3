//! The kinds of jobs there are, and the bounds of each.

use std::time::Duration;

use crate::cron;

/// A kind of job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Everything that a search finds, as CSV.
    Export,
    /// A report with every record of a parcel that has more than a page shows.
    Report,
    /// Work at fixed times.
    Cron(cron::Job),
}

/// What a kind may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// How often it may fail; then it stays as failed.
    pub(crate) attempts_max: i32,
    /// The pause after the first failure is random, from half of this to all of it; each later range is twice as long.
    pub(crate) pause_base: Duration,
    /// How long one attempt may take; then it has failed.
    pub(crate) deadline: Duration,
    /// How long the job and its result are kept after its end.
    pub(crate) retention: Duration,
    /// Jobs of this kind that may wait or run at a time; who asks for one more is told to come back.
    pub(crate) open_max: i64,
    /// Whether only one of its kind may wait or run.
    pub(crate) sole: bool,
}

/// Longest pause before another attempt.
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// What visitors ask for. Two slots of a process do some hundred of these in a quarter of an hour, and nobody waits for
/// longer.
const FOR_VISITORS: Terms = Terms {
    attempts_max: 3,
    pause_base: Duration::from_secs(2),
    deadline: Duration::from_secs(5 * 60),
    retention: Duration::from_secs(24 * 60 * 60),
    open_max: 100,
    sole: false,
};

impl Kind {
    /// What visitors may ask for.
    pub(crate) const FOR_VISITORS: [Self; 2] = [Self::Export, Self::Report];

    /// Its name, in the queue and in answers.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Report => "report",
            Self::Cron(job) => job.name(),
        }
    }

    /// Its bounds.
    pub(crate) const fn terms(self) -> Terms {
        match self {
            Self::Export | Self::Report => FOR_VISITORS,
            Self::Cron(job) => Terms {
                // What is asked for again in a quarter of an hour anyway need not be tried often.
                attempts_max: job.attempts_max(),
                pause_base: Duration::from_secs(10),
                deadline: job.deadline(),
                // How it went is in cron_log for longer.
                retention: Duration::from_secs(7 * 24 * 60 * 60),
                open_max: 1,
                sole: true,
            },
        }
    }
}

impl Terms {
    /// The pause after so many failures, one or more. `random` spreads those that failed together.
    pub(crate) fn pause(&self, failures: i32, random: u32) -> Duration {
        let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(0).min(16);
        let range_ms = self.pause_base.saturating_mul(1 << doublings).min(PAUSE_MAX).as_millis();
        let half = range_ms / 2;
        let jitter = ((range_ms - half) * u128::from(random)) >> u32::BITS;
        Duration::from_millis(u64::try_from(half + jitter).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_never_short() {
        let terms = Kind::Export.terms();
        for (failures, random, pause_ms) in [
            (0, 0, 1_000),
            (1, 0, 1_000),
            (1, u32::MAX, 1_999),
            (2, 0, 2_000),
            (3, u32::MAX, 7_999),
            (40, 0, 300_000),
            (i32::MAX, u32::MAX, 599_999),
        ] {
            assert_eq!(terms.pause(failures, random), Duration::from_millis(pause_ms), "{failures} {random}");
        }
    }

    #[test]
    fn each_name_is_that_of_one_kind() {
        let kinds = Kind::FOR_VISITORS.into_iter().chain(cron::Job::ALL.map(Kind::Cron));
        let mut names: Vec<_> = kinds.map(Kind::name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
