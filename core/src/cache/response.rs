//! After the call: what a response does to what is stored. RFC 9111 §3, §4.3.3 to §4.4.

use alloc::boxed::Box;

use crate::headers::Fields;

use super::{
    invalidate::{Invalidation, invalidation},
    judge::OnError,
    key::{CacheKey, Target},
    metadata::{Content, Metadata},
    options::CacheOptions,
    partial::{Join, Plan, join, part_bytes_max},
    purge::{Purged, Purges},
    range::ContentRange,
    store::{self, Exchange, Reason},
    validate::{Selection, Updated, head_agrees, select},
};

/// What was stored when the request went out, if anything matched it.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a, Fields> {
    /// What is known of it.
    pub metadata: &'a Metadata,
    /// Its fields, as they are stored.
    pub fields: &'a Fields,
    /// What was decided for the case that the origin fails ([`Fetch::on_error`](super::decide::Fetch::on_error)).
    pub on_error: OnError,
}

/// What to do after a response came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Outcome {
    /// With the response and what is stored.
    pub keep: Keep,
    /// With other things that are stored.
    pub invalidation: Invalidation,
}

/// What becomes of a response and of what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Pass it on, and store it with this beside it.
    Store(Box<Metadata>),
    /// What is stored is right: bring its fields up to date ([`Updated`]), store it so with this beside it, and answer
    /// with it.
    Update(Box<Metadata>),
    /// What is stored is right as it is: store it again with this beside it, none of its fields changed but `Date`, and
    /// answer with it.
    Confirm(Box<Metadata>),
    /// The same, but what the answer says forbids to store it again; what is stored stays as it is.
    UpdateUnstored(Reason),
    /// Pass it on, and store it joined with the stored part.
    Join(Box<Metadata>, Plan),
    /// The origin failed: answer with what is stored (RFC 5861 §4).
    ServeStored,
    /// Pass it on; what is stored is no longer right and must be validated before it is used (RFC 9111 §4.3.5).
    Outdate,
    /// It is a 304 about something else, or about something that may not be kept: ask again without conditions.
    Refetch,
    /// Pass it on, and keep nothing of it.
    Refuse(Reason),
}

impl Keep {
    /// The word for it in the explanation and the log.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Store(_) => "stored",
            Self::Update(_) => "updated",
            Self::Confirm(_) => "confirmed",
            Self::Join(..) => "joined",
            Self::ServeStored => "stale-if-error",
            Self::Outdate => "outdated",
            Self::Refetch => "refetch",
            Self::UpdateUnstored(reason) | Self::Refuse(reason) => reason.as_str(),
        }
    }

    /// What is to be kept beside the response, if it is stored.
    const fn metadata(&self) -> Option<&Metadata> {
        match self {
            Self::Store(metadata) | Self::Update(metadata) | Self::Confirm(metadata) | Self::Join(metadata, _) => {
                Some(metadata)
            }
            _ => None,
        }
    }

    /// Whether the next requests for the key had better not wait for each other: this one's response could not be
    /// shared, and nothing says that the next one's could.
    #[must_use]
    pub const fn is_uncacheable(&self) -> bool {
        let (Self::Refuse(reason) | Self::UpdateUnstored(reason)) = self else { return false };
        !matches!(reason, Reason::Purged | Reason::StandIn | Reason::RequestNoStore)
    }
}

/// Decides what a response does. `exchange.target.method` is the request's own, `key` the name of what is stored for it.
/// Allocates only what is kept.
pub fn on_response<Request: Fields, Response: Fields, StoredFields: Fields>(
    exchange: &Exchange<'_, Request, Response>,
    known: Option<Known<'_, StoredFields>>,
    key: &CacheKey,
    purges: &Purges,
    options: &CacheOptions,
) -> Outcome {
    let Exchange { target, status, response, .. } = *exchange;
    let invalidation = invalidation(&target, status, response, options);
    let mut outcome = Outcome {
        keep: match target.method {
            "GET" => of_get(exchange, known, options),
            "HEAD" => of_head(exchange, known, options),
            _ => Keep::Refuse(Reason::Method),
        },
        invalidation,
    };
    // A purge that came while the origin was asked counts for its answer too.
    if outcome.keep.metadata().is_some_and(|metadata| purges.check(key, &target, metadata) == Purged::Gone) {
        outcome.keep = if status == 304 { Keep::Refetch } else { Keep::Refuse(Reason::Purged) };
    }
    outcome
}

