//! Answers that are dear to compute, kept in the database for all processes.
//!
//! An entry is fresh for the time in its row, then stale for a while: it is served as it is while one process computes it
//! anew. Who comes first to an entry that is missing takes a lease in its row and computes; others wait for that, within
//! this process and in others. When the computing fails or takes too long, what was there before is served, however old it
//! is. All times are the database's.
//!
//! An entry says by tags what it is made of; [`invalidate_tagged`] makes old what a load has changed. That a search finds
//! nothing is remembered too, for a shorter time and in a bounded number.

mod purged;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::db::{Pool, Reader};
use crate::error::Error;
use crate::flights::Flights;
pub(crate) use purged::{Purge, Purges, invalidate_tagged};

/// An answer: a JSON object.
pub(crate) type Payload = Map<String, Value>;

/// How long an entry lives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    /// Served without a question.
    pub(crate) ttl: Duration,
    /// Served for so long after that, while it is computed anew.
    pub(crate) stale: Duration,
}

/// What is computed: the key, how long it lives, and how it is made. A clone is the same thing.
pub(crate) trait Entry: Clone + Send + Sync + 'static {
    /// Its key; what it is, then of whom: `stats`, `brief:7:1`.
    fn key(&self) -> String;

    /// How long it lives.
    fn lifetime(&self) -> Lifetime;

    /// What it is made of, as [`crate::purge`] names it, as far as that is known before it is computed.
    fn tags(&self) -> Vec<String> {
        Vec::new()
    }

    /// What it is made of, all of it.
    fn tags_of(&self, _: &Payload) -> Vec<String> {
        self.tags()
    }

    /// Whether this says that there is nothing, or that somebody could not be asked, and so lives for a minute.
    fn is_passing(&self, _: &Payload) -> bool {
        false
    }

    /// Whether this is worth a row: anyone can ask for as many things as he likes that are not there.
    fn is_worth_keeping(&self, _: &Payload) -> bool {
        true
    }

    /// Makes it.
    fn compute(&self) -> impl Future<Output = Result<Payload, Error>> + Send;
}

/// The cache; clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct PageCache {
    pool: Pool,
    flights: Flights,
    counts: Arc<Counts>,
    stored: Arc<AtomicU64>,
}

/// What the cache has for who holds a version of it already.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The same version.
    Same,
    /// Another, computed at that time; one that is not kept has none.
    Other(Payload, Option<Timestamp>),
}

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Kept,
    /// Kept, older than it may be, and it could not be made anew.
    Old,
    Made,
}

/// What this process asked its cache for since it started.
#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    asked: AtomicU64,
}

/// A row as it was found.
#[derive(Debug)]
pub(crate) struct Found {
    /// Absent when there is none, or the caller has it.
    payload: Option<Value>,
    computed_at: Option<Timestamp>,
    standing: Standing,
    /// Whether it is the version that the caller has.
    same: bool,
}

/// What may be done with a row, by the database's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Serve it.
    Fresh,
    /// Serve it, and have it computed anew.
    Stale,
    /// Serve it only if it cannot be computed.
    Old,
    /// There is nothing yet.
    Empty,
}

/// Longest time that a process may compute; then another one may. Longer than any request.
const LEASE: Duration = Duration::from_secs(10);
/// For so long nobody tries again what has just failed.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked whether another process is done.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Longest wait for another process; then the visitor is told to come back.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Most bytes of an answer that is kept; a longer one is computed each time. A page has 100,000 at most, JSON sometimes more.
const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// Entries that are kept, the newest ones.
pub(crate) const ENTRIES_MAX: i64 = 10_000;
/// Of these, entries that live for a minute.
pub(crate) const PASSING_MAX: i64 = 1_000;
/// How long one of those lives. What a load brings ends it before that.
const PASSING: Lifetime = Lifetime { ttl: Duration::from_secs(60), stale: Duration::ZERO };
/// A process that has stored so many entries deletes what is beyond the bounds, which may be exceeded by that meanwhile.
const TRIM_EVERY: u64 = 100;

