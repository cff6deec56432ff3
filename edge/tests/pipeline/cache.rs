use core::time::Duration;
use std::{cell::Cell, rc::Rc};

use seawall_core::headers::Fields;
use seawall_edge::{
    fake::{Faults, Reply, World},
    limits,
    message::{Request, Response},
    platform::FetchError,
};

use super::{body, cache_status, field, get, policy, seconds, world};

#[test]
fn a_second_request_does_not_reach_the_origin() {
    let (world, edge) = world();
    world.origin(|_| Reply::ok("permits", &[("content-type", "text/html")]));
    let first = get(&world, &edge, "/search?q=market");
    assert_eq!((first.status, cache_status(&first).as_str()), (200, "Seawall; fwd=uri-miss; fwd-status=200; stored"));
    world.advance(seconds(100));
    let second = get(&world, &edge, "/search?q=market");
    assert_eq!(cache_status(&second), "Seawall; hit; ttl=200");
    assert_eq!((body(&second), field(&second, "age").as_str()), ("permits", "100"));
    assert_eq!(field(&second, "content-type"), "text/html");
    assert_eq!(field(&second, "date"), "Thu, 01 Jan 2026 00:00:00 GMT", "the origin gave none, so when it came");
    assert_eq!(world.calls(), ["GET /search?q=market"]);
}

#[test]
fn the_origin_may_shorten_a_lifetime_and_its_word_stays_at_the_edge() {
    let (world, edge) = world();
    let fields =
        [("seawall-cdn-cache-control", "max-age=10, stale-while-revalidate=0"), ("cache-control", "private, no-cache")];
    world.origin(move |_| Reply::ok("", &fields));
    let first = get(&world, &edge, "/search?q=a");
    assert_eq!(field(&first, "cache-control"), "private, no-cache");
    assert_eq!(first.headers.field("seawall-cdn-cache-control"), None);
    world.advance(seconds(10));
    assert!(cache_status(&get(&world, &edge, "/search?q=a")).starts_with("Seawall; fwd=stale"));
    assert_eq!(world.calls().len(), 2);
}

#[test]
fn a_stale_page_is_served_at_once_and_refreshed_once() {
    let (world, edge) = world();
    let version = Rc::new(Cell::new(1));
    let served = Rc::clone(&version);
    world.origin(move |_| Reply::ok(&format!("version {}", served.get()), &[]).after(seconds(1)));
    let _ = get(&world, &edge, "/search?q=a");
    version.set(2);
    world.advance(seconds(310));

    let stale = world.send_all(&edge, (0..5).map(|_| Request::get("/search?q=a")).collect());
    for answer in &stale {
        assert_eq!(body(answer), "version 1");
        assert_eq!(cache_status(answer), "Seawall; hit; ttl=-11; detail=stale-while-revalidate");
    }
    world.settle();
    assert_eq!(world.calls().len(), 2, "five requests, one refresh");
    let fresh = get(&world, &edge, "/search?q=a");
    assert_eq!((body(&fresh), cache_status(&fresh).as_str()), ("version 2", "Seawall; hit; ttl=299"));
}

#[test]
fn a_refresh_asks_whether_the_page_changed() {
    let (world, edge) = world();
    world.origin(|request| match request.headers.field("if-none-match") {
        Some(tag) if tag == "\"1\"" => {
            Reply::status(304, "", &[("etag", "\"1\""), ("x-generation", "2"), ("content-type", "evil/type")])
        }
        _ => Reply::ok("page", &[("etag", "\"1\""), ("x-generation", "1"), ("content-type", "text/html")]),
    });
    let _ = get(&world, &edge, "/search?q=a");
    world.advance(seconds(310));
    let _ = get(&world, &edge, "/search?q=a");
    world.settle();
    let fresh = get(&world, &edge, "/search?q=a");
    assert!(cache_status(&fresh).starts_with("Seawall; hit; ttl="), "{}", cache_status(&fresh));
    assert_eq!((body(&fresh), field(&fresh, "x-generation").as_str()), ("page", "2"));
    assert_eq!(field(&fresh, "content-type"), "text/html", "a 304 does not describe the body");

    world.advance(seconds(80_000));
    let validated = get(&world, &edge, "/search?q=a");
    assert_eq!((validated.status, body(&validated)), (200, "page"));
    assert_eq!(cache_status(&validated), "Seawall; fwd=stale; fwd-status=304; stored");
}

