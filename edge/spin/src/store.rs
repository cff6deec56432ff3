//! Spin's key-value store as a store of responses.
//!
//! It keeps what it is given for ever, so entries carry the time at which they end, and a sweep takes ended ones away.
//! Beside each entry stands a mark, which is small and says when it ends, so that a sweep reads no response.

mod entry;
mod sweep;

use core::time::Duration;

use seawall_core::cache::key::CacheKey;
use seawall_edge::{
    Store,
    message::Response,
    store::{StoreError, Stored},
};
use spin_sdk::key_value::{Error, Store as SpinStore};

use crate::{
    body::Body,
    headers::SpinHeaders,
    host::{self, Host},
};

use self::entry::{Entry, Mark};

/// The store that spin.toml gives to this component.
pub(crate) struct KeyValue;

impl Store<Host> for KeyValue {
    fn body_bytes_max(&self) -> u64 {
        ENTRY_BYTES_MAX as u64
    }

    async fn load(&self, key: &CacheKey) -> Result<Option<Stored<Host>>, StoreError> {
        let Some(bytes) = open().await?.get(entry::name(key)).await.map_err(failed)? else { return Ok(None) };
        let entry = Entry::decode(&bytes).ok_or_else(|| StoreError(String::from("an entry does not decode")))?;
        if entry.until_ms <= now_ms() {
            return Ok(None);
        }
        let mut headers = SpinHeaders::default();
        for (name, value) in &entry.fields {
            headers.append_bytes(name, value);
        }
        let body = entry.body.map(|body| Body::Bytes(body.into()));
        Ok(Some(Stored { response: Response::new(entry.status, headers, body), note: entry.note }))
    }

    async fn save(&self, key: &CacheKey, stored: Stored<Host>, keep_for: Duration) -> Result<(), StoreError> {
        let Stored { response: Response { status, headers, body }, note } = stored;
        let body = match body {
            Some(body) => {
                let body = body.collect(ENTRY_BYTES_MAX).await;
                let why = "the body is too long for the key-value store, or broke off";
                Some(body.ok_or_else(|| StoreError(String::from(why)))?.into())
            }
            None => None,
        };
        let until_ms = now_ms().saturating_add(u64::try_from(keep_for.as_millis()).unwrap_or(u64::MAX));
        let fields = headers.pairs().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
        let entry = Entry { until_ms, status, fields, note, body };
        let store = open().await?;
        // The mark first: an entry without one would stay for ever.
        store.set(entry::mark(key), Mark::value(until_ms)).await.map_err(failed)?;
        store.set(entry::name(key), entry.encode()).await.map_err(failed)?;
        if host::random().is_multiple_of(SWEEP_ONE_IN) {
            spin_sdk::wasip3::spawn(async {
                if let Err(error) = sweep::sweep().await {
                    host::log(&format!("edge.cache.sweep failed: {error}"));
                }
            });
        }
        Ok(())
    }

    async fn remove(&self, key: &CacheKey) -> Result<(), StoreError> {
        open().await?.delete(entry::name(key)).await.map_err(failed)
    }
}

async fn open() -> Result<SpinStore, StoreError> {
    SpinStore::open_default().await.map_err(failed)
}

fn failed(error: Error) -> StoreError {
    StoreError(error.to_string())
}

fn now_ms() -> u64 {
    host::now().as_unix_nanos() / 1_000_000
}

/// Longest body that is stored. Key-value stores behind Spin take values of a megabyte, and some no more.
const ENTRY_BYTES_MAX: usize = 1_000_000 - FIELDS_BYTES_SPARE;
/// Left for fields and note.
const FIELDS_BYTES_SPARE: usize = 64_000;
/// One save in so many sweeps: often enough that ended entries are fewer than living ones, and seldom enough to cost
/// little.
const SWEEP_ONE_IN: u64 = 64;
