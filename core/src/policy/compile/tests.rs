//! Faulty policies and the exact line that each of them earns.

mod options;
mod site;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::*;
use crate::policy::{Pattern, Site};

/// A policy that compiles; each fault below is one change to it.
const SOUND: &str = r#"version = 1

[upstream.origin]
deadline = "10s"
breaker = { probes = 3 }

[limit.search]
algorithm = "gcra"
quota = 15
window = "60s"
burst = 15
cost = 1
key = "client"
scope = "shared"
on_store_failure = "local"

[[route]]
name = "static"
path = "/static/**"
extensions = ["css"]
hashed = false
methods = ["GET"]

[[route]]
name = "search"
path = "/search"
upstream = "origin"
limits = ["search"]
query = ["q"]
cache = { edge = { fresh = "5m", stale_if_error = "1d" }, browser = { fresh = "0s", immutable = true } }
"#;

fn error(policy: &str) -> String {
    match Policy::compile(policy) {
        Ok(_) => panic!("accepted:\n{policy}"),
        Err(error) => error.to_string(),
    }
}

/// `SOUND` with its first `from` as `to`.
fn changed(from: &str, to: &str) -> String {
    assert!(SOUND.contains(from), "{from} is not in the sound policy");
    SOUND.replacen(from, to, 1)
}

#[test]
fn the_sound_policy_compiles() {
    assert!(Policy::compile(SOUND).is_ok());
}

#[test]
fn the_smallest_policy_compiles() {
    let smallest = "version = 1\n[upstream.origin]\n[[route]]\nname = \"all\"\npath = \"/**\"\n";
    let policy = Policy::compile(smallest).expect("it names all that is required");
    assert_eq!(policy.limits(), []);
    let route = policy.route("GET", "/").expect("the route takes everything");
    assert_eq!(policy.upstream_of(route).deadline, crate::policy::Upstream::DEADLINE_DEFAULT);
    assert_eq!(policy.upstream_of(route).breaker, crate::breaker::Config::default());
}

