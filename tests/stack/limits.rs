use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use seawall_xtask::scratch;

use crate::support::{Answer, Authority, Edge, Reply, Upstream, Visitor};

async fn pages() -> Result<Upstream> {
    Upstream::start(|_| Reply::text("a page")).await
}

/// Searches until the search limit has nothing left.
async fn spend_all_searches(visitor: Visitor) -> Result<()> {
    for spent in 1..=15 {
        let answer = visitor.get(&format!("/search?q={spent}")).await?;
        assert_eq!(answer.status, 200);
        // With searches left `t` is the time until all are earned back; with none left, until the next one is.
        let seconds = if spent == 15 { 4 } else { 4 * spent };
        assert_eq!(answer.limit("search"), format!("r={};t={seconds}", 15 - spent));
        assert_eq!(answer.field("ratelimit-policy"), "\"client\";q=600;w=60, \"search\";q=15;w=60");
    }
    Ok(())
}

fn assert_refused(answer: &Answer, limit: &str, retry_after: u64) -> Result<()> {
    assert_eq!(answer.status, 429);
    // A wait of ten seconds or more is lengthened by up to a tenth.
    let told: u64 = answer.field("retry-after").parse()?;
    let longest = if retry_after < 10 { retry_after } else { (retry_after * 11).div_ceil(10) };
    assert!((retry_after..=longest).contains(&told), "{told}");
    assert_eq!(answer.limit(limit), format!("r=0;t={told}"));
    assert_eq!(answer.field("cache-control"), "no-store");
    assert_eq!(answer.field("content-type"), "application/problem+json");
    let problem = answer.json()?;
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(problem["status"], 429);
    assert_eq!(problem["violated-policies"], json!([limit]));
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
    Ok(())
}

#[tokio::test]
async fn the_sixteenth_search_waits_exactly_as_long_as_it_is_told() -> Result<()> {
    let upstream = pages().await?;
    let edge = Edge::before(&upstream.url())?;
    let visitor = edge.visitor(1);
    spend_all_searches(visitor).await?;

    assert_refused(&visitor.get("/search?q=x").await?, "search", 4)?;
    assert_eq!(upstream.calls().len(), 15);
    edge.advance(Duration::from_millis(3999)).await?;
    assert_refused(&visitor.get("/search?q=x").await?, "search", 1)?;
    assert_eq!(upstream.calls().len(), 15);

    edge.advance(Duration::from_millis(1)).await?;
    assert_eq!(visitor.get("/search?q=x").await?.status, 200);
    assert_refused(&visitor.get("/search?q=y").await?, "search", 4)?;
    assert_eq!(upstream.calls().len(), 16);
    Ok(())
}

#[tokio::test]
async fn a_limit_counts_a_client_over_all_its_pages_and_nobody_else() -> Result<()> {
    let upstream = pages().await?;
    let edge = Edge::before(&upstream.url())?;
    spend_all_searches(edge.visitor(1)).await?;

    assert_refused(&edge.visitor(1).get("/api/v1/search?q=x").await?, "search", 4)?;
    assert_eq!(edge.visitor(1).get("/report/1/2").await?.limit("report"), "r=9;t=6");
    assert_eq!(edge.visitor(2).get("/search?q=x").await?.limit("search"), "r=14;t=4");
    Ok(())
}

#[tokio::test]
async fn what_comes_from_the_cache_costs_no_search() -> Result<()> {
    let upstream = pages().await?;
    let edge = Edge::before(&upstream.url())?;
    let visitor = edge.visitor(1);
    assert_eq!(visitor.get("/search?q=1").await?.limit("search"), "r=14;t=4");
    edge.until_stored("/search?q=1").await?;
    for _ in 0..30 {
        let hit = visitor.get("/search?q=1").await?;
        assert!(hit.field("cache-status").starts_with("Seawall; hit;"), "{}", hit.field("cache-status"));
    }
    // What each hit was charged on the way is back by now, or comes back while others are charged.
    for spent in 2..=15 {
        let answer = visitor.get(&format!("/search?q={spent}")).await?;
        assert_eq!(
            (answer.status, answer.limit("search")),
            (200, format!("r={};t={}", 15 - spent, if spent == 15 { 4 } else { 4 * spent }))
        );
    }
    assert_refused(&visitor.get("/search?q=x").await?, "search", 4)?;
    assert_eq!(visitor.get("/search?q=1").await?.status, 200, "a page that is stored is not refused");
    Ok(())
}

