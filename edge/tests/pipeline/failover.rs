use core::cell::Cell;
use std::rc::Rc;

use seawall_core::headers::Fields;
use seawall_edge::{
    fake::{Host, Reply, World},
    message::Request,
    platform::FetchError,
};

use super::{body, cache_status, get, seconds, world};

/// Which origin a request went to.
fn which(request: &Request<Host>) -> usize {
    request.headers.field("origin").and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// A world of two origins, of which the first answers as it is told and the second with its number.
fn two(first: impl Fn() -> Reply + 'static) -> (World, Rc<seawall_edge::Isolate<Host>>) {
    let (world, edge) = world();
    world.origins(2);
    world.origin(move |request| if which(request) == 0 { first() } else { Reply::ok("second", &[]) });
    (world, edge)
}

#[test]
fn the_first_origin_answers_while_it_can() {
    for first in [200, 404, 500, 429] {
        let (world, edge) = two(move || Reply::status(first, "first", &[]));
        let answer = get(&world, &edge, "/account");
        assert_eq!((answer.status, body(&answer)), (first, "first"));
        assert_eq!(world.calls().len(), 1, "{first}");
    }
}

#[test]
fn a_request_that_may_be_sent_twice_moves_on() {
    let failures: [fn() -> Reply; 3] = [
        || Reply::fails(FetchError::Unreachable),
        || Reply::status(503, "first", &[]),
        || Reply::ok("late", &[]).after(seconds(60)),
    ];
    for failure in failures {
        let (world, edge) = two(failure);
        let began = world.now();
        let answer = get(&world, &edge, "/search?q=a");
        assert_eq!((answer.status, body(&answer)), (200, "second"));
        assert!(cache_status(&answer).contains("stored"), "{}", cache_status(&answer));
        assert!(world.now().since(began) <= seconds(5), "half of the deadline for each");
    }
}

#[test]
fn a_request_that_may_have_been_done_does_not_move_on() {
    let (world, edge) = two(|| Reply::fails(FetchError::Unreachable));
    assert_eq!(world.send(&edge, Request::get("/account").method("POST")).status, 503);
    let put = Request { body: Some(String::from("x")), ..Request::get("/account").method("PUT") };
    assert_eq!(world.send(&edge, put).status, 503, "its body has flowed past");
    assert_eq!(world.calls().len(), 2);
    let keyed = Request::get("/account").method("POST").with("idempotency-key", "1");
    assert_eq!(body(&world.send(&edge, keyed)), "second");
}

#[test]
fn an_origin_that_is_known_to_be_away_costs_no_call_until_it_is_tried_again() {
    let away = Rc::new(Cell::new(true));
    let state = Rc::clone(&away);
    let (world, edge) = two(move || match state.get() {
        true => Reply::fails(FetchError::Unreachable),
        false => Reply::ok("first", &[]),
    });
    for _ in 0..20 {
        assert_eq!(body(&get(&world, &edge, "/account")), "second");
    }
    let calls = world.calls().len();
    assert_eq!(calls, 40, "each asked both");
    let post = Request::get("/account").method("POST");
    assert_eq!(body(&world.send(&edge, post)), "second", "what cannot move on goes where it is answered");
    assert_eq!(world.calls().len(), calls + 1);
    away.set(false);
    world.advance(seconds(2));
    assert_eq!(body(&get(&world, &edge, "/account")), "first");
    assert_eq!(body(&get(&world, &edge, "/account")), "first");
}

#[test]
fn when_all_are_away_stored_pages_stand_in_as_for_one() {
    let (world, edge) = world();
    world.origins(3);
    let _ = get(&world, &edge, "/search?q=a");
    world.advance(seconds(1000));
    world.origin(|_| Reply::fails(FetchError::Unreachable));
    for _ in 0..50 {
        let _ = get(&world, &edge, "/account");
    }
    assert!(cache_status(&get(&world, &edge, "/search?q=a")).contains("; hit"));
    assert_eq!(get(&world, &edge, "/account").status, 503);
    world.origin(|_| Reply::ok("back", &[]));
    world.advance(seconds(120));
    assert_eq!(body(&get(&world, &edge, "/account")), "back");
}

/// Neither origin answers, seldom enough for no breaker to open: moves and retries share one budget.
#[test]
fn moves_are_bounded_by_the_retry_budget() {
    let (world, edge) = world();
    world.origins(2);
    world.origin(|_| Reply::fails(FetchError::Unreachable));
    for _ in 0..200 {
        assert_eq!(get(&world, &edge, "/account").status, 503);
        world.advance(seconds(61));
    }
    // 500 tokens, 14 for each call beyond the first.
    let more = world.calls().len() - 200;
    assert!((20..=35).contains(&more), "{more}");
}
