use std::rc::Rc;

use seawall_core::policy::Policy;
use seawall_edge::{
    Edge, Isolate, Platform, Settings,
    fake::{Host, Reply, World},
    limits::{MEMORY_BELIEVED_FOR, MEMORY_ENTRIES_MAX, MEMORY_ENTRY_BYTES_MAX},
    message::{Request, Response},
    settings::Secret,
};

use super::{
    at_once, body, cache_status, field, get,
    purge::{SECRET, purge},
    seconds, world,
};

const PAGE: &str = "/methodology";

/// The answer that waits for nothing, if there is one.
fn at_once(world: &World, edge: &Rc<Isolate<Host>>, target: &str, fields: &[(&str, &str)]) -> Option<Response<Host>> {
    let request = fields.iter().fold(Request::get(target), |request, (name, value)| request.with(name, value));
    at_once::answer(world, edge, &request)
}

/// A world whose isolate has this page in memory: the first request stores it, the second finds it popular.
fn warm(world: &World, edge: &Rc<Isolate<Host>>, target: &str) {
    for _ in 0..3 {
        let _ = get(world, edge, target);
        world.settle();
    }
}

fn page(text: &'static str) -> impl Fn(&Request<Host>) -> Reply {
    let length = text.len().to_string();
    move |_| {
        let fields =
            [("content-length", length.as_str()), ("content-type", "text/html"), ("etag", "\"1\""), ("cache-tag", "a")];
        Reply::ok(text, &fields)
    }
}

#[test]
fn the_third_request_waits_for_nothing_and_gets_the_same_answer() {
    let (world, edge) = world();
    world.origin(page("the page"));
    assert!(at_once(&world, &edge, PAGE, &[]).is_none(), "nothing is known yet");
    let _ = get(&world, &edge, PAGE);
    world.settle();
    assert!(at_once(&world, &edge, PAGE, &[]).is_none(), "asked for once");
    let whole = get(&world, &edge, PAGE);
    world.settle();
    world.advance(seconds(2));
    let quick = at_once(&world, &edge, PAGE, &[]).unwrap();
    assert_eq!((quick.status, body(&quick)), (200, "the page"));
    assert_eq!((cache_status(&quick).as_str(), field(&quick, "age").as_str()), ("Seawall; hit; ttl=3598", "2"));
    for name in ["content-type", "etag", "ratelimit-policy", "referrer-policy", "x-content-type-options", "date"] {
        assert_eq!(field(&quick, name), field(&whole, name), "{name}");
    }
    assert_eq!(field(&quick, "cache-tag"), "", "meant for this cache alone");
    assert_eq!(field(&quick, "ratelimit"), "\"client\";r=299;t=2");
    assert_eq!(world.calls().len(), 1);
}

#[test]
fn whatever_is_not_a_plain_hit_takes_the_whole_way() {
    let (world, edge) = world();
    world.origin(page("the page"));
    warm(&world, &edge, PAGE);
    assert!(at_once(&world, &edge, PAGE, &[]).is_some());
    for fields in [
        [("if-none-match", "\"1\"")],
        [("if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT")],
        [("range", "bytes=0-1")],
        [("authorization", "Bearer x")],
        [("connection", "accept-language")],
    ] {
        assert!(at_once(&world, &edge, PAGE, &fields).is_none(), "{fields:?}");
    }
    for target in ["/methodology/../admin", "/meth%6fdology//", "/search?q=a", "/api/v1/health", "/__seawall/health"] {
        assert!(at_once(&world, &edge, target, &[]).is_none(), "{target}");
    }
    for option in ["keep-alive", "Close"] {
        assert!(at_once(&world, &edge, PAGE, &[("connection", option)]).is_some(), "{option}: of the hop alone");
    }
    assert!(at_once(&world, &edge, "/methodology?utm_source=x", &[]).is_some(), "the policy drops the parameter");
    assert!(at_once(&world, &edge, "/meth%6Fdology", &[]).is_some(), "the same path, spelled otherwise");
    assert_eq!(world.calls().len(), 1);
}

#[test]
fn a_limit_counts_what_memory_answers() {
    let (world, edge) = world();
    world.origin(page("the page"));
    warm(&world, &edge, PAGE);
    let is_answered = || at_once(&world, &edge, PAGE, &[]).is_some_and(|answer| answer.status == 200);
    let answered = (0..1000).take_while(|_| is_answered()).count();
    assert_eq!(answered, 297, "a burst of 300, three of them spent");
    assert_eq!(get(&world, &edge, PAGE).status, 429);
}

