use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::support::{Database, Site, until};

/// Rows that no plan reads in order when it has an index: as many pages as a table of the city's has thousands.
pub(crate) const FILL: &str = "
    INSERT INTO permits (record_id, permit_number, permit_type_definition, status, filed_date, description, street_number,
        street_name, street_suffix, neighborhood, block, lot, estimated_cost)
    SELECT n::text, 'P' || n, 'otc alterations permit', (ARRAY['complete', 'issued', 'filed'])[1 + n % 3],
        timestamp '1990-01-01' + n * interval '4 hours',
        (ARRAY['remodel of bathroom', 'reroofing', 'new sign', 'replace windows'])[1 + n % 4] || ' ' || md5((n % 99)::text),
        (n % 900)::text,
        'Street' || n % 300, 'St', CASE WHEN n % 2 = 0 THEN 'Mission' ELSE 'Area ' || n % 40 END, lpad((n % 5000)::text, 4, '0'), lpad((n % 90)::text, 3, '0'), n
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
    INSERT INTO search_terms SELECT 'entity', 'Firm ' || md5(n::text), n::text, n % 50 FROM generate_series(1, 20000) n;
    INSERT INTO search_terms VALUES ('entity', 'Firm Zuse', 'last', 50);
    INSERT INTO planning_records (row_key, occurrence, source, record_id, record_status, address, block, lot, open_date)
    SELECT n::text, 1, 'project', '2016-' || lpad(n::text, 6, '0') || 'PRJ', 'Open', n % 900 || ' STREET' || n % 300 || ' ST 94103',
        lpad((n % 5000)::text, 4, '0'), lpad((n % 90)::text, 3, '0'), timestamp '1990-01-01' + n * interval '4 hours'
      FROM generate_series(1, 60000) n;
    INSERT INTO search_terms SELECT 'street', 'Street' || n || ' St', '', 200 FROM generate_series(0, 299) n;
    INSERT INTO sitemap_parcels SELECT DISTINCT block, lot, 1 + lot::int / 50 FROM permits;
    ANALYZE";

/// What reading a large table took, since the server started.
#[derive(Clone, Copy)]
pub(crate) struct Reads {
    pub(crate) whole: i64,
    by_index: i64,
    rows_by_index: i64,
}

pub(crate) async fn reads(database: &Database) -> Result<BTreeMap<String, Reads>> {
    let client = database.connect().await?;
    // A session counts for itself and says so some seconds later, or at its end. So all of the site's end, and it opens others.
    let sessions =
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'seawall%'";
    let ended: Vec<i32> = client.query(sessions, &[]).await?.iter().map(|row| row.get(0)).collect();
    client.execute("SELECT pg_terminate_backend(pid) FROM unnest($1::int4[]) AS pid", &[&ended]).await?;
    let left = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY ($1)";
    until(async || Ok(client.query_one(left, &[&ended]).await?.get::<_, i64>(0) == 0)).await?;
    let tables = "SELECT relname::text, seq_scan, coalesce(idx_scan, 0), coalesce(idx_tup_fetch, 0)
          FROM pg_stat_user_tables
        WHERE relname IN ('permits', 'contacts', 'inspections', 'addenda', 'tax_rolls', 'entities', 'entity_permits',
            'search_terms', 'sitemap_parcels', 'permit_signals', 'permit_changes', 'planning_records', 'planning_changes')
          AND n_live_tup > 0";
    let rows = client.query(tables, &[]).await?;
    let read = |row: &tokio_postgres::Row| Reads { whole: row.get(1), by_index: row.get(2), rows_by_index: row.get(3) };
    Ok(rows.iter().map(|row| (row.get(0), read(row))).collect())
}

/// The same, of which all of `tables` were read by an index since.
pub(crate) async fn reads_after(
    database: &Database,
    before: &BTreeMap<String, Reads>,
    tables: &[&str],
) -> Result<BTreeMap<String, Reads>> {
    let after = reads(database).await?;
    for table in tables {
        ensure!(after[*table].by_index > before[*table].by_index, "{table} was not read");
    }
    Ok(after)
}

