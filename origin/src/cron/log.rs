//! `cron_log`: what ran, how far it is, and how it ended.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::job::{Counts, Job};

/// One run, as the log has it.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    pub(super) log_id: i64,
    pub(super) job_type: String,
    pub(super) started_at: Timestamp,
    pub(super) completed_at: Option<Timestamp>,
    pub(super) status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) progress: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) counts: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error_message: Option<String>,
}

/// The last run of a job, for health: when and how, and no text of an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LastRun {
    pub(crate) job_type: String,
    pub(crate) status: String,
    pub(crate) started_at: Timestamp,
    pub(crate) completed_at: Option<Timestamp>,
}

/// The row of a run that goes on, and the session that writes it.
#[derive(Debug)]
pub(super) struct Log {
    client: Client,
    log_id: i64,
}

/// What became of a row that was to begin.
#[derive(Debug)]
pub(super) enum Begun {
    /// The run may start.
    New(Log),
    /// There is a run with the same key.
    Known,
}

/// Characters kept of an error's text.
const ERROR_CHARS_MAX: usize = 2_000;

/// The caller holds the job's lock, so nobody runs what says that it is running.
const ABANDONED: &str = "UPDATE cron_log
    SET status = 'failed', completed_at = now(), error_message = 'the process that ran it is gone'
    WHERE job_type = $1 AND status = 'running' RETURNING log_id";

const COLUMNS: &str = "log_id, job_type, started_at, completed_at, status, progress, counts, error_message";

impl Log {
    /// Marks what a process left behind, and begins a row. The caller holds the job's lock.
    pub(super) async fn begin(client: Client, job: Job, key: Option<&str>) -> Result<Begun, tokio_postgres::Error> {
        let name = job.name();
        mark_abandoned(&client, job).await?;
        let row = client
            .query_typed(
                "INSERT INTO cron_log (job_type, idempotency_key) VALUES ($1, $2)
                 ON CONFLICT (job_type, idempotency_key) DO NOTHING RETURNING log_id",
                &[(&name, Type::TEXT), (&key, Type::TEXT)],
            )
            .await?;
        if let Some(row) = row.first() {
            return Ok(Begun::New(Self { log_id: row.try_get(0)?, client }));
        }
        Ok(Begun::Known)
    }

    /// The row of a run whose session was lost.
    pub(super) fn resume(client: Client, log_id: i64) -> Self {
        Self { client, log_id }
    }

    pub(super) fn log_id(&self) -> i64 {
        self.log_id
    }

    /// Says what the run is at. A log that cannot be written does not end the run.
    pub(super) async fn progress(&self, stage: &str, done: usize, total: usize) {
        let progress = json!({ "stage": stage, "done": done, "total": total });
        let written = self
            .client
            .query_typed(
                "UPDATE cron_log SET progress = $2 WHERE log_id = $1",
                &[(&self.log_id, Type::INT8), (&progress, Type::JSONB)],
            )
            .await;
        if let Err(error) = written {
            tracing::warn!(event = "cron.progress_lost", log_id = self.log_id, %error, "progress not written: {error}");
        }
    }

    /// Says how the run ended.
    pub(super) async fn end(&self, result: Result<&Counts, &str>) -> Result<(), tokio_postgres::Error> {
        let (status, counts, error): (&str, Option<Value>, Option<String>) = match result {
            Ok(counts) => ("success", Some(Value::Object(counts.clone())), None),
            Err(error) => ("failed", None, Some(error.chars().take(ERROR_CHARS_MAX).collect())),
        };
        let parameters: [(&(dyn ToSql + Sync), Type); 4] =
            [(&self.log_id, Type::INT8), (&status, Type::TEXT), (&counts, Type::JSONB), (&error, Type::TEXT)];
        let ended = "UPDATE cron_log SET status = $2, completed_at = now(), counts = $3, error_message = $4
                      WHERE log_id = $1 AND status = 'running'";
        self.client.query_typed(ended, &parameters).await.map(|_| ())
    }
}

/// Marks the runs of `job` that nobody runs any more. The caller holds the job's lock.
pub(super) async fn mark_abandoned(client: &Client, job: Job) -> Result<u64, tokio_postgres::Error> {
    let marked = client.query_typed(ABANDONED, &[(&job.name(), Type::TEXT)]).await?;
    Ok(marked.len() as u64)
}

/// The run of `job` that a caller named.
pub(super) async fn find(client: &Client, job: Job, key: &str) -> Result<Option<i64>, tokio_postgres::Error> {
    let sql = "SELECT log_id FROM cron_log WHERE job_type = $1 AND idempotency_key = $2";
    let rows = client.query_typed(sql, &[(&job.name(), Type::TEXT), (&key, Type::TEXT)]).await?;
    rows.first().map(|row| row.try_get(0)).transpose()
}

/// One run.
pub(super) async fn run(client: &Client, log_id: i64) -> Result<Option<Run>, tokio_postgres::Error> {
    let sql = format!("SELECT {COLUMNS} FROM cron_log WHERE log_id = $1");
    client.query_typed(&sql, &[(&log_id, Type::INT8)]).await?.first().map(read).transpose()
}

/// The last runs of all jobs, newest first.
pub(super) async fn runs(client: &Client, limit: i64) -> Result<Vec<Run>, tokio_postgres::Error> {
    let sql = format!("SELECT {COLUMNS} FROM cron_log ORDER BY started_at DESC, log_id DESC LIMIT $1");
    client.query_typed(&sql, &[(&limit, Type::INT8)]).await?.iter().map(read).collect()
}

/// The last run of each job.
pub(crate) async fn last_runs(client: &Client) -> Result<Vec<LastRun>, tokio_postgres::Error> {
    let names: Vec<&str> = Job::ALL.map(Job::name).to_vec();
    let sql = "SELECT job_type, status, started_at, completed_at FROM unnest($1) name, LATERAL (
                   SELECT * FROM cron_log WHERE job_type = name ORDER BY started_at DESC LIMIT 1) last";
    let last = |row: &Row| {
        Ok(LastRun {
            job_type: row.try_get(0)?,
            status: row.try_get(1)?,
            started_at: row.try_get(2)?,
            completed_at: row.try_get(3)?,
        })
    };
    client.query_typed(sql, &[(&names, Type::TEXT_ARRAY)]).await?.iter().map(last).collect()
}

fn read(row: &Row) -> Result<Run, tokio_postgres::Error> {
    Ok(Run {
        log_id: row.try_get(0)?,
        job_type: row.try_get(1)?,
        started_at: row.try_get(2)?,
        completed_at: row.try_get(3)?,
        status: row.try_get(4)?,
        progress: row.try_get(5)?,
        counts: row.try_get(6)?,
        error_message: row.try_get(7)?,
    })
}
