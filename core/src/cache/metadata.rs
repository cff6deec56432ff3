//! What is kept beside a stored response, and how old and how fresh it is (RFC 9111 §4.2).

use alloc::{string::String, vec::Vec};
use core::time::Duration;

use crate::time::Timestamp;

use super::{
    date::HttpDate,
    directives::delta_seconds,
    groups::GroupId,
    list::{is_space, without},
    vary::VaryBy,
};

/// Everything a later decision needs to know of a stored response; the host keeps it beside the body.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Metadata {
    /// The status code of the response.
    pub status: u16,
    /// When it arrived.
    pub response_time: Timestamp,
    /// Its `Date`; when it came without one, the time it arrived (RFC 9110 §6.6.1).
    pub date: Timestamp,
    /// How old it was then: `corrected_initial_age` of RFC 9111 §4.2.3.
    pub initial_age: Duration,
    /// How long it is fresh: `freshness_lifetime` of RFC 9111 §4.2.1.
    pub freshness_lifetime: Duration,
    /// How long after that it may be served while it is revalidated (RFC 5861 §3).
    pub stale_while_revalidate: Duration,
    /// How long after its freshness it may be served when the origin fails (RFC 5861 §4).
    pub stale_if_error: Duration,
    /// Whether it must never be served stale (RFC 9111 §5.2.2.2, §5.2.2.8, §5.2.2.10).
    pub forbids_stale: bool,
    /// Whether it must be validated before each use (RFC 9111 §5.2.2.4).
    pub no_cache: bool,
    /// Whether a reload has no reason to ask while it is fresh (RFC 8246).
    pub immutable: bool,
    /// Its `ETag`, as it came.
    pub etag: Option<String>,
    /// Its `Last-Modified`.
    pub last_modified: Option<Timestamp>,
    /// The request fields that chose it.
    pub vary: VaryBy,
    /// How much of the representation its body is.
    pub content: Content,
    /// Whether its `No-Vary-Search` says that other URLs of its path are equal to its own, so that a purge of one of them
    /// is one of it.
    pub search: bool,
    /// The groups and tags it is purged by.
    pub groups: Vec<GroupId>,
    /// The purge generation of its request ([`Purges::stamp`](super::purge::Purges::stamp)).
    pub generation: u64,
}

/// How much of a representation a stored body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Content {
    /// All of it, of this length where that is known.
    Whole {
        /// `Content-Length`.
        length: Option<u64>,
    },
    /// These bytes of it, the first and the last included (RFC 9111 §3.3).
    Part {
        /// The place of the first byte.
        first: u64,
        /// The place of the last byte.
        last: u64,
        /// The length of the whole, where that is known.
        complete: Option<u64>,
    },
}

impl Metadata {
    /// `current_age` (RFC 9111 §4.2.3). While the clock stands before `response_time` this is the initial age,
    /// so a clock that steps back makes nothing older and nothing panics.
    #[must_use]
    pub fn current_age(&self, now: Timestamp) -> Duration {
        self.initial_age.saturating_add(now.since(self.response_time))
    }

    /// How long the host has to keep it, from `now`: until it is of no use, not even on an error, and as long as it
    /// can be validated at least [`VALIDATABLE_FOR`].
    #[must_use]
    pub fn keep_for(&self, now: Timestamp) -> Duration {
        let after = self.stale_while_revalidate.max(self.stale_if_error);
        let validatable = if self.has_validator() { VALIDATABLE_FOR } else { Duration::ZERO };
        let until = self.freshness_lifetime.saturating_add(after.max(validatable));
        until.saturating_sub(self.current_age(now))
    }

    /// Whether the origin can be asked if it is still right.
    #[must_use]
    pub const fn has_validator(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some()
    }

    /// Its entity tag, if it is a strong one (RFC 9110 §8.8.3).
    #[must_use]
    pub fn strong_etag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| etag.starts_with('"'))
    }

    /// Its `Last-Modified`, if that is strong: a minute or more before `Date`, so that a change in the same second
    /// would have shown (RFC 9110 §8.8.2.2).
    #[must_use]
    pub fn strong_last_modified(&self) -> Option<Timestamp> {
        self.last_modified.filter(|modified| self.date.since(*modified) >= STRONG_AFTER)
    }
}

