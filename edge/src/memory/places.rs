//! What the URLs of the last requests come to, so that it is worked out once for those that are asked for often.

use alloc::{boxed::Box, vec::Vec};

use seawall_core::cache::key::{CacheKey, Target};

use crate::limits::{PLACE_URL_BYTES_MAX, PLACES_REMEMBERED};

/// What a URL comes to. The same for the same URL, for as long as the isolate keeps its policy.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) scheme: Box<str>,
    pub(crate) host: Box<str>,
    pub(crate) path: Box<str>,
    pub(crate) query: Box<str>,
    /// The key of what is stored for it, where the URL alone decides on that.
    pub(crate) key: Option<CacheKey>,
    /// Its place among the policy's routes.
    pub(crate) route: usize,
}

impl Place {
    /// What is asked for there.
    pub(crate) fn target(&self) -> Target<'_> {
        let Self { scheme, host, path, query, .. } = self;
        Target { method: "GET", tenant: "", scheme, host, path, query }
    }

    /// Whether it is asked for over a transport that is secure.
    pub(crate) fn is_encrypted(&self) -> bool {
        &*self.scheme == "https"
    }
}

/// [`PLACES_REMEMBERED`] of them; each URL has one slot, which the last of those that share it holds.
#[derive(Debug)]
pub(crate) struct Places(Vec<Option<(Box<str>, Place)>>);

impl Places {
    pub(super) fn new() -> Self {
        Self((0..PLACES_REMEMBERED).map(|_| None).collect())
    }

    /// Whether `url` is one to remember: a long one takes no memory.
    pub(crate) const fn take(url: &str) -> bool {
        url.len() <= PLACE_URL_BYTES_MAX
    }

    /// The place of `url`, which `resolve` finds when it is not remembered; `None` when there is none.
    pub(crate) fn of(&mut self, url: &str, resolve: impl FnOnce() -> Option<Place>) -> Option<&Place> {
        let slot = slot_of(url);
        let is_known = matches!(&self.0[slot], Some((known, _)) if **known == *url);
        if !is_known {
            self.0[slot] = Some((url.into(), resolve()?));
        }
        self.0[slot].as_ref().map(|(_, place)| place)
    }
}

/// FNV-1a: short, and quick for short texts. URLs that share a slot only make each other be worked out again.
fn slot_of(url: &str) -> usize {
    let hash = url.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash ^ hash >> 16) as usize % PLACES_REMEMBERED
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn place(path: &str) -> Place {
        let target = Target { method: "GET", scheme: "https", host: "a.example", path, ..Target::default() };
        Place {
            scheme: "https".into(),
            host: "a.example".into(),
            path: path.into(),
            query: "".into(),
            key: Some(CacheKey::new(&target)),
            route: 0,
        }
    }

    #[test]
    fn a_url_is_worked_out_once_until_another_takes_its_slot() {
        let worked_out = Cell::new(0);
        let mut places = Places::new();
        let mut ask = |path: &str| {
            let resolve = || {
                worked_out.set(worked_out.get() + 1);
                Some(place(path))
            };
            let url = format!("https://a.example{path}");
            assert_eq!(places.of(&url, resolve).map(|place| place.target().path), Some(path));
            worked_out.get()
        };
        assert_eq!((ask("/a"), ask("/a"), ask("/b"), ask("/a")), (1, 1, 2, 2));
        let paths: Vec<String> = (0..PLACES_REMEMBERED * 4).map(|number| format!("/{number}")).collect();
        for path in &paths {
            ask(path);
        }
        let all = ask(&paths[0]);
        assert!(all > PLACES_REMEMBERED * 4, "they took each other's slots, and each got its own place");
    }

    #[test]
    fn what_has_no_place_or_is_long_is_not_remembered() {
        let mut places = Places::new();
        assert!(places.of("https://a.example/x", || None).is_none());
        assert!(places.of("https://a.example/x", || Some(place("/x"))).is_some());
        let longest = "x".repeat(PLACE_URL_BYTES_MAX);
        assert!(Places::take(&longest) && !Places::take(&(longest + "x")));
    }
}
