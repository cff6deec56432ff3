//! The part of SoQL that the stand-in knows.
//!
//! `$limit` (1,000 when absent), `$offset`, `$order` (fields, each `ASC` or `DESC`), `$select` (`*`, `:*`, fields, or
//! `count(*)` with an optional name), and `$where`: comparisons of a field with a text or a number by `=`, `!=`,
//! `<>`, `<`, `<=`, `>`, `>=`, and `IS [NOT] NULL`, joined by `AND` and `OR`, with parentheses. A parameter named like a field compares for
//! equality, as in SODA. Everything else is refused.

use std::cmp::Ordering;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::table::{Row, Table};

mod filter;

use filter::Condition;

/// Why a request is refused, in SODA's words.
#[derive(Debug, PartialEq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) data: Value,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, message: &str) -> Self {
        Self { status, code, message: message.to_owned(), data: json!({}) }
    }

    fn malformed(query: &str, expected: &str) -> Self {
        let message = format!("Could not parse SoQL query \"{query}\": expected {expected}");
        Self {
            data: json!({ "query": query }),
            ..Self::new(StatusCode::BAD_REQUEST, "query.compiler.malformed", &message)
        }
    }

    fn no_such_column(column: &str) -> Self {
        let message = format!("No such column: {column}");
        Self {
            data: json!({ "column": column }),
            ..Self::new(StatusCode::BAD_REQUEST, "query.soql.no-such-column", &message)
        }
    }
}

/// A request that was understood.
#[derive(Debug)]
pub(super) struct Request {
    select: Select,
    conditions: Vec<Condition>,
    order: Vec<(String, Direction)>,
    limit: usize,
    offset: usize,
}

#[derive(Debug)]
enum Select {
    /// All fields of the row, without SODA's own.
    Row,
    /// All fields, SODA's own included.
    RowAndSystem,
    Fields(Vec<String>),
    Count(String),
}

#[derive(Clone, Copy, Debug)]
enum Direction {
    Ascending,
    Descending,
}

/// What a request comes to.
pub(super) enum Answer {
    /// One number.
    Count {
        /// What it is called.
        name: String,
        /// How many rows match.
        count: usize,
    },
    /// Rows as JSON text.
    Rows(Vec<String>),
}

/// SODA's own default.
const LIMIT_DEFAULT: usize = 1_000;

impl Request {
    pub(super) fn parse(raw: &str, table: &Table) -> Result<Self, Problem> {
        let mut request =
            Self { select: Select::Row, conditions: Vec::new(), order: Vec::new(), limit: LIMIT_DEFAULT, offset: 0 };
        // The base is of no interest; it makes a URL of which the query can be taken apart.
        let url = reqwest::Url::parse(&format!("http://stand-in/?{raw}"))
            .map_err(|_| Problem::malformed(raw, "a query string"))?;
        for (name, value) in url.query_pairs() {
            let number = || value.parse().map_err(|_| Problem::malformed(&value, "a whole number"));
            match &*name {
                "$limit" => request.limit = number()?,
                "$offset" => request.offset = number()?,
                "$select" => request.select = Select::parse(&value, table)?,
                "$where" => request.conditions.push(filter::parse(&value, table)?),
                "$order" => request.order = order(&value, table)?,
                other if other.starts_with('$') => {
                    let message = format!("Unrecognized arguments [{other}]");
                    return Err(Problem::new(StatusCode::BAD_REQUEST, "query.unrecognized-argument", &message));
                }
                field => request.conditions.push(Condition::equal(column(field, table)?, &value)),
            }
        }
        Ok(request)
    }

    pub(super) fn run(&self, table: &Table) -> Answer {
        let mut matching = table.rows.iter().filter(|row| self.conditions.iter().all(|condition| condition.holds(row)));
        if let Select::Count(name) = &self.select {
            return Answer::Count { name: name.clone(), count: matching.count() };
        }
        let by_id =
            self.order.iter().all(|(field, direction)| field == ":id" && matches!(direction, Direction::Ascending));
        let rows: Vec<&Row> = if by_id {
            // Rows are kept in this order.
            matching.by_ref().skip(self.offset).take(self.limit).collect()
        } else {
            self.sorted(matching).into_iter().skip(self.offset).take(self.limit).collect()
        };
        Answer::Rows(rows.into_iter().map(|row| self.select.apply(row)).collect())
    }

