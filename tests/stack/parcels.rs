use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use seawall_xtask::process::Logs;
use seawall_xtask::scratch;
use serde_json::{Value, json};

use crate::data::real_data;
use crate::support::Database;

/// A parcel, the kinds of its risks, and of its findings.
type Expected = ((&'static str, &'static str), &'static [&'static str], &'static [&'static str]);

/// The parcels that occur in the files of permits, complaints, notices and taxes; and what their rows, read by a person with the
/// rules beside them, come to: risks, and where records do not fit. All permits under way are older than any may be.
const PARCELS: [Expected; 8] = [
    // A complaint of 2020 is active. Three permits are under way: of 7,000,000 (filed), of 1 and of 300,000 (issued).
    (
        ("0117", "016"),
        &[
            "active_complaint",
            "high_cost_project",
            "dormant_permit",
            "dormant_permit",
            "dormant_permit",
            "moderate_cost_project",
            "multiple_active_permits",
        ],
        &[],
    ),
    // Apartments in a permit and a hotel on the roll.
    (("0193", "021A"), &["dormant_permit"], &["assessor_mismatch"]),
    // Uses of hotels are in none of the five sets, so their words have to be the same.
    (("0326", "002"), &[], &["assessor_mismatch"]),
    (("0339", "016"), &["dormant_permit"], &["assessor_mismatch"]),
    (("0717", "004"), &["dormant_permit"], &["assessor_mismatch"]),
    (("0739", "009"), &[], &[]),
    // One permit is complete; of the other, 750,000 were estimated in 2020 and nothing revised.
    (("0741", "010A"), &["high_cost_project", "dormant_permit"], &[]),
    (
        ("1231", "020"),
        &[
            "dormant_permit",
            "dormant_permit",
            "moderate_cost_project",
            "moderate_cost_project",
            "multiple_active_permits",
        ],
        &[],
    ),
];

/// The rolls that are loaded begin with this year.
const FIRST_ROLL: i64 = 2022;

/// Statuses of permits on which work is still to be done, or allowed.
const OPEN: [&str; 8] = ["filed", "filing", "plancheck", "approved", "appeal", "suspend", "issued", "reinstated"];

fn read(folder: &Path, file: &str) -> Result<Vec<Value>> {
    let lines = BufReader::new(GzDecoder::new(File::open(folder.join(format!("{file}.jsonl.gz")))?)).lines();
    lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_default()
}

fn stands_on(row: &Value, parcel: (&str, &str)) -> bool {
    (text(row, "block"), text(row, "lot")) == parcel
}

/// What the city published of the eight parcels.
struct Raw {
    permits: Vec<Value>,
    complaints: Vec<Value>,
    violations: Vec<Value>,
    /// Of all permits, as far as they are known.
    contacts: Vec<Value>,
    addenda: Vec<Value>,
    taxes: Vec<Value>,
}

impl Raw {
    fn read(folder: &Path) -> Result<Self> {
        let here = |file: &str| -> Result<Vec<Value>> {
            let mut rows = read(folder, file)?;
            rows.retain(|row| PARCELS.iter().any(|(parcel, ..)| stands_on(row, *parcel)));
            Ok(rows)
        };
        Ok(Self {
            permits: here("permits-slice")?,
            complaints: here("complaints")?,
            violations: here("violations")?,
            contacts: read(folder, "contacts-excerpt")?,
            addenda: read(folder, "addenda")?,
            taxes: here("tax-parcels-derived")?,
        })
    }

