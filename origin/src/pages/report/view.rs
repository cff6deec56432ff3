//! What the report page shows of each record.

use askama::Template;

use crate::pages::text::{clip, count, date, encode, money, sentence, thousands};
use crate::permits::record::{Complaint, Contact, Inspection, Violation};
use crate::permits::report::routing::Routing;
use crate::permits::report::{PermitHistory, Summary};
use crate::permits::standing::{Stage, Standing};

/// Characters of a permit's description in full; the city cuts its own at 300.
const DESCRIPTION_CHARS_MAX: usize = 300;

/// Characters of a description on a line.
const LINE_CHARS_MAX: usize = 90;

/// Characters of a complaint or a notice.
const TEXT_CHARS_MAX: usize = 220;

/// Characters of a name, an address or a result.
const FIELD_CHARS_MAX: usize = 80;

/// Addresses, people and inspections of one permit, and stations its review waits at.
const ADDRESSES_MAX: usize = 6;
const CONTACTS_MAX: usize = 8;
const INSPECTIONS_MAX: usize = 8;
const STATIONS_MAX: usize = 8;
const STALLED_MAX: usize = 3;

/// A figure at the top.
pub(super) struct Figure {
    pub(super) name: String,
    pub(super) value: String,
    /// Something here needs attention.
    pub(super) alarm: bool,
}

impl Figure {
    pub(super) fn all(summary: &Summary) -> Vec<Self> {
        let number = |noun: &str, value: usize, alarm| {
            let name = if value == 1 { noun.to_owned() } else { format!("{noun}s") };
            Self { name, value: thousands(i64::try_from(value).unwrap_or(i64::MAX)), alarm }
        };
        let mut figures = vec![
            number("permit", summary.permits, false),
            number("open permit", summary.open_permits, false),
            number("active complaint", summary.active_complaints, summary.active_complaints > 0),
            number("active violation", summary.active_violations, summary.active_violations > 0),
        ];
        if summary.stalled_permits > 0 {
            figures.push(number("stalled review", summary.stalled_permits, true));
        }
        if let Some(day) = summary.last_filed {
            figures.push(Self { name: "newest permit".to_owned(), value: date(day), alarm: false });
        }
        figures
    }
}

/// A permit in full.
#[derive(Template)]
#[template(path = "permit_card.html")]
pub(super) struct PermitCard {
    kind: String,
    number: String,
    link: String,
    status: String,
    stage: &'static str,
    facts: Vec<String>,
    description: String,
    addresses: Vec<String>,
    addresses_left: usize,
    routing: Option<RoutingView>,
    contacts_title: String,
    contacts: Vec<ContactView>,
    contacts_left: usize,
    inspections_title: String,
    inspections: Vec<String>,
    inspections_left: usize,
}

struct ContactView {
    name: String,
    rest: String,
}

struct RoutingView {
    text: String,
    total: usize,
    completed: usize,
    pct: usize,
    pending: String,
    stalled: Vec<String>,
    latest: String,
}

impl PermitCard {
    pub(super) fn of(history: &PermitHistory) -> Self {
        let permit = &history.permit;
        // One address is the parcel's own, which stands at the top of the page.
        let several = !history.other_records.is_empty();
        let rows = std::iter::once(permit).chain(&history.other_records).filter(|_| several);
        let mut addresses: Vec<String> = rows.map(|row| clip(&row.address(), FIELD_CHARS_MAX)).collect();
        addresses.dedup();
        let facts = [
            permit.filed_date.map(|day| format!("filed {}", date(day))),
            permit.issued_date.map(|day| format!("issued {}", date(day))),
            permit.completed_date.map(|day| format!("completed {}", date(day))),
            permit.cost().map(money),
        ];
        Self {
            kind: clip(&sentence(permit.permit_type_definition.as_deref().unwrap_or("permit")), FIELD_CHARS_MAX),
            number: permit.permit_number.clone(),
            link: format!("/permit/{}", encode(&permit.permit_number)),
            status: clip(permit.status.as_deref().unwrap_or("no status"), FIELD_CHARS_MAX),
            stage: Stage::of(permit.status.as_deref()).as_str(),
            facts: facts.into_iter().flatten().collect(),
            description: clip(permit.description.as_deref().unwrap_or_default(), DESCRIPTION_CHARS_MAX),
            addresses_left: addresses.len().saturating_sub(ADDRESSES_MAX),
            addresses: first(addresses, ADDRESSES_MAX),
            routing: history.routing.as_ref().map(RoutingView::of),
            contacts_title: title(history.contacts.len(), "contact"),
            contacts: history.contacts.iter().take(CONTACTS_MAX).map(ContactView::of).collect(),
            contacts_left: history.contacts.len().saturating_sub(CONTACTS_MAX),
            inspections_title: title(history.inspections.len(), "inspection"),
            inspections: history.inspections.iter().take(INSPECTIONS_MAX).map(inspection).collect(),
            inspections_left: history.inspections.len().saturating_sub(INSPECTIONS_MAX),
        }
    }
}

fn first(mut list: Vec<String>, max: usize) -> Vec<String> {
    list.truncate(max);
    list
}

fn title(number: usize, noun: &str) -> String {
    count(i64::try_from(number).unwrap_or(i64::MAX), noun)
}