/// Asks for every kind of page and of search of a database that holds [`FILL`].
pub(crate) async fn no_page_reads_a_whole_table(database: &Database) -> Result<()> {
    let client = database.connect().await?;
    let site = database.serve()?;
    let firm: String = client.query_one("SELECT min(entity_id) FROM entities", &[]).await?.get(0);
    let before = reads(database).await?;
    for (target, kind) in [
        ("permit+P123456", "none"),
        ("P00123", "none"),
        ("0123/033", "parcel"),
        ("120+Street120+St", "address"),
        ("120+street120+street", "address"),
        ("2016-000123", "planning_record"),
        ("2016-000123prj", "planning_record"),
        ("Street120+St", "street"),
        ("Street121&status=issued&year=2001", "street"),
        ("Street120&after=2001-01-01T00:00:00_P1", "street"),
        ("mission", "neighborhood"),
        ("mission&year=2001", "neighborhood"),
        ("Firm+1234", "name"),
        ("Firm+1234&status=issued", "name"),
        ("bathroom+remodel", "description"),
        ("bathroom+remodel&status=issued&year=2001", "description"),
        ("-reroofing+bathroom&status=issued", "description"),
        ("persom+aab", "none"),
        ("permits+by+firm+1234", "name"),
    ] {
        let answer = site.visitor().get(&format!("/api/v1/search?q={target}")).await?;
        ensure!(answer.status == 200, "{target} is {}: {}", answer.status, answer.text());
        let found = answer.json()?;
        assert_eq!(found["kind"].as_str().unwrap_or("none"), kind, "{target}: {found}");
    }
    for target in [
        "/api/v1/suggest?q=fi",
        "/api/v1/suggest?q=firm+00",
        "/api/v1/suggest?q=120+stre",
        "/api/v1/suggest?q=2016-0001",
        "/api/v1/report/0123/033",
        "/api/v1/permit/P1",
        &format!("/api/v1/firm/{firm}"),
        "/sitemap.xml",
        "/sitemaps/reports-1.xml",
    ] {
        assert_eq!(site.visitor().get(target).await?.status, 200, "{target}");
    }
    let suggested = site.visitor().get("/api/v1/suggest?q=fi").await?.json()?;
    assert_eq!(suggested["suggestions"][0]["term"], "Firm Zuse", "the most used of all: {suggested}");
    // A misspelt street of an address, with the house; and words are taken for no street that somebody meant.
    let misspelt = site.visitor().get("/api/v1/search?q=120+Stret120+St").await?.json()?;
    assert_eq!(misspelt["similar"][0]["term"], "120 Street120 St", "{misspelt}");
    let words = site.visitor().get("/api/v1/search?q=bathroom+remodel").await?.json()?;
    assert_eq!(words["instead_of"], json!(null), "{words}");
    // Where permits are and where only the planning department has something, each once, and numbers in their order.
    for (typed, terms) in [
        ("120+street12", ["120 Street120 St"].as_slice()),
        ("2016-00012", &["2016-000120PRJ", "2016-000121PRJ"]),
        ("5+street30", &[]),
    ] {
        let suggested = site.visitor().get(&format!("/api/v1/suggest?q={typed}")).await?.json()?;
        let shown = suggested["suggestions"].as_array().into_iter().flatten().filter_map(|one| one["term"].as_str());
        assert_eq!(shown.take(2).collect::<Vec<_>>(), terms, "{typed}: {suggested}");
    }
    let tables = ["tax_rolls", "entities", "search_terms", "contacts", "planning_records"];
    let after = reads_after(database, &before, &tables).await?;
    for (table, Reads { whole, .. }) in &before {
        assert_eq!(after[table].whole, *whole, "{table} was read whole");
    }

    // What is rare in a large neighborhood is found without reading the neighborhood, and there are half of the permits.
    client
        .batch_execute("UPDATE permits SET status = 'revoked', permit_type_definition = 'sign' WHERE record_id = '2'")
        .await?;
    let before = reads(database).await?;
    let site = database.serve()?;
    for narrowed in ["status=revoked", "type=sign", "status=revoked&type=sign&year=1990"] {
        let found = site.visitor().get(&format!("/api/v1/search?q=mission&{narrowed}")).await?.json()?;
        assert_eq!(found["results"][0]["permit_number"], "P2", "{narrowed}: {found}");
    }
    let after = reads_after(database, &before, &["permits"]).await?;
    let read = after["permits"].rows_by_index - before["permits"].rows_by_index;
    assert!(read < NEIGHBORHOOD, "{read} rows were read");
    // Nor are the descriptions read of all that have the words, one of four.
    let before = after;
    let site = database.serve()?;
    for narrowed in ["status=revoked", "type=sign&year=1990"] {
        let found = site.visitor().get(&format!("/api/v1/search?q=new+sign&{narrowed}")).await?.json()?;
        assert_eq!((&found["kind"], &found["total"]), (&json!("description"), &json!(1)), "{narrowed}: {found}");
    }
    let after = reads_after(database, &before, &["permits"]).await?;
    let read = after["permits"].rows_by_index - before["permits"].rows_by_index;
    assert!(read < 100, "{read} rows were read");
    Ok(())
}