    fn sorted<'a>(&self, rows: impl Iterator<Item = &'a Row>) -> Vec<&'a Row> {
        if self.order.iter().all(|(field, _)| field.starts_with(':')) {
            // SODA's own fields are at hand and always there.
            let key = |row: &Row, field: &str| row.system(field).unwrap_or_default().to_owned();
            let mut rows: Vec<_> = rows.collect();
            rows.sort_by(|a, b| {
                let by = |(field, direction): &(String, Direction)| direction.of(key(a, field).cmp(&key(b, field)));
                self.order.iter().map(by).find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
            });
            return rows;
        }
        let mut keyed: Vec<_> = rows.map(|row| (row.fields(), row)).collect();
        keyed.sort_by(|(a, _), (b, _)| self.compare(a, b));
        keyed.into_iter().map(|(_, row)| row).collect()
    }

    /// Ties keep the order of `:id`, so that pages fit together.
    fn compare(&self, a: &Map<String, Value>, b: &Map<String, Value>) -> Ordering {
        let by = |field: &String, direction: &Direction| {
            // An absent value sorts last, as in SODA's database.
            let ordering = match (a.get(field), b.get(field)) {
                (Some(a), Some(b)) => filter::compare(a, b),
                (None, Some(_)) => Ordering::Greater,
                (Some(_), None) => Ordering::Less,
                (None, None) => Ordering::Equal,
            };
            direction.of(ordering)
        };
        self.order.iter().map(|(field, direction)| by(field, direction)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
    }
}

impl Direction {
    const fn of(self, ordering: Ordering) -> Ordering {
        match self {
            Self::Ascending => ordering,
            Self::Descending => ordering.reverse(),
        }
    }
}

impl Select {
    fn parse(text: &str, table: &Table) -> Result<Self, Problem> {
        let text = text.trim();
        if let Some(rest) = text.to_ascii_lowercase().strip_prefix("count(*)") {
            let rest = rest.trim();
            let name = rest.strip_prefix("as ").map_or(rest, str::trim);
            let name = if name.is_empty() { "count" } else { name };
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            return if plain { Ok(Self::Count(name.to_owned())) } else { Err(Problem::malformed(text, "a name")) };
        }
        let parts: Vec<_> = text.split(',').map(str::trim).collect();
        match parts.as_slice() {
            ["*"] => Ok(Self::Row),
            [":*", "*"] | ["*", ":*"] => Ok(Self::RowAndSystem),
            fields => fields.iter().map(|field| column(field, table)).collect::<Result<_, _>>().map(Self::Fields),
        }
    }

    fn apply(&self, row: &Row) -> String {
        match self {
            Self::Row | Self::Count(_) => row.json.to_string(),
            Self::RowAndSystem => Value::Object(row.fields()).to_string(),
            Self::Fields(names) => {
                let mut fields = row.fields();
                fields.retain(|name, _| names.contains(name));
                Value::Object(fields).to_string()
            }
        }
    }
}

fn order(text: &str, table: &Table) -> Result<Vec<(String, Direction)>, Problem> {
    let one = |part: &str| {
        let mut words = part.split_whitespace();
        let field = column(words.next().unwrap_or_default(), table)?;
        let direction = match words.next().map(str::to_ascii_uppercase).as_deref() {
            None | Some("ASC") => Direction::Ascending,
            Some("DESC") => Direction::Descending,
            Some(_) => return Err(Problem::malformed(text, "ASC or DESC")),
        };
        if words.next().is_some() { Err(Problem::malformed(text, "a comma")) } else { Ok((field, direction)) }
    };
    text.split(',').map(one).collect()
}

/// The name of a field that the table has.
fn column(name: &str, table: &Table) -> Result<String, Problem> {
    let system = matches!(name, ":id" | ":created_at" | ":updated_at");
    if system || table.fields.contains(name) { Ok(name.to_owned()) } else { Err(Problem::no_such_column(name)) }
}

#[cfg(test)]
mod tests;
