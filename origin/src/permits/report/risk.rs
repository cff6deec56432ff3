//! What may go wrong on a parcel, by rules over its records.

use std::collections::BTreeSet;

use jiff::civil::{Date, DateTime};
use schemars::JsonSchema;
use serde::Serialize;

use super::PermitHistory;
use super::property::Profile;
use crate::permits::record::{Complaint, Violation};
use crate::permits::severity::validity_days;
use crate::permits::standing::Standing;

/// What the rules look at.
pub(in crate::permits) struct Facts<'a> {
    pub(in crate::permits) permits: &'a [PermitHistory],
    pub(in crate::permits) complaints: &'a [Complaint],
    pub(in crate::permits) violations: &'a [Violation],
    pub(in crate::permits) property: Option<&'a Profile>,
    /// The date in San Francisco.
    pub(in crate::permits) today: Date,
}

/// One thing to mind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Risk {
    pub(crate) severity: Grade,
    pub(crate) risk_type: &'static str,
    pub(crate) title: String,
    pub(crate) description: String,
    /// The permit that it is about, of all of the parcel's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) permit_number: Option<String>,
}

/// How much it matters; the worst sorts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Grade {
    High,
    Moderate,
    Low,
}

/// A permit above this cost is a large project, above the other one a medium one.
const LARGE_COST: f64 = 500_000.0;
const MEDIUM_COST: f64 = 100_000.0;
/// Days before a permit's validity ends from which it is called aging.
const AGING_DAYS: i32 = 90;
/// Different contractors and agents on one parcel that are many.
const MANY_CONTRACTORS: usize = 5;

/// Everything that the rules find, the worst first, in the order of the rules.
pub(in crate::permits) fn risks(facts: &Facts<'_>) -> Vec<Risk> {
    let mut risks = Vec::new();
    for complaint in facts.complaints {
        if Standing::of(complaint.status.as_deref()) == Standing::Active {
            let text = complaint.complaint_description.clone().unwrap_or_default();
            add(
                &mut risks,
                Grade::High,
                "active_complaint",
                format!("Complaint {} is open", complaint.complaint_number),
                text,
            );
        }
    }
    for violation in facts.violations {
        if Standing::of(violation.status.as_deref()) == Standing::Active {
            let text = violation.item.clone().or_else(|| violation.nov_item_description.clone()).unwrap_or_default();
            add(
                &mut risks,
                Grade::High,
                "active_violation",
                format!("Notice {} is open", violation.complaint_number),
                text,
            );
        }
    }
    let mut active = 0;
    for history in facts.permits {
        let permit = &history.permit;
        let number = &permit.permit_number;
        let others = risks.len();
        match permit.estimated_cost {
            Some(cost) if cost > LARGE_COST => {
                add(
                    &mut risks,
                    Grade::Moderate,
                    "high_cost_project",
                    format!("Permit {number} is a large project"),
                    dollars(cost),
                );
            }
            Some(cost) if cost > MEDIUM_COST => {
                add(
                    &mut risks,
                    Grade::Low,
                    "moderate_cost_project",
                    format!("Permit {number} is a project of some size"),
                    dollars(cost),
                );
            }
            _ => {}
        }
        let status = permit.status.as_deref().unwrap_or_default().to_lowercase();
        let is_active = matches!(status.as_str(), "filed" | "approved" | "issued" | "reinstated");
        active += usize::from(is_active);
        if is_active && permit.completed_date.is_none() {
            let since = permit.issued_date.or(permit.filed_date).map(DateTime::date);
            let cost = permit.revised_cost.filter(|cost| *cost != 0.0).or(permit.estimated_cost).unwrap_or(0.0);
            let valid = validity_days(permit.permit_type_definition.as_deref().unwrap_or_default(), cost);
            if let Some(age) = since.map(|since| (facts.today - since).get_days()) {
                let text = format!("{age} days old; work is to be done within {valid}.");
                if age > valid {
                    add(
                        &mut risks,
                        Grade::Moderate,
                        "dormant_permit",
                        format!("Permit {number} has run out of time"),
                        text,
                    );
                } else if age > valid - AGING_DAYS {
                    add(&mut risks, Grade::Low, "aging_permit", format!("Permit {number} runs out soon"), text);
                }
            }
        }
        for risk in &mut risks[others..] {
            risk.permit_number = Some(number.clone());
        }
    }
    if active > 1 {
        let text = "Work of one permit may wait for another's.".to_owned();
        add(&mut risks, Grade::Low, "multiple_active_permits", format!("{active} permits are under way"), text);
    }
    if let Some(property) = facts.property.filter(|property| property.is_restricted()) {
        let zone = property.roll.zoning_code.clone().unwrap_or_default();
        let text = "The zone is for single homes: additions and further units need more review.".to_owned();
        add(&mut risks, Grade::Low, "restrictive_zoning", format!("Zoned {}", zone.trim()), text);
    }
    let units: BTreeSet<_> =
        facts.permits.iter().filter_map(|permit| permit.permit.existing_units).filter(|units| *units > 0).collect();
    if units.len() > 1 {
        let units = units.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let text = format!("Permits speak of {units} existing units.");
        add(
            &mut risks,
            Grade::Moderate,
            "unit_count_ambiguity",
            "How many units there are is not clear".to_owned(),
            text,
        );
    }
    let contacts = facts.permits.iter().flat_map(|permit| &permit.contacts);
    let builders: BTreeSet<_> = contacts
        .filter(|contact| matches!(contact.role.as_str(), "contractor" | "agent"))
        .filter_map(|contact| Some(contact.name.as_deref()?.to_uppercase()))
        .collect();
    if builders.len() >= MANY_CONTRACTORS {
        let text = "Each stands on a permit as contractor or agent.".to_owned();
        add(
            &mut risks,
            Grade::Low,
            "high_contractor_turnover",
            format!("{} contractors and agents", builders.len()),
            text,
        );
    }
    risks.sort_by_key(|risk| risk.severity);
    risks
}

