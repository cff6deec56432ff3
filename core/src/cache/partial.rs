//! Partial content: what part to ask for, and joining two (RFC 9111 §3.3 and §3.4, RFC 9110 §15.3.7).

use crate::headers::Fields;

use super::{
    conditional::strongly_equal,
    metadata::{Content, Metadata},
    options::CacheOptions,
    range::{is_single, touches},
};

/// What to do with a part that arrived while another is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// The two become one body.
    Combine(Plan),
    /// They do not fit together: the new one takes the place of the stored one.
    Replace,
}

/// How two bodies become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Which comes first.
    pub order: Order,
    /// How many bytes of the second are already in the first, and are skipped.
    pub overlap: u64,
    /// How many bytes of the second follow on the first; none when all of it is there already.
    pub adds: u64,
    /// What the result is.
    pub content: Content,
}

/// The order of two bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The stored one, then the new one.
    StoredFirst,
    /// The new one, then the stored one.
    NewFirst,
}

/// Whether a new part joins a stored one: both have the same strong validator, agree on the length, and touch, and
/// together they are no longer than `bytes_max`, which is [`part_bytes_max`].
///
/// The order decides which bytes count where they overlap; since both are of the same representation, they are the
/// same bytes. A part inside the stored one leaves it as it is, with nothing to add.
#[must_use]
pub fn join(stored: &Metadata, new: &Metadata, bytes_max: u64) -> Join {
    let same_etag = match (stored.strong_etag(), new.strong_etag()) {
        (Some(one), Some(other)) => strongly_equal(one, other),
        // Without entity tags a strong date will do.
        (None, None) if stored.etag.is_none() && new.etag.is_none() => {
            stored.strong_last_modified().is_some() && stored.strong_last_modified() == new.strong_last_modified()
        }
        _ => false,
    };
    let (Content::Part { first: a, last: b, complete: known }, Content::Part { first: c, last: d, complete: told }) =
        (stored.content, new.content)
    else {
        return Join::Replace;
    };
    let lengths_agree = known.zip(told).is_none_or(|(one, other)| one == other);
    if !same_etag || !lengths_agree {
        return Join::Replace;
    }
    let complete = known.or(told);
    let (first, last) = (a.min(c), b.max(d));
    let touch = a <= d.saturating_add(1) && c <= b.saturating_add(1);
    if !touch || last - first >= bytes_max {
        return Join::Replace;
    }
    let (order, end, begin, length) =
        if a <= c { (Order::StoredFirst, b, c, d - c + 1) } else { (Order::NewFirst, d, a, b - a + 1) };
    let overlap = (end + 1 - begin).min(length);
    Join::Combine(Plan { order, overlap, adds: length - overlap, content: content(first, last, complete) })
}

/// The content of bytes `first` to `last`: whole once nothing is missing.
#[must_use]
pub fn content(first: u64, last: u64, complete: Option<u64>) -> Content {
    match complete {
        Some(length) if first == 0 && last.saturating_add(1) == length => Content::Whole { length: Some(length) },
        complete => Content::Part { first, last, complete },
    }
}

/// What part of a response an origin is asked for, in place of all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Portion<'a> {
    /// The one that the client asks for: its own `Range` and `If-Range` go to the origin.
    AsAsked,
    /// What is missing of a stored start, for a client that asks for everything: `bytes=<first>-` under `If-Range` with the
    /// entity tag (RFC 9111 §3.4).
    Rest {
        /// The place of the first byte that is missing.
        first: u64,
        /// The strong entity tag of what is stored.
        etag: &'a str,
    },
}

