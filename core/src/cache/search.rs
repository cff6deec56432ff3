//! `No-Vary-Search`: query parameters that make no difference, by the origin's own word
//! (draft-ietf-httpbis-no-vary-search-10).

use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::sorted::SortedMap;

use super::{
    key::{CacheKey, Target},
    structured::{Bare, InnerList, Value, dictionary},
};

/// What a response says of its URL's query. A response without it is found by its exact query alone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SearchRule {
    /// Whether the order of parameters counts.
    order_counts: bool,
    /// Whether `names` are those that count; otherwise they are those that do not.
    only_names_count: bool,
    /// Names, decoded, sorted.
    names: Vec<Vec<u8>>,
}

impl SearchRule {
    /// Reads a `No-Vary-Search`. `None` where it says nothing, or breaks the grammar, or lists more than
    /// [`NAMES_MAX`] names: then the whole query counts, which costs hits and nothing else. Unknown keys are skipped.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (mut order, mut params, mut except) = (None, None, None);
        dictionary(value, |key, member| match key {
            "key-order" => order = Some(member.value),
            "params" => params = Some(member.value),
            "except" => except = Some(member.value),
            _ => {}
        })
        .ok()?;
        let order_counts = match order {
            None => true,
            Some(Value::Item(Bare::Boolean(ignored))) => !ignored,
            Some(_) => return None,
        };
        let (only_names_count, names) = match (params, except) {
            (Some(Value::Item(Bare::Boolean(true))), None) => (true, Vec::new()),
            (Some(Value::Item(Bare::Boolean(true))), Some(Value::Inner(list))) => (true, names(list)?),
            (None | Some(Value::Item(Bare::Boolean(false))), None) => (false, Vec::new()),
            (Some(Value::Inner(list)), None) => (false, names(list)?),
            _ => return None,
        };
        let rule = Self { order_counts, only_names_count, names };
        let says_nothing = rule.order_counts && !rule.only_names_count && rule.names.is_empty();
        (!says_nothing).then_some(rule)
    }

    /// The name of what is stored for `target` and every URL that this rule holds equal to it: the parameters that
    /// count, decoded, in their order or sorted. Other rules give other names, so two rules never meet.
    ///
    /// `None` when the query has more than [`PAIRS_MAX`] parameters. Allocates nothing.
    #[must_use]
    pub fn key(&self, target: &Target<'_>) -> Option<CacheKey> {
        let mut pairs = [("", ""); PAIRS_MAX];
        let mut count = 0;
        for pair in target.query.split('&').filter(|pair| !pair.is_empty()) {
            let pair = pair.split_once('=').unwrap_or((pair, ""));
            let named = self.names.iter().any(|name| decoded(pair.0).eq(name.iter().copied()));
            if named == self.only_names_count {
                *pairs.get_mut(count)? = pair;
                count += 1;
            }
        }
        let pairs = &mut pairs[..count];
        if !self.order_counts {
            sort_by_name(pairs);
        }
        let key = CacheKey::of_path(target).below(SEARCH_DOMAIN, |hashed| {
            hashed.bytes(&[u8::from(self.order_counts), u8::from(self.only_names_count)]);
            for name in &self.names {
                hashed.bytes(&[NAME]);
                hashed.part(name);
            }
            for (name, value) in pairs {
                for part in [name, value] {
                    hashed.bytes(&[PAIR]);
                    hashed.part_with(decoded(part).count(), decoded(part));
                }
            }
        });
        Some(key)
    }
}

/// The rules that responses of a path have stated, by [`CacheKey::of_path`], in bounded memory.
///
/// A look-up tries the exact URL first, and then the path's latest rule (draft §6). At [`RULES_MAX`] the one learned
/// longest ago is forgotten, which costs hits.
#[derive(Clone, Debug, Default)]
pub struct SearchRules {
    rules: SortedMap<CacheKey, (u64, SearchRule)>,
    learned: u64,
}

impl SearchRules {
    /// Takes in what the latest response of a path said.
    pub fn learn(&mut self, target: &Target<'_>, rule: SearchRule) {
        self.learned += 1;
        let path = CacheKey::of_path(target);
        if self.rules.len() == RULES_MAX
            && !self.rules.contains_key(&path)
            && let Some(oldest) = self.rules.iter().min_by_key(|(_, (learned, _))| *learned).map(|(path, _)| *path)
        {
            self.rules.remove(&oldest);
        }
        self.rules.insert(path, (self.learned, rule));
    }

    /// The rule of a path, if one was stated. Allocates nothing.
    #[must_use]
    pub fn rule(&self, target: &Target<'_>) -> Option<&SearchRule> {
        if self.rules.is_empty() {
            return None;
        }
        self.rules.get(&CacheKey::of_path(target)).map(|(_, rule)| rule)
    }
}

fn names(list: InnerList<'_>) -> Option<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for item in list.items() {
        let Bare::String(name) = item else { return None };
        let name = name.to_text();
        let name: Vec<u8> = decoded(&name).collect();
        if let Err(place) = names.binary_search(&name) {
            names.insert(place, name);
        }
        if names.len() > NAMES_MAX {
            return None;
        }
    }
    Some(names)
}

