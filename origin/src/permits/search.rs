//! Search: one box for everything a person may have at hand.
//!
//! [`query`] reads the text into look-ups; `find` asks the database for each in turn until one finds something.
//! Every look-up is one statement that uses an index and gives the page of hits together with their number; what the planning
//! department has is asked for beside it, in the same round trip.

mod neighborhood;
mod part;
mod planning;
pub mod query;
mod sql;
mod street;
mod suggest;

use bytes::BytesMut;
use futures_util::{Stream, StreamExt as _};
use jiff::civil::DateTime;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::types::{IsNull, ToSql, Type};

pub use self::part::{Cursor, Part};
pub(crate) use self::planning::Planned;
use self::query::{Kind, Lookup, Query, Street};
use self::sql::Statements;
pub(crate) use self::street::AFTER_STREET;
pub(crate) use self::suggest::{Suggestion, suggest};
use super::limits::{PAGE_ROWS_MAX, PAGE_SIZE};
use super::parcel::Parcel;
use super::record::Permit;
use crate::db::{Databases, ReadOnly, Reader};
use crate::error::Error;

/// One page of what a search found.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Found {
    /// What was looked up.
    pub(crate) query: String,
    /// The kind that matched; `None` when nothing did.
    pub(crate) kind: Option<Kind>,
    /// The closest kind the text looked like, when that found nothing and a later one did. Any words may be a street.
    pub(crate) instead_of: Option<Kind>,
    pub(crate) page_size: u32,
    /// Permits found on all pages, as far as they are counted. None with a `kind` means that the filters leave nothing, or else
    /// that only the planning department knows it.
    pub(crate) total: i64,
    /// Whether there are more than `total`, or may be.
    pub(crate) total_is_at_least: bool,
    /// How many of the counted permits have each status, kind and year; where the filters leave nothing, of those without
    /// them.
    pub(crate) facets: Option<Value>,
    /// What to give as `after` for the next page; absent on the last one.
    pub(crate) next: Option<String>,
    /// Terms that look like the text, when nothing was found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) similar: Vec<Suggestion>,
    /// Whether the street's suffix had to be ignored to find anything.
    pub(crate) suffix_ignored: bool,
    /// Whether there are permits, and none with these filters.
    pub(crate) filters_leave_nothing: bool,
    /// The report of the parcel that was looked up, even when no permit is on it.
    pub(crate) report: Option<String>,
    /// What the planning department has there or of that number, whatever the filters, the newest.
    pub(crate) planning: Vec<Planned>,
    pub(crate) results: Vec<Hit>,
}

impl Found {
    /// Whether no kind of thing was found, with filters or without.
    pub(crate) fn is_nothing(&self) -> bool {
        self.kind.is_none()
    }
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
/// When no connection is free, or the database fails.
pub(crate) async fn find(databases: &Databases, query: &Query, part: &Part) -> Result<Found, Error> {
    databases.read(&Search { query, part }).await
}

/// One search.
struct Search<'a> {
    query: &'a Query,
    part: &'a Part,
}

