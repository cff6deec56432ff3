//! Pages and documents that are the same for everybody, kept whole.
//!
//! A document is made once for all processes ([`PageCache`]), and its last bytes stay in this process's memory, together
//! with their digest and what they come down to when compressed. What is in memory is served without a question for
//! [`TRUSTED_FOR`]; then one request looks whether the database has another version, and the others wait for that.
//! Whoever makes documents old waits as long before the edge is told ([`crate::purge`]), so that the edge never
//! stores what was just made old. When the database does not answer, what is in memory is served for [`OLD_MAX`].

mod page;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use axum::response::{IntoResponse as _, Response};
use http::HeaderValue;
use http::StatusCode;
use http::header::{CONTENT_TYPE, ETAG};
use jiff::Timestamp;
use quick_cache::sync::Cache;
use quick_cache::{OptionsBuilder, Weighter};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub(crate) use self::page::{Coding, Page};
use crate::digest::hex;
use crate::error::Error;
use crate::http::cache::Reuse;
use crate::http::limits::REQUEST_TIME_MAX;
use crate::http::observe::DatabaseTime;
use crate::page_cache::{self, Entry, Lifetime, PageCache, Payload};
use crate::purge;

/// A page or document of the site. A clone is the same one.
pub(crate) trait Document: Clone + Send + Sync + 'static {
    /// What it is made from, all of it: the route, and everything that was asked.
    fn name(&self) -> String;

    /// Its `Content-Type`.
    fn content_type(&self) -> &'static str;

    /// By what it can be purged.
    fn tags(&self) -> Vec<String>;

    /// Makes it. An error with status 404 is kept for a while too.
    fn write(&self) -> impl Future<Output = Result<Written, Error>> + Send;
}

/// What was made.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) text: String,
    /// Whether it says that nothing was found, or that somebody could not be asked; it is kept for a minute then.
    pub(crate) is_passing: bool,
}

/// Keeps documents; clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Documents {
    cache: PageCache,
    near: Option<Arc<Memory>>,
    flights: Arc<Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>>,
    build: Arc<str>,
}

/// A document as this process last saw it.
#[derive(Debug)]
struct Near {
    content: Content,
    computed_at: Option<Timestamp>,
    seen: Instant,
    /// Whether it lives for a minute, as in [`Written::is_passing`].
    is_passing: bool,
    /// Whether a newer one should be there and could not be made.
    is_old: bool,
}

#[derive(Clone, Debug)]
enum Content {
    Page(Arc<Page>),
    /// What a 404 says.
    Missing(Arc<str>),
}

/// How long what is in memory is served without a look at the database.
pub(crate) const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// What is in memory is served for so long when the database cannot be asked.
const OLD_MAX: Duration = Duration::from_secs(86_400);

/// Longest wait for the database where there is something in memory.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long documents live. A load ends those that it changes; what depends on the day or on the city itself is an hour old
/// at most.
const LIFETIME: Lifetime = Lifetime { ttl: Duration::from_secs(15 * 60), stale: Duration::from_secs(45 * 60) };

/// Bytes of a usual document with its name, from which the number of entries is guessed.
const USUAL_BYTES: u64 = 16 * 1024;

/// Bytes that an entry costs beside its text.
const OVERHEAD_BYTES: usize = 512;

/// What is in memory, by key. Which entry gives way is the crate's business; it keeps what is asked for again.
type Memory = Cache<String, Arc<Near>, Bytes>;

fn memory(bytes_max: u64) -> Memory {
    let entries = usize::try_from(bytes_max / USUAL_BYTES).unwrap_or(usize::MAX).max(1);
    // One shard, so that the bound holds for the largest document too; it is locked for nanoseconds.
    let options = OptionsBuilder::new().estimated_items_capacity(entries).weight_capacity(bytes_max).shards(1).build();
    // Both that must be given are.
    let options = options.expect("the options are complete");
    Cache::with_options(options, Bytes, Default::default(), Default::default())
}

/// Compressed, a text comes to less than itself in both codings together, so it counts twice.
#[derive(Clone, Debug)]
struct Bytes;