#[test]
fn memory_is_believed_for_a_few_seconds_only() {
    let (world, edge) = world();
    world.origin(page("one"));
    warm(&world, &edge, PAGE);
    let other = world.edge();
    let change = Request { method: String::from("POST"), ..Request::get(PAGE) };
    assert_eq!(world.send(&other, change).status, 200, "another isolate learns that the page changed");
    world.origin(page("two"));
    assert_eq!(body(&at_once(&world, &edge, PAGE, &[]).unwrap()), "one", "this one does not know yet");
    world.advance(MEMORY_BELIEVED_FOR);
    assert!(at_once(&world, &edge, PAGE, &[]).is_none());
    assert_eq!(body(&get(&world, &edge, PAGE)), "two");
}

#[test]
fn an_unsafe_request_empties_its_own_isolate_at_once() {
    let (world, edge) = world();
    world.origin(page("one"));
    warm(&world, &edge, PAGE);
    let _ = world.send(&edge, Request::get(PAGE).method("POST"));
    assert!(at_once(&world, &edge, PAGE, &[]).is_none());
}

#[test]
fn what_is_stale_in_memory_is_looked_up_again() {
    let (world, edge) = world();
    world.origin(|_| {
        Reply::ok(
            "page",
            &[("content-length", "4"), ("seawall-cdn-cache-control", "max-age=2, stale-while-revalidate=0")],
        )
    });
    warm(&world, &edge, PAGE);
    assert!(at_once(&world, &edge, PAGE, &[]).is_some());
    world.advance(seconds(2));
    assert!(at_once(&world, &edge, PAGE, &[]).is_none());
    assert!(cache_status(&get(&world, &edge, PAGE)).starts_with("Seawall; fwd=stale"));
}

#[test]
fn variants_in_memory_are_kept_apart() {
    let (world, edge) = world();
    world.origin(|request| {
        let language = seawall_core::headers::Fields::field(&request.headers, "accept-language");
        let text = format!("in {}", language.unwrap_or_default());
        Reply::ok(&text, &[("vary", "Accept-Language"), ("content-length", &text.len().to_string())])
    });
    for language in ["es", "zh"] {
        for _ in 0..3 {
            let _ = world.send(&edge, Request::get(PAGE).with("accept-language", language));
            world.settle();
        }
    }
    for language in ["es", "zh"] {
        let quick = at_once(&world, &edge, PAGE, &[("accept-language", language)]).unwrap();
        assert_eq!(body(&quick), format!("in {language}"));
    }
    assert!(at_once(&world, &edge, PAGE, &[("accept-language", "fr")]).is_none());
}

#[test]
fn a_long_response_stays_out_of_memory() {
    let (world, edge) = world();
    let text = "x".repeat(MEMORY_ENTRY_BYTES_MAX + 1);
    let length = text.len().to_string();
    world.origin(move |_| Reply::ok(&text, &[("content-length", &length)]));
    warm(&world, &edge, PAGE);
    assert!(at_once(&world, &edge, PAGE, &[]).is_none());
    assert!(cache_status(&get(&world, &edge, PAGE)).starts_with("Seawall; hit"));
}

#[test]
fn a_part_of_what_memory_has_is_cut_from_it() {
    let (world, edge) = world();
    world.origin(page("0123456789"));
    warm(&world, &edge, PAGE);
    world.empty_near();
    let part = world.send(&edge, Request::get(PAGE).with("range", "bytes=2-4"));
    assert_eq!((part.status, body(&part), field(&part, "content-range").as_str()), (206, "234", "bytes 2-4/10"));
    let known = world.send(&edge, Request::get(PAGE).with("if-none-match", "\"1\""));
    assert_eq!((known.status, known.body.as_deref()), (304, None));
    assert_eq!(world.calls().len(), 1, "all of it from memory");
}

#[test]
fn a_page_fetched_in_one_place_is_found_in_another() {
    let (world, edge) = world();
    world.set_far(true);
    world.origin(page("the page"));
    let _ = get(&world, &edge, PAGE);
    world.settle();
    world.empty_near();
    let elsewhere = world.edge();
    let answer = get(&world, &elsewhere, PAGE);
    assert_eq!((body(&answer), cache_status(&answer).as_str()), ("the page", "Seawall; hit; ttl=3600"));
    world.settle();
    assert_eq!(world.calls().len(), 1);

    world.set_far(false);
    assert_eq!(cache_status(&get(&world, &elsewhere, PAGE)), "Seawall; hit; ttl=3600", "it was copied near");
    assert_eq!(world.calls().len(), 1);
}

