//! Names of cache entries.

use core::fmt;

use crate::headers::Fields;

use super::{
    list::members,
    name::Name,
    negotiate::{RANGES_READ_MAX, reduced},
    options::VaryOptions,
    vary::VaryBy,
};

/// What a request asks for, after normalisation: the bytes here and the bytes the origin gets are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target<'a> {
    /// The method that counts, after any override was taken out; `HEAD` shares what `GET` stores.
    pub method: &'a str,
    /// Whose site it is, where one edge serves several; empty for the only one.
    pub tenant: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host and port; the scheme's own port counts as absent.
    pub host: &'a str,
    /// The path, starting with `/`.
    pub path: &'a str,
    /// The query without `?`; empty when there is none.
    pub query: &'a str,
}

/// The name of a cache entry: a SHA-256 over the parts of the request that count, each with its length before
/// it, so that no two different requests share a name and nobody can craft a pair that does.
///
/// Shows as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// The name of everything stored for `target`. Costs one hash and allocates nothing.
    #[must_use]
    pub fn new(target: &Target<'_>) -> Self {
        let mut name = Name::of(TARGET_DOMAIN);
        write_place(&mut name, target);
        name.part(target.query.as_bytes());
        Self(name.digest())
    }

    /// The name of a path whatever the query, for what is learned per path.
    #[must_use]
    pub fn of_path(target: &Target<'_>) -> Self {
        let mut name = Name::of(PATH_DOMAIN);
        write_place(&mut name, target);
        Self(name.digest())
    }

    /// The name of one variant of it: what the request says in the fields of `Vary`, reduced as `options` says.
    /// An absent field is its own value (RFC 9111 §4.1). Costs one hash, or next to nothing where `vary` is empty, and
    /// allocates nothing where the host's fields are borrowed.
    #[must_use]
    pub fn variant(&self, vary: &VaryBy, request: &impl Fields, options: &VaryOptions) -> Self {
        if vary.is_empty() {
            // To find two targets whose hashes are each other's complement is as hard as to find two with one hash.
            return Self(self.0.map(|byte| !byte));
        }
        let mut made = Name::of(VARIANT_DOMAIN);
        made.bytes(&self.0);
        for name in vary.names() {
            made.part(name.as_bytes());
            let value = request.field(name);
            // Each member has its length before it, so that spacing and line breaks make no new variant and nothing
            // else is lost.
            match reduced(name, value.as_deref(), options) {
                Some(choice) => {
                    made.bytes(&[CHOICE]);
                    made.part(choice.as_bytes());
                }
                None => match value.as_deref() {
                    None => made.bytes(&[ABSENT]),
                    Some(value) => {
                        let mut places = [""; RANGES_READ_MAX];
                        let ordered = if name == "accept-language" { sorted(value, &mut places) } else { &[] };
                        let rest = members(value).skip(ordered.len());
                        for member in ordered.iter().copied().chain(rest) {
                            made.bytes(&[MEMBER]);
                            // In lower case where letter case means nothing.
                            if ordered.is_empty() {
                                made.part(member.as_bytes());
                            } else {
                                made.part_with(member.len(), member.bytes().map(|byte| byte.to_ascii_lowercase()));
                            }
                        }
                        made.bytes(&[END]);
                    }
                },
            }
        }
        Self(made.digest())
    }

    /// The name of a part of it, by what names the part.
    #[must_use]
    pub fn part(&self, part: &[u8]) -> Self {
        self.below(PART_DOMAIN, |name| name.part(part))
    }

    /// A name below this one, for what `write_parts` writes; `domain` keeps kinds apart.
    pub(super) fn below(&self, domain: &[u8], write_parts: impl FnOnce(&mut Name)) -> Self {
        let mut name = Name::of(domain);
        name.bytes(&self.0);
        write_parts(&mut name);
        Self(name.digest())
    }

    /// Half of the name, for tables whose keys are shorter and where a collision costs nothing but a miss.
    #[must_use]
    pub fn low_bits(&self) -> u128 {
        let (low, _) = self.0.split_at(16);
        low.iter().fold(0, |bits, byte| bits << 8 | u128::from(*byte))
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({self})")
    }
}

fn write_place(name: &mut Name, target: &Target<'_>) {
    let method = if target.method == "HEAD" { "GET" } else { target.method };
    let own_port = if target.scheme == "https" { ":443" } else { ":80" };
    let host = target.host.strip_suffix(own_port).unwrap_or(target.host);
    for part in [method, target.tenant, target.scheme, host, target.path] {
        name.part(part.as_bytes());
    }
}

