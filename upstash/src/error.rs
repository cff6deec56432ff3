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
            // The rest of what it says quotes keys and values, and what is displayed is logged.
            Self::Redis(words) => write!(f, "Redis refused the command: {}", code(words)),
            Self::Status(status) => write!(f, "Upstash answered with status {status}"),
            Self::Malformed => f.write_str("the answer is none of Upstash's; is the URL right?"),
            Self::TooLong => f.write_str("the answer is too long to be read"),
        }
    }
}

/// The word in capitals that Redis begins an error with.
fn code(words: &str) -> &str {
    let word = words.split_ascii_whitespace().next().unwrap_or_default();
    let is_code = (1..=CODE_BYTES_MAX).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_code { word } else { "without a code" }
}

/// Longer than any code that Redis has.
const CODE_BYTES_MAX: usize = 20;

impl core::error::Error for Error {}
