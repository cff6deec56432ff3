//! The right to do one job, for as long as it is renewed.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};
use tokio_postgres::Transaction;

use super::queue::{self, Queue, ResultInfo, Taken};

/// The right to do a job. A worker renews it; when that fails, the work is dropped, and what it still writes is refused.
#[derive(Debug)]
pub(crate) struct Lease {
    job_id: String,
    fence: i32,
    queue: Queue,
    progress: Unwritten,
    checkpoint: Map<String, Value>,
}

/// How far the work is, until the next renewal writes it.
pub(super) type Unwritten = Arc<Mutex<Option<Value>>>;

/// What work ends with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// What it counted.
    pub(crate) counts: Map<String, Value>,
    /// What it made, in portions that are stored already.
    pub(crate) result: Option<ResultInfo>,
}

/// Another worker was given the job.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the lease has ended, and what was about to be written was not")]
pub(crate) struct LeaseLost;

/// Work that fails whenever it is tried: what it was asked to do, or to read, is wrong. It is not tried again.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub(crate) struct Hopeless(pub(crate) anyhow::Error);

impl Lease {
    pub(super) fn new(queue: Queue, taken: &Taken, progress: Unwritten) -> Self {
        let Taken { job_id, fence, checkpoint, .. } = taken;
        Self { job_id: job_id.clone(), fence: *fence, queue, progress, checkpoint: checkpoint.clone() }
    }

    /// The job's name and the number of the lease, as they are in logs.
    pub(super) fn name(&self) -> (&str, i32) {
        (&self.job_id, self.fence)
    }

    /// Says what the work is at; the next renewal writes it.
    pub(crate) fn progress(&self, stage: &str, done: usize, total: usize) {
        let progress = json!({ "stage": stage, "done": done, "total": total });
        // One value, whole whatever panicked.
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
    }

    /// What earlier attempts left, so that it need not be done again.
    pub(crate) fn checkpoint(&self) -> &Map<String, Value> {
        &self.checkpoint
    }

    /// Leaves that for later attempts.
    ///
    /// # Errors
    /// When the lease has ended or the database fails.
    pub(crate) async fn leave(&self, checkpoint: Map<String, Value>) -> anyhow::Result<()> {
        let kept = self.queue.store_checkpoint(&self.job_id, self.fence, &Value::Object(checkpoint)).await?;
        if kept { Ok(()) } else { Err(LeaseLost.into()) }
    }

    /// Makes sure that nobody else is given the job before the transaction commits. To be called last, because the
    /// lease is not renewed meanwhile.
    ///
    /// # Errors
    /// When the lease has ended or the database fails; the transaction must not be committed then.
    pub(crate) async fn hold(&self, transaction: &Transaction<'_>) -> anyhow::Result<()> {
        let held = queue::holds(transaction.client(), &self.job_id, self.fence).await?;
        if held { Ok(()) } else { Err(LeaseLost.into()) }
    }

    /// Stores one portion of the result.
    pub(super) async fn store_part(&self, part: i32, content: &[u8]) -> anyhow::Result<()> {
        let stored = self.queue.store_part(&self.job_id, self.fence, part, content).await?;
        if stored { Ok(()) } else { Err(LeaseLost.into()) }
    }
}
