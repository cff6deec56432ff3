//! The routes in all their layers, with a database that is away.

use axum::body::{Body, Bytes, to_bytes};
use http::HeaderName;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    LOCATION, RETRY_AFTER, SET_COOKIE, VARY,
};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use tower::ServiceExt as _;

use super::*;

/// A site as an operator could configure it, whose database is at a port where nobody listens.
fn site() -> Router {
    let set = [
        ("DATABASE_URL", "postgres://nemo@127.0.0.1:1/nothing"),
        ("DB_POOL_MIN", "1"),
        ("DB_POOL_MAX", "2"),
        ("DB_CONNECT_TIMEOUT", "1s"),
        ("DB_CHECKOUT_TIMEOUT", "1s"),
    ];
    let value = |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
    let config = Config::read(value).unwrap();
    let policy = Arc::new(Policy::compile(policy::BUILT_IN).unwrap());
    let databases = Databases::open(&config.database, policy::replica_breaker(&policy)).unwrap();
    let site = Site::new(&config, &policy, databases).unwrap();
    router(site, policy, Access::new(config.cron_worker, config.cron_secret))
}

async fn ask(app: &Router, method: &str, path: &str) -> (StatusCode, HeaderMap, Bytes) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    (parts.status, parts.headers, to_bytes(body, usize::MAX).await.unwrap())
}

#[tokio::test]
async fn every_answer_of_a_site_without_its_database() {
    let html = "text/html; charset=utf-8";
    let problem = "application/problem+json";
    let app = site();
    for (method, path, status, kind) in [
        ("GET", "/", 200, html),
        ("GET", "/methodology", 200, html),
        ("GET", "/privacy", 200, html),
        ("GET", "/api", 200, html),
        ("GET", "/api/v1/openapi.json", 200, "application/json"),
        ("GET", "/search", 200, html),
        ("GET", "/search?q=", 200, html),
        ("GET", "/static/site.css", 200, "text/css; charset=utf-8"),
        ("GET", "/static/icon.svg", 200, "image/svg+xml"),
        ("GET", "/search?q=market", 503, html),
        ("GET", "/report/3507/004", 503, html),
        ("GET", "/robots.txt", 200, "text/plain; charset=utf-8"),
        ("GET", "/sitemaps/pages.xml", 200, "application/xml"),
        ("GET", "/sitemaps/reports-1.xml", 503, html),
        ("GET", "/sitemaps/reports-0.xml", 404, html),
        ("GET", "/sitemaps/reports-501.xml", 404, html),
        ("GET", "/sitemap.xml", 503, html),
        ("GET", "/.well-known/security.txt", 404, html),
        ("GET", "/about-data", 503, html),
        ("GET", "/velocity", 503, html),
        ("GET", "/permit/201508053399", 503, html),
        ("GET", "/permit/2015%200805", 400, html),
        ("GET", "/api/v1/velocity", 503, problem),
        ("GET", "/api/v1/permit/201508053399", 503, problem),
        ("GET", "/api/v1/search?q=market", 503, problem),
        ("GET", "/api/v1/report/3507/004", 503, problem),
        ("GET", "/health", 503, "application/json"),
        ("GET", "/health/ready", 503, "application/json"),
        ("GET", "/health/schema", 503, "application/json"),
        ("GET", "/report/x/1", 400, html),
        ("GET", "/report/3507/4%FF", 400, html),
        ("GET", "/search?q=%FF", 503, html),
        ("GET", "/search?q=a&q=b", 400, html),
        ("GET", "/search?q=a&after=x", 400, html),
        ("GET", "/api/v1/search", 400, problem),
        ("GET", "/api/v1/report/x/1", 400, problem),
        ("GET", "/nowhere", 404, html),
        ("GET", "/search/", 404, html),
        ("GET", "/static/none.css", 404, html),
        ("GET", "/api/v1/nowhere", 404, problem),
        ("GET", "/health/nowhere", 404, problem),
        ("POST", "/cron/nightly", 404, problem),
        ("GET", "/cron/status", 404, problem),
        ("POST", "/", 405, html),
        ("DELETE", "/api/v1/search", 405, problem),
    ] {
        let (answered, headers, content) = ask(&app, method, path).await;
        let about = format!("{method} {path}");
        assert_eq!(answered, status, "{about}");
        assert_eq!(headers[CONTENT_TYPE], kind, "{about}");
        assert!(!content.is_empty(), "{about}");
        assert!(!headers.contains_key(SET_COOKIE), "{about}");
        assert_eq!(headers["x-frame-options"], "DENY", "{about}");
        assert!(headers["x-response-time"].to_str().unwrap().ends_with("ms"), "{about}");
        assert!(headers["server-timing"].to_str().unwrap().contains("total;dur="), "{about}");
        assert!(headers.contains_key("x-request-id") && headers.contains_key("content-security-policy"), "{about}");
        assert_eq!(headers.contains_key(ALLOW), status == 405, "{about}");
        assert_eq!(headers.contains_key(RETRY_AFTER), status == 503 && kind != "application/json", "{about}");
        assert_eq!(headers[CACHE_CONTROL] == "no-store", status != 200, "{about}");
        let text = String::from_utf8_lossy(&content);
        assert!(!text.contains("127.0.0.1") && !text.contains("nemo"), "{about}: {text}");
    }
}

