//! Search: one box for everything a person may have at hand.
//!
//! [`query`] reads the text into look-ups; `find` asks the database for each in turn until one finds something.
//! Every look-up is one statement that uses an index and gives the page of hits together with their number.

pub mod query;
mod sql;
mod street;

use futures_util::{Stream, StreamExt as _};
use jiff::civil::DateTime;
use schemars::JsonSchema;
use serde::Serialize;
use tokio_postgres::types::{ToSql, Type};

use self::query::{Kind, Lookup, Query, Street};
use self::sql::Statements;
use super::limits::{PAGE_MAX, PAGE_SIZE};
use super::parcel::Parcel;
use super::record::Permit;
use crate::db::{Databases, ReadOnly, Reader};
use crate::error::Error;

/// Which page of results: from 1 to [`PAGE_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page(u32);

impl Page {
    /// The first page.
    pub const FIRST: Self = Self(1);

    /// Reads a page number: `3` is one, `0`, `401` and `x` are none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| text.parse().ok())??;
        (1..=PAGE_MAX).contains(&number).then_some(Self(number))
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }

    fn offset(self) -> u32 {
        (self.0 - 1) * PAGE_SIZE
    }
}

/// One page of what a search found.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Found {
    /// What was looked up.
    pub(crate) query: String,
    /// The kind that matched; `None` when nothing did.
    pub(crate) kind: Option<Kind>,
    /// The closest kind the text could have meant, when that found nothing and a later one did.
    pub(crate) instead_of: Option<Kind>,
    pub(crate) page: u32,
    pub(crate) page_size: u32,
    /// Permits found on all pages.
    pub(crate) total: i64,
    /// Whether there may be more than `total`, because the name fits more contacts than are looked at.
    pub(crate) total_is_at_least: bool,
    /// The last page that can be asked for.
    pub(crate) pages: u32,
    /// Whether the street's suffix had to be ignored to find anything.
    pub(crate) suffix_ignored: bool,
    /// The report of the parcel that was looked up, even when no permit is on it.
    pub(crate) report: Option<String>,
    pub(crate) results: Vec<Hit>,
}

/// One permit with every address it was granted for.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Hit {
    pub(crate) permit_number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) permit_type_definition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filed_date: Option<DateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) issued_date: Option<DateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) completed_date: Option<DateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) estimated_cost: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revised_cost: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    /// The person or firm that matched, for a search by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) matched: Option<String>,
    pub(crate) addresses: Vec<Place>,
}

/// One address of a permit, and the report of its parcel.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Place {
    pub(crate) record_id: String,
    pub(crate) address: String,
    pub(crate) block: Option<String>,
    pub(crate) lot: Option<String>,
    /// Where the parcel's report is; `None` when the row names no parcel.
    pub(crate) report: Option<String>,
}

/// Borrows a connection and looks the text up.
///
/// # Errors
/// 404 for a page past the last one; otherwise when no connection is free, or the database fails.
pub(crate) async fn find(databases: &Databases, query: &Query, page: Page) -> Result<Found, Error> {
    let found = databases.read(&Search { query, page }).await?;
    if found.total > 0 && found.results.is_empty() {
        return Err(Error::not_found(format!("This search has {} pages.", found.pages)));
    }
    Ok(found)
}

/// One search.
struct Search<'a> {
    query: &'a Query,
    page: Page,
}

impl ReadOnly for Search<'_> {
    type Answer = Found;

    /// Looks the text up. Costs one round trip for each look-up tried: one, mostly; five at most.
    async fn read(&self, reader: &Reader) -> Result<Found, tokio_postgres::Error> {
        let Self { query, page } = *self;
        let mut found = Found {
            query: query.text.clone(),
            kind: None,
            instead_of: None,
            page: page.number(),
            page_size: PAGE_SIZE,
            total: 0,
            total_is_at_least: false,
            pages: 0,
            suffix_ignored: false,
            report: query.lookups.iter().find_map(|lookup| match lookup {
                Lookup::Parcel(parcel) => Some(parcel.path()),
                _ => None,
            }),
            results: Vec::new(),
        };
        for lookup in &query.lookups {
            let hits = ask(reader, lookup, page).await?;
            if hits.total > 0 {
                let closest = query.lookups.first().map(Lookup::kind);
                found.kind = Some(lookup.kind());
                found.instead_of = closest.filter(|closest| *closest != lookup.kind());
                found.suffix_ignored = lookup.ignores_suffix_of(query.lookups.first());
                found.total = hits.total;
                found.total_is_at_least = hits.capped;
                found.pages = pages(hits.total);
                found.results = hits.results;
                break;
            }
        }
        Ok(found)
    }
}

fn pages(total: i64) -> u32 {
    let pages = u64::try_from(total).unwrap_or(0).div_ceil(u64::from(PAGE_SIZE));
    u32::try_from(pages).map_or(PAGE_MAX, |pages| pages.min(PAGE_MAX))
}

/// What one look-up found.
struct Hits {
    total: i64,
    capped: bool,
    results: Vec<Hit>,
}

/// A value for a statement, and its type.
type Parameter = (Box<dyn ToSql + Send + Sync>, Type);

fn text(text: String) -> Parameter {
    (Box::new(text), Type::TEXT)
}

fn texts(texts: &[impl ToString]) -> Parameter {
    (Box::new(texts.iter().map(ToString::to_string).collect::<Vec<_>>()), Type::TEXT_ARRAY)
}

