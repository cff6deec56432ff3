//! Calls that ask for a part: whom they hold up, and what of their answers is kept for everybody.

use seawall_core::{headers::Fields as _, policy::Policy};
use seawall_edge::{
    fake::{Faults, Reply, World},
    message::Request,
};

use super::{
    body, cache_status, field,
    parts::{FILM, Film, STORE, ask, is_hit, show, world},
    says, seconds,
};

/// Who wants all of it neither waits for a part that is refreshed nor is told how that went.
#[test]
fn the_refresh_of_a_part_holds_nobody_else_up() {
    let film = Film::new(4 << 20, "\"v1\"");
    for fails in [false, true] {
        let (world, edge, _) = world("partial = \"store\", stale_while_revalidate = \"1h\"", &film);
        assert_eq!(ask(&world, &edge, "bytes=100-199").status, 206);
        world.advance(seconds(100));
        let answers = film.clone();
        world.origin(move |request| {
            let is_part = request.headers.field("range").is_some();
            let reply = if is_part && fails { Reply::status(500, "", &[]) } else { answers.answer(request) };
            reply.after(seconds(if is_part { 3 } else { 1 }))
        });
        let calls = world.calls().len();
        for range in ["bytes=110-119", "bytes=120-129", "bytes=100-199"] {
            let stale = world.send(&edge, Request::get(FILM).with("range", range));
            assert_eq!((stale.status, cache_status(&stale).contains("hit; ttl=-40")), (206, true), "{range}");
        }
        let began = world.now();
        let whole = world.send(&edge, Request::get(FILM));
        assert_eq!((whole.status, body(&whole) == film.text), (200, true));
        assert_eq!((world.now().since(began), world.calls().len() - calls), (seconds(1), 2), "one refresh, one whole");
        world.settle();
        assert!(is_hit(&ask(&world, &edge, "")), "what is refreshed late takes nothing away");
    }
}

/// A range counts only where the whole would be sent otherwise, so a redirect is the same for everybody. An error may be not.
#[test]
fn what_is_no_part_is_kept_for_everybody_unless_a_range_may_have_provoked_it() {
    let film = Film::new(30, "\"v1\"");
    for (status, cache_control, location, stored) in [
        (301, "max-age=60", "/reel", true),
        (302, "max-age=60", "/reel", true),
        (308, "max-age=60", "/reel", true),
        (203, "max-age=60", "", true),
        (302, "private", "/reel", false),
        (308, "max-age=60", FILM, false),
        (204, "max-age=60", "", false),
        (404, "max-age=60", "", false),
        (410, "max-age=60", "", false),
    ] {
        // Alone, and where a part is kept that the range touches.
        for kept in ["", "bytes=0-4"] {
            let (world, edge, log) = world("partial = \"store\", statuses = \"any\"", &film);
            if !kept.is_empty() {
                assert_eq!(ask(&world, &edge, kept).status, 206);
            }
            world.origin(move |_| {
                Reply::status(status, "elsewhere", &[("cache-control", cache_control), ("location", location)])
            });
            let calls = world.calls().len();
            assert_eq!(ask(&world, &edge, "bytes=3-9").status, status, "{status} beside {kept:?}");
            let whole = ask(&world, &edge, "");
            assert_eq!((whole.status, is_hit(&whole)), (status, stored), "{cache_control} beside {kept:?}");
            for range in ["bytes=7-9", "bytes=0-1,5-6"].into_iter().filter(|_| stored) {
                let next = ask(&world, &edge, range);
                assert_eq!((next.status, is_hit(&next)), (status, true), "{range} beside {kept:?}");
                assert_eq!((body(&next), field(&next, "location").as_str()), ("elsewhere", location));
            }
            assert_eq!(world.calls().len() - calls, if stored { 1 } else { 2 });
            assert_eq!(log.borrow().len(), usize::from(!kept.is_empty()));
        }
    }
}