impl Weighter<String, Arc<Near>> for Bytes {
    fn weight(&self, key: &String, near: &Arc<Near>) -> u64 {
        let text = match &near.content {
            Content::Page(page) => 2 * page.text().len(),
            Content::Missing(detail) => detail.len(),
        };
        (key.len() + text + OVERHEAD_BYTES) as u64
    }
}

impl Documents {
    /// Keeps at most `bytes_max` in memory; with zero every document is made for each request, and none is kept.
    pub(crate) fn new(cache: PageCache, bytes_max: u64) -> Self {
        let near = (bytes_max > 0).then(|| Arc::new(memory(bytes_max)));
        Self { cache, near, flights: Arc::default(), build: build().into() }
    }

    /// The document as an answer.
    ///
    /// # Errors
    /// When it is not there, or cannot be made and is not in memory.
    pub(crate) async fn answer<D: Document>(&self, document: &D) -> Result<Response, Error> {
        let started = Instant::now();
        let Some(near) = &self.near else {
            let written = document.write().await?;
            let reuse = if written.is_passing { Reuse::ForAMinute } else { Reuse::AsThePolicySays };
            return Ok(respond(document, &Page::new(written.text), reuse, started));
        };
        let kept = Kept { document: document.clone(), build: Arc::clone(&self.build) };
        let key = kept.key();
        let young = || near.get(&key).filter(|near| near.seen.elapsed() < TRUSTED_FOR);
        let found = match young() {
            Some(found) => found,
            None => {
                let flight = self.flight(&key);
                // Who waits longer than this asks by itself.
                let alone = tokio::time::timeout(PATIENCE, flight.lock()).await;
                let found = match young() {
                    Some(found) => found,
                    None => self.look(near, kept, &key).await?,
                };
                drop(alone);
                found
            }
        };
        match &found.content {
            Content::Page(page) => Ok(respond(document, page, found.reuse(), started)),
            Content::Missing(detail) => Err(Error::not_found(detail.to_string())),
        }
    }

    /// Asks the database, which may make it. That goes on when the visitor leaves: others wait for it.
    async fn look<D: Document>(&self, near: &Arc<Memory>, kept: Kept<D>, key: &str) -> Result<Arc<Near>, Error> {
        let before = near.get(key).filter(|near| near.seen.elapsed() < OLD_MAX);
        let looking = {
            let (cache, near, before, key) = (self.cache.clone(), Arc::clone(near), before.clone(), key.to_owned());
            tokio::spawn(async move {
                let known = before.as_ref().and_then(|near| near.computed_at);
                // A look says what was true when it began.
                let seen = Instant::now();
                let asked = tokio::time::timeout(REQUEST_TIME_MAX, cache.get_other_than(&kept, known)).await;
                let (answer, is_old) = asked.map_err(|_| Error::busy("a document took too long"))??;
                let found = match answer {
                    page_cache::Answer::Same => {
                        // It was known, so it was there.
                        let before = before.ok_or_else(|| Error::bug("a document that nobody had is the same"))?;
                        Near { content: before.content.clone(), computed_at: known, seen, is_old, ..*before }
                    }
                    page_cache::Answer::Other(payload, computed_at) => {
                        let is_passing = is_passing(&payload);
                        Near { content: Content::read(&payload)?, computed_at, seen, is_passing, is_old }
                    }
                };
                let found = Arc::new(found);
                near.insert(key, Arc::clone(&found));
                Ok(found)
            })
        };
        let Some(before) = before else { return looking.await.map_err(Error::bug)? };
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(Ok(Ok(found))) => Ok(found),
            // Logged where it failed; what there is, is better than nothing.
            Ok(Ok(Err(error))) if error.status().is_server_error() => Ok(before.unconfirmed()),
            Ok(Ok(Err(error))) => Err(error),
            Ok(Err(_)) | Err(_) => Ok(before.unconfirmed()),
        }
    }

    /// What those wait for who ask for one document. Forgotten when nobody does.
    fn flight(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        // A map that a panic left is whole.
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(key).and_then(Weak::upgrade) {
            return flight;
        }
        flights.retain(|_, flight| flight.strong_count() > 0);
        let flight = Arc::default();
        flights.insert(key.to_owned(), Arc::downgrade(&flight));
        flight
    }
}