#[test]
fn what_is_large_or_short_lived_does_not_go_far() {
    for (length, lifetime) in [("9", "max-age=59"), ("2000000", "max-age=600")] {
        let (world, edge) = world();
        world.set_far(true);
        world.origin(move |_| Reply::ok("", &[("content-length", length), ("seawall-cdn-cache-control", lifetime)]));
        let _ = get(&world, &edge, PAGE);
        world.settle();
        world.empty_near();
        let _ = get(&world, &edge, PAGE);
        assert_eq!(world.calls().len(), 2, "{length} {lifetime}");
    }
}

#[test]
fn what_an_unsafe_request_changed_does_not_come_back_from_afar() {
    let (world, edge) = world();
    world.set_far(true);
    world.origin(page("one"));
    let _ = get(&world, &edge, PAGE);
    world.settle();
    let _ = world.send(&edge, Request::get(PAGE).method("POST"));
    world.origin(page("two"));
    let elsewhere = world.edge();
    assert_eq!(body(&get(&world, &elsewhere, PAGE)), "two");
}

#[test]
fn queries_that_the_origin_calls_the_same_share_what_is_stored() {
    let text = include_str!("../../../policy.toml");
    let (before, after) = text.split_once("name = \"search\"").unwrap();
    let after = after.replacen("query = [\"q\", \"after\", \"status\", \"type\", \"year\"]\n", "", 1);
    let world = World::new(Policy::compile(&[before, "name = \"search\"", &after].concat()).unwrap(), 1);
    let edge = world.edge();
    world.origin(|request| {
        let same = [("no-vary-search", "key-order, params=(\"utm\")"), ("content-length", "9")];
        if request.query.contains("exact") { Reply::ok("exact one", &same[1..]) } else { Reply::ok("of a rule", &same) }
    });
    let _ = get(&world, &edge, "/search?q=a&utm=1&p=2");
    world.settle();
    for target in ["/search?q=a&utm=2&p=2", "/search?p=2&q=a", "/search?p=2&q=%61&utm"] {
        let answer = get(&world, &edge, target);
        assert!(cache_status(&answer).contains("; hit"), "{target}: {}", cache_status(&answer));
    }
    for target in ["/search?q=b&p=2", "/search?p=2", "/search?q=a&p=2&x=1"] {
        assert!(cache_status(&get(&world, &edge, target)).contains("fwd=uri-miss"), "{target}");
    }
    let elsewhere = world.edge();
    let _ = get(&world, &elsewhere, "/search?q=a&utm=1&p=2");
    let learned = get(&world, &elsewhere, "/search?p=2&q=a&utm=9");
    assert!(cache_status(&learned).contains("; hit"), "another isolate learned it from what is stored");
    let _ = get(&world, &edge, "/search?q=a&exact");
    world.settle();
    assert_eq!(body(&get(&world, &edge, "/search?q=a&exact")), "exact one", "without the field the whole query counts");
    assert!(cache_status(&get(&world, &edge, "/search?exact&q=a")).contains("fwd=uri-miss"));
}

#[test]
fn the_fake_bodies_keep_the_contract() {
    let (world, _) = world();
    let outcome = world.run_now(seawall_edge::body::contract::check(&world.host(), str::to_owned));
    assert_eq!(outcome, Ok(()));
}

#[test]
fn the_fake_stores_keep_the_contract() {
    let (world, _) = world();
    world.set_far(true);
    let host = world.host();
    for store in [Some(host.near()), host.far()].into_iter().flatten() {
        let outcome = world.run_now(seawall_edge::store::contract::check(&host, &store));
        assert_eq!(outcome, Ok(()));
    }
}

/// Pages that are asked for alike, and are more than memory holds, do not push each other out: each change costs reading a body.
#[test]
fn what_is_asked_for_alike_stays() {
    let policy = "version = 1\n[upstream.origin]\n[[route]]\nname = \"all\"\npath = \"/**\"\n\
                  cache = { edge = { fresh = \"1h\" } }\n";
    let world = World::new(Policy::compile(policy).unwrap(), 1);
    let edge = world.edge();
    world.origin(page("the page"));
    let pages = 4 * MEMORY_ENTRIES_MAX as u64;
    let held = || (0..pages).filter(|page| at_once(&world, &edge, &format!("/{page}"), &[]).is_some()).count();
    let ask_at_random = || {
        for _ in 0..4 * pages {
            let target = format!("/{}", world.random() % pages);
            if at_once(&world, &edge, &target, &[]).is_none() {
                let _ = get(&world, &edge, &target);
            }
        }
        world.settle();
    };
    ask_at_random();
    assert_eq!(held(), MEMORY_ENTRIES_MAX);
    let first: Vec<bool> = (0..pages).map(|page| at_once(&world, &edge, &format!("/{page}"), &[]).is_some()).collect();
    ask_at_random();
    let still = |page: u64| first[page as usize] && at_once(&world, &edge, &format!("/{page}"), &[]).is_some();
    let stayed = (0..pages).filter(|page| still(*page)).count();
    assert!(stayed > MEMORY_ENTRIES_MAX * 3 / 4, "{stayed} of {MEMORY_ENTRIES_MAX}");
    // What is asked for far more often than they are gets in.
    for _ in 0..100 {
        let _ = get(&world, &edge, "/popular");
        world.settle();
    }
    assert!(at_once(&world, &edge, "/popular", &[]).is_some());
}

