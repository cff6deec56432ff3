//! Names of cache entries.

use alloc::string::String;
use core::fmt;

use sha2::{Digest, Sha256};

/// What a request asks for, after normalisation: the bytes here and the bytes the origin gets are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host and, where it is not the scheme's own, port.
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
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// The name of everything stored for `target`. Costs one hash and allocates nothing.
    #[must_use]
    pub fn new(target: &Target<'_>) -> Self {
        let mut hash = Sha256::new_with_prefix(TARGET_DOMAIN);
        for part in [target.scheme, target.host, target.path, target.query] {
            write(&mut hash, part.as_bytes());
        }
        Self(hash.finalize().into())
    }

    /// The name of one variant of it: the request's values for the fields of `Vary`, in their order.
    #[must_use]
    pub fn variant<'a>(&self, names: impl Iterator<Item = &'a str>, values: &[Option<String>]) -> Self {
        let mut hash = Sha256::new_with_prefix(VARIANT_DOMAIN);
        hash.update(self.0);
        for (name, value) in names.zip(values) {
            write(&mut hash, name.as_bytes());
            match value {
                Some(value) => {
                    hash.update([1]);
                    write(&mut hash, value.as_bytes());
                }
                None => hash.update([0]),
            }
        }
        Self(hash.finalize().into())
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

fn write(hash: &mut Sha256, part: &[u8]) {
    hash.update((part.len() as u64).to_le_bytes());
    hash.update(part);
}

// Targets and variants hash in separate domains; the number changes when what is stored changes its form.
const TARGET_DOMAIN: &[u8] = b"seawall target 1\0";
const VARIANT_DOMAIN: &[u8] = b"seawall variant 1\0";

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec};
    use std::collections::HashSet;

    use super::*;

    const SEARCH: Target<'_> = Target { scheme: "https", host: "permits.example", path: "/search", query: "q=a" };

    #[test]
    fn moving_a_byte_between_parts_changes_the_name() {
        let targets = [
            SEARCH,
            Target { scheme: "http", ..SEARCH },
            Target { host: "permits.example:8080", ..SEARCH },
            Target { host: "permits.exampl", path: "e/search", ..SEARCH },
            Target { path: "/searchq", query: "=a", ..SEARCH },
            Target { path: "/search?q=a", query: "", ..SEARCH },
            Target { query: "", ..SEARCH },
            Target { query: "q=a&", ..SEARCH },
        ];
        let names: HashSet<CacheKey> = targets.iter().map(CacheKey::new).collect();
        assert_eq!(names.len(), targets.len());
        assert_eq!(CacheKey::new(&SEARCH), CacheKey::new(&SEARCH));
        assert_eq!(CacheKey::new(&SEARCH).to_string().len(), 64);
    }

    #[test]
    fn variants_are_apart_from_each_other_and_from_the_target() {
        let key = CacheKey::new(&SEARCH);
        let text = |value: &str| Some(value.to_string());
        let variants = [
            vec![None, None],
            vec![text(""), None],
            vec![None, text("")],
            vec![text("a"), text("b")],
            vec![text("ab"), text("")],
        ];
        let mut names: HashSet<CacheKey> =
            variants.iter().map(|values| key.variant(["accept", "accept-language"].into_iter(), values)).collect();
        names.insert(key);
        names.insert(key.variant(["accept"].into_iter(), &[text("a")]));
        assert_eq!(names.len(), variants.len() + 2);
    }
}