fn of_get<Request: Fields, Response: Fields, StoredFields: Fields>(
    exchange: &Exchange<'_, Request, Response>,
    known: Option<Known<'_, StoredFields>>,
    options: &CacheOptions,
) -> Keep {
    match known {
        Some(Known { on_error: OnError::Serve, .. }) if is_origin_failure(exchange.status) => Keep::ServeStored,
        Some(known) if exchange.status == 304 => match select(known.metadata, exchange.response) {
            Selection::Other => Keep::Refetch,
            Selection::Unnamed => confirm(exchange, &known, options),
            Selection::Strong | Selection::Weak | Selection::Only => update(exchange, &known, options),
        },
        _ if exchange.status == 206 && !is_measured(exchange.response) => Keep::Refuse(Reason::Partial),
        Some(known) if exchange.status == 206 => match store::decide(exchange, options) {
            store::Decision::Store(new, _) => match join(known.metadata, &new, part_bytes_max(options)) {
                // To join a few bytes writes all that is there once more.
                Join::Combine(plan)
                    if is_part(plan.content) && !is_worth_a_join(known.metadata.content, new.content) =>
                {
                    Keep::Refuse(Reason::Partial)
                }
                // Its fields are those of what is stored, brought up to date (RFC 9111 §3.4).
                Join::Combine(plan) => match update(exchange, &known, options) {
                    Keep::Update(mut joined) => {
                        joined.status = if is_part(plan.content) { 206 } else { 200 };
                        joined.content = plan.content;
                        Keep::Join(joined, plan)
                    }
                    Keep::UpdateUnstored(reason) => Keep::Refuse(reason),
                    keep => keep,
                },
                // A whole response is worth more than a part of another one, unless it is of no more use.
                Join::Replace => match known.metadata.content {
                    Content::Whole { .. } => Keep::Refuse(Reason::Partial),
                    Content::Part { .. } => Keep::Store(new),
                },
            },
            store::Decision::Refuse(reason) => Keep::Refuse(reason),
        },
        _ => match store::decide(exchange, options) {
            store::Decision::Store(metadata, _) => Keep::Store(metadata),
            store::Decision::Refuse(reason) => Keep::Refuse(reason),
        },
    }
}

/// Whether a part is as long as the bytes that it says it is. Of any other, the bytes that are put together would not be
/// those of the whole.
fn is_measured(response: &impl Fields) -> bool {
    let length = response.field("content-length").and_then(|value| value.trim_matches([' ', '\t']).parse().ok());
    let range = response.field("content-range").and_then(|value| ContentRange::parse(&value));
    length.zip(range).is_some_and(|(length, range): (u64, ContentRange)| range.length() == length)
}

const fn is_part(content: Content) -> bool {
    matches!(content, Content::Part { .. })
}

/// Whether what came is long enough beside what is stored.
fn is_worth_a_join(stored: Content, new: Content) -> bool {
    let length = |content| match content {
        Content::Part { first, last, .. } => last - first + 1,
        Content::Whole { .. } => 0,
    };
    length(new) >= length(stored) / JOINED_PARTS_MAX
}

/// RFC 9111 §4.3.5: what a 200 to HEAD says of a stored 200 to GET.
fn of_head<Request: Fields, Response: Fields, StoredFields: Fields>(
    exchange: &Exchange<'_, Request, Response>,
    known: Option<Known<'_, StoredFields>>,
    options: &CacheOptions,
) -> Keep {
    match known {
        Some(Known { on_error: OnError::Serve, .. }) if is_origin_failure(exchange.status) => Keep::ServeStored,
        Some(known) if exchange.status == 200 && known.metadata.status == 200 => {
            if head_agrees(known.metadata, exchange.response) {
                update(exchange, &known, options)
            } else {
                Keep::Outdate
            }
        }
        _ => Keep::Refuse(Reason::Method),
    }
}

