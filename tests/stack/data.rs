use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use futures_util::future::try_join_all;
use http::uri::PathAndQuery;
use seawall_xtask::process::Logs;
use seawall_xtask::project::Project;
use seawall_xtask::scratch;
use seawall_xtask::step::Steps;
use serde_json::{Value, json};

use crate::support::city::{Loaded, shared};
use crate::support::{City, Database, Visitor};

/// All that are loaded.
const DATASETS: [&str; 15] = [
    "permits",
    "contacts",
    "inspections",
    "addenda",
    "complaints",
    "violations",
    "electrical_permits",
    "plumbing_permits",
    "electrical_contacts",
    "plumbing_contacts",
    "plumbing_inspections",
    "tax_rolls",
    "businesses",
    "planning_projects",
    "planning_others",
];

/// The datasets of which real rows exist.
const REAL_DATASETS: [&str; 5] = ["permits", "contacts", "addenda", "complaints", "violations"];

/// Connections that ask side by side.
const SESSIONS: usize = 8;

/// Real rows of the city's, where a checkout has them beside it. They are no part of the project.
pub(crate) fn real_data() -> Option<PathBuf> {
    let folder = Project::here().path("../shared/data");
    if !folder.join("permits-slice.jsonl.gz").is_file() {
        println!("skipped: {} holds no real data", folder.display());
        return None;
    }
    Some(folder)
}

/// A database with the real rows in it.
struct RealCity {
    database: Database,
    folder: PathBuf,
}

impl RealCity {
    fn shared(folder: PathBuf) -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<RealCity>> = Mutex::new(Weak::new());
        shared(&SHARED, || {
            let database = Database::create("real")?;
            let stand_in = database.origin.stand_in(&folder, Logs::Keep)?;
            let load = database.ingest(&stand_in.url(), &REAL_DATASETS)?;
            ensure!(load.succeeded, "{}", load.text);
            Ok(Self { database, folder })
        })
    }

    /// The permit rows as the city published them: the fields that say who they are.
    fn permits(&self) -> Result<Vec<Published>> {
        let path = self.folder.join("permits-slice.jsonl.gz");
        let lines = BufReader::new(GzDecoder::new(File::open(path)?)).lines();
        lines.map(|line| Published::read(&serde_json::from_str(&line?)?)).collect()
    }
}

/// Who a published permit row is.
struct Published {
    record_id: String,
    permit_number: String,
    parcel: Option<(String, String)>,
}

impl Published {
    fn read(row: &Value) -> Result<Self> {
        let field = |name: &str| row[name].as_str().map(str::to_owned);
        let required = |name: &str| field(name).with_context(|| format!("a row without {name}: {row}"));
        Ok(Self {
            record_id: required("record_id")?,
            permit_number: required("permit_number")?,
            parcel: field("block").zip(field("lot")),
        })
    }
}

#[tokio::test]
async fn every_real_row_is_stored_and_a_repeat_changes_nothing() -> Result<()> {
    let Some(folder) = real_data() else { return Ok(()) };
    let city = RealCity::shared(folder)?;
    let before = city.database.contents().await?;
    let rows: BTreeMap<&str, i64> = before.iter().map(|(table, (rows, _))| (*table, *rows)).collect();
    let expected = [
        ("addenda", 77),
        ("businesses", 0),
        ("complaints", 1000),
        ("contacts", 19),
        ("inspections", 0),
        ("permits", 20_000),
        ("planning_records", 0),
        ("tax_rolls", 0),
        ("violations", 1000),
    ];
    assert_eq!(rows, BTreeMap::from(expected));
    assert_eq!(city.database.number("SELECT count(DISTINCT permit_number) FROM permits").await?, 17_113);

    let stand_in = city.database.origin.stand_in(&city.folder, Logs::Keep)?;
    let repeat = city.database.ingest(&stand_in.url(), &REAL_DATASETS)?;
    assert!(repeat.succeeded, "{}", repeat.text);
    for dataset in REAL_DATASETS {
        let rows = u64::try_from(rows[dataset])?;
        let unchanged =
            Loaded { read: rows, stored: rows, inserted: 0, updated: 0, unchanged: rows, deleted: 0, refused: 0 };
        assert_eq!(repeat.of(dataset)?, unchanged, "{dataset}");
    }
    assert_eq!(city.database.contents().await?, before);
    Ok(())
}