/// What part to ask the origin for; `None` when all of it is the better question: it is what the client asks for, it is
/// what is stored already, or the whole is short and what is asked for is not next to what is stored. So whoever asks for
/// one part after another of a short response costs an origin two calls, and is answered out of the whole from then on. What
/// is longer than `bytes_max`, which is [`part_bytes_max`], never becomes whole.
#[must_use]
pub fn portion<'a>(request: &impl Fields, stored: Option<&'a Metadata>, bytes_max: u64) -> Option<Portion<'a>> {
    let range = request.field("range").filter(|range| is_single(range));
    match (range, stored.map(|stored| (stored, stored.content))) {
        (_, Some((_, Content::Whole { .. }))) | (None, None) => None,
        (None, Some((stored, _))) => rest(stored, bytes_max),
        (Some(_), None) => Some(Portion::AsAsked),
        (Some(range), Some((_, part @ Content::Part { complete, .. }))) => {
            let is_short = complete.is_some_and(|complete| complete <= SHORT_BYTES_MAX.min(bytes_max));
            (!is_short || touches(&range, part)).then_some(Portion::AsAsked)
        }
    }
}

fn rest(stored: &Metadata, bytes_max: u64) -> Option<Portion<'_>> {
    match stored.content {
        // Of one that is too long to become whole, all is asked for at once.
        Content::Part { first: 0, last, complete: Some(complete) } if complete <= bytes_max => {
            stored.strong_etag().map(|etag| Portion::Rest { first: last.saturating_add(1), etag })
        }
        _ => None,
    }
}

/// [`PART_BYTES_MAX`], or what the host's store takes where that is less.
#[must_use]
pub fn part_bytes_max(options: &CacheOptions) -> u64 {
    PART_BYTES_MAX.min(options.body_bytes_max)
}

/// Longest part that is stored, and longest that parts are joined to: a minute of film, a hundred photographs. Joining
/// writes what was there once more, so it has an end; a longer answer is passed on.
pub const PART_BYTES_MAX: u64 = 16 << 20;

