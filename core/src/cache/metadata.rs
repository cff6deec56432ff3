//! What is kept beside a stored response, and what it answers later.

use alloc::string::String;
use core::time::Duration;

use crate::time::Timestamp;

use super::{date::HttpDate, directives::delta_seconds, vary::VaryBy};

/// Everything a later decision needs to know of a stored response; the host keeps it beside the body.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Metadata {
    /// The status code of the response.
    pub status: u16,
    /// When it arrived.
    pub response_time: Timestamp,
    /// How old it was then: `corrected_initial_age` of RFC 9111 §4.2.3.
    pub initial_age: Duration,
    /// How long it is fresh: `freshness_lifetime` of RFC 9111 §4.2.1.
    pub freshness_lifetime: Duration,
    /// How long after that it may be served while it is revalidated (RFC 5861 §3).
    pub stale_while_revalidate: Duration,
    /// How long after its freshness it may be served when the origin fails (RFC 5861 §4).
    pub stale_if_error: Duration,
    /// Its `ETag`, as it came.
    pub etag: Option<String>,
    /// Its `Last-Modified`.
    pub last_modified: Option<Timestamp>,
    /// The request fields that chose it.
    pub vary: VaryBy,
}

/// What may be done with a stored response now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Serve it.
    Fresh {
        /// `current_age`, for the `Age` field.
        age: Duration,
        /// How much longer it is fresh; never zero.
        ttl: Duration,
    },
    /// Serve it, and revalidate it in the background.
    StaleWhileRevalidate {
        /// `current_age`, for the `Age` field.
        age: Duration,
        /// How long it has been stale.
        stale_for: Duration,
    },
    /// Validate it with the origin first.
    Validate {
        /// `current_age`, for the `Age` field should it be served after all.
        age: Duration,
        /// How long it has been stale.
        stale_for: Duration,
        /// Whether it may be served if the origin fails now. Decided here, before the call, so that the time
        /// the call takes cannot change it.
        serve_if_error: bool,
    },
}

impl Metadata {
    /// `current_age` (RFC 9111 §4.2.3). While the clock stands before `response_time` this is the initial age,
    /// so a clock that steps back makes nothing older and nothing panics.
    #[must_use]
    pub fn current_age(&self, now: Timestamp) -> Duration {
        self.initial_age.saturating_add(now.since(self.response_time))
    }

    /// What may be done with it at `now`. A response is fresh while its lifetime is greater than its age
    /// (RFC 9111 §4.2), and each window after it is half open too.
    #[must_use]
    pub fn reuse(&self, now: Timestamp) -> Reuse {
        let age = self.current_age(now);
        if let Some(ttl) = self.freshness_lifetime.checked_sub(age).filter(|ttl| !ttl.is_zero()) {
            return Reuse::Fresh { age, ttl };
        }
        let stale_for = age.saturating_sub(self.freshness_lifetime);
        if stale_for < self.stale_while_revalidate {
            Reuse::StaleWhileRevalidate { age, stale_for }
        } else {
            Reuse::Validate { age, stale_for, serve_if_error: stale_for < self.stale_if_error }
        }
    }

    /// Whether it may be served at `now` although the origin cannot be asked.
    #[must_use]
    pub fn usable_on_error(&self, now: Timestamp) -> bool {
        let stale_for = self.current_age(now).saturating_sub(self.freshness_lifetime);
        stale_for < self.stale_if_error.max(self.stale_while_revalidate)
            || self.freshness_lifetime > self.current_age(now)
    }

    /// How long the host has to keep it, from `now`: until it is of no use, not even on an error, and as long as it
    /// can be validated at least [`VALIDATABLE_FOR`].
    #[must_use]
    pub fn keep_for(&self, now: Timestamp) -> Duration {
        let after = self.stale_while_revalidate.max(self.stale_if_error);
        let validatable =
            if self.etag.is_some() || self.last_modified.is_some() { VALIDATABLE_FOR } else { Duration::ZERO };
        let until = self.freshness_lifetime.saturating_add(after.max(validatable));
        until.saturating_sub(self.current_age(now))
    }
}

/// `corrected_initial_age` (RFC 9111 §4.2.3), from the values of `Date` and `Age`. An unreadable `Age` counts as
/// absent, of several the first counts (RFC 9111 §5.1).
pub(super) fn initial_age(
    date: Option<HttpDate>,
    age: Option<&str>,
    request_time: Timestamp,
    response_time: Timestamp,
) -> Duration {
    let apparent_age = date.map_or(Duration::ZERO, |date| response_time.since(date.timestamp()));
    let age_value = age
        .and_then(|value| value.split(',').next())
        .and_then(|value| delta_seconds(value.trim_matches([' ', '\t'])))
        .unwrap_or(Duration::ZERO);
    let corrected_age_value = age_value.saturating_add(response_time.since(request_time));
    apparent_age.max(corrected_age_value)
}

