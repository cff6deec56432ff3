//! The page of one permit number.
//!
//! Lists are shown until their bytes are used up; what is left is counted and linked as JSON.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use jiff::civil::{Date, DateTime};

use super::plot::{Span, Spans};
use super::report::around::reason;
use super::section::{Line, Section};
use super::text::{clip, count, date, encode, figure, money, sentence};
use super::{Frame, HTML, PAGE_BYTES_MAX, html, spend};
use crate::db::Databases;
use crate::documents::{Document, Written};
use crate::error::Error;
use crate::permits::parcel::Parcel;
use crate::permits::permit::{self, Number, PermitFile};
use crate::permits::record::{Contact, Inspection, Member, Permit, Step};
use crate::permits::report::routing::{Stuck, StuckStatus};
use crate::permits::severity::{Dimension, Severity, Tier};
use crate::permits::signals;
use crate::permits::standing::Stage;
use crate::server::Site;

/// Bytes of the addresses, of the contacts and of the inspections, each.
const LIST_BYTES_MAX: usize = 15_000;
/// Bytes of the steps of plan review.
const STEPS_BYTES_MAX: usize = 19_000;
/// Bytes of what stands beside the records: signals, people and firms.
const AROUND_BYTES_MAX: usize = 10_000;
/// Bytes of everything else: head, facts, description, score, waits, the plot of the review.
const FRAME_BYTES_MAX: usize = 26_000;

const _: () = assert!(3 * LIST_BYTES_MAX + STEPS_BYTES_MAX + AROUND_BYTES_MAX + FRAME_BYTES_MAX <= PAGE_BYTES_MAX);

/// Signals, people and firms, and waits: so many of each are shown.
const LINES_MAX: usize = 8;

/// Characters of a description; the city cuts its own at 300.
const DESCRIPTION_CHARS_MAX: usize = 600;
/// Characters of a name, an address or a result.
const FIELD_CHARS_MAX: usize = 120;
/// Labels of the plot's axis.
const TICKS: u8 = 4;

#[derive(Template)]
#[template(path = "permit.html")]
struct PermitPage {
    frame: Frame,
    number: String,
    kind: String,
    status: String,
    stage: &'static str,
    facts: Vec<(&'static str, String)>,
    description: String,
    bounded: String,
    score: Option<Score>,
    around: Vec<String>,
    review: String,
    waits: Vec<Waiting>,
    plot: String,
    lists: Vec<List>,
    tracker: String,
    json: String,
}

/// How much the permit needs attention.
struct Score {
    score: u8,
    tier: &'static str,
    alarm: bool,
    explanation: String,
    is_unsure: bool,
    /// Name, score of 100, weight in percent, and what they make together.
    parts: Vec<(&'static str, String, String, String)>,
}

/// A station that has not finished, and how long others take there.
struct Waiting {
    text: String,
    word: &'static str,
    critical: bool,
}

/// One table of the page.
struct List {
    id: &'static str,
    title: &'static str,
    /// What is said when there is no row.
    none: &'static str,
    heads: &'static [&'static str],
    rows: Vec<String>,
    left: usize,
}

/// A row of a table: what it is about, then the cells under their heads.
#[derive(Template)]
#[template(path = "table_row.html")]
struct Row {
    head: String,
    link: Option<String>,
    cells: Vec<(&'static str, String)>,
}

/// `GET /permit/{permit_number}`
pub(crate) async fn permit(State(site): State<Arc<Site>>, Path(number): Path<String>) -> Result<Response, Error> {
    let number = Number::asked(&number)?;
    site.documents.answer(&PermitOf { databases: site.databases.clone(), number }).await
}

/// The page of a permit.
#[derive(Clone)]
struct PermitOf {
    databases: Databases,
    number: Number,
}

impl Document for PermitOf {
    fn name(&self) -> String {
        format!("/permit/{}", self.number.as_str())
    }

    fn content_type(&self) -> &'static str {
        HTML
    }

    fn tags(&self) -> Vec<String> {
        Number::tags()
    }

    fn is_cheap(&self) -> bool {
        true
    }

