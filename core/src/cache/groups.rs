//! Groups of stored responses: `Cache-Groups` of an origin (RFC 9875), and the tags of an operator.

use alloc::{borrow::Cow, vec::Vec};

use crate::headers::Fields;

use super::{
    key::Target,
    list::members,
    name::Name,
    structured::{Bare, InvalidStructure, Member, Value, list},
};

/// The name of a group: half a SHA-256 over whose it is and what it is called, so that no origin and no tenant can
/// name another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GroupId([u8; 16]);

/// A response names more groups than can be kept, so it could not be purged by some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyGroups;

impl GroupId {
    /// The group that the origin of `target` calls `name`: case-sensitive, and of this scheme, host and port alone
    /// (RFC 9875 §2).
    #[must_use]
    pub fn of_origin(target: &Target<'_>, name: &str) -> Self {
        Self::new(GROUP_DOMAIN, origin(target), name.as_bytes())
    }

    /// The tag `name` of a tenant, whatever the origin.
    #[must_use]
    pub fn tag(tenant: &str, name: &str) -> Self {
        Self::new(TAG_DOMAIN, [tenant, "", ""], name.as_bytes())
    }

    fn new(domain: &[u8], owner: [&str; 3], name: &[u8]) -> Self {
        let mut hashed = Name::of(domain);
        for part in owner {
            hashed.part(part.as_bytes());
        }
        hashed.part(name);
        let digest = hashed.digest();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }
}

/// Whose groups are whose.
fn origin<'a>(target: &Target<'a>) -> [&'a str; 3] {
    let own_port = if target.scheme == "https" { ":443" } else { ":80" };
    [target.tenant, target.scheme, target.host.strip_suffix(own_port).unwrap_or(target.host)]
}

/// The groups and tags of a response, from the values of its [`GROUPS_FIELD`] and its [`TAG_FIELD`].
///
/// A `Cache-Groups` that is no List counts as absent, a member of another type too (RFC 9875 §2).
///
/// # Errors
/// When there are more than [`GROUPS_MAX`], or one longer than [`GROUP_BYTES_MAX`].
pub fn of_response(
    target: &Target<'_>,
    groups: Option<&str>,
    tags: Option<&str>,
) -> Result<Vec<GroupId>, TooManyGroups> {
    let mut found = Vec::new();
    let mut fits = true;
    let mut add = |bytes: usize, id: GroupId| {
        fits &= bytes <= GROUP_BYTES_MAX && found.len() < GROUPS_MAX;
        if fits && !found.contains(&id) {
            found.push(id);
        }
    };
    if let Some(value) = groups {
        let mut read = Vec::new();
        if each_name(value, target, |bytes, id| read.push((bytes, id))).is_ok() {
            read.into_iter().for_each(|(bytes, id)| add(bytes, id));
        }
    }
    for tag in tags.into_iter().flat_map(members) {
        add(tag.len(), GroupId::tag(target.tenant, tag));
    }
    if fits { Ok(found) } else { Err(TooManyGroups) }
}

/// The groups that a response to an unsafe request invalidates (RFC 9875 §3), at most [`GROUPS_MAX`] of them: the
/// rest is left as it is, and the host's log should say so. Nothing is invalidated through them (no cascade).
#[must_use]
pub fn invalidated(target: &Target<'_>, response: &impl Fields) -> (Vec<GroupId>, usize) {
    let mut found = Vec::new();
    let mut left_out = 0;
    let read = response.field(INVALIDATION_FIELD).is_none_or(|value| {
        each_name(&value, target, |_, id| {
            if found.len() < GROUPS_MAX {
                found.push(id);
            } else {
                left_out += 1;
            }
        })
        .is_ok()
    });
    if read { (found, left_out) } else { (Vec::new(), 0) }
}

fn each_name(value: &str, target: &Target<'_>, mut visit: impl FnMut(usize, GroupId)) -> Result<(), InvalidStructure> {
    list(value, |Member { value, .. }| {
        if let Value::Item(Bare::String(name)) = value {
            let name = name.plain().map_or_else(|| Cow::Owned(name.to_text()), Cow::Borrowed);
            visit(name.len(), GroupId::of_origin(target, &name));
        }
    })
}

