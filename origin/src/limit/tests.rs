use axum::Router;
use axum::body::{Body, to_bytes};
use axum::middleware::from_fn_with_state;
use axum::routing::any;
use http::StatusCode;
use tower::ServiceExt as _;

use super::*;

pub(super) const POLICY: &str = r#"
version = 1
[upstream.origin]
[limit.two]
algorithm = "gcra"
quota = 2
window = "60s"
key = "client"
scope = "shared"
on_store_failure = "local"
[limit.closed]
algorithm = "gcra"
quota = 2
window = "60s"
key = "client"
scope = "shared"
on_store_failure = "closed"
[limit.open]
algorithm = "gcra"
quota = 2
window = "60s"
key = "client"
scope = "shared"
on_store_failure = "open"
[limit.one-at-a-time]
algorithm = "concurrency"
quota = 1
held_for = "60s"
key = "client"
scope = "isolate"
[[route]]
name = "api"
path = "/api/local"
limits = ["two"]
[[route]]
name = "closed"
path = "/closed"
limits = ["closed"]
[[route]]
name = "open"
path = "/open"
limits = ["open"]
[[route]]
name = "held"
path = "/held"
limits = ["one-at-a-time"]
[[route]]
name = "others"
path = "/**"
"#;

fn app(on: bool, redis: Option<&str>) -> Router {
    app_of_edge(on, redis, None)
}

fn app_of_edge(on: bool, redis: Option<&str>, edge_secret: Option<&str>) -> Router {
    let secret = |text: &str| config::Secret::new(text.to_owned());
    let (redis_url, edge_secret) = (redis.map(secret), edge_secret.map(secret));
    let settings = config::Limits { on, redis_url, upstash: None, trusted_proxy_hops: 1, edge_secret };
    let limiter = Limiter::new(settings, Arc::new(Policy::compile(POLICY).unwrap())).unwrap();
    Router::new().fallback(any(|| async { "content" })).layer(from_fn_with_state(Arc::new(limiter), layer))
}

async fn ask(app: &Router, path: &str, client: &str) -> (StatusCode, HeaderMap, String) {
    let request = Request::get(path).header("x-forwarded-for", client).body(Body::empty()).unwrap();
    let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

async fn statuses(app: &Router, path: &str) -> [u16; 4] {
    let mut statuses = [0; 4];
    for status in &mut statuses {
        *status = ask(app, path, "192.0.2.1").await.0.as_u16();
    }
    statuses
}

#[tokio::test]
async fn without_redis_this_process_counts_each_client() {
    let app = app(true, None);
    assert_eq!(statuses(&app, "/api/local").await, [200, 200, 429, 429]);
    assert_eq!(statuses(&app, "/anything").await, [200; 4]);
    let (status, headers, _) = ask(&app, "/api/local", "192.0.2.2").await;
    assert_eq!((status, &headers["ratelimit-policy"]), (StatusCode::OK, &"\"two\";q=2;w=60".parse().unwrap()));
    assert!(headers["ratelimit"].to_str().unwrap().starts_with("\"two\";r=1;t="), "{headers:?}");
    assert!(!headers.contains_key(RETRY_AFTER));

    let (_, headers, body) = ask(&app, "/api/local", "192.0.2.1").await;
    let wait: u64 = headers[RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=33).contains(&wait), "half a minute for one of two, and a tenth more: {wait}");
    assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
    let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&problem["status"], &problem["violated-policies"][0]), (&429.into(), &"two".into()));
}

/// Nobody listens on port 1: each limit does what it says, and no page waits for long.
#[tokio::test]
async fn while_redis_is_away_each_limit_does_as_it_says() {
    let app = app(true, Some("redis://127.0.0.1:1"));
    assert_eq!(statuses(&app, "/api/local").await, [200, 200, 429, 429]);
    assert_eq!(statuses(&app, "/closed").await, [429; 4]);
    assert_eq!(statuses(&app, "/open").await, [200; 4]);
}

#[tokio::test]
async fn limits_can_be_left_to_the_edge() {
    assert_eq!(statuses(&app(false, None), "/api/local").await, [200; 4]);
}

#[tokio::test]
async fn a_place_is_given_back_with_the_answer() {
    assert_eq!(statuses(&app(true, None), "/held").await, [200; 4]);
}

#[test]
fn a_url_that_is_not_of_redis_is_refused_without_showing_it() {
    let settings = config::Limits {
        on: true,
        redis_url: Some(config::Secret::new("http://:hunter2@host".to_owned())),
        upstash: None,
        trusted_proxy_hops: 0,
        edge_secret: None,
    };
    let error = Limiter::new(settings, Arc::new(Policy::compile(POLICY).unwrap())).unwrap_err();
    assert!(!format!("{error:#}").contains("hunter2"), "{error:#}");
}

/// Who comes past the edge is one client, whatever it says; who comes through it is who the edge says.
#[tokio::test]
async fn only_the_edge_is_believed_who_its_clients_are() {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    let wrong = SECRET.replace('0', "1");
    for (configured, shown, believed) in [
        (None, None, true),
        (Some(SECRET), None, false),
        (Some(SECRET), Some(&wrong[..]), false),
        (Some(SECRET), Some(&SECRET[1..]), false),
        (Some(SECRET), Some(SECRET), true),
    ] {
        let app = app_of_edge(true, None, configured);
        let mut refused = 0;
        // Each request names another client, and one client may not ask so often.
        for number in 1..=100 {
            let mut request = Request::get("/api/local").header("x-forwarded-for", format!("192.0.2.{number}"));
            if let Some(shown) = shown {
                request = request.header("seawall-edge-secret", shown);
            }
            let answer = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            refused += usize::from(answer.status() == StatusCode::TOO_MANY_REQUESTS);
        }
        assert_eq!(refused == 0, believed, "{configured:?} {shown:?}: {refused}");
    }
}
