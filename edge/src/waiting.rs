//! Who waits for which response, for a platform to build [`Platform::wait`](crate::Platform::wait) on.

use alloc::vec::Vec;

use seawall_core::{cache::key::CacheKey, time::Timestamp};

use crate::limits::WAITERS_MAX;

/// The requests of one isolate that wait, each with what wakes it. At most [`WAITERS_MAX`].
///
/// A host may drop a request without running any of its code, so each entry says until when it is of any use, and
/// entries that outlived it make room for new ones.
#[derive(Debug)]
pub struct Waiting<T> {
    entries: Vec<Entry<T>>,
    entered: u64,
}

/// One place in [`Waiting`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u64);

#[derive(Debug)]
struct Entry<T> {
    place: Place,
    key: CacheKey,
    until: Timestamp,
    waker: T,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), entered: 0 }
    }
}

impl<T> Waiting<T> {
    /// Lets `waker` wait for `key` until `until`; `None` when everyone's place is taken.
    pub fn enter(&mut self, key: CacheKey, waker: T, until: Timestamp, now: Timestamp) -> Option<Place> {
        if self.entries.len() >= WAITERS_MAX {
            self.entries.retain(|entry| entry.until > now);
        }
        if self.entries.len() >= WAITERS_MAX {
            return None;
        }
        self.entered += 1;
        let place = Place(self.entered);
        self.entries.push(Entry { place, key, until, waker });
        Some(place)
    }

    /// Gives a place back, when its request stopped waiting by itself.
    pub fn leave(&mut self, place: Place) {
        self.entries.retain(|entry| entry.place != place);
    }

    /// Takes out everyone who waits for `key`, in the order of entering.
    pub fn take(&mut self, key: &CacheKey) -> Vec<T> {
        self.entries.extract_if(.., |entry| entry.key == *key).map(|entry| entry.waker).collect()
    }
}

#[cfg(test)]
mod tests {
    use seawall_core::cache::key::Target;

    use super::*;

    fn key(path: &str) -> CacheKey {
        CacheKey::new(&Target { method: "GET", tenant: "", scheme: "https", host: "permits.example", path, query: "" })
    }

    const fn at(second: u64) -> Timestamp {
        Timestamp::from_unix_seconds(second)
    }

    #[test]
    fn only_those_who_wait_for_a_key_are_taken() {
        let mut waiting = Waiting::default();
        let places: Vec<Option<Place>> =
            [("/a", 1), ("/b", 2), ("/a", 3)].map(|(path, waker)| waiting.enter(key(path), waker, at(5), at(0))).into();
        waiting.leave(places[0].unwrap());
        assert_eq!(waiting.take(&key("/a")), [3]);
        assert_eq!(waiting.take(&key("/a")), [0; 0]);
        assert_eq!(waiting.take(&key("/b")), [2]);
    }

    #[test]
    fn a_full_house_takes_nobody_until_someone_is_of_no_use_any_more() {
        let mut waiting = Waiting::default();
        for waker in 0..WAITERS_MAX {
            assert!(waiting.enter(key("/a"), waker, at(if waker == 0 { 1 } else { 5 }), at(0)).is_some());
        }
        assert_eq!(waiting.enter(key("/b"), 0, at(5), at(0)), None);
        assert!(waiting.enter(key("/b"), 0, at(5), at(1)).is_some());
        assert_eq!(waiting.enter(key("/b"), 0, at(5), at(1)), None);
        assert_eq!(waiting.take(&key("/a")).len(), WAITERS_MAX - 1);
    }
}
