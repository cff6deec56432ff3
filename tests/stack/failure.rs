use std::time::Duration;

use anyhow::{Result, ensure};

use crate::support::{Answer, City, Edge, Gate, Reply, Site, Upstream, until};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Longer than the first wait of an open breaker with all its jitter.
const BREAKER_WAIT: Duration = Duration::from_secs(2);

/// More calls than a breaker lets fail.
const FAILURES_ENOUGH: usize = 60;

/// When `/methodology` is neither fresh nor served while it is refreshed, and still stands in for a failing origin.
const ONLY_ON_ERROR: Duration = HOUR.saturating_add(DAY);

fn assert_unavailable(answer: &Answer, detail: &str) -> Result<()> {
    assert_eq!(answer.status, 503);
    assert_eq!(answer.field("content-type"), "application/problem+json");
    assert_eq!(answer.field("cache-control"), "no-store");
    let retry_after: u64 = answer.field("retry-after").parse()?;
    assert!(retry_after >= 1);
    let problem = answer.json()?;
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity");
    assert_eq!(problem["status"], 503);
    let cache_status = answer.field("cache-status");
    assert!(cache_status.ends_with(&format!("; detail={detail}")), "{cache_status}");
    Ok(())
}

/// Asks for pages that nobody has until the breaker holds them back. Meanwhile a stored page stays.
async fn until_breaker_opens(edge: &Edge, stored: &str) -> Result<()> {
    for page in 0..FAILURES_ENOUGH {
        let answer = edge.visitor(2).get(&format!("/nobody-has/{page}")).await?;
        ensure!(answer.status == 503, "the origin answers: {}", answer.text());
        assert_eq!(edge.visitor(3 + page as u8).get(stored).await?.status, 200);
        if answer.field("cache-status").ends_with("detail=breaker-open") {
            return Ok(());
        }
    }
    anyhow::bail!("{FAILURES_ENOUGH} failures did not open the breaker")
}

#[tokio::test]
async fn a_lost_origin_is_covered_by_what_is_stored_left_alone_and_noticed_when_it_is_back() -> Result<()> {
    let upstream = Upstream::start(|_| Reply::text("the page")).await?;
    let edge = Edge::before(&upstream.url())?;
    edge.visitor(1).get("/methodology").await?;
    edge.until_stored("/methodology").await?;
    edge.advance(ONLY_ON_ERROR).await?;

    let port = upstream.port();
    drop(upstream);
    let stored = edge.visitor(1).get("/methodology").await?;
    assert_eq!((stored.status, stored.text()), (200, "the page".to_owned()));
    assert_eq!(stored.field("cache-status"), "Seawall; hit; ttl=-86400; detail=unreachable");
    assert_eq!(stored.field("age"), "90000");
    assert_unavailable(&edge.visitor(1).get("/demo").await?, "unreachable")?;

    until_breaker_opens(&edge, "/methodology").await?;
    let upstream = Upstream::start_on(port, |_| Reply::text("the page again")).await?;
    assert_unavailable(&edge.visitor(1).get("/demo").await?, "breaker-open")?;
    let stored = edge.visitor(1).get("/methodology").await?;
    assert_eq!((stored.status, stored.text()), (200, "the page".to_owned()));
    assert_eq!(stored.field("cache-status"), "Seawall; hit; ttl=-86400; detail=breaker-open");
    assert_eq!(upstream.connections(), 0);

    edge.advance(BREAKER_WAIT).await?;
    // Nobody who can be served waits for the probe.
    let probing = edge.visitor(1).get("/methodology").await?;
    assert_eq!((probing.status, probing.text()), (200, "the page".to_owned()));
    assert_eq!(probing.field("cache-status"), "Seawall; hit; ttl=-86402; detail=breaker-open");
    until(async || Ok(edge.visitor(1).get("/methodology").await?.text() == "the page again")).await?;
    for target in ["/demo", "/nobody-has/this", "/nobody-has/that"] {
        assert_eq!(edge.visitor(1).get(target).await?.status, 200, "{target}");
    }
    Ok(())
}

#[tokio::test]
async fn pages_go_on_that_do_not_need_what_is_broken() -> Result<()> {
    let upstream = Upstream::start(|call| match call.target.as_str() {
        "/methodology" => Reply::text("the page"),
        _ => Reply::text("no database").status(503),
    })
    .await?;
    let edge = Edge::before(&upstream.url())?;
    // Every route whose pages need the database adds to one breaker.
    let targets = ["/search?q=x", "/api/v1/search?q=x", "/report/1/2", "/api/v1/report/1/2", "/about-data"];
    let mut calls = 0;
    for (host, target) in (1..=FAILURES_ENOUGH as u8).zip(targets.into_iter().cycle()) {
        let answer = edge.visitor(host).get(target).await?;
        assert_eq!(answer.status, 503, "{target}");
        if answer.field("cache-status").ends_with("detail=breaker-open") {
            break;
        }
        calls += 1;
    }
    for target in targets {
        assert_unavailable(&edge.visitor(100).get(target).await?, "breaker-open")?;
    }
    // Each of them was tried twice.
    assert_eq!(upstream.calls().len(), 2 * calls);
    assert_eq!(edge.visitor(100).get("/methodology").await?.text(), "the page");
    Ok(())
}