/// `$2`: the version that the caller has.
const FIND: &str = "
    SELECT CASE WHEN computed_at IS DISTINCT FROM $2 THEN payload END, computed_at,
           CASE WHEN computed_at IS NULL THEN 'empty'
                WHEN invalidated_at IS NOT NULL THEN 'old'
                WHEN now() < computed_at + ttl_seconds * interval '1 second' THEN 'fresh'
                WHEN now() < computed_at + (ttl_seconds + stale_seconds) * interval '1 second' THEN 'stale'
                ELSE 'old' END
      FROM page_cache WHERE cache_key = $1";

/// Takes the lease, if nobody has it. The row's own lifetime stays until something is computed, and so do its tags beside
/// the new ones: what is there can be served until then.
const LEASE_IT: &str = "
    INSERT INTO page_cache (cache_key, ttl_seconds, stale_seconds, computing_until, tags)
    VALUES ($1, 1, 0, now() + $2 * interval '1 millisecond', $3)
    ON CONFLICT (cache_key) DO UPDATE SET computing_until = now() + $2 * interval '1 millisecond',
       tags = ARRAY(SELECT DISTINCT unnest(page_cache.tags || excluded.tags))
     WHERE page_cache.computing_until IS NULL OR page_cache.computing_until <= now()
    RETURNING now()";

/// Stores what was computed since `$5`, unless what was computed after that is there by now: who holds the lease for too long
/// is overtaken. What was invalidated meanwhile is old already.
const STORE: &str = "
    INSERT INTO page_cache (cache_key, payload, computed_at, ttl_seconds, stale_seconds, tags, is_negative)
    VALUES ($1, $2, $5, $3, $4, $6, $7)
    ON CONFLICT (cache_key) DO UPDATE
       SET payload = $2, computed_at = $5, ttl_seconds = $3, stale_seconds = $4, tags = $6, is_negative = $7,
           computing_until = NULL,
           invalidated_at = CASE WHEN page_cache.invalidated_at >= $5 THEN page_cache.invalidated_at END
     WHERE page_cache.computed_at IS NULL OR page_cache.computed_at <= $5";

const RELEASE: &str =
    "UPDATE page_cache SET computing_until = now() + $2 * interval '1 millisecond' WHERE cache_key = $1";

/// Gives up the lease of what is not kept, which was computed since `$2`, with what was there before.
const FORGET: &str = "DELETE FROM page_cache WHERE cache_key = $1 AND (computed_at IS NULL OR computed_at <= $2)";

/// Deletes entries beyond the bounds, the oldest ones, and those of which only a lease is left, since they could not be
/// computed; what is being computed for the first time has no age yet and stays.
/// `$1` are kept in all, and `$2` of those that live for a minute.
pub(crate) const TRIM: &str = "
    DELETE FROM page_cache WHERE cache_key IN (
        (SELECT cache_key FROM page_cache WHERE computed_at IS NOT NULL ORDER BY computed_at DESC OFFSET $1)
        UNION ALL
        (SELECT cache_key FROM page_cache WHERE is_negative ORDER BY computed_at DESC OFFSET $2)
        UNION ALL
        (SELECT cache_key FROM page_cache WHERE computed_at IS NULL AND computing_until < now() - interval '1 hour'))
    RETURNING 1";

/// A tag of what is being computed: of what it is made is known afterwards, so any change may be its own.
const PENDING: &str = "pending";

impl PageCache {
    pub(crate) fn new(pool: Pool) -> Self {
        Self { pool, flights: Flights::default(), counts: Arc::default(), stored: Arc::default() }
    }

    /// The entry, computed if need be. What comes from the cache has `_cached` and `_cached_at`.
    ///
    /// A cache that cannot be read or written fails nothing that can be computed.
    ///
    /// # Errors
    /// When it cannot be computed and was not there, or another process takes too long.
    pub(crate) async fn get_cached_or_compute<E: Entry>(&self, entry: &E) -> Result<Payload, Error> {
        match self.look(entry).await? {
            (Answer::Other(mut payload, computed_at), Source::Kept | Source::Old) => {
                payload.insert("_cached".to_owned(), true.into());
                payload.insert("_cached_at".to_owned(), computed_at.map(|at| at.to_string()).into());
                Ok(payload)
            }
            (Answer::Other(payload, _), Source::Made) => Ok(payload),
            (Answer::Same, _) => Err(Error::bug("the page cache left out what its caller does not have")),
        }
    }

