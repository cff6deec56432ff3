//! The queue's statements: what callers ask for and see, and what workers take, renew and end.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::kind::Kind;
use crate::db::{Pool, Reader};
use crate::digest::hex;
use crate::error::Error;

/// The queue as those see it who ask for work; clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pool: Pool,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) kind: Kind,
    pub(crate) payload: Map<String, Value>,
    /// The caller's `Idempotency-Key`.
    pub(crate) key: Option<String>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It waits in the queue.
    New(String),
    /// It was asked for before with the same key.
    Known(String),
    /// As much waits as may, or results take as much room as they may.
    Full,
    /// Only one of its kind may wait or run, and one does.
    Busy,
}

/// A job as its caller sees it.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) job_id: String,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) attempts: i32,
    pub(crate) cancel_requested: bool,
    pub(crate) progress: Option<Value>,
    pub(crate) created_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) result: Option<ResultInfo>,
}

/// What a job made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResultInfo {
    pub(crate) media_type: String,
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// Whether there was more than a result may hold.
    pub(crate) cut: bool,
    /// Which attempt made it.
    pub(crate) fence: i32,
}

/// What a worker took.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) job_id: String,
    pub(super) fence: i32,
    pub(super) failures: i32,
    pub(super) kind: Kind,
    pub(super) payload: Map<String, Value>,
    pub(super) checkpoint: Map<String, Value>,
}

/// How a lease ends.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    /// The work is done.
    Done { counts: Map<String, Value>, result: Option<ResultInfo> },
    /// It failed, and may be tried again after the pause; without one it fails whenever it is tried.
    Failed { error: String, pause: Option<Duration> },
    /// Its caller does not want it any more.
    Cancelled,
    /// The process ends, and another one is to do it.
    Returned,
}

/// What a renewal says of one job.
#[derive(Clone, Debug)]
pub(super) struct Renewed {
    pub(super) job_id: String,
    pub(super) cancel_requested: bool,
}

/// The channel on which workers hear that there is work.
pub(super) const CHANNEL: &str = "seawall_jobs";

/// How long a lease holds without being renewed. A database that is away for longer costs running jobs an attempt at
/// most; a killed process keeps its jobs waiting for so long.
pub(super) const LEASE: Duration = Duration::from_secs(10);

/// Most bytes of what a job is asked with, as JSON. Both kinds for visitors need a few hundred.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 4 * 1024;

/// Most bytes of all results that are kept. Who asks for more is told to come back; work at fixed times makes none and is
/// put down all the same.
pub(crate) const RESULTS_BYTES_MAX: i64 = 1024 * 1024 * 1024;

/// Leases that one look ends; the next look ends the others.
const REAPED_MAX: i64 = 100;

/// Expired jobs that one look deletes, with their results of up to 16 MiB.
const PRUNED_MAX: i64 = 50;

/// Characters kept of an error's text.
const ERROR_CHARS_MAX: usize = 2_000;

/// The class of the locks under which callers ask for jobs of one kind; cron and loads have their own.
const LOCK_CLASS: i32 = 0x5EA_30B;

/// Puts a job down unless there are too many, or there is one with its key.
const PUT: &str = "
    INSERT INTO jobs (job_id, kind, payload, request_key, sole, attempts_max, retention_seconds)
    SELECT $1, $2, $3, $4, $5, $6, $7
     WHERE (SELECT count(*) FROM jobs WHERE kind = $2 AND state IN ('queued', 'running')) < $8
       AND ($5 OR (SELECT coalesce(sum(result_bytes), 0) FROM jobs WHERE ended_at IS NOT NULL) < $9)
    ON CONFLICT DO NOTHING RETURNING pg_notify('seawall_jobs', '')";

const COLUMNS: &str = "job_id, kind, state, fence, cancel_requested, progress, created_at, started_at, ended_at,
    expires_at, result_type, result_name, result_bytes, result_cut";

