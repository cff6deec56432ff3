use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::{Context, Result, ensure};
use seawall_xtask::process::Logs;
use seawall_xtask::scratch;
use serde_json::json;

use crate::support::{Database, Edge, Site, Visitor, soon};

/// Rows that no plan reads in order when it has an index: as many pages as a table of the city's has thousands.
const FILL: &str = "
    INSERT INTO permits (record_id, permit_number, permit_type_definition, status, filed_date, description, street_number,
        street_name, street_suffix, neighborhood, block, lot, estimated_cost)
    SELECT n::text, 'P' || n, 'otc alterations permit', (ARRAY['complete', 'issued', 'filed'])[1 + n % 3],
        timestamp '1990-01-01' + n * interval '4 hours', 'remodel of bathroom ' || md5(n::text), (n % 900)::text,
        'Street' || n % 300, 'St', 'Area ' || n % 40, lpad((n % 5000)::text, 4, '0'), lpad((n % 90)::text, 3, '0'), n
      FROM generate_series(1, 60000) n;
    INSERT INTO contacts (row_key, occurrence, source, permit_number, role, name, firm_name, license_number)
    SELECT n::text, 1, 'building', 'P' || n, 'contractor', 'Person ' || md5((n % 9000)::text), 'Firm ' || n % 9000,
        (100000 + n % 9000)::text FROM generate_series(1, 60000) n;
    INSERT INTO inspections (row_key, occurrence, source, reference_number)
    SELECT n::text, 1, 'building', 'P' || n FROM generate_series(1, 60000) n;
    INSERT INTO addenda (row_key, occurrence, application_number, addenda_number, station)
    SELECT n::text, 1, 'P' || n, 0, 'BLDG' FROM generate_series(1, 60000) n;
    INSERT INTO tax_rolls (row_key, occurrence, block, lot, tax_year)
    SELECT n::text, 1, lpad((n % 5000)::text, 4, '0'), lpad((n % 90)::text, 3, '0'), 2024
      FROM generate_series(1, 60000) n;
    INSERT INTO entities SELECT left(md5('license:' || (100000 + n)), 16), 'Person ' || md5(n::text), 'Firm ' || n,
        'contractor', (100000 + n)::text, NULL, 'license_number', 'medium', 6, 6, '{building}'
      FROM generate_series(0, 8999) n;
    INSERT INTO entity_permits SELECT left(md5('license:' || (100000 + n % 9000)), 16), 'P' || n, 'contractor'
      FROM generate_series(1, 60000) n;
    INSERT INTO search_terms SELECT 'entity', canonical_name, entity_id, permit_count FROM entities;
    ANALYZE";

/// Reads of whole tables that are large, since the server started.
async fn whole_reads(database: &Database) -> Result<BTreeMap<String, (i64, i64)>> {
    let client = database.connect().await?;
    let tables = "SELECT relname::text, seq_scan, coalesce(idx_scan, 0) FROM pg_stat_user_tables
        WHERE relname IN ('permits', 'contacts', 'inspections', 'addenda', 'tax_rolls', 'entities', 'entity_permits',
            'search_terms')";
    let rows = client.query(tables, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect())
}

