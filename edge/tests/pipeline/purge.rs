use std::{cell::Cell, rc::Rc};

use seawall_edge::{
    Edge, Isolate, Settings,
    fake::{Faults, Host, Reply, World},
    limits::{
        PURGE_BODY_BYTES_MAX, PURGE_DEADLINE, PURGE_KNOWN_FOR, PURGE_ORDERS_MAX, PURGE_ORDERS_PER_MINUTE, PURGE_SEEN_TO,
    },
    message::{Request, Response},
    settings::Secret,
};

use super::{body, cache_status, get, policy, seconds};

pub(super) const SECRET: &str = "0123456789abcdef0123456789abcdef";
const PAGE: &str = "/search?q=a";

/// Two isolates of one site with a log of purges; the origin counts its answers.
fn site() -> (World, Rc<Isolate<Host>>, Rc<Isolate<Host>>) {
    site_with(World::set_purge_log)
}

/// The same, whose log is kept in one way or the other.
fn site_with(log: fn(&World, bool)) -> (World, Rc<Isolate<Host>>, Rc<Isolate<Host>>) {
    let world = World::new(policy(), 1);
    log(&world, true);
    let served = Rc::new(Cell::new(0));
    world.origin(move |_| {
        served.set(served.get() + 1);
        let text = format!("version {}", served.get());
        let groups = [("cache-groups", "\"permits\""), ("cache-tag", "block-3507, city")];
        Reply::ok(&text, &[groups[0], groups[1], ("content-length", &text.len().to_string())])
    });
    let isolate = || {
        let settings = Settings { control_secret: Secret::new(SECRET.to_owned()), ..Settings::default() };
        Rc::new(Isolate::new(Edge::new(world.policy(), 1).with_settings(settings), 1))
    };
    let (here, there) = (isolate(), isolate());
    (world, here, there)
}

pub(super) fn purge(world: &World, edge: &Rc<Isolate<Host>>, json: &str) -> Response<Host> {
    let request = Request::get("/__seawall/purge").method("POST").with("authorization", &format!("Bearer {SECRET}"));
    world.send(edge, Request { body: Some(json.to_owned()), ..request })
}

