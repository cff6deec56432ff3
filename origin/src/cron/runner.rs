//! Starts runs, one of a job at a time over all processes, and sees to it that each is ended in the log.
//!
//! # Design
//! A run holds an advisory lock in a transaction of a session of its own. The lock goes with that session, whatever
//! happens to the process, so nothing has to be cleaned up for the job to run again, and it holds through PgBouncer too.
//! A run whose lock session breaks is ended: another process may have begun.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use seawall_core::breaker::State;
use tokio::sync::{Mutex, oneshot, watch};
use tokio::task::JoinSet;
use tokio_postgres::Client as Session;
use tokio_postgres::types::Type;

use super::job::{Context, Counts, Job};
use super::log::{self, Begun, Log, Run};
use crate::db::{self, Pool};
use crate::error::Error;

/// The runs of this process.
#[derive(Debug)]
pub(crate) struct Runner {
    context: Arc<Context>,
    pool: Pool,
    running: Mutex<JoinSet<()>>,
    stopping: watch::Sender<bool>,
}

/// A run that has begun, or had before.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) log_id: i64,
    /// Ends with the run.
    pub(super) ended: oneshot::Receiver<()>,
}

/// Why no run was started.
#[derive(Debug)]
pub(super) enum StartError {
    /// One is going on, here or in another process.
    Busy,
    /// This process is about to end.
    Stopping,
    /// The lock or the log could not be reached.
    Database(anyhow::Error),
}

impl From<tokio_postgres::Error> for StartError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

/// How long the lock's session may go unheard before the run is ended.
const LOCK_LOOK_EVERY: Duration = Duration::from_secs(5);

/// The class of cron's locks; loads have their own.
const LOCK_CLASS: i32 = 0x5EA_C10;

impl Runner {
    pub(crate) fn new(context: Context) -> Self {
        let (stopping, _) = watch::channel(false);
        let pool = context.databases.primary().clone();
        Self { context: Arc::new(context), pool, running: Mutex::default(), stopping }
    }

    /// Starts a run that goes on when the caller does not.
    pub(super) async fn start(&self, job: Job, key: Option<String>) -> Result<Started, StartError> {
        let (ending, ended) = oneshot::channel();
        let mut running = self.running.lock().await;
        while running.try_join_next().is_some() {}
        if *self.stopping.borrow() {
            return Err(StartError::Stopping);
        }
        let database = &self.context.config.database;
        let writer = db::session(database, "seawall-cron").await.map_err(StartError::Database)?;
        if let Some(key) = &key
            && let Some(log_id) = log::find(&writer, job, key).await?
        {
            return Ok(Started { log_id, ended });
        }
        let session = db::session(database, "seawall-cron-lock").await.map_err(StartError::Database)?;
        if !lock(&session, job).await? {
            return Err(StartError::Busy);
        }
        let log = match Log::begin(writer, job, key.as_deref()).await? {
            Begun::New(log) => log,
            // It was run between the two looks, and has just ended.
            Begun::Known => return Err(StartError::Busy),
        };
        let log_id = log.log_id();
        let (context, stopping) = (Arc::clone(&self.context), self.stopping.subscribe());
        running.spawn(async move {
            attend(job, &context, &log, &session, stopping).await;
            // Dropped here and not before: the lock is held until the log says how it ended.
            drop(session);
            drop(ending);
        });
        Ok(Started { log_id, ended })
    }

    /// Marks runs that a process left behind, of jobs that nobody runs now. Those that are locked are running.
    pub(crate) async fn sweep(&self) -> anyhow::Result<()> {
        let session = db::session(&self.context.config.database, "seawall-cron-lock").await?;
        for job in Job::ALL {
            if lock(&session, job).await? {
                let marked = log::mark_abandoned(&session, job).await?;
                if marked > 0 {
                    let name = job.name();
                    tracing::warn!(
                        event = "cron.abandoned",
                        job = name,
                        marked,
                        "{marked} runs of {name} were left behind"
                    );
                }
            }
            session.batch_execute("COMMIT").await?;
        }
        Ok(())
    }

