//! Purges: which stored responses no longer count, decided when they are used and when they are stored.
//!
//! A purge deletes nothing. It takes a generation, and what was requested in an earlier one does not count any more. So
//! a response whose request went out before the purge, and which comes back after it, is caught as well.
//!
//! Generations are nanoseconds of wall time, pushed forward where a clock stands still or steps back, so that what one
//! isolate stored and what another one purges compare. An isolate whose clock is ahead of another's can save its
//! responses from that one's purges for as long as it is ahead, and no longer.

mod named;

use alloc::{string::String, vec::Vec};

use crate::time::Timestamp;

use super::{
    groups::GroupId,
    key::{CacheKey, Target},
    metadata::Metadata,
};
use named::{Named, Record};

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
mod tests;
