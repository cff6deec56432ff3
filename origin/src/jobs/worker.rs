//! Takes what is due, does it, renews its leases meanwhile, and gives them back when the process ends.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_postgres::Client;

use super::kind::Kind;
use super::lease::{Hopeless, Lease, Outcome, Unwritten};
use super::queue::{self, Ending, LEASE, Queue, Taken};
use super::{Context, export, report};
use crate::cron;
use crate::db;
use crate::logging::Seldom;

/// How many jobs a process does at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots {
    /// Of those that visitors ask for.
    pub(crate) visitors: usize,
    /// Of those at fixed times.
    pub(crate) cron: usize,
}

/// The jobs of this process.
#[derive(Debug)]
pub(crate) struct Worker {
    context: Arc<Context>,
    queue: Queue,
    slots: Slots,
    link: Option<Link>,
    running: HashMap<Id, Running>,
    tasks: JoinSet<()>,
    unreachable: Seldom,
}

/// The session over which work is taken and renewed, apart from the pool: visitors who fill that end no lease.
#[derive(Debug)]
struct Link {
    client: Arc<Client>,
    /// Says when there is work; silent through a pooler.
    heard: mpsc::Receiver<()>,
}

/// A job that goes on.
#[derive(Debug)]
struct Running {
    job_id: String,
    fence: i32,
    kind: Kind,
    /// When the last renewal that counts was sent.
    renewed: Instant,
    progress: Unwritten,
    tell: watch::Sender<Tell>,
}

/// What an attempt is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tell {
    GoOn,
    /// Its caller does not want it any more.
    Cancel,
    /// Another worker has it, or may have.
    Lost,
    /// The process ends.
    Stop,
}

/// How often leases are renewed: four times before they end.
const RENEW_EVERY: Duration = Duration::from_millis(2_500);
const _: () = assert!(4 * RENEW_EVERY.as_millis() <= LEASE.as_millis());

/// How often the queue is looked at: for ended leases, and for work that nobody announced.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The same where nothing is announced.
const LOOK_EVERY_UNHEARD: Duration = Duration::from_millis(500);

/// How often what has expired is deleted.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// Longest time for one step over the link; then it is opened anew.
const STEP_TIME_MAX: Duration = Duration::from_secs(2);

/// How long jobs may go on when the process ends; then their leases are returned.
const FINISH_TIME_MAX: Duration = Duration::from_secs(3);

/// How long the end of an attempt is tried to be written. Afterwards the lease has ended anyway.
const SETTLE_TIME_MAX: Duration = LEASE;

/// The pause between two tries to write it.
const SETTLE_EVERY: Duration = Duration::from_millis(500);

/// How often it is said that the queue cannot be reached.
const SAY_EVERY: Duration = Duration::from_secs(30);

impl Worker {
    pub(crate) fn new(context: Arc<Context>, queue: Queue, slots: Slots) -> Self {
        Self {
            context,
            queue,
            slots,
            link: None,
            running: HashMap::new(),
            tasks: JoinSet::new(),
            unreachable: Seldom::default(),
        }
    }

