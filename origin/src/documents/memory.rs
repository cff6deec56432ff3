//! What this process has in memory of its documents: as many as fit into so many bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use quick_cache::sync::Cache;
use quick_cache::{OptionsBuilder, Weighter};
use serde_json::Value;

use super::{LIFETIME, Page};
use crate::error::Error;
use crate::http::cache::Reuse;
use crate::page_cache::{Answer, Payload};

/// A document as this process last saw it.
#[derive(Debug)]
pub(super) struct Near {
    pub(super) content: Content,
    pub(super) computed_at: Option<Timestamp>,
    pub(super) seen: Instant,
    /// By what it can be purged beside what its name says.
    pub(super) tags: Arc<[String]>,
    /// Whether it lives for a minute, as in [`super::Written::passing`].
    pub(super) is_passing: bool,
    /// Whether a newer one should be there and could not be made.
    pub(super) is_old: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Page(Arc<Page>),
    /// What a 404 says.
    Missing(Arc<str>),
}

/// Bytes of a usual document with its name, from which the number of entries is guessed.
const USUAL_BYTES: u64 = 16 * 1024;

/// How long it is believed that something is not there, also when the database cannot be asked: it may have come since, and
/// who is told 404 does not come back.
const PASSING_MAX: Duration = Duration::from_secs(60);

/// What was there is served for so long when the database cannot be asked.
const OLD_MAX: Duration = Duration::from_secs(86_400);

/// Bytes that an entry costs beside its text.
const OVERHEAD_BYTES: usize = 512;

/// What is in memory, by key. Which entry gives way is the crate's business; it keeps what is asked for again.
pub(super) type Memory = Cache<String, Arc<Near>, Bytes>;

pub(super) fn memory(bytes_max: u64) -> Memory {
    let entries = usize::try_from(bytes_max / USUAL_BYTES).unwrap_or(usize::MAX).max(1);
    // One shard, so that the bound holds for the largest document too; it is locked for nanoseconds.
    let options = OptionsBuilder::new().estimated_items_capacity(entries).weight_capacity(bytes_max).shards(1).build();
    // Both that must be given are.
    let options = options.expect("the options are complete");
    Cache::with_options(options, Bytes, Default::default(), Default::default())
}

/// Compressed, a text comes to less than itself in both codings together, so it counts twice.
#[derive(Clone, Debug)]
pub(super) struct Bytes;

impl Weighter<String, Arc<Near>> for Bytes {
    fn weight(&self, key: &String, near: &Arc<Near>) -> u64 {
        let tags: usize = near.tags.iter().map(String::len).sum();
        let text = match &near.content {
            Content::Page(page) => 2 * page.text().len(),
            Content::Missing(detail) => detail.len(),
        };
        (key.len() + text + tags + OVERHEAD_BYTES) as u64
    }
}

/// Members of a payload.
pub(super) const TEXT: &str = "text";
pub(super) const MISSING: &str = "missing";
pub(super) const PASSING: &str = "passing";
pub(super) const TAGS: &str = "tags";

impl Near {
    /// What the page cache answered to who had `before`.
    pub(super) fn read(answer: Answer, before: Option<&Self>, seen: Instant, is_old: bool) -> Result<Self, Error> {
        match answer {
            Answer::Same => {
                // It was known, so it was there.
                let before = before.ok_or_else(|| Error::bug("a document that nobody had is the same"))?;
                Ok(Self { content: before.content.clone(), tags: Arc::clone(&before.tags), seen, is_old, ..*before })
            }
            Answer::Other(payload, computed_at) => {
                let is_passing = is_passing(&payload);
                let tags = tags(&payload).into();
                let content = Content::read(&payload, before.map(|before| &before.content))?;
                Ok(Self { content, computed_at, seen, tags, is_passing, is_old })
            }
        }
    }

    /// The same where the database did not say whether there is a newer one.
    pub(super) fn unconfirmed(&self) -> Arc<Self> {
        Arc::new(Self { content: self.content.clone(), tags: Arc::clone(&self.tags), is_old: true, ..*self })
    }

    /// How long it may be served where no row of the page cache says whether it is old, if there is none.
    pub(super) fn lifetime_alone(&self) -> Option<Duration> {
        let lifetime = if self.is_passing { PASSING_MAX } else { LIFETIME.ttl };
        self.computed_at.is_none().then_some(lifetime)
    }

    /// Whether it may be served at `now` if the database cannot be asked.
    pub(super) fn is_of_use(&self, now: Instant) -> bool {
        let time = match self.content {
            Content::Page(_) => OLD_MAX,
            Content::Missing(_) => PASSING_MAX,
        };
        now.saturating_duration_since(self.seen) < time
    }

    pub(super) fn reuse(&self) -> Reuse {
        match self {
            Self { is_old: true, .. } => Reuse::Never,
            Self { is_passing: true, .. } => Reuse::ForAMinute,
            _ => Reuse::AsThePolicySays,
        }
    }
}

impl Content {
    /// A text that is as it was `before` stays compressed.
    fn read(payload: &Payload, before: Option<&Self>) -> Result<Self, Error> {
        match (payload.get(TEXT).and_then(Value::as_str), payload.get(MISSING).and_then(Value::as_str)) {
            (Some(text), _) => Ok(match before.filter(|before| before.has(text)) {
                Some(before) => before.clone(),
                None => Self::Page(Page::new(text.to_owned())),
            }),
            (None, Some(detail)) => Ok(Self::Missing(detail.into())),
            (None, None) => Err(Error::bug("an entry of the page cache is no document")),
        }
    }

    fn has(&self, text: &str) -> bool {
        matches!(self, Self::Page(page) if page.text() == text)
    }
}

/// Puts it into memory.
pub(super) fn remember(near: &Memory, key: String, found: Near) -> Arc<Near> {
    let found = Arc::new(found);
    near.insert(key, Arc::clone(&found));
    found
}

pub(super) fn is_passing(payload: &Payload) -> bool {
    payload.contains_key(MISSING) || payload.contains_key(PASSING)
}

/// Tags that were known only when it was made.
pub(super) fn tags(payload: &Payload) -> Vec<String> {
    let tags = payload.get(TAGS).and_then(Value::as_array).into_iter().flatten();
    tags.filter_map(|tag| tag.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(text_bytes: usize) -> Arc<Near> {
        let content = Content::Page(Page::new("x".repeat(text_bytes)));
        Arc::new(Near {
            content,
            computed_at: None,
            seen: Instant::now(),
            tags: Arc::new([]),
            is_passing: false,
            is_old: false,
        })
    }

    #[test]
    fn memory_has_a_bound_in_bytes() {
        let bytes_max = 1_000_000;
        let held = memory(bytes_max);
        for number in 0..100 {
            held.insert(number.to_string(), near(20_000));
        }
        assert!(held.weight() <= bytes_max && held.len() > 10, "{} in {}", held.weight(), held.len());
        held.insert("too long".to_owned(), near(600_000));
        assert!(held.get("too long").is_none() && held.weight() <= bytes_max);
    }
}
