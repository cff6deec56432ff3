//! Which responses are stored, for how long, and why the others are not.

use alloc::{string::ToString, vec::Vec};

use super::*;
use crate::cache::options::NEGATIVE_LIFETIME_MAX;
use crate::cache::partial::PART_BYTES_MAX;

const NOW: Timestamp = Timestamp::from_unix_seconds(784_111_777);
const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
const TARGET: Target<'_> =
    Target { method: "GET", tenant: "", scheme: "https", host: "a.example", path: "/p", query: "q=1" };

fn policy() -> CacheOptions {
    CacheOptions {
        fresh: Some(Duration::from_secs(300)),
        stale_while_revalidate: Duration::from_secs(600),
        stale_if_error: Duration::from_secs(900),
        ..CacheOptions::default()
    }
}

fn check(
    options: &CacheOptions,
    status: u16,
    request: &[(&str, &str)],
    response: &[(&str, &str)],
) -> Result<(Metadata, Source), Reason> {
    let response: Vec<(&str, &str)> = response.iter().copied().chain([DATE]).collect();
    let exchange = Exchange {
        target: TARGET,
        request: &request,
        status,
        response: &response.as_slice(),
        request_time: NOW,
        response_time: NOW,
        generation: 1,
        random: 0,
    };
    match decide(&exchange, options) {
        Decision::Store(metadata, source) => Ok((*metadata, source)),
        Decision::Refuse(reason) => Err(reason),
    }
}

/// Lifetime and the two stale windows of what is stored, in seconds.
fn windows(response: &[(&str, &str)]) -> Result<(u64, u64, u64), Reason> {
    check(&policy(), 200, &[], response).map(|(stored, _)| {
        (stored.freshness_lifetime.as_secs(), stored.stale_while_revalidate.as_secs(), stored.stale_if_error.as_secs())
    })
}

fn refusal(options: &CacheOptions, status: u16, response: &[(&str, &str)]) -> Option<Reason> {
    check(options, status, &[], response).err()
}

#[test]
fn the_policy_fills_in_what_is_left_open() {
    let cc = |value| [("cache-control", value)];
    for (id, response, expect) in [
        ("store-silent", &[][..], (300, 600, 900)),
        ("store-max-age", &cc("max-age=60"), (60, 600, 900)),
        ("store-own-windows", &cc("max-age=60, stale-while-revalidate=5, stale-if-error=0"), (60, 5, 0)),
        ("store-s-maxage-forbids-stale", &cc("max-age=60, s-maxage=70"), (70, 0, 0)),
        ("store-must-revalidate", &cc("max-age=60, must-revalidate, stale-if-error=9"), (60, 0, 0)),
        ("store-proxy-revalidate", &cc("max-age=60, proxy-revalidate"), (60, 0, 0)),
        ("store-targeted", &[("cache-control", "private"), ("cdn-cache-control", "max-age=9")], (9, 600, 900)),
        ("store-longest", &cc("max-age=99999999"), (31_536_000, 600, 900)),
    ] {
        assert_eq!(windows(response), Ok(expect), "{id}");
    }
    let silent = refusal(&CacheOptions::default(), 200, &[]);
    assert_eq!(silent, Some(Reason::NoLifetime), "store-nothing-without-a-word");
}

#[test]
fn what_belongs_to_one_visitor_is_refused() {
    for (id, response, reason) in [
        ("store-set-cookie", &[("set-cookie", "a=b"), ("cache-control", "public, max-age=60")][..], Reason::SetCookie),
        ("store-private", &[("cache-control", "private, max-age=60")], Reason::Private),
        ("store-private-qualified", &[("cache-control", "private=\"x\", max-age=60")], Reason::Private),
        ("store-no-store", &[("cache-control", "No-StOrE")], Reason::NoStore),
        ("store-no-store-and-max-age", &[("cache-control", "max-age=10000, no-store")], Reason::NoStore),
        (
            "store-targeted-no-store",
            &[("cache-control", "max-age=9"), ("cdn-cache-control", "no-store")],
            Reason::NoStore,
        ),
        ("store-vary-star", &[("vary", "*")], Reason::Vary),
        ("store-vary-cookie", &[("vary", "cookie")], Reason::Vary),
        ("store-dictionary", &[("content-encoding", "dcb"), ("cache-control", "max-age=9")], Reason::Dictionary),
    ] {
        assert_eq!(windows(response), Err(reason), "{id}");
    }
}

