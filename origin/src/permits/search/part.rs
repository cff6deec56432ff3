//! Which part of what a search finds is asked for.

use std::fmt;

use jiff::civil::DateTime;

use crate::soda::row::CODE_BYTES_MAX;

/// Which part of the results.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// The last hit of the page before.
    pub after: Option<Cursor>,
    /// Only permits of this status, in lower case.
    pub status: Option<String>,
    /// Only permits of this kind, as the city defines it, in lower case.
    pub kind: Option<String>,
    /// Only permits that were filed in this year.
    pub year: Option<i16>,
}

impl Part {
    /// Whether some of what is found is left out.
    pub(crate) fn is_filtered(&self) -> bool {
        self.status.is_some() || self.kind.is_some() || self.year.is_some()
    }

    /// The filters, as the database's function `permit_facets` has what a permit is.
    pub(super) fn facets(&self) -> Vec<String> {
        let status = self.status.as_deref().map(|status| format!("status {status}"));
        let kind = self.kind.as_deref().map(|kind| format!("type {kind}"));
        let year = self.year.map(|year| format!("year {year}"));
        [status, kind, year].into_iter().flatten().collect()
    }
}

/// A place between two hits: `2015-08-05T11:06:52_201508053399`, or `_M365547` after a permit without a date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(super) filed: Option<DateTime>,
    pub(super) number: String,
}

impl Cursor {
    /// Reads a place; `x` is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (filed, number) = text.split_once('_')?;
        let filed: Option<DateTime> = if filed.is_empty() { None } else { Some(filed.parse().ok()?) };
        // The database holds no year before 4713 BC, and the city none before the first.
        if filed.is_some_and(|filed| !(1..=9999).contains(&filed.year())) {
            return None;
        }
        let fits = (1..=CODE_BYTES_MAX).contains(&number.len()) && !number.contains('\0');
        fits.then(|| Self { filed, number: number.to_owned() })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filed = self.filed.map(|filed| filed.to_string()).unwrap_or_default();
        write!(f, "{filed}_{}", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_between_hits_reads_as_it_was_written() {
        for text in ["2015-08-05T11:06:52_201508053399", "_M365547", "2015-08-05T00:00:00_7713422S"] {
            assert_eq!(Cursor::parse(text).unwrap().to_string(), text);
        }
        let long = format!("_{}", "1".repeat(257));
        let old = ["-005000-01-01T00:00:00_1", "-000001-12-31T00:00:00_1", "0000-12-31T00:00:00_1"];
        for text in ["", "x", "_", "soon_1", "2015-08-05T11:06:52", "_\0", &long].into_iter().chain(old) {
            assert_eq!(Cursor::parse(text), None, "{text:?}");
        }
    }
}
