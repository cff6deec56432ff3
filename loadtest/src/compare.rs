//! Two results beside each other.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::report::{Latency, Report};

/// Reads one percentile.
type Percentile = fn(&Latency) -> f64;

/// The percentiles that are compared, by name.
const PERCENTILES: [(&str, Percentile); 4] = [
    ("p50", |latency| latency.p50),
    ("p95", |latency| latency.p95),
    ("p99", |latency| latency.p99),
    ("max", |latency| latency.max),
];

/// Largest result that is read.
const RESULT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Prints the difference of each percentile, and says whether the p95 of a scenario grew by more than `fail_above` per
/// cent, or a scenario that was answered is answered no longer.
///
/// # Errors
/// When a file is no result, or the two have no scenario in common.
pub(crate) fn run(before: &Path, after: &Path, fail_above: Option<f64>) -> Result<bool> {
    let (text, worse) = compare(&read(before)?, &read(after)?, fail_above)?;
    print!("{text}");
    Ok(worse)
}

fn read(path: &Path) -> Result<Report> {
    let context = || format!("{} is no result of this tool", path.display());
    let bytes = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    ensure!(bytes <= RESULT_BYTES_MAX, "{} has more than {RESULT_BYTES_MAX} bytes", path.display());
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(context)
}

fn compare(before: &Report, after: &Report, fail_above: Option<f64>) -> Result<(String, bool)> {
    let both: Vec<_> =
        before.results.iter().filter_map(|(name, old)| Some((name, old, after.results.get(name)?))).collect();
    ensure!(!both.is_empty(), "the two results have no scenario in common");
    let mut lines = Vec::new();
    if (before.meta.concurrency, before.meta.rate_per_second, before.meta.think_ms)
        != (after.meta.concurrency, after.meta.rate_per_second, after.meta.think_ms)
    {
        lines.push("The loads differ, so the figures do not compare as they stand.".to_owned());
    }
    lines.push(format!("{:<12} {:<5} {:>10} {:>10} {:>9}", "scenario", "", "before ms", "after ms", "change"));
    let mut worse = false;
    for (name, old, new) in both {
        let (Some(was), Some(is)) = (&old.latency_ms, &new.latency_ms) else {
            worse |= old.latency_ms.is_some() && fail_above.is_some();
            lines.push(format!("{name:<12} answered {} before, {} after", old.success_count, new.success_count));
            continue;
        };
        for (percentile, of) in PERCENTILES {
            let change = change_percent(of(was), of(is));
            let beyond = percentile == "p95" && fail_above.is_some_and(|most| change > most);
            worse |= beyond;
            let mark = if beyond { "  worse" } else { "" };
            lines.push(format!("{name:<12} {percentile:<5} {:>10.1} {:>10.1} {change:>+8.1} %{mark}", of(was), of(is)));
        }
        let rates = (old.requests_per_second, new.requests_per_second);
        lines.push(format!(
            "{name:<12} {:<5} {:>10.1} {:>10.1} {:>+8.1} %",
            "per s",
            rates.0,
            rates.1,
            change_percent(rates.0, rates.1)
        ));
    }
    lines.push(String::new());
    Ok((lines.join("\n"), worse))
}

/// From nothing, every growth is without bound.
fn change_percent(was: f64, is: f64) -> f64 {
    if was == is { 0.0 } else { (is - was) / was * 100.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(p95: f64, answered: bool) -> Report {
        let latency = serde_json::json!({ "p50": 1.0, "p95": p95, "p99": 9.0, "mean": 2.0, "min": 0.5, "max": 20.0 });
        serde_json::from_value(serde_json::json!({
            "meta": {
                "timestamp": 0, "base_url": "http://localhost", "scenarios": ["health"], "concurrency": 50,
                "duration_seconds": 60, "ramp_seconds": 0, "model": "closed", "rate_per_second": null, "think_ms": 0,
                "timeout_seconds": 10, "http": "1.1", "client_addresses": 0,
                "tool": { "cpu_seconds": 1.0, "cpu_share": 0.1, "late_ms_p50": 0.5, "late_ms_p99": 1.0 },
            },
            "results": { "health": {
                "scenario": "health", "total_requests": 10, "success_count": 10, "limited_count": 0, "error_count": 0,
                "error_rate": 0.0, "errors": { "timeout": 1 }, "requests_per_second": 5.0,
                "latency_ms": if answered { latency } else { serde_json::Value::Null },
            } },
            "summary": { "total_requests": 10, "total_errors": 0, "total_limited": 0, "overall_rps": 5.0 },
            "seconds": [],
        }))
        .expect("a result")
    }

    #[test]
    fn a_p95_that_grew_too_much_is_worse() {
        for (before, after, most, expected) in [
            (10.0, 11.0, Some(20.0), false),
            (10.0, 12.5, Some(20.0), true),
            (10.0, 12.5, None, false),
            (10.0, 5.0, Some(0.0), false),
        ] {
            let (text, worse) = compare(&report(before, true), &report(after, true), most).expect("in common");
            assert_eq!(worse, expected, "{text}");
            assert_eq!(text.contains("worse"), expected, "{text}");
        }
    }

    #[test]
    fn no_answer_at_all_is_worse() {
        assert!(compare(&report(1.0, true), &report(1.0, false), Some(20.0)).expect("in common").1);
        assert!(!compare(&report(1.0, false), &report(1.0, true), Some(20.0)).expect("in common").1);
    }

    #[test]
    fn results_of_other_scenarios_do_not_compare() {
        let mut other = report(1.0, true);
        other.results.clear();
        assert!(compare(&report(1.0, true), &other, None).is_err());
    }
}