/// What a store does not take is not offered to it, and no visitor pays for finding that out: parts are kept beside each
/// other, and the whole is passed on.
#[test]
fn parts_are_joined_to_no_more_than_the_store_takes() {
    let film = Film::new(1000, "\"v1\"");
    let (world, edge, log) = world(STORE, &film);
    world.set_body_bytes_max(500);
    for (range, text) in [("bytes=0-399", 0..400), ("bytes=400-499", 400..500), ("bytes=500-899", 500..900)] {
        assert_eq!(body(&ask(&world, &edge, range)), &film.text[text.clone()]);
        let again = ask(&world, &edge, range);
        assert_eq!((is_hit(&again), body(&again)), (true, &film.text[text]), "{range}");
    }
    assert!(is_hit(&ask(&world, &edge, "bytes=300-450")), "up to the bound they are joined");
    for _ in 0..3 {
        let whole = ask(&world, &edge, "");
        assert_eq!((whole.status, body(&whole) == film.text), (200, true));
        assert!(
            cache_status(&whole).ends_with("fwd=partial; fwd-status=200; detail=too-long"),
            "{}",
            cache_status(&whole)
        );
        assert!(is_hit(&ask(&world, &edge, "bytes=600-799")), "what is kept stays");
    }
    assert_eq!(
        *log.borrow(),
        ["bytes=0-399", "bytes=400-499", "bytes=500-899", "", "", ""],
        "of nothing more than once"
    );
    assert!(!world.metrics().iter().any(|line| line.contains("cache-save")), "nothing was saved in vain");

    // A visitor of a part of what is long pays for the whole once.
    let (world, edge, log) = super::parts::world("partial = \"ignore\"", &film);
    world.set_body_bytes_max(500);
    let first = ask(&world, &edge, "bytes=0-9");
    assert_eq!((first.status, body(&first).len()), (200, 1000), "a range may be ignored");
    for range in ["bytes=10-19", "bytes=500-"] {
        assert_eq!(ask(&world, &edge, range).status, 206);
    }
    assert_eq!(*log.borrow(), ["", "bytes=10-19", "bytes=500-"]);
    assert!(!world.metrics().iter().any(|line| line.contains("cache-save")));
}

/// A refresh is for everybody: the visitor's own range and condition have no part in it.
#[test]
fn a_refresh_of_a_part_asks_for_all_that_is_stored() {
    let (old, new) = (Film::new(1000, "\"v1\""), Film { text: "x".repeat(1000), ..Film::new(0, "\"v2\"") });
    let (world, edge, _) = world("partial = \"store\", stale_while_revalidate = \"1h\"", &old);
    assert_eq!(ask(&world, &edge, "bytes=0-99").status, 206);
    world.advance(seconds(100));
    let log = show(&world, &new);
    let stale = Request::get(FILM).with("range", "bytes=90-99").with("if-range", "\"v1\"");
    assert!(is_hit(&world.send(&edge, stale)));
    world.settle();
    let again = ask(&world, &edge, "bytes=0-9");
    assert_eq!(*log.borrow(), ["bytes=0-99  \"v1\""]);
    assert_eq!((is_hit(&again), body(&again)), (true, "xxxxxxxxxx"));
}

/// A refresh that finds another part, or the whole, in place of what it was to bring up to date makes no call, and costs what a
/// hit does.
#[test]
fn a_refresh_that_comes_too_late_is_charged_to_nobody() {
    let film = Film::new(1000, "\"v1\"");
    for (options, hits) in
        [("", 0), ("mode = \"lease\"", 0), ("authority = \"redis\"", 0), ("cost = 3\nhit_cost = 1", 1)]
    {
        let limit = format!(
            "[limit.few]\nalgorithm = \"gcra\"\nquota = 9\nwindow = \"10h\"\nkey = \"client\"\nscope = \"shared\"\n{options}\n"
        );
        let policy = format!(
            "version = 1\n[upstream.origin]\n{limit}[[route]]\nname = \"film\"\npath = \"/film\"\nlimits = [\"few\"]\n\
             cache = {{ edge = {{ fresh = \"1m\", stale_while_revalidate = \"1h\", partial = \"store\" }} }}\n\
             [[route]]\nname = \"all\"\npath = \"/**\"\nlimits = [\"few\"]\n"
        );
        let policy = Policy::compile(&policy).unwrap_or_else(|error| panic!("{error}"));
        let (cost, mut late) = (if hits == 0 { 1 } else { 3 }, 0);
        for seed in 0..20 {
            let world = World::new(policy.clone(), seed);
            let log = show(&world, &film);
            let from = |client, range| Request::get(FILM).from([203, 0, 113, client]).with("range", range);
            let (one, other) = (world.edge(), world.edge());
            assert_eq!(world.send(&one, from(1, "bytes=0-9")).status, 206);
            world.settle();
            world.advance(seconds(100));
            log.borrow_mut().clear();
            world.faults(Faults { delay_ms_max: 20, ..Faults::default() });
            assert!(is_hit(&world.send(&one, from(2, "bytes=2-5"))));
            world.faults(Faults::default());
            assert_eq!(world.send(&other, from(3, "bytes=0-19")).status, 206);
            world.settle();
            let refreshes = log.borrow().iter().filter(|asked| asked.starts_with("bytes=0-9 ")).count();
            late += usize::from(refreshes == 0);
            let asked = world.send(&world.edge(), Request::get("/other").from([203, 0, 113, 2]));
            let left = 9 - if refreshes == 0 { hits } else { cost } - cost;
            let says = says(&asked, "ratelimit", "few");
            assert!(says.starts_with(&format!("r={left};")), "{options} {seed}: {says} after {:?}", log.borrow());
        }
        assert!(late > 0, "{options}: none was too late");
    }
}
