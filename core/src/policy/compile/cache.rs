//! The tables `[route.cache]`.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use super::PolicyError;
use super::reader::{Entry, Section};
use crate::cache::{
    AuthorizationUse, CacheOptions, CollapseScope, JITTER_PERMILLE_MAX, OriginPreconditions, PartialUse, Qualified,
    RequestDirectiveUse, RequestFields, SetCookieUse, Statuses, VaryOptions, variants,
};
use crate::policy::{BrowserLifetime, CacheRule, Lifetime};

pub(super) fn read(entry: Entry<'_>) -> Result<CacheRule, PolicyError> {
    let section = entry.section()?;
    section.only(&["edge", "browser"])?;
    let edge = section.get("edge").map(read_edge).transpose()?;
    let browser = section.get("browser").map(read_browser).transpose()?;
    if edge.is_none() && browser.is_none() {
        return Err(section.error("expected edge or browser or both, found neither".to_string()));
    }
    let (edge, options) = edge.map_or_else(|| (None, CacheOptions::default()), |(edge, options)| (Some(edge), options));
    Ok(CacheRule { edge, options, browser })
}

fn read_edge(entry: Entry<'_>) -> Result<(Lifetime, CacheOptions), PolicyError> {
    let section = entry.section()?;
    section.only(&[
        "fresh",
        "stale_while_revalidate",
        "stale_if_error",
        "lifetime_max",
        "negative_lifetime_max",
        "heuristics",
        "jitter_permille",
        "statuses",
        "request_directives",
        "authorization",
        "origin_preconditions",
        "qualified",
        "set_cookie",
        "partial",
        "update_content_fields",
        "targeted",
        "surrogate_control",
        "no_vary_search",
        "groups",
        "request_fields",
        "vary",
        "collapse",
    ])?;
    let lifetime = Lifetime {
        fresh: lifetime(section.require("fresh")?)?,
        stale_while_revalidate: lifetime_or(&section, "stale_while_revalidate", Duration::ZERO)?,
        stale_if_error: lifetime_or(&section, "stale_if_error", Duration::ZERO)?,
    };
    let default = CacheOptions::from(&lifetime);
    let options = CacheOptions {
        lifetime_max: lifetime_or(&section, "lifetime_max", default.lifetime_max)?,
        negative_lifetime_max: lifetime_or(&section, "negative_lifetime_max", default.negative_lifetime_max)?,
        heuristics: section.boolean_or("heuristics", default.heuristics)?,
        jitter_permille: section.whole_or("jitter_permille", 0..=JITTER_PERMILLE_MAX, default.jitter_permille)?,
        statuses: section.choice("statuses", [("understood", Statuses::Understood), ("any", Statuses::Any)])?,
        request_directives: section.choice(
            "request_directives",
            [("ignore", RequestDirectiveUse::Ignore), ("honour", RequestDirectiveUse::Honour)],
        )?,
        authorization: section
            .choice("authorization", [("bypass", AuthorizationUse::Bypass), ("share", AuthorizationUse::Share)])?,
        origin_preconditions: section.choice(
            "origin_preconditions",
            [
                ("ignore", OriginPreconditions::Ignore),
                ("forward", OriginPreconditions::Forward),
                ("evaluate", OriginPreconditions::Evaluate),
            ],
        )?,
        qualified: section.choice("qualified", [("whole", Qualified::Whole), ("strip", Qualified::Strip)])?,
        set_cookie: section.choice(
            "set_cookie",
            [("refuse", SetCookieUse::Refuse), ("strip-when-listed", SetCookieUse::StripWhenListed)],
        )?,
        partial: section.choice("partial", [("ignore", PartialUse::Ignore), ("store", PartialUse::Store)])?,
        update_content_fields: section.boolean_or("update_content_fields", default.update_content_fields)?,
        targeted: section.boolean_or("targeted", default.targeted)?,
        surrogate_control: section.boolean_or("surrogate_control", default.surrogate_control)?,
        no_vary_search: section.boolean_or("no_vary_search", default.no_vary_search)?,
        groups: section.boolean_or("groups", default.groups)?,
        collapse: section.choice("collapse", [("isolate", CollapseScope::Isolate), ("pop", CollapseScope::Pop)])?,
        request_fields: section.get("request_fields").map(read_request_fields).transpose()?.unwrap_or_default(),
        vary: section.get("vary").map(read_vary).transpose()?.unwrap_or_default(),
        ..default
    };
    Ok((lifetime, options))
}

fn read_request_fields(entry: Entry<'_>) -> Result<RequestFields, PolicyError> {
    if entry.is_text("all") {
        return Ok(RequestFields::All);
    }
    let expected = "\"all\", or names of request fields in lower case, none of which the cache itself acts on";
    let fits = |text: &str| {
        (1..=WORD_BYTES_MAX).contains(&text.len())
            && text.bytes().all(is_field_byte)
            && !RequestFields::NEVER.contains(&text)
    };
    Ok(RequestFields::Only(entry.words(expected, WORDS_MAX, fits)?))
}

fn read_vary(entry: Entry<'_>) -> Result<VaryOptions, PolicyError> {
    let section = entry.section()?;
    section.only(&["fields", "encodings", "languages", "types", "variants_max"])?;
    let list = |key: &str, expected: &str, fits: fn(u8) -> bool| {
        let fits = |text: &str| (1..=WORD_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits);
        section.get(key).map_or(Ok(Vec::new()), |entry| entry.words(expected, WORDS_MAX, fits))
    };
    Ok(VaryOptions {
        fields: list("fields", "names of fields in lower case", is_field_byte)?,
        encodings: list("encodings", "content codings in lower case, such as \"br\"", is_field_byte)?,
        languages: list("languages", "language tags, such as \"en\" or \"es-MX\"", |byte| {
            byte.is_ascii_alphanumeric() || byte == b'-'
        })?,
        types: list("types", "media types in lower case, such as \"text/html\"", |byte| {
            is_field_byte(byte) || matches!(byte, b'/' | b'+' | b'.')
        })?,
        variants_max: section.whole_or("variants_max", 1..=VARIANTS_MAX, VARIANTS_MAX)?,
    })
}

const fn is_field_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
}

fn read_browser(entry: Entry<'_>) -> Result<BrowserLifetime, PolicyError> {
    let section = entry.section()?;
    section.only(&["fresh", "stale_while_revalidate", "immutable"])?;
    Ok(BrowserLifetime {
        fresh: lifetime(section.require("fresh")?)?,
        stale_while_revalidate: lifetime_or(&section, "stale_while_revalidate", Duration::ZERO)?,
        immutable: section.boolean_or("immutable", false)?,
    })
}

fn lifetime_or(section: &Section<'_>, key: &str, default: Duration) -> Result<Duration, PolicyError> {
    section.get(key).map_or(Ok(default), lifetime)
}

/// A lifetime: whole seconds, because HTTP knows no others (RFC 9111 §1.2.2).
fn lifetime(entry: Entry<'_>) -> Result<Duration, PolicyError> {
    entry.time(Duration::ZERO..=CacheRule::LIFETIME_MAX, Duration::from_secs(1))
}

/// Most entries of one list: each is compared with what requests ask for.
const WORDS_MAX: usize = 16;
/// Longest entry.
const WORD_BYTES_MAX: usize = 64;
/// Most variants of one URL, which is also the default.
const VARIANTS_MAX: u16 = variants::VARIANTS_MAX;
