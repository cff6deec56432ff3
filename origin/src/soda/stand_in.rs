//! A stand-in for the city's open-data API, for development and tests: the real loader runs against it over HTTP.
//!
//! It speaks the wire format of `/resource/<id>.json`: values are text, absent fields are left out, errors are
//! SODA's JSON. Of the query language it knows what `query` says and refuses the rest as SODA refuses what it
//! does not understand, so a query that works here means the same there. Errors, delays and broken connections
//! are ordered through `POST /stand-in/faults`; `DELETE` ends them all. Rows are changed, added and deleted through
//! `POST /stand-in/changes`, perhaps only after so many more pages. `GET /stand-in/stats` counts requests.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use axum::body::Body;
use axum::extract::connect_info::ConnectInfo;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::sample;

mod change;
mod connection;
mod fault;
mod query;
mod table;

use change::Change;
use connection::{Breakable, Cut};
use fault::Fault;
use query::{Answer, Problem, Request};
use table::Tables;

/// What to serve, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address to listen on; port 0 takes a free one.
    pub address: SocketAddr,
    /// JSON-lines files, or folders of them; see `table` for their names.
    pub data: Vec<PathBuf>,
    /// A city to generate, for the datasets that no file serves.
    pub generate: Option<sample::Options>,
    /// When set, every request has to carry it.
    pub app_token: Option<String>,
}

/// A running stand-in; dropping it stops it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    served: Vec<(String, usize)>,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Reads the data and listens.
    ///
    /// # Errors
    /// When a file cannot be read, or the address cannot be bound.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let tables = Tables::load(&options.data, options.generate.as_ref())?;
        let served = tables.served().map(|(name, rows)| (name.to_owned(), rows)).collect();
        let state = Arc::new(Shared {
            tables: RwLock::new(tables),
            changes: Mutex::default(),
            app_token: options.app_token,
            faults: Mutex::default(),
            requests: Mutex::default(),
        });
        let router = Router::new()
            .route("/resource/{file}", get(resource))
            .route("/stand-in/faults", post(add_fault).delete(clear_faults))
            .route("/stand-in/changes", post(add_change))
            .route("/stand-in/stats", get(stats))
            .with_state(state);
        let listener = Breakable::bind(options.address).await?;
        let address = listener.address()?;
        let service = router.into_make_service_with_connect_info::<Cut>();
        let task = tokio::spawn(async move { axum::serve(listener, service).await });
        Ok(Self { address, served, task })
    }

    /// Where it listens, without a slash at the end: a value for `SODA_BASE_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it serves: where each dataset's rows come from, and how many.
    #[must_use]
    pub fn served(&self) -> &[(String, usize)] {
        &self.served
    }

    /// Serves for as long as the process runs.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn wait(mut self) -> anyhow::Result<()> {
        (&mut self.task).await??;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Shared {
    tables: RwLock<Tables>,
    /// What waits for its page.
    changes: Mutex<Vec<Change>>,
    app_token: Option<String>,
    faults: Mutex<Vec<Fault>>,
    requests: Mutex<BTreeMap<String, u64>>,
}

/// Faults that can wait at once: more is a test that forgot to clear.
const FAULTS_MAX: usize = 100;

async fn resource(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    Path(file): Path<String>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Response {
    let dataset_id = file.strip_suffix(".json").unwrap_or(&file);
    *lock(&shared.requests).entry(dataset_id.to_owned()).or_default() += 1;
    let fault = fault::take(&mut lock(&shared.faults), dataset_id);
    if let Some(delay) = fault.as_ref().and_then(Fault::delay) {
        tokio::time::sleep(delay).await;
    }
    let fault = fault.unwrap_or_default();
    if fault.drop {
        // Nothing of what follows reaches the peer.
        cut.cut();
    }
    if let Some(status) = fault.status() {
        let problem = Problem::new(status, "stand-in.fault", "a failure that was ordered");
        let mut response = error(&problem);
        if let Some(seconds) = fault.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        return response;
    }
    let answered = answer(&shared, dataset_id, raw.as_deref().unwrap_or_default(), &headers, fault.omit);
    change::after_page(&shared, dataset_id, raw.as_deref().unwrap_or_default());
    match answered {
        Ok(body) => rows(body, &fault),
        Err(problem) => error(&problem),
    }
}

fn answer(shared: &Shared, id: &str, raw: &str, headers: &HeaderMap, omit: usize) -> Result<String, Problem> {
    if let Some(expected) = &shared.app_token
        && headers.get("x-app-token").and_then(|value| value.to_str().ok()) != Some(expected)
    {
        return Err(Problem::new(StatusCode::FORBIDDEN, "permission_denied", "Invalid app_token specified"));
    }
    let tables = shared.tables.read().unwrap_or_else(PoisonError::into_inner);
    let Some(table) = tables.get(id) else {
        return Err(Problem::new(StatusCode::NOT_FOUND, "dataset.missing", "Not found"));
    };
    let request = Request::parse(raw, table)?;
    Ok(match request.run(table) {
        Answer::Count { name, count } => json!([{ name: count.to_string() }]).to_string(),
        Answer::Rows(mut lines) => {
            lines.truncate(lines.len().saturating_sub(omit));
            // As SODA separates its rows.
            format!("[{}]\n", lines.join("\n,"))
        }
    })
}

fn rows(body: String, fault: &Fault) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json;charset=utf-8")];
    let Some(bytes) = fault.truncate.filter(|bytes| *bytes < body.len()) else {
        return (headers, body).into_response();
    };
    let length = [(header::CONTENT_LENGTH, body.len().to_string())];
    let part = body.as_bytes()[..bytes].to_vec();
    let broken = stream::iter([Ok(part)]).chain(stream::once(async {
        tokio::time::sleep(BREAK_AFTER).await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    }));
    (headers, length, Body::from_stream(broken)).into_response()
}

fn error(problem: &Problem) -> Response {
    let body = json!({ "code": problem.code, "error": true, "message": problem.message, "data": problem.data });
    (problem.status, Json(body)).into_response()
}

/// Long enough for the part before a break to be on its way, or the peer would see no answer at all.
const BREAK_AFTER: Duration = Duration::from_millis(50);

async fn add_fault(State(shared): State<Arc<Shared>>, Json(fault): Json<Fault>) -> Response {
    if let Err(message) = fault.check() {
        return (StatusCode::BAD_REQUEST, message).into_response();
    }
    let mut faults = lock(&shared.faults);
    if faults.len() >= FAULTS_MAX {
        return (StatusCode::CONFLICT, "too many faults; DELETE /stand-in/faults first").into_response();
    }
    faults.push(fault);
    StatusCode::NO_CONTENT.into_response()
}

async fn clear_faults(State(shared): State<Arc<Shared>>) -> StatusCode {
    lock(&shared.faults).clear();
    StatusCode::NO_CONTENT
}

async fn add_change(State(shared): State<Arc<Shared>>, Json(change): Json<Change>) -> Response {
    match change::add(&shared, change) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(message) => (StatusCode::BAD_REQUEST, format!("{message:#}")).into_response(),
    }
}

async fn stats(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let requests = lock(&shared.requests);
    Json(json!({ "total": requests.values().sum::<u64>(), "requests": *requests }))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
