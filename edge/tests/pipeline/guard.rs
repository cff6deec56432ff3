//! Calls to an origin that fails: held back together, tried again within a budget, dropped while it refuses.

use core::time::Duration;
use std::{cell::Cell, rc::Rc};

use seawall_core::policy::Policy;
use seawall_edge::{
    Isolate,
    fake::{Faults, Host, Reply, World},
    message::Request,
    platform::FetchError,
};

use super::{body, cache_status, field, says, seconds};

const MILLISECOND: Duration = Duration::from_millis(1);

/// A world where every page comes from the origin, under one shared limit that refuses nobody.
fn world(upstream: &str) -> World {
    let policy = format!(
        "version = 1\n[upstream.origin]\n{upstream}\n[limit.a]\nalgorithm = \"gcra\"\nquota = 1000000\nwindow = \"1s\"\n\
         key = \"client\"\nscope = \"shared\"\n[[route]]\nname = \"all\"\npath = \"/**\"\nlimits = [\"a\"]\n"
    );
    World::new(Policy::compile(&policy).unwrap_or_else(|error| panic!("{error}")), 1)
}

/// An origin that fails so many times and is well from then on.
fn fails_first(world: &World, times: u32, reply: impl Fn() -> Reply + 'static) {
    let left = Rc::new(Cell::new(times));
    world.origin(move |_| match left.get() {
        0 => Reply::ok("page", &[]),
        more => {
            left.set(more - 1);
            reply()
        }
    });
}

