//! One call to the origin for each key at a time: who makes it, who waits, and who need not.
//!
//! Only the decision is here. A host cancels a request without running any of its code, so leading is a lease that
//! ends by itself; the host wakes those who wait when a leader lands, and they ask again.

use core::time::Duration;

use crate::{sorted::SortedMap, time::Timestamp};

use super::key::CacheKey;

/// How calls are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Collapse {
    /// How long a leader may take before it counts as lost: the deadline of a call and some time for its end.
    pub lease: Duration,
    /// How long one request waits for others in all, before it goes alone.
    pub wait: Duration,
    /// Most requests that wait for one call; the next goes alone, so that a slow page cannot hold every connection.
    pub followers_max: u32,
    /// How long after a response that could not be shared requests go side by side.
    pub uncacheable_for: Duration,
}

/// What a request does that needs a response nobody has yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Role {
    /// Fetch it, and land with this ticket.
    Lead(Ticket),
    /// Wait at most so long, look again, and join again with the time that is left.
    Follow {
        /// What is left of the request's own time to wait.
        wait: Duration,
    },
    /// Serve what is stored although it is stale: another request fetches it.
    Stale,
    /// Fetch it without telling anyone.
    Alone(Lone),
}

/// Why a request goes alone. The word is the same in the header, the log and the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Lone {
    /// The last response for this key could not be shared.
    Uncacheable,
    /// Enough requests wait for the call.
    Followers,
    /// It has waited for as long as it may.
    Waited,
    /// Too many calls are under way to follow one more.
    Full,
}

impl Lone {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uncacheable => "uncacheable",
            Self::Followers => "followers",
            Self::Waited => "waited",
            Self::Full => "full",
        }
    }
}

/// A leader's right to end its lead. Once it is lost, the ticket ends nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ticket(u64);

/// A request that wants to share a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Joiner {
    /// Whether something is stored that may be served although it is stale.
    pub has_stale: bool,
    /// For how long it has waited so far.
    pub waited: Duration,
    /// What it is known by where answers may be lost: who leads and joins again gets its ticket again. `None` where they
    /// are not.
    pub id: Option<u128>,
}

/// How a lead ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Landing {
    /// The response is stored, or the next one may be: the next request that needs one leads.
    Open,
    /// The response could not be shared.
    Uncacheable,
}

/// The calls under way, in bounded memory: at the bound, what has ended makes room, and after that a newcomer goes
/// alone.
#[derive(Clone, Debug)]
pub struct Flights {
    flights: SortedMap<CacheKey, Flight>,
    capacity: usize,
    tickets: u64,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    state: State,
    /// When the lead counts as lost, or the mark ends.
    until: Timestamp,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Led { ticket: Ticket, leader: Option<u128>, followers: u32 },
    Uncacheable,
}

impl Flights {
    /// No calls, and room for `capacity` keys.
    #[must_use]
    pub const fn new(capacity: usize) -> Self {
        Self { flights: SortedMap::new(), capacity, tickets: 0 }
    }

    /// What a request for `key` does. A clock that steps back makes leads last longer, at most by the step.
    pub fn join(&mut self, key: &CacheKey, joiner: Joiner, now: Timestamp, collapse: &Collapse) -> Role {
        match self.flights.get_mut(key).filter(|flight| flight.until > now) {
            Some(Flight { state: State::Uncacheable, .. }) => return Role::Alone(Lone::Uncacheable),
            Some(Flight { state: State::Led { ticket, leader: Some(leader), .. }, .. })
                if joiner.id == Some(*leader) =>
            {
                return Role::Lead(*ticket);
            }
            Some(Flight { state: State::Led { .. }, .. }) if joiner.has_stale => return Role::Stale,
            Some(Flight { state: State::Led { followers, .. }, until }) => {
                let left = collapse.wait.saturating_sub(joiner.waited);
                if left.is_zero() {
                    return Role::Alone(Lone::Waited);
                }
                if joiner.waited.is_zero() && *followers >= collapse.followers_max {
                    return Role::Alone(Lone::Followers);
                }
                *followers = followers.saturating_add(1);
                return Role::Follow { wait: left.min(until.since(now)) };
            }
            None => {}
        }
        if !self.flights.contains_key(key) && self.flights.len() >= self.capacity {
            self.flights.retain(|_, flight| flight.until > now);
            if self.flights.len() >= self.capacity {
                return Role::Alone(Lone::Full);
            }
        }
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let flight =
            Flight { state: State::Led { ticket, leader: joiner.id, followers: 0 }, until: now.after(collapse.lease) };
        self.flights.insert(*key, flight);
        Role::Lead(ticket)
    }

