//! The repository's own policy.toml, asked.

use alloc::string::String;
use alloc::vec::Vec;

use super::*;

const POLICY: &str = include_str!("../../../policy.toml");

fn policy() -> Policy {
    Policy::compile(POLICY).unwrap_or_else(|error| panic!("{error}"))
}

/// One request and everything its route says about it.
struct Row {
    request: &'static str,
    route: &'static str,
    browser: &'static str,
    edge: &'static str,
    limits: &'static [&'static str],
}

const ROWS: &[Row] = &[
    Row {
        request: "GET /static/app.0123abcd.css",
        route: "static-hashed",
        browser: "public, max-age=31536000, immutable",
        edge: "max-age=31536000, stale-if-error=2592000",
        limits: &["client"],
    },
    Row {
        request: "GET /static/app.css",
        route: "static-code",
        browser: "public, max-age=86400, stale-while-revalidate=604800",
        edge: "max-age=86400, stale-while-revalidate=604800, stale-if-error=604800",
        limits: &["client"],
    },
    Row {
        request: "HEAD /static/fonts/plain.woff2",
        route: "static-media",
        browser: "public, max-age=604800",
        edge: "max-age=604800, stale-if-error=604800",
        limits: &["client"],
    },
    Row { request: "GET /static/notes.txt", route: "everything-else", browser: "", edge: "", limits: &["client"] },
    Row { request: "GET /health", route: "health", browser: "", edge: "", limits: &["client"] },
    Row { request: "GET /health/ready", route: "health", browser: "", edge: "", limits: &["client"] },
    Row {
        request: "GET /",
        route: "landing",
        browser: "private, no-cache",
        edge: "max-age=300, stale-while-revalidate=86400, stale-if-error=86400",
        limits: &["client"],
    },
    Row {
        request: "GET /methodology",
        route: "methodology",
        browser: "public, max-age=3600, stale-while-revalidate=86400",
        edge: "max-age=3600, stale-while-revalidate=86400, stale-if-error=604800",
        limits: &["client"],
    },
    Row {
        request: "GET /privacy",
        route: "privacy",
        browser: "public, max-age=3600, stale-while-revalidate=86400",
        edge: "max-age=3600, stale-while-revalidate=86400, stale-if-error=604800",
        limits: &["client"],
    },
    Row {
        request: "GET /robots.txt",
        route: "robots",
        browser: "public, max-age=3600",
        edge: "max-age=86400, stale-while-revalidate=86400, stale-if-error=604800",
        limits: &["client"],
    },
    Row {
        request: "GET /.well-known/security.txt",
        route: "security-contact",
        browser: "public, max-age=3600",
        edge: "max-age=86400, stale-while-revalidate=86400, stale-if-error=604800",
        limits: &["client"],
    },
    Row {
        request: "GET /sitemap.xml",
        route: "sitemap",
        browser: "public, max-age=3600",
        edge: "max-age=86400, stale-while-revalidate=86400, stale-if-error=604800",
        limits: &["client"],
    },
    Row {
        request: "GET /sitemaps/reports-1.xml",
        route: "sitemap-list",
        browser: "public, max-age=3600",
        edge: "max-age=86400, stale-while-revalidate=86400, stale-if-error=604800",
        limits: &["client"],
    },
    Row {
        request: "GET /about-data",
        route: "about-data",
        browser: "public, max-age=3600, stale-while-revalidate=86400",
        edge: "max-age=3600, stale-while-revalidate=86400, stale-if-error=604800",
        limits: &["client"],
    },
    Row {
        request: "GET /demo",
        route: "demo",
        browser: "public, max-age=3600, stale-while-revalidate=86400",
        edge: "max-age=3600, stale-while-revalidate=86400, stale-if-error=604800",
        limits: &["client"],
    },
    Row {
        request: "GET /search",
        route: "search",
        browser: "private, no-cache",
        edge: "max-age=300, stale-while-revalidate=600, stale-if-error=86400",
        limits: &["client", "search"],
    },
    Row {
        request: "GET /report/3512/001",
        route: "report",
        browser: "private, no-cache",
        edge: "max-age=3600, stale-while-revalidate=86400, stale-if-error=604800",
        limits: &["client", "report"],
    },
    Row { request: "GET /report/3512", route: "everything-else", browser: "", edge: "", limits: &["client"] },
    Row { request: "GET /report/3512/", route: "everything-else", browser: "", edge: "", limits: &["client"] },
    Row { request: "GET /search/", route: "everything-else", browser: "", edge: "", limits: &["client"] },
    Row {
        request: "GET /permit/201508053399",
        route: "permit",
        browser: "private, no-cache",
        edge: "max-age=3600, stale-while-revalidate=86400, stale-if-error=604800",
        limits: &["client", "permit"],
    },
    Row {
        request: "GET /api/v1/permit/201508053399",
        route: "api-permit",
        browser: "private, no-cache",
        edge: "max-age=3600, stale-while-revalidate=86400, stale-if-error=604800",
        limits: &["client", "permit"],
    },
    Row {
        request: "GET /firm/0123456789abcdef",
        route: "firm",
        browser: "private, no-cache",
        edge: "max-age=3600, stale-while-revalidate=86400, stale-if-error=604800",
        limits: &["client", "search"],
    },
    Row {
        request: "GET /api/v1/firm/0123456789abcdef",
        route: "api-firm",
        browser: "private, no-cache",
        edge: "max-age=3600, stale-while-revalidate=86400, stale-if-error=604800",
        limits: &["client", "search"],
    },
    Row {
        request: "GET /api/v1/suggest",
        route: "api-suggest",
        browser: "private, no-cache",
        edge: "max-age=3600, stale-while-revalidate=86400, stale-if-error=86400",
        limits: &["client"],
    },
    Row {
        request: "GET /stuck",
        route: "stuck",
        browser: "private, no-cache",
        edge: "max-age=900, stale-while-revalidate=86400, stale-if-error=604800",
        limits: &["client"],
    },
    Row {
        request: "GET /api/v1/stuck",
        route: "api-stuck",
        browser: "private, no-cache",
        edge: "max-age=900, stale-while-revalidate=86400, stale-if-error=604800",
        limits: &["client", "api"],
    },
    Row {
        request: "GET /velocity",
        route: "velocity",
        browser: "public, max-age=300, stale-while-revalidate=3600",
        edge: "max-age=3600, stale-while-revalidate=86400, stale-if-error=604800",
        limits: &["client"],
    },
    Row {
        request: "GET /api/v1/velocity",
        route: "api-velocity",
        browser: "private, no-cache",
        edge: "max-age=3600, stale-while-revalidate=86400, stale-if-error=604800",
        limits: &["client", "api"],
    },
    Row {
        request: "GET /api",
        route: "api-page",
        browser: "public, max-age=3600, stale-while-revalidate=86400",
        edge: "max-age=3600, stale-while-revalidate=86400, stale-if-error=604800",
        limits: &["client"],
    },
    Row {
        request: "GET /api/v1/openapi.json",
        route: "api-description",
        browser: "public, max-age=3600, stale-while-revalidate=86400",
        edge: "max-age=3600, stale-while-revalidate=86400, stale-if-error=604800",
        limits: &["client"],
    },
    Row {
        request: "GET /api/v1/search",
        route: "api-search",
        browser: "private, no-cache",
        edge: "max-age=300, stale-while-revalidate=600, stale-if-error=86400",
        limits: &["client", "search"],
    },
    Row {
        request: "GET /api/v1/report/3512/001",
        route: "api-report",
        browser: "private, no-cache",
        edge: "max-age=3600, stale-while-revalidate=86400, stale-if-error=604800",
        limits: &["client", "report"],
    },
    Row {
        request: "GET /api/stats",
        route: "stats",
        browser: "private, no-cache",
        edge: "max-age=300, stale-while-revalidate=3600, stale-if-error=86400",
        limits: &["client", "api"],
    },
    Row { request: "POST /exports", route: "export-order", browser: "", edge: "", limits: &["client", "export"] },
    Row { request: "GET /exports/00ff", route: "export-page", browser: "", edge: "", limits: &["client"] },
    Row { request: "POST /api/v1/exports", route: "exports", browser: "", edge: "", limits: &["client", "export"] },
    Row {
        request: "POST /api/v1/report/3512/001/whole",
        route: "whole-report",
        browser: "",
        edge: "",
        limits: &["client", "export"],
    },
    Row { request: "GET /api/v1/jobs/0a/result", route: "jobs", browser: "", edge: "", limits: &["client"] },
    Row { request: "GET /api/other", route: "api", browser: "", edge: "", limits: &["client", "api"] },
    Row { request: "POST /cron/nightly", route: "cron", browser: "", edge: "", limits: &["client"] },
    Row { request: "POST /auth/send-link", route: "sign-in", browser: "", edge: "", limits: &["sign-in"] },
    Row { request: "GET /auth/send-link", route: "auth", browser: "", edge: "", limits: &["client"] },
    Row { request: "GET /auth/login", route: "auth", browser: "", edge: "", limits: &["client"] },
    Row { request: "POST /auth/verify/00ff", route: "auth", browser: "", edge: "", limits: &["client"] },
    Row { request: "POST /account/watch", route: "account", browser: "", edge: "", limits: &["client"] },
    Row { request: "GET /account", route: "account", browser: "", edge: "", limits: &["client"] },
    Row {
        request: "POST /brief/refresh",
        route: "brief-refresh",
        browser: "",
        edge: "",
        limits: &["client", "brief-refresh"],
    },
    Row { request: "GET /api/v1/brief", route: "api-brief", browser: "", edge: "", limits: &["client", "api"] },
    Row { request: "GET /brief", route: "brief", browser: "", edge: "", limits: &["client"] },
    Row { request: "POST /unsubscribe/7/00ff", route: "unsubscribe", browser: "", edge: "", limits: &["client"] },
    Row { request: "GET /admin", route: "admin", browser: "", edge: "", limits: &["client"] },
    Row { request: "GET /admin/perf", route: "admin", browser: "", edge: "", limits: &["client"] },
    Row { request: "GET /no/such/page", route: "everything-else", browser: "", edge: "", limits: &["client"] },
];

