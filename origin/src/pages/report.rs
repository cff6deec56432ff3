//! The report page.
//!
//! A parcel can have hundreds of permits, so the page spends bytes: the newest permits in full until
//! [`CARDS_BYTES_MAX`] is used up, older ones on a line each, and what is left is counted and linked as JSON.

pub(super) mod around;
mod timeline;
mod view;

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};

use self::view::{Figure, PermitCard, RecordRow};
use super::section::Section;
use super::text::{clip, thousands};
use super::{Frame, HTML, PAGE_BYTES_MAX, html, spend};
use crate::db::Databases;
use crate::documents::{Document, Written};
use crate::error::Error;
use crate::permits::api;
use crate::permits::parcel::Parcel;
use crate::permits::report::live::{self, City, Live};
use crate::permits::report::{self, Report, Summary};
use crate::purge;
use crate::server::Site;

/// Bytes of permits in full.
const CARDS_BYTES_MAX: usize = 30_000;

/// Bytes of what needs attention, and of what stands beside the records.
const URGENT_BYTES_MAX: usize = 8_000;
/// As [`URGENT_BYTES_MAX`].
const AROUND_BYTES_MAX: usize = 12_000;

/// Bytes of permits on a line each.
const ROWS_BYTES_MAX: usize = 12_000;

/// Bytes of the plot of the years, with three bars and a row of its table for each.
const TIMELINE_BYTES_MAX: usize = 12_000;

/// Bytes of complaints, and of notices of violation.
const LIST_BYTES_MAX: usize = 8_000;

/// Characters of the address and of the neighborhood at the top; the longest address in the city has fifty.
const PLACE_CHARS_MAX: usize = 120;

/// Bytes of everything else: head, figures, headings, footer, the longest address.
const FRAME_BYTES_MAX: usize = 10_000;

const _: () = assert!(
    CARDS_BYTES_MAX
        + URGENT_BYTES_MAX
        + AROUND_BYTES_MAX
        + ROWS_BYTES_MAX
        + TIMELINE_BYTES_MAX
        + 2 * LIST_BYTES_MAX
        + FRAME_BYTES_MAX
        <= PAGE_BYTES_MAX
);

#[derive(Template)]
#[template(path = "report.html")]
struct ReportPage {
    frame: Frame,
    address: String,
    block: String,
    lot: String,
    neighborhood: String,
    figures: Vec<Figure>,
    bounded: String,
    city: String,
    timeline: String,
    permits: Vec<String>,
    compact: Vec<String>,
    permits_left: usize,
    complaints: Vec<String>,
    complaints_left: usize,
    violations: Vec<String>,
    violations_left: usize,
    urgent: Vec<String>,
    around: Vec<String>,
    places: Vec<(&'static str, &'static str)>,
    map: String,
    json: String,
}

/// `GET /report/{block}/{lot}`
pub(crate) async fn report(
    State(site): State<Arc<Site>>,
    Path((block, lot)): Path<(String, String)>,
) -> Result<Response, Error> {
    let parcel = match api::parcel("", &block, &lot)? {
        Ok(parcel) => parcel,
        Err(elsewhere) => return Ok(elsewhere.into_response()),
    };
    site.documents.answer(&ReportOf { databases: site.databases.clone(), live: site.live.clone(), parcel }).await
}

/// The page of a parcel.
#[derive(Clone)]
struct ReportOf {
    databases: Databases,
    live: Live,
    parcel: Parcel,
}

impl Document for ReportOf {
    fn name(&self) -> String {
        self.parcel.path()
    }

    fn content_type(&self) -> &'static str {
        HTML
    }

    fn tags(&self) -> Vec<String> {
        vec![purge::REPORTS.to_owned(), purge::parcel_tag(&self.parcel)]
    }

    async fn write(&self) -> Result<Written, Error> {
        let report = report::find_live(&self.databases, &self.live, &self.parcel).await?;
        let report = report.ok_or_else(|| api::not_known(&self.parcel))?;
        Ok(Written::new(html(&ReportPage::of(&report)?)?).passing(report.city.is_away()))
    }
}

