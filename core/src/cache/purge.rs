//! Purges: which stored responses no longer count, decided when they are used and when they are stored.
//!
//! A purge deletes nothing. It takes a generation, and what was requested in an earlier one does not count any more. So
//! a response whose request went out before the purge, and which comes back after it, is caught as well.
//!
//! Generations are nanoseconds of wall time, pushed forward where a clock stands still or steps back, so that what one
//! isolate stored and what another one purges compare. An isolate whose clock is ahead of another's can save its
//! responses from that one's purges for as long as it is ahead, and no longer.

use alloc::{string::String, vec::Vec};

use crate::{sorted::SortedMap, time::Timestamp};

use super::{
    groups::GroupId,
    key::{CacheKey, Target},
    metadata::Metadata,
};

/// What a purge reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Selector {
    /// One URL, all of its variants.
    Key(CacheKey),
    /// The same, and whatever of its path `No-Vary-Search` has made shareable among URLs: which of them are equal is known
    /// only where the response is stored.
    Url {
        /// The URL.
        key: CacheKey,
        /// Its [`CacheKey::of_path`].
        path: CacheKey,
    },
    /// Every path of an origin that starts with this.
    Prefix {
        /// Whose site it is; empty for the only one.
        tenant: String,
        /// The host, as it is in keys.
        host: String,
        /// The start of the path.
        path: String,
    },
    /// Every response of a group or with a tag.
    Group(GroupId),
    /// Everything.
    All,
}

/// What becomes of what a purge reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Strength {
    /// It is stale from then on: still served while it is revalidated and when the origin fails, as its own windows
    /// allow.
    Soft,
    /// It is never served again.
    Hard,
}

/// What purges say of a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purged {
    /// Nothing.
    No,
    /// It is stale since then.
    Stale {
        /// When the purge came.
        since: Timestamp,
    },
    /// It does not count any more.
    Gone,
}

/// The purges that this cache knows of, in bounded memory.
///
/// # What happens when it is full
///
/// The earliest purge gives way, and everything requested before it counts as hard-purged: more is fetched again than
/// had to be, and nothing purged comes back. [`PURGES_MAX`] bounds keys and groups together, [`PREFIXES_MAX`] the
/// prefixes, which are compared one by one.
///
/// What visitors change is apart from that ([`Purges::change`]), because anybody may be one: at [`CHANGES_MAX`] the earliest
/// change is forgotten, and nothing else is purged for it. What it named, where it is still stored, lives out its own
/// time.
///
/// # What it costs
///
/// Nothing more than one comparison for a response requested after the last purge; four look-ups, two for each group
/// and one comparison for each prefix otherwise, and a hash for one with a `No-Vary-Search`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Purges {
    /// The generation of the last purge.
    generation: u64,
    /// The latest generation that anything here has.
    latest: u64,
    /// What was requested up to here is gone.
    floor: u64,
    all: Option<Record>,
    named: Named,
    prefixes: Vec<Prefix>,
    /// What visitors changed.
    changed: Named,
}