#[tokio::test]
async fn every_real_permit_number_is_found_by_search() -> Result<()> {
    let Some(folder) = real_data() else { return Ok(()) };
    let city = RealCity::shared(folder)?;
    let mut records: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in city.permits()? {
        records.entry(row.permit_number).or_default().insert(row.record_id);
    }
    assert_eq!(records.len(), 17_113);
    let site = city.database.serve()?;
    let check = |(number, records): &(String, BTreeSet<String>), found: &Value| {
        let hit = found["results"].as_array().into_iter().flatten().find(|hit| hit["permit_number"] == **number);
        let hit = hit.with_context(|| format!("search does not find {number}: {found}"))?;
        let places = hit["addresses"].as_array().into_iter().flatten();
        let shown: BTreeSet<String> =
            places.filter_map(|place| place["record_id"].as_str()).map(str::to_owned).collect();
        ensure!(shown == *records, "search finds {number} at {shown:?} and not at {records:?}");
        Ok(())
    };
    ask_all(site.visitor(), records.into_iter().collect(), |(number, _)| format!("/api/v1/search?q={number}"), check)
        .await
}

#[tokio::test]
async fn every_real_record_is_in_the_report_of_its_parcel() -> Result<()> {
    let Some(folder) = real_data() else { return Ok(()) };
    let city = RealCity::shared(folder)?;
    let mut parcels: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for row in city.permits()? {
        let parcel = row.parcel.with_context(|| format!("{} is on no parcel", row.record_id))?;
        parcels.entry(parcel).or_default().insert(row.record_id);
    }
    assert_eq!((parcels.len(), parcels.values().map(BTreeSet::len).sum::<usize>()), (7_749, 20_000));
    let site = city.database.serve()?;
    let check = |(parcel, records): &((String, String), BTreeSet<String>), report: &Value| {
        let permits = report["permits"].as_array().into_iter().flatten();
        let rows = permits
            .flat_map(|permit| [permit].into_iter().chain(permit["other_records"].as_array().into_iter().flatten()));
        let shown: BTreeSet<String> = rows.filter_map(|row| row["record_id"].as_str()).map(str::to_owned).collect();
        ensure!(shown == *records, "the report of {parcel:?} has {shown:?} and not {records:?}");
        Ok(())
    };
    let path = |((block, lot), _): &((String, String), _)| format!("/api/v1/report/{block}/{lot}");
    ask_all(site.visitor(), parcels.into_iter().collect(), path, check).await
}

/// Asks for every case and checks what is answered, over a few connections.
async fn ask_all<Case>(
    visitor: Visitor,
    cases: Vec<Case>,
    target: impl Fn(&Case) -> String,
    check: impl Fn(&Case, &Value) -> Result<()>,
) -> Result<()> {
    let next = Mutex::new(cases.iter());
    let (next, target, check) = (&next, &target, &check);
    let ask = || async move {
        let mut session = visitor.session().await?;
        // The lock is held for this statement only.
        while let Some(case) = next.lock().ok().and_then(|mut next| next.next()) {
            let target = target(case);
            ensure!(target.parse::<PathAndQuery>().is_ok(), "no target: {target}");
            let answer = session.get(&target).await?;
            ensure!(answer.status == 200, "{target} is {}: {}", answer.status, answer.text());
            check(case, &answer.json()?)?;
        }
        Ok(())
    };
    try_join_all((0..SESSIONS).map(|_| ask())).await.map(drop)
}

