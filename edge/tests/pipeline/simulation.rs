//! Many requests over slow and failing dependencies, a clock that steps, and invariants checked on every answer.

use core::time::Duration;
use std::{cell::RefCell, collections::HashMap, rc::Rc};

use seawall_core::{headers::Fields, time::Timestamp};
use seawall_edge::{
    fake::{Faults, Reply, World},
    message::Request,
};

use super::{body, cache_status, field, policy};

/// Lifetimes of the route `search` in the site's policy.
const FRESH: Duration = Duration::from_secs(300);
const STALE_IF_ERROR: Duration = Duration::from_secs(86_400);

#[test]
fn whatever_fails_no_answer_breaks_the_rules() {
    let mut statuses: HashMap<u16, usize> = HashMap::new();
    for seed in 0..60 {
        run(seed, &mut statuses);
    }
    // The runs are of use only if they reach every kind of answer.
    for status in [200, 429, 500, 503] {
        assert!(statuses.get(&status).is_some_and(|count| *count > 50), "{status} in {statuses:?}");
    }
}

#[test]
fn one_seed_is_one_run() {
    let log = |seed| {
        let world = run(seed, &mut HashMap::new());
        (world.calls(), world.log())
    };
    assert_eq!(log(7), log(7));
    assert_ne!(log(7), log(8));
}

/// One run of 300 moments. To replay a failure, call it with the seed that the message names.
fn run(seed: u64, statuses: &mut HashMap<u16, usize>) -> World {
    let world = World::new(policy(), seed);
    world.set_far(seed.is_multiple_of(3));
    world.set_purge_log(seed.is_multiple_of(5));
    let edges = [world.edge(), world.edge()];
    // When the origin last said this version of this URL.
    let said: Rc<RefCell<HashMap<String, Timestamp>>> = Rc::default();
    let (origin, spoken) = (world.clone(), Rc::clone(&said));
    world.origin(move |request| {
        let version = format!("{}?{} {}", request.path, request.query, origin.random());
        spoken.borrow_mut().insert(version.clone(), origin.now());
        match request.query.as_str() {
            "q=private" => Reply::ok(&version, &[("set-cookie", "session=1")]),
            _ => Reply::ok(&version, &[]),
        }
    });
    let cache_works = seed.is_multiple_of(2);
    for moment in 0..300 {
        if moment % 30 == 0 {
            let up_to = |permille| world.random() % permille;
            world.faults(Faults {
                unreachable: up_to(700),
                hang: up_to(100),
                error: up_to(300),
                load: if cache_works { 0 } else { up_to(200) },
                save: if cache_works { 0 } else { up_to(200) },
                authority: up_to(300),
                purge_log: up_to(500),
                authority_answer: up_to(100),
                authority_ends: 5,
                authority_hangs: up_to(50),
                delay_ms_max: up_to(800),
                ..Faults::default()
            });
        }
        // Bursts, and pauses in which what is stored goes stale.
        let pause_ms_max = if world.random().is_multiple_of(16) { 800_000 } else { 500 };
        world.advance(Duration::from_millis(world.random() % pause_ms_max));
        let targets = ["/search?q=a", "/search?q=b", "/search?q=private", "/about-data"];
        let requests: Vec<Request<_>> = (0..1 + world.random() % 12)
            .map(|_| {
                let target = targets[(world.random() % 4) as usize];
                Request::get(target).from([192, 0, 2, (world.random() % 3) as u8])
            })
            .collect();
        let asked: Vec<String> = requests.iter().map(|request| format!("{}?{}", request.path, request.query)).collect();
        let edge = &edges[(world.random() % 2) as usize];
        if world.happens(300) {
            let patience = Duration::from_millis(world.random() % 3_000);
            world.send_and_leave(edge, Request::get("/search?q=a"), patience);
        }
        let start = world.now();
        let answers = world.send_all(edge, requests);
        assert!(world.now().since(start) < Duration::from_secs(26), "seed {seed}: an answer took too long");
        for (asked, answer) in asked.iter().zip(&answers) {
            *statuses.entry(answer.status).or_default() += 1;
            let status = cache_status(answer);
            let context = format!("seed {seed}, moment {moment}, {asked}: {} {status} {}", answer.status, body(answer));
            assert!([200, 429, 500, 503].contains(&answer.status), "{context}");
            assert!(!status.is_empty() && answer.headers.field("ratelimit-policy").is_some(), "{context}");
            if matches!(answer.status, 429 | 503) {
                assert!(field(answer, "retry-after").parse::<u64>().is_ok_and(|wait| wait >= 1), "{context}");
            }
            if answer.status != 200 {
                continue;
            }
            assert!(body(answer).starts_with(asked.trim_end_matches('?')), "the answer to another question: {context}");
            let age = said.borrow().get(body(answer)).map(|at| start.since(*at));
            let age = age.unwrap_or_else(|| panic!("never said by the origin: {context}"));
            if status.contains("; hit; ttl=")
                && !status.contains("ttl=-")
                && !status.contains("detail=")
                && asked != "/about-data?"
            {
                assert!(age <= FRESH, "stale, and called fresh: {context}");
            }
            if asked != "/about-data?" {
                assert!(age < FRESH + STALE_IF_ERROR, "older than any rule allows: {context}");
            }
            if asked == "/search?q=private" {
                assert!(age < Duration::from_secs(1) && status.contains("fwd="), "private and shared: {context}");
            }
        }
    }
    // A cache that takes nothing has nothing to share; otherwise each isolate has one call for a URL at a time.
    for url in ["GET /search?q=a", "GET /search?q=b", "GET /about-data"] {
        let most = world.most_calls_at_once(url);
        assert!(most <= edges.len() || !cache_works, "seed {seed}: {most} calls at once for {url}");
    }
    world
}