    /// Rows as the city's API would send them. The file of taxes has one row for a parcel and its value as a whole; for the
    /// test it stands in one field of each year's roll, which says nothing of land or improvements.
    fn write(&self, folder: &Path) -> Result<()> {
        let rolls = self.taxes.iter().flat_map(|parcel| {
            let years = parcel["assessed_total_by_roll_year"].as_array().into_iter().flatten();
            years.filter(|year| year[0].as_i64() >= Some(FIRST_ROLL)).map(move |year| {
                let mut roll = parcel.clone();
                roll["closed_roll_year"] = json!(year[0].to_string());
                roll["assessed_land_value"] = json!(year[1].to_string());
                roll
            })
        });
        let files = [
            ("permits", self.permits.clone()),
            ("complaints", self.complaints.clone()),
            ("violations", self.violations.clone()),
            ("contacts", self.contacts.clone()),
            ("addenda", self.addenda.clone()),
            ("tax_rolls", rolls.collect()),
        ];
        for (name, rows) in files {
            let mut file = File::create(folder.join(format!("{name}.jsonl")))?;
            for (number, mut row) in rows.into_iter().enumerate() {
                row[":id"] = json!(format!("row-{number:06}"));
                row[":updated_at"] = json!("2026-01-01T00:00:00.000Z");
                writeln!(file, "{row}")?;
            }
        }
        Ok(())
    }
}

/// A date as reports write it.
fn date(raw: &str) -> String {
    raw.trim_end_matches(".000").to_owned()
}

/// The fields of each record, those of our names under the city's.
fn records(rows: &[&Value]) -> BTreeMap<String, [String; 12]> {
    let record = |row: &&Value| {
        // Numbers are texts to the city.
        let number = |field: &str| match &row[field] {
            Value::String(number) => number.parse().ok(),
            number => number.as_f64(),
        };
        let number = |field: &str| number(field).map(|number: f64| format!("{number:.2}")).unwrap_or_default();
        let fields = [
            text(row, "permit_number").to_owned(),
            text(row, "status").to_owned(),
            date(text(row, "filed_date")),
            date(text(row, "issued_date")),
            date(text(row, "completed_date")),
            number("estimated_cost"),
            number("revised_cost"),
            number("existing_units"),
            text(row, "existing_use").to_owned(),
            text(row, "street_number").to_owned(),
            text(row, "street_name").to_owned(),
            text(row, "description").to_owned(),
        ];
        (text(row, "record_id").to_owned(), fields)
    };
    rows.iter().map(record).collect()
}

/// Complaints, or notices and items, as often as they occur.
fn filed(rows: &[&Value]) -> Vec<[String; 4]> {
    let fields = |row: &&Value| {
        let [number, item, status] =
            ["complaint_number", "item_sequence_number", "status"].map(|field| text(row, field));
        [number.to_owned(), item.to_owned(), status.to_owned(), date(text(row, "date_filed"))]
    };
    let mut filed: Vec<_> = rows.iter().map(fields).collect();
    filed.sort();
    filed
}

/// Who stands on a permit: the names, or the firm's where there is none.
fn named(rows: &[&Value]) -> Vec<String> {
    let name = |row: &&Value| {
        // We have the city's two as one.
        let parts = ["name", "first_name", "last_name"].map(|field| text(row, field).trim());
        let name = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        if name.is_empty() { text(row, "firm_name").trim().to_owned() } else { name }
    };
    let mut names: Vec<_> = rows.iter().map(name).collect();
    names.sort();
    names
}

