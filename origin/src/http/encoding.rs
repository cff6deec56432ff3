//! Makes answers smaller for who can read that: gzip and Brotli, at their quickest, or as they were compressed before.
//!
//! The edge asks for answers as they are, so this is for who comes past it. No answer holds a secret beside what a visitor
//! chose, so its length tells nobody anything.

use std::sync::{Arc, LazyLock};

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, VARY};
use http::{HeaderValue, Method, StatusCode};
use seawall_core::cache::VaryOptions;
use seawall_core::cache::negotiate::reduced;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{And, NotForContentType, Predicate as _, SizeAbove};

use crate::documents::{Coding, Page};

/// Shortest answer that is worth it: below that the packet is as full with it as without.
const BYTES_MIN: u64 = 1_024;

/// Compresses what is long enough and no picture.
pub(crate) fn compression() -> CompressionLayer<And<SizeAbove, NotForContentType>> {
    let worth_it = SizeAbove::new(BYTES_MIN).and(NotForContentType::IMAGES);
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worth_it)
}

/// Gives what is kept as it was compressed once, in the coding that the client takes.
pub(crate) async fn compressed(request: Request, next: Next) -> Response {
    // A HEAD is answered with the fields of a GET; its body is taken away further out.
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let takes = request.headers().get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut response = next.run(request).await;
    let worth_it = |page: &Arc<Page>| page.text().len() as u64 >= BYTES_MIN;
    let page = response.extensions().get::<Arc<Page>>().filter(|page| worth_it(page)).cloned();
    let Some(page) = page.filter(|_| is_read && response.status() == StatusCode::OK) else { return response };
    response.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    let reduced = reduced("accept-encoding", takes.as_deref(), &CODINGS);
    let Some(coding) = [Coding::Brotli, Coding::Gzip].into_iter().find(|coding| Some(coding.as_str()) == reduced)
    else {
        return response;
    };
    let coded = page.coded(coding).clone();
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
    response.headers_mut().remove(CONTENT_LENGTH);
    *response.body_mut() = Body::from(coded);
    response
}

/// What is offered, the better one first.
static CODINGS: LazyLock<VaryOptions> = LazyLock::new(|| VaryOptions {
    encodings: [Coding::Brotli, Coding::Gzip].iter().map(|coding| coding.as_str().into()).collect(),
    ..VaryOptions::default()
});

/// Weakens the tag of what was compressed: its bytes are no longer those that the tag was made of (RFC 9110 §8.8.1).
pub(crate) async fn weaken(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if headers.contains_key(CONTENT_ENCODING)
        && let Some(tag) = headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""))
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        headers.insert(ETAG, weak);
    }
    response
}
