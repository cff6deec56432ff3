//! Jobs over HTTP: who asks for long work gets 202 and an address, asks there how it is, and fetches what it made.
//!
//! | request | answer |
//! |---|---|
//! | `POST /api/v1/exports?q=&status=&type=&year=` | 202, `Location` |
//! | `POST /api/v1/report/{block}/{lot}/whole` | 202, `Location`; 303 to the report where that shows everything |
//! | `GET /api/v1/jobs/{job_id}` | 200; `Retry-After` says when to ask again |
//! | `GET /api/v1/jobs/{job_id}/result` | 200; 409 while there is none |
//! | `DELETE /api/v1/jobs/{job_id}` | 200 when it is cancelled, 202 when it will be, 409 when it has ended |

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query as Parameters, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::queue::{Ask, Asked, Job};
use super::{Kind, export, result};
use crate::error::Error;
use crate::permits::api::{self, SearchParameters};
use crate::permits::report;
use crate::server::Site;

/// A job, as an answer has it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct JobAnswer {
    job_id: String,
    kind: String,
    /// `queued`, `running`, `done`, `failed` or `cancelled`.
    state: String,
    /// How often it was begun.
    attempts: i32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cancel_requested: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Value>,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    /// When it is forgotten, with its result.
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<ResultAnswer>,
}

/// Where the result is.
#[derive(Debug, Serialize, JsonSchema)]
struct ResultAnswer {
    href: String,
    media_type: String,
    bytes: u64,
    /// Whether there was more than a result may hold.
    truncated: bool,
}

/// How soon to ask again after a job that is young, and after one that takes its time.
const ASK_AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// Until then a job is young.
const YOUNG: Duration = Duration::from_secs(10);

/// Shortest and longest `Idempotency-Key` of a visitor. Jobs belong to nobody, so a key must be one that nobody else
/// comes upon: a UUID is.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 16..=200;

static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// `POST /api/v1/exports?q=&status=&type=&year=`
pub(crate) async fn export(
    State(site): State<Arc<Site>>,
    Parameters(parameters): Parameters<SearchParameters>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    ordered(export_of(&site, parameters, key(&headers)?).await?)
}

/// Puts the export of what a search finds with its filters down. Of an order with the same key there is one.
///
/// # Errors
/// 400 for a text that finds nothing and for a filter that is none, 503 when too many wait.
pub(crate) async fn export_of(site: &Site, asked: SearchParameters, key: Option<String>) -> Result<Job, Error> {
    let query = asked.query()?;
    if query.lookups.is_empty() {
        return Err(Error::bad_request("There is nothing in this text that can be looked up."));
    }
    asked.part()?;
    let Ok(Value::Object(payload)) = serde_json::to_value(asked.whole(query)) else {
        return Err(Error::bug("the order of an export is no object"));
    };
    ask(site, Kind::Export, export::order(payload), key).await
}

/// `POST /api/v1/report/{block}/{lot}/whole`
pub(crate) async fn whole_report(
    State(site): State<Arc<Site>>,
    Path((block, lot)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let Ok(parcel) = api::parcel("/api/v1", &block, &lot)? else {
        return Err(Error::bad_request("A block has four digits and a lot three: 3507/004."));
    };
    let report = report::find(&site.databases, &parcel).await?.ok_or_else(|| api::not_known(&parcel))?;
    if report.truncated.is_empty() {
        return Ok(Redirect::to(&format!("/api/v1{}", parcel.path())).into_response());
    }
    let payload =
        Map::from_iter([("block".to_owned(), parcel.block().into()), ("lot".to_owned(), parcel.lot().into())]);
    ordered(ask(&site, Kind::Report, payload, key(&headers)?).await?)
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let Some(value) = headers.get(&IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| KEY_BYTES.contains(&key.len()));
    let wrong = || Error::bad_request("An Idempotency-Key has 16 to 200 visible ASCII characters.");
    Ok(Some(key.ok_or_else(wrong)?.to_owned()))
}

async fn ask(site: &Site, kind: Kind, payload: Map<String, Value>, key: Option<String>) -> Result<Job, Error> {
    let job_id = match site.jobs.ask(Ask { kind, payload, key }).await? {
        Asked::New(job_id) | Asked::Known(job_id) => job_id,
        Asked::Full | Asked::Busy => return Err(Error::queue_full()),
    };
    site.jobs.find(&job_id).await?.ok_or_else(|| Error::bug("a job that was put down is not there"))
}

/// 202, and where to ask.
fn ordered(job: Job) -> Result<Response, Error> {
    let place = HeaderValue::try_from(address(&job.job_id)).map_err(Error::bug)?;
    let mut response = (StatusCode::ACCEPTED, [(LOCATION, place)], answer(job)).into_response();
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(ASK_AGAIN[0].as_secs()));
    Ok(response)
}

