use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::support::cron::{WORKER, run};
use crate::support::{Database, Site, until};

/// Contacts as the three datasets give them, and the permits that they stand on.
const CONTACTS: &str = "
    INSERT INTO permits (record_id, permit_number, status, filed_date, issued_date, estimated_cost, description, block, lot,
        street_number, street_name, street_suffix)
    SELECT n || '-' || lot, 'P' || n, 'issued', '2010-01-01'::timestamp + n * interval '1 day', '2011-01-01', 900000,
        'seismic retrofit', '3507', lot, '100', 'Market', 'St'
      FROM (VALUES (1, '004'), (2, '004'), (3, '004'), (4, '004'), (5, '005'), (6, '005'), (6, '004')) known (n, lot);
    INSERT INTO permits (record_id, permit_number, filed_date, block, lot, street_number, street_name, street_suffix) VALUES
        ('other street', 'P8', '2001-01-01', '3507', '006', '100', 'Mission', 'St'),
        ('other block', 'P9', '2001-01-01', '3508', '007', '100', 'Market', 'St');
    INSERT INTO contacts (row_key, occurrence, source, permit_number, role, name, firm_name, pts_agent_id, license_number,
        sf_business_license)
    SELECT row_number() OVER ()::text, 1, contact.* FROM (VALUES
        ('building', 'P1', 'architect', 'Ann Lee', NULL, '77', NULL, NULL),
        ('building', 'P2', 'architect', 'ANN  LEE.', NULL, '77', NULL, NULL),
        ('building', 'P1', 'engineer', 'Two Names', NULL, '78', NULL, NULL),
        ('building', 'P2', 'engineer', 'Names Two', NULL, '78', NULL, NULL),
        ('building', 'P1', 'contractor', 'Bob Ray', 'Ray Co', NULL, 'C-00123', NULL),
        ('building', 'P2', 'contractor', 'Bob Ray', 'Ray Co', NULL, ' c-00123 ', NULL),
        ('electrical', 'P3', 'contractor', 'Ray Electric', 'Ray Electric', NULL, 'C00123', NULL),
        ('plumbing', 'P3', 'contractor', 'Pipes', 'Pipes', NULL, '000456', NULL),
        ('plumbing', 'P4', 'contractor', 'Pipes', 'Pipes', NULL, '456', NULL),
        ('building', 'P4', 'other', 'Cy Dee', NULL, NULL, NULL, NULL),
        ('electrical', 'P4', 'contractor', 'CY-DEE', 'CY-DEE', NULL, '999', NULL),
        ('building', 'P5', 'other', 'Dot One', NULL, NULL, NULL, '0112'),
        ('building', 'P6', 'other', 'Dot Two', NULL, NULL, NULL, '112'),
        ('building', 'P5', 'owner', 'Eve Fox', NULL, NULL, NULL, NULL),
        ('building', 'P6', 'owner', 'eve fox', NULL, NULL, NULL, NULL),
        ('building', 'P6', 'owner', 'Flo Gray', NULL, NULL, NULL, NULL)
    ) contact (source, permit_number, role, name, firm_name, pts_agent_id, license_number, sf_business_license)";

async fn resolve(site: &Site) -> Result<Value> {
    until(async || Ok(site.visitor().get("/health/ready").await?.status == 200)).await?;
    run(site, "resolve-entities").await
}

#[tokio::test]
async fn people_and_firms_are_told_by_what_tells_them_and_permits_lead_to_them() -> Result<()> {
    let database = Database::create("people")?;
    let client = database.connect().await?;
    client.batch_execute(CONTACTS).await?;
    let site = Site::start_with(&database.origin, 0, &WORKER)?;
    assert_eq!(resolve(&site).await?["status"], "success");
    let known = "SELECT jsonb_agg(jsonb_build_array(
            upper(canonical_name), resolution_method, resolution_confidence, contact_count, permit_count, sources)
        ORDER BY upper(canonical_name)) FROM entities";
    let known: Value = client.query_one(known, &[]).await?.get(0);
    let expected = json!([
        ["ANN  LEE.", "pts_agent_id", "high", 2, 2, ["building"]],
        ["BOB RAY", "license_number", "medium", 3, 3, ["building", "electrical"]],
        ["CY-DEE", "license_number", "medium", 2, 1, ["building", "electrical"]],
        ["DOT ONE", "sf_business_license", "medium", 2, 2, ["building"]],
        ["EVE FOX", "name", "low", 2, 2, ["building"]],
        ["FLO GRAY", "singleton", "low", 1, 1, ["building"]],
        ["NAMES TWO", "singleton", "low", 1, 1, ["building"]],
        ["PIPES", "license_number", "medium", 2, 2, ["plumbing"]],
        ["TWO NAMES", "singleton", "low", 1, 1, ["building"]],
    ]);
    assert_eq!(known, expected, "{known:#}");

    // A permit says who stands on it, and each has a page; how much it needs attention, and what may go wrong.
    let permit = site.visitor().get("/api/v1/permit/P1").await?.json()?;
    let team = permit["team"].as_array().context("no team")?;
    let mut names = Vec::new();
    for member in team {
        let id = member["entity_id"].as_str().context("a member without a page")?;
        let firm = site.visitor().get(&format!("/api/v1/firm/{id}")).await?;
        ensure!(firm.status == 200, "{}", firm.text());
        assert_eq!(firm.json()?["canonical_name"], member["canonical_name"]);
        names.push(member["canonical_name"].as_str().unwrap_or_default().to_uppercase());
    }
    names.sort();
    assert_eq!(names, ["ANN  LEE.", "BOB RAY", "TWO NAMES"]);
    assert!(permit["severity"]["score"].as_u64().is_some_and(|score| score >= 80), "{}", permit["severity"]);
    let risks = permit["risks"].as_array().into_iter().flatten().filter_map(|risk| risk["risk_type"].as_str());
    assert_eq!(risks.collect::<Vec<_>>(), ["high_cost_project", "dormant_permit"], "{}", permit["risks"]);

    // The same contacts give the same people, at the same addresses.
    let addresses = "SELECT jsonb_agg(to_jsonb(entities) ORDER BY entity_id) FROM entities";
    let before: Value = client.query_one(addresses, &[]).await?.get(0);
    let again = resolve(&site).await?;
    assert_eq!(again["counts"]["entities"]["changed"], 0, "{again}");
    assert_eq!(client.query_one(addresses, &[]).await?.get::<_, Value>(0), before);
    Ok(())
}

#[tokio::test]
async fn a_report_names_the_lots_that_its_parcel_was_or_became() -> Result<()> {
    let database = Database::create("former_lots")?;
    database.connect().await?.batch_execute(CONTACTS).await?;
    let site = database.serve()?;
    let lots = async |lot: &str| -> Result<Value> {
        Ok(site.visitor().get(&format!("/api/v1/report/3507/{lot}")).await?.json()?["former_lots"].clone())
    };
    let lot = |lot: &str, permits: u32, first: &str, last: &str| {
        json!([{"lot": lot, "permits": permits,
        "first_filed": format!("{first}T00:00:00"), "last_filed": format!("{last}T00:00:00")}])
    };
    assert_eq!(lots("004").await?, lot("005", 2, "2010-01-06", "2010-01-07"));
    assert_eq!(lots("005").await?, lot("004", 5, "2010-01-02", "2010-01-07"));
    assert_eq!(lots("006").await?, json!([]), "another street");
    let page = site.visitor().get("/report/3507/004").await?.text();
    assert!(page.contains("/report/3507/005"), "{page}");
    Ok(())
}
