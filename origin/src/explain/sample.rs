//! Values to execute a statement with, although `pg_stat_statements` keeps none.
//!
//! # Design
//! A parameter that a plan compares with a column, or takes in its stead (`COALESCE(filed_date, $1)`), gets what a row of that column's table has there. All parameters of one
//! table get the values of one row, so that a block and a lot are those of one parcel. What stands after LIMIT and OFFSET
//! gets a page's worth. A parameter that stands anywhere else (in an interval, in a text search) has no value that one
//! could know, and its statement is not executed: what a guess costs says nothing of what visitors pay.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::condition::{aliases, coalesced, comparisons, parameters};
use super::plan::Plan;

/// A value for one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    /// As SQL writes it.
    pub(super) literal: String,
    /// Where it is from.
    pub(super) source: String,
}

/// Values by the numbers of their parameters; those that nothing is known of are missing.
pub(super) async fn values(
    client: &Client,
    plan: &Plan,
    sql: &str,
) -> Result<BTreeMap<usize, Value>, tokio_postgres::Error> {
    let mut values = pages(sql);
    for (alias, wanted) in wanted(plan) {
        let Some(table) = wanted.table else { continue };
        let expressions: Vec<_> = wanted.expressions.keys().collect();
        let selected: Vec<_> = expressions
            .iter()
            .map(|expression| format!("quote_literal(({expression})::text), quote_literal(ARRAY[{expression}]::text)"))
            .collect();
        let present: Vec<_> = expressions.iter().map(|expression| format!("({expression}) IS NOT NULL")).collect();
        let row =
            format!("SELECT {} FROM {table} AS {alias} WHERE {} LIMIT 1", selected.join(", "), present.join(" AND "));
        let rows = client.query_typed(&row, &[]).await?;
        // A table without such a row has no value either.
        let Some(row) = rows.first() else { continue };
        for (place, expression) in expressions.into_iter().enumerate() {
            for (number, is_array) in &wanted.expressions[expression] {
                let literal: String = row.try_get(2 * place + usize::from(*is_array))?;
                values.insert(*number, Value { literal, source: format!("a row's {expression}") });
            }
        }
    }
    Ok(values)
}

/// What is wanted of one table.
#[derive(Debug, Default)]
struct Wanted {
    table: Option<String>,
    /// Parameters that each expression is compared with, and whether as arrays.
    expressions: BTreeMap<String, Vec<(usize, bool)>>,
}

/// By the table's alias.
fn wanted(plan: &Plan) -> BTreeMap<String, Wanted> {
    let mut by_alias: BTreeMap<String, Wanted> = BTreeMap::new();
    plan.root.visit(&mut |node| {
        if let (Some(alias), table @ Some(_)) = (&node.alias, node.table()) {
            by_alias.entry(alias.clone()).or_default().table = table;
        }
        for (expression, number) in node.texts().flat_map(|text| coalesced(text)) {
            if let Some([alias]) = aliases(expression).as_deref() {
                let wanted = by_alias.entry((*alias).to_owned()).or_default();
                wanted.expressions.entry(expression.to_owned()).or_default().push((number, false));
            }
        }
        for comparison in node.conditions().flat_map(|condition| comparisons(condition, true)) {
            for (expression, other) in [(comparison.left, comparison.right), (comparison.right, comparison.left)] {
                let numbers = parameters(other);
                if let (false, Some([alias])) = (numbers.is_empty(), aliases(expression).as_deref()) {
                    let wanted = by_alias.entry((*alias).to_owned()).or_default();
                    wanted.expressions.entry(expression.to_owned()).or_default().extend(numbers);
                }
            }
        }
    });
    by_alias.retain(|_, wanted| !wanted.expressions.is_empty());
    by_alias
}

/// The statement with types where Postgres would guess none or where `pg_stat_statements` left what is no SQL: it writes
/// `LIMIT 10 + 1` as `LIMIT $1 + $2`, `interval '1 day'` as `interval $1` and `extract(year FROM d)` as
/// `extract($1 FROM d)`.
pub(super) fn typed(sql: &str) -> String {
    let mut typed = sql.to_owned();
    // From the end, so that places before stay as they are.
    for place in parameters_of(sql).into_iter().rev() {
        match place.role {
            Role::Page(_) => typed.insert_str(place.end, "::int8"),
            Role::Typed(word) => {
                let name = sql[word..place.start].trim_end();
                typed.replace_range(word..place.end, &format!("{}::{name}", &sql[place.start..place.end]));
            }
            Role::Field { call, from } => {
                typed.replace_range(call..from, &format!("date_part({}::text,", &sql[place.start..place.end]));
            }
            Role::Other => {}
        }
    }
    typed
}

/// Values for what stands after LIMIT and OFFSET, and for the names of parts of dates.
fn pages(sql: &str) -> BTreeMap<usize, Value> {
    let known = |place: Place| {
        let (literal, source) = match place.role {
            Role::Page(rows) => (rows.to_string(), "a page"),
            Role::Field { .. } => ("'year'".to_owned(), "some part of a date"),
            Role::Typed(_) | Role::Other => return None,
        };
        Some((place.number, Value { literal, source: source.to_owned() }))
    };
    parameters_of(sql).into_iter().filter_map(known).collect()
}

