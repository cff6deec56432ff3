//! The loader: reads datasets over HTTP and makes our tables equal to them.
//!
//! Pages stream through `COPY` into a temporary table, so memory holds a few pages, never a dataset. One
//! transaction then inserts, updates and deletes what differs: readers see the old rows or the new ones, never half
//! a load, and loading the same data again changes nothing. A load that ends early changes nothing at all: rows
//! that were not read must not be taken for rows that the city withdrew. So does one that would take away too much,
//! which `guard` decides.
//!
//! A whole load reads by the city's row identifier and then once more what has changed meanwhile; a load of changes
//! reads by the time of the change. Both go on from the last row they have, never from a count of rows, so a dataset
//! that changes under them costs them no row (module `fetch` says why). A load of changes reads again every group of rows in
//! which one has changed ([`Group`](super::datasets::Group)), and those that share a key with them, and makes ours equal to
//! those, so it ends as a whole load would, but for groups that are gone with all of their rows: [`due`] says when a whole load
//! is needed.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::client::{Client, Page, SodaError};
use super::datasets::Dataset;
use super::row::Refusal;
use crate::config::{Config, Pooler};
use crate::db;

mod changed;
mod fetch;
mod groups;
mod guard;
mod merge;
mod progress;
mod read;
mod report;

pub use guard::{DELETED_PERCENT_MAX, FILLED_PERCENT_MIN, REFUSED_PERCENT_MAX};
pub use merge::Changes;
pub use progress::Progress;
pub use report::{Report, summary};

use changed::Changed;
use read::Read;
use report::grouped;

/// Rows of one load that are kept in `ingest_refused`; all are counted. Enough to see what is wrong.
pub const REFUSED_KEPT_MAX: usize = 1_000;
/// Rows of one dataset. The largest has four million; a server that never ends its pages is cut off here.
pub const ROWS_MAX: u64 = 50_000_000;
/// A dataset is read whole when it last was this long ago: it finds what the city has deleted.
pub const WHOLE_EVERY: Duration = Duration::from_secs(6 * 24 * 60 * 60);

/// Groups of changed rows that are read again; with more, the city has published the dataset anew. Two hundred requests.
pub const GROUPS_MAX: usize = 20_000;
/// Spellings with blanks that are kept of one dataset; with as many, its groups cannot be asked for one by one. The city's
/// files have none in twenty thousand rows.
pub const SPELLINGS_MAX: usize = 10_000;
/// Groups in one request: of numbers with some fifteen characters, so that the address stays below 4 KB.
const GROUPS_AT_ONCE: usize = 100;

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
    /// Rows that were read are gone now, and nobody says which.
    #[error(
        "the city withdrew {} rows while the dataset was being read; nothing was changed, load it again", grouped(*gone)
    )]
    Republished {
        /// How many more were read than there are.
        gone: u64,
    },
    /// Changes were asked for, and a whole load has to come first: there was none, or an earlier version loaded last.
    #[error("changes of {0} cannot be loaded before a whole load of it by this version; load it without --changes")]
    NoChanges(&'static str),
    /// So much has changed that reading all of it costs less.
    #[error("more than {GROUPS_MAX} groups of rows of {0} have changed; load it whole, without --changes")]
    ManyChanges(&'static str),
    /// So many values are written with blanks that groups cannot be asked for by value.
    #[error("{SPELLINGS_MAX} groups of rows of {0} or more are written with blanks; load it whole, without --changes")]
    ManySpellings(&'static str),
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

impl LoadError {
    /// Whether the same load may succeed a little later, with nothing changed on our side.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Fetch(error) => error.is_transient(),
            Self::Database(error) => db::is_transient(error),
            Self::Busy(_) | Self::Short { .. } | Self::Republished { .. } | Self::Session(_) => true,
            _ => false,
        }
    }
}

/// Whether a load may delete more rows than [`DELETED_PERCENT_MAX`], or empty a column that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shrink {
    /// No: the load fails and changes nothing.
    Refuse,
    /// Yes: somebody has looked at it.
    Allow,
}

/// How much of a dataset is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it; what is not read is deleted.
    Whole,
    /// What has changed since the last load.
    Changes,
}

/// Loads one dataset whole.
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
    let mut session = begin(config, dataset).await?;
    let expected = client.count(dataset.id, dataset.filter).await?;
    let newest = fetch::newest_change(client, dataset).await?;
    progress.begin(dataset.name, expected);
    merge::prepare(&session, dataset).await?;

    let mut read = Read::new(dataset, ROWS_MAX, newest.clone());
    let whole = fetch::Walk::by_identifier(dataset, config.soda.page_size);
    read.copy(&session, fetch::start(client.clone(), whole), progress).await?;
    if let Some(newest) = newest {
        let since = fetch::Walk::by_change_after(dataset, config.soda.page_size, newest);
        read.copy(&session, fetch::start(client.clone(), since), progress).await?;
    }
    read.forget_older(&session).await?;
    check_count(client, dataset, expected, read.rows).await?;
    finish(&mut session, dataset, read, shrink, Extent::Whole, started, progress).await
}

