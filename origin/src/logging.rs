//! Log lines: text for people, JSON for log stores.

use std::io::{IsTerminal as _, stderr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::config::{Config, LogFormat};
use crate::telemetry::Telemetry;

/// Starts logging for the process, on standard error: standard output belongs to what a command prints. With `telemetry`
/// spans are exported too.
///
/// # Errors
/// When something else already logs in this process.
pub fn start(config: &Config, telemetry: Option<&Telemetry>) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log_filter).context("RUST_LOG is not a filter")?;
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal());
    let lines = match config.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let spans = telemetry.map(|telemetry| {
        let spans = tracing_opentelemetry::layer().with_tracer(telemetry.tracer());
        // Spans of requests, whatever the lines are; libraries and lines of the log are not exported.
        let ours = filter_fn(|metadata| metadata.is_span() && metadata.target().starts_with("seawall_origin"));
        spans.with_location(false).with_threads(false).with_tracked_inactivity(false).with_filter(ours)
    });
    let started = tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans).try_init();
    started.map_err(|error| anyhow::anyhow!("logging cannot be started: {error}"))
}

/// A line that is written at most once in a while, however often its cause comes up.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    last: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// Calls `write`, unless it was called less than `every` ago, with how often it was not called since.
    pub fn say(&self, every: Duration, write: impl FnOnce(u64)) {
        if let Some(unsaid) = self.due(every, Instant::now()) {
            write(unsaid);
        }
    }

    fn due(&self, every: Duration, now: Instant) -> Option<u64> {
        // Two numbers are whole whatever panicked.
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.last.is_some_and(|last| now.saturating_duration_since(last) < every) {
            said.unsaid += 1;
            return None;
        }
        said.last = Some(now);
        Some(std::mem::take(&mut said.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_once_in_a_while_and_counts_the_others() {
        let (seldom, every, start) = (Seldom::default(), Duration::from_secs(30), Instant::now());
        for (after_s, written) in [(0, Some(0)), (0, None), (29, None), (30, Some(2)), (31, None), (90, Some(1))] {
            assert_eq!(seldom.due(every, start + Duration::from_secs(after_s)), written, "{after_s}");
        }
    }
}
