//! Why a call failed, sorted by who is to blame.

use std::time::Duration;

use seawall_core::time::seconds_ceil;

/// Why a call to the city's API failed.
#[derive(Debug, thiserror::Error)]
pub enum SodaError {
    /// Not called: the breaker is open, because calls failed lately.
    #[error("the city's API is resting after failures; next call in {} s", seconds_ceil(*retry_after))]
    Refused {
        /// When the next call may be let through.
        retry_after: Duration,
    },
    /// No whole answer in time.
    #[error("the city's API did not answer within {after:?} (SODA_TIMEOUT)")]
    Timeout {
        /// The time it had.
        after: Duration,
    },
    /// No connection.
    #[error("the city's API cannot be reached; check SODA_BASE_URL and the network")]
    Unreachable(#[source] reqwest::Error),
    /// The connection broke before the answer was whole.
    #[error("the city's API broke the connection off")]
    Interrupted(#[source] reqwest::Error),
    /// Another status than success: 4xx blames us, 5xx the API.
    #[error(
        "the city's API answered {status}{}: {message}{}",
        code.as_ref().map(|code| format!(" {code}")).unwrap_or_default(),
        retry_after.map(|wait| format!("; it asks to be left alone for {} s", seconds_ceil(wait))).unwrap_or_default()
    )]
    Status {
        /// The status code.
        status: u16,
        /// SODA's word for the error, if it gave one.
        code: Option<String>,
        /// SODA's sentence, or the start of whatever was sent.
        message: String,
        /// When to come back, if it said so.
        retry_after: Option<Duration>,
    },
    /// Not the JSON that the API promises.
    #[error("the city's API sent something else than rows: {0}")]
    Malformed(String),
    /// More than we take.
    #[error("the city's API sent more than {bytes_max} bytes; lower SODA_PAGE_SIZE")]
    TooLarge {
        /// The bound.
        bytes_max: usize,
    },
}

impl SodaError {
    pub(super) fn of(error: reqwest::Error, timeout: Duration) -> Self {
        // The URL holds the query, which is of no use in a log line that names the dataset.
        let error = error.without_url();
        if error.is_timeout() {
            Self::Timeout { after: timeout }
        } else if error.is_connect() {
            Self::Unreachable(error)
        } else {
            Self::Interrupted(error)
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Refused { .. }
            | Self::Timeout { .. }
            | Self::Unreachable(_)
            | Self::Interrupted(_)
            | Self::Malformed(_) => true,
            Self::Status { status, .. } => *status == 429 || *status >= 500,
            Self::TooLarge { .. } => false,
        }
    }

    /// How long the API, or its breaker, asks to be left alone.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after } => Some(*retry_after),
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