impl ReadOnly for Search<'_> {
    type Answer = Found;

    /// Looks the text up. Costs one round trip for each look-up tried: one, mostly; eight at most. Filters choose among what
    /// a look-up finds and not which one it is, so one that finds nothing with them is tried without, twice as many in all.
    async fn read(&self, reader: &Reader) -> Result<Found, tokio_postgres::Error> {
        let Self { query, part } = *self;
        let mut found = Found {
            query: query.text.clone(),
            kind: None,
            instead_of: None,
            page_size: PAGE_SIZE,
            total: 0,
            total_is_at_least: false,
            facets: None,
            next: None,
            similar: Vec::new(),
            suffix_ignored: false,
            filters_leave_nothing: false,
            report: query.lookups.iter().find_map(|lookup| match lookup {
                Lookup::Parcel(parcel) => Some(parcel.path()),
                _ => None,
            }),
            planning: Vec::new(),
            results: Vec::new(),
        };
        for lookup in &query.lookups {
            let (mut hits, planning) = tokio::try_join!(ask(reader, lookup, part), planning::find(reader, lookup))?;
            let mut filters_leave_nothing = false;
            if hits.total == 0 && part.is_filtered() {
                let all = ask(reader, lookup, &Part::default()).await?;
                filters_leave_nothing = all.total > 0;
                hits.facets = all.facets;
            }
            if hits.total > 0 || filters_leave_nothing || !planning.is_empty() {
                let closest = query.lookups.first().filter(|closest| !closest.is_a_guess()).map(Lookup::kind);
                found.kind = Some(lookup.kind());
                found.instead_of = closest.filter(|closest| *closest != lookup.kind());
                found.suffix_ignored = lookup.ignores_suffix_of(query.lookups.first());
                found.total = hits.total;
                found.total_is_at_least = hits.capped;
                found.facets = hits.facets;
                if hits.results.len() > PAGE_SIZE as usize || hits.cut {
                    hits.results.truncate(PAGE_SIZE as usize);
                    hits.places.truncate(PAGE_SIZE as usize);
                    found.next = hits.places.last().map(ToString::to_string);
                }
                found.results = hits.results;
                found.filters_leave_nothing = filters_leave_nothing;
                let leads = !found.suffix_ignored && (hits.total == 0 || matches!(lookup, Lookup::PlanningRecord(_)));
                if found.report.is_none() && leads {
                    found.report = planning::only_parcel(&planning);
                }
                found.planning = planning;
                return Ok(found);
            }
        }
        found.similar = suggest::similar(reader, &query.text).await?;
        Ok(found)
    }
}

/// What one look-up found.
struct Hits {
    total: i64,
    capped: bool,
    facets: Option<Value>,
    results: Vec<Hit>,
    /// What each hit is sorted by: the date of the newest of its rows that were found, which need not be the shown one.
    places: Vec<Cursor>,
    /// Whether there were more rows than one page reads, so that its last hits may be missing.
    cut: bool,
}

/// A value for a statement, and its type.
type Parameter = (Box<dyn ToSql + Send + Sync>, Type);

fn text(text: impl Into<Option<String>>) -> Parameter {
    (Box::new(text.into()), Type::TEXT)
}

fn texts(texts: &[impl ToString]) -> Parameter {
    (Box::new(texts.iter().map(ToString::to_string).collect::<Vec<_>>()), Type::TEXT_ARRAY)
}

/// The statements for a look-up, and all that they take; `limit` is an export's.
fn prepare(lookup: &Lookup, part: &Part, limit: i64) -> (&'static Statements, Vec<Parameter>) {
    let on = |street: &Street| vec![texts(&street.all_names()), texts(&street.suffixes), texts(&street.whole)];
    let (statements, own): (&'static Statements, _) = match lookup {
        Lookup::PermitNumber(number) => (&sql::BY_PERMIT_NUMBER, vec![text(number.clone())]),
        Lookup::Parcel(parcel) => {
            (&sql::BY_PARCEL, vec![texts(&parcel.block_spellings()), texts(&parcel.lot_spellings())])
        }
        Lookup::PlanningRecord(number) => (&sql::BY_PLANNING_RECORD, vec![text(number.clone())]),
        Lookup::Address { number, street } => {
            (&sql::BY_ADDRESS, on(street).into_iter().chain([text(number.clone())]).collect())
        }
        Lookup::Street(street) => (&sql::BY_STREET, on(street)),
        Lookup::Neighborhood(names) => (&sql::BY_NEIGHBORHOOD, vec![texts(names)]),
        Lookup::Name(words) => (&sql::BY_NAME, vec![text(pattern(words))]),
        Lookup::Words(words) if part.is_filtered() => {
            (&sql::BY_WORDS_NARROWED, vec![text(words.clone()), texts(&part.facets())])
        }
        Lookup::Words(words) => (&sql::BY_WORDS, vec![text(words.clone())]),
    };
    let after = part.after.as_ref();
    // A permit without a date sorts as if it had been filed before all others.
    let filed = after.map(|cursor| cursor.filed.map_or(Moment::Before, Moment::At));
    let begins = |year: i16| jiff::civil::date(year, 1, 1).at(0, 0, 0, 0);
    let shared: [Parameter; sql::PARAMETERS] = [
        (Box::new(filed), Type::TIMESTAMP),
        text(after.map(|cursor| cursor.number.clone())),
        (Box::new(after.is_some()), Type::BOOL),
        text(part.status.clone()),
        text(part.kind.clone()),
        (Box::new(part.year.map(begins)), Type::TIMESTAMP),
        (Box::new(part.year.map(|year| begins(year + 1))), Type::TIMESTAMP),
        (Box::new(limit), Type::INT8),
    ];
    (statements, shared.into_iter().chain(own).collect())
}