    /// The same, and whether it is old and could not be made anew.
    ///
    /// # Errors
    /// As [`PageCache::get_cached_or_compute`].
    pub(crate) async fn get<E: Entry>(&self, entry: &E) -> Result<(Answer, bool), Error> {
        self.look(entry).await.map(|(answer, source)| (answer, source == Source::Old))
    }

    /// What the database has for who holds the version that was computed at `known`, and nothing of making it anew. What was
    /// found is for [`PageCache::serve`].
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn peek(&self, key: &str, known: Option<Timestamp>) -> Result<Found, Error> {
        self.counts.asked.fetch_add(1, Ordering::Relaxed);
        self.find(key, known).await
    }

    /// As [`PageCache::get`], for who has looked already.
    ///
    /// # Errors
    /// As [`PageCache::get_cached_or_compute`].
    pub(crate) async fn serve<E: Entry>(&self, entry: &E, found: Found) -> Result<(Answer, bool), Error> {
        let served = self.serve_or_fill(entry, &entry.key(), found).await;
        served.map(|(answer, source)| (answer, source == Source::Old))
    }

    async fn look<E: Entry>(&self, entry: &E) -> Result<(Answer, Source), Error> {
        let key = entry.key();
        match self.peek(&key, None).await {
            Ok(found) => self.serve_or_fill(entry, &key, found).await,
            Err(error) => {
                tracing::debug!(event = "cache.unreadable", key, %error, "the page cache cannot be read");
                entry.compute().await.map(|payload| (Answer::Other(payload, None), Source::Made))
            }
        }
    }

    async fn serve_or_fill<E: Entry>(&self, entry: &E, key: &str, found: Found) -> Result<(Answer, Source), Error> {
        match found.standing {
            Standing::Fresh => self.hit(found),
            Standing::Stale => {
                // One of this process at a time: the others need not even ask for the lease.
                if let Ok(alone) = self.flights.of(key).try_lock_owned() {
                    let (cache, entry) = (self.clone(), entry.clone());
                    tokio::spawn(async move {
                        // Logged where it was computed; who comes next tries again. After the lease another process may.
                        let _ = tokio::time::timeout(LEASE, cache.refresh(&entry)).await;
                        drop(alone);
                    });
                }
                self.hit(found)
            }
            Standing::Old => match tokio::time::timeout(WAIT_MAX, self.fill(entry, key)).await {
                Ok(Ok(filled)) => Ok(filled),
                Ok(Err(_)) | Err(_) => found.served().map(|(answer, _)| (answer, Source::Old)),
            },
            Standing::Empty => self.fill(entry, key).await,
        }
    }

    /// How many answers came from the cache, and how many were asked for.
    pub(crate) fn hits(&self) -> (u64, u64) {
        (self.counts.hits.load(Ordering::Relaxed), self.counts.asked.load(Ordering::Relaxed))
    }

    fn hit(&self, found: Found) -> Result<(Answer, Source), Error> {
        self.counts.hits.fetch_add(1, Ordering::Relaxed);
        found.served()
    }

    /// Computes the entry anew unless someone else does. Says whether it did.
    pub(crate) async fn refresh<E: Entry>(&self, entry: &E) -> Result<bool, Error> {
        let key = entry.key();
        let Some(since) = self.lease(entry, &key).await? else { return Ok(false) };
        self.compute(entry, &key, since).await.map(|_| true)
    }

    /// Makes the entries whose key is like `pattern` old, as SQL's LIKE has it. Says how many.
    ///
    /// # Errors
    /// When the database does not take it.
    pub(crate) async fn invalidate(&self, pattern: &str) -> Result<u64, Error> {
        let sql = "UPDATE page_cache SET invalidated_at = now() WHERE cache_key LIKE $1 RETURNING 1";
        Ok(self.ask(sql, &[(&pattern, Type::TEXT)]).await?.len() as u64)
    }

