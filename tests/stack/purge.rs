use std::time::Duration;

use anyhow::Result;

use crate::support::{Answer, Edge, Reply, Upstream, Visitor, until};

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
