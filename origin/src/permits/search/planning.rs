//! What the planning department has at what is looked up.

use std::sync::LazyLock;

use jiff::civil::DateTime;
use schemars::JsonSchema;
use serde::Serialize;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::query::Lookup;
use super::street::AFTER_STREET;
use super::{Parameter, text, texts};
use crate::permits::limits::{PLANNING_EXAMINED_MAX, PLANNING_FOUND_MAX};
use crate::permits::parcel::Parcel;

/// A record of the planning department, and the report of its parcel.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Planned {
    pub(crate) record_id: String,
    pub(crate) record_type: Option<String>,
    pub(crate) record_status: Option<String>,
    pub(crate) project_name: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) open_date: Option<DateTime>,
    /// `None` when the record names no parcel.
    pub(crate) report: Option<String>,
}

/// The records of a look-up, the newest first; none for what has none.
pub(super) async fn find(client: &Client, lookup: &Lookup) -> Result<Vec<Planned>, tokio_postgres::Error> {
    let (statement, parameters): (&str, Vec<Parameter>) = match lookup {
        Lookup::PlanningRecord(number) => (&BY_NUMBER, vec![text(number.clone())]),
        Lookup::Parcel(parcel) => (&BY_PARCEL, vec![texts(&parcel.block_spellings()), texts(&parcel.lot_spellings())]),
        Lookup::Address { number, street } => {
            let street = [texts(&street.all_names()), texts(&street.suffixes), texts(&street.whole)];
            let after = text(AFTER_STREET.clone());
            (&BY_ADDRESS, [text(number.clone())].into_iter().chain(street).chain([after]).collect())
        }
        _ => return Ok(Vec::new()),
    };
    let parameters: Vec<(&(dyn ToSql + Sync), Type)> =
        parameters.iter().map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone())).collect();
    client.query_typed(statement, &parameters).await?.iter().map(Planned::read).collect()
}

impl Planned {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let (block, lot): (Option<&str>, Option<&str>) = (row.try_get(6)?, row.try_get(7)?);
        let parcel = block.zip(lot).and_then(|(block, lot)| Parcel::parse(block, lot).ok());
        Ok(Self {
            record_id: row.try_get(0)?,
            record_type: row.try_get(1)?,
            record_status: row.try_get(2)?,
            project_name: row.try_get(3)?,
            address: row.try_get(4)?,
            open_date: row.try_get(5)?,
            report: parcel.map(|parcel| parcel.path()),
        })
    }
}

/// The report of the parcel, where all of them are of one.
pub(super) fn only_parcel(records: &[Planned]) -> Option<String> {
    let (first, others) = records.split_first()?;
    others.iter().all(|other| other.report == first.report).then(|| first.report.clone())?
}

/// `$1`: how the number begins.
static BY_NUMBER: LazyLock<String> =
    LazyLock::new(|| newest("planning_records", "upper(record_id) ~>=~ $1 AND upper(record_id) ~<~ ($1 || '~')"));

/// `$1`: spellings of the block; `$2`: of the lot.
static BY_PARCEL: LazyLock<String> = LazyLock::new(|| newest("planning_records", "block = ANY($1) AND lot = ANY($2)"));

/// `$1`: the house number; `$2` to `$4`: the street; `$5`: what may follow it. An address begins with it, and ends where a word
/// does. The index gives all that begin so, which at one number of a street are few.
static BY_ADDRESS: LazyLock<String> = LazyLock::new(|| {
    let begins = "planning_begins($1, $2, $3, $4) AS begins CROSS JOIN LATERAL (
        SELECT * FROM planning_records
         WHERE planning_address(address) ~>=~ begins AND planning_address(address) ~<~ (rtrim(begins) || '!')
           AND substr(planning_address(address), length(begins) + 1) ~ $5";
    newest(&format!("{begins} LIMIT {PLANNING_EXAMINED_MAX}) known"), "true")
});

fn newest(from: &str, condition: &str) -> String {
    format!(
        "SELECT record_id, record_type, record_status, project_name, address, open_date, block, lot FROM (
            SELECT * FROM {from} WHERE {condition} LIMIT {PLANNING_EXAMINED_MAX}) known
         ORDER BY open_date DESC NULLS LAST, record_id DESC LIMIT {PLANNING_FOUND_MAX}"
    )
}
