//! A generated city, loaded without a server in between: as many rows as the real city has, in the memory of a few pages.

use futures_util::future::join_all;
use serde_json::Value;
use tokio::sync::mpsc;

use super::client::{Page, SodaError};
use super::datasets::{DATASETS, Dataset};
use super::ingest::{self, LoadError, Progress, Report};
use crate::config::Config;
use crate::sample;

/// Rows that go to a load at once.
const PAGE_ROWS: usize = 2_000;

/// What became of each dataset.
pub type Results = Vec<(&'static Dataset, Result<Report, LoadError>)>;

/// Generates the city once and loads all datasets side by side, each through a session of its own. Shows the permits'
/// progress: the other datasets come with them.
///
/// # Errors
/// When the city cannot be generated. Loads that failed are in the results.
pub async fn load(config: &Config, options: sample::Options) -> anyhow::Result<Results> {
    let (senders, receivers): (Vec<_>, Vec<_>) = DATASETS.iter().map(|_| mpsc::channel(1)).unzip();
    let generating = tokio::task::spawn_blocking(move || generate(&options, &senders));
    let (shown, silent) = (Progress::new(), Progress::silent());
    shown.begin(DATASETS[0].name, u64::from(options.permits));
    let loads = DATASETS.iter().zip(receivers).enumerate().map(|(index, (dataset, pages))| {
        let progress = if index == 0 { &shown } else { &silent };
        async move { (dataset, ingest::load_pages(config, dataset, pages, progress).await) }
    });
    let results = join_all(loads).await;
    shown.end();
    generating.await??;
    Ok(results)
}

/// Generates the city and sends each dataset's rows to its load. Dropping the senders ends the loads.
fn generate(options: &sample::Options, senders: &[mpsc::Sender<Result<Page, SodaError>>]) -> anyhow::Result<()> {
    let mut waiting: Vec<Vec<Value>> = DATASETS.iter().map(|_| Vec::with_capacity(PAGE_ROWS)).collect();
    let send = |index: usize, rows: Vec<Value>| {
        // A load that has failed has dropped its end and says why itself; the others go on.
        let _ = senders[index].blocking_send(Ok(Page { rows }));
    };
    sample::generate(options, &mut |dataset, line| {
        let index = DATASETS.iter().position(|one| one.id == dataset.id).unwrap_or_default();
        waiting[index].push(serde_json::from_str(line)?);
        if waiting[index].len() == PAGE_ROWS {
            send(index, std::mem::replace(&mut waiting[index], Vec::with_capacity(PAGE_ROWS)));
        }
        Ok(())
    })?;
    for (index, rows) in waiting.into_iter().enumerate() {
        send(index, rows);
    }
    Ok(())
}
