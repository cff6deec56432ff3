//! What goes wrong, by who is at fault.

use alloc::string::String;
use core::fmt;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The URL or the token cannot be right.
    Configuration(&'static str),
    /// The token is not the database's.
    Unauthorized,
    /// Redis refused the command; its own words, which begin with a word in capitals such as `WRONGTYPE`.
    Redis(String),
    /// Upstash answered with this status: too many requests, or a fault of its own.
    Status(u16),
    /// The answer is none of Upstash's.
    Malformed,
    /// The answer is longer than [`RESPONSE_BYTES_MAX`](crate::RESPONSE_BYTES_MAX).
    TooLong,
}

impl Error {
    /// Whether Redis does not know the script of an `EVALSHA`.
    #[must_use]
    pub fn is_noscript(&self) -> bool {
        matches!(self, Self::Redis(words) if words.starts_with("NOSCRIPT"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(what) => f.write_str(what),
            Self::Unauthorized => f.write_str("Upstash does not accept the token; is it the one of this database?"),
            Self::Redis(words) => write!(f, "Redis says: {words}"),
            Self::Status(status) => write!(f, "Upstash answered with status {status}"),
            Self::Malformed => f.write_str("the answer is none of Upstash's; is the URL right?"),
            Self::TooLong => f.write_str("the answer is too long to be read"),
        }
    }
}

impl core::error::Error for Error {}
