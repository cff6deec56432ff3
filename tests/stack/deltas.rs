use anyhow::{Result, ensure};
use seawall_xtask::process::Logs;
use seawall_xtask::scratch;
use serde_json::{Value, json};

use crate::support::{Database, Visitor};

/// A dataset as it is at first, and what is published of it later.
struct Story {
    name: &'static str,
    id: &'static str,
    before: Value,
    set: Value,
    remove: Value,
}

/// Rows whose keys change, rows without keys, several rows of one key, in one group and in two, rows that leave their group or
/// a dataset's condition, and groups that are written in several ways. Each dataset has a part that stays as it is.
fn stories() -> Vec<Story> {
    let contact = |id: &str, permit: &str, agent: Option<&str>, role: &str, first: &str| json!({":id": id, "permit_number": permit, "pts_agent_id": agent, "role": role, "first_name": first});
    let inspection = |id: &str, permit: &str, result: Option<&str>| json!({":id": id, "reference_number": permit, "scheduled_date": "2026-01-01T00:00:00.000", "result": result});
    let step = |id: &str, key: Option<&str>, permit: &str, result: Option<&str>| json!({":id": id, "primary_key": key, "application_number": permit, "station": "BLDG", "review_results": result});
    let notice = |id: &str, item: Option<&str>, status: &str| json!({":id": id, "complaint_number": "1", "item_sequence_number": item, "status": status});
    let trade = |id: &str, number: &str, house: &str| json!({":id": id, "permit_number": number, "street_number": house, "street_name": "Noe", "status": "issued"});
    let business = |id: &str, number: &str, location: Option<&str>, name: &str, end: Option<&str>| json!({":id": id, "certificate_number": number, "ttxid": location, "dba_name": name, "location_end_date": end});
    vec![
        Story {
            name: "contacts",
            id: "3pee-9qhc",
            before: json!([
                contact("a", "P1", Some("1"), "contractor", "Ann"),
                contact("b", "P1", None, "architect", "Bob"),
                contact("c", "P1", None, "architect", "Bob"),
                contact("d", "P3", Some("9"), "engineer", "Dan"),
                contact("e", "P3", Some("9"), "engineer", "Eve"),
                contact("f", "P9", None, "owner", "Fay"),
            ]),
            set: json!([
                contact("a", "P1", Some("1"), "architect", "Ann"),
                contact("b", "P1", None, "architect", "Rob"),
                contact("e", "P3", Some("9"), "engineer", "Adam"),
                contact("g", "P4", Some("2"), "designer", "Gus"),
            ]),
            remove: json!([]),
        },
        Story {
            name: "inspections",
            id: "vckc-dh2h",
            before: json!([
                inspection("a", "P1", None),
                inspection("b", "P1", None),
                inspection("c", "P1", Some("FAILED")),
                inspection("d", "P9", None),
                // One group in three spellings, of which one changes; then one that becomes known with a change.
                inspection("f", "M1", None),
                inspection("g", "M1 ", Some("FAILED")),
                inspection("h", "\tM1", Some("CANCELLED")),
                inspection("i", "M2 ", None),
            ]),
            set: json!([
                inspection("b", "P1", Some("PASSED")),
                inspection("e", "P2", None),
                inspection("f", "M1", Some("PASSED")),
                inspection("j", "  M2", None),
            ]),
            remove: json!(["c"]),
        },
        Story {
            name: "addenda",
            id: "87xy-gk8d",
            before: json!([
                step("a", Some("1"), "P1", None),
                step("b", None, "P1", None),
                step("c", Some("2"), "P1", None),
                // One key in three groups, of which one changes.
                step("d", Some("3"), "P3", Some("A")),
                step("e", Some("3"), "P4", Some("B")),
                step("f", Some("3"), "P5 ", Some("C")),
                // A row that goes to another group, and one of another key that stays with a third.
                step("g", Some("4"), "P6", None),
                step("h", Some("5"), "P6", None),
                step("i", Some("5"), "P7", None),
            ]),
            set: json!([
                step("a", Some("1"), "P1", Some("Approved")),
                step("b", None, "P1", Some("Issued Comments")),
                step("e", Some("3"), "P4", Some("Z")),
                step("g", Some("4"), "P8", None),
            ]),
            remove: json!([]),
        },
        Story {
            name: "violations",
            id: "nbtm-fbw5",
            before: json!([notice("a", Some("1"), "active"), notice("b", None, "active"), notice("c", None, "active")]),
            set: json!([notice("c", None, "not active")]),
            remove: json!(["a"]),
        },
        Story {
            name: "electrical_permits",
            id: "ftty-kx6y",
            before: json!([trade("a", "E1", "10"), trade("b", "E1", "20"), trade("c", "E2", "30")]),
            set: json!([trade("a", "E1", "11")]),
            remove: json!([]),
        },
        Story {
            name: "businesses",
            id: "g8m3-pdis",
            before: json!([
                business("a", "7", Some("7-1"), "One", None),
                business("b", "7", None, "Two", None),
                business("c", "8", Some("8-1"), "Three", None),
                business("d", "9", Some("8-1"), "Four", None),
            ]),
            set: json!([
                business("a", "7", Some("7-1"), "One", Some("2026-01-01T00:00:00.000")),
                business("b", "7", None, "Deux", None),
                business("d", "9", Some("8-1"), "Vier", None),
            ]),
            remove: json!([]),
        },
    ]
}