/// Loads what has changed in a dataset since its last load.
///
/// # Errors
/// As [`load`], and when there is nothing to start from ([`due`] is whole then).
pub async fn load_changes(
    config: &Config,
    client: &Client,
    dataset: &'static Dataset,
    progress: &Progress,
) -> Result<Report, LoadError> {
    let started = Instant::now();
    let mut session = begin(config, dataset).await?;
    let through = merge::updated_through(&session, dataset).await?.ok_or(LoadError::NoChanges(dataset.name))?;
    let page_size = config.soda.page_size;
    progress.begin(dataset.name, 0);
    merge::prepare(&session, dataset).await?;
    let mut read = Read::new(dataset, ROWS_MAX, Some(through.clone()));
    match &dataset.group {
        None => {
            let walk = fetch::Walk::by_change_after(dataset, page_size, through);
            read.copy(&session, fetch::start(client.clone(), walk), progress).await?;
        }
        Some(group) => {
            let walk = fetch::Walk::changed_groups(dataset, group, page_size, through.clone());
            let changed = Changed::read(fetch::start(client.clone(), walk), group, through).await?;
            let changed = changed.ok_or(LoadError::ManyChanges(dataset.name))?;
            if groups::spellings(&session, dataset).await? >= SPELLINGS_MAX {
                return Err(LoadError::ManySpellings(dataset.name));
            }
            let (mut next, mut written) = (changed.stored(), changed.written());
            let mut groups = 0;
            while !next.is_empty() {
                groups += next.len();
                if groups > GROUPS_MAX {
                    return Err(LoadError::ManyChanges(dataset.name));
                }
                groups::read_again(&session, &next).await?;
                for values in groups::asked(&session, dataset, next, written).await?.chunks(GROUPS_AT_ONCE) {
                    let walk = fetch::Walk::of_groups(dataset, group, page_size, values);
                    read.copy(&session, fetch::start(client.clone(), walk), progress).await?;
                }
                (next, written) = (groups::sharing_keys(&session, dataset, group).await?, Vec::new());
            }
            // A row of these that is newer still says nothing of other rows.
            read.updated_through = Some(changed.through);
        }
    }
    read.forget_older(&session).await?;
    finish(&mut session, dataset, read, Shrink::Refuse, Extent::Changes, started, progress).await
}

/// Loads rows that come from elsewhere, page by page, as the whole dataset.
///
/// # Errors
/// As [`load`].
pub async fn load_pages(
    config: &Config,
    dataset: &'static Dataset,
    pages: mpsc::Receiver<Result<Page, SodaError>>,
    progress: &Progress,
) -> Result<Report, LoadError> {
    let started = Instant::now();
    let mut session = begin(config, dataset).await?;
    merge::prepare(&session, dataset).await?;
    let mut read = Read::new(dataset, ROWS_MAX, None);
    read.copy(&session, pages, progress).await?;
    finish(&mut session, dataset, read, Shrink::Allow, Extent::Whole, started, progress).await
}

/// What a regular load of the dataset has to read: changes, unless it was never read whole, that was [`WHOLE_EVERY`]
/// ago, or an earlier version loaded it last.
///
/// # Errors
/// When the database cannot be asked.
pub async fn due(config: &Config, dataset: &'static Dataset) -> Result<Extent, LoadError> {
    let session = db::session(&config.database, "seawall-ingest").await.map_err(LoadError::Session)?;
    let recent = merge::read_whole_within(&session, dataset, WHOLE_EVERY).await?;
    Ok(if recent { Extent::Changes } else { Extent::Whole })
}

/// A session that holds the dataset's lock until it ends.
async fn begin(config: &Config, dataset: &'static Dataset) -> Result<tokio_postgres::Client, LoadError> {
    if config.database.pooler == Pooler::PgBouncer && config.database.direct_url.is_none() {
        return Err(LoadError::Session(anyhow::anyhow!(
            "a load needs a session of its own, which PgBouncer does not give: set DATABASE_URL_DIRECT"
        )));
    }
    let session = db::session(&config.database, "seawall-ingest").await.map_err(LoadError::Session)?;
    let locked: bool = session.query_one(LOCK, &[&LOCK_CLASS, &dataset.id]).await?.get(0);
    if locked { Ok(session) } else { Err(LoadError::Busy(dataset.name)) }
}

/// Compares what was read with what the city says it has, before and after: rows come and go.
async fn check_count(client: &Client, dataset: &Dataset, expected: u64, read: u64) -> Result<(), LoadError> {
    let now = client.count(dataset.id, dataset.filter).await?;
    if read < now.min(expected) {
        return Err(LoadError::Short { expected: now.min(expected), read });
    }
    if read > now {
        return Err(LoadError::Republished { gone: read - now });
    }
    Ok(())
}

async fn finish(
    session: &mut tokio_postgres::Client,
    dataset: &'static Dataset,
    read: Read,
    shrink: Shrink,
    extent: Extent,
    started: Instant,
    progress: &Progress,
) -> Result<Report, LoadError> {
    if read.rows == 0 && extent == Extent::Whole {
        let held = merge::held(session, dataset).await?;
        if held > 0 {
            return Err(LoadError::Empty { held });
        }
    }
    guard::refusals(read.rows, &read.refused, extent)?;
    progress.merge();
    let changes = merge::merge(session, dataset, &read, shrink, extent).await?;
    Ok(Report {
        dataset,
        read: read.rows,
        changes,
        refused: merge::all_refused(dataset, &read.refused, changes.repeated),
        flaws: read.encoder.flaws().clone(),
        took: started.elapsed(),
    })
}

/// Keeps these locks apart from those of other purposes.
const LOCK_CLASS: i32 = 0x50DA;
const LOCK: &str = "SELECT pg_try_advisory_lock($1, hashtext($2))";
