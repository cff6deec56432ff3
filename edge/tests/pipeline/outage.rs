//! A minute of each fault under load, by the site's own policy: what visitors of pages that may be cached see of it.

use core::time::Duration;
use std::rc::Rc;

use seawall_core::{policy::Policy, time::Timestamp};
use seawall_edge::{
    Isolate,
    fake::{Faults, Host, Reply, World},
    message::Request,
    platform::FetchError,
};

use super::{body, cache_status, policy, seconds};

/// Pages that are past every window but that for failing origins.
const OLD: [&str; 4] = ["/methodology", "/privacy", "/about-data", "/demo"];
/// Pages that become stale meanwhile.
const NEW: [&str; 5] = ["/", "/search?q=a", "/search?q=b", "/search?q=c", "/search?q=d"];
/// When those are stored, an hour and a day after the others.
const LATER: Duration = Duration::from_secs(90_000);
const VISITORS: u8 = 10;
/// How often each visitor asks for a page: what the limit of a client lets it.
const PAUSE: Duration = Duration::from_millis(150);
const FAULT_FOR: Duration = Duration::from_secs(60);
/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What visitors saw.
#[derive(Debug)]
struct Seen {
    requests: usize,
    errors: usize,
    slowest_ms: u64,
    /// How many waited for longer than a page takes.
    waited: usize,
}

/// A world whose isolate has stored all pages.
fn stored(policy: Policy) -> (World, Rc<Isolate<Host>>) {
    let world = World::new(policy, 1);
    let edge = world.edge();
    world.origin(|_| Reply::ok("the page", &[]));
    for (pages, pause) in [(&OLD[..], LATER), (&NEW[..], seconds(280))] {
        for page in pages {
            assert_eq!(world.send(&edge, Request::get(page)).status, 200);
        }
        world.advance(pause);
    }
    (world, edge)
}

/// Every visitor asks for every page in turn, for a minute, whether or not it has been answered.
fn load(world: &World, edge: &Rc<Isolate<Host>>) -> Seen {
    let (before, until) = (world.log().len(), world.now().after(FAULT_FOR));
    let mut requests = 0;
    for round in 0.. {
        if world.now() >= until {
            break;
        }
        let pages = OLD.iter().chain(&NEW).cycle().skip(round);
        for (host, page) in (1..=VISITORS).zip(pages) {
            world.send_and_leave(edge, Request::get(page).from([203, 0, 113, host]), PATIENCE);
            requests += 1;
        }
        world.advance(PAUSE);
    }
    world.advance(PATIENCE);
    let log = world.log();
    let lines: Vec<&String> = log[before..].iter().filter(|line| line.starts_with("edge.request ")).collect();
    assert_eq!(lines.len(), requests, "everybody is answered");
    let errors = lines.iter().filter(|line| !line.contains(" status=200 ")).count();
    let elapsed = |line: &&String| line.rsplit_once("elapsed_ms=")?.1.parse().ok();
    let elapsed: Vec<u64> = lines.iter().filter_map(elapsed).collect();
    let waited = elapsed.iter().filter(|elapsed_ms| **elapsed_ms >= 100).count();
    Seen { requests, errors, slowest_ms: elapsed.into_iter().max().unwrap_or_default(), waited }
}

#[test]
fn no_fault_shows_on_a_page_that_is_kept() {
    let redis = || {
        let text = include_str!("../../../policy.toml")
            .replace("scope = \"shared\"\n", "scope = \"shared\"\nauthority = \"redis\"\n");
        Policy::compile(&text).unwrap_or_else(|error| panic!("{error}"))
    };
    let none = Faults::default();
    for (fault, policy, faults, slowest_ms, waited) in [
        ("origin killed", policy(), Faults { unreachable: 1000, ..none }, 50, 0),
        // Who asks for an old page in the first two seconds.
        ("origin hanging", policy(), Faults { hang: 1000, ..none }, 2_000, 70),
        ("origin answering 500", policy(), Faults { error: 1000, ..none }, 0, 0),
        ("authority down", policy(), Faults { authority: 1000, ..none }, 0, 0),
        ("authority hanging", policy(), Faults { authority_hangs: 1000, ..none }, 0, 0),
        ("Upstash timing out", redis(), Faults { authority_hangs: 1000, ..none }, 0, 0),
    ] {
        let (world, edge) = stored(policy);
        world.faults(faults);
        let seen = load(&world, &edge);
        println!("{fault}: {seen:?}");
        assert_eq!((seen.requests, seen.errors), (4_000, 0), "{fault}: {seen:?}");
        assert!(seen.slowest_ms <= slowest_ms && seen.waited <= waited, "{fault}: {seen:?}");
    }
}