#[tokio::test]
async fn the_generated_city_loads_whole_and_a_repeat_changes_nothing() -> Result<()> {
    let city = City::shared()?;
    let database = Database::create("generated_twice")?;
    let stand_in = database.origin.stand_in(city.files(), Logs::Keep)?;
    let first = database.ingest(&stand_in.url(), &[])?;
    assert!(first.succeeded, "{}", first.text);
    let contents = database.contents().await?;
    let mut published = 0;
    for name in DATASETS {
        let lines = BufReader::new(File::open(city.files().join(format!("{name}.jsonl")))?).lines().count();
        assert_eq!(first.of(name)?.inserted, lines as u64, "{name}");
        published += lines;
    }
    let stored = contents.values().map(|(rows, _)| *rows).sum::<i64>();
    assert_eq!(usize::try_from(stored)?, published);

    let repeat = database.ingest(&stand_in.url(), &[])?;
    assert!(repeat.succeeded, "{}", repeat.text);
    for name in DATASETS {
        let loaded = repeat.of(name)?;
        assert_eq!((loaded.inserted, loaded.updated, loaded.deleted), (0, 0, 0), "{name}");
    }
    assert_eq!(database.contents().await?, contents);
    Ok(())
}

#[tokio::test]
async fn a_load_that_fails_leaves_the_data_as_it_was() -> Result<()> {
    let city = City::shared()?;
    let database = Database::create("failing_loads")?;
    let first = database.origin.stand_in(city.files(), Logs::Keep)?;
    assert!(database.ingest(&first.url(), &["permits"])?.succeeded);
    let before = database.contents().await?;

    // The city has changed since: every row of it would be another.
    let files = scratch::dir("other-city")?;
    Steps::new().run("generate another city", |step| database.origin.sample(2, 2500, files.path(), step))?;
    let other = database.origin.stand_in(files.path(), Logs::Keep)?;
    let faults = Visitor::local(other.port);
    let one_page_passes = json!({ "remaining": 2 });
    for (what, orders) in [
        ("the API answers with errors", vec![json!({ "status": 500 })]),
        ("the API fails in the middle", vec![one_page_passes.clone(), json!({ "status": 503 })]),
        ("the API is overloaded", vec![json!({ "status": 429, "retry_after": 3600 })]),
        ("a page breaks off", vec![json!({ "truncate": 5000 })]),
        ("the connection is lost", vec![one_page_passes.clone(), json!({ "drop": true })]),
        ("the API hangs", vec![one_page_passes, json!({ "delay_ms": 60_000 })]),
        ("rows are missing", vec![json!({ "omit": 1 })]),
    ] {
        for order in orders {
            let request = faults.ask("POST", "/stand-in/faults").field("content-type", "application/json");
            let answer = request.text(&order.to_string()).send().await?;
            ensure!(answer.status == 204, "{order} was refused: {}", answer.text());
        }
        // Short patience, for the API that hangs.
        let load = database.ingest_env(&[], &other.url(), &["permits"], &[("SODA_TIMEOUT", "2s")])?;
        assert!(!load.succeeded && load.text.contains("permits: failed: "), "{what}: {}", load.text);
        assert_eq!(database.contents().await?, before, "{what}");
        faults.ask("DELETE", "/stand-in/faults").send().await?;
    }

    // One failure is no reason to give up. That all rows are others has to be allowed.
    let request = faults.ask("POST", "/stand-in/faults").field("content-type", "application/json");
    request.text(&json!({ "status": 503, "remaining": 1 }).to_string()).send().await?;
    let load = database.ingest_with(&["--allow-shrink"], &other.url(), &["permits"])?;
    assert!(load.succeeded, "{}", load.text);
    assert_ne!(database.contents().await?, before);
    Ok(())
}

