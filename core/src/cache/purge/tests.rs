//! What purges reach, and what becomes of them when there are too many.

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
        for (strength, expect) in [(Strength::Hard, Purged::Gone), (Strength::Soft, Purged::Stale { since: at(9) })] {
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
