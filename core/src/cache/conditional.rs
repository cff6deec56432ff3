//! A client's own validators, answered from what is stored (RFC 9110 §13).

use crate::headers::Fields;

use super::{date::HttpDate, directives::members, metadata::Metadata};

/// How to answer a request for a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With the stored response.
    Full,
    /// With 304: the client has it.
    NotModified,
}

/// Evaluates `If-None-Match` and, only when that is absent, `If-Modified-Since` (RFC 9110 §13.2.2).
///
/// Only a stored 200 answers 304; a date that cannot be read counts as absent.
#[must_use]
pub fn answer(stored: &Metadata, request: &impl Fields) -> Answer {
    if stored.status != 200 {
        return Answer::Full;
    }
    let known = match request.field("if-none-match") {
        Some(list) => matches_any(&list, stored.etag.as_deref()),
        None => request
            .field("if-modified-since")
            .and_then(|value| value.parse::<HttpDate>().ok())
            .zip(stored.last_modified)
            .is_some_and(|(since, modified)| modified <= since.timestamp()),
    };
    if known { Answer::NotModified } else { Answer::Full }
}

/// Weak comparison (RFC 9110 §8.8.3.2) of a list of entity tags with the stored one.
fn matches_any(list: &str, etag: Option<&str>) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).starts_with('"');
    let Some(etag) = etag.filter(|etag| opaque(etag)) else {
        return list.trim() == "*";
    };
    let stored = etag.strip_prefix("W/").unwrap_or(etag);
    members(list).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == stored)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::{cache::vary::VaryBy, time::Timestamp};

    fn check(etag: Option<&str>, request: &[(&str, &str)]) -> Answer {
        let stored = Metadata {
            status: 200,
            response_time: Timestamp::UNIX_EPOCH,
            initial_age: Duration::ZERO,
            freshness_lifetime: Duration::ZERO,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            etag: etag.map(Into::into),
            last_modified: Some(Timestamp::from_unix_seconds(784_111_777)),
            vary: VaryBy::default(),
        };
        assert_eq!(answer(&Metadata { status: 404, ..stored.clone() }, &request), Answer::Full);
        answer(&stored, &request)
    }

    #[test]
    fn entity_tags_compare_weakly_and_outrank_dates() {
        for (etag, list, expect) in [
            (Some("\"a\""), "\"a\"", Answer::NotModified),
            (Some("\"a\""), "W/\"a\"", Answer::NotModified),
            (Some("W/\"a\""), "\"b\", \"a\"", Answer::NotModified),
            (Some("\"a,b\""), "\"x\", \"a,b\"", Answer::NotModified),
            (Some("\"a\""), "*", Answer::NotModified),
            (None, "*", Answer::NotModified),
            (Some("\"a\""), "\"A\"", Answer::Full),
            (Some("\"a\""), "a", Answer::Full),
            (Some("a"), "a", Answer::Full),
            (None, "\"a\"", Answer::Full),
        ] {
            assert_eq!(check(etag, &[("if-none-match", list)]), expect, "{etag:?} {list}");
        }
        let both = [("if-none-match", "\"b\""), ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")];
        assert_eq!(check(Some("\"a\""), &both), Answer::Full);
    }

    #[test]
    fn a_date_compares_to_the_second() {
        for (value, expect) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Answer::NotModified),
            ("Sun, 06 Nov 1994 08:49:38 GMT", Answer::NotModified),
            ("Sun, 06 Nov 1994 08:49:36 GMT", Answer::Full),
            ("yesterday", Answer::Full),
        ] {
            assert_eq!(check(None, &[("if-modified-since", value)]), expect, "{value}");
        }
        assert_eq!(check(None, &[]), Answer::Full);
    }
}
