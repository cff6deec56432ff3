use anyhow::Result;

use crate::support::{Edge, Reply, Upstream};

/// Answers every request with a text of its own.
fn personal() -> impl FnMut(&crate::support::Call) -> Reply + Send + 'static {
    let mut visitor = 0;
    move |_| {
        visitor += 1;
        Reply::text(format!("for visitor {visitor} only"))
    }
}

#[tokio::test]
async fn what_the_origin_says_is_personal_is_never_shared() -> Result<()> {
    let upstream = Upstream::start(personal()).await?;
    let edge = Edge::before(&upstream.url())?;
    for (target, fields, reason) in [
        ("/search?q=1", &[("set-cookie", "session=1")][..], "set-cookie"),
        ("/search?q=2", &[("set-cookie", "a=1"), ("cache-control", "public, max-age=60")], "set-cookie"),
        ("/search?q=3", &[("cache-control", "private, max-age=60")], "private"),
        ("/search?q=4", &[("cache-control", "no-store")], "no-store"),
        ("/search?q=5", &[("vary", "cookie")], "vary"),
        ("/search?q=6", &[("vary", "*")], "vary"),
        ("/report/1/2", &[("set-cookie", "session=1")], "set-cookie"),
        ("/api/v1/search?q=1", &[("cache-control", "private")], "private"),
        ("/", &[("set-cookie", "session=1")], "set-cookie"),
        ("/static/site.css", &[("set-cookie", "session=1")], "set-cookie"),
    ] {
        let before = upstream.calls().len();
        let mut answer = personal();
        upstream.answer(move |call| fields.iter().fold(answer(call), |reply, (name, value)| reply.field(name, *value)));
        for visitor in 1..=3 {
            let answer = edge.visitor(visitor).get(target).await?;
            assert_eq!(answer.status, 200, "{target}");
            assert_eq!(answer.text(), format!("for visitor {visitor} only"), "{target}");
            let expected = format!("Seawall; fwd=uri-miss; fwd-status=200; detail={reason}");
            assert_eq!(answer.field("cache-status"), expected, "{target}");
            let cookie = fields.iter().find(|(name, _)| *name == "set-cookie").map_or("", |(_, value)| value);
            assert_eq!(answer.field("set-cookie"), cookie, "{target}");
        }
        assert_eq!(upstream.calls().len(), before + 3, "{target}");
    }
    Ok(())
}

#[tokio::test]
async fn who_shows_a_credential_gets_an_answer_of_their_own_and_leaves_none() -> Result<()> {
    let upstream = Upstream::start(personal()).await?;
    let edge = Edge::before(&upstream.url())?;
    for (visitor, credential) in [(1, "Bearer one"), (2, "Bearer two")] {
        let request = edge.visitor(visitor).ask("GET", "/methodology").field("authorization", credential);
        let answer = request.send().await?;
        assert_eq!(answer.text(), format!("for visitor {visitor} only"));
        assert_eq!(answer.field("cache-status"), "Seawall; fwd=request; fwd-status=200");
        assert_eq!(upstream.call(visitor.into()).await?.field("authorization"), credential);
    }
    let public = edge.visitor(3).get("/methodology").await?;
    assert_eq!(public.text(), "for visitor 3 only");
    edge.until_stored("/methodology").await?;
    let request = edge.visitor(1).ask("GET", "/methodology").field("authorization", "Bearer one");
    assert_eq!(request.send().await?.text(), "for visitor 4 only");
    Ok(())
}