/// `GET /api/v1/jobs/{job_id}`
pub(crate) async fn look(State(site): State<Arc<Site>>, Path(job_id): Path<String>) -> Result<Response, Error> {
    let job = find(&site, &job_id).await?;
    let age = Timestamp::now().duration_since(job.created_at).unsigned_abs();
    let wait = (job.ended_at.is_none()).then(|| ASK_AGAIN[usize::from(age > YOUNG)]);
    let mut response = answer(job).into_response();
    if let Some(wait) = wait {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    Ok(response)
}

/// `DELETE /api/v1/jobs/{job_id}`
pub(crate) async fn cancel(State(site): State<Arc<Site>>, Path(job_id): Path<String>) -> Result<Response, Error> {
    find(&site, &job_id).await?;
    let cancelled = site.jobs.cancel(&job_id).await?;
    let job = find(&site, &job_id).await?;
    let status = match job.state.as_str() {
        "cancelled" => StatusCode::OK,
        "queued" | "running" if cancelled => StatusCode::ACCEPTED,
        _ => return Err(Error::conflict("This job has ended, so there is nothing to cancel.")),
    };
    Ok((status, answer(job)).into_response())
}

/// `GET /api/v1/jobs/{job_id}/result`
pub(crate) async fn download(State(site): State<Arc<Site>>, Path(job_id): Path<String>) -> Result<Response, Error> {
    let job = find(&site, &job_id).await?;
    let Some(result) = job.result else {
        return Err(Error::conflict("This job has made nothing yet, or nothing at all: its state says which."));
    };
    let disposition = format!("attachment; filename=\"{}\"", result.name);
    let headers = [
        (CONTENT_TYPE, HeaderValue::try_from(&result.media_type).map_err(Error::bug)?),
        (CONTENT_DISPOSITION, HeaderValue::try_from(disposition).map_err(Error::bug)?),
        (CONTENT_LENGTH, HeaderValue::from(result.bytes)),
    ];
    Ok((headers, result::body(site.jobs.clone(), job_id, &result)).into_response())
}

/// A job that visitors asked for; runs of cron are not theirs to see.
///
/// # Errors
/// 404 where there is none.
pub(crate) async fn find(site: &Site, job_id: &str) -> Result<Job, Error> {
    let job = site.jobs.find(job_id).await?;
    let theirs = |job: &Job| Kind::FOR_VISITORS.iter().any(|kind| kind.name() == job.kind);
    job.filter(theirs).ok_or_else(|| Error::not_found("There is no such job, or it was too long ago."))
}

fn address(job_id: &str) -> String {
    format!("/api/v1/jobs/{job_id}")
}

fn answer(job: Job) -> Json<JobAnswer> {
    let href = format!("{}/result", address(&job.job_id));
    Json(JobAnswer {
        result: job.result.map(|result| ResultAnswer {
            href,
            media_type: result.media_type,
            bytes: result.bytes,
            truncated: result.cut,
        }),
        job_id: job.job_id,
        kind: job.kind,
        state: job.state,
        attempts: job.attempts,
        cancel_requested: job.cancel_requested,
        progress: job.progress,
        created_at: job.created_at,
        started_at: job.started_at,
        ended_at: job.ended_at,
        expires_at: job.expires_at,
    })
}
