//! May this response be stored? RFC 9111 §3, as a shared cache, with the policy's lifetimes where the response
//! states none.

use alloc::borrow::Cow;
use core::time::Duration;

use crate::{headers::Fields, policy::Lifetime, time::Timestamp};

use super::{
    date::HttpDate,
    directives::Directives,
    metadata::{Metadata, initial_age},
    vary::{UnusableVary, VaryBy},
};

/// A request and the response it got.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a, Request, Response> {
    /// The method of the request.
    pub method: &'a str,
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
}

/// What to do with a response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Store it with this beside it.
    Store(Metadata),
    /// Pass it on and keep nothing.
    Refuse(Reason),
}

/// Why a response is not stored. The word is the same in the header, the log and the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Only `GET` is stored.
    Method,
    /// The status is partial, not understood, or an error that must not outlive its cause.
    Status,
    /// `Cache-Control: no-store`.
    NoStore,
    /// `Cache-Control: private`.
    Private,
    /// The request carried `Authorization`, and the response does not allow sharing it (RFC 9111 §3.5).
    Authorization,
    /// The response sets a cookie, which belongs to one visitor.
    SetCookie,
    /// The body is encoded, and the host's store does not keep it as it is.
    Encoded,
    /// It varies on something that no other request can match, or on too much.
    Vary,
    /// Nobody says how long it is fresh.
    NoLifetime,
    /// It is stale already and has no validator, so it could never be used.
    Useless,
}

impl Reason {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Status => "status",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::Encoded => "encoded",
            Self::Vary => "vary",
            Self::NoLifetime => "no-lifetime",
            Self::Useless => "useless",
        }
    }
}

/// Decides whether a response is stored, and for how long it serves.
///
/// The response's own directives decide: those of [`TARGETED`], else `Cache-Control` and `Expires`
/// (RFC 9213 §2.2). `policy` fills in what they leave open: the lifetime of a 200 that states none, and the stale
/// windows where stale is not forbidden. Allocates only what [`Metadata`] keeps.
pub fn decide<Request: Fields, Response: Fields>(
    exchange: &Exchange<'_, Request, Response>,
    policy: &Lifetime,
) -> Decision {
    match metadata(exchange, policy) {
        Ok(metadata) => Decision::Store(metadata),
        Err(reason) => Decision::Refuse(reason),
    }
}

fn metadata<Request: Fields, Response: Fields>(
    exchange: &Exchange<'_, Request, Response>,
    policy: &Lifetime,
) -> Result<Metadata, Reason> {
    let Exchange { method, request, status, response, request_time, response_time } = *exchange;
    if method != "GET" {
        return Err(Reason::Method);
    }
    if !STORABLE.contains(&status) {
        return Err(Reason::Status);
    }
    let (directives, targeted) = directives(response);
    if directives.no_store {
        return Err(Reason::NoStore);
    }
    if directives.private {
        return Err(Reason::Private);
    }
    if response.field("set-cookie").is_some() {
        return Err(Reason::SetCookie);
    }
    // RFC 9111 §3.5: only a response that says so may be shared.
    let sharing_stated = directives.public || directives.s_maxage.is_some() || directives.must_revalidate;
    if request.field("authorization").is_some() && !sharing_stated {
        return Err(Reason::Authorization);
    }
    let vary = VaryBy::parse(response.field("vary").as_deref()).map_err(|_: UnusableVary| Reason::Vary)?;

    let date = response.field("date").and_then(|value| value.parse::<HttpDate>().ok());
    let stated = if targeted || directives.has_explicit_lifetime() {
        directives.s_maxage.or(directives.max_age)
    } else {
        expires(response, date, response_time)
    };
    let lifetime = match stated {
        Some(lifetime) => lifetime,
        None if status == 200 => policy.fresh,
        None => return Err(Reason::NoLifetime),
    };
    let forbids_stale = directives.forbids_stale();
    let stale = |own: Option<Duration>, policy: Duration| match own {
        _ if forbids_stale || status >= 400 => Duration::ZERO,
        own => own.unwrap_or(policy),
    };
    let metadata = Metadata {
        status,
        response_time,
        initial_age: initial_age(date, response.field("age").as_deref(), request_time, response_time),
        freshness_lifetime: match () {
            // RFC 9111 §5.2.2.4: no use without validation, so it is stale from the start.
            () if directives.no_cache => Duration::ZERO,
            () if status >= 400 => lifetime.min(NEGATIVE_LIFETIME_MAX),
            () => lifetime,
        },
        stale_while_revalidate: stale(directives.stale_while_revalidate, policy.stale_while_revalidate),
        stale_if_error: stale(directives.stale_if_error, policy.stale_if_error),
        etag: response.field("etag").map(Cow::into_owned),
        last_modified: response
            .field("last-modified")
            .and_then(|value| value.parse().ok())
            .map(|date: HttpDate| date.timestamp()),
        vary,
    };
    if metadata.keep_for(response_time).is_zero() { Err(Reason::Useless) } else { Ok(metadata) }
}

