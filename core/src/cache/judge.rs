//! The heart of a reuse decision: plain numbers in, a verdict out (RFC 9111 §4, RFC 5861, RFC 8246).
//!
//! [`decide`](super::decide()) reads a request and a stored response into a [`Situation`]; nothing else counts. So a
//! situation can be written into a log as one line, and read back and judged again ([`super::explain`]).

use core::time::Duration;

use super::{directives::RequestDirectives, status::ForwardReason};

/// All that a reuse decision depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// What kind of request it is.
    pub request: RequestKind,
    /// What the client asks of caches; all absent where the policy ignores it.
    pub wants: RequestDirectives,
    /// Whether the origin can be called.
    pub origin: Origin,
    /// What is stored.
    pub found: Found,
}

/// What kind of request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// `GET`, or `HEAD`, which a stored `GET` answers.
    Safe,
    /// Any other method.
    OtherMethod,
    /// With `Authorization`, where the policy sends it past the cache.
    Authorized,
}

/// Whether the origin can be called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// As far as is known.
    #[default]
    Reachable,
    /// The breaker or the throttle holds calls back.
    Held,
}

/// What is stored for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing for its URL.
    Nothing,
    /// Something for its URL, but not for its fields.
    OtherVariants,
    /// Something that was purged.
    Purged,
    /// A response with these times.
    Response(Times),
}

/// How old and how fresh a stored response is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// `current_age`.
    pub age: Duration,
    /// `freshness_lifetime`, cut by a soft purge.
    pub lifetime: Duration,
    /// Its `stale-while-revalidate`.
    pub stale_while_revalidate: Duration,
    /// Its `stale-if-error`.
    pub stale_if_error: Duration,
    /// Whether it must never be served stale.
    pub forbids_stale: bool,
    /// Whether it must be validated before each use.
    pub no_cache: bool,
    /// Whether a reload has no reason to ask while it is fresh.
    pub immutable: bool,
}

/// What follows from a situation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Serve what is stored.
    Serve {
        /// Whether to ask the origin in the background.
        refresh: bool,
        /// Why.
        why: Why,
    },
    /// Ask the origin.
    Fetch {
        /// The reason in `Cache-Status`.
        reason: ForwardReason,
        /// What to do when it fails.
        on_error: OnError,
        /// Why.
        why: Why,
    },
    /// Answer 504 (RFC 9111 §5.2.1.7).
    Refuse {
        /// Why it could not be served.
        why: Why,
    },
}

/// What to do when the origin fails; settled before it is called, so that a slow failure changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// Serve what is stored.
    Serve,
    /// Tell the client.
    Fail,
}

/// Why a verdict is what it is. The word is the same in the header, the log and the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is fresh.
    Fresh,
    /// It is stale, and may be served while it is revalidated.
    StaleWhileRevalidate,
    /// It is stale, and the client takes that.
    MaxStale,
    /// It is stale, the origin cannot be called, and it may be served then.
    OriginHeld,
    /// It is stale.
    Stale,
    /// It is stale and must never be served so.
    MustRevalidate,
    /// It must be validated before each use.
    NoCache,
    /// The client wants it validated.
    RequestNoCache,
    /// It is older than the client takes.
    RequestMaxAge,
    /// It is not fresh for as long as the client wants.
    RequestMinFresh,
    /// The client forbids that anything of this is stored.
    RequestNoStore,
    /// The method is none that a cache answers.
    Method,
    /// The request carries `Authorization`.
    Authorization,
    /// Only the origin may evaluate the request's conditions.
    Preconditions,
    /// Nothing is stored for the URL.
    UriMiss,
    /// Nothing is stored for these request fields.
    VaryMiss,
    /// What was stored has been purged.
    Purged,
    /// Only other parts of it are stored.
    Partial,
}

impl Why {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::StaleWhileRevalidate => "stale-while-revalidate",
            Self::MaxStale => "max-stale",
            Self::OriginHeld => "origin-held",
            Self::Stale => "stale",
            Self::MustRevalidate => "must-revalidate",
            Self::NoCache => "no-cache",
            Self::RequestNoCache => "request-no-cache",
            Self::RequestMaxAge => "request-max-age",
            Self::RequestMinFresh => "request-min-fresh",
            Self::RequestNoStore => "request-no-store",
            Self::Method => "method",
            Self::Authorization => "authorization",
            Self::Preconditions => "preconditions",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Purged => "purged",
            Self::Partial => "partial",
        }
    }
}

