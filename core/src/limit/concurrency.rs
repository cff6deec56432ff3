//! How many at once: each request in flight holds a lease.

use core::fmt;
use core::num::NonZeroU32;
use core::time::Duration;

use super::window::window_ns;
use super::{Decision, RuleError, Ruling};
use crate::time::Timestamp;

/// At most `limit` units held at once, each by a lease that its holder releases, or that ends by itself after
/// `ttl`, because a holder may crash.
///
/// # What it promises
///
/// The units of live leases are never more than `limit`, at the store that keeps the state. A request that goes
/// on for longer than `ttl` without renewing its lease is not counted any more; so `ttl` is longer than requests
/// may take.
///
/// # What happens at the edges
///
/// - Asking again with the id of a lease that lives renews it and takes no more: a message that arrives twice
///   counts once. Releasing what is not held changes nothing.
/// - A clock that steps back keeps leases longer.
/// - The wait of a refusal is until enough leases end by themselves; a release makes room sooner.
/// - A cost of zero takes no lease and passes while no more than the limit is held.
///
/// ```
/// use core::num::NonZeroU32;
/// use core::time::Duration;
/// use seawall_core::limit::{Concurrency, Decision, LeaseId};
/// use seawall_core::time::Timestamp;
///
/// let rule = Concurrency::new(NonZeroU32::new(1).unwrap(), Duration::from_secs(30))?;
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let Decision::Allow { next: held } = rule.decide(None, now, LeaseId(7), 1) else { panic!("nobody holds any") };
/// assert_eq!(
///     rule.decide(Some(&held), now, LeaseId(8), 1),
///     Decision::Deny { retry_after: Duration::from_secs(30) },
/// );
/// let released = rule.release(Some(&held), now, LeaseId(7));
/// assert!(matches!(rule.decide(Some(&released), now, LeaseId(8), 1), Decision::Allow { .. }));
/// # Ok::<(), seawall_core::limit::RuleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "Terms", into = "Terms"))]
pub struct Concurrency {
    limit: NonZeroU32,
    ttl_ns: u64,
}

/// What tells leases of one key apart: a number that the host draws for each request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LeaseId(pub u64);

/// One lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Lease {
    /// Whose it is.
    pub id: LeaseId,
    /// When it ends by itself.
    pub expires: Timestamp,
    /// How much it holds; above zero.
    pub units: u32,
}

/// The state of one key under a [`Concurrency`]: its leases, the first to end first, held in place.
#[derive(Clone, Copy)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "Held", into = "Held"))]
pub struct Leases {
    leases: [Lease; LEASES_MAX],
    len: u8,
}

impl Concurrency {
    /// Largest limit: a state holds as many leases, in one and a half kilobytes. What a whole site may have in
    /// flight is not counted by leases.
    pub const LIMIT_MAX: u32 = LEASES_MAX as u32;

    /// At most `limit` units, up to [`Concurrency::LIMIT_MAX`], held at once, for at most `ttl`, which is whole
    /// microseconds, at least one, and at most [`Quota::WINDOW_MAX`](super::Quota::WINDOW_MAX).
    ///
    /// # Errors
    ///
    /// [`RuleError`] says which of these bounds was crossed.
    pub fn new(limit: NonZeroU32, ttl: Duration) -> Result<Self, RuleError> {
        if limit.get() > Self::LIMIT_MAX {
            return Err(RuleError::TooManyLeases);
        }
        Ok(Self { limit, ttl_ns: window_ns(ttl)? })
    }

    /// Units that may be held at once.
    #[must_use]
    pub const fn limit(&self) -> NonZeroU32 {
        self.limit
    }

    /// How long a lease lives that is neither released nor renewed.
    #[must_use]
    pub const fn ttl(&self) -> Duration {
        Duration::from_nanos(self.ttl_ns)
    }

    /// Decides on taking a lease of `units` at `now`, or on renewing it. Allocates nothing.
    #[inline]
    pub fn decide(&self, stored: Option<&Leases>, now: Timestamp, id: LeaseId, units: u32) -> Decision<Leases> {
        Decision::of(self.ruling(stored, now, id, units), || {
            let mut next = Leases::default();
            let mut expires = Timestamp::from_unix_nanos(now.as_unix_nanos().saturating_add(self.ttl_ns));
            for lease in live(stored, now) {
                if units == 0 || lease.id != id {
                    next.push(*lease);
                } else {
                    // A clock that stepped back shortens no lease.
                    expires = expires.max(lease.expires);
                }
            }
            if units > 0 {
                next.insert(Lease { id, expires, units });
            }
            next
        })
    }

    /// How many units could be taken at `now`.
    #[must_use]
    pub fn remaining(&self, stored: Option<&Leases>, now: Timestamp) -> u32 {
        self.limit.get().saturating_sub(live(stored, now).map(|lease| lease.units).sum())
    }