/// The directives that count, and whether a targeted field gave them. A targeted field without any directive
/// is ignored (RFC 9213 §2.2).
fn directives(response: &impl Fields) -> (Directives, bool) {
    for name in TARGETED {
        if let Some(value) = response.field(name).filter(|value| !value.trim().is_empty()) {
            return (Directives::parse(&value), true);
        }
    }
    (response.field("cache-control").map(|value| Directives::parse(&value)).unwrap_or_default(), false)
}

/// The lifetime that `Expires` states (RFC 9111 §5.3): zero when it is unreadable, as for `Expires: 0`.
fn expires(response: &impl Fields, date: Option<HttpDate>, response_time: Timestamp) -> Option<Duration> {
    let value = response.field("expires")?;
    let base = date.map_or(response_time, HttpDate::timestamp);
    Some(value.parse::<HttpDate>().map_or(Duration::ZERO, |expires| expires.timestamp().since(base)))
}

/// The fields that a 304 may not change in a stored response: they describe the body that is kept, or they are
/// computed anew for each answer (RFC 9111 §3.2).
#[must_use]
pub fn is_fixed_by_body(name: &str) -> bool {
    FIXED_BY_BODY.iter().any(|fixed| fixed.eq_ignore_ascii_case(name))
}

/// Cache-control fields meant for this cache, the most specific first (RFC 9213 §2).
pub const TARGETED: [&str; 2] = ["seawall-cdn-cache-control", "cdn-cache-control"];

const FIXED_BY_BODY: [&str; 7] =
    ["content-encoding", "content-length", "content-range", "content-type", "etag", "set-cookie", "transfer-encoding"];

/// What an error page may live for: long enough to take the weight off an origin, short enough that a mistake or
/// an attack is soon forgotten.
pub const NEGATIVE_LIFETIME_MAX: Duration = Duration::from_secs(10);

