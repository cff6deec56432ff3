use core::net::Ipv4Addr;
use std::rc::Rc;

use seawall_core::{headers::Fields, policy::Policy};
use seawall_edge::{
    Edge, Isolate, Settings,
    fake::{Faults, Host, Reply, World},
    limits,
    message::{Request, Response},
    platform::FetchError,
    settings::{SECRET_FIELD, Secret},
};

use super::{at_once, body, cache_status, field, get, seconds};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The site's own upstreams, limits and routes below these tables, and what its isolate is told beside them.
fn world(tables: &str, maintenance: Option<bool>) -> (World, Rc<Isolate<Host>>) {
    let (_, routes) = include_str!("../../../policy.toml").split_once("[upstream.origin]").unwrap();
    let policy = format!("version = 1\n{tables}\n[upstream.origin]{routes}");
    let policy = Policy::compile(&policy).unwrap_or_else(|error| panic!("{error}"));
    let world = World::new(policy, 1);
    let control_secret = Secret::new(SECRET.to_owned());
    let settings = Settings { control_secret, maintenance, ..Settings::default() };
    let edge = Rc::new(Isolate::new(Edge::new(world.policy(), 1).with_settings(settings), 1));
    (world, edge)
}

fn to_host(host: &str) -> Request<Host> {
    Request { host: host.to_owned(), ..Request::get("/search?q=a") }
}

fn by_operator(target: &str) -> Request<Host> {
    Request::get(target).with(SECRET_FIELD, SECRET)
}

#[test]
fn only_the_hosts_of_the_policy_are_served() {
    let (world, edge) = world("site.hosts = [\"permits.example\", \"*.city.example\"]", None);
    for (host, status) in [
        ("permits.example", 200),
        ("PERMITS.example", 200),
        ("a.city.example", 200),
        ("evil.example", 421),
        ("permits.example:8080", 421),
        ("permits.example.", 421),
        ("permits.example.evil.example", 421),
    ] {
        let answer = world.send(&edge, to_host(host));
        assert_eq!(answer.status, status, "{host}");
    }
    let refused = world.send(&edge, to_host("evil.example"));
    assert_eq!(cache_status(&refused), "Seawall; detail=host");
    let control = Request { host: "evil.example".to_owned(), ..Request::get("/__seawall/health") };
    assert_eq!(world.send(&edge, control).status, 421, "no operator's path either");
    assert_eq!(world.calls().len(), 2, "one page for each host that is served");
}

#[test]
fn every_answer_has_the_security_fields_and_the_origins_own_stand() {
    let tables = "security = { strict-transport-security = \"max-age=63072000\", \
                  content-security-policy = \"default-src 'self'\", x-frame-options = \"DENY\" }";
    let (world, edge) = world(tables, None);
    let names = ["x-frame-options", "x-content-type-options", "content-security-policy", "strict-transport-security"];
    let of = |answer: &Response<Host>| names.map(|name| field(answer, name));
    let policy = ["DENY", "nosniff", "default-src 'self'", "max-age=63072000"].map(String::from);
    // A page from the origin, the same from the store, a page of no cache, and three that the edge makes itself.
    assert_eq!(of(&get(&world, &edge, "/search?q=a")), policy);
    let hit = get(&world, &edge, "/search?q=a");
    assert_eq!((cache_status(&hit).contains("; hit"), of(&hit)), (true, policy.clone()));
    assert_eq!(of(&get(&world, &edge, "/account")), policy);
    assert_eq!(of(&world.send(&edge, Request::get("/a/../b"))), policy);
    assert_eq!(of(&get(&world, &edge, "/__seawall/health")), policy);
    world.origin(|_| Reply::fails(FetchError::Unreachable));
    assert_eq!(of(&get(&world, &edge, "/account")), policy);

    world.origin(|_| {
        Reply::ok(
            "strict",
            &[
                ("x-frame-options", "SAMEORIGIN"),
                ("content-security-policy", "default-src 'none'"),
                ("strict-transport-security", "max-age=1"),
            ],
        )
    });
    let own = of(&get(&world, &edge, "/account"));
    assert_eq!(own, ["SAMEORIGIN", "nosniff", "default-src 'none', default-src 'self'", "max-age=1"].map(String::from));
    let plain = world.send(&edge, Request { scheme: "http".to_owned(), ..Request::get("/methodology") });
    assert_eq!(field(&plain, "strict-transport-security"), "max-age=1", "the origin's own word");
    world.origin(|_| Reply::ok("", &[]));
    let plain = world.send(&edge, Request { scheme: "http".to_owned(), ..Request::get("/demo") });
    assert_eq!(field(&plain, "strict-transport-security"), "", "the edge says it over https only");
}

