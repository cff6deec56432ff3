//! Where the city's records of a parcel do not fit together.

use schemars::JsonSchema;
use serde::Serialize;

use super::PermitHistory;
use super::risk::{Facts, Grade};

/// Two records that contradict each other, or one that lacks its companion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Finding {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) severity: Grade,
    pub(crate) title: String,
    pub(crate) description: String,
}

/// Words of a permit that explain why a building is used otherwise than before.
const CHANGES_USE: &[&str] = &["change of use", "conversion", "legaliz", "adu", "accessory dwelling"];
/// How permits speak of a new kitchen, which has new pipes.
const KITCHENS: &[&str] =
    &["kitchen remodel", "remodel kitchen", "remodel of kitchen", "kitchen renovation", "new kitchen"];
/// Words for one use, as permits and as the assessor write it.
const USES: &[(&str, &[&str])] = &[
    ("one home", &["1 family dwelling", "single family residential", "single family"]),
    ("two homes", &["2 family dwelling", "flats & duplex", "two family"]),
    ("apartments", &["apartments", "multi-family residential", "multi family residential"]),
    ("office", &["office", "commercial office"]),
    ("retail", &["retail sales", "commercial retail", "retail"]),
];
/// A permit so many days after a complaint may answer it.
const ANSWER_DAYS: i32 = 30;

/// All findings, moderate ones first.
pub(super) fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = drift(facts);
    findings.extend(assessor(facts));
    findings.extend(answers(facts));
    findings.extend(companions(facts));
    findings.sort_by_key(|finding| finding.severity);
    findings
}

fn finding(kind: &'static str, severity: Grade, title: &str, description: String) -> Finding {
    Finding { kind, severity, title: title.to_owned(), description }
}

fn text(permit: &PermitHistory) -> String {
    permit.permit.description.as_deref().unwrap_or_default().to_lowercase()
}

fn changes_use(permit: &PermitHistory) -> bool {
    let text = text(permit);
    CHANGES_USE.iter().any(|word| text.contains(word))
}

/// The use changes from one permit to the next, and no permit says so.
fn drift(facts: &Facts<'_>) -> Vec<Finding> {
    let mut dated: Vec<_> = facts.permits.iter().filter(|permit| permit.permit.filed_date.is_some()).collect();
    dated.sort_by_key(|permit| permit.permit.filed_date);
    let mut found = Vec::new();
    let mut before: Option<&PermitHistory> = None;
    let mut explained = false;
    for permit in dated {
        explained |= changes_use(permit);
        let Some(now) = permit.permit.existing_use.as_deref().map(str::trim).filter(|usage| !usage.is_empty()) else {
            continue;
        };
        if let Some(earlier) = before {
            let was = earlier.permit.existing_use.as_deref().unwrap_or_default().trim();
            if !was.eq_ignore_ascii_case(now) && !explained {
                let (old, new) = (&earlier.permit.permit_number, &permit.permit.permit_number);
                let description = format!(
                    "Permit {old} says {was}, permit {new} says {now}, and none between is for a change of use."
                );
                found.push(finding(
                    "classification_drift",
                    Grade::Moderate,
                    "The use changed without a permit for it",
                    description,
                ));
            }
        }
        before = Some(permit);
        // The one with the old use may be the one that is for the new use.
        explained = changes_use(permit);
    }
    found
}

/// The assessor's use is not that of the newest permit.
fn assessor(facts: &Facts<'_>) -> Option<Finding> {
    let rolls = facts.property?.roll.use_definition.as_deref()?.trim().to_lowercase();
    let newest = facts.permits.iter().find_map(|permit| permit.permit.existing_use.as_deref())?.trim().to_lowercase();
    let same = |usage: &str| USES.iter().find(|(_, words)| words.contains(&usage)).map(|(name, _)| *name);
    let differs = match (same(&rolls), same(&newest)) {
        (Some(one), Some(other)) => one != other,
        _ => rolls != newest,
    };
    let description = format!("The tax roll says {rolls}, the newest permit {newest}.");
    differs.then(|| finding("assessor_mismatch", Grade::Low, "Assessor and permit name different uses", description))
}

/// A permit follows a complaint closely.
fn answers(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for complaint in facts.complaints {
        let Some(complained) = complaint.date_filed.map(|day| day.date()) else { continue };
        let answer = facts.permits.iter().find(|permit| {
            let days = permit.permit.filed_date.map(|filed| (filed.date() - complained).get_days());
            days.is_some_and(|days| (0..=ANSWER_DAYS).contains(&days))
        });
        if let Some(permit) = answer {
            let (complaint, permit) = (&complaint.complaint_number, &permit.permit.permit_number);
            let description = format!("Permit {permit} was filed within {ANSWER_DAYS} days of complaint {complaint}.");
            found.push(finding(
                "complaint_to_permit_timing",
                Grade::Low,
                "A permit may answer a complaint",
                description,
            ));
        }
    }
    found
}

