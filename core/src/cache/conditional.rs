//! A client's own conditions and ranges, answered from what is stored (RFC 9111 §4.3.2, RFC 9110 §13 and §14).

use crate::headers::{Fields, Names, as_text};

use super::{
    date::HttpDate,
    list::members,
    metadata::{Content, Metadata},
    options::OriginPreconditions,
    range::{Asked, ContentRange, asked},
};

/// How to answer a request with a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As it is.
    Full,
    /// With 304: the client has it.
    NotModified,
    /// With 412: the client's precondition does not hold.
    PreconditionFailed,
    /// With 206 and this part of it. A host that cannot cut a body may answer with all of it (RFC 9110 §14.2).
    Part(ContentRange),
    /// With 416: it ends before what was asked for.
    Unsatisfiable {
        /// The length of the whole.
        complete: u64,
    },
}

impl Answer {
    /// The status to answer with, given that of the stored response.
    #[must_use]
    pub const fn status(self, stored: u16) -> u16 {
        match self {
            Self::Full => stored,
            Self::NotModified => 304,
            Self::PreconditionFailed => 412,
            Self::Part(_) => 206,
            Self::Unsatisfiable { .. } => 416,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::NotModified => "not-modified",
            Self::PreconditionFailed => "precondition-failed",
            Self::Part(_) => "part",
            Self::Unsatisfiable { .. } => "unsatisfiable",
        }
    }
}

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evaluation {
    /// The stored response answers it.
    Answer(Answer),
    /// Only the origin may evaluate them ([`OriginPreconditions::Forward`]).
    Forward,
    /// The bytes it asks for are not stored.
    Missing,
}

/// Evaluates the conditions and the range of a `GET` or `HEAD`, in the order of RFC 9110 §13.2.2.
///
/// Only a stored 200 or part of one has conditions (RFC 9111 §4.3.2); a date that cannot be read counts as absent.
/// Reads at most five fields, allocates nothing where the host's fields are borrowed.
#[must_use]
pub fn evaluate(
    stored: &Metadata,
    method: &str,
    request: &impl Fields,
    preconditions: OriginPreconditions,
) -> Evaluation {
    if !matches!(stored.status, 200 | 206) {
        return Evaluation::Answer(Answer::Full);
    }
    match preconditions {
        OriginPreconditions::Ignore => {}
        OriginPreconditions::Forward => {
            if request.field("if-match").is_some() || request.field("if-unmodified-since").is_some() {
                return Evaluation::Forward;
            }
        }
        OriginPreconditions::Evaluate => {
            if !origin_preconditions_hold(stored, request) {
                return Evaluation::Answer(Answer::PreconditionFailed);
            }
        }
    }
    let usual = request.fields(&USUAL);
    let [none_match, modified_since, range] = usual.all();
    if is_known(stored, none_match.map(as_text).as_deref(), modified_since) {
        return Evaluation::Answer(Answer::NotModified);
    }
    let range = range.filter(|_| method == "GET").filter(|_| if_range_holds(stored, request));
    let whole = matches!(stored.content, Content::Whole { .. });
    let range = range.map(as_text);
    match asked(range.as_deref(), stored.content) {
        Asked::Everything if whole => Evaluation::Answer(Answer::Full),
        Asked::Part(range) => Evaluation::Answer(Answer::Part(range)),
        Asked::Unsatisfiable { complete } => Evaluation::Answer(Answer::Unsatisfiable { complete }),
        Asked::Everything | Asked::Missing => Evaluation::Missing,
    }
}

/// The conditions that browsers send, read together.
static USUAL: Names<3> = Names::new(["if-none-match", "if-modified-since", "range"]);

/// `If-None-Match` and, only when that is absent, `If-Modified-Since`: whether the client has what is stored.
fn is_known(stored: &Metadata, none_match: Option<&str>, modified_since: Option<&[u8]>) -> bool {
    match none_match {
        Some(list) => list_has(list, stored.etag.as_deref(), weakly_equal),
        None => modified_since
            .and_then(HttpDate::read)
            // Without Last-Modified the Date stands in (RFC 9111 §4.3.2).
            .is_some_and(|since| second_of(stored.last_modified.unwrap_or(stored.date)) <= since),
    }
}

