use serde_json::json;

use super::*;

fn dataset(name: &str) -> &'static Dataset {
    Dataset::find(name).unwrap()
}

/// One row's stored columns by name, and the flaws met.
fn encode(name: &str, row: &Value) -> Result<(BTreeMap<&'static str, String>, Vec<String>), Refusal> {
    let dataset = dataset(name);
    let mut encoder = Encoder::new(dataset);
    let mut out = String::new();
    encoder.encode(row, &mut out)?;
    assert_eq!(out.matches('\n').count(), 1, "{out}");
    let columns = Encoder::columns(dataset);
    let values: Vec<_> = out.trim_end_matches('\n').split('\t').collect();
    assert_eq!(values.len(), columns.len(), "{out}");
    let stored = columns.into_iter().zip(values).filter(|(_, value)| *value != "\\N");
    let flaws = encoder.flaws().iter().map(|((column, flaw), count)| format!("{column} {} {count}", flaw.as_str()));
    Ok((stored.map(|(column, value)| (column, value.to_owned())).collect(), flaws.collect()))
}

#[test]
fn a_row_of_the_wire_becomes_typed_columns() {
    let row = json!({
        ":id": "row-wauk.mkk3-gckg", "record_id": "1410598100118", "permit_number": " 201601288200 ",
        "status": "complete", "filed_date": "2016-01-28T09:20:21.000", "estimated_cost": "1800.0",
        "existing_units": "1.0", "proposed_units": "1.9", "description": "line one\nline\ttwo \\ three",
        "neighborhoods_analysis_boundaries": "Outer Richmond", "block": "0026", "lot": "004A", "unit": "",
        "location": {"type": "Point", "coordinates": [-122.475528738, 37.781956645]}, "adu": true
    });
    let (stored, flaws) = encode("permits", &row).unwrap();
    let expected = [
        ("adu", "true"),
        ("block", "0026"),
        ("description", "line one\\nline\\ttwo \\\\ three"),
        ("estimated_cost", "1800"),
        ("existing_units", "1"),
        ("filed_date", "2016-01-28T09:20:21"),
        ("latitude", "37.781956645"),
        ("longitude", "-122.475528738"),
        ("lot", "004A"),
        ("neighborhood", "Outer Richmond"),
        ("permit_number", "201601288200"),
        ("proposed_units", "1"),
        ("record_id", "1410598100118"),
        ("source", "building"),
        ("status", "complete"),
    ];
    assert_eq!(stored, expected.map(|(column, value)| (column, value.to_owned())).into());
    assert!(flaws.is_empty(), "{flaws:?}");
}

#[test]
fn a_field_that_cannot_be_read_is_absent_and_counted() {
    for (field, value, column, flaw) in [
        ("estimated_cost", json!("a lot"), "estimated_cost", "not a number"),
        ("estimated_cost", json!("inf"), "estimated_cost", "a number out of range"),
        ("existing_units", json!("1e12"), "existing_units", "a number out of range"),
        ("filed_date", json!("02/27/2024"), "filed_date", "not a date and time"),
        ("filed_date", json!("0000-01-01T00:00:00.000"), "filed_date", "an implausible date"),
        ("data_as_of", json!("0000-01-01T00:00:00.000"), "data_as_of", "a number out of range"),
        ("status", json!({"a": 1}), "status", "not text"),
        ("location", json!("here"), "latitude", "not a point"),
        ("location", json!({"coordinates": []}), "latitude", "not a point"),
        ("street_name", json!("x".repeat(CODE_BYTES_MAX + 1)), "street_name", "too long"),
        // With its blanks: the city is asked for it so.
        ("street_name", json!(format!("x{}", " ".repeat(CODE_BYTES_MAX))), "street_name", "too long"),
    ] {
        let mut row = json!({"record_id": "1", "permit_number": "2"});
        row[field] = value;
        let (stored, flaws) = encode("permits", &row).unwrap();
        assert!(!stored.contains_key(column), "{row}");
        assert_eq!(flaws[0], format!("{column} {flaw} 1"));
    }
}

