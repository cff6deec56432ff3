use super::*;

fn parcel() -> Parcel {
    Parcel::parse("3507", "4").unwrap()
}

fn permit(number: &str, record: &str, status: &str) -> Permit {
    Permit {
        permit_number: number.into(),
        record_id: record.into(),
        status: Some(status.into()),
        street_number: Some("1455".into()),
        street_name: Some("Market".into()),
        street_suffix: Some("St".into()),
        ..Permit::default()
    }
}

fn contact(number: &str, role: &str, name: &str) -> Contact {
    Contact { permit_number: number.into(), role: role.into(), name: Some(name.into()), ..Contact::default() }
}

#[test]
fn a_parcel_without_rows_has_no_report() {
    assert!(assemble(&parcel(), Rows::default()).is_none());
    // Rows that hang on permits cannot stand alone.
    let rows = Rows { contacts: vec![contact("1", "contractor", "A")], ..Rows::default() };
    assert!(assemble(&parcel(), rows).is_none());
    let rows = Rows { violations: vec![Violation::default()], ..Rows::default() };
    assert!(assemble(&parcel(), rows).is_some());
}

#[test]
fn rows_are_grouped_by_permit_and_none_is_lost() {
    let rows = Rows {
        permits: vec![permit("2", "c", "issued"), permit("1", "a", "complete"), permit("2", "b", "issued")],
        contacts: vec![contact("1", "owner", "O"), contact("2", "engineer", "E"), contact("2", "contractor", "C")],
        ..Rows::default()
    };
    let report = assemble(&parcel(), rows).unwrap();
    let shown: Vec<_> =
        report.permits.iter().map(|p| (p.permit.record_id.as_str(), p.other_records.len(), p.contacts.len())).collect();
    assert_eq!(shown, [("c", 1, 2), ("a", 0, 1)]);
    assert_eq!(report.permits[0].contacts[0].role, "contractor");
    assert_eq!(report.address.as_deref(), Some("1455 Market St"));
}

#[test]
fn the_summary_counts_what_still_stands() {
    let complaint = |status: &str| Complaint { status: Some(status.into()), ..Complaint::default() };
    let violation = |status: &str| Violation { status: Some(status.into()), ..Violation::default() };
    let rows = Rows {
        permits: vec![permit("1", "a", "filed"), permit("2", "b", "issued"), permit("3", "c", "complete")],
        complaints: vec![complaint("Active"), complaint("Not Active")],
        violations: vec![violation("not active"), violation("not active"), violation("active")],
        ..Rows::default()
    };
    let summary = assemble(&parcel(), rows).unwrap().summary;
    assert_eq!((summary.permits, summary.open_permits), (3, 2));
    assert_eq!((summary.complaints, summary.active_complaints), (2, 1));
    assert_eq!((summary.violations, summary.active_violations), (3, 1));
}

#[test]
fn a_list_beyond_its_bound_is_cut_and_says_so() {
    let rows = |more: usize| Rows {
        permits: vec![permit("1", "a", "issued"); PERMIT_ROWS_MAX + more],
        contacts: vec![contact("1", "owner", "O"); CONTACTS_MAX + more],
        inspections: vec![Inspection { reference_number: "1".into(), ..Inspection::default() }; INSPECTIONS_MAX + more],
        steps: vec![Step { application_number: "1".into(), ..Step::default() }; STEPS_MAX + more],
        complaints: vec![Complaint::default(); COMPLAINTS_MAX + more],
        violations: vec![Violation::default(); VIOLATIONS_MAX + more],
        ..Rows::default()
    };
    let all = vec!["permits", "contacts", "inspections", "routing", "complaints", "violations"];
    for (more, truncated) in [(0, Vec::new()), (1, all)] {
        let report = assemble(&parcel(), rows(more)).unwrap();
        assert_eq!(report.truncated, truncated);
        let [permit] = &report.permits[..] else { panic!("{} permits", report.permits.len()) };
        assert_eq!(permit.other_records.len() + 1, PERMIT_ROWS_MAX);
        assert_eq!((permit.contacts.len(), permit.inspections.len()), (CONTACTS_MAX, INSPECTIONS_MAX));
        assert_eq!(permit.routing.as_ref().map(|routing| routing.total), Some(STEPS_MAX));
        assert_eq!((report.complaints.len(), report.violations.len()), (COMPLAINTS_MAX, VIOLATIONS_MAX));
    }
}

#[test]
fn each_statement_reads_one_row_beyond_its_bound() {
    for statement in [&sql::PERMITS, &sql::CONTACTS, &sql::INSPECTIONS, &sql::STEPS, &sql::COMPLAINTS, &sql::VIOLATIONS]
    {
        assert!(statement.ends_with("LIMIT $3 + 1"), "{}", **statement);
    }
}

#[test]
fn a_strange_number_cannot_leave_the_trackers_address() {
    let link = tracker("20150805\"3399&x=<y>");
    assert!(link.ends_with("PermitNumber=201508053399xy"), "{link}");
}