/// `corrected_initial_age` (RFC 9111 §4.2.3), from the values of `Date` and `Age`. An unreadable `Age` counts as
/// absent, of several the first counts (RFC 9111 §5.1).
pub(super) fn initial_age(
    date: Option<HttpDate>,
    age: Option<&[u8]>,
    request_time: Timestamp,
    response_time: Timestamp,
) -> Duration {
    let apparent_age = date.map_or(Duration::ZERO, |date| response_time.since(date.timestamp()));
    let age_value = age
        .and_then(|value| value.split(|byte| *byte == b',').next())
        .and_then(|value| delta_seconds(without(value, is_space)))
        .unwrap_or(Duration::ZERO);
    let corrected_age_value = age_value.saturating_add(response_time.since(request_time));
    apparent_age.max(corrected_age_value)
}

/// A response with a validator is worth keeping past its use for a while: a 304 is cheaper than a body.
pub const VALIDATABLE_FOR: Duration = Duration::from_secs(86_400);

/// How long before `Date` a `Last-Modified` must be to be strong.
const STRONG_AFTER: Duration = Duration::from_secs(60);

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::cache) const STORED: Timestamp = Timestamp::from_unix_seconds(1_000_000);

    /// A stored 200 of eleven bytes with these times, in seconds.
    pub(in crate::cache) fn metadata(
        initial_age: u64,
        lifetime: u64,
        while_revalidate: u64,
        if_error: u64,
    ) -> Metadata {
        Metadata {
            status: 200,
            response_time: STORED,
            date: STORED,
            initial_age: Duration::from_secs(initial_age),
            freshness_lifetime: Duration::from_secs(lifetime),
            stale_while_revalidate: Duration::from_secs(while_revalidate),
            stale_if_error: Duration::from_secs(if_error),
            forbids_stale: false,
            no_cache: false,
            immutable: false,
            etag: None,
            last_modified: None,
            vary: VaryBy::default(),
            content: Content::Whole { length: Some(11) },
            search: false,
            groups: Vec::new(),
            generation: 0,
        }
    }

    #[test]
    fn what_is_useless_is_not_kept() {
        assert_eq!(metadata(10, 60, 30, 100).keep_for(STORED), Duration::from_secs(150));
        assert_eq!(metadata(99, 60, 0, 0).keep_for(STORED), Duration::ZERO);
        let validatable = Metadata { etag: Some("\"a\"".into()), ..metadata(0, 60, 0, 0) };
        assert_eq!(validatable.keep_for(STORED), VALIDATABLE_FOR + Duration::from_secs(60));
    }

    #[test]
    fn age_is_the_greatest_that_the_fields_allow() {
        let date = |second: u64| Some(HttpDate::from_timestamp(Timestamp::from_unix_seconds(second)));
        let at = Timestamp::from_unix_seconds;
        for (id, date, age, request_time, response_time, expect) in [
            ("age-none", None, None, at(100), at(100), 0),
            ("age-apparent", date(90), None, at(100), at(101), 11),
            ("age-date-in-future", date(200), None, at(100), at(101), 1),
            ("age-value-and-delay", date(100), Some("30"), at(100), at(102), 32),
            ("age-apparent-wins", date(50), Some("30"), at(100), at(102), 52),
            ("age-parse-first-of-two", None, Some("30, 40"), at(100), at(100), 30),
            ("age-parse-negative", None, Some("-5"), at(100), at(100), 0),
            ("age-parse-nonnumeric", None, Some("x"), at(100), at(100), 0),
            ("age-parse-float", None, Some("7.0"), at(100), at(100), 0),
            ("age-parse-huge", None, Some("99999999999999999999"), at(100), at(100), 1 << 31),
            ("age-clock-back", date(100), None, at(105), at(100), 0),
        ] {
            let initial = initial_age(date, age.map(str::as_bytes), request_time, response_time);
            assert_eq!(initial, Duration::from_secs(expect), "{id}");
        }
    }

    #[test]
    fn a_date_is_strong_a_minute_later() {
        let modified = |before: u64| Metadata {
            last_modified: Some(Timestamp::from_unix_seconds(1_000_000 - before)),
            ..metadata(0, 60, 0, 0)
        };
        assert!(modified(60).strong_last_modified().is_some());
        assert!(modified(59).strong_last_modified().is_none());
    }
}