#[test]
fn text_that_postgres_cannot_hold_is_made_to_fit() {
    let long = "é".repeat(TEXT_BYTES_MAX);
    let row = json!({"record_id": "1", "permit_number": "2", "description": long, "status": "is\u{0}sued"});
    let (stored, flaws) = encode("permits", &row).unwrap();
    assert_eq!(stored["description"].len(), TEXT_BYTES_MAX);
    assert_eq!(stored["status"], "issued");
    assert_eq!(flaws, ["description cut 1", "status NUL removed 1"]);
    let (stored, _) = encode("permits", &json!({"record_id": "1", "permit_number": "2", "status": "\u{0}"})).unwrap();
    assert!(!stored.contains_key("status"));
}

#[test]
fn rows_that_cannot_be_told_apart_or_linked_are_refused() {
    for (name, row, expected) in [
        ("permits", json!(["a"]), "not an object"),
        ("permits", json!(null), "not an object"),
        ("permits", json!({"permit_number": "2"}), "record_id is missing"),
        ("permits", json!({"record_id": " ", "permit_number": "2"}), "record_id is missing"),
        ("permits", json!({"record_id": {}, "permit_number": "2"}), "record_id is missing"),
        ("permits", json!({"record_id": "1"}), "permit_number is missing"),
        ("permits", json!({"record_id": "1".repeat(257), "permit_number": "2"}), "record_id is longer than 256 bytes"),
        ("contacts", json!({"role": "contractor"}), "permit_number is missing"),
        ("addenda", json!({"primary_key": "1"}), "application_number is missing"),
        ("violations", json!({"item_sequence_number": "1"}), "complaint_number is missing"),
    ] {
        assert_eq!(encode(name, &row).unwrap_err().to_string(), expected, "{row}");
    }
}

#[test]
fn the_citys_key_is_used_where_it_is_whole() {
    let key = |name: &str, row: Value| encode(name, &row).unwrap().0["row_key"].clone();
    assert_eq!(key("complaints", json!({"complaint_number": "202174570"})), "202174570");
    assert_eq!(key("violations", json!({"complaint_number": "1", "item_sequence_number": "35305"})), "1:35305");
    assert_eq!(key("addenda", json!({"application_number": "1", "primary_key": 7})), "7");
    assert_eq!(key("contacts", json!({"permit_number": "1", "pts_agent_id": "2", "role": "engineer"})), "1:2:engineer");
    let digest = key("contacts", json!({"permit_number": "1", "role": "engineer"}));
    assert!(digest.len() == 32 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digest}");
}

#[test]
fn a_digest_covers_the_content_and_not_the_stamp() {
    let key = |row: Value| encode("inspections", &row).unwrap().0["row_key"].clone();
    let row = json!({"reference_number": "1", "result": "OK", "data_as_of": "2026-01-01T00:00:00.000"});
    let later = json!({"reference_number": "1", "result": "OK", "data_as_of": "2026-01-02T00:00:00.000"});
    let other = json!({"reference_number": "1", "result": "NO"});
    let shifted = json!({"reference_number_type": "1", "result": "OK"});
    assert_eq!(key(row.clone()), key(later));
    assert_ne!(key(row.clone()), key(other));
    assert_ne!(key(row), key(shifted));
}

#[test]
fn contacts_have_one_name_and_our_roles() {
    for (city, ours) in [
        ("Contractor", "contractor"),
        ("subcontractor", "contractor"),
        ("authorized agent-others", "agent"),
        ("lessee", "owner"),
        ("PMT CONSULTANT/EXPEDITER", "consultant"),
        ("payor", "other"),
        ("project contact", "other"),
        ("attorney", "other"),
        ("", "other"),
    ] {
        let (stored, _) = encode("contacts", &json!({"permit_number": "1", "role": city})).unwrap();
        assert_eq!(stored["role"], ours, "{city}");
        assert_eq!(stored["source"], "building");
    }
    for (first, last, name) in [("Ada ", " Byron", Some("Ada Byron")), ("", "Byron", Some("Byron")), ("", " ", None)] {
        let (stored, _) =
            encode("contacts", &json!({"permit_number": "1", "first_name": first, "last_name": last})).unwrap();
        assert_eq!(stored.get("name").map(String::as_str), name);
    }
}