#[test]
fn a_client_that_has_the_page_gets_304_without_the_origin() {
    let (world, edge) = world();
    world.origin(|_| Reply::ok("page", &[("etag", "\"1\""), ("content-type", "text/html")]));
    let _ = get(&world, &edge, "/search?q=a");
    let answer = world.send(&edge, Request::get("/search?q=a").with("if-none-match", "W/\"1\""));
    assert_eq!((answer.status, answer.body.as_deref()), (304, None));
    assert_eq!((field(&answer, "etag").as_str(), answer.headers.field("content-type")), ("\"1\"", None));
    assert_eq!(world.calls().len(), 1);
    let changed = world.send(&edge, Request::get("/search?q=a").with("if-none-match", "\"0\""));
    assert_eq!((changed.status, body(&changed)), (200, "page"));
}

#[test]
fn head_is_answered_from_a_stored_get_and_stores_nothing_itself() {
    let (world, edge) = world();
    world.origin(|_| Reply::ok("page", &[("content-type", "text/html")]));
    let miss = world.send(&edge, Request::get("/search?q=a").method("HEAD"));
    assert_eq!((miss.status, miss.body.as_deref()), (200, None));
    let _ = get(&world, &edge, "/search?q=a");
    let hit = world.send(&edge, Request::get("/search?q=a").method("HEAD"));
    assert_eq!((cache_status(&hit).as_str(), hit.body.as_deref()), ("Seawall; hit; ttl=300", None));
    assert_eq!(world.calls(), ["HEAD /search?q=a", "GET /search?q=a"]);
}

#[test]
fn variants_of_one_url_are_kept_apart() {
    let (world, edge) = world();
    world.origin(|request| {
        let language = request.headers.field("accept-language").unwrap_or_default().into_owned();
        Reply::ok(&format!("page in {language}"), &[("vary", "Accept-Language")])
    });
    let ask = |language: &str| world.send(&edge, Request::get("/search?q=a").with("accept-language", language));
    assert_eq!(body(&ask("es")), "page in es");
    assert!(cache_status(&ask("zh")).starts_with("Seawall; fwd=vary-miss"));
    for language in ["es", "zh"] {
        let hit = ask(language);
        assert!(cache_status(&hit).starts_with("Seawall; hit"), "{}", cache_status(&hit));
        assert_eq!(body(&hit), format!("page in {language}"));
    }
    assert!(cache_status(&get(&world, &edge, "/search?q=a")).starts_with("Seawall; fwd=vary-miss"));
}

#[test]
fn concurrent_misses_make_one_call() {
    let (world, edge) = world();
    world.origin(|_| Reply::ok("page", &[]).after(seconds(1)));
    let answers = world.send_all(&edge, (0..10).map(|_| Request::get("/search?q=a")).collect());
    assert_eq!(world.calls().len(), 1);
    let collapsed = answers.iter().filter(|answer| cache_status(answer).contains("; collapsed")).count();
    assert_eq!(collapsed, 9);
    assert!(answers.iter().all(|answer| body(answer) == "page"));
}

/// Each waits for the store and for the limits as long as chance will have it, and some of them longer than the call takes.
#[test]
fn misses_that_wait_for_different_things_make_one_call() {
    for seed in 0..100 {
        let world = World::new(policy(), seed);
        let edge = world.edge();
        world.origin(move |_| Reply::ok("page", &[]).after(Duration::from_millis(seed)));
        world.faults(Faults { delay_ms_max: 90, ..Faults::default() });
        let requests = (0..40).map(|n| Request::get("/search?q=a").from([192, 0, 2, n])).collect();
        let answers = world.send_all(&edge, requests);
        assert!(answers.iter().all(|answer| body(answer) == "page"), "seed {seed}");
        assert_eq!(world.calls().len(), 1, "seed {seed}");
    }
}

