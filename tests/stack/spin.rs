use anyhow::Result;
use seawall_scenarios::Platform;

use crate::scenarios::play_all;
use crate::support::{Edge, Reply, Upstream};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn every_scenario_passes_on_spin() -> Result<()> {
    play_all(Platform::Spin, Edge::on_spin).await
}

/// Each request has an instance of its own, so that all of them know only what the key-value store says.
#[tokio::test]
async fn a_purge_of_each_kind_reaches_every_instance() -> Result<()> {
    let mut version = 0;
    let upstream = Upstream::start(move |_| {
        version += 1;
        let page = Reply::text(format!("version {version:2}")).field("content-length", "10");
        page.field("cache-tag", "pages").field("cache-groups", "\"all\"")
    })
    .await?;
    let secret = format!("control_secret={SECRET}");
    let edge = Edge::on_spin_with(&upstream.url(), &["--concurrency", "1", "--reuse", "1", "--variable", &secret])?;
    let visitor = edge.visitor(1);
    let host = edge.host();
    for (json, is_soft) in [
        (format!(r#"{{"urls": ["http://{host}/methodology"]}}"#), false),
        (format!(r#"{{"prefixes": ["http://{host}/meth"]}}"#), false),
        (r#"{"tags": ["pages"]}"#.to_owned(), false),
        (format!(r#"{{"groups": ["all"], "origin": "http://{host}"}}"#), false),
        (r#"{"all": true}"#.to_owned(), false),
        (r#"{"all": true, "soft": true}"#.to_owned(), true),
    ] {
        edge.until_stored("/methodology").await?;
        let stored = visitor.get("/methodology").await?.text();
        let ask = visitor.ask("POST", "/__seawall/purge").field("authorization", &format!("Bearer {SECRET}"));
        let answer = ask.text(&json).send().await?;
        assert_eq!(answer.status, 200, "{json}: {}", answer.text());
        let after = visitor.get("/methodology").await?;
        assert_eq!(after.text() == stored, is_soft, "{json}: {}", after.field("cache-status"));
        assert_eq!(after.field("cache-status").contains("stale-while-revalidate"), is_soft, "{json}");
    }
    Ok(())
}
