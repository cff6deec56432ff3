//! Reduces a request's `Accept-Encoding`, `Accept-Language` and `Accept` to what an origin offers, so that a few
//! variants serve everybody. RFC 9111 §4.1 lets a cache normalise what selects a response; the origin gets the
//! reduced value too, so both decide on the same bytes.

use super::{list::members, options::VaryOptions};

/// The offer that a request's value of `name` comes down to; `None` when this field is not reduced.
///
/// An absent field comes down to the offer for everybody else as well: it states no preference (RFC 9110 §12.5).
/// For `Accept-Encoding` that is `identity`, since not every client without the field can decode.
#[must_use]
pub fn reduced<'a>(name: &str, value: Option<&str>, options: &'a VaryOptions) -> Option<&'a str> {
    match name {
        "accept-encoding" if !options.encodings.is_empty() => {
            let accepted = |offer: &&str| value.is_some_and(|value| weight(value, offer, Kind::Coding) > 0);
            Some(options.encodings.iter().map(AsRef::as_ref).find(accepted).unwrap_or("identity"))
        }
        "accept-language" => best(&options.languages, value, Kind::Language),
        "accept" => best(&options.types, value, Kind::Type),
        _ => None,
    }
}

/// The offer with the greatest weight, the earlier of two equal ones; the first when none is wanted.
fn best<'a>(offers: &'a [alloc::string::String], value: Option<&str>, kind: Kind) -> Option<&'a str> {
    let first: &str = offers.first()?;
    let Some(value) = value else { return Some(first) };
    let mut best = (first, 0);
    for offer in offers {
        let weight = weight(value, offer, kind);
        if weight > best.1 {
            best = (offer, weight);
        }
    }
    Some(best.0)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Coding,
    Language,
    Type,
}

/// The weight in thousandths that a list of ranges gives an offer: that of the most exact range (RFC 9110 §12.4.2).
fn weight(ranges: &str, offer: &str, kind: Kind) -> u16 {
    let mut found = (0, 0);
    for range in members(ranges).take(RANGES_READ_MAX) {
        let mut parts = range.split(';').map(|part| part.trim_matches([' ', '\t']));
        let exactness = exactness(parts.next().unwrap_or_default(), offer, kind);
        if exactness > found.0 {
            let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            found = (exactness, quality.map_or(1000, permille));
        }
    }
    found.1
}

/// How exactly a range names an offer; zero when it does not.
fn exactness(range: &str, offer: &str, kind: Kind) -> usize {
    if range == "*" || range == "*/*" {
        return 1;
    }
    if range.eq_ignore_ascii_case(offer) {
        return range.len() + 2;
    }
    let covers = |prefix: &str| {
        offer.len() > prefix.len()
            && offer.is_char_boundary(prefix.len())
            && offer[..prefix.len()].eq_ignore_ascii_case(prefix)
    };
    let is_prefix = match kind {
        Kind::Coding => false,
        // `en` takes `en-GB` (RFC 4647 §3.3.1).
        Kind::Language => covers(range) && offer.as_bytes()[range.len()] == b'-',
        Kind::Type => range.strip_suffix('*').is_some_and(|prefix| prefix.ends_with('/') && covers(prefix)),
    };
    if is_prefix { range.len() + 1 } else { 0 }
}

/// A weight of RFC 9110 §12.4.2 in thousandths; what is none counts as zero, so that it wins nothing.
fn permille(quality: &str) -> u16 {
    let (whole, fraction) = quality.split_once('.').unwrap_or((quality, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    let thousandths =
        fraction.bytes().chain([b'0'; 3]).take(3).fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match whole {
        "0" => thousandths,
        "1" if thousandths == 0 => 1000,
        _ => 0,
    }
}

/// Ranges of one field that are looked at; browsers send under ten, and the rest weighs nothing.
pub const RANGES_READ_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString, vec};

    use super::*;

    fn options() -> VaryOptions {
        let list = |items: &[&str]| items.iter().map(ToString::to_string).collect();
        VaryOptions {
            encodings: list(&["br", "gzip"]),
            languages: list(&["en", "es", "zh-Hant"]),
            types: list(&["text/html", "application/json"]),
            ..VaryOptions::default()
        }
    }

    #[test]
    fn a_request_comes_down_to_what_is_offered() {
        let options = options();
        for (name, value, expect) in [
            ("accept-encoding", Some("gzip, deflate, br"), "br"),
            ("accept-encoding", Some("gzip"), "gzip"),
            ("accept-encoding", Some("br;q=0, gzip;q=0.1"), "gzip"),
            ("accept-encoding", Some("*"), "br"),
            ("accept-encoding", Some("br;q=0, *"), "gzip"),
            ("accept-encoding", Some("zstd"), "identity"),
            ("accept-encoding", Some(""), "identity"),
            ("accept-encoding", None, "identity"),
            ("accept-language", Some("es-MX,es;q=0.9,en;q=0.8"), "es"),
            ("accept-language", Some("en;q=0.5, es;q=0.7"), "es"),
            ("accept-language", Some("zh"), "zh-Hant"),
            ("accept-language", Some("de"), "en"),
            ("accept-language", Some("*;q=0.1, ES"), "es"),
            ("accept-language", Some("es;q=x, en;q=0.1"), "en"),
            ("accept-language", None, "en"),
            ("accept", Some("application/json"), "application/json"),
            ("accept", Some("text/*;q=0.3, application/json;q=0.2"), "text/html"),
            ("accept", Some("*/*"), "text/html"),
            ("accept", Some("text/html;q=0, */*;q=0.1"), "application/json"),
            ("accept", Some("image/png"), "text/html"),
        ] {
            assert_eq!(reduced(name, value, &options), Some(expect), "{name}: {value:?}");
        }
        assert_eq!(reduced("x-other", Some("a"), &options), None);
        assert_eq!(reduced("accept", Some("a"), &VaryOptions::default()), None);
    }

    #[test]
    fn ranges_past_the_bound_weigh_nothing() {
        let options = options();
        let many = |count: usize| format!("{}es", "xx,".repeat(count));
        assert_eq!(reduced("accept-language", Some(&many(RANGES_READ_MAX - 1)), &options), Some("es"));
        assert_eq!(reduced("accept-language", Some(&many(RANGES_READ_MAX)), &options), Some("en"));
    }

    #[test]
    fn weights_are_three_digits_at_most() {
        for (text, expect) in vec![
            ("1", 1000),
            ("1.000", 1000),
            ("1.001", 0),
            ("0.5", 500),
            ("0.123", 123),
            ("0", 0),
            ("0.1234", 0),
            ("", 0),
            ("2", 0),
        ] {
            assert_eq!(permille(text), expect, "{text}");
        }
    }
}
