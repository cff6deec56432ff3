//! Conditions as Postgres prints them in a plan: which expressions of a table are compared with what.
//!
//! Every operator stands in parentheses there, `((p.block = $1) AND (p.lot = ANY ($2)))`, so a condition is taken apart
//! without knowing SQL's precedences. What is not understood is left out.

/// `left operator right`, without the parentheses around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Comparison<'a> {
    pub(super) left: &'a str,
    pub(super) operator: &'a str,
    pub(super) right: &'a str,
}

/// The comparisons that a condition consists of. With `alternatives` those within OR count too.
pub(super) fn comparisons(condition: &str, alternatives: bool) -> Vec<Comparison<'_>> {
    let mut found = Vec::new();
    collect(condition, alternatives, &mut found);
    found
}

fn collect<'a>(condition: &'a str, alternatives: bool, found: &mut Vec<Comparison<'a>>) {
    let condition = bare(condition);
    for (joint, follow) in [(" AND ", true), (" OR ", alternatives)] {
        let parts = split(condition, joint);
        if parts.len() > 1 {
            if follow {
                parts.into_iter().for_each(|part| collect(part, alternatives, found));
            }
            return;
        }
    }
    let comparison = OPERATORS.iter().find_map(|operator| {
        let spaced = [" ", operator, " "].concat();
        let [left, right] = split(condition, &spaced)[..] else { return None };
        Some(Comparison { left, operator, right })
    });
    found.extend(comparison);
}

/// The parameters that a side of a comparison stands for, and whether each is an array of such values.
pub(super) fn parameters(side: &str) -> Vec<(usize, bool)> {
    let side = bare(side);
    if let Some(list) = side.strip_prefix("ANY ").map(bare) {
        if let Some(elements) = list.strip_prefix("ARRAY[").and_then(|rest| rest.split_once(']')).map(|parts| parts.0) {
            return elements.split(", ").filter_map(parameter).map(|number| (number, false)).collect();
        }
        return parameter(list).map(|number| (number, true)).into_iter().collect();
    }
    parameter(side).map(|number| (number, false)).into_iter().collect()
}

/// What `COALESCE(expression, $1)` has instead of which expressions, wherever it stands.
pub(super) fn coalesced(text: &str) -> Vec<(&str, usize)> {
    let calls = text.match_indices(COALESCE).filter_map(|(at, _)| {
        let arguments = &text[at + COALESCE.len()..];
        let mut depth = 0_i32;
        let end = outside_quotes(arguments).find_map(|(at, letter)| {
            depth += i32::from(letter == '(') - i32::from(letter == ')');
            (depth < 0).then_some(at)
        })?;
        let [expression, otherwise] = split(&arguments[..end], ", ")[..] else { return None };
        Some((expression, parameter(otherwise)?))
    });
    calls.collect()
}

const COALESCE: &str = "COALESCE(";

/// `$1`, `($1)`, `($1)::text` and the like.
fn parameter(text: &str) -> Option<usize> {
    let value = text.split_once("::").map_or(text, |(value, _)| value);
    bare(value).strip_prefix('$')?.parse().ok()
}

/// The aliases of tables that an expression names; `None` when it has parts that are no expression of columns.
pub(super) fn aliases(expression: &str) -> Option<Vec<&str>> {
    if ["$", "SubPlan", "InitPlan", "'"].iter().any(|sign| expression.contains(sign)) {
        return None;
    }
    let is_name = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '.' | '"');
    let words = expression.split(|letter| !is_name(letter));
    let mut aliases: Vec<_> =
        words.filter_map(|word| word.split_once('.')).map(|(alias, _)| alias.trim_matches('"')).collect();
    aliases.dedup();
    Some(aliases)
}

/// Without parentheses around the whole.
fn bare(text: &str) -> &str {
    let text = text.trim();
    let Some(inner) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) else { return text };
    // `(a) AND (b)` begins and ends with one, and they do not belong together.
    let mut depth = 0_i32;
    for (_, letter) in outside_quotes(inner) {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        if depth < 0 {
            return text;
        }
    }
    bare(inner)
}

