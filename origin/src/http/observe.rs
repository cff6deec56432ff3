//! Names and times each request: the request id, `X-Response-Time`, `Server-Timing`, and one log line.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::telemetry::{self, Answered};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static RESPONSE_TIME: HeaderName = HeaderName::from_static("x-response-time");
static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Longest request id taken over from the edge; a longer one is replaced by ours.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// How long the page waited for the database. A route leaves it on its answer, for `Server-Timing`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DatabaseTime(pub(crate) Duration);

/// The name of one request, the same in the log, the answer and the edge.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// Takes over the edge's id, or makes one.
    fn of(request: &Request) -> Self {
        let given = request.headers().get(&REQUEST_ID).filter(|value| {
            let bytes = value.as_bytes();
            (1..=REQUEST_ID_BYTES_MAX).contains(&bytes.len())
                && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
        });
        given.map_or_else(Self::next, |value| Self(value.clone()))
    }

    /// Unique among processes by a random half, within this one by a counter. It is a name, not a secret.
    fn next() -> Self {
        static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let id = format!("{:016x}-{:x}", *PROCESS, COUNTER.fetch_add(1, Ordering::Relaxed));
        Self(HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("unnamed")))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// Names and times the request, and logs its end.
pub(crate) async fn layer(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = RequestId::of(&request);
    request.extensions_mut().insert(id.clone());
    let method = request.method().clone();
    let path = shown(request.uri().path()).to_owned();
    let span = tracing::info_span!("request", request.id = id.as_str(), { telemetry::NAME } = Empty);
    let route = request.extensions().get::<MatchedPath>().cloned();
    telemetry::adopt(&span, &method, route.as_ref().map(MatchedPath::as_str), request.headers());

    let mut response = next.run(request).instrument(span.clone()).await;

    let total = started.elapsed();
    let database = response.extensions().get::<DatabaseTime>().map(|time| time.0);
    let status = response.status().as_u16();
    let route = route.as_ref().map(MatchedPath::as_str);
    telemetry::describe(&span, Answered { method: method.as_str(), route, status, request_id: id.as_str() });
    let headers = response.headers_mut();
    headers.insert(&REQUEST_ID, id.0);
    set(headers, &RESPONSE_TIME, format!("{}ms", tenths(total)));
    let timing = match database {
        Some(database) => format!("db;dur={}, total;dur={}", tenths(database), tenths(total)),
        None => format!("total;dur={}", tenths(total)),
    };
    set(headers, &SERVER_TIMING, timing);
    let duration_us = u64::try_from(total.as_micros()).unwrap_or(u64::MAX);
    span.in_scope(|| tracing::debug!(event = "request.done", %method, path, status, duration_us, "{method} {path} answered {status}"));
    response
}

/// A path as the log may have it: what follows one of [`BEFORE_SECRETS`] lets whoever reads it in.
pub(super) fn shown(path: &str) -> &str {
    BEFORE_SECRETS.into_iter().find(|prefix| path.starts_with(prefix)).unwrap_or(path)
}

/// Where the rest of an address is a secret.
const BEFORE_SECRETS: [&str; 2] = ["/auth/verify/", "/unsubscribe/"];

fn set(headers: &mut http::HeaderMap, name: &HeaderName, value: String) {
    // A value of digits and ASCII names is always a valid field value.
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

/// Milliseconds with one decimal.
fn tenths(duration: Duration) -> String {
    let tenths = duration.as_micros() / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn milliseconds_have_one_decimal() {
        for (micros, text) in [(0, "0.0"), (99, "0.0"), (100, "0.1"), (1_234, "1.2"), (12_000_000, "12000.0")] {
            assert_eq!(tenths(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn a_secret_in_an_address_is_not_shown() {
        for (path, expected) in [("/auth/verify/00ff", "/auth/verify/"), ("/auth/login", "/auth/login"), ("/", "/")] {
            assert_eq!(shown(path), expected);
        }
    }

    #[test]
    fn only_a_plain_id_is_taken_over() {
        let long = "x".repeat(REQUEST_ID_BYTES_MAX + 1);
        let longest = "x".repeat(REQUEST_ID_BYTES_MAX);
        for (given, kept) in [("abc-1", true), (&longest, true), (&long, false), ("a b", false), ("a\"b", false)] {
            let request = Request::get("/").header("x-request-id", given).body(Body::empty()).unwrap();
            assert_eq!(RequestId::of(&request).as_str() == given, kept, "{given}");
        }
        let request = Request::get("/").body(Body::empty()).unwrap();
        assert_ne!(RequestId::of(&request).as_str(), RequestId::of(&request).as_str());
    }
}
