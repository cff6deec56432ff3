//! Before the call: may this request be answered with what is stored? RFC 9111 §4.

use core::time::Duration;

use crate::{headers::Fields, time::Timestamp};

use super::{
    conditional::{Answer, Evaluation, evaluate},
    directives::RequestDirectives,
    judge::{Found, OnError, Origin, RequestKind, Situation, Times, Verdict, Why, judge},
    key::{CacheKey, Target},
    metadata::{Content, Metadata},
    options::{AuthorizationUse, CacheOptions, PartialUse, RequestDirectiveUse},
    partial::{Portion, part_bytes_max, portion},
    purge::{Purged, Purges},
    status::{CacheStatus, ForwardReason},
    validate::Validators,
};

/// A request and what the host knows when it comes.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a, Request> {
    /// What is asked for; its method is the request's own.
    pub target: Target<'a>,
    /// The name of what is stored for it.
    pub key: &'a CacheKey,
    /// The fields of the request.
    pub request: &'a Request,
    /// The purges that are known.
    pub purges: &'a Purges,
    /// Whether the origin can be called.
    pub origin: Origin,
    /// The time.
    pub now: Timestamp,
}

/// What the look-up found.
#[derive(Clone, Copy, Debug)]
pub enum Stored<'a> {
    /// Nothing for the URL.
    Nothing,
    /// Only variants that do not match the request.
    OtherVariants,
    /// This.
    Response(&'a Metadata),
}

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision<'a> {
    /// Answer it with what is stored.
    Serve(Serve),
    /// Ask the origin.
    Fetch(Fetch<'a>),
    /// Answer 504: the client wants nothing from the origin (RFC 9111 §5.2.1.7).
    Refuse(Why),
}

/// An answer from what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serve {
    /// How: in full, in part, or with the word that the client has it.
    pub answer: Answer,
    /// `current_age`, for the `Age` field.
    pub age: Duration,
    /// How much longer it is fresh; zero when it is stale.
    pub ttl: Duration,
    /// How long it has been stale.
    pub stale_for: Duration,
    /// Whether to ask the origin in the background, once.
    pub refresh: bool,
    /// Why.
    pub why: Why,
}

/// A call to the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch<'a> {
    /// The reason in `Cache-Status`.
    pub reason: ForwardReason,
    /// Conditions to send in place of the client's own, of a `GET` only; empty when there is nothing to validate.
    pub validators: Validators<'a>,
    /// What to do when the origin fails; see [`stand_in`].
    pub on_error: OnError,
    /// What part to ask for, in place of all of it ([`PartialUse::Store`]).
    pub portion: Option<Portion<'a>>,
    /// Whether requests for the same key, and the same part of it, may share the call.
    pub collapse: bool,
    /// Why.
    pub why: Why,
}

/// Decides what to do with a request. Total, deterministic, and without allocation where the host's fields are
/// borrowed; reads the fields that the choices of `options` need and, for an answer from the store, those of
/// [`evaluate`].
pub fn decide<'a>(ask: &Ask<'_, impl Fields>, stored: Stored<'a>, options: &CacheOptions) -> Decision<'a> {
    let situation = situation(ask, stored, options);
    let fetch = |reason, on_error, why| {
        let is_get = ask.target.method == "GET";
        let known = match stored {
            // A purged response is asked nothing about, and HEAD changes no body.
            Stored::Response(metadata) if situation.found != Found::Purged && is_get => Some(metadata),
            _ => None,
        };
        // A part that is not what is asked for would be none though it were valid.
        let answers = |metadata: &&Metadata| {
            matches!(metadata.content, Content::Whole { .. })
                || evaluate(metadata, "GET", ask.request, options.origin_preconditions) != Evaluation::Missing
        };
        let validators = known.filter(answers).map(Validators::of).unwrap_or_default();
        let portion = if is_get && options.partial == PartialUse::Store {
            portion(ask.request, known, part_bytes_max(options))
        } else {
            None
        };
        let collapse = is_get && !matches!(why, Why::Authorization | Why::RequestNoStore | Why::Preconditions);
        Decision::Fetch(Fetch { reason, validators, on_error, portion, collapse, why })
    };
    match (judge(&situation), stored, situation.found) {
        (Verdict::Serve { refresh, why }, Stored::Response(metadata), Found::Response(times)) => {
            match evaluate(metadata, ask.target.method, ask.request, options.origin_preconditions) {
                Evaluation::Answer(answer) => Decision::Serve(Serve {
                    answer,
                    age: times.age,
                    ttl: times.ttl(),
                    stale_for: times.stale_for(),
                    refresh,
                    why,
                }),
                _ if situation.wants.only_if_cached => Decision::Refuse(Why::Partial),
                Evaluation::Forward => fetch(ForwardReason::Request, OnError::Fail, Why::Preconditions),
                Evaluation::Missing => fetch(ForwardReason::Partial, OnError::Fail, Why::Partial),
            }
        }
        (Verdict::Fetch { reason, on_error, why }, ..) => fetch(reason, on_error, why),
        (Verdict::Refuse { why }, ..) => Decision::Refuse(why),
        // Only a response is served, so this is not reached; asking the origin is right in any case.
        (Verdict::Serve { why, .. }, ..) => fetch(ForwardReason::Miss, OnError::Fail, why),
    }
}

