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

/// The use changes from one permit to the next, and no permit says so.
fn drift(facts: &Facts<'_>) -> Vec<Finding> {
    let mut dated: Vec<_> = facts.permits.iter().filter(|permit| permit.permit.filed_date.is_some()).collect();
    dated.sort_by_key(|permit| permit.permit.filed_date);
    let mut found = Vec::new();
    let mut before: Option<&PermitHistory> = None;
    let mut explained = false;
    for permit in dated {
        explained |= CHANGES_USE.iter().any(|word| text(permit).contains(word));
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
        explained = false;
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
        if text.contains("kitchen remodel") && lacks(index, &["plumbing", "gas", "mechanical"]) {
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
