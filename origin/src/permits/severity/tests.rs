use jiff::civil::date;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;

/// A case as the replaced site scored it.
#[derive(Deserialize)]
struct Case {
    name: String,
    input: Row,
    inspections: u32,
    score: u8,
    tier: String,
    category: String,
    dimensions: [f64; 5],
    top_driver: String,
    confidence: String,
    explanation: String,
}

/// A row as the city sends it: dates and costs are texts, and some are not what they should be.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Row {
    status: String,
    permit_type_definition: String,
    description: String,
    filed_date: String,
    issued_date: String,
    status_date: String,
    estimated_cost: Value,
    revised_cost: Value,
}

/// The day of a date with or without a time; absent when it is neither.
fn day(text: &str) -> Option<Date> {
    let text = text.trim();
    text.get(..10).unwrap_or(text).parse().ok()
}

fn cost(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

#[test]
fn two_hundred_permits_score_as_they_did() {
    let today = date(2026, 2, 27);
    let mut cases = 0;
    for line in include_str!("cases.jsonl").lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let row = &case.input;
        let input = Input {
            status: &row.status,
            permit_type_definition: &row.permit_type_definition,
            description: &row.description,
            filed: day(&row.filed_date),
            issued: day(&row.issued_date),
            status_since: day(&row.status_date),
            estimated_cost: cost(&row.estimated_cost),
            revised_cost: cost(&row.revised_cost),
            inspections: case.inspections,
        };
        let severity = score(&input, today);
        let name = &case.name;
        assert_eq!((severity.score, json!(severity.tier)), (case.score, json!(case.tier)), "{name}");
        assert_eq!(severity.dimensions.map(|dimension| dimension.score), case.dimensions, "{name}");
        let words = (severity.category, severity.top_driver, severity.confidence, severity.explanation.as_str());
        let expected = (&*case.category, &*case.top_driver, &*case.confidence, &*case.explanation);
        assert_eq!(words, expected, "{name}");
        cases += 1;
    }
    assert_eq!(cases, 200);
}

#[test]
fn words_count_wherever_they_stand() {
    for (description, category) in [
        ("gradual slope", "adu"),
        ("webbing", "seismic_structural"),
        ("outdoor stairs", "windows_doors"),
        ("", "general"),
    ] {
        assert_eq!(Category::of(description, "").name, category, "{description}");
    }
}