    /// Works until `stopping` says so, then lets jobs finish for a moment and returns the leases of the others.
    pub(crate) async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        let pooled = self.context.config.database.is_pooled();
        let mut looks = interval(if pooled { LOOK_EVERY_UNHEARD } else { LOOK_EVERY });
        let mut renewals = interval(RENEW_EVERY);
        let mut prunings = interval(PRUNE_EVERY);
        for timer in [&mut looks, &mut renewals, &mut prunings] {
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            // The order is that of importance: an end, then leases, then more work.
            tokio::select! {
                biased;
                () = stopped(&mut stopping) => break,
                Some(ended) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => {
                    self.forget(ended.map_or_else(|error| error.id(), |(id, ())| id));
                    self.look().await;
                }
                _ = renewals.tick() => self.renew().await,
                _ = prunings.tick() => self.prune().await,
                _ = looks.tick() => self.look().await,
                () = heard(&mut self.link) => self.look().await,
            }
        }
        for running in self.running.values() {
            running.tell.send_replace(Tell::Stop);
        }
        while self.tasks.join_next().await.is_some() {}
    }

    fn forget(&mut self, id: Id) {
        self.running.remove(&id);
    }

    /// Ends what nobody renews, and takes what is due, as far as there are slots.
    async fn look(&mut self) {
        let kinds = |cron: bool| -> Vec<Kind> {
            if cron { cron::Job::ALL.map(Kind::Cron).to_vec() } else { Kind::FOR_VISITORS.to_vec() }
        };
        let busy = self.running.values().filter(|running| matches!(running.kind, Kind::Cron(_))).count();
        let free = [
            (kinds(true), self.slots.cron.saturating_sub(busy)),
            (kinds(false), self.slots.visitors.saturating_sub(self.running.len() - busy)),
        ];
        let Some(client) = self.connected().await else { return };
        let reaped = timeout(STEP_TIME_MAX, queue::reap(&client)).await;
        let Some(reaped) = self.stepped(reaped) else { return };
        for (job_id, kind, state) in reaped {
            tracing::warn!(
                event = "jobs.lease_ended",
                job_id,
                kind,
                state,
                "nobody renewed the lease of {kind} {job_id}: it is {state} now"
            );
        }
        for (kinds, slots) in free.iter().filter(|(_, slots)| *slots > 0) {
            let taken = timeout(STEP_TIME_MAX, queue::take(&client, kinds, *slots)).await;
            let Some(taken) = self.stepped(taken) else { return };
            // Begun before the next are asked for, which may fail: nobody else would begin these until their leases end.
            for taken in taken {
                self.begin(taken);
            }
        }
    }

    fn begin(&mut self, taken: Taken) {
        let (tell, told) = watch::channel(Tell::GoOn);
        let progress = Unwritten::default();
        let lease = Lease::new(self.queue.clone(), &taken, Arc::clone(&progress));
        let (job_id, fence, kind) = (taken.job_id.clone(), taken.fence, taken.kind);
        let attempt = attempt(Arc::clone(&self.context), self.queue.clone(), lease, taken, told);
        let id = self.tasks.spawn(attempt).id();
        self.running.insert(id, Running { job_id, fence, kind, renewed: Instant::now(), progress, tell });
    }

    async fn renew(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let sent = Instant::now();
        let leases: Vec<_> = self.running.values().map(Running::to_renew).collect();
        let renewed = match self.connected().await {
            Some(client) => {
                let renewed = timeout(STEP_TIME_MAX, queue::renew(&client, &leases)).await;
                self.stepped(renewed)
            }
            None => None,
        };
        for running in self.running.values_mut() {
            let answer = renewed.as_ref().map(|renewed| renewed.iter().find(|one| one.job_id == running.job_id));
            match answer {
                Some(Some(one)) => {
                    running.renewed = sent;
                    if one.cancel_requested {
                        running.tell.send_replace(Tell::Cancel);
                    }
                }
                // It ended between the two, or another worker has it.
                Some(None) => _ = running.tell.send_replace(Tell::Lost),
                None if sent.duration_since(running.renewed) >= LEASE => _ = running.tell.send_replace(Tell::Lost),
                None => {}
            }
        }
    }

    async fn prune(&mut self) {
        let Some(client) = self.connected().await else { return };
        let pruned = timeout(STEP_TIME_MAX, queue::prune(&client)).await;
        self.stepped(pruned);
    }

    /// The link's session, opened if need be.
    async fn connected(&mut self) -> Option<Arc<Client>> {
        if self.link.as_ref().is_none_or(|link| link.client.is_closed()) {
            self.link = None;
            match timeout(STEP_TIME_MAX, Link::open(&self.context)).await {
                Ok(Ok(link)) => self.link = Some(link),
                Ok(Err(error)) => self.complain(&format!("{error:#}")),
                Err(_) => self.complain(&format!("not within {STEP_TIME_MAX:?}")),
            }
        }
        self.link.as_ref().map(|link| Arc::clone(&link.client))
    }

    /// What one step over the link gave; when it failed, the next step opens the link anew.
    fn stepped<T>(&mut self, step: Result<Result<T, tokio_postgres::Error>, Elapsed>) -> Option<T> {
        let error = match step {
            Ok(Ok(answer)) => return Some(answer),
            // Its statement may be running still; a session that is dropped takes nothing with it but that.
            Ok(Err(error)) => format!("{:#}", anyhow::Error::from(error)),
            Err(_) => format!("not within {STEP_TIME_MAX:?}"),
        };
        self.link = None;
        self.complain(&error);
        None
    }

    fn complain(&self, error: &str) {
        self.unreachable.say(SAY_EVERY, |unsaid| {
            tracing::warn!(event = "jobs.unreachable", unsaid, error, "the queue of jobs cannot be reached: {error}");
        });
    }
}