/// What is purged by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Named {
    keys: SortedMap<CacheKey, Record>,
    groups: SortedMap<GroupId, Record>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Record {
    /// The last generation that a hard purge reached; zero for none.
    hard: u64,
    /// The last generation that a soft purge reached; zero for none.
    soft: u64,
    /// When the soft one came.
    since: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Prefix {
    tenant: String,
    host: String,
    path: String,
    record: Record,
}

impl Purges {
    /// The generation of a request that goes out now: later than every purge that is known.
    pub fn stamp(&mut self, now: Timestamp) -> u64 {
        let stamp = now.as_unix_nanos().max(self.generation.saturating_add(1));
        self.latest = self.latest.max(stamp);
        stamp
    }

    /// Takes a purge in. It reaches everything that was stamped before, also when the clock has stepped back since.
    pub fn purge(&mut self, selector: Selector, strength: Strength, now: Timestamp) {
        let generation = self.next(now);
        match selector {
            Selector::All => self.all.get_or_insert_default().take(strength, generation, now),
            Selector::Prefix { tenant, host, path } => {
                let same = |known: &&mut Prefix| known.tenant == tenant && known.host == host && known.path == path;
                if let Some(known) = self.prefixes.iter_mut().find(same) {
                    return known.record.take(strength, generation, now);
                }
                if self.prefixes.len() == PREFIXES_MAX {
                    self.floor = self.floor.max(self.prefixes.remove(0).record.last());
                }
                let mut record = Record::default();
                record.take(strength, generation, now);
                self.prefixes.push(Prefix { tenant, host, path, record });
            }
            Selector::Key(_) | Selector::Url { .. } | Selector::Group(_) => {
                let forgotten = self.named.take(selector, PURGES_MAX, |record| record.take(strength, generation, now));
                self.floor = self.floor.max(forgotten);
            }
        }
    }

    /// Takes in what a visitor's request has changed. As [`Purges::purge`], except for what happens at the bound; who
    /// changes something names it, so a prefix or everything is taken for a purge.
    pub fn change(&mut self, selector: Selector, strength: Strength, now: Timestamp) {
        if matches!(selector, Selector::All | Selector::Prefix { .. }) {
            return self.purge(selector, strength, now);
        }
        let generation = self.next(now);
        self.changed.take(selector, CHANGES_MAX, |record| record.take(strength, generation, now));
    }

    /// The generation of a purge that comes now.
    fn next(&mut self, now: Timestamp) -> u64 {
        let generation = now.as_unix_nanos().max(self.latest).max(self.generation.saturating_add(1));
        (self.generation, self.latest) = (generation, generation);
        generation
    }

    /// Takes in what another cache knows of the same site: each purge counts here as it does there. When there is no room
    /// for all of it, the earliest purges give way, as in [`Purges::purge`].
    pub fn merge(&mut self, other: &Self) {
        self.generation = self.generation.max(other.generation);
        self.latest = self.latest.max(other.latest);
        self.floor = self.floor.max(other.floor);
        if let Some(all) = &other.all {
            self.all.get_or_insert_default().merge(all);
        }
        let forgotten = self.named.merge(&other.named, PURGES_MAX);
        self.floor = self.floor.max(forgotten);
        self.changed.merge(&other.changed, CHANGES_MAX);
        for prefix in &other.prefixes {
            let same = |known: &&mut Prefix| {
                known.tenant == prefix.tenant && known.host == prefix.host && known.path == prefix.path
            };
            match self.prefixes.iter_mut().find(same) {
                Some(known) => known.record.merge(&prefix.record),
                None => self.prefixes.push(prefix.clone()),
            }
        }
        while self.prefixes.len() > PREFIXES_MAX {
            let last = |prefix: &Prefix| prefix.record.last();
            let Some(earliest) = (0..self.prefixes.len()).min_by_key(|at| last(&self.prefixes[*at])) else { return };
            self.floor = self.floor.max(last(&self.prefixes.remove(earliest)));
        }
    }

    /// Whether both have the same purges.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        (self.generation, self.floor, &self.all) == (other.generation, other.floor, &other.all)
            && (&self.named, &self.changed) == (&other.named, &other.changed)
            && self.prefixes.len() == other.prefixes.len()
            && self.prefixes.iter().all(|prefix| other.prefixes.contains(prefix))
    }

    /// What the purges say of a response stored under `key` for `target`.
    #[must_use]
    pub fn check(&self, key: &CacheKey, target: &Target<'_>, stored: &Metadata) -> Purged {
        let stamp = stored.generation;
        if stamp > self.generation {
            return Purged::No;
        }
        if stamp <= self.floor {
            return Purged::Gone;
        }
        let prefixes = self.prefixes.iter().filter(|prefix| prefix.covers(target)).map(|prefix| &prefix.record);
        let path = stored.search.then(|| CacheKey::of_path(target));
        let named = [&self.named, &self.changed].into_iter().flat_map(|named| named.of(key, path.as_ref(), stored));
        let mut purged = Purged::No;
        for record in self.all.iter().chain(named).chain(prefixes) {
            if record.hard >= stamp {
                return Purged::Gone;
            }
            if record.soft >= stamp {
                purged = match purged {
                    Purged::Stale { since } => Purged::Stale { since: since.min(record.since) },
                    _ => Purged::Stale { since: record.since },
                };
            }
        }
        purged
    }
}

