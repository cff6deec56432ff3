//! The lists and tables of a brief.

use crate::brief::contents::{Card, Health, Inspection, Planning, PlanningChange, Review, Signal, Stuck};
use crate::brief::{Change, Contents};
use crate::pages::section::{Line, Section};
use crate::pages::text::{clip, days, encode, figure};
use crate::permits::signals;

/// Lines of each list; the data of the page has all.
const LINES_MAX: usize = 12;
/// Characters of a name, a label or an address in a table.
const FIELD_CHARS_MAX: usize = 80;

/// What happened.
pub(super) fn news(brief: &Contents, json: &str) -> Vec<Section> {
    let ending = brief.expiring.iter().map(|permit| {
        let when = match permit.expires_in {
            0 => "today".to_owned(),
            days @ 1.. => format!("in {days} days"),
            days => format!("ended {} days ago", days.unsigned_abs()),
        };
        let text = joined(&[permit.permit_type.as_deref().unwrap_or_default(), &watched(&permit.label)]);
        line(&permit.permit_number, "", &text).chip(&when, permit.expires_in <= 7)
    });
    let sections = [
        Section::of("changes", "Changes", "", brief.changes.iter().map(change)),
        Section::of("new", "New permits", "", brief.new_filings.iter().map(change)),
        Section::of("team", "New permits of people and firms", "", brief.team_activity.iter().map(change)),
        Section::of("reviews", "Plan review", "", brief.plan_reviews.iter().map(review)),
        Section::of("inspections", "Inspections", "", brief.inspections.iter().map(inspection)),
        Section::of(
            "planning-changes",
            "Planning records",
            "What the planning department was asked for at places you watch, and what became of it.",
            brief.planning_changes.iter().map(planning_change),
        ),
        Section::of("ending", "Time runs out", "Issued permits end when the work takes too long.", ending),
    ];
    sections.into_iter().flatten().map(|section| section.up_to(LINES_MAX, json)).collect()
}

/// How things stand.
pub(super) fn standing(brief: &Contents, json: &str) -> Vec<Section> {
    let sections = [
        Section::of(
            "stuck",
            "Stuck",
            "Waits beyond what three of four reviews take there, and plans with comments to answer.",
            brief.stuck.iter().map(stuck),
        ),
        Section::of(
            "signals",
            "Signals",
            "What the last night found wrong, slow or forgotten.",
            brief.signals.iter().map(signal),
        ),
        Section::of(
            "planning",
            "At the planning department",
            "Its stations of the latest revision, what lies there first.",
            brief.planning.iter().map(planning),
        ),
    ];
    sections.into_iter().flatten().map(|section| section.up_to(LINES_MAX, json)).collect()
}

/// A permit, and where it is.
fn line(permit_number: &str, place: &str, text: &str) -> Line {
    let head = if place.is_empty() { permit_number.to_owned() } else { format!("{permit_number} {place}") };
    Line::new(&head, text).to(format!("/permit/{}", encode(permit_number)))
}

fn watched(label: &str) -> String {
    format!("you watch {label}")
}

fn joined(parts: &[&str]) -> String {
    parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" · ")
}

fn change(event: &Change) -> Line {
    let status = event.new_status.as_deref().unwrap_or("no status");
    let what = match (event.change_type.as_str(), &event.old_status) {
        ("cost_revision", _) => "its cost was revised".to_owned(),
        (_, Some(old)) => format!("{status}, was {old}"),
        (_, None) => status.to_owned(),
    };
    let text = joined(&[&what, event.permit_type.as_deref().unwrap_or_default(), &watched(&event.label)]);
    line(&event.permit_number, &event.address, &text).chip(&event.change_date, false)
}

fn review(review: &Review) -> Line {
    let station = review.station.as_deref().unwrap_or("a station");
    let text = joined(&[review.review_results.as_deref().unwrap_or("finished"), &watched(&review.label)]);
    line(&review.permit_number, station, &text).chip(&review.finish_date, false)
}

fn inspection(visit: &Inspection) -> Line {
    let result = visit.result.as_deref().unwrap_or("no result yet");
    let text = joined(&[result, &visit.scheduled_date, &watched(&visit.label)]);
    let what = visit.inspection_description.as_deref().unwrap_or("Inspection");
    let line = line(&visit.permit_number, what, &text);
    match visit.outcome.as_deref() {
        Some("fail") => line.chip("failed", true),
        Some(_) => line.chip("passed", false),
        None => line,
    }
}

fn stuck(wait: &Stuck) -> Line {
    let usual = wait.p50_days.map(|days| format!("usually {}", figure(days))).unwrap_or_default();
    let advice = match (wait.has_comments, &wait.hold_description, &wait.plan_checked_by) {
        (true, _, _) => "comments to answer: the applicant’s turn".to_owned(),
        (_, Some(hold), _) => format!("held: {hold}"),
        (_, _, Some(checker)) => format!("ask {checker}"),
        _ => "nobody has it: ask the station".to_owned(),
    };
    let since = format!("{} days since {}", wait.days, wait.since);
    let text = joined(&[&since, &usual, &advice, &watched(&wait.label)]);
    let critical = wait.status == "CRITICAL";
    let word = if critical { "critical" } else { "stalled" };
    line(&wait.permit_number, &wait.station, &text).chip(word, critical)
}