impl Times {
    /// How much longer it is fresh; zero when it is stale. Fresh while the lifetime is greater than the age
    /// (RFC 9111 §4.2).
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.lifetime.saturating_sub(self.age)
    }

    /// How long it has been stale.
    #[must_use]
    pub fn stale_for(&self) -> Duration {
        self.age.saturating_sub(self.lifetime)
    }

    /// Whether it may be served although the origin fails. Every window is half open.
    fn on_error(&self) -> OnError {
        let covered = self.stale_for() < self.stale_while_revalidate.max(self.stale_if_error);
        if !self.no_cache && (!self.ttl().is_zero() || (covered && !self.forbids_stale)) {
            OnError::Serve
        } else {
            OnError::Fail
        }
    }
}

/// Judges a situation. Total, and the same for the same numbers.
#[must_use]
pub fn judge(situation: &Situation) -> Verdict {
    let Situation { request, wants, origin, found } = *situation;
    let forward = |reason, why| Verdict::Fetch { reason, on_error: OnError::Fail, why };
    let verdict = match (request, found) {
        (RequestKind::OtherMethod, _) => return forward(ForwardReason::Method, Why::Method),
        (RequestKind::Authorized, _) => return forward(ForwardReason::Request, Why::Authorization),
        _ if wants.no_store => forward(ForwardReason::Request, Why::RequestNoStore),
        (_, Found::Nothing) => forward(ForwardReason::UriMiss, Why::UriMiss),
        (_, Found::OtherVariants) => forward(ForwardReason::VaryMiss, Why::VaryMiss),
        (_, Found::Purged) => forward(ForwardReason::UriMiss, Why::Purged),
        (_, Found::Response(times)) => reuse(&times, &wants, origin),
    };
    match verdict {
        Verdict::Fetch { why, .. } if wants.only_if_cached => Verdict::Refuse { why },
        verdict => verdict,
    }
}

