//! Says in each answer how long it may be reused, as policy.toml decides, and answers validators.

use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use seawall_core::policy::Policy;
use sha2::{Digest as _, Sha256};

use super::limits::TAGGED_BYTES_MAX;
use crate::digest::hex;
use crate::error::Error;

/// What Seawall's edge obeys in place of `Cache-Control` (RFC 9213); it goes no further than the edge.
pub(crate) static EDGE_CACHE_CONTROL: HeaderName = HeaderName::from_static("seawall-cdn-cache-control");

/// How long an answer may be reused; without this in its extensions, as the policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reuse {
    AsThePolicySays,
    /// It says that nothing was found, or that somebody could not be asked.
    ForAMinute,
    /// It stands in for what should be there and could not be made: a purge that has passed would not reach it. The edge
    /// does not store it, and keeps what it has.
    Never,
}

/// What the edge obeys for [`Reuse::ForAMinute`].
const A_MINUTE: &str = "max-age=60";

/// What it obeys for [`Reuse::Never`].
const STANDS_IN: &str = "no-store, stand-in";

/// Bytes of the digest in an entity tag and in a hashed file name: 64 bits tell any two of our files apart.
const DIGEST_BYTES: usize = 8;

/// Digits of the hash in a file name.
pub(crate) const HASH_DIGITS: usize = DIGEST_BYTES * 2;

/// Sets `Cache-Control`, the edge's own field and `ETag`.
///
/// Only a 200 can be reused; whatever else happened is said once and not stored.
pub(crate) async fn layer(State(policy): State<Arc<Policy>>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let rule = policy.route(method.as_str(), request.uri().path()).and_then(|route| route.cache.as_ref());
    let mut response = next.run(request).await;
    if response.status() != StatusCode::OK {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        return response;
    }
    // What belongs to one visitor, or stands in for something that could not be made, says so itself.
    if response.headers().get(CACHE_CONTROL).is_some_and(|value| value == "no-store") {
        return response;
    }
    let Some(rule) = rule else {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        return response;
    };
    let (browser, edge) = match response.extensions().get().unwrap_or(&Reuse::AsThePolicySays) {
        Reuse::AsThePolicySays => (rule.browser_cache_control(), rule.edge_cache_control()),
        Reuse::ForAMinute => ("no-cache".to_owned(), A_MINUTE.to_owned()),
        Reuse::Never => ("no-store".to_owned(), STANDS_IN.to_owned()),
    };
    let headers = response.headers_mut();
    set(headers, CACHE_CONTROL, browser);
    set(headers, EDGE_CACHE_CONTROL.clone(), edge);
    tagged(response).await
}