fn origin_preconditions_hold(stored: &Metadata, request: &impl Fields) -> bool {
    match request.field("if-match") {
        Some(list) => list_has(&list, stored.etag.as_deref(), strongly_equal),
        None => request
            .field("if-unmodified-since")
            .and_then(|value| value.parse::<HttpDate>().ok())
            .zip(stored.last_modified)
            .is_none_or(|(since, modified)| second_of(modified) <= since),
    }
}

/// Whether `If-Range` allows a part: absent, or strongly the stored validator (RFC 9110 §13.1.5).
fn if_range_holds(stored: &Metadata, request: &impl Fields) -> bool {
    let Some(condition) = request.field("if-range") else { return true };
    let condition = condition.trim_matches([' ', '\t']);
    match condition.parse::<HttpDate>() {
        Ok(date) => stored.strong_last_modified().is_some_and(|modified| second_of(modified) == date),
        Err(_) => stored.etag.as_deref().is_some_and(|etag| strongly_equal(condition, etag)),
    }
}

fn list_has(list: &str, etag: Option<&str>, equal: impl Fn(&str, &str) -> bool) -> bool {
    list.trim_matches([' ', '\t']) == "*" || etag.is_some_and(|etag| members(list).any(|tag| equal(tag, etag)))
}

/// Weak comparison of two entity tags (RFC 9110 §8.8.3.2); what is not one equals nothing.
pub(super) fn weakly_equal(one: &str, other: &str) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").map_or(tag.len(), str::len);
    let (one, other) = (&one[one.len() - opaque(one)..], &other[other.len() - opaque(other)..]);
    one == other && is_opaque_tag(one)
}

/// Strong comparison of two entity tags (RFC 9110 §8.8.3.2).
pub(super) fn strongly_equal(one: &str, other: &str) -> bool {
    one == other && is_opaque_tag(one)
}

fn is_opaque_tag(tag: &str) -> bool {
    tag.len() >= 2 && tag.starts_with('"') && tag.ends_with('"')
}

