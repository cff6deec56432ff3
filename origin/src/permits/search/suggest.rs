//! What is being typed, completed; and what a misspelt text looks like.
//!
//! A suggestion takes one round trip: the statements that the text may be for are sent together, and each reads a few entries of
//! an index.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::{encode, escaped};
use crate::db::{Databases, ReadOnly, Reader};
use crate::error::Error;
use crate::permits::limits::{
    PLANNING_EXAMINED_MAX, SUGGEST_CHARS_MIN, SUGGEST_ROWS_MAX, SUGGEST_STREETS_MAX, SUGGESTIONS_MAX,
};
use crate::permits::parcel::Parcel;

/// A term that people search for.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Suggestion {
    /// `street`, `neighborhood`, `entity`, `address` or `planning` for a record of the planning department.
    pub(crate) kind: String,
    pub(crate) term: String,
    /// Where it leads.
    pub(crate) href: String,
    /// How many permits have it, as far as they are counted; none of what only the planning department knows.
    pub(crate) permits: i32,
}

/// Terms that begin like `text`, the most used first; none for a text too short.
///
/// # Errors
/// When no connection is free, or the database fails.
pub(crate) async fn suggest(databases: &Databases, text: &str) -> Result<Vec<Suggestion>, Error> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    if text.chars().count() < SUGGEST_CHARS_MIN {
        return Ok(Vec::new());
    }
    databases.read(&Suggest { text }).await
}

/// The terms most like a text that found nothing.
pub(super) async fn similar(reader: &Reader, text: &str) -> Result<Vec<Suggestion>, tokio_postgres::Error> {
    let text = text.to_lowercase();
    // Of an address the street is what can be misspelt, and the house stays.
    let (number, text) = house(&text).unwrap_or(("", &text));
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&text, Type::TEXT), (&SUGGESTIONS_MAX, Type::INT8)];
    let rows = reader.query_typed(SIMILAR, &parameters).await?;
    let found = rows.iter().map(|row| Ok(Suggestion::read(row)?.at_house(number)));
    found.collect()
}

struct Suggest {
    text: String,
}

impl ReadOnly for Suggest {
    type Answer = Vec<Suggestion>;

    async fn read(&self, reader: &Reader) -> Result<Self::Answer, tokio_postgres::Error> {
        let text = self.text.as_str();
        let padded = padded(text);
        let address = house(text);
        let street = address.map_or("", |(_, street)| street);
        let number = address.map_or("", |(number, _)| number);
        let padded_street = self::padded(street);
        // What does not apply to the text asks nothing.
        let (records, mut addresses, more, planned, terms, ordinals) = tokio::try_join!(
            records(reader, text),
            addresses(reader, number, street),
            addresses(reader, number, &padded_street),
            planned(reader, if number.is_empty() { "" } else { text }),
            terms(reader, text),
            terms(reader, &padded),
        )?;
        addresses.extend(more);
        let known: Vec<String> = addresses.iter().map(|known| format!("{} ", known.term.to_lowercase())).collect();
        let is_new = |planned: &Suggestion| {
            let term = format!("{} ", planned.term.to_lowercase());
            !known.iter().any(|known| term.starts_with(known.as_str()))
        };
        let planned = planned.into_iter().filter(is_new);
        let found = records.into_iter().chain(addresses).chain(planned).chain(terms).chain(ordinals);
        Ok(found.take(SUGGESTIONS_MAX as usize).collect())
    }
}

/// Streets, neighborhoods, people and firms.
async fn terms(reader: &Reader, text: &str) -> Result<Vec<Suggestion>, tokio_postgres::Error> {
    ask(reader, &SUGGEST, text, &[(&begins(text), Type::TEXT), (&first(text), Type::TEXT)]).await
}

/// The house on streets that begin like this, where permits are.
async fn addresses(reader: &Reader, number: &str, street: &str) -> Result<Vec<Suggestion>, tokio_postgres::Error> {
    let parameters: [(&(dyn ToSql + Sync), Type); 3] =
        [(&begins(street), Type::TEXT), (&first(street), Type::TEXT), (&number, Type::TEXT)];
    ask(reader, &ADDRESSES, street, &parameters).await
}

/// Addresses of records of the planning department.
async fn planned(reader: &Reader, text: &str) -> Result<Vec<Suggestion>, tokio_postgres::Error> {
    ask(reader, &PLANNED, text, &[(&begins(text), Type::TEXT)]).await
}

/// Records of the planning department whose number begins like this.
async fn records(reader: &Reader, text: &str) -> Result<Vec<Suggestion>, tokio_postgres::Error> {
    let is_number = text.bytes().take(RECORD_YEAR).filter(u8::is_ascii_digit).count() == RECORD_YEAR
        && text.as_bytes().get(RECORD_YEAR).is_some_and(|byte| b"-.".contains(byte));
    let text = if is_number { text } else { "" };
    ask(reader, RECORDS, text, &[(&begins(&text.to_uppercase()), Type::TEXT)]).await
}

/// Digits of the year that a record's number begins with.
const RECORD_YEAR: usize = 4;