/// Routes with a breaker of their own, so that a database that is away takes no other page with it.
const NEED_THE_DATABASE: [&str; 32] = [
    "health",
    "sitemap",
    "sitemap-list",
    "about-data",
    "permit",
    "firm",
    "api-firm",
    "api-suggest",
    "velocity",
    "stuck",
    "api-stuck",
    "search",
    "report",
    "api-search",
    "api-report",
    "exports",
    "export-order",
    "export-page",
    "whole-report",
    "jobs",
    "api-permit",
    "api-velocity",
    "stats",
    "api",
    "cron",
    "auth",
    "account",
    "brief",
    "brief-refresh",
    "api-brief",
    "unsubscribe",
    "admin",
];

#[test]
fn each_request_meets_its_rules() {
    let policy = policy();
    for row in ROWS {
        let (method, path) = row.request.split_once(' ').expect("a method, a space and a path");
        let route = policy.route(method, path).expect(row.request);
        assert_eq!(&*route.name, row.route, "{}", row.request);
        let cache = |say: fn(&CacheRule) -> String| route.cache.as_ref().map(say).unwrap_or_default();
        assert_eq!(cache(CacheRule::browser_cache_control), row.browser, "{}", row.request);
        assert_eq!(cache(CacheRule::edge_cache_control), row.edge, "{}", row.request);
        let limits: Vec<&str> = policy.limits_of(route).map(|(_, limit)| &*limit.name).collect();
        assert_eq!(limits, row.limits, "{}", row.request);
        let upstream = if NEED_THE_DATABASE.contains(&row.route) { "data" } else { "origin" };
        assert_eq!(&*policy.upstream_of(route).name, upstream, "{}", row.request);
    }
}