/// What is not believed any more is read anew into the place that it has, though all others are worth as much.
#[test]
fn a_page_takes_its_own_place_again() {
    let policy = "version = 1\n[upstream.origin]\n[[route]]\nname = \"all\"\npath = \"/**\"\n\
                  cache = { edge = { fresh = \"1h\" } }\n";
    let world = World::new(Policy::compile(policy).unwrap(), 1);
    let edge = world.edge();
    world.origin(page("the page"));
    let ask = |target: &str, times: usize| {
        for _ in 0..times {
            let _ = get(&world, &edge, target);
            world.settle();
        }
    };
    let has = |target: &str| at_once(&world, &edge, target, &[]).is_some();
    ask("/first", 6);
    world.advance(MEMORY_BELIEVED_FOR - seconds(1));
    for page in 1..MEMORY_ENTRIES_MAX {
        ask(&format!("/{page}"), 5);
    }
    // What is compared next are not the first places any more.
    ask("/popular", 20);
    assert!(has("/popular") && has("/first"));
    world.advance(seconds(1));
    assert!(!has("/first"));
    ask("/first", 1);
    assert!(has("/first"));
}

/// RFC 9110 §15.4.5 asks of a 304 no more than the fields that a cache needs; the others are those of what is stored.
#[test]
fn what_a_bare_304_confirms_in_memory_keeps_its_tags_and_its_lifetime() {
    const SOFT: &str = r#"{"tags": ["city"], "soft": true}"#;
    for (says, asks_by_purge) in
        [("public, max-age=86400", false), ("private, no-cache", false), ("public, max-age=86400", true)]
    {
        let policy = "version = 1\n[upstream.origin]\n[[route]]\nname = \"all\"\npath = \"/**\"\n\
                      cache = { edge = { fresh = \"1h\", request_directives = \"honour\" } }\n";
        let world = World::new(Policy::compile(policy).unwrap(), 1);
        world.set_purge_log(true);
        let settings = Settings { control_secret: Secret::new(SECRET.to_owned()), ..Settings::default() };
        let edge = Rc::new(Isolate::new(Edge::new(world.policy(), 1).with_settings(settings), 1));
        world.origin(move |request| {
            let bare = [("etag", "\"1\""), ("cache-control", says)];
            if seawall_core::headers::Fields::field(&request.headers, "if-none-match").is_some() {
                return Reply::status(304, "", &bare);
            }
            let more = [
                ("cache-tag", "city"),
                ("seawall-cdn-cache-control", "max-age=60, stale-while-revalidate=60"),
                ("content-length", "8"),
            ];
            Reply::ok("the page", &[bare[0], bare[1], more[0], more[1], more[2]])
        });
        warm(&world, &edge, "/p");
        let quick = at_once(&world, &edge, "/p", &[]).unwrap_or_else(|| panic!("{says}: not in memory"));
        for name in ["cache-tag", "seawall-cdn-cache-control"] {
            assert_eq!(field(&quick, name), "", "meant for this cache alone");
        }
        if asks_by_purge {
            assert_eq!(purge(&world, &edge, SOFT).status, 200);
            let _ = get(&world, &edge, "/p");
        } else {
            let asked = world.send(&edge, Request::get("/p").with("cache-control", "no-cache"));
            assert_eq!(cache_status(&asked), "Seawall; fwd=request; fwd-status=304; stored", "{says}");
        }
        world.settle();
        assert_eq!(world.calls().len(), 2);
        assert_eq!(cache_status(&get(&world, &edge, "/p")), "Seawall; hit; ttl=60", "{says}");
        assert_eq!(purge(&world, &edge, r#"{"tags": ["city"]}"#).status, 200);
        assert!(cache_status(&get(&world, &edge, "/p")).contains("fwd=uri-miss"), "{says}: the purge reached it");
    }
}
