//! May this response be stored? RFC 9111 §3, as a shared cache.

use alloc::borrow::Cow;
use core::time::Duration;

use crate::{headers::Fields, time::Timestamp};

use super::{
    date::HttpDate,
    directives::{Directives, Reach, RequestDirectives, listed_fields, members},
    freshness::{Source, Stated, heuristic, is_heuristically_cacheable, jittered},
    groups,
    invalidate::resolve,
    key::Target,
    metadata::{Content, Metadata, initial_age},
    options::{AuthorizationUse, CacheOptions, PartialUse, Qualified, RequestDirectiveUse, SetCookieUse, Statuses},
    partial,
    range::ContentRange,
    vary::{UnusableVary, VaryBy},
};

/// A request and the response it got.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a, Request, Response> {
    /// What was asked for.
    pub target: Target<'a>,
    /// The fields of the request as the origin got it.
    pub request: &'a Request,
    /// The status of the response.
    pub status: u16,
    /// The fields of the response.
    pub response: &'a Response,
    /// When the request was sent.
    pub request_time: Timestamp,
    /// When the header of the response arrived.
    pub response_time: Timestamp,
    /// The purge generation when the request was sent ([`Purges::generation`](super::purge::Purges::generation)).
    pub generation: u64,
    /// A number that nobody can foresee, for the jitter.
    pub random: u32,
}

/// What to do with a response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
#[expect(clippy::large_enum_variant, reason = "one is made for each response, and moved once")]
pub enum Decision {
    /// Store it with this beside it, without the fields of [`unstored`].
    Store(Metadata, Source),
    /// Pass it on and keep nothing.
    Refuse(Reason),
}

/// Why a response is not stored. The word is the same in the header, the log and the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Only `GET` is stored.
    Method,
    /// The status is not final, not one that is stored, or an error that must not outlive its cause.
    Status,
    /// The response must be understood, and its status is not (RFC 9111 §5.2.2.3).
    NotUnderstood,
    /// `Cache-Control: no-store`.
    NoStore,
    /// The request said `no-store`, and the policy honours that.
    RequestNoStore,
    /// `Cache-Control: private`.
    Private,
    /// The request carried `Authorization`, and the policy or the response does not allow sharing (RFC 9111 §3.5).
    Authorization,
    /// The response sets a cookie, which belongs to one visitor.
    SetCookie,
    /// It varies on something that no other request can match, or on too much.
    Vary,
    /// It is compressed with a dictionary that only some clients have (RFC 9842).
    Dictionary,
    /// It names more groups than can be kept.
    Groups,
    /// It redirects to its own address.
    RedirectLoop,
    /// It is partial, and the policy stores none, or it is not one readable range.
    Partial,
    /// Nobody says how long it is fresh.
    NoLifetime,
    /// It is stale already and has no validator, so it could never be used.
    Useless,
    /// What it was asked for has been purged since.
    Purged,
}

impl Reason {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Status => "status",
            Self::NotUnderstood => "not-understood",
            Self::NoStore => "no-store",
            Self::RequestNoStore => "request-no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::Vary => "vary",
            Self::Dictionary => "dictionary",
            Self::Groups => "groups",
            Self::RedirectLoop => "redirect-loop",
            Self::Partial => "partial",
            Self::NoLifetime => "no-lifetime",
            Self::Useless => "useless",
            Self::Purged => "purged",
        }
    }
}

/// Decides whether a response is stored, and for how long it serves.
///
/// The response's own directives decide: those of a targeted field, else `Cache-Control` and `Expires` (RFC 9213 §2.2).
/// `options` fills in what they leave open. Allocates only what [`Metadata`] keeps. The host must not keep a body that
/// broke off before its `Content-Length` (RFC 9111 §3.3).
pub fn decide<Request: Fields, Response: Fields>(
    exchange: &Exchange<'_, Request, Response>,
    options: &CacheOptions,
) -> Decision {
    match metadata(exchange, options) {
        Ok((metadata, source)) => Decision::Store(metadata, source),
        Err(reason) => Decision::Refuse(reason),
    }
}

