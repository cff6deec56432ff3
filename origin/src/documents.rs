//! Pages and documents that are the same for everybody, kept whole.
//!
//! A document is made once for all processes ([`PageCache`]), and its last bytes stay in this process's memory, together
//! with their digest and what they come down to when compressed. What is cheap to make ([`Document::is_cheap`]) or not
//! worth a row of the database is in memory alone, and old when the process hears that it was purged. How something is found is
//! told in `find`. Whoever makes documents old waits for [`TRUSTED_FOR`] before the edge is told ([`crate::purge`]), so that
//! the edge never stores what was just made old.

mod find;
mod memory;
mod page;
mod silence;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::response::{IntoResponse as _, Response};
use http::HeaderValue;
use http::StatusCode;
use http::header::{CONTENT_TYPE, ETAG};
use seawall_core::breaker::{self, Settings, State};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use self::memory::{Content, MISSING, Memory, PASSING, TAGS, TEXT, is_passing, memory, tags};
pub(crate) use self::page::{Coding, Page};
use self::silence::Silence;
use crate::db::Databases;
use crate::digest::hex;
use crate::error::Error;
use crate::flights::Flights;
use crate::guard::Guard;
use crate::health::Watch;
use crate::http::cache::Reuse;
use crate::http::observe::DatabaseTime;
use crate::logging::Seldom;
use crate::page_cache::{Entry, Lifetime, PageCache, Payload, Purges};
use crate::purge;

/// A page or document of the site. A clone is the same one.
pub(crate) trait Document: Clone + Send + Sync + 'static {
    /// What it is made from, all of it: the route, and everything that was asked.
    fn name(&self) -> String;

    /// Its `Content-Type`.
    fn content_type(&self) -> &'static str;

    /// By what it can be purged, as far as its name says; what is known only when it is made is in [`Written`].
    fn tags(&self) -> Vec<String>;

    /// Whether making it costs little more than asking the page cache for it: then it is kept in memory alone, so that who reads
    /// all of the city writes nothing into the database and takes no room of what is dear.
    fn is_cheap(&self) -> bool {
        false
    }

    /// Makes it. An error with status 404 is kept in memory for a while too.
    fn write(&self) -> impl Future<Output = Result<Written, Error>> + Send;
}

/// What was made.
#[derive(Debug)]
pub(crate) struct Written {
    text: String,
    is_passing: bool,
    tags: Vec<String>,
}

impl Written {
    /// A text that lives as long as any.
    pub(crate) fn new(text: String) -> Self {
        Self { text, is_passing: false, tags: Vec::new() }
    }

    /// A document for programs.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub(crate) fn json(document: &impl Serialize) -> Result<Self, Error> {
        serde_json::to_string(document).map(Self::new).map_err(Error::bug)
    }

    /// Whether it says that nothing was found, or that somebody could not be asked; it is kept for a minute then.
    pub(crate) fn passing(self, is_passing: bool) -> Self {
        Self { is_passing, ..self }
    }

    /// By what else it can be purged.
    pub(crate) fn tagged(self, tags: Vec<String>) -> Self {
        Self { tags, ..self }
    }
}

/// Keeps documents; clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Documents {
    cache: PageCache,
    near: Option<Arc<Memory>>,
    databases: Databases,
    /// Tells whether the database speaks when the pool cannot.
    watch: Arc<Watch>,
    flights: Flights,
    purges: Arc<Purges>,
    /// Who asks what was purged.
    listening: Arc<tokio::sync::Mutex<()>>,
    /// Whether the page cache answers those who have something in memory.
    guard: Guard,
    silence: Arc<Silence>,
    said: Arc<Seldom>,
    said_refused: Arc<Seldom>,
    build: Arc<str>,
}

/// What is in memory, for health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Kept {
    pages: u64,
    bytes: u64,
    bytes_max: u64,
}