#[tokio::test]
async fn no_search_and_no_report_reads_a_whole_table() -> Result<()> {
    let database = Database::create("plans")?;
    database.connect().await?.batch_execute(FILL).await?;
    let site = database.serve()?;
    let before = whole_reads(&database).await?;
    for (target, kind) in [
        ("/api/v1/search?q=permit+P123456", "none"),
        ("/api/v1/search?q=P00123", "none"),
        ("/api/v1/search?q=0123/033", "parcel"),
        ("/api/v1/search?q=120+Street120+St", "address"),
        ("/api/v1/search?q=Street120+St", "street"),
        ("/api/v1/search?q=Street120&status=issued&year=2001", "street"),
        ("/api/v1/search?q=Street120&after=2001-01-01T00:00:00_P1", "street"),
        ("/api/v1/search?q=Firm+1234", "name"),
        ("/api/v1/search?q=bathroom+remodel", "description"),
        ("/api/v1/search?q=persom+aab", "none"),
    ] {
        let answer = site.visitor().get(target).await?;
        ensure!(answer.status == 200, "{target} is {}: {}", answer.status, answer.text());
        let found = answer.json()?;
        assert_eq!(found["kind"].as_str().unwrap_or("none"), kind, "{target}: {found}");
    }
    let firm = database.connect().await?.query_one("SELECT min(entity_id) FROM entities", &[]).await?;
    for target in [
        "/api/v1/suggest?q=per".to_owned(),
        "/api/v1/report/0123/033".to_owned(),
        format!("/api/v1/firm/{}", firm.get::<_, String>(0)),
    ] {
        assert_eq!(site.visitor().get(&target).await?.status, 200, "{target}");
    }
    // The server writes what its sessions counted a moment later; reads by index show that it has.
    let counted = async {
        loop {
            let now = whole_reads(&database).await?;
            if ["tax_rolls", "entities", "search_terms"].iter().all(|table| now[*table].1 > before[*table].1) {
                return Ok::<_, anyhow::Error>(now);
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let after = soon("the server's counts", counted).await??;
    for (table, (whole, _)) in &before {
        // The test's own look for a firm reads that table.
        let own = i64::from(table == "entities");
        assert!(after[table].0 - whole <= own, "{table} was read whole {} times", after[table].0 - whole);
    }
    Ok(())
}

/// The pages of a search, one after the other.
async fn all_pages(site: &Site, query: &str) -> Result<Vec<String>> {
    let mut numbers = Vec::new();
    let mut after = String::new();
    loop {
        let found = site.visitor().get(&format!("/api/v1/search?q={query}{after}")).await?.json()?;
        let hits = found["results"].as_array().context("no results")?;
        numbers.extend(hits.iter().filter_map(|hit| hit["permit_number"].as_str()).map(str::to_owned));
        match found["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(numbers),
        }
    }
}

#[tokio::test]
async fn pages_of_results_show_every_permit_once_and_facets_count_them() -> Result<()> {
    let database = Database::create("pages")?;
    let rows = "INSERT INTO permits (record_id, permit_number, status, filed_date, street_name, street_suffix)
        SELECT n || '-' || place, 'P' || n, CASE WHEN n % 4 = 0 THEN 'issued' ELSE 'complete' END,
            CASE WHEN n % 10 > 0 THEN timestamp '2001-01-01' + (n / 7) * interval '1 day' END, 'Valencia', 'St'
          FROM generate_series(1, 1200) n, generate_series(1, 1 + n % 3) place; ANALYZE";
    database.connect().await?.batch_execute(rows).await?;
    let site = database.serve()?;
    let mut numbers = all_pages(&site, "valencia+st").await?;
    assert_eq!(numbers.len(), 1200);
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 1200);
    // The count has a bound, and says when it reaches it.
    let found = site.visitor().get("/api/v1/search?q=valencia").await?.json()?;
    assert_eq!(found["total_is_at_least"], true, "{found}");
    let narrowed = all_pages(&site, "valencia&status=issued&year=2001").await?;
    let expected = "SELECT count(DISTINCT permit_number) FROM permits WHERE status = 'issued'
        AND filed_date < '2002-01-01' AND filed_date >= '2001-01-01'";
    assert_eq!(narrowed.len() as i64, database.number(expected).await?);
    let found = site.visitor().get("/api/v1/search?q=valencia&status=issued&year=2001").await?.json()?;
    assert_eq!((&found["total"], &found["total_is_at_least"]), (&json!(narrowed.len()), &json!(false)));
    assert_eq!(found["facets"]["status"], json!({ "issued": narrowed.len() }));
    Ok(())
}

#[tokio::test]
async fn a_change_of_the_citys_shows_at_the_edge_and_drops_nothing_else() -> Result<()> {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    let database = Database::create("purging")?;
    let files = scratch::dir("purging-city")?;
    let row = |number: u32, lot: &str, status: &str| {
        json!({":id": format!("row-{number}"), ":updated_at": "2026-01-01T00:00:00.000Z", "status": status,
               "record_id": number.to_string(), "permit_number": format!("20150805{number:04}"), "block": "3507", "lot": lot})
    };
    let mut file = std::fs::File::create(files.path().join("permits.jsonl"))?;
    for row in [row(1, "004", "filed"), row(2, "005", "filed")] {
        writeln!(file, "{row}")?;
    }
    let stand_in = database.origin.stand_in(files.path(), Logs::Keep)?;
    let load = database.ingest(&stand_in.url(), &["permits"])?;
    ensure!(load.succeeded, "{}", load.text);
    let site = database.serve()?;
    let edge = Edge::before_with(&site.url(), &[("CONTROL_SECRET", SECRET)])?;
    let (changed, other) = ("/report/3507/004", "/report/3507/005");
    for page in [changed, other] {
        assert_eq!(edge.visitor(1).get(page).await?.status, 200);
        edge.until_stored(page).await?;
    }

    let city = Visitor::local(stand_in.port);
    let publish = city.ask("POST", "/stand-in/changes").field("content-type", "application/json");
    let publication = json!({"dataset": "i98e-djp9", "updated_at": "2026-01-02T00:00:00.000Z",
        "set": [row(1, "004", "complete")]});
    ensure!(publish.text(&publication.to_string()).send().await?.status == 204, "the change was refused");

    // An edge that is away fails no load: what it was not told waits.
    let away = [("EDGE_URL", "http://127.0.0.1:1"), ("EDGE_SECRET", SECRET)];
    let load = database.ingest_env(&["--changes"], &stand_in.url(), &["permits"], &away)?;
    ensure!(load.succeeded && load.text.contains("the next job tries again"), "{}", load.text);
    assert!(database.number("SELECT count(*) FROM purge_queue WHERE tag = 'parcel-3507-004'").await? == 1);
    assert!(!edge.visitor(1).get(changed).await?.text().contains("complete</span>"), "the edge still has the old page");

    let here = edge.url();
    let told = [("EDGE_URL", here.as_str()), ("EDGE_SECRET", SECRET)];
    let load = database.ingest_env(&["--changes"], &stand_in.url(), &["permits"], &told)?;
    ensure!(load.succeeded && load.text.contains("told the edge of"), "{}", load.text);
    assert_eq!(database.number("SELECT count(*) FROM purge_queue").await?, 0);
    let shown = edge.visitor(1).get(changed).await?;
    assert!(shown.text().contains("complete</span>"), "{}", shown.field("cache-status"));
    let kept = edge.visitor(1).get(other).await?;
    assert!(kept.field("cache-status").contains("hit"), "{}", kept.field("cache-status"));
    assert_eq!(kept.field("cache-tag"), "", "tags are for the edge alone");
    Ok(())
}
