//! The tables `[[route]]`.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::reader::{Entry, Section};
use super::{PolicyError, cache, nearest, site};
use crate::limit::{LIMITS_PER_REQUEST_MAX, LimitId};
use crate::policy::{Limit, Methods, Name, Pattern, Policy, Query, Route, Site, Upstream, UpstreamId};
use crate::priority::Priority;

pub(super) fn read_all(
    root: &Section<'_>,
    upstreams: &[Upstream],
    limits: &[Limit],
    site: &mut Site,
) -> Result<Vec<Route>, PolicyError> {
    let entry = root.require("route")?;
    let sections = entry.sections()?;
    if sections.len() > Policy::ROUTES_MAX {
        return Err(entry.error(format!("expected at most {} routes, found {}", Policy::ROUTES_MAX, sections.len())));
    }
    let targets = Targets { upstreams, limits };
    let mut routes: Vec<Route> = Vec::new();
    for mut section in sections {
        let name_entry = section.require("name")?;
        let name = name_entry.name()?;
        if routes.iter().any(|earlier| earlier.name == name) {
            return Err(name_entry.error(format!("an earlier route is called \"{name}\" too")));
        }
        section.field = format!("route \"{name}\"");
        let route = read(name, &section, &targets, site)?;
        let covers = |earlier: &&Route| earlier.methods.cover(&route.methods) && earlier.pattern.covers(&route.pattern);
        if let Some(earlier) = routes.iter().find(covers) {
            return Err(section.error(format!("never reached: \"{}\" above takes all its requests", earlier.name)));
        }
        routes.push(route);
    }
    Ok(routes)
}

/// What routes may name.
struct Targets<'a> {
    upstreams: &'a [Upstream],
    limits: &'a [Limit],
}

fn read(name: Name, section: &Section<'_>, targets: &Targets<'_>, site: &mut Site) -> Result<Route, PolicyError> {
    section.only(&[
        "name",
        "path",
        "extensions",
        "hashed",
        "methods",
        "upstream",
        "limits",
        "query",
        "priority",
        "cache",
        "in_maintenance",
        "security",
    ])?;
    Ok(Route {
        name,
        pattern: read_pattern(section)?,
        methods: read_methods(section)?,
        upstream: read_upstream(section, targets.upstreams)?,
        limits: read_limits(section, targets.limits)?,
        query: read_query(section)?,
        priority: read_priority(section)?,
        cache: section.get("cache").map(cache::read).transpose()?,
        in_maintenance: section.boolean_or("in_maintenance", false)?,
        fields: read_fields(section, site)?,
    })
}

/// The place of a route's security fields among the site's sets; routes with the same ones share a set.
fn read_fields(section: &Section<'_>, site: &mut Site) -> Result<u16, PolicyError> {
    let Some(entry) = section.get("security") else { return Ok(0) };
    let mut fields = site.fields.first().cloned().unwrap_or_default();
    site::read_fields(&entry.section()?, &mut fields)?;
    let at = site.fields.iter().position(|known| *known == fields).unwrap_or_else(|| {
        site.fields.push(fields);
        site.fields.len() - 1
    });
    // One set for each route at most, and there are fewer routes than that.
    Ok(u16::try_from(at).unwrap_or_default())
}

fn read_pattern(section: &Section<'_>) -> Result<Pattern, PolicyError> {
    let path = section.require("path")?;
    let text = path.text("a path that starts with a slash")?;
    let mut pattern = Pattern::parse(text).map_err(|error| path.expected(&error.to_string()))?;
    if let Some(entry) = section.get("extensions") {
        let expected = "file name extensions of 1 to 16 lower-case letters and digits, without the dot";
        let fits = |text: &str| {
            (1..=EXTENSION_BYTES_MAX).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        pattern = pattern.with_extensions(entry.words(expected, Pattern::EXTENSIONS_MAX, fits)?);
    }
    if section.get("hashed").map_or(Ok(false), |entry| entry.boolean())? {
        pattern = pattern.with_hash();
    }
    Ok(pattern)
}

fn read_methods(section: &Section<'_>) -> Result<Methods, PolicyError> {
    let Some(entry) = section.get("methods") else { return Ok(Methods::All) };
    if entry.is_text("any") {
        return Ok(Methods::Any);
    }
    let expected = format!("methods among {}; HEAD comes with GET", METHODS.join(", "));
    let methods = entry.words(&expected, METHODS.len(), |text| METHODS.contains(&text))?;
    Ok(Methods::Only(methods))
}

pub(super) fn read_upstream(section: &Section<'_>, upstreams: &[Upstream]) -> Result<UpstreamId, PolicyError> {
    let entry = section.get("upstream");
    let name = entry.as_ref().map_or(Ok(UPSTREAM_DEFAULT), |entry| entry.text("the name of an upstream"))?;
    let names: Vec<&str> = upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    match (place(name, &names), entry) {
        (Some(at), _) => Ok(UpstreamId(at)),
        (None, Some(entry)) => Err(entry.error(format!("no upstream \"{name}\"; {}", nearest::advice(name, &names)))),
        (None, None) => Err(section.error(format!("no upstream \"{name}\", which is the default; name another"))),
    }
}

fn read_limits(section: &Section<'_>, limits: &[Limit]) -> Result<Vec<LimitId>, PolicyError> {
    let Some(entry) = section.get("limits") else { return Ok(Vec::new()) };
    let names: Vec<&str> = limits.iter().map(|limit| limit.name.as_str()).collect();
    let read = |(entry, name): (Entry<'_>, &str)| match place(name, &names) {
        Some(at) => Ok(LimitId(at)),
        None => Err(entry.error(format!("no limit \"{name}\"; {}", nearest::advice(name, &names)))),
    };
    entry.texts("a list of names of limits", LIMITS_PER_REQUEST_MAX)?.into_iter().map(read).collect()
}

/// Where `name` stands; upstreams and limits are far fewer than 2^16.
fn place(name: &str, names: &[&str]) -> Option<u16> {
    names.iter().position(|known| *known == name).and_then(|at| u16::try_from(at).ok())
}

fn read_priority(section: &Section<'_>) -> Result<Priority, PolicyError> {
    let Some(entry) = section.get("priority") else { return Ok(Priority::Normal) };
    Ok(Priority::ALL[entry.word(&Priority::ALL.map(Priority::as_str))?])
}

fn read_query(section: &Section<'_>) -> Result<Query, PolicyError> {
    let Some(entry) = section.get("query") else { return Ok(Query::All) };
    let mut names = Vec::new();
    for (entry, name) in entry.texts("a list of names of query parameters", QUERY_NAMES_MAX)? {
        if !(1..=QUERY_NAME_BYTES_MAX).contains(&name.len()) {
            return Err(entry.expected("a name of 1 to 64 bytes"));
        }
        names.push(name.to_owned());
    }
    Ok(Query::Only(names))
}

/// The upstream of a route that names none.
const UPSTREAM_DEFAULT: &str = "origin";
/// Methods a route can choose (RFC 9110 §9.3, RFC 5789); CONNECT and TRACE are never served.
const METHODS: [&str; 6] = ["DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT"];
/// Longest extension of a file name.
const EXTENSION_BYTES_MAX: usize = 16;
/// Most query parameters of one route: each is looked for in every query string.
const QUERY_NAMES_MAX: usize = 32;
/// Longest name of a query parameter.
const QUERY_NAME_BYTES_MAX: usize = 64;
