//! Parts of responses: which are asked for, stored, joined and served.

use core::{cell::RefCell, time::Duration};
use std::rc::Rc;

use seawall_core::{
    cache::{
        partial::{PART_BYTES_MAX, SHORT_BYTES_MAX},
        range::{Asked, ContentRange, asked},
        variants::PARTS_MAX,
    },
    headers::Fields as _,
    policy::Policy,
};
use seawall_edge::{
    Edge, Isolate, Settings,
    fake::{Faults, Host, Reply, World},
    limits::UNCOLLAPSED_KEYS,
    message::{Request, Response},
    settings::Secret,
};

use super::{
    body, cache_status, field,
    purge::{SECRET, purge},
    seconds,
};

pub(super) const FILM: &str = "/film";

/// What the origin was asked for: `Range`, and then `If-Range` or `If-None-Match` if there was one.
pub(super) type Log = Rc<RefCell<Vec<String>>>;

/// What an origin has under [`FILM`].
#[derive(Clone)]
pub(super) struct Film {
    pub(super) text: String,
    /// Validators and whatever else it says.
    pub(super) fields: Vec<(&'static str, String)>,
}

impl Film {
    pub(super) fn new(length: usize, etag: &str) -> Self {
        let text = (0..length).map(|at| char::from(b'a' + (at % 23) as u8)).collect();
        Self { text, fields: vec![("etag", etag.to_owned())] }
    }