#[test]
fn authorization_is_shared_only_by_the_word_of_both() {
    let authorized = [("authorization", "Bearer x")];
    let share = CacheOptions { authorization: AuthorizationUse::Share, ..policy() };
    for (value, shared) in
        [("max-age=60", false), ("public", true), ("s-maxage=60", true), ("must-revalidate, max-age=60", true)]
    {
        let response = [("cache-control", value)];
        let refused = check(&share, 200, &authorized, &response) == Err(Reason::Authorization);
        assert_eq!(!refused, shared, "{value}");
        assert_eq!(check(&policy(), 200, &authorized, &response).err(), Some(Reason::Authorization), "{value}");
    }
}

#[test]
fn qualified_directives_strip_fields_only_where_the_policy_says_so() {
    let strip = CacheOptions { qualified: Qualified::Strip, ..policy() };
    let cookie = CacheOptions { set_cookie: SetCookieUse::StripWhenListed, ..policy() };
    let listed = [("cache-control", "max-age=60, no-cache=\"Set-Cookie\""), ("set-cookie", "a=b")];
    let both = [("cache-control", "max-age=60, private=\"a, b\""), ("a", "1")];
    assert_eq!(refusal(&policy(), 200, &both), Some(Reason::Private));
    assert_eq!(refusal(&strip, 200, &both), None);
    assert_eq!(refusal(&strip, 200, &listed), Some(Reason::SetCookie));
    let stored = check(&cookie, 200, &[], &listed).unwrap().0;
    assert_eq!((stored.no_cache, stored.freshness_lifetime.as_secs()), (false, 60));
    assert_eq!(
        refusal(&cookie, 200, &[("cache-control", "max-age=60"), ("set-cookie", "a=b")]),
        Some(Reason::SetCookie)
    );
    let mut names = Vec::new();
    let response = [("cache-control", "private=\"A, b\""), ("connection", "X-Hop, close")];
    unstored(&response, &strip, |name| names.push(name.to_string()));
    for name in ["a", "b", "x-hop", "set-cookie", "transfer-encoding", "proxy-authentication-info", "age"] {
        assert!(names.iter().any(|found| found == name), "{name}");
    }
    assert!(!names.iter().any(|name| name == "content-type"));
}

#[test]
fn only_a_validator_makes_a_stale_response_useful() {
    let etag = ("etag", "\"a\"");
    assert_eq!(windows(&[("cache-control", "no-cache")]), Err(Reason::Useless));
    assert_eq!(windows(&[("cache-control", "max-age=60, no-cache"), etag]), Ok((0, 0, 0)));
    assert_eq!(windows(&[("cache-control", "s-maxage=60"), ("age", "60")]), Err(Reason::Useless));
    let stored = check(&policy(), 200, &[], &[("cache-control", "no-cache=\"x\", max-age=9"), etag]).unwrap().0;
    assert!(stored.no_cache && stored.forbids_stale);
}

#[test]
fn errors_are_stored_only_when_asked_and_not_for_long() {
    assert_eq!(refusal(&policy(), 404, &[]), Some(Reason::NoLifetime));
    let response = [("cache-control", "max-age=3600, stale-if-error=60")];
    let stored = check(&policy(), 404, &[], &response).unwrap().0;
    assert_eq!((stored.freshness_lifetime, stored.stale_if_error), (NEGATIVE_LIFETIME_MAX, Duration::ZERO));
    for status in [100, 304, 400, 405, 414, 431, 429, 500, 501, 503] {
        assert_eq!(
            refusal(&policy(), status, &[("cache-control", "public, max-age=60")]),
            Some(Reason::Status),
            "{status}"
        );
    }
    let any = CacheOptions { statuses: Statuses::Any, negative_lifetime_max: Duration::from_secs(60), ..policy() };
    for status in [299, 303, 400, 499, 500, 503, 599] {
        let stored = check(&any, status, &[], &response).unwrap().0;
        let expect = if status < 400 { 3600 } else { 60 };
        assert_eq!(stored.freshness_lifetime.as_secs(), expect, "{status}");
    }
    for status in [100, 206, 304] {
        assert!(refusal(&any, status, &response).is_some(), "{status}");
    }
}

#[test]
fn must_understand_outranks_no_store_for_what_is_understood() {
    let any = CacheOptions { statuses: Statuses::Any, ..policy() };
    let response = [("cache-control", "must-understand, no-store, max-age=60")];
    assert_eq!(refusal(&any, 200, &response), None);
    assert_eq!(refusal(&any, 299, &response), Some(Reason::NotUnderstood));
    assert_eq!(refusal(&any, 299, &[("cache-control", "must-understand, max-age=60")]), Some(Reason::NotUnderstood));
}

