//! Limits that are one for all isolates: how they are shared out, what they charge, and what happens without their
//! authority.

use std::rc::Rc;

use core::time::Duration;

use seawall_core::policy::Policy;
use seawall_edge::{
    Isolate,
    fake::{Faults, Host, Reply, World},
    message::Request,
};

use super::{cache_status, field, says, seconds};

const MILLISECOND: Duration = Duration::from_millis(1);

/// A world with these limits, all met by a page that is stored and one that never is.
fn world(limits: &str) -> World {
    let names: Vec<&str> = limits.lines().filter_map(|line| line.strip_prefix("[limit.")?.strip_suffix(']')).collect();
    let policy = format!(
        "version = 1\n[upstream.origin]\n{limits}\n[[route]]\nname = \"kept\"\npath = \"/kept\"\nlimits = {names:?}\n\
         cache = {{ edge = {{ fresh = \"1h\" }} }}\n[[route]]\nname = \"all\"\npath = \"/**\"\nlimits = {names:?}\n"
    );
    let world = World::new(Policy::compile(&policy).unwrap_or_else(|error| panic!("{error}")), 1);
    world.origin(|_| Reply::ok("page", &[]));
    world
}

/// A limit of 1000 in ten seconds, 100 at once: one in ten milliseconds.
fn shared(name: &str, options: &str) -> String {
    format!(
        "[limit.{name}]\nalgorithm = \"gcra\"\nquota = 1000\nwindow = \"10s\"\nburst = 100\nkey = \"client\"\n\
         scope = \"shared\"\n{options}\n"
    )
}

fn status(world: &World, edge: &Rc<Isolate<Host>>, target: &str) -> u16 {
    world.send(edge, Request::get(target)).status
}

/// What a limit has left, as the next answer says: of those before it, and of this one.
fn left(world: &World, edge: &Rc<Isolate<Host>>, limit: &str) -> u32 {
    let answer = world.send(edge, Request::get("/page"));
    let says = says(&answer, "ratelimit", limit);
    let left = says.strip_prefix("r=").and_then(|rest| rest.split(';').next()?.parse().ok());
    left.unwrap_or_else(|| panic!("{} {says}", answer.status))
}

/// Twenty isolates serve one client ten times as fast as it may ask, for five seconds.
#[test]
fn isolates_that_hold_units_admit_no_more_than_the_bound_and_ask_seldom() {
    for (options, bound, asked_permille) in
        [("", 0, 1000), ("mode = \"lease\"", 50, 400), ("mode = \"async\"\nisolates = 20", 20 * 2, 700)]
    {
        let world = world(&shared("a", options));
        let edges: Vec<Rc<Isolate<Host>>> = (0..20).map(|_| world.edge()).collect();
        let mut admitted = 0;
        for request in 0..5000 {
            admitted += u32::from(status(&world, &edges[request % 20], "/page") == 200);
            world.advance(MILLISECOND);
        }
        world.settle();
        // A burst and five seconds' earnings.
        let allowed = 100 + 500;
        assert!((allowed - 60..=allowed + bound).contains(&admitted), "{options}: {admitted}");
        assert!(world.asked() * 1000 <= 5000 * asked_permille, "{options}: {} questions", world.asked());
    }
}

#[test]
fn a_client_within_its_limit_is_let_pass_from_what_is_held() {
    let world = world(&shared("a", "mode = \"lease\""));
    let edge = world.edge();
    for _ in 0..2000 {
        assert_eq!(status(&world, &edge, "/page"), 200);
        world.advance(MILLISECOND * 20);
    }
    assert!(world.asked() < 400, "{} questions", world.asked());
    let last = world.log().pop().unwrap_or_default();
    assert!(last.contains("limits=held"), "{last}");
    let says = says(&world.send(&edge, Request::get("/page")), "ratelimit", "a");
    assert!(says.starts_with("r=9") || says.starts_with("r=100;"), "{says}");
}