/// Asks for suggestions, with their number as the last parameter; for no or too short a text there are none.
async fn ask(
    reader: &Reader,
    statement: &str,
    text: &str,
    parameters: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Vec<Suggestion>, tokio_postgres::Error> {
    if text.chars().count() < SUGGEST_CHARS_MIN {
        return Ok(Vec::new());
    }
    let mut parameters = parameters.to_vec();
    parameters.push((&SUGGESTIONS_MAX, Type::INT8));
    reader.query_typed(statement, &parameters).await?.iter().map(Suggestion::read).collect()
}

/// A pattern for LIKE.
fn begins(text: &str) -> String {
    format!("{}%", escaped(text))
}

/// As much of it as the index of the most used terms holds.
fn first(text: &str) -> String {
    text.chars().take(SUGGEST_CHARS_MIN).collect()
}

/// A house number and how a street begins: `1455 mar`.
fn house(text: &str) -> Option<(&str, &str)> {
    let (number, street) = text.split_once(' ')?;
    let is_number = (1..=5).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some((number, street))
}

/// How the city writes an ordinal of one digit: `2nd` is `02nd`. Empty where there is none.
fn padded(text: &str) -> String {
    match text.as_bytes() {
        [b'1'..=b'9', letter, ..] if letter.is_ascii_alphabetic() => format!("0{text}"),
        _ => String::new(),
    }
}

impl Suggestion {
    /// What it is, in words for a page.
    pub(crate) fn words(&self) -> &'static str {
        match self.kind.as_str() {
            "street" => "street",
            "neighborhood" => "neighborhood",
            "entity" => "person or firm",
            "planning" => "planning record",
            _ => "address",
        }
    }

    /// A street with the house number that was asked for; nobody has counted its permits.
    fn at_house(self, number: &str) -> Self {
        if number.is_empty() || self.kind != "street" {
            return self;
        }
        let term = format!("{number} {}", self.term);
        Self { kind: "address".to_owned(), href: format!("/search?q={}", encode(&term)), term, permits: 0 }
    }

    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let (kind, term, target): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let parcel = target.split_once('/').and_then(|(block, lot)| Parcel::parse(block, lot).ok());
        let href = match (kind.as_str(), parcel) {
            ("entity", _) => format!("/firm/{target}"),
            ("address" | "planning", Some(parcel)) => parcel.path(),
            _ => format!("/search?q={}", encode(&term)),
        };
        Ok(Self { kind, term, href, permits: row.try_get(3)? })
    }
}

/// `$1`: the beginning of a term, as a LIKE pattern; `$2`: its first [`SUGGEST_CHARS_MIN`] characters; `$3`: how many. The
/// most used ones: a common beginning is found among the most used of its first characters, a rare one among all terms.
static SUGGEST: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT kind, term, target, weight FROM search_terms
         WHERE left(lower(term), {SUGGEST_CHARS_MIN}) = $2 AND lower(term) LIKE $1
         ORDER BY weight DESC, term, target LIMIT $3"
    )
});

/// `$1` and `$2`: the beginning of a street, as there; `$3`: the house number; `$4`: how many. A term is the street's name with its
/// suffix, and the index holds the name.
static ADDRESSES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH streets AS MATERIALIZED (
            SELECT term FROM search_terms
             WHERE left(lower(term), {SUGGEST_CHARS_MIN}) = $2 AND lower(term) LIKE $1 AND kind = 'street'
             ORDER BY weight DESC, term, target LIMIT {SUGGEST_STREETS_MAX}
        )
        SELECT 'address', $3 || ' ' || term, '', permits FROM streets CROSS JOIN LATERAL (
            SELECT count(DISTINCT permit_number)::int4 AS permits FROM (
                SELECT permit_number FROM permits
                 WHERE lower(street_name) = ANY (ARRAY[lower(term), lower(regexp_replace(term, ' [^ ]+$', ''))])
                   AND street_number = $3 AND lower(concat_ws(' ', street_name, street_suffix)) = lower(term)
                 LIMIT {SUGGEST_ROWS_MAX}) here) known
         WHERE permits > 0 ORDER BY permits DESC, term LIMIT $4"
    )
});

/// `$1`: the beginning of an address, as a LIKE pattern; `$2`: how many.
static PLANNED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT 'address', min(btrim(address)), block || '/' || lot, 0 FROM (
            SELECT address, block, lot FROM planning_records
             WHERE planning_address(address) LIKE $1 AND block IS NOT NULL AND lot IS NOT NULL
             LIMIT {PLANNING_EXAMINED_MAX}) known
         GROUP BY planning_address(address), block, lot ORDER BY 2, 3 LIMIT $2"
    )
});

/// `$1`: the beginning of a record's number, as a LIKE pattern; `$2`: how many.
const RECORDS: &str = "SELECT 'planning', record_id, coalesce(block || '/' || lot, ''), 0 FROM planning_records
    WHERE upper(record_id) LIKE $1 ORDER BY upper(record_id) USING ~<~ LIMIT $2";

/// `$1`: a text in lower case that may be misspelt. The terms most like it.
const SIMILAR: &str = "SELECT kind, term, target, weight FROM search_terms
    WHERE lower(term) % $1 ORDER BY similarity(lower(term), $1) DESC, weight DESC, term LIMIT $2";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn houses_and_ordinals_are_told() {
        for (text, expected) in [
            ("1455 mar", Some(("1455", "mar"))),
            ("235 2nd st", Some(("235", "2nd st"))),
            ("1455", None),
            ("123456 mar", None),
            ("1455a mar", None),
            ("market st", None),
        ] {
            assert_eq!(house(text), expected, "{text}");
        }
        for (text, expected) in
            [("2nd st", "02nd st"), ("02nd", ""), ("11th", ""), ("9t", "09t"), ("mar", ""), ("2 m", "")]
        {
            assert_eq!(padded(text), expected, "{text}");
        }
    }
}
