//! The component's wall clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

/// A wall clock.
pub(crate) enum Clock {
    /// The machine's.
    Running,
    /// One that stands still until a test moves it, so that every age and wait has one right value. It stands at a whole
    /// second, because HTTP dates do.
    Standing {
        /// Milliseconds since 1970.
        start_ms: i64,
        /// How far it is ahead of that.
        ahead_ms: AtomicI64,
    },
}

impl Clock {
    /// A clock that stands, a little ahead of the machine's.
    pub(crate) fn standing() -> Result<Self> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).context("the machine's clock is before 1970")?;
        Ok(Self::Standing { start_ms: i64::try_from(since.as_secs())? * 1000, ahead_ms: AtomicI64::new(LEAD_MS) })
    }

    /// Milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> i64 {
        match self {
            Self::Running => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            }
            Self::Standing { start_ms, ahead_ms } => start_ms + ahead_ms.load(Ordering::SeqCst),
        }
    }

    /// Moves a clock that stands.
    pub(crate) fn advance(&self, by_ms: i64) {
        if let Self::Standing { ahead_ms, .. } = self {
            ahead_ms.fetch_add(by_ms, Ordering::SeqCst);
        }
    }

    /// How far ahead of the machine's clock it was moved.
    pub(crate) fn ahead(&self) -> Option<Duration> {
        match self {
            Self::Running => None,
            Self::Standing { ahead_ms, .. } => {
                u64::try_from(ahead_ms.load(Ordering::SeqCst)).ok().filter(|ms| *ms > 0).map(Duration::from_millis)
            }
        }
    }
}

/// How far ahead a clock begins that stands: longer than a test takes. Redis forgets what has ended by the machine's clock,
/// and must not forget what a test's clock has yet to reach.
const LEAD_MS: i64 = 3_600_000;
