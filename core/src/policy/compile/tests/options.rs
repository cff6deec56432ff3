//! Every option, written and left out, and what is said about those that do not fit.

use core::num::NonZeroU32;
use core::time::Duration;

use super::*;
use crate::cache::{
    AuthorizationUse, CacheOptions, CollapseScope, OriginPreconditions, PartialUse, Qualified, RequestDirectiveUse,
    RequestFields, SetCookieUse, Statuses, VaryOptions,
};
use crate::limit::distributed::Mode;
use crate::limit::fields::Unit;
use crate::limit::{Algorithm, Concurrency, FixedWindow, IntervalBucket, Period, Quota, SlidingLog, SlidingWindow};
use crate::policy::{Authority, Reach, Scope, StoreFailure};
use crate::priority::Priority;
use crate::{overload, retry, throttle};

/// A policy with one limit of these lines.
fn limit(lines: &str) -> String {
    format!(
        "version = 1\n[upstream.origin]\n[limit.a]\n{lines}\nkey = \"client\"\n[[route]]\nname = \"all\"\npath = \"/**\"\n"
    )
}

fn units(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("numbers of the tests are above zero")
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn each_algorithm_is_read_with_its_options() {
    let sliding: Algorithm = SlidingWindow::new(units(9), MINUTE).unwrap().into();
    for (lines, algorithm, unit) in [
        (
            "algorithm = \"gcra\"\nquota = 9\nwindow = \"60s\"\nburst = 3",
            Quota::new(units(9), MINUTE, units(3)).unwrap().into(),
            Unit::Requests,
        ),
        ("algorithm = \"sliding-window\"\nquota = 9\nwindow = \"60s\"", sliding, Unit::Requests),
        (
            "algorithm = \"sliding-window\"\nquota = 9\nwindow = \"60s\"\nunit = \"content-bytes\"",
            sliding,
            Unit::ContentBytes,
        ),
        (
            "algorithm = \"fixed-window\"\nquota = 9\nwindow = \"60s\"",
            FixedWindow::new(units(9), Period::per_key(MINUTE).unwrap()).into(),
            Unit::Requests,
        ),
        (
            "algorithm = \"fixed-window\"\nquota = 9\nperiod = \"day\"\nutc_offset = \"-08:00\"",
            FixedWindow::new(units(9), Period::day(-480).unwrap()).into(),
            Unit::Requests,
        ),
        (
            "algorithm = \"fixed-window\"\nquota = 9\nperiod = \"month\"",
            FixedWindow::new(units(9), Period::month(0).unwrap()).into(),
            Unit::Requests,
        ),
        (
            "algorithm = \"interval-bucket\"\nquota = 9\nwindow = \"60s\"\nburst = 20",
            IntervalBucket::new(units(20), units(9), MINUTE).unwrap().into(),
            Unit::Requests,
        ),
        (
            "algorithm = \"sliding-log\"\nquota = 9\nwindow = \"60s\"",
            SlidingLog::new(units(9), MINUTE).unwrap().into(),
            Unit::Requests,
        ),
        (
            "algorithm = \"concurrency\"\nquota = 9\nheld_for = \"60s\"",
            Concurrency::new(units(9), MINUTE).unwrap().into(),
            Unit::ConcurrentRequests,
        ),
    ] {
        let policy =
            Policy::compile(&limit(&format!("{lines}\nscope = \"isolate\""))).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((policy.limits()[0].algorithm, policy.limits()[0].unit), (algorithm, unit), "{lines}");
        assert_eq!(policy.limits()[0].terms(), None);
    }
}

#[test]
fn each_mode_is_read_with_its_options() {
    let second = Duration::from_secs(1);
    for (lines, mode, isolates) in [
        ("", Mode::Exact, 10),
        ("mode = \"exact\"", Mode::Exact, 10),
        ("mode = \"lease\"", Mode::Lease { outstanding_max: 50, ttl: second }, 10),
        (
            "mode = \"lease\"\nepsilon_permille = 7\nttl = \"300ms\"",
            Mode::Lease { outstanding_max: 7, ttl: second * 3 / 10 },
            10,
        ),
        ("mode = \"async\"", Mode::Async { unsynced_max: 5, sync_every: second }, 10),
        (
            "mode = \"async\"\nepsilon_permille = 100\nisolates = 30\nsync_every = \"2s\"",
            Mode::Async { unsynced_max: 3, sync_every: second * 2 },
            30,
        ),
    ] {
        let text = limit(&format!("algorithm = \"gcra\"\nquota = 1000\nwindow = \"10s\"\nscope = \"shared\"\n{lines}"));
        let policy = Policy::compile(&text).unwrap_or_else(|error| panic!("{error}"));
        let limit = &policy.limits()[0];
        assert_eq!((limit.mode, limit.isolates.get()), (mode, isolates), "{lines}");
        assert_eq!(limit.terms().map(|terms| *terms.mode()), Some(mode));
    }
}

#[test]
fn each_place_of_a_counter_is_read_with_its_options() {
    let shared = |authority, on_store_failure| Scope::Shared { authority, on_store_failure };
    let (objects, redis) = (Authority::Objects, Authority::Redis);
    for (lines, scope, hit_cost) in [
        ("scope = \"isolate\"", Scope::Isolate, 3),
        ("scope = \"shared\"", shared(objects, StoreFailure::Local), 0),
        ("scope = \"shared\"\nauthority = \"objects\"\nhit_cost = 3", shared(objects, StoreFailure::Local), 3),
        (
            "scope = \"shared\"\nauthority = \"redis\"\non_store_failure = \"open\"\nhit_cost = 1",
            shared(redis, StoreFailure::Open),
            1,
        ),
    ] {
        let text = limit(&format!("algorithm = \"gcra\"\nquota = 9\nwindow = \"60s\"\ncost = 3\n{lines}"));
        let policy = Policy::compile(&text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((policy.limits()[0].scope, policy.limits()[0].hit_cost), (scope, hit_cost), "{lines}");
        assert_eq!(
            policy.limits()[0].terms().is_some(),
            matches!(scope, Scope::Shared { authority, .. } if authority == objects)
        );
    }
    let text = limit("algorithm = \"gcra\"\nquota = 9\nwindow = \"60s\"\nscope = \"location\"");
    assert_eq!(Policy::compile(&text).unwrap().limits()[0].scope, Scope::Location);
    let text = limit("algorithm = \"concurrency\"\nquota = 9\nheld_for = \"60s\"\nscope = \"shared\"");
    assert_eq!(Policy::compile(&text).unwrap().limits()[0].hit_cost, 1);
}

#[test]
fn the_share_of_one_isolate_is_its_part_and_at_least_one_unit() {
    for (lines, whole, of_three, of_many) in [
        ("algorithm = \"gcra\"\nquota = 9\nwindow = \"60s\"\nburst = 6", 9, 3, 1),
        ("algorithm = \"sliding-window\"\nquota = 9\nwindow = \"60s\"", 9, 3, 1),
        ("algorithm = \"fixed-window\"\nquota = 9\nperiod = \"day\"", 9, 3, 1),
        ("algorithm = \"interval-bucket\"\nquota = 9\nwindow = \"60s\"\nburst = 6", 9, 3, 1),
        ("algorithm = \"sliding-log\"\nquota = 9\nwindow = \"60s\"", 9, 3, 1),
        ("algorithm = \"concurrency\"\nquota = 9\nheld_for = \"60s\"", 9, 3, 1),
    ] {
        for (isolates, expect) in [(1, whole), (3, of_three), (100, of_many)] {
            let text = limit(&format!("{lines}\nscope = \"shared\"\nisolates = {isolates}"));
            let policy = Policy::compile(&text).unwrap();
            let limit = &policy.limits()[0];
            let share = limit.share();
            assert_eq!(share.quota().get(), expect, "{lines}");
            assert_eq!((share.as_str(), share.window()), (limit.algorithm.as_str(), limit.algorithm.window()));
            assert!(share.cost_max() <= limit.algorithm.cost_max());
        }
    }
}

#[test]
fn authorities_are_read_with_their_options() {
    let rest = "version = 1\n[upstream.origin]\n[[route]]\nname = \"all\"\npath = \"/**\"\n";
    let policy = Policy::compile(rest).unwrap();
    assert_eq!(
        (*policy.reach(Authority::Objects), *policy.reach(Authority::Redis)),
        (Reach::default(), Reach::default())
    );
    let text = format!(
        "{rest}[authority.redis]\ndeadline = \"80ms\"\n[authority.objects.breaker]\nmin_calls = 9\nopen_cap = \"1m\"\n"
    );
    let policy = Policy::compile(&text).unwrap();
    assert_eq!(policy.reach(Authority::Redis).deadline, Duration::from_millis(80));
    assert_eq!(policy.reach(Authority::Redis).breaker, Reach::default().breaker);
    let breaker = policy.reach(Authority::Objects).breaker;
    assert_eq!((breaker.min_calls, breaker.open_cap, breaker.probes), (9, MINUTE, 1));
    for (lines, fault) in [
        (
            "[authority.redis]\ndeadline = \"5s\"",
            "7:12: authority.redis.deadline: expected a time from \"10ms\" to \"4s\", found \"5s\"",
        ),
        ("[authority.rdis]\n", "6:12: authority.rdis: unknown option; did you mean \"redis\"?"),
        ("[authority.redis]\nurl = \"x\"", "7:1: authority.redis.url: unknown option; it may be deadline, breaker"),
    ] {
        let error = Policy::compile(&format!("{rest}{lines}")).unwrap_err().to_string();
        assert!(error.ends_with(fault), "{error}");
    }
}

#[test]
fn limits_that_do_not_fit_together_are_refused() {
    for (lines, fault) in [
        (
            "algorithm = \"sliding-log\"\nquota = 65\nwindow = \"60s\"",
            "5:9: limit.a.quota: expected a whole number from 1 to 64, found 65",
        ),
        (
            "algorithm = \"sliding-log\"\nquota = 5\nwindow = \"60s\"\nburst = 5",
            "7:1: limit.a.burst: unknown option; it may be algorithm, quota, cost, unit, key, scope, authority, on_store_failure, hit_cost, isolates, window",
        ),
        ("algorithm = \"fixed-window\"\nquota = 5", "3:8: limit.a.window: missing"),
        (
            "algorithm = \"fixed-window\"\nquota = 5\nperiod = \"day\"\nwindow = \"60s\"",
            "7:10: limit.a.window: a calendar's period is its window; write one of both",
        ),
        (
            "algorithm = \"fixed-window\"\nquota = 5\nwindow = \"60s\"\nutc_offset = \"+01:00\"",
            "7:14: limit.a.utc_offset: only the periods day and month have a place on earth",
        ),
        (
            "algorithm = \"fixed-window\"\nquota = 5\nperiod = \"day\"\nutc_offset = \"+15:00\"",
            "7:14: limit.a.utc_offset: expected an offset from \"-12:00\" to \"+14:00\", found \"+15:00\"",
        ),
        (
            "algorithm = \"fixed-window\"\nquota = 5\nperiod = \"day\"\nutc_offset = \"é8:00\"",
            "7:14: limit.a.utc_offset: expected an offset from \"-12:00\" to \"+14:00\", found \"é8:00\"",
        ),
        (
            "algorithm = \"fixed-window\"\nquota = 5\nperiod = \"week\"",
            "6:10: limit.a.period: expected one of day, month, found \"week\"",
        ),
        (
            "algorithm = \"concurrency\"\nquota = 5\nheld_for = \"60s\"\nunit = \"requests\"",
            "7:8: limit.a.unit: expected \"concurrent-requests\", found \"requests\"",
        ),
        (
            "algorithm = \"sliding-window\"\nquota = 5\nwindow = \"60s\"\nmode = \"lease\"",
            "7:1: limit.a.mode: unknown option; it may be algorithm, quota, cost, unit, key, scope, authority, on_store_failure, hit_cost, isolates, window",
        ),
        (
            "algorithm = \"gcra\"\nquota = 5\nwindow = \"60s\"\nmode = \"lease\"",
            "7:8: limit.a.mode: only a limit with scope \"shared\" is shared by isolates",
        ),
        (
            "algorithm = \"gcra\"\nquota = 5\nwindow = \"60s\"\nttl = \"1s\"",
            "7:7: limit.a.ttl: this option belongs to another mode",
        ),
        (
            "algorithm = \"gcra\"\nquota = 5\nwindow = \"60s\"\nisolates = 0",
            "7:12: limit.a.isolates: expected a whole number from 1 to 100000, found 0",
        ),
    ] {
        assert_eq!(error(&limit(&format!("{lines}\nscope = \"isolate\""))), format!("policy.toml:{fault}"));
    }
}

/// A policy with these tables beside the smallest one.
fn with(tables: &str, route: &str) -> Result<Policy, PolicyError> {
    Policy::compile(&format!(
        "version = 1\n[upstream.origin]\n{tables}\n[[route]]\nname = \"all\"\npath = \"/**\"\n{route}\n"
    ))
}

#[test]
fn throttle_retry_and_overload_are_read() {
    let policy = with("", "").expect("all have defaults");
    assert_eq!(policy.upstreams()[0].throttle, throttle::Config::default());
    assert_eq!(policy.upstreams()[0].retry, retry::Config::default());
    assert_eq!(policy.overload(), &overload::Config::default());
    assert_eq!(policy.routes()[0].priority, Priority::Normal);

    let tables = r#"
throttle = { window = "120s", buckets = 12, min_calls = 7, k_permille = 1500, k_critical_permille = 1600, k_sheddable_permille = 1200 }
retry = { attempts = 2, base = "10ms", throttled_base = "2s", delay_max = "5s", capacity = 100, cost = 10, throttled_cost = 3 }
[overload]
law = "additive"
latency_max = "200ms"
decrease_permille = 800
limit_min = 2
limit_start = 8
limit_max = 64
sample_calls = 10
sample_time = "50ms"
normal_permille = 800
sheddable_permille = 500"#;
    let policy = with(tables, "priority = \"critical\"").unwrap_or_else(|error| panic!("{error}"));
    let throttle = throttle::Settings {
        window: MINUTE * 2,
        buckets: 12,
        min_calls: 7,
        k_permille: 1500,
        k_critical_permille: 1600,
        k_sheddable_permille: 1200,
    };
    assert_eq!(throttle::Settings::from(policy.upstreams()[0].throttle), throttle);
    let retry = retry::Settings {
        attempts: 2,
        base: Duration::from_millis(10),
        throttled_base: Duration::from_secs(2),
        delay_max: Duration::from_secs(5),
        capacity: 100,
        cost: 10,
        throttled_cost: 3,
    };
    assert_eq!(retry::Settings::from(policy.upstreams()[0].retry), retry);
    let law = overload::Law::Additive { latency_max: Duration::from_millis(200), decrease_permille: 800 };
    let overload = overload::Settings {
        law,
        limit_min: 2,
        limit_start: 8,
        limit_max: 64,
        sample_calls: 10,
        sample_time: Duration::from_millis(50),
        normal_permille: 800,
        sheddable_permille: 500,
    };
    assert_eq!(overload::Settings::from(*policy.overload()), overload);
    assert_eq!(policy.routes()[0].priority, Priority::Critical);

    let gradient = with("[overload]\ntolerance_permille = 100\nmeasure_every = \"30s\"", "").expect("the default law");
    let law = overload::Law::Gradient { tolerance_permille: 100, measure_every: Duration::from_secs(30) };
    assert_eq!(gradient.overload().law, law);
}

#[test]
fn every_choice_of_a_cache_is_read() {
    let edge = r#"cache = { edge = { fresh = "60s", lifetime_max = "1d", negative_lifetime_max = "5s", heuristics = true,
  jitter_permille = 100, statuses = "any", request_directives = "honour", authorization = "share",
  origin_preconditions = "evaluate", qualified = "strip", set_cookie = "strip-when-listed", partial = "store",
  update_content_fields = true, targeted = false, surrogate_control = true, no_vary_search = false, groups = false,
  request_fields = ["accept", "x-tenant"], vary = {
  fields = ["accept-encoding"], encodings = ["br", "gzip"], languages = ["en", "es-MX"], types = ["text/html"],
  variants_max = 8 }, collapse = "pop" } }"#;
    let policy = with("", edge).unwrap_or_else(|error| panic!("{error}"));
    let options = CacheOptions {
        fresh: Some(MINUTE),
        stale_while_revalidate: Duration::ZERO,
        stale_if_error: Duration::ZERO,
        lifetime_max: MINUTE * 1440,
        negative_lifetime_max: Duration::from_secs(5),
        heuristics: true,
        jitter_permille: 100,
        statuses: Statuses::Any,
        request_directives: RequestDirectiveUse::Honour,
        authorization: AuthorizationUse::Share,
        origin_preconditions: OriginPreconditions::Evaluate,
        qualified: Qualified::Strip,
        set_cookie: SetCookieUse::StripWhenListed,
        partial: PartialUse::Store,
        update_content_fields: true,
        targeted: false,
        surrogate_control: true,
        no_vary_search: false,
        groups: false,
        request_fields: RequestFields::Only(alloc::vec!["accept".into(), "x-tenant".into()]),
        vary: VaryOptions {
            fields: alloc::vec!["accept-encoding".into()],
            encodings: alloc::vec!["br".into(), "gzip".into()],
            languages: alloc::vec!["en".into(), "es-MX".into()],
            types: alloc::vec!["text/html".into()],
            variants_max: 8,
        },
        collapse: CollapseScope::Pop,
        body_bytes_max: u64::MAX,
    };
    let rule = policy.routes()[0].cache.as_ref().expect("it caches");
    assert_eq!(rule.options, options);

    let plain = with("", "cache = { edge = { fresh = \"60s\" } }").expect("all others have defaults");
    let rule = plain.routes()[0].cache.as_ref().expect("it caches");
    let default = CacheOptions { fresh: Some(MINUTE), ..CacheOptions::default() };
    assert_eq!(rule.options, default);
}