/// What to change in the sound policy, into what, and what is then said about it.
const FAULTS: &[(&str, &str, &str)] = &[
    // The file as a whole.
    ("version = 1", r#"version = "1"#, r#"1:13: not TOML: invalid basic string, expected `"`"#),
    ("quota = 15", "quota = 15\nquota = 16", r#"10:1: not TOML: duplicate key"#),
    ("version = 1", "", r#"1:1: version: missing"#),
    ("version = 1", "version = 2", r#"1:11: version: expected 1, found 2"#),
    ("version = 1", "version = 1\nroutes = []", r#"2:1: routes: unknown option; did you mean "route"?"#),
    (
        "version = 1",
        "version = 1\nsurprise = true",
        r#"2:1: surprise: unknown option; it may be version, site, security, maintenance, upstream, authority, limit, overload, route, cron"#,
    ),
    // Upstreams.
    (
        "[upstream.origin]",
        "[upstream.Origin]",
        r#"3:11: upstream.Origin: expected a name of 1 to 32 lower-case letters, digits and hyphens, starting with a letter, found "Origin""#,
    ),
    (
        "[upstream.origin]",
        "[upstream.main]",
        r#"17:1: route "static": no upstream "origin", which is the default; name another"#,
    ),
    (
        r#"deadline = "10s""#,
        "deadline = 10",
        r#"4:12: upstream.origin.deadline: expected a time from "10ms" to "10m", found 10"#,
    ),
    (
        r#"deadline = "10s""#,
        r#"deadline = "11m""#,
        r#"4:12: upstream.origin.deadline: expected a time from "10ms" to "10m", found "11m""#,
    ),
    ("probes = 3", "probe = 3", r#"5:13: upstream.origin.breaker.probe: unknown option; did you mean "probes"?"#),
    (
        "probes = 3",
        "probes = 17",
        r#"5:22: upstream.origin.breaker.probes: expected a whole number from 1 to 16, found 17"#,
    ),
    (
        "probes = 3",
        "probes = 3, probes_to_close = 4",
        r#"5:43: upstream.origin.breaker.probes_to_close: expected a whole number from 1 to 3, found 4"#,
    ),
    (
        "probes = 3",
        "probes = 1",
        r#"5:11: upstream.origin.breaker: probes_to_close must be a whole number from 1 to probes; the default does not fit, so set it"#,
    ),
    (
        "probes = 3",
        r#"open_base = "5s", open_cap = "4s""#,
        r#"5:42: upstream.origin.breaker.open_cap: expected a time from "5s" to "1h", found "4s""#,
    ),
    (
        "probes = 3",
        r#"open_base = "5m""#,
        r#"5:11: upstream.origin.breaker: open_cap must be a time from open_base to 1h; the default does not fit, so set it"#,
    ),
    (
        "probes = 3",
        "failure_rate_permille = 0",
        r#"5:37: upstream.origin.breaker.failure_rate_permille: expected a whole number from 1 to 1000, found 0"#,
    ),
    (
        "probes = 3",
        r#"fail_on_500 = "yes""#,
        r#"5:27: upstream.origin.breaker.fail_on_500: expected true or false, found "yes""#,
    ),
    ("breaker = { probes = 3 }", "breaker = 3", r#"5:11: upstream.origin.breaker: expected a table, found 3"#),
    // Limits.
    (
        r#"algorithm = "gcra""#,
        r#"algorithm = "leaky""#,
        r#"8:13: limit.search.algorithm: expected one of gcra, sliding-window, fixed-window, interval-bucket, sliding-log, concurrency, found "leaky""#,
    ),
    (r#"algorithm = "gcra""#, "", r#"7:8: limit.search.algorithm: missing"#),
    (
        "quota = 15",
        r#"quota = "15""#,
        r#"9:9: limit.search.quota: expected a whole number from 1 to 4294967295, found "15""#,
    ),
    ("quota = 15", "quota = 0", r#"9:9: limit.search.quota: expected a whole number from 1 to 4294967295, found 0"#),
    (
        "quota = 15",
        "quota = 4294967296",
        r#"9:9: limit.search.quota: expected a whole number from 1 to 4294967295, found 4294967296"#,
    ),
    ("quota = 15", "quota = -1", r#"9:9: limit.search.quota: expected a whole number from 1 to 4294967295, found -1"#),
    (
        "quota = 15",
        "quota = 1.5",
        r#"9:9: limit.search.quota: expected a whole number from 1 to 4294967295, found 1.5"#,
    ),
    ("quota = 15", "qouta = 15", r#"9:1: limit.search.qouta: unknown option; did you mean "quota"?"#),
    (
        r#"window = "60s""#,
        r#"window = "0s""#,
        r#"10:10: limit.search.window: expected a time from "1ms" to "366d", found "0s""#,
    ),
    (
        r#"window = "60s""#,
        r#"window = "1 minute""#,
        r#"10:10: limit.search.window: expected a time from "1ms" to "366d", found "1 minute""#,
    ),
    (
        r#"window = "60s""#,
        "window = 2026-03-01",
        r#"10:10: limit.search.window: expected a time from "1ms" to "366d", found 2026-03-01"#,
    ),
    (
        "quota = 15\nwindow = \"60s\"",
        "quota = 1000001\nwindow = \"1ms\"",
        r#"10:10: limit.search.window: the window must be at least one nanosecond for each unit of the limit"#,
    ),
    (
        "quota = 15\nwindow = \"60s\"\nburst = 15",
        "quota = 1\nwindow = \"366d\"\nburst = 11",
        r#"11:9: limit.search.burst: the burst must be earned back within ten years; make it smaller"#,
    ),
    ("burst = 15", "burst = 0", r#"11:9: limit.search.burst: expected a whole number from 1 to 4294967295, found 0"#),
    ("cost = 1", "cost = 16", r#"12:8: limit.search.cost: expected a whole number from 1 to 15, found 16"#),
    (r#"key = "client""#, r#"key = "visitor""#, r#"13:7: limit.search.key: expected "client", found "visitor""#),
    (
        r#"scope = "shared""#,
        r#"scope = "isolate""#,
        r#"15:20: limit.search.on_store_failure: only a limit with scope "shared" has a store that may fail"#,
    ),
    (
        r#"on_store_failure = "local""#,
        r#"on_store_failure = "ajar""#,
        r#"15:20: limit.search.on_store_failure: expected one of local, open, closed, found "ajar""#,
    ),
    // Routes.
    (r#"name = "static""#, "", r#"17:1: route[0].name: missing"#),
    (
        r#"name = "static""#,
        r#"name = "Static files""#,
        r#"18:8: route[0].name: expected a name of 1 to 32 lower-case letters, digits and hyphens, starting with a letter, found "Static files""#,
    ),
    (r#"name = "search""#, r#"name = "static""#, r#"25:8: route[1].name: an earlier route is called "static" too"#),
    (r#"path = "/search""#, "", r#"24:1: route "search".path: missing"#),
    (
        r#"path = "/search""#,
        r#"path = "search""#,
        r#"26:8: route "search".path: expected a path that starts with a slash, found "search""#,
    ),
    (
        r#"path = "/search""#,
        r#"path = "/**/search""#,
        r#"26:8: route "search".path: expected a path without escapes, spaces and lone asterisks, found "/**/search""#,
    ),
    (
        r#"path = "/search""#,
        r#"path = "/{Query}""#,
        r#"26:8: route "search".path: expected a segment in braces to be one name of lower-case letters, digits and underscores, found "/{Query}""#,
    ),
    (
        r#"path = "/search""#,
        r#"path = ["/search", "/find"]"#,
        r#"26:8: route "search".path: expected a path that starts with a slash, found a list"#,
    ),
    (
        r#"path = "/search""#,
        "path = \"/search\"\npattern = \"/search\"",
        r#"27:1: route "search".pattern: unknown option; it may be name, path, extensions, hashed, methods, upstream, limits, query, priority, cache, in_maintenance, security"#,
    ),
    (
        r#"path = "/search""#,
        "path = \"/static/a\"\nmethods = [\"GET\"]\nextensions = [\"css\"]",
        r#"24:1: route "search": never reached: "static" above takes all its requests"#,
    ),
    (
        r#"extensions = ["css"]"#,
        r#"extensions = [".css"]"#,
        r#"20:15: route "static".extensions[0]: expected file name extensions of 1 to 16 lower-case letters and digits, without the dot, found ".css""#,
    ),
    (
        r#"extensions = ["css"]"#,
        "extensions = []",
        r#"20:14: route "static".extensions: expected file name extensions of 1 to 16 lower-case letters and digits, without the dot, found an empty list"#,
    ),
    (
        r#"extensions = ["css"]"#,
        r#"extensions = ["css", "css"]"#,
        r#"20:22: route "static".extensions[1]: "css" stands here twice"#,
    ),
    ("hashed = false", "hashed = 1", r#"21:10: route "static".hashed: expected true or false, found 1"#),
    (
        r#"methods = ["GET"]"#,
        r#"methods = ["get"]"#,
        r#"22:12: route "static".methods[0]: expected methods among DELETE, GET, OPTIONS, PATCH, POST, PUT; HEAD comes with GET, found "get""#,
    ),
    (
        r#"methods = ["GET"]"#,
        r#"methods = ["GET", "HEAD"]"#,
        r#"22:19: route "static".methods[1]: expected methods among DELETE, GET, OPTIONS, PATCH, POST, PUT; HEAD comes with GET, found "HEAD""#,
    ),
    (
        r#"upstream = "origin""#,
        r#"upstream = "orign""#,
        r#"27:12: route "search".upstream: no upstream "orign"; did you mean "origin"?"#,
    ),
    (
        r#"limits = ["search"]"#,
        r#"limits = ["serch"]"#,
        r#"28:11: route "search".limits[0]: no limit "serch"; did you mean "search"?"#,
    ),
    (
        r#"limits = ["search"]"#,
        r#"limits = ["client"]"#,
        r#"28:11: route "search".limits[0]: no limit "client"; it may be search"#,
    ),
    (
        r#"limits = ["search"]"#,
        r#"limits = "search""#,
        r#"28:10: route "search".limits: expected a list of names of limits, found "search""#,
    ),
    (
        r#"query = ["q"]"#,
        r#"query = [""]"#,
        r#"29:10: route "search".query[0]: expected a name of 1 to 64 bytes, found """#,
    ),
    (
        r#"fresh = "5m""#,
        r#"fresh = "1500ms""#,
        r#"30:28: route "search".cache.edge.fresh: expected whole seconds from "0s" to "365d", found "1500ms""#,
    ),
    (
        r#"fresh = "5m""#,
        r#"fresh = "366d""#,
        r#"30:28: route "search".cache.edge.fresh: expected whole seconds from "0s" to "365d", found "366d""#,
    ),
    (
        r#"edge = { fresh = "5m", stale_if_error"#,
        "edge = { stale_if_error",
        r#"30:18: route "search".cache.edge.fresh: missing"#,
    ),
    (
        r#"stale_if_error = "1d""#,
        r#"stale_while_error = "1d""#,
        r#"30:34: route "search".cache.edge.stale_while_error: unknown option; did you mean "stale_if_error"?"#,
    ),
    (
        r#"browser = { fresh = "0s", immutable = true }"#,
        r#"browser = { fresh = "0s", stale_if_error = "1d" }"#,
        r#"30:85: route "search".cache.browser.stale_if_error: unknown option; it may be fresh, stale_while_revalidate, immutable"#,
    ),
    (
        r#"cache = { edge = { fresh = "5m", stale_if_error = "1d" }, browser = { fresh = "0s", immutable = true } }"#,
        "cache = {}",
        r#"30:9: route "search".cache: expected edge or browser or both, found neither"#,
    ),
];

#[test]
fn each_fault_earns_its_line() {
    for (from, to, expect) in FAULTS {
        let policy = changed(from, to);
        assert_eq!(error(&policy), format!("policy.toml:{expect}"), "\n{policy}");
    }
}

/// The first line of `text` that holds `word`, counted from one.
fn line_of(text: &str, word: &str) -> usize {
    text.lines().position(|line| line.contains(word)).map_or(0, |at| at + 1)
}

/// At its bound a policy compiles; one above it earns the line.
fn check_bound(policy: impl Fn(usize) -> String, max: usize, expect: &str) {
    if let Err(error) = Policy::compile(&policy(max)) {
        panic!("{max} is allowed: {error}");
    }
    let error = error(&policy(max + 1));
    assert!(error.ends_with(&format!("expected at most {max} {expect}, found {}", max + 1)), "{error}");
}

#[test]
fn every_list_has_a_bound() {
    let names = |prefix: &str, count: usize| -> Vec<String> { (0..count).map(|at| format!("{prefix}{at}")).collect() };
    let listed =
        |count: usize| names("x", count).into_iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let limit = |name: &String| {
        format!(
            "[limit.{name}]\nalgorithm = \"gcra\"\nquota = 1\nwindow = \"1s\"\nkey = \"client\"\nscope = \"isolate\"\n"
        )
    };

    let upstreams = |count| {
        let more: String = names("x", count - 1).iter().map(|name| format!("[upstream.{name}]\n")).collect();
        format!("{SOUND}{more}")
    };
    check_bound(upstreams, Policy::UPSTREAMS_MAX, "upstreams");

    let limits = |count| format!("{SOUND}{}", names("x", count - 1).iter().map(limit).collect::<String>());
    check_bound(limits, Policy::LIMITS_MAX, "limits");

    let routes = |count| {
        let more: String = names("x", count - 2)
            .iter()
            .map(|name| format!("[[route]]\nname = \"{name}\"\npath = \"/{name}\"\n"))
            .collect();
        format!("{SOUND}{more}")
    };
    check_bound(routes, Policy::ROUTES_MAX, "routes");

    let limits_of_a_route = |count| {
        let limits: String = names("x", count).iter().map(limit).collect();
        format!("{}{limits}", changed("limits = [\"search\"]", &format!("limits = [{}]", listed(count))))
    };
    check_bound(limits_of_a_route, crate::limit::LIMITS_PER_REQUEST_MAX, "entries");

    let query = |count| changed("query = [\"q\"]", &format!("query = [{}]", listed(count)));
    check_bound(query, 32, "entries");

    let extensions = |count| changed("extensions = [\"css\"]", &format!("extensions = [{}]", listed(count)));
    check_bound(extensions, Pattern::EXTENSIONS_MAX, "entries");
}

#[test]
fn a_long_text_is_repeated_in_part() {
    let error = error(&changed("path = \"/search\"", &format!("path = \"{}\"", "x".repeat(5000))));
    assert!(error.len() < 200 && error.ends_with("xxx\" and more"), "{error}");
}

#[test]
fn columns_count_characters() {
    let policy = changed("query = [\"q\"]", "query = [\"äö\", \"\"]");
    let line = line_of(&policy, "query = ");
    assert_eq!(
        error(&policy),
        format!("policy.toml:{line}:16: route \"search\".query[1]: expected a name of 1 to 64 bytes, found \"\"")
    );
}
