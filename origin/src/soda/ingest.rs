//! The loader: reads whole datasets over HTTP and makes our tables equal to them.
//!
//! Pages stream through `COPY` into a temporary table, so memory holds a few pages, never a dataset. One
//! transaction then inserts, updates and deletes what differs: readers see the old rows or the new ones, never half
//! a load, and loading the same data again changes nothing. A load that ends early changes nothing at all: rows
//! that were not read must not be taken for rows that the city withdrew.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Instant;

use bytes::Bytes;
use futures_util::SinkExt as _;
use serde_json::Value;
use tokio::sync::mpsc;

use super::client::{Client, Page, Query, SodaError};
use super::datasets::Dataset;
use super::row::{Encoder, Refusal};
use crate::config::Config;
use crate::db;

mod merge;
mod progress;
mod report;

pub use merge::Changes;
pub use progress::Progress;
pub use report::{Report, summary};

/// Rows of one load that are kept in `ingest_refused`; all are counted. Enough to see what is wrong.
pub const REFUSED_KEPT_MAX: usize = 1_000;
/// Rows of one dataset. The largest has four million; a server that never ends its pages is cut off here.
pub const ROWS_MAX: u64 = 50_000_000;

/// Why a load failed. Our table is then as it was.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Another process is loading the dataset.
    #[error("another load of {0} is running; wait for it to end")]
    Busy(&'static str),
    /// The API failed.
    #[error(transparent)]
    Fetch(#[from] SodaError),
    /// Fewer rows came than the API had announced.
    #[error("the city's API announced {expected} rows and sent {read}; nothing was changed, load it again")]
    Short {
        /// As announced by `count(*)`.
        expected: u64,
        /// As read.
        read: u64,
    },
    /// No rows at all, where we hold some.
    #[error(
        "the city's API has no rows, and we hold {held}; nothing was changed. A dataset does not empty overnight: look at it before deleting ours by hand"
    )]
    Empty {
        /// Rows in our table.
        held: u64,
    },
    /// The dataset changed between two pages, so they do not fit together.
    #[error("the city republished the dataset while it was being read; nothing was changed, load it again")]
    Republished,
    /// The pages do not end.
    #[error("more than {ROWS_MAX} rows; nothing was changed")]
    Endless,
    /// The database failed.
    #[error("the database failed before the load was complete; load it again")]
    Database(#[from] tokio_postgres::Error),
    /// The database could not be reached.
    #[error(transparent)]
    Session(anyhow::Error),
}

/// Loads one dataset.
///
/// # Errors
/// Says why the load failed; the table is then as it was.
pub async fn load(
    config: &Config,
    client: &Client,
    dataset: &'static Dataset,
    progress: &Progress,
) -> Result<Report, LoadError> {
    let started = Instant::now();
    let mut session = db::session(&config.database, "seawall-ingest").await.map_err(LoadError::Session)?;
    // The lock ends with the session.
    let locked: bool = session.query_one(LOCK, &[&LOCK_CLASS, &dataset.id]).await?.get(0);
    if !locked {
        return Err(LoadError::Busy(dataset.name));
    }
    let expected = client.count(dataset.id).await?;
    progress.begin(dataset.name, expected);
    merge::prepare(&session, dataset).await?;

    let read = copy(&session, client, dataset, config.soda.page_size, progress).await?;
    if read.rows < expected {
        return Err(LoadError::Short { expected, read: read.rows });
    }
    if read.rows == 0 {
        let held = merge::held(&session, dataset).await?;
        if held > 0 {
            return Err(LoadError::Empty { held });
        }
    }
    progress.merge();
    let changes = merge::merge(&mut session, dataset, &read).await?;
    let mut refused = read.refused;
    if changes.repeated > 0 {
        *refused.entry(merge::repeated(dataset)).or_default() += changes.repeated;
    }
    Ok(Report {
        dataset,
        read: read.rows,
        changes,
        refused,
        flaws: read.encoder.flaws().clone(),
        took: started.elapsed(),
    })
}

/// What was read of one dataset.
struct Read {
    rows: u64,
    refused: BTreeMap<Refusal, u64>,
    /// The first refused rows, at most [`REFUSED_KEPT_MAX`].
    kept: Vec<(Refusal, Value)>,
    encoder: Encoder,
}

/// Streams every page of the dataset into the temporary table.
async fn copy(
    session: &tokio_postgres::Client,
    client: &Client,
    dataset: &'static Dataset,
    page_size: usize,
    progress: &Progress,
) -> Result<Read, LoadError> {
    let mut read = Read { rows: 0, refused: BTreeMap::new(), kept: Vec::new(), encoder: Encoder::new(dataset) };
    // One page waits while one is being fetched and one is being copied.
    let (sender, mut pages) = mpsc::channel(1);
    let fetching = tokio::spawn(fetch(client.clone(), dataset.id, page_size, sender));
    let mut sink = pin!(session.copy_in::<_, Bytes>(&merge::copy_statement(dataset)).await?);
    let mut last_modified = None;
    while let Some(page) = pages.recv().await {
        let page: Page = page?;
        if page.last_modified.is_some() && last_modified.is_some() && page.last_modified != last_modified {
            return Err(LoadError::Republished);
        }
        last_modified = page.last_modified.or(last_modified);
        let mut lines = String::new();
        read.rows += page.rows.len() as u64;
        if read.rows > ROWS_MAX {
            return Err(LoadError::Endless);
        }
        for row in page.rows {
            if let Err(refusal) = read.encoder.encode(&row, &mut lines) {
                *read.refused.entry(refusal).or_default() += 1;
                if read.kept.len() < REFUSED_KEPT_MAX {
                    read.kept.push((refusal, row));
                }
            }
        }
        sink.send(Bytes::from(lines)).await?;
        progress.rows(read.rows);
    }
    sink.finish().await?;
    // The channel is closed, so the task has ended; a panic in it is a bug and shows as a short load.
    drop(fetching);
    Ok(read)
}

/// Fetches page after page until a short one, or an error, which is sent on as the last item.
async fn fetch(
    client: Client,
    dataset_id: &'static str,
    page_size: usize,
    sender: mpsc::Sender<Result<Page, SodaError>>,
) {
    let mut offset = 0;
    loop {
        // Without an order SODA may give a row on two pages and another on none.
        let query =
            Query { order: Some(":id".to_owned()), limit: Some(page_size), offset: Some(offset), ..Query::default() };
        let page = client.page_patiently(dataset_id, &query).await;
        let rows = page.as_ref().map_or(0, |page| page.rows.len());
        // A closed channel means that the load has failed on the other side.
        if sender.send(page).await.is_err() || rows < page_size {
            return;
        }
        offset += rows as u64;
    }
}

/// Keeps these locks apart from those of other purposes.
const LOCK_CLASS: i32 = 0x50DA;
const LOCK: &str = "SELECT pg_try_advisory_lock($1, hashtext($2))";