/// A publication in the city's API, at once or after so many pages.
async fn publish(stand_in: &Visitor, change: Value) -> Result<()> {
    let request = stand_in.ask("POST", "/stand-in/changes").field("content-type", "application/json");
    let answer = request.text(&change.to_string()).send().await?;
    ensure!(answer.status == 204, "{change} was refused: {}", answer.text());
    Ok(())
}

#[tokio::test]
async fn rows_that_change_while_they_are_read_are_neither_missed_nor_repeated() -> Result<()> {
    const PERMITS: &str = "i98e-djp9";
    let database = Database::create("changing")?;
    let files = scratch::dir("changing-city")?;
    let row = |number: u32, status: &str| {
        json!({":id": format!("row-{number:05}"), ":updated_at": "2026-01-01T00:00:00.000Z", "status": status,
               "record_id": number.to_string(), "permit_number": format!("P{number}")})
    };
    let lines: String = (1..=3_500).map(|number| format!("{}\n", row(number, "filed"))).collect();
    std::fs::write(files.path().join("permits.jsonl"), lines)?;
    let served = database.origin.stand_in(files.path(), Logs::Keep)?;
    let stand_in = Visitor::local(served.port);
    let change = |pages: u32, time: &str, set: Value, remove: Value| {
        json!({"dataset": PERMITS, "after_pages": pages, "updated_at": format!("2026-01-02T00:00:{time}.000Z"),
               "set": set, "remove": remove})
    };
    let statuses = async || -> Result<(i64, i64, i64)> {
        let one = database.number("SELECT count(*) FROM permits WHERE status = 'issued'").await?;
        Ok((
            database.number("SELECT count(*) FROM permits").await?,
            one,
            database.number("SELECT count(DISTINCT permit_number) FROM permits").await?,
        ))
    };

    // Pages have 1,000 rows. After the second, one row that was read changes, one that was not, and there are new ones
    // before and behind the place; an offset would by now have repeated one row and missed another.
    let set = json!([row(10, "issued"), row(3_000, "issued"), row(0, "issued"), row(9_000, "issued")]);
    publish(&stand_in, change(2, "10", set, json!([]))).await?;
    let load = database.ingest(&served.url(), &["permits"])?;
    assert!(load.succeeded, "{}", load.text);
    assert_eq!(statuses().await?, (3_502, 4, 3_502), "{}", load.text);

    // A row that was read and is gone: nobody can say which it was, so nothing changes, and the next load is right.
    publish(&stand_in, change(2, "20", json!([]), json!(["row-00005"]))).await?;
    let load = database.ingest(&served.url(), &["permits"])?;
    assert!(!load.succeeded && load.text.contains("withdrew 1 rows"), "{}", load.text);
    assert_eq!(statuses().await?.0, 3_502);
    assert!(database.ingest(&served.url(), &["permits"])?.succeeded);
    assert_eq!(statuses().await?.0, 3_501);

    // Changes alone: 1,500 rows of one moment, which two pages share; while they are read one of the first page changes
    // again, and a row of long ago.
    let many: Vec<_> = (1_001..=2_500).map(|number| row(number, "issued")).collect();
    publish(&stand_in, change(0, "30", json!(many), json!([]))).await?;
    publish(&stand_in, change(1, "40", json!([row(1_001, "complete"), row(7, "issued")]), json!([]))).await?;
    let load = database.ingest_with(&["--changes"], &served.url(), &["permits"])?;
    assert!(load.succeeded, "{}", load.text);
    let loaded = load.of("permits")?;
    assert_eq!((loaded.read, loaded.inserted, loaded.updated, loaded.deleted), (1_501, 0, 1_501, 0), "{}", load.text);
    assert_eq!(statuses().await?, (3_501, 4 + 1_499 + 1, 3_501));
    assert_eq!(database.number("SELECT count(*) FROM permits WHERE status = 'complete'").await?, 1);
    let again = database.ingest_with(&["--changes"], &served.url(), &["permits"])?;
    assert_eq!(again.of("permits")?.read, 0, "{}", again.text);

    // A dataset that was never read whole has no changes to load.
    let none = database.ingest_with(&["--changes"], &served.url(), &["contacts"])?;
    assert!(!none.succeeded && none.text.contains("without --changes"), "{}", none.text);
    Ok(())
}

