use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use seawall_scenarios::Platform;
use seawall_xtask::scratch;

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

/// More entries than may stay, and more of them ended than a sweep looks at: sweeps bring both down, and take what ends
/// soonest.
#[tokio::test]
async fn a_sweep_keeps_the_store_within_its_bounds() -> Result<()> {
    let folder = scratch::dir("key-value")?;
    let file = |kind: &str, entry: u32| {
        let name = format!("{kind}/{entry:064x}");
        folder.path().join(name.bytes().map(|byte| format!("{byte:02x}")).collect::<String>())
    };
    // The host's clock is two minutes ahead of this one at its start.
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    for entry in 0..ENTRIES_MAX + 300 {
        let ends_ms = if entry < 300 { now_ms - 1 } else { now_ms + 600_000 };
        std::fs::write(file("ends", entry), ends_ms.to_be_bytes())?;
        std::fs::write(file("response", entry), "x")?;
    }
    let marks = || -> Result<u32> {
        let start: String = "ends/".bytes().map(|byte| format!("{byte:02x}")).collect();
        let names = std::fs::read_dir(folder.path())?.filter_map(Result::ok);
        Ok(names.filter(|file| file.file_name().to_str().is_some_and(|name| name.starts_with(&start))).count() as u32)
    };
    let upstream = Upstream::start(|_| Reply::text("page").field("content-length", "4")).await?;
    let state = folder.path().to_str().context("the folder's name is UTF-8")?.to_owned();
    let edge = Edge::on_spin_with(&upstream.url(), &["--key-value", &state])?;
    // One save in 64 sweeps, on average.
    let (mut stored, mut most) = (0, 0);
    while stored < 64 * 30 && (stored == 0 || marks()? > ENTRIES_MAX) {
        for _ in 0..32 {
            stored += 1;
            assert_eq!(edge.visitor((stored % 200) as u8 + 1).get(&format!("/report/{stored}/1")).await?.status, 200);
        }
        most = marks()?.max(most);
    }
    assert!(marks()? <= ENTRIES_MAX, "{} of {most} are left after {stored} more", marks()?);
    assert!(edge.until_stored(&format!("/report/{stored}/1")).await?.field("cache-status").contains("hit"));
    Ok(())
}

/// As in edge/spin/src/store/sweep.rs.
const ENTRIES_MAX: u32 = 8_000;