/// How long what is in memory is served without a look at the database.
pub(crate) const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// When nobody looks: for a second after half of a second's looks failed, and one look tells whether that is over. There is
/// nothing to spare the database from beyond that, so the pause does not grow.
const LOOKS: Settings = Settings {
    window: Duration::from_secs(1),
    buckets: 4,
    min_calls: 1,
    failure_rate_permille: 500,
    slow_call: None,
    slow_rate_permille: 1000,
    open_base: Duration::from_secs(1),
    open_cap: Duration::from_secs(1),
    jitter_permille: 200,
    probes: 1,
    probes_to_close: 1,
    probe_timeout: Duration::from_secs(2),
    fail_on_500: false,
};

/// How long documents live. A load ends those that it changes; what depends on the day or on the city itself is an hour old
/// at most.
const LIFETIME: Lifetime = Lifetime { ttl: Duration::from_secs(15 * 60), stale: Duration::from_secs(45 * 60) };

impl Documents {
    /// Keeps at most `bytes_max` in memory; with zero every document is made for each request, and none is kept.
    pub(crate) fn new(cache: PageCache, databases: Databases, watch: Arc<Watch>, bytes_max: u64) -> Self {
        let near = (bytes_max > 0).then(|| Arc::new(memory(bytes_max)));
        // Constants, which a test of this file checks.
        let looks = breaker::Config::new(LOOKS).expect("the settings are in their ranges");
        Self {
            cache,
            near,
            databases,
            watch,
            flights: Flights::default(),
            purges: Arc::new(Purges::new(LIFETIME.ttl)),
            listening: Arc::default(),
            guard: Guard::new(looks),
            silence: Arc::default(),
            said: Arc::default(),
            said_refused: Arc::default(),
            build: build().into(),
        }
    }

    /// What is in memory.
    pub(crate) fn kept(&self) -> Kept {
        let of = |figure: fn(&Memory) -> u64| self.near.as_deref().map_or(0, figure);
        Kept { pages: of(|near| near.len() as u64), bytes: of(Memory::weight), bytes_max: of(Memory::capacity) }
    }

    /// Whether the page cache answers those who have something in memory.
    pub(crate) fn state(&self) -> State {
        self.guard.state()
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
            return Ok(respond(document, &Page::new(written.text), &written.tags, reuse, started));
        };
        let stored = Stored { document: document.clone(), build: Arc::clone(&self.build) };
        let found = self.find(near, stored).await?;
        match &found.content {
            Content::Page(page) => Ok(respond(document, page, &found.tags, found.reuse(), started)),
            Content::Missing(detail) => Err(Error::not_found(detail.to_string())),
        }
    }
}

fn respond<D: Document>(
    document: &D,
    page: &Arc<Page>,
    further: &[String],
    reuse: Reuse,
    started: Instant,
) -> Response {
    let fields = [(CONTENT_TYPE, HeaderValue::from_static(document.content_type())), (ETAG, page.entity_tag().clone())];
    let mut response = (fields, page.text().clone()).into_response();
    let tags = document.tags();
    purge::tag(&mut response, &tags.iter().chain(further).map(String::as_str).collect::<Vec<_>>());
    response.extensions_mut().insert(DatabaseTime(started.elapsed()));
    response.extensions_mut().insert(Arc::clone(page));
    response.extensions_mut().insert(reuse);
    response
}

/// A document as the page cache keeps it.
#[derive(Clone)]
struct Stored<D> {
    document: D,
    build: Arc<str>,
}

impl<D: Document> Entry for Stored<D> {
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

    fn tags_of(&self, payload: &Payload) -> Vec<String> {
        [self.document.tags(), tags(payload)].concat()
    }

    fn is_passing(&self, payload: &Payload) -> bool {
        is_passing(payload)
    }

    fn is_worth_keeping(&self, payload: &Payload) -> bool {
        !payload.contains_key(MISSING)
    }

    async fn compute(&self) -> Result<Payload, Error> {
        match self.document.write().await {
            Ok(written) => {
                let mut payload = Payload::from_iter([(TEXT.to_owned(), written.text.into())]);
                if written.is_passing {
                    payload.insert(PASSING.to_owned(), true.into());
                }
                if !written.tags.is_empty() {
                    payload.insert(TAGS.to_owned(), written.tags.into());
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

    #[test]
    fn the_breakers_settings_hold_together() {
        assert!(breaker::Config::new(LOOKS).is_ok());
    }
}
