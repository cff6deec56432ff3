//! How a call failed that several requests waited for.

use seawall_core::time::Timestamp;

use crate::guard::Unavailable;

/// How a leader's call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallFailure {
    /// There was no response.
    Unavailable(Unavailable),
    /// The origin answered with this status.
    Status(u16),
}

/// A failure, and when the call ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remembered {
    pub(crate) at: Timestamp,
    pub(crate) failure: CallFailure,
}

impl CallFailure {
    /// The word for it in headers and log.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable(unavailable) => unavailable.as_str(),
            Self::Status(_) => "origin-error",
        }
    }
}

/// What an empty place of a table holds; it has expired and is never read.
impl Default for Remembered {
    fn default() -> Self {
        Self { at: Timestamp::UNIX_EPOCH, failure: CallFailure::Status(0) }
    }
}