#[test]
fn what_cannot_be_shared_makes_nobody_wait_twice() {
    let (world, edge) = world();
    world.origin(|_| Reply::ok("mine", &[("cache-control", "private")]).after(seconds(1)));
    let start = world.now();
    let send = || world.send_all(&edge, (0..5).map(|_| Request::get("/search?q=a")).collect());
    let _ = send();
    assert_eq!(world.now().since(start), seconds(2), "one call, then four side by side");
    let again = world.now();
    let answers = send();
    assert_eq!(world.now().since(again), seconds(1), "now it is known that waiting is of no use");
    assert_eq!(cache_status(&answers[0]), "Seawall; fwd=uri-miss; fwd-status=200; detail=private");
    assert_eq!(world.calls().len(), 10);
}

#[test]
fn a_failure_does_not_end_collapsing() {
    let (world, edge) = world();
    world.origin(|_| Reply::status(500, "oops", &[]));
    assert_eq!(get(&world, &edge, "/search?q=a").status, 500);
    world.origin(|_| Reply::ok("page", &[]).after(seconds(1)));
    let _ = world.send_all(&edge, (0..5).map(|_| Request::get("/search?q=a")).collect());
    assert_eq!(world.calls().len(), 2);
}

#[test]
fn a_dead_origin_hides_behind_what_is_stored() {
    let (world, edge) = world();
    world.origin(|_| Reply::ok("page", &[]));
    let _ = get(&world, &edge, "/search?q=a");
    world.advance(seconds(1000));
    world.origin(|_| Reply::fails(FetchError::Unreachable));
    let stale = get(&world, &edge, "/search?q=a");
    assert_eq!((stale.status, body(&stale)), (200, "page"));
    assert_eq!(cache_status(&stale), "Seawall; hit; ttl=-700; detail=unreachable");
    assert_eq!(field(&stale, "age"), "1000");

    let unknown = get(&world, &edge, "/search?q=b");
    assert_eq!((unknown.status, field(&unknown, "content-type").as_str()), (503, "application/problem+json"));
    assert_eq!(field(&unknown, "retry-after"), "5");
    assert!(body(&unknown).contains("temporary-reduced-capacity"), "{}", body(&unknown));

    world.origin(|_| Reply::status(500, "oops", &[]));
    let stale = get(&world, &edge, "/search?q=a");
    assert_eq!(cache_status(&stale), "Seawall; fwd=stale; fwd-status=500; detail=stale-if-error");
    assert_eq!(body(&stale), "page");

    world.advance(seconds(86_400));
    let gone = get(&world, &edge, "/search?q=a");
    assert_eq!((gone.status, body(&gone)), (500, "oops"), "past stale-if-error the truth comes out");
}

#[test]
fn an_open_breaker_spares_the_origin_and_notices_its_return() {
    let (world, edge) = world();
    world.origin(|_| Reply::ok("page", &[]));
    let _ = world.send(&edge, Request::get("/search?q=kept"));
    world.advance(seconds(1000));
    world.origin(|_| Reply::fails(FetchError::Unreachable));
    let ask =
        |number: u8| world.send(&edge, Request::get(&format!("/about-data?{number}")).from([198, 51, 100, number]));
    for number in 0..20 {
        assert_eq!(ask(number).status, 503);
    }
    let calls = world.calls().len();
    let refused = ask(20);
    assert_eq!(refused.status, 503);
    assert_eq!(cache_status(&refused), "Seawall; fwd=uri-miss; detail=breaker-open");
    assert!(["1", "2"].contains(&field(&refused, "retry-after").as_str()), "{}", field(&refused, "retry-after"));
    let kept = get(&world, &edge, "/search?q=kept");
    assert_eq!(cache_status(&kept), "Seawall; hit; ttl=-700; detail=breaker-open");
    assert_eq!(world.calls().len(), calls, "an open breaker makes no call");

    world.origin(|_| Reply::ok("back", &[]));
    world.advance(seconds(2));
    assert_eq!(body(&ask(21)), "back");
    let probing = get(&world, &edge, "/search?q=kept");
    assert!(cache_status(&probing).ends_with("detail=breaker-open"), "nobody who can be served waits for a probe");
    world.settle();
    assert_eq!(body(&get(&world, &edge, "/search?q=kept")), "back");
}

