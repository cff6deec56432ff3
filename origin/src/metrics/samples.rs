//! A sample of requests, written to `request_metrics` in batches, beside the serving.
//!
//! A request never waits for it and never fails because of it: a sample that finds the queue full, or whose batch the
//! database does not take, is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use tokio_postgres::types::{ToSql, Type};

use crate::db::{Pool, Reader};
use crate::logging::Seldom;

/// The queue's end in the serving.
#[derive(Debug)]
pub(crate) struct Samples {
    queue: Sender<Sample>,
    dropped: Arc<AtomicU64>,
}

/// How many samples were lost.
#[derive(Clone, Debug)]
pub(crate) struct Dropped(Arc<AtomicU64>);

impl Dropped {
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, PartialEq)]
struct Sample {
    path: String,
    method: &'static str,
    status_code: i32,
    duration_ms: f64,
    weight: i32,
}

/// Requests that took longer are all kept.
const SLOW: Duration = Duration::from_millis(200);
/// Of the others one in so many is kept, and stands for all of them.
const ONE_IN: u32 = 10;
/// Samples that wait to be written: some seconds' worth when a database is slow. Further ones are dropped.
const QUEUED_MAX: usize = 4_096;
/// Samples written by one statement.
const BATCH_MAX: usize = 500;
/// How long a sample may wait for others.
const BATCH_EVERY: Duration = Duration::from_secs(1);
/// Longest time for one batch, the wait for a connection included.
pub(crate) const WRITE_TIME_MAX: Duration = Duration::from_secs(5);
/// How often it is said that samples are lost.
const SAY_EVERY: Duration = Duration::from_secs(30);

const INSERT: &str = "INSERT INTO request_metrics (path, method, status_code, duration_ms, weight)
    SELECT * FROM unnest($1, $2, $3, $4, $5)";

impl Samples {
    /// Starts the writer. It ends, with what is queued written, when the samples' end in the serving is dropped.
    pub(crate) fn start(pool: Pool) -> (Arc<Self>, JoinHandle<()>) {
        let (queue, waiting) = mpsc::channel(QUEUED_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = tokio::spawn(write(pool, waiting, Arc::clone(&dropped)));
        (Arc::new(Self { queue, dropped }), writer)
    }

    /// Takes a request into the sample, or not. `random` is any number, drawn for this request.
    pub(super) fn offer(&self, path: &str, method: &'static str, status: u16, took: Duration, random: u32) {
        let Some(weight) = weight(took, random) else { return };
        let duration_ms = took.as_secs_f64() * 1e3;
        let sample = Sample { path: path.to_owned(), method, status_code: status.into(), duration_ms, weight };
        if self.queue.try_send(sample).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many were lost: a count that outlives the serving's end, which would keep the writer waiting.
    pub(crate) fn dropped(&self) -> Dropped {
        Dropped(Arc::clone(&self.dropped))
    }
}

/// How many requests this one stands for; `None` when it is not in the sample.
fn weight(took: Duration, random: u32) -> Option<i32> {
    if took > SLOW {
        return Some(1);
    }
    random.is_multiple_of(ONE_IN).then_some(ONE_IN as i32)
}

async fn write(pool: Pool, mut waiting: Receiver<Sample>, dropped: Arc<AtomicU64>) {
    let said = Seldom::default();
    let mut batch = Vec::with_capacity(BATCH_MAX);
    loop {
        let Some(first) = waiting.recv().await else { return };
        batch.push(first);
        let more = async {
            while batch.len() < BATCH_MAX {
                let Some(sample) = waiting.recv().await else { break };
                batch.push(sample);
            }
        };
        // Whether the batch is full, the time is over or the serving has ended: it is written.
        let _ = tokio::time::timeout(BATCH_EVERY, more).await;
        let written = tokio::time::timeout(WRITE_TIME_MAX, insert(&pool, &batch)).await;
        let error = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{error:#}")),
            Err(_) => Some(format!("not within {WRITE_TIME_MAX:?}")),
        };
        if let Some(error) = error {
            dropped.fetch_add(batch.len() as u64, Ordering::Relaxed);
            let lost = batch.len();
            said.say(SAY_EVERY, |unsaid| {
                tracing::warn!(
                    event = "metrics.samples_lost",
                    lost,
                    unsaid,
                    error,
                    "{lost} samples of requests were not written: {error}"
                );
            });
        }
        batch.clear();
    }
}

async fn insert(pool: &Pool, batch: &[Sample]) -> anyhow::Result<()> {
    let paths: Vec<&str> = batch.iter().map(|sample| sample.path.as_str()).collect();
    let methods: Vec<&str> = batch.iter().map(|sample| sample.method).collect();
    let statuses: Vec<i32> = batch.iter().map(|sample| sample.status_code).collect();
    let durations: Vec<f64> = batch.iter().map(|sample| sample.duration_ms).collect();
    let weights: Vec<i32> = batch.iter().map(|sample| sample.weight).collect();
    let columns: [(&(dyn ToSql + Sync), Type); 5] = [
        (&paths, Type::TEXT_ARRAY),
        (&methods, Type::TEXT_ARRAY),
        (&statuses, Type::INT4_ARRAY),
        (&durations, Type::FLOAT8_ARRAY),
        (&weights, Type::INT4_ARRAY),
    ];
    let reader = Reader::borrow(pool).await?;
    reader.query_typed(INSERT, &columns).await?;
    reader.finish();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slow_request_is_kept_and_one_in_ten_of_the_others() {
        let slow = SLOW + Duration::from_millis(1);
        assert!((0..100).all(|random| weight(slow, random) == Some(1)));
        let kept: Vec<i32> = (0..100).filter_map(|random| weight(SLOW, random)).collect();
        assert_eq!(kept, vec![10; 10]);
    }

    #[tokio::test]
    async fn a_full_queue_drops_and_counts() {
        let (queue, _waiting) = mpsc::channel(2);
        let samples = Samples { queue, dropped: Arc::default() };
        for _ in 0..5 {
            samples.offer("/", "GET", 200, Duration::from_secs(1), 0);
        }
        assert_eq!(samples.dropped().count(), 3);
    }
}