    /// Ends the runs of this process and waits until the log says so.
    pub(crate) async fn stop(&self) {
        self.stopping.send_replace(true);
        let mut running = self.running.lock().await;
        while running.join_next().await.is_some() {}
    }

    /// Where the breaker of the city's API stands.
    pub(crate) fn soda(&self) -> State {
        self.context.soda.breaker_state()
    }

    pub(super) async fn run(&self, log_id: i64) -> Result<Option<Run>, Error> {
        Ok(log::run(&*self.pool.get().await?, log_id).await?)
    }

    pub(super) async fn runs(&self, limit: i64) -> Result<Vec<Run>, Error> {
        Ok(log::runs(&*self.pool.get().await?, limit).await?)
    }
}

/// Begins a transaction that holds the job's lock, if nobody else has it.
async fn lock(session: &Session, job: Job) -> Result<bool, tokio_postgres::Error> {
    // Between statements the transaction holds no snapshot, so it keeps nothing from being vacuumed. A run asks whether
    // the session lives far more often than this; a host that vanished without a word gives the lock back after it.
    session.batch_execute("BEGIN; SET LOCAL idle_in_transaction_session_timeout = '60s'").await?;
    let parameters =
        [(&LOCK_CLASS as &(dyn tokio_postgres::types::ToSql + Sync), Type::INT4), (&job.lock(), Type::INT4)];
    let rows = session.query_typed("SELECT pg_try_advisory_xact_lock($1, $2)", &parameters).await?;
    rows.first().map_or(Ok(false), |row| row.try_get(0))
}

/// Does the work within its bounds and writes how it ended.
async fn attend(job: Job, context: &Context, log: &Log, session: &Session, mut stopping: watch::Receiver<bool>) {
    let (name, started, log_id) = (job.name(), Instant::now(), log.log_id());
    tracing::info!(event = "cron.started", job = name, log_id, "{name} started as run {log_id}");
    let stopped = async {
        // The sender lives as long as the process.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    let result = tokio::select! {
        result = job.work(context, log) => result.map_err(|error| format!("{error:#}")),
        () = tokio::time::sleep(job.deadline()) => Err(format!("not done within {:?}", job.deadline())),
        () = lost(session) => Err("the session with the job's lock was lost".to_owned()),
        () = stopped => Err("the process that ran it was stopped".to_owned()),
    };
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    match &result {
        Ok(_) => {
            tracing::info!(
                event = "cron.done",
                job = name,
                log_id,
                duration_ms,
                "{name} is done after {duration_ms} ms"
            );
        }
        Err(error) => tracing::error!(
            event = "cron.failed",
            job = name,
            log_id,
            duration_ms,
            error,
            "{name} failed after {duration_ms} ms: {error}"
        ),
    }
    let end = result.as_ref().map_err(String::as_str);
    let written = match log.end(end).await {
        Ok(()) => Ok(()),
        // The session may have gone with the database; a new one writes it if the database is back.
        Err(_) => end_anew(context, log_id, end).await,
    };
    if let Err(error) = written {
        let error = format!("{error:#}");
        tracing::error!(
            event = "cron.end_lost",
            job = name,
            log_id,
            error,
            "the end of run {log_id} was not written: {error}"
        );
    }
}

async fn end_anew(context: &Context, log_id: i64, end: Result<&Counts, &str>) -> anyhow::Result<()> {
    let session = db::session(&context.config.database, "seawall-cron").await?;
    Log::resume(session, log_id).end(end).await.context("the log cannot be written")
}

/// Ends when the session does.
async fn lost(session: &Session) {
    while session.simple_query("SELECT 1").await.is_ok() {
        tokio::time::sleep(LOCK_LOOK_EVERY).await;
    }
}