#[test]
fn a_hanging_origin_costs_its_deadline_and_no_more() {
    let (world, edge) = world();
    world.origin(|_| Reply::ok("late", &[]).after(seconds(100)));
    let start = world.now();
    let answer = get(&world, &edge, "/search?q=a");
    assert_eq!(answer.status, 503);
    assert!(cache_status(&answer).ends_with("detail=timeout"), "{}", cache_status(&answer));
    assert_eq!(world.now().since(start), seconds(10));
}

#[test]
fn a_broken_cache_costs_speed_and_not_answers() {
    let (world, edge) = world();
    world.origin(|_| Reply::ok("page", &[]));
    world.faults(Faults { load: 1000, save: 1000, ..Default::default() });
    for _ in 0..3 {
        assert_eq!(body(&get(&world, &edge, "/methodology")), "page");
    }
    assert_eq!(world.calls().len(), 3);
    assert!(world.log().iter().any(|line| line.starts_with("edge.cache.save failed")));
}

#[test]
fn a_part_is_cut_from_what_is_stored() {
    let (world, edge) = world();
    world.origin(|request| {
        assert_eq!(request.headers.field("range"), None, "the origin is asked for all of it");
        Reply::ok("0123456789", &[("content-length", "10"), ("content-type", "text/plain"), ("etag", "\"1\"")])
    });
    let ask = |range: &str| world.send(&edge, Request::get("/search?q=a").with("range", range));
    for (range, status, content, content_range) in [
        ("bytes=0-1", 206, Some("01"), "bytes 0-1/10"),
        ("bytes=-2", 206, Some("89"), "bytes 8-9/10"),
        ("bytes=7-", 206, Some("789"), "bytes 7-9/10"),
        ("bytes=2-3,4-5", 206, Some("2345"), "bytes 2-5/10"),
        ("bytes=0-1,5-6", 200, Some("0123456789"), ""),
        ("lines=1", 200, Some("0123456789"), ""),
        ("bytes=10-", 416, None, "bytes */10"),
    ] {
        let answer = ask(range);
        assert_eq!((answer.status, answer.body.as_deref()), (status, content), "{range}");
        assert_eq!(field(&answer, "content-range"), content_range, "{range}");
        if status == 206 {
            assert_eq!(field(&answer, "content-length"), content.unwrap_or_default().len().to_string(), "{range}");
        }
    }
    assert_eq!(world.calls().len(), 1, "even the first was a miss that asked for a part");
    let changed = world.send(&edge, Request::get("/search?q=a").with("range", "bytes=0-1").with("if-range", "\"0\""));
    assert_eq!((changed.status, body(&changed)), (200, "0123456789"));
}

#[test]
fn a_304_about_something_else_is_asked_again_and_changes_nothing() {
    let (world, edge) = world();
    world.origin(|_| Reply::ok("old", &[("etag", "\"1\"")]));
    let _ = get(&world, &edge, "/search?q=a");
    world.advance(seconds(2000));
    world.origin(|request| match request.headers.field("if-none-match") {
        Some(_) => Reply::status(304, "", &[("etag", "\"2\""), ("x-poison", "yes"), ("cache-control", "max-age=9999")]),
        None => Reply::ok("new", &[("etag", "\"2\"")]),
    });
    let answer = get(&world, &edge, "/search?q=a");
    assert_eq!((answer.status, body(&answer), answer.headers.field("x-poison")), (200, "new", None));
    assert_eq!(cache_status(&answer), "Seawall; fwd=stale; fwd-status=200; stored");
    assert_eq!(world.calls().len(), 3);
}

