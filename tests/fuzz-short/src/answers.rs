//! What clients, origins and logs say beyond single fields of a cache.

use seawall_core::cache::invalidate::resolve;
use seawall_core::cache::key::Target;
use seawall_core::cache::negotiate::reduced;
use seawall_core::cache::structured::list;
use seawall_core::cache::{CacheOptions, VaryOptions, explain};
use seawall_core::explain::replay;
use seawall_core::limit::fields::{merge_rate_limit, merge_rate_limit_policy};

use crate::text;

/// A line that can be replayed says what a decision says, so it replays to itself.
pub(crate) fn explain_line(input: &[u8]) {
    let line = text(input);
    if let Ok(again) = replay(&line) {
        assert_eq!(replay(&again).as_ref(), Ok(&again), "{line:?}");
    }
    let options = CacheOptions::default();
    if let Ok(again) = explain::replay(&line, &options) {
        assert_eq!(explain::replay(&again, &options).as_ref(), Ok(&again), "{line:?}");
    }
}

/// Whatever an origin says, this hop's own item stays or becomes tighter, and the field can be read.
pub(crate) fn rate_limit(input: &[u8]) {
    let origin = text(input);
    for merged in
        [merge_rate_limit(r#""own";r=5;t=60"#, &origin), merge_rate_limit_policy(r#""own";q=5;w=60"#, &origin)]
    {
        let mut items = 0;
        assert!(list(&merged, |_| items += 1).is_ok() && items >= 1, "{origin:?}: {merged:?}");
        assert!(merged.contains("\"own\""), "{origin:?}: {merged:?}");
    }
}

/// A place that a response names is on its own origin, with an absolute path and no dots to climb.
pub(crate) fn reference(input: &[u8]) {
    let reference = text(input);
    let site = Target { method: "GET", tenant: "", scheme: "https", host: "a.example", path: "/a/b", query: "q=1" };
    if let Some(place) = resolve(&site, &reference) {
        assert!(place.path.starts_with('/'), "{reference:?}: {place:?}");
        let climbs = place.path.split('/').any(|segment| matches!(segment, "." | ".."));
        assert!(!climbs, "{reference:?}: {place:?}");
    }
}

/// What a client accepts comes down to one of the offers.
pub(crate) fn accept(input: &[u8]) {
    let value = text(input);
    let offers = |offers: &[&str]| offers.iter().map(|offer| (*offer).to_owned()).collect();
    let options = VaryOptions {
        encodings: offers(&["br", "gzip"]),
        languages: offers(&["en", "zh-Hant"]),
        types: offers(&["text/html", "application/json"]),
        ..VaryOptions::default()
    };
    for (name, offers) in [
        ("accept-encoding", ["br", "gzip", "identity"]),
        ("accept-language", ["en", "zh-Hant", "en"]),
        ("accept", ["text/html", "application/json", "text/html"]),
    ] {
        let choice = reduced(name, Some(&value), &options);
        assert!(choice.is_some_and(|choice| offers.contains(&choice)), "{name}: {value:?}: {choice:?}");
    }
}