impl Near {
    /// The same where the database did not say whether there is a newer one.
    fn unconfirmed(&self) -> Arc<Self> {
        Arc::new(Self { content: self.content.clone(), is_old: true, ..*self })
    }

    fn reuse(&self) -> Reuse {
        match self {
            Self { is_old: true, .. } => Reuse::Never,
            Self { is_passing: true, .. } => Reuse::ForAMinute,
            _ => Reuse::AsThePolicySays,
        }
    }
}

impl Content {
    fn read(payload: &Payload) -> Result<Self, Error> {
        match (payload.get(TEXT).and_then(Value::as_str), payload.get(MISSING).and_then(Value::as_str)) {
            (Some(text), _) => Ok(Self::Page(Page::new(text.to_owned()))),
            (None, Some(detail)) => Ok(Self::Missing(detail.into())),
            (None, None) => Err(Error::bug("an entry of the page cache is no document")),
        }
    }
}

fn respond<D: Document>(document: &D, page: &Arc<Page>, reuse: Reuse, started: Instant) -> Response {
    let fields = [(CONTENT_TYPE, HeaderValue::from_static(document.content_type())), (ETAG, page.entity_tag().clone())];
    let mut response = (fields, page.text().clone()).into_response();
    let tags = document.tags();
    purge::tag(&mut response, &tags.iter().map(String::as_str).collect::<Vec<_>>());
    response.extensions_mut().insert(DatabaseTime(started.elapsed()));
    response.extensions_mut().insert(Arc::clone(page));
    response.extensions_mut().insert(reuse);
    response
}

/// A document as the page cache keeps it.
#[derive(Clone)]
struct Kept<D> {
    document: D,
    build: Arc<str>,
}

/// Members of its payload.
const TEXT: &str = "text";
const MISSING: &str = "missing";
const PASSING: &str = "passing";

impl<D: Document> Entry for Kept<D> {
    /// Of one length, since an index holds no long ones and a query may be long.
    fn key(&self) -> String {
        let name = Sha256::digest(format!("{}\n{}", self.build, self.document.name()));
        format!("document:{}", hex(&name[..KEY_BYTES]))
    }

    fn lifetime(&self) -> Lifetime {
        LIFETIME
    }

    fn tags(&self) -> Vec<String> {
        self.document.tags()
    }

    fn is_passing(&self, payload: &Payload) -> bool {
        is_passing(payload)
    }

    async fn compute(&self) -> Result<Payload, Error> {
        match self.document.write().await {
            Ok(written) => {
                let mut payload = Payload::from_iter([(TEXT.to_owned(), written.text.into())]);
                if written.is_passing {
                    payload.insert(PASSING.to_owned(), true.into());
                }
                Ok(payload)
            }
            Err(error) if error.status() == StatusCode::NOT_FOUND => {
                Ok(Payload::from_iter([(MISSING.to_owned(), error.public().into())]))
            }
            Err(error) => Err(error),
        }
    }
}

fn is_passing(payload: &Payload) -> bool {
    payload.contains_key(MISSING) || payload.contains_key(PASSING)
}

/// Bytes of the digest in a key: nobody finds two names with the same.
const KEY_BYTES: usize = 16;

/// Tells this binary from the one of another release, whose pages look different: its version, size and date.
fn build() -> String {
    let metadata = std::env::current_exe().and_then(std::fs::metadata);
    let date = metadata.as_ref().ok().and_then(|metadata| metadata.modified().ok());
    let date = date.and_then(|date| date.duration_since(SystemTime::UNIX_EPOCH).ok()).unwrap_or_default();
    let length = metadata.map_or(0, |metadata| metadata.len());
    format!("{} {length} {}", env!("CARGO_PKG_VERSION"), date.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(text_bytes: usize) -> Arc<Near> {
        let content = Content::Page(Page::new("x".repeat(text_bytes)));
        Arc::new(Near { content, computed_at: None, seen: Instant::now(), is_passing: false, is_old: false })
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
