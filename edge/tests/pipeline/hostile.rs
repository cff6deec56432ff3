use std::rc::Rc;

use seawall_core::headers::Fields;
use seawall_edge::{
    Edge, Isolate, Settings,
    fake::Reply,
    limits,
    message::Request,
    settings::{EDGE_SECRET_FIELD, Secret},
};

use super::{body, cache_status, field, get, world};

/// The origin shows what it got, so that a test sees what could have been repeated to others.
fn echo(request: &Request<seawall_edge::fake::Host>) -> Reply {
    let mut seen = Vec::new();
    for name in [
        "accept",
        "accept-language",
        "authorization",
        "cookie",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-original-url",
        "x-http-method-override",
        "x-secret",
        "cf-connecting-ip",
        "user-agent",
        "range",
        "traceparent",
        "tracestate",
        "baggage",
    ] {
        if let Some(value) = request.headers.field(name) {
            seen.push(format!("{name}={value}"));
        }
    }
    let body = request.body.as_deref().unwrap_or("none");
    Reply::ok(&format!("{} {}?{} [{}] body={body}", request.method, request.path, request.query, seen.join(",")), &[])
}

#[test]
fn what_is_not_in_the_key_does_not_reach_the_origin() {
    let (world, edge) = world();
    world.origin(echo);
    let answer = world.send(
        &edge,
        Request {
            body: Some("fat".to_owned()),
            ..Request::get("/search?utm_source=evil&q=a&callback=alert")
                .with("cookie", "session=1")
                .with("x-forwarded-host", "evil.example")
                .with("x-forwarded-for", "203.0.113.66")
                .with("cf-connecting-ip", "203.0.113.66")
                .with("x-original-url", "/admin")
                .with("x-http-method-override", "POST")
                .with("x-secret", "unkeyed")
                .with("user-agent", "<script>")
                .with("range", "bytes=0-1")
                .with("accept", "text/html")
        },
    );
    assert_eq!(body(&answer), "GET /search?q=a [accept=text/html,x-forwarded-for=192.0.2.1] body=none");
    assert!(cache_status(&get(&world, &edge, "/search?fbclid=1&q=a")).contains("; hit"));
}

#[test]
fn only_this_edge_shows_the_origin_its_secret() {
    let text = "0123456789abcdef0123456789abcdef";
    for (configured, expected) in [(None, "-"), (Some(text), text)] {
        let (world, _) = world();
        world.origin(|request| {
            let shown =
                request.headers.field(EDGE_SECRET_FIELD).map_or_else(|| "-".to_owned(), |value| value.into_owned());
            Reply::ok(&shown, &[])
        });
        let edge_secret = configured.and_then(|text| Secret::new(text.to_owned()));
        let settings = Settings { edge_secret, ..Settings::default() };
        let edge = Rc::new(Isolate::new(Edge::new(world.policy(), 1).with_settings(settings), 1));
        // What a visitor claims is taken away, whether the page is stored or passed through.
        for (method, target) in [("GET", "/search?q=a"), ("POST", "/auth/send-link")] {
            let request = Request::get(target).method(method).with(EDGE_SECRET_FIELD, "guessed");
            assert_eq!(body(&world.send(&edge, request)), expected, "{method} {target}");
        }
    }
}

#[test]
fn what_belongs_to_one_visitor_is_never_shared() {
    for fields in [
        [("set-cookie", "session=1")],
        [("cache-control", "private, max-age=60")],
        [("cache-control", "no-store")],
        [("vary", "*")],
        [("vary", "cookie")],
    ] {
        let (world, edge) = world();
        world.origin(move |_| Reply::ok("mine", &fields));
        let first = get(&world, &edge, "/search?q=a");
        assert_eq!(field(&first, fields[0].0), fields[0].1, "its own visitor gets it as it is");
        let _ = get(&world, &edge, "/search?q=a");
        assert_eq!(world.calls().len(), 2, "{fields:?}");
    }
}

#[test]
fn a_request_with_authorization_goes_past_the_cache_both_ways() {
    let (world, edge) = world();
    world.origin(echo);
    let ask = || world.send(&edge, Request::get("/search?q=a").with("authorization", "Bearer 1").with("cookie", "a=b"));
    let mine = ask();
    assert!(body(&mine).contains("authorization=Bearer 1,cookie=a=b"), "{}", body(&mine));
    assert_eq!(cache_status(&mine), "Seawall; fwd=request; fwd-status=200");
    let other = get(&world, &edge, "/search?q=a");
    assert!(!body(&other).contains("Bearer"), "{}", body(&other));
    assert!(cache_status(&ask()).starts_with("Seawall; fwd=request"), "not answered from what others stored");
}