impl Named {
    /// Lets `write` change the records of what `selector` names; answers with the last generation of what gave way.
    fn take(&mut self, selector: Selector, most: usize, write: impl Fn(&mut Record)) -> u64 {
        match selector {
            Selector::Key(key) => self.write_key(key, most, write),
            Selector::Url { key, path } => self.write_key(key, most, &write).max(self.write_key(path, most, &write)),
            Selector::Group(group) => self.write_group(group, most, write),
            Selector::Prefix { .. } | Selector::All => 0,
        }
    }

    fn merge(&mut self, other: &Self, most: usize) -> u64 {
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
    fn of<'a>(
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
    fn take(&mut self, strength: Strength, generation: u64, now: Timestamp) {
        match strength {
            Strength::Hard => self.hard = generation,
            Strength::Soft => (self.soft, self.since) = (generation, now),
        }
    }

    fn last(&self) -> u64 {
        self.hard.max(self.soft)
    }

    fn merge(&mut self, other: &Self) {
        self.hard = self.hard.max(other.hard);
        if other.soft > self.soft {
            (self.soft, self.since) = (other.soft, other.since);
        }
    }
}

impl Prefix {
    fn covers(&self, target: &Target<'_>) -> bool {
        self.tenant == target.tenant && self.host == target.host && target.path.starts_with(&self.path)
    }
}

/// Most purged keys and groups that are remembered: under 100 KiB, and an hour of a busy editor.
pub const PURGES_MAX: usize = 1024;

/// Most changes by visitors that are remembered: a few minutes of a site that many write to, while isolates ask every few
/// seconds for what is new.
pub const CHANGES_MAX: usize = 512;

/// Most purged prefixes: each is compared with every stored response that is older than the last purge.
pub const PREFIXES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use alloc::{format, vec};

    use super::*;
    use crate::cache::metadata::tests::metadata;

    const PAGE: Target<'_> =
        Target { method: "GET", tenant: "", scheme: "https", host: "a.example", path: "/news/1", query: "" };

    fn at(second: u64) -> Timestamp {
        Timestamp::from_unix_seconds(second)
    }

    fn prefix(path: &str) -> Selector {
        Selector::Prefix { tenant: String::new(), host: String::from("a.example"), path: String::from(path) }
    }

    #[test]
    fn each_kind_of_purge_reaches_what_it_names() {
        let key = CacheKey::new(&PAGE);
        let group = GroupId::of_origin(&PAGE, "g");
        let other = CacheKey::new(&Target { path: "/", ..PAGE });
        for (id, selector, reaches) in [
            ("purge-all", Selector::All, true),
            ("purge-key", Selector::Key(key), true),
            ("purge-other-key", Selector::Key(other), false),
            ("purge-group", Selector::Group(group), true),
            ("purge-other-group", Selector::Group(GroupId::tag("", "g")), false),
            ("purge-prefix", prefix("/news/"), true),
            ("purge-other-prefix", prefix("/neu"), false),
            (
                "purge-prefix-of-other-tenant",
                Selector::Prefix { tenant: "t".into(), host: "a.example".into(), path: "/".into() },
                false,
            ),
        ] {
            for (strength, expect) in [(Strength::Hard, Purged::Gone), (Strength::Soft, Purged::Stale { since: at(9) })]
            {
                let mut purges = Purges::default();
                let before = Metadata { generation: purges.stamp(at(9)), groups: vec![group], ..metadata(0, 60, 0, 0) };
                assert_eq!(purges.check(&key, &PAGE, &before), Purged::No, "{id}");
                purges.purge(selector.clone(), strength, at(9));
                let expect = if reaches { expect } else { Purged::No };
                assert_eq!(purges.check(&key, &PAGE, &before), expect, "{id}: stored, or on its way, before");
                let after = Metadata { generation: purges.stamp(at(9)), ..before };
                assert_eq!(purges.check(&key, &PAGE, &after), Purged::No, "{id}: requested after");
            }
        }
    }

