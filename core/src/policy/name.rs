//! Names of upstreams, limits and routes.

use alloc::string::String;
use core::fmt;
use core::ops::Deref;

/// The name of an upstream, a limit or a route: 1 to [`Name::BYTES_MAX`] lower-case letters, digits and
/// hyphens, starting with a letter.
///
/// So it is a String of RFC 9651 without escapes, a metric label and a log field as it stands. Accepted:
/// `static-code`. Refused: `Static code`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct Name(String);

impl Name {
    /// Longest name: it is sent with every answer.
    pub const BYTES_MAX: usize = 32;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let starts_well = text.starts_with(|first: char| first.is_ascii_lowercase());
        let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if starts_well && text.len() <= Self::BYTES_MAX && text.bytes().all(rest) {
            Ok(Self(text))
        } else {
            Err(NameError)
        }
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text that is no [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameError;

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name of 1 to 32 lower-case letters, digits and hyphens, starting with a letter")
    }
}

impl core::error::Error for NameError {}