impl ContactView {
    fn of(contact: &Contact) -> Self {
        let name = contact.name.as_deref().or(contact.firm_name.as_deref()).unwrap_or("Name not recorded");
        let firm = contact.firm_name.as_deref().filter(|firm| *firm != name);
        let license = contact.license_number.as_deref().map(|number| format!("license {number}"));
        let rest = [Some(contact.role.as_str()), firm, license.as_deref()];
        let rest = rest.into_iter().flatten().collect::<Vec<_>>().join(", ");
        Self { name: clip(name, FIELD_CHARS_MAX), rest: clip(&rest, FIELD_CHARS_MAX) }
    }
}

fn inspection(inspection: &Inspection) -> String {
    let what = inspection.inspection_description.as_deref().map(sentence);
    let day = inspection.scheduled_date.map(date);
    let result = inspection.result.clone();
    let who = inspection.inspector.as_deref().map(|name| format!("by {name}"));
    let parts = [day, what, result, who].into_iter().flatten().collect::<Vec<_>>();
    clip(&parts.join(", "), 2 * FIELD_CHARS_MAX)
}

impl RoutingView {
    fn of(routing: &Routing) -> Self {
        let revision = match routing.addenda_number {
            Some(number) if number > 0 => format!(" of revision {number}"),
            _ => String::new(),
        };
        let clear = if routing.is_all_clear { ", all clear" } else { "" };
        let comments = match routing.comments {
            0 => String::new(),
            comments => format!(", {comments} with comments"),
        };
        let waiting = routing.pending_stations.len().saturating_sub(STATIONS_MAX);
        let mut pending = routing.pending_stations.iter().take(STATIONS_MAX).cloned().collect::<Vec<_>>();
        if waiting > 0 {
            pending.push(format!("{waiting} more"));
        }
        let stalled = routing.stalled.iter().take(STALLED_MAX);
        let latest = routing.latest.as_ref().map(|latest| {
            let result = latest.result.as_deref().map(|result| format!(": {result}")).unwrap_or_default();
            format!("Last finished at {} on {}{result}", latest.station, date(latest.date))
        });
        Self {
            text: format!("{} of {} steps{revision} done{comments}{clear}", routing.completed, routing.total),
            total: routing.total,
            completed: routing.completed,
            pct: routing.pct,
            pending: clip(&pending.join(", "), 2 * FIELD_CHARS_MAX),
            stalled: stalled
                .map(|step| clip(&format!("Untouched at {} for {} days", step.station, step.days), FIELD_CHARS_MAX))
                .collect(),
            latest: clip(&latest.unwrap_or_default(), 2 * FIELD_CHARS_MAX),
        }
    }
}

/// A record on a line or two.
#[derive(Template)]
#[template(path = "record_row.html")]
pub(super) struct RecordRow {
    number: String,
    link: String,
    facts: Vec<String>,
    status: String,
    stage: &'static str,
    text: String,
}

impl RecordRow {
    pub(super) fn of_permit(history: &PermitHistory) -> Self {
        let permit = &history.permit;
        let facts = [permit.filed_date.map(date), permit.cost().map(money)];
        Self {
            number: permit.permit_number.clone(),
            link: format!("/permit/{}", encode(&permit.permit_number)),
            facts: facts.into_iter().flatten().collect(),
            status: clip(permit.status.as_deref().unwrap_or("no status"), FIELD_CHARS_MAX),
            stage: Stage::of(permit.status.as_deref()).as_str(),
            text: clip(permit.description.as_deref().unwrap_or_default(), LINE_CHARS_MAX),
        }
    }

    pub(super) fn of_complaint(complaint: &Complaint) -> Self {
        let facts = [
            complaint.date_filed.map(|day| format!("filed {}", date(day))),
            complaint.date_abated.map(|day| format!("abated {}", date(day))),
            complaint.assigned_division.as_deref().map(|division| clip(division, FIELD_CHARS_MAX)),
        ];
        Self {
            number: complaint.complaint_number.clone(),
            link: String::new(),
            facts: facts.into_iter().flatten().collect(),
            status: clip(complaint.status.as_deref().unwrap_or("no status"), FIELD_CHARS_MAX),
            stage: alarm(complaint.status.as_deref()),
            text: clip(complaint.complaint_description.as_deref().unwrap_or_default(), TEXT_CHARS_MAX),
        }
    }

    pub(super) fn of_violation(violation: &Violation) -> Self {
        let facts = [
            violation.date_filed.map(|day| format!("filed {}", date(day))),
            violation.nov_category_description.as_deref().map(|category| clip(category, FIELD_CHARS_MAX)),
        ];
        let what = [violation.item.as_deref(), violation.nov_item_description.as_deref()];
        let what = what.into_iter().flatten().collect::<Vec<_>>().join(": ");
        Self {
            number: violation.complaint_number.clone(),
            link: String::new(),
            facts: facts.into_iter().flatten().collect(),
            status: clip(violation.status.as_deref().unwrap_or("no status"), FIELD_CHARS_MAX),
            stage: alarm(violation.status.as_deref()),
            text: clip(&what, TEXT_CHARS_MAX),
        }
    }
}

fn alarm(status: Option<&str>) -> &'static str {
    match Standing::of(status) {
        Standing::Active => "alarm",
        Standing::NotActive => "complete",
        Standing::Unknown => "unknown",
    }
}
