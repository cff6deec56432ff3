//! What the origin withdraws: it is gone from wherever this site has stored it, and comes back from nowhere.

use std::{cell::Cell, rc::Rc};

use seawall_core::policy::Policy;
use seawall_edge::{
    fake::{Reply, World},
    limits::GONE_FOR,
    message::Request,
};

use super::{body, cache_status, get, seconds};

/// How long a page is fresh here; afterwards it is served while it is refreshed.
const FRESH_S: u64 = 60;

/// A world whose origin answers with a page until it is told to answer otherwise.
fn world() -> (World, Rc<Cell<Option<u16>>>) {
    let policy = "version = 1\n[upstream.origin]\n[[route]]\nname = \"all\"\npath = \"/**\"\nmethods = \"any\"\n\
                  cache = { edge = { fresh = \"1h\" } }\n";
    let world = World::new(Policy::compile(policy).unwrap_or_else(|error| panic!("{error}")), 1);
    let withdrawn: Rc<Cell<Option<u16>>> = Rc::default();
    let status = Rc::clone(&withdrawn);
    world.origin(move |_| match status.get() {
        Some(status) => Reply::status(status, "withdrawn", &[("cache-control", "no-store")]),
        None => {
            let lifetime = format!("max-age={FRESH_S}, stale-while-revalidate=3600, stale-if-error=3600");
            let fields = [("no-vary-search", "params=(\"utm\")"), ("seawall-cdn-cache-control", &lifetime)];
            Reply::ok("the page", &[fields[0], fields[1], ("content-length", "8")])
        }
    });
    (world, withdrawn)
}

#[test]
fn no_other_spelling_of_a_withdrawn_page_is_served() {
    for status in [404, 410, 401, 200] {
        let (world, withdrawn) = world();
        let (here, there) = (world.edge(), world.edge());
        let _ = get(&world, &here, "/s?q=a&utm=1");
        // It does not know yet that these are the same, and stores this one under its own name.
        let _ = get(&world, &there, "/s?q=a&utm=2");
        world.settle();
        assert!(cache_status(&get(&world, &here, "/s?q=a&utm=3")).contains("; hit"), "one of the same");
        world.advance(seconds(FRESH_S + 1));
        withdrawn.set(Some(status));
        let stale = get(&world, &here, "/s?q=a&utm=1");
        assert_eq!(body(&stale), "the page", "{}", cache_status(&stale));
        world.settle();
        assert!(world.log().iter().any(|line| line.starts_with("edge.refresh dropped")), "{:#?}", world.log());
        for passed in [seconds(0), GONE_FOR] {
            world.advance(passed);
            for (edge, target) in
                [(&there, "/s?q=a&utm=1"), (&there, "/s?q=a"), (&here, "/s?q=a&utm=1"), (&here, "/s?q=a&utm=3")]
            {
                let answer = get(&world, edge, target);
                world.settle();
                let said = (answer.status, body(&answer));
                assert_eq!(said, (status, "withdrawn"), "{target}: {}", cache_status(&answer));
            }
        }
        // What is stored under its own name is stale there, and goes when its own refresh has asked.
        let _ = get(&world, &here, "/s?q=a&utm=2");
        world.settle();
        let answer = get(&world, &here, "/s?q=a&utm=2");
        assert_eq!(answer.status, status, "{}", cache_status(&answer));
    }
}

/// A page of the same path that is another page stays what it was.
#[test]
fn a_withdrawn_page_takes_no_other_with_it() {
    let (world, withdrawn) = world();
    let edge = world.edge();
    for target in ["/item?id=1", "/item?id=2"] {
        let _ = get(&world, &edge, target);
        world.settle();
    }
    world.advance(seconds(FRESH_S + 1));
    withdrawn.set(Some(404));
    let _ = get(&world, &edge, "/item?id=1");
    world.settle();
    assert_eq!(get(&world, &edge, "/item?id=1").status, 404);
    withdrawn.set(Some(503));
    let other = get(&world, &edge, "/item?id=2");
    assert_eq!((other.status, body(&other)), (200, "the page"), "{}", cache_status(&other));
}

#[test]
fn a_withdrawn_page_does_not_come_back_from_afar() {
    let (world, withdrawn) = world();
    world.set_far(true);
    world.set_far_lag(GONE_FOR - seconds(1));
    let (here, there) = (world.edge(), world.edge());
    let _ = get(&world, &here, "/p");
    world.settle();
    world.advance(seconds(FRESH_S + 1));
    withdrawn.set(Some(410));
    assert_eq!(body(&get(&world, &here, "/p")), "the page");
    world.settle();
    for passed in [seconds(0), GONE_FOR] {
        world.advance(passed);
        for edge in [&there, &here] {
            let answer = get(&world, edge, "/p");
            world.settle();
            assert_eq!(answer.status, 410, "{}", cache_status(&answer));
        }
    }
}

#[test]
fn what_came_from_afar_does_not_replace_what_is_nearby_by_then() {
    let (world, withdrawn) = world();
    world.set_far(true);
    let (here, there, elsewhere) = (world.edge(), world.edge(), world.edge());
    let _ = get(&world, &here, "/p");
    world.settle();
    world.empty_near();
    world.set_far_lag(seconds(10));
    // It has found nothing nearby, and what it found far away is on its way.
    world.send_and_leave(&there, Request::get("/p"), seconds(30));
    assert_eq!(world.send(&here, Request::get("/p").method("POST")).status, 200);
    world.advance(seconds(20));
    withdrawn.set(Some(410));
    let answer = get(&world, &elsewhere, "/p");
    assert_eq!(answer.status, 410, "{}", cache_status(&answer));
}