#[test]
fn a_call_that_may_be_repeated_is_tried_once_more() {
    let unreachable = || Reply::fails(FetchError::Unreachable);
    let busy = || Reply::status(503, "", &[("retry-after", "0")]);
    let busy_for_long = || Reply::status(503, "", &[("retry-after", "2")]);
    let busy_until = || Reply::status(503, "", &[("retry-after", "Thu, 01 Jan 2026 00:01:00 GMT")]);
    let broken = || Reply::status(500, "", &[]);
    let keyed = || Request::get("/a").method("POST").with("idempotency-key", "\"k\"");
    let with_body = || Request { body: Some(String::from("b")), ..Request::get("/a").method("PUT") };
    type Case = (&'static str, fn() -> Reply, fn() -> Request<Host>, u16, usize);
    let cases: [Case; 9] = [
        ("a lost connection", unreachable, || Request::get("/a"), 200, 2),
        ("an origin that is busy", busy, || Request::get("/a"), 200, 2),
        ("a method that may be repeated", unreachable, || Request::get("/a").method("PUT"), 200, 2),
        ("a request that names itself", unreachable, keyed, 200, 2),
        ("a method that may not", unreachable, || Request::get("/a").method("POST"), 503, 1),
        ("a body, which flows past once", unreachable, with_body, 503, 1),
        ("a page that breaks", broken, || Request::get("/a"), 500, 1),
        ("an origin that asks for seconds", busy_for_long, || Request::get("/a"), 503, 1),
        ("an origin that names a time", busy_until, || Request::get("/a"), 503, 1),
    ];
    for (name, reply, request, status, calls) in cases {
        let world = world("");
        fails_first(&world, 1, reply);
        let start = world.now();
        let answer = world.send(&world.edge(), request());
        assert_eq!((answer.status, world.calls().len()), (status, calls), "{name}");
        assert!(world.now().since(start) <= MILLISECOND * 50, "{name}");
    }
    let world = world("retry = { attempts = 1 }");
    fails_first(&world, 1, || Reply::fails(FetchError::Unreachable));
    assert_eq!(world.send(&world.edge(), Request::get("/a")).status, 503, "the policy wants no second try");
    assert_eq!(world.calls().len(), 1);
}

#[test]
fn in_an_outage_retries_end_with_the_budget() {
    // Nothing else holds calls back.
    let world = world(
        "retry = { capacity = 50, cost = 10 }\nbreaker = { min_calls = 1000000 }\nthrottle = { min_calls = 1000000 }",
    );
    world.origin(|_| Reply::fails(FetchError::Unreachable));
    let edge = world.edge();
    for _ in 0..100 {
        assert_eq!(world.send(&edge, Request::get("/a")).status, 503);
    }
    assert_eq!(world.calls().len(), 100 + 5);
}

#[test]
fn an_origin_that_refuses_most_is_sent_little_more_than_it_takes() {
    let world = world("throttle = { k_permille = 2000 }\nretry = { attempts = 1 }");
    // It takes two calls in each tenth of a second, of ten; 429 is a matter for the throttle alone.
    let (clock, slot) = (world.clone(), Rc::new(Cell::new((0, 0))));
    world.origin(move |_| {
        let now = clock.now().as_unix_millis() / 100;
        let (since, taken) = slot.get();
        let taken = if since == now { taken + 1 } else { 1 };
        slot.set((now, taken));
        if taken <= 2 { Reply::ok("page", &[]) } else { Reply::status(429, "", &[]) }
    });
    let edge = world.edge();
    let mut throttled = 0;
    for _ in 0..5000 {
        let answer = world.send(&edge, Request::get("/a"));
        if cache_status(&answer).ends_with("detail=throttled") {
            assert_eq!((answer.status, field(&answer, "retry-after").as_str()), (503, "5"));
            throttled += 1;
        }
        world.advance(MILLISECOND * 10);
    }
    // Twice what it takes is sent: a fifth is taken, so three fifths are dropped.
    assert!((2700..3300).contains(&throttled), "{throttled}");
    assert_eq!(world.calls().len() + throttled, 5000);
    // Few calls say too little.
    let quiet = world_with_one_failure();
    assert_eq!(quiet, 200);
}

fn world_with_one_failure() -> u16 {
    let world = world("");
    fails_first(&world, 1, || Reply::status(429, "", &[("retry-after", "9")]));
    let edge = world.edge();
    let _ = world.send(&edge, Request::get("/a"));
    world.send(&edge, Request::get("/a")).status
}

/// Fifty isolates before a dead origin: what one learns all know, and a few probes find it well again.
#[test]
fn isolates_open_together_and_probe_together() {
    let world = world("retry = { attempts = 1 }");
    let edges: Vec<Rc<Isolate<Host>>> = (0..50).map(|_| world.edge()).collect();
    world.origin(|_| Reply::fails(FetchError::Unreachable));
    for round in 0..20 {
        for edge in &edges {
            assert_eq!(world.send(edge, Request::get("/a")).status, 503, "{round}");
            world.settle();
            world.advance(MILLISECOND);
        }
    }
    // Each isolate of its own would have made twenty; here each fails once at most before it hears.
    let leaked = world.calls().len();
    assert!(leaked <= 20 + 50, "{leaked} calls into a dead origin");
    world.advance(seconds(5));
    let before = world.calls().len();
    let requests = |edge: &Rc<Isolate<Host>>| world.send_all(edge, (0..4).map(|_| Request::get("/a")).collect());
    for edge in &edges {
        let _ = requests(edge);
    }
    assert!(world.calls().len() - before <= 3, "{} probes", world.calls().len() - before);

    world.origin(|_| Reply::ok("page", &[]));
    world.advance(seconds(30));
    for edge in &edges {
        let _ = requests(edge);
    }
    world.settle();
    for edge in &edges {
        assert_eq!(world.send(edge, Request::get("/a")).status, 200);
    }
}

/// Without the keeper of the breakers each isolate goes by its own.
#[test]
fn a_breaker_works_without_an_authority() {
    let world = world("retry = { attempts = 1 }");
    let edge = world.edge();
    world.faults(Faults { authority: 1000, ..Faults::default() });
    world.origin(|_| Reply::fails(FetchError::Unreachable));
    for _ in 0..40 {
        let _ = world.send(&edge, Request::get("/a"));
    }
    assert_eq!(world.calls().len(), 20);
    world.origin(|_| Reply::ok("page", &[]));
    world.advance(seconds(2));
    assert_eq!(world.send(&edge, Request::get("/a")).status, 200);
}

#[test]
fn isolates_without_an_authority_warn_each_other_by_a_note() {
    let world = World::new(Policy::compile("version = 1\n[upstream.origin]\n[upstream.origin.retry]\nattempts = 1\n[[route]]\nname = \"all\"\npath = \"/**\"\n").unwrap(), 1);
    world.set_notes(true);
    world.origin(|_| Reply::fails(FetchError::Unreachable));
    let (first, other) = (world.edge(), world.edge());
    let mut held = 0;
    while held < 5 {
        held += u32::from(cache_status(&world.send(&first, Request::get("/a"))).contains("breaker-open"));
    }
    world.settle();
    let calls = world.calls().len();
    // Its first request learns of the note beside its own call, the next one is held back.
    let _ = world.send(&other, Request::get("/b"));
    world.settle();
    let refused = world.send(&other, Request::get("/b"));
    assert!(cache_status(&refused).contains("breaker-open"), "{}", cache_status(&refused));
    assert!(world.calls().len() <= calls + 1);
    // When the wait is over each finds out by itself.
    world.origin(|_| Reply::ok("page", &[]));
    world.advance(seconds(120));
    for edge in [&first, &other] {
        assert_eq!(world.send(edge, Request::get("/c")).status, 200);
    }
}

/// Who reads stored pages while the breaker refuses to have them refreshed pays for no call.
#[test]
fn a_refresh_that_the_breaker_refuses_costs_what_a_hit_does() {
    for options in ["", "mode = \"async\"", "authority = \"redis\""] {
        let policy = format!(
            "version = 1\n[upstream.origin]\nretry = {{ attempts = 1 }}\n[limit.few]\nalgorithm = \"gcra\"\nquota = 30\n\
             window = \"24h\"\nkey = \"client\"\nscope = \"shared\"\nhit_cost = 0\n{options}\n[[route]]\nname = \"all\"\n\
             path = \"/**\"\nlimits = [\"few\"]\ncache = {{ edge = {{ fresh = \"1s\", stale_while_revalidate = \"1d\" }} }}\n"
        );
        let world = World::new(Policy::compile(&policy).unwrap_or_else(|error| panic!("{error}")), 1);
        let edge = world.edge();
        world.origin(|_| Reply::ok("page", &[]));
        let ask = |client: [u8; 4], target: &str| world.send(&edge, Request::get(target).from(client));
        let pages: Vec<String> = (0..25).map(|page| format!("/{page}")).collect();
        for page in &pages {
            assert_eq!(ask([203, 0, 113, 1], page).status, 200);
        }
        world.advance(seconds(10));
        world.origin(|_| Reply::fails(FetchError::Unreachable));
        let mut others = (1..=250).map(|host| [198, 51, 100, host]);
        while !cache_status(&ask(others.next().unwrap(), "/never-stored")).contains("breaker-open") {}
        let calls = world.calls().len();
        for page in &pages {
            let stale = ask([192, 0, 2, 1], page);
            assert_eq!(body(&stale), "page", "{options}: {}", cache_status(&stale));
            world.settle();
        }
        assert_eq!(world.calls().len(), calls, "{options}: the breaker refused them all");
        let refused = ask([192, 0, 2, 1], "/never-stored");
        assert!(says(&refused, "ratelimit", "few").starts_with("r=29;"), "{options}: {}", field(&refused, "ratelimit"));
    }
}
