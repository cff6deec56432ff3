use seawall_core::policy::Policy;
use seawall_edge::{
    fake::{Faults, Reply, World},
    message::Request,
};

use super::{body, cache_status, field, get, says, seconds, world};

#[test]
fn the_sixteenth_search_waits_exactly_as_long_as_it_is_told() {
    let (world, edge) = world();
    for number in 0..15 {
        let answer = get(&world, &edge, &format!("/search?q={number}"));
        assert_eq!(answer.status, 200);
        assert_eq!(
            says(&answer, "ratelimit", "search"),
            format!("r={};t={}", 14 - number, if number == 14 { 4 } else { 4 * (number + 1) })
        );
        assert_eq!(field(&answer, "ratelimit-policy"), "\"client\";q=600;w=60, \"search\";q=15;w=60");
    }
    let refused = get(&world, &edge, "/search?q=15");
    assert_eq!((refused.status, field(&refused, "content-type").as_str()), (429, "application/problem+json"));
    assert_eq!(
        (field(&refused, "retry-after").as_str(), says(&refused, "ratelimit", "search").as_str()),
        ("4", "r=0;t=4")
    );
    assert!(body(&refused).contains("\"violated-policies\":[\"search\"]"), "{}", body(&refused));
    assert_eq!(cache_status(&refused), "Seawall; detail=limited");

    world.advance(seconds(4) - core::time::Duration::from_millis(1));
    assert_eq!(get(&world, &edge, "/search?q=16").status, 429);
    world.advance(core::time::Duration::from_millis(1));
    assert_eq!(get(&world, &edge, "/search?q=17").status, 200);
    assert_eq!(get(&world, &edge, "/search?q=18").status, 429);
    assert_eq!(world.calls().len(), 16, "what is refused does not reach the origin");
}

#[test]
fn clients_and_limits_are_counted_apart_and_one_limit_over_all_its_routes() {
    let (world, edge) = world();
    for number in 0..15 {
        let path = if number % 2 == 0 { "/search" } else { "/api/v1/search" };
        assert_eq!(get(&world, &edge, &format!("{path}?q={number}")).status, 200);
    }
    assert_eq!(get(&world, &edge, "/api/v1/search?q=x").status, 429);
    assert_eq!(get(&world, &edge, "/report/3507/004").status, 200);
    assert_eq!(world.send(&edge, Request::get("/search?q=x").from([192, 0, 2, 2])).status, 200);
}

#[test]
fn isolates_count_together_under_a_shared_limit() {
    let (world, first) = world();
    let second = world.edge();
    for number in 0..15 {
        let edge = if number % 2 == 0 { &first } else { &second };
        assert_eq!(get(&world, edge, &format!("/search?q={number}")).status, 200);
    }
    assert_eq!(get(&world, &first, "/search?q=x").status, 429);
    assert_eq!(get(&world, &second, "/search?q=x").status, 429);
}

#[test]
fn a_client_that_is_refused_is_not_asked_about_again() {
    let (world, edge) = world();
    for number in 0..16 {
        let _ = get(&world, &edge, &format!("/search?q={number}"));
    }
    world.faults(Faults { authority: 1000, ..Faults::default() });
    assert_eq!(get(&world, &edge, "/search?q=x").status, 429);
    let last = world.log().pop().unwrap_or_default();
    assert!(last.contains("limits=remembered"), "{last}");
}

#[test]
fn without_its_authority_each_limit_does_what_the_policy_says() {
    let (world, edge) = world();
    world.faults(Faults { authority: 1000, ..Faults::default() });
    for number in 0..15 {
        assert_eq!(get(&world, &edge, &format!("/search?q={number}")).status, 200, "local: this isolate counts");
    }
    assert_eq!(get(&world, &edge, "/search?q=x").status, 429);
    let closed = world.send(&edge, Request::get("/auth/send-link").method("POST"));
    assert_eq!((closed.status, field(&closed, "retry-after").as_str()), (429, "5"));
    assert!(world.log().iter().any(|line| line.contains("limits=fallback")));
}

#[test]
fn a_clock_that_steps_back_admits_nothing_more() {
    let (world, edge) = world();
    let start = world.now();
    for number in 0..15 {
        let _ = get(&world, &edge, &format!("/search?q={number}"));
    }
    world.set_clock(seawall_core::time::Timestamp::from_unix_millis(start.as_unix_millis() - 3_600_000));
    assert_eq!(get(&world, &edge, "/search?q=x").status, 429);
}

#[test]
fn the_look_up_does_not_wait_for_the_limits() {
    let (world, edge) = world();
    world.origin(|_| Reply::ok("page", &[]));
    let _ = get(&world, &edge, "/search?q=a");
    // Each dependency takes up to 100 ms; side by side, a hit takes no longer than the slower of the two.
    world.faults(Faults { delay_ms_max: 100, ..Faults::default() });
    for _ in 0..10 {
        let start = world.now();
        let hit = world.send(&edge, Request::get("/search?q=a"));
        assert!(cache_status(&hit).contains("; hit"), "{}", cache_status(&hit));
        assert!(world.now().since(start) < core::time::Duration::from_millis(100));
    }
}

/// One of a client's requests at a time: side by side one is refused, one after the other all pass, wherever the
/// places are counted.
#[test]
fn a_place_is_held_while_a_request_runs_and_then_given_back() {
    for scope in ["scope = \"isolate\"", "scope = \"shared\"\non_store_failure = \"closed\""] {
        let policy = format!(
            "version = 1\n[upstream.origin]\n[limit.at-once]\nalgorithm = \"concurrency\"\nquota = 1\nheld_for = \"1h\"\n\
             key = \"client\"\n{scope}\n[[route]]\nname = \"all\"\npath = \"/**\"\nlimits = [\"at-once\"]\n"
        );
        let world = World::new(Policy::compile(&policy).unwrap(), 1);
        let edge = world.edge();
        world.origin(|_| Reply::ok("slow", &[]).after(seconds(1)));
        for _ in 0..3 {
            let answers = world.send_all(&edge, vec![Request::get("/a"), Request::get("/b")]);
            let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 429], "{scope}");
            world.settle();
            assert_eq!(get(&world, &edge, "/c").status, 200, "{scope}");
            world.settle();
        }
        let refused = world.send_all(&edge, vec![Request::get("/a"), Request::get("/b")]);
        let refused = refused.iter().find(|answer| answer.status == 429).unwrap();
        assert_eq!(field(refused, "ratelimit-policy"), "\"at-once\";q=1;qu=\"concurrent-requests\"");
    }
}
