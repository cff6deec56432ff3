//! Ranges of a stored response (RFC 9110 §14).

use core::fmt;

use super::metadata::Content;

/// Bytes of a representation, the first and the last included. Shows as the value of `Content-Range`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The place of the first byte.
    pub first: u64,
    /// The place of the last byte.
    pub last: u64,
    /// The length of the whole, where that is known.
    pub complete: Option<u64>,
}

/// What a `Range` asks of a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing that is answered with a part: the field is absent, unreadable, of another unit, or asks for several
    /// parts. A server may ignore it then (RFC 9110 §14.2), and the full response serves as well.
    Everything,
    /// One part.
    Part(ContentRange),
    /// Only bytes past its end.
    Unsatisfiable {
        /// The length of the whole.
        complete: u64,
    },
    /// Bytes that are not stored.
    Missing,
}

impl ContentRange {
    /// Reads `Content-Range` (RFC 9110 §14.4). Allocates nothing.
    ///
    /// `None` for another unit, for an unsatisfied range, and for one that contradicts itself.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (unit, rest) = value.trim_matches([' ', '\t']).split_once(' ')?;
        let (range, complete) = rest.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        let complete = if complete == "*" { None } else { Some(number(complete)?) };
        let consistent = first <= last && complete.is_none_or(|complete| last < complete);
        (unit.eq_ignore_ascii_case("bytes") && consistent).then_some(Self { first, last, complete })
    }

    /// How many bytes it is.
    #[must_use]
    pub const fn length(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes {}-{}/", self.first, self.last)?;
        match self.complete {
            Some(complete) => write!(f, "{complete}"),
            None => f.write_str("*"),
        }
    }
}

/// Reads a `Range` against what is stored. Allocates nothing.
///
/// Up to [`RANGES_MAX`] ranges that touch are answered as one; otherwise everything is, because many small parts of
/// one response cost more than the whole.
#[must_use]
pub fn asked(range: Option<&str>, stored: Content) -> Asked {
    let Some(set) = range.and_then(ranges) else { return Asked::Everything };
    let complete = match stored {
        Content::Whole { length: Some(length) } => length,
        Content::Part { complete: Some(complete), .. } => complete,
        Content::Whole { length: None } => return Asked::Everything,
        // A suffix cannot be placed.
        Content::Part { complete: None, .. } => return Asked::Missing,
    };
    let mut wanted: Option<(u64, u64)> = None;
    let mut count = 0;
    for spec in set.split(',').map(|spec| spec.trim_matches([' ', '\t'])).filter(|spec| !spec.is_empty()) {
        count += 1;
        if count > RANGES_MAX {
            return Asked::Everything;
        }
        let Some(place) = place(spec, complete) else { return Asked::Everything };
        let Some((first, last)) = place else { continue };
        wanted = match wanted {
            None => Some((first, last)),
            Some((from, to)) if first <= to.saturating_add(1) && from <= last.saturating_add(1) => {
                Some((from.min(first), to.max(last)))
            }
            Some(_) => return Asked::Everything,
        };
    }
    match (wanted, stored) {
        (None, _) if count == 0 => Asked::Everything,
        (None, _) => Asked::Unsatisfiable { complete },
        (Some((first, last)), Content::Part { first: from, last: to, .. }) if first < from || last > to => {
            Asked::Missing
        }
        (Some((first, last)), _) => Asked::Part(ContentRange { first, last, complete: Some(complete) }),
    }
}

/// Whether a `Range` asks for one part and can be read. Only such a one is worth asking an origin for: with several, or
/// with what is no range, everything is.
pub(super) fn is_single(value: &str) -> bool {
    ranges(value).is_some_and(|set| place(set.trim_matches([' ', '\t']), u64::MAX).is_some())
}

/// Whether what a `Range` asks for lies in a stored part or follows on it, before or behind.
pub(super) fn touches(range: &str, stored: Content) -> bool {
    let Content::Part { first, last, complete } = stored else { return true };
    match asked(Some(range), Content::Whole { length: complete }) {
        Asked::Part(wanted) => wanted.first <= last.saturating_add(1) && first <= wanted.last.saturating_add(1),
        Asked::Everything | Asked::Unsatisfiable { .. } | Asked::Missing => false,
    }
}

/// The range set of a `Range` value in bytes; `None` for anything else.
pub(super) fn ranges(value: &str) -> Option<&str> {
    let (unit, set) = value.trim_matches([' ', '\t']).split_once('=')?;
    unit.eq_ignore_ascii_case("bytes").then_some(set)
}