    /// How long until every lease has ended, if none is renewed.
    #[must_use]
    pub fn full_reset(&self, stored: Option<&Leases>, now: Timestamp) -> Duration {
        stored.map_or(Duration::ZERO, |leases| leases.expires().since(now))
    }

    /// Gives a lease back. Doing so twice, or with an id that holds nothing, changes nothing.
    #[must_use]
    pub fn release(&self, stored: Option<&Leases>, now: Timestamp, id: LeaseId) -> Leases {
        let mut next = Leases::default();
        for lease in live(stored, now).filter(|lease| lease.id != id) {
            next.push(*lease);
        }
        next
    }

    pub(super) fn ruling(&self, stored: Option<&Leases>, now: Timestamp, id: LeaseId, units: u32) -> Ruling {
        let limit = self.limit.get();
        if units > limit {
            return Ruling::Never;
        }
        let others = || live(stored, now).filter(|lease| lease.id != id);
        // Below 64 times 64: a state is checked when it is made.
        let mut held: u32 = others().map(|lease| lease.units).sum();
        let mut retry_after = None;
        for lease in others() {
            if held <= limit - units {
                break;
            }
            held -= lease.units;
            retry_after = Some(lease.expires.since(now));
        }
        retry_after.map_or(Ruling::Allow, |retry_after| Ruling::Deny { retry_after })
    }
}

impl Leases {
    /// The leases, the first to end first: all there is to store.
    #[must_use]
    pub fn as_slice(&self) -> &[Lease] {
        &self.leases[..usize::from(self.len)]
    }

    /// The state that was stored as these leases, in any order; `None` when they are more than
    /// [`Concurrency::LIMIT_MAX`], or one of them holds nothing or more than that.
    #[must_use]
    pub fn from_leases(leases: impl IntoIterator<Item = Lease>) -> Option<Self> {
        let mut state = Self::default();
        for lease in leases {
            if usize::from(state.len) == LEASES_MAX || !(1..=Concurrency::LIMIT_MAX).contains(&lease.units) {
                return None;
            }
            state.insert(lease);
        }
        Some(state)
    }

    /// When this state equals no state, and a store may drop it.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.as_slice().last().map_or(Timestamp::UNIX_EPOCH, |lease| lease.expires)
    }

    /// Puts a lease in that ends after all others or with them.
    fn push(&mut self, lease: Lease) {
        self.leases[usize::from(self.len)] = lease;
        self.len += 1;
    }

    /// Puts a lease in behind all that end before it or with it.
    fn insert(&mut self, lease: Lease) {
        let len = usize::from(self.len);
        debug_assert!(len < LEASES_MAX, "leases of at least one unit never exceed the limit");
        let place = self.as_slice().partition_point(|other| other.expires <= lease.expires);
        self.leases.copy_within(place..len, place + 1);
        self.leases[place] = lease;
        self.len += 1;
    }
}

/// The leases that have not ended at `now`.
fn live(stored: Option<&Leases>, now: Timestamp) -> impl Iterator<Item = &Lease> {
    stored.map_or(&[][..], Leases::as_slice).iter().filter(move |lease| lease.expires > now)
}

impl Default for Leases {
    fn default() -> Self {
        Self { leases: [Lease::default(); LEASES_MAX], len: 0 }
    }
}

impl PartialEq for Leases {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Leases {}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

/// A state's serialised form, so that reading one checks it again.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Held(alloc::vec::Vec<Lease>);

#[cfg(feature = "serde")]
impl From<Leases> for Held {
    fn from(leases: Leases) -> Self {
        Self(leases.as_slice().to_vec())
    }
}

#[cfg(feature = "serde")]
impl TryFrom<Held> for Leases {
    type Error = &'static str;

    fn try_from(Held(leases): Held) -> Result<Self, Self::Error> {
        Self::from_leases(leases).ok_or("at most 64 leases, each of 1 to 64 units")
    }
}

/// What a rule was made from: its serialised form, so that reading one checks it again.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Terms {
    limit: NonZeroU32,
    ttl: Duration,
}

#[cfg(feature = "serde")]
impl From<Concurrency> for Terms {
    fn from(rule: Concurrency) -> Self {
        Self { limit: rule.limit, ttl: rule.ttl() }
    }
}

#[cfg(feature = "serde")]
impl TryFrom<Terms> for Concurrency {
    type Error = RuleError;

    fn try_from(terms: Terms) -> Result<Self, RuleError> {
        Self::new(terms.limit, terms.ttl)
    }
}

/// Leases that a state holds.
const LEASES_MAX: usize = 64;
// They are counted in eight bits.
const _: () = assert!(LEASES_MAX <= u8::MAX as usize);

#[cfg(test)]
mod tests;
