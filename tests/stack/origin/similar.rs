use anyhow::{Context as _, Result, ensure};
use seawall_xtask::step::Steps;
use seawall_xtask::{process, scratch};
use serde_json::Value;

use super::backup::run as run_script;
use crate::support::cron::{WORKER, run};
use crate::support::{Database, Site};

/// Runs the job to its end; what it counted.
async fn refresh(site: &Site) -> Result<Value> {
    Ok(run(site, "similar-projects").await?["counts"].clone())
}

/// Reports judge by neighborhood without pgvector and by descriptions with it, and the extension may come and go while the
/// site serves.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn likeness_comes_and_goes_with_its_extension() -> Result<()> {
    let database = Database::create_with_vector("likeness")?;
    let load = database.origin.command(&["load", "--generated", "2000", "--seed", "1"]);
    Steps::new().run("load a city", |step| process::run("origin load", load, step))?;
    let site = Site::start_with(&database.origin, 0, &WORKER)?;
    let client = database.connect().await?;
    let parcel = client
        .query_one(
            "SELECT block, lot, lower(description) FROM permits WHERE description ~* 'kitchen' ORDER BY record_id LIMIT 1",
            &[],
        )
        .await?;
    let path = format!("/api/v1/report/{}/{}", parcel.get::<_, &str>(0), parcel.get::<_, &str>(1));
    let report = async || site.visitor().get(&path).await?.json();

    let counts = refresh(&site).await?;
    assert!(counts["skipped"].as_str().is_some_and(|why| why.contains("pgvector")), "{counts}");
    assert_eq!(report().await?["similar_by"], "neighborhood");

    client.batch_execute("CREATE EXTENSION vector").await?;
    let counts = refresh(&site).await?;
    let kept = database.number("SELECT count(*) FROM permit_vectors").await?;
    assert!(kept > 100 && counts["written"] == kept, "{kept} {counts}");
    let with = report().await?;
    assert_eq!(with["similar_by"], "description", "{with:#}");
    let similar = with["similar"].as_array().context("no list")?;
    assert!(!similar.is_empty());
    for permit in similar {
        assert_eq!(permit["status"].as_str().map(str::to_lowercase).as_deref(), Some("complete"), "{permit}");
        let here = (with["block"].as_str(), with["lot"].as_str());
        assert_ne!((permit["block"].as_str(), permit["lot"].as_str()), here, "one of the parcel's own: {permit}");
    }
    // Nothing is written for what has not changed, and what has is.
    assert_eq!(refresh(&site).await?["written"], 0);
    client
        .batch_execute(
            "UPDATE permits SET description = 'unheard of', estimated_cost = 1
        WHERE permit_number = (SELECT min(permit_number) FROM permit_vectors);
        UPDATE permits SET status = 'expired' WHERE permit_number = (SELECT max(permit_number) FROM permit_vectors)",
        )
        .await?;
    let counts = refresh(&site).await?;
    assert_eq!((&counts["written"], &counts["deleted"]), (&Value::from(1), &Value::from(1)));
    // A table this small is sorted more quickly than looked up.
    client.batch_execute("SET enable_sort = off").await?;
    let plan = client
        .query(
            "EXPLAIN SELECT permit_number FROM permit_vectors ORDER BY embedding <=>
                (SELECT embedding FROM permit_vectors LIMIT 1) LIMIT 40",
            &[],
        )
        .await?;
    let plan: String = plan.iter().map(|row| row.get::<_, String>(0) + "\n").collect();
    assert!(plan.contains("permit_vectors_embedding"), "{plan}");

    // A server that has never heard of the extension takes the backup.
    let folder = scratch::dir("backup-vectors")?;
    let file = folder.path().join("city.dump");
    let backup = run_script("backup.sh", &file, &database)?;
    ensure!(backup.status.success(), "{backup:?}");
    let elsewhere = Database::create_empty("restored_without_vector")?;
    let restore = run_script("restore.sh", &file, &elsewhere)?;
    ensure!(restore.status.success(), "{restore:?}");
    let permits = "SELECT count(*) FROM permits";
    assert_eq!(elsewhere.number(permits).await?, database.number(permits).await?);

    client.batch_execute("DROP EXTENSION vector CASCADE").await?;
    assert_eq!(report().await?["similar_by"], "neighborhood");
    client.batch_execute("CREATE EXTENSION vector").await?;
    assert_eq!(refresh(&site).await?["written"], kept - 1);
    assert_eq!(report().await?["similar_by"], "description");
    Ok(())
}
