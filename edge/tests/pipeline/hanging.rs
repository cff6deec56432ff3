//! Stored pages before an origin that does not answer, or answers late: who gets them, and what is called meanwhile.

use core::time::Duration;
use std::rc::Rc;

use seawall_core::policy::Policy;
use seawall_edge::{
    Edge, Isolate, Settings,
    fake::{Host, Reply, World},
    message::Request,
    platform::FetchError,
    settings::Secret,
};

use super::{
    body,
    purge::{SECRET, purge},
    seconds,
};

const PAGE: &str = "/page";
/// How long a visitor waits whom the stored page can serve.
const PATIENCE: Duration = seconds(2);

/// A world whose isolate has the page stored, past every window but that for failing origins.
fn stored(cache: &str, fields: &'static [(&'static str, &'static str)]) -> (World, Rc<Isolate<Host>>) {
    stored_by("deadline = \"10s\"\n", cache, fields)
}

/// The same by these options of the upstream.
fn stored_by(
    upstream: &str,
    cache: &str,
    fields: &'static [(&'static str, &'static str)],
) -> (World, Rc<Isolate<Host>>) {
    let policy = format!(
        "version = 1\n[upstream.origin]\n{upstream}[[route]]\nname = \"all\"\npath = \"/**\"\n\
         cache = {{ edge = {{ fresh = \"1m\", stale_if_error = \"1d\"{cache} }} }}\n"
    );
    let world = World::new(Policy::compile(&policy).unwrap_or_else(|error| panic!("{error}")), 1);
    let settings = Settings { control_secret: Secret::new(SECRET.to_owned()), ..Settings::default() };
    let edge = Rc::new(Isolate::new(Edge::new(world.policy(), 1).with_settings(settings), 1));
    world.origin(move |_| Reply::ok("old", fields));
    assert_eq!(world.send(&edge, Request::get(PAGE)).status, 200);
    world.advance(seconds(3600));
    (world, edge)
}

fn hangs(world: &World) {
    world.origin(|_| Reply::fails(FetchError::Timeout).after(seconds(10)));
}

/// Sends one request, and says what came after how long.
fn timed(world: &World, edge: &Rc<Isolate<Host>>, request: Request<Host>) -> (String, Duration) {
    let began = world.now();
    let answer = world.send(edge, request);
    (body(&answer).to_owned(), world.now().since(began))
}

/// However many ask for the page, and by whatever method, one call by each is under way.
#[test]
fn a_crowd_before_a_call_that_hangs_makes_no_other() {
    let (world, edge) = stored("", &[]);
    hangs(&world);
    let before = world.calls().len();
    assert_eq!(timed(&world, &edge, Request::get(PAGE)), ("old".to_owned(), PATIENCE));
    let began = world.now();
    for method in ["GET", "HEAD"] {
        let crowd = (0..1_200).map(|_| Request::get(PAGE).method(method)).collect();
        assert!(world.send_all(&edge, crowd).iter().all(|answer| answer.status == 200), "{method}");
    }
    assert_eq!(world.now(), began, "nobody waits");
    assert_eq!(world.calls()[before..], ["GET /page", "HEAD /page"]);
}

/// What an answer says of sharing holds for what is stored; an answer that says nothing of it takes nothing away.
#[test]
fn only_an_answer_about_the_page_takes_it_away() {
    type Fields = &'static [(&'static str, &'static str)];
    let private: Fields = &[("cache-control", "private")];
    let cases: [(&str, &str, u16, Fields, bool); 8] = [
        ("private", "GET", 200, private, false),
        ("not to be stored", "GET", 200, &[("cache-control", "no-store")], false),
        ("validated, and private", "GET", 304, &[("etag", "\"1\""), ("cache-control", "private")], false),
        ("gone", "GET", 410, private, false),
        ("HEAD of another version", "HEAD", 200, &[("etag", "\"2\"")], true),
        ("HEAD of what is private", "HEAD", 200, private, true),
        ("the request's own fault", "GET", 400, private, true),
        ("a failure", "GET", 500, private, true),
    ];
    for (name, method, status, fields, stays) in cases {
        for after in [0, 3] {
            let (world, edge) = stored(", request_directives = \"honour\"", &[("etag", "\"1\"")]);
            world.origin(move |_| Reply::status(status, "new", fields).after(seconds(after)));
            let _ = world.send(&edge, Request::get(PAGE).method(method));
            world.settle();
            hangs(&world);
            // Whom a stored page can serve waits no longer than that.
            let (text, wait) = timed(&world, &edge, Request::get(PAGE));
            assert_eq!(
                (text == "old", wait <= PATIENCE),
                (stays, stays),
                "{name} after {after} s: {text} after {wait:?}"
            );
        }
    }
}