/// Where one range lies: `Some(None)` past the end, `None` when it is no range.
fn place(spec: &str, complete: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = spec.split_once('-')?;
    if first.is_empty() {
        let suffix = number(last)?.min(complete);
        return Some(if suffix == 0 { None } else { Some((complete - suffix, complete - 1)) });
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    Some((first < complete).then(|| (first, last.min(complete - 1))))
}

fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // More than fits lies past every end.
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Most ranges that are merged into one; a request for more gets the whole response.
pub const RANGES_MAX: usize = 2;

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    const WHOLE: Content = Content::Whole { length: Some(10) };

    fn part(first: u64, last: u64) -> Asked {
        Asked::Part(ContentRange { first, last, complete: Some(10) })
    }

    #[test]
    fn ranges_of_a_whole_response() {
        for (id, range, expect) in [
            ("range-first-last", "bytes=0-1", part(0, 1)),
            ("range-open", "bytes=1-", part(1, 9)),
            ("range-suffix", "bytes=-1", part(9, 9)),
            ("range-long-suffix", "bytes=-99", part(0, 9)),
            ("range-past-end", "bytes=5-99", part(5, 9)),
            ("range-huge", "bytes=5-99999999999999999999999", part(5, 9)),
            ("range-unit-case", "BYTES=0-0", part(0, 0)),
            ("range-two-touching", "bytes=0-1,2-3", part(0, 3)),
            ("range-two-overlapping", "bytes=5-8, 0-6", part(0, 8)),
            ("range-two-apart", "bytes=0-1,5-6", Asked::Everything),
            ("range-three", "bytes=0-1,1-2,2-3", Asked::Everything),
            ("range-one-of-two-past-end", "bytes=0-1,20-30", part(0, 1)),
            ("range-unsatisfiable", "bytes=10-", Asked::Unsatisfiable { complete: 10 }),
            ("range-suffix-zero", "bytes=-0", Asked::Unsatisfiable { complete: 10 }),
            ("range-backwards", "bytes=3-2", Asked::Everything),
            ("range-other-unit", "lines=0-1", Asked::Everything),
            ("range-not-a-number", "bytes=a-b", Asked::Everything),
            ("range-plus", "bytes=+1-2", Asked::Everything),
            ("range-empty", "bytes=", Asked::Everything),
            ("range-just-dash", "bytes=-", Asked::Everything),
        ] {
            assert_eq!(asked(Some(range), WHOLE), expect, "{id}");
        }
        for (range, single) in
            [("bytes=0-1", true), ("bytes= -5 ", true), ("bytes=7-", true), ("bytes=0-1,2-3", false), ("bytes=", false)]
        {
            assert_eq!(is_single(range), single, "{range}");
        }
        assert_eq!(asked(None, WHOLE), Asked::Everything);
        assert_eq!(asked(Some("bytes=0-1"), Content::Whole { length: None }), Asked::Everything);
        assert_eq!(asked(Some("bytes=0-"), Content::Whole { length: Some(0) }), Asked::Unsatisfiable { complete: 0 });
    }

    #[test]
    fn ranges_of_a_part() {
        let stored = Content::Part { first: 4, last: 9, complete: Some(10) };
        for (id, range, expect) in [
            ("part-inside", "bytes=6-8", part(6, 8)),
            ("part-open", "bytes=6-", part(6, 9)),
            ("part-suffix", "bytes=-1", part(9, 9)),
            ("part-before", "bytes=3-5", Asked::Missing),
            ("part-none", "lines=1-2", Asked::Everything),
        ] {
            assert_eq!(asked(Some(range), stored), expect, "{id}");
        }
        for (range, expect) in
            [("bytes=3-5", true), ("bytes=0-3", true), ("bytes=0-2", false), ("bytes=-1", true), ("bytes=20-", false)]
        {
            assert_eq!(touches(range, stored), expect, "{range}");
        }
        let unknown = Content::Part { first: 0, last: 4, complete: None };
        assert_eq!(asked(Some("bytes=0-1"), unknown), Asked::Missing);
    }

    #[test]
    fn a_content_range_says_where_it_lies() {
        for (value, expect) in [
            ("bytes 0-4/10", Some((0, 4, Some(10)))),
            ("bytes 4-9/*", Some((4, 9, None))),
            ("Bytes 0-0/1", Some((0, 0, Some(1)))),
            ("bytes 4-10/10", None),
            ("bytes 5-4/10", None),
            ("bytes */10", None),
            ("bytes 0-4", None),
            ("lines 0-4/10", None),
            ("bytes -1-4/10", None),
        ] {
            let range = ContentRange::parse(value);
            assert_eq!(range.map(|range| (range.first, range.last, range.complete)), expect, "{value}");
            if let Some(range) = range {
                assert_eq!(ContentRange::parse(&range.to_string()), Some(range));
            }
        }
    }
}