    /// Ends a lead. Answers whether it was still this one's to end, and so whether the host wakes those who wait.
    pub fn land(
        &mut self,
        key: &CacheKey,
        ticket: Ticket,
        landing: Landing,
        now: Timestamp,
        collapse: &Collapse,
    ) -> Landed {
        let leads = self
            .flights
            .get(key)
            .is_some_and(|flight| matches!(flight.state, State::Led { ticket: leader, .. } if leader == ticket));
        if !leads {
            return Landed::Lost;
        }
        match landing {
            Landing::Open => drop(self.flights.remove(key)),
            Landing::Uncacheable => {
                let flight = Flight { state: State::Uncacheable, until: now.after(collapse.uncacheable_for) };
                self.flights.insert(*key, flight);
            }
        }
        Landed::Ended
    }
}

/// Whether a landing ended a lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Landed {
    /// It did: wake those who wait.
    Ended,
    /// Another leads since: this one took too long.
    Lost,
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec::Vec};

    use super::*;
    use crate::cache::key::Target;

    const COLLAPSE: Collapse = Collapse {
        lease: Duration::from_secs(10),
        wait: Duration::from_secs(5),
        followers_max: 3,
        uncacheable_for: Duration::from_secs(120),
    };
    const NEW: Joiner = Joiner { has_stale: false, waited: Duration::ZERO, id: None };

    fn key(path: &str) -> CacheKey {
        CacheKey::new(&Target { path, ..Target::default() })
    }

    const fn at(second: u64) -> Timestamp {
        Timestamp::from_unix_seconds(second)
    }

    fn lead(role: Role) -> Ticket {
        let Role::Lead(ticket) = role else { panic!("{role:?}") };
        ticket
    }

    #[test]
    fn one_leads_until_it_lands_or_is_lost() {
        let mut flights = Flights::new(8);
        let a = key("/a");
        let first = lead(flights.join(&a, NEW, at(0), &COLLAPSE));
        assert_eq!(flights.join(&a, NEW, at(1), &COLLAPSE), Role::Follow { wait: Duration::from_secs(5) });
        assert_eq!(flights.join(&a, NEW, at(8), &COLLAPSE), Role::Follow { wait: Duration::from_secs(2) });
        lead(flights.join(&key("/b"), NEW, at(1), &COLLAPSE));
        let waited = Joiner { waited: Duration::from_secs(5), ..NEW };
        assert_eq!(flights.join(&a, waited, at(6), &COLLAPSE), Role::Alone(Lone::Waited));
        let second = lead(flights.join(&a, waited, at(10), &COLLAPSE));
        assert_eq!(flights.land(&a, first, Landing::Uncacheable, at(11), &COLLAPSE), Landed::Lost);
        assert!(matches!(flights.join(&a, NEW, at(11), &COLLAPSE), Role::Follow { .. }), "the late one ended nothing");
        assert_eq!(flights.land(&a, second, Landing::Open, at(12), &COLLAPSE), Landed::Ended);
        lead(flights.join(&a, NEW, at(12), &COLLAPSE));
    }

    #[test]
    fn those_who_wait_are_bounded_and_stale_serves_them() {
        let mut flights = Flights::new(8);
        let a = key("/a");
        lead(flights.join(&a, NEW, at(0), &COLLAPSE));
        let roles: Vec<Role> = (0..5).map(|_| flights.join(&a, NEW, at(0), &COLLAPSE)).collect();
        let following = roles.iter().filter(|role| matches!(role, Role::Follow { .. })).count();
        assert_eq!((following, roles[4]), (3, Role::Alone(Lone::Followers)));
        let stale = Joiner { has_stale: true, ..NEW };
        assert_eq!(flights.join(&a, stale, at(0), &COLLAPSE), Role::Stale);
    }

    #[test]
    fn who_leads_and_asks_again_leads_still() {
        let mut flights = Flights::new(8);
        let (a, one, other) = (key("/a"), Joiner { id: Some(1), ..NEW }, Joiner { id: Some(2), ..NEW });
        let ticket = lead(flights.join(&a, one, at(0), &COLLAPSE));
        assert_eq!(lead(flights.join(&a, one, at(9), &COLLAPSE)), ticket);
        assert!(matches!(flights.join(&a, other, at(9), &COLLAPSE), Role::Follow { .. }));
        let taken_over = lead(flights.join(&a, other, at(10), &COLLAPSE));
        assert!(matches!(flights.join(&a, one, at(10), &COLLAPSE), Role::Follow { .. }), "it was lost");
        assert_eq!(flights.land(&a, taken_over, Landing::Open, at(11), &COLLAPSE), Landed::Ended);
    }

    #[test]
    fn what_cannot_be_shared_is_not_waited_for() {
        let mut flights = Flights::new(8);
        let a = key("/a");
        let leader = lead(flights.join(&a, NEW, at(0), &COLLAPSE));
        assert_eq!(flights.land(&a, leader, Landing::Uncacheable, at(1), &COLLAPSE), Landed::Ended);
        assert_eq!(flights.join(&a, NEW, at(120), &COLLAPSE), Role::Alone(Lone::Uncacheable));
        lead(flights.join(&a, NEW, at(121), &COLLAPSE));
    }

    #[test]
    fn above_the_bound_a_newcomer_goes_alone_until_something_ends() {
        let mut flights = Flights::new(3);
        for number in 0..3 {
            lead(flights.join(&key(&format!("/{number}")), NEW, at(0), &COLLAPSE));
        }
        assert_eq!(flights.join(&key("/more"), NEW, at(1), &COLLAPSE), Role::Alone(Lone::Full));
        assert!(matches!(flights.join(&key("/0"), NEW, at(1), &COLLAPSE), Role::Follow { .. }));
        lead(flights.join(&key("/more"), NEW, at(10), &COLLAPSE));
    }

    proptest::proptest! {
        /// Requests come, land and get lost at random moments; nobody gives up waiting within the lease.
        #[test]
        fn a_lease_sees_one_call_and_one_more_for_each_loss(events in proptest::collection::vec((0_u8..3, 0_u64..4), 1..60)) {
            let patient = Collapse { wait: Duration::from_secs(1000), followers_max: u32::MAX, ..COLLAPSE };
            let mut flights = Flights::new(4);
            let a = key("/a");
            let mut now = 0;
            let mut leaders: Vec<(Ticket, u64)> = Vec::new();
            let mut starts: Vec<u64> = Vec::new();
            let mut ends: Vec<u64> = Vec::new();
            for (event, pause) in events {
                now += pause;
                match (event, leaders.last().copied()) {
                    (0, Some((ticket, started))) if started + 10 > now => {
                        proptest::prop_assert_eq!(flights.land(&a, ticket, Landing::Open, at(now), &patient), Landed::Ended);
                        leaders.pop();
                        ends.push(now);
                    }
                    _ => if let Role::Lead(ticket) = flights.join(&a, NEW, at(now), &patient) {
                        leaders.push((ticket, now));
                        starts.push(now);
                    },
                }
            }
            // Two calls overlap only when the first was lost or had ended.
            for pair in starts.windows(2) {
                let ended = ends.iter().any(|end| (pair[0]..=pair[1]).contains(end));
                proptest::prop_assert!(ended || pair[1] - pair[0] >= 10);
            }
        }
    }
}