/// Work that usually needs a second permit.
fn companions(facts: &Facts<'_>) -> Vec<Finding> {
    let lacks = |index: usize, words: &[&str]| {
        let others = facts.permits.iter().enumerate().filter(|(other, _)| *other != index);
        let fits = |permit: &PermitHistory| {
            let kind = permit.permit.permit_type.as_deref().unwrap_or_default();
            words.iter().any(|word| text(permit).contains(word) || kind == *word)
        };
        !others.map(|(_, permit)| permit).any(fits)
    };
    let mut found = Vec::new();
    for (index, permit) in facts.permits.iter().enumerate() {
        let (text, number) = (text(permit), &permit.permit.permit_number);
        if KITCHENS.iter().any(|words| text.contains(words)) && lacks(index, &["plumbing", "gas", "mechanical"]) {
            let description =
                format!("Permit {number} is for a kitchen, and none here is for plumbing, gas or mechanical work.");
            found.push(finding("missing_companion", Grade::Low, "A kitchen without plumbing", description));
        }
        if text.contains("elevator") && lacks(index, &["elevator"]) {
            let description = format!("Permit {number} speaks of an elevator, and no other permit here does.");
            found.push(finding(
                "missing_companion",
                Grade::Low,
                "An elevator without a permit of its own",
                description,
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use jiff::civil::{DateTime, date};

    use super::*;
    use crate::permits::record::{Complaint, Permit, TaxRoll};
    use crate::permits::report::group;
    use crate::permits::report::property::Profile;

    fn permit(filed: &str, existing_use: &str, description: &str) -> Permit {
        Permit {
            permit_number: format!("P{filed}"),
            record_id: filed.into(),
            filed_date: format!("{filed}T00:00").parse::<DateTime>().ok(),
            existing_use: Some(existing_use.into()).filter(|usage: &String| !usage.is_empty()),
            description: Some(description.into()),
            ..Permit::default()
        }
    }

    /// The kinds of findings of permits (the newest first), the assessor's use and the days of complaints.
    fn kinds(permits: &[(&str, &str, &str)], usage: &str, complained: &[&str]) -> Vec<&'static str> {
        let permits = group(permits.iter().map(|(filed, usage, text)| permit(filed, usage, text)).collect());
        let roll = TaxRoll { use_definition: Some(usage.into()), ..TaxRoll::default() };
        let property = Profile::of(vec![roll]).filter(|_| !usage.is_empty());
        let complaint =
            |day: &&str| Complaint { date_filed: format!("{day}T00:00").parse().ok(), ..Complaint::default() };
        let complaints: Vec<_> = complained.iter().map(complaint).collect();
        let facts = Facts {
            permits: &permits,
            complaints: &complaints,
            violations: &[],
            property: property.as_ref(),
            today: date(2026, 2, 27),
        };
        findings(&facts).iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn a_use_that_changes_is_found_unless_a_permit_says_so() {
        let drift = ["classification_drift"];
        let new = ("2020-01-01", "retail sales", "");
        for (between, old, expected) in [
            (None, ("2010-01-01", "office", "paint"), &drift[..]),
            (None, ("2010-01-01", "Retail Sales", "paint"), &[]),
            // By the permit with the old use, by the one with the new use, and by one between without any.
            (None, ("2010-01-01", "office", "Change of use to shop"), &[]),
            (Some(("2015-01-01", "", "legalization of a shop")), ("2010-01-01", "office", ""), &[]),
            (Some(("2015-01-01", "office", "legalization of a shop")), ("2010-01-01", "office", ""), &[]),
            (Some(("2005-01-01", "office", "conversion")), ("2010-01-01", "office", ""), &drift),
            (Some(("2015-01-01", "", "paint")), ("2010-01-01", "office", ""), &drift),
        ] {
            let permits: Vec<_> = [Some(new), between, Some(old)].into_iter().flatten().collect();
            assert_eq!(kinds(&permits, "", &[]), expected, "{permits:?}");
        }
        assert!(kinds(&[("2020-01-01", "retail sales", "an adu"), ("2010-01-01", "office", "")], "", &[]).is_empty());
    }

    #[test]
    fn the_assessors_use_is_compared_in_the_five_sets() {
        for (roll, permit, differs) in [
            ("Single Family Residential", "1 family dwelling", false),
            ("Flats & Duplex", "2 family dwelling", false),
            ("Multi-Family Residential", "apartments", false),
            ("Commercial Office", "office", false),
            ("Commercial Retail", "retail sales", false),
            ("Commercial Retail", "office", true),
            ("Industrial", "office", true),
            ("Industrial", " INDUSTRIAL ", false),
        ] {
            let found = kinds(&[("2020-01-01", permit, "")], roll, &[]);
            assert_eq!(found == ["assessor_mismatch"], differs, "{roll} and {permit}: {found:?}");
        }
    }

    #[test]
    fn a_permit_within_thirty_days_answers_a_complaint() {
        for (complained, answers) in
            [("2020-01-31", false), ("2020-01-30", true), ("2019-12-31", true), ("2019-12-30", false)]
        {
            let found = kinds(&[("2020-01-30", "office", "")], "", &[complained]);
            assert_eq!(found == ["complaint_to_permit_timing"], answers, "{complained}: {found:?}");
        }
    }

    #[test]
    fn kitchens_and_elevators_have_companions() {
        let lacks = ["missing_companion"];
        for (text, other, expected) in [
            ("Kitchen remodel", "paint", &lacks[..]),
            ("remodel kitchen and bath", "paint", &lacks),
            ("kitchen remodel", "new PLUMBING", &[]),
            ("kitchen remodel", "gas line", &[]),
            ("new elevator", "paint", &lacks),
            ("new elevator", "elevator machine room", &[]),
        ] {
            let found = kinds(&[("2020-01-01", "", text), ("2019-01-01", "", other)], "", &[]);
            assert_eq!(found, expected, "{text} beside {other}");
        }
    }
}
