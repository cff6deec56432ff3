//! How a response is written down, and under which names.

use seawall_core::cache::key::CacheKey;
use serde::{Deserialize, Serialize};

/// A response, and until when it counts.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) until_ms: u64,
    pub(super) status: u16,
    pub(super) fields: Vec<(String, Vec<u8>)>,
    pub(super) note: String,
    pub(super) body: Option<Vec<u8>>,
}

/// What says when an entry ends.
#[derive(Debug)]
pub(super) struct Mark {
    /// The mark's name.
    pub(super) name: String,
    /// The entry's.
    pub(super) entry: String,
}

impl Entry {
    pub(super) fn encode(&self) -> Vec<u8> {
        // Plain data into a growing vector has nothing to fail; should it, the entry does not decode and counts as none.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// `None` when another release wrote it.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

impl Mark {
    /// The value of a mark.
    pub(super) fn value(until_ms: u64) -> [u8; 8] {
        until_ms.to_be_bytes()
    }

    /// Reads [`Mark::value`].
    pub(super) fn until_ms(value: &[u8]) -> Option<u64> {
        value.try_into().ok().map(u64::from_be_bytes)
    }
}

/// The name of an entry.
pub(super) fn name(key: &CacheKey) -> String {
    format!("{ENTRY}{key}")
}

/// The name of its mark.
pub(super) fn mark(key: &CacheKey) -> String {
    format!("{MARK}{key}")
}

/// The mark of that name, if it is one's.
pub(super) fn of_mark(name: String) -> Option<Mark> {
    let entry = format!("{ENTRY}{}", name.strip_prefix(MARK)?);
    Some(Mark { name, entry })
}

const ENTRY: &str = "response/";
const MARK: &str = "ends/";
