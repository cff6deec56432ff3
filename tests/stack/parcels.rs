use std::collections::{BTreeMap, BTreeSet};
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

/// The parcels that occur in the files of permits, complaints, notices and taxes.
const PARCELS: [(&str, &str); 8] = [
    ("0117", "016"),
    ("0193", "021A"),
    ("0326", "002"),
    ("0339", "016"),
    ("0717", "004"),
    ("0739", "009"),
    ("0741", "010A"),
    ("1231", "020"),
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
            rows.retain(|row| PARCELS.iter().any(|parcel| stands_on(row, *parcel)));
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
fn records(rows: &[&Value]) -> BTreeMap<String, [String; 5]> {
    let record = |row: &&Value| {
        let cost = match &row["estimated_cost"] {
            Value::String(cost) => cost.parse().unwrap_or_default(),
            cost => cost.as_f64().unwrap_or_default(),
        };
        let fields = [
            text(row, "permit_number").to_owned(),
            text(row, "status").to_owned(),
            date(text(row, "filed_date")),
            format!("{cost:.2}"),
            text(row, "description").to_owned(),
        ];
        (text(row, "record_id").to_owned(), fields)
    };
    rows.iter().map(record).collect()
}

/// Numbers of complaints, or of notices and items, as often as they occur.
fn numbers(rows: &[&Value]) -> Vec<(String, String)> {
    let number =
        |row: &&Value| (text(row, "complaint_number").to_owned(), text(row, "item_sequence_number").to_owned());
    let mut numbers: Vec<_> = rows.iter().map(number).collect();
    numbers.sort();
    numbers
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
    for parcel in PARCELS {
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
        let count =
            |rows: &[Value]| rows.iter().filter(|row| by_number.contains_key(text(row, "permit_number"))).count();
        let listed = |list: &str| {
            let lists = of("permits")?.iter().map(|permit| permit[list].as_array().map_or(0, Vec::len));
            anyhow::Ok(lists.sum::<usize>())
        };
        assert_eq!(listed("contacts")?, count(&raw.contacts), "{path}");
        assert_eq!(listed("inspections")?, 0, "{path}: none are known");
        for permit in of("permits")? {
            let number = text(permit, "permit_number");
            let steps = raw.addenda.iter().filter(|row| text(row, "application_number") == number).count();
            assert!(permit["routing"]["total"].as_u64().unwrap_or_default() <= steps as u64, "{path} {number}");
        }

        let (complaints, violations) = (here(&raw.complaints), here(&raw.violations));
        let (complaints, violations): (Vec<_>, Vec<_>) = (complaints.iter().collect(), violations.iter().collect());
        assert!(!complaints.is_empty() && !violations.is_empty(), "{path}");
        assert_eq!(numbers(&of("complaints")?.iter().collect::<Vec<_>>()), numbers(&complaints), "{path}");
        assert_eq!(numbers(&of("violations")?.iter().collect::<Vec<_>>()), numbers(&violations), "{path}");
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

        let risks: BTreeSet<_> =
            report["risks"].as_array().into_iter().flatten().map(|risk| text(risk, "risk_type")).collect();
        assert_eq!(risks.contains("active_complaint"), active(&complaints) > 0, "{path}: {risks:?}");
        assert_eq!(risks.contains("active_violation"), active(&violations) > 0, "{path}: {risks:?}");
    }
    Ok(())
}