#[test]
fn every_route_is_asked_for_above() {
    for route in policy().routes() {
        assert!(ROWS.iter().any(|row| *row.route == *route.name), "{} has no row", route.name);
    }
}

#[test]
fn what_is_no_absolute_path_has_no_route() {
    for path in ["", "*", "search", "http://example.org/"] {
        assert_eq!(policy().route("GET", path), None, "{path}");
    }
}

#[test]
fn head_fits_wherever_get_does() {
    let only = |method| Methods::Only(alloc::vec![String::from(method)]);
    for (methods, method, fits) in [
        (only("GET"), "GET", true),
        (only("GET"), "HEAD", true),
        (only("GET"), "get", false),
        (only("GET"), "POST", false),
        (only("POST"), "HEAD", false),
        (Methods::All, "PATCH", true),
        (Methods::All, "BREW", false),
        (Methods::Any, "BREW", true),
    ] {
        assert_eq!(methods.take(method), fits, "{methods:?} {method}");
    }
}

#[test]
fn limits_are_read_with_their_scope() {
    let policy = policy();
    let limits: Vec<_> = policy.limits().iter().map(|limit| (&*limit.name, limit.scope, limit.cost)).collect();
    let shared = |on_store_failure| Scope::Shared { authority: Authority::Objects, on_store_failure };
    assert_eq!(
        limits,
        [
            ("client", Scope::Isolate, 1),
            ("search", shared(StoreFailure::Local), 1),
            ("report", shared(StoreFailure::Local), 1),
            ("permit", shared(StoreFailure::Local), 1),
            ("api", shared(StoreFailure::Local), 1),
            ("export", shared(StoreFailure::Local), 1),
            ("brief-refresh", shared(StoreFailure::Local), 1),
            ("sign-in", shared(StoreFailure::Closed), 1),
        ]
    );
    let Algorithm::Gcra(client) = policy.limits()[0].algorithm else { panic!("policy.toml asks for GCRA") };
    assert_eq!((client.limit().get(), client.burst().get(), client.window()), (600, 300, Duration::from_secs(60)));
}

