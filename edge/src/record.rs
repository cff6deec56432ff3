//! What is known of one request once it is answered, for the log and for counters.
//!
//! No path, query, address or field of the request is in it: they may say who is looking for what. Every word comes from
//! this code or from the policy, so a line has a bound and its words can be counted.

use alloc::string::{String, ToString};
use core::time::Duration;

use seawall_core::{
    cache::CacheStatus,
    policy::{Methods, Policy, Route},
    time::millis,
};

use crate::admit::{Admitted, Source};

/// One answered request.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The route's name; `control` for the operator's paths, `none` for requests that no route takes.
    pub route: &'a str,
    /// The status of the answer.
    pub status: u16,
    /// The method, when it is one that HTTP knows.
    pub method: &'static str,
    /// What the cache did: `hit`, `stale`, why the request was forwarded (RFC 9211 §2.2), or `refused`.
    pub cache: &'static str,
    /// The origin's status, if it was asked and answered.
    pub origin: Option<u16>,
    /// Whether the answer was stored.
    pub stored: bool,
    /// Whether another request's call was used.
    pub collapsed: bool,
    /// Why, in a word.
    pub detail: &'static str,
    /// Who decided on the shared limits.
    pub limits: &'static str,
    /// The limit that refused.
    pub limited: &'a str,
    /// What was done in place of what should have been.
    pub degraded: &'static str,
    /// From arrival to the header of the answer. Workers' clocks move only while something is awaited, so this is the
    /// time that other things took and never the work of the edge itself.
    pub elapsed: Duration,
}

impl<'a> Record<'a> {
    /// A request that was refused before any route was asked.
    pub(crate) fn refused(route: &'a str, method: &str, detail: &'static str) -> Self {
        Self {
            route,
            status: 0,
            method: known_method(method),
            cache: "refused",
            origin: None,
            stored: false,
            collapsed: false,
            detail,
            limits: NONE,
            limited: NONE,
            degraded: NONE,
            elapsed: Duration::ZERO,
        }
    }

    /// A request that a route took.
    pub(crate) fn routed(
        policy: &'a Policy,
        route: &'a Route,
        method: &str,
        cache: CacheStatus,
        admitted: Option<&Admitted>,
    ) -> Self {
        let (word, origin, stored, collapsed, detail) = match cache {
            CacheStatus::Hit { .. } => ("hit", None, false, false, NONE),
            CacheStatus::StaleHit { detail, .. } => ("stale", None, false, false, detail),
            CacheStatus::Refused { detail } => ("refused", None, false, false, detail),
            CacheStatus::Forward { reason, status, stored, collapsed, detail } => {
                (reason.as_str(), status, stored, collapsed, detail.unwrap_or(NONE))
            }
        };
        let source = admitted.map(|admitted| admitted.source);
        let degraded = match (word, detail, source) {
            ("stale", ..) | (_, "stale-if-error", _) => "stale",
            (_, "breaker-open", _) => "breaker-open",
            (.., Some(Source::Fallback)) => "local-share",
            _ => NONE,
        };
        let violated = admitted.and_then(|admitted| admitted.admission.violated().next());
        let limited = violated.and_then(|verdict| policy.limit(verdict.limit)).map(|limit| limit.name.as_str());
        Self {
            cache: word,
            origin,
            stored,
            collapsed,
            limits: source.map_or(NONE, Source::as_str),
            limited: limited.unwrap_or(NONE),
            degraded,
            ..Self::refused(route.name.as_str(), method, detail)
        }
    }

    /// The line: always these fields, in this order.
    #[must_use]
    pub fn to_line(&self) -> String {
        let (status, origin) = (self.status.to_string(), self.origin.map(|status| status.to_string()));
        let elapsed_ms = millis(self.elapsed).to_string();
        let yes = |flag| if flag { "yes" } else { "no" };
        let mut line = String::with_capacity(LINE_BYTES_USUAL);
        line.push_str("edge.request");
        for (name, value) in [
            (" route=", self.route),
            (" status=", &status),
            (" method=", self.method),
            (" cache=", self.cache),
            (" origin=", origin.as_deref().unwrap_or(NONE)),
            (" stored=", yes(self.stored)),
            (" collapsed=", yes(self.collapsed)),
            (" detail=", self.detail),
            (" limits=", self.limits),
            (" limited=", self.limited),
            (" degraded=", self.degraded),
            (" elapsed_ms=", &elapsed_ms),
        ] {
            line.push_str(name);
            line.push_str(value);
        }
        line
    }
}

/// Something to be counted.
#[derive(Clone, Copy, Debug)]
pub enum Metric<'a> {
    /// A request was answered.
    Request(&'a Record<'a>),
    /// Requests were answered from isolate memory, the shortest way; none of them is counted as a request.
    Hits {
        /// The route's name.
        route: &'a str,
        /// How many.
        count: u32,
    },
    /// Requests were refused the shortest way; none of them is counted as a request.
    Denials {
        /// The route's name.
        route: &'a str,
        /// How many.
        count: u32,
    },
    /// An upstream was called.
    Call {
        /// Its name.
        upstream: &'a str,
        /// Its status in words: `ok`, or why there was no response.
        outcome: &'static str,
        /// From the call to the header of its response.
        elapsed: Duration,
    },
    /// A dependency failed, and something else was done.
    Failure(Failure),
    /// A job ended.
    Job {
        /// Its name.
        name: &'a str,
        /// `ok`, or why it failed.
        outcome: &'static str,
        /// How often the origin was asked.
        attempts: u8,
    },
}

/// A dependency that failed. What is done instead stands in `docs/architecture.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing could be read from the platform's cache.
    CacheLoad,
    /// A response could not be stored.
    CacheSave,
    /// The authority of shared limits did not answer.
    Authority,
    /// The purge log did not answer.
    PurgeLog,
    /// The object by which isolates share calls did not answer.
    Collapse,
}

impl Failure {
    /// The word for it in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CacheLoad => "cache-load",
            Self::CacheSave => "cache-save",
            Self::Authority => "authority",
            Self::PurgeLog => "purge-log",
            Self::Collapse => "collapse",
        }
    }
}

/// The method as it may stand in a log: a client can invent others.
pub(crate) fn known_method(method: &str) -> &'static str {
    Methods::KNOWN.into_iter().find(|known| *known == method).unwrap_or("other")
}

/// What stands where there is nothing to say.
const NONE: &str = "-";
/// Enough for nearly every line.
const LINE_BYTES_USUAL: usize = 192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_fields_in_order_and_no_word_of_the_client() {
        let record = Record { status: 501, ..Record::refused("none", "GET\n/secret", "malformed-method") };
        assert_eq!(
            record.to_line(),
            "edge.request route=none status=501 method=other cache=refused origin=- stored=no collapsed=no \
             detail=malformed-method limits=- limited=- degraded=- elapsed_ms=0"
        );
    }
}
