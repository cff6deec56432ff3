use anyhow::{Context, Result};
use serde_json::json;

use crate::support::{Database, Site};

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