#[test]
fn a_lifetime_is_guessed_only_on_request_and_for_fitting_statuses() {
    let guess = CacheOptions { heuristics: true, ..CacheOptions::default() };
    let modified = ("last-modified", "Sat, 05 Nov 1994 08:49:37 GMT");
    for (status, expect) in [(200, Some(8640)), (404, Some(10)), (302, None)] {
        let lifetime = check(&guess, status, &[], &[modified]).ok();
        let lifetime = lifetime.map(|(stored, source)| (stored.freshness_lifetime.as_secs(), source));
        assert_eq!(lifetime, expect.map(|seconds| (seconds, Source::Heuristic)), "{status}");
    }
    assert!(check(&guess, 302, &[], &[modified, ("cache-control", "public")]).is_ok());
    assert_eq!(refusal(&guess, 200, &[]), Some(Reason::NoLifetime));
    assert_eq!(refusal(&CacheOptions::default(), 200, &[modified]), Some(Reason::NoLifetime));
}

#[test]
fn parts_are_stored_only_on_request() {
    let store = CacheOptions { partial: PartialUse::Store, ..policy() };
    let range = ("content-range", "bytes 0-4/10");
    assert_eq!(refusal(&policy(), 206, &[range]), Some(Reason::Partial));
    assert_eq!(refusal(&store, 206, &[("cache-control", "max-age=9")]), Some(Reason::Partial));
    let multipart = [("content-type", "multipart/byteranges; boundary=x"), ("cache-control", "max-age=9")];
    assert_eq!(refusal(&store, 206, &multipart), Some(Reason::Partial));
    let stored = check(&store, 206, &[], &[range, ("cache-control", "max-age=9")]).unwrap().0;
    assert_eq!(stored.content, Content::Part { first: 0, last: 4, complete: Some(10) });
    let lifetime = check(&store, 206, &[], &[range]).map(|(stored, _)| stored.freshness_lifetime);
    assert_eq!(lifetime.ok(), policy().fresh, "a part of a 200 lives as long as one");
    let all = check(&store, 206, &[], &[("content-range", "bytes 0-9/10")]).unwrap().0;
    assert_eq!((all.status, all.content), (200, Content::Whole { length: Some(10) }));
    let most = alloc::format!("bytes 1-{PART_BYTES_MAX}/99999999999");
    assert_eq!(refusal(&store, 206, &[("content-range", &most)]), None);
    let more = alloc::format!("bytes 0-{PART_BYTES_MAX}/99999999999");
    for range in [&more, "bytes 0-4/*"] {
        assert_eq!(refusal(&store, 206, &[("content-range", range)]), Some(Reason::Partial), "{range}");
    }
}

#[test]
fn what_is_longer_than_the_store_takes_is_not_stored() {
    let short = CacheOptions { partial: PartialUse::Store, body_bytes_max: 1000, ..policy() };
    for (status, fields, expect) in [
        (200, [("content-length", "1000")], None),
        (200, [("content-length", "1001")], Some(Reason::TooLong)),
        (200, [("content-type", "text/html")], None),
        (206, [("content-range", "bytes 1-1000/5000")], None),
        (206, [("content-range", "bytes 0-1000/5000")], Some(Reason::Partial)),
    ] {
        assert_eq!(refusal(&short, status, &fields), expect, "{status} {fields:?}");
    }
}

#[test]
fn a_redirect_to_itself_is_not_stored() {
    let redirect = |location| [("location", location), ("cache-control", "max-age=60")];
    for location in ["/p?q=1", "https://a.example/p?q=1", "//A.example:443/p?q=1#x", "?q=1"] {
        assert_eq!(refusal(&policy(), 301, &redirect(location)), Some(Reason::RedirectLoop), "{location}");
    }
    for location in ["/p", "http://a.example/p?q=1", "https://b.example/p?q=1", "/p/?q=1"] {
        assert_eq!(refusal(&policy(), 301, &redirect(location)), None, "{location}");
    }
}

#[test]
fn a_request_may_forbid_storing_where_the_policy_honours_it() {
    let honour = CacheOptions { request_directives: RequestDirectiveUse::Honour, ..policy() };
    let request = [("cache-control", "no-store")];
    assert_eq!(check(&honour, 200, &request, &[]).err(), Some(Reason::RequestNoStore));
    assert!(check(&policy(), 200, &request, &[]).is_ok());
}

#[test]
fn only_get_is_stored() {
    for method in ["POST", "HEAD", "OPTIONS", "get"] {
        let exchange = Exchange {
            target: Target { method, ..TARGET },
            request: &[("", ""); 0],
            status: 200,
            response: &[("cache-control", "max-age=60")],
            request_time: NOW,
            response_time: NOW,
            generation: 1,
            random: 0,
        };
        assert_eq!(decide(&exchange, &policy()), Decision::Refuse(Reason::Method), "{method}");
    }
}