#[test]
fn a_change_makes_what_it_names_invalid() {
    let (world, edge) = world();
    world.origin(|request| match request.method.as_str() {
        "POST" => {
            Reply::status(201, "", &[("location", "/search?q=made"), ("content-location", "https://evil.example/")])
        }
        "PUT" => Reply::status(500, "", &[]),
        _ => Reply::ok(&request.query, &[("vary", "accept-language")]),
    });
    let is_hit = |target: &str| cache_status(&get(&world, &edge, target)).contains("; hit");
    for target in ["/search?q=a", "/search?q=made", "/search?q=b"] {
        assert!(!is_hit(target) && is_hit(target), "{target}");
    }
    let send = |method: &str| world.send(&edge, Request::get("/search?utm=1&q=a").method(method));
    assert_eq!(send("PUT").status, 500);
    assert!(is_hit("/search?q=a"), "a change that failed changes nothing");
    assert_eq!(send("POST").status, 201);
    assert!(!is_hit("/search?q=a") && !is_hit("/search?q=made") && is_hit("/search?q=b"));
    assert!(is_hit("/search?q=a"), "what is fetched after it counts");
    let other = world.edge();
    let elsewhere = |target: &str| cache_status(&get(&world, &other, target)).contains("; hit");
    assert_eq!(send("POST").status, 201);
    assert!(!elsewhere("/search?q=a"), "another isolate finds it gone from the store");
}

#[test]
fn a_group_is_invalid_at_once_where_it_was_said() {
    let (world, edge) = world();
    world.origin(|request| match request.method.as_str() {
        "POST" => Reply::ok("", &[("cache-group-invalidation", "\"news\"")]),
        _ => Reply::ok("page", &[("cache-groups", "\"news\", \"all\"")]),
    });
    let is_hit = |target: &str| cache_status(&get(&world, &edge, target)).contains("; hit");
    assert!(!is_hit("/methodology") && is_hit("/methodology"));
    let _ = world.send(&edge, Request::get("/auth/send-link").method("POST"));
    assert!(!is_hit("/methodology") && is_hit("/methodology"));
}

#[test]
fn what_was_asked_before_a_change_is_not_stored_after_it() {
    let (world, edge) = world();
    world.origin(|request| match request.method.as_str() {
        "POST" => Reply::ok("", &[]).after(seconds(1)),
        _ => Reply::ok("before", &[]).after(seconds(3)),
    });
    let requests = vec![Request::get("/search?q=a"), Request::get("/search?q=a").method("POST")];
    let answers = world.send_all(&edge, requests);
    assert_eq!(cache_status(&answers[0]), "Seawall; fwd=uri-miss; fwd-status=200; detail=purged");
    world.origin(|_| Reply::ok("after", &[]));
    assert_eq!(body(&get(&world, &edge, "/search?q=a")), "after");
}

#[test]
fn a_head_brings_a_stored_page_up_to_date_or_ends_its_time() {
    let (world, edge) = world();
    world.origin(|_| Reply::ok("page", &[("etag", "\"1\""), ("x-generation", "1"), ("cache-control", "max-age=10")]));
    let _ = get(&world, &edge, "/search?q=a");
    world.advance(seconds(1000));
    world.origin(|_| Reply::ok("", &[("etag", "\"1\""), ("x-generation", "2"), ("cache-control", "max-age=60")]));
    let head = world.send(&edge, Request::get("/search?q=a").method("HEAD"));
    assert_eq!((field(&head, "x-generation").as_str(), head.body.as_deref()), ("2", None));
    world.settle();
    let page = get(&world, &edge, "/search?q=a");
    assert_eq!((body(&page), field(&page, "x-generation").as_str()), ("page", "2"));
    assert!(cache_status(&page).contains("; hit"), "{}", cache_status(&page));

    world.advance(seconds(1000));
    world.origin(|_| Reply::ok("", &[("etag", "\"2\"")]));
    let _ = world.send(&edge, Request::get("/search?q=a").method("HEAD"));
    world.origin(|_| Reply::ok("new page", &[("etag", "\"2\"")]));
    assert_eq!(body(&get(&world, &edge, "/search?q=a")), "new page");
}

#[test]
fn nobody_follows_more_than_so_many_leaders() {
    let (world, edge) = world();
    let step = Duration::from_millis(100);
    // What has to be validated each time is of no use to who waited for it.
    let fields = [("etag", "\"1\""), ("seawall-cdn-cache-control", "no-cache")];
    world.origin(move |_| Reply::ok("page", &fields).after(step));
    let start = world.now();
    let _ = world.send_all(&edge, (0..12).map(|_| Request::get("/search?q=a")).collect());
    let rounds = limits::FOLLOW_ROUNDS_MAX + 1;
    assert_eq!(world.now().since(start), step * rounds, "a leader in each round, and the rest together after the last");
}