#[test]
fn the_older_form_of_a_location_is_read_too() {
    let row = json!({"record_id": "1", "permit_number": "2", "location": {"latitude": "37.5", "longitude": "-122.25"}});
    let (stored, _) = encode("permits", &row).unwrap();
    assert_eq!((stored["longitude"].as_str(), stored["latitude"].as_str()), ("-122.25", "37.5"));
}

#[test]
fn implausible_dates_are_quarantined_with_their_row() {
    let dataset = dataset("complaints");
    let mut encoder = Encoder::new(dataset);
    let mut out = String::new();
    for (number, date, kept) in [
        ("1", "0200-06-12T00:00:00.000", true),
        ("2", "1960-01-01T00:00:00.000", true),
        ("3", "1970-01-01T00:00:00.000", false),
        ("4", "2100-01-01T00:00:00.000", true),
    ] {
        let before = encoder.quarantine().len();
        encoder.encode(&json!({"complaint_number": number, "date_filed": date}), &mut out).unwrap();
        let kept_now = &encoder.quarantine()[before..];
        let expected = Quarantined { column: "date_filed", value: date.to_owned(), row_key: Some(number.to_owned()) };
        assert_eq!(kept_now, if kept { std::slice::from_ref(&expected) } else { &[] }, "{date}");
    }
    let row = json!({"complaint_number": "5", "date_filed": "1960-01-01T00:00:00.000"});
    for _ in 0..QUARANTINE_KEPT_MAX {
        encoder.encode(&row, &mut out).unwrap();
    }
    assert_eq!(encoder.quarantine().len(), QUARANTINE_KEPT_MAX);
    assert_eq!(encoder.flaws()[&("date_filed", Flaw::Implausible)], QUARANTINE_KEPT_MAX as u64 + 3);
    // A lot may have been sold long ago.
    let mut encoder = Encoder::new(Dataset::find("tax_rolls").unwrap());
    let row =
        json!({"block": "1", "lot": "2", "closed_roll_year": "2025", "current_sales_date": "1951-01-01T00:00:00"});
    encoder.encode(&row, &mut out).unwrap();
    assert!(encoder.flaws().is_empty() && out.contains("1951"));
}

#[test]
fn a_trades_permit_has_a_row_for_each_address() {
    let key = |address: Value| {
        let mut row = json!({"permit_number": "E1", "block": "0001"});
        row.as_object_mut().unwrap().extend(address.as_object().unwrap().clone());
        let (stored, _) = encode("electrical_permits", &row).unwrap();
        assert_eq!((stored["source"].as_str(), stored["permit_type"].as_str()), ("electrical", "electrical"));
        stored["record_id"].clone()
    };
    let one = key(json!({"street_number": "1", "street_name": "Bay"}));
    assert!(one.starts_with("electrical:E1:") && one.len() == 14 + ADDRESS_DIGITS, "{one}");
    assert_eq!(one, key(json!({"street_number": "1", "street_name": "Bay", "status": "issued"})));
    assert_ne!(one, key(json!({"street_number": "11", "street_name": "Bay"})));
    assert_eq!(encode("plumbing_permits", &json!({"block": "1"})).unwrap_err(), Refusal::Missing("record_id"));
}

#[test]
fn the_fields_that_the_old_site_missed_are_read() {
    let row = json!({
        "block": "3507", "lot": "004", "closed_roll_year": "2024.0", "assessed_personal_property_value": "5.0",
        "assessed_fixtures_value": "6", "assessor_neighborhood": "Mission"
    });
    let (stored, flaws) = encode("tax_rolls", &row).unwrap();
    let read = ["row_key", "tax_year", "assessed_personal_property", "assessed_fixtures", "neighborhood"];
    assert_eq!(read.map(|column| stored[column].as_str()), ["3507:004:2024.0", "2024", "5", "6", "Mission"]);
    assert!(flaws.is_empty(), "{flaws:?}");
    let row = json!({"permit_number": "E1", "contact_type": "OTHERS", "company_name": "A Co", "street_number": "5",
        "street": "Bay", "street_suffix": "St"});
    let (stored, _) = encode("electrical_contacts", &row).unwrap();
    assert_eq!((&*stored["role"], &*stored["firm_name"], &*stored["address"]), ("other", "A Co", "5 Bay St"));
}