/// Most groups and tags of one response; RFC 9875 §2 asks for 32 groups at least. With more it is not stored.
pub const GROUPS_MAX: usize = 64;

/// Longest name of one; RFC 9875 §2 asks for 32 at least. With a longer one the response is not stored.
pub const GROUP_BYTES_MAX: usize = 256;

/// Where an origin names the groups of a response.
pub const GROUPS_FIELD: &str = "cache-groups";
/// Where an origin names the groups that an unsafe request changed.
pub const INVALIDATION_FIELD: &str = "cache-group-invalidation";
/// Where an origin names the tags that an operator purges by, separated by commas. Meant for this cache alone.
pub const TAG_FIELD: &str = "cache-tag";

const GROUP_DOMAIN: &[u8] = b"group 2\0";
const TAG_DOMAIN: &[u8] = b"tag 2\0";

#[cfg(test)]
mod tests {
    use alloc::{format, string::String};

    use super::*;

    const SITE: Target<'_> =
        Target { method: "GET", tenant: "", scheme: "https", host: "a.example", path: "/", query: "" };

    fn groups(value: &str) -> Result<Vec<GroupId>, TooManyGroups> {
        of_response(&SITE, Some(value), None)
    }

    fn named(name: &str) -> GroupId {
        GroupId::of_origin(&SITE, name)
    }

    #[test]
    fn groups_are_strings_compared_as_they_are() {
        for (id, value, expect) in [
            ("groups-two", "\"a\", \"b\"", Ok(alloc::vec![named("a"), named("b")])),
            ("groups-parameters-ignored", "\"a\";x=1", Ok(alloc::vec![named("a")])),
            ("groups-once", "\"a\", \"a\"", Ok(alloc::vec![named("a")])),
            ("groups-token-skipped", "a, \"b\"", Ok(alloc::vec![named("b")])),
            ("groups-invalid", "\"a\", \"", Ok(alloc::vec![])),
            ("groups-escape", "\"a\\\"\"", Ok(alloc::vec![named("a\"")])),
        ] {
            assert_eq!(groups(value), expect, "{id}");
        }
        assert_ne!(groups("\"A\""), groups("\"a\""));
        assert_eq!(of_response(&SITE, None, None), Ok(alloc::vec![]));
    }

    #[test]
    fn a_group_belongs_to_its_origin_and_a_tag_to_its_tenant() {
        let others = [
            Target { host: "b.example", ..SITE },
            Target { scheme: "http", ..SITE },
            Target { host: "a.example:8080", ..SITE },
            Target { tenant: "t", ..SITE },
        ];
        for other in others {
            assert_ne!(GroupId::of_origin(&other, "a"), named("a"), "{other:?}");
        }
        assert_eq!(GroupId::of_origin(&Target { host: "a.example:443", path: "/x", ..SITE }, "a"), named("a"));
        assert_ne!(GroupId::tag("", "a"), named("a"));
        assert_ne!(GroupId::tag("t", "a"), GroupId::tag("", "a"));
        assert_ne!(GroupId::tag("t", "a"), GroupId::tag("", "ta"));
        let tagged = of_response(&SITE, None, Some("a, b")).unwrap();
        assert_eq!(tagged, [GroupId::tag("", "a"), GroupId::tag("", "b")]);
    }

    #[test]
    fn what_could_not_be_purged_is_refused() {
        let many = |count: usize| (0..count).map(|name| format!("\"g{name}\"")).collect::<Vec<String>>().join(", ");
        assert_eq!(groups(&many(GROUPS_MAX)).map(|ids| ids.len()), Ok(GROUPS_MAX));
        assert_eq!(groups(&many(GROUPS_MAX + 1)), Err(TooManyGroups));
        let long = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
        assert!(groups(&long(GROUP_BYTES_MAX)).is_ok());
        assert_eq!(groups(&long(GROUP_BYTES_MAX + 1)), Err(TooManyGroups));
        let (ids, left_out) = invalidated(&SITE, &[(INVALIDATION_FIELD, many(GROUPS_MAX + 3).as_str())]);
        assert_eq!((ids.len(), left_out), (GROUPS_MAX, 3));
        assert_eq!(invalidated(&SITE, &[(INVALIDATION_FIELD, "\"a\", \"")]), (alloc::vec![], 0));
    }
}