#[test]
fn nobody_waits_for_a_call_that_enough_wait_for() {
    let (world, edge) = world();
    world.origin(|_| Reply::ok("page", &[]).after(seconds(1)));
    let requests = 1 + limits::FOLLOWERS_MAX + 1;
    let ask = |number: u32| Request::get("/methodology").from([192, 0, 2, (number % 4) as u8]);
    let answers = world.send_all(&edge, (0..requests).map(ask).collect());
    assert!(answers.iter().all(|answer| body(answer) == "page"));
    assert_eq!(world.calls().len(), 2, "the leader, and the one too many");
}

#[test]
fn a_slow_origin_is_asked_once_too() {
    let (world, edge) = world();
    world.origin(|_| Reply::ok("page", &[]).after(seconds(9)));
    let answers = world.send_all(&edge, (0..10).map(|_| Request::get("/search?q=a")).collect());
    assert_eq!(world.calls().len(), 1);
    assert!(answers.iter().all(|answer| body(answer) == "page"));
}

#[test]
fn those_who_waited_share_the_failure_too() {
    // A lost connection is worth a second try; a page that breaks, breaks again, and nobody waits twice.
    for (reply, status, detail, calls) in [
        (Reply::status(500, "oops", &[]).after(seconds(1)), 500, "origin-error", 1),
        (Reply::fails(FetchError::Unreachable).after(seconds(1)), 503, "unreachable", 2),
        (Reply::ok("late", &[]).after(seconds(60)), 503, "timeout", 1),
    ] {
        let (world, edge) = world();
        let after = reply.after;
        let result = reply.result.map(|response| (response.status, response.headers, response.body));
        world.origin(move |_| Reply {
            after,
            result: result.clone().map(|(status, headers, body)| Response::new(status, headers, body)),
        });
        let answers = world.send_all(&edge, (0..10).map(|_| Request::get("/search?q=a")).collect());
        assert_eq!(world.calls().len(), calls, "{detail}");
        assert_eq!(answers[0].status, status);
        for answer in &answers[1..] {
            assert_eq!(answer.status, 503);
            assert!(
                cache_status(answer).ends_with(&format!("; collapsed; detail={detail}")),
                "{}",
                cache_status(answer)
            );
        }
    }
}

#[test]
fn those_who_waited_fall_back_on_what_is_stored() {
    let (world, edge) = world();
    world.origin(|_| Reply::ok("page", &[]));
    let _ = get(&world, &edge, "/search?q=a");
    world.advance(seconds(1000));
    world.origin(|_| Reply::fails(FetchError::Unreachable).after(seconds(1)));
    let answers = world.send_all(&edge, (0..10).map(|_| Request::get("/search?q=a")).collect());
    assert_eq!(world.calls().len(), 3, "one call before, and two tries");
    assert!(answers.iter().all(|answer| (answer.status, body(answer)) == (200, "page")));
}

#[test]
fn a_visitor_who_leaves_takes_nothing_from_those_who_wait() {
    let (world, edge) = world();
    world.origin(|_| Reply::ok("page", &[]).after(seconds(2)));
    let start = world.now();
    world.send_and_leave(&edge, Request::get("/search?q=a"), seconds(1));
    let answers = world.send_all(&edge, (0..5).map(|_| Request::get("/search?q=a")).collect());
    assert!(answers.iter().all(|answer| body(answer) == "page"));
    assert_eq!((world.calls().len(), world.now().since(start)), (1, seconds(2)));
}

#[test]
fn what_may_not_be_shared_any_more_is_not_served_on() {
    for (status, fields) in [
        (200, [("cache-control", "private")]),
        (200, [("set-cookie", "session=1")]),
        (403, [("cache-control", "no-store")]),
    ] {
        let (world, edge) = world();
        world.origin(|_| Reply::ok("public", &[]));
        let _ = get(&world, &edge, "/search?q=a");
        world.advance(seconds(310));
        world.origin(move |_| Reply::status(status, "closed", &fields));
        assert_eq!(body(&get(&world, &edge, "/search?q=a")), "public", "stale, while the origin is asked");
        world.settle();
        assert_eq!(body(&get(&world, &edge, "/search?q=a")), "closed", "{status} {fields:?}");
    }
}