/// What waits ends at once; what runs is told by its worker's next renewal.
const CANCEL: &str = "
    UPDATE jobs SET cancel_requested = true,
           state = CASE state WHEN 'queued' THEN 'cancelled' ELSE state END,
           ended_at = CASE state WHEN 'queued' THEN now() END,
           expires_at = CASE state WHEN 'queued' THEN now() + retention_seconds * interval '1 second' END
     WHERE job_id = $1 AND state IN ('queued', 'running')
    RETURNING pg_notify('seawall_jobs', '')";

/// Gives the jobs whose lease has ended to others, or up. No key is updated: who stores a portion of a result shares the
/// lock on the job's key.
const REAP: &str = "
    WITH next AS (
        SELECT job_id, CASE WHEN cancel_requested THEN 'cancelled' WHEN failures + 1 >= attempts_max THEN 'failed'
                            ELSE 'queued' END AS state
          FROM jobs WHERE jobs.state = 'running' AND leased_until < clock_timestamp()
         ORDER BY leased_until LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE jobs SET state = next.state, failures = failures + 1, leased_until = NULL, due_at = now(),
           error = 'the process that ran it is gone',
           ended_at = CASE WHEN next.state <> 'queued' THEN now() END,
           expires_at = CASE WHEN next.state <> 'queued' THEN now() + retention_seconds * interval '1 second' END
      FROM next WHERE jobs.job_id = next.job_id RETURNING jobs.job_id, jobs.kind, jobs.state";

/// Takes what has waited longest.
const TAKE: &str = "
    WITH due AS (
        SELECT job_id FROM jobs WHERE state = 'queued' AND due_at <= now() AND kind = ANY($1)
         ORDER BY due_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE jobs SET state = 'running', fence = fence + 1, started_at = coalesce(started_at, now()), progress = NULL,
           leased_until = clock_timestamp() + $3 * interval '1 millisecond'
      FROM due WHERE jobs.job_id = due.job_id
    RETURNING jobs.job_id, fence, failures, kind, payload, checkpoint";

/// Renews leases that nobody else was given, also those that have ended meanwhile, and writes how far the work is.
const RENEW: &str = "
    UPDATE jobs SET leased_until = clock_timestamp() + $4 * interval '1 millisecond',
           progress = coalesce(mine.progress, jobs.progress)
      FROM unnest($1, $2, $3) AS mine (job_id, fence, progress)
     WHERE jobs.job_id = mine.job_id AND jobs.fence = mine.fence AND state = 'running'
    RETURNING jobs.job_id, cancel_requested";

/// Whether a lease still holds. The row stays locked until the transaction ends, so nobody else is given it before.
const HELD: &str = "job_id = $1 AND fence = $2 AND state = 'running' AND leased_until > clock_timestamp()";

impl Queue {
    pub(crate) fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// Puts a job down. When this returns, the job is in the database and outlives every process.
    ///
    /// # Errors
    /// When the payload is too long, no connection is free, or the database fails.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Asked, Error> {
        let reader = Reader::borrow(&self.pool).await?;
        reader.batch_execute("BEGIN").await?;
        let asked = put(&reader, &ask).await?;
        reader.batch_execute("COMMIT").await?;
        reader.finish();
        Ok(asked)
    }

    /// One job; `None` when there is none of that id, or it has been pruned.
    pub(crate) async fn find(&self, job_id: &str) -> Result<Option<Job>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM jobs WHERE job_id = $1");
        let reader = Reader::borrow(&self.pool).await?;
        let rows = reader.query_typed(&sql, &[(&job_id, Type::TEXT)]).await?;
        reader.finish();
        Ok(rows.first().map(Job::read).transpose()?)
    }

    /// Cancels a job that has not ended. Says whether there was one.
    pub(crate) async fn cancel(&self, job_id: &str) -> Result<bool, Error> {
        let reader = Reader::borrow(&self.pool).await?;
        let rows = reader.query_typed(CANCEL, &[(&job_id, Type::TEXT)]).await?;
        reader.finish();
        Ok(!rows.is_empty())
    }

    /// One portion of a result.
    pub(super) async fn part(&self, job_id: &str, fence: i32, part: i32) -> Result<Option<Vec<u8>>, Error> {
        let sql = "SELECT content FROM job_parts WHERE job_id = $1 AND fence = $2 AND part = $3";
        let reader = Reader::borrow(&self.pool).await?;
        let rows = reader.query_typed(sql, &[(&job_id, Type::TEXT), (&fence, Type::INT4), (&part, Type::INT4)]).await?;
        reader.finish();
        Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
    }

    /// Stores one portion of a result, if the lease holds.
    pub(super) async fn store_part(&self, job_id: &str, fence: i32, part: i32, content: &[u8]) -> Result<bool, Error> {
        let sql = format!("INSERT INTO job_parts SELECT job_id, fence, $3, $4 FROM jobs WHERE {HELD} RETURNING 1");
        let parameters: [(&(dyn ToSql + Sync), Type); 4] =
            [(&job_id, Type::TEXT), (&fence, Type::INT4), (&part, Type::INT4), (&content, Type::BYTEA)];
        self.changes(&sql, &parameters).await
    }

    /// Writes what a later attempt need not do again, if the lease holds.
    pub(super) async fn store_checkpoint(&self, job_id: &str, fence: i32, checkpoint: &Value) -> Result<bool, Error> {
        let sql = format!("UPDATE jobs SET checkpoint = $3 WHERE {HELD} RETURNING 1");
        self.changes(&sql, &[(&job_id, Type::TEXT), (&fence, Type::INT4), (checkpoint, Type::JSONB)]).await
    }

    /// Ends a lease. Says whether it still held; if not, nothing is changed.
    pub(super) async fn settle(&self, job_id: &str, fence: i32, ending: &Ending) -> Result<bool, Error> {
        let lease: [(&(dyn ToSql + Sync), Type); 2] = [(&job_id, Type::TEXT), (&fence, Type::INT4)];
        let ended =
            "leased_until = NULL, ended_at = now(), expires_at = now() + retention_seconds * interval '1 second'";
        match ending {
            Ending::Done { counts, result } => {
                // Portions of attempts that did not end it are of no use.
                let sql = format!(
                    "WITH done AS (
                        UPDATE jobs SET state = 'done', {ended}, error = NULL, counts = $3, result_type = $4,
                               result_name = $5, result_bytes = $6, result_cut = $7
                         WHERE {HELD} RETURNING job_id
                     ), others AS (
                        DELETE FROM job_parts USING done WHERE job_parts.job_id = done.job_id AND fence <> $2
                     ) SELECT job_id FROM done"
                );
                let counts = Value::Object(counts.clone());
                let media_type = result.as_ref().map(|result| &result.media_type);
                let name = result.as_ref().map(|result| &result.name);
                let bytes = result.as_ref().map(|result| i64::try_from(result.bytes).unwrap_or(i64::MAX));
                let cut = result.as_ref().map(|result| result.cut);
                let further: [(&(dyn ToSql + Sync), Type); 5] = [
                    (&counts, Type::JSONB),
                    (&media_type, Type::TEXT),
                    (&name, Type::TEXT),
                    (&bytes, Type::INT8),
                    (&cut, Type::BOOL),
                ];
                self.changes(&sql, &lease.into_iter().chain(further).collect::<Vec<_>>()).await
            }
            Ending::Failed { error, pause } => {
                let sql = format!(
                    "WITH next AS (
                        SELECT job_id, CASE WHEN cancel_requested THEN 'cancelled'
                                            WHEN failures + 1 >= attempts_max OR $4 IS NULL THEN 'failed'
                                            ELSE 'queued' END AS state FROM jobs WHERE {HELD} FOR NO KEY UPDATE
                     )
                     UPDATE jobs SET state = next.state, failures = failures + 1, leased_until = NULL, error = $3,
                            due_at = now() + coalesce($4, 0) * interval '1 millisecond',
                            ended_at = CASE WHEN next.state <> 'queued' THEN now() END,
                            expires_at = CASE WHEN next.state <> 'queued'
                                              THEN now() + retention_seconds * interval '1 second' END
                       FROM next WHERE jobs.job_id = next.job_id RETURNING 1"
                );
                let error: String = error.chars().take(ERROR_CHARS_MAX).collect();
                let pause = pause.map(millis);
                let further: [(&(dyn ToSql + Sync), Type); 2] = [(&error, Type::TEXT), (&pause, Type::INT4)];
                self.changes(&sql, &lease.into_iter().chain(further).collect::<Vec<_>>()).await
            }
            Ending::Cancelled => {
                let sql = format!("UPDATE jobs SET state = 'cancelled', {ended} WHERE {HELD} RETURNING 1");
                self.changes(&sql, &lease).await
            }
            Ending::Returned => {
                let sql = format!(
                    "UPDATE jobs SET state = 'queued', leased_until = NULL, due_at = now() WHERE {HELD}
                     RETURNING pg_notify('{CHANNEL}', '')"
                );
                self.changes(&sql, &lease).await
            }
        }
    }

    async fn changes(&self, sql: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> Result<bool, Error> {
        let reader = Reader::borrow(&self.pool).await?;
        let rows = reader.query_typed(sql, parameters).await?;
        reader.finish();
        Ok(!rows.is_empty())
    }
}

