//! The variants of one URL, and the parts of each: which are stored, and which serves a request (RFC 9111 §4.1 and §4).

use alloc::vec::Vec;
use core::time::Duration;

use crate::{headers::Fields, time::Timestamp};

use super::{
    key::CacheKey,
    metadata::{Content, Metadata},
    options::VaryOptions,
    range::{Asked, asked, touches},
    vary::VaryBy,
};

/// What is stored for a URL whose responses vary, or of which parts are stored: kept under the URL's own key, while each
/// response is under the key of its variant, and each part under one below that.
///
/// Responses of one URL may vary on different fields over time; each set of names is tried. Two isolates that add a
/// variant at the same moment may lose one of them, which costs a miss.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Variants {
    /// Sets of names. The empty set is not among them: most URLs have no other.
    sets: Vec<VaryBy>,
    /// In the order in which they were stored.
    stored: Vec<Variant>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Variant {
    /// That of the request fields, whatever part of the response it is.
    key: CacheKey,
    /// Zero for the empty set of names, one more than its place for any other.
    set: u8,
    /// Its `Date`.
    date: Timestamp,
    /// When it is of no more use.
    until: Timestamp,
    /// How much of the response it is, and of a part which response: half a hash of its entity tag, or of its
    /// `Last-Modified` where it has none.
    content: Content,
    tag: u128,
}

impl Variants {
    /// The key of the variant that serves `request`: of several that match, one that has what `range` asks for, and of
    /// those the one with the latest `Date` (RFC 9111 §4.1). Where none has it, a part that it could be joined with, or
    /// any. `None` when none matches. Allocates nothing where the host's fields are borrowed.
    #[must_use]
    pub fn select(
        &self,
        url: &CacheKey,
        request: &impl Fields,
        range: Option<&str>,
        options: &VaryOptions,
    ) -> Option<CacheKey> {
        let mut best: Option<&Variant> = None;
        let none = VaryBy::default();
        for (set, vary) in (0..).zip([&none].into_iter().chain(&self.sets)) {
            let key = url.variant(vary, request, options);
            for found in self.stored.iter().filter(|variant| variant.set == set && variant.key == key) {
                let worth = |variant: &Variant| (variant.use_for(range), variant.date);
                if best.is_none_or(|best| worth(found) >= worth(best)) {
                    best = Some(found);
                }
            }
        }
        best.map(Variant::place)
    }

    /// Adds the response to `request` that `metadata` describes, and answers with the key it is stored under.
    ///
    /// At the bound, the variant that was stored longest ago is forgotten: a flood of invented variants pays one call
    /// to the origin for each that it pushes out, and what is in demand comes back at once. Its bytes stay in the
    /// store until their time, reached by nobody. Parts have a bound of their own, and there the shortest is forgotten: a
    /// flood of invented ranges pushes out its own.
    ///
    /// A part takes the place of those that it holds, and of those of another response; a whole one of all of them.
    pub fn insert(
        &mut self,
        url: &CacheKey,
        metadata: &Metadata,
        request: &impl Fields,
        options: &VaryOptions,
        now: Timestamp,
    ) -> CacheKey {
        let key = url.variant(&metadata.vary, request, options);
        let modified = metadata.last_modified.unwrap_or(Timestamp::UNIX_EPOCH).as_unix_nanos().to_be_bytes();
        let tag = key.part(metadata.etag.as_deref().map_or(&modified, str::as_bytes)).low_bits();
        let content = metadata.content;
        self.stored.retain(|variant| {
            let stays = variant.key != key || (variant.tag == tag && variant.is_beside(content));
            stays && variant.until > now
        });
        let most = usize::from(options.variants_max.min(VARIANTS_MAX));
        let most = if most == 0 { usize::from(VARIANTS_MAX) } else { most };
        self.make_room(is_part(content), if is_part(content) { PARTS_MAX } else { most });
        self.forget_unused_sets();
        let set = if metadata.vary.is_empty() {
            0
        } else {
            1 + self.sets.iter().position(|set| *set == metadata.vary).unwrap_or_else(|| {
                self.sets.reserve_exact(1);
                self.sets.push(metadata.vary.clone());
                self.sets.len() - 1
            })
        };
        // There are at most as many sets as variants and parts, and those are below 256.
        let set = u8::try_from(set).unwrap_or(u8::MAX);
        let until = now.after(metadata.keep_for(now));
        // Most URLs have one variant and no more.
        self.stored.reserve_exact(1);
        let variant = Variant { key, set, date: metadata.date, until, content, tag };
        let place = variant.place();
        self.stored.push(variant);
        place
    }

