//! For how long responses may be reused, and how that is said in a response.

use alloc::format;
use alloc::string::String;
use core::fmt::Write;
use core::time::Duration;

use crate::cache::CacheOptions;

/// How long the responses of a route may be reused, at the edge and in browsers.
///
/// At least one of the two parts is there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CacheRule {
    /// In caches that Seawall runs; `None`: not there.
    pub edge: Option<Lifetime>,
    /// What caches that Seawall runs may choose besides; of no meaning without `edge`.
    pub options: CacheOptions,
    /// In the visitor's browser; `None`: only to be revalidated.
    pub browser: Option<BrowserLifetime>,
}

/// How long the edge reuses a response. Whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Lifetime {
    /// Without asking the origin.
    pub fresh: Duration,
    /// After that, while asking the origin in the background (RFC 5861 §3).
    pub stale_while_revalidate: Duration,
    /// After that, when the origin fails (RFC 5861 §4).
    pub stale_if_error: Duration,
}

/// How long a browser reuses a response. Whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BrowserLifetime {
    /// Without asking.
    pub fresh: Duration,
    /// After that, while asking in the background.
    pub stale_while_revalidate: Duration,
    /// The address changes when the content does, so a reload need not ask (RFC 8246).
    pub immutable: bool,
}

impl CacheRule {
    /// Longest lifetime: the year that HTTP calls forever.
    pub const LIFETIME_MAX: Duration = Duration::from_secs(365 * 86_400);

    /// What browsers read as `Cache-Control`.
    ///
    /// Without a browser part that is `private, no-cache`: the browser keeps a copy and asks before each use,
    /// and no cache between the edge and the browser keeps one, since none of them can be purged.
    #[must_use]
    pub fn browser_cache_control(&self) -> String {
        let Some(browser) = self.browser else { return String::from("private, no-cache") };
        let mut value = format!("public, max-age={}", browser.fresh.as_secs());
        append(&mut value, "stale-while-revalidate", browser.stale_while_revalidate);
        if browser.immutable {
            value.push_str(", immutable");
        }
        value
    }

    /// What the edge reads in its targeted field (RFC 9213), `Seawall-CDN-Cache-Control`.
    ///
    /// Without an edge part that is `no-store`.
    #[must_use]
    pub fn edge_cache_control(&self) -> String {
        let Some(edge) = self.edge else { return String::from("no-store") };
        let mut value = format!("max-age={}", edge.fresh.as_secs());
        append(&mut value, "stale-while-revalidate", edge.stale_while_revalidate);
        append(&mut value, "stale-if-error", edge.stale_if_error);
        value
    }
}

/// Adds a directive; a time of zero says nothing that its absence does not.
fn append(value: &mut String, directive: &str, time: Duration) {
    if time != Duration::ZERO {
        // Writing a number to a String does not fail.
        let _ = write!(value, ", {directive}={}", time.as_secs());
    }
}
