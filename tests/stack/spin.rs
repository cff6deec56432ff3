use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use seawall_scenarios::{Platform, SECRET};
use seawall_xtask::build;
use seawall_xtask::process::Logs;
use seawall_xtask::project::Project;
use seawall_xtask::redis::Redis;
use seawall_xtask::scratch;
use seawall_xtask::stack::SpinEdge;
use seawall_xtask::step::Steps;

use crate::scenarios::play_all;
use crate::support::edge::{ONE_INSTANCE, Spin, require_spin};
use crate::support::upstash::RestStandIn;
use crate::support::{Answer, City, Edge, Reply, Upstream, Visitor, until};

const PAGE: &str = "/methodology";

/// The names of an answer's fields and their values, without those that differ between two answers of one page.
fn lasting_fields(answer: &Answer) -> Vec<(String, String)> {
    let names = answer.headers.keys().map(|name| name.as_str().to_owned());
    let lasting = names.filter(|name| !["date", "ratelimit"].contains(&name.as_str()));
    let mut fields: Vec<_> =
        lasting.map(|name| (answer.field(&name), name)).map(|(value, name)| (name, value)).collect();
    fields.sort();
    fields
}

async fn purge(visitor: &Visitor, json: &str) -> Result<Answer> {
    let ask = visitor.ask("POST", "/__seawall/purge").field("authorization", &format!("Bearer {SECRET}"));
    ask.text(json).send().await
}

#[tokio::test]
async fn every_scenario_passes_on_spin() -> Result<()> {
    let secret = format!("control_secret={SECRET}");
    let with_secret = [&ONE_INSTANCE[..], &["--variable", &secret]].concat();
    play_all(Platform::Spin, |url, has_secret| {
        Edge::on_spin_with(url, if has_secret { &with_secret } else { &ONE_INSTANCE })
    })
    .await
}