/// The parts between those `separator`s that stand in no parentheses and no quotes.
fn split<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0_i32);
    for (at, letter) in outside_quotes(text) {
        depth += i32::from(matches!(letter, '(' | '[')) - i32::from(matches!(letter, ')' | ']'));
        if depth == 0 && at >= from && text[at..].starts_with(separator) {
            parts.push(&text[from..at]);
            from = at + separator.len();
        }
    }
    parts.push(&text[from..]);
    parts
}

/// Letters outside strings and quoted names, with their places.
fn outside_quotes(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut quote = None;
    text.char_indices().filter(move |(_, letter)| match quote {
        Some(open) => {
            if *letter == open {
                quote = None;
            }
            false
        }
        None if matches!(letter, '\'' | '"') => {
            quote = Some(*letter);
            false
        }
        None => true,
    })
}

/// Operators of which both sides are values of one kind.
const OPERATORS: [&str; 9] = ["=", "<>", "<=", ">=", "<", ">", "~~", "~~*", "%"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_come_apart() {
        for (condition, expect) in [
            ("(p.block = $1)", &[("p.block", "=", "$1")][..]),
            (
                "((p.block = $1) AND ((p.lot)::text = ($2)::text))",
                &[("p.block", "=", "$1"), ("(p.lot)::text", "=", "($2)::text")],
            ),
            ("(lower(p.a) = ANY ($1))", &[("lower(p.a)", "=", "ANY ($1)")]),
            ("((p.a = 'x AND (y') AND (p.b >= $2))", &[("p.a", "=", "'x AND (y'"), ("p.b", ">=", "$2")]),
            ("(p.\"a = b\" = $1)", &[("p.\"a = b\"", "=", "$1")]),
            ("(NOT p.done)", &[]),
            ("(p.a IS NOT NULL)", &[]),
            ("(p.a = $1) AND (p.b = $2)", &[("p.a", "=", "$1"), ("p.b", "=", "$2")]),
            ("", &[]),
            ("((", &[]),
            ("))", &[]),
        ] {
            let found: Vec<_> =
                comparisons(condition, false).into_iter().map(|c| (c.left, c.operator, c.right)).collect();
            assert_eq!(found, expect, "{condition}");
        }
    }

    #[test]
    fn alternatives_count_when_asked_for() {
        let condition = "((p.a = $1) OR (p.b = $2))";
        assert_eq!(comparisons(condition, false), []);
        assert_eq!(comparisons(condition, true).len(), 2);
    }

    #[test]
    fn sides_are_parameters_or_not() {
        for (side, expect) in [
            ("$3", &[(3, false)][..]),
            ("($3)::text", &[(3, false)]),
            ("ANY ($3)", &[(3, true)]),
            ("ANY (($3)::text[])", &[(3, true)]),
            ("ANY (ARRAY[$3, $4])", &[(3, false), (4, false)]),
            ("ANY (ARRAY[($3)::text])", &[(3, false)]),
            ("p.a", &[]),
            ("($1 || 'x')", &[]),
        ] {
            assert_eq!(parameters(side), expect, "{side}");
        }
    }

    #[test]
    fn what_stands_for_nothing_is_found() {
        for (text, expect) in [
            ("COALESCE(p.a, $3) DESC", &[("p.a", 3)][..]),
            ("(COALESCE(lower(p.a), ($3)::text) = COALESCE(p.b, 'x, (y'))", &[("lower(p.a)", 3)]),
            ("COALESCE(p.a, p.b, $3)", &[]),
            ("COALESCE(p.a", &[]),
        ] {
            assert_eq!(coalesced(text), expect, "{text}");
        }
    }

    #[test]
    fn an_expression_names_its_tables() {
        assert_eq!(aliases("lower(p.name)"), Some(vec!["p"]));
        assert_eq!(aliases("(p.a + q.b)"), Some(vec!["p", "q"]));
        assert_eq!(aliases("COALESCE(p.a, $3)"), None);
    }
}
