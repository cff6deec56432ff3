//! What a person reads.

use std::sync::Mutex;
use std::thread;

use serde_json::{Value, json};

use crate::Kind;
use crate::measure::Report;
use crate::world::{Faults, Scenario};

/// One line of the table.
pub(crate) struct Row {
    limit: String,
    kind: Kind,
    scenario: Scenario,
    pub(crate) report: Report,
}

impl Row {
    pub(crate) fn new(limit: &str, kind: Kind, scenario: &Scenario, report: Report) -> Self {
        Self { limit: limit.to_owned(), kind, scenario: *scenario, report }
    }

    fn mode(&self) -> &'static str {
        match self.kind {
            Kind::Exact => "exact",
            Kind::Lease => "lease",
            Kind::Async => "async",
        }
    }

    /// The arguments that run it again.
    pub(crate) fn replay(&self, seed: u64) -> String {
        let Scenario { isolates, load_permille, traffic, faults, duration, .. } = &self.scenario;
        let faults = if *faults == Faults::USUAL { "" } else { " --faults" };
        format!(
            "--limit {} --mode {} --isolates {isolates} --load {load_permille} --traffic {} --seconds {} --seed {seed}{faults}",
            self.limit,
            self.mode(),
            traffic.as_str(),
            duration.as_secs(),
        )
    }

    fn cells(&self) -> [String; 11] {
        let Report { requests, admitted, ideal, worst_window, ideal_window, bound, overshoot, calls, .. } = self.report;
        [
            self.limit.clone(),
            self.mode().to_owned(),
            format!("{}.{:02}", self.scenario.load_permille / 1000, self.scenario.load_permille % 1000 / 10),
            self.scenario.isolates.to_string(),
            requests.to_string(),
            ratio(admitted, ideal),
            worst_window.to_string(),
            ideal_window.to_string(),
            format!("{bound} ({overshoot})"),
            ratio(calls, requests),
            ratio(self.report.wrong_denials, requests),
        ]
    }

    pub(crate) fn json(&self) -> Value {
        let report = &self.report;
        json!({
            "limit": self.limit,
            "mode": self.mode(),
            "load_permille": self.scenario.load_permille,
            "isolates": self.scenario.isolates,
            "seed": self.scenario.seed,
            "requests": report.requests,
            "admitted": report.admitted,
            "ideal_admitted": report.ideal,
            "worst_window": report.worst_window,
            "ideal_worst_window": report.ideal_window,
            "window_bound": report.bound,
            "overshoot_bound": report.overshoot,
            "store_calls": report.calls,
            "wrong_denials": report.wrong_denials,
            "unanswered": report.unanswered,
            "held_max": report.held_max,
        })
    }
}

const HEADS: [&str; 11] = [
    "limit",
    "mode",
    "load",
    "isolates",
    "requests",
    "admitted/ideal",
    "worst window",
    "of one store",
    "bound (overshoot)",
    "calls/request",
    "wrong denials",
];

/// Prints the rows in columns.
pub(crate) fn print(rows: &[Row], seed: u64) {
    let cells: Vec<[String; 11]> = rows.iter().map(Row::cells).collect();
    let widths: Vec<usize> = (0..HEADS.len())
        .map(|column| cells.iter().map(|row| row[column].len()).chain([HEADS[column].len()]).max().unwrap_or(0))
        .collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column < 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        println!("{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    };
    line(HEADS.to_vec());
    for row in &cells {
        line(row.iter().map(String::as_str).collect());
    }
    println!("seed {seed}; round trips of 20 to 150 ms, messages lost and doubled, clocks of isolates 5 s apart");
}

/// A ratio with three digits, without rounding up.
fn ratio(part: u64, whole: u64) -> String {
    let thousandths = part * 1000 / whole.max(1);
    format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}

/// Does each job, on as many threads as the machine has, and answers in the order of the jobs.
pub(crate) fn in_parallel<J: Sync, T: Send>(jobs: &[J], work: impl Fn(&J) -> T + Sync) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = Mutex::new(0..jobs.len());
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads.min(jobs.len()) {
            scope.spawn(|| {
                loop {
                    // A thread that panicked ends the scope with its panic, so a poisoned lock is never met.
                    let Some(place) = next.lock().ok().and_then(|mut next| next.next()) else { return };
                    let result = work(&jobs[place]);
                    if let Ok(mut done) = done.lock() {
                        done.push((place, result));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_unstable_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}