#[test]
fn each_kind_of_purge_is_effective_in_another_isolate_within_five_seconds() {
    for ((json, reaches), log) in [
        (r#"{"urls": ["https://permits.example/search?utm_source=x&q=a"]}"#, true),
        (r#"{"urls": ["HTTPS://permits.example/search?q=a"]}"#, false),
        (r#"{"urls": ["https://permits.example/search?q=b"]}"#, false),
        (r#"{"urls": ["http://permits.example/search?q=a"]}"#, false),
        (r#"{"prefixes": ["https://Permits.Example/sea"]}"#, true),
        (r#"{"prefixes": ["https://permits.example/report/"]}"#, false),
        (r#"{"tags": ["city"]}"#, true),
        (r#"{"tags": ["permits", "City"]}"#, false),
        (r#"{"groups": ["permits"], "origin": "https://permits.example"}"#, true),
        (r#"{"groups": ["permits"], "origin": "https://other.example"}"#, false),
        (r#"{"all": true}"#, true),
    ]
    .into_iter()
    .flat_map(|case| [World::set_purge_log, World::set_notes].map(|log| (case, log)))
    {
        let (world, here, there) = site_with(log);
        assert_eq!(body(&get(&world, &there, PAGE)), "version 1");
        world.settle();
        world.advance(seconds(10));
        assert_eq!(body(&get(&world, &there, PAGE)), "version 1", "{json}");
        world.settle();
        let answer = purge(&world, &here, json);
        if json.contains("HTTPS") {
            assert_eq!(answer.status, 400);
            continue;
        }
        assert_eq!((answer.status, body(&answer).starts_with("{\"purges\":")), (200, true), "{json}");
        let expect = if reaches { "version 2" } else { "version 1" };
        assert_eq!(body(&get(&world, &here, PAGE)), expect, "at once in the isolate that was asked: {json}");
        world.settle();

        let (world, here, there) = site_with(log);
        let _ = get(&world, &there, PAGE);
        world.settle();
        assert_eq!(purge(&world, &here, json).status, 200);
        world.advance(PURGE_KNOWN_FOR);
        assert_eq!(body(&get(&world, &there, PAGE)), expect, "and soon in every other one: {json}");
    }
}

/// Another isolate had read the note before, and wrote it back after: what was purged between is gone from it.
#[test]
fn a_purge_that_was_written_over_is_back_in_time() {
    let (world, here, there) = site_with(World::set_notes);
    let _ = get(&world, &there, PAGE);
    world.settle();
    let old = world.notes().borrow().clone();
    assert_eq!(purge(&world, &here, r#"{"tags": ["city"]}"#).status, 200);
    world.notes().replace(old.clone());
    world.advance(PURGE_DEADLINE);
    world.notes().replace(old.clone());
    assert_eq!(body(&get(&world, &there, PAGE)), "version 1", "nothing is known of it");
    world.advance(PURGE_SEEN_TO[0]);
    assert_ne!(*world.notes().borrow(), old, "who purged has looked");
    world.advance(seconds(5) - PURGE_DEADLINE - PURGE_SEEN_TO[0]);
    assert_eq!(body(&get(&world, &there, PAGE)), "version 2", "within five seconds all the same");
    // And from then on whoever has read it puts it back, though who purged is long gone.
    let noted = world.notes().borrow().clone();
    drop(here);
    world.notes().borrow_mut().clear();
    world.advance(PURGE_KNOWN_FOR);
    let _ = get(&world, &there, PAGE);
    world.settle();
    assert_eq!(world.notes().borrow().len(), noted.len());
    let (.., newcomer) = site_with(World::set_notes);
    assert_eq!(body(&get(&world, &newcomer, PAGE)), "version 2");
}

/// Purges that fill the log fit into what stores of this kind take for one value.
#[test]
fn the_note_of_a_full_log_is_bounded() {
    let (world, here, _) = site_with(World::set_notes);
    let mut named = 0;
    for _ in 0..3 {
        for _ in 0..PURGE_ORDERS_PER_MINUTE as usize / PURGE_ORDERS_MAX {
            let names = (0..PURGE_ORDERS_MAX).map(|_| {
                named += 1;
                format!("\"https://permits.example/report/{named}/1\"")
            });
            let json = format!(r#"{{"urls": [{}]}}"#, names.collect::<Vec<_>>().join(","));
            assert_eq!(purge(&world, &here, &json).status, 200);
        }
        world.advance(seconds(60));
    }
    let bytes = world.notes().borrow().values().map(String::len).max();
    assert!(bytes.is_some_and(|bytes| bytes < 500_000), "{bytes:?}");
}

#[test]
fn a_soft_purge_leaves_what_is_stored_to_stand_in() {
    let (world, here, there) = site();
    let _ = get(&world, &there, PAGE);
    world.settle();
    assert_eq!(purge(&world, &here, r#"{"tags": ["city"], "soft": true}"#).status, 200);
    world.advance(seconds(5));
    let stale = get(&world, &there, PAGE);
    assert_eq!(body(&stale), "version 1");
    assert!(cache_status(&stale).contains("detail=stale-while-revalidate"), "{}", cache_status(&stale));
    world.settle();
    assert_eq!(body(&get(&world, &there, PAGE)), "version 2");
}

#[test]
fn a_fill_that_began_before_a_purge_does_not_outlive_it() {
    let (world, here, there) = site();
    world.origin(|_| Reply::ok("old", &[]).after(seconds(3)));
    world.send_and_leave(&there, Request::get(PAGE), seconds(1));
    world.advance(seconds(2));
    assert_eq!(purge(&world, &here, r#"{"all": true}"#).status, 200);
    world.origin(|_| Reply::ok("new", &[]));
    world.advance(seconds(10));
    assert_eq!(body(&get(&world, &there, PAGE)), "new");
    assert_eq!(body(&get(&world, &here, PAGE)), "new");
}

#[test]
fn a_crowd_at_a_fresh_isolate_is_served_nothing_that_was_purged_long_ago() {
    let (world, here, there) = site();
    let _ = get(&world, &there, PAGE);
    world.settle();
    assert_eq!(purge(&world, &here, r#"{"all": true}"#).status, 200);
    world.advance(seconds(60));
    world.faults(Faults { delay_ms_max: 100, ..Faults::default() });
    let answers = world.send_all(&there, (1..=20).map(|host| Request::get(PAGE).from([192, 0, 2, host])).collect());
    let bodies: Vec<&str> = answers.iter().map(body).collect();
    assert_eq!(bodies, ["version 2"; 20]);
}

#[test]
fn hits_wait_for_no_log_while_it_is_known() {
    let (world, here, _) = site();
    let _ = get(&world, &here, PAGE);
    world.settle();
    world.faults(Faults { purge_log: 1000, ..Faults::default() });
    for _ in 0..4 {
        world.advance(seconds(1));
        assert!(cache_status(&get(&world, &here, PAGE)).contains("; hit"));
    }
    let failures = world.log().iter().filter(|line| line.starts_with("edge.purge.log failed")).count();
    assert!((1..=3).contains(&failures), "{failures}");
}

#[test]
fn a_log_that_is_away_leaves_the_site_up_and_refuses_operators() {
    let (world, here, _) = site();
    let _ = get(&world, &here, PAGE);
    world.settle();
    world.faults(Faults { purge_log: 1000, ..Faults::default() });
    world.advance(seconds(60));
    assert!(cache_status(&get(&world, &here, PAGE)).contains("; hit"));
    let refused = purge(&world, &here, r#"{"all": true}"#);
    assert_eq!(refused.status, 503);
    assert!(!super::field(&refused, "retry-after").is_empty());
}

#[test]
fn what_is_no_purge_is_refused_with_the_reason() {
    let (world, here, _) = site();
    let many = format!(r#"{{"tags": [{}]}}"#, vec!["\"x\""; PURGE_ORDERS_MAX + 1].join(","));
    let long = format!(r#"{{"tags": ["{}"]}}"#, "x".repeat(PURGE_BODY_BYTES_MAX));
    let name = format!(r#"{{"tags": ["{}"]}}"#, "x".repeat(257));
    for (json, status, reason) in [
        ("", 400, "expected { at byte 0"),
        ("{}", 400, "found nothing to purge"),
        (r#"{"all": false}"#, 400, "found nothing to purge"),
        (r#"{"all": "yes"}"#, 400, "all: expected true or false"),
        (r#"{"everything": true}"#, 400, "expected all, urls, prefixes, tags, groups, origin and soft only"),
        (r#"{"tags": "city"}"#, 400, "tags: expected a list of texts"),
        (r#"{"tags": [""]}"#, 400, "a name of 1 to 256 bytes"),
        (name.as_str(), 400, "a name of 1 to 256 bytes"),
        (r#"{"groups": ["a"]}"#, 400, "expected origin beside it"),
        (r#"{"urls": ["/search"]}"#, 400, "expected an address such as"),
        (r#"{"urls": ["ftp://permits.example/"]}"#, 400, "expected an address such as"),
        (r#"{"urls": ["https://permits.example/a/../b"]}"#, 400, "two ways"),
        (r#"{"prefixes": ["https://permits.example/a?b"]}"#, 400, "an address without a query"),
        (many.as_str(), 400, "at most 256 purges"),
        (long.as_str(), 413, "longer than 65536 bytes"),
    ] {
        let answer = purge(&world, &here, json);
        let seen = body(&answer).replace("\\\"", "\"");
        assert_eq!((answer.status, seen.contains(reason)), (status, true), "{json:.80}: {seen}");
    }
    assert_eq!(get(&world, &here, "/__seawall/purge").status, 401);
    let most = format!(r#"{{"tags": [{}]}}"#, vec!["\"x\""; PURGE_ORDERS_MAX].join(","));
    assert_eq!(purge(&world, &here, &most).status, 200);
}

#[test]
fn who_may_purge_one_site_may_not_purge_another() {
    let (_, routes) = include_str!("../../../policy.toml").split_once("[upstream.origin]").unwrap();
    let text = format!("version = 1\nsite.hosts = [\"permits.example\"]\n[upstream.origin]{routes}");
    let policy = seawall_core::policy::Policy::compile(&text).unwrap();
    let world = World::new(policy, 1);
    world.set_purge_log(true);
    let settings = Settings { control_secret: Secret::new(SECRET.to_owned()), ..Settings::default() };
    let edge = Rc::new(Isolate::new(Edge::new(world.policy(), 1).with_settings(settings), 1));
    for json in [
        r#"{"urls": ["https://other.example/"]}"#,
        r#"{"prefixes": ["https://other.example/"]}"#,
        r#"{"groups": ["a"], "origin": "https://other.example"}"#,
    ] {
        let answer = purge(&world, &edge, json);
        assert_eq!((answer.status, body(&answer).contains("expected a host of this site")), (400, true), "{json}");
    }
}

#[test]
fn an_origin_invalidates_its_own_groups_only() {
    let (world, here, _) = site();
    let of = |host: &str| Request { host: host.to_owned(), ..Request::get(PAGE) };
    for host in ["a.example", "b.example"] {
        let _ = world.send(&here, of(host));
        world.settle();
    }
    world.origin(|_| Reply::ok("changed", &[("cache-group-invalidation", "\"permits\"")]));
    let _ =
        world.send(&here, Request { host: "a.example".to_owned(), ..Request::get("/auth/send-link").method("POST") });
    assert_eq!(body(&world.send(&here, of("a.example"))), "changed");
    assert_eq!(body(&world.send(&here, of("b.example"))), "version 2", "of another origin");
}

#[test]
fn without_a_log_the_path_says_what_is_missing() {
    let (world, here, _) = site();
    world.set_purge_log(false);
    let answer = purge(&world, &here, r#"{"all": true}"#);
    assert_eq!((answer.status, body(&answer).contains("bind the Durable Object PURGES")), (501, true));
}

#[test]
fn operators_are_bounded_in_a_minute() {
    let (world, here, _) = site();
    let most = format!(r#"{{"tags": [{}]}}"#, vec!["\"x\""; PURGE_ORDERS_MAX].join(","));
    for _ in 0..PURGE_ORDERS_PER_MINUTE as usize / PURGE_ORDERS_MAX {
        assert_eq!(purge(&world, &here, &most).status, 200);
    }
    let refused = purge(&world, &here, r#"{"all": true}"#);
    assert_eq!((refused.status, super::field(&refused, "retry-after").as_str()), (429, "60"));
    world.advance(seconds(60));
    assert_eq!(purge(&world, &here, r#"{"all": true}"#).status, 200);
}

/// A visitor whose requests change thousands of pages takes none but those from the cache, here and elsewhere.
#[test]
fn what_visitors_change_leaves_everything_else_stored() {
    let (world, here, there) = site();
    for edge in [&here, &there] {
        assert_eq!(body(&get(&world, edge, PAGE)), "version 1");
        world.settle();
    }
    for number in 0..2000 {
        let _ = world.send(&here, Request::get(&format!("/report/{number}/1")).method("DELETE"));
        world.settle();
    }
    world.advance(PURGE_KNOWN_FOR);
    for edge in [&here, &there] {
        assert_eq!(body(&get(&world, edge, PAGE)), "version 1");
    }
}

/// `No-Vary-Search` makes one response serve several addresses: what changes or purges one of them reaches all.
#[test]
fn a_change_of_an_address_reaches_what_equal_addresses_share() {
    let policy = "version = 1\n[upstream.origin]\n[[route]]\nname = \"all\"\npath = \"/**\"\n\
                  cache = { edge = { fresh = \"1h\" } }\n";
    let policy = seawall_core::policy::Policy::compile(policy).unwrap();
    for has_log in [true, false] {
        for purges in [true, false].into_iter().filter(|purges| has_log || !purges) {
            let world = World::new(policy.clone(), 1);
            world.set_purge_log(has_log);
            let isolate = || {
                let settings = Settings { control_secret: Secret::new(SECRET.to_owned()), ..Settings::default() };
                Rc::new(Isolate::new(Edge::new(world.policy(), 1).with_settings(settings), 1))
            };
            let (here, there) = (isolate(), isolate());
            world.origin(|_| Reply::ok("old", &[("no-vary-search", "params=(\"utm\")"), ("content-length", "3")]));
            for (edge, page) in [(&here, "/list?utm=1"), (&there, "/list?utm=1"), (&here, "/list?utm=2")] {
                assert_eq!(body(&get(&world, edge, page)), "old");
                world.settle();
            }
            assert_eq!(world.calls().len(), 1);
            if purges {
                let json = r#"{"urls": ["https://permits.example/list?utm=3"]}"#;
                assert_eq!(purge(&world, &here, json).status, 200);
            } else {
                let _ = world.send(&here, Request::get("/list?utm=3").method("POST"));
            }
            world.settle();
            world.origin(|_| Reply::ok("new", &[]));
            world.advance(PURGE_KNOWN_FOR);
            assert_eq!(body(&get(&world, &here, "/list?utm=2")), "new", "log {has_log}, purged {purges}");
            if has_log {
                assert_eq!(body(&get(&world, &there, "/list?utm=1")), "new", "elsewhere, purged {purges}");
            }
        }
    }
}
