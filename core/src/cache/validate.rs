//! Validation: what to ask the origin about a stored response, and which stored response its answer is about
//! (RFC 9111 §4.3).

use alloc::borrow::Cow;

use crate::headers::Fields;

use super::{
    conditional::{strongly_equal, weakly_equal},
    date::HttpDate,
    metadata::{Content, Metadata},
};

/// The conditions of a request that validates a stored response: as the host writes them into its fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validators<'a> {
    /// `If-None-Match`.
    pub etag: Option<&'a str>,
    /// `If-Modified-Since`.
    pub last_modified: Option<HttpDate>,
}

/// What an answer to a validation, or to a `HEAD`, says of the stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// It is the one that the answer is about: a strong validator is the same.
    Strong,
    /// It is the one: a weak validator is the same, and there is no strong one.
    Weak,
    /// It is the one: neither has any validator.
    Only,
    /// The answer has no validator, and the stored response does: what was asked about is still right, and nothing says
    /// that the answer's fields are about it.
    Unnamed,
    /// The answer is about something else. It must not change what is stored.
    Other,
}

impl<'a> Validators<'a> {
    /// What is known of a stored response (RFC 9111 §4.3.1). Both conditions are sent where both are known: an origin
    /// that does not know entity tags reads the date.
    #[must_use]
    pub fn of(stored: &'a Metadata) -> Self {
        Self { etag: stored.etag.as_deref(), last_modified: stored.last_modified.map(HttpDate::from_timestamp) }
    }

    /// Whether there is nothing to ask with.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }
}

/// Whether a 304 is about the stored response that was asked about (RFC 9111 §4.3.4).
///
/// Only one stored response is asked about at a time, so it is the whole initial set. A 304 without validators, which
/// an origin must not send where it knows one (RFC 9110 §15.4.5), answers the one condition that was sent, so what is
/// stored may be used; but it selects nothing that has a validator, so it must not change its fields.
#[must_use]
pub fn select(stored: &Metadata, answer: &impl Fields) -> Selection {
    let etag = answer.field("etag");
    let modified = answer.field("last-modified").and_then(|value| value.parse::<HttpDate>().ok());
    let strong = etag.as_deref().filter(|etag| etag.starts_with('"'));
    if let Some(strong) = strong {
        let same = stored.strong_etag().is_some_and(|stored| strongly_equal(strong, stored));
        return if same { Selection::Strong } else { Selection::Other };
    }
    let same_etag = etag.as_deref().map(|etag| stored.etag.as_deref().is_some_and(|stored| weakly_equal(etag, stored)));
    let same_date = modified.map(|date| stored.last_modified.map(HttpDate::from_timestamp) == Some(date));
    match (same_etag, same_date) {
        (None, None) if stored.has_validator() => Selection::Unnamed,
        (None, None) => Selection::Only,
        (Some(false), _) | (_, Some(false)) => Selection::Other,
        _ if stored.strong_last_modified().is_some() && same_date == Some(true) => Selection::Strong,
        _ => Selection::Weak,
    }
}

/// Whether a 200 answer to `HEAD` is about the representation that is stored (RFC 9111 §4.3.5): every validator that
/// both have is the same, and the length too.
#[must_use]
pub fn head_agrees(stored: &Metadata, answer: &impl Fields) -> bool {
    let etag = answer.field("etag");
    let modified = answer.field("last-modified").and_then(|value| value.parse::<HttpDate>().ok());
    let length: Option<u64> = answer.field("content-length").and_then(|value| value.trim().parse().ok());
    let stored_length = match stored.content {
        Content::Whole { length } => length,
        Content::Part { complete, .. } => complete,
    };
    let same_etag = match (etag.as_deref(), stored.etag.as_deref()) {
        (Some(etag), Some(stored)) => etag == stored,
        (None, None) => true,
        _ => false,
    };
    let same_date = match (modified, stored.last_modified) {
        (Some(date), Some(stored)) => date == HttpDate::from_timestamp(stored),
        (None, None) => true,
        _ => false,
    };
    same_etag && same_date && length.zip(stored_length).is_none_or(|(one, other)| one == other)
}

/// The fields of a stored response once an answer has updated them (RFC 9111 §3.2).
#[derive(Clone, Copy, Debug)]
pub struct Updated<'a, Stored, Answer> {
    /// The fields of the stored response.
    pub stored: &'a Stored,
    /// The fields of the 304, or of the answer to `HEAD`.
    pub answer: &'a Answer,
    /// Whether those that say how to read the body change too
    /// ([`CacheOptions::update_content_fields`](super::CacheOptions::update_content_fields)).
    pub content_fields: bool,
}

impl<Stored: Fields, Answer: Fields> Fields for Updated<'_, Stored, Answer> {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        // These are of one response and must not live on.
        if matches!(name, "age" | "date") {
            return self.answer.field(name);
        }
        if is_fixed_by_body(name, self.content_fields) {
            return self.stored.field(name);
        }
        self.answer.field(name).or_else(|| self.stored.field(name))
    }
}

