//! Header fields.

use std::time::Duration;

use seawall_core::cache::conditional::{Answer, Evaluation, evaluate};
use seawall_core::cache::groups::{GROUPS_MAX, INVALIDATION_FIELD, invalidated, of_response};
use seawall_core::cache::key::{CacheKey, Target};
use seawall_core::cache::purge::Purges;
use seawall_core::cache::range::{Asked, ContentRange, asked};
use seawall_core::cache::search::SearchRule;
use seawall_core::cache::store::Exchange;
use seawall_core::cache::structured::{Bare, Member, Value, dictionary, list};
use seawall_core::cache::vary::{UnusableVary, VARY_FIELDS_MAX, VaryBy};
use seawall_core::cache::{
    CacheOptions, Content, Directives, HttpDate, Keep, Known, Metadata, OriginPreconditions, RequestDirectives,
    VaryOptions, append_status, on_response, read_status,
};
use seawall_core::time::Timestamp;

use crate::{slow, text};

const NOW: Timestamp = Timestamp::from_unix_seconds(784_111_777);

const SITE: Target<'_> =
    Target { method: "GET", tenant: "", scheme: "https", host: "a.example", path: "/p", query: "" };

/// Both readers of lifetimes agree, and what is read survives another line of the same field.
pub(crate) fn cache_control(input: &[u8]) {
    let value = text(input);
    let read = Directives::parse(&value);
    for (name, own) in [
        ("max-age", read.max_age),
        ("s-maxage", read.s_maxage),
        ("stale-while-revalidate", read.stale_while_revalidate),
        ("stale-if-error", read.stale_if_error),
    ] {
        assert_eq!(own.map(|lifetime| lifetime.as_secs()), slow::lifetime(&value, name), "{name} of {value:?}");
    }
    let members = slow::members(&value);
    let has = |name: &str| {
        members.iter().any(|member| {
            let spelled = member.split('=').next().unwrap_or_default();
            spelled.trim_end_matches([' ', '\t']).eq_ignore_ascii_case(name)
        })
    };
    assert_eq!(read.no_store, has("no-store"), "{value:?}");
    assert_eq!(read.public, has("public"), "{value:?}");
    // A line that comes before can take nothing back.
    let after = Directives::parse(&format!("no-store, {value}"));
    assert!(after.no_store && after.no_cache == read.no_cache && after.private == read.private, "{value:?}");
    let _ = (Directives::parse_targeted(&value), RequestDirectives::of(&[("cache-control", &*value)]));
}

/// What is read is written so that it reads the same, and never names another second than it is written with.
pub(crate) fn http_date(input: &[u8]) {
    let value = text(input);
    if let Ok(date) = value.parse::<HttpDate>() {
        let written = date.to_string();
        assert_eq!(written.len(), "Sun, 06 Nov 1994 08:49:37 GMT".len());
        assert_eq!(written.parse(), Ok(date), "{value:?}");
        // Beyond the end of `Timestamp` every date is that end.
        if date.timestamp() < Timestamp::from_unix_seconds(u64::MAX) {
            assert_eq!(HttpDate::from_timestamp(date.timestamp()), date);
        }
    }
}

/// Names come out sorted, each once, in lower case, as many as are allowed; reading them again gives the same.
pub(crate) fn vary(input: &[u8]) {
    let value = text(input);
    let options = VaryOptions::default();
    match VaryBy::parse(Some(&value), &options) {
        Ok(vary) => {
            let names: Vec<&str> = vary.names().collect();
            assert!(names.windows(2).all(|pair| pair[0] < pair[1]) && names.len() <= VARY_FIELDS_MAX);
            assert_eq!(VaryBy::parse(Some(&names.join(", ")), &options), Ok(vary.clone()), "{value:?}");
            let spelled = slow::members(&value);
            assert!(spelled.iter().all(|name| names.contains(&name.to_ascii_lowercase().as_str())), "{value:?}");
        }
        Err(UnusableVary::Star) => assert!(value.contains('*')),
        Err(UnusableVary::TooMany) => assert!(slow::members(&value).len() > VARY_FIELDS_MAX),
        Err(UnusableVary::NotAName | UnusableVary::Personal | UnusableVary::NotAllowed) => {}
    }
    let url = CacheKey::new(&SITE);
    let on = VaryBy::parse(Some("accept-language"), &options).expect("one plain name");
    let key = |value: &str| url.variant(&on, &[("accept-language", value)], &options);
    // Space around a member makes no other variant.
    if !value.contains('"') {
        assert_eq!(key(&value), key(&slow::members(&value).join(" ,\t")), "{value:?}");
    }
}