#[tokio::test]
async fn the_origin_sees_nothing_of_a_visitor_that_could_colour_a_shared_page() -> Result<()> {
    let upstream = Upstream::start(|_| Reply::text("the page")).await?;
    let edge = Edge::before(&upstream.url())?;
    let mut request = edge.visitor(5).ask("GET", "/search?q=x").field("accept", "text/html");
    for name in [
        "cookie",
        "user-agent",
        "referer",
        "origin",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-original-url",
        "x-rewrite-url",
        "x-host",
        "x-http-method-override",
        "x-middleware-subrequest",
        "x-made-up",
        "range",
        "if-match",
        "if-range",
        "cache-control",
        "pragma",
        "te",
    ] {
        request = request.field(name, "poison");
    }
    assert_eq!(request.send().await?.status, 200);
    let call = upstream.call(1).await?;
    // `cache-control` and `pragma` are workerd's own: no cache stands between the edge and the origin.
    let expected = [
        "accept",
        "accept-encoding",
        "cache-control",
        "cf-worker",
        "host",
        "pragma",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-request-id",
    ];
    assert_eq!(call.field_names(), expected);
    for name in expected {
        assert!(!call.field(name).contains("poison"), "{name}: {}", call.field(name));
    }
    assert_eq!(call.field("x-forwarded-proto"), "http");
    assert_eq!(call.field("x-forwarded-for"), "127.0.0.5");
    assert_eq!(call.field("accept-encoding"), "identity");
    assert_eq!(call.field("host"), upstream.url().trim_start_matches("http://"));
    Ok(())
}