    #[test]
    fn the_harder_and_the_earlier_purge_counts() {
        let key = CacheKey::new(&PAGE);
        let mut purges = Purges::default();
        let stored = Metadata { generation: purges.stamp(at(1)), ..metadata(0, 60, 0, 0) };
        purges.purge(Selector::Key(key), Strength::Soft, at(5));
        purges.purge(Selector::All, Strength::Soft, at(9));
        assert_eq!(purges.check(&key, &PAGE, &stored), Purged::Stale { since: at(5) });
        purges.purge(prefix("/"), Strength::Hard, at(10));
        assert_eq!(purges.check(&key, &PAGE, &stored), Purged::Gone);
    }

    #[test]
    fn a_full_table_forgets_no_purge() {
        let key = |number: usize| CacheKey::new(&Target { path: &format!("/{number}"), ..PAGE });
        let mut purges = Purges::default();
        let stored = Metadata { generation: purges.stamp(at(1)), ..metadata(0, 60, 0, 0) };
        for number in 0..PURGES_MAX {
            purges.purge(Selector::Key(key(number)), Strength::Soft, at(1));
        }
        assert_eq!(purges.check(&key(PURGES_MAX), &PAGE, &stored), Purged::No);
        let middle = Metadata { generation: purges.stamp(at(1)), ..stored.clone() };
        purges.purge(Selector::Group(GroupId::tag("", "x")), Strength::Hard, at(2));
        assert_eq!(purges.named.keys.len() + purges.named.groups.len(), PURGES_MAX);
        for number in 0..=PURGES_MAX {
            assert_eq!(purges.check(&key(number), &PAGE, &stored), Purged::Gone, "{number}: older than what gave way");
        }
        assert_eq!(purges.check(&key(0), &PAGE, &middle), Purged::No);
        for number in 0..=PREFIXES_MAX {
            purges.purge(prefix(&format!("/x{number}")), Strength::Hard, at(3));
        }
        assert_eq!(purges.prefixes.len(), PREFIXES_MAX);
        assert_eq!(purges.check(&key(0), &PAGE, &middle), Purged::Gone);
    }

    #[test]
    fn a_merged_purge_counts_as_it_does_where_it_came_from() {
        let key = CacheKey::new(&PAGE);
        let group = GroupId::of_origin(&PAGE, "g");
        for selector in [Selector::All, Selector::Key(key), Selector::Group(group), prefix("/news/")] {
            for strength in [Strength::Hard, Strength::Soft] {
                let (mut here, mut there) = (Purges::default(), Purges::default());
                let stored = Metadata { generation: here.stamp(at(1)), groups: vec![group], ..metadata(0, 60, 0, 0) };
                here.purge(Selector::Group(GroupId::tag("", "other")), Strength::Hard, at(2));
                there.purge(selector.clone(), strength, at(5));
                here.merge(&there);
                assert_eq!(here.check(&key, &PAGE, &stored), there.check(&key, &PAGE, &stored), "{selector:?}");
                let before = here.clone();
                here.merge(&there);
                assert_eq!(here, before, "merging twice is merging once");
                let later = Metadata { generation: here.stamp(at(1)), ..stored };
                assert_eq!(here.check(&key, &PAGE, &later), Purged::No, "a later fill is not reached: {selector:?}");
            }
        }
    }

    #[test]
    fn merging_more_than_fits_forgets_no_purge() {
        let key = |number: usize| CacheKey::new(&Target { path: &format!("/{number}"), ..PAGE });
        let (mut here, mut there) = (Purges::default(), Purges::default());
        let stored = Metadata { generation: here.stamp(at(1)), ..metadata(0, 60, 0, 0) };
        for number in 0..PURGES_MAX {
            here.purge(Selector::Key(key(number)), Strength::Hard, at(2));
            there.purge(Selector::Key(key(PURGES_MAX + number)), Strength::Hard, at(2));
        }
        for number in 0..PREFIXES_MAX {
            here.purge(prefix(&format!("/x{number}")), Strength::Hard, at(3));
            there.purge(prefix(&format!("/y{number}")), Strength::Hard, at(3));
        }
        here.merge(&there);
        assert!(here.named.keys.len() <= PURGES_MAX && here.prefixes.len() <= PREFIXES_MAX);
        for number in 0..2 * PURGES_MAX {
            assert_eq!(here.check(&key(number), &PAGE, &stored), Purged::Gone, "{number}");
        }
    }