#[tokio::test]
async fn head_has_the_fields_of_get_and_no_content() {
    let app = site();
    for path in ["/", "/static/site.css"] {
        let (_, get, content) = ask(&app, "GET", path).await;
        let (status, head, nothing) = ask(&app, "HEAD", path).await;
        assert_eq!((status, nothing.len()), (StatusCode::OK, 0), "{path}");
        assert_eq!(head[ETAG], get[ETAG], "{path}");
        assert_eq!(head[CONTENT_LENGTH], content.len().to_string(), "{path}");
    }
}

#[tokio::test]
async fn a_parcel_has_one_address() {
    let app = site();
    for (path, canonical) in [
        ("/report/3507/4", "/report/3507/004"),
        ("/report/42/1", "/report/0042/001"),
        ("/report/0222a/021a", "/report/0222A/021A"),
        ("/api/v1/report/3507/4", "/api/v1/report/3507/004"),
    ] {
        let (status, headers, _) = ask(&app, "GET", path).await;
        assert_eq!((status, &headers[LOCATION]), (StatusCode::PERMANENT_REDIRECT, &canonical.parse().unwrap()));
    }
}

#[tokio::test]
async fn health_says_what_is_wrong_and_its_figures_add_up() {
    let app = site();
    let (_, _, content) = ask(&app, "GET", "/health").await;
    let health: serde_json::Value = serde_json::from_slice(&content).unwrap();
    assert_eq!(health["status"], "degraded");
    assert_eq!(health["database"]["reachable"], false);
    let figure = |name: &str| health["pool"][name].as_u64().unwrap();
    assert_eq!(figure("in_use") + figure("idle"), figure("size"));
    assert_eq!(figure("max"), 2);

    let (_, _, content) = ask(&app, "GET", "/health/ready").await;
    let ready: serde_json::Value = serde_json::from_slice(&content).unwrap();
    assert_eq!((&ready["ready"], &ready["checks"]["db_pool"]), (&false.into(), &false.into()));
}

