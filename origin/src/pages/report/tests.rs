use jiff::civil::{DateTime, date};

use super::*;
use crate::permits::likeness::SimilarBy;
use crate::permits::limits::{COMPLAINTS_MAX, PERMIT_ROWS_MAX, VIOLATIONS_MAX};
use crate::permits::record::{Complaint, Contact, Inspection, Permit, Violation};
use crate::permits::report::live::City;
use crate::permits::report::routing::{Latest, Routing, Stalled};
use crate::permits::report::{Links, PermitHistory, Summary};

const DAY: DateTime = date(2015, 8, 5).at(11, 6, 52, 0);

fn report(permits: Vec<PermitHistory>) -> Report {
    Report {
        block: "3507".into(),
        lot: "004".into(),
        address: Some("1455 Market St".into()),
        neighborhood: Some("Mission".into()),
        summary: Summary { permits: permits.len(), active_violations: 2, ..Summary::default() },
        permits,
        complaints: Vec::new(),
        violations: Vec::new(),
        property: None,
        planning: Vec::new(),
        risks: Vec::new(),
        findings: Vec::new(),
        team: Vec::new(),
        nearby: Vec::new(),
        similar: Vec::new(),
        similar_by: SimilarBy::Neighborhood,
        former_lots: Vec::new(),
        links: Links { parcel: "https://sfplanninggis.org/pim/?search=3507%2F004".into() },
        city: City::default(),
        truncated: Vec::new(),
    }
}

/// A permit with every list and text filled with `text`.
fn permit(text: &str, others: usize) -> PermitHistory {
    let row = Permit {
        permit_number: "201508053399".into(),
        permit_type_definition: Some("otc alterations permit".into()),
        status: Some("issued".into()),
        filed_date: Some(DAY),
        description: Some(text.into()),
        estimated_cost: Some(1800.0),
        street_number: Some("1455".into()),
        street_name: Some(text.into()),
        ..Permit::default()
    };
    let contact = Contact { role: "contractor".into(), name: Some(text.into()), ..Contact::default() };
    let inspection = Inspection { scheduled_date: Some(DAY), result: Some(text.into()), ..Inspection::default() };
    PermitHistory {
        other_records: (0..others).map(|n| Permit { street_number: Some(n.to_string()), ..row.clone() }).collect(),
        permit: row,
        contacts: vec![contact; others],
        inspections: vec![inspection; others],
        routing: Some(Routing {
            addenda_number: Some(2),
            total: 4,
            completed: 1,
            approved: 1,
            comments: 0,
            pending: 3,
            pct: 25,
            is_all_clear: false,
            pending_stations: vec![text.into(); others],
            stalled: vec![Stalled { station: text.into(), days: 31 }; others],
            stuck: Vec::new(),
            latest: Some(Latest { station: "CPB".into(), result: Some(text.into()), date: DAY }),
        }),
        severity: None,
        link: "https://dbiweb02.sfgov.org/dbipts/default.aspx?page=PermitDetails&PermitNumber=201508053399".into(),
    }
}

#[test]
fn a_report_reads_from_top_to_bottom() {
    let html = ReportPage::of(&report(vec![permit("kitchen & bath", 2)])).unwrap().render().unwrap();
    for expected in [
        "<h1>1455 Market St</h1>",
        "<h3>OTC alterations permit</h3><span class=\"chip issued\">issued</span>",
        "filed Aug 5, 2015 · $1,800",
        "kitchen &#38; bath",
        "Plan review: 1 of 4 steps of revision 2 done",
        "<summary>2 contacts</summary>",
        "<summary>2 inspections</summary>",
        "Untouched at kitchen &#38; bath for 31 days",
        "<div class=\"alarm\"><dt>active violations</dt><dd>2</dd></div>",
        "No complaint is on record for this parcel.",
        "/api/v1/report/3507/004",
    ] {
        assert!(html.contains(expected), "{expected} is not in\n{html}");
    }
}

#[test]
fn the_fullest_parcel_stays_within_a_page() {
    let text = "&<>\"'".repeat(200);
    for text in ["x".repeat(300), text] {
        let mut report = report((0..PERMIT_ROWS_MAX).map(|_| permit(&text, 30)).collect());
        let complaint = Complaint { complaint_description: Some(text.clone()), ..Complaint::default() };
        let violation = Violation { nov_item_description: Some(text.clone()), ..Violation::default() };
        report.complaints = vec![complaint; COMPLAINTS_MAX];
        report.violations = vec![violation; VIOLATIONS_MAX];
        report.address = Some(text.repeat(10));
        report.neighborhood = Some(text.repeat(10));
        report.truncated = vec!["permits", "contacts", "inspections", "routing", "complaints", "violations"];
        let page = ReportPage::of(&report).unwrap();
        let shown = page.permits.len() + page.compact.len() + page.permits_left;
        assert_eq!(shown, PERMIT_ROWS_MAX);
        let html = page.render().unwrap();
        assert!(html.len() < PAGE_BYTES_MAX, "{}", html.len());
        assert!(html.contains("earlier permits are in"));
        assert!(html.contains("more rows than one report reads"));
    }
}

#[test]
fn the_timeline_has_the_last_years_and_leaves_out_dates_that_cannot_be_true() {
    let filed = |year: i16| {
        let mut history = permit("x", 0);
        history.permit.filed_date = Some(date(year, 1, 1).at(0, 0, 0, 0));
        history
    };
    let mut report = report([200, 1988, 2000, 2015, 2024, 2024].map(filed).into());
    let html = timeline::plot(&report).unwrap();
    assert!(html.contains("Filed between 1988 and 2024, most of them in 2024. 1 more lie before 2000."), "{html}");
    assert_eq!((html.matches("<rect").count(), html.matches("<tr>").count()), (3, 1 + timeline::YEARS_MAX));
    assert!(!html.contains("legend") && html.contains("<th scope=\"row\">2024</th><td class=\"n\">2</td>"), "{html}");

    report.permits = vec![filed(200)];
    assert_eq!(timeline::plot(&report).unwrap(), "");
}

#[test]
fn the_fullest_timeline_stays_in_its_bytes() {
    let days = |n: usize| Some(date(1990 + i16::try_from(n % 36).unwrap(), 1, 1).at(0, 0, 0, 0));
    let mut report = report(Vec::new());
    report.complaints =
        (0..COMPLAINTS_MAX).map(|n| Complaint { date_filed: days(n), ..Complaint::default() }).collect();
    report.violations =
        (0..VIOLATIONS_MAX).map(|n| Violation { date_filed: days(n), ..Violation::default() }).collect();
    report.permits = (0..PERMIT_ROWS_MAX)
        .map(|n| {
            let mut history = permit("x", 0);
            history.permit.filed_date = days(n);
            history
        })
        .collect();
    let html = timeline::plot(&report).unwrap();
    assert_eq!(html.matches("<rect").count(), 3 * timeline::YEARS_MAX);
    assert!(html.len() <= TIMELINE_BYTES_MAX, "{}", html.len());
}

#[test]
fn what_fits_is_shown_whole() {
    let page = ReportPage::of(&report((0..10).map(|_| permit("short", 1)).collect())).unwrap();
    assert_eq!((page.permits.len(), page.compact.len(), page.permits_left), (10, 0, 0));
}