/// Whether an answer leaves this field of a stored response as it is: it describes the body that is kept, belongs to
/// one connection, or may not be stored at all (RFC 9111 §3.1, §3.2). With `content_fields`, `Content-Type` and the
/// like change as well.
#[must_use]
pub fn is_fixed_by_body(name: &str, content_fields: bool) -> bool {
    let is = |fixed: &&str| fixed.eq_ignore_ascii_case(name);
    FIXED.iter().any(is) || (!content_fields && CONTENT_FIELDS.iter().any(is))
}

const FIXED: [&str; 15] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-md5",
    "content-range",
    "etag",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

const CONTENT_FIELDS: [&str; 1] = ["content-type"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cache::metadata::tests::metadata, time::Timestamp};

    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn stored(etag: Option<&str>, modified: bool) -> Metadata {
        Metadata {
            etag: etag.map(Into::into),
            last_modified: modified.then(|| Timestamp::from_unix_seconds(784_111_777)),
            date: Timestamp::from_unix_seconds(784_111_877),
            ..metadata(0, 60, 0, 0)
        }
    }

    #[test]
    fn a_304_is_about_what_its_validator_names() {
        let modified = ("last-modified", MODIFIED);
        for (id, stored_etag, stored_modified, answer, expect) in [
            ("304-strong-same", Some("\"a\""), false, &[("etag", "\"a\"")][..], Selection::Strong),
            ("304-strong-other", Some("\"a\""), true, &[("etag", "\"b\""), modified], Selection::Other),
            ("304-strong-of-weak", Some("W/\"a\""), false, &[("etag", "\"a\"")], Selection::Other),
            ("304-strong-of-none", None, true, &[("etag", "\"a\"")], Selection::Other),
            ("304-weak-same", Some("W/\"a\""), false, &[("etag", "W/\"a\"")], Selection::Weak),
            ("304-weak-of-strong", Some("\"a\""), false, &[("etag", "W/\"a\"")], Selection::Weak),
            ("304-weak-other", Some("W/\"a\""), false, &[("etag", "W/\"b\"")], Selection::Other),
            ("304-date-same", None, true, &[modified], Selection::Strong),
            ("304-date-other", None, true, &[("last-modified", "Sun, 06 Nov 1994 08:49:38 GMT")], Selection::Other),
            (
                "304-weak-same-date-other",
                Some("W/\"a\""),
                true,
                &[("etag", "W/\"a\""), ("last-modified", "Sun, 06 Nov 1994 08:49:38 GMT")],
                Selection::Other,
            ),
            ("304-silent-of-etag", Some("\"a\""), false, &[], Selection::Unnamed),
            ("304-silent-of-date", None, true, &[], Selection::Unnamed),
            ("304-silent-of-none", None, false, &[], Selection::Only),
            ("304-unquoted", Some("a"), false, &[("etag", "a")], Selection::Other),
        ] {
            assert_eq!(select(&stored(stored_etag, stored_modified), &answer), expect, "{id}");
        }
    }

    #[test]
    fn a_head_agrees_when_nothing_differs() {
        for (id, etag, answer, expect) in [
            ("head-nothing", None, &[][..], true),
            ("head-length-same", None, &[("content-length", "11")], true),
            ("head-length-other", None, &[("content-length", "12")], false),
            ("head-etag-same", Some("\"a\""), &[("etag", "\"a\"")], true),
            ("head-etag-other", Some("\"a\""), &[("etag", "\"b\"")], false),
            ("head-etag-gone", Some("\"a\""), &[], false),
            ("head-etag-new", None, &[("etag", "\"a\"")], false),
            ("head-date-new", None, &[("last-modified", MODIFIED)], false),
        ] {
            assert_eq!(head_agrees(&stored(etag, false), &answer), expect, "{id}");
        }
    }

    #[test]
    fn an_update_keeps_what_describes_the_body() {
        let stored =
            [("content-type", "text/html"), ("x", "1"), ("y", "1"), ("age", "9"), ("date", "d"), ("etag", "\"a\"")];
        let answer = [("content-type", "evil/type"), ("x", "2"), ("etag", "\"b\""), ("content-length", "9")];
        let updated = |content_fields| Updated { stored: &stored, answer: &answer, content_fields };
        let expect = [
            ("content-type", Some("text/html")),
            ("x", Some("2")),
            ("y", Some("1")),
            ("age", None),
            ("date", None),
            ("etag", Some("\"a\"")),
            ("content-length", None),
        ];
        for (name, value) in expect {
            assert_eq!(updated(false).field(name).as_deref(), value, "{name}");
        }
        assert_eq!(updated(true).field("content-type").as_deref(), Some("evil/type"));
        assert!(is_fixed_by_body("Content-Encoding", false) && !is_fixed_by_body("cache-control", false));
    }

    #[test]
    fn validators_are_what_is_known() {
        let stored = stored(Some("W/\"a\""), true);
        let validators = Validators::of(&stored);
        assert_eq!((validators.etag, validators.last_modified), (Some("W/\"a\""), MODIFIED.parse().ok()));
        assert!(Validators::of(&metadata(0, 1, 0, 0)).is_empty());
    }
}