/// A condition is met by what it names and by nothing else, and every answer fits what is stored.
pub(crate) fn conditionals(input: &[u8]) {
    let value = text(input);
    let (first, second) = value.split_once('\n').unwrap_or((&value, ""));
    let Some(stored) = stored(&[("etag", "\"a\""), ("last-modified", "Sun, 06 Nov 1994 08:00:00 GMT")]) else {
        panic!("a plain response is stored")
    };
    for fields in [
        [("if-none-match", first), ("if-modified-since", second)],
        [("if-match", first), ("if-unmodified-since", second)],
        [("range", first), ("if-range", second)],
    ] {
        for preconditions in [OriginPreconditions::Ignore, OriginPreconditions::Evaluate, OriginPreconditions::Forward]
        {
            let evaluation = evaluate(&stored, "GET", &fields, preconditions);
            if let Evaluation::Answer(Answer::Part(part)) = evaluation {
                assert!(part.first <= part.last && part.last < LENGTH && fields[0].0 == "range", "{value:?}");
            }
            let named = slow::members(first).iter().any(|tag| matches!(tag.as_str(), "\"a\"" | "W/\"a\"" | "*"));
            if evaluation == Evaluation::Answer(Answer::NotModified) {
                assert!(named || (fields[0].0 == "if-none-match" && second.parse::<HttpDate>().is_ok()), "{value:?}");
            }
        }
    }
    let alone = evaluate(&stored, "GET", &[("if-none-match", first)], OriginPreconditions::Ignore);
    let named = slow::members(first).iter().any(|tag| matches!(tag.as_str(), "\"a\"" | "W/\"a\"" | "*"));
    assert!(named || alone != Evaluation::Answer(Answer::NotModified), "{first:?}");
}

/// A part lies inside what is stored, and is written so that it reads the same.
pub(crate) fn ranges(input: &[u8]) {
    let value = text(input);
    if let Some(range) = ContentRange::parse(&value) {
        assert_eq!(ContentRange::parse(&range.to_string()), Some(range), "{value:?}");
        assert!(range.first <= range.last && range.complete.is_none_or(|complete| range.last < complete));
    }
    for stored in [
        Content::Whole { length: Some(0) },
        Content::Whole { length: Some(1) },
        Content::Whole { length: Some(LENGTH) },
        Content::Whole { length: Some(u64::MAX) },
        Content::Whole { length: None },
        Content::Part { first: 10, last: 19, complete: Some(LENGTH) },
        Content::Part { first: 10, last: 19, complete: None },
    ] {
        if let Asked::Part(part) = asked(Some(&value), stored) {
            let (first, last) = match stored {
                Content::Whole { length } => (0, length.expect("a place is known only by the length") - 1),
                Content::Part { first, last, .. } => (first, last),
            };
            assert!(first <= part.first && part.first <= part.last && part.last <= last, "{value:?} of {stored:?}");
            assert_eq!(ContentRange::parse(&part.to_string()), Some(part));
        }
    }
}

/// What is read can be read again member by member, and texts decode to what they were written from.
pub(crate) fn structured(input: &[u8]) {
    let value = text(input);
    let mut names = 0;
    if dictionary(&value, |name, member| {
        names += 1;
        assert!(!name.is_empty() && name.is_ascii());
        read_through(&member);
    })
    .is_ok()
    {
        assert!(names <= value.split(',').count());
        assert!(value.is_ascii(), "{value:?}");
    }
    let mut items = 0;
    if list(&value, |member| {
        items += 1;
        read_through(&member);
    })
    .is_ok()
        && items > 0
    {
        let mut twice = 0;
        assert!(list(&format!("{value}, {value}"), |_| twice += 1).is_ok(), "{value:?}");
        assert_eq!(twice, 2 * items);
    }
    let quoted: String = value.chars().filter(|character| matches!(character, ' '..='~')).collect();
    let written = format!("\"{}\"", quoted.replace('\\', "\\\\").replace('"', "\\\""));
    let mut read = None;
    list(&written, |member| {
        if let Value::Item(Bare::String(text)) = member.value {
            read = Some(text.to_text());
        }
    })
    .expect("a quoted text is a List");
    assert_eq!(read, Some(quoted));
}

