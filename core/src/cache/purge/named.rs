//! What is purged by its name, in bounded memory, and when each purge came.

use crate::{sorted::SortedMap, time::Timestamp};

use super::{CacheKey, GroupId, Metadata, Selector, Strength};

/// What is purged by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Named {
    pub(super) keys: SortedMap<CacheKey, Record>,
    pub(super) groups: SortedMap<GroupId, Record>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Record {
    /// The last generation that a hard purge reached; zero for none.
    pub(super) hard: u64,
    /// The last generation that a soft purge reached; zero for none.
    pub(super) soft: u64,
    /// When the soft one came.
    pub(super) since: Timestamp,
}

impl Named {
    /// Lets `write` change the records of what `selector` names; answers with the last generation of what gave way.
    pub(super) fn take(&mut self, selector: Selector, most: usize, write: impl Fn(&mut Record)) -> u64 {
        match selector {
            Selector::Key(key) => self.write_key(key, most, write),
            Selector::Url { key, path } => self.write_key(key, most, &write).max(self.write_key(path, most, &write)),
            Selector::Group(group) => self.write_group(group, most, write),
            Selector::Prefix { .. } | Selector::All => 0,
        }
    }

    pub(super) fn merge(&mut self, other: &Self, most: usize) -> u64 {
        let mut forgotten = 0;
        for (key, record) in &other.keys {
            forgotten = self.write_key(*key, most, |known| known.merge(record)).max(forgotten);
        }
        for (group, record) in &other.groups {
            forgotten = self.write_group(*group, most, |known| known.merge(record)).max(forgotten);
        }
        forgotten
    }

    fn write_key(&mut self, key: CacheKey, most: usize, write: impl Fn(&mut Record)) -> u64 {
        let forgotten = if self.keys.contains_key(&key) { 0 } else { self.make_room(most) };
        write(self.keys.get_or_insert_with(key, Record::default));
        forgotten
    }

    fn write_group(&mut self, group: GroupId, most: usize, write: impl Fn(&mut Record)) -> u64 {
        let forgotten = if self.groups.contains_key(&group) { 0 } else { self.make_room(most) };
        write(self.groups.get_or_insert_with(group, Record::default));
        forgotten
    }

    /// The records that concern a stored response.
    pub(super) fn of<'a>(
        &'a self,
        key: &CacheKey,
        path: Option<&CacheKey>,
        stored: &'a Metadata,
    ) -> impl Iterator<Item = &'a Record> {
        let keys = self.keys.get(key).into_iter().chain(path.and_then(|path| self.keys.get(path)));
        keys.chain(stored.groups.iter().filter_map(|group| self.groups.get(group)))
    }

    /// Makes room for one more key or group. Answers with the last generation of the one that gave way.
    fn make_room(&mut self, most: usize) -> u64 {
        if self.keys.len() + self.groups.len() < most {
            return 0;
        }
        let key = self.keys.iter().map(|(key, record)| (record.last(), *key)).min();
        let group = self.groups.iter().map(|(group, record)| (record.last(), *group)).min();
        match (key, group) {
            (Some((of_key, key)), of_group) if of_group.is_none_or(|(of_group, _)| of_key < of_group) => {
                self.keys.remove(&key);
                of_key
            }
            (_, Some((of_group, group))) => {
                self.groups.remove(&group);
                of_group
            }
            _ => 0,
        }
    }
}

impl Record {
    pub(super) fn take(&mut self, strength: Strength, generation: u64, now: Timestamp) {
        match strength {
            Strength::Hard => self.hard = generation,
            Strength::Soft => (self.soft, self.since) = (generation, now),
        }
    }

    pub(super) fn last(&self) -> u64 {
        self.hard.max(self.soft)
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.hard = self.hard.max(other.hard);
        if other.soft > self.soft {
            (self.soft, self.since) = (other.soft, other.since);
        }
    }
}
