//! Whatever text arrives, a parser answers, and what it answers holds together.

use alloc::string::ToString;

use crate::cache::{
    CacheOptions, Content, Directives, HttpDate, RequestDirectives, VaryOptions,
    explain::replay,
    invalidate::resolve,
    key::Target,
    negotiate::reduced,
    range::{Asked, ContentRange, asked},
    read_status,
    search::SearchRule,
    vary::VaryBy,
};

const TARGET: Target<'_> =
    Target { method: "GET", tenant: "", scheme: "https", host: "a.example", path: "/b/c", query: "" };

/// Texts made of what the grammars are made of.
const PIECES: &str =
    "([a-z-]{1,9}|max-age|no-cache|private|params|except|key-order|bytes|[0-9]{1,22}|[ ,;:=\"\\\\/?#%*().&+-]|é){0,12}";

proptest::proptest! {
    #[test]
    fn no_text_makes_a_parser_fail(text in PIECES) {
        let _ = (Directives::parse(&text), Directives::parse_targeted(&text), text.parse::<HttpDate>());
        let _ = RequestDirectives::of(&[("cache-control", text.as_str())]);
        let _ = (VaryBy::parse(Some(&text), &VaryOptions::default()), read_status(&text), SearchRule::parse(&text));
        let _ = replay(&text, &CacheOptions::default());
        let offers = VaryOptions { types: alloc::vec!["text/html".to_string()], ..VaryOptions::default() };
        let _ = reduced("accept", Some(&text), &offers);
        if let Some(rule) = SearchRule::parse("key-order, params=(\"a\")") {
            let _ = rule.key(&Target { query: &text, ..TARGET });
        }
    }

    #[test]
    fn a_range_lies_inside_what_is_stored(text in PIECES, length in 0_u64..50, first in 0_u64..50, last in 0_u64..50) {
        let whole = Content::Whole { length: Some(length) };
        let range = alloc::format!("bytes={first}-{last},{text}");
        for range in [range.as_str(), text.as_str()] {
            if let Asked::Part(part) = asked(Some(range), whole) {
                proptest::prop_assert!(part.first <= part.last && part.last < length, "{range}");
                proptest::prop_assert_eq!(ContentRange::parse(&part.to_string()), Some(part));
            }
        }
    }

    #[test]
    fn a_resolved_place_has_an_absolute_path_without_dot_segments(text in PIECES) {
        if let Some(place) = resolve(&TARGET, &text) {
            proptest::prop_assert!(place.path.starts_with('/'), "{}", place.path);
            proptest::prop_assert!(!place.path.split('/').any(|segment| matches!(segment, "." | "..")));
            proptest::prop_assert!(!place.path.contains(['?', '#']) && !place.query.contains('#'));
        }
    }

    #[test]
    fn a_directive_is_found_whatever_stands_around_it(before in "[a-z]{1,5}(=[0-9]{1,3})?", seconds in 0_u64..10_000) {
        let value = alloc::format!("{before} ,, max-age={seconds},x=\"no-store\"");
        let directives = Directives::parse(&value);
        proptest::prop_assert_eq!(directives.max_age.map(|lifetime| lifetime.as_secs()), Some(seconds));
        proptest::prop_assert!(!directives.no_store);
    }
}
