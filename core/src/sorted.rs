//! A map for hundreds of entries: sorted, in one piece of memory.
//!
//! A tree is quicker when there are many thousands, and costs a Worker several kilobytes of code for each kind of it
//! (docs/decisions/0017-size-of-the-worker.md).

use alloc::vec::Vec;
use core::slice;

/// Values by key, in the order of their keys.
///
/// A look-up compares with the logarithm of their number; a new key moves those behind it, so maps are bounded by who
/// fills them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(transparent, bound(deserialize = "K: Ord + serde::Deserialize<'de>, V: serde::Deserialize<'de>"))
)]
pub struct SortedMap<K, V>(#[cfg_attr(feature = "serde", serde(deserialize_with = "sorted"))] Vec<(K, V)>);

impl<K, V> SortedMap<K, V> {
    /// A map of nothing, which allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// How many keys there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of it, in the order of the keys.
    pub fn iter(&self) -> slice::Iter<'_, (K, V)> {
        self.0.iter()
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        let place = self.place(key).ok()?;
        self.0.get(place).map(|(_, value)| value)
    }

    /// The value of a key, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let place = self.place(key).ok()?;
        self.0.get_mut(place).map(|(_, value)| value)
    }

    /// Whether the key has a value.
    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.place(key).is_ok()
    }

    /// Gives a key a value, in place of the one that it had.
    pub fn insert(&mut self, key: K, value: V) {
        match self.place(&key) {
            Ok(place) => self.0[place].1 = value,
            Err(place) => self.0.insert(place, (key, value)),
        }
    }

    /// The value of a key, which is made when there is none.
    pub fn get_or_insert_with(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        let place = self.place(&key).unwrap_or_else(|place| {
            self.0.insert(place, (key, value()));
            place
        });
        &mut self.0[place].1
    }

    /// Takes a key out, with its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let place = self.place(key).ok()?;
        Some(self.0.remove(place).1)
    }

    /// Takes out all that `keep` does not want.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        self.0.retain(|(key, value)| keep(key, value));
    }

    /// Where the key stands, or would stand.
    fn place(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.cmp(key))
    }
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a, K, V> IntoIterator for &'a SortedMap<K, V> {
    type Item = &'a (K, V);
    type IntoIter = slice::Iter<'a, (K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// What was written may come from anywhere: of entries in another order or with the same key, the last one counts.
#[cfg(feature = "serde")]
fn sorted<'de, K, V, D>(reader: D) -> Result<Vec<(K, V)>, D::Error>
where
    K: Ord + serde::Deserialize<'de>,
    V: serde::Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    let entries: Vec<(K, V)> = serde::Deserialize::deserialize(reader)?;
    if entries.is_sorted_by(|(one, _), (next, _)| one < next) {
        return Ok(entries);
    }
    let mut map = SortedMap::new();
    entries.into_iter().for_each(|(key, value)| map.insert(key, value));
    Ok(map.0)
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_tree_holds(steps in proptest::collection::vec((0_u8..5, 0_u8..16, any::<u16>()), 0..80)) {
            let (mut map, mut tree) = (SortedMap::new(), BTreeMap::new());
            for (step, key, value) in steps {
                match step {
                    0 | 1 => {
                        map.insert(key, value);
                        tree.insert(key, value);
                    }
                    2 => prop_assert_eq!(map.remove(&key), tree.remove(&key)),
                    3 => {
                        *map.get_or_insert_with(key, || 7) ^= value;
                        *tree.entry(key).or_insert(7) ^= value;
                    }
                    _ => {
                        map.retain(|_, kept| *kept > value);
                        tree.retain(|_, kept| *kept > value);
                    }
                }
                prop_assert!(map.iter().map(|(key, value)| (key, value)).eq(&tree));
                prop_assert_eq!((map.get(&key), map.len()), (tree.get(&key), tree.len()));
                prop_assert_eq!((map.contains_key(&key), map.is_empty()), (tree.contains_key(&key), tree.is_empty()));
                if let Some(kept) = map.get_mut(&key) {
                    *kept = value;
                    tree.insert(key, value);
                }
            }
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn it_is_written_as_a_tree_is_and_read_in_any_order() {
        let tree = BTreeMap::from([(1_u8, 10_u16), (44, 20), (9, 30)]);
        let written = postcard::to_allocvec(&tree).unwrap();
        let map: SortedMap<u8, u16> = postcard::from_bytes(&written).unwrap();
        assert_eq!(postcard::to_allocvec(&map).unwrap(), written);
        let disordered = postcard::to_allocvec(&[(9_u8, 1_u16), (1, 2), (9, 3)].to_vec()).unwrap();
        let map: SortedMap<u8, u16> = postcard::from_bytes(&disordered).unwrap();
        assert_eq!(map.iter().collect::<Vec<_>>(), [&(1, 2), &(9, 3)]);
    }
}