/// Longest response of which a part costs its origin about as much as the whole.
pub const SHORT_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::metadata::tests::metadata;

    fn part(etag: &str, first: u64, last: u64, complete: Option<u64>) -> Metadata {
        Metadata {
            status: 206,
            etag: Some(etag.into()),
            content: content(first, last, complete),
            ..metadata(0, 60, 0, 0)
        }
    }

    #[test]
    fn parts_join_when_they_touch_and_are_of_one_representation() {
        use Order::{NewFirst, StoredFirst};
        let combine = |order, overlap, adds, first, last, complete| {
            Join::Combine(Plan { order, overlap, adds, content: content(first, last, complete) })
        };
        let ten = Some(10);
        for (id, stored, new, expect) in [
            ("join-after", part("\"a\"", 0, 4, ten), part("\"a\"", 5, 9, ten), combine(StoredFirst, 0, 5, 0, 9, ten)),
            ("join-before", part("\"a\"", 5, 9, ten), part("\"a\"", 0, 4, ten), combine(NewFirst, 0, 5, 0, 9, ten)),
            ("join-overlap", part("\"a\"", 0, 5, ten), part("\"a\"", 4, 8, ten), combine(StoredFirst, 2, 3, 0, 8, ten)),
            ("join-inside", part("\"a\"", 0, 8, ten), part("\"a\"", 2, 3, ten), combine(StoredFirst, 2, 0, 0, 8, ten)),
            ("join-around", part("\"a\"", 2, 3, ten), part("\"a\"", 0, 8, ten), combine(NewFirst, 2, 0, 0, 8, ten)),
            (
                "join-length-learned",
                part("\"a\"", 0, 4, None),
                part("\"a\"", 5, 9, ten),
                combine(StoredFirst, 0, 5, 0, 9, ten),
            ),
            ("join-gap", part("\"a\"", 0, 3, ten), part("\"a\"", 5, 9, ten), Join::Replace),
            ("join-other-tag", part("\"a\"", 0, 4, ten), part("\"b\"", 5, 9, ten), Join::Replace),
            ("join-weak", part("W/\"a\"", 0, 4, ten), part("W/\"a\"", 5, 9, ten), Join::Replace),
            ("join-other-length", part("\"a\"", 0, 4, ten), part("\"a\"", 5, 9, Some(11)), Join::Replace),
        ] {
            assert_eq!(join(&stored, &new, PART_BYTES_MAX), expect, "{id}");
        }
        assert_eq!(content(0, 9, ten), Content::Whole { length: ten });
    }

    #[test]
    fn parts_are_joined_up_to_a_bound() {
        let stored = part("\"a\"", 0, PART_BYTES_MAX - 2, Some(u64::MAX));
        let byte = |at| part("\"a\"", at, at, Some(u64::MAX));
        assert!(matches!(join(&stored, &byte(PART_BYTES_MAX - 1), PART_BYTES_MAX), Join::Combine(_)));
        let full = part("\"a\"", 0, PART_BYTES_MAX - 1, Some(u64::MAX));
        assert_eq!(join(&full, &byte(PART_BYTES_MAX), PART_BYTES_MAX), Join::Replace);
    }

    #[test]
    fn a_part_is_asked_for_where_it_is_the_better_question() {
        let (long, short) = (Some(SHORT_BYTES_MAX + 1), Some(SHORT_BYTES_MAX));
        let rest = Some(Portion::Rest { first: 5, etag: "\"a\"" });
        let whole = Metadata { content: Content::Whole { length: long }, ..part("\"a\"", 0, 4, None) };
        for (id, range, stored, expect) in [
            ("portion-of-nothing-stored", Some("bytes=0-4"), None, Some(Portion::AsAsked)),
            ("portion-none-asked", None, None, None),
            ("portion-two-asked", Some("bytes=0-1,8-9"), None, None),
            ("portion-unreadable", Some("bytes=x"), None, None),
            ("portion-whole-stored", Some("bytes=0-4"), Some(whole), None),
            ("portion-long", Some("bytes=90-99"), Some(part("\"a\"", 0, 4, long)), Some(Portion::AsAsked)),
            ("portion-short-apart", Some("bytes=90-99"), Some(part("\"a\"", 0, 4, short)), None),
            ("portion-short-next", Some("bytes=5-99"), Some(part("\"a\"", 0, 4, short)), Some(Portion::AsAsked)),
            ("portion-rest", None, Some(part("\"a\"", 0, 4, short)), rest),
            ("portion-rest-two-asked", Some("bytes=0-1,8-9"), Some(part("\"a\"", 0, 4, short)), rest),
            ("portion-rest-longest", None, Some(part("\"a\"", 0, 4, Some(PART_BYTES_MAX))), rest),
            ("portion-rest-too-long", None, Some(part("\"a\"", 0, 4, Some(PART_BYTES_MAX + 1))), None),
            ("portion-no-start", None, Some(part("\"a\"", 1, 4, short)), None),
            ("portion-weak-start", None, Some(part("W/\"a\"", 0, 4, short)), None),
        ] {
            let request: alloc::vec::Vec<(&str, &str)> = range.map(|range| ("range", range)).into_iter().collect();
            assert_eq!(portion(&request.as_slice(), stored.as_ref(), PART_BYTES_MAX), expect, "{id}");
        }
    }

    proptest::proptest! {
        #[test]
        fn joined_bytes_are_the_bytes_of_the_whole(a in 0_u64..20, b in 0_u64..20, c in 0_u64..20, d in 0_u64..20) {
            let (a, b, c, d) = (a.min(b), a.max(b), c.min(d), c.max(d));
            let plan = match join(&part("\"a\"", a, b, Some(21)), &part("\"a\"", c, d, Some(21)), PART_BYTES_MAX) {
                Join::Combine(plan) => plan,
                Join::Replace => {
                    proptest::prop_assert!(c > b + 1 || a > d + 1);
                    return Ok(());
                }
            };
            let (one, other): (alloc::vec::Vec<u64>, alloc::vec::Vec<u64>) = ((a..=b).collect(), (c..=d).collect());
            let (start, end) = if plan.order == Order::StoredFirst { (one, other) } else { (other, one) };
            let bytes: alloc::vec::Vec<u64> =
                start.iter().copied().chain(end.iter().copied().skip(plan.overlap as usize)).collect();
            proptest::prop_assert_eq!(plan.overlap + plan.adds, end.len() as u64);
            // The whole has a byte more than any of them.
            let Content::Part { first, last, .. } = plan.content else { panic!("whole") };
            proptest::prop_assert_eq!(bytes, (first..=last).collect::<alloc::vec::Vec<u64>>());
        }
    }
}
