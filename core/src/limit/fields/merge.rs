//! What this hop says and what the origin said, in one field.
//!
//! The draft lets who stands between origin and client tighten what the origin says, and never loosen it.

use alloc::string::String;
use alloc::vec::Vec;

use crate::cache::structured::{self, Bare, Member, Value};

/// Most items that are read of an origin's field. One with more is not believed as a whole, and is dropped.
pub const ORIGIN_ITEMS_MAX: usize = 16;

/// The value of `RateLimit` from this hop's and the origin's: of two items of one name the one with less left, then
/// the one that lasts longer. Items of other names stay as they are, this hop's first.
///
/// An origin's field that breaks the grammar is as if it were absent (RFC 9651 §4.2), and so is an item without its
/// number.
///
/// ```
/// use seawall_core::limit::fields::merge_rate_limit;
///
/// let merged = merge_rate_limit(r#""search";r=12;t=12"#, r#""search";r=3;t=60, "day";r=900;t=86400;x=1"#);
/// assert_eq!(merged, r#""search";r=3;t=60, "day";r=900;t=86400;x=1"#);
/// ```
#[must_use]
pub fn merge_rate_limit(own: &str, origin: &str) -> String {
    merge(own, origin, |member| {
        let left = number(member, "r")?;
        // Without a window it lasts for who knows how long.
        let lasts = number(member, "t").unwrap_or(u64::MAX);
        Some((left.into(), u64::MAX - lasts))
    })
}

/// The value of `RateLimit-Policy` from this hop's and the origin's: of two items of one name the one with the lower
/// rate, then the one with the smaller quota. Otherwise as [`merge_rate_limit`].
#[must_use]
pub fn merge_rate_limit_policy(own: &str, origin: &str) -> String {
    merge(own, origin, |member| {
        let quota = number(member, "q")?;
        let rate = match number(member, "w") {
            Some(0) => return None,
            // Parts of a unit in each second count: a Structured Field's Integer has fifteen digits.
            Some(window) => u128::from(quota) * RATE_PARTS / u128::from(window),
            None => u128::MAX,
        };
        Some((rate, quota))
    })
}

/// How tight an item is: the smaller, the tighter.
type Tightness = (u128, u64);

/// An item as it was written.
struct Item<'a> {
    name: String,
    tightness: Tightness,
    text: &'a str,
}