/// Visitors who ask for an old page each, one after another, of an origin that hangs: three wait for the upstream's patience,
/// and the others for nothing, however few come. When it is back they all get what is new.
#[test]
fn the_first_few_wait_for_an_origin_that_hangs() {
    for pause in [seconds(0), seconds(1), seconds(45)] {
        let world = World::new(policy(), 1);
        let edge = world.edge();
        let page = |number: usize| format!("/report/{number:04}/001");
        let ask = |number: usize| {
            let began = world.now();
            let visitor = [203, 0, 113, (number % 200) as u8 + 1];
            let answer = world.send(&edge, Request::get(&page(number)).from(visitor));
            (answer.status, body(&answer).to_owned(), cache_status(&answer), world.now().since(began))
        };
        world.origin(|_| Reply::ok("old", &[]));
        for number in 0..30 {
            assert_eq!(ask(number).0, 200);
        }
        world.advance(LATER);
        world.origin(|_| Reply::fails(FetchError::Timeout).after(seconds(10)));
        let calls = world.calls().len();
        let mut waits = Vec::new();
        for number in 0..30 {
            let (status, text, said, wait) = ask(number);
            assert_eq!((status, &*text), (200, "old"), "{number}: {said}");
            waits.push(wait);
            world.advance(pause);
        }
        let patience = policy().upstream("data").expect("policy.toml has it").patience;
        assert_eq!(waits[..3], [patience; 3], "every {pause:?}");
        assert_eq!(waits[3..], [seconds(0); 27], "every {pause:?}");
        assert!(world.calls().len() - calls >= 10, "calls go on beside the visitors, and find out when it is back");

        world.origin(|_| Reply::ok("new", &[]).after(seconds(1)));
        world.advance(seconds(90));
        // The calls of the first visitors find out, as many as the breaker lets through; those of the next bring the rest.
        let rounds: Vec<Vec<_>> = (0..3)
            .map(|_| {
                let answers = (0..30).map(&ask).collect();
                world.settle();
                answers
            })
            .collect();
        if pause < seconds(45) {
            // Where calls were farther apart the silence is forgotten by now.
            assert!(rounds[0][..3].iter().all(|(_, text, _, wait)| (&**text, *wait) == ("old", seconds(0))));
        }
        assert!(rounds.iter().flatten().all(|(.., wait)| *wait <= seconds(1)), "{rounds:?}");
        assert!(rounds[2].iter().all(|(_, text, ..)| text == "new"), "{:?}", rounds[2]);
    }
}

/// An origin that answers slowly, with what may not be shared: what stood in meanwhile does so no more.
#[test]
fn a_page_that_may_be_shared_no_more_stands_in_no_more() {
    let (world, edge) = stored(policy());
    world.origin(|_| Reply::ok("mine", &[("cache-control", "private")]).after(seconds(3)));
    let first = world.send(&edge, Request::get(OLD[0]));
    assert_eq!(body(&first), "the page");
    assert!(cache_status(&first).contains("hit; ttl=-") && cache_status(&first).ends_with("detail=timeout"));
    world.settle();
    assert_eq!(body(&world.send(&edge, Request::get(OLD[0]))), "mine");
}

#[test]
fn a_clock_that_steps_back_under_load_shows_on_no_page() {
    let (world, edge) = stored(policy());
    let before = load(&world, &edge);
    let back = world.now().as_unix_millis() - 3_600_000;
    world.set_clock(Timestamp::from_unix_millis(back));
    let after = load(&world, &edge);
    println!("clock back by an hour: {before:?}, then {after:?}");
    assert_eq!((before.errors, after.errors), (0, 0));
}