/// What the planning department has, by its number, address or parcel, with permits there and without; nothing of other numbers.
#[tokio::test]
async fn records_of_the_planning_department_lead_to_their_parcel() -> Result<()> {
    let database = Database::create("planning")?;
    let rows = "
        INSERT INTO planning_records (row_key, occurrence, source, record_id, record_status, address, block, lot, open_date) VALUES
            ('1', 1, 'project', '2016-007303PRJ', 'Open', '5 3RD STREET 94103', '3707', '057', '2016-01-01'),
            ('2', 1, 'other', '2016-007303CUA', 'Open', '5 3RD STREET 94103', '3707', '057', '2017-01-01'),
            ('3', 1, 'other', '2013.0627E', 'Closed', '1455 Market St.', '3507', '004', '2013-01-01'),
            ('4', 1, 'other', '2013.0628E', 'Closed', '55 3RD ST AND 10 JESSIE ST', '3707', '058', '2013-01-01'),
            ('5', 1, 'other', '2019-000001MIS', 'Open', NULL, NULL, NULL, '2019-01-01'),
            ('6', 1, 'project', '2018-000002PRJ', 'Open', '550 MISSION ROCK ST 94158', '8719', '006', '2018-01-01'),
            ('7', 1, 'project', '2018-000003PRJ', 'Open', '560 MISSION ST UNIT 5', '3708', '095', '2018-01-01'),
            ('8', 1, 'project', '2018-000004PRJ', 'Open', '560 MISSION BAY BLVD NORTH', '8711', '029', '2019-01-01');
        INSERT INTO permits (record_id, permit_number, status, street_number, street_name, street_suffix, block, lot) VALUES
            ('1', '201508053399', 'issued', '1455', 'Market', 'St', '3507', '004'),
            ('2', '201508053400', 'issued', '9', '03rd', 'St', '3707', '057'),
            ('3', '201508053401', 'issued', '1', 'Mission', 'St', '3708', '001')";
    database.connect().await?.batch_execute(rows).await?;
    let site = database.serve()?;
    for (text, kind, total, records, report) in [
        ("2016-007303", "planning_record", 1, ["2016-007303CUA", "2016-007303PRJ"].as_slice(), "/report/3707/057"),
        ("2016-007303prj", "planning_record", 1, &["2016-007303PRJ"], "/report/3707/057"),
        ("2013.0627E", "planning_record", 1, &["2013.0627E"], "/report/3507/004"),
        ("2019-000001", "planning_record", 0, &["2019-000001MIS"], ""),
        ("5+3rd+St", "address", 0, &["2016-007303CUA", "2016-007303PRJ"], "/report/3707/057"),
        ("5+Third+Street,+San+Francisco", "address", 0, &["2016-007303CUA", "2016-007303PRJ"], "/report/3707/057"),
        ("1455+market", "address", 1, &["2013.0627E"], ""),
        ("55+3rd+St", "address", 0, &["2013.0628E"], "/report/3707/058"),
        ("3707/058", "parcel", 0, &["2013.0628E"], "/report/3707/058"),
        ("5+3rd+St&status=issued", "address", 0, &["2016-007303CUA", "2016-007303PRJ"], "/report/3707/057"),
        // The beginning of another street's name is another street.
        ("550+Mission+St", "street", 1, &[], ""),
        ("550+Mission", "street", 1, &[], ""),
        ("550+Mission+Rock", "address", 0, &["2018-000002PRJ"], "/report/8719/006"),
        ("560+Mission", "address", 0, &["2018-000003PRJ"], "/report/3708/095"),
        ("560+Mission+St", "address", 0, &["2018-000003PRJ"], "/report/3708/095"),
        ("560+Mission+Bay+Blvd+N", "address", 0, &["2018-000004PRJ"], "/report/8711/029"),
        // It may be another street with another suffix.
        ("560+Mission+Ave", "address", 0, &["2018-000003PRJ"], ""),
    ] {
        let found = site.visitor().get(&format!("/api/v1/search?q={text}")).await?.json()?;
        let shown: Vec<_> = found["planning"].as_array().into_iter().flatten().map(|one| &one["record_id"]).collect();
        assert_eq!((&found["kind"], &found["total"]), (&json!(kind), &json!(total)), "{text}: {found}");
        assert_eq!(shown, records.iter().map(|id| json!(id)).collect::<Vec<_>>().iter().collect::<Vec<_>>(), "{text}");
        assert_eq!(found["report"].as_str().unwrap_or_default(), report, "{text}: {found}");
        let page = site.visitor().get(&format!("/search?q={text}")).await?.text();
        assert!(records.iter().all(|id| page.contains(id)) && !page.contains("with these filters"), "{text}: {page}");
        let says = ["No permit is known there", "Nothing has this street suffix"].map(|note| page.contains(note));
        assert_eq!(says, [total == 0, text.ends_with("Ave")], "{text}: {page}");
    }
    // Permits that only the filters leave out are known.
    for text in ["1455+market", "2013.0627E"] {
        let narrowed = format!("search?q={text}&status=expired");
        let found = site.visitor().get(&format!("/api/v1/{narrowed}")).await?.json()?;
        assert_eq!((&found["total"], &found["filters_leave_nothing"]), (&json!(0), &json!(true)), "{found}");
        let page = site.visitor().get(&format!("/{narrowed}")).await?.text();
        assert!(page.contains("with these filters</h1>") && page.contains("2013.0627E"), "{text}: {page}");
        assert!(!page.contains("No permit is known there"), "{text}: {page}");
    }
    // The records of a number are counted, and with filters what those choose among.
    for (filter, headline) in [("", "<h1>1 planning record for"), ("&status=issued", "<h1>1 permit for")] {
        let page = site.visitor().get(&format!("/search?q=2013.0627E{filter}")).await?.text();
        assert!(page.contains(headline), "{headline}: {page}");
    }
    // An export has of an address what its page has, and goes on to the street where the page does.
    for (text, rows) in [("5+3rd+St", 0), ("550+Mission+St", 1)] {
        let job = site.visitor().ask("POST", &format!("/api/v1/exports?q={text}")).send().await?.field("location");
        until(async || Ok(site.visitor().get(&job).await?.json()?["state"] == "done")).await?;
        let csv = site.visitor().get(&format!("{job}/result")).await?.text();
        assert_eq!(csv.lines().count(), 1 + rows, "{text}: {csv}");
    }
    let none = site.visitor().get("/api/v1/search?q=2016-007304").await?.json()?;
    assert_eq!((&none["kind"], &none["planning"]), (&json!(null), &json!([])), "{none}");
    // Its parcel has a report though no permit is known there.
    let page = site.visitor().get("/report/3707/058").await?;
    assert!(page.status == 200 && page.text().contains("55 3RD ST"), "{}", page.text());
    let suggested = site.visitor().get("/api/v1/suggest?q=5+3r").await?.json()?;
    assert_eq!(suggested["suggestions"][0]["href"], "/report/3707/057", "{suggested}");
    Ok(())
}