async fn ask(reader: &Reader, lookup: &Lookup, part: &Part) -> Result<Hits, tokio_postgres::Error> {
    let (statements, parameters) = prepare(lookup, part, 0);
    let parameters: Vec<(&(dyn ToSql + Sync), Type)> =
        parameters.iter().map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone())).collect();
    let rows = reader.query_typed(&statements.page, &parameters).await?;
    let cut = rows.len() >= PAGE_ROWS_MAX as usize;
    let mut hits = Hits { total: 0, capped: false, facets: None, results: Vec::new(), places: Vec::new(), cut };
    for row in &rows {
        hits.total = row.try_get(0)?;
        hits.capped = row.try_get(1)?;
        hits.facets = hits.facets.take().or(row.try_get(2)?);
        // Past the last hit there is a single row, which holds the total alone.
        if row.try_get::<_, Option<&str>>(5)?.is_some() {
            add(&mut hits.results, row.try_get(3)?, Permit::read(row, 5)?);
            if let Some(new) = hits.results.get(hits.places.len()) {
                hits.places.push(Cursor { filed: row.try_get(4)?, number: new.permit_number.clone() });
            }
        }
    }
    Ok(hits)
}

/// Everything that a query finds with the filters of `part`, wherever that begins, row by row, with what matched: at most
/// `limit` rows of the look-up that a page would show. Only a few rows are in memory at a time.
pub(crate) async fn all(
    client: &tokio_postgres::Client,
    query: &Query,
    part: &Part,
    limit: i64,
) -> Result<
    Option<impl Stream<Item = Result<(Option<String>, Permit), tokio_postgres::Error>> + use<>>,
    tokio_postgres::Error,
> {
    for lookup in &query.lookups {
        let (statements, parameters) = prepare(lookup, part, limit);
        let rows = client.query_typed_raw(&statements.all, parameters).await?;
        let mut rows = Box::pin(rows.peekable());
        if rows.as_mut().peek().await.is_some() {
            return Ok(Some(rows.map(|row| row.and_then(|row| Ok((row.try_get(0)?, Permit::read(&row, 1)?))))));
        }
        drop(rows);
        // A page stops at what only the planning department knows, and shows no permit.
        if !planning::find(client, lookup).await?.is_empty() {
            return Ok(None);
        }
        if part.is_filtered() {
            let (statements, parameters) = prepare(lookup, &Part::default(), 1);
            let mut without = Box::pin(client.query_typed_raw(&statements.all, parameters).await?);
            // A page says then that the filters leave nothing, and does not go on to what else the text may mean.
            if without.next().await.is_some() {
                return Ok(None);
            }
        }
    }
    Ok(None)
}

/// A `timestamp` that may be Postgres's `-infinity`.
#[derive(Debug)]
enum Moment {
    Before,
    At(DateTime),
}

impl ToSql for Moment {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            // The smallest number of microseconds stands for it.
            Self::Before => i64::MIN.to_sql(&Type::INT8, out),
            Self::At(time) => time.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::TIMESTAMP
    }

    tokio_postgres::types::to_sql_checked!();
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
    let words: Vec<_> = words.iter().map(|word| escaped(word)).collect();
    format!("%{}%", words.join("%"))
}

/// The text with LIKE's wildcards as letters.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// A query parameter's value: everything but unreserved characters as percent and hexadecimal.
pub(crate) fn encode(value: &str) -> String {
    value.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push_str(&crate::digest::hex(&[byte]).to_ascii_uppercase());
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
