//! One call to the origin for each key at a time.
//!
//! Only what can be shared between requests is kept here: who leads, and since when. A host cancels a request
//! without running any of its code, so leading is a lease that ends by itself.

use std::collections::HashMap;

use seawall_core::{cache::key::CacheKey, time::Timestamp};

use crate::{guard::Unavailable, limits::FLIGHTS_MAX};

/// The calls under way in this isolate.
#[derive(Debug, Default)]
pub(crate) struct Flights(HashMap<CacheKey, Timestamp>);

/// What a request does that needs a response nobody has yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Fetch it, and tell the others.
    Lead(Lease),
    /// Wait for the one that does.
    Follow,
    /// Fetch it without telling anyone: too many calls are under way to follow one more.
    Alone,
}

/// The right to lead, until it is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    lost_at: Timestamp,
}

/// How a leader's call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There was no response.
    Unavailable(Unavailable),
    /// The origin answered with this status.
    Status(u16),
}

/// A failure, and when the call ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remembered {
    pub(crate) at: Timestamp,
    pub(crate) failure: Failure,
}

impl Failure {
    /// The word for it in headers and log.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable(unavailable) => unavailable.as_str(),
            Self::Status(_) => "origin-error",
        }
    }
}

/// What an empty place of a table holds; it has expired and is never read.
impl Default for Remembered {
    fn default() -> Self {
        Self { at: Timestamp::UNIX_EPOCH, failure: Failure::Status(0) }
    }
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
        Role::Lead(Lease { lost_at })
    }

    /// Ends the lead for `key`, unless it was lost to another request meanwhile.
    pub(crate) fn land(&mut self, key: &CacheKey, lease: Lease) {
        if self.0.get(key) == Some(&lease.lost_at) {
            self.0.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use seawall_core::cache::key::Target;

    use super::*;

    fn key(path: &str) -> CacheKey {
        CacheKey::new(&Target { scheme: "https", host: "permits.example", path, query: "" })
    }

    const fn at(second: u64) -> Timestamp {
        Timestamp::from_unix_seconds(second)
    }

    fn lead(flights: &mut Flights, path: &str, now: u64) -> Lease {
        match flights.join(key(path), at(now), at(now + 10)) {
            Role::Lead(lease) => lease,
            role => panic!("expected to lead {path}, got {role:?}"),
        }
    }

    #[test]
    fn one_leads_until_it_lands_or_is_lost() {
        let mut flights = Flights::default();
        let first = lead(&mut flights, "/a", 0);
        assert_eq!(flights.join(key("/a"), at(1), at(11)), Role::Follow);
        lead(&mut flights, "/b", 1);
        flights.land(&key("/a"), first);
        lead(&mut flights, "/a", 2);
        lead(&mut flights, "/a", 12);
    }

    #[test]
    fn a_leader_that_was_lost_does_not_end_its_successor() {
        let mut flights = Flights::default();
        let lost = lead(&mut flights, "/a", 0);
        lead(&mut flights, "/a", 10);
        flights.land(&key("/a"), lost);
        assert_eq!(flights.join(key("/a"), at(11), at(21)), Role::Follow);
    }

    #[test]
    fn calls_above_the_bound_go_alone_until_lost_ones_make_room() {
        let mut flights = Flights::default();
        for number in 0..FLIGHTS_MAX {
            lead(&mut flights, &format!("/{number}"), 0);
        }
        assert_eq!(flights.join(key("/more"), at(1), at(11)), Role::Alone);
        assert_eq!(flights.join(key("/0"), at(1), at(11)), Role::Follow);
        lead(&mut flights, "/more", 10);
    }
}