#[test]
fn upstreams_are_read_with_their_breakers() {
    let policy = policy();
    let origin = policy.upstream("origin").expect("policy.toml has an origin");
    assert_eq!(origin.breaker, breaker::Config::default());
    assert_eq!((origin.deadline, origin.patience), (Duration::from_secs(10), Duration::from_secs(2)));
    let soda = policy.upstream("soda").expect("policy.toml has the city's API");
    assert_eq!((soda.breaker.min_calls, soda.breaker.probes), (5, 1));
    assert_eq!(policy.upstream("nobody"), None);
}

#[test]
fn a_platform_without_objects_keeps_all_that_is_shared_in_redis_and_nothing_else() {
    let text = "version = 1\n[upstream.origin]\n\
                [limit.shared]\nalgorithm = \"gcra\"\nquota = 100\nwindow = \"60s\"\nkey = \"client\"\nscope = \"shared\"\n\
                mode = \"lease\"\non_store_failure = \"closed\"\n\
                [limit.own]\nalgorithm = \"gcra\"\nquota = 100\nwindow = \"60s\"\nkey = \"client\"\nscope = \"isolate\"\n\
                [[route]]\nname = \"all\"\npath = \"/**\"\nlimits = [\"shared\", \"own\"]\n";
    let policy = Policy::compile(text).unwrap_or_else(|error| panic!("{error}"));
    assert_ne!(policy.limits()[0].mode, Mode::Exact);
    let policy = policy.kept_in_redis();
    let kept = Scope::Shared { authority: Authority::Redis, on_store_failure: StoreFailure::Closed };
    assert_eq!((policy.limits()[0].scope, policy.limits()[0].mode), (kept, Mode::Exact));
    assert_eq!(policy.limits()[1].scope, Scope::Isolate);
}

#[cfg(feature = "serde")]
#[test]
fn a_policy_travels_as_bytes() {
    let policy = policy();
    let bytes = postcard::to_allocvec(&policy).expect("a policy is plain data");
    assert_eq!(postcard::from_bytes::<Policy>(&bytes), Ok(policy));
}

#[cfg(feature = "serde")]
#[test]
fn bytes_whose_ids_lead_nowhere_are_refused() {
    let mut parts = Parts::from(policy());
    parts.routes[0].limits = alloc::vec![LimitId(8)];
    let bytes = postcard::to_allocvec(&parts).expect("parts are plain data");
    assert!(postcard::from_bytes::<Policy>(&bytes).is_err());

    let mut parts = Parts::from(policy());
    parts.routes[0].upstream = UpstreamId(u16::MAX);
    let bytes = postcard::to_allocvec(&parts).expect("parts are plain data");
    assert!(postcard::from_bytes::<Policy>(&bytes).is_err());
}
