//! What the city itself says of a parcel just now: complaints and notices that are newer than the last load.
//!
//! # Design
//! A report is whole without it. Who asks for a parcel first starts the calls, in a task of its own; everybody waits for
//! [`DEADLINE`] at most, and an answer that comes later is there for the next. An answer is kept for [`KEPT_FOR`], but not
//! beyond a load of complaints or notices, which are newer than it then; one that failed is not kept: the breaker of the
//! process's one client decides when to try again. No more than [`CALLS_MAX`] parcels are asked about at once; while a slow
//! city holds those, reports do not wait at all.
//!
//! Whether there was a load since is told by what `ingest_log` had when the city was asked and has now, so the clocks of the
//! database and of this process need not agree.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::Rows;
use crate::permits::limits::{COMPLAINTS_MAX, VIOLATIONS_MAX};
use crate::permits::parcel::Parcel;
use crate::permits::record::{Complaint, FromTexts, Violation};
use crate::soda::client::{Client, Query, SodaError, quote};
use crate::soda::datasets::Dataset;
use crate::soda::row;

/// How long a report waits for the city, which answers within half a second on most days.
pub(crate) const DEADLINE: Duration = Duration::from_millis(1_500);

/// Longest call, which goes on after the report that asked for it.
pub(crate) const CALL_MAX: Duration = Duration::from_secs(5);

/// How long an answer is kept.
const KEPT_FOR: Duration = Duration::from_secs(15 * 60);

/// Parcels whose answers are kept; the oldest goes. Most have ten rows or none, so all of them are a few megabytes.
const KEPT_MAX: usize = 1_000;

/// Parcels that the city is asked about at once, in two calls each.
const CALLS_MAX: usize = 8;

/// The city's part in a report.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub(crate) struct City {
    pub(crate) state: State,
    /// When it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) as_of: Option<Timestamp>,
}

impl City {
    /// Whether it was asked and did not answer.
    pub(crate) fn is_away(&self) -> bool {
        self.state == State::Away
    }
}

/// Whether the city was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// No: everything is of the last load.
    #[default]
    NotAsked,
    /// It answered: its complaints and notices are here.
    Answered,
    /// It did not answer in time: complaints and notices are of the last load.
    Away,
}

/// Asks the city; clones share what is kept.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    client: Option<Client>,
    /// [`DEADLINE`]; a test has time.
    deadline: Duration,
    kept: Arc<Mutex<HashMap<String, Kept>>>,
    calls: Arc<Semaphore>,
}

#[derive(Debug)]
struct Kept {
    since: Instant,
    /// When our rows were loaded last, as they were when the city was asked.
    loaded: Option<Timestamp>,
    flight: Flight,
}

/// An answer that is on its way, or there; `None` when the city failed.
type Flight = Shared<BoxFuture<'static, Option<Arc<Answer>>>>;

#[derive(Debug)]
pub(super) struct Answer {
    as_of: Timestamp,
    complaints: Vec<Complaint>,
    violations: Vec<Violation>,
}

/// What became of a question.
#[derive(Debug)]
pub(super) enum Word {
    NotAsked,
    Away,
    Answered(Arc<Answer>),
}

impl Live {
    /// Asks through this client; without one, nobody is asked.
    pub(crate) fn new(client: Option<Client>) -> Self {
        let client = client.map(|client| client.with_timeout(CALL_MAX));
        Self { client, deadline: DEADLINE, kept: Arc::default(), calls: Arc::new(Semaphore::new(CALLS_MAX)) }
    }

    /// What the city says of a parcel, waited for until [`DEADLINE`]. The rows that it renews were loaded then; an answer
    /// from before that is not theirs.
    pub(super) async fn ask(&self, parcel: &Parcel, loaded: Option<Timestamp>) -> Word {
        let Some(client) = &self.client else { return Word::NotAsked };
        let Some(flight) = self.flight(client, parcel, loaded) else { return Word::Away };
        match timeout(self.deadline, flight).await {
            Ok(Some(answer)) => Word::Answered(answer),
            Ok(None) | Err(_) => Word::Away,
        }
    }