#[tokio::test]
async fn implausible_dates_are_kept_apart() -> Result<()> {
    let database = Database::create("quarantine")?;
    let files = scratch::dir("dirty-dates")?;
    let row = |number: u32, date: &str| json!({"complaint_number": number.to_string(), "date_filed": date});
    let rows =
        [row(1, "0200-05-01T00:00:00.000"), row(2, "1960-01-01T00:00:00.000"), row(3, "2020-05-01T00:00:00.000")];
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    std::fs::write(files.path().join("complaints.jsonl"), lines)?;
    let stand_in = database.origin.stand_in(files.path(), Logs::Keep)?;
    for _ in 0..2 {
        let load = database.ingest(&stand_in.url(), &["complaints"])?;
        assert!(load.succeeded && load.text.contains("date_filed: an implausible date in 2 rows"), "{}", load.text);
        assert_eq!(database.number("SELECT count(*) FROM complaints").await?, 3);
        assert_eq!(database.number("SELECT count(date_filed) FROM complaints").await?, 1);
        let kept =
            "SELECT count(*) FROM ingest_quarantine WHERE dataset_id = 'gm2e-bten' AND column_name = 'date_filed'
            AND (row_key, value) IN (('1', '0200-05-01T00:00:00.000'), ('2', '1960-01-01T00:00:00.000'))";
        assert_eq!(database.number(kept).await?, 2);
    }
    Ok(())
}

#[tokio::test]
async fn a_generated_city_is_loaded_without_a_server() -> Result<()> {
    let database = Database::create("generated_at_once")?;
    let mut command = database.origin.command(&["load"]);
    command.args(["--generated", "2500"]);
    let output = command.output().context("cannot run the origin")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(database.number("SELECT count(*) FROM permits WHERE source = 'building'").await?, 2_500, "{text}");
    for table in ["contacts", "inspections", "addenda", "complaints", "violations", "tax_rolls", "businesses"] {
        assert!(database.number(&format!("SELECT count(*) FROM {table}")).await? > 100, "{table}");
    }
    Ok(())
}

#[tokio::test]
async fn a_load_that_would_take_away_too_much_changes_nothing() -> Result<()> {
    let city = City::shared()?;
    let database = Database::create("shrinking_loads")?;
    let whole = database.origin.stand_in(city.files(), Logs::Keep)?;
    assert!(database.ingest(&whole.url(), &["permits"])?.succeeded);
    let before = database.contents().await?;
    let text = std::fs::read_to_string(city.files().join("permits.jsonl"))?;
    let all = text.lines().count();
    let first = |rows: usize| text.lines().take(rows).map(|line| format!("{line}\n")).collect::<String>();
    let renamed = |field: &str| text.replace(&format!("\"{field}\":"), &format!("\"{field}_new\":"));

    for (what, permits, message, can_be_allowed) in [
        ("the key has another name", renamed("record_id"), "refused, most because record_id is missing", false),
        ("an optional field has another name", renamed("block"), "no row has a value for block,", true),
        ("a ninth of the rows is gone", first(all - all / 9), "rows would be deleted", true),
    ] {
        let files = scratch::dir("shrunk-city")?;
        std::fs::write(files.path().join("permits.jsonl"), permits)?;
        let shrunk = database.origin.stand_in(files.path(), Logs::Keep)?;
        let load = database.ingest(&shrunk.url(), &["permits"])?;
        assert!(!load.succeeded && load.text.contains(message), "{what}: {}", load.text);
        assert_eq!(database.contents().await?, before, "{what}");

        let load = database.ingest_with(&["--allow-shrink"], &shrunk.url(), &["permits"])?;
        assert_eq!(load.succeeded, can_be_allowed, "{what}: {}", load.text);
        assert_eq!(database.contents().await? == before, !can_be_allowed, "{what}");
        assert!(database.ingest(&whole.url(), &["permits"])?.succeeded, "{what}: the way back");
        assert_eq!(database.contents().await?, before, "{what}");
    }

    // A few rows go as they did.
    let files = scratch::dir("shrunk-city")?;
    std::fs::write(files.path().join("permits.jsonl"), first(all - all / 11))?;
    let shrunk = database.origin.stand_in(files.path(), Logs::Keep)?;
    let load = database.ingest(&shrunk.url(), &["permits"])?;
    assert_eq!(usize::try_from(load.of("permits")?.deleted)?, all / 11, "{}", load.text);
    Ok(())
}

