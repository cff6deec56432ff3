//! Loads every dataset of the city, each in its own transaction: what loaded stays although another did not, and is not
//! loaded again when the run is tried again. Most nights only what has changed; whole when that is due.
//!
//! A run is tried again when something failed that may pass: the network, the API, the database. Data that was refused is
//! refused the next time too, so such a run has failed at once.

use anyhow::anyhow;
use serde_json::json;

use super::job::Counts;
use super::{entities, likeness};
use crate::jobs::{Context, Hopeless, Lease};
use crate::purge;
use crate::soda::datasets::{DATASETS, Dataset};
use crate::soda::ingest::{self, Extent, LoadError, Progress, Report, Shrink};

pub(super) async fn run(context: &Context, lease: &Lease) -> anyhow::Result<Counts> {
    let mut counts = lease.checkpoint().clone();
    let mut failed = Vec::new();
    // Whether something failed that may succeed when it is tried again.
    let mut may_pass = false;
    for (done, dataset) in DATASETS.iter().enumerate() {
        if counts.contains_key(dataset.name) {
            continue;
        }
        lease.progress(dataset.name, done, DATASETS.len());
        match load(context, dataset).await {
            Ok(report) => {
                let changes = &report.changes;
                let refused: u64 = report.refused.values().sum();
                let count = json!({
                    "read": report.read, "inserted": changes.inserted, "updated": changes.updated,
                    "deleted": changes.deleted, "refused": refused,
                });
                counts.insert(dataset.name.to_owned(), count);
                lease.leave(counts.clone()).await?;
            }
            Err(error) => {
                may_pass |= error.is_transient();
                failed.push(format!("{}: {:#}", dataset.name, anyhow::Error::from(error)));
            }
        }
    }
    if let Err(error) = entities::run(context, lease).await {
        may_pass = true;
        failed.push(format!("entities: {error:#}"));
    }
    if let Err(error) = likeness::run(context, lease).await {
        may_pass = true;
        failed.push(format!("similar projects: {error:#}"));
    }
    // What was computed from the data before is old now, whichever of it changed.
    if let Err(error) = context.cache.invalidate_all().await {
        may_pass = true;
        failed.push(format!("the page cache still holds what was computed before: {error}"));
    }
    // What the edge is not told now, the next run of compute-caches tells it.
    match purge::drain(&context.config).await {
        Ok(tags) => drop(counts.insert("purged".to_owned(), json!({ "tags": tags }))),
        Err(error) => {
            let error = format!("{error:#}");
            tracing::warn!(event = "purge.failed", error, "the edge was not told which pages are old: {error}");
        }
    }
    if !failed.is_empty() {
        let error = anyhow!("{} of {} steps failed: {}", failed.len(), DATASETS.len() + 3, failed.join("; "));
        return Err(if may_pass { error } else { Hopeless(error).into() });
    }
    Ok(counts)
}

async fn load(context: &Context, dataset: &'static Dataset) -> Result<Report, LoadError> {
    let (config, soda, silent) = (&context.config, &context.soda, Progress::silent());
    match ingest::due(config, dataset).await? {
        Extent::Changes => match ingest::load_changes(config, soda, dataset, &silent).await {
            Err(LoadError::ManyChanges(_) | LoadError::ManySpellings(_)) => {
                ingest::load(config, soda, dataset, Shrink::Refuse, &silent).await
            }
            result => result,
        },
        Extent::Whole => ingest::load(config, soda, dataset, Shrink::Refuse, &silent).await,
    }
}