    /// The answer that is kept or on its way, or a new one; `None` when as many are on their way as may be.
    fn flight(&self, client: &Client, parcel: &Parcel, loaded: Option<Timestamp>) -> Option<Flight> {
        let now = Instant::now();
        // Nothing below panics; if it did, what is kept would still be whole.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, one| now.duration_since(one.since) < KEPT_FOR);
        let key = parcel.to_string();
        // A replica may lag behind the load: what was asked for after it is still newer than the replica's rows.
        if let Some(one) = kept.get(&key).filter(|one| one.loaded >= loaded) {
            return Some(one.flight.clone());
        }
        let call = Arc::clone(&self.calls).try_acquire_owned().ok()?;
        if kept.len() >= KEPT_MAX && !kept.contains_key(&key) {
            let oldest = kept.iter().min_by_key(|(_, one)| one.since).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| kept.remove(&oldest));
        }
        let (live, client, parcel) = (self.clone(), client.clone(), parcel.clone());
        let asking = tokio::spawn(async move {
            let answer = fetch(&client, &parcel).await;
            drop(call);
            if let Err(error) = &answer {
                tracing::debug!(event = "report.city_away", %parcel, %error, "{parcel}: {error}");
                live.forget(&parcel, now);
            }
            answer.ok()
        });
        let flight = async move { asking.await.ok().flatten().map(Arc::new) }.boxed().shared();
        kept.insert(key, Kept { since: now, loaded, flight: flight.clone() });
        Some(flight)
    }

    /// Drops the call that began at `since` and failed, even if nobody waits for it any more: who comes next asks again.
    fn forget(&self, parcel: &Parcel, since: Instant) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let key = parcel.to_string();
        if kept.get(&key).is_some_and(|one| one.since == since) {
            kept.remove(&key);
        }
    }
}

async fn fetch(client: &Client, parcel: &Parcel) -> Result<Answer, SodaError> {
    let any = |field: &str, values: Vec<&str>| {
        let each: Vec<_> = values.into_iter().map(|value| format!("{field} = {}", quote(value))).collect();
        format!("({})", each.join(" OR "))
    };
    let here = format!("{} AND {}", any("block", parcel.block_spellings()), any("lot", parcel.lot_spellings()));
    let query = |limit| Query {
        filter: Some(here.clone()),
        order: Some("date_filed DESC".to_owned()),
        limit: Some(limit),
        ..Query::default()
    };
    let (complaints, violations) = (query(COMPLAINTS_MAX), query(VIOLATIONS_MAX));
    let (complaints, violations) =
        tokio::try_join!(client.query("gm2e-bten", &complaints), client.query("nbtm-fbw5", &violations))?;
    Ok(Answer {
        as_of: Timestamp::now(),
        complaints: read("gm2e-bten", &complaints.rows),
        violations: read("nbtm-fbw5", &violations.rows),
    })
}

/// The rows that a load would store.
fn read<T: FromTexts>(dataset_id: &str, rows: &[Value]) -> Vec<T> {
    let dataset = Dataset::find(dataset_id);
    let texts = dataset.into_iter().flat_map(|dataset| rows.iter().filter_map(|row| row::texts(dataset, row).ok()));
    texts.map(|texts| T::from_texts(&texts)).collect()
}

impl Word {
    /// Puts the city's rows in place of ours of the same number, and beside the others.
    pub(super) fn renew(&self, rows: &mut Rows) {
        rows.city = match self {
            Self::NotAsked => City::default(),
            Self::Away => City { state: State::Away, as_of: None },
            Self::Answered(answer) => City { state: State::Answered, as_of: Some(answer.as_of) },
        };
        let Self::Answered(answer) = self else { return };
        let number = |row: &Complaint| row.complaint_number.clone();
        renew(&mut rows.complaints, &answer.complaints, number);
        rows.complaints.sort_by_cached_key(|row| Reverse((row.date_filed, number(row))));
        let item = |row: &Violation| (row.complaint_number.clone(), row.item_sequence_number.clone());
        renew(&mut rows.violations, &answer.violations, item);
        rows.violations.sort_by(|a, b| {
            let newest = (b.date_filed, &b.complaint_number).cmp(&(a.date_filed, &a.complaint_number));
            newest.then_with(|| a.item_sequence_number.cmp(&b.item_sequence_number))
        });
    }
}

fn renew<T: Clone, K: Ord>(ours: &mut Vec<T>, city: &[T], key: impl Fn(&T) -> K) {
    let known: BTreeSet<K> = city.iter().map(&key).collect();
    ours.retain(|row| !known.contains(&key(row)));
    ours.extend_from_slice(city);
}

#[cfg(test)]
mod tests;