#[tokio::test]
async fn a_search_is_bounded_in_contacts_and_in_rows() -> Result<()> {
    const CONTACTS_MAX: i64 = 2_000;
    const EXAMINED_MAX: i64 = 8_000;
    const ROWS_MAX: usize = 1_500;
    let database = Database::create("bounds")?;
    let add = async |rows: &str| {
        database.number(&format!("WITH rows AS ({rows} RETURNING 1) SELECT count(*) FROM rows")).await
    };
    // A page of permits, each with one address more than fits.
    let permits = "INSERT INTO permits (record_id, permit_number, block, lot, filed_date)
        SELECT permit || '-' || place, permit::text, '3507', '004', '2024-01-01'
        FROM generate_series(1001, 1025) permit, generate_series(1, 61) place";
    assert_eq!(add(permits).await?, 25 * 61);
    let contacts = |from: i64, to: i64| {
        format!(
            "INSERT INTO contacts (row_key, occurrence, source, permit_number, role, name)
             SELECT 'c' || n, 1, 'building', '1001', 'owner', 'Common Name' FROM generate_series({from}, {to}) n"
        )
    };
    let site = database.serve()?;

    let found = site.visitor().get("/api/v1/search?q=3507/004").await?.json()?;
    let hits = found["results"].as_array().context("no results")?;
    let rows = hits.iter().filter_map(|hit| hit["addresses"].as_array()).map(Vec::len).sum::<usize>();
    assert_eq!((hits.len(), rows), (25, ROWS_MAX), "{found}");

    for (from, to, at_least) in [(1, CONTACTS_MAX - 1, false), (CONTACTS_MAX, CONTACTS_MAX, true)] {
        assert_eq!(add(&contacts(from, to)).await?, to - from + 1);
        let found = site.visitor().get("/api/v1/search?q=common+name").await?.json()?;
        assert_eq!((&found["kind"], &found["total"]), (&json!("name"), &json!(1)), "{found}");
        assert_eq!(found["total_is_at_least"], at_least, "{to} contacts");
    }
    // More are looked at for those whose permits pass filters, up to a bound too.
    add(&contacts(CONTACTS_MAX + 1, EXAMINED_MAX - 1)).await?;
    let issued = "INSERT INTO permits (record_id, permit_number, status) VALUES ('issued', 'issued', 'issued')";
    assert_eq!(add(issued).await?, 1);
    let narrowed = async || site.visitor().get("/api/v1/search?q=common+name&status=issued").await?.json();
    let found = narrowed().await?;
    assert_eq!((&found["total"], &found["total_is_at_least"]), (&json!(0), &json!(false)), "{found}");
    add(&contacts(EXAMINED_MAX, EXAMINED_MAX).replace("'1001'", "'issued'")).await?;
    let found = narrowed().await?;
    assert_eq!((&found["total"], &found["total_is_at_least"]), (&json!(1), &json!(true)), "{found}");
    assert_eq!(found["results"][0]["permit_number"], "issued", "{found}");
    Ok(())
}
