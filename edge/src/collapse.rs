//! One call to the origin for each key at a time.
//!
//! Only what can be shared between requests is kept here: who leads, and since when. A host cancels a request
//! without running any of its code, so leading is a lease that ends by itself.

use std::collections::HashMap;

use seawall_core::{cache::key::CacheKey, time::Timestamp};

use crate::limits::FLIGHTS_MAX;

/// The calls under way in this isolate.
#[derive(Debug, Default)]
pub(crate) struct Flights(HashMap<CacheKey, Timestamp>);

/// What a request does that needs a response nobody has yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Fetch it, and tell the others.
    Lead,
    /// Wait for the one that does.
    Follow,
    /// Fetch it without telling anyone: too many calls are under way to follow one more.
    Alone,
}

impl Flights {
    /// Takes the lead for `key` until `lost_at`, unless another request has it.
    pub(crate) fn join(&mut self, key: CacheKey, now: Timestamp, lost_at: Timestamp) -> Role {
        if self.0.get(&key).is_some_and(|lost_at| *lost_at > now) {
            return Role::Follow;
        }
        if self.0.len() >= FLIGHTS_MAX {
            self.0.retain(|_, lost_at| *lost_at > now);
            if self.0.len() >= FLIGHTS_MAX {
                return Role::Alone;
            }
        }
        self.0.insert(key, lost_at);
        Role::Lead
    }

    /// Ends the lead for `key`.
    pub(crate) fn land(&mut self, key: &CacheKey) {
        self.0.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use seawall_core::cache::key::Target;

    use super::*;

    fn key(path: &str) -> CacheKey {
        CacheKey::new(&Target { scheme: "https", host: "permits.example", path, query: "" })
    }

    #[test]
    fn one_leads_until_it_lands_or_is_lost() {
        let at = Timestamp::from_unix_seconds;
        let mut flights = Flights::default();
        assert_eq!(flights.join(key("/a"), at(0), at(10)), Role::Lead);
        assert_eq!(flights.join(key("/a"), at(1), at(11)), Role::Follow);
        assert_eq!(flights.join(key("/b"), at(1), at(11)), Role::Lead);
        flights.land(&key("/a"));
        assert_eq!(flights.join(key("/a"), at(2), at(12)), Role::Lead);
        assert_eq!(flights.join(key("/a"), at(12), at(22)), Role::Lead, "a lost leader blocks nobody");
    }

    #[test]
    fn calls_above_the_bound_go_alone_until_lost_ones_make_room() {
        let at = Timestamp::from_unix_seconds;
        let mut flights = Flights::default();
        for number in 0..FLIGHTS_MAX {
            assert_eq!(flights.join(key(&format!("/{number}")), at(0), at(10)), Role::Lead);
        }
        assert_eq!(flights.join(key("/more"), at(1), at(11)), Role::Alone);
        assert_eq!(flights.join(key("/0"), at(1), at(11)), Role::Follow);
        assert_eq!(flights.join(key("/more"), at(10), at(20)), Role::Lead);
    }
}
