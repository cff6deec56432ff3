use std::time::Duration;

use anyhow::Result;
use futures_util::future::try_join_all;

use crate::support::{City, Edge, Gate, Reply, Upstream, cache_statuses};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Answers `version 1`, then `version 2` and so on.
async fn versions() -> Result<Upstream> {
    let mut version = 0;
    Upstream::start(move |_| {
        version += 1;
        Reply::text(format!("version {version}"))
    })
    .await
}

#[tokio::test]
async fn the_first_request_is_a_miss_and_the_second_leaves_the_origin_alone() -> Result<()> {
    let upstream = versions().await?;
    let edge = Edge::before(&upstream.url())?;

    let first = edge.visitor(1).get("/methodology").await?;
    assert_eq!((first.status, first.text()), (200, "version 1".to_owned()));
    assert_eq!(first.field("cache-status"), "Seawall; fwd=uri-miss; fwd-status=200; stored");

    edge.until_stored("/methodology").await?;
    edge.advance(SECOND * 7).await?;
    let second = edge.visitor(2).get("/methodology").await?;
    assert_eq!((second.status, second.text()), (200, "version 1".to_owned()));
    assert_eq!(second.field("cache-status"), "Seawall; hit; ttl=3593");
    assert_eq!(second.field("age"), "7");
    assert_eq!(upstream.calls().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_stored_get_answers_head_and_clients_that_know_it_already() -> Result<()> {
    let upstream = Upstream::start(|_| Reply::text("the page").field("etag", "\"v1\"")).await?;
    let edge = Edge::before(&upstream.url())?;
    edge.visitor(1).get("/methodology").await?;
    edge.until_stored("/methodology").await?;

    let head = edge.visitor(2).ask("HEAD", "/methodology").send().await?;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.field("cache-status"), "Seawall; hit; ttl=3600");
    assert_eq!(head.field("etag"), "\"v1\"");

    for (tags, status, body) in
        [("\"v1\"", 304, ""), ("\"v0\", W/\"v1\"", 304, ""), ("*", 304, ""), ("\"v0\"", 200, "the page")]
    {
        let answer = edge.visitor(2).ask("GET", "/methodology").field("if-none-match", tags).send().await?;
        assert_eq!((answer.status, answer.text()), (status, body.to_owned()), "{tags}");
        assert_eq!(answer.field("cache-status"), "Seawall; hit; ttl=3600", "{tags}");
        assert_eq!(answer.field("etag"), "\"v1\"", "{tags}");
    }
    assert_eq!(upstream.calls().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_stale_page_is_served_at_once_while_one_refresh_runs() -> Result<()> {
    let upstream = versions().await?;
    let edge = Edge::before(&upstream.url())?;
    edge.visitor(1).get("/methodology").await?;
    edge.until_stored("/methodology").await?;

    let gate = Gate::closed();
    let held = gate.clone();
    upstream.answer(move |_| Reply::text("refreshed").after(&held));
    edge.advance(HOUR + SECOND).await?;
    let answers = try_join_all((1..=20).map(|host| edge.visitor(host).get("/methodology"))).await?;
    for answer in &answers {
        assert_eq!((answer.status, answer.text()), (200, "version 1".to_owned()));
        assert_eq!(answer.field("cache-status"), "Seawall; hit; ttl=-1; detail=stale-while-revalidate");
        assert_eq!(answer.field("age"), "3601");
    }
    upstream.call(2).await?;
    gate.open();

    let fresh = edge.until("/methodology", |answer| answer.text() == "refreshed").await?;
    assert_eq!(fresh.field("cache-status"), "Seawall; hit; ttl=3600");
    assert_eq!(fresh.field("age"), "0");
    assert_eq!(upstream.calls().len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_refresh_that_finds_nothing_new_costs_the_origin_no_body() -> Result<()> {
    let upstream = Upstream::start(|_| Reply::text("the page").field("etag", "\"v1\"")).await?;
    let edge = Edge::before(&upstream.url())?;
    edge.visitor(1).get("/methodology").await?;
    edge.until_stored("/methodology").await?;

    upstream.answer(|_| Reply::text("").status(304).field("etag", "\"v1\""));
    edge.advance(HOUR).await?;
    let stale = edge.visitor(1).get("/methodology").await?;
    assert_eq!(stale.field("cache-status"), "Seawall; hit; ttl=0; detail=stale-while-revalidate");
    assert_eq!(upstream.call(2).await?.field("if-none-match"), "\"v1\"");

    let fresh = edge.until_stored("/methodology").await?;
    assert_eq!((fresh.status, fresh.text()), (200, "the page".to_owned()));
    assert_eq!(fresh.field("age"), "0");
    assert_eq!(upstream.calls().len(), 2);
    Ok(())
}

#[tokio::test]
async fn concurrent_misses_for_one_page_cost_one_request() -> Result<()> {
    let upstream = Upstream::start(|_| Reply::text("other")).await?;
    let edge = Edge::before(&upstream.url())?;
    let gate = Gate::closed();
    let held = gate.clone();
    upstream.answer(move |call| match call.target.as_str() {
        "/methodology" => Reply::text("the page").after(&held),
        _ => Reply::text("other"),
    });

    let crowd = try_join_all((1..=30).map(|host| edge.visitor(host).get("/methodology")));
    let open = async {
        upstream.call(1).await?;
        // workerd takes requests in turn: once these have been answered, those of the crowd wait.
        for target in ["/one", "/two", "/three"] {
            edge.visitor(31).get(target).await?;
        }
        gate.open();
        anyhow::Ok(())
    };
    let (answers, ()) = futures_util::future::try_join(crowd, open).await?;

    assert!(answers.iter().all(|answer| answer.status == 200 && answer.text() == "the page"));
    let statuses = cache_statuses(&answers);
    let count = |status: &str| statuses.iter().filter(|line| *line == status).count();
    let stored = count("Seawall; fwd=uri-miss; fwd-status=200; stored");
    let collapsed = count("Seawall; fwd=uri-miss; fwd-status=200; collapsed");
    assert_eq!((stored, collapsed), (1, 29), "{statuses:?}");
    assert_eq!(upstream.calls().iter().filter(|call| call.target == "/methodology").count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_leader_whose_page_cannot_be_shared_does_not_make_the_others_queue() -> Result<()> {
    const CROWD: usize = 12;
    let (first, others) = (Gate::closed(), Gate::closed());
    let (hold_first, hold_others) = (first.clone(), others.clone());
    let mut calls = 0;
    let upstream = Upstream::start(move |_| {
        calls += 1;
        let gate = if calls == 1 { &hold_first } else { &hold_others };
        Reply::text(format!("for visitor {calls}")).field("cache-control", "private").after(gate)
    })
    .await?;
    let edge = Edge::before(&upstream.url())?;

    let crowd = try_join_all((1..=CROWD).map(|host| edge.visitor(host as u8).get("/methodology")));
    let open = async {
        upstream.call(1).await?;
        first.open();
        // All of them are with the origin before any of them is answered.
        upstream.call(CROWD).await?;
        others.open();
        anyhow::Ok(())
    };
    let (answers, ()) = futures_util::future::try_join(crowd, open).await?;
    let mut bodies: Vec<String> = answers.iter().map(|answer| answer.text()).collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), CROWD, "{bodies:?}");
    Ok(())
}

#[tokio::test]
async fn searches_and_reports_of_the_real_origin_are_kept() -> Result<()> {
    let city = City::shared()?;
    let permit = city.database().some_permit().await?;
    let site = city.database().serve()?;
    let edge = Edge::before(&site.server.url())?;
    let targets = [
        format!("/search?q={}", permit.number),
        format!("/api/v1/search?q={}", permit.number),
        format!("/report/{}/{}", permit.block, permit.lot),
        format!("/api/v1/report/{}/{}", permit.block, permit.lot),
    ];
    let mut pages = Vec::new();
    for target in &targets {
        let first = edge.visitor(1).get(target).await?;
        assert_eq!(first.status, 200, "{target}: {}", first.text());
        assert_eq!(first.field("cache-status"), "Seawall; fwd=uri-miss; fwd-status=200; stored", "{target}");
        assert!(first.text().contains(&permit.number), "{target}: {}", first.text());
        edge.until_stored(target).await?;
        pages.push(first);
    }

    // What is answered now, the origin has no part in.
    site.kill();
    for (target, page) in targets.iter().zip(pages) {
        let fresh_s = if target.contains("search") { 300 } else { 3600 };
        let hit = format!("Seawall; hit; ttl={fresh_s}");
        let second = edge.visitor(2).get(target).await?;
        assert_eq!((second.status, &second.body), (200, &page.body), "{target}");
        assert_eq!(second.field("cache-status"), hit, "{target}");
        assert_eq!(second.field("age"), "0", "{target}");
        // The edge keeps it; browsers ask again. How long the edge keeps it is nobody's business.
        assert_eq!(second.field("cache-control"), "private, no-cache", "{target}");
        assert_eq!(second.field("seawall-cdn-cache-control"), "", "{target}");

        let head = edge.visitor(3).ask("HEAD", target).send().await?;
        assert_eq!((head.status, head.body.len(), head.field("cache-status")), (200, 0, hit.clone()), "{target}");
        let tag = second.field("etag");
        let known = edge.visitor(3).ask("GET", target).field("if-none-match", &tag).send().await?;
        assert_eq!((known.status, known.body.len(), known.field("cache-status")), (304, 0, hit), "{target}");
        assert_eq!(known.field("etag"), tag, "{target}");
    }
    Ok(())
}