/// A response with a validator is worth keeping past its use for a while: a 304 is cheaper than a body.
pub const VALIDATABLE_FOR: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: Timestamp = Timestamp::from_unix_seconds(1_000_000);

    fn metadata(initial_age: u64, lifetime: u64, while_revalidate: u64, if_error: u64) -> Metadata {
        Metadata {
            status: 200,
            response_time: STORED,
            initial_age: Duration::from_secs(initial_age),
            freshness_lifetime: Duration::from_secs(lifetime),
            stale_while_revalidate: Duration::from_secs(while_revalidate),
            stale_if_error: Duration::from_secs(if_error),
            etag: None,
            last_modified: None,
            vary: VaryBy::default(),
        }
    }

    #[test]
    fn each_window_ends_where_the_next_begins() {
        let metadata = metadata(10, 60, 30, 100);
        let at = |millis: u64| metadata.reuse(STORED.after(Duration::from_millis(millis)));
        let secs = Duration::from_secs;
        assert_eq!(at(0), Reuse::Fresh { age: secs(10), ttl: secs(50) });
        assert_eq!(at(49_999), Reuse::Fresh { age: Duration::from_millis(59_999), ttl: Duration::from_millis(1) });
        assert_eq!(at(50_000), Reuse::StaleWhileRevalidate { age: secs(60), stale_for: secs(0) });
        assert!(matches!(at(79_999), Reuse::StaleWhileRevalidate { .. }));
        assert_eq!(at(80_000), Reuse::Validate { age: secs(90), stale_for: secs(30), serve_if_error: true });
        assert!(matches!(at(149_999), Reuse::Validate { serve_if_error: true, .. }));
        assert!(matches!(at(150_000), Reuse::Validate { serve_if_error: false, .. }));
    }

    #[test]
    fn a_clock_that_steps_back_finds_it_as_old_as_it_came() {
        let metadata = metadata(10, 60, 0, 0);
        let before = Timestamp::from_unix_seconds(5);
        assert_eq!(metadata.reuse(before), Reuse::Fresh { age: Duration::from_secs(10), ttl: Duration::from_secs(50) });
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
        for (date, age, request_time, response_time, expect) in [
            (None, None, at(100), at(100), 0),
            (date(90), None, at(100), at(101), 11),
            (date(200), None, at(100), at(101), 1),
            (date(100), Some("30"), at(100), at(102), 32),
            (date(50), Some("30"), at(100), at(102), 52),
            (None, Some("30, 40"), at(100), at(100), 30),
            (None, Some("-5"), at(100), at(100), 0),
            (None, Some("x"), at(100), at(100), 0),
            (date(100), None, at(105), at(100), 0),
        ] {
            let initial = initial_age(date, age, request_time, response_time);
            assert_eq!(initial, Duration::from_secs(expect), "{age:?} {response_time:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn fresh_now_means_fresh_at_every_earlier_time(
            age in 0_u64..100, lifetime in 0_u64..100, now in 0_u64..200, earlier in 0_u64..200,
        ) {
            let metadata = metadata(age, lifetime, 0, 0);
            let fresh = |second| matches!(metadata.reuse(STORED.after(Duration::from_secs(second))), Reuse::Fresh { .. });
            proptest::prop_assert!(!fresh(now) || fresh(earlier.min(now)));
        }

        #[test]
        fn nothing_is_served_past_its_last_window(
            age in 0_u64..100, lifetime in 0_u64..50, swr in 0_u64..50, sie in 0_u64..50, now in 0_u64..300,
        ) {
            let metadata = metadata(age, lifetime, swr, sie);
            let at = STORED.after(Duration::from_secs(now));
            let past = age + now >= lifetime + swr.max(sie);
            let served = match metadata.reuse(at) {
                Reuse::Fresh { .. } | Reuse::StaleWhileRevalidate { .. } => true,
                Reuse::Validate { serve_if_error, .. } => serve_if_error,
            };
            proptest::prop_assert_eq!(served, !past);
            proptest::prop_assert_eq!(served, metadata.usable_on_error(at));
            proptest::prop_assert_eq!(served, !metadata.keep_for(at).is_zero());
        }
    }
}