/// Of those who wait nobody gets what has been purged meanwhile, neither when his patience ends nor when the call does.
#[test]
fn what_is_purged_during_a_call_stands_in_no_more() {
    for (client, purged_after) in [("", seconds(1)), ("no-cache", seconds(5))] {
        for purges in [false, true] {
            let (world, edge) = stored(", request_directives = \"honour\"", &[("cache-tag", "city")]);
            world.set_purge_log(true);
            hangs(&world);
            let before = world.log().len();
            world.send_and_leave(&edge, Request::get(PAGE).with("cache-control", client), seconds(60));
            world.advance(purged_after);
            if purges {
                assert_eq!(purge(&world, &edge, r#"{"tags": ["city"]}"#).status, 200);
            }
            world.advance(seconds(60));
            let log = world.log();
            let line =
                log[before..].iter().find(|line| line.starts_with("edge.request ") && line.contains("route=all"));
            let line = line.unwrap_or_else(|| panic!("{log:?}"));
            assert_eq!(line.contains(" status=200 "), !purges, "{client}: {line}");
        }
    }
}

/// A client who wants the origin asked gets its answer, however slow the page is known to be (RFC 9111 §5.2.1.4).
#[test]
fn who_wants_the_origin_asked_waits_for_it() {
    for directive in ["no-cache", "max-age=0"] {
        let (world, edge) = stored(", request_directives = \"honour\"", &[]);
        world.origin(|_| Reply::ok("new", &[]).after(seconds(5)));
        assert_eq!(timed(&world, &edge, Request::get(PAGE)), ("old".to_owned(), PATIENCE));
        let reload = Request::get(PAGE).with("cache-control", directive);
        assert_eq!(timed(&world, &edge, reload).0, "new", "{directive}");
    }
}

/// A page whose call may take longer than slowness is remembered otherwise.
#[test]
fn a_page_is_known_to_be_slow_until_its_call_has_ended() {
    let (world, edge) = stored_by("deadline = \"1m\"\n", "", &[]);
    world.origin(|_| Reply::fails(FetchError::Timeout).after(seconds(60)));
    assert_eq!(timed(&world, &edge, Request::get(PAGE)).1, PATIENCE);
    world.advance(seconds(50));
    assert_eq!(timed(&world, &edge, Request::get(PAGE)), ("old".to_owned(), seconds(0)));
}

/// What was silent is waited for again after a quiet time, and not before, however few ask.
#[test]
fn a_silence_is_forgotten_in_a_quiet_hour() {
    let (world, edge) = stored("", &[]);
    world.origin(|_| Reply::ok("old", &[]));
    for page in 0..8 {
        assert_eq!(world.send(&edge, Request::get(&format!("/{page}"))).status, 200);
    }
    world.advance(seconds(3600));
    hangs(&world);
    let ask = |page| timed(&world, &edge, Request::get(&format!("/{page}")));
    for page in 0..5 {
        let wait = if page < 3 { PATIENCE } else { seconds(0) };
        assert_eq!(ask(page), ("old".to_owned(), wait), "{page}");
        // Until the call has ended, and a while.
        world.advance(seconds(100));
    }
    world.origin(|_| Reply::ok("new", &[]).after(seconds(1)));
    world.advance(seconds(30));
    assert_eq!(ask(6), ("new".to_owned(), seconds(1)));
}