/// The statements for a look-up, and what they take from `$3` on.
fn prepare(lookup: &Lookup) -> (&'static Statements, Vec<Parameter>) {
    let on = |street: &Street| vec![texts(&street.all_names()), texts(&street.suffixes), texts(&street.whole)];
    match lookup {
        Lookup::PermitNumber(number) => (&sql::BY_PERMIT_NUMBER, vec![text(number.clone())]),
        Lookup::Parcel(parcel) => {
            (&sql::BY_PARCEL, vec![texts(&parcel.block_spellings()), texts(&parcel.lot_spellings())])
        }
        Lookup::Address { number, street } => {
            (&sql::BY_ADDRESS, on(street).into_iter().chain([text(number.clone())]).collect())
        }
        Lookup::Street(street) => (&sql::BY_STREET, on(street)),
        Lookup::Name(words) => (&sql::BY_NAME, vec![text(pattern(words))]),
    }
}

async fn ask(reader: &Reader, lookup: &Lookup, page: Page) -> Result<Hits, tokio_postgres::Error> {
    let (limit, offset) = (i64::from(PAGE_SIZE), i64::from(page.offset()));
    let (statements, further) = prepare(lookup);
    let mut parameters: Vec<(&(dyn ToSql + Sync), Type)> = vec![(&limit, Type::INT8), (&offset, Type::INT8)];
    parameters.extend(further.iter().map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone())));
    let rows = reader.query_typed(&statements.page, &parameters).await?;
    let mut hits = Hits { total: 0, capped: false, results: Vec::new() };
    for row in &rows {
        hits.total = row.try_get(0)?;
        hits.capped = row.try_get(1)?;
        // A page past the last one is a single row that holds the total alone.
        if row.try_get::<_, Option<&str>>(3)?.is_some() {
            add(&mut hits.results, row.try_get(2)?, Permit::read(row, 3)?);
        }
    }
    Ok(hits)
}

/// Everything that a query finds, row by row, with the name that matched: at most `limit` rows of the first look-up that
/// finds any. Only a few rows are in memory at a time.
pub(crate) async fn all(
    client: &tokio_postgres::Client,
    query: &Query,
    limit: i64,
) -> Result<
    Option<impl Stream<Item = Result<(Option<String>, Permit), tokio_postgres::Error>> + use<>>,
    tokio_postgres::Error,
> {
    for lookup in &query.lookups {
        let (statements, further) = prepare(lookup);
        let bounds = [limit, 0].map(|bound| -> Parameter { (Box::new(bound), Type::INT8) });
        let parameters = bounds.into_iter().chain(further);
        let rows = client.query_typed_raw(&statements.all, parameters).await?;
        let mut rows = Box::pin(rows.peekable());
        if rows.as_mut().peek().await.is_some() {
            return Ok(Some(rows.map(|row| row.and_then(|row| Ok((row.try_get(0)?, Permit::read(&row, 1)?))))));
        }
    }
    Ok(None)
}

/// Adds a row to the hit it belongs to; rows of one permit follow each other.
fn add(results: &mut Vec<Hit>, matched: Option<String>, row: Permit) {
    let parcel = row.block.as_deref().zip(row.lot.as_deref());
    let parcel = parcel.and_then(|(block, lot)| Parcel::parse(block, lot).ok());
    let place = Place {
        record_id: row.record_id.clone(),
        address: row.address(),
        block: row.block.clone(),
        lot: row.lot.clone(),
        report: parcel.map(|parcel| parcel.path()),
    };
    match results.last_mut() {
        Some(hit) if hit.permit_number == row.permit_number => hit.addresses.push(place),
        _ => results.push(Hit {
            permit_number: row.permit_number,
            permit_type_definition: row.permit_type_definition,
            status: row.status,
            filed_date: row.filed_date,
            issued_date: row.issued_date,
            completed_date: row.completed_date,
            estimated_cost: row.estimated_cost,
            revised_cost: row.revised_cost,
            description: row.description,
            matched,
            addresses: vec![place],
        }),
    }
}

/// The words in this order with anything between them, for LIKE.
fn pattern(words: &[String]) -> String {
    let mut pattern = String::from("%");
    for word in words {
        for c in word.chars() {
            if matches!(c, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push('%');
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_numbers_are_bounded() {
        for (text, expected) in [
            ("1", Some(1)),
            ("400", Some(PAGE_MAX)),
            ("401", None),
            ("0", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.0", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(Page::parse(text).map(Page::number), expected, "{text}");
        }
    }

    #[test]
    fn the_number_of_pages_is_what_can_be_asked_for() {
        for (total, expected) in [(0, 0), (1, 1), (25, 1), (26, 2), (10_000, 400), (10_001, 400), (i64::MAX, 400)] {
            assert_eq!(pages(total), expected, "{total}");
        }
    }

    #[test]
    fn wildcards_in_a_name_are_letters() {
        let words = ["50%", "a_b", "c\\"].map(str::to_owned);
        assert_eq!(pattern(&words), "%50\\%%a\\_b%c\\\\%");
    }

    #[test]
    fn rows_of_one_permit_become_one_hit() {
        let row = |number: &str, record: &str, lot: Option<&str>| Permit {
            permit_number: number.into(),
            record_id: record.into(),
            block: Some("3507".into()),
            lot: lot.map(Into::into),
            ..Permit::default()
        };
        let mut hits = Vec::new();
        for row in [row("1", "a", Some("004")), row("1", "b", None), row("2", "c", Some("odd"))] {
            add(&mut hits, None, row);
        }
        let shown: Vec<_> = hits
            .iter()
            .map(|hit| {
                (hit.permit_number.as_str(), hit.addresses.iter().map(|a| a.report.as_deref()).collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(shown, [("1", vec![Some("/report/3507/004"), None]), ("2", vec![None])]);
    }
}
