//! Search and report as JSON, under `/api/v1/`. Fields carry DataSF's names, dates are ISO 8601 in San Francisco's
//! local time, and what is null is left out of the city's rows.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Path, Query as Parameters, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits::QUERY_CHARS_MAX;
use super::parcel::Parcel;
use super::report::live::Live;
use super::search::query::{Query, Refusal};
use super::search::{Cursor, Found, Part, Suggestion};
use super::{report, search};
use crate::db::Databases;
use crate::documents::{Document, Written};
use crate::error::Error;
use crate::http::observe::DatabaseTime;
use crate::purge;
use crate::server::Site;
use crate::soda::row::CODE_BYTES_MAX;

/// What a search is asked with, and what the order of an export holds.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct SearchParameters {
    /// The text; absent is the same as empty.
    #[serde(default)]
    pub(crate) q: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    year: Option<String>,
}

/// Years that can be asked for.
const YEARS: RangeInclusive<i16> = 1900..=2100;

impl SearchParameters {
    pub(crate) fn query(&self) -> Result<Query, Error> {
        Query::parse(&self.q).map_err(|refusal| Error::bad_request(refusal.to_string()))
    }

    /// The same as it was read, from its first hit on, whichever page it was asked for.
    pub(crate) fn whole(self, query: Query) -> Self {
        Self { q: query.text, after: None, ..self }
    }

    pub(crate) fn part(&self) -> Result<Part, Error> {
        let given = |text| Option::as_deref(text).map(str::trim).filter(|text: &&str| !text.is_empty());
        let place = || Error::bad_request("A page begins after a place that the page before named as next.");
        let wrong_year = || Error::bad_request("A year has four digits, such as 2015.");
        let year = |text: &str| text.parse().ok().filter(|year| YEARS.contains(year));
        let word = |text: &Option<String>| {
            let text = text.as_deref().map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty());
            let fits = text.as_ref().is_none_or(|text| text.len() <= CODE_BYTES_MAX && !text.contains('\0'));
            if fits { Ok(text) } else { Err(Error::bad_request("A status or a kind of permit is shorter.")) }
        };
        Ok(Part {
            after: given(&self.after).map(|text| Cursor::parse(text).ok_or_else(place)).transpose()?,
            status: word(&self.status)?,
            kind: word(&self.kind)?,
            year: given(&self.year).map(|text| year(text).ok_or_else(wrong_year)).transpose()?,
        })
    }
}

/// One page of results, before it is looked up.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) databases: Databases,
    pub(crate) query: Query,
    pub(crate) part: Part,
}

impl Asked {
    /// The text as it was tidied, and which part of the results; control characters are not in the text.
    pub(crate) fn name(&self) -> String {
        format!("{}\n{:?}", self.query.text, self.part)
    }

    pub(crate) async fn find(&self) -> Result<Found, Error> {
        search::find(&self.databases, &self.query, &self.part).await
    }
}

/// One page of results, for programs.
#[derive(Clone)]
struct ResultsJson(Asked);

impl Document for ResultsJson {
    fn name(&self) -> String {
        format!("/api/v1/search {}", self.0.name())
    }

    fn content_type(&self) -> &'static str {
        JSON
    }

    fn tags(&self) -> Vec<String> {
        vec![purge::SEARCH.to_owned()]
    }

    async fn write(&self) -> Result<Written, Error> {
        let found = self.0.find().await?;
        Ok(Written::json(&found)?.passing(found.is_nothing()))
    }
}

/// The report of a parcel, for programs.
#[derive(Clone)]
struct ReportJson {
    databases: Databases,
    live: Live,
    parcel: Parcel,
}

impl Document for ReportJson {
    fn name(&self) -> String {
        format!("/api/v1{}", self.parcel.path())
    }

    fn content_type(&self) -> &'static str {
        JSON
    }

    fn tags(&self) -> Vec<String> {
        vec![purge::REPORTS.to_owned(), purge::parcel_tag(&self.parcel)]
    }

    async fn write(&self) -> Result<Written, Error> {
        let report = report::find_live(&self.databases, &self.live, &self.parcel).await?;
        let report = report.ok_or_else(|| not_known(&self.parcel))?;
        Ok(Written::json(&report)?.passing(report.city.is_away()))
    }
}

/// The type of every document for programs.
pub(super) const JSON: &str = "application/json";

/// Reads the parcel of a path under `prefix`: the parcel, or the way to its usual spelling, so that one copy of a
/// report is stored at the edge.
pub(crate) fn parcel(prefix: &str, block: &str, lot: &str) -> Result<Result<Parcel, Redirect>, Error> {
    let parcel = Parcel::parse(block, lot).map_err(|error| Error::bad_request(error.to_string()))?;
    if (parcel.block(), parcel.lot()) == (block, lot) {
        return Ok(Ok(parcel));
    }
    Ok(Err(Redirect::permanent(&format!("{prefix}{}", parcel.path()))))
}

/// What a text is completed to.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Suggestions {
    pub(crate) query: String,
    pub(crate) suggestions: Vec<Suggestion>,
}

/// `GET /api/v1/suggest?q=`: terms that begin like the text.
pub(crate) async fn suggest(
    State(site): State<Arc<Site>>,
    Parameters(parameters): Parameters<SearchParameters>,
) -> Result<Response, Error> {
    if parameters.q.chars().nth(QUERY_CHARS_MAX).is_some() || parameters.q.contains('\0') {
        return Err(Error::bad_request(Refusal::TooLong.to_string()));
    }
    let started = Instant::now();
    let suggestions = search::suggest(&site.databases, &parameters.q).await?;
    let mut response = Json(Suggestions { query: parameters.q, suggestions }).into_response();
    purge::tag(&mut response, &[purge::SEARCH]);
    response.extensions_mut().insert(DatabaseTime(started.elapsed()));
    Ok(response)
}

/// `GET /api/v1/search?q=&after=&status=&type=&year=`
pub(crate) async fn search(
    State(site): State<Arc<Site>>,
    Parameters(parameters): Parameters<SearchParameters>,
) -> Result<Response, Error> {
    let (query, part) = (parameters.query()?, parameters.part()?);
    site.documents.answer(&ResultsJson(Asked { databases: site.databases.clone(), query, part })).await
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
    site.documents.answer(&ReportJson { databases: site.databases.clone(), live: site.live.clone(), parcel }).await
}

/// 404 for a parcel without rows.
pub(crate) fn not_known(parcel: &Parcel) -> Error {
    Error::not_found(format!(
        "The city's data holds no permit, complaint, violation, planning record or tax roll for block {} lot {}.",
        parcel.block(),
        parcel.lot()
    ))
}
