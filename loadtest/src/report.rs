//! The result of a run: as JSON, as a table, as a page with plots.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::options::Options;
use crate::outcome::Failure;
use crate::overhead::Tool;
use crate::recorder::{Recorder, Second, Tally};
use crate::scenario::Scenario;
use crate::target::Target;

mod html;
mod plot;

/// A whole result. Its fields keep the names of the replaced site's tool; those that it had not are new.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) meta: Meta,
    pub(crate) results: BTreeMap<String, ScenarioResult>,
    pub(crate) summary: Summary,
    /// One row for each second, all scenarios together.
    pub(crate) seconds: Vec<Row>,
}

/// What was run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// When it began, in seconds since 1970.
    pub(crate) timestamp: u64,
    pub(crate) base_url: String,
    pub(crate) scenarios: Vec<String>,
    pub(crate) concurrency: u32,
    pub(crate) duration_seconds: u32,
    pub(crate) ramp_seconds: u32,
    /// `closed`, or `open` with fixed arrivals.
    pub(crate) model: String,
    pub(crate) rate_per_second: Option<u32>,
    pub(crate) think_ms: u32,
    pub(crate) timeout_seconds: u32,
    pub(crate) http: String,
    pub(crate) client_addresses: u32,
    pub(crate) tool: Tool,
}

/// What became of one scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ScenarioResult {
    pub(crate) scenario: String,
    pub(crate) total_requests: u64,
    /// Whole answers with status 200.
    pub(crate) success_count: u64,
    /// 429: refused by a limit, which is neither a success nor an error.
    pub(crate) limited_count: u64,
    pub(crate) error_count: u64,
    /// Of all requests, from 0 to 1.
    pub(crate) error_rate: f64,
    pub(crate) errors: BTreeMap<Failure, u64>,
    /// Whole answers in a second.
    pub(crate) requests_per_second: f64,
    /// Of whole answers; `None` when there was none.
    pub(crate) latency_ms: Option<Latency>,
}

/// Times in milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) mean: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// All scenarios together.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) total_requests: u64,
    pub(crate) total_errors: u64,
    pub(crate) total_limited: u64,
    /// Whole answers in a second.
    pub(crate) overall_rps: f64,
}

/// One second.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) answered: u64,
    pub(crate) limited: u64,
    pub(crate) failed: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Puts together what was counted.
pub(crate) fn build(options: &Options, target: &Target, began: Duration, recorder: Recorder, tool: Tool) -> Report {
    let (tallies, seconds) = recorder.seconds();
    let duration = options.duration().as_secs_f64();
    let results: BTreeMap<String, ScenarioResult> = tallies
        .iter()
        .map(|(scenario, tally)| (scenario.as_str().to_owned(), result(*scenario, tally, duration)))
        .collect();
    let sum = |count: fn(&ScenarioResult) -> u64| results.values().map(count).sum();
    let scheme = if target.tls { "https" } else { "http" };
    Report {
        meta: Meta {
            timestamp: began.as_secs(),
            base_url: format!("{scheme}://{}", target.authority),
            scenarios: results.keys().cloned().collect(),
            concurrency: options.users,
            duration_seconds: options.duration,
            ramp_seconds: options.ramp,
            model: if options.rate.is_some() { "open" } else { "closed" }.to_owned(),
            rate_per_second: options.rate,
            think_ms: options.think,
            timeout_seconds: options.timeout,
            http: options.http.as_str().to_owned(),
            client_addresses: options.addresses,
            tool,
        },
        summary: Summary {
            total_requests: sum(|result| result.total_requests),
            total_errors: sum(|result| result.error_count),
            total_limited: sum(|result| result.limited_count),
            overall_rps: rounded(results.values().map(|result| result.success_count).sum::<u64>() as f64 / duration, 2),
        },
        results,
        seconds: seconds.iter().map(row).collect(),
    }
}

fn result(scenario: Scenario, tally: &Tally, duration: f64) -> ScenarioResult {
    let (total, answered) = (tally.total(), tally.times_us.len());
    ScenarioResult {
        scenario: scenario.as_str().to_owned(),
        total_requests: total,
        success_count: answered,
        limited_count: tally.limited,
        error_count: tally.errors(),
        error_rate: rounded(tally.errors() as f64 / total.max(1) as f64, 4),
        errors: tally.failed.clone(),
        requests_per_second: rounded(answered as f64 / duration, 2),
        latency_ms: (answered > 0).then(|| latency(&tally.times_us)),
    }
}

fn latency(times_us: &Histogram<u64>) -> Latency {
    let ms = |us: u64| rounded(us as f64 / 1e3, 2);
    let quantile = |quantile| ms(times_us.value_at_quantile(quantile));
    Latency {
        p50: quantile(0.5),
        p95: quantile(0.95),
        p99: quantile(0.99),
        mean: rounded(times_us.mean() / 1e3, 2),
        min: ms(times_us.min()),
        max: ms(times_us.max()),
    }
}

fn row(second: &Second) -> Row {
    Row {
        answered: second.answered,
        limited: second.limited,
        failed: second.failed,
        p50_ms: rounded(second.p50_us as f64 / 1e3, 2),
        p99_ms: rounded(second.p99_us as f64 / 1e3, 2),
    }
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

impl Report {
    /// # Errors
    /// When a number is none, which no figure is.
    pub(crate) fn json(&self) -> Result<String> {
        Ok(format!("{}\n", serde_json::to_string_pretty(self)?))
    }

    pub(crate) fn html(&self) -> String {
        html::page(self)
    }

    /// For a terminal.
    pub(crate) fn table(&self) -> String {
        let mut lines = vec![format!(
            "{:<12} {:>9} {:>9} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9}",
            "scenario", "answered", "per s", "limited", "errors", "p50 ms", "p95 ms", "p99 ms", "max ms"
        )];
        for result in self.results.values() {
            let ms = |of: fn(&Latency) -> f64| {
                result.latency_ms.as_ref().map_or_else(|| "-".to_owned(), |latency| format!("{:.1}", of(latency)))
            };
            lines.push(format!(
                "{:<12} {:>9} {:>9.1} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9}{}",
                result.scenario,
                result.success_count,
                result.requests_per_second,
                result.limited_count,
                result.error_count,
                ms(|latency| latency.p50),
                ms(|latency| latency.p95),
                ms(|latency| latency.p99),
                ms(|latency| latency.max),
                kinds(&result.errors),
            ));
        }
        let Tool { cpu_share, late_ms_p99, .. } = self.meta.tool;
        lines.push(format!(
            "{:.1} answers/s in all; this tool used {:.0} % of one core, and its timers were {late_ms_p99:.1} ms late (p99)",
            self.summary.overall_rps,
            cpu_share * 100.0
        ));
        lines.push(String::new());
        lines.join("\n")
    }
}

fn kinds(errors: &BTreeMap<Failure, u64>) -> String {
    if errors.is_empty() {
        return String::new();
    }
    let kinds: Vec<String> = errors.iter().map(|(failure, count)| format!("{} {count}", failure.as_str())).collect();
    format!("  ({})", kinds.join(", "))
}
