//! The second tier: responses kept by key, outside the isolate.
//!
//! A store is plain: it keeps what it is given and gives it back. Every HTTP caching rule is applied by `seawall-core`
//! on the note beside the response, so a store's own ideas of caching get no say. What each implementation must do is
//! written down as a test that runs against all of them (`contract`).

use alloc::string::String;
use core::{fmt, time::Duration};

use seawall_core::cache::key::CacheKey;

use crate::{Platform, message::Response};

#[cfg(feature = "contract")]
pub mod contract;

/// A place that keeps responses by key.
pub trait Store<P: Platform> {
    /// Longest body that it takes. What says that it is longer is not stored, and no parts are joined to more.
    fn body_bytes_max(&self) -> u64 {
        u64::MAX
    }

    /// What is stored under `key`, with the text stored beside it; `None` when nothing is, or its time is over.
    fn load(&self, key: &CacheKey) -> impl Future<Output = Result<Option<Stored<P>>, StoreError>>;

    /// Stores `stored` under `key` for at least `keep_for`, replacing what was there. A body that breaks off is an
    /// error, and leaves nothing. Completes when a `load` in the same place would find it.
    fn save(
        &self,
        key: &CacheKey,
        stored: Stored<P>,
        keep_for: Duration,
    ) -> impl Future<Output = Result<(), StoreError>>;

    /// Takes away what is stored under `key`; nothing stored is no error.
    fn remove(&self, key: &CacheKey) -> impl Future<Output = Result<(), StoreError>>;
}

/// A stored response, with what the pipeline keeps beside it.
pub struct Stored<P: Platform> {
    /// The response.
    pub response: Response<P>,
    /// The pipeline's own text; visible ASCII.
    pub note: String,
}

/// A store did not do what it was asked. Fails open: the request goes to the origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError(pub String);

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the cache failed: {}", self.0)
    }
}

impl core::error::Error for StoreError {}