/// What stands in for an origin that failed, where [`Fetch::on_error`] says so: `why` is the failure's own word.
///
/// The decision fell before the call, so `now` only says how old the answer is by now. `None` when the stored part is
/// not what was asked for, or what is stored has been purged since.
#[must_use]
pub fn stand_in(ask: &Ask<'_, impl Fields>, stored: &Metadata, options: &CacheOptions) -> Option<Serve> {
    if ask.purges.check(ask.key, &ask.target, stored) == Purged::Gone {
        return None;
    }
    let times = times(stored, stored.freshness_lifetime, ask.now);
    match evaluate(stored, ask.target.method, ask.request, options.origin_preconditions) {
        Evaluation::Answer(answer) => Some(Serve {
            answer,
            age: times.age,
            ttl: times.ttl(),
            stale_for: times.stale_for(),
            refresh: false,
            why: Why::OriginHeld,
        }),
        Evaluation::Forward | Evaluation::Missing => None,
    }
}

/// The numbers that the decision depends on, for [`judge`] and for an explanation.
#[must_use]
pub fn situation(ask: &Ask<'_, impl Fields>, stored: Stored<'_>, options: &CacheOptions) -> Situation {
    let request = match ask.target.method {
        "GET" | "HEAD" => {
            let bypass = options.authorization == AuthorizationUse::Bypass;
            if bypass && ask.request.field("authorization").is_some() {
                RequestKind::Authorized
            } else {
                RequestKind::Safe
            }
        }
        _ => RequestKind::OtherMethod,
    };
    let wants = match options.request_directives {
        RequestDirectiveUse::Ignore => RequestDirectives::default(),
        RequestDirectiveUse::Honour => RequestDirectives::of(ask.request),
    };
    let found = match stored {
        Stored::Nothing => Found::Nothing,
        Stored::OtherVariants => Found::OtherVariants,
        Stored::Response(metadata) => match ask.purges.check(ask.key, &ask.target, metadata) {
            Purged::No => Found::Response(times(metadata, metadata.freshness_lifetime, ask.now)),
            // From the purge on it is stale, as if its lifetime had ended then.
            Purged::Stale { since } => {
                let lifetime = metadata.freshness_lifetime.min(metadata.current_age(since));
                Found::Response(times(metadata, lifetime, ask.now))
            }
            Purged::Gone => Found::Purged,
        },
    };
    Situation { request, wants, origin: ask.origin, found }
}

fn times(metadata: &Metadata, lifetime: Duration, now: Timestamp) -> Times {
    Times {
        age: metadata.current_age(now),
        lifetime,
        stale_while_revalidate: metadata.stale_while_revalidate,
        stale_if_error: metadata.stale_if_error,
        forbids_stale: metadata.forbids_stale,
        no_cache: metadata.no_cache,
        immutable: metadata.immutable,
    }
}

