//! What a change to the site makes invalid: unsafe requests and the places they name (RFC 9111 §4.4), and groups
//! (RFC 9875 §3).

use alloc::{borrow::ToOwned, string::String, vec::Vec};

use crate::headers::Fields;

use super::{
    groups::{self, GroupId},
    key::Target,
    options::CacheOptions,
};

/// What does not count any more. Empty when nothing changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invalidation {
    /// Places of the same origin: the target, and those that `Location` and `Content-Location` name. The host brings
    /// them to their canonical form as it does for requests, and purges their keys.
    pub places: Vec<Place>,
    /// Groups to purge; what they hold invalidates nothing further.
    pub groups: Vec<GroupId>,
    /// Groups beyond [`groups::GROUPS_MAX`], left as they are.
    pub groups_left_out: usize,
}

/// A path and a query of the same origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The path, starting with `/`.
    pub path: String,
    /// The query without `?`; empty when there is none.
    pub query: String,
}

impl Place {
    /// Whether it is where `target` is.
    #[must_use]
    pub fn is(&self, target: &Target<'_>) -> bool {
        self.path == target.path && self.query == target.query
    }
}

/// What the response to a request makes invalid. Only unsafe methods change something (RFC 9110 §9.2.1), a method that
/// is not known counts as one, and only an answer of 2xx or 3xx says that it happened.
///
/// A place on another origin is left alone: whoever can answer here could otherwise empty the cache of others.
#[must_use]
pub fn invalidation(target: &Target<'_>, status: u16, response: &impl Fields, options: &CacheOptions) -> Invalidation {
    let mut invalidation = Invalidation::default();
    if is_safe(target.method) || !(200..400).contains(&status) {
        return invalidation;
    }
    invalidation.places.push(Place { path: target.path.to_owned(), query: target.query.to_owned() });
    for name in ["location", "content-location"] {
        let place = response.field(name).and_then(|value| resolve(target, value.trim_matches([' ', '\t'])));
        if let Some(place) = place.filter(|place| !invalidation.places.contains(place)) {
            invalidation.places.push(place);
        }
    }
    if options.groups {
        (invalidation.groups, invalidation.groups_left_out) = groups::invalidated(target, response);
    }
    invalidation
}

/// Whether a method asks for no change.
#[must_use]
pub fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
}

/// The place that a reference names, seen from `target`; `None` when it is on another origin.
#[must_use]
pub fn resolve(target: &Target<'_>, reference: &str) -> Option<Place> {
    let reference = reference.split('#').next().unwrap_or_default();
    let has_scheme = |reference: &str| {
        reference.split_once(':').is_some_and(|(scheme, _)| !scheme.is_empty() && !scheme.contains(['/', '?']))
    };
    let local = if let Some(rest) = reference.strip_prefix("//") {
        same_host(target, rest)?
    } else if has_scheme(reference) {
        let (scheme, rest) = reference.split_once(':')?;
        if !scheme.eq_ignore_ascii_case(target.scheme) {
            return None;
        }
        same_host(target, rest.strip_prefix("//")?)?
    } else {
        reference
    };
    let (path, query) = local.split_once('?').unwrap_or((local, ""));
    let path = if path.starts_with('/') {
        path.to_owned()
    } else if path.is_empty() && local.len() == reference.len() {
        let query = if local.is_empty() { target.query } else { query };
        return Some(Place { path: target.path.to_owned(), query: query.to_owned() });
    } else if path.is_empty() {
        String::from("/")
    } else {
        let folder = target.path.rfind('/').map_or("/", |end| &target.path[..=end]);
        [folder, path].concat()
    };
    Some(Place { path: without_dot_segments(&path), query: query.to_owned() })
}

/// What follows the host of `rest`, if that is the target's own.
fn same_host<'a>(target: &Target<'_>, rest: &'a str) -> Option<&'a str> {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, local) = rest.split_at(end);
    let own_port = if target.scheme == "https" { ":443" } else { ":80" };
    let bare = |host: &'a str| host.strip_suffix(own_port).unwrap_or(host);
    let own = target.host.strip_suffix(own_port).unwrap_or(target.host);
    bare(host).eq_ignore_ascii_case(own).then_some(local)
}

