use anyhow::Result;
use bytes::Bytes;
use http_body_util::channel::Channel;

use crate::support::{Edge, Reply, Upstream, soon};

#[tokio::test]
async fn the_beginning_of_a_page_arrives_before_its_end_exists() -> Result<()> {
    let upstream = Upstream::start(|_| Reply::text("")).await?;
    let edge = Edge::before(&upstream.url())?;
    for (target, cache_status) in [
        ("/methodology", "Seawall; fwd=uri-miss; fwd-status=200; stored"),
        ("/elsewhere", "Seawall; fwd=bypass; fwd-status=200"),
    ] {
        let (mut page, body) = Channel::new(1);
        let mut body = Some(body);
        upstream.answer(move |_| body.take().map_or_else(Reply::broken, Reply::of));

        page.send_data(Bytes::from("the beginning, ")).await?;
        let mut opened = soon(target, edge.visitor(1).ask("GET", target).open()).await??;
        assert_eq!(opened.headers["cache-status"], cache_status);
        assert_eq!(soon("the first piece", opened.next()).await??, Some(Bytes::from("the beginning, ")));
        page.send_data(Bytes::from("the end")).await?;
        assert_eq!(soon("the second piece", opened.next()).await??, Some(Bytes::from("the end")));
        drop(page);
        assert_eq!(soon("the end", opened.next()).await??, None);
    }
    let stored = edge.until_stored("/methodology").await?;
    assert_eq!(stored.text(), "the beginning, the end");
    Ok(())
}

#[tokio::test]
async fn an_upload_reaches_the_origin_as_it_is_sent() -> Result<()> {
    let upstream = Upstream::start(|call| Reply::text(format!("got {}", call.body()))).await?;
    let edge = Edge::before(&upstream.url())?;
    let (mut upload, body) = Channel::new(1);
    let request = tokio::spawn(edge.visitor(1).ask("POST", "/elsewhere").body(body).send());

    upload.send_data(Bytes::from("one ")).await?;
    let mut call = upstream.call(1).await?;
    call.until_body_is("one ").await?;
    upload.send_data(Bytes::from("two")).await?;
    call.until_body_is("one two").await?;
    drop(upload);
    assert_eq!(soon("the answer", request).await???.text(), "got one two");
    Ok(())
}

#[tokio::test]
async fn a_page_that_broke_off_is_not_kept_for_a_whole_one() -> Result<()> {
    let upstream = Upstream::start(|_| Reply::text("")).await?;
    let edge = Edge::before(&upstream.url())?;
    for (target, length) in [("/methodology", None), ("/about-data", Some("9"))] {
        let (mut page, body) = Channel::new(1);
        let mut broken = Some(body);
        upstream.answer(move |_| {
            let reply = broken.take().map_or_else(|| Reply::text("the whole"), Reply::of);
            length.iter().fold(reply, |reply, length| reply.field("content-length", *length))
        });

        page.send_data(Bytes::from("the ")).await?;
        let mut opened = edge.visitor(1).ask("GET", target).open().await?;
        assert_eq!(soon("the first half", opened.next()).await??, Some(Bytes::from("the ")));
        page.abort(std::io::Error::other("the origin broke off"));
        assert!(soon("the end", opened.next()).await?.is_err(), "{target}: the visitor is not told");

        let next = edge.visitor(2).get(target).await?;
        assert_eq!((next.status, next.text()), (200, "the whole".to_owned()), "{target}");
    }
    Ok(())
}

#[tokio::test]
async fn a_visitor_who_leaves_does_not_spoil_the_page_for_the_next() -> Result<()> {
    let (mut page, body) = Channel::new(1);
    let mut body = Some(body);
    let upstream = Upstream::start(move |_| body.take().map_or_else(|| Reply::text("once more"), Reply::of)).await?;
    let edge = Edge::before(&upstream.url())?;

    page.send_data(Bytes::from("one half, ")).await?;
    let mut opened = edge.visitor(1).ask("GET", "/methodology").open().await?;
    assert_eq!(soon("the first half", opened.next()).await??, Some(Bytes::from("one half, ")));
    drop(opened);
    let next = tokio::spawn(edge.visitor(2).ask("GET", "/methodology").send());
    page.send_data(Bytes::from("the other")).await?;
    drop(page);
    let text = soon("the next visitor's page", next).await???.text();
    assert!(["one half, the other", "once more"].contains(&text.as_str()), "{text}");
    Ok(())
}