impl Serve {
    /// What the answer says in `Cache-Status`.
    #[must_use]
    pub const fn status(&self) -> CacheStatus {
        if self.ttl.is_zero() {
            CacheStatus::StaleHit { stale_for: self.stale_for, detail: self.why.as_str() }
        } else {
            CacheStatus::Hit { ttl: self.ttl }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::cache::{
        metadata::tests::{STORED, metadata},
        options::OriginPreconditions,
        purge::{Selector, Strength},
        range::ContentRange,
    };

    const TARGET: Target<'_> =
        Target { method: "GET", tenant: "", scheme: "https", host: "a.example", path: "/p", query: "" };

    struct Site {
        options: CacheOptions,
        purges: Purges,
        stored: Metadata,
        method: &'static str,
    }

    impl Site {
        fn new() -> Self {
            let mut purges = Purges::default();
            let stored =
                Metadata { etag: Some("\"a\"".into()), generation: purges.stamp(STORED), ..metadata(0, 60, 30, 100) };
            Self { options: CacheOptions::default(), purges, stored, method: "GET" }
        }

        fn ask(&self, after: u64, request: &[(&str, &str)]) -> Decision<'_> {
            let target = Target { method: self.method, ..TARGET };
            let ask = Ask {
                target,
                key: &CacheKey::new(&target),
                request: &request,
                purges: &self.purges,
                origin: Origin::Reachable,
                now: STORED.after(Duration::from_secs(after)),
            };
            decide(&ask, Stored::Response(&self.stored), &self.options)
        }
    }

    #[test]
    fn a_hit_says_how_to_answer() {
        let site = Site::new();
        for (request, answer) in [
            (vec![], Answer::Full),
            (vec![("if-none-match", "\"a\"")], Answer::NotModified),
            (vec![("range", "bytes=0-1")], Answer::Part(ContentRange { first: 0, last: 1, complete: Some(11) })),
        ] {
            let Decision::Serve(serve) = site.ask(10, &request) else { panic!("{request:?}") };
            assert_eq!((serve.answer, serve.age.as_secs(), serve.ttl.as_secs()), (answer, 10, 50));
            assert_eq!(serve.status(), CacheStatus::Hit { ttl: Duration::from_secs(50) });
        }
        let Decision::Serve(stale) = site.ask(67, &[]) else { panic!("stale") };
        assert!(stale.refresh);
        let detail = "stale-while-revalidate";
        assert_eq!(stale.status(), CacheStatus::StaleHit { stale_for: Duration::from_secs(7), detail });
    }

    #[test]
    fn a_validation_carries_its_conditions_and_a_head_does_not() {
        let mut site = Site::new();
        let Decision::Fetch(fetch) = site.ask(100, &[]) else { panic!("a fetch") };
        assert_eq!((fetch.validators.etag, fetch.on_error, fetch.collapse), (Some("\"a\""), OnError::Serve, true));
        site.method = "HEAD";
        let Decision::Fetch(fetch) = site.ask(100, &[]) else { panic!("a fetch") };
        assert!(fetch.validators.is_empty() && !fetch.collapse);
        assert!(matches!(site.ask(10, &[]), Decision::Serve(_)), "a stored GET answers HEAD");
    }

    #[test]
    fn authorization_and_origin_preconditions_follow_the_options() {
        let mut site = Site::new();
        let why = |decision: Decision<'_>| match decision {
            Decision::Serve(serve) => serve.why,
            Decision::Fetch(fetch) => fetch.why,
            Decision::Refuse(why) => why,
        };
        assert_eq!(why(site.ask(10, &[("authorization", "x")])), Why::Authorization);
        assert_eq!(why(site.ask(10, &[("if-match", "\"b\"")])), Why::Fresh);
        assert_eq!(why(site.ask(10, &[("cache-control", "no-cache")])), Why::Fresh, "clients cannot pass by the cache");
        site.options.authorization = AuthorizationUse::Share;
        site.options.origin_preconditions = OriginPreconditions::Forward;
        site.options.request_directives = RequestDirectiveUse::Honour;
        assert_eq!(why(site.ask(10, &[("authorization", "x")])), Why::Fresh);
        assert_eq!(why(site.ask(10, &[("if-match", "\"b\"")])), Why::Preconditions);
        assert_eq!(why(site.ask(10, &[("cache-control", "no-cache")])), Why::RequestNoCache);
        assert_eq!(why(site.ask(10, &[("pragma", "no-cache")])), Why::RequestNoCache);
    }

