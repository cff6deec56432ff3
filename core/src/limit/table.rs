//! States of many keys in bounded memory.

use alloc::vec::Vec;
use core::num::NonZeroUsize;

use super::mix::fold;
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
/// Every operation compares eight keys, which fill two cache lines side by side, and then touches one more.
///
/// # What it leaves out
///
/// Keys are 128 bits made by the host: an exact encoding of limit and client address fits, and longer keys
/// are hashed first. Nothing is swept in the background, and values are copied.
#[derive(Clone, Debug)]
pub struct KeyTable<V> {
    /// A power of two of them.
    groups: Vec<Group<V>>,
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

/// The places where a key may live. The keys lie together, two cache lines of them, and are compared without a branch for
/// each; what a key holds lies in one further line.
#[derive(Clone, Copy, Debug)]
#[repr(align(128))]
struct Group<V> {
    /// Each is in one place at most, but for zero, which is also where no key has been yet; the first place of a key
    /// counts.
    keys: [u128; WAYS],
    held: [Held<V>; WAYS],
}

#[derive(Clone, Copy, Debug)]
struct Held<V> {
    /// The epoch marks a place where nothing is: it lies in the past of every clock.
    expires: Timestamp,
    value: V,
}

impl<V: Copy + Default> Group<V> {
    fn empty() -> Self {
        Self { keys: [0; WAYS], held: [Held { expires: Timestamp::UNIX_EPOCH, value: V::default() }; WAYS] }
    }

    /// Where `key` lives or lived.
    #[inline]
    fn find(&self, key: u128) -> Option<usize> {
        let mut places = 0_u32;
        for (place, other) in self.keys.iter().enumerate() {
            places |= u32::from(*other == key) << place;
        }
        (places != 0).then(|| places.trailing_zeros() as usize % WAYS)
    }

    /// The value that was `found`, unless it has expired at `now`.
    #[inline]
    fn value(&self, found: Option<usize>, now: Timestamp) -> Option<V> {
        let held = &self.held[found?];
        (held.expires > now).then_some(held.value)
    }

    /// Puts the value of `key`, which was `found`, in.
    #[inline]
    fn put(&mut self, found: Option<usize>, key: u128, value: V, expires: Timestamp, now: Timestamp) -> Placed {
        if expires <= now {
            self.remove(found);
            return Placed::Expired;
        }
        let place = found.unwrap_or_else(|| self.soonest());
        let placed = if self.held[place].expires <= now {
            Placed::Inserted
        } else if found.is_some() {
            Placed::Replaced
        } else {
            Placed::Evicted
        };
        self.keys[place] = key;
        self.held[place] = Held { expires, value };
        placed
    }

    fn remove(&mut self, found: Option<usize>) {
        if let Some(place) = found {
            self.held[place].expires = Timestamp::UNIX_EPOCH;
        }
    }

    /// The place that expires first, empty ones before all.
    fn soonest(&self) -> usize {
        let expires = |place: usize| self.held[place].expires;
        (1..WAYS).fold(0, |soonest, place| if expires(place) < expires(soonest) { place } else { soonest })
    }
}

impl<V: Copy + Default> KeyTable<V> {
    /// Most places a table has: a million keys at half load. With an 8-byte value it takes 64 MiB; an isolate, which
    /// has 128 MiB for everything, asks for less.
    pub const CAPACITY_MAX: usize = 1 << 21;

    /// A table with at least `capacity` places, rounded up to eight times a power of two and cut at
    /// [`KeyTable::CAPACITY_MAX`].
    ///
    /// `seed` is a number that clients cannot know, so that nobody can choose keys that crowd each other out.
    #[must_use]
    pub fn new(capacity: NonZeroUsize, seed: u64) -> Self {
        let groups = capacity.get().min(Self::CAPACITY_MAX).div_ceil(WAYS).next_power_of_two();
        Self { groups: alloc::vec![Group::empty(); groups], seed }
    }

    /// How many values fit.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.groups.len() * WAYS
    }

    /// The value of `key`, unless it has expired at `now`.
    ///
    /// A clock that steps back keeps values longer, and may show one again that had expired.
    #[inline]
    #[must_use]
    pub fn get(&self, key: u128, now: Timestamp) -> Option<V> {
        let group = &self.groups[self.group_of(key)];
        group.value(group.find(key), now)
    }