#[test]
fn a_route_that_is_not_cached_passes_everything_but_claims() {
    let (world, edge) = world();
    world.origin(echo);
    let answer = world.send(
        &edge,
        Request { body: Some("email=a".to_owned()), ..Request::get("/auth/send-link?x=1").method("POST") }
            .with("cookie", "session=1")
            .with("connection", "keep-alive, x-secret")
            .with("x-secret", "hop")
            .with("x-forwarded-host", "evil.example")
            .with("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
            .with("tracestate", "vendor=1")
            .with("baggage", "tenant=evil"),
    );
    assert_eq!(body(&answer), "POST /auth/send-link?x=1 [cookie=session=1,x-forwarded-for=192.0.2.1] body=email=a");
    assert_eq!(cache_status(&answer), "Seawall; fwd=bypass; fwd-status=200");
}

#[test]
fn ambiguity_is_refused_before_anything_else() {
    let (world, edge) = world();
    let long_path = format!("/{}", "a".repeat(limits::PATH_BYTES_MAX));
    let long_query = format!("/search?q={}", "a".repeat(limits::QUERY_BYTES_MAX));
    let options = vec!["a"; limits::CONNECTION_OPTIONS_MAX + 1].join(",");
    for (request, status) in [
        (Request::get("/search/../admin"), 400),
        (Request::get("/report/3507%2f004/x"), 400),
        (Request::get("//evil.example/"), 400),
        (Request::get("/a%00b"), 400),
        (Request::get("/search?q=\\"), 400),
        (Request::get(&long_path), 414),
        (Request::get(&long_query), 414),
        (Request::get("/").method("TRACE"), 501),
        (Request::get("/").method("get"), 501),
        (Request::get("/").with("connection", "authorization"), 400),
        (Request::get("/").with("connection", &options), 400),
        (Request { host: String::from("evil example"), ..Request::get("/") }, 400),
    ] {
        let what = format!("{} {}", request.method, request.path);
        let answer = world.send(&edge, request);
        assert_eq!(
            (answer.status, field(&answer, "content-type").as_str()),
            (status, "application/problem+json"),
            "{what}"
        );
        assert_eq!(
            (field(&answer, "cache-control").as_str(), cache_status(&answer).as_str()),
            ("no-store", "Seawall; detail=malformed")
        );
    }
    assert!(world.calls().is_empty());
    let longest = format!("/{}", "a".repeat(limits::PATH_BYTES_MAX - 1));
    assert_eq!(get(&world, &edge, &longest).status, 200);
}

#[test]
fn fields_of_one_answer_are_not_stored() {
    let (world, edge) = world();
    world.origin(|_| {
        Reply::ok(
            "page",
            &[
                ("x-request-id", "1"),
                ("ratelimit", "\"x\";r=1"),
                ("connection", "close"),
                ("age", "7"),
                ("x-kept", "yes"),
            ],
        )
    });
    let _ = get(&world, &edge, "/search?q=a");
    let hit = get(&world, &edge, "/search?q=a");
    assert!(cache_status(&hit).contains("; hit"));
    assert_eq!(hit.headers.field("x-request-id"), None);
    assert_eq!(hit.headers.field("connection"), None);
    assert_eq!(field(&hit, "age"), "7");
    assert_eq!(field(&hit, "x-kept"), "yes");
    assert_eq!(field(&hit, "ratelimit"), "\"client\";r=298;t=2");
}

#[test]
fn a_client_cannot_send_its_requests_past_the_cache() {
    let (world, edge) = world();
    world.origin(echo);
    let _ = get(&world, &edge, "/search?q=a");
    for (name, value) in [
        ("cache-control", "no-cache"),
        ("cache-control", "no-store"),
        ("cache-control", "max-age=0"),
        ("pragma", "no-cache"),
        ("if-match", "\"none\""),
        ("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("range", "bytes=0-0,2-2,4-4,6-6"),
        ("available-dictionary", ":aGk=:"),
    ] {
        let answer = world.send(&edge, Request::get("/search?q=a").with(name, value));
        assert!(cache_status(&answer).contains("; hit"), "{name}: {value}: {}", cache_status(&answer));
        assert_eq!(answer.status, 200, "{name}: {value}");
    }
    assert_eq!(world.calls().len(), 1);
}

#[test]
fn a_304_cannot_change_how_a_stored_body_is_read() {
    let (world, edge) = world();
    world.origin(|request| match request.headers.field("if-none-match") {
        Some(_) => Reply::status(
            304,
            "",
            &[
                ("etag", "\"1\""),
                ("content-type", "text/html"),
                ("content-encoding", "gzip"),
                ("content-length", "1"),
                ("content-range", "bytes 0-0/1"),
                ("set-cookie", "session=1"),
            ],
        ),
        None => Reply::ok("page", &[("etag", "\"1\""), ("content-type", "text/plain"), ("content-length", "4")]),
    });
    let _ = get(&world, &edge, "/search?q=a");
    world.advance(core::time::Duration::from_secs(2000));
    for _ in 0..2 {
        let answer = get(&world, &edge, "/search?q=a");
        let fields = ["content-type", "content-length", "content-encoding", "content-range", "set-cookie"];
        assert_eq!(fields.map(|name| field(&answer, name)), ["text/plain", "4", "", "", ""].map(String::from));
        assert_eq!((answer.status, body(&answer)), (200, "page"));
    }
}

#[test]
fn fields_named_in_connection_and_tags_stay_here() {
    let (world, edge) = world();
    world.origin(|_| {
        Reply::ok("", &[("connection", "close, X-Hop"), ("x-hop", "1"), ("cache-tag", "a"), ("x-end", "1")])
    });
    for _ in 0..2 {
        let answer = get(&world, &edge, "/search?q=a");
        assert_eq!(
            ["x-hop", "cache-tag", "connection", "x-end"].map(|name| field(&answer, name)),
            ["", "", "", "1"].map(String::from)
        );
    }
}