/// Puts a job down within a transaction of the caller's.
pub(crate) async fn put(client: &Client, ask: &Ask) -> Result<Asked, Error> {
    let (kind, terms) = (ask.kind.name(), ask.kind.terms());
    let payload = Value::Object(ask.payload.clone());
    let text = payload.to_string();
    if text.len() > PAYLOAD_BYTES_MAX {
        return Err(Error::bad_request(format!("A job is asked for in {PAYLOAD_BYTES_MAX} bytes at most.")));
    }
    // Callers of a kind one after another, so that its bound holds.
    let lock: [(&(dyn ToSql + Sync), Type); 2] = [(&LOCK_CLASS, Type::INT4), (&kind, Type::TEXT)];
    client.query_typed("SELECT pg_advisory_xact_lock($1, hashtext($2))", &lock).await?;
    let request_key = ask.key.as_deref().map(|key| request_key(kind, key, &text));
    let job_id = hex(&rand::random::<[u8; 16]>());
    let retention = i32::try_from(terms.retention.as_secs()).unwrap_or(i32::MAX);
    let parameters: [(&(dyn ToSql + Sync), Type); 9] = [
        (&job_id, Type::TEXT),
        (&kind, Type::TEXT),
        (&payload, Type::JSONB),
        (&request_key, Type::TEXT),
        (&terms.sole, Type::BOOL),
        (&terms.attempts_max, Type::INT4),
        (&retention, Type::INT4),
        (&terms.open_max, Type::INT8),
        (&RESULTS_BYTES_MAX, Type::INT8),
    ];
    // Who repeats a call when as much waits as may is told of its job, and not to come back.
    if let Some(key) = &request_key {
        let known = client.query_typed("SELECT job_id FROM jobs WHERE request_key = $1", &[(key, Type::TEXT)]).await?;
        if let Some(row) = known.first() {
            return Ok(Asked::Known(row.try_get(0)?));
        }
    }
    let put = client.query_typed(PUT, &parameters).await?;
    Ok(match (put.is_empty(), terms.sole) {
        (false, _) => Asked::New(job_id),
        (true, true) => Asked::Busy,
        (true, false) => Asked::Full,
    })
}

