//! Which shared calls have ended, for requests that looked something up before the end and would ask for it after.
//!
//! Between a look-up that finds nothing and the call that follows lie waits: for the store's answer, and for the shared
//! limits. A call for the same key that ends in between has stored what the request is about to ask for, and is under way
//! no more when it wants to join.

use core::num::NonZeroUsize;

use seawall_core::{cache::key::CacheKey, limit::table::KeyTable, time::Timestamp};

use crate::limits::{LANDING_REMEMBERED_FOR, LANDINGS_REMEMBERED};

/// The ends of calls in one isolate.
#[derive(Debug)]
pub(crate) struct Landings {
    count: u64,
    /// The number of the last one of each key.
    last: KeyTable<u64>,
}

/// A moment among them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(u64);

impl Landings {
    /// None so far. `seed` is a number that clients cannot know.
    pub(crate) fn new(seed: u64) -> Self {
        Self { count: 0, last: KeyTable::new(const { NonZeroUsize::new(LANDINGS_REMEMBERED).unwrap() }, seed) }
    }

    /// This moment.
    pub(crate) const fn moment(&self) -> Moment {
        Moment(self.count)
    }

    /// A call for `key` ends.
    pub(crate) fn land(&mut self, key: &CacheKey, now: Timestamp) {
        self.count += 1;
        self.last.put(key.low_bits(), self.count, now.after(LANDING_REMEMBERED_FOR), now);
    }

    /// Whether one has ended since.
    pub(crate) fn landed_since(&self, moment: Moment, key: &CacheKey, now: Timestamp) -> bool {
        self.last.get(key.low_bits(), now).is_some_and(|last| last > moment.0)
    }
}
