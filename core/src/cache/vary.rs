//! `Vary`: which request fields chose a stored response (RFC 9110 §12.5.5, RFC 9111 §4.1).

use alloc::{borrow::ToOwned, string::String, vec::Vec};

use crate::headers::Fields;

use super::directives::members;

/// The request fields that a response varies on: lower case, sorted, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct VaryBy(Vec<String>);

/// Why a response with this `Vary` is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnusableVary {
    /// `Vary: *` never matches another request.
    Star,
    /// More names than [`VARY_FIELDS_MAX`].
    TooMany,
    /// It varies on a field that identifies a visitor, so no other visitor could use it.
    Personal,
}

impl VaryBy {
    /// Reads the value of a `Vary` field; an absent field varies on nothing.
    ///
    /// # Errors
    /// When the response must not be stored because of it.
    pub fn parse(value: Option<&str>) -> Result<Self, UnusableVary> {
        let mut names: Vec<String> = Vec::new();
        for name in members(value.unwrap_or_default()) {
            if name == "*" {
                return Err(UnusableVary::Star);
            }
            let name = name.to_ascii_lowercase();
            if PERSONAL.contains(&name.as_str()) {
                return Err(UnusableVary::Personal);
            }
            if let Err(place) = names.binary_search(&name) {
                if names.len() == VARY_FIELDS_MAX {
                    return Err(UnusableVary::TooMany);
                }
                names.insert(place, name);
            }
        }
        Ok(Self(names))
    }

    /// Whether one stored response serves every request.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// What `request` says in these fields, normalised: the part of the request that chooses the variant.
    /// An absent field is its own value and matches only absence (RFC 9111 §4.1).
    #[must_use]
    pub fn select(&self, request: &impl Fields) -> Vec<Option<String>> {
        self.names().map(|name| request.field(name).map(|value| normalise(&value))).collect()
    }
}

/// Members trimmed and joined by one comma, so that spacing and line breaks make no new variant. Nothing that
/// could change the meaning is touched.
fn normalise(value: &str) -> String {
    let mut normal = String::with_capacity(value.len());
    for member in members(value) {
        if !normal.is_empty() {
            normal.push(',');
        }
        normal.push_str(member);
    }
    if normal.is_empty() { value.trim().to_owned() } else { normal }
}

/// Longest `Vary` list that is stored. Each name multiplies the variants of a URL; the city's site needs one.
pub const VARY_FIELDS_MAX: usize = 8;

/// Fields that are different for every visitor: a variant for each would fill the cache and help nobody.
const PERSONAL: [&str; 3] = ["authorization", "cookie", "user-agent"];

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString, vec};

    use super::*;

    #[test]
    fn names_are_lower_case_sorted_and_once() {
        let vary = VaryBy::parse(Some("Accept-Language , accept,ACCEPT")).unwrap();
        assert_eq!(vary.names().collect::<Vec<_>>(), ["accept", "accept-language"]);
        assert!(VaryBy::parse(None).unwrap().is_empty());
        assert!(VaryBy::parse(Some(" , ")).unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_shared_is_refused() {
        assert_eq!(VaryBy::parse(Some("accept, *")), Err(UnusableVary::Star));
        assert_eq!(VaryBy::parse(Some("Cookie")), Err(UnusableVary::Personal));
        let list = |count: usize| (0..count).map(|name| format!("x-{name}")).collect::<Vec<_>>().join(",");
        assert!(VaryBy::parse(Some(&list(VARY_FIELDS_MAX))).is_ok());
        assert_eq!(VaryBy::parse(Some(&list(VARY_FIELDS_MAX + 1))), Err(UnusableVary::TooMany));
    }

    #[test]
    fn spacing_makes_no_variant_and_absence_is_one() {
        let vary = VaryBy::parse(Some("accept, accept-language")).unwrap();
        let spaced = [("accept", " text/html ,  */*"), ("accept-language", "")];
        let plain = [("accept", "text/html"), ("accept", "*/*"), ("accept-language", " ")];
        assert_eq!(vary.select(&spaced), vec![Some("text/html,*/*".to_string()), Some(String::new())]);
        assert_eq!(vary.select(&spaced), vary.select(&plain));
        assert_ne!(vary.select(&spaced), vary.select(&[("accept", "text/html, */*")]));
        assert_ne!(vary.select(&[("accept", "a")]), vary.select(&[("accept", "b")]));
    }
}