/// The stored response with new fields, decided on as if it had come now (RFC 9111 §3.2).
fn update<Request: Fields, Response: Fields, StoredFields: Fields>(
    exchange: &Exchange<'_, Request, Response>,
    known: &Known<'_, StoredFields>,
    options: &CacheOptions,
) -> Keep {
    let updated =
        Updated { stored: known.fields, answer: exchange.response, content_fields: options.update_content_fields };
    let exchange = Exchange {
        target: Target { method: "GET", ..exchange.target },
        request: exchange.request,
        status: known.metadata.status,
        response: &updated,
        request_time: exchange.request_time,
        response_time: exchange.response_time,
        generation: exchange.generation,
        random: exchange.random,
    };
    match store::decide(&exchange, options) {
        store::Decision::Store(mut metadata, _) => {
            metadata.content = known.metadata.content;
            Keep::Update(metadata)
        }
        store::Decision::Refuse(reason) => Keep::UpdateUnstored(reason),
    }
}

/// The stored response as it is, if the answer would let it be stored again; otherwise it is asked for anew.
fn confirm<Request: Fields, Response: Fields, StoredFields: Fields>(
    exchange: &Exchange<'_, Request, Response>,
    known: &Known<'_, StoredFields>,
    options: &CacheOptions,
) -> Keep {
    let silent = Exchange {
        target: exchange.target,
        request: exchange.request,
        status: exchange.status,
        response: &NO_FIELDS,
        request_time: exchange.request_time,
        response_time: exchange.response_time,
        generation: exchange.generation,
        random: exchange.random,
    };
    match (update(exchange, known, options), update(&silent, known, options)) {
        (Keep::Update(_), Keep::Update(kept)) => Keep::Confirm(kept),
        _ => Keep::Refetch,
    }
}

/// A part is joined with one that is up to so many times as long: so many bytes are written for each that came.
pub const JOINED_PARTS_MAX: u64 = 8;

const NO_FIELDS: [(&str, &str); 0] = [];