/// The payload is part of it, so that two callers who chose the same key for different work both get theirs.
fn request_key(kind: &str, key: &str, payload: &str) -> String {
    let mut digest = Sha256::new();
    for part in [kind, key, payload] {
        digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(part);
    }
    hex(&digest.finalize())
}

/// Ends the leases that nobody renewed: the kind and the new state of each job.
pub(super) async fn reap(client: &Client) -> Result<Vec<(String, String, String)>, tokio_postgres::Error> {
    let rows = client.query_typed(REAP, &[(&REAPED_MAX, Type::INT8)]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
}

/// Takes up to `limit` jobs of these kinds that are due.
pub(super) async fn take(client: &Client, kinds: &[Kind], limit: usize) -> Result<Vec<Taken>, tokio_postgres::Error> {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    let (limit, lease) = (i64::try_from(limit).unwrap_or(i64::MAX), millis(LEASE));
    let parameters: [(&(dyn ToSql + Sync), Type); 3] =
        [(&names, Type::TEXT_ARRAY), (&limit, Type::INT8), (&lease, Type::INT4)];
    let rows = client.query_typed(TAKE, &parameters).await?;
    let taken = |row: &Row| {
        let name: String = row.try_get(3)?;
        let object = |value: Option<Value>| match value {
            Some(Value::Object(object)) => object,
            _ => Map::new(),
        };
        // Only these kinds were asked for.
        let kind = kinds.iter().copied().find(|kind| kind.name() == name).unwrap_or(kinds[0]);
        Ok(Taken {
            job_id: row.try_get(0)?,
            fence: row.try_get(1)?,
            failures: row.try_get(2)?,
            kind,
            payload: object(row.try_get(4)?),
            checkpoint: object(row.try_get(5)?),
        })
    };
    rows.iter().map(taken).collect()
}

/// Renews leases; what is missing in the answer is lost.
pub(super) async fn renew(
    client: &Client,
    leases: &[(String, i32, Option<Value>)],
) -> Result<Vec<Renewed>, tokio_postgres::Error> {
    let ids: Vec<&str> = leases.iter().map(|(job_id, ..)| job_id.as_str()).collect();
    let fences: Vec<i32> = leases.iter().map(|(_, fence, _)| *fence).collect();
    let progress: Vec<Option<&Value>> = leases.iter().map(|(.., progress)| progress.as_ref()).collect();
    let lease = millis(LEASE);
    let parameters: [(&(dyn ToSql + Sync), Type); 4] =
        [(&ids, Type::TEXT_ARRAY), (&fences, Type::INT4_ARRAY), (&progress, Type::JSONB_ARRAY), (&lease, Type::INT4)];
    let rows = client.query_typed(RENEW, &parameters).await?;
    rows.iter().map(|row| Ok(Renewed { job_id: row.try_get(0)?, cancel_requested: row.try_get(1)? })).collect()
}

/// Fails unless the lease holds, and keeps it until the transaction of `client` ends.
pub(super) async fn holds(client: &Client, job_id: &str, fence: i32) -> Result<bool, tokio_postgres::Error> {
    let sql = format!("SELECT 1 FROM jobs WHERE {HELD} FOR NO KEY UPDATE");
    Ok(!client.query_typed(&sql, &[(&job_id, Type::TEXT), (&fence, Type::INT4)]).await?.is_empty())
}

/// Deletes jobs whose time is over, with their results. Says how many.
pub(super) async fn prune(client: &Client) -> Result<usize, tokio_postgres::Error> {
    let sql = "DELETE FROM jobs WHERE job_id IN (
                   SELECT job_id FROM jobs WHERE ended_at IS NOT NULL AND expires_at < now()
                    ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING 1";
    Ok(client.query_typed(sql, &[(&PRUNED_MAX, Type::INT8)]).await?.len())
}

impl Job {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let fence = row.try_get(3)?;
        let state: String = row.try_get(2)?;
        let media_type: Option<String> = row.try_get(10)?;
        let result = match media_type.filter(|_| state == "done") {
            Some(media_type) => Some(ResultInfo {
                media_type,
                name: row.try_get::<_, Option<String>>(11)?.unwrap_or_default(),
                bytes: row.try_get::<_, Option<i64>>(12)?.and_then(|bytes| bytes.try_into().ok()).unwrap_or_default(),
                cut: row.try_get::<_, Option<bool>>(13)?.unwrap_or_default(),
                fence,
            }),
            None => None,
        };
        Ok(Self {
            job_id: row.try_get(0)?,
            kind: row.try_get(1)?,
            state,
            attempts: fence,
            cancel_requested: row.try_get(4)?,
            progress: row.try_get(5)?,
            created_at: row.try_get(6)?,
            started_at: row.try_get(7)?,
            ended_at: row.try_get(8)?,
            expires_at: row.try_get(9)?,
            result,
        })
    }
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}