fn add(risks: &mut Vec<Risk>, severity: Grade, risk_type: &'static str, title: String, description: String) {
    risks.push(Risk { severity, risk_type, title, description, permit_number: None });
}

fn dollars(cost: f64) -> String {
    let digits = format!("{cost:.0}");
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    format!("Estimated at ${}.", groups.join(","))
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;
    use jiff::civil::date;

    use super::*;
    use crate::permits::record::{Contact, Permit, TaxRoll};
    use crate::permits::report::group;

    const TODAY: Date = date(2026, 2, 27);

    /// The kinds and grades that the rules find.
    fn found(permits: Vec<Permit>, with: impl Fn(&mut PermitHistory), zone: &str, status: &str) -> Vec<String> {
        let mut permits = group(permits);
        permits.iter_mut().for_each(with);
        let property = Profile::of(vec![TaxRoll { zoning_code: Some(zone.into()), ..TaxRoll::default() }]);
        let complaints = [Complaint { status: Some(status.into()), ..Complaint::default() }];
        let violations = [Violation { status: Some(status.into()), ..Violation::default() }];
        let facts = Facts {
            permits: &permits,
            complaints: &complaints,
            violations: &violations,
            property: property.as_ref(),
            today: TODAY,
        };
        risks(&facts).iter().map(|risk| format!("{:?} {}", risk.severity, risk.risk_type)).collect()
    }

    fn permit(number: &str, change: impl Fn(&mut Permit)) -> Permit {
        let mut permit = Permit { permit_number: number.into(), record_id: number.into(), ..Permit::default() };
        change(&mut permit);
        permit
    }

    #[test]
    fn whole_words_tell_what_is_open_and_zones_what_is_restricted() {
        for (zone, status, expected) in [
            ("RM-1", "not active", &[][..]),
            ("RM-1", "Active", &["High active_complaint", "High active_violation"]),
            (" rh-1(d) ", "closed", &["Low restrictive_zoning"]),
            ("RH-2", "open", &["High active_complaint", "High active_violation"]),
        ] {
            assert_eq!(found(Vec::new(), |_| (), zone, status), expected, "{zone}, {status}");
        }
    }

    #[test]
    fn costs_are_graded_by_the_estimate() {
        for (cost, expected) in [
            (100_000.0, &[][..]),
            (100_000.5, &["Low moderate_cost_project"]),
            (500_000.0, &["Low moderate_cost_project"]),
            (500_001.0, &["Moderate high_cost_project"]),
        ] {
            let permits = vec![permit("1", |permit| {
                (permit.estimated_cost, permit.revised_cost) = (Some(cost), Some(9e9));
            })];
            assert_eq!(found(permits, |_| (), "", ""), expected, "{cost}");
        }
    }

    #[test]
    fn permits_age_by_what_they_cost_and_from_when_they_were_issued() {
        let (aging, dormant) = (["Low aging_permit"], ["Moderate dormant_permit"]);
        // Days, estimate, revised cost, kind, status.
        for (days, estimate, revised, kind, status, expected) in [
            (270, 5e3, None, "", "issued", &[][..]),
            (271, 5e3, None, "", "issued", &aging),
            (360, 5e3, None, "", "reinstated", &aging),
            (361, 5e3, None, "", "Filed", &dormant),
            (361, 5e3, None, "", "complete", &[]),
            (181, 5e3, None, "Demolitions", "approved", &dormant),
            // A revised cost of nothing leaves the estimate: 1,080 days from 100,001 on.
            (361, 1e5, Some(0.0), "", "issued", &dormant),
            (361, 1e3, Some(100_001.0), "", "issued", &[]),
            (1_081, 1e3, Some(100_001.0), "", "issued", &dormant),
            (1_081, 1e3, Some(2.5e6), "", "issued", &[]),
        ] {
            let permits = vec![permit("1", |permit| {
                permit.filed_date = Some((TODAY - 4000.days()).into());
                permit.issued_date = Some((TODAY - days.days()).into());
                (permit.estimated_cost, permit.revised_cost) = (Some(estimate), revised);
                permit.permit_type_definition = Some(kind.into());
                permit.status = Some(status.into());
            })];
            assert_eq!(
                found(permits, |_| (), "", ""),
                expected,
                "{days} days, {estimate}, {revised:?}, {kind}, {status}"
            );
        }
        let finished = permit("1", |permit| {
            (permit.status, permit.filed_date) = (Some("issued".into()), Some((TODAY - 4000.days()).into()));
            permit.completed_date = permit.filed_date;
        });
        assert_eq!(found(vec![finished], |_| (), "", ""), [""; 0]);
    }

    #[test]
    fn several_permits_units_and_builders_are_counted() {
        let open = |number: &str| permit(number, |permit| permit.status = Some("approved".into()));
        assert_eq!(found(vec![open("1"), open("2")], |_| (), "", ""), ["Low multiple_active_permits"]);
        assert_eq!(found(vec![open("1"), open("1")], |_| (), "", ""), [""; 0], "two rows of one permit");
        let units = |number: &str, units| permit(number, |permit| permit.existing_units = Some(units));
        assert_eq!(found(vec![units("1", 2), units("2", 3)], |_| (), "", ""), ["Moderate unit_count_ambiguity"]);
        assert_eq!(found(vec![units("1", 2), units("2", 0), units("3", 2)], |_| (), "", ""), [""; 0]);
        for (others, expected) in [(3, &[][..]), (4, &["Low high_contractor_turnover"])] {
            let with = |history: &mut PermitHistory| {
                let contact =
                    |role: &str, name: String| Contact { role: role.into(), name: Some(name), ..Contact::default() };
                history.contacts = (0..others).map(|n| contact("contractor", format!("Builder {n}"))).collect();
                history.contacts.extend([
                    contact("contractor", "BUILDER 0".into()),
                    contact("agent", "An agent".into()),
                    contact("owner", "An owner".into()),
                ]);
            };
            assert_eq!(found(vec![permit("1", |_| ())], with, "", ""), expected, "{others}");
        }
    }
}