/// Where a parameter stands in a statement.
#[derive(Clone, Copy, Debug)]
struct Place {
    number: usize,
    start: usize,
    end: usize,
    role: Role,
}

/// What the words before a parameter say of it.
#[derive(Clone, Copy, Debug)]
enum Role {
    /// So many rows of a page.
    Page(u32),
    /// A constant of the type whose name begins at this place.
    Typed(usize),
    /// The name of a part of a date: the place of `extract` and the end of `FROM`.
    Field {
        call: usize,
        from: usize,
    },
    Other,
}

fn parameters_of(sql: &str) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for (start, _) in sql.match_indices('$') {
        let digits = sql[start + 1..].bytes().take_while(u8::is_ascii_digit).count();
        let end = start + 1 + digits;
        let Ok(number) = sql[start + 1..end].parse() else { continue };
        let before = sql[..start].trim_end();
        let word = before.rfind(|letter: char| !letter.is_ascii_alphanumeric()).map_or(0, |at| at + 1);
        let follows = places.last().filter(|last| sql[last.end..start].trim() == "+").map(|last| last.role);
        let role = match (before[word..].to_ascii_uppercase().as_str(), follows) {
            ("LIMIT", _) => Role::Page(LIMIT),
            ("OFFSET", _) => Role::Page(0),
            ("INTERVAL" | "DATE" | "TIMESTAMP" | "TIMESTAMPTZ", _) => Role::Typed(word),
            ("", Some(Role::Page(_))) => Role::Page(1),
            _ => field(sql, before, end).unwrap_or(Role::Other),
        };
        places.push(Place { number, start, end, role });
    }
    places
}

/// `extract(`, the parameter that ends at `end`, ` FROM`.
fn field(sql: &str, before: &str, end: usize) -> Option<Role> {
    let call = before.strip_suffix('(')?.trim_end();
    let call = call.len().checked_sub(EXTRACT.len()).filter(|at| call.is_char_boundary(*at))?;
    let after = sql[end..].trim_start();
    let from = sql.len() - after.len() + FROM.len();
    let named = before.get(call..call + EXTRACT.len()).is_some_and(|name| name.eq_ignore_ascii_case(EXTRACT));
    let followed = after.get(..FROM.len()).is_some_and(|word| word.eq_ignore_ascii_case(FROM));
    (named && followed).then_some(Role::Field { call, from })
}

const EXTRACT: &str = "extract";
const FROM: &str = "from";

/// Rows of a page.
const LIMIT: u32 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_a_size_and_constants_a_type() {
        for (sql, expect, with_types) in [
            ("SELECT * FROM t LIMIT $1", &[(1, "50")][..], "SELECT * FROM t LIMIT $1::int8"),
            (
                "SELECT * FROM (SELECT 1 LIMIT $2 + $3) a OFFSET $4",
                &[(2, "50"), (3, "1"), (4, "0")],
                "SELECT * FROM (SELECT 1 LIMIT $2::int8 + $3::int8) a OFFSET $4::int8",
            ),
            ("SELECT now() - interval $1, DATE  $2", &[], "SELECT now() - $1::interval, $2::DATE"),
            ("SELECT $1 + $2, a$", &[], "SELECT $1 + $2, a$"),
            ("SELECT Extract($1 FROM d)::text", &[(1, "'year'")], "SELECT date_part($1::text, d)::text"),
            ("SELECT f($1 FROM d), ($2)", &[], "SELECT f($1 FROM d), ($2)"),
            ("SELECT * FROM t LIMIT", &[], "SELECT * FROM t LIMIT"),
        ] {
            let found: Vec<_> = pages(sql).into_iter().map(|(number, value)| (number, value.literal)).collect();
            let expect: Vec<_> = expect.iter().map(|(number, literal)| (*number, (*literal).to_owned())).collect();
            assert_eq!(found, expect, "{sql}");
            assert_eq!(typed(sql), with_types);
        }
    }

    #[test]
    fn parameters_of_a_table_are_wanted_of_one_row() {
        let plan = serde_json::json!([{ "Plan": {
            "Node Type": "Nested Loop", "Join Filter": "(q.n > $4)",
            "Plans": [
                { "Node Type": "Index Scan", "Schema": "public", "Relation Name": "permits", "Alias": "p",
                  "Index Cond": "((p.block = ANY ($1)) AND (p.lot = $2))", "Filter": "(coalesce(p.a, $3) = 'x')" },
                { "Node Type": "Seq Scan", "Relation Name": "Odd", "Alias": "q" },
            ],
        }}]);
        let wanted = wanted(&Plan::read(plan));
        let found: Vec<_> = wanted
            .iter()
            .flat_map(|(alias, wanted)| {
                wanted.expressions.iter().map(move |(expression, numbers)| {
                    (alias.as_str(), wanted.table.as_deref().unwrap_or_default(), expression.as_str(), numbers.clone())
                })
            })
            .collect();
        assert_eq!(
            found,
            [
                ("p", "public.permits", "p.block", vec![(1, true)]),
                ("p", "public.permits", "p.lot", vec![(2, false)]),
                ("q", "\"Odd\"", "q.n", vec![(4, false)]),
            ]
        );
    }
}
