//! What was purged lately, for what a process keeps in memory alone: no row of the page cache says of it that it is old.
//!
//! Each purge takes the next place in the table `purged_tags`, and a process asks for what came after the place that it knows.
//! No clock of the database is compared with another: what was made before the process heard of a purge is old to it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::PENDING;

/// Purges that the table remembers; a process that has missed more takes everything for old. A load makes a few, and never
/// more than ten portions.
const PURGES_KEPT: i64 = 100;
/// Tags that a process remembers; beyond that everything is old to it.
const TAGS_MAX: usize = 10_000;
/// The tag of everything.
const EVERYTHING: &str = "*";

/// What is purged is old in the page cache, and old for those who keep it elsewhere.
const PURGE: &str = "
    WITH head AS (UPDATE purged_tags SET place = place + 1 WHERE tag = '' RETURNING place),
         old AS (UPDATE page_cache SET invalidated_at = clock_timestamp() WHERE tags && ($1 || $2)),
         forgotten AS (DELETE FROM purged_tags WHERE place <= (SELECT place FROM head) - $3 AND tag <> '' AND tag <> ALL ($1))
    INSERT INTO purged_tags SELECT DISTINCT tag, place FROM head, unnest($1) AS tag
    ON CONFLICT (tag) DO UPDATE SET place = excluded.place";

/// The same of everything.
pub(super) const PURGE_ALL: &str = "
    WITH head AS (UPDATE purged_tags SET place = place + 1 WHERE tag = '' RETURNING place),
         old AS (UPDATE page_cache SET invalidated_at = clock_timestamp())
    INSERT INTO purged_tags SELECT '*', place FROM head ON CONFLICT (tag) DO UPDATE SET place = excluded.place";

/// What was purged after the place `$1`, and the last place.
pub(super) const SINCE: &str = "SELECT tag, place FROM purged_tags WHERE place > $1 OR tag = ''";

/// Makes old what is made of one of `tags`, in the page cache and in the memory of every process, and what is being made.
///
/// # Errors
/// When the database does not take it.
pub(crate) async fn invalidate_tagged(client: &Client, tags: &[String]) -> Result<(), tokio_postgres::Error> {
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
        [(&tags, Type::TEXT_ARRAY), (&PENDING, Type::TEXT), (&PURGES_KEPT, Type::INT8)];
    client.execute_typed(PURGE, &parameters).await.map(drop)
}

/// A purge as the table has it; the last place has no tag.
#[derive(Debug)]
pub(crate) struct Purge {
    tag: String,
    place: i64,
}

impl Purge {
    pub(super) fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self { tag: row.try_get(0)?, place: row.try_get(1)? })
    }
}

/// What this process has heard of purges.
#[derive(Debug)]
pub(crate) struct Purges {
    heard: Mutex<Heard>,
    /// For so long something is kept without being made anew, so that older purges need not be remembered.
    kept_max: Duration,
}

#[derive(Debug, Default)]
struct Heard {
    place: i64,
    /// When the last look that was answered began.
    asked: Option<Instant>,
    /// When it was heard of each tag.
    tags: HashMap<String, Instant>,
    /// What was made until then is old.
    everything: Option<Instant>,
}

impl Purges {
    pub(crate) fn new(kept_max: Duration) -> Self {
        Self { heard: Mutex::default(), kept_max }
    }

    /// Up to which place all is known.
    pub(crate) fn place(&self) -> i64 {
        self.lock().place
    }

    /// Whether it is known what was purged until so long ago.
    pub(crate) fn are_known(&self, within: Duration) -> bool {
        self.lock().asked.is_some_and(|asked| asked.elapsed() < within)
    }