    #[test]
    fn a_purge_reaches_what_other_isolates_stored_and_what_a_later_clock_stamped() {
        let key = CacheKey::new(&PAGE);
        let (mut here, mut there) = (Purges::default(), Purges::default());
        for _ in 0..50 {
            there.purge(Selector::Group(GroupId::tag("", "x")), Strength::Hard, at(1));
        }
        let stored = |generation| Metadata { generation, ..metadata(0, 60, 0, 0) };
        let (before, after) = (stored(there.stamp(at(10))), stored(there.stamp(at(30))));
        here.purge(Selector::Key(key), Strength::Hard, at(20));
        assert_eq!(here.check(&key, &PAGE, &before), Purged::Gone);
        assert_eq!(here.check(&key, &PAGE, &after), Purged::No);

        let own = stored(here.stamp(at(100)));
        here.purge(Selector::Key(key), Strength::Hard, at(50));
        assert_eq!(here.check(&key, &PAGE, &own), Purged::Gone, "the clock stepped back between");
        let next = stored(here.stamp(at(40)));
        assert_eq!(here.check(&key, &PAGE, &next), Purged::No);
    }

    #[test]
    fn what_visitors_change_empties_nothing_else_however_much_it_is() {
        let key = |number: usize| CacheKey::new(&Target { path: &format!("/{number}"), ..PAGE });
        let mut purges = Purges::default();
        let stored = Metadata { generation: purges.stamp(at(1)), ..metadata(0, 60, 0, 0) };
        purges.purge(Selector::Key(key(0)), Strength::Hard, at(2));
        for number in 1..=2 * CHANGES_MAX {
            purges.change(Selector::Key(key(number)), Strength::Hard, at(3));
        }
        let mut elsewhere = Purges::default();
        elsewhere.merge(&purges);
        for purges in [&purges, &elsewhere] {
            assert_eq!(purges.changed.keys.len(), CHANGES_MAX);
            assert_eq!(purges.check(&key(9 * CHANGES_MAX), &PAGE, &stored), Purged::No, "nobody named it");
            assert_eq!(purges.check(&key(0), &PAGE, &stored), Purged::Gone, "an operator's is kept");
            assert_eq!(purges.check(&key(2 * CHANGES_MAX), &PAGE, &stored), Purged::Gone, "the latest are kept");
            assert_eq!(purges.check(&key(1), &PAGE, &stored), Purged::No, "the earliest is forgotten");
        }
    }

    #[test]
    fn a_purge_of_a_url_reaches_what_other_urls_share_with_it() {
        let url = |query| Target { query, ..PAGE };
        let selector = Selector::Url { key: CacheKey::new(&url("b=1")), path: CacheKey::of_path(&PAGE) };
        for write in [Purges::purge, Purges::change] {
            let mut purges = Purges::default();
            let exact = Metadata { generation: purges.stamp(at(1)), ..metadata(0, 60, 0, 0) };
            let shared = Metadata { search: true, ..exact.clone() };
            write(&mut purges, selector.clone(), Strength::Hard, at(2));
            for (query, stored, expect) in
                [("b=1", &exact, Purged::Gone), ("b=2", &exact, Purged::No), ("b=2", &shared, Purged::Gone)]
            {
                assert_eq!(purges.check(&CacheKey::new(&url(query)), &url(query), stored), expect, "{query}");
            }
            let other = Target { path: "/other", ..PAGE };
            assert_eq!(purges.check(&CacheKey::new(&other), &other, &shared), Purged::No);
        }
    }
}