fn second_of(time: crate::time::Timestamp) -> HttpDate {
    HttpDate::from_timestamp(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cache::metadata::tests::metadata, time::Timestamp};

    fn stored(etag: Option<&str>) -> Metadata {
        Metadata {
            etag: etag.map(Into::into),
            last_modified: Some(Timestamp::from_unix_seconds(784_111_777)),
            date: Timestamp::from_unix_seconds(784_111_837),
            ..metadata(0, 60, 0, 0)
        }
    }

    fn answer(stored: &Metadata, request: &[(&str, &str)]) -> Answer {
        match evaluate(stored, "GET", &request, OriginPreconditions::Evaluate) {
            Evaluation::Answer(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    #[test]
    fn entity_tags_compare_weakly_and_outrank_dates() {
        for (id, etag, list, expect) in [
            ("inm-strong", Some("\"a\""), "\"a\"", Answer::NotModified),
            ("inm-weak-of-strong", Some("\"a\""), "W/\"a\"", Answer::NotModified),
            ("inm-strong-of-weak", Some("W/\"a\""), "\"b\", \"a\"", Answer::NotModified),
            ("inm-comma-inside", Some("\"a,b\""), "\"x\", \"a,b\"", Answer::NotModified),
            ("inm-star", Some("\"a\""), "*", Answer::NotModified),
            ("inm-star-without-etag", None, "*", Answer::NotModified),
            ("inm-case", Some("\"a\""), "\"A\"", Answer::Full),
            ("inm-unquoted", Some("\"a\""), "a", Answer::Full),
            ("inm-both-unquoted", Some("a"), "a", Answer::Full),
            ("inm-lower-case-weak", Some("w/\"a\""), "w/\"a\"", Answer::Full),
            ("inm-without-etag", None, "\"a\"", Answer::Full),
        ] {
            assert_eq!(answer(&stored(etag), &[("if-none-match", list)]), expect, "{id}");
        }
        let both = [("if-none-match", "\"b\""), ("if-modified-since", MODIFIED)];
        assert_eq!(answer(&stored(Some("\"a\"")), &both), Answer::Full, "inm-outranks-ims");
        let not_found = Metadata { status: 404, ..stored(Some("\"a\"")) };
        assert_eq!(answer(&not_found, &[("if-none-match", "\"a\"")]), Answer::Full, "inm-of-404");
    }

    #[test]
    fn a_date_compares_to_the_second() {
        for (value, expect) in [
            (MODIFIED, Answer::NotModified),
            (LATER, Answer::NotModified),
            (EARLIER, Answer::Full),
            ("yesterday", Answer::Full),
        ] {
            assert_eq!(answer(&stored(None), &[("if-modified-since", value)]), expect, "{value}");
        }
        let undated = Metadata { last_modified: None, ..stored(None) };
        for (value, expect) in
            [("Sun, 06 Nov 1994 08:50:37 GMT", Answer::NotModified), ("Sun, 06 Nov 1994 08:50:36 GMT", Answer::Full)]
        {
            assert_eq!(answer(&undated, &[("if-modified-since", value)]), expect, "Date stands in: {value}");
        }
    }

    #[test]
    fn what_only_an_origin_may_evaluate_is_a_choice() {
        for (id, etag, request, holds) in [
            ("if-match", Some("\"a\""), ("if-match", "\"b\", \"a\""), true),
            ("if-match-star", None, ("if-match", "*"), true),
            ("if-match-other", Some("\"a\""), ("if-match", "\"b\""), false),
            ("if-match-weak", Some("W/\"a\""), ("if-match", "W/\"a\""), false),
            ("ius-same", None, ("if-unmodified-since", MODIFIED), true),
            ("ius-earlier", None, ("if-unmodified-since", EARLIER), false),
            ("ius-unreadable", None, ("if-unmodified-since", "x"), true),
        ] {
            let stored = stored(etag);
            let expect = if holds { Answer::Full } else { Answer::PreconditionFailed };
            assert_eq!(answer(&stored, &[request]), expect, "{id}");
            let choice = |choice| evaluate(&stored, "GET", &[request], choice);
            assert_eq!(choice(OriginPreconditions::Ignore), Evaluation::Answer(Answer::Full), "{id}");
            assert_eq!(choice(OriginPreconditions::Forward), Evaluation::Forward, "{id}");
        }
        let both = [("if-match", "\"a\""), ("if-unmodified-since", EARLIER)];
        assert_eq!(answer(&stored(Some("\"a\"")), &both), Answer::Full, "if-match-outranks-ius");
    }

    #[test]
    fn a_part_needs_a_condition_that_holds_strongly() {
        let part = Answer::Part(ContentRange { first: 0, last: 1, complete: Some(11) });
        for (id, etag, condition, expect) in [
            ("if-range-absent", None, None, part),
            ("if-range-etag", Some("\"a\""), Some("\"a\""), part),
            ("if-range-other", Some("\"a\""), Some("\"b\""), Answer::Full),
            ("if-range-weak", Some("W/\"a\""), Some("W/\"a\""), Answer::Full),
            ("if-range-date", None, Some(MODIFIED), part),
            ("if-range-later", None, Some(LATER), Answer::Full),
            ("if-range-nonsense", None, Some("x"), Answer::Full),
        ] {
            let mut request = alloc::vec![("range", "bytes=0-1")];
            request.extend(condition.map(|condition| ("if-range", condition)));
            assert_eq!(answer(&stored(etag), &request), expect, "{id}");
        }
        let recent = Metadata { date: Timestamp::from_unix_seconds(784_111_778), ..stored(None) };
        assert_eq!(
            answer(&recent, &[("range", "bytes=0-1"), ("if-range", MODIFIED)]),
            Answer::Full,
            "if-range-weak-date"
        );
        let head = evaluate(&stored(None), "HEAD", &[("range", "bytes=0-1")], OriginPreconditions::Ignore);
        assert_eq!(head, Evaluation::Answer(Answer::Full), "range-of-head");
        let known = [("range", "bytes=0-1"), ("if-none-match", "*")];
        assert_eq!(answer(&stored(None), &known), Answer::NotModified, "conditions come before ranges");
        assert_eq!(
            answer(&stored(None), &[("range", "bytes=11-")]),
            Answer::Unsatisfiable { complete: 11 },
            "range-unsatisfiable"
        );
    }
}