/// The first members of a list in one order, whatever order they came in. For `Accept-Language`: tags ignore case
/// (RFC 5646 §2.1.1), and their order says nothing that can be relied upon, since that is what weights are for
/// (RFC 9110 §12.5.4).
fn sorted<'a, 'b>(value: &'a str, places: &'b mut [&'a str]) -> &'b [&'a str] {
    let folded = |member: &'a str| member.bytes().map(|byte| byte.to_ascii_lowercase());
    let mut count = 0;
    for member in members(value).take(places.len()) {
        // They are few, and one of core's sorts is 2 KB of code.
        let place = places[..count].partition_point(|placed| folded(placed).le(folded(member)));
        places.copy_within(place..count, place + 1);
        places[place] = member;
        count += 1;
    }
    &places[..count]
}

// Targets, paths and variants hash in separate domains; the number changes when what is stored changes its form.
const TARGET_DOMAIN: &[u8] = b"target 5\0";
const PART_DOMAIN: &[u8] = b"part 1\0";
const PATH_DOMAIN: &[u8] = b"path 4\0";
const VARIANT_DOMAIN: &[u8] = b"variant 4\0";

// What follows the name of a field in a variant's hash.
const ABSENT: u8 = 0;
const CHOICE: u8 = 1;
const MEMBER: u8 = 2;
const END: u8 = 3;

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec};
    use std::collections::HashSet;

    use super::*;

    const SEARCH: Target<'_> =
        Target { method: "GET", tenant: "", scheme: "https", host: "permits.example", path: "/search", query: "q=a" };

    #[test]
    fn moving_a_byte_between_parts_changes_the_name() {
        let targets = [
            SEARCH,
            Target { method: "POST", ..SEARCH },
            Target { tenant: "a", ..SEARCH },
            Target { tenant: "https", scheme: "", ..SEARCH },
            Target { scheme: "http", ..SEARCH },
            Target { host: "permits.example:8080", ..SEARCH },
            Target { host: "permits.example:80", ..SEARCH },
            Target { host: "permits.exampl", path: "e/search", ..SEARCH },
            Target { path: "/searchq", query: "=a", ..SEARCH },
            Target { path: "/search?q=a", query: "", ..SEARCH },
            Target { query: "", ..SEARCH },
            Target { query: "q=a&", ..SEARCH },
        ];
        let mut names: HashSet<CacheKey> = targets.iter().map(CacheKey::new).collect();
        assert_eq!(names.len(), targets.len());
        assert!(!names.insert(CacheKey::new(&Target { method: "HEAD", ..SEARCH })), "HEAD is answered by GET");
        assert!(!names.insert(CacheKey::new(&Target { host: "permits.example:443", ..SEARCH })), "its own port");
        assert!(names.insert(CacheKey::of_path(&SEARCH)));
        assert!(!names.insert(CacheKey::of_path(&Target { query: "", ..SEARCH })));
        assert_eq!(CacheKey::new(&SEARCH).to_string().len(), 64);
    }

    #[test]
    fn variants_are_apart_from_each_other_and_from_the_target() {
        let key = CacheKey::new(&SEARCH);
        let vary = VaryBy::parse(Some("a, b"), &VaryOptions::default()).unwrap();
        let requests: [&[(&str, &str)]; 8] = [
            &[],
            &[("a", "")],
            &[("b", "")],
            &[("a", "x"), ("b", "y")],
            &[("a", "xy"), ("b", "")],
            &[("a", "x,y")],
            &[("a", "x y")],
            &[("a", "\"x,y\"")],
        ];
        let name = |request: &[(&str, &str)]| key.variant(&vary, &request, &VaryOptions::default());
        let mut names: HashSet<CacheKey> = requests.iter().map(|request| name(request)).collect();
        names.insert(key);
        let other = VaryBy::parse(Some("a"), &VaryOptions::default()).unwrap();
        names.insert(key.variant(&other, &[("a", "")], &VaryOptions::default()));
        assert_eq!(names.len(), requests.len() + 2);
    }

    #[test]
    fn spacing_and_lines_make_no_variant() {
        let key = CacheKey::new(&SEARCH);
        let vary = VaryBy::parse(Some("accept"), &VaryOptions::default()).unwrap();
        let name = |request: &[(&str, &str)]| key.variant(&vary, &request, &VaryOptions::default());
        let plain = name(&[("accept", "text/html,*/*")]);
        for same in [vec![("accept", " text/html ,  */*")], vec![("accept", "text/html"), ("accept", "*/*")]] {
            assert_eq!(name(&same), plain, "{same:?}");
        }
        assert_ne!(name(&[("accept", "*/*, text/html")]), plain, "order may carry meaning");
        assert_eq!(name(&[("accept", " , ")]), name(&[("accept", "")]));
    }

    #[test]
    fn languages_have_neither_case_nor_order() {
        let key = CacheKey::new(&SEARCH);
        let vary = VaryBy::parse(Some("accept-language"), &VaryOptions::default()).unwrap();
        let name = |value| key.variant(&vary, &[("accept-language", value)], &VaryOptions::default());
        assert_eq!(name("en, de"), name("dE,En"));
        assert_ne!(name("en, de;q=0.5"), name("de, en;q=0.5"), "weights count");
        assert_ne!(name("en"), name("en, en"));
    }
}