/// Whether a status is one that `stale-if-error` stands in for (RFC 5861 §4).
#[must_use]
pub const fn is_origin_failure(status: u16) -> bool {
    matches!(status, 500 | 502..=504)
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString};
    use core::time::Duration;

    use super::*;
    use crate::{
        cache::{
            metadata::tests::{STORED, metadata},
            options::PartialUse,
            purge::{Selector, Strength},
        },
        time::Timestamp,
    };

    const TARGET: Target<'_> =
        Target { method: "GET", tenant: "", scheme: "https", host: "a.example", path: "/p", query: "" };
    const FIELDS: [(&str, &str); 7] = [
        ("cache-control", "max-age=60"),
        ("etag", "\"a\""),
        ("x", "1"),
        ("content-length", "11"),
        ("content-range", "bytes 0-4/11"),
        ("last-modified", "Tue, 01 Apr 2025 00:00:00 GMT"),
        ("cache-tag", "city"),
    ];

    struct Site {
        options: CacheOptions,
        purges: Purges,
        stored: Metadata,
        on_error: OnError,
        method: &'static str,
    }

    impl Site {
        fn new() -> Self {
            let mut purges = Purges::default();
            let stored =
                Metadata { etag: Some("\"a\"".into()), generation: purges.stamp(STORED), ..metadata(0, 60, 0, 0) };
            Self { options: CacheOptions::default(), purges, stored, on_error: OnError::Fail, method: "GET" }
        }

        fn answer(&self, status: u16, response: &[(&str, &str)]) -> Keep {
            let target = Target { method: self.method, ..TARGET };
            let exchange = Exchange {
                target,
                request: &[("", ""); 0],
                status,
                response: &response,
                request_time: STORED.after(Duration::from_secs(100)),
                response_time: STORED.after(Duration::from_secs(100)),
                generation: 1,
                random: 0,
            };
            let known = Known { metadata: &self.stored, fields: &FIELDS, on_error: self.on_error };
            on_response(&exchange, Some(known), &CacheKey::new(&target), &self.purges, &self.options).keep
        }
    }

    #[test]
    fn a_304_brings_what_it_is_about_up_to_date() {
        let site = Site::new();
        let Keep::Update(updated) =
            site.answer(304, &[("etag", "\"a\""), ("cache-control", "max-age=5"), ("age", "2")])
        else {
            panic!("an update");
        };
        assert_eq!(updated.status, 200);
        assert_eq!((updated.freshness_lifetime.as_secs(), updated.initial_age.as_secs()), (5, 2));
        assert_eq!(updated.content, Content::Whole { length: Some(11) });
        let Keep::Update(kept) = site.answer(304, &[("etag", "\"a\"")]) else {
            panic!("the stored lifetime counts on")
        };
        assert_eq!(kept.freshness_lifetime.as_secs(), 60);
        assert_eq!(kept.response_time, STORED.after(Duration::from_secs(100)));
        assert_eq!(site.answer(304, &[("etag", "\"b\"")]), Keep::Refetch);
        let forbidden = site.answer(304, &[("etag", "\"a\""), ("cache-control", "no-store")]);
        assert_eq!(forbidden, Keep::UpdateUnstored(Reason::NoStore));
        assert!(forbidden.is_uncacheable());
        let unconfirmed = site.answer(304, &[("etag", "\"a\""), ("seawall-cdn-cache-control", "no-store, stand-in")]);
        assert_eq!(unconfirmed, Keep::UpdateUnstored(Reason::StandIn));
        assert!(!unconfirmed.is_uncacheable(), "the next may be stored again");
    }

    #[test]
    fn a_304_without_a_validator_confirms_and_changes_nothing() {
        let site = Site::new();
        let lifetime = |answer: &[(&str, &str)]| match site.answer(304, answer) {
            Keep::Confirm(kept) => (kept.freshness_lifetime.as_secs(), kept.etag),
            keep => panic!("{keep:?}"),
        };
        let tag = Some("\"a\"".into());
        assert_eq!(lifetime(&[]), (60, tag.clone()));
        assert_eq!(lifetime(&[("cache-control", "max-age=9999")]), (60, tag));
        assert_eq!(site.answer(304, &[("cache-control", "no-store")]), Keep::Refetch);
    }

    #[test]
    fn a_304_that_nobody_asked_for_is_passed_on() {
        let exchange = Exchange {
            target: TARGET,
            request: &[("", ""); 0],
            status: 304,
            response: &[("etag", "\"a\""), ("cache-control", "max-age=9")],
            request_time: STORED,
            response_time: STORED,
            generation: 1,
            random: 0,
        };
        let key = CacheKey::new(&TARGET);
        let none: Option<Known<'_, [(&str, &str); 0]>> = None;
        let outcome = on_response(&exchange, none, &key, &Purges::default(), &CacheOptions::default());
        assert_eq!(outcome.keep, Keep::Refuse(Reason::Status));
    }

    #[test]
    fn a_head_updates_a_stored_get_or_outdates_it() {
        let site = Site { method: "HEAD", ..Site::new() };
        let same = [("etag", "\"a\""), ("content-length", "11"), ("cache-control", "max-age=1000")];
        let Keep::Update(updated) = site.answer(200, &same) else { panic!("an update") };
        assert_eq!((updated.status, updated.freshness_lifetime.as_secs()), (200, 1000));
        assert_eq!(site.answer(200, &[("etag", "\"a\""), ("content-length", "12")]), Keep::Outdate);
        assert_eq!(site.answer(200, &[("etag", "\"b\"")]), Keep::Outdate);
        assert_eq!(site.answer(404, &[]), Keep::Refuse(Reason::Method));
    }

    #[test]
    fn a_failure_is_hidden_only_as_it_was_decided_before_the_call() {
        let mut site = Site::new();
        assert_eq!(site.answer(503, &[]), Keep::Refuse(Reason::Status));
        site.on_error = OnError::Serve;
        for status in [500, 502, 503, 504] {
            assert_eq!(site.answer(status, &[]), Keep::ServeStored, "{status}");
        }
        assert_eq!(site.answer(501, &[]), Keep::Refuse(Reason::Status));
        assert_eq!(site.answer(404, &[]), Keep::Refuse(Reason::NoLifetime));
    }

    #[test]
    fn parts_are_joined_until_they_are_whole() {
        let mut site = Site::new();
        site.options.partial = PartialUse::Store;
        site.stored.status = 206;
        site.stored.content = Content::Part { first: 0, last: 4, complete: Some(11) };
        let part = |range: &'static str| {
            let length = match ContentRange::parse(range).unwrap().length() {
                2 => "2",
                3 => "3",
                _ => "6",
            };
            [("content-range", range), ("content-length", length), ("etag", "\"a\""), ("cache-control", "max-age=60")]
        };
        let Keep::Join(joined, _) = site.answer(206, &part("bytes 5-10/11")) else { panic!("a join") };
        assert_eq!((joined.status, joined.content), (200, Content::Whole { length: Some(11) }));
        assert_eq!((joined.groups.len(), joined.last_modified.is_some()), (1, true), "what only the stored part said");
        let Keep::Join(joined, _) = site.answer(206, &part("bytes 5-6/11")) else { panic!("a join") };
        assert_eq!((joined.status, joined.content), (206, Content::Part { first: 0, last: 6, complete: Some(11) }));
        assert!(matches!(site.answer(206, &part("bytes 8-10/11")), Keep::Store(_)));
        for length in ["5", "7", "", "six"] {
            let mut wrong = part("bytes 5-10/11");
            wrong[1].1 = length;
            assert_eq!(site.answer(206, &wrong), Keep::Refuse(Reason::Partial), "{length}");
        }
        site.stored.content = Content::Whole { length: Some(11) };
        assert_eq!(site.answer(206, &part("bytes 8-10/11")), Keep::Refuse(Reason::Partial));
    }

    #[test]
    fn a_few_bytes_are_joined_only_where_they_complete() {
        let mut site = Site::new();
        site.options.partial = PartialUse::Store;
        site.stored.status = 206;
        for (complete, length, joins) in [(1000, 9, false), (1000, 10, true), (81, 1, true)] {
            site.stored.content = Content::Part { first: 0, last: 79, complete: Some(complete) };
            let (range, length) = (format!("bytes 80-{}/{complete}", 79 + length), length.to_string());
            let fields = [
                ("content-range", range.as_str()),
                ("content-length", &length),
                ("etag", "\"a\""),
                ("cache-control", "max-age=60"),
            ];
            let keep = site.answer(206, &fields);
            assert_eq!(matches!(keep, Keep::Join(..)), joins, "{range}: {keep:?}");
            assert!(joins || keep == Keep::Refuse(Reason::Partial), "{range}: {keep:?}");
        }
    }

    #[test]
    fn what_was_purged_on_its_way_is_not_stored() {
        let mut site = Site::new();
        let fresh = [("cache-control", "max-age=60")];
        assert!(matches!(site.answer(200, &fresh), Keep::Store(_)));
        site.purges.purge(Selector::Key(CacheKey::new(&TARGET)), Strength::Hard, Timestamp::UNIX_EPOCH);
        assert_eq!(site.answer(200, &fresh), Keep::Refuse(Reason::Purged));
        assert!(!site.answer(200, &fresh).is_uncacheable());
        assert_eq!(site.answer(304, &[("etag", "\"a\"")]), Keep::Refetch);
    }
}