    /// Puts the value of `key` in, to be forgotten at `expires`.
    #[inline]
    pub fn put(&mut self, key: u128, value: V, expires: Timestamp, now: Timestamp) -> Placed {
        let group = self.group_of(key);
        let group = &mut self.groups[group];
        let found = group.find(key);
        group.put(found, key, value, expires, now)
    }

    /// Lets `decide` see the value of `key`, as [`KeyTable::get`] gives it, and keeps what it says, as
    /// [`KeyTable::put`] does: a value and when it expires, or `None` to leave everything as it is. Finds the key once.
    #[inline]
    pub fn update<T>(
        &mut self,
        key: u128,
        now: Timestamp,
        decide: impl FnOnce(Option<V>) -> (T, Option<(V, Timestamp)>),
    ) -> T {
        let group = self.group_of(key);
        let group = &mut self.groups[group];
        let found = group.find(key);
        let (answer, kept) = decide(group.value(found, now));
        if let Some((value, expires)) = kept {
            group.put(found, key, value, expires, now);
        }
        answer
    }

    /// Forgets `key`.
    pub fn remove(&mut self, key: u128) {
        let group = self.group_of(key);
        let group = &mut self.groups[group];
        group.remove(group.find(key));
    }

    /// How many values have not expired at `now`. Looks at every place: for metrics, not for requests.
    #[must_use]
    pub fn live(&self, now: Timestamp) -> usize {
        self.groups.iter().flat_map(|group| &group.held).filter(|held| held.expires > now).count()
    }

    fn group_of(&self, key: u128) -> usize {
        // The group count is a power of two, and far below 2^32.
        (fold(key, self.seed) as usize) & (self.groups.len() - 1)
    }
}