/// The final statuses this cache understands and may store. 206 needs ranges, 304 updates what is stored, and
/// errors that a client can provoke by the form of its request (400, 405, 414, 431) poison a cache.
const STORABLE: [u16; 10] = [200, 203, 204, 300, 301, 302, 307, 308, 404, 410];

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(784_111_777);
    const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    const POLICY: Lifetime = Lifetime {
        fresh: Duration::from_secs(300),
        stale_while_revalidate: Duration::from_secs(600),
        stale_if_error: Duration::from_secs(900),
    };

    fn check(status: u16, request: &[(&str, &str)], response: &[(&str, &str)]) -> Decision {
        let response: Vec<(&str, &str)> = response.iter().copied().chain([DATE]).collect();
        decide(
            &Exchange {
                method: "GET",
                request: &request,
                status,
                response: &response.as_slice(),
                request_time: NOW,
                response_time: NOW,
            },
            &POLICY,
        )
    }

    /// Lifetime and the two stale windows of what is stored, in seconds.
    fn windows(response: &[(&str, &str)]) -> Result<(u64, u64, u64), Reason> {
        match check(200, &[], response) {
            Decision::Store(stored) => Ok((
                stored.freshness_lifetime.as_secs(),
                stored.stale_while_revalidate.as_secs(),
                stored.stale_if_error.as_secs(),
            )),
            Decision::Refuse(reason) => Err(reason),
        }
    }

    #[test]
    fn the_most_specific_statement_of_a_lifetime_counts() {
        let cc = |value| [("cache-control", value)];
        assert_eq!(windows(&[]), Ok((300, 600, 900)));
        assert_eq!(windows(&cc("max-age=60")), Ok((60, 600, 900)));
        assert_eq!(windows(&cc("max-age=60, stale-while-revalidate=5, stale-if-error=0")), Ok((60, 5, 0)));
        assert_eq!(windows(&cc("max-age=60, s-maxage=70")), Ok((70, 0, 0)));
        assert_eq!(windows(&cc("max-age=60, must-revalidate")), Ok((60, 0, 0)));
        assert_eq!(windows(&[("expires", "Sun, 06 Nov 1994 08:50:37 GMT")]), Ok((60, 600, 900)));
        assert_eq!(
            windows(&[("expires", "Sun, 06 Nov 1994 08:50:37 GMT"), ("cache-control", "max-age=5")]),
            Ok((5, 600, 900))
        );
        assert_eq!(windows(&[("expires", "0")]), Ok((0, 600, 900)));
        assert_eq!(windows(&[("cache-control", "private, no-cache"), (TARGETED[0], "max-age=9")]), Ok((9, 600, 900)));
        assert_eq!(windows(&[(TARGETED[1], "max-age=8"), (TARGETED[0], "max-age=9")]), Ok((9, 600, 900)));
        assert_eq!(windows(&[(TARGETED[0], " "), ("cache-control", "max-age=7")]), Ok((7, 600, 900)));
        assert_eq!(
            windows(&[(TARGETED[0], "stale-if-error=1"), ("expires", "Sun, 06 Nov 1994 08:50:37 GMT")]),
            Ok((300, 600, 1))
        );
    }

    #[test]
    fn what_belongs_to_one_visitor_is_refused() {
        assert_eq!(windows(&[("set-cookie", "a=b"), ("cache-control", "public, max-age=60")]), Err(Reason::SetCookie));
        assert_eq!(windows(&[("cache-control", "private, max-age=60")]), Err(Reason::Private));
        assert_eq!(windows(&[("cache-control", "private=\"x\", max-age=60")]), Err(Reason::Private));
        assert_eq!(windows(&[("cache-control", "no-store")]), Err(Reason::NoStore));
        assert_eq!(windows(&[("vary", "*")]), Err(Reason::Vary));
        assert_eq!(windows(&[("vary", "cookie")]), Err(Reason::Vary));
        let authorized = [("authorization", "Bearer x")];
        for (value, shared) in
            [("max-age=60", false), ("public", true), ("s-maxage=60", true), ("must-revalidate, max-age=60", true)]
        {
            let decision = check(200, &authorized, &[("cache-control", value)]);
            assert_eq!(!matches!(decision, Decision::Refuse(Reason::Authorization)), shared, "{value}");
        }
    }

    #[test]
    fn only_a_validator_makes_a_stale_response_useful() {
        assert_eq!(windows(&[("cache-control", "no-cache")]), Err(Reason::Useless));
        assert_eq!(windows(&[("cache-control", "no-cache"), ("etag", "\"a\"")]), Ok((0, 0, 0)));
        assert_eq!(windows(&[("cache-control", "s-maxage=60"), ("age", "60")]), Err(Reason::Useless));
    }

    #[test]
    fn errors_are_stored_only_when_asked_and_not_for_long() {
        assert_eq!(check(404, &[], &[]), Decision::Refuse(Reason::NoLifetime));
        let Decision::Store(stored) = check(404, &[], &[("cache-control", "max-age=3600, stale-if-error=60")]) else {
            panic!("a 404 with a lifetime is stored");
        };
        assert_eq!(stored.freshness_lifetime, NEGATIVE_LIFETIME_MAX);
        assert_eq!(stored.stale_if_error, Duration::ZERO);
        for status in [100, 206, 304, 400, 405, 414, 431, 429, 500, 501, 503] {
            let decision = check(status, &[], &[("cache-control", "public, max-age=60")]);
            assert_eq!(decision, Decision::Refuse(Reason::Status), "{status}");
        }
    }

    #[test]
    fn only_get_is_stored() {
        let exchange = Exchange {
            method: "POST",
            request: &[("", ""); 0],
            status: 200,
            response: &[("cache-control", "max-age=60")],
            request_time: NOW,
            response_time: NOW,
        };
        assert_eq!(decide(&exchange, &POLICY), Decision::Refuse(Reason::Method));
    }

    #[test]
    fn a_304_cannot_change_what_describes_the_body() {
        assert!(is_fixed_by_body("Content-Encoding"));
        assert!(is_fixed_by_body("content-type"));
        assert!(!is_fixed_by_body("cache-control"));
    }
}
