//! The Redis that counts for all instances, at Upstash over HTTP.

use core::{pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::future::{Either, select};
use seawall_core::limit::lua::{Call, Reply};
use seawall_edge::{
    message::{Headers, Request},
    platform::{AuthorityError, FetchError},
    upstash,
};
use seawall_upstash::{RESPONSE_BYTES_MAX, Request as Post, Upstash};
use spin_sdk::time::sleep;

use crate::{body::Body, headers::SpinHeaders, host::Host, origin, settings::Address};

/// Runs core's script.
pub(crate) async fn run(upstash: &Upstash, call: &Call, deadline: Duration) -> Result<Reply, AuthorityError> {
    let running = upstash::run(upstash, call, async |post| send(post, deadline).await);
    match select(pin!(running), pin!(sleep(deadline))).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(AuthorityError::Late),
    }
}

async fn send(post: Post, deadline: Duration) -> Result<(u16, String), AuthorityError> {
    let failed = |why: &str| AuthorityError::Failed(String::from(why));
    let server = Address::parse(&post.url).ok_or_else(|| failed("upstash_url is no address"))?;
    let mut headers = SpinHeaders::default();
    headers.set("authorization", &post.authorization);
    for (name, value) in Post::FIELDS {
        headers.set(name, value);
    }
    let mut request: Request<Host> = Request {
        method: String::from("POST"),
        scheme: String::new(),
        host: String::new(),
        path: String::from("/"),
        query: String::new(),
        headers,
        body: Some(Body::Bytes(Bytes::from(post.body))),
        client: None,
    };
    let response = origin::fetch(&server, &mut request, deadline).await.map_err(|error| match error {
        FetchError::Timeout => AuthorityError::Late,
        FetchError::Unreachable => failed("Upstash cannot be reached"),
    })?;
    let body = match response.body {
        Some(body) => body.collect(RESPONSE_BYTES_MAX).await,
        None => Some(Bytes::new()),
    };
    // One that is too long, or broke off, is no answer, which whoever reads it says.
    let text = body.map(|body| String::from_utf8_lossy(&body).into_owned()).unwrap_or_default();
    Ok((response.status, text))
}
