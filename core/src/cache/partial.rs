//! Partial content: storing a part, and joining two (RFC 9111 §3.3 and §3.4, RFC 9110 §15.3.7).

use super::{
    conditional::strongly_equal,
    metadata::{Content, Metadata},
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

/// Whether a new part joins a stored one: both have the same strong validator, agree on the length, and touch.
///
/// The order decides which bytes count where they overlap; since both are of the same representation, they are the
/// same bytes. A part inside the stored one leaves it as it is, with nothing to add.
#[must_use]
pub fn join(stored: &Metadata, new: &Metadata) -> Join {
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
    if a <= c && c <= b.saturating_add(1) {
        let length = d - c + 1;
        let overlap = (b + 1 - c).min(length);
        Join::Combine(Plan { order: Order::StoredFirst, overlap, content: content(a, b.max(d), complete) })
    } else if c <= a && a <= d.saturating_add(1) {
        let length = b - a + 1;
        let overlap = (d + 1 - a).min(length);
        Join::Combine(Plan { order: Order::NewFirst, overlap, content: content(c, b.max(d), complete) })
    } else {
        Join::Replace
    }
}

/// The content of bytes `first` to `last`: whole once nothing is missing.
#[must_use]
pub fn content(first: u64, last: u64, complete: Option<u64>) -> Content {
    match complete {
        Some(length) if first == 0 && last.saturating_add(1) == length => Content::Whole { length: Some(length) },
        complete => Content::Part { first, last, complete },
    }
}

/// Where the rest of a stored start begins: with it a request for everything becomes a request for
/// `bytes=<first>-` under `If-Range` with the strong entity tag (RFC 9111 §3.4). `None` when what is stored is no start, or
/// has no strong entity tag.
#[must_use]
pub fn rest_from(stored: &Metadata) -> Option<(u64, &str)> {
    match stored.content {
        Content::Part { first: 0, last, .. } => stored.strong_etag().map(|etag| (last.saturating_add(1), etag)),
        _ => None,
    }
}

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
        let combine = |order, overlap, first, last, complete| {
            Join::Combine(Plan { order, overlap, content: content(first, last, complete) })
        };
        let ten = Some(10);
        for (id, stored, new, expect) in [
            ("join-after", part("\"a\"", 0, 4, ten), part("\"a\"", 5, 9, ten), combine(StoredFirst, 0, 0, 9, ten)),
            ("join-before", part("\"a\"", 5, 9, ten), part("\"a\"", 0, 4, ten), combine(NewFirst, 0, 0, 9, ten)),
            ("join-overlap", part("\"a\"", 0, 5, ten), part("\"a\"", 4, 8, ten), combine(StoredFirst, 2, 0, 8, ten)),
            ("join-inside", part("\"a\"", 0, 8, ten), part("\"a\"", 2, 3, ten), combine(StoredFirst, 2, 0, 8, ten)),
            ("join-around", part("\"a\"", 2, 3, ten), part("\"a\"", 0, 8, ten), combine(NewFirst, 2, 0, 8, ten)),
            (
                "join-length-learned",
                part("\"a\"", 0, 4, None),
                part("\"a\"", 5, 9, ten),
                combine(StoredFirst, 0, 0, 9, ten),
            ),
            ("join-gap", part("\"a\"", 0, 3, ten), part("\"a\"", 5, 9, ten), Join::Replace),
            ("join-other-tag", part("\"a\"", 0, 4, ten), part("\"b\"", 5, 9, ten), Join::Replace),
            ("join-weak", part("W/\"a\"", 0, 4, ten), part("W/\"a\"", 5, 9, ten), Join::Replace),
            ("join-other-length", part("\"a\"", 0, 4, ten), part("\"a\"", 5, 9, Some(11)), Join::Replace),
        ] {
            assert_eq!(join(&stored, &new), expect, "{id}");
        }
        assert_eq!(content(0, 9, ten), Content::Whole { length: ten });
    }

    #[test]
    fn a_start_says_what_is_missing() {
        assert_eq!(rest_from(&part("\"a\"", 0, 4, Some(10))), Some((5, "\"a\"")));
        assert_eq!(rest_from(&part("\"a\"", 1, 4, Some(10))), None);
        assert_eq!(rest_from(&part("W/\"a\"", 0, 4, Some(10))), None);
    }

    proptest::proptest! {
        #[test]
        fn joined_bytes_are_the_bytes_of_the_whole(a in 0_u64..20, b in 0_u64..20, c in 0_u64..20, d in 0_u64..20) {
            let (a, b, c, d) = (a.min(b), a.max(b), c.min(d), c.max(d));
            let plan = match join(&part("\"a\"", a, b, Some(21)), &part("\"a\"", c, d, Some(21))) {
                Join::Combine(plan) => plan,
                Join::Replace => {
                    proptest::prop_assert!(c > b + 1 || a > d + 1);
                    return Ok(());
                }
            };
            let (one, other): (alloc::vec::Vec<u64>, alloc::vec::Vec<u64>) = ((a..=b).collect(), (c..=d).collect());
            let (start, end) = if plan.order == Order::StoredFirst { (one, other) } else { (other, one) };
            let bytes: alloc::vec::Vec<u64> =
                start.iter().copied().chain(end.into_iter().skip(plan.overlap as usize)).collect();
            // The whole has a byte more than any of them.
            let Content::Part { first, last, .. } = plan.content else { panic!("whole") };
            proptest::prop_assert_eq!(bytes, (first..=last).collect::<alloc::vec::Vec<u64>>());
        }
    }
}
