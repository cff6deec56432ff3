//! The first tier: small responses that are asked for often, ready to be sent, in the memory of one isolate.
//!
//! What is kept here is what the second tier holds too, so losing it costs nothing but time. It is believed for
//! [`MEMORY_BELIEVED_FOR`] after it was read there, because another isolate may replace or invalidate what is stored.
//!
//! # Who gets in
//!
//! A response takes the place of others that are still believed only if it is asked for [`WORTH_A_CHANGE`] times as often as
//! each of them, by the count of a small sketch that forgets by halves (TinyLFU, Einziger et al. 2017). Addresses that are
//! asked for once, however many, push nothing out; nor do those that are asked for about as often as what is here, for which
//! reading a body into memory would be work without a gain.

use alloc::{boxed::Box, vec::Vec};

use seawall_core::{
    cache::{Metadata, VaryOptions, key::CacheKey, variants::Variants},
    headers::Fields,
    sorted::SortedMap,
    time::Timestamp,
};

use crate::{
    Platform,
    limits::{MEMORY_BELIEVED_FOR, MEMORY_BYTES_MAX, MEMORY_ENTRIES_MAX, MEMORY_ENTRY_BYTES_MAX},
};

use self::sketch::Sketch;

mod places;
mod sketch;

pub(crate) use self::places::{Place, Places};

/// What one isolate has at hand.
#[derive(Debug)]
pub(crate) struct Memory<P: Platform> {
    pub(crate) responses: Responses<P>,
    pub(crate) urls: Places,
}

impl<P: Platform> Memory<P> {
    /// `seed` is a number that clients cannot know.
    pub(crate) fn new(seed: u64) -> Self {
        Self { responses: Responses::new(seed), urls: Places::new() }
    }
}

/// The first tier of one isolate. At most [`MEMORY_ENTRIES_MAX`] entries and [`MEMORY_BYTES_MAX`] bytes.
#[derive(Debug)]
pub(crate) struct Responses<P: Platform> {
    entries: Vec<Entry<P>>,
    /// Where each key's entry stands.
    places: SortedMap<CacheKey, usize>,
    bytes: usize,
    seen: Sketch,
    /// Where the next sample begins.
    hand: usize,
}

#[derive(Debug)]
struct Entry<P: Platform> {
    /// What is asked for, and counted.
    url: CacheKey,
    /// Its own name: that of the URL, or of a variant.
    key: CacheKey,
    kept: Kept<P>,
    bytes: usize,
    until: Timestamp,
}

/// What is kept under a key, as in the second tier.
#[derive(Debug)]
pub(crate) enum Kept<P: Platform> {
    /// A response that serves requests of this key.
    Response(Box<Metadata>, P::Ready),
    /// Where the responses of this key's variants are.
    Variants(Variants),
}

impl<P: Platform> Responses<P> {
    fn new(seed: u64) -> Self {
        Self { entries: Vec::new(), places: SortedMap::new(), bytes: 0, seen: Sketch::new(seed), hand: 0 }
    }

    /// Counts a request for `key`, whoever answers it.
    pub(crate) fn see(&mut self, key: &CacheKey) {
        self.seen.add(key.low_bits());
    }

    /// The response that serves a request for `key` and is still believed; counts nothing.
    pub(crate) fn find(
        &self,
        key: &CacheKey,
        request: &impl Fields,
        options: &VaryOptions,
        now: Timestamp,
    ) -> Option<(&Metadata, &P::Ready)> {
        match self.kept(key, now)? {
            Kept::Response(metadata, ready) => Some((metadata, ready)),
            Kept::Variants(variants) => match self.kept(&variants.select(key, request, None, options)?, now)? {
                Kept::Response(metadata, ready) => Some((metadata, ready)),
                Kept::Variants(_) => None,
            },
        }
    }