#[test]
fn what_stands_in_at_the_origin_takes_nothing_stored_away() {
    for status in [200, 304] {
        let (world, edge) = world();
        world.origin(|_| Reply::ok("page", &[("etag", "\"a\"")]));
        let _ = get(&world, &edge, "/search?q=a");
        world.advance(seconds(310));
        let fields = [("etag", "\"a\""), ("seawall-cdn-cache-control", "no-store, stand-in")];
        world.origin(move |_| Reply::status(status, if status == 200 { "page" } else { "" }, &fields));
        assert_eq!(body(&get(&world, &edge, "/search?q=a")), "page", "stale, while the origin is asked");
        world.settle();
        world.origin(|_| Reply::fails(FetchError::Unreachable));
        world.advance(seconds(1000));
        let stale = get(&world, &edge, "/search?q=a");
        assert_eq!((stale.status, body(&stale)), (200, "page"), "{status}");
    }

    // Nor does it make those who ask for it next go side by side.
    let (world, edge) = world();
    let answer = [("seawall-cdn-cache-control", "no-store, stand-in")];
    world.origin(move |_| Reply::ok("page", &answer));
    let first = get(&world, &edge, "/search?q=b");
    assert_eq!(cache_status(&first), "Seawall; fwd=uri-miss; fwd-status=200; detail=stand-in");
    assert_eq!(field(&first, "seawall-cdn-cache-control"), "");
    world.origin(|_| Reply::ok("page", &[]).after(seconds(1)));
    let _ = world.send_all(&edge, (0..5).map(|_| Request::get("/search?q=b")).collect());
    assert_eq!(world.calls().len(), 2);
}

/// It is the edge's own field that says so: in one for everybody the word has no meaning that is known here.
#[test]
fn nothing_stands_in_by_the_word_of_a_field_for_everybody() {
    let (world, edge) = world();
    let _ = get(&world, &edge, "/search?q=a");
    world.advance(seconds(310));
    world.origin(|_| Reply::ok("page", &[("cache-control", "no-store, stand-in")]));
    let _ = get(&world, &edge, "/search?q=a");
    world.settle();
    world.origin(|_| Reply::fails(FetchError::Unreachable));
    assert_eq!(get(&world, &edge, "/search?q=a").status, 503, "it went, as with any no-store");
}

#[test]
fn an_encoded_body_is_kept_as_it_is() {
    let (world, edge) = world();
    world.origin(|_| Reply::ok("page", &[("content-encoding", "gzip")]));
    let _ = get(&world, &edge, "/search?q=a");
    let stored = get(&world, &edge, "/search?q=a");
    assert_eq!((cache_status(&stored).as_str(), body(&stored)), ("Seawall; hit; ttl=300", "page"));
    assert_eq!(field(&stored, "content-encoding"), "gzip");
}

#[test]
fn a_status_that_is_none_is_an_error_of_the_origin() {
    let (world, edge) = world();
    world.origin(|_| Reply::status(999, "", &[("cache-control", "max-age=60")]));
    let answer = get(&world, &edge, "/search?q=a");
    assert_eq!(
        (answer.status, cache_status(&answer).as_str()),
        (502, "Seawall; fwd=uri-miss; fwd-status=502; detail=status")
    );
}

#[test]
fn a_database_that_is_away_takes_no_other_page_with_it() {
    let (world, edge) = world();
    world.origin(|request| match request.path.as_str() {
        "/methodology" => Reply::ok("page", &[]),
        _ => Reply::status(503, "", &[("retry-after", "5")]),
    });
    for number in 0..30 {
        let visitor = Request::get(&format!("/search?q={number}")).from([198, 51, 100, number]);
        assert_eq!(world.send(&edge, visitor).status, 503);
    }
    assert!(cache_status(&get(&world, &edge, "/search?q=x")).ends_with("detail=breaker-open"));
    assert_eq!(body(&get(&world, &edge, "/methodology")), "page");
}
