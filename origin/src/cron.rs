//! Work at fixed times: a caller with the secret starts a job by POST and reads how it went.
//!
//! The caller is the edge's cron trigger, or any scheduler that can send a request. A run is a job in the queue before the
//! caller is answered, so it comes about whatever becomes of this process. One that takes longer than [`ANSWER_WITHIN`] is
//! answered 202 with the address of its row in `cron_log`.

mod caches;
mod entities;
pub mod job;
mod likeness;
mod log;
mod nightly;
mod prune;
mod signals;
mod velocity;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{AUTHORIZATION, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

pub use self::entities::resolve as resolve_entities;
pub use self::job::Job;
pub use self::likeness::refresh as refresh_likenesses;
use self::log::Started;
pub(crate) use self::log::{LastRun, last_runs};
use crate::config::{CronWorker, Secret};
use crate::db::Pool;
use crate::error::Error;
use crate::server::Site;

/// How long a caller waits for a run to end before it is told where to look. Shorter than the longest time of a request.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Longest `Idempotency-Key`; a longer one gets 400.
const KEY_BYTES_MAX: usize = 200;

/// How soon it is looked whether a run has ended, and how seldom.
const LOOK_EVERY: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(250)];

/// Runs in `/cron/status`.
const LISTED_MAX: i64 = 20;

static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What `/cron/status` answers.
#[derive(Debug, Serialize)]
struct StatusAnswer {
    jobs: Vec<log::Run>,
}

/// What a job that is running already is answered with. It is no failure: the work is being done.
#[derive(Debug, Serialize)]
struct Skipped {
    status: &'static str,
    reason: &'static str,
}

/// Who may see what below `/cron`, and what else this process serves.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    worker: CronWorker,
    secret: Option<Secret>,
}

impl Access {
    pub(crate) fn new(worker: CronWorker, secret: Option<Secret>) -> Self {
        Self { worker, secret }
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let given = given.and_then(|value| value.split_at_checked(BEARER.len()));
        let Some((secret, (scheme, token))) = self.secret.as_ref().zip(given) else { return false };
        scheme.eq_ignore_ascii_case(BEARER) && secret.is(token)
    }
}

/// RFC 6750 §2.1.
const BEARER: &[u8] = b"Bearer ";

/// Keeps `/cron` to processes that are to run it and to callers with the secret, and a process that only runs jobs to
/// them and to health.
pub(crate) async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_under =
        |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let nothing = || Error::not_found("There is nothing at this address.").into_response();
    match (is_under("/cron"), access.worker) {
        (true, CronWorker::Off) => nothing(),
        (true, CronWorker::On | CronWorker::Only) if !access.admits(request.headers()) => {
            let mut refused = Error::from_status(StatusCode::UNAUTHORIZED).into_response();
            refused.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            refused
        }
        (false, CronWorker::Only) if !is_under("/health") => nothing(),
        _ => next.run(request).await,
    }
}

/// `POST /cron/{job}`: 200 with how the run went, 500 when it failed, or 202 when it goes on.
pub(crate) async fn start(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let job = Job::find(&name).ok_or_else(|| {
        let names = Job::ALL.map(Job::name).join(", ");
        Error::not_found(format!("There is no job {name:?}. Those that there are: {names}."))
    })?;
    let key = idempotency_key(&headers)?;
    let pool = site.databases.primary();
    let log_id = match log::start(pool, job, key.as_deref()).await? {
        Started::Run(log_id) => log_id,
        Started::Busy => {
            return Ok(Json(Skipped { status: "skipped", reason: "this job waits or is running" }).into_response());
        }
        Started::Full => {
            let name = job.name();
            tracing::error!(event = "cron.refused", job = name, "the queue is full: {name} was not put into it");
            return Err(Error::queue_full());
        }
    };
    let run = ended(pool, log_id).await?;
    let status = match run.status.as_str() {
        "queued" | "running" => StatusCode::ACCEPTED,
        "success" => StatusCode::OK,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let place = HeaderValue::try_from(format!("/cron/runs/{log_id}")).map_err(Error::bug)?;
    Ok((status, [(LOCATION, place)], Json(run)).into_response())
}

/// The run when it has ended, or as it is after [`ANSWER_WITHIN`].
async fn ended(pool: &Pool, log_id: i64) -> Result<log::Run, Error> {
    let asked = Instant::now();
    let mut pause = LOOK_EVERY[0];
    loop {
        let run = log::run(pool, log_id).await?.ok_or_else(|| Error::bug("a run has no row"))?;
        // What has failed and is tried again later is not waited for.
        let goes_on = run.is_open() && run.error_message.is_none();
        if !goes_on || asked.elapsed() + pause > ANSWER_WITHIN {
            return Ok(run);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_EVERY[1]);
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let Some(value) = headers.get(&IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()));
    let wrong = || Error::bad_request("An Idempotency-Key has 1 to 200 visible ASCII characters.");
    key.map(|key| Some(key.to_owned())).ok_or_else(wrong)
}

/// `GET /cron/status`: the last runs of all jobs, newest first.
pub(crate) async fn status(State(site): State<Arc<Site>>) -> Result<Response, Error> {
    Ok(Json(StatusAnswer { jobs: log::runs(site.databases.primary(), LISTED_MAX).await? }).into_response())
}

/// `GET /cron/runs/{log_id}`: one run, with its progress while it goes on.
pub(crate) async fn run(State(site): State<Arc<Site>>, Path(log_id): Path<i64>) -> Result<Response, Error> {
    let run =
        log::run(site.databases.primary(), log_id).await?.ok_or_else(|| Error::not_found("There is no such run."))?;
    Ok(Json(run).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn only_the_secret_opens() {
        let secret = "0123456789abcdef0123456789abcdef";
        let access = Access::new(CronWorker::On, Some(Secret::new(secret.to_owned())));
        for (value, admitted) in [
            (format!("Bearer {secret}"), true),
            (format!("bearer {secret}"), true),
            (format!("Bearer  {secret}"), false),
            (format!("Bearer {secret}0"), false),
            (format!("Basic_ {secret}"), false),
            ("Bearer ".to_owned(), false),
            (secret.to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(access.admits(&headers(&value)), admitted, "{value}");
        }
        assert!(!access.admits(&HeaderMap::new()));
        assert!(!Access::new(CronWorker::On, None).admits(&headers("Bearer ")));
    }

    #[test]
    fn a_key_is_short_and_visible() {
        let given =
            |value: &str| HeaderMap::from_iter([(IDEMPOTENCY_KEY.clone(), HeaderValue::from_str(value).unwrap())]);
        let longest = "k".repeat(KEY_BYTES_MAX);
        assert_eq!(idempotency_key(&HeaderMap::new()).unwrap(), None);
        assert_eq!(idempotency_key(&given(&longest)).unwrap(), Some(longest.clone()));
        for wrong in ["", &format!("{longest}k")] {
            assert_eq!(idempotency_key(&given(wrong)).unwrap_err().status(), StatusCode::BAD_REQUEST, "{wrong}");
        }
    }
}
