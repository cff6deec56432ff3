//! Attacks on a cache that visitors share, where no other test tells the story. docs/security-edge.md has all of them.

use seawall_core::headers::Fields;
use seawall_edge::{
    fake::{Host, Reply},
    message::Request,
};

use super::{body, cache_status, field, get, world};

/// An origin that repeats what it was asked.
fn repeat(request: &Request<Host>) -> Reply {
    let fields = ["x-http-method-override", "range", "x-forwarded-for"];
    let fields = fields.map(|name| request.headers.field(name).unwrap_or_default().into_owned());
    let body = request.body.as_deref().unwrap_or("none");
    let Request { method, scheme, host, path, query, .. } = request;
    Reply::ok(&format!("{method} {scheme} {host} {path}?{query} [{}] {body}", fields.join("|")), &[])
}

#[test]
fn a_parameter_is_in_the_key_as_the_origin_sees_it() {
    let (world, edge) = world();
    world.origin(repeat);
    let mut seen = Vec::new();
    for query in ["q=a", "q=a&q=b", "q=a;q=b", "q=a%26q=b", "utm=1;q=b&q=a", "q=a&callback=x", "q=a&after=2"] {
        let answer = get(&world, &edge, &format!("/search?{query}"));
        let again = get(&world, &edge, &format!("/search?{query}"));
        assert!(cache_status(&again).contains("; hit"), "{query}");
        assert_eq!(body(&again), body(&answer), "{query}: the store has what the origin said to this very query");
        seen.push(body(&answer).split('?').nth(1).unwrap_or_default().split(' ').next().unwrap_or_default().to_owned());
    }
    assert_eq!(seen, ["q=a", "q=a&q=b", "q=a;q=b", "q=a%26q=b", "q=a", "q=a", "q=a&after=2"]);
    assert_eq!(world.calls().len(), 5, "what the origin does not see is not told apart");
}

#[test]
fn a_get_has_no_body_and_a_method_is_what_the_request_line_says() {
    let (world, edge) = world();
    world.origin(repeat);
    for target in ["/search?q=a", "/account"] {
        let request = Request { body: Some(String::from("q=evil")), ..Request::get(target) };
        let answer = world.send(&edge, request.with("x-http-method-override", "DELETE"));
        assert!(body(&answer).starts_with("GET "), "{}", body(&answer));
        assert!(body(&answer).ends_with(" [||192.0.2.1] none"), "{}", body(&answer));
    }
}

#[test]
fn an_ending_makes_nothing_public() {
    let (world, edge) = world();
    world.origin(|_| Reply::ok("private", &[("cache-control", "public, max-age=600")]));
    for target in ["/account/x.css", "/account/static/x.js", "/account%2ecss", "/auth/me.png"] {
        for _ in 0..2 {
            let answer = get(&world, &edge, target);
            assert_eq!(cache_status(&answer), "Seawall; fwd=bypass; fwd-status=200", "{target}");
        }
    }
}

#[test]
fn an_error_that_a_client_can_provoke_is_not_stored() {
    for status in [400, 403, 405, 413, 414, 431, 500, 501, 503] {
        let (world, edge) = world();
        world.origin(move |request| match request.headers.field("accept") {
            Some(_) => Reply::status(status, "poison", &[("cache-control", "public, max-age=600")]),
            None => Reply::ok("page", &[]),
        });
        let _ = world.send(&edge, Request::get("/search?q=a").with("accept", "x"));
        world.settle();
        assert_eq!(body(&get(&world, &edge, "/search?q=a")), "page", "{status}");
    }
}

#[test]
fn each_host_and_scheme_has_a_store_of_its_own_and_the_origin_learns_no_host() {
    let (world, edge) = world();
    world.origin(|request| {
        let told = ["host", "x-forwarded-host", "forwarded"].map(|name| request.headers.field(name).is_some());
        assert_eq!(told, [false; 3], "nothing that an origin could build a link of");
        Reply::ok("page", &[])
    });
    for (scheme, host) in
        [("https", "a.example"), ("https", "b.example"), ("http", "a.example"), ("https", "a.example:8443")]
    {
        let request = || Request { scheme: scheme.to_owned(), host: host.to_owned(), ..Request::get("/methodology") };
        assert!(cache_status(&world.send(&edge, request().with("x-forwarded-host", "evil"))).contains("uri-miss"));
        assert!(cache_status(&world.send(&edge, request())).contains("; hit"));
    }
}

#[test]
fn many_ranges_reach_no_origin() {
    let (world, edge) = world();
    world.origin(repeat);
    let ask = |target: &str, ranges: &str| {
        let answer = world.send(&edge, Request::get(target).with("range", ranges));
        body(&answer).split('|').nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(ask("/search?q=a", "bytes=0-0"), "", "a page that is stored is fetched whole");
    assert_eq!(ask("/account", "bytes=0-0"), "bytes=0-0");
    assert_eq!(ask("/account", "bytes=0-0,2-2"), "bytes=0-0,2-2");
    assert_eq!(ask("/account", "bytes=0-,0-,0-"), "", "RFC 9110 14.2: a server may ignore it");
}

#[test]
fn an_address_in_a_field_buys_no_second_quota() {
    let (world, edge) = world();
    world.origin(repeat);
    for number in 0..20_u8 {
        let mut request = Request::get(&format!("/search?q={number}"));
        for name in ["x-forwarded-for", "forwarded", "x-real-ip", "true-client-ip", "cf-connecting-ip", "x-client-ip"] {
            request = request.with(name, &format!("203.0.113.{number}"));
        }
        let answer = world.send(&edge, request);
        assert_eq!(answer.status, if number < 15 { 200 } else { 429 }, "{number}");
        assert!(!body(&answer).contains("203.0.113"), "{}", body(&answer));
    }
}

#[test]
fn what_a_visitor_prefers_takes_no_page_from_others() {
    for (status, left) in [(400, true), (406, true), (416, true), (403, false), (404, false), (410, false)] {
        let (world, edge) = world();
        world.origin(|_| Reply::ok("good", &[]));
        let _ = get(&world, &edge, "/search?q=a");
        world.advance(super::seconds(400));
        world.origin(move |_| Reply::status(status, "bad", &[("cache-control", "no-store")]));
        let first = world.send(&edge, Request::get("/search?q=a").with("accept", "application/nothing"));
        assert_eq!(body(&first), "good", "{status}");
        world.settle();
        assert_eq!(body(&get(&world, &edge, "/search?q=a")) == "good", left, "{status}");
    }
}

#[test]
fn a_refresh_that_fails_leaves_the_good_page() {
    for status in [429, 500, 502, 503, 504] {
        let (world, edge) = world();
        world.origin(|_| Reply::ok("good", &[]));
        let _ = get(&world, &edge, "/search?q=a");
        world.advance(super::seconds(400));
        world.origin(move |_| Reply::status(status, "bad", &[("cache-control", "max-age=600")]));
        for _ in 0..3 {
            assert_eq!(body(&get(&world, &edge, "/search?q=a")), "good", "{status}");
            world.settle();
        }
        assert_eq!(field(&get(&world, &edge, "/search?q=a"), "age"), "400", "{status}");
    }
}
