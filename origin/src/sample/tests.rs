use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;
use crate::soda::datasets::Key;
use crate::soda::row::Encoder;

fn city(options: &Options) -> BTreeMap<&'static str, Vec<String>> {
    let mut rows: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    generate(options, &mut |dataset, line| {
        rows.entry(dataset.name).or_default().push(line.to_owned());
        Ok(())
    })
    .unwrap();
    rows
}

fn parsed(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of(permits: u32) -> Options {
    Options { permits, ..Options::default() }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let options = of(300);
    assert_eq!(city(&options), city(&options));
    assert_ne!(city(&options), city(&Options { seed: 2, ..options }));
}

#[test]
fn the_bytes_are_the_same_on_every_machine() {
    use sha2::Digest as _;

    let mut hash = sha2::Sha256::new();
    generate(&of(200), &mut |dataset, line| {
        hash.update(format!("{} {line}\n", dataset.name));
        Ok(())
    })
    .unwrap();
    // A change of the generator changes this on purpose.
    assert_eq!(
        crate::digest::hex(&hash.finalize()),
        "70d247b0331850f98eee1007bf156441f3e87bb96b460d1b822528df5236bcc6"
    );
}

#[test]
fn a_city_too_large_is_refused() {
    assert!(generate(&of(PERMITS_MAX + 1), &mut |_, _| Ok(())).is_err());
}

#[test]
fn the_number_of_permits_is_exact_and_the_rest_in_proportion() {
    for permits in [0, 1, 43, 44, 100, 4_000] {
        assert_eq!(city(&of(permits)).get("permits").map_or(0, Vec::len), permits as usize);
    }
    let city = city(&of(4_000));
    let numbers: BTreeSet<_> =
        parsed(&city["permits"]).iter().map(|row| row["permit_number"].as_str().unwrap().to_owned()).collect();
    let per_permit = |name: &str| city[name].len() * 10 / numbers.len();
    let rates = ["contacts", "addenda", "inspections", "complaints", "violations"].map(|name| (name, per_permit(name)));
    for ((name, rate), range) in rates.into_iter().zip([18..=26, 32..=42, 5..=25, 2..=4, 3..=7]) {
        assert!(range.contains(&rate), "{name}: {rate} tenths a permit, expected {range:?}");
    }
    let several = 4_000 - numbers.len();
    assert!((300..900).contains(&several), "{several} rows repeat a permit number");
}

#[test]
fn every_row_is_stored_without_a_flaw() {
    let city = city(&of(1_500));
    for dataset in DATASETS {
        let mut encoder = Encoder::new(dataset);
        let mut keys = BTreeSet::new();
        for row in parsed(&city[dataset.name]) {
            let mut line = String::new();
            encoder.encode(&row, &mut line).unwrap();
            let key = line.split('\t').next().unwrap().to_owned();
            // Inspections have no key of the city's, and two of one day may be alike.
            assert!(keys.insert(key) || dataset.key == Key::Digest, "{line}");
        }
        assert!(encoder.flaws().is_empty(), "{:?}", encoder.flaws());
    }
}

#[test]
fn the_landmark_has_its_permits_and_nothing_lies_after_today() {
    let options = of(600);
    let city = city(&options);
    let permits = parsed(&city["permits"]);
    let landmark = permits.iter().filter(|row| row["block"] == "3507" && row["lot"] == "004");
    let numbers: BTreeSet<_> = landmark
        .inspect(|row| assert_eq!((&row["street_number"], &row["street_name"]), (&"1455".into(), &"Market".into())))
        .map(|row| row["permit_number"].as_str().unwrap())
        .collect();
    assert_eq!(numbers.len(), 44);
    let today = format!("{}T24", options.today);
    for (name, lines) in &city {
        for row in parsed(lines) {
            for (field, value) in row.as_object().unwrap() {
                let late = value.as_str().is_some_and(|text| text.contains('T') && text.len() == 23 && *text > *today);
                assert!(!late, "{name}.{field} is {value}");
            }
        }
    }
}

#[test]
fn dates_of_a_permit_follow_each_other() {
    for row in parsed(&city(&of(2_000))["permits"]) {
        let dates = ["filed_date", "approved_date", "issued_date", "completed_date"];
        let days: Vec<_> = dates.iter().filter_map(|date| row[*date].as_str()).map(|text| &text[..10]).collect();
        assert!(days.is_sorted(), "{row}");
        assert!(row["status_date"].as_str().unwrap()[..10] >= *days[0], "{row}");
    }
}
