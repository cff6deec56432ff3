//! Which paths a route takes.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A pattern of paths, with what it asks of the last segment.
///
/// A path is its segments between slashes. A segment of the pattern is literal text, which fits itself;
/// `{name}`, which fits any one segment that is not empty; or, at the end only, `**`, which fits any number
/// of segments, none included. So `/health/**` takes `/health`, `/health/` and `/health/ready`, while
/// `/search` does not take `/search/`. Bytes are compared as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Pattern {
    segments: Vec<Segment>,
    /// Whether any number of segments may follow.
    open: bool,
    /// What the last segment of the path must end in, without the dot; empty: anything.
    extensions: Vec<String>,
    /// Whether the last segment must carry a hash of the content.
    hashed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Segment {
    Literal(String),
    /// `{name}`; the name is for the reader.
    Any,
}

impl Pattern {
    /// Longest pattern in bytes.
    pub const BYTES_MAX: usize = 256;
    /// Most segments.
    pub const SEGMENTS_MAX: usize = 16;
    /// Most extensions.
    pub const EXTENSIONS_MAX: usize = 32;

    /// Reads a pattern such as `/report/{block}/{lot}` or `/static/**`.
    ///
    /// # Errors
    ///
    /// [`PatternError`] says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let Some(path) = text.strip_prefix('/') else { return Err(PatternError::NotAbsolute) };
        if text.len() > Self::BYTES_MAX || path.split('/').count() > Self::SEGMENTS_MAX {
            return Err(PatternError::TooLong);
        }
        let (path, open) = match path.strip_suffix("**") {
            Some("") => (None, true),
            Some(path) => (Some(path.strip_suffix('/').ok_or(PatternError::BadRest)?), true),
            None => (Some(path), false),
        };
        let segments = path.into_iter().flat_map(|path| path.split('/')).map(Segment::parse);
        Ok(Self { segments: segments.collect::<Result<_, _>>()?, open, extensions: Vec::new(), hashed: false })
    }

    /// Takes only paths whose last segment ends in a dot and one of `extensions`, which are given without it.
    #[must_use]
    pub fn with_extensions(self, extensions: Vec<String>) -> Self {
        Self { extensions, ..self }
    }

    /// Takes only paths whose last segment is `name.hash.extension`, the hash 8 to 64 digits of lower-case
    /// hexadecimal: files whose name changes with their content.
    #[must_use]
    pub fn with_hash(self) -> Self {
        Self { hashed: true, ..self }
    }

    /// Whether `path` fits. Allocates nothing and walks the path once.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let Some(path) = path.strip_prefix('/') else { return false };
        let mut actual = path.split('/');
        let fits = self.segments.iter().all(|segment| actual.next().is_some_and(|actual| segment.matches(actual)));
        fits && (self.open || actual.next().is_none()) && self.takes_file(path)
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether it is as short as [`Pattern::parse`] makes one.
    pub(super) fn is_bounded(&self) -> bool {
        self.segments.len() <= Self::SEGMENTS_MAX
    }

    /// Whether any number of segments may follow.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Whether the last segment of `path`, without its first slash, is what the pattern asks for.
    pub(super) fn takes_file(&self, path: &str) -> bool {
        if !self.hashed && self.extensions.is_empty() {
            return true;
        }
        let file = path.rsplit('/').next().unwrap_or(path);
        let Some((stem, extension)) = file.rsplit_once('.') else { return false };
        let extension_fits = self.extensions.is_empty() || self.extensions.iter().any(|taken| taken == extension);
        extension_fits && !extension.is_empty() && (!self.hashed || ends_in_hash(stem))
    }

    /// Whether every path that `other` takes fits this pattern too.
    ///
    /// Sure of a yes. A no may be wrong where a literal of `other` happens to fit the wishes about the last
    /// segment, which only leaves a route unreported that is never reached.
    #[cfg(feature = "toml")]
    pub(super) fn covers(&self, other: &Self) -> bool {
        let depth_fits = match (self.open, other.open) {
            (true, _) => other.segments.len() >= self.segments.len(),
            (false, true) => false,
            (false, false) => other.segments.len() == self.segments.len(),
        };
        let segments_fit = self.segments.iter().zip(&other.segments).all(|(mine, theirs)| match theirs {
            Segment::Literal(text) => mine.matches(text),
            Segment::Any => *mine == Segment::Any,
        });
        let extensions_fit = self.extensions.is_empty()
            || (!other.extensions.is_empty() && other.extensions.iter().all(|theirs| self.extensions.contains(theirs)));
        depth_fits && segments_fit && extensions_fit && (!self.hashed || other.hashed)
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, PatternError> {
        match text.strip_prefix('{') {
            Some(rest) => match rest.strip_suffix('}') {
                Some(name) if is_identifier(name) => Ok(Self::Any),
                _ => Err(PatternError::BadName),
            },
            None if text.bytes().all(is_literal) => Ok(Self::Literal(String::from(text))),
            None => Err(PatternError::BadByte),
        }
    }

    fn matches(&self, actual: &str) -> bool {
        match self {
            Self::Literal(text) => text == actual,
            Self::Any => !actual.is_empty(),
        }
    }
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// RFC 3986 §3.3 `pchar`, without the percent sign and the asterisk: a literal that needs escapes would be
/// compared with what the host made of them.
const fn is_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
        )
}

fn ends_in_hash(stem: &str) -> bool {
    let Some((name, hash)) = stem.rsplit_once('.') else { return false };
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    !name.is_empty() && (8..=64).contains(&hash.len()) && hash.bytes().all(is_digit)
}

