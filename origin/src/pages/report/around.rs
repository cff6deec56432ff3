//! What stands beside a parcel's records: the assessor's facts, risks, findings, people, and what is nearby.

use crate::pages::section::{Line, Section};
use crate::pages::text::{count, date, encode, money, sentence, thousands};
use crate::permits::likeness::SimilarBy;
use crate::permits::parcel::Parcel;
use crate::permits::record::{Neighbor, PlanningRecord};
use crate::permits::report::Report;
use crate::permits::severity::{Severity, Tier};

/// Lines of each list on the page; the data of the page has all.
const LINES_MAX: usize = 8;

/// What stands before the records: what someone should do something about.
pub(super) fn urgent(report: &Report, json: &str) -> Vec<Section> {
    let risks = report.risks.iter().map(|risk| {
        let grade = format!("{:?}", risk.severity).to_lowercase();
        let line = Line::new(&risk.title, &risk.description).chip(&grade, grade == "high");
        match (risk.risk_type, &risk.permit_number) {
            ("active_complaint", _) => line.to("#complaints"),
            ("active_violation", _) => line.to("#violations"),
            (_, Some(number)) => line.to(format!("/permit/{}", encode(number))),
            (_, None) => line,
        }
    });
    let attention = report.permits.iter().filter_map(|permit| Some((permit, permit.severity.as_ref()?)));
    let attention = attention.filter(|(_, severity)| matches!(severity.tier, Tier::Critical | Tier::High));
    let mut attention: Vec<_> = attention.collect();
    attention.sort_by_key(|(_, severity)| std::cmp::Reverse(severity.score));
    let attention = attention.into_iter().map(|(permit, severity)| {
        Line::new(&format!("Permit {}", permit.permit.permit_number), &reason(severity))
            .to(format!("/permit/{}", encode(&permit.permit.permit_number)))
            .chip(&format!("{} of 100", severity.score), severity.tier == Tier::Critical)
    });
    let findings = report.findings.iter().map(|found| Line::new(&found.title, &found.description));
    let sections = [
        Section::of("attention", "What needs attention", "Permits with a high score, the highest first.", attention),
        Section::of("risks", "Risks", "", risks),
        Section::of("findings", "Where records do not fit", "", findings),
    ];
    sections.into_iter().flatten().map(|section| section.up_to(LINES_MAX, json)).collect()
}

/// What stands after the records, in its order.
pub(super) fn sections(report: &Report, json: &str) -> Vec<Section> {
    let team = report.team.iter().map(|member| {
        let firm = member.canonical_firm.as_deref().filter(|firm| *firm != member.canonical_name);
        let permits = count(member.permits_here.unwrap_or(0), "permit");
        let all = thousands(i64::from(member.permit_count.unwrap_or(0)));
        let parts =
            [Some(member.entity_type.clone()), firm.map(str::to_owned), Some(format!("{permits} here, {all} in all"))];
        let text = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
        Line::new(&member.canonical_name, &text).to(format!("/firm/{}", member.entity_id))
    });
    let lots = report.former_lots.iter().map(|lot| {
        let years =
            [lot.first_filed, lot.last_filed].map(|day| day.map_or_else(String::new, |day| day.year().to_string()));
        let [first, last] = &years;
        let years = if first == last { first.clone() } else { format!("{first}–{last}") };
        let text = [count(lot.permits.unwrap_or(0), "permit"), years];
        let text = text.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
        let line = Line::new(&format!("Lot {}", lot.lot), &text);
        match Parcel::parse(&report.block, &lot.lot) {
            Ok(parcel) => line.to(parcel.path()),
            Err(_) => line,
        }
    });
    [
        Section::of("property", "Property", "From the assessor’s newest roll.", property(report))
            .map(Section::into_facts),
        Section::of(
            "planning",
            "At the planning department",
            "Projects and applications, the newest first.",
            report.planning.iter().map(planning),
        ),
        Section::of("team", "People and firms", "", team),
        Section::of(
            "lots",
            "Other lots at these addresses",
            "Lots are merged, divided and numbered anew; permits keep the number of their day.",
            lots,
        ),
        Section::of(
            "similar",
            "Similar projects",
            match report.similar_by {
                SimilarBy::Neighborhood => "Nearby, finished, of the same kind and about the same cost.",
                SimilarBy::Description => "Finished, anywhere in the city; the likest in words, kind and cost first.",
            },
            report.similar.iter().map(neighbor),
        ),
        Section::of("nearby", "New in the neighborhood", "", report.nearby.iter().map(neighbor)),
    ]
    .into_iter()
    .flatten()
    .map(|section| section.up_to(LINES_MAX, json))
    .collect()
}

/// Why a permit has its score, as a sentence.
pub(in crate::pages) fn reason(severity: &Severity) -> String {
    format!("{}.", severity.explanation.replace('_', " "))
}

fn neighbor(permit: &Neighbor) -> Line {
    let kind = sentence(permit.permit_type_definition.as_deref().unwrap_or("permit"));
    let parts = [
        Some(kind),
        permit.filed_date.map(|day| format!("filed {}", date(day))),
        permit.estimated_cost.map(money),
        permit.description.clone(),
    ];
    let text = parts.into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let address = permit.address();
    let head = if address.is_empty() { &permit.permit_number } else { &address };
    let line = Line::new(head, &text).chip(permit.status.as_deref().unwrap_or_default(), false);
    let parcel = permit.block.as_deref().zip(permit.lot.as_deref());
    match parcel.and_then(|(block, lot)| Parcel::parse(block, lot).ok()) {
        Some(parcel) => line.to(parcel.path()),
        None => line,
    }
}

fn planning(record: &PlanningRecord) -> Line {
    let units = record.units_proposed.filter(|units| *units > 0);
    let parts = [
        record.project_name.clone(),
        record.open_date.map(|day| format!("opened {}", date(day))),
        record.close_date.map(|day| format!("closed {}", date(day))),
        units.map(|units| format!("{} proposed", count(units.into(), "dwelling"))),
        record.description.clone(),
    ];
    let text = parts.into_iter().flatten().collect::<Vec<_>>().join(" · ");
    Line::new(&record.record_id, &text).chip(record.record_status.as_deref().unwrap_or_default(), false)
}

fn property(report: &Report) -> Vec<Line> {
    let Some(property) = &report.property else { return Vec::new() };
    let roll = &property.roll;
    let number = |value: Option<f64>, unit: &str| {
        value.filter(|value| *value > 0.0).map(|value| format!("{}{unit}", thousands(value.round() as i64)))
    };
    let facts = [
        ("Use", roll.use_definition.clone()),
        ("Zone", roll.zoning_code.clone()),
        ("Assessed", property.assessed_value.map(money)),
        ("Built", roll.year_property_built.filter(|year| *year > 0).map(|year| year.to_string())),
        ("Units", roll.number_of_units.map(|units| thousands(units.into()))),
        ("Stories", number(roll.number_of_stories, "")),
        ("Building", number(roll.property_area, " sq ft")),
        ("Lot", number(roll.lot_area, " sq ft")),
        ("Last sale", roll.current_sales_date.map(date)),
        ("Roll", roll.tax_year.map(|year| year.to_string())),
    ];
    facts.into_iter().filter_map(|(name, value)| Some(Line::new(name, &value?))).collect()
}