fn signal(signal: &Signal) -> Line {
    let kind = signals::find(&signal.signal_type);
    let title = signal.title();
    let since = signal.since.as_deref().map(|since| format!("since {since}")).unwrap_or_default();
    let several = if signal.items > 1 { format!("{} of them", signal.items) } else { String::new() };
    let station = signal.station.as_deref().unwrap_or_default();
    let text = joined(&[station, &since, &several, kind.map_or("", |kind| kind.advice), &watched(&signal.label)]);
    let line = match (&signal.permit_number, signal.block.as_deref().zip(signal.lot.as_deref())) {
        (Some(number), _) => line(number, title, &text),
        (None, Some((block, lot))) => {
            Line::new(&format!("{block}/{lot} {title}"), &text).to(format!("/report/{}/{}", encode(block), encode(lot)))
        }
        (None, None) => Line::new(title, &text),
    };
    line.chip(kind.map_or(signal.tier.as_str(), |kind| kind.tier.words()), signal.tier == "at_risk")
}

fn planning_change(change: &PlanningChange) -> Line {
    let name = change.project_name.as_deref().or(change.record_type.as_deref()).unwrap_or_default();
    let address = change.address.as_deref().unwrap_or_default();
    let line = Line::new(&change.record_id, &joined(&[&change.what(), name, address, &watched(&change.label)]));
    let line = line.chip(&change.change_date, false);
    match change.block.as_deref().zip(change.lot.as_deref()) {
        Some((block, lot)) => line.to(format!("/report/{}/{}", encode(block), encode(lot))),
        None => line,
    }
}

fn planning(step: &Planning) -> Line {
    let done = step.finish_date.as_deref();
    let result = step.review_results.as_deref().or(step.hold_description.as_deref()).unwrap_or_default();
    let when = match done {
        Some(day) => format!("finished {day} after {} days", step.days),
        None => format!("{} days since {}", step.days, step.since),
    };
    let text = joined(&[&when, result, &watched(&step.label)]);
    line(&step.permit_number, &step.station, &text).chip(if done.is_some() { "done" } else { "waits" }, false)
}

/// A permit in review beside the pace of its station.
pub(super) struct Watched {
    pub(super) number: String,
    pub(super) href: String,
    pub(super) station: String,
    pub(super) days: i32,
    pub(super) p50: String,
    pub(super) p90: String,
    pub(super) percent: String,
    pub(super) word: &'static str,
    pub(super) alarm: bool,
    pub(super) label: String,
}

impl Watched {
    pub(super) fn of(health: &Health) -> Self {
        Self {
            number: clip(&health.permit_number, FIELD_CHARS_MAX),
            href: format!("/permit/{}", encode(&health.permit_number)),
            station: clip(&health.station, FIELD_CHARS_MAX),
            days: health.days,
            p50: days(health.p50_days),
            p90: days(health.p90_days),
            percent: health.pct_of_typical.map_or_else(|| "–".to_owned(), |percent| format!("{percent} %")),
            word: words(&health.health),
            alarm: health.health == "at_risk",
            label: clip(&health.label, FIELD_CHARS_MAX),
        }
    }
}

/// A watched parcel.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) href: String,
    pub(super) zone: String,
    pub(super) permits: i64,
    pub(super) open_permits: i64,
    pub(super) open_complaints: i64,
    pub(super) open_violations: i64,
    pub(super) last_change: String,
    pub(super) word: &'static str,
    pub(super) alarm: bool,
}

impl Place {
    pub(super) fn of(card: &Card) -> Self {
        let address = card.address.as_deref().filter(|address| !address.is_empty()).unwrap_or("Parcel");
        let zone = [card.zoning_code.as_deref(), card.use_definition.as_deref()];
        let health = card.health.as_deref().unwrap_or_default();
        Self {
            name: format!("{} ({}/{})", clip(address, FIELD_CHARS_MAX), card.block, card.lot),
            href: format!("/report/{}/{}", encode(&card.block), encode(&card.lot)),
            zone: clip(&zone.into_iter().flatten().collect::<Vec<_>>().join(", "), FIELD_CHARS_MAX),
            permits: card.permits,
            open_permits: card.open_permits,
            open_complaints: card.open_complaints,
            open_violations: card.open_violations,
            last_change: card.last_change.clone().unwrap_or_else(|| "–".to_owned()),
            word: words(health),
            alarm: matches!(health, "at_risk" | "high_risk"),
        }
    }
}

fn words(health: &str) -> &'static str {
    match health {
        "on_track" => "on track",
        "slower" => "slower",
        "behind" => "behind",
        "at_risk" => "at risk",
        "high_risk" => "high risk",
        _ => "–",
    }
}