fn merge(own: &str, origin: &str, tightness: impl Fn(&Member<'_>) -> Option<Tightness>) -> String {
    let mut kept = items(own, &tightness);
    for item in items(origin, &tightness) {
        match kept.iter_mut().find(|other| other.name == item.name) {
            Some(other) if item.tightness < other.tightness => *other = item,
            Some(_) => {}
            None => kept.push(item),
        }
    }
    kept.iter().map(|item| item.text).collect::<Vec<_>>().join(", ")
}

/// The items of a field; none when it is no list of strings, or longer than is believed.
fn items<'a>(field: &'a str, tightness: &impl Fn(&Member<'_>) -> Option<Tightness>) -> Vec<Item<'a>> {
    let mut members = Vec::new();
    let visit = |member| {
        // One more than is believed says that there are too many.
        if members.len() <= ORIGIN_ITEMS_MAX {
            members.push(member);
        }
    };
    if structured::list(field, visit).is_err() || members.len() > ORIGIN_ITEMS_MAX {
        return Vec::new();
    }
    let item = |(member, text): (Member<'_>, &'a str)| {
        let Value::Item(Bare::String(name)) = member.value else { return None };
        Some(Item { name: name.to_text(), tightness: tightness(&member)?, text })
    };
    members.into_iter().zip(split(field)).filter_map(item).collect()
}

/// The members of a well-formed list as they were written: commas within strings part nothing.
fn split(list: &str) -> impl Iterator<Item = &str> {
    let (mut in_string, mut escaped, mut in_parentheses) = (false, false, false);
    list.split(move |character| {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = in_string,
            '"' => in_string = !in_string,
            '(' | ')' if !in_string => in_parentheses = character == '(',
            _ => {}
        }
        character == ',' && !in_string && !in_parentheses
    })
    .map(|member| member.trim_matches([' ', '\t']))
}

fn number(member: &Member<'_>, parameter: &str) -> Option<u64> {
    match member.parameters.value(parameter)? {
        Bare::Integer(number) => number.try_into().ok(),
        _ => None,
    }
}

/// Into how many parts a unit is cut to compare rates.
const RATE_PARTS: u128 = 1 << 60;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_tighter_of_two_stays() {
        for (own, origin, expect) in [
            (r#""a";r=5;t=10"#, "", r#""a";r=5;t=10"#),
            ("", r#""a";r=5;t=10"#, r#""a";r=5;t=10"#),
            (r#""a";r=5;t=10"#, r#""a";r=4;t=1"#, r#""a";r=4;t=1"#),
            (r#""a";r=5;t=10"#, r#""a";r=6;t=1"#, r#""a";r=5;t=10"#),
            (r#""a";r=5;t=10"#, r#""a";r=5;t=11"#, r#""a";r=5;t=11"#),
            (r#""a";r=5;t=10"#, r#""a";r=5"#, r#""a";r=5"#),
            (r#""a";r=5;t=10"#, r#""b";r=9;t=2;pk=:AA==:"#, r#""a";r=5;t=10, "b";r=9;t=2;pk=:AA==:"#),
            // A name that only looks like two items.
            (r#""a";r=5"#, r#""a, \"b";r=1 ,	"a";r=1"#, r#""a";r=1, "a, \"b";r=1"#),
            // What is no such field, or no such item, says nothing.
            (r#""a";r=5"#, r#""a";r=1,"#, r#""a";r=5"#),
            (r#""a";r=5"#, r#"a;r=1, "a";r=-1, "a";r=1.5, "a", ("a" "b");r=1, "c";r=1"#, r#""a";r=5, "c";r=1"#),
        ] {
            assert_eq!(merge_rate_limit(own, origin), expect);
        }
    }

    #[test]
    fn the_lower_rate_stays() {
        for (own, origin, expect) in [
            (r#""a";q=60;w=60"#, r#""a";q=100;w=1000"#, r#""a";q=100;w=1000"#),
            (r#""a";q=60;w=60"#, r#""a";q=10;w=1"#, r#""a";q=60;w=60"#),
            (r#""a";q=60;w=60"#, r#""a";q=10;w=10"#, r#""a";q=10;w=10"#),
            (r#""a";q=60;w=60"#, r#""a";q=10"#, r#""a";q=60;w=60"#),
            (r#""a";q=60"#, r#""a";q=10"#, r#""a";q=10"#),
            (r#""a";q=60;w=60"#, r#""a";q=1;w=0"#, r#""a";q=60;w=60"#),
            (r#""a";q=60;w=60"#, r#""a";q=999999999999999;w=999999999999999"#, r#""a";q=60;w=60"#),
        ] {
            assert_eq!(merge_rate_limit_policy(own, origin), expect);
        }
    }

    #[test]
    fn an_origin_that_says_too_much_is_not_believed() {
        let items =
            |count: usize| (0..count).map(|number| alloc::format!("\"n{number}\";r=1")).collect::<Vec<_>>().join(", ");
        assert_eq!(merge_rate_limit("", &items(ORIGIN_ITEMS_MAX)), items(ORIGIN_ITEMS_MAX));
        assert_eq!(merge_rate_limit(r#""a";r=5"#, &items(ORIGIN_ITEMS_MAX + 1)), r#""a";r=5"#);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever the origin sends, this hop's items stay or get tighter, and the result is a field.
        #[test]
        fn nothing_is_loosened(origin in r#"("[a-c]"(;[rt]=-?[0-9]{1,3}){0,2}[, ]{0,2}|\PC){0,6}"#, left in 0..99_u64) {
            let own = alloc::format!("\"a\";r={left};t=7");
            let merged = merge_rate_limit(&own, &origin);
            let mut seen = None;
            structured::list(&merged, |member| {
                if let Value::Item(Bare::String(name)) = member.value && name.to_text() == "a" {
                    seen = number(&member, "r");
                }
            }).expect("a list");
            prop_assert!(seen.is_some_and(|seen| seen <= left), "{merged}");
        }
    }
}