    /// Whether a response of `bytes` for the URL `url` would get in under `key`: it is small, and asked for often enough.
    pub(crate) fn wants(&self, url: &CacheKey, key: &CacheKey, bytes: u64, now: Timestamp) -> bool {
        let fits = usize::try_from(bytes).ok().filter(|bytes| *bytes <= MEMORY_ENTRY_BYTES_MAX);
        fits.is_some_and(|bytes| {
            // It takes the place of what is there under its own name.
            let own = self.places.get(key).copied();
            self.seen.count(url.low_bits()) >= SEEN_MIN && self.room_for(url, bytes, own, now).is_some()
        })
    }

    /// Keeps something for the URL `url` under `key`, unless others there are asked for as often as that URL; whether it did.
    pub(crate) fn keep(&mut self, url: &CacheKey, key: CacheKey, kept: Kept<P>, bytes: usize, now: Timestamp) -> bool {
        self.forget(&key);
        let Some(mut victims) = self.room_for(url, bytes, None, now) else { return false };
        // From the back, so that the places of those still to go stay what they are. Not sorted: they are few, and a sort
        // is 2 KB of code.
        while let Some((last, place)) = victims.iter().copied().enumerate().max_by_key(|(_, place)| *place) {
            victims.swap_remove(last);
            self.take(place);
        }
        let until = now.after(MEMORY_BELIEVED_FOR);
        self.places.insert(key, self.entries.len());
        self.bytes += bytes;
        self.entries.push(Entry { url: *url, key, kept, bytes, until });
        self.hand = self.hand.wrapping_add(SAMPLE);
        true
    }

    /// Forgets what is kept under `key`: it was replaced or invalidated.
    pub(crate) fn forget(&mut self, key: &CacheKey) {
        if let Some(place) = self.places.get(key) {
            self.take(*place);
        }
    }

    fn kept(&self, key: &CacheKey, now: Timestamp) -> Option<&Kept<P>> {
        let entry = self.entries.get(*self.places.get(key)?)?;
        (entry.until > now).then_some(&entry.kept)
    }

    /// The places that have to be given up for `bytes` of the URL `url`, with `own`, which is given up anyhow; `None` when
    /// they are worth more than it.
    fn room_for(&self, url: &CacheKey, bytes: usize, own: Option<usize>, now: Timestamp) -> Option<Vec<usize>> {
        if bytes > MEMORY_ENTRY_BYTES_MAX {
            return None;
        }
        let worth = self.seen.count(url.low_bits());
        let mut victims: Vec<usize> = own.into_iter().collect();
        let mut freed: usize = victims.iter().map(|place| self.entries[*place].bytes).sum();
        while self.bytes - freed + bytes > MEMORY_BYTES_MAX || self.entries.len() - victims.len() >= MEMORY_ENTRIES_MAX
        {
            let sample = (0..self.entries.len()).map(|step| (self.hand + step) % self.entries.len());
            let value = |entry: &Entry<P>| if entry.until > now { self.seen.count(entry.url.low_bits()) } else { 0 };
            let (least, place) = sample
                .filter(|place| !victims.contains(place))
                .take(SAMPLE)
                .map(|place| (value(&self.entries[place]), place))
                .min()?;
            if least > 0 && least.saturating_mul(WORTH_A_CHANGE) > worth {
                return None;
            }
            freed += self.entries[place].bytes;
            victims.push(place);
        }
        Some(victims)
    }

    fn take(&mut self, place: usize) {
        let entry = self.entries.swap_remove(place);
        self.bytes -= entry.bytes;
        self.places.remove(&entry.key);
        if let Some(moved) = self.entries.get(place) {
            self.places.insert(moved.key, place);
        }
    }
}

/// Requests that make a response worth keeping: the second one shows that there may be a third.
const SEEN_MIN: u8 = 2;

/// How many times as often something must be asked for than what it pushes out. Counts are rough, and the least of a sample
/// is below what its like has: by a smaller factor most of those that are asked for alike would push each other out in turn.
const WORTH_A_CHANGE: u8 = 2;

/// Entries that are compared for one that has to go: enough to find a poor one, few enough to cost nothing.
const SAMPLE: usize = 8;