/// Permits of the largest neighborhood.
const NEIGHBORHOOD: i64 = 30_000;

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

/// Permits of one to four rows, which differ in date, status and place, with dates that many share and without.
const TIES: &str = "
    INSERT INTO permits (record_id, permit_number, permit_type_definition, status, filed_date, description, street_name,
        street_suffix, neighborhood, block, lot)
    SELECT n || '-' || place, 'P' || n, (ARRAY['sign', 'demolitions'])[1 + (a + place) % 2],
        (ARRAY['issued', 'complete', 'filed'])[1 + (b + place) % 3],
        CASE WHEN (a + place * 5) % 11 > 0 THEN timestamp '2001-12-20' + (b + place * 7) % 20 * interval '1 day' END,
        CASE WHEN (b + place) % 2 = 0 THEN 'new kitchen' ELSE 'roof' END,
        (ARRAY['Valencia', 'Guerrero', '02nd', '2nd'])[1 + (a + place) % 4], 'St',
        (ARRAY['Mission', 'Noe Valley'])[1 + (b + place) % 2], '3507', lpad(((a + place) % 3)::text, 3, '0')
      FROM generate_series(1, 300) n, generate_series(0, 3) place,
           LATERAL (SELECT abs(hashtext('a' || n)) % 1000 AS a, abs(hashtext('b' || n)) % 1000 AS b) random
     WHERE place <= n % 4;
    INSERT INTO contacts (row_key, occurrence, source, permit_number, role, name)
    SELECT n || '-' || again, 1, 'building', 'P' || n, 'contractor', 'Ann Builder'
      FROM generate_series(1, 400) n, generate_series(1, 2) again WHERE n % 3 > 0;
    ANALYZE";