    #[test]
    fn a_stored_part_serves_what_lies_in_it() {
        let mut site = Site::new();
        site.stored.status = 206;
        site.stored.content = Content::Part { first: 0, last: 4, complete: Some(11) };
        let Decision::Serve(serve) = site.ask(1, &[("range", "bytes=1-2")]) else { panic!("inside") };
        assert_eq!(serve.answer.status(206), 206);
        for partial in [PartialUse::Ignore, PartialUse::Store] {
            site.options.partial = partial;
            let rest = Portion::Rest { first: 5, etag: "\"a\"" };
            for (request, portion) in [(vec![("range", "bytes=3-7")], Portion::AsAsked), (vec![], rest)] {
                for after in [1, 100] {
                    let Decision::Fetch(fetch) = site.ask(after, &request) else { panic!("{request:?}") };
                    assert!(fetch.validators.is_empty(), "what it would validate is not enough");
                    let reason = if after == 1 { ForwardReason::Partial } else { ForwardReason::Stale };
                    let portion = Some(portion).filter(|_| partial == PartialUse::Store);
                    assert_eq!((fetch.reason, fetch.portion), (reason, portion));
                }
            }
        }
        let Decision::Fetch(fetch) = site.ask(100, &[("range", "bytes=1-2")]) else { panic!("stale") };
        assert_eq!((fetch.validators.etag, fetch.portion), (Some("\"a\""), Some(Portion::AsAsked)));
        site.method = "HEAD";
        let Decision::Fetch(fetch) = site.ask(1, &[]) else { panic!("of a HEAD nothing is known") };
        assert_eq!(fetch.portion, None);
    }

    #[test]
    fn a_soft_purge_ends_freshness_and_a_hard_one_everything() {
        let mut site = Site::new();
        let at = |seconds| STORED.after(Duration::from_secs(seconds));
        site.purges.purge(Selector::All, Strength::Soft, at(10));
        let Decision::Serve(serve) = site.ask(12, &[]) else { panic!("within stale-while-revalidate") };
        assert_eq!((serve.why, serve.stale_for.as_secs()), (Why::StaleWhileRevalidate, 2));
        let Decision::Fetch(fetch) = site.ask(40, &[]) else { panic!("past it") };
        assert_eq!((fetch.why, fetch.on_error), (Why::Stale, OnError::Serve));
        site.purges.purge(Selector::All, Strength::Hard, at(41));
        let Decision::Fetch(fetch) = site.ask(41, &[]) else { panic!("gone") };
        assert_eq!((fetch.why, fetch.on_error), (Why::Purged, OnError::Fail));
        assert!(fetch.validators.is_empty(), "a 304 must not bring it back");
    }

    #[test]
    fn a_clock_that_steps_back_finds_it_as_old_as_it_came() {
        let mut site = Site::new();
        site.stored.response_time = at_end();
        let Decision::Serve(serve) = site.ask(0, &[]) else { panic!("fresh") };
        assert_eq!((serve.age.as_secs(), serve.ttl.as_secs()), (0, 60));
    }

    const fn at_end() -> Timestamp {
        Timestamp::from_unix_nanos(u64::MAX)
    }

    #[test]
    fn a_stand_in_answers_the_clients_conditions_too() {
        let site = Site::new();
        let ask = Ask {
            target: TARGET,
            key: &CacheKey::new(&TARGET),
            request: &[("if-none-match", "\"a\"")],
            purges: &site.purges,
            origin: Origin::Reachable,
            now: STORED.after(Duration::from_secs(100)),
        };
        let serve = stand_in(&ask, &site.stored, &site.options).unwrap();
        assert_eq!((serve.answer, serve.stale_for.as_secs()), (Answer::NotModified, 40));
    }
}
