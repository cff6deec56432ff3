use jiff::civil::date as day;

use super::*;
use crate::permits::limits::PERMIT_LIST_MAX;
use crate::permits::record::Signal;
use crate::permits::severity;

fn file(text: &str, rows: usize) -> PermitFile {
    let midnight = |month| Some(day(2024, month, 1).at(0, 0, 0, 0));
    let record = Permit {
        permit_number: "201508053399".to_owned(),
        permit_type_definition: Some("otc alterations permit".to_owned()),
        status: Some("issued".to_owned()),
        filed_date: midnight(1),
        street_number: Some("1455".to_owned()),
        street_name: Some(text.to_owned()),
        block: Some("3507".to_owned()),
        lot: Some("004".to_owned()),
        description: Some(text.to_owned()),
        estimated_cost: Some(1800.0),
        existing_units: Some(1),
        proposed_units: Some(2),
        ..Permit::default()
    };
    let contact = Contact { name: Some(text.to_owned()), role: "engineer".to_owned(), ..Contact::default() };
    let inspection = Inspection { result: Some(text.to_owned()), ..Inspection::default() };
    let step = Step {
        station: Some("BLDG".to_owned()),
        addenda_number: Some(1),
        arrive: midnight(1),
        finish_date: midnight(3),
        review_results: Some(text.to_owned()),
        ..Step::default()
    };
    let waiting = Step { station: Some("SFFD".to_owned()), finish_date: None, ..step.clone() };
    let mut steps = vec![step; rows];
    steps.push(waiting);
    PermitFile {
        permit_number: record.permit_number.clone(),
        as_of: day(2024, 5, 1),
        records: vec![record; rows],
        contacts: vec![contact; rows],
        inspections: vec![inspection; rows],
        steps,
        team: vec![Member { entity_id: "0a".to_owned(), canonical_name: text.to_uppercase(), ..Member::default() }],
        severity: Some(severity::score(&severity::Input::default(), day(2024, 5, 1))),
        risks: Vec::new(),
        signals: vec![Signal { signal_type: "hold_stalled".to_owned(), ..Signal::default() }],
        routing: None,
        link: "https://dbiweb02.sfgov.org/".to_owned(),
        truncated: Vec::new(),
    }
}

#[test]
fn a_permit_reads_from_top_to_bottom() {
    let html = PermitPage::of(&file("Market & Co", 1)).unwrap().render().unwrap();
    for expected in [
        "<h1>OTC alterations permit</h1>",
        "<dt>cost</dt><dd>$1,800</dd>",
        "<dd>1 → 2</dd>",
        "<th scope=\"row\"><a href=\"/report/3507/004\">1455 Market &#38; Co</a></th>",
        "<td data-label=\"Role\">engineer</td>",
        "<th scope=\"row\"><a href=\"/firm/0a\">Market &#38; Co</a></th>",
        "More than 30 days at a station",
        "BLDG: 60 days</text>",
        "SFFD: 121 days, not finished</text>",
        "/api/v1/permit/201508053399",
    ] {
        assert!(html.contains(expected), "{expected} is not in\n{html}");
    }
}

#[test]
fn the_fullest_permit_stays_within_a_page() {
    let html = PermitPage::of(&file(&"&".repeat(2_000), PERMIT_LIST_MAX)).unwrap().render().unwrap();
    assert!(html.len() <= PAGE_BYTES_MAX, "{}", html.len());
    assert_eq!(html.matches("more are in <a").count(), 4);
}

#[test]
fn a_permit_without_anything_says_so() {
    let mut file = file("x", 1);
    (file.contacts, file.inspections, file.steps) = (Vec::new(), Vec::new(), Vec::new());
    let html = PermitPage::of(&file).unwrap().render().unwrap();
    assert_eq!(html.matches("is on record.").count(), 3, "{html}");
    assert!(!html.contains("<svg"));
}