/// Whatever the modes and wherever the counters are: when one refuses, the others are not charged.
#[test]
fn all_shared_limits_are_charged_or_none() {
    let one = "[limit.one]\nalgorithm = \"fixed-window\"\nquota = 1\nwindow = \"1h\"\nkey = \"client\"\n\
               scope = \"shared\"\n";
    for (one_at, others) in [
        ("", ["", "mode = \"lease\""]),
        ("", ["mode = \"lease\"", "mode = \"async\""]),
        ("", ["authority = \"redis\"", ""]),
        ("authority = \"redis\"\n", ["", "mode = \"lease\""]),
    ] {
        let limits = format!("{}{}{one}{one_at}", shared("a", others[0]), shared("b", others[1]));
        let world = world(&limits);
        let edge = world.edge();
        assert_eq!(status(&world, &edge, "/page"), 200);
        for isolate in 0..30 {
            // An isolate that remembers nothing, so that each asks.
            let edge = if isolate < 20 { &edge } else { &world.edge() };
            let refused = world.send(edge, Request::get("/page"));
            world.settle();
            assert_eq!((refused.status, says(&refused, "ratelimit", "one").starts_with("r=0;")), (429, true));
        }
        // A quarter of a second later the one charge is earned back, and no other was made.
        world.advance(MILLISECOND * 250);
        let fresh = world.edge();
        let refused = world.send(&fresh, Request::get("/page"));
        world.settle();
        for limit in ["a", "b"] {
            let says = says(&refused, "ratelimit", limit);
            assert!(says.is_empty() || says.starts_with("r=100;"), "{limits}: {limit} {says}");
        }
    }
}

#[test]
fn a_hit_costs_what_the_policy_says() {
    for (options, hits_cost) in [
        ("", 0),
        ("mode = \"lease\"", 0),
        ("mode = \"async\"", 0),
        ("authority = \"redis\"", 0),
        ("cost = 3\nhit_cost = 1", 1),
        ("cost = 3\nhit_cost = 3", 3),
        ("mode = \"lease\"\ncost = 3\nhit_cost = 1", 1),
        ("mode = \"async\"\ncost = 3\nhit_cost = 1", 1),
        ("authority = \"redis\"\ncost = 3\nhit_cost = 1", 1),
    ] {
        let world = world(&shared("a", options));
        let edge = world.edge();
        assert_eq!(status(&world, &edge, "/kept"), 200);
        world.settle();
        // The store answers after the limits do, so each hit is charged first and then gets its part back.
        world.faults(Faults { delay_ms_max: 2, ..Faults::default() });
        world.advance(seconds(5));
        for _ in 0..10 {
            let hit = world.send(&edge, Request::get("/kept"));
            assert!(cache_status(&hit).starts_with("Seawall; hit;"), "{options}: {}", cache_status(&hit));
        }
        world.settle();
        world.faults(Faults::default());
        let cost = if options.contains("cost = 3") { 3 } else { 1 };
        let spent = 100 - left(&world, &edge, "a") - cost;
        // Some of it is earned back meanwhile; who holds units knows what came back when it asks again.
        let unknown = if options.contains("lease") { 2 * (cost - hits_cost) } else { 0 };
        assert!(spent <= 10 * hits_cost + unknown && spent + 4 >= 10 * hits_cost, "{options}: {spent}");
    }
}

#[test]
fn who_is_refused_still_gets_what_is_stored_where_hits_are_free() {
    for (options, kept) in [("", 200), ("mode = \"lease\"", 200), ("hit_cost = 1", 429)] {
        let world = world(&shared("a", options).replace("burst = 100", "burst = 3"));
        let edge = world.edge();
        assert_eq!(status(&world, &edge, "/kept"), 200);
        world.settle();
        for _ in 0..5 {
            let _ = status(&world, &edge, "/page");
        }
        assert_eq!((status(&world, &edge, "/page"), status(&world, &edge, "/kept")), (429, kept), "{options}");
        assert_eq!(world.calls().len(), 3, "{options}: {:?}", world.calls());
    }
}