/// The rows as SODA sends them: what is null is absent, and all were published long ago.
fn lines(rows: &Value) -> String {
    let rows = rows.as_array().into_iter().flatten().map(|row| {
        let mut row = row.clone();
        if let Some(fields) = row.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
            fields.insert(":updated_at".to_owned(), json!("2026-01-01T00:00:00.000Z"));
        }
        format!("{row}\n")
    });
    rows.collect()
}

#[tokio::test]
async fn changes_end_where_a_whole_load_ends() -> Result<()> {
    let files = scratch::dir("deltas-city")?;
    let stories = stories();
    for story in &stories {
        std::fs::write(files.path().join(format!("{}.jsonl", story.name)), lines(&story.before))?;
    }
    let names: Vec<_> = stories.iter().map(|story| story.name).collect();
    let database = Database::create("deltas")?;
    let served = database.origin.stand_in(files.path(), Logs::Keep)?;
    let load = database.ingest(&served.url(), &names)?;
    ensure!(load.succeeded, "{}", load.text);
    let stand_in = Visitor::local(served.port);
    for story in &stories {
        let set: Vec<Value> = lines(&story.set).lines().map(serde_json::from_str).collect::<serde_json::Result<_>>()?;
        let change =
            json!({"dataset": story.id, "updated_at": "2026-01-02T00:00:00.000Z", "set": set, "remove": story.remove});
        let request = stand_in.ask("POST", "/stand-in/changes").field("content-type", "application/json");
        let answer = request.text(&change.to_string()).send().await?;
        ensure!(answer.status == 204, "{change} was refused: {}", answer.text());
    }
    let load = database.ingest_with(&["--changes"], &served.url(), &names)?;
    ensure!(load.succeeded, "{}", load.text);
    let whole = Database::create("deltas_whole")?;
    let other = whole.ingest(&served.url(), &names)?;
    ensure!(other.succeeded, "{}", other.text);
    let (ours, expected) = (database.contents().await?, whole.contents().await?);
    for (table, content) in &ours {
        assert_eq!(Some(content), expected.get(table), "{table} after changes:\n{}", load.text);
    }
    let again = database.ingest_with(&["--changes"], &served.url(), &names)?;
    for name in names {
        assert_eq!(again.of(name)?.read, 0, "{}", again.text);
    }

    // A version that notes no spellings loads it, whole or not: what it writes is as before migration 0015.
    let before = "UPDATE ingest_log SET last_fetched = now(), last_full = now() WHERE dataset_id = 'vckc-dh2h'";
    database.connect().await?.batch_execute(before).await?;
    let load = database.ingest_with(&["--changes"], &served.url(), &["inspections"])?;
    ensure!(!load.succeeded && load.text.contains("before a whole load of it by this version"), "{}", load.text);
    let load = database.ingest(&served.url(), &["inspections"])?;
    ensure!(load.succeeded, "{}", load.text);

    // With room for one, the one that is new is kept, whatever is known and read with it.
    let many = "INSERT INTO ingest_spellings SELECT 'vckc-dh2h', n::text, n || ' ' FROM generate_series(1, 9995) n";
    database.connect().await?.batch_execute(many).await?;
    let row = |id: &str, permit: &str| json!({":id": id, "reference_number": permit, "scheduled_date": "2026-01-01T00:00:00.000", "result": "AGAIN"});
    let set = json!([row("f", "M1"), row("k", "M3 ")]);
    let change = json!({"dataset": "vckc-dh2h", "updated_at": "2026-01-03T00:00:00.000Z", "set": set});
    let request = stand_in.ask("POST", "/stand-in/changes").field("content-type", "application/json");
    ensure!(request.text(&change.to_string()).send().await?.status == 204, "{change} was refused");
    let load = database.ingest_with(&["--changes"], &served.url(), &["inspections"])?;
    ensure!(load.succeeded, "{}", load.text);
    assert_eq!(database.number("SELECT count(*) FROM ingest_spellings WHERE spelling = 'M3 '").await?, 1);

    // Where as many values as are kept are written with blanks, the rest is not known.
    let load = database.ingest_with(&["--changes"], &served.url(), &["inspections"])?;
    ensure!(!load.succeeded && load.text.contains("10000 groups of rows of inspections"), "{}", load.text);
    let load = database.ingest(&served.url(), &["inspections"])?;
    ensure!(load.succeeded, "{}", load.text);
    // "M1 ", "\tM1", "M2 ", "  M2", "M3 ".
    assert_eq!(database.number("SELECT count(*) FROM ingest_spellings WHERE dataset_id = 'vckc-dh2h'").await?, 5);
    Ok(())
}