#[tokio::test]
async fn a_body_too_long_is_refused() {
    let app = site();
    let request = Request::post("/").header(CONTENT_LENGTH, BODY_BYTES_MAX + 1);
    let body = Body::from(vec![0; BODY_BYTES_MAX + 1]);
    let response = app.oneshot(request.body(body).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[test]
fn a_panic_is_a_fault_of_ours_and_keeps_its_text() {
    for panic in [Box::new("static") as Box<dyn Any + Send>, Box::new("owned".to_owned()), Box::new(1)] {
        let response = panicked(panic);
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(response.extensions().get::<Error>().unwrap().internal().unwrap().starts_with("panic: "));
    }
}

#[tokio::test]
async fn long_answers_are_smaller_for_who_can_read_that() {
    let app = site();
    let ask = |path: &'static str, fields: Vec<(HeaderName, String)>| {
        let mut request = Request::get(path);
        for (name, value) in fields {
            request = request.header(name, value);
        }
        app.clone().oneshot(request.body(Body::empty()).unwrap())
    };
    let plain = ask("/methodology", vec![]).await.unwrap();
    let tag = plain.headers()[ETAG].to_str().unwrap().to_owned();
    assert!(!plain.headers().contains_key(CONTENT_ENCODING));
    let plain = to_bytes(plain.into_body(), usize::MAX).await.unwrap();
    for coding in ["gzip", "br"] {
        let answer = ask("/methodology", vec![(ACCEPT_ENCODING, coding.to_owned())]).await.unwrap();
        assert_eq!(
            (&answer.headers()[CONTENT_ENCODING], &answer.headers()[VARY]),
            (&coding.parse().unwrap(), &"accept-encoding".parse().unwrap())
        );
        let weak = answer.headers()[ETAG].to_str().unwrap().to_owned();
        assert_eq!(weak, format!("W/{tag}"));
        let small = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        assert!(small.len() * 3 < plain.len() * 2, "{coding}: {} of {}", small.len(), plain.len());
        if coding == "gzip" {
            let mut read = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*small), &mut read).unwrap();
            assert_eq!(read, plain);
        }
        let known =
            ask("/methodology", vec![(ACCEPT_ENCODING, coding.to_owned()), (IF_NONE_MATCH, weak)]).await.unwrap();
        assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
        assert!(to_bytes(known.into_body(), usize::MAX).await.unwrap().is_empty());
    }
    let short = ask("/health", vec![(ACCEPT_ENCODING, "gzip".to_owned())]).await.unwrap();
    assert!(!short.headers().contains_key(CONTENT_ENCODING));
}

/// RFC 9110 §15.4.5: a 304 has the fields of the 200 in whose place it stands. A file is kept compressed, a page here is
/// compressed for its request, and health has nothing to compress.
#[tokio::test]
async fn a_304_and_a_head_have_the_fields_of_the_200() {
    let app = site();
    let ask = |method: &'static str, path: &str, coding: &str, known: Option<HeaderValue>| {
        let mut request = Request::builder().method(method).uri(path).header(ACCEPT_ENCODING, coding);
        if let Some(known) = known {
            request = request.header(IF_NONE_MATCH, known);
        }
        app.clone().oneshot(request.body(Body::empty()).unwrap())
    };
    let described = [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE];
    let fields = |headers: &HeaderMap| {
        let mut fields = headers.clone();
        let each_its_own =
            ["ratelimit", "server-timing", "x-request-id", "x-response-time"].map(HeaderName::from_static);
        described.iter().chain(&each_its_own).for_each(|name| drop(fields.remove(name)));
        fields
    };
    for path in ["/static/site.css", "/methodology", "/robots.txt"] {
        for coding in ["", "gzip", "br", "gzip;q=0"] {
            let whole = ask("GET", path, coding, None).await.unwrap();
            assert_eq!(whole.status(), StatusCode::OK);
            let tag = whole.headers()[ETAG].clone();
            let is_coded = whole.headers().contains_key(CONTENT_ENCODING);
            assert_eq!(tag.as_bytes().starts_with(b"W/"), is_coded, "{path} {coding}: {tag:?}");
            for method in ["GET", "HEAD"] {
                let known = ask(method, path, coding, Some(tag.clone())).await.unwrap();
                assert_eq!(known.status(), StatusCode::NOT_MODIFIED, "{method} {path} {coding}");
                assert_eq!(fields(known.headers()), fields(whole.headers()), "{method} {path} {coding}");
                let says = |name| known.headers().contains_key(name);
                assert!(!says(CONTENT_ENCODING) && !says(CONTENT_TYPE), "{:?}", known.headers());
            }
            let head = ask("HEAD", path, coding, None).await.unwrap();
            assert_eq!(fields(head.headers()), fields(whole.headers()), "HEAD {path} {coding}");
            assert_eq!(
                head.headers().get(CONTENT_ENCODING),
                whole.headers().get(CONTENT_ENCODING),
                "HEAD {path} {coding}"
            );
        }
        assert_eq!(ask("GET", path, "br", None).await.unwrap().headers().contains_key(VARY), path != "/robots.txt");
    }
}