fn read_through(member: &Member<'_>) {
    if let Value::Inner(inner) = member.value {
        assert!(inner.items().count() <= 1 << 16);
    }
    let _ = member.parameters.value("a");
}

/// This cache's own word can always be read behind what came before, whatever that was.
pub(crate) fn cache_status(input: &[u8]) {
    let value = text(input);
    let before = read_status(&value);
    let whole = append_status(Some(&value), "seawall; hit; ttl=3");
    let read = read_status(&whole);
    if let Ok(before) = before {
        let read = read.expect("a List and one more member are a List");
        let (last, rest) = read.split_last().expect("its own word is there");
        assert_eq!(rest, before, "{value:?}");
        assert!(last.cache == "seawall" && last.hit && last.ttl == Some(3));
    }
}

/// A rule never tells equal queries apart, nor takes a query's value for another one's.
pub(crate) fn no_vary_search(input: &[u8]) {
    let value = text(input);
    let (rule, query) = value.split_once('\n').unwrap_or((&value, "b=2&a=1&a=%32"));
    for rule in [Some(rule), Some("key-order"), Some("params, except=(\"a\")")].into_iter().flatten() {
        let Some(rule) = SearchRule::parse(rule) else { continue };
        let key = |query: &str| rule.key(&Target { query, ..SITE });
        assert_eq!(key(query), key(&format!("&&{query}&")), "{value:?}");
        assert_eq!(key(query), rule.key(&Target { query, ..SITE }));
    }
    let ordered = SearchRule::parse("key-order").expect("a rule");
    let key = |query: &str| ordered.key(&Target { query, ..SITE });
    if let (Some(one), Some(other)) = (key(&format!("zz=1&{query}")), key(&format!("zz=2&{query}"))) {
        assert_ne!(one, other, "{query:?}");
    }
}

/// Never more groups than the bound, the same ones again, and each member that is a text is counted.
pub(crate) fn cache_groups(input: &[u8]) {
    let value = text(input);
    let read = || of_response(&SITE, Some(&value), None);
    if let Ok(groups) = read() {
        assert!(groups.len() <= GROUPS_MAX);
        assert_eq!(read().ok().as_deref(), Some(&groups[..]));
        let (invalid, left_out) = invalidated(&SITE, &[(INVALIDATION_FIELD, &*value)]);
        assert!(left_out > 0 || groups.iter().all(|group| invalid.contains(group)), "{value:?}");
    }
    let _ = of_response(&SITE, None, Some(&value));
}

/// What is kept of a response with these fields and a lifetime.
pub(crate) fn stored(fields: &[(&str, &str)]) -> Option<Metadata> {
    let mut response = vec![("cache-control", "max-age=60"), ("date", "Sun, 06 Nov 1994 08:49:37 GMT")];
    let length = LENGTH.to_string();
    response.push(("content-length", &length));
    response.extend_from_slice(fields);
    let mut purges = Purges::default();
    let exchange = Exchange {
        target: SITE,
        request: &[("accept", "*/*")],
        status: 200,
        response: &&response[..],
        request_time: NOW,
        response_time: NOW.after(Duration::from_millis(20)),
        generation: purges.stamp(NOW),
        random: 0,
    };
    let nothing: Option<Known<'_, [(&str, &str); 0]>> = None;
    match on_response(&exchange, nothing, &CacheKey::new(&SITE), &purges, &CacheOptions::default()).keep {
        Keep::Store(metadata) => Some(*metadata),
        _ => None,
    }
}

const LENGTH: u64 = 100;