#[tokio::test]
async fn reports_of_the_eight_parcels_say_what_the_raw_rows_say() -> Result<()> {
    let Some(folder) = real_data() else { return Ok(()) };
    let raw = Raw::read(&folder)?;
    let files = scratch::dir("eight-parcels")?;
    raw.write(files.path())?;
    let database = Database::create("eight")?;
    let stand_in = database.origin.stand_in(files.path(), Logs::Keep)?;
    let datasets = ["permits", "contacts", "addenda", "complaints", "violations", "tax_rolls"];
    let load = database.ingest(&stand_in.url(), &datasets)?;
    ensure!(load.succeeded, "{}", load.text);
    let site = database.serve()?;
    for (parcel, expected_risks, expected_findings) in PARCELS {
        let path = format!("/api/v1/report/{}/{}", parcel.0, parcel.1);
        let report = site.visitor().get(&path).await?.json()?;
        let of = |rows: &'static str| report[rows].as_array().with_context(|| format!("{path} has no {rows}"));
        let here = |rows: &'_ [Value]| rows.iter().filter(|row| stands_on(row, parcel)).cloned().collect::<Vec<_>>();

        let permits = here(&raw.permits);
        let permits: Vec<&Value> = permits.iter().collect();
        let shown: Vec<&Value> = of("permits")?
            .iter()
            .flat_map(|permit| [permit].into_iter().chain(permit["other_records"].as_array().into_iter().flatten()))
            .collect();
        assert!(!permits.is_empty(), "{path}");
        assert_eq!(records(&shown), records(&permits), "{path}");
        let by_number: BTreeMap<&str, &Value> = permits.iter().map(|row| (text(row, "permit_number"), *row)).collect();
        let open = by_number.values().filter(|row| {
            row["completed_date"].is_null() && OPEN.contains(&text(row, "status").to_lowercase().as_str())
        });
        let listed = |list: &str| {
            let lists = of("permits")?.iter().filter_map(|permit| permit[list].as_array());
            anyhow::Ok(lists.flatten().collect::<Vec<_>>())
        };
        let contacts = raw.contacts.iter().filter(|row| by_number.contains_key(text(row, "permit_number")));
        assert_eq!(named(&listed("contacts")?), named(&contacts.collect::<Vec<_>>()), "{path}");
        assert_eq!(listed("inspections")?.len(), 0, "{path}: none are known");
        for permit in of("permits")? {
            let number = text(permit, "permit_number");
            let steps = raw.addenda.iter().filter(|row| text(row, "application_number") == number).count();
            assert!(permit["routing"]["total"].as_u64().unwrap_or_default() <= steps as u64, "{path} {number}");
        }

        let (complaints, violations) = (here(&raw.complaints), here(&raw.violations));
        let (complaints, violations): (Vec<_>, Vec<_>) = (complaints.iter().collect(), violations.iter().collect());
        assert!(!complaints.is_empty() && !violations.is_empty(), "{path}");
        assert_eq!(filed(&of("complaints")?.iter().collect::<Vec<_>>()), filed(&complaints), "{path}");
        assert_eq!(filed(&of("violations")?.iter().collect::<Vec<_>>()), filed(&violations), "{path}");
        let active =
            |rows: &[&Value]| rows.iter().filter(|row| text(row, "status").eq_ignore_ascii_case("active")).count();
        let summary = json!({
            "permits": by_number.len(),
            "open_permits": open.count(),
            "complaints": complaints.len(),
            "active_complaints": active(&complaints),
            "violations": violations.len(),
            "active_violations": active(&violations),
            "stalled_permits": 0,
            "last_filed": date(permits.iter().map(|row| text(row, "filed_date")).max().unwrap_or_default()),
        });
        assert_eq!(report["summary"], summary, "{path}");

        let taxes = here(&raw.taxes);
        let [tax] = &taxes[..] else { anyhow::bail!("{path}: {} rows of taxes", taxes.len()) };
        let mut years: Vec<(i64, i64)> = tax["assessed_total_by_roll_year"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|year| Some((year[0].as_i64()?, year[1].as_i64()?)))
            .filter(|(year, _)| *year >= FIRST_ROLL)
            .collect();
        years.sort_unstable_by(|a, b| b.cmp(a));
        let profile = &report["property"];
        let history = profile["history"].as_array().into_iter().flatten();
        let history: Vec<_> = history.filter_map(|year| Some((year[0].as_i64()?, year[1].as_f64()? as i64))).collect();
        assert_eq!(history, years, "{path}");
        assert_eq!(
            profile["assessed_value"].as_f64().map(|value| value as i64),
            years.first().map(|(_, value)| *value)
        );
        assert_eq!(text(profile, "use_definition"), text(tax, "use_definition"), "{path}");
        let built = text(tax, "year_property_built").parse::<f64>().ok().map(|year| year as i64);
        assert_eq!(profile["year_property_built"].as_i64(), built, "{path}");

        let kinds = |list: &'static str, kind: &str| {
            anyhow::Ok(of(list)?.iter().map(|found| text(found, kind).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(kinds("risks", "risk_type")?, expected_risks, "{path}");
        assert_eq!(kinds("findings", "type")?, expected_findings, "{path}");
    }
    Ok(())
}