#[test]
fn a_pass_through_takes_every_method_and_field() {
    let all = "methods = \"any\"\ncache = { edge = { fresh = \"0s\", request_fields = \"all\" } }";
    let policy = with("", all).unwrap_or_else(|error| panic!("{error}"));
    let route = policy.route("M-SEARCH", "/x").expect("an unknown method");
    assert_eq!(route.cache.as_ref().expect("it caches").options.request_fields, RequestFields::All);
    assert_eq!(with("", "").expect("known methods").route("M-SEARCH", "/x"), None);
}

#[test]
fn options_that_do_not_fit_are_named() {
    for (tables, route, fault) in [
        (
            "throttle = { k_permille = 1099 }",
            "",
            "upstream.origin.throttle.k_permille: expected a whole number from 1100 to 1000000, found 1099",
        ),
        (
            "throttle = { k_permille = 3000 }",
            "",
            "upstream.origin.throttle: k_critical_permille must be a whole number from k_permille to 1000000; the default does not fit, so set it",
        ),
        (
            "retry = { attempts = 11 }",
            "",
            "upstream.origin.retry.attempts: expected a whole number from 1 to 10, found 11",
        ),
        (
            "retry = { capacity = 10 }",
            "",
            "upstream.origin.retry: cost must be a whole number from 1 to capacity; the default does not fit, so set it",
        ),
        ("[overload]\nlaw = \"additive\"", "", "overload.latency_max: missing"),
        ("[overload]\nlaw = \"vegas\"", "", "overload.law: expected one of gradient, additive, found \"vegas\""),
        (
            "[overload]\nlatency_max = \"1s\"",
            "",
            "overload.latency_max: unknown option; it may be law, limit_min, limit_start, limit_max, sample_calls, sample_time, normal_permille, sheddable_permille, tolerance_permille, measure_every",
        ),
        (
            "",
            "priority = \"high\"",
            "route \"all\".priority: expected one of sheddable, normal, critical, always, found \"high\"",
        ),
        (
            "",
            "cache = { edge = { fresh = \"60s\", jitter_permille = 101 } }",
            "route \"all\".cache.edge.jitter_permille: expected a whole number from 0 to 100, found 101",
        ),
        (
            "",
            "cache = { edge = { fresh = \"60s\", vary = { encodings = [\"BR\"] } } }",
            "route \"all\".cache.edge.vary.encodings[0]: expected content codings in lower case, such as \"br\", found \"BR\"",
        ),
        (
            "",
            "cache = { edge = { fresh = \"60s\", request_fields = [\"cookie\"] } }",
            "route \"all\".cache.edge.request_fields[0]: expected \"all\", or names of request fields in lower case, none of which the cache itself acts on, found \"cookie\"",
        ),
        (
            "",
            "cache = { edge = { fresh = \"60s\", vary = { variants_max = 33 } } }",
            "route \"all\".cache.edge.vary.variants_max: expected a whole number from 1 to 32, found 33",
        ),
    ] {
        let error = with(tables, route).map_err(|error| error.to_string()).expect_err(fault);
        let (_, said) = error.split_once(": ").expect("a place, then the fault");
        assert_eq!(said, fault);
    }
}