/// Places where one key may live: enough that crowding is rare, few enough to look at all of them.
const WAYS: usize = 8;

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;
    use core::num::NonZeroU32;
    use core::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::limit::{Decision, Quota, Tat};

    fn table(capacity: usize) -> KeyTable<u32> {
        KeyTable::new(NonZeroUsize::new(capacity).expect("tests ask for room"), 7)
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(1_772_323_200 + seconds)
    }

    #[test]
    fn capacity_is_rounded_up_and_cut() {
        for (asked, given) in [(1, 8), (8, 8), (9, 16), (1000, 1024), (usize::MAX, KeyTable::<u32>::CAPACITY_MAX)] {
            assert_eq!(table(asked).capacity(), given);
        }
    }

    #[test]
    fn a_value_lives_until_it_expires() {
        let mut table = table(8);
        assert_eq!(table.get(0, at(0)), None);
        assert_eq!(table.put(0, 1, at(10), at(0)), Placed::Inserted);
        assert_eq!(table.get(0, at(9)), Some(1));
        assert_eq!(table.get(0, at(10)), None);
        assert_eq!(table.put(0, 2, at(20), at(5)), Placed::Replaced);
        assert_eq!(table.put(0, 3, at(40), at(30)), Placed::Inserted);
        assert_eq!(table.put(0, 4, at(31), at(31)), Placed::Expired);
        assert_eq!((table.get(0, at(30)), table.live(at(30))), (None, 0));
        assert_eq!(table.put(0, 5, at(40), at(31)), Placed::Inserted);
        table.remove(0);
        assert_eq!(table.get(0, at(31)), None);
    }

    #[test]
    fn an_update_sees_and_keeps_what_get_and_put_do() {
        let mut table = table(8);
        let mut add = |key, now| {
            table.update(key, now, |value| {
                (value, Some((value.unwrap_or_default() + 1, now.after(Duration::from_secs(5)))))
            })
        };
        // Zero is a key like any other, also beside places that no key has taken yet.
        assert_eq!((add(1, at(0)), add(0, at(0)), add(0, at(4))), (None, None, Some(1)));
        assert_eq!((add(1, at(5)), add(0, at(9))), (None, None), "each has expired");
        assert_eq!(table.update(0, at(9), |value| (value, None)), Some(1));
        assert_eq!(table.update(0, at(9), |value| (value, Some((7, at(9))))), Some(1));
        assert_eq!((table.get(0, at(9)), table.live(at(9))), (None, 1));
    }

    #[test]
    fn the_expired_give_way_first_and_then_the_soonest_to_expire() {
        let mut table = table(8);
        for key in 0..8 {
            assert_eq!(table.put(key, 0, at(100 + key as u64), at(0)), Placed::Inserted);
        }
        assert_eq!(table.put(8, 0, at(200), at(100)), Placed::Inserted);
        assert_eq!(table.get(0, at(99)), None);
        assert_eq!(table.put(9, 0, at(200), at(100)), Placed::Evicted);
        assert_eq!((table.get(1, at(100)), table.get(2, at(100))), (None, Some(0)));
        // The newcomer stays even when it expires sooner than everything else.
        assert_eq!(table.put(10, 0, at(101), at(100)), Placed::Evicted);
        assert_eq!((table.get(10, at(100)), table.get(2, at(100))), (Some(0), None));
        assert_eq!(table.live(at(100)), 8);
    }

    /// A flood of invented keys, each of which spends one unit, cannot make the table grow, and cannot buy
    /// forgiveness for a client that has spent its whole burst.
    #[test]
    fn a_flood_of_new_keys_forgives_no_heavy_one() {
        let units = |number| NonZeroU32::new(number).expect("above zero");
        let quota = Quota::new(units(10), Duration::from_secs(10), units(10)).expect("ten in ten seconds");
        let mut table: KeyTable<Tat> = KeyTable::new(NonZeroUsize::new(64).expect("above zero"), 7);
        let spend = |table: &mut KeyTable<Tat>, key, cost| {
            let Decision::Allow { next } = quota.decide(table.get(key, at(0)), at(0), cost) else { return false };
            table.put(key, next, next.expires(), at(0));
            true
        };
        let heavy = u128::MAX;
        assert!(spend(&mut table, heavy, 10));
        for key in 0..100_000 {
            assert!(spend(&mut table, key, 1));
        }
        assert!(!spend(&mut table, heavy, 1));
        assert_eq!((table.capacity(), table.live(at(0))), (64, 64));
    }

    #[test]
    fn keys_spread_over_all_groups() {
        for stride in [1, 1 << 16, 1 << 64, 1 << 96, u128::from(u64::MAX)] {
            let mut table = table(4096);
            let evicted = (0..2048_u128)
                .filter(|key| table.put(key.wrapping_mul(stride), 0, at(10), at(0)) == Placed::Evicted)
                .count();
            // Half full, a group of eight overflows for about one key in a hundred.
            assert!(evicted < 60, "{evicted} of 2048 keys, {stride} apart, were crowded out");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        /// Against a plain map: what the table still has is right, and it loses a live value only by saying
        /// so, to the key that was to expire first.
        #[test]
        fn it_is_a_map_that_forgets_the_soonest(
            steps in prop::collection::vec((0..24_u128, 0..40_u64, 0..3_u64, any::<bool>()), 1..200),
        ) {
            let mut table = table(8);
            let mut model: BTreeMap<u128, (u32, Timestamp)> = BTreeMap::new();
            let mut now = at(0);
            for (step, (key, lifetime, gap, remove)) in (0_u32..).zip(steps) {
                now = now.after(Duration::from_secs(gap));
                model.retain(|_, (_, expires)| *expires > now);
                let expires = now.after(Duration::from_secs(lifetime));
                if remove {
                    table.remove(key);
                    model.remove(&key);
                } else {
                    let expect = match (lifetime, model.contains_key(&key), model.len()) {
                        (0, ..) => Placed::Expired,
                        (_, true, _) => Placed::Replaced,
                        (_, false, 8) => Placed::Evicted,
                        (_, false, _) => Placed::Inserted,
                    };
                    prop_assert_eq!(table.put(key, step, expires, now), expect);
                    if expect == Placed::Evicted {
                        let lost: Vec<u128> =
                            model.keys().copied().filter(|key| table.get(*key, now).is_none()).collect();
                        let soonest = model.values().map(|(_, expires)| *expires).min();
                        prop_assert_eq!(lost.len(), 1);
                        prop_assert_eq!(model.remove(&lost[0]).map(|(_, expires)| expires), soonest);
                    }
                    model.insert(key, (step, expires));
                    model.retain(|_, (_, expires)| *expires > now);
                }
                for key in 0..24 {
                    prop_assert_eq!(table.get(key, now), model.get(&key).map(|(value, _)| *value));
                }
            }
        }
    }
}