    /// How long the host has to keep this, from `now`: as long as any of its variants.
    #[must_use]
    pub fn keep_for(&self, now: Timestamp) -> Duration {
        self.stored.iter().map(|variant| variant.until.since(now)).max().unwrap_or_default()
    }

    /// How many variants are known.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.stored.len()
    }

    /// Whether none is.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.stored.is_empty()
    }

    /// The memory that this has taken beside itself.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let lists = self.sets.capacity() * size_of::<VaryBy>() + self.stored.capacity() * size_of::<Variant>();
        lists + self.sets.iter().map(VaryBy::bytes).sum::<usize>()
    }

    /// Forgets variants, or parts, until there is room for one more.
    fn make_room(&mut self, parts: bool, most: usize) {
        while self.stored.iter().filter(|variant| is_part(variant.content) == parts).count() >= most {
            // Of a variant, whatever its length: the first is the one that was stored longest ago.
            let length = |variant: &Variant| match variant.content {
                Content::Part { first, last, .. } => last - first,
                Content::Whole { .. } => 0,
            };
            let stored = self.stored.iter().enumerate().filter(|(_, variant)| is_part(variant.content) == parts);
            let Some((least, _)) = stored.min_by_key(|(_, variant)| length(variant)) else { return };
            self.stored.remove(least);
        }
    }

    fn forget_unused_sets(&mut self) {
        let mut set = 1;
        while set <= self.sets.len() {
            if self.stored.iter().any(|variant| usize::from(variant.set) == set) {
                set += 1;
                continue;
            }
            self.sets.remove(set - 1);
            for variant in &mut self.stored {
                if usize::from(variant.set) > set {
                    variant.set -= 1;
                }
            }
        }
    }
}

impl Variant {
    /// The key that it is stored under. A part keeps it while it grows at its end.
    fn place(&self) -> CacheKey {
        match self.content {
            Content::Whole { .. } => self.key,
            Content::Part { first, .. } => self.key.part(&first.to_be_bytes()),
        }
    }

    /// How good an answer it is to a request for `range`: 2 for one, 1 for what an answer can be joined with.
    fn use_for(&self, range: Option<&str>) -> u8 {
        match (asked(range, self.content), self.content, range) {
            (Asked::Part(_) | Asked::Unsatisfiable { .. }, ..) | (Asked::Everything, Content::Whole { .. }, _) => 2,
            (Asked::Everything, Content::Part { first, .. }, _) => u8::from(first == 0),
            (Asked::Missing, content, range) => u8::from(range.is_some_and(|range| touches(range, content))),
        }
    }

    /// Whether it is a part that another part does not hold.
    fn is_beside(&self, other: Content) -> bool {
        match (self.content, other) {
            (Content::Part { first, last, .. }, Content::Part { first: from, last: to, .. }) => {
                first < from || last > to
            }
            _ => false,
        }
    }
}

const fn is_part(content: Content) -> bool {
    matches!(content, Content::Part { .. })
}

/// Most parts of one URL, in all of its variants: as many places of a film as its visitors may have begun at.
pub const PARTS_MAX: usize = 16;