/// Answers `If-None-Match`. It lies around the layers that compress, so that a 304 has the tag and the `Vary` of the 200 in
/// whose place it stands (RFC 9110 §15.4.5); what they would have compressed is not, since nobody reads it.
pub(crate) async fn conditional(request: Request, next: Next) -> Response {
    let may_be_known = matches!(*request.method(), Method::GET | Method::HEAD);
    let known: Vec<HeaderValue> = request.headers().get_all(IF_NONE_MATCH).iter().cloned().collect();
    let response = next.run(request).await;
    if may_be_known && response.status() == StatusCode::OK && is_known(&known, response.headers()) {
        return not_modified(response);
    }
    response
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: String) {
    // The policy writes directives of ASCII letters and digits.
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

/// The first [`DIGEST_BYTES`] of the content's SHA-256 in hexadecimal.
pub(crate) fn digest(content: &[u8]) -> String {
    hex(&Sha256::digest(content)[..DIGEST_BYTES])
}

/// A strong entity tag (RFC 9110 §8.8.3).
pub(crate) fn entity_tag(digest: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{digest}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Adds the tag of the content, unless the route knew it or the content is longer than we hold in memory.
async fn tagged(response: Response) -> Response {
    if response.headers().contains_key(ETAG) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let fits = body.size_hint().exact().is_some_and(|bytes| bytes <= TAGGED_BYTES_MAX as u64);
    if !fits {
        return Response::from_parts(parts, body);
    }
    let content: Bytes = match to_bytes(body, TAGGED_BYTES_MAX).await {
        Ok(content) => content,
        Err(error) => return Error::bug(error).into_response(),
    };
    parts.headers.insert(ETAG, entity_tag(&digest(&content)));
    Response::from_parts(parts, Body::from(content))
}

/// RFC 9110 §13.1.2: the weak comparison; `*` fits anything that is there.
fn is_known(known: &[HeaderValue], response: &HeaderMap) -> bool {
    let Some(tag) = response.get(ETAG).and_then(|tag| tag.to_str().ok()) else { return false };
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let tag = opaque(tag);
    known
        .iter()
        .filter_map(|value| value.to_str().ok())
        // Our own tags hold no comma, so a list splits at each.
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|known| known == "*" || opaque(known) == tag)
}

/// RFC 9110 §15.4.5: the fields of the 200, without those that describe the content.
fn not_modified(response: Response) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::NOT_MODIFIED;
    for field in [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE] {
        parts.headers.remove(field);
    }
    Response::from_parts(parts, Body::empty())
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(method: &str, path: &str, if_none_match: Option<&str>) -> (StatusCode, HeaderMap, Bytes) {
        let policy = Arc::new(Policy::compile(crate::policy::BUILT_IN).unwrap());
        let app = Router::new()
            .fallback(|request: Request| async move {
                if request.uri().path().ends_with("missing") { Err(StatusCode::NOT_FOUND) } else { Ok("content") }
            })
            .layer(axum::middleware::from_fn_with_state(policy, layer))
            .layer(axum::middleware::from_fn(conditional));
        let mut request = Request::builder().method(method).uri(path);
        if let Some(tag) = if_none_match {
            request = request.header(IF_NONE_MATCH, tag);
        }
        let (parts, body) = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().into_parts();
        (parts.status, parts.headers, to_bytes(body, usize::MAX).await.unwrap())
    }

    #[tokio::test]
    async fn lifetimes_of_the_real_policy() {
        let hour = "public, max-age=3600, stale-while-revalidate=86400";
        let revalidate = "private, no-cache";
        for (path, browser, edge) in [
            ("/", revalidate, Some("max-age=300, stale-while-revalidate=86400, stale-if-error=86400")),
            ("/methodology", hour, Some("max-age=3600, stale-while-revalidate=86400, stale-if-error=604800")),
            ("/about-data", hour, Some("max-age=3600, stale-while-revalidate=86400, stale-if-error=604800")),
            ("/search?q=x", revalidate, Some("max-age=300, stale-while-revalidate=600, stale-if-error=86400")),
            ("/api/v1/search?q=x", revalidate, Some("max-age=300, stale-while-revalidate=600, stale-if-error=86400")),
            ("/report/3507/004", revalidate, Some("max-age=3600, stale-while-revalidate=86400, stale-if-error=604800")),
            ("/static/site.css", "public, max-age=86400, stale-while-revalidate=604800", None),
            ("/static/site.0123456789abcdef.css", "public, max-age=31536000, immutable", None),
            ("/static/icon.svg", "public, max-age=604800", None),
            ("/health", revalidate, Some("")),
            ("/api/v1/other", revalidate, Some("")),
            ("/search/missing", "no-store", Some("")),
        ] {
            let (_, headers, _) = ask("GET", path, None).await;
            assert_eq!(headers[CACHE_CONTROL], browser, "{path}");
            if let Some(edge) = edge {
                let field = headers.get(&EDGE_CACHE_CONTROL).map_or("", |value| value.to_str().unwrap());
                assert_eq!(field, edge, "{path}");
            }
            assert_eq!(headers.contains_key(ETAG), browser != "no-store" && edge != Some(""), "{path}");
        }
    }

    #[tokio::test]
    async fn what_stands_in_for_something_is_reused_for_less_time() {
        let policy = Arc::new(Policy::compile(crate::policy::BUILT_IN).unwrap());
        for (reuse, browser, edge) in [
            (Reuse::ForAMinute, "no-cache", "max-age=60"),
            (Reuse::Never, "no-store", "no-store, stand-in"),
            (
                Reuse::AsThePolicySays,
                "private, no-cache",
                "max-age=3600, stale-while-revalidate=86400, stale-if-error=604800",
            ),
        ] {
            let app = Router::new()
                .fallback(move || async move { (axum::Extension(reuse), "content").into_response() })
                .layer(axum::middleware::from_fn_with_state(Arc::clone(&policy), layer));
            let request = Request::get("/report/3507/004").body(Body::empty()).unwrap();
            let response = app.oneshot(request).await.unwrap();
            let field = |name: &HeaderName| response.headers()[name].to_str().unwrap();
            assert_eq!((field(&CACHE_CONTROL), field(&EDGE_CACHE_CONTROL)), (browser, edge), "{reuse:?}");
        }
    }

    #[tokio::test]
    async fn a_known_tag_answers_304_without_content() {
        let (_, headers, _) = ask("GET", "/", None).await;
        let tag = headers[ETAG].to_str().unwrap().to_owned();
        for (method, given, status) in [
            ("GET", tag.clone(), StatusCode::NOT_MODIFIED),
            ("HEAD", tag.clone(), StatusCode::NOT_MODIFIED),
            ("GET", format!("\"other\", W/{tag}"), StatusCode::NOT_MODIFIED),
            ("GET", "*".to_owned(), StatusCode::NOT_MODIFIED),
            ("GET", "\"other\"".to_owned(), StatusCode::OK),
            ("POST", tag.clone(), StatusCode::OK),
        ] {
            let (answered, headers, content) = ask(method, "/", Some(&given)).await;
            assert_eq!(answered, status, "{method} {given}");
            assert_eq!(content.is_empty(), status == StatusCode::NOT_MODIFIED);
            assert_eq!(headers[ETAG], tag.as_str());
            assert!(headers.contains_key(&EDGE_CACHE_CONTROL));
        }
    }

    #[tokio::test]
    async fn an_error_is_not_stored_and_has_no_tag() {
        let (status, headers, _) = ask("GET", "/report/1/missing", Some("*")).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert!(!headers.contains_key(ETAG) && !headers.contains_key(&EDGE_CACHE_CONTROL));
    }

    #[tokio::test]
    async fn content_beyond_the_bound_passes_without_a_tag() {
        let response = tagged(Response::new(Body::from(vec![0; TAGGED_BYTES_MAX + 1]))).await;
        assert!(!response.headers().contains_key(ETAG));
        assert_eq!(response.body().size_hint().exact(), Some(TAGGED_BYTES_MAX as u64 + 1));
    }
}