    /// Answers as RFC 9110 §13 and §14 have it.
    pub(super) fn answer(&self, request: &Request<Host>) -> Reply {
        let etag = self.fields.iter().find(|(name, _)| *name == "etag").map(|(_, etag)| etag.as_str());
        let sent = |name| request.headers.field(name).map(|value| value.into_owned());
        let mut fields: Vec<(&str, &str)> = self.fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if etag.is_some() && sent("if-none-match").as_deref() == etag {
            return Reply::status(304, "", &fields);
        }
        let holds = sent("if-range").is_none_or(|condition| Some(condition.as_str()) == etag);
        let whole = seawall_core::cache::Content::Whole { length: Some(self.text.len() as u64) };
        let (status, text, range) = match asked(sent("range").as_deref().filter(|_| holds), whole) {
            Asked::Part(range) => (206, &self.text[range.first as usize..=range.last as usize], range.to_string()),
            Asked::Unsatisfiable { complete } => (416, "", format!("bytes */{complete}")),
            Asked::Everything | Asked::Missing => (200, self.text.as_str(), String::new()),
        };
        let length = text.len().to_string();
        fields.push(("content-length", &length));
        if !range.is_empty() {
            fields.push(("content-range", &range));
        }
        Reply::status(status, text, &fields)
    }
}

/// A world under a policy with these options of the route, whose origin has a film.
pub(super) fn world(options: &str, film: &Film) -> (World, Rc<Isolate<Host>>, Log) {
    let policy = format!(
        "version = 1\n[upstream.origin]\n[[route]]\nname = \"all\"\npath = \"/**\"\n\
         cache = {{ edge = {{ fresh = \"1m\", {options} }} }}\n"
    );
    let policy = Policy::compile(&policy).unwrap_or_else(|error| panic!("{error}"));
    let world = World::new(policy, 1);
    world.set_purge_log(true);
    let settings = Settings { control_secret: Secret::new(SECRET.to_owned()), ..Settings::default() };
    let edge = Rc::new(Isolate::new(Edge::new(world.policy(), 1).with_settings(settings), 1));
    let log = show(&world, film);
    (world, edge, log)
}

/// The origin has this from now on.
pub(super) fn show(world: &World, film: &Film) -> Log {
    let (log, film) = (Log::default(), film.clone());
    let noted = Rc::clone(&log);
    world.origin(move |request| {
        let sent = ["range", "if-range", "if-none-match"].map(|name| request.headers.field(name).unwrap_or_default());
        noted.borrow_mut().push(sent.join(" ").trim().to_owned());
        film.answer(request)
    });
    log
}

pub(super) fn ask(world: &World, edge: &Rc<Isolate<Host>>, range: &str) -> Response<Host> {
    let request = Request::get(FILM);
    let answer = world.send(edge, if range.is_empty() { request } else { request.with("range", range) });
    world.settle();
    answer
}

/// What is short for `answer`: its status, its body and where that lies.
pub(super) fn got(answer: &Response<Host>) -> (u16, &str, String) {
    (answer.status, body(answer), field(answer, "content-range"))
}

pub(super) fn is_hit(answer: &Response<Host>) -> bool {
    cache_status(answer).starts_with("Seawall; hit")
}

pub(super) const STORE: &str = "partial = \"store\"";

#[test]
fn parts_are_stored_joined_and_completed() {
    let film = Film::new(30, "\"v1\"");
    let (world, edge, log) = world(STORE, &film);
    let first = ask(&world, &edge, "bytes=0-9");
    assert_eq!(got(&first), (206, &film.text[..10], "bytes 0-9/30".to_owned()));
    assert_eq!(cache_status(&first), "Seawall; fwd=uri-miss; fwd-status=206; stored");
    for (range, text, place) in [("bytes=0-9", 0..10, "bytes 0-9/30"), ("bytes=3-5", 3..6, "bytes 3-5/30")] {
        let answer = ask(&world, &edge, range);
        assert_eq!((is_hit(&answer), got(&answer)), (true, (206, &film.text[text], place.to_owned())));
        assert_eq!(field(&answer, "content-length"), body(&answer).len().to_string());
    }
    let next = ask(&world, &edge, "bytes=8-19");
    assert_eq!(got(&next), (206, &film.text[8..20], "bytes 8-19/30".to_owned()));
    assert_eq!(cache_status(&next), "Seawall; fwd=partial; fwd-status=206; stored");
    let across = ask(&world, &edge, "bytes=5-15");
    assert_eq!((is_hit(&across), got(&across)), (true, (206, &film.text[5..16], "bytes 5-15/30".to_owned())));
    let head = world.send(&edge, Request::get(FILM).method("HEAD"));
    assert_eq!((head.status, is_hit(&head)), (200, false), "a part is no answer to HEAD");

    let whole = ask(&world, &edge, "");
    assert_eq!((got(&whole), field(&whole, "content-length")), ((200, &*film.text, String::new()), "30".to_owned()));
    assert_eq!(cache_status(&whole), "Seawall; fwd=partial; fwd-status=206; stored");
    let asked = ["bytes=0-9", "bytes=8-19", "", "bytes=20- \"v1\""];
    assert_eq!(*log.borrow(), asked, "the rest and no more");
    for range in ["", "bytes=-4", "bytes=25-"] {
        let answer = ask(&world, &edge, range);
        assert!(is_hit(&answer) && film.text.ends_with(body(&answer)), "{range}");
    }
    assert_eq!(log.borrow().len(), asked.len());
}

#[test]
fn a_part_before_a_stored_one_is_joined_too() {
    let film = Film::new(30, "\"v1\"");
    let (world, edge, log) = world(STORE, &film);
    for (range, inside, text) in [
        ("bytes=20-29", "bytes=22-23", 22..24),
        ("bytes=10-24", "bytes=12-", 12..30),
        ("bytes=0-9", "bytes=-3", 27..30),
    ] {
        assert_eq!(ask(&world, &edge, range).status, 206);
        let answer = ask(&world, &edge, inside);
        assert_eq!((is_hit(&answer), body(&answer)), (true, &film.text[text]));
    }
    let whole = ask(&world, &edge, "");
    assert_eq!((is_hit(&whole), got(&whole)), (true, (200, &*film.text, String::new())));
    assert_eq!(log.borrow().len(), 3);
}

/// Unless the policy says so, everything is asked for, and parts are cut from it.
#[test]
fn by_default_the_whole_is_asked_for() {
    let film = Film::new(30, "\"v1\"");
    let (world, edge, log) = world("partial = \"ignore\"", &film);
    for range in ["bytes=0-9", "bytes=20-", "bytes=1-2"] {
        assert_eq!(ask(&world, &edge, range).status, 206);
    }
    assert_eq!(*log.borrow(), [""]);
}

/// Without a strong validator nobody knows whether two parts are of one response (RFC 9111 §3.4).
#[test]
fn parts_without_a_strong_validator_are_not_combined() {
    for fields in [vec![("etag", "W/\"v1\"".to_owned())], vec![], vec![("etag", "v1".to_owned())]] {
        let film = Film { fields, ..Film::new(30, "") };
        let (world, edge, log) = world(STORE, &film);
        for range in ["bytes=0-9", "bytes=10-19"] {
            assert_eq!(ask(&world, &edge, range).status, 206);
            assert!(is_hit(&ask(&world, &edge, range)), "each serves what lies in it");
        }
        let across = ask(&world, &edge, "bytes=5-15");
        assert_eq!((is_hit(&across), body(&across)), (false, &film.text[5..16]));
        let whole = ask(&world, &edge, "");
        assert_eq!(got(&whole), (200, &*film.text, String::new()));
        assert_eq!(log.borrow().last().map(String::as_str), Some(""), "all of it is asked for");
    }
}

#[test]
fn what_has_changed_is_not_mixed_with_what_was() {
    let (old, new) = (Film::new(30, "\"v1\""), Film { text: "x".repeat(40), ..Film::new(0, "\"v2\"") });
    let (world, edge, _) = world(STORE, &old);
    assert_eq!(ask(&world, &edge, "bytes=0-9").status, 206);
    let log = show(&world, &new);
    let next = ask(&world, &edge, "bytes=10-19");
    assert_eq!(got(&next), (206, "xxxxxxxxxx", "bytes 10-19/40".to_owned()));
    assert!(!is_hit(&ask(&world, &edge, "bytes=0-9")), "what was is forgotten");
    show(&world, &old);
    let whole = ask(&world, &edge, "");
    assert_eq!(got(&whole), (200, &*old.text, String::new()), "the origin says that the start has changed");
    assert_eq!(log.borrow().len(), 2);
}

/// Whoever asks for everything gets everything, and what is not what it says it is is not stored.
#[test]
fn an_origin_that_answers_something_else_spoils_nothing() {
    let film = Film::new(30, "\"v1\"");
    type Fields = [(&'static str, &'static str)];
    let wrong: [(&str, u16, &Fields); 6] = [
        ("another-place", 206, &[("content-range", "bytes 25-29/30"), ("content-length", "5"), ("etag", "\"v1\"")]),
        ("another-response", 206, &[("content-range", "bytes 10-14/30"), ("content-length", "5"), ("etag", "\"v2\"")]),
        ("not-as-long", 206, &[("content-range", "bytes 10-29/30"), ("content-length", "5"), ("etag", "\"v1\"")]),
        ("of-no-length", 206, &[("content-range", "bytes 10-29/30"), ("etag", "\"v1\"")]),
        ("several", 206, &[("content-type", "multipart/byteranges"), ("content-length", "5")]),
        ("none", 416, &[("content-range", "bytes */30"), ("content-length", "5")]),
    ];
    for (id, status, fields) in wrong {
        let (world, edge, _) = world(STORE, &film);
        assert_eq!(ask(&world, &edge, "bytes=0-9").status, 206);
        let answers = film.clone();
        world.origin(move |request| match request.headers.field("range") {
            Some(_) => Reply::status(status, "xxxxx", fields),
            None => answers.answer(request),
        });
        assert_eq!(ask(&world, &edge, "bytes=10-14").status, status, "{id}: who asks for a part gets what came");
        let whole = ask(&world, &edge, "");
        assert_eq!(got(&whole), (200, &*film.text, String::new()), "{id}");
    }
}

/// An answer that a range provokes is for who sent the range.
#[test]
fn what_a_range_provokes_is_not_stored_for_others() {
    let film = Film::new(30, "\"v1\"");
    let (world, edge, _) = world("partial = \"store\", statuses = \"any\"", &film);
    for status in [400, 404, 416, 500] {
        let answers = film.clone();
        world.origin(move |request| match request.headers.field("range") {
            Some(_) => Reply::status(status, "no", &[("cache-control", "max-age=60")]),
            None => answers.answer(request),
        });
        assert_eq!(ask(&world, &edge, "bytes=99-").status, status);
        let whole = Request::get(&format!("{FILM}?{status}"));
        assert_eq!(
            world.send(&edge, Request::get(&format!("{FILM}?{status}")).with("range", "bytes=0-1")).status,
            status
        );
        world.settle();
        assert_eq!(world.send(&edge, whole).status, 200);
    }
}

#[test]
fn a_short_response_costs_two_calls_however_many_parts_are_asked_for() {
    for (length, calls_max) in [(SHORT_BYTES_MAX as usize, 2), (SHORT_BYTES_MAX as usize + 1, 50)] {
        let film = Film::new(length, "\"v1\"");
        let (world, edge, log) = world(STORE, &film);
        for number in 0..50 {
            let first = number * 20_000;
            let answer = ask(&world, &edge, &format!("bytes={first}-{}", first + 9));
            assert_eq!(got(&answer).1, &film.text[first..first + 10]);
        }
        assert_eq!(log.borrow().len(), calls_max, "{length}");
    }
}

#[test]
fn parts_have_a_bound_in_number_and_in_length() {
    const MIB: usize = 1 << 20;
    let film = Film::new(PART_BYTES_MAX as usize + 4 * MIB, "\"v1\"");
    let (world, edge, log) = world(STORE, &film);
    let half = PART_BYTES_MAX / 2;
    let parts = [(0, half), (half, 2 * half), (2 * half, 2 * half + 1000)];
    for (first, end) in parts {
        assert_eq!(ask(&world, &edge, &format!("bytes={first}-{}", end - 1)).status, 206);
    }
    assert!(is_hit(&ask(&world, &edge, &format!("bytes=9-{}", 2 * half - 1))), "two are joined");
    let across = format!("bytes={}-{}", 2 * half - 5, 2 * half + 4);
    assert!(!is_hit(&ask(&world, &edge, &across)), "and no more");
    let longer = ask(&world, &edge, &format!("bytes=100-{}", PART_BYTES_MAX + 100));
    assert_eq!((longer.status, cache_status(&longer).contains("detail=partial")), (206, true), "it is passed on");
    for number in 0..3 * PARTS_MAX {
        let at = 2 * half as usize + 2000 + 10 * number;
        assert_eq!(ask(&world, &edge, &format!("bytes={at}-{}", at + 1)).status, 206);
    }
    let calls = log.borrow().len();
    assert!(is_hit(&ask(&world, &edge, "bytes=0-9")), "what is long stays");
    let kept = (0..3 * PARTS_MAX).filter(|number| {
        let at = 2 * half as usize + 2000 + 10 * number;
        is_hit(&ask(&world, &edge, &format!("bytes={at}-{}", at + 1)))
    });
    assert!(kept.count() < PARTS_MAX);
    assert!(log.borrow().len() > calls);
}

/// What could not be stored is not fetched whole for a part, whatever the policy says.
#[test]
fn of_what_cannot_be_stored_a_part_is_asked_for() {
    let film = Film::new(30, "\"v1\"");
    let (world, edge, log) = world("partial = \"ignore\"", &film);
    world.faults(Faults { save: 1000, ..Faults::default() });
    let first = ask(&world, &edge, "bytes=0-9");
    assert_eq!(got(&first), (206, &film.text[..10], "bytes 0-9/30".to_owned()));
    for (range, text) in [("bytes=3-5", 3..6), ("bytes=20-", 20..30), ("bytes=0-1,8-9", 0..30), ("", 0..30)] {
        assert_eq!(body(&ask(&world, &edge, range)), &film.text[text], "{range}");
    }
    assert_eq!(*log.borrow(), ["", "bytes=3-5", "bytes=20-", "", ""]);
}

#[test]
fn who_wants_the_same_part_shares_a_call_and_nobody_waits_for_another() {
    let film = Film::new(4 << 20, "\"v1\"");
    let (world, edge, _) = world(STORE, &film);
    let answers = film.clone();
    world.origin(move |request| answers.answer(request).after(seconds(1)));
    let ranges = ["bytes=0-9", "bytes=2000000-2000009", ""];
    let requests = (0..30).map(|at| match ranges[at % 3] {
        "" => Request::get(FILM),
        range => Request::get(FILM).with("range", range),
    });
    let began = world.now();
    let answers = world.send_all(&edge, requests.collect());
    assert_eq!((world.calls().len(), world.now().since(began)), (3, seconds(1)));
    for (at, answer) in answers.iter().enumerate() {
        let expect = [&film.text[..10], &film.text[2_000_000..2_000_010], &film.text[..]][at % 3];
        assert_eq!(body(answer), expect);
    }
}

#[test]
fn a_stale_part_is_validated_as_a_part() {
    let film = Film::new(2 << 20, "\"v1\"");
    for (options, hit) in [(STORE, false), ("partial = \"store\", stale_while_revalidate = \"1h\"", true)] {
        let (world, edge, log) = world(options, &film);
        assert_eq!(ask(&world, &edge, "bytes=0-9").status, 206);
        world.advance(seconds(100));
        let stale = ask(&world, &edge, "bytes=2-5");
        assert_eq!((is_hit(&stale), got(&stale).1), (hit, &film.text[2..6]));
        let asked = if hit { "bytes=0-9  \"v1\"" } else { "bytes=2-5  \"v1\"" };
        assert_eq!(*log.borrow(), ["bytes=0-9", asked]);
        assert!(
            cache_status(&ask(&world, &edge, "bytes=0-9")).starts_with("Seawall; hit; ttl=60"),
            "all of it is fresh"
        );
        world.advance(seconds(100));
        let changed = Film { text: "x".repeat(3 << 20), ..Film::new(0, "\"v2\"") };
        show(&world, &changed);
        let answer = ask(&world, &edge, "bytes=2-5");
        assert_eq!(got(&answer).1, if hit { &film.text[2..6] } else { "xxxx" });
        assert_eq!(got(&ask(&world, &edge, "bytes=2-5")), (206, "xxxx", "bytes 2-5/3145728".to_owned()));
    }
}

/// What was purged is neither joined nor completed, and stands in the way of nothing.
#[test]
fn what_was_purged_is_as_if_it_was_never_stored() {
    let (old, new) = (Film::new(300, "\"v1\""), Film { text: "x".repeat(300), ..Film::new(0, "\"v1\"") });
    for (stored, range) in
        [("bytes=0-99", "bytes=100-199"), ("bytes=0-99", "bytes=50-149"), ("bytes=0-99", ""), ("", "bytes=100-199")]
    {
        let (world, edge, _) = world(STORE, &old);
        assert!(matches!(ask(&world, &edge, stored).status, 200 | 206));
        world.settle();
        assert_eq!(purge(&world, &edge, r#"{"all": true}"#).status, 200);
        let log = show(&world, &new);
        assert!(!is_hit(&ask(&world, &edge, range)), "{stored} {range}");
        let again = ask(&world, &edge, range);
        assert_eq!((is_hit(&again), body(&again).trim_matches('x')), (true, ""), "{stored} {range}");
        let other = ask(&world, &edge, "bytes=60-99");
        assert_eq!(body(&other).trim_matches('x'), "", "{stored} {range}");
        assert_eq!(log.borrow()[0], range, "nothing is asked about what was purged");
    }
}

/// A part that was under way for longer than the whole does not take its place.
#[test]
fn a_late_part_leaves_the_whole_in_place() {
    for vary in [vec![], vec![("vary", "accept-language".to_owned())]] {
        let film = Film::new(300, "\"v1\"");
        let film = Film { fields: [film.fields, vary].concat(), ..film };
        let (world, edge, _) = world(STORE, &film);
        let answers = film.clone();
        world.origin(move |request| {
            let takes = if request.headers.field("range").is_some() { 3 } else { 1 };
            answers.answer(request).after(seconds(takes))
        });
        let requests = vec![Request::get(FILM).with("range", "bytes=0-9"), Request::get(FILM)];
        let _ = world.send_all(&edge, requests);
        world.settle();
        let calls = world.calls().len();
        let whole = ask(&world, &edge, "");
        assert_eq!((is_hit(&whole), body(&whole), world.calls().len() - calls), (true, &*film.text, 0));
    }
}

/// An answer to `If-Range` leaves out what the client has already, which others have not.
#[test]
fn an_answer_to_if_range_is_not_stored() {
    let film = Film::new(300, "\"v1\"");
    let film = Film { fields: [film.fields, vec![("content-type", "video/mp4".to_owned())]].concat(), ..film };
    let (world, edge, _) = world(STORE, &film);
    let bare = Film { fields: film.fields[..1].to_vec(), ..film.clone() };
    world.origin(move |request| match request.headers.field("if-range") {
        Some(_) => bare.answer(request),
        None => film.answer(request),
    });
    let again = Request::get(FILM).with("range", "bytes=100-199").with("if-range", "\"v1\"");
    let answer = world.send(&edge, again);
    assert_eq!((answer.status, cache_status(&answer).contains("detail=partial")), (206, true));
    world.settle();
    for hit in [false, true] {
        let answer = ask(&world, &edge, "bytes=100-199");
        assert_eq!((is_hit(&answer), field(&answer, "content-type").as_str()), (hit, "video/mp4"));
    }
}

/// Ranges that nobody else asks for take no place from responses that cannot be shared.
#[test]
fn invented_ranges_leave_room_for_calls_to_share() {
    let film = Film::new(3 * UNCOLLAPSED_KEYS, "\"v1\"");
    let (world, edge, _) = world(STORE, &film);
    let of = |cache_control: &str| Film {
        fields: vec![("etag", "\"v1\"".to_owned()), ("cache-control", cache_control.to_owned())],
        ..film.clone()
    };
    show(&world, &of("no-store"));
    for number in 0..2 * UNCOLLAPSED_KEYS {
        assert_eq!(ask(&world, &edge, &format!("bytes={number}-{number}")).status, 206);
    }
    world.advance(seconds(2));
    let answers = of("max-age=60");
    world.origin(move |request| answers.answer(request).after(seconds(1)));
    let calls = world.calls().len();
    let _ = world.send_all(&edge, (0..10).map(|_| Request::get("/other")).collect());
    assert_eq!(world.calls().len() - calls, 1);
}

#[test]
fn each_variant_has_parts_of_its_own() {
    let (world, edge, _) = world(STORE, &Film::new(0, ""));
    world.origin(|request| {
        let language = request.headers.field("accept-language").unwrap_or_default().into_owned();
        let film = Film { text: language.repeat(15), ..Film::new(0, &format!("\"{language}\"")) };
        let film = Film { fields: [film.fields, vec![("vary", "accept-language".to_owned())]].concat(), ..film };
        film.answer(request)
    });
    let of = |language: &str, range: &str| {
        let answer = world.send(&edge, Request::get(FILM).with("accept-language", language).with("range", range));
        world.settle();
        (is_hit(&answer), body(&answer).to_owned())
    };
    for hit in [false, true] {
        for language in ["en", "es"] {
            assert_eq!(of(language, "bytes=0-3"), (hit, language.repeat(2)));
        }
    }
    assert_eq!(of("en", "bytes=4-29"), (false, "en".repeat(13)));
    assert_eq!(of("en", "bytes=0-29"), (true, "en".repeat(15)));
    assert!(!of("es", "bytes=0-29").0);
}

/// Films that change, dependencies that fail, isolates that share a store: every answer is made of one film, at the place
/// that it says.
#[test]
fn every_byte_is_where_it_belongs() {
    for seed in 0..16 {
        let length = if seed % 2 == 0 { 60 } else { SHORT_BYTES_MAX as usize + 60 };
        let (world, edge, _) =
            world("partial = \"store\", stale_while_revalidate = \"10s\"", &Film::new(length, "\"v0\""));
        let edges = [edge, world.edge()];
        let mut films = vec![Film::new(length, "\"v0\"")];
        let below = |most: usize| (world.random() % most as u64) as usize;
        world.faults(Faults { load: 30, save: 30, delay_ms_max: 20, ..Faults::default() });
        for step in 1..120 {
            if below(20) == 0 {
                let length = length + below(3);
                let text = (0..length).map(|at| char::from(b'A' + ((at + 7 * step) % 26) as u8)).collect();
                let fields = match below(4) {
                    0 => vec![],
                    1 => vec![("etag", format!("W/\"v{step}\""))],
                    _ => vec![("etag", format!("\"v{step}\""))],
                };
                films.push(Film { text, fields });
                show(&world, &films[films.len() - 1]);
            }
            world.advance(Duration::from_millis(below(8000) as u64));
            let first = below(60);
            let range = match below(5) {
                0 => String::new(),
                1 => format!("bytes={first}-"),
                2 => format!("bytes=-{}", 1 + below(50)),
                _ => format!("bytes={first}-{}", first + below(20)),
            };
            let range = if length > 100 && range.ends_with('-') { String::new() } else { range };
            let answer = ask(&world, &edges[below(2)], &range);
            let etag = field(&answer, "etag");
            let place = ContentRange::parse(&field(&answer, "content-range"));
            let is_of = |film: &&Film| {
                let said = film.fields.first().map_or("", |(_, etag)| etag);
                let text = match place {
                    Some(ContentRange { first, last, complete }) if complete == Some(film.text.len() as u64) => {
                        film.text.get(first as usize..=last as usize)
                    }
                    Some(_) => None,
                    None => Some(&*film.text),
                };
                said == etag && text == Some(body(&answer))
            };
            let is_right = films.iter().any(|film| is_of(&film));
            assert_eq!(answer.status == 206, place.is_some(), "seed {seed}, step {step}");
            assert!(is_right, "seed {seed}, step {step}: {range} got {} {etag} {place:?}", answer.status);
            assert!(!(range.is_empty() && answer.status != 200), "seed {seed}, step {step}: a part for all of it");
        }
    }
}
