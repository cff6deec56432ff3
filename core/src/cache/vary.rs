//! `Vary`: which request fields chose a stored response (RFC 9110 §12.5.5, RFC 9111 §4.1).

use alloc::{string::String, vec::Vec};

use super::{directives::members, options::VaryOptions};

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
    /// It varies on a field that the policy does not allow.
    NotAllowed,
}

impl VaryBy {
    /// Reads the value of a `Vary` field; an absent field varies on nothing.
    ///
    /// # Errors
    /// When the response must not be stored because of it.
    pub fn parse(value: Option<&str>, options: &VaryOptions) -> Result<Self, UnusableVary> {
        let mut names: Vec<String> = Vec::new();
        for name in members(value.unwrap_or_default()) {
            if name == "*" {
                return Err(UnusableVary::Star);
            }
            let name = name.to_ascii_lowercase();
            if PERSONAL.contains(&name.as_str()) {
                return Err(UnusableVary::Personal);
            }
            if !options.fields.is_empty() && !options.fields.contains(&name) {
                return Err(UnusableVary::NotAllowed);
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
}

/// Longest `Vary` list that is stored. Each name multiplies the variants of a URL; the city's site needs one.
pub const VARY_FIELDS_MAX: usize = 8;

/// Fields that are different for every visitor: a variant for each would fill the cache and help nobody.
const PERSONAL: [&str; 3] = ["authorization", "cookie", "user-agent"];

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString, vec};

    use super::*;

    fn parse(value: &str) -> Result<VaryBy, UnusableVary> {
        VaryBy::parse(Some(value), &VaryOptions::default())
    }

    #[test]
    fn names_are_lower_case_sorted_and_once() {
        let vary = parse("Accept-Language , accept,ACCEPT").unwrap();
        assert_eq!(vary.names().collect::<Vec<_>>(), ["accept", "accept-language"]);
        assert!(VaryBy::parse(None, &VaryOptions::default()).unwrap().is_empty());
        assert!(parse(" , ").unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_shared_is_refused() {
        for star in ["*", "accept, *", "*, accept", ", *", "*, *"] {
            assert_eq!(parse(star), Err(UnusableVary::Star), "{star}");
        }
        assert_eq!(parse("Cookie"), Err(UnusableVary::Personal));
        let list = |count: usize| (0..count).map(|name| format!("x-{name}")).collect::<Vec<_>>().join(",");
        assert!(parse(&list(VARY_FIELDS_MAX)).is_ok());
        assert_eq!(parse(&list(VARY_FIELDS_MAX + 1)), Err(UnusableVary::TooMany));
        let allowed = VaryOptions { fields: vec!["accept".to_string()], ..VaryOptions::default() };
        assert!(VaryBy::parse(Some("Accept"), &allowed).is_ok());
        assert_eq!(VaryBy::parse(Some("accept, foo"), &allowed), Err(UnusableVary::NotAllowed));
    }
}
