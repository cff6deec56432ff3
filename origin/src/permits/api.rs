//! Search and report as JSON, under `/api/v1/`. Fields carry DataSF's names, dates are ISO 8601 in San Francisco's
//! local time, and what is null is left out of the city's rows.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Path, Query as Parameters, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::parcel::Parcel;
use super::search::Page;
use super::search::query::Query;
use super::{report, search};
use crate::error::Error;
use crate::http::observe::DatabaseTime;
use crate::server::Site;

/// What a search is asked with.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct SearchParameters {
    /// The text; absent is the same as empty.
    #[serde(default)]
    pub(crate) q: String,
    page: Option<String>,
}

impl SearchParameters {
    pub(crate) fn query(&self) -> Result<Query, Error> {
        Query::parse(&self.q).map_err(|refusal| Error::bad_request(refusal.to_string()))
    }

    pub(crate) fn page(&self) -> Result<Page, Error> {
        let wrong = || Error::bad_request("A page is a number from 1 to 400.");
        self.page.as_deref().map_or(Ok(Page::FIRST), |page| Page::parse(page).ok_or_else(wrong))
    }
}

/// Reads the parcel of a path under `prefix`: the parcel, or the way to its usual spelling, so that one copy of a
/// report is stored at the edge.
pub(crate) fn parcel(prefix: &str, block: &str, lot: &str) -> Result<Result<Parcel, Redirect>, Error> {
    let parcel = Parcel::parse(block, lot).map_err(|error| Error::bad_request(error.to_string()))?;
    if (parcel.block(), parcel.lot()) == (block, lot) {
        return Ok(Ok(parcel));
    }
    Ok(Err(Redirect::permanent(&format!("{prefix}{}", parcel.path()))))
}

/// `GET /api/v1/search?q=&page=`
pub(crate) async fn search(
    State(site): State<Arc<Site>>,
    Parameters(parameters): Parameters<SearchParameters>,
) -> Result<Response, Error> {
    let (query, page) = (parameters.query()?, parameters.page()?);
    let started = Instant::now();
    let found = search::find(&site.databases, &query, page).await?;
    let mut response = Json(found).into_response();
    response.extensions_mut().insert(DatabaseTime(started.elapsed()));
    Ok(response)
}

/// `GET /api/v1/report/{block}/{lot}`
pub(crate) async fn report(
    State(site): State<Arc<Site>>,
    Path((block, lot)): Path<(String, String)>,
) -> Result<Response, Error> {
    let parcel = match parcel("/api/v1", &block, &lot)? {
        Ok(parcel) => parcel,
        Err(elsewhere) => return Ok(elsewhere.into_response()),
    };
    let started = Instant::now();
    let report = report::find(&site.databases, &parcel).await?;
    let report = report.ok_or_else(|| not_known(&parcel))?;
    let waited = started.elapsed();
    let mut response = Json(report).into_response();
    response.extensions_mut().insert(DatabaseTime(waited));
    Ok(response)
}

/// 404 for a parcel without rows.
pub(crate) fn not_known(parcel: &Parcel) -> Error {
    Error::not_found(format!(
        "The city's data holds no permit, complaint or violation for block {} lot {}.",
        parcel.block(),
        parcel.lot()
    ))
}
