//! The policy that lets any origin decide: what reaches it, and what it may have shared.

use std::rc::Rc;

use seawall_core::policy::Policy;
use seawall_edge::{
    Isolate,
    fake::{Host, Reply, World},
    message::Request,
    platform::FetchError,
};

use super::{body, cache_status, field, seconds};

fn world() -> (World, Rc<Isolate<Host>>) {
    let policy = Policy::compile(include_str!("../../../policies/pass-through.toml")).unwrap();
    let world = World::new(policy, 1);
    let edge = world.edge();
    (world, edge)
}

#[test]
fn a_method_that_nobody_knows_reaches_the_origin_and_ends_what_is_stored() {
    let (world, edge) = world();
    world.origin(|request| Reply::ok(&request.method, &[("cache-control", "max-age=60")]));
    let get = || world.send(&edge, Request::get("/a"));
    let _ = get();
    assert_eq!(cache_status(&get()), "Seawall; hit; ttl=60");
    let search = world.send(&edge, Request::get("/a").method("M-SEARCH"));
    assert_eq!((search.status, body(&search)), (200, "M-SEARCH"));
    assert!(cache_status(&get()).contains("fwd=uri-miss"), "an unknown method is not safe");
    assert_eq!(world.send(&edge, Request::get("/a").method("TRACE")).status, 501);
}

#[test]
fn request_fields_reach_the_origin_and_vary_tells_them_apart() {
    let (world, edge) = world();
    world.origin(|request| {
        let mut seen = String::new();
        seawall_edge::message::Headers::each(&request.headers, &mut |name, value| seen += &format!("{name}={value} "));
        Reply::ok(&seen, &[("cache-control", "max-age=60"), ("vary", "x-tenant")])
    });
    let ask = |tenant: &str| world.send(&edge, Request::get("/a").with("x-tenant", tenant).with("if-match", "*"));
    let one = ask("one");
    assert!(cache_status(&ask("two")).contains("vary-miss"));
    assert!(cache_status(&ask("one")).contains("; hit"));
    let seen = body(&one);
    assert!(seen.contains("x-tenant=one") && seen.contains("accept-encoding=identity"), "{seen}");
    assert!(!seen.contains("if-match="), "{seen}");
}

#[test]
fn what_passes_comes_in_a_coding_that_its_client_can_read() {
    let (world, edge) = world();
    world.origin(|request| {
        let asked = seawall_core::headers::Fields::field(&request.headers, "accept-encoding");
        Reply::ok(&asked.unwrap_or_default(), &[])
    });
    let post = Request::get("/a").method("POST");
    assert_eq!(body(&world.send(&edge, post)), "identity", "none was named, so none is asked for");
    let post = Request::get("/a").method("POST").with("accept-encoding", "br");
    assert_eq!(body(&world.send(&edge, post)), "br");
}

#[test]
fn only_what_says_so_is_shared_where_requests_are_authorized() {
    for (directives, shared) in [("max-age=60", false), ("max-age=60, public", true), ("s-maxage=60", true)] {
        let (world, edge) = world();
        world.origin(move |_| Reply::ok("", &[("cache-control", directives)]));
        let ask = || world.send(&edge, Request::get("/a").with("authorization", "Basic YTpi"));
        let _ = ask();
        assert_eq!(cache_status(&ask()).contains("; hit"), shared, "{directives}");
    }
}

#[test]
fn a_client_may_ask_past_what_is_stored() {
    let (world, edge) = world();
    world.origin(|_| Reply::ok("", &[("cache-control", "max-age=60")]));
    let ask = |directives: &str| world.send(&edge, Request::get("/a").with("cache-control", directives));
    assert_eq!(ask("only-if-cached").status, 504);
    let _ = ask("max-age=60");
    world.advance(seconds(5));
    assert!(cache_status(&ask("max-age=4")).contains("fwd=request"));
    assert_eq!(world.calls().len(), 2);
}

#[test]
fn a_lifetime_is_guessed_before_the_policy_says_none() {
    let (world, edge) = world();
    world.origin(|_| Reply::ok("", &[("last-modified", "Wed, 31 Dec 2025 00:00:00 GMT")]));
    let get = || world.send(&edge, Request::get("/a"));
    let _ = get();
    assert_eq!(cache_status(&get()), "Seawall; hit; ttl=8640", "a tenth of a day");
}

#[test]
fn a_targeted_field_outranks_the_others_in_both_directions() {
    for (targeted, cache_control, stored) in [
        ("max-age=60", "max-age=1", true),
        ("max-age=60", "no-store", true),
        ("max-age=0", "max-age=60", false),
        ("private", "max-age=60", false),
        ("no-cache", "max-age=60", false),
        ("no-store", "max-age=60", false),
        ("max-age=60, &&", "no-store", false),
        ("max-age=\"60\"", "no-store", false),
    ] {
        let (world, edge) = world();
        let fields = [("cdn-cache-control", targeted), ("cache-control", cache_control)];
        world.origin(move |_| Reply::ok("", &fields));
        let get = || world.send(&edge, Request::get("/a"));
        let _ = get();
        world.advance(seconds(2));
        assert_eq!(cache_status(&get()).contains("; hit"), stored, "{targeted} beside {cache_control}");
    }
}

#[test]
fn what_is_for_this_cache_alone_ends_here() {
    let (world, edge) = world();
    let fields =
        ["seawall-cdn-cache-control", "cdn-cache-control", "surrogate-control"].map(|name| (name, "max-age=60"));
    world.origin(move |_| Reply::ok("", &fields));
    for from in ["origin", "store"] {
        let response = world.send(&edge, Request::get("/a"));
        let passed = fields.map(|(name, _)| field(&response, name));
        assert_eq!(passed, ["", "max-age=60", ""], "from the {from}");
    }
    assert_eq!(world.calls().len(), 1);
}

#[test]
fn what_may_not_be_stale_is_not_served_when_the_origin_is_gone() {
    for (directive, served) in [
        ("", true),
        ("must-revalidate", false),
        ("proxy-revalidate", false),
        ("no-cache", false),
        ("s-maxage=2", false),
    ] {
        let (world, edge) = world();
        let cache_control = format!("max-age=2, {directive}");
        world.origin(move |_| Reply::ok("old", &[("cache-control", &cache_control)]));
        let _ = world.send(&edge, Request::get("/a"));
        world.advance(seconds(3));
        world.origin(|_| Reply { after: seconds(0), result: Err(FetchError::Unreachable) });
        assert_eq!(world.send(&edge, Request::get("/a")).status == 200, served, "{directive}");
    }
}
