//! Writes what failed: a page for people, a problem document (RFC 9457) for programs, one log line for us.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use seawall_core::limit::fields::{RATE_LIMIT, RATE_LIMIT_POLICY};
use serde::Serialize;

use super::observe::{RequestId, shown};
use crate::error::Error;
use crate::pages;

/// Fields of the bare answer that still hold once it has a body.
const KEPT: [HeaderName; 5] = [
    ALLOW,
    RETRY_AFTER,
    WWW_AUTHENTICATE,
    HeaderName::from_static(RATE_LIMIT),
    HeaderName::from_static(RATE_LIMIT_POLICY),
];

/// RFC 9457 §3.1. `type` is absent, which means `about:blank`: the title is the status' own name.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Problem<'a> {
    title: &'a str,
    status: u16,
    detail: &'a str,
    /// What to quote when asking about it.
    request_id: &'a str,
}

/// Marks an error answer whose page is written already: a form with what is wrong in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written;

/// Gives every error answer its body. An answer that wrote its own body, such as that of `/health`, passes.
pub(crate) async fn layer(request: Request, next: Next) -> Response {
    let for_programs = speaks_json(request.uri().path());
    let id = request.extensions().get::<RequestId>().cloned();
    let path = shown(request.uri().path()).to_owned();
    let response = next.run(request).await;
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let error = match response.extensions().get::<Error>() {
        Some(error) => error.clone(),
        None if response.extensions().get::<Written>().is_some() || is_ours(response.headers()) => return response,
        None => Error::from_status(status),
    };
    // What is turned away is said once in a while where that is decided, and not for each request.
    if status.is_server_error() && !error.is_shed() {
        let internal = error.internal().unwrap_or_default();
        let status = status.as_u16();
        tracing::error!(
            event = "request.failed",
            status,
            path,
            error = internal,
            "{path} answered {status}: {internal}"
        );
    }
    let retry_after_s = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let id = id.as_ref().map_or("", RequestId::as_str);
    let mut written = if for_programs { problem(&error, id) } else { pages::error(&error, id, retry_after_s) };
    *written.status_mut() = status;
    for name in KEPT {
        if let Some(value) = response.headers().get(&name) {
            written.headers_mut().insert(name, value.clone());
        }
    }
    written
}

/// Whether who asks for `path` is a program.
pub(crate) fn speaks_json(path: &str) -> bool {
    path == "/health" || ["/health/", "/api/", "/cron/"].iter().any(|prefix| path.starts_with(prefix))
}

/// Libraries answer an error with plain text or nothing; our own error bodies are JSON.
fn is_ours(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/"))
}

fn problem(error: &Error, request_id: &str) -> Response {
    let status = error.status();
    let problem = Problem {
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail: error.public(),
        request_id,
    };
    // Four plain fields always serialise.
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    ([(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))], body).into_response()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::routing::get;
    use http::StatusCode;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(method: &str, path: &str) -> (StatusCode, HeaderMap, String) {
        let fails = || async { Error::database_away("password=hunter2") };
        let app = Router::new()
            .route("/page", get(fails))
            .route("/api/v1/thing", get(fails))
            .layer(axum::middleware::from_fn(layer));
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let (parts, body) = app.oneshot(request).await.unwrap().into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn programs_read_a_problem_document() {
        let (status, headers, body) = ask("GET", "/api/v1/thing").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
        assert_eq!(headers[RETRY_AFTER], "5");
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["status"], 503);
        assert_eq!(problem["title"], "Service Unavailable");
        assert!(!body.contains("hunter2"));
    }

    #[tokio::test]
    async fn people_read_a_page() {
        for (method, path, expected) in [
            ("GET", "/page", StatusCode::SERVICE_UNAVAILABLE),
            ("GET", "/nowhere", StatusCode::NOT_FOUND),
            ("POST", "/page", StatusCode::METHOD_NOT_ALLOWED),
        ] {
            let (status, headers, body) = ask(method, path).await;
            assert_eq!(status, expected);
            assert_eq!(headers[CONTENT_TYPE], "text/html; charset=utf-8");
            assert!(body.starts_with("<!doctype html>"), "{body}");
            assert!(!body.contains("hunter2"));
            assert_eq!(headers.contains_key(ALLOW), expected == StatusCode::METHOD_NOT_ALLOWED);
        }
    }
}
