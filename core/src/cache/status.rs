//! `Cache-Status` (RFC 9211): what the cache did with a request, for the client to read.

use alloc::{format, string::String};
use core::{fmt, time::Duration};

use super::{
    key::CacheKey,
    structured::{Bare, InvalidStructure, Value, list},
};

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
    /// Nothing usable is stored, and it is not known why.
    Miss,
    /// Nothing is stored for this URL.
    UriMiss,
    /// Something is stored for this URL, but not for these request fields.
    VaryMiss,
    /// What is stored must be validated.
    Stale,
    /// The request asks to, or must not be answered from a shared cache.
    Request,
    /// Only other parts of it are stored.
    Partial,
}

impl ForwardReason {
    /// The token of RFC 9211 §2.2.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::Miss => "miss",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Stale => "stale",
            Self::Request => "request",
            Self::Partial => "partial",
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

impl CacheStatus {
    /// The same with the key it was looked up by (RFC 9211 §2.7). For operators alone: a stranger learns from it what
    /// others asked for.
    #[must_use]
    pub fn with_key(self, key: &CacheKey) -> String {
        format!("{self}; key=\"{key}\"")
    }
}

/// The whole field: what caches nearer to the origin said, and then this one (RFC 9211 §2). What is no List is left
/// out, because nobody could read the field with it.
#[must_use]
pub fn append(upstream: Option<&str>, own: &str) -> String {
    match upstream.filter(|upstream| !upstream.trim().is_empty() && list(upstream, |_| ()).is_ok()) {
        Some(upstream) => format!("{upstream}, {own}"),
        None => String::from(own),
    }
}

/// One cache's word in a `Cache-Status` field, as a test or an operator's tool reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadStatus {
    /// Which cache.
    pub cache: String,
    /// Whether it answered from what it had.
    pub hit: bool,
    /// Why it went forward.
    pub fwd: Option<String>,
    /// With which status it was answered.
    pub fwd_status: Option<i64>,
    /// How much longer the response is fresh, in seconds.
    pub ttl: Option<i64>,
    /// Whether the response was stored.
    pub stored: bool,
    /// Whether another request's call was used.
    pub collapsed: bool,
    /// The key.
    pub key: Option<String>,
    /// What else.
    pub detail: Option<String>,
}

/// Reads a `Cache-Status` field; the cache nearest to the client comes last.
///
/// # Errors
/// When it is no List of names.
pub fn read(field: &str) -> Result<alloc::vec::Vec<ReadStatus>, InvalidStructure> {
    let mut caches = alloc::vec::Vec::new();
    let mut named = true;
    list(field, |member| {
        let name = match member.value {
            Value::Item(item) => text(item),
            Value::Inner(_) => None,
        };
        named &= name.is_some();
        let parameter = |name: &str| member.parameters.value(name);
        let flag = |name: &str| parameter(name) == Some(Bare::Boolean(true));
        let number = |name: &str| match parameter(name) {
            Some(Bare::Integer(number)) => Some(number),
            _ => None,
        };
        caches.push(ReadStatus {
            cache: name.unwrap_or_default(),
            hit: flag("hit"),
            fwd: parameter("fwd").and_then(text),
            fwd_status: number("fwd-status"),
            ttl: number("ttl"),
            stored: flag("stored"),
            collapsed: flag("collapsed"),
            key: parameter("key").and_then(text),
            detail: parameter("detail").and_then(text),
        });
    })?;
    if named { Ok(caches) } else { Err(InvalidStructure) }
}

fn text(bare: Bare<'_>) -> Option<String> {
    match bare {
        Bare::String(text) => Some(text.to_text()),
        Bare::Token(token) => Some(String::from(token)),
        _ => None,
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

    #[test]
    fn what_is_written_reads_back() {
        let forward = CacheStatus::Forward {
            reason: ForwardReason::Partial,
            status: Some(206),
            stored: true,
            collapsed: true,
            detail: Some("private"),
        };
        let key = CacheKey::new(&crate::cache::key::Target::default());
        let field = append(Some("Origin; hit; ttl=5"), &forward.with_key(&key));
        let read = read(&field).unwrap();
        assert_eq!(read[0], ReadStatus { cache: "Origin".into(), hit: true, ttl: Some(5), ..ReadStatus::default() });
        assert_eq!(
            read[1],
            ReadStatus {
                cache: CACHE_NAME.into(),
                fwd: Some("partial".into()),
                fwd_status: Some(206),
                stored: true,
                collapsed: true,
                key: Some(key.to_string()),
                detail: Some("private".into()),
                ..ReadStatus::default()
            }
        );
    }

    #[test]
    fn what_nobody_can_read_is_left_out() {
        for (upstream, expect) in [
            (Some("A; hit"), "A; hit, x"),
            (Some("\"A b\"; hit"), "\"A b\"; hit, x"),
            (Some("A; ="), "x"),
            (Some(" "), "x"),
            (None, "x"),
        ] {
            assert_eq!(append(upstream, "x"), expect, "{upstream:?}");
        }
        assert!(read("1; hit").is_err() && read("A;;").is_err());
    }

    #[test]
    fn every_reason_is_a_token_of_its_own() {
        use ForwardReason::{Bypass, Method, Miss, Partial, Request, Stale, UriMiss, VaryMiss};
        for reason in [Bypass, Method, Miss, Partial, Request, Stale, UriMiss, VaryMiss] {
            let status = CacheStatus::Forward { reason, status: None, stored: false, collapsed: false, detail: None };
            assert_eq!(read(&status.to_string()).unwrap()[0].fwd.as_deref(), Some(reason.as_str()));
        }
    }
}
