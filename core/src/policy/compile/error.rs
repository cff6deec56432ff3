//! What is wrong with a policy, and where.

use alloc::string::String;
use core::fmt;

/// The first fault in a `policy.toml`.
///
/// It displays as one line, such as
/// `policy.toml:42:9: limit.search.quota: expected a whole number from 1 to 4294967295, found "15"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// Line of the fault, counted from one.
    pub line: usize,
    /// Column of the fault in characters, counted from one.
    pub column: usize,
    /// The option at fault, such as `limit.search.quota`; empty where the text is not TOML.
    pub field: String,
    /// What was expected, and what was found.
    pub message: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, field, message } = self;
        write!(f, "policy.toml:{line}:{column}: ")?;
        if !field.is_empty() {
            write!(f, "{field}: ")?;
        }
        f.write_str(message)
    }
}

impl core::error::Error for PolicyError {}