#[test]
fn a_hit_waits_for_no_limit_that_it_costs_nothing_and_is_not_charged() {
    for options in ["", "authority = \"redis\""] {
        let world = world(&shared("a", options).replace("10s", "10000s"));
        assert_eq!(status(&world, &world.edge(), "/kept"), 200);
        world.settle();
        // Found in the second tier, after a while; an authority has a deadline of half a second.
        // Now the one is quicker, now the other.
        for authority_hangs in [1000, 0, 0, 0, 0, 0, 0, 0, 0] {
            world.faults(Faults { authority_hangs, delay_ms_max: 20, ..Faults::default() });
            let (edge, began) = (world.edge(), world.now());
            let answer = world.send(&edge, Request::get("/kept"));
            assert!(cache_status(&answer).contains("hit"), "{options}: {}", cache_status(&answer));
            let waited = world.now().since(began);
            assert!(waited <= Duration::from_millis(100), "{options} {authority_hangs}: {waited:?}");
            world.settle();
        }
        world.faults(Faults::default());
        // The miss, and this one.
        assert_eq!(left(&world, &world.edge(), "a"), 98, "{options}");
    }
}

/// The authority hears a question, writes the charge down, and ends before its answer is out.
#[test]
fn a_question_that_its_authority_heard_before_it_ended_is_charged_once() {
    for options in ["", "cost = 3\nhit_cost = 1"] {
        let world = world(&format!("{}{}", shared("a", options), shared("b", "")));
        let edge = world.edge();
        assert_eq!(status(&world, &edge, "/page"), 200);
        world.faults(Faults { authority_answer: 1000, authority_ends: 1000, ..Faults::default() });
        let asked = world.asked();
        let _ = status(&world, &edge, "/page");
        assert_eq!(world.asked() - asked, 2, "sent again, to another life");
        world.faults(Faults::default());
        // Two charges, and this one.
        let cost = if options.is_empty() { 1 } else { 3 };
        assert_eq!((left(&world, &edge, "a"), left(&world, &edge, "b")), (100 - 3 * cost, 96), "{options}");
    }
}

/// What an isolate tells leaves no room for its request, although there was some before it told.
#[test]
fn an_exact_limit_is_not_charged_for_what_one_of_the_others_refuses() {
    let few = shared("few", "mode = \"async\"\nepsilon_permille = 50").replace("burst = 100", "burst = 60");
    let world = world(&format!("{few}{}", shared("exact", "")));
    let edge = world.edge();
    let mut refused = 0;
    for _ in 0..100 {
        refused += u32::from(status(&world, &edge, "/page") == 429);
    }
    assert!(refused > 0);
    assert_eq!(left(&world, &world.edge(), "exact"), 100 - 60, "what passed, and nothing of what was refused");
}

/// The clock is an hour ahead, is put right, and the authority starts anew.
#[test]
fn a_clock_that_was_ahead_before_a_restart_refuses_nobody() {
    for options in ["", "mode = \"lease\""] {
        let world = world(&shared("a", options));
        let edge = world.edge();
        let right = world.now();
        world.advance(seconds(3600));
        for _ in 0..50 {
            assert_eq!(status(&world, &edge, "/page"), 200);
            world.settle();
        }
        world.set_clock(right);
        world.restart_authorities();
        for _ in 0..40 {
            assert_eq!(status(&world, &world.edge(), "/page"), 200, "{options}");
            world.settle();
        }
        assert_eq!(status(&world, &edge, "/page"), 200, "{options}");
        // And nothing was forgiven.
        let more = (0..40).filter(|_| status(&world, &world.edge(), "/page") == 200).count();
        assert!(more <= 10 + 25, "{options}: {more}");
    }
}

/// The answer of the authority is lost twice: the question was heard twice, and charged once.
#[test]
fn a_question_that_is_sent_again_is_charged_once() {
    for options in ["", "mode = \"lease\""] {
        let world = world(&shared("a", options));
        let edge = world.edge();
        world.faults(Faults { authority_answer: 1000, ..Faults::default() });
        assert_eq!(status(&world, &edge, "/page"), 200, "this isolate counts");
        assert_eq!(world.asked(), 2);
        world.faults(Faults::default());
        assert_eq!(left(&world, &edge, "a"), 98, "{options}");
    }
}