fn metadata<Request: Fields, Response: Fields>(
    exchange: &Exchange<'_, Request, Response>,
    options: &CacheOptions,
) -> Result<(Metadata, Source), Reason> {
    let Exchange { target, status, response, request_time, response_time, .. } = *exchange;
    if target.method != "GET" {
        return Err(Reason::Method);
    }
    let stated = Stated::read(response, options);
    let directives = stated.directives;
    let listed = Listed::of(&stated, options);
    may_share(exchange, &directives, listed, options)?;
    let vary =
        VaryBy::parse(response.field("vary").as_deref(), &options.vary).map_err(|_: UnusableVary| Reason::Vary)?;
    let content = content(status, response)?;
    let groups = groups::of_response(&target, response, options.groups).map_err(|_| Reason::Groups)?;
    let location = if (300..400).contains(&status) { response.field("location") } else { None };
    if location.is_some_and(|location| resolve(&target, &location).is_some_and(|place| place.is(&target))) {
        return Err(Reason::RedirectLoop);
    }

    let date = response.field("date").and_then(|value| value.parse::<HttpDate>().ok());
    let modified =
        response.field("last-modified").and_then(|value| value.parse().ok()).map(|date: HttpDate| date.timestamp());
    let base = date.map_or(response_time, HttpDate::timestamp);
    let guess = || {
        let may_guess = options.heuristics && (is_heuristically_cacheable(status) || directives.public);
        heuristic(modified, base).filter(|_| may_guess).map(|lifetime| (lifetime, Source::Heuristic))
    };
    let (lifetime, source) = stated
        .lifetime(response, date, response_time)
        .or_else(|| options.fresh.filter(|_| status == 200).map(|lifetime| (lifetime, Source::Policy)))
        .or_else(guess)
        .ok_or(Reason::NoLifetime)?;
    let longest =
        if status >= 400 { options.lifetime_max.min(options.negative_lifetime_max) } else { options.lifetime_max };
    let no_cache = listed.covers(directives.no_cache);
    let forbids_stale = directives.forbids_stale() || no_cache;
    let stale = |own: Option<Duration>, policy: Duration| match own {
        _ if forbids_stale || status >= 400 => Duration::ZERO,
        own => own.unwrap_or(policy).min(options.lifetime_max),
    };
    let metadata = Metadata {
        status,
        response_time,
        date: base,
        initial_age: initial_age(date, response.field("age").as_deref(), request_time, response_time),
        // RFC 9111 §5.2.2.4: no use without validation, so it is stale from the start.
        freshness_lifetime: if no_cache {
            Duration::ZERO
        } else {
            jittered(lifetime.min(longest), options, exchange.random)
        },
        stale_while_revalidate: stale(directives.stale_while_revalidate, options.stale_while_revalidate),
        stale_if_error: stale(directives.stale_if_error, options.stale_if_error),
        forbids_stale,
        no_cache,
        immutable: directives.immutable,
        etag: response.field("etag").map(Cow::into_owned),
        last_modified: modified,
        vary,
        content,
        groups,
        generation: exchange.generation,
    };
    if metadata.keep_for(response_time).is_zero() { Err(Reason::Useless) } else { Ok((metadata, source)) }
}

/// The conditions of RFC 9111 §3, and what this cache adds to them.
fn may_share<Request: Fields, Response: Fields>(
    exchange: &Exchange<'_, Request, Response>,
    directives: &Directives,
    listed: Listed,
    options: &CacheOptions,
) -> Result<(), Reason> {
    let Exchange { request, status, response, .. } = *exchange;
    let understood = UNDERSTOOD.contains(&status) || (status == 206 && options.partial == PartialUse::Store);
    let storable = match options.statuses {
        _ if status == 206 && !understood => return Err(Reason::Partial),
        Statuses::Understood => understood,
        Statuses::Any => understood || ((200..600).contains(&status) && status != 304),
    };
    if !storable {
        return Err(Reason::Status);
    }
    // RFC 9111 §5.2.2.3: what is understood may be stored in spite of a no-store beside it.
    if directives.must_understand && !UNDERSTOOD.contains(&status) && status != 206 {
        return Err(Reason::NotUnderstood);
    }
    if directives.no_store && !directives.must_understand {
        return Err(Reason::NoStore);
    }
    if options.request_directives == RequestDirectiveUse::Honour && RequestDirectives::of(request).no_store {
        return Err(Reason::RequestNoStore);
    }
    if listed.covers(directives.private) {
        return Err(Reason::Private);
    }
    if response.field("set-cookie").is_some()
        && !(options.set_cookie == SetCookieUse::StripWhenListed && listed.set_cookie)
    {
        return Err(Reason::SetCookie);
    }
    // RFC 9111 §3.5: only a response that says so may be shared.
    let sharing_stated = directives.public || directives.s_maxage.is_some() || directives.must_revalidate;
    let shares = options.authorization == AuthorizationUse::Share && sharing_stated;
    if !shares && request.field("authorization").is_some() {
        return Err(Reason::Authorization);
    }
    // RFC 9842 §6: only a client that has the dictionary can read it.
    let codings = response.field("content-encoding");
    if codings.is_some_and(|codings| {
        members(&codings).any(|coding| coding.eq_ignore_ascii_case("dcb") || coding.eq_ignore_ascii_case("dcz"))
    }) {
        return Err(Reason::Dictionary);
    }
    Ok(())
}