/// Most variants of one URL: languages times encodings of a large site, and an index of 4 KiB.
pub const VARIANTS_MAX: u16 = 32;

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::cache::{key::Target, metadata::tests::metadata};

    const fn at(second: u64) -> Timestamp {
        Timestamp::from_unix_seconds(second)
    }

    struct Site {
        url: CacheKey,
        variants: Variants,
        options: VaryOptions,
    }

    impl Site {
        fn new() -> Self {
            let url = CacheKey::new(&Target { path: "/", ..Target::default() });
            Self { url, variants: Variants::default(), options: VaryOptions::default() }
        }

        fn store(&mut self, vary: &str, request: &[(&str, &str)], date: u64) -> CacheKey {
            self.store_at(vary, request, date, at(100))
        }

        /// Stores a response that is of use for 100 s.
        fn store_at(&mut self, vary: &str, request: &[(&str, &str)], date: u64, now: Timestamp) -> CacheKey {
            let vary = VaryBy::parse(Some(vary), &self.options).unwrap();
            let metadata = Metadata { vary, date: at(date), response_time: now, ..metadata(0, 100, 0, 0) };
            self.variants.insert(&self.url, &metadata, &request, &self.options, now)
        }

        fn store_part(&mut self, etag: &str, first: u64, last: u64) -> CacheKey {
            let content = Content::Part { first, last, complete: Some(1_000_000) };
            let metadata =
                Metadata { etag: Some(etag.into()), content, response_time: at(100), ..metadata(0, 100, 0, 0) };
            self.variants.insert(&self.url, &metadata, &[("", ""); 0], &self.options, at(100))
        }

        fn find_part(&self, request: &[(&str, &str)], range: Option<&str>) -> Option<CacheKey> {
            self.variants.select(&self.url, &request, range, &self.options)
        }

        fn find(&self, request: &[(&str, &str)]) -> Option<CacheKey> {
            self.find_part(request, None)
        }
    }

    #[test]
    fn a_range_gets_the_part_that_has_it_or_one_that_it_can_be_joined_with() {
        let mut site = Site::new();
        let start = site.store_part("\"a\"", 0, 99);
        let middle = site.store_part("\"a\"", 500, 599);
        for (range, expect) in [
            ("bytes=0-9", start),
            ("bytes=550-", middle),
            ("bytes=100-199", start),
            ("bytes=400-499", middle),
            ("bytes=590-700", middle),
        ] {
            assert_eq!(site.find_part(&[], Some(range)), Some(expect), "{range}");
        }
        assert_eq!(site.find(&[]), Some(start), "a start can be completed");
        assert!(site.find_part(&[], Some("bytes=900-")).is_some(), "any shows that it is known");
        let longer = site.store_part("\"a\"", 500, 999);
        assert_eq!((longer, site.variants.len()), (middle, 2), "what grows at its end stays where it is");
        site.store_part("\"a\"", 400, 999);
        assert_eq!(site.variants.len(), 2, "what lies in a part needs no place of its own");
        let other = site.store_part("\"b\"", 0, 9);
        assert_eq!((site.variants.len(), site.find_part(&[], Some("bytes=500-"))), (1, Some(other)));
        let whole = site.store("", &[], 10);
        assert_eq!((site.variants.len(), site.find_part(&[], Some("bytes=0-9"))), (1, Some(whole)));
    }

    #[test]
    fn parts_without_an_entity_tag_are_told_apart_by_their_date() {
        let mut site = Site::new();
        for (modified, first, parts) in [(10, 0, 1), (10, 500, 2), (20, 900, 1)] {
            let content = Content::Part { first, last: first + 9, complete: Some(1_000_000) };
            let stored = metadata(0, 100, 0, 0);
            let part = Metadata { last_modified: Some(at(modified)), content, response_time: at(100), ..stored };
            site.variants.insert(&site.url, &part, &[("", ""); 0], &site.options, at(100));
            assert_eq!(site.variants.len(), parts, "{modified} {first}");
        }
    }

    #[test]
    fn at_the_bound_the_shortest_part_is_forgotten_and_no_variant() {
        let mut site = Site::new();
        site.options.variants_max = 1;
        let variant = site.store("foo", &[("foo", "1")], 10);
        let long = site.store_part("\"a\"", 0, 99);
        for number in 1..100 {
            site.store_part("\"a\"", 1000 * number, 1000 * number);
        }
        assert_eq!(site.variants.len(), PARTS_MAX + 1);
        assert_eq!(site.find_part(&[], Some("bytes=0-99")), Some(long));
        assert!(site.find_part(&[], Some("bytes=99000-99000")).is_some_and(|last| last != long));
        assert_eq!(site.find(&[("foo", "1")]), Some(variant));
    }

    #[test]
    fn a_request_gets_its_own_variant() {
        let mut site = Site::new();
        let one = site.store("foo", &[("foo", "1")], 10);
        let two = site.store("Foo", &[("foo", "2")], 10);
        let none = site.store("foo", &[], 10);
        assert_eq!(site.find(&[("foo", "1"), ("other", "x")]), Some(one));
        assert_eq!(site.find(&[("foo", "2")]), Some(two));
        assert_eq!(site.find(&[]), Some(none), "absent matches absent");
        assert_eq!(site.find(&[("foo", "3")]), None);
        assert_eq!(site.find(&[("foo", "")]), None, "empty is not absent");
    }

    #[test]
    fn what_varies_on_nothing_serves_everybody() {
        let mut site = Site::new();
        let only = site.store("", &[("foo", "1")], 10);
        assert_eq!(site.find(&[("foo", "2")]), Some(only));
        assert_ne!(only, site.url, "the URL's own name is that of its variants");
        let other = site.store("foo", &[("foo", "1")], 20);
        assert_eq!((site.find(&[("foo", "1")]), site.find(&[("foo", "2")])), (Some(other), Some(only)));
    }

    #[test]
    fn of_several_that_match_the_latest_serves() {
        let mut site = Site::new();
        let request = [("foo", "1"), ("bar", "2")];
        let newer = site.store("foo", &request, 20);
        let older = site.store("foo, bar", &request, 10);
        assert_eq!(site.find(&request), Some(newer));
        assert_eq!(site.find(&[("foo", "9"), ("bar", "2")]), None);
        let latest = site.store("bar", &request, 30);
        assert_eq!(site.find(&request), Some(latest));
        assert_ne!(older, latest);
    }

    #[test]
    fn at_the_bound_the_one_stored_longest_ago_is_forgotten() {
        let mut site = Site::new();
        for number in 0..=VARIANTS_MAX {
            site.store("foo", &[("foo", &format!("{number}"))], 10);
        }
        assert_eq!(site.variants.len(), usize::from(VARIANTS_MAX));
        assert_eq!(site.find(&[("foo", "0")]), None);
        assert!(site.find(&[("foo", "1")]).is_some());
        site.options.variants_max = 2;
        let last = site.store("bar", &[("bar", "x")], 10);
        assert_eq!((site.variants.len(), site.find(&[("bar", "x")])), (2, Some(last)));
        assert!(site.find(&[("foo", &format!("{VARIANTS_MAX}"))]).is_some());
    }

    #[test]
    fn what_is_stored_again_takes_no_second_place_and_what_ended_makes_room() {
        let mut site = Site::new();
        site.store("foo", &[("foo", "1")], 10);
        site.store("foo", &[("foo", "1")], 20);
        assert_eq!(site.variants.len(), 1);
        site.store_at("bar", &[("bar", "1")], 30, at(200));
        assert_eq!((site.variants.len(), site.variants.sets.len()), (1, 1), "the first has ended");
        assert_eq!(site.variants.keep_for(at(250)), Duration::from_secs(50));
    }
}
