use std::io::Write as _;
use std::time::Duration;

use anyhow::{Result, ensure};
use seawall_xtask::process::Logs;
use seawall_xtask::scratch;
use serde_json::json;

use crate::support::{Answer, Database, Edge, Reply, Upstream, Visitor, until};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const PAGE: &str = "/methodology";

/// An origin that counts its answers, and a Worker in two isolates before it.
async fn site() -> Result<(Upstream, Edge)> {
    let mut version = 0;
    let upstream = Upstream::start(move |_| {
        version += 1;
        Reply::text(format!("version {version}")).field("cache-tag", "pages").field("content-length", "9")
    })
    .await?;
    let variables = [("CONTROL_SECRET", SECRET), ("TEST_ELSEWHERE", "yes")];
    let edge = Edge::before_with(&upstream.url(), &variables)?;
    Ok((upstream, edge))
}

async fn purge(visitor: &Visitor, json: &str) -> Result<Answer> {
    let ask = visitor.ask("POST", "/__seawall/purge").field("authorization", &format!("Bearer {SECRET}"));
    ask.text(json).send().await
}

#[tokio::test]
async fn a_purge_in_one_isolate_is_effective_in_another_within_five_seconds() -> Result<()> {
    let (_upstream, edge) = site().await?;
    let (here, there) = (edge.visitor(1), edge.visitor_elsewhere()?);
    assert_eq!(here.get(PAGE).await?.text(), "version 1");
    edge.until_stored(PAGE).await?;
    // Both isolates have it in memory now, and know that nothing was purged.
    for _ in 0..3 {
        assert_eq!(there.get(PAGE).await?.text(), "version 1");
    }
    edge.advance_both(Duration::from_secs(10)).await?;
    assert_eq!(there.get(PAGE).await?.text(), "version 1");

    let answer = purge(&here, r#"{"tags": ["pages"]}"#).await?;
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"purges":1,"effective_within_s":5}"#));
    assert_eq!(here.get(PAGE).await?.text(), "version 2", "at once where it was asked for");
    edge.until_stored(PAGE).await?;
    edge.advance_both(Duration::from_secs(5)).await?;
    let seen = there.get(PAGE).await?;
    assert_eq!(seen.text(), "version 2", "{}", seen.field("cache-status"));
    Ok(())
}

#[tokio::test]
async fn a_purge_outlives_its_isolates_and_a_log_that_is_away() -> Result<()> {
    let (upstream, edge) = site().await?;
    let (here, there) = (edge.visitor(1), edge.visitor_elsewhere()?);
    here.get(PAGE).await?;
    edge.until_stored(PAGE).await?;
    edge.advance_both(Duration::from_secs(60)).await?;
    edge.set_purge_log(false).await?;
    assert_eq!(purge(&here, r#"{"all": true}"#).await?.status, 503);
    let stored = there.get(PAGE).await?;
    assert_eq!((stored.text().as_str(), upstream.calls().len()), ("version 1", 1), "the site stays up");

    edge.set_purge_log(true).await?;
    edge.advance_both(Duration::from_secs(10)).await?;
    assert_eq!(purge(&here, r#"{"urls": ["http://permits.example/other"]}"#).await?.status, 200);
    assert_eq!(there.get(PAGE).await?.text(), "version 1", "another page");
    assert_eq!(purge(&there, r#"{"all": true, "soft": true}"#).await?.status, 200);
    edge.advance_both(Duration::from_secs(5)).await?;
    let stale = here.get(PAGE).await?;
    assert!(stale.field("cache-status").contains("detail=stale-while-revalidate"), "{}", stale.field("cache-status"));
    until(async || Ok(here.get(PAGE).await?.text() == "version 2")).await
}

#[tokio::test]
async fn only_who_has_the_secret_may_purge() -> Result<()> {
    let (upstream, edge) = site().await?;
    for authorization in ["", "Bearer wrong", "Basic 0123456789abcdef0123456789abcdef"] {
        let ask = edge.visitor(1).ask("POST", "/__seawall/purge").field("authorization", authorization);
        let refused = ask.text(r#"{"all": true}"#).send().await?;
        assert_eq!(refused.status, 401, "{authorization:?}");
    }
    let closed = Edge::before(&upstream.url())?;
    assert_eq!(purge(&closed.visitor(1), r#"{"all": true}"#).await?.status, 404, "no secret, no path");
    Ok(())
}

#[tokio::test]
async fn a_change_of_the_citys_shows_at_the_edge_and_drops_nothing_else() -> Result<()> {
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
    let away = [("PURGE_URL", "http://127.0.0.1:1"), ("PURGE_SECRET", SECRET)];
    let load = database.ingest_env(&["--changes"], &stand_in.url(), &["permits"], &away)?;
    ensure!(load.succeeded && load.text.contains("the next job tries again"), "{}", load.text);
    assert!(database.number("SELECT count(*) FROM purge_queue WHERE tag = 'parcel-3507-004'").await? == 1);
    assert!(!edge.visitor(1).get(changed).await?.text().contains("complete</span>"), "the edge still has the old page");

    let here = edge.url();
    let told = [("PURGE_URL", here.as_str()), ("PURGE_SECRET", SECRET)];
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
