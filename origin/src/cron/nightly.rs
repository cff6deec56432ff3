//! Loads every dataset of the city, each in its own transaction: what loaded stays although another did not.

use anyhow::bail;
use serde_json::json;

use super::job::{Context, Counts};
use super::log::Log;
use crate::soda::datasets::DATASETS;
use crate::soda::ingest::{self, Progress, Shrink};

pub(super) async fn run(context: &Context, log: &Log) -> anyhow::Result<Counts> {
    let mut counts = Counts::new();
    let mut failed = Vec::new();
    for (done, dataset) in DATASETS.iter().enumerate() {
        log.progress(dataset.name, done, DATASETS.len()).await;
        match ingest::load(&context.config, &context.soda, dataset, Shrink::Refuse, &Progress::silent()).await {
            Ok(report) => {
                let changes = &report.changes;
                let refused: u64 = report.refused.values().sum();
                let count = json!({
                    "read": report.read, "inserted": changes.inserted, "updated": changes.updated,
                    "deleted": changes.deleted, "refused": refused,
                });
                counts.insert(dataset.name.to_owned(), count);
            }
            Err(error) => failed.push(format!("{}: {:#}", dataset.name, anyhow::Error::from(error))),
        }
    }
    if !failed.is_empty() {
        bail!("{} of {} datasets were not loaded: {}", failed.len(), DATASETS.len(), failed.join("; "));
    }
    Ok(counts)
}