#[tokio::test]
async fn a_refused_row_that_changes_while_it_is_read_counts_once() -> Result<()> {
    let database = Database::create("refused_twice")?;
    let files = scratch::dir("refused-city")?;
    let row = |number: u32, record: bool, status: &str| {
        let mut row =
            json!({":id": format!("row-{number:05}"), "status": status, "permit_number": format!("P{number}")});
        if record {
            row["record_id"] = json!(number.to_string());
        }
        row
    };
    let rows: Vec<_> = (1..=1_500).map(|number| row(number, number > 2, "filed")).collect();
    std::fs::write(files.path().join("permits.jsonl"), lines(&json!(rows)))?;
    let served = database.origin.stand_in(files.path(), Logs::Keep)?;
    // After the first page: one stays as wrong as it was, one is mended, and one that was taken is spoilt.
    let set = json!([row(1, false, "issued"), row(2, true, "issued"), row(3, false, "issued")]);
    let change =
        json!({"dataset": "i98e-djp9", "after_pages": 1, "updated_at": "2026-01-02T00:00:00.000Z", "set": set});
    let request =
        Visitor::local(served.port).ask("POST", "/stand-in/changes").field("content-type", "application/json");
    ensure!(request.text(&change.to_string()).send().await?.status == 204, "the change was refused");
    let load = database.ingest(&served.url(), &["permits"])?;
    ensure!(load.succeeded, "{}", load.text);
    let loaded = load.of("permits")?;
    assert_eq!((loaded.read, loaded.inserted, loaded.refused), (1_500, 1_498, 2), "{}", load.text);
    let kept = "SELECT count(*) FROM ingest_refused WHERE row->>'permit_number' IN ('P1', 'P3')";
    assert_eq!(database.number(kept).await?, 2);
    assert_eq!(database.number("SELECT count(*) FROM permits WHERE permit_number = 'P3'").await?, 0);
    Ok(())
}
