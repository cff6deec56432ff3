//! `Cache-Status` (RFC 9211): what the cache did with a request, for the client to read.

use core::{fmt, time::Duration};

/// What the cache did. Shows as one member of the `Cache-Status` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    /// Answered from the cache.
    Hit {
        /// How much longer the response is fresh.
        ttl: Duration,
    },
    /// Answered from the cache although stale.
    StaleHit {
        /// How long it has been stale; shown as a negative `ttl`.
        stale_for: Duration,
        /// Why it was served.
        detail: &'static str,
    },
    /// Answered by the edge itself, without the cache and without the origin.
    Refused {
        /// Why.
        detail: &'static str,
    },
    /// Went to the origin.
    Forward {
        /// Why.
        reason: ForwardReason,
        /// The status the origin answered with; `None` when it did not answer.
        status: Option<u16>,
        /// Whether the response was stored, or brought the stored one up to date.
        stored: bool,
        /// Whether another request's call was used.
        collapsed: bool,
        /// Why it was not stored, or what else is worth knowing.
        detail: Option<&'static str>,
    },
}

/// Why a request went to the origin (RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardReason {
    /// The policy does not cache this route.
    Bypass,
    /// The method is not one that a cache answers.
    Method,
    /// Nothing is stored for this URL.
    UriMiss,
    /// Something is stored for this URL, but not for these request fields.
    VaryMiss,
    /// What is stored must be validated.
    Stale,
    /// The request must not be answered from a shared cache.
    Request,
}

impl ForwardReason {
    /// The token of RFC 9211 §2.2.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Stale => "stale",
            Self::Request => "request",
        }
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CACHE_NAME)?;
        match *self {
            Self::Hit { ttl } => write!(f, "; hit; ttl={}", ttl.as_secs()),
            Self::StaleHit { stale_for, detail } => {
                let sign = if stale_for.as_secs() == 0 { "" } else { "-" };
                write!(f, "; hit; ttl={sign}{}; detail={detail}", stale_for.as_secs())
            }
            Self::Refused { detail } => write!(f, "; detail={detail}"),
            Self::Forward { reason, status, stored, collapsed, detail } => {
                write!(f, "; fwd={}", reason.as_str())?;
                if let Some(status) = status {
                    write!(f, "; fwd-status={status}")?;
                }
                if stored {
                    f.write_str("; stored")?;
                }
                if collapsed {
                    f.write_str("; collapsed")?;
                }
                match detail {
                    Some(detail) => write!(f, "; detail={detail}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// The name of this cache in `Cache-Status`.
const CACHE_NAME: &str = "Seawall";

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn each_outcome_has_its_text() {
        let forward = |reason, status, stored, collapsed, detail| CacheStatus::Forward {
            reason,
            status,
            stored,
            collapsed,
            detail,
        };
        for (status, expect) in [
            (CacheStatus::Hit { ttl: Duration::from_millis(59_999) }, "Seawall; hit; ttl=59"),
            (
                CacheStatus::StaleHit { stale_for: Duration::from_secs(7), detail: "revalidating" },
                "Seawall; hit; ttl=-7; detail=revalidating",
            ),
            (
                CacheStatus::StaleHit { stale_for: Duration::from_millis(7), detail: "revalidating" },
                "Seawall; hit; ttl=0; detail=revalidating",
            ),
            (CacheStatus::Refused { detail: "limited" }, "Seawall; detail=limited"),
            (
                forward(ForwardReason::UriMiss, Some(200), true, false, None),
                "Seawall; fwd=uri-miss; fwd-status=200; stored",
            ),
            (
                forward(ForwardReason::Stale, None, false, true, Some("timeout")),
                "Seawall; fwd=stale; collapsed; detail=timeout",
            ),
        ] {
            assert_eq!(status.to_string(), expect);
        }
    }
}