/// RFC 3986 §5.2.4, on a path that starts with `/`.
fn without_dot_segments(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut ends_in_slash = false;
    for segment in path.split('/').skip(1) {
        ends_in_slash = matches!(segment, "" | "." | "..");
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
        if segment.is_empty() {
            ends_in_slash = false;
        }
    }
    let mut clean = String::with_capacity(path.len());
    for segment in segments {
        clean.push('/');
        clean.push_str(segment);
    }
    if ends_in_slash || clean.is_empty() {
        clean.push('/');
    }
    clean
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    const TARGET: Target<'_> =
        Target { method: "POST", tenant: "", scheme: "https", host: "a.example", path: "/b/c", query: "q=1" };

    fn place(path: &str, query: &str) -> Option<Place> {
        Some(Place { path: path.to_owned(), query: query.to_owned() })
    }

    #[test]
    fn references_are_read_as_rfc_3986_says() {
        for (reference, expect) in [
            ("/x", place("/x", "")),
            ("/x?y=1#z", place("/x", "y=1")),
            ("x", place("/b/x", "")),
            ("./x/", place("/b/x/", "")),
            ("../x", place("/x", "")),
            ("../../../x", place("/x", "")),
            ("..", place("/", "")),
            ("/a/.", place("/a/", "")),
            ("/a//b", place("/a//b", "")),
            ("/a/", place("/a/", "")),
            ("?z", place("/b/c", "z")),
            ("", place("/b/c", "q=1")),
            ("#x", place("/b/c", "q=1")),
            ("https://a.example", place("/", "")),
            ("https://A.Example:443/x", place("/x", "")),
            ("HTTPS://a.example?x", place("/", "x")),
            ("//a.example/x", place("/x", "")),
            ("http://a.example/x", None),
            ("https://a.example:444/x", None),
            ("https://b.example/x", None),
            ("https://a.example.evil/x", None),
            ("https://a.example@evil/x", None),
            ("mailto:x", None),
            ("javascript:alert(1)", None),
        ] {
            assert_eq!(resolve(&TARGET, reference), expect, "{reference}");
        }
    }

    #[test]
    fn a_change_invalidates_what_it_names_on_its_own_origin() {
        let none = CacheOptions::default();
        let places = |method, status, response: &[(&str, &str)]| {
            let invalidation = invalidation(&Target { method, ..TARGET }, status, &response, &none);
            invalidation.places.into_iter().map(|place| place.path).collect::<Vec<_>>()
        };
        for (id, method, status, response, expect) in [
            ("invalidate-post", "POST", 200, &[][..], vec!["/b/c"]),
            ("invalidate-put", "PUT", 204, &[], vec!["/b/c"]),
            ("invalidate-delete", "DELETE", 303, &[], vec!["/b/c"]),
            ("invalidate-unknown", "M-SEARCH", 200, &[], vec!["/b/c"]),
            ("invalidate-failed", "POST", 500, &[], vec![]),
            ("invalidate-refused", "POST", 404, &[], vec![]),
            ("invalidate-safe", "GET", 200, &[("location", "/x")], vec![]),
            ("invalidate-options", "OPTIONS", 200, &[], vec![]),
            ("invalidate-location", "POST", 201, &[("location", "/x")], vec!["/b/c", "/x"]),
            ("invalidate-content-location", "POST", 200, &[("content-location", "d")], vec!["/b/c", "/b/d"]),
            ("invalidate-same-place", "POST", 200, &[("location", "?q=1")], vec!["/b/c"]),
            ("invalidate-other-origin", "POST", 200, &[("location", "https://b.example/x")], vec!["/b/c"]),
        ] {
            assert_eq!(places(method, status, response), expect, "{id}");
        }
    }

    #[test]
    fn only_an_unsafe_request_invalidates_groups() {
        let response = [(groups::INVALIDATION_FIELD, "\"a\", \"b\"")];
        let ids = |method, options: &CacheOptions| {
            invalidation(&Target { method, ..TARGET }, 200, &response, options).groups.len()
        };
        assert_eq!(ids("POST", &CacheOptions::default()), 2);
        assert_eq!(ids("GET", &CacheOptions::default()), 0);
        assert_eq!(ids("POST", &CacheOptions { groups: false, ..CacheOptions::default() }), 0);
    }
}