fn reuse(times: &Times, wants: &RequestDirectives, origin: Origin) -> Verdict {
    let on_error = times.on_error();
    let ask = |reason, why| Verdict::Fetch { reason, on_error, why };
    let serve = |why| Verdict::Serve { refresh: false, why };
    if times.no_cache {
        return ask(ForwardReason::Stale, Why::NoCache);
    }
    if wants.no_cache {
        return ask(ForwardReason::Request, Why::RequestNoCache);
    }
    let is_fresh = !times.ttl().is_zero();
    // A reload sends max-age=0, and RFC 8246 §2 makes that needless while the response is fresh.
    let too_old = wants.max_age.is_some_and(|max_age| times.age > max_age || max_age.is_zero());
    if too_old && !(is_fresh && times.immutable) {
        return ask(ForwardReason::Request, Why::RequestMaxAge);
    }
    if is_fresh {
        let fresh_enough = wants.min_fresh.is_none_or(|min_fresh| times.ttl() >= min_fresh);
        return if fresh_enough { serve(Why::Fresh) } else { ask(ForwardReason::Request, Why::RequestMinFresh) };
    }
    if times.forbids_stale {
        return ask(ForwardReason::Stale, Why::MustRevalidate);
    }
    if wants.min_fresh.is_some() {
        return ask(ForwardReason::Request, Why::RequestMinFresh);
    }
    let held = origin == Origin::Held;
    if times.stale_for() < times.stale_while_revalidate {
        return Verdict::Serve { refresh: !held, why: Why::StaleWhileRevalidate };
    }
    if wants.max_stale.is_some_and(|max_stale| times.stale_for() <= max_stale) {
        return Verdict::Serve { refresh: !held, why: Why::MaxStale };
    }
    if held && on_error == OnError::Serve {
        return serve(Why::OriginHeld);
    }
    ask(ForwardReason::Stale, Why::Stale)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const WANTS: RequestDirectives = RequestDirectives {
        max_age: None,
        max_stale: None,
        min_fresh: None,
        no_cache: false,
        no_store: false,
        only_if_cached: false,
    };

    /// Fresh for a minute, then half a minute while it is revalidated, and 100 s on an error.
    fn times(age: u64) -> Times {
        Times {
            age: secs(age),
            lifetime: secs(60),
            stale_while_revalidate: secs(30),
            stale_if_error: secs(100),
            ..Times::default()
        }
    }

    fn check(wants: RequestDirectives, origin: Origin, times: Times) -> Verdict {
        judge(&Situation { request: RequestKind::Safe, wants, origin, found: Found::Response(times) })
    }

    const fn serve(refresh: bool, why: Why) -> Verdict {
        Verdict::Serve { refresh, why }
    }

    const fn fetch(reason: ForwardReason, on_error: OnError, why: Why) -> Verdict {
        Verdict::Fetch { reason, on_error, why }
    }

    #[test]
    fn each_window_ends_where_the_next_begins() {
        use ForwardReason::Stale;
        let at = |millis| check(WANTS, Origin::Reachable, Times { age: Duration::from_millis(millis), ..times(0) });
        assert_eq!(at(0), serve(false, Why::Fresh));
        assert_eq!(at(59_999), serve(false, Why::Fresh));
        assert_eq!(at(60_000), serve(true, Why::StaleWhileRevalidate));
        assert_eq!(at(89_999), serve(true, Why::StaleWhileRevalidate));
        assert_eq!(at(90_000), fetch(Stale, OnError::Serve, Why::Stale));
        assert_eq!(at(159_999), fetch(Stale, OnError::Serve, Why::Stale));
        assert_eq!(at(160_000), fetch(Stale, OnError::Fail, Why::Stale));
    }

    #[test]
    fn what_a_client_wants_counts_where_it_may() {
        use ForwardReason::{Request, Stale};
        let none = WANTS;
        let strict =
            |age| Times { forbids_stale: true, stale_while_revalidate: secs(0), stale_if_error: secs(0), ..times(age) };
        let immutable = |age| Times { immutable: true, ..times(age) };
        for (id, wants, times, expect) in [
            (
                "ccreq-max-age-0",
                RequestDirectives { max_age: Some(secs(0)), ..none },
                times(5),
                fetch(Request, OnError::Serve, Why::RequestMaxAge),
            ),
            (
                "ccreq-max-age-older",
                RequestDirectives { max_age: Some(secs(4)), ..none },
                times(5),
                fetch(Request, OnError::Serve, Why::RequestMaxAge),
            ),
            (
                "ccreq-max-age-enough",
                RequestDirectives { max_age: Some(secs(5)), ..none },
                times(5),
                serve(false, Why::Fresh),
            ),
            (
                "ccreq-immutable-reload",
                RequestDirectives { max_age: Some(secs(0)), ..none },
                immutable(5),
                serve(false, Why::Fresh),
            ),
            (
                "ccreq-immutable-stale",
                RequestDirectives { max_age: Some(secs(0)), ..none },
                immutable(65),
                fetch(Request, OnError::Serve, Why::RequestMaxAge),
            ),
            (
                "ccreq-immutable-forced",
                RequestDirectives { no_cache: true, ..none },
                immutable(5),
                fetch(Request, OnError::Serve, Why::RequestNoCache),
            ),
            (
                "ccreq-no-cache",
                RequestDirectives { no_cache: true, ..none },
                times(5),
                fetch(Request, OnError::Serve, Why::RequestNoCache),
            ),
            (
                "ccreq-no-cache-strict-stale",
                RequestDirectives { no_cache: true, ..none },
                strict(65),
                fetch(Request, OnError::Fail, Why::RequestNoCache),
            ),
            (
                "ccreq-no-store",
                RequestDirectives { no_store: true, ..none },
                times(5),
                fetch(Request, OnError::Fail, Why::RequestNoStore),
            ),
            (
                "ccreq-min-fresh",
                RequestDirectives { min_fresh: Some(secs(56)), ..none },
                times(5),
                fetch(Request, OnError::Serve, Why::RequestMinFresh),
            ),
            (
                "ccreq-min-fresh-enough",
                RequestDirectives { min_fresh: Some(secs(55)), ..none },
                times(5),
                serve(false, Why::Fresh),
            ),
            (
                "ccreq-min-fresh-stale",
                RequestDirectives { min_fresh: Some(secs(0)), ..none },
                times(65),
                fetch(Request, OnError::Serve, Why::RequestMinFresh),
            ),
            (
                "ccreq-max-stale",
                RequestDirectives { max_stale: Some(secs(40)), ..none },
                times(100),
                serve(true, Why::MaxStale),
            ),
            (
                "ccreq-max-stale-less",
                RequestDirectives { max_stale: Some(secs(39)), ..none },
                times(100),
                fetch(Stale, OnError::Serve, Why::Stale),
            ),
            (
                "ccreq-max-stale-strict",
                RequestDirectives { max_stale: Some(Duration::MAX), ..none },
                strict(61),
                fetch(Stale, OnError::Fail, Why::MustRevalidate),
            ),
            ("ccreq-oic-fresh", RequestDirectives { only_if_cached: true, ..none }, times(5), serve(false, Why::Fresh)),
            (
                "ccreq-oic-stale",
                RequestDirectives { only_if_cached: true, ..none },
                times(100),
                Verdict::Refuse { why: Why::Stale },
            ),
            ("resp-no-cache", none, Times { no_cache: true, ..times(5) }, fetch(Stale, OnError::Fail, Why::NoCache)),
            (
                "resp-no-cache-max-stale",
                RequestDirectives { max_stale: Some(Duration::MAX), ..none },
                Times { no_cache: true, ..times(5) },
                fetch(Stale, OnError::Fail, Why::NoCache),
            ),
            ("resp-must-revalidate", none, strict(60), fetch(Stale, OnError::Fail, Why::MustRevalidate)),
        ] {
            assert_eq!(check(wants, Origin::Reachable, times), expect, "{id}");
        }
    }

    #[test]
    fn a_held_origin_is_not_asked_while_stale_will_do() {
        let held = |age| check(WANTS, Origin::Held, times(age));
        assert_eq!(held(5), serve(false, Why::Fresh));
        assert_eq!(held(65), serve(false, Why::StaleWhileRevalidate));
        assert_eq!(held(100), serve(false, Why::OriginHeld));
        assert_eq!(held(160), fetch(ForwardReason::Stale, OnError::Fail, Why::Stale));
    }

    #[test]
    fn what_is_not_there_is_fetched_and_504_when_it_must_not_be() {
        use ForwardReason::{Method, Request, UriMiss, VaryMiss};
        let oic = RequestDirectives { only_if_cached: true, ..WANTS };
        for (found, reason, why) in [
            (Found::Nothing, UriMiss, Why::UriMiss),
            (Found::OtherVariants, VaryMiss, Why::VaryMiss),
            (Found::Purged, UriMiss, Why::Purged),
        ] {
            let of = |wants| judge(&Situation { request: RequestKind::Safe, wants, origin: Origin::Reachable, found });
            assert_eq!(of(WANTS), fetch(reason, OnError::Fail, why));
            assert_eq!(of(oic), Verdict::Refuse { why });
        }
        for (request, reason, why) in
            [(RequestKind::OtherMethod, Method, Why::Method), (RequestKind::Authorized, Request, Why::Authorization)]
        {
            let found = Found::Response(times(5));
            let verdict = judge(&Situation { request, wants: oic, origin: Origin::Reachable, found });
            assert_eq!(verdict, fetch(reason, OnError::Fail, why));
        }
    }

    proptest::proptest! {
        #[test]
        fn fresh_now_means_fresh_at_every_earlier_age(age in 0_u64..200, earlier in 0_u64..200, lifetime in 0_u64..100) {
            let fresh = |age: u64| {
                let times = Times { lifetime: secs(lifetime), ..times(age) };
                check(WANTS, Origin::Reachable, times) == serve(false, Why::Fresh)
            };
            proptest::prop_assert!(!fresh(age) || fresh(earlier.min(age)));
        }

        #[test]
        fn nothing_is_served_past_its_last_window(
            age in 0_u64..200, lifetime in 0_u64..50, swr in 0_u64..50, sie in 0_u64..50, held: bool,
        ) {
            let times = Times {
                age: secs(age),
                lifetime: secs(lifetime),
                stale_while_revalidate: secs(swr),
                stale_if_error: secs(sie),
                ..Times::default()
            };
            let origin = if held { Origin::Held } else { Origin::Reachable };
            let served = match check(WANTS, origin, times) {
                Verdict::Serve { .. } => true,
                Verdict::Fetch { on_error, .. } => on_error == OnError::Serve,
                Verdict::Refuse { .. } => false,
            };
            proptest::prop_assert_eq!(served, age < lifetime + swr.max(sie));
        }
    }
}
