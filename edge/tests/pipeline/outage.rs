//! A minute of each fault under load, by the site's own policy: what visitors of pages that may be cached see of it.

use core::time::Duration;
use std::rc::Rc;

use seawall_core::{policy::Policy, time::Timestamp};
use seawall_edge::{
    Isolate,
    fake::{Faults, Host, Reply, World},
    message::Request,
};

use super::{policy, seconds};

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
    Seen { requests, errors, slowest_ms: lines.iter().filter_map(elapsed).max().unwrap_or_default() }
}

#[test]
fn no_fault_shows_on_a_page_that_is_kept() {
    let redis = || {
        let text = include_str!("../../../policy.toml")
            .replace("scope = \"shared\"\n", "scope = \"shared\"\nauthority = \"redis\"\n");
        Policy::compile(&text).unwrap_or_else(|error| panic!("{error}"))
    };
    let none = Faults::default();
    for (fault, policy, faults, slowest_ms) in [
        ("origin killed", policy(), Faults { unreachable: 1000, ..none }, 1_000),
        ("origin hanging", policy(), Faults { hang: 1000, ..none }, 10_000),
        ("origin answering 500", policy(), Faults { error: 1000, ..none }, 1_000),
        ("authority down", policy(), Faults { authority: 1000, ..none }, 500),
        ("authority hanging", policy(), Faults { authority_hangs: 1000, ..none }, 500),
        ("Upstash timing out", redis(), Faults { authority_hangs: 1000, ..none }, 500),
    ] {
        let (world, edge) = stored(policy);
        world.faults(faults);
        let seen = load(&world, &edge);
        println!("{fault}: {seen:?}");
        assert_eq!((seen.requests, seen.errors), (4_000, 0), "{fault}: {seen:?}");
        assert!(seen.slowest_ms <= slowest_ms, "{fault}: {seen:?}");
    }
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