#[tokio::test]
async fn an_origin_that_answers_with_errors_is_covered_by_what_is_stored() -> Result<()> {
    let upstream = Upstream::start(|_| Reply::text("the page")).await?;
    let edge = Edge::before(&upstream.url())?;
    edge.visitor(1).get("/methodology").await?;
    edge.until_stored("/methodology").await?;
    edge.advance(ONLY_ON_ERROR).await?;

    for status in [500, 502, 503, 504] {
        upstream.answer(move |_| Reply::text("an error page").status(status));
        let stored = edge.visitor(1).get("/methodology").await?;
        assert_eq!((stored.status, stored.text()), (200, "the page".to_owned()), "{status}");
        let expected = format!("Seawall; fwd=stale; fwd-status={status}; detail=stale-if-error");
        assert_eq!(stored.field("cache-status"), expected);
        // Nothing stands in for a page that nobody has, and an error is not kept.
        let target = format!("/report/1/{status}");
        let unstored = edge.visitor(1).get(&target).await?;
        assert_eq!((unstored.status, unstored.text()), (status, "an error page".to_owned()));
        upstream.answer(|_| Reply::text("a page"));
        assert_eq!(edge.visitor(1).get(&target).await?.text(), "a page");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_stored_is_not_served_for_ever() -> Result<()> {
    let upstream = Upstream::start(|_| Reply::text("the page")).await?;
    let edge = Edge::before(&upstream.url())?;
    edge.visitor(1).get("/methodology").await?;
    edge.until_stored("/methodology").await?;
    drop(upstream);

    edge.advance(HOUR + DAY * 7 - SECOND).await?;
    let last = edge.visitor(1).get("/methodology").await?;
    assert_eq!(last.field("cache-status"), "Seawall; hit; ttl=-604799; detail=unreachable");
    edge.advance(SECOND).await?;
    assert_unavailable(&edge.visitor(1).get("/methodology").await?, "unreachable")
}

#[tokio::test]
async fn an_origin_that_hangs_costs_its_deadline_and_no_more() -> Result<()> {
    let never = Gate::closed();
    let held = never.clone();
    let upstream = Upstream::start(move |call| match call.target.as_str() {
        "/methodology" => Reply::text("the page"),
        _ => Reply::text("too late").after(&held),
    })
    .await?;
    let edge = Edge::before(&upstream.url())?;
    edge.visitor(1).get("/methodology").await?;
    edge.until_stored("/methodology").await?;

    let (hanging, elsewhere) = futures_util::future::try_join(edge.visitor(1).get("/about-data"), async {
        upstream.call(2).await?;
        edge.visitor(2).get("/methodology").await
    })
    .await?;
    assert_unavailable(&hanging, "timeout")?;
    assert_eq!(elsewhere.field("cache-status"), "Seawall; hit; ttl=3600");
    Ok(())
}

#[tokio::test]
async fn an_origin_that_breaks_off_before_an_answer_counts_as_gone() -> Result<()> {
    let upstream = Upstream::start(|_| Reply::broken()).await?;
    let edge = Edge::before(&upstream.url())?;
    assert_unavailable(&edge.visitor(1).get("/methodology").await?, "unreachable")?;
    assert_unavailable(&edge.visitor(1).get("/elsewhere").await?, "unreachable")
}

#[tokio::test]
async fn the_real_origin_may_die_and_come_back() -> Result<()> {
    let city = City::shared()?;
    let permit = city.database().some_permit().await?;
    let site = city.database().serve()?;
    let edge = Edge::before(&site.server.url())?;
    let report = format!("/report/{}/{}", permit.block, permit.lot);
    edge.visitor(1).get(&report).await?;
    let stored = edge.until_stored(&report).await?;
    // A report has the windows of `/methodology`.
    edge.advance(ONLY_ON_ERROR).await?;

    let port = site.kill();
    let stale = edge.visitor(1).get(&report).await?;
    assert_eq!((stale.status, &stale.body), (200, &stored.body));
    assert_eq!(stale.field("cache-status"), "Seawall; hit; ttl=-86400; detail=unreachable");
    assert_unavailable(&edge.visitor(1).get("/about-data").await?, "unreachable")?;
    until_breaker_opens(&edge, &report).await?;

    let _site = Site::start(&city.database().origin, port)?;
    let stale = edge.visitor(1).get(&report).await?;
    assert_eq!(stale.field("cache-status"), "Seawall; hit; ttl=-86400; detail=breaker-open");
    edge.advance(BREAKER_WAIT).await?;
    let probing = edge.visitor(1).get(&report).await?;
    assert_eq!((probing.status, &probing.body), (200, &stored.body));
    assert_eq!(probing.field("cache-status"), "Seawall; hit; ttl=-86402; detail=breaker-open");
    until(async || {
        let validated = edge.visitor(1).get(&report).await?;
        ensure!((validated.status, &validated.body) == (200, &stored.body), "another report");
        Ok(!validated.field("cache-status").contains("; detail="))
    })
    .await?;
    for target in ["/about-data", "/methodology", "/"] {
        assert_eq!(edge.visitor(1).get(target).await?.status, 200, "{target}");
    }
    Ok(())
}