#[tokio::test]
async fn pages_fit_together_whatever_the_rows_of_a_permit_are() -> Result<()> {
    let database = Database::create("ties")?;
    let client = database.connect().await?;
    client.batch_execute(TIES).await?;
    let site = database.serve()?;
    for (query, condition) in [
        ("valencia+st", "street_name = 'Valencia'"),
        ("2nd+street", "street_name IN ('02nd', '2nd')"),
        ("2nd+street&status=issued", "street_name IN ('02nd', '2nd') AND status = 'issued'"),
        ("mission", "neighborhood = 'Mission'"),
        ("mission&type=sign", "neighborhood = 'Mission' AND permit_type_definition = 'sign'"),
        ("mission&year=2001", "neighborhood = 'Mission' AND extract(year FROM filed_date) = 2001"),
        ("3507/001", "block = '3507' AND lot = '001'"),
        ("ann+builder", "permit_number IN (SELECT permit_number FROM contacts)"),
        ("ann+builder&status=filed", "permit_number IN (SELECT permit_number FROM contacts) AND status = 'filed'"),
        ("new+kitchen", "description = 'new kitchen'"),
        ("new+kitchen&year=2002", "description = 'new kitchen' AND extract(year FROM filed_date) = 2002"),
    ] {
        let whole = format!(
            "SELECT permit_number FROM permits WHERE {condition} GROUP BY permit_number
             ORDER BY max(coalesce(filed_date, '-infinity')) DESC, permit_number DESC"
        );
        let expected: Vec<String> = client.query(&whole, &[]).await?.iter().map(|row| row.get(0)).collect();
        assert!(expected.len() > 50, "{query} has {} permits, two pages or fewer", expected.len());
        assert_eq!(all_pages(&site, query).await?, expected, "{query}");
    }
    Ok(())
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
    // Filters that leave nothing of the street do not look for its name elsewhere, and can be seen to be taken back.
    let others =
        "INSERT INTO permits (record_id, permit_number, status, description) VALUES ('o', 'O', 'expired', 'valencia')";
    database.connect().await?.batch_execute(others).await?;
    let none = site.visitor().get("/api/v1/search?q=valencia&status=expired").await?.json()?;
    assert_eq!((&none["kind"], &none["total"], &none["results"]), (&found["kind"], &json!(0), &json!([])), "{none}");
    assert!(none["facets"]["status"]["issued"].as_i64().is_some_and(|issued| issued > 0), "{none}");
    // A place that no page names, in a year that the database does not hold.
    let wrong = site.visitor().get("/api/v1/search?q=valencia&after=-009000-01-01T00:00:00_1").await?;
    assert_eq!(wrong.status, 400, "{}", wrong.text());
    Ok(())
}