#[test]
fn in_maintenance_the_origin_rests_and_stored_pages_are_served() {
    let (world, edge) = world("maintenance = { retry_after = \"30m\", text = \"Back at <noon>.\" }", None);
    let _ = get(&world, &edge, "/search?q=stored");
    let (_, down) = self::world("maintenance = { retry_after = \"30m\", text = \"Back at <noon>.\" }", Some(true));
    assert_eq!(get(&world, &down, "/search?q=stored").status, 200);
    world.advance(seconds(7200));
    let stale = get(&world, &down, "/search?q=stored");
    assert_eq!((stale.status, cache_status(&stale).contains("detail=maintenance")), (200, true));

    let page = world.send(&down, Request::get("/search?q=new").with("accept", "text/html,*/*;q=0.8"));
    assert_eq!((page.status, field(&page, "retry-after").as_str()), (503, "1800"));
    assert_eq!(field(&page, "content-type"), "text/html; charset=utf-8");
    assert!(body(&page).contains("Back at &lt;noon&gt;."), "{}", body(&page));
    let problem = world.send(&down, Request::get("/api/v1/search?q=new").with("accept", "application/json"));
    assert_eq!((problem.status, field(&problem, "content-type").as_str()), (503, "application/problem+json"));
    assert_eq!(world.send(&down, Request::get("/auth/send-link").method("POST")).status, 503);
    assert!(field(&page, "ratelimit").contains("\"search\";r="), "limits hold as ever");
    assert_eq!(world.calls().len(), 1, "the origin was asked once, before");
    assert_eq!(get(&world, &edge, "/account").status, 200, "and another isolate without the switch asks it");
}

#[test]
fn maintenance_lets_operators_and_named_routes_through_and_keeps_nothing_of_it() {
    let (world, edge) = world("maintenance = { on = true, stored = false }", None);
    world.origin(|request| {
        assert_eq!(request.headers.field(SECRET_FIELD), None, "the secret goes no further");
        Reply::ok("new", &[])
    });

    assert_eq!(get(&world, &edge, "/health/ready").status, 200);
    assert_eq!(get(&world, &edge, "/search?q=a").status, 503);
    let preview = world.send(&edge, by_operator("/search?q=a"));
    assert_eq!((preview.status, body(&preview)), (200, "new"));
    assert_eq!(cache_status(&preview), "Seawall; fwd=bypass; fwd-status=200");
    let wrong = Request::get("/search?q=a").with(SECRET_FIELD, "0123456789abcdef0123456789abcdee");
    assert_eq!(world.send(&edge, wrong).status, 503);
    assert_eq!(get(&world, &edge, "/search?q=a").status, 503, "what the operator saw is not stored");
    assert_eq!(world.calls().len(), 2);
}

#[test]
fn the_switch_of_the_host_wins_over_the_policy() {
    for (on, switch, status) in [(true, None, 503), (true, Some(false), 200), (false, Some(true), 503)] {
        let (world, edge) = world(&format!("maintenance.on = {on}"), switch);
        assert_eq!(get(&world, &edge, "/account").status, status, "{on} {switch:?}");
    }
}

#[test]
fn diagnostics_are_for_everybody_or_for_operators() {
    let names = ["cache-status", "age", "server-timing", "x-response-time"];
    let slow = |_: &_| Reply::ok("", &[("server-timing", "db;dur=3"), ("age", "1")]).after(seconds(2));
    for (word, public) in [("public", true), ("operator", false)] {
        let (world, edge) = world(&format!("site.diagnostics = \"{word}\""), None);
        world.origin(slow);
        let seen = |answer: &Response<Host>| names.map(|name| !field(answer, name).is_empty());
        assert_eq!(seen(&get(&world, &edge, "/search?q=a")), [public; 4], "{word}");
        let hit = get(&world, &edge, "/search?q=a");
        assert_eq!(seen(&hit), [public, public, false, false], "nothing took time: {word}");
        assert_eq!(seen(&world.send(&edge, by_operator("/search?q=b"))), [true; 4], "{word}");
    }
}

#[test]
fn an_answer_says_how_long_the_origin_took_and_a_stored_one_does_not() {
    let (world, edge) = world("", None);
    world.origin(|_| Reply::ok("", &[("server-timing", "db;dur=3"), ("x-response-time", "9ms")]).after(seconds(2)));
    let miss = get(&world, &edge, "/search?q=a");
    assert_eq!(field(&miss, "server-timing"), "db;dur=3, origin;dur=2000, edge;dur=2000");
    assert_eq!(field(&miss, "x-response-time"), "2000ms");
    let hit = get(&world, &edge, "/search?q=a");
    assert_eq!(["server-timing", "x-response-time"].map(|name| field(&hit, name)), ["", ""].map(String::from));
}

