//! `Vary`: which request fields chose a stored response (RFC 9110 §12.5.5, RFC 9111 §4.1).

use alloc::{borrow::Cow, string::String};
use core::cmp::Ordering;

use super::{list::members, options::VaryOptions};

/// The request fields that a response varies on: lower case, sorted, each once, with a comma behind each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct VaryBy(Cow<'static, str>);

/// Why a response with this `Vary` is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnusableVary {
    /// `Vary: *` never matches another request.
    Star,
    /// A member is no name of a field.
    NotAName,
    /// More names than [`VARY_FIELDS_MAX`].
    TooMany,
    /// It varies on a field that identifies a visitor, so no other visitor could use it.
    Personal,
    /// It varies on a field that the policy does not allow.
    NotAllowed,
}

impl VaryBy {
    /// The memory that this has taken beside itself; none for the usual lists.
    pub(super) const fn bytes(&self) -> usize {
        match &self.0 {
            Cow::Borrowed(_) => 0,
            Cow::Owned(list) => list.capacity(),
        }
    }

    /// Reads the value of a `Vary` field; an absent field varies on nothing.
    ///
    /// # Errors
    /// When the response must not be stored because of it.
    pub fn parse(value: Option<&str>, options: &VaryOptions) -> Result<Self, UnusableVary> {
        let Some(value) = value else { return Ok(Self::default()) };
        if options.fields.is_empty()
            && let Some((_, list)) = USUAL.iter().find(|(spelled, _)| spelled.eq_ignore_ascii_case(value))
        {
            return Ok(Self(Cow::Borrowed(list)));
        }
        let mut names = [""; VARY_FIELDS_MAX];
        let mut count = 0;
        for name in members(value) {
            if name == "*" {
                return Err(UnusableVary::Star);
            }
            if !name.bytes().all(is_token_byte) {
                return Err(UnusableVary::NotAName);
            }
            if PERSONAL.iter().any(|personal| personal.eq_ignore_ascii_case(name)) {
                return Err(UnusableVary::Personal);
            }
            if !options.fields.is_empty() && !options.fields.iter().any(|allowed| allowed.eq_ignore_ascii_case(name)) {
                return Err(UnusableVary::NotAllowed);
            }
            if let Err(place) = names[..count].binary_search_by(|other| compare(other, name)) {
                if count == VARY_FIELDS_MAX {
                    return Err(UnusableVary::TooMany);
                }
                names[place..=count].rotate_right(1);
                names[place] = name;
                count += 1;
            }
        }
        let names = &names[..count];
        // The spelled list is at least as long, but for the last comma.
        let mut list = String::with_capacity(value.len() + 1);
        for name in names {
            list.push_str(name);
            list.push(',');
        }
        list.make_ascii_lowercase();
        Ok(Self(Cow::Owned(list)))
    }

    /// Whether one stored response serves every request.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let mut rest: &str = &self.0;
        core::iter::from_fn(move || {
            // Byte by byte: for names this short that is half the work of a search in a text.
            let end = rest.bytes().position(|byte| byte == b',')?;
            let name = &rest[..end];
            rest = &rest[end + 1..];
            Some(name)
        })
    }
}

fn compare(one: &str, other: &str) -> Ordering {
    one.bytes().map(|byte| byte.to_ascii_lowercase()).cmp(other.bytes().map(|byte| byte.to_ascii_lowercase()))
}

/// What names of fields are made of (RFC 9110 §5.6.2).
const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// Longest `Vary` list that is stored. Each name multiplies the variants of a URL; the city's site needs one.
pub const VARY_FIELDS_MAX: usize = 8;

/// What nearly all responses that vary say, and the list it makes: for these nothing is allocated.
const USUAL: [(&str, &str); 5] = [
    ("accept-encoding", "accept-encoding,"),
    ("accept-language", "accept-language,"),
    ("accept", "accept,"),
    ("accept-encoding, accept-language", "accept-encoding,accept-language,"),
    ("origin", "origin,"),
];

/// Fields that are different for every visitor: a variant for each would fill the cache and help nobody.
const PERSONAL: [&str; 3] = ["authorization", "cookie", "user-agent"];

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString, vec, vec::Vec};

    use super::*;

    fn parse(value: &str) -> Result<VaryBy, UnusableVary> {
        VaryBy::parse(Some(value), &VaryOptions::default())
    }

    #[test]
    fn names_are_lower_case_sorted_and_once() {
        let vary = parse("Accept-Language , accept,ACCEPT").unwrap();
        assert_eq!(vary.names().collect::<Vec<_>>(), ["accept", "accept-language"]);
        assert!(VaryBy::parse(None, &VaryOptions::default()).unwrap().is_empty());
        for (spelled, list) in USUAL {
            assert_eq!(parse(spelled), parse(&format!("{spelled},")), "{spelled}");
            assert_eq!(parse(spelled).unwrap().0, list);
        }
        assert!(parse(" , ").unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_shared_is_refused() {
        for star in ["*", "accept, *", "*, accept", ", *", "*, *"] {
            assert_eq!(parse(star), Err(UnusableVary::Star), "{star}");
        }
        assert_eq!(parse("Cookie"), Err(UnusableVary::Personal));
        for no_name in ["accept language", "\"a,b\"", "accept;q=1", "é"] {
            assert_eq!(parse(no_name), Err(UnusableVary::NotAName), "{no_name}");
        }
        let list = |count: usize| (0..count).map(|name| format!("x-{name}")).collect::<Vec<_>>().join(",");
        assert!(parse(&list(VARY_FIELDS_MAX)).is_ok());
        assert_eq!(parse(&list(VARY_FIELDS_MAX + 1)), Err(UnusableVary::TooMany));
        let allowed = VaryOptions { fields: vec!["accept".to_string()], ..VaryOptions::default() };
        assert!(VaryBy::parse(Some("Accept"), &allowed).is_ok());
        assert_eq!(VaryBy::parse(Some("accept, foo"), &allowed), Err(UnusableVary::NotAllowed));
    }
}
