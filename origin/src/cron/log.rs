//! `cron_log`: what ran, how far it is, and how it ended. A row is written when a run is asked for; from then on the
//! database keeps it in step with the run's row in the queue (the trigger `log_job`).

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::job::Job;
use crate::db::{Pool, Reader};
use crate::error::Error;
use crate::jobs::{self, Asked};

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
    /// How often it was begun: more than once after a failure, or when its process ended.
    pub(super) attempts: i32,
}

impl Run {
    /// Whether it waits or goes on.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.status.as_str(), "queued" | "running")
    }
}

/// The last run of a job, for health: when and how, and no text of an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LastRun {
    pub(crate) job_type: String,
    pub(crate) status: String,
    pub(crate) started_at: Timestamp,
    pub(crate) completed_at: Option<Timestamp>,
}

/// What became of a run that was asked for.
#[derive(Debug)]
pub(super) enum Started {
    /// It is in the queue, or was asked for with the same key before.
    Run(i64),
    /// One waits or goes on already.
    Busy,
    /// The queue takes no more.
    Full,
}

const COLUMNS: &str = "log_id, job_type, started_at, completed_at, status, progress, counts, error_message, attempts";

/// Puts a run into the queue and the log, together. When this returns it outlives every process.
pub(super) async fn start(pool: &Pool, job: Job, key: Option<&str>) -> Result<Started, Error> {
    let reader = Reader::borrow(pool).await?;
    if let Some(key) = key
        && let Some(log_id) = find(&reader, job, key).await?
    {
        reader.finish();
        return Ok(Started::Run(log_id));
    }
    reader.batch_execute("BEGIN").await?;
    let ask = jobs::Ask { kind: jobs::Kind::Cron(job), payload: Map::new(), key: None };
    let started = match jobs::put(&reader, &ask).await? {
        Asked::New(job_id) => {
            let parameters: [(&(dyn ToSql + Sync), Type); 3] =
                [(&job.name(), Type::TEXT), (&key, Type::TEXT), (&job_id, Type::TEXT)];
            let sql = "INSERT INTO cron_log (job_type, idempotency_key, job_id, status, attempts)
                       VALUES ($1, $2, $3, 'queued', 0) RETURNING log_id";
            let rows = reader.query_typed(sql, &parameters).await?;
            Started::Run(rows.first().map_or(Ok(0), |row| row.try_get(0))?)
        }
        Asked::Known(_) | Asked::Busy => Started::Busy,
        Asked::Full => Started::Full,
    };
    reader.batch_execute("COMMIT").await?;
    reader.finish();
    Ok(started)
}

/// The run of `job` that a caller named.
async fn find(client: &Client, job: Job, key: &str) -> Result<Option<i64>, tokio_postgres::Error> {
    let sql = "SELECT log_id FROM cron_log WHERE job_type = $1 AND idempotency_key = $2";
    let rows = client.query_typed(sql, &[(&job.name(), Type::TEXT), (&key, Type::TEXT)]).await?;
    rows.first().map(|row| row.try_get(0)).transpose()
}

/// One run.
pub(super) async fn run(pool: &Pool, log_id: i64) -> Result<Option<Run>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM cron_log WHERE log_id = $1");
    let reader = Reader::borrow(pool).await?;
    let rows = reader.query_typed(&sql, &[(&log_id, Type::INT8)]).await?;
    reader.finish();
    Ok(rows.first().map(read).transpose()?)
}

/// The last runs of all jobs, newest first.
pub(super) async fn runs(pool: &Pool, limit: i64) -> Result<Vec<Run>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM cron_log ORDER BY started_at DESC, log_id DESC LIMIT $1");
    let reader = Reader::borrow(pool).await?;
    let rows = reader.query_typed(&sql, &[(&limit, Type::INT8)]).await?;
    reader.finish();
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
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
        attempts: row.try_get(8)?,
    })
}