#[tokio::test]
async fn a_route_that_is_not_cached_keeps_cookies_and_drops_claims() -> Result<()> {
    let upstream = Upstream::start(|_| Reply::text("the page")).await?;
    let edge = Edge::before(&upstream.url())?;
    let request = edge.visitor(5).ask("POST", "/elsewhere?a=1&b=2").field("cookie", "session=1").text("a form");
    let request = request.field("x-forwarded-host", "poison").field("x-original-url", "/admin").field("te", "trailers");
    assert_eq!(request.send().await?.field("cache-status"), "Seawall; fwd=bypass; fwd-status=200");
    let call = upstream.call(1).await?;
    assert_eq!(
        (call.method.as_str(), call.target.as_str(), call.body()),
        ("POST", "/elsewhere?a=1&b=2", "a form".into())
    );
    assert_eq!(call.field("cookie"), "session=1");
    for name in ["x-forwarded-host", "x-original-url", "te"] {
        assert_eq!(call.field(name), "", "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn parameters_that_the_policy_does_not_list_neither_key_nor_travel() -> Result<()> {
    let upstream = Upstream::start(|_| Reply::text("the page")).await?;
    let edge = Edge::before(&upstream.url())?;
    edge.visitor(1).get("/search?utm_source=mail&q=mission&fbclid=1").await?;
    edge.until_stored("/search?q=mission").await?;
    for target in ["/search?q=mission&gclid=2", "/search?Q=other&q=mission", "/%73earch?q=mission&callback=alert"] {
        let answer = edge.visitor(1).get(target).await?;
        assert_eq!(answer.field("cache-status"), "Seawall; hit; ttl=300", "{target}");
    }
    assert_eq!(upstream.calls().len(), 1);
    assert_eq!(upstream.call(1).await?.target, "/search?q=mission");

    for target in ["/search?q=mission&year=2020", "/search?q=Mission", "/search?q=mission&q=bay"] {
        let answer = edge.visitor(1).get(target).await?;
        assert_eq!(answer.field("cache-status"), "Seawall; fwd=uri-miss; fwd-status=200; stored", "{target}");
    }
    Ok(())
}

#[tokio::test]
async fn a_body_in_a_get_goes_nowhere() -> Result<()> {
    let upstream = Upstream::start(|call| Reply::text(format!("echo {}", call.body()))).await?;
    let edge = Edge::before(&upstream.url())?;
    for target in ["/search?q=x", "/elsewhere"] {
        let bytes =
            format!("GET {target} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 6\r\nconnection: close\r\n\r\npoison");
        let answer = edge.visitor(1).raw(bytes.as_bytes()).await?;
        assert!(answer.starts_with("HTTP/1.1 200"), "{target}: {answer}");
        assert!(!answer.contains("poison"), "{target}: {answer}");
    }
    for call in upstream.calls() {
        assert_eq!((call.body(), call.field("content-length")), (String::new(), String::new()), "{}", call.target);
    }
    Ok(())
}

#[tokio::test]
async fn a_page_belongs_to_the_host_and_the_language_it_was_asked_for() -> Result<()> {
    let upstream =
        Upstream::start(|call| Reply::text(call.field("accept-language")).field("vary", "accept-language")).await?;
    let edge = Edge::before(&upstream.url())?;
    for (language, host, cache_status) in [
        ("en", "one.example", "Seawall; fwd=uri-miss; fwd-status=200; stored"),
        ("en", "two.example", "Seawall; fwd=uri-miss; fwd-status=200; stored"),
        ("es", "one.example", "Seawall; fwd=vary-miss; fwd-status=200; stored"),
        ("en", "one.example", "Seawall; hit; ttl=3600"),
        ("es", "one.example", "Seawall; hit; ttl=3600"),
    ] {
        let get = async || -> Result<_> {
            let request = format!(
                "GET /methodology HTTP/1.1\r\nhost: {host}\r\naccept-language: {language}\r\nconnection: close\r\n\r\n"
            );
            edge.visitor(1).raw(request.as_bytes()).await
        };
        let answer = get().await?;
        let status_line = format!("cache-status: {cache_status}\r\n");
        assert!(answer.contains(&status_line), "{language} {host}: {answer}");
        assert!(
            answer.contains(&format!("\r\n\r\n{language}")) || answer.contains(&format!("\r\n{language}\r\n")),
            "{answer}"
        );
        // Stored before the next one asks.
        crate::support::until(async || Ok(get().await?.contains("Seawall; hit"))).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_two_servers_could_read_in_two_ways_is_refused() -> Result<()> {
    let upstream = Upstream::start(|_| Reply::text("the page")).await?;
    let edge = Edge::before(&upstream.url())?;
    for (request, status) in [
        ("GET /static/../admin HTTP/1.1\r\nhost: localhost", 400),
        ("GET /static/%2e%2E/admin HTTP/1.1\r\nhost: localhost", 400),
        ("GET //admin HTTP/1.1\r\nhost: localhost", 400),
        ("GET /static//site.css HTTP/1.1\r\nhost: localhost", 400),
        ("GET /static\\..\\admin HTTP/1.1\r\nhost: localhost", 400),
        ("GET /static%2f..%2fadmin HTTP/1.1\r\nhost: localhost", 400),
        ("GET /static%5cadmin HTTP/1.1\r\nhost: localhost", 400),
        ("GET /admin%00.css HTTP/1.1\r\nhost: localhost", 400),
        ("GET /admin;.css HTTP/1.1\r\nhost: localhost", 400),
        ("GET /admin%3b.css HTTP/1.1\r\nhost: localhost", 400),
        ("GET /admin%23.css HTTP/1.1\r\nhost: localhost", 400),
        ("GET /search%3fq HTTP/1.1\r\nhost: localhost", 400),
        ("GET /search%0d%0ax:%20y HTTP/1.1\r\nhost: localhost", 400),
        ("GET /%252e%252e/admin HTTP/1.1\r\nhost: localhost", 400),
        ("GET /search?q=<x> HTTP/1.1\r\nhost: localhost", 400),
        ("GET /search HTTP/1.1\r\nhost: localhost\r\nconnection: close, cookie", 400),
        ("GET /search HTTP/1.1\r\nhost: local@host", 400),
        ("PROPFIND /search HTTP/1.1\r\nhost: localhost", 501),
    ] {
        let answer = edge.direct_visitor().raw(format!("{request}\r\nconnection: close\r\n\r\n").as_bytes()).await?;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
    }
    let long = format!("/{}", "a".repeat(2000));
    for target in [long, format!("/search?q={}", "a".repeat(4000))] {
        assert_eq!(edge.visitor(1).get(&target).await?.status, 414);
    }
    assert_eq!(upstream.calls().len(), 0);
    Ok(())
}

#[tokio::test]
async fn the_log_does_not_say_who_looks_for_what() -> Result<()> {
    let upstream = Upstream::start(|_| Reply::text("the page")).await?;
    let edge = Edge::before(&upstream.url())?;
    edge.visitor(77).get("/search?q=jane-doe").await?;
    edge.visitor(77).get("/report/3507/004").await?;
    let lines = || edge.log().lines().filter(|line| line.starts_with("edge.request ")).count();
    crate::support::until(async || Ok(lines() == 2)).await?;
    let log = edge.log();
    for personal in ["127.0.0.77", "jane-doe", "3507"] {
        assert!(!log.contains(personal), "{log}");
    }
    assert!(log.contains("edge.request route=search status=200"), "{log}");
    Ok(())
}