    /// Whether nothing of what something was made of, from `began` on, was purged since, as far as it was heard.
    pub(crate) fn spare<'a>(&self, began: Instant, tags: impl IntoIterator<Item = &'a str>) -> bool {
        let heard = self.lock();
        let is_old = |at: Option<&Instant>| at.is_some_and(|at| *at >= began);
        !is_old(heard.everything.as_ref()) && !tags.into_iter().any(|tag| is_old(heard.tags.get(tag)))
    }

    /// Takes in what was answered at `now` to who asked at `asked`.
    pub(crate) fn hear(&self, news: Vec<Purge>, asked: Instant, now: Instant) {
        let mut heard = self.lock();
        let known = heard.place;
        let last = news.iter().map(|purge| purge.place).max().unwrap_or(0);
        let is_first = heard.asked.is_none();
        heard.tags.retain(|_, at| now.saturating_duration_since(*at) <= self.kept_max);
        // A table that begins anew is another one, and what it has forgotten may have been anything.
        let has_missed = !is_first && (last < known || last - known > PURGES_KEPT);
        for purge in news.into_iter().filter(|purge| !purge.tag.is_empty()) {
            heard.tags.insert(purge.tag, now);
        }
        if has_missed || heard.tags.len() > TAGS_MAX || heard.tags.remove(EVERYTHING).is_some() {
            heard.everything = Some(now);
            heard.tags.clear();
        }
        heard.place = last;
        heard.asked = heard.asked.max(Some(asked));
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        // A panic in between leaves tags without their place, which are heard again.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT_MAX: Duration = Duration::from_secs(900);

    fn news(tags: &[(&str, i64)]) -> Vec<Purge> {
        tags.iter().map(|(tag, place)| Purge { tag: (*tag).to_owned(), place: *place }).collect()
    }

    #[test]
    fn what_was_made_before_a_purge_was_heard_of_is_old() {
        let (purges, start) = (Purges::new(KEPT_MAX), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!purges.are_known(KEPT_MAX), "nobody has asked yet");
        purges.hear(news(&[("", 7)]), at(0), at(0));
        assert_eq!(purges.place(), 7);
        purges.hear(news(&[("reports", 8), ("", 8)]), at(10), at(11));
        assert!(purges.are_known(KEPT_MAX));
        for (began, tags, is_spared) in [
            (5, &["reports"][..], false),
            (11, &["parcel-1-1", "reports"], false),
            (12, &["reports"], true),
            (5, &["search", "parcel-1-1"], true),
            (5, &[], true),
        ] {
            assert_eq!(purges.spare(at(began), tags.iter().copied()), is_spared, "{tags:?} from {began} on");
        }
        purges.hear(news(&[("*", 9), ("", 9)]), at(20), at(20));
        assert!(!purges.spare(at(19), []) && purges.spare(at(21), ["*"]), "everything");
    }

    #[test]
    fn who_has_missed_something_takes_everything_for_old() {
        for (places, tags, is_missed) in [
            ([5, 5 + PURGES_KEPT], 1, false),
            ([5, 6 + PURGES_KEPT], 1, true),
            // Another database.
            ([5, 4], 1, true),
            ([5, 6], TAGS_MAX, false),
            ([5, 6], TAGS_MAX + 1, true),
        ] {
            let (purges, start) = (Purges::new(KEPT_MAX), Instant::now());
            purges.hear(news(&[("", places[0])]), start, start);
            let mut more = news(&[("", places[1])]);
            more.extend((0..tags).map(|number| Purge { tag: format!("tag-{number}"), place: places[1] }));
            purges.hear(more, start, start + Duration::from_secs(1));
            assert_eq!(!purges.spare(start, ["another"]), is_missed, "{places:?} {tags}");
            assert!(!purges.spare(start, ["tag-0"]) && purges.spare(start + Duration::from_secs(2), ["tag-0"]));
        }
    }

    #[test]
    fn a_purge_is_forgotten_when_nothing_can_be_as_old() {
        let (purges, start) = (Purges::new(KEPT_MAX), Instant::now());
        purges.hear(news(&[("reports", 1), ("", 1)]), start, start);
        for (after, remembered) in [(KEPT_MAX, 1), (KEPT_MAX + Duration::from_secs(1), 0)] {
            purges.hear(news(&[("", 1)]), start + after, start + after);
            assert_eq!(purges.lock().tags.len(), remembered, "{after:?}");
        }
    }
}
