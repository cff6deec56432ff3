//! States of many keys in bounded memory.

use alloc::vec::Vec;
use core::num::NonZeroUsize;

use crate::time::Timestamp;

/// A table of values by key, each with the time at which it is worth nothing any more.
///
/// It serves what one isolate or process counts by itself: limiter states, which expire at
/// [`Tat::expires`](super::Tat::expires), and refusals to remember, which expire when the wait is over.
///
/// # What happens when it is full
///
/// A key has eight places where it may live. When all of them hold something that has not expired, **the one
/// that expires soonest gives way to the newcomer**. Under a limit that is the key which owes least, so a
/// flood of new keys, each having spent little, pushes out its own kind before it forgives a key that has
/// spent much. What the evicted key owed is forgiven: at most `(expires - now) / interval` units of one key.
/// To refuse newcomers instead would let a flood of invented keys shut out everyone else; to leave them
/// uncounted would let a flood through.
///
/// Since places are counted in eights, a few evictions happen before the whole table is full; below half
/// load they are rare.
///
/// # What it costs
///
/// All memory is taken at construction: 16 bytes for the key, 8 for the time and the value, for each place.
/// Every operation looks at eight neighbouring places.
///
/// # What it leaves out
///
/// Keys are 128 bits made by the host: an exact encoding of limit and client address fits, and longer keys
/// are hashed first. Nothing is swept in the background, and values are copied.
#[derive(Clone, Debug)]
pub struct KeyTable<V> {
    /// Groups of [`WAYS`] places; a power of two of them.
    groups: Vec<[Place<V>; WAYS]>,
    seed: u64,
}

/// What became of a value that was put into the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It took the place of the same key's earlier value.
    Replaced,
    /// It took a place that was empty or had expired.
    Inserted,
    /// It took the place of a key that had not expired, and that is now forgotten.
    Evicted,
    /// It had expired already, so nothing is kept under this key.
    Expired,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place<V> {
    key: u128,
    /// The epoch marks a place never used: it lies in the past of every clock.
    expires: Timestamp,
    value: V,
}

impl<V: Copy + Default> KeyTable<V> {
    /// Most places a table has: with an 8-byte value, 32 MiB, a quarter of what an isolate may use.
    pub const CAPACITY_MAX: usize = 1 << 20;

    /// A table with at least `capacity` places, rounded up to eight times a power of two and cut at
    /// [`KeyTable::CAPACITY_MAX`].
    ///
    /// `seed` is a number that clients cannot know, so that nobody can choose keys that crowd each other out.
    #[must_use]
    pub fn new(capacity: NonZeroUsize, seed: u64) -> Self {
        let groups = capacity.get().min(Self::CAPACITY_MAX).div_ceil(WAYS).next_power_of_two();
        Self { groups: alloc::vec![[Place::default(); WAYS]; groups], seed }
    }

    /// How many values fit.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.groups.len() * WAYS
    }

    /// The value of `key`, unless it has expired at `now`.
    ///
    /// A clock that steps back keeps values longer, and may show one again that had expired.
    #[must_use]
    pub fn get(&self, key: u128, now: Timestamp) -> Option<V> {
        let group = &self.groups[self.group_of(key)];
        group.iter().find(|place| place.key == key && place.expires > now).map(|place| place.value)
    }

    /// Puts the value of `key` in, to be forgotten at `expires`.
    pub fn put(&mut self, key: u128, value: V, expires: Timestamp, now: Timestamp) -> Placed {
        if expires <= now {
            self.remove(key);
            return Placed::Expired;
        }
        let group = self.group_of(key);
        let group = &mut self.groups[group];
        let mut victim = 0;
        for at in 0..WAYS {
            if group[at].key == key && group[at].expires != Timestamp::UNIX_EPOCH {
                victim = at;
                break;
            }
            if group[at].expires < group[victim].expires {
                victim = at;
            }
        }
        let place = &mut group[victim];
        let placed = if place.expires <= now {
            Placed::Inserted
        } else if place.key == key {
            Placed::Replaced
        } else {
            Placed::Evicted
        };
        *place = Place { key, expires, value };
        placed
    }

    /// Forgets `key`.
    pub fn remove(&mut self, key: u128) {
        let group = self.group_of(key);
        for place in &mut self.groups[group] {
            if place.key == key {
                *place = Place::default();
            }
        }
    }

    /// How many values have not expired at `now`. Looks at every place: for metrics, not for requests.
    #[must_use]
    pub fn live(&self, now: Timestamp) -> usize {
        self.groups.iter().flatten().filter(|place| place.expires > now).count()
    }

    fn group_of(&self, key: u128) -> usize {
        let low = mix(key as u64 ^ self.seed);
        let hash = mix(low ^ (key >> 64) as u64);
        // The group count is a power of two, and far below 2^32.
        (hash as usize) & (self.groups.len() - 1)
    }
}

/// Spreads every bit over all bits; a bijection, so that no key is lost.
const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    bits = (bits ^ (bits >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    bits ^ (bits >> 32)
}

/// Places where one key may live: enough that crowding is rare, few enough to look at all of them.
const WAYS: usize = 8;