/// Text that is no [`Pattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PatternError {
    /// It does not start with a slash.
    NotAbsolute,
    /// It is longer than [`Pattern::BYTES_MAX`] or has more than [`Pattern::SEGMENTS_MAX`] segments.
    TooLong,
    /// `**` is not the whole of the last segment.
    BadRest,
    /// A segment with a brace is not `{name}`.
    BadName,
    /// A literal segment has a byte that must be escaped in a path, or an asterisk.
    BadByte,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAbsolute => "a path that starts with a slash",
            Self::TooLong => "a path of at most 256 bytes and 16 segments",
            Self::BadRest => "** only as the whole of the last segment",
            Self::BadName => "a segment in braces to be one name of lower-case letters, digits and underscores",
            Self::BadByte => "a path without escapes, spaces and lone asterisks",
        })
    }
}

impl core::error::Error for PatternError {}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn paths_fit_segment_by_segment() {
        for (text, path, fits) in [
            ("/", "/", true),
            ("/", "", false),
            ("/", "//", false),
            ("/", "/a", false),
            ("/**", "/", true),
            ("/**", "/a/b", true),
            ("/**", "*", false),
            ("/search", "/search", true),
            ("/search", "/search/", false),
            ("/search", "/Search", false),
            ("/search", "/searches", false),
            ("/search", "/search/a", false),
            ("/search/", "/search/", true),
            ("/search/", "/search", false),
            ("/report/{block}/{lot}", "/report/1/2", true),
            ("/report/{block}/{lot}", "/report/1", false),
            ("/report/{block}/{lot}", "/report/1/", false),
            ("/report/{block}/{lot}", "/report//2", false),
            ("/report/{block}/{lot}", "/report/1/2/3", false),
            ("/{any}/end", "/x/end", true),
            ("/health/**", "/health", true),
            ("/health/**", "/health/", true),
            ("/health/**", "/health/a/b", true),
            ("/health/**", "/healthy", false),
            ("/health/**", "/", false),
        ] {
            assert_eq!(pattern(text).matches(path), fits, "{text} {path}");
        }
    }

    #[test]
    fn the_last_segment_carries_the_extension() {
        let code = pattern("/static/**").with_extensions(vec!["css".into(), "js".into()]);
        for (path, fits) in [
            ("/static/a.css", true),
            ("/static/deep/b.min.js", true),
            ("/static/.css", true),
            ("/static/a.CSS", false),
            ("/static/css", false),
            ("/static/a.css/", false),
            ("/static/a.css/b", false),
            ("/static/a.", false),
        ] {
            assert_eq!(code.matches(path), fits, "{path}");
        }
    }

    #[test]
    fn a_hash_has_eight_to_sixty_four_digits() {
        let hashed = pattern("/static/**").with_hash();
        let digits = |count: usize| alloc::format!("/static/app.{}.js", "a".repeat(count));
        for (path, fits) in [
            (digits(7), false),
            (digits(8), true),
            (digits(64), true),
            (digits(65), false),
            ("/static/app.min.0123456789abcdef.js".into(), true),
            ("/static/app.0123456G.js".into(), false),
            ("/static/app.0123ABCD.js".into(), false),
            ("/static/.01234567.js".into(), false),
            ("/static/01234567.js".into(), false),
            ("/static/app.01234567.".into(), false),
            ("/static/app.01234567".into(), false),
        ] {
            assert_eq!(hashed.matches(&path), fits, "{path}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let deep = "/a".repeat(Pattern::SEGMENTS_MAX);
        assert!(Pattern::parse(&deep).is_ok());
        let long = alloc::format!("/{}", "a".repeat(Pattern::BYTES_MAX - 1));
        assert!(Pattern::parse(&long).is_ok());
        for (text, error) in [
            ("", PatternError::NotAbsolute),
            ("search", PatternError::NotAbsolute),
            (&*alloc::format!("{deep}/a"), PatternError::TooLong),
            (&*alloc::format!("{long}a"), PatternError::TooLong),
            ("/a**", PatternError::BadRest),
            ("/**/a", PatternError::BadByte),
            ("/a*", PatternError::BadByte),
            ("/a b", PatternError::BadByte),
            ("/a%20b", PatternError::BadByte),
            ("/a?b", PatternError::BadByte),
            ("/{}", PatternError::BadName),
            ("/{a}b", PatternError::BadName),
            ("/{A}", PatternError::BadName),
            ("/a{b}", PatternError::BadByte),
        ] {
            assert_eq!(Pattern::parse(text), Err(error), "{text}");
        }
    }

    /// Every short pattern against every short path: what is said to be covered is.
    #[cfg(feature = "toml")]
    #[test]
    fn a_covered_pattern_takes_nothing_of_its_own() {
        let parts = ["/a", "/b.css", "/{x}", "/"];
        let mut patterns = vec![pattern("/**")];
        for first in parts {
            patterns.push(pattern(first));
            if first != "/" {
                patterns.push(pattern(&alloc::format!("{first}/**")));
                patterns.extend(parts.map(|second| pattern(&alloc::format!("{first}{second}"))));
            }
        }
        for plain in patterns.clone() {
            patterns.push(plain.with_extensions(vec!["css".into()]));
        }
        let names = ["", "a", "b.css", "c", "c.css"];
        let mut paths: Vec<String> = names.map(|name| alloc::format!("/{name}")).into();
        for first in names {
            paths.extend(names.map(|second| alloc::format!("/{first}/{second}")));
        }
        for mine in &patterns {
            assert!(mine.covers(mine));
            for theirs in patterns.iter().filter(|theirs| mine.covers(theirs)) {
                for path in paths.iter().filter(|path| theirs.matches(path)) {
                    assert!(mine.matches(path), "{mine:?} is said to cover {theirs:?}, but not {path}");
                }
            }
        }
    }
}
