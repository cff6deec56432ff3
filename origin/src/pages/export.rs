//! Everything that a search finds as a file, for people: a button orders it, a page waits for it. Works without scripts: the
//! page asks for itself anew by a field of its answer.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::Response;
use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};

use super::text::{count, thousands};
use super::{Frame, render};
use crate::accounts::private;
use crate::error::Error;
use crate::jobs::Job;
use crate::jobs::api::{export_of, find};
use crate::permits::api::SearchParameters;
use crate::server::Site;

/// How soon the page asks anew. A file of usual length is made by then.
const AGAIN_SECONDS: u32 = 2;

/// The field that has browsers ask for a page anew (HTML §4.2.5.3 has the same as an element, which nobody can turn off).
static REFRESH: HeaderName = HeaderName::from_static("refresh");

#[derive(Template)]
#[template(path = "export.html")]
struct ExportPage {
    frame: Frame,
    headline: &'static str,
    text: String,
    /// This page.
    here: String,
    /// The file; empty while there is none.
    file: String,
    waits: bool,
}

/// `POST /exports`: 202, and the page that waits.
pub(crate) async fn order(
    State(site): State<Arc<Site>>,
    Form(order): Form<SearchParameters>,
) -> Result<Response, Error> {
    let job = export_of(&site, order, None).await?;
    let here = HeaderValue::try_from(address(&job)).map_err(Error::bug)?;
    let mut response = page(&job)?;
    *response.status_mut() = StatusCode::ACCEPTED;
    response.headers_mut().insert(LOCATION, here);
    Ok(response)
}

/// `GET /exports/{job_id}`
pub(crate) async fn look(State(site): State<Arc<Site>>, Path(job_id): Path<String>) -> Result<Response, Error> {
    page(&find(&site, &job_id).await?)
}

fn address(job: &Job) -> String {
    format!("/exports/{}", job.job_id)
}

fn page(job: &Job) -> Result<Response, Error> {
    let here = address(job);
    let (headline, text) = match (job.state.as_str(), &job.result) {
        ("done", Some(file)) => ("Your file is ready", ready(file.bytes, file.cut)),
        ("failed", _) => ("The file could not be made", "Please order it again in a while.".to_owned()),
        ("cancelled", _) => ("The order was taken back", "Nothing is made.".to_owned()),
        _ => ("Your file is being made", making(job)),
    };
    let waits = matches!(job.state.as_str(), "queued" | "running");
    let file = if job.result.is_some() { format!("/api/v1/jobs/{}/result", job.job_id) } else { String::new() };
    let refresh = HeaderValue::try_from(format!("{AGAIN_SECONDS}; url={here}")).map_err(Error::bug)?;
    let mut response = private(render(&ExportPage { frame: Frame::new(headline), headline, text, here, file, waits })?);
    if waits {
        response.headers_mut().insert(REFRESH.clone(), refresh);
        response.headers_mut().insert(RETRY_AFTER, AGAIN_SECONDS.into());
    }
    Ok(response)
}

fn making(job: &Job) -> String {
    let rows = job.progress.as_ref().and_then(|progress| progress["done"].as_i64()).filter(|rows| *rows > 0);
    match rows {
        Some(rows) => format!("{} are written. This page looks again by itself.", count(rows, "row")),
        None => "It begins in a moment. This page looks again by itself.".to_owned(),
    }
}

fn ready(bytes: u64, cut: bool) -> String {
    let kilobytes = thousands(i64::try_from(bytes.div_ceil(1_000)).unwrap_or(i64::MAX));
    let more = if cut { " There was more than one file holds: it has the newest part." } else { "" };
    format!("A table with commas between its columns (CSV), {kilobytes} kB. It is kept for a day.{more}")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::jobs::ResultInfo;

    fn job(state: &str, result: Option<ResultInfo>) -> Job {
        Job {
            job_id: "0a".to_owned(),
            kind: "export".to_owned(),
            state: state.to_owned(),
            attempts: 1,
            cancel_requested: false,
            progress: (state == "running").then(|| json!({ "stage": "rows", "done": 1_500, "of": 50_000 })),
            created_at: Timestamp::UNIX_EPOCH,
            started_at: None,
            ended_at: None,
            expires_at: None,
            result,
        }
    }

    #[tokio::test]
    async fn the_page_waits_while_there_is_something_to_wait_for() {
        let file = ResultInfo {
            media_type: "text/csv".to_owned(),
            name: "permits.csv".to_owned(),
            bytes: 1_001,
            cut: true,
            fence: 1,
        };
        for (state, file, waits, says) in [
            ("queued", None, true, "It begins in a moment."),
            ("running", None, true, "1,500 rows are written."),
            ("done", Some(file), false, "2 kB. It is kept for a day. There was more"),
            ("failed", None, false, "could not be made"),
            ("cancelled", None, false, "taken back"),
        ] {
            let response = page(&job(state, file)).unwrap();
            let again = response.headers().get(&REFRESH).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(again, waits.then(|| "2; url=/exports/0a".to_owned()), "{state}");
            assert_eq!(response.headers()["cache-control"], "no-store");
            let html = axum::body::to_bytes(response.into_body(), super::super::PAGE_BYTES_MAX).await.unwrap();
            let html = String::from_utf8(html.to_vec()).unwrap();
            assert!(html.contains(says), "{html}");
            assert_eq!(html.contains("/api/v1/jobs/0a/result"), state == "done", "{html}");
        }
    }
}