    async fn write(&self) -> Result<Written, Error> {
        let file = permit::find(&self.databases, &self.number).await?;
        Ok(Written::new(html(&PermitPage::of(&file)?)?).tagged(file.tags()))
    }
}

impl PermitPage {
    fn of(file: &PermitFile) -> Result<Self, Error> {
        // `find` gives no file without a record.
        let newest = file.records.first().ok_or_else(|| Error::bug("a permit without a record"))?;
        let kind = clip(&sentence(newest.permit_type_definition.as_deref().unwrap_or("permit")), FIELD_CHARS_MAX);
        let lists = vec![
            List::of(
                "addresses",
                "Addresses",
                "No address is on record.",
                &ADDRESS_HEADS,
                LIST_BYTES_MAX,
                file.records.iter().map(address_row),
            )?,
            List::of(
                "contacts",
                "Contacts",
                "No contact is on record.",
                &CONTACT_HEADS,
                LIST_BYTES_MAX,
                file.contacts.iter().map(|contact| contact_row(contact, &file.team)),
            )?,
            List::of(
                "inspections",
                "Inspections",
                "No inspection is on record.",
                &INSPECTION_HEADS,
                LIST_BYTES_MAX,
                file.inspections.iter().map(inspection_row),
            )?,
            List::of(
                "steps",
                "Plan review",
                "No step of plan review is on record.",
                &STEP_HEADS,
                STEPS_BYTES_MAX,
                file.steps.iter().map(step_row),
            )?,
        ];
        let number = file.permit_number.clone();
        let json = format!("/api/v1/permit/{}", encode(&number));
        Ok(Self {
            frame: Frame::new(format!("Permit {number}, {kind}"))
                .at(&format!("/permit/{}", encode(&number)))
                .about(about(newest)),
            status: clip(newest.status.as_deref().unwrap_or("no status"), FIELD_CHARS_MAX),
            stage: Stage::of(newest.status.as_deref()).as_str(),
            facts: facts(newest),
            description: clip(newest.description.as_deref().unwrap_or_default(), DESCRIPTION_CHARS_MAX),
            bounded: if file.truncated.is_empty() {
                String::new()
            } else {
                format!("There are more rows than one page reads of: {}.", file.truncated.join(", "))
            },
            score: file.severity.as_ref().map(Score::of),
            around: spend(AROUND_BYTES_MAX, around(file, &json).into_iter())?,
            waits: file.routing.iter().flat_map(|routing| &routing.stuck).take(LINES_MAX).map(Waiting::of).collect(),
            review: file.routing.as_ref().map_or_else(String::new, |routing| {
                format!("{} of {} steps of the latest revision are done.", routing.completed, routing.total)
            }),
            plot: plot(&file.steps, file.as_of)?,
            lists,
            tracker: file.link.clone(),
            json,
            number,
            kind,
        })
    }
}

impl List {
    fn of(
        id: &'static str,
        title: &'static str,
        none: &'static str,
        heads: &'static [&'static str],
        bytes_max: usize,
        rows: impl ExactSizeIterator<Item = Row>,
    ) -> Result<Self, Error> {
        let all = rows.len();
        let rows = spend(bytes_max, rows)?;
        Ok(Self { id, title, none, heads, left: all - rows.len(), rows })
    }
}

