//! The loader: reads whole datasets over HTTP and makes our tables equal to them.
//!
//! Pages stream through `COPY` into a temporary table, so memory holds a few pages, never a dataset. One
//! transaction then inserts, updates and deletes what differs: readers see the old rows or the new ones, never half
//! a load, and loading the same data again changes nothing. A load that ends early changes nothing at all: rows
//! that were not read must not be taken for rows that the city withdrew. So does one that would take away too much,
//! which `guard` decides.

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
use crate::config::{Config, Pooler};
use crate::db;

mod guard;
mod merge;
mod progress;
mod report;

pub use guard::{DELETED_PERCENT_MAX, FILLED_PERCENT_MIN, REFUSED_PERCENT_MAX};
pub use merge::Changes;
pub use progress::Progress;
pub use report::{Report, summary};

use report::grouped;

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
    /// More rows were refused than [`REFUSED_PERCENT_MAX`] allows.
    #[error(
        "{} of {} rows were refused, most because {reason}; nothing was changed. The city has probably renamed a field: \
         compare the dataset's fields with those that this version reads, and load it with a version that knows them",
        grouped(*refused), grouped(*read)
    )]
    Refused {
        /// Rows refused.
        refused: u64,
        /// Rows read.
        read: u64,
        /// The most common reason.
        reason: Refusal,
    },
    /// Columns that are in use would be empty: they have values in more rows than [`FILLED_PERCENT_MIN`] of ours.
    #[error(
        "no row has a value for {}, which rows of ours have; nothing was changed. The city has probably renamed a field; \
         if it has really dropped it, load with --allow-shrink", columns.join(", ")
    )]
    Emptied {
        /// The columns.
        columns: Vec<&'static str>,
    },
    /// More rows would be deleted than [`DELETED_PERCENT_MAX`] allows.
    #[error(
        "{} of our {} rows would be deleted; nothing was changed. If the city has really withdrawn or replaced them, \
         load with --allow-shrink", grouped(*deleted), grouped(*held)
    )]
    Shrunk {
        /// Rows that the city did not send.
        deleted: u64,
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

/// Whether a load may delete more rows than [`DELETED_PERCENT_MAX`], or empty a column that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shrink {
    /// No: the load fails and changes nothing.
    Refuse,
    /// Yes: somebody has looked at it.
    Allow,
}

/// Loads one dataset.
///
/// # Errors
/// Says why the load failed; the table is then as it was.
pub async fn load(
    config: &Config,
    client: &Client,
    dataset: &'static Dataset,
    shrink: Shrink,
    progress: &Progress,
) -> Result<Report, LoadError> {
    let started = Instant::now();
    if config.database.pooler == Pooler::PgBouncer && config.database.direct_url.is_none() {
        return Err(LoadError::Session(anyhow::anyhow!(
            "a load needs a session of its own, which PgBouncer does not give: set DATABASE_URL_DIRECT"
        )));
    }
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
    guard::refusals(read.rows, &read.refused)?;
    progress.merge();
    let changes = merge::merge(&mut session, dataset, &read, shrink).await?;
    Ok(Report {
        dataset,
        read: read.rows,
        changes,
        refused: merge::all_refused(dataset, &read.refused, changes.repeated),
        flaws: read.encoder.flaws().clone(),
        took: started.elapsed(),
    })
}

/// What was read of one dataset.
struct Read {
    rows: u64,
    /// As [`ROWS_MAX`].
    rows_max: u64,
    last_modified: Option<String>,
    refused: BTreeMap<Refusal, u64>,
    /// The first refused rows, at most [`REFUSED_KEPT_MAX`].
    kept: Vec<(Refusal, Value)>,
    encoder: Encoder,
}

impl Read {
    const fn new(dataset: &'static Dataset, rows_max: u64) -> Self {
        Self {
            rows: 0,
            rows_max,
            last_modified: None,
            refused: BTreeMap::new(),
            kept: Vec::new(),
            encoder: Encoder::new(dataset),
        }
    }

    /// Takes one page, and gives the lines to copy.
    fn page(&mut self, page: Page) -> Result<String, LoadError> {
        if page.last_modified.is_some() && self.last_modified.is_some() && page.last_modified != self.last_modified {
            return Err(LoadError::Republished);
        }
        self.last_modified = page.last_modified.or_else(|| self.last_modified.take());
        self.rows += page.rows.len() as u64;
        if self.rows > self.rows_max {
            return Err(LoadError::Endless);
        }
        let mut lines = String::new();
        for row in page.rows {
            if let Err(refusal) = self.encoder.encode(&row, &mut lines) {
                *self.refused.entry(refusal).or_default() += 1;
                if self.kept.len() < REFUSED_KEPT_MAX {
                    self.kept.push((refusal, row));
                }
            }
        }
        Ok(lines)
    }
}

/// Streams every page of the dataset into the temporary table.
async fn copy(
    session: &tokio_postgres::Client,
    client: &Client,
    dataset: &'static Dataset,
    page_size: usize,
    progress: &Progress,
) -> Result<Read, LoadError> {
    let mut read = Read::new(dataset, ROWS_MAX);
    // One page waits while one is being fetched and one is being copied.
    let (sender, mut pages) = mpsc::channel(1);
    let fetching = tokio::spawn(fetch(client.clone(), dataset.id, page_size, sender));
    let mut sink = pin!(session.copy_in::<_, Bytes>(&merge::copy_statement(dataset)).await?);
    while let Some(page) = pages.recv().await {
        sink.send(Bytes::from(read.page(page?)?)).await?;
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(rows: usize, last_modified: Option<&str>) -> Page {
        let row = |number| json!({"record_id": format!("{number}"), "permit_number": "1"});
        Page { rows: (0..rows).map(row).collect(), last_modified: last_modified.map(str::to_owned) }
    }

    fn read(rows_max: u64) -> Read {
        Read::new(&super::super::datasets::DATASETS[0], rows_max)
    }

    #[test]
    fn a_dataset_that_does_not_end_is_cut_off() {
        let mut read = read(20);
        assert_eq!(read.page(page(20, None)).unwrap().lines().count(), 20);
        assert!(matches!(read.page(page(1, None)), Err(LoadError::Endless)));
    }

    #[test]
    fn pages_of_two_publications_do_not_fit_together() {
        for (stamps, fits) in [
            (&[None, None][..], true),
            (&[Some("a"), None, Some("a")], true),
            (&[Some("a"), None, Some("b")], false),
            (&[None, Some("a"), Some("b")], false),
        ] {
            let mut read = read(ROWS_MAX);
            let taken = stamps.iter().try_for_each(|stamp| read.page(page(1, *stamp)).map(drop));
            assert_eq!(taken.is_ok(), fits, "{stamps:?}");
        }
    }

    #[test]
    fn refused_rows_are_all_counted_and_the_first_are_kept() {
        let mut read = read(ROWS_MAX);
        let rows = vec![json!({"permit_number": "1"}); REFUSED_KEPT_MAX + 1];
        assert_eq!(read.page(Page { rows, last_modified: None }).unwrap(), "");
        let counted = (REFUSED_KEPT_MAX + 1) as u64;
        assert_eq!(read.refused, [(Refusal::Missing("record_id"), counted)].into());
        assert_eq!((read.rows, read.kept.len()), (counted, REFUSED_KEPT_MAX));
    }
}
