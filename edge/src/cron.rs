//! The jobs of the policy, at their times: each is one request to the origin, tried again while that may help.

use alloc::{
    borrow::ToOwned,
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt, time::Duration};

use seawall_core::{
    breaker::Reply,
    policy::Job,
    retry::{Attempt, Budget, Decision, Failure, Repeatable},
    time::Timestamp,
};

use crate::{
    Edge, Platform,
    message::{Headers, Request},
    platform::FetchError,
    record::Metric,
};

/// A timer of the host went off.
#[derive(Clone, Copy, Debug)]
pub struct Tick<'a> {
    /// The expression, as the host's configuration has it.
    pub schedule: &'a str,
    /// The time that it was meant for. Each job's `Idempotency-Key` is made of it, so that a tick that the host repeats
    /// starts nothing twice.
    pub scheduled: Timestamp,
}

/// Jobs that did not succeed, or a tick that no job has. The host is to count the run as failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobsFailed {
    /// The policy has no job of that schedule: it and the host's configuration disagree.
    Unknown,
    /// The names of those that failed.
    Jobs(Vec<String>),
}

/// Runs every job of a schedule, one after the other; one that fails does not keep the next from running. Says in the
/// log how each went.
///
/// # Errors
/// When one of them failed.
pub async fn run<P: Platform>(edge: &Edge, platform: &P, tick: Tick<'_>) -> Result<(), JobsFailed> {
    let mut jobs = edge.policy.site().jobs.iter().filter(|job| job.schedule == tick.schedule).peekable();
    if jobs.peek().is_none() {
        platform.log("edge.cron failed reason=unknown-schedule: no [[cron]] of policy.toml has it");
        return Err(JobsFailed::Unknown);
    }
    let mut failed = Vec::new();
    for job in jobs {
        let name = job.name.as_str();
        let Ended { outcome, status, attempts } = do_job(edge, platform, job, tick.scheduled).await;
        let (status, tries) = (status.map_or_else(|| String::from("-"), |s| s.to_string()), attempts.to_string());
        let line = ["edge.cron job=", name, " outcome=", outcome, " status=", &status, " attempts=", &tries];
        platform.log(&line.concat());
        platform.measure(&Metric::Job { name, outcome, attempts });
        if outcome != DONE {
            failed.push(name.to_owned());
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(JobsFailed::Jobs(failed)) }
}

/// How a job ended.
struct Ended {
    /// [`DONE`], or why it failed.
    outcome: &'static str,
    status: Option<u16>,
    attempts: u8,
}

async fn do_job<P: Platform>(edge: &Edge, platform: &P, job: &Job, scheduled: Timestamp) -> Ended {
    let Some(secret) = &edge.settings.cron_secret else {
        return Ended { outcome: "no-secret", status: None, attempts: 0 };
    };
    // A policy's jobs name its own upstreams.
    let Some(upstream) = edge.policy.upstream_for(job) else {
        return Ended { outcome: "no-upstream", status: None, attempts: 0 };
    };
    let key = [job.name.as_str(), "-", &scheduled.as_unix_millis().to_string()].concat();
    let began = platform.now();
    let mut budget = Budget::full(&upstream.retry);
    let mut attempts = 0;
    loop {
        attempts += 1;
        let left = JOB_MAX.saturating_sub(platform.now().since(began));
        let mut request = request(job, &key, secret.expose());
        let (status, reply) = match platform.fetch(0, &mut request, left.min(upstream.deadline)).await {
            Ok(response) if (200..300).contains(&response.status) => {
                return Ended { outcome: DONE, status: Some(response.status), attempts };
            }
            Ok(response) => (Some(response.status), Reply::Status { status: response.status, retry_after: None }),
            Err(FetchError::Unreachable) => (None, Reply::Disconnected),
            Err(FetchError::Timeout) => (None, Reply::TimedOut),
        };
        let outcome = match (status, reply) {
            (Some(_), _) => "refused",
            (None, Reply::TimedOut) => FetchError::Timeout.as_str(),
            (None, _) => FetchError::Unreachable.as_str(),
        };
        let ended = Ended { outcome, status, attempts };
        let Some(failure) = Failure::classify(reply) else { return ended };
        let attempt = Attempt {
            number: u32::from(attempts),
            repeatable: Repeatable::Key,
            failure,
            retry_after: None,
            time_left: JOB_MAX.saturating_sub(platform.now().since(began)),
        };
        // The upper half of a random number is as random as the whole.
        match budget.decide(&upstream.retry, &attempt, (platform.random() >> 32) as u32) {
            Decision::GiveUp(_) => return ended,
            Decision::Retry { delay, .. } => platform.sleep(delay).await,
        }
    }
}

fn request<P: Platform>(job: &Job, key: &str, secret: &str) -> Request<P> {
    let mut headers = P::Headers::default();
    headers.set("authorization", &["Bearer ", secret].concat());
    headers.set("idempotency-key", key);
    headers.set("accept", "application/json");
    Request {
        method: String::from("POST"),
        scheme: String::from("https"),
        host: String::new(),
        path: job.path.clone(),
        query: String::new(),
        headers,
        body: None,
        client: None,
    }
}

impl fmt::Display for JobsFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => {
                f.write_str("no job of policy.toml has this schedule; [triggers] in wrangler.toml must match")
            }
            Self::Jobs(names) => write!(f, "failed: {}; the log says why", names.join(", ")),
        }
    }
}

impl core::error::Error for JobsFailed {}

/// The outcome of a job that the origin took.
const DONE: &str = "ok";
/// Longest time for one job with all its tries. Cloudflare ends a run of a timer after 15 minutes.
const JOB_MAX: Duration = Duration::from_secs(600);
