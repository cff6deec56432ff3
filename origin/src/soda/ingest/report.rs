//! What a load did, for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::{Changes, LoadError};
use crate::soda::datasets::Dataset;
use crate::soda::row::{Flaws, Refusal};

/// What one load read and did.
#[derive(Debug)]
pub struct Report {
    /// The dataset.
    pub dataset: &'static Dataset,
    /// Rows read, refused ones included.
    pub read: u64,
    /// What became of the table.
    pub changes: Changes,
    /// Rows that were not stored, and why.
    pub refused: BTreeMap<Refusal, u64>,
    /// Fields of stored rows that could not be read.
    pub flaws: Flaws,
    /// From the first request to the commit.
    pub took: Duration,
}

/// A table of all loads, then what was refused and why, then what failed.
#[must_use]
pub fn summary(results: &[(&'static Dataset, Result<Report, LoadError>)]) -> String {
    let mut text =
        line(["dataset", "read", "stored", "inserted", "updated", "unchanged", "deleted", "refused", "time"]);
    for (dataset, result) in results {
        text.push_str(&match result {
            Err(_) => line([dataset.name, "failed", "-", "-", "-", "-", "-", "-", "-"]),
            Ok(report) => {
                let changes = report.changes;
                let numbers = [
                    report.read,
                    changes.stored(),
                    changes.inserted,
                    changes.updated,
                    changes.unchanged,
                    changes.deleted,
                    report.refused.values().sum(),
                ]
                .map(grouped);
                let [read, stored, inserted, updated, unchanged, deleted, refused] = &numbers;
                let took = format!("{:.1} s", report.took.as_secs_f64());
                line([dataset.name, read, stored, inserted, updated, unchanged, deleted, refused, &took])
            }
        });
    }
    for report in results.iter().filter_map(|(_, result)| result.as_ref().ok()) {
        let name = report.dataset.name;
        for (reason, count) in &report.refused {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{name}: refused {}: {reason}", grouped(*count));
        }
        for ((column, flaw), count) in &report.flaws {
            let _ = writeln!(text, "{name}: {column}: {} in {} rows", flaw.as_str(), grouped(*count));
        }
    }
    for (dataset, error) in results.iter().filter_map(|(dataset, result)| Some((dataset, result.as_ref().err()?))) {
        let _ = writeln!(text, "{}: failed: {}", dataset.name, chain(error));
    }
    text
}

/// The longest name of a dataset.
const NAME_WIDTH: usize = 20;

fn line(cells: [&str; 9]) -> String {
    let [name, numbers @ ..] = cells;
    let mut text = format!("{name:<NAME_WIDTH$}");
    for number in numbers {
        let _ = write!(text, " {number:>10}");
    }
    text.push('\n');
    text
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

/// `1234567` as `1,234,567`.
#[must_use]
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soda::row::Flaw;

    #[test]
    fn the_summary_says_what_was_refused_and_what_failed() {
        let permits = Dataset::find("permits").unwrap();
        let report = Report {
            dataset: permits,
            read: 20_003,
            changes: Changes { inserted: 20_000, updated: 1, unchanged: 0, deleted: 4, repeated: 0 },
            refused: [(Refusal::Missing("record_id"), 2)].into(),
            flaws: [(("estimated_cost", Flaw::NotANumber), 1)].into(),
            took: Duration::from_millis(3_140),
        };
        let failed = Dataset::find("addenda").unwrap();
        let error = LoadError::Short { expected: 5, read: 3 };
        assert_eq!(
            summary(&[(permits, Ok(report)), (failed, Err(error))]),
            "\
dataset                    read     stored   inserted    updated  unchanged    deleted    refused       time
permits                  20,003     20,001     20,000          1          0          4          2      3.1 s
addenda                  failed          -          -          -          -          -          -          -
permits: refused 2: record_id is missing
permits: estimated_cost: not a number in 1 rows
addenda: failed: the city's API announced 5 rows and sent 3; nothing was changed, load it again
"
        );
    }

    #[test]
    fn digits_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