fn about(newest: &Permit) -> String {
    let address = Some(newest.address()).filter(|address| !address.is_empty());
    let parts = [
        address.map(|address| clip(&address, FIELD_CHARS_MAX)),
        newest.status.as_deref().map(|status| clip(status, FIELD_CHARS_MAX)),
        newest.filed_date.map(|day| format!("filed {}", date(day))),
        newest.description.as_deref().map(|text| clip(text, FIELD_CHARS_MAX)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

impl Score {
    fn of(severity: &Severity) -> Self {
        let part = |part: &Dimension| {
            let share = format!("{:.1}", part.score * part.weight);
            (dimension(part.name), figure(part.score), format!("{} %", figure(part.weight * 100.0)), share)
        };
        let (tier, alarm) = match severity.tier {
            Tier::Critical => ("critical", true),
            Tier::High => ("high", true),
            Tier::Medium => ("medium", false),
            Tier::Low => ("low", false),
            Tier::Green => ("on track", false),
        };
        Self {
            score: severity.score,
            tier,
            alarm,
            explanation: reason(severity),
            is_unsure: severity.confidence != "high",
            parts: severity.dimensions.iter().map(part).collect(),
        }
    }
}

/// A part of the score in words.
fn dimension(name: &str) -> &'static str {
    match name {
        "inspection_activity" => "Inspection activity",
        "age_staleness" => "Age and staleness",
        "expiration_proximity" => "Expiration proximity",
        "cost_tier" => "Cost tier",
        _ => "Category risk",
    }
}

impl Waiting {
    fn of(stuck: &Stuck) -> Self {
        let usual = stuck.p50_days.map_or_else(
            || "how long it usually takes is not known".to_owned(),
            |days| format!("half of all reviews there take up to {}", figure(days)),
        );
        let critical = stuck.status == StuckStatus::Critical;
        Self {
            text: format!("{}: {} days, {usual}", clip(&stuck.station, FIELD_CHARS_MAX), stuck.days),
            word: if critical { "critical" } else { "stalled" },
            critical,
        }
    }
}

/// Signals, and who stands behind the names.
fn around(file: &PermitFile, json: &str) -> Vec<Section> {
    let signals = file.signals.iter().map(|signal| {
        let kind = signals::find(&signal.signal_type);
        let since = signal.since.map(|since| format!("since {}", date(since)));
        let station = (!signal.station.is_empty()).then(|| format!("at {}", signal.station));
        let advice = kind.map(|kind| kind.advice.to_owned());
        let text = [station, since, advice].into_iter().flatten().collect::<Vec<_>>().join(" · ");
        let word = kind.map_or(signal.tier.as_str(), |kind| kind.tier.words());
        Line::new(kind.map_or(&signal.signal_type, |kind| kind.title), &text).chip(word, signal.tier == "at_risk")
    });
    let risks = file.risks.iter().map(|risk| {
        let grade = format!("{:?}", risk.severity).to_lowercase();
        Line::new(&risk.title, &risk.description).chip(&grade, grade == "high")
    });
    // The contacts' table links the others.
    let unnamed = file.team.iter().filter(|member| !file.contacts.iter().any(|contact| is_named(contact, member)));
    let team = unnamed.map(|member| {
        let firm = member.canonical_firm.clone().filter(|firm| *firm != member.canonical_name);
        let permits = count(member.permit_count.unwrap_or(0).into(), "permit");
        let parts = [Some(sentence(&member.entity_type)), firm, Some(format!("{permits} in all"))];
        let text = parts.into_iter().flatten().collect::<Vec<_>>().join(" · ");
        Line::new(&member.canonical_name, &text).to(format!("/firm/{}", member.entity_id))
    });
    let sections = [
        Section::of("risks", "Risks", "", risks),
        Section::of("signals", "Signals", "What the last night found wrong, slow or forgotten.", signals),
        Section::of(
            "team",
            "People and firms",
            "Known by another name or a license than the contacts below have here.",
            team,
        ),
    ];
    sections.into_iter().flatten().map(|section| section.up_to(LINES_MAX, json)).collect()
}

fn facts(permit: &Permit) -> Vec<(&'static str, String)> {
    let day = |name, day: Option<DateTime>| day.map(|day| (name, date(day)));
    let units = match (permit.existing_units, permit.proposed_units) {
        (Some(before), Some(after)) => Some(("units, before and after", format!("{before} → {after}"))),
        (None, Some(after)) => Some(("units", after.to_string())),
        _ => None,
    };
    let facts = [
        day("filed", permit.filed_date),
        day("approved", permit.approved_date),
        day("issued", permit.issued_date),
        day("completed", permit.completed_date),
        permit.cost().map(|cost| ("cost", money(cost))),
        units,
    ];
    facts.into_iter().flatten().collect()
}

const ADDRESS_HEADS: [&str; 3] = ["Address", "Block and lot", "Neighborhood"];

fn address_row(record: &Permit) -> Row {
    let parcel = record.block.as_deref().zip(record.lot.as_deref());
    let report = parcel.and_then(|(block, lot)| Parcel::parse(block, lot).ok()).map(|parcel| parcel.path());
    let address = match record.address() {
        none if none.is_empty() => "Address not recorded".to_owned(),
        address => address,
    };
    Row {
        head: clip(&address, FIELD_CHARS_MAX),
        link: report,
        cells: vec![
            (ADDRESS_HEADS[1], parcel.map_or_else(missing, |(block, lot)| format!("{block}/{lot}"))),
            (ADDRESS_HEADS[2], shown(record.neighborhood.as_deref())),
        ],
    }
}

const CONTACT_HEADS: [&str; 4] = ["Name", "Role", "Firm", "License"];

/// Linked where its name is that of someone on the permit.
fn contact_row(contact: &Contact, team: &[Member]) -> Row {
    let name = contact.name.as_deref().or(contact.firm_name.as_deref()).unwrap_or("Name not recorded");
    let firm = team.iter().find(|member| is_named(contact, member)).map(|member| format!("/firm/{}", member.entity_id));
    Row {
        head: clip(name, FIELD_CHARS_MAX),
        link: firm,
        cells: vec![
            (CONTACT_HEADS[1], contact.role.clone()),
            (CONTACT_HEADS[2], shown(contact.firm_name.as_deref())),
            (CONTACT_HEADS[3], shown(contact.license_number.as_deref())),
        ],
    }
}

fn is_named(contact: &Contact, member: &Member) -> bool {
    let Some(name) = contact.name.as_deref().or(contact.firm_name.as_deref()) else { return false };
    let named = |other: &str| other.eq_ignore_ascii_case(name);
    named(&member.canonical_name) || member.canonical_firm.as_deref().is_some_and(named)
}

const INSPECTION_HEADS: [&str; 4] = ["Day", "Inspection", "Result", "Inspector"];

fn inspection_row(inspection: &Inspection) -> Row {
    Row {
        head: inspection.scheduled_date.map_or_else(missing, date),
        link: None,
        cells: vec![
            (INSPECTION_HEADS[1], shown(inspection.inspection_description.as_deref())),
            (INSPECTION_HEADS[2], shown(inspection.result.as_deref())),
            (INSPECTION_HEADS[3], shown(inspection.inspector.as_deref())),
        ],
    }
}

const STEP_HEADS: [&str; 6] = ["Station", "Revision", "Arrived", "Finished", "Result", "Checked by"];

fn step_row(step: &Step) -> Row {
    Row {
        head: shown(step.station.as_deref()),
        link: None,
        cells: vec![
            (STEP_HEADS[1], step.addenda_number.map_or_else(missing, |number| number.to_string())),
            (STEP_HEADS[2], step.arrive.map_or_else(missing, date)),
            (STEP_HEADS[3], step.finish_date.map_or_else(missing, date)),
            (STEP_HEADS[4], shown(step.review_results.as_deref().or(step.hold_description.as_deref()))),
            (STEP_HEADS[5], shown(step.plan_checked_by.as_deref())),
        ],
    }
}

fn missing() -> String {
    "–".to_owned()
}

fn shown(text: Option<&str>) -> String {
    text.map_or_else(missing, |text| clip(text, FIELD_CHARS_MAX))
}

/// The steps of the latest revision on a line of days; empty when none has arrived.
fn plot(steps: &[Step], today: Date) -> Result<String, Error> {
    let Some(latest) = steps.first() else { return Ok(String::new()) };
    let revision = steps.iter().filter(|step| step.addenda_number == latest.addenda_number);
    let arrived: Vec<(&Step, Date)> = revision.filter_map(|step| Some((step, step.arrive?.date()))).collect();
    let (Some(first), Some(last)) = (
        arrived.iter().map(|(_, day)| *day).min(),
        arrived.iter().map(|(step, _)| step.finish_date.map_or(today, DateTime::date)).max(),
    ) else {
        return Ok(String::new());
    };
    let days = |day: Date| f64::from((day - first).get_days());
    let length = days(last).max(1.0);
    let ticks = (0..=TICKS).map(|tick| {
        let part = f64::from(tick) / f64::from(TICKS);
        // Less than the length of a review, which fits.
        let day = first.saturating_add(jiff::Span::new().days((length * part).round() as i64));
        (length * part, day.strftime("%b %-d, %Y").to_string())
    });
    let rows = arrived.iter().map(|(step, from)| {
        let finished = step.finish_date.map(DateTime::date);
        let took = (finished.unwrap_or(today) - *from).get_days().max(0);
        let waits = if finished.is_none() { ", not finished" } else { "" };
        Span {
            text: format!("{}: {took} days{waits}", step.station.as_deref().unwrap_or("no station")),
            from: days(*from),
            to: days(finished.unwrap_or(today)),
            mark: None,
            reach: None,
            class: if finished.is_some() { "s0" } else { "s1" },
        }
    });
    let waiting = arrived.iter().filter(|(step, _)| step.finish_date.is_none()).count();
    let spans = Spans {
        title: "The latest revision at its stations".to_owned(),
        description: format!("{} stations have been reached, {waiting} of them are not finished.", arrived.len()),
        axis: (0.0, length),
        ticks: ticks.collect(),
        rows: rows.collect(),
    };
    spans.html("review")
}

#[cfg(test)]
mod tests;