/// The bytes that a name or a value of a query means: `+` is a space, an escape is its byte, and a `%` without two
/// digits is itself. Bytes that are not UTF-8 stay as they are, where the draft reads each as the same replacement
/// character: fewer queries are equal.
fn decoded(spelled: &str) -> impl Iterator<Item = u8> + '_ {
    let mut rest = spelled.as_bytes();
    core::iter::from_fn(move || {
        let (byte, after) = match rest {
            [b'%', high, low, after @ ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (b'%', &rest[1..]),
            },
            [b'+', after @ ..] => (b' ', after),
            [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        rest = after;
        Some(byte)
    })
}

/// The value of a hexadecimal digit.
const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Sorts by decoded name, equal names in their order. Insertion sort: few pairs, and no allocation.
fn sort_by_name(pairs: &mut [(&str, &str)]) {
    for end in 1..pairs.len() {
        let mut at = end;
        while at > 0 && decoded(pairs[at].0).cmp(decoded(pairs[at - 1].0)) == Ordering::Less {
            pairs.swap(at, at - 1);
            at -= 1;
        }
    }
}

/// Where an origin says it.
pub const SEARCH_FIELD: &str = "no-vary-search";

/// Most parameters of a query that a rule is applied to; a longer one counts as it is.
pub const PAIRS_MAX: usize = 32;
/// Most names in one rule.
pub const NAMES_MAX: usize = 32;
/// Most paths whose rule is remembered.
pub const RULES_MAX: usize = 256;

const SEARCH_DOMAIN: &[u8] = b"search 2\0";
const NAME: u8 = 1;
const PAIR: u8 = 2;

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    fn target(query: &str) -> Target<'_> {
        Target { method: "GET", tenant: "", scheme: "https", host: "a.example", path: "/s", query }
    }

    #[test]
    fn only_what_follows_the_grammar_is_a_rule() {
        for (value, is_rule) in [
            ("params", true),
            ("params=(\"a\")", true),
            ("params, except=(\"x\")", true),
            ("key-order", true),
            ("params, unknown=1", true),
            ("unknown-key", false),
            ("params=?0", false),
            ("params=()", false),
            ("key-order=?0", false),
            ("key-order=\"x\"", false),
            ("params=\"x\"", false),
            ("params=(a)", false),
            ("params=(\"a\"), except=(\"x\")", false),
            ("params=?0, except=(\"x\")", false),
            ("params, except=(x)", false),
            ("params, except=\"x\"", false),
            ("params, except=?1", false),
            ("except=(\"x\")", false),
            ("params, &", false),
        ] {
            assert_eq!(SearchRule::parse(value).is_some(), is_rule, "{value}");
        }
        let many = |count: usize| {
            let names: alloc::string::String = (0..count).map(|name| format!("\"n{name}\" ")).collect();
            SearchRule::parse(&format!("params=({names})")).is_some()
        };
        assert!(many(NAMES_MAX) && !many(NAMES_MAX + 1));
    }

    #[test]
    fn equal_queries_share_a_name_and_others_do_not() {
        for (id, rule, one, other, equal) in [
            ("nvs-params", "params", "a=1", "b=2", true),
            ("nvs-params-null-query", "params", "", "b=2", true),
            ("nvs-listed", "params=(\"a\")", "a=1&b=2", "b=2", true),
            ("nvs-listed-other", "params=(\"a\")", "b=1", "b=2", false),
            ("nvs-except", "params, except=(\"q\")", "q=1&utm=x", "utm=y&q=1", true),
            ("nvs-except-differs", "params, except=(\"q\")", "q=1", "q=2", false),
            ("nvs-order", "key-order", "a=1&b=2", "b=2&a=1", true),
            ("nvs-order-counts", "params=(\"x\")", "a=1&b=2", "b=2&a=1", false),
            ("nvs-order-of-one-name", "key-order", "a=1&a=2", "a=2&a=1", false),
            ("nvs-decoded", "key-order", "a=x", "%61=%78", true),
            ("nvs-plus", "key-order", "a=+", "a=%20", true),
            ("nvs-empty-value", "key-order", "a", "a=", true),
            ("nvs-empty-pairs", "key-order", "a=x&&&", "a=x", true),
            ("nvs-name-encoded", "params=(\"%C3%A9+x\")", "%c3%a9%20x=1", "", true),
            ("nvs-cloaked", "params=(\"utm\")", "utm=1;q=2", "utm=9", true),
            ("nvs-shifted", "key-order", "a=bc", "ab=c", false),
            ("nvs-no-escape", "key-order", "a=%zz", "a=%zz", true),
            ("nvs-case", "params=(\"a\")", "A=1", "", false),
        ] {
            let rule = SearchRule::parse(rule).unwrap();
            let same = rule.key(&target(one)) == rule.key(&target(other));
            assert_eq!(same, equal, "{id}");
        }
        let rule = SearchRule::parse("params").unwrap();
        let ordered = SearchRule::parse("key-order").unwrap();
        assert_ne!(rule.key(&target("")), ordered.key(&target("")), "rules do not meet");
        assert_ne!(rule.key(&target("")), rule.key(&Target { path: "/t", ..target("") }));
        assert_ne!(rule.key(&target("")), Some(CacheKey::new(&target(""))));
    }

    #[test]
    fn a_long_query_counts_as_it_is() {
        let rule = SearchRule::parse("key-order").unwrap();
        let query = |count: usize| (0..count).map(|name| format!("&n{name}")).collect::<alloc::string::String>();
        assert!(rule.key(&target(&query(PAIRS_MAX))).is_some());
        assert!(rule.key(&target(&query(PAIRS_MAX + 1))).is_none());
    }

    #[test]
    fn the_rule_learned_longest_ago_gives_way() {
        let mut rules = SearchRules::default();
        let rule = SearchRule::parse("params").unwrap();
        let path = |number: usize| format!("/{number}");
        for number in 0..=RULES_MAX {
            rules.learn(&Target { path: &path(number), ..target("") }, rule.clone());
        }
        let known = |number: usize| rules.rule(&Target { path: &path(number), ..target("x=1") }).is_some();
        assert!(!known(0) && known(1) && known(RULES_MAX));
    }
}