    /// Makes everything old, also what a process keeps in memory alone.
    ///
    /// # Errors
    /// When the database does not take it.
    pub(crate) async fn invalidate_all(&self) -> Result<(), Error> {
        self.ask(purged::PURGE_ALL, &[]).await.map(drop)
    }

    /// What was purged after a place, of which [`Purges`] keeps account.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn purged_since(&self, place: i64) -> Result<Vec<Purge>, Error> {
        let rows = self.ask(purged::SINCE, &[(&place, Type::INT8)]).await?;
        Ok(rows.iter().map(Purge::read).collect::<Result<_, _>>()?)
    }

    /// Whether connections lead to a pooler, which lends its own.
    pub(crate) fn is_pooled_elsewhere(&self) -> bool {
        self.pool.is_pooled_elsewhere()
    }

    /// Whether all connections may be on loan, so that who gets none has not heard of the database itself.
    pub(crate) fn is_crowded_out(&self) -> bool {
        self.pool.stats().is_sought_by_all()
    }

    /// Waits for who computes it, or does so. One of this process at a time looks after one entry. Whatever the reason for
    /// which it fails, the caller serves what was there before.
    async fn fill<E: Entry>(&self, entry: &E, key: &str) -> Result<(Answer, Source), Error> {
        let (flight, asked) = (self.flights.of(key), Instant::now());
        let _alone = tokio::time::timeout(WAIT_MAX, flight.lock()).await.map_err(|_| slow())?;
        loop {
            let found = self.find(key, None).await?;
            match found.standing {
                Standing::Fresh | Standing::Stale => return found.served(),
                Standing::Old | Standing::Empty => {}
            }
            let leased = match self.lease(entry, key).await {
                Ok(leased) => leased,
                Err(error) => {
                    tracing::debug!(event = "cache.unwritable", key, %error, "the page cache cannot be written");
                    return entry.compute().await.map(|payload| (Answer::Other(payload, None), Source::Made));
                }
            };
            if let Some(since) = leased {
                // Someone may have been done between the look and the lease.
                let again = self.find(key, None).await?;
                if again.standing == Standing::Fresh {
                    self.release(key, Duration::ZERO).await;
                    return again.served();
                }
                return self.compute(entry, key, since).await.map(|answer| (answer, Source::Made));
            }
            // Another process computes, or has just failed to.
            if asked.elapsed() >= WAIT_MAX {
                return Err(slow());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Computes with the lease in hand, and gives that up.
    async fn compute<E: Entry>(&self, entry: &E, key: &str, since: Timestamp) -> Result<Answer, Error> {
        match entry.compute().await {
            Ok(payload) => {
                if !entry.is_worth_keeping(&payload) || bytes(&payload) > PAYLOAD_BYTES_MAX {
                    tracing::debug!(event = "cache.not_kept", key, "{key} is not there, or too long to be kept");
                    self.forget(key, since).await;
                    return Ok(Answer::Other(payload, None));
                }
                if let Err(error) = self.store(entry, key, &payload, since).await {
                    tracing::warn!(event = "cache.not_stored", key, %error, "{key} was computed and not kept: {error}");
                    self.release(key, Duration::ZERO).await;
                    return Ok(Answer::Other(payload, None));
                }
                Ok(Answer::Other(payload, Some(since)))
            }
            Err(error) => {
                let internal = error.internal().unwrap_or_default();
                tracing::warn!(
                    event = "cache.not_computed",
                    key,
                    error = internal,
                    "{key} was not computed: {internal}"
                );
                self.release(key, FAILURE_PAUSE).await;
                Err(error)
            }
        }
    }

    async fn find(&self, key: &str, known: Option<Timestamp>) -> Result<Found, Error> {
        let rows = self.ask(FIND, &[(&key, Type::TEXT), (&known, Type::TIMESTAMPTZ)]).await?;
        let empty = Found { payload: None, computed_at: None, standing: Standing::Empty, same: false };
        Ok(rows.first().map(|row| Found::read(row, known)).transpose()?.unwrap_or(empty))
    }

    async fn lease<E: Entry>(&self, entry: &E, key: &str) -> Result<Option<Timestamp>, Error> {
        let millis = millis(LEASE);
        let tags: Vec<String> = entry.tags().into_iter().chain([PENDING.to_owned()]).collect();
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(&key, Type::TEXT), (&millis, Type::INT4), (&tags, Type::TEXT_ARRAY)];
        let rows = self.ask(LEASE_IT, &parameters).await?;
        Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
    }

    async fn store<E: Entry>(&self, entry: &E, key: &str, payload: &Payload, since: Timestamp) -> Result<(), Error> {
        let (is_passing, tags) = (entry.is_passing(payload), entry.tags_of(payload));
        let lifetime = if is_passing { PASSING } else { entry.lifetime() };
        let payload = Value::Object(payload.clone());
        let (ttl, stale) = (seconds(lifetime.ttl), seconds(lifetime.stale));
        let parameters: [(&(dyn ToSql + Sync), Type); 7] = [
            (&key, Type::TEXT),
            (&payload, Type::JSONB),
            (&ttl, Type::INT4),
            (&stale, Type::INT4),
            (&since, Type::TIMESTAMPTZ),
            (&tags, Type::TEXT_ARRAY),
            (&is_passing, Type::BOOL),
        ];
        self.ask(STORE, &parameters).await?;
        if (self.stored.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(TRIM_EVERY) {
            let cache = self.clone();
            tokio::spawn(async move {
                if let Err(error) = cache.ask(TRIM, &[(&ENTRIES_MAX, Type::INT8), (&PASSING_MAX, Type::INT8)]).await {
                    tracing::warn!(event = "cache.not_trimmed", %error, "the page cache is not kept within its bounds");
                }
            });
        }
        Ok(())
    }

    /// Gives the lease up, or holds it a little longer. What is not given up ends by itself.
    async fn release(&self, key: &str, pause: Duration) {
        let millis = millis(pause);
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&key, Type::TEXT), (&millis, Type::INT4)];
        let _ = self.ask(RELEASE, &parameters).await;
    }

    /// Leaves no row. One that stays, since the database fails, is deleted when its lease is long over.
    async fn forget(&self, key: &str, since: Timestamp) {
        let _ = self.ask(FORGET, &[(&key, Type::TEXT), (&since, Type::TIMESTAMPTZ)]).await;
    }

    /// One statement. When the caller goes away meanwhile it is ended, and its connection is not lent again.
    async fn ask(&self, sql: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> Result<Vec<Row>, Error> {
        let reader = Reader::borrow(&self.pool).await?;
        let rows = reader.query_typed(sql, parameters).await?;
        reader.finish();
        Ok(rows)
    }
}

impl Found {
    fn read(row: &Row, known: Option<Timestamp>) -> Result<Self, tokio_postgres::Error> {
        let standing = match row.try_get(2)? {
            "fresh" => Standing::Fresh,
            "stale" => Standing::Stale,
            "old" => Standing::Old,
            _ => Standing::Empty,
        };
        let computed_at: Option<Timestamp> = row.try_get(1)?;
        let same = computed_at.is_some() && computed_at == known;
        Ok(Self { payload: row.try_get(0)?, computed_at, standing, same })
    }

    fn served(self) -> Result<(Answer, Source), Error> {
        match self.payload {
            _ if self.same => Ok((Answer::Same, Source::Kept)),
            Some(Value::Object(payload)) => Ok((Answer::Other(payload, self.computed_at), Source::Kept)),
            _ => Err(Error::bug("an entry of the page cache is no object")),
        }
    }
}

fn bytes(payload: &Payload) -> usize {
    serde_json::to_vec(payload).map_or(0, |text| text.len())
}

fn slow() -> Error {
    Error::busy("another process computes this for too long")
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}

fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}