#[tokio::test]
async fn the_key_value_store_and_bodies_keep_their_contracts() -> Result<()> {
    let component = build::contract_component(&Project::here(), &Steps::new())?;
    let edge = Edge::component(&component.file, "http://127.0.0.1:9", &ONE_INSTANCE)?;
    let answer = edge.visitor(1).get("/__contract").await?;
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    Ok(())
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
        (format!(r#"{{"urls": ["http://{host}{PAGE}"]}}"#), false),
        (format!(r#"{{"prefixes": ["http://{host}/meth"]}}"#), false),
        (r#"{"tags": ["pages"]}"#.to_owned(), false),
        (format!(r#"{{"groups": ["all"], "origin": "http://{host}"}}"#), false),
        (r#"{"all": true}"#.to_owned(), false),
        (r#"{"all": true, "soft": true}"#.to_owned(), true),
    ] {
        edge.until_stored(PAGE).await?;
        let stored = visitor.get(PAGE).await?.text();
        let answer = purge(&visitor, &json).await?;
        assert_eq!(answer.status, 200, "{json}: {}", answer.text());
        let after = visitor.get(PAGE).await?;
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
    // The host's clock is an hour ahead of this one at its start.
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    for entry in 0..ENTRIES_MAX + 300 {
        let ends_ms = if entry < 300 { now_ms - 1 } else { now_ms + 10 * 3_600_000 };
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
    // One save in 64 sweeps, on average, and leaves as many as may stay; what was saved since is beside them.
    let (mut stored, mut most) = (0, 0);
    while stored < 64 * 30 && (stored == 0 || marks()? > ENTRIES_MAX + SINCE_SWEEP_MAX) {
        for _ in 0..32 {
            stored += 1;
            assert_eq!(edge.visitor((stored % 200) as u8 + 1).get(&format!("/report/{stored}/1")).await?.status, 200);
        }
        most = marks()?.max(most);
    }
    assert!(marks()? <= ENTRIES_MAX + SINCE_SWEEP_MAX, "{} of {most} are left after {stored} more", marks()?);
    assert!(edge.until_stored(&format!("/report/{stored}/1")).await?.field("cache-status").contains("hit"));
    Ok(())
}

/// A Redis at Upstash counts as one that speaks for itself does, and a limit goes by its instance's share while it hangs.
#[tokio::test]
async fn shared_limits_are_counted_at_upstash() -> Result<()> {
    let (upstream, upstash) = (Upstream::start(|_| Reply::text("found")).await?, RestStandIn::start().await?);
    let (url, token) = (format!("upstash_url={}", upstash.url()), format!("upstash_token={}", RestStandIn::TOKEN));
    let variables = ["--variable", "redis_url=", "--variable", &url, "--variable", &token];
    let edge = Edge::on_spin_with(&upstream.url(), &[&ONE_INSTANCE[..], &variables].concat())?;
    let (mut allowed, mut last) = (0, edge.visitor(1).get("/search?q=0").await?);
    while last.status == 200 && allowed < 200 {
        allowed += 1;
        last = edge.visitor(1).get(&format!("/search?q={allowed}")).await?;
    }
    assert!(last.status == 429 && allowed >= 15, "{} after {allowed}", last.status);
    let commands = upstash.commands();
    assert_eq!(commands[..3], ["EVALSHA", "EVAL", "EVALSHA"], "by its hash, and whole once");
    assert_eq!(commands.iter().filter(|command| *command == "EVAL").count(), 1, "{commands:?}");

    upstash.hang(true);
    for number in 0..5 {
        assert_eq!(edge.visitor(2).get(&format!("/search?q=x{number}")).await?.status, 200);
    }
    assert!(edge.log().contains("edge.limit.redis failed"), "{}", edge.log());
    upstash.hang(false);
    Ok(())
}

/// What the key-value store does not take is not offered to it.
#[tokio::test]
async fn what_is_too_long_for_the_store_is_passed_on() -> Result<()> {
    let upstream = Upstream::start(|call| {
        let length = if call.target == PAGE { BODY_BYTES_MAX } else { BODY_BYTES_MAX + 1 };
        Reply::text("x".repeat(length)).field("content-length", length.to_string())
    })
    .await?;
    let edge = Edge::on_spin_with(&upstream.url(), &ONE_INSTANCE)?;
    assert_eq!(edge.until_stored(PAGE).await?.text().len(), BODY_BYTES_MAX);
    for _ in 0..2 {
        let long = edge.visitor(1).get("/privacy").await?;
        assert_eq!((long.status, long.text().len()), (200, BODY_BYTES_MAX + 1));
        assert!(long.field("cache-status").ends_with("detail=too-long"), "{}", long.field("cache-status"));
    }
    assert!(!edge.log().contains("edge.cache.save failed"), "{}", edge.log());
    Ok(())
}

#[tokio::test]
async fn a_second_origin_answers_while_the_first_is_away() -> Result<()> {
    let (first, second) =
        (Upstream::start(|_| Reply::text("first")).await?, Upstream::start(|_| Reply::text("second")).await?);
    let fallback = format!("fallback_origin={}", second.url());
    let edge = Edge::on_spin_with(&first.url(), &[&ONE_INSTANCE[..], &["--variable", &fallback]].concat())?;
    let visitor = edge.visitor(1);
    assert_eq!(visitor.get("/account").await?.text(), "first");
    assert_eq!(second.calls().len(), 0);

    first.answer(|_| Reply::broken());
    let post = visitor.ask("POST", "/account").text("once").send().await?;
    assert_eq!((post.status, second.calls().len()), (503, 0), "what may have been done is not done twice");
    for _ in 0..BREAKER_MIN_CALLS {
        assert_eq!(visitor.get("/account").await?.text(), "second");
    }
    let calls = first.calls().len();
    let post = visitor.ask("POST", "/account").text("once").send().await?;
    assert_eq!(post.text(), "second", "who is known to be away is not asked");
    assert_eq!(first.calls().len(), calls);

    first.answer(|_| Reply::text("back"));
    edge.advance(Duration::from_secs(2)).await?;
    assert_eq!(visitor.get("/account").await?.text(), "back");
    Ok(())
}

/// A page that has to be looked up, under a limit that Redis counts: the two stores answer only when both are asked at
/// the same time, so a pipeline that asked one after the other would wait for ever.
#[tokio::test]
async fn the_look_up_and_the_shared_limits_are_asked_at_the_same_time() -> Result<()> {
    let upstream = Upstream::start(|_| Reply::text("found")).await?;
    let edge = Edge::on_spin(&upstream.url())?;
    // Notes are read now, and not again while the clock stands.
    edge.visitor(1).get("/search?q=first").await?;
    edge.let_stores_meet().await?;
    let answer = edge.visitor(1).get("/search?q=second").await?;
    assert_eq!((answer.status, answer.text().as_str()), (200, "found"));
    assert_eq!(answer.limit("search"), "r=13;t=8", "Redis has counted it");
    Ok(())
}

/// What an instance answers from memory writes no line by itself, and the instance may end at any moment: all is counted
/// all the same.
#[tokio::test]
async fn a_page_in_memory_is_answered_at_once_and_counted() -> Result<()> {
    let upstream = Upstream::start(|_| Reply::text("page").field("content-length", "4")).await?;
    // An instance outlives the moment between two requests, and ends soon after the last.
    let edge = Edge::on_spin_with(&upstream.url(), &["--idle-ms", "100"])?;
    let mut session = edge.visitor(1).session().await?;
    let mut known = session.get(PAGE).await?;
    let mut asked = 1;
    while !known.field("cache-status").starts_with("Seawall; hit; ttl=3600") {
        known = session.get(PAGE).await?;
        asked += 1;
    }
    // Where the machine pauses instances end between two requests, and each answer takes the whole way.
    for _ in 0..SERIES_MAX {
        let before = counted(&edge);
        for _ in 0..20 {
            let answer = session.get(PAGE).await?;
            assert_eq!((answer.text(), lasting_fields(&answer)), (known.text(), lasting_fields(&known)));
        }
        asked += 20;
        until(async || Ok(lines(&edge, WHOLE_WAY) + counted(&edge) == asked)).await?;
        if counted(&edge) - before >= 15 {
            return Ok(());
        }
    }
    bail!("the third answer of an instance is from its memory: {}", edge.log())
}

/// How many lines of the log begin so.
fn lines(edge: &Edge, start: &str) -> usize {
    edge.log().lines().filter(|line| line.starts_with(start)).count()
}

/// How many answers were only counted.
fn counted(edge: &Edge) -> usize {
    let log = edge.log();
    let counts = log.lines().filter_map(|line| line.strip_prefix("edge.hits route=methodology count="));
    counts.filter_map(|rest| rest.split(' ').next()?.parse::<usize>().ok()).sum()
}

/// What `cargo xtask up --edge spin` starts: the origin over a database, a Redis, the component in its host.
#[tokio::test]
async fn the_site_is_served_through_the_component() -> Result<()> {
    let (city, redis, state) = (City::shared()?, Redis::start()?, scratch::dir("key-value")?);
    let site = city.database().serve()?;
    let (origin_url, redis_url) = (site.server.url(), redis.url());
    let Spin { component, host } = require_spin()?;
    let edge = SpinEdge { component: &component, origin_url: &origin_url, redis_url: &redis_url, state: state.path() };
    let secret = format!("control_secret={SECRET}");
    let edge = edge.serve_on_host(&host, 0, &["--variable", &secret], Logs::Keep)?;
    let visitor = Visitor::local(edge.port);
    let permit = city.database().some_permit().await?;
    let report = format!("/report/{}/{}", permit.block, permit.lot);
    for page in ["/", "/health", "/search?q=mission", &report, PAGE, "/static/site.css"] {
        let answer = visitor.get(page).await?;
        assert_eq!(answer.status, 200, "{page}: {}", answer.text());
        assert!(answer.field("cache-status").starts_with("Seawall; fwd="), "{page}");
    }
    until(async || Ok(visitor.get(&report).await?.field("cache-status").starts_with("Seawall; hit"))).await?;
    let health = visitor.ask("GET", "/__seawall/health").field("authorization", &format!("Bearer {SECRET}"));
    assert_eq!(health.send().await?.status, 200);
    assert_eq!(purge(&visitor, r#"{"all": true}"#).await?.status, 200);
    assert!(visitor.get(&report).await?.field("cache-status").contains("fwd="), "it was purged");
    let mut refused = 0;
    for n in 0..20 {
        refused += usize::from(visitor.get(&format!("/search?q={n}")).await?.status == 429);
    }
    assert!(refused >= 5, "{refused} of 20 searches were refused");
    Ok(())
}

/// How often answers of instances that lasted are waited for; the log keeps the lines of so many.
const SERIES_MAX: u32 = 10;
/// How the line of a request begins that took the whole way.
const WHOLE_WAY: &str = "edge.request route=methodology";
/// As in edge/spin/src/store/sweep.rs.
const ENTRIES_MAX: u32 = 8_000;
/// Twice as many saves as lie between two sweeps on average.
const SINCE_SWEEP_MAX: u32 = 128;
/// As in policy.toml.
/// Longest body that the key-value store is given (`ENTRY_BYTES_MAX` in edge/spin/src/store.rs).
const BODY_BYTES_MAX: usize = 936_000;
const BREAKER_MIN_CALLS: usize = 20;