impl ReportPage {
    fn of(report: &Report) -> Result<Self, Error> {
        let parcel = format!("{}/{}", report.block, report.lot);
        let address = report.address.as_deref().map(|address| clip(address, PLACE_CHARS_MAX));
        let address = address.unwrap_or_else(|| format!("Parcel {parcel}"));
        let permits = spend(CARDS_BYTES_MAX, report.permits.iter().map(PermitCard::of))?;
        let older = report.permits.iter().skip(permits.len());
        let compact = spend(ROWS_BYTES_MAX, older.map(RecordRow::of_permit))?;
        let complaints = spend(LIST_BYTES_MAX, report.complaints.iter().map(RecordRow::of_complaint))?;
        let json = format!("/api/v1/report/{parcel}");
        let (urgent, around) = (around::urgent(report, &json), around::sections(report, &json));
        let places_of = |sections: &[Section]| sections.iter().map(Section::place).collect::<Vec<_>>();
        let (mut urgent_places, mut around_places) = (places_of(&urgent), places_of(&around));
        let (urgent, around) =
            (spend(URGENT_BYTES_MAX, urgent.into_iter())?, spend(AROUND_BYTES_MAX, around.into_iter())?);
        // What had no room on the page cannot be gone to.
        urgent_places.truncate(urgent.len());
        around_places.truncate(around.len());
        let places = places(report, urgent_places, around_places);
        let violations = spend(LIST_BYTES_MAX, report.violations.iter().map(RecordRow::of_violation))?;
        Ok(Self {
            frame: Frame::new(format!("{address}, block {} lot {}", report.block, report.lot))
                .at(&format!("/report/{parcel}"))
                .about(about(&address, &report.summary)),
            address,
            block: report.block.clone(),
            lot: report.lot.clone(),
            neighborhood: clip(report.neighborhood.as_deref().unwrap_or_default(), PLACE_CHARS_MAX),
            figures: Figure::all(&report.summary),
            bounded: bounded(&report.truncated),
            city: city(&report.city),
            timeline: timeline::plot(report)?,
            permits_left: report.permits.len() - permits.len() - compact.len(),
            permits,
            compact,
            complaints_left: report.complaints.len() - complaints.len(),
            complaints,
            violations_left: report.violations.len() - violations.len(),
            violations,
            urgent,
            around,
            places,
            map: report.links.parcel.clone(),
            json,
        })
    }
}

/// The identifier of a part of the page, and its title.
type Place = (&'static str, &'static str);

/// The parts of the page that one may want to go to.
fn places(report: &Report, urgent: Vec<Place>, around: Vec<Place>) -> Vec<Place> {
    let mut records = vec![("permits", "Permits")];
    if !report.complaints.is_empty() {
        records.push(("complaints", "Complaints"));
    }
    if !report.violations.is_empty() {
        records.push(("violations", "Notices"));
    }
    urgent.into_iter().chain(records).chain(around).collect()
}

fn about(address: &str, summary: &Summary) -> String {
    let number = |count: usize| thousands(i64::try_from(count).unwrap_or(i64::MAX));
    format!(
        "{address} in San Francisco: {} permits, {} of them open, {} active complaints, {} active notices of violation.",
        number(summary.permits),
        number(summary.open_permits),
        number(summary.active_complaints),
        number(summary.active_violations)
    )
}

fn bounded(lists: &[&str]) -> String {
    if lists.is_empty() {
        return String::new();
    }
    format!("This parcel has more rows than one report reads. These lists hold the newest part: {}.", lists.join(", "))
}

/// What a reader should know of how new complaints and notices are.
fn city(city: &City) -> String {
    match (city.state, city.as_of) {
        (live::State::Answered, Some(as_of)) => {
            let time = as_of.strftime("%Y-%m-%d %H:%M UTC");
            format!("Complaints and notices are as the city's API gave them at {time}.")
        }
        (live::State::Away, _) => {
            "The city's API did not answer in time: complaints and notices are those of the last load.".to_owned()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