fn content(status: u16, response: &impl Fields) -> Result<Content, Reason> {
    if status != 206 {
        let length = response.field("content-length").and_then(|value| value.trim().parse().ok());
        return Ok(Content::Whole { length });
    }
    let range = response.field("content-range").as_deref().and_then(ContentRange::parse).ok_or(Reason::Partial)?;
    Ok(partial::content(range.first, range.last, range.complete))
}

/// What the qualified directives of a response list.
#[derive(Clone, Copy, Debug)]
struct Listed {
    /// Whether the listed fields are taken out, so that the rest is free.
    strip: bool,
    /// Whether `set-cookie` is among them.
    set_cookie: bool,
}

impl Listed {
    fn of(stated: &Stated<'_>, options: &CacheOptions) -> Self {
        let text = stated.text.as_deref().unwrap_or_default();
        let is_cookie = |name: &str| name.eq_ignore_ascii_case("set-cookie");
        let set_cookie = listed_fields(text).any(is_cookie);
        let only_cookie = set_cookie && listed_fields(text).all(is_cookie);
        let strip = options.qualified == Qualified::Strip
            || (options.set_cookie == SetCookieUse::StripWhenListed && only_cookie);
        Self { strip, set_cookie }
    }

    /// Whether a directive of this reach speaks of the whole response.
    fn covers(self, reach: Reach) -> bool {
        match reach {
            Reach::Absent => false,
            Reach::Fields => !self.strip,
            Reach::Response => true,
        }
    }
}

/// Names the fields that must not be stored with a response (RFC 9111 §3.1): those of one connection, those that
/// `Connection` lists, those of one answer, cookies, and what `no-cache` and `private` list. In lower case, some perhaps
/// twice.
pub fn unstored(response: &impl Fields, options: &CacheOptions, mut visit: impl FnMut(&str)) {
    UNSTORED.iter().for_each(|name| visit(name));
    if let Some(connection) = response.field("connection") {
        members(&connection).for_each(|name| visit(&name.to_ascii_lowercase()));
    }
    let stated = Stated::read(response, options);
    let listed = listed_fields(stated.text.as_deref().unwrap_or_default());
    listed.for_each(|name| visit(&name.to_ascii_lowercase()));
}

/// The final statuses whose caching is understood, so that `must-understand` is met. Errors that a client can provoke
/// by the form of its request (400, 405, 414, 431) are left out: they poison a cache.
pub const UNDERSTOOD: [u16; 10] = [200, 203, 204, 300, 301, 302, 307, 308, 404, 410];

const UNSTORED: [&str; 19] = [
    "age",
    "cache-status",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "ratelimit",
    "ratelimit-policy",
    "server-timing",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "retry-after",
    "x-request-id",
    "x-response-time",
];

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::cache::options::NEGATIVE_LIFETIME_MAX;

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
            Decision::Store(metadata, source) => Ok((metadata, source)),
            Decision::Refuse(reason) => Err(reason),
        }
    }

    /// Lifetime and the two stale windows of what is stored, in seconds.
    fn windows(response: &[(&str, &str)]) -> Result<(u64, u64, u64), Reason> {
        check(&policy(), 200, &[], response).map(|(stored, _)| {
            (
                stored.freshness_lifetime.as_secs(),
                stored.stale_while_revalidate.as_secs(),
                stored.stale_if_error.as_secs(),
            )
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
            (
                "store-set-cookie",
                &[("set-cookie", "a=b"), ("cache-control", "public, max-age=60")][..],
                Reason::SetCookie,
            ),
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
        unstored(&response, &strip, |name| names.push(alloc::string::String::from(name)));
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
        assert_eq!(
            refusal(&any, 299, &[("cache-control", "must-understand, max-age=60")]),
            Some(Reason::NotUnderstood)
        );
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
}