impl Link {
    async fn open(context: &Context) -> anyhow::Result<Self> {
        let (client, heard) = db::listening_session(&context.config.database, "seawall-jobs").await?;
        if !context.config.database.is_pooled() {
            client.batch_execute(&format!("LISTEN {}", queue::CHANNEL)).await?;
        }
        Ok(Self { client: Arc::new(client), heard })
    }
}

/// Ends when the process is to end, or nobody is left to say so.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Waits for word that there is work. Without a link, or once it is closed, nothing is heard.
async fn heard(link: &mut Option<Link>) {
    if let Some(link) = link
        && link.heard.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}

impl Running {
    fn to_renew(&self) -> (String, i32, Option<serde_json::Value>) {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.job_id.clone(), self.fence, progress)
    }
}

/// Does the work within its bounds, and writes how it ended.
async fn attempt(context: Arc<Context>, queue: Queue, lease: Lease, taken: Taken, mut told: watch::Receiver<Tell>) {
    let Taken { job_id, fence, failures, kind, payload, .. } = taken;
    let (name, terms, started) = (kind.name(), kind.terms(), Instant::now());
    tracing::info!(event = "jobs.started", kind = name, job_id, fence, "{name} {job_id} started (lease {fence})");
    let ended = {
        let work = async {
            match kind {
                Kind::Export => export::run(&context, &lease, &payload).await,
                Kind::Report => report::run(&context, &lease, &payload).await,
                Kind::Cron(job) => job.work(&context, &lease).await.map(|counts| Outcome { counts, result: None }),
            }
        };
        let told = async {
            // The sender lives until this task is forgotten.
            let tell = told.wait_for(|tell| *tell != Tell::GoOn).await.map_or(Tell::Lost, |tell| *tell);
            if tell == Tell::Stop {
                sleep(FINISH_TIME_MAX).await;
            }
            tell
        };
        tokio::select! {
            result = work => Ok(result),
            tell = told => Err(tell),
            () = sleep(terms.deadline) => Ok(Err(anyhow::anyhow!("not done within {:?}", terms.deadline))),
        }
    };
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let ending = match ended {
        Ok(Ok(Outcome { counts, result })) => {
            tracing::info!(
                event = "jobs.done",
                kind = name,
                job_id,
                duration_ms,
                "{name} {job_id} is done after {duration_ms} ms"
            );
            Ending::Done { counts, result }
        }
        Ok(Err(error)) => {
            let hopeless = error.is::<Hopeless>();
            let (error, last) = (format!("{error:#}"), hopeless || failures + 1 >= terms.attempts_max);
            tracing::error!(
                event = if last { "jobs.dead" } else { "jobs.failed" },
                kind = name,
                job_id,
                duration_ms,
                failures = failures + 1,
                error,
                "{name} {job_id} failed after {duration_ms} ms: {error}"
            );
            let pause = (!hopeless).then(|| terms.pause(failures + 1, rand::random()));
            Ending::Failed { error, pause }
        }
        Err(Tell::Cancel) => Ending::Cancelled,
        Err(Tell::Stop) => Ending::Returned,
        Err(Tell::Lost | Tell::GoOn) => {
            tracing::warn!(event = "jobs.lost", kind = name, job_id, fence, "lease {fence} of {name} {job_id} is lost");
            return;
        }
    };
    // The database may have been away for a moment; leases are renewed when it is back.
    let settled = timeout(SETTLE_TIME_MAX, async {
        loop {
            match queue.settle(&job_id, fence, &ending).await {
                Ok(settled) => break settled,
                Err(_) => sleep(SETTLE_EVERY).await,
            }
        }
    });
    if !matches!(settled.await, Ok(true)) {
        tracing::warn!(
            event = "jobs.not_settled",
            kind = name,
            job_id,
            fence,
            "the end of {name} {job_id} was not written, because lease {fence} has ended: it is done again"
        );
    }
}