#[test]
fn without_its_authority_a_limit_does_what_the_policy_says_and_shows_it() {
    for at in ["objects", "redis"] {
        for (choice, admitted) in [("local", 10), ("open", 50), ("closed", 0)] {
            let world =
                world(&shared("a", &format!("authority = \"{at}\"\non_store_failure = \"{choice}\"\nisolates = 10")));
            let edge = world.edge();
            world.faults(Faults { authority: 1000, ..Faults::default() });
            let answers: Vec<_> = (0..50).map(|_| world.send(&edge, Request::get("/page"))).collect();
            assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), admitted, "{at} {choice}");
            let last = &answers[49];
            match choice {
                // A tenth of the quota, and of the burst: one in 100 ms.
                "local" => {
                    assert_eq!(
                        (field(last, "retry-after").as_str(), says(last, "ratelimit", "a").as_str()),
                        ("1", "r=0;t=1")
                    );
                }
                "open" => assert_eq!(field(last, "ratelimit"), ""),
                _ => assert_eq!(
                    (field(last, "retry-after").as_str(), says(last, "ratelimit", "a").as_str()),
                    ("5", "r=0;t=5")
                ),
            }
            let log = world.log();
            assert!(
                log.iter().all(|line| !line.starts_with("edge.request") || line.contains("limits=fallback")),
                "{log:?}"
            );
            assert!(log.iter().any(|line| line.starts_with(&format!("edge.limit.{at} failed: by chance"))), "{log:?}");
        }
    }
}

/// That the authority had too little before it went away refuses nobody for as long as it is away.
#[test]
fn a_lease_that_was_short_is_no_word_of_an_authority_that_is_away() {
    let world = world(&shared("a", "mode = \"lease\"\non_store_failure = \"open\""));
    let edge = world.edge();
    for _ in 0..150 {
        let _ = status(&world, &edge, "/page");
    }
    assert_eq!(status(&world, &edge, "/page"), 429);
    world.faults(Faults { authority: 1000, ..Faults::default() });
    world.advance(seconds(2));
    let refused = (0..200).filter(|_| {
        world.advance(MILLISECOND);
        status(&world, &edge, "/page") == 429
    });
    assert_eq!(refused.count(), 0);
}

/// What hangs costs three requests the policy's deadline; then its breaker opens, and one request at a time looks
/// whether it is back.
#[test]
fn a_dead_authority_does_not_cost_every_request_its_deadline() {
    for (at, deadline) in [("objects", 500), ("redis", 80)] {
        let limits =
            format!("[authority.redis]\ndeadline = \"80ms\"\n{}", shared("a", &format!("authority = \"{at}\"")));
        let world = world(&limits);
        let edge = world.edge();
        world.faults(Faults { authority_hangs: 1000, ..Faults::default() });
        let mut waits = Vec::new();
        for _ in 0..20 {
            let start = world.now();
            let _ = status(&world, &edge, "/page");
            waits.push(world.now().since(start).as_millis());
        }
        let mut expect = [0; 20];
        expect[..3].fill(deadline);
        assert_eq!(waits, expect, "{at}");
        world.advance(seconds(2));
        let start = world.now();
        let _ = world.send_all(&edge, (0..10).map(|_| Request::get("/page")).collect());
        assert_eq!(
            world.now().since(start).as_millis(),
            deadline,
            "{at}: one looks, and the others do not wait for it"
        );
        world.faults(Faults::default());
        world.advance(seconds(11));
        assert_eq!(status(&world, &edge, "/page"), 200);
        let last = world.log().pop().unwrap_or_default();
        assert!(last.contains("limits=authority"), "{last}");
    }
}

/// The authority is ended in the middle of a second; what was spent stays spent, up to a quarter of a burst where
/// units are held.
#[test]
fn an_authority_that_starts_anew_forgets_little() {
    for (options, forgiven) in [("", 0), ("mode = \"lease\"", 25 + 50), ("authority = \"redis\"", 0)] {
        let world = world(&shared("a", options));
        let edges: Vec<Rc<Isolate<Host>>> = (0..5).map(|_| world.edge()).collect();
        let mut admitted = 0;
        for request in 0..400 {
            if request == 200 {
                world.restart_authorities();
            }
            admitted += u32::from(status(&world, &edges[request % 5], "/page") == 200);
            world.settle();
        }
        assert!((50..=100 + forgiven).contains(&admitted), "{options}: {admitted}");
    }
}

