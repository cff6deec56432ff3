//! Makes answers smaller for who can read that: gzip and Brotli, at their quickest.
//!
//! The edge asks for answers as they are, so this is for who comes past it. No answer holds a secret beside what a visitor
//! chose, so its length tells nobody anything.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderValue;
use http::header::{CONTENT_ENCODING, ETAG};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{And, NotForContentType, Predicate as _, SizeAbove};

/// Shortest answer that is worth it: below that the packet is as full with it as without.
const BYTES_MIN: u64 = 1_024;

/// Compresses what is long enough and no picture.
pub(crate) fn compression() -> CompressionLayer<And<SizeAbove, NotForContentType>> {
    let worth_it = SizeAbove::new(BYTES_MIN).and(NotForContentType::IMAGES);
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worth_it)
}

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