#[tokio::test]
async fn a_client_cannot_choose_who_it_is() -> Result<()> {
    let upstream = pages().await?;
    let edge = Edge::before(&upstream.url())?;
    let visitor = edge.visitor(9);
    spend_all_searches(visitor).await?;

    // Not `cf-connecting-ip`: Cloudflare replaces it, and its local stand-in believes the client.
    for name in ["x-forwarded-for", "forwarded", "x-real-ip", "true-client-ip", "x-client-ip"] {
        let answer = visitor.ask("GET", "/search?q=x").field(name, "192.0.2.1").send().await?;
        assert_refused(&answer, "search", 4)?;
    }
    let claim = visitor.ask("GET", "/elsewhere").field("x-forwarded-for", "192.0.2.1").send().await?;
    assert_eq!(claim.status, 200);
    assert_eq!(upstream.call(16).await?.field("x-forwarded-for"), "127.0.0.9");
    Ok(())
}

#[tokio::test]
async fn every_limit_of_the_policy_is_kept() -> Result<()> {
    let upstream = pages().await?;
    let edge = Edge::before(&upstream.url())?;
    for (method, target, limit, burst, retry_after) in [
        // Another page each time: what is stored costs these three nothing.
        ("GET", "/report/1/{}", "report", 10, 6),
        ("GET", "/api/v1/search?q={}", "search", 15, 4),
        ("GET", "/permit/{}", "permit", 60, 1),
        ("POST", "/brief/refresh", "brief-refresh", 3, 100),
        ("GET", "/api/v1/anything", "api", 60, 1),
        ("POST", "/auth/send-link", "sign-in", 5, 12),
        ("GET", "/about-data", "client", 300, 1),
    ] {
        let visitor = edge.visitor(burst as u8);
        for spent in 1..=burst {
            let answer = visitor.ask(method, &target.replace("{}", &spent.to_string())).send().await?;
            assert_eq!(answer.status, 200, "{target} {spent}");
        }
        assert_refused(&visitor.ask(method, &target.replace("{}", "x")).send().await?, limit, retry_after)?;
    }
    Ok(())
}

#[tokio::test]
async fn what_was_spent_stays_spent_when_the_worker_restarts() -> Result<()> {
    let upstream = pages().await?;
    let storage = scratch::dir("limits")?;
    let edge = Edge::before_keeping(&upstream.url(), storage.path())?;
    spend_all_searches(edge.visitor(1)).await?;
    let clock = edge.clock().await?;
    drop(edge);

    let edge = Edge::before_keeping(&upstream.url(), storage.path())?;
    edge.set_clock(clock).await?;
    assert_refused(&edge.visitor(1).get("/search?q=x").await?, "search", 4)
}

#[tokio::test]
async fn without_its_authority_a_limit_does_what_the_policy_says() -> Result<()> {
    let upstream = pages().await?;
    let edge = Edge::before(&upstream.url())?;
    edge.set_authority(Authority::Fails).await?;

    // "local": this isolate counts, and pages come.
    spend_all_searches(edge.visitor(1)).await?;
    assert_refused(&edge.visitor(1).get("/search?q=x").await?, "search", 4)?;
    // "closed": nobody signs in.
    let sign_in = edge.visitor(1).ask("POST", "/auth/send-link").send().await?;
    assert_refused(&sign_in, "sign-in", 5)?;
    assert!(upstream.calls().iter().all(|call| call.target.starts_with("/search")));

    edge.set_authority(Authority::Answers).await?;
    // The breaker before it looks again after a while.
    edge.advance(Duration::from_secs(5)).await?;
    assert_eq!(edge.visitor(1).ask("POST", "/auth/send-link").send().await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn an_authority_that_hangs_delays_a_page_and_does_not_lose_it() -> Result<()> {
    let upstream = pages().await?;
    let edge = Edge::before(&upstream.url())?;
    edge.set_authority(Authority::Hangs).await?;

    let search = edge.visitor(1).get("/search?q=x").await?;
    assert_eq!((search.status, search.limit("search")), (200, "r=14;t=4".to_owned()));
    let sign_in = edge.visitor(1).ask("POST", "/auth/send-link").send().await?;
    assert_refused(&sign_in, "sign-in", 5)
}