#[test]
fn a_clock_that_steps_back_admits_nothing_more() {
    for options in ["", "mode = \"lease\"", "mode = \"async\"", "authority = \"redis\""] {
        let world = world(&shared("a", options));
        let edge = world.edge();
        let start = world.now();
        let mut admitted = 0;
        for request in 0..300 {
            if request == 150 {
                world.set_clock(seawall_core::time::Timestamp::from_unix_millis(start.as_unix_millis() - 3_600_000));
            }
            admitted += u32::from(status(&world, &edge, "/page") == 200);
            world.settle();
        }
        assert!(admitted <= 100 + 50, "{options}: {admitted}");
    }
}

/// A step back of an hour charges nobody for an hour.
#[test]
fn a_clock_that_steps_back_refuses_nobody() {
    let own =
        "[limit.own]\nalgorithm = \"gcra\"\nquota = 60\nwindow = \"60s\"\nkey = \"client\"\nscope = \"isolate\"\n";
    for options in ["", "mode = \"lease\"", "mode = \"async\""] {
        let world = world(&format!("{own}{}", shared("a", options)));
        let edge = world.edge();
        for _ in 0..10 {
            assert_eq!(status(&world, &edge, "/page"), 200);
            world.settle();
        }
        let earlier = world.now().as_unix_millis() - 3_600_000;
        world.set_clock(seawall_core::time::Timestamp::from_unix_millis(earlier));
        for _ in 0..40 {
            assert_eq!(status(&world, &edge, "/page"), 200, "{options}");
            world.settle();
        }
    }
}

#[test]
fn a_long_wait_is_lengthened_and_kept() {
    let limits =
        "[limit.a]\nalgorithm = \"gcra\"\nquota = 1\nwindow = \"100s\"\nkey = \"client\"\nscope = \"shared\"\n";
    let mut waits = Vec::new();
    let world = world(limits);
    for client in 0..20 {
        let edge = world.edge();
        let ask = || world.send(&edge, Request::get("/page").from([192, 0, 2, client]));
        assert_eq!(ask().status, 200);
        let (first, second) = (ask(), ask());
        assert_eq!((first.status, field(&first, "retry-after")), (429, field(&second, "retry-after")));
        waits.push(field(&first, "retry-after").parse::<u64>().unwrap());
    }
    assert!(waits.iter().all(|wait| (100..=110).contains(wait)), "{waits:?}");
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 4, "not all at once: {waits:?}");
}

/// Who is over a limit gets stale pages and has none refreshed; who is within it pays for a refresh what a miss costs.
#[test]
fn a_refresh_costs_what_a_miss_does() {
    for options in ["", "mode = \"lease\"", "mode = \"async\"", "authority = \"redis\"", "cost = 1\nhit_cost = 1"] {
        let limit =
            "[limit.few]\nalgorithm = \"gcra\"\nquota = 3\nwindow = \"1h\"\nkey = \"client\"\nscope = \"shared\"\n";
        let policy = format!(
            "version = 1\n[upstream.origin]\n{limit}{options}\n[[route]]\nname = \"all\"\npath = \"/**\"\nlimits = [\"few\"]\n\
             cache = {{ edge = {{ fresh = \"1s\", stale_while_revalidate = \"1d\" }} }}\n"
        );
        for delay_ms_max in [0, 20] {
            let world = World::new(Policy::compile(&policy).unwrap_or_else(|error| panic!("{error}")), 1);
            let pages: Vec<String> = (0..10).map(|page| format!("/{page}")).collect();
            for page in &pages {
                // Each by a client of its own, so that the crowd below has spent nothing.
                let host = page.as_bytes()[1];
                assert_eq!(world.send(&world.edge(), Request::get(page).from([203, 0, 113, host])).status, 200);
            }
            world.advance(seconds(10));
            world.faults(Faults { delay_ms_max, ..Faults::default() });
            let (edge, calls) = (world.edge(), world.calls().len());
            for page in &pages {
                let _ = world.send(&edge, Request::get(page));
                world.settle();
            }
            assert_eq!(world.calls().len() - calls, 3, "{options} {delay_ms_max}: {:?}", world.log());
        }
    }
}