#[test]
fn each_request_has_one_line_of_the_same_fields() {
    let (world, edge) = world("", None);
    let last = || world.log().pop().unwrap_or_default();
    world.origin(|_| Reply::ok("", &[]).after(seconds(1)));
    let cases: [(Request<Host>, &str); 6] = [
        (
            Request::get("/search?q=secret"),
            "route=search status=200 method=GET cache=uri-miss origin=200 stored=yes collapsed=no detail=- limits=authority limited=- degraded=- elapsed_ms=1000",
        ),
        (
            Request::get("/search?q=secret"),
            "route=search status=200 method=GET cache=hit origin=- stored=no collapsed=no detail=- limits=isolate limited=- degraded=- elapsed_ms=0",
        ),
        (
            Request::get("/auth/send-link").method("POST"),
            "route=sign-in status=200 method=POST cache=bypass origin=200 stored=no collapsed=no detail=- limits=authority limited=- degraded=- elapsed_ms=1000",
        ),
        (
            Request::get("/a/../secret"),
            "route=none status=400 method=GET cache=refused origin=- stored=no collapsed=no detail=path limits=- limited=- degraded=- elapsed_ms=0",
        ),
        (
            Request::get("/secret").method("SECRET"),
            "route=none status=501 method=other cache=refused origin=- stored=no collapsed=no detail=method limits=- limited=- degraded=- elapsed_ms=0",
        ),
        (
            Request::get("/methodology").method("HEAD"),
            "route=methodology status=200 method=HEAD cache=uri-miss origin=200 stored=no collapsed=no detail=method limits=isolate limited=- degraded=- elapsed_ms=1000",
        ),
    ];
    for (request, expect) in cases {
        let _ = world.send(&edge, request);
        assert_eq!(last(), format!("edge.request {expect}"));
    }
    // Each takes a second, and one is earned back in four.
    let statuses = (0..30).map(|page| get(&world, &edge, &format!("/search?q=secret&after={page}")).status);
    assert_eq!(statuses.into_iter().find(|status| *status == 429), Some(429));
    assert!(last().contains(" status=429 "), "{}", last());
    assert!(last().contains(" detail=limited limits=authority limited=search "), "{}", last());
    assert!(!world.log().join("\n").contains("secret"), "no word of a visitor: {:#?}", world.log());
}

#[test]
fn what_is_done_in_place_of_what_should_be_is_counted() {
    let (world, edge) = world("", None);
    let last = || world.log().pop().unwrap_or_default();
    let _ = get(&world, &edge, "/search?q=a");
    world.faults(Faults { authority: 1000, save: 1000, load: 1000, ..Faults::default() });
    let _ = get(&world, &edge, "/search?q=b");
    world.settle();
    assert!(last().starts_with("edge.cache.save failed"), "{}", last());
    let mut counted = world.metrics();
    counted.sort();
    assert_eq!(
        counted,
        ["call data ok", "call data ok", "failure authority", "failure cache-load", "failure cache-save"]
    );
    assert!(world.log().iter().any(|line| line.contains(" degraded=local-share ")), "{:#?}", world.log());

    world.faults(Faults { unreachable: 1000, ..Faults::default() });
    world.advance(seconds(1000));
    let _ = get(&world, &edge, "/search?q=a");
    assert!(last().contains(" cache=stale ") && last().contains(" degraded=stale "), "{}", last());
    for _ in 0..30 {
        let _ = get(&world, &edge, "/account");
    }
    assert!(last().contains(" degraded=breaker-open "), "{}", last());
    assert!(world.metrics().contains(&String::from("call data unreachable")));
}

/// Whether isolate memory answers, the shortest way.
fn from_memory(world: &World, edge: &Rc<Isolate<Host>>, path: &str, visitor: u32) -> bool {
    let visitor = Ipv4Addr::from_bits(visitor).octets();
    at_once::answer(world, edge, &Request::get(path).from(visitor)).is_some_and(|answer| answer.status == 200)
}

#[test]
fn answers_from_memory_are_written_down_together() {
    let (world, edge) = world("", None);
    world.origin(|_| Reply::ok("page", &[("content-length", "4")]));
    for _ in 0..4 {
        let _ = get(&world, &edge, "/methodology");
        world.settle();
    }
    let lines = world.log().len();
    for visitor in 0..limits::TALLY_MAX {
        assert!(from_memory(&world, &edge, "/methodology", visitor));
    }
    assert_eq!(world.log().len(), lines, "no line for each of them");
    assert!(!from_memory(&world, &edge, "/methodology", 0), "someone has to write them down");
    let _ = get(&world, &edge, "/methodology");
    assert_eq!(world.log()[lines], "edge.hits route=methodology count=10000 within_ms=0");
    assert!(world.metrics().contains(&String::from("hits methodology 10000")), "{:?}", world.metrics());
    assert!(from_memory(&world, &edge, "/methodology", 0));
}
