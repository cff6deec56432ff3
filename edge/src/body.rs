//! Bodies: passed on without being read, and cut, doubled and joined without being collected.
//!
//! Each host has its own kind, and everything that is done to one stands in its implementation of [`Body`]. What each
//! implementation must do is written down as a test that runs against all of them (`contract`).

use core::ops::Range;

#[cfg(feature = "contract")]
pub mod contract;

/// A body of a request or a response.
pub trait Body: Sized + 'static {
    /// Makes two of one, each of which yields all of it.
    fn tee(self) -> (Self, Self);

    /// The bytes from `first` on, `length` of them.
    ///
    /// # Errors
    /// With the whole body, where the host sees that it cannot cut it so. A stream that turns out to be too short breaks
    /// off.
    fn slice(self, first: u64, length: u64) -> Result<Self, Self>;

    /// This body and then `next`. Breaks off when either does.
    fn join(self, next: Self) -> Self;
}

/// Where the bytes from `first` on, `length` of them, lie in `bytes` that are in memory; `None` when they do not.
#[must_use]
pub fn within(first: u64, length: u64, bytes: usize) -> Option<Range<usize>> {
    let start = usize::try_from(first).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    (end <= bytes).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_lie_within_is_not_cut() {
        for (first, length, expect) in [
            (0, 4, Some(0..4)),
            (1, 2, Some(1..3)),
            (4, 0, Some(4..4)),
            (4, 1, None),
            (0, 5, None),
            (u64::MAX, 1, None),
            (1, u64::MAX, None),
        ] {
            assert_eq!(within(first, length, 4), expect, "{first} {length}");
        }
    }
}
