//! One permit number: every row that the city has published under it.
//!
//! A number stands on one row for each address, and contacts, inspections and steps of plan review hang on the number and
//! not on the row. All of it is read in one round trip, in one snapshot.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use axum::extract::{Path, State};
use axum::response::Response;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Serialize;
use tokio_postgres::types::Type;

use super::api::JSON;
use super::limits::{PERMIT_LIST_MAX, PERMIT_NUMBER_BYTES_MAX, STATIONS_MAX};
use super::parcel::Parcel;
use super::record::{Contact, Inspection, Member, Pace, Permit, Signal, Step};
use super::report::risk::{Facts, Risk, risks};
use super::report::routing::{self, Routing};
use super::report::{PACE, all, by_role, cut, group, severity_of, tracker};
use super::severity::Severity;
use super::standing::Stage;
use crate::db::{Databases, ReadOnly, Reader};
use crate::documents::{Document, Written};
use crate::error::Error;
use crate::purge;
use crate::server::Site;

/// A permit number: `201508053399`, `E202011239876`, `M1234567`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number(String);

impl Number {
    /// Reads a number as the city writes it: visible ASCII, at most [`PERMIT_NUMBER_BYTES_MAX`]. `201508053399` is one;
    /// an empty text and `20150805\n` are none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=PERMIT_NUMBER_BYTES_MAX).contains(&text.len());
        (fits && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Self(text.to_owned()))
    }

    /// The number that an address names.
    ///
    /// # Errors
    /// 400 for what cannot be one.
    pub(crate) fn asked(text: &str) -> Result<Self, Error> {
        Self::parse(text)
            .ok_or_else(|| Error::bad_request("A permit number has up to 40 letters and digits, without spaces."))
    }

    /// The number.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the answers about any permit are purged by: all reports, and the jobs behind its signals and its stations'
    /// paces.
    pub(crate) fn tags() -> Vec<String> {
        [purge::REPORTS, purge::SIGNALS, purge::VELOCITY].map(str::to_owned).into()
    }
}

/// Everything under one number.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PermitFile {
    pub(crate) permit_number: String,
    /// The day in San Francisco on which this was read.
    pub(crate) as_of: Date,
    /// One row for each address, the newest first.
    pub(crate) records: Vec<Permit>,
    pub(crate) contacts: Vec<Contact>,
    /// The newest first.
    pub(crate) inspections: Vec<Inspection>,
    /// Steps of plan review, the latest revision first.
    pub(crate) steps: Vec<Step>,
    /// Progress of the latest revision, for a permit that is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) routing: Option<Routing>,
    /// How much it needs attention, by its newest row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) severity: Option<Severity>,
    /// People and firms on it, as the job `resolve-entities` last put them together.
    pub(crate) team: Vec<Member>,
    /// What may go wrong, the worst first.
    pub(crate) risks: Vec<Risk>,
    /// What the job `signals` last found wrong, slow or forgotten.
    pub(crate) signals: Vec<Signal>,
    /// The permit in the city's own tracker.
    pub(crate) link: String,
    /// The lists that were cut at their bound: more rows exist than are shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) truncated: Vec<&'static str>,
}

/// Parcels that one permit's answers are purged with. Few permits stand on more than ten; the change of a further one shows
/// when the answer's time is over, or with all reports.
const PARCEL_TAGS_MAX: usize = 32;

impl PermitFile {
    /// What the answers are purged by beside [`Number::tags`]: a load that changes anything of a permit queues the parcels
    /// that it stands on.
    pub(crate) fn tags(&self) -> Vec<String> {
        let places = self.records.iter().filter_map(|record| record.block.as_deref().zip(record.lot.as_deref()));
        let parcels = places.filter_map(|(block, lot)| Parcel::parse(block, lot).ok());
        let parcels: BTreeSet<String> = parcels.map(|parcel| purge::parcel_tag(&parcel)).collect();
        parcels.into_iter().take(PARCEL_TAGS_MAX).collect()
    }
}

fn select(columns: &[&str], rest: &str) -> String {
    format!("SELECT {} FROM {rest} LIMIT {PERMIT_LIST_MAX} + 1", columns.join(", "))
}

static RECORDS: LazyLock<String> = LazyLock::new(|| {
    select(Permit::COLUMNS, "permits WHERE permit_number = $1 ORDER BY filed_date DESC NULLS LAST, record_id")
});

static CONTACTS: LazyLock<String> =
    LazyLock::new(|| select(Contact::COLUMNS, "contacts WHERE permit_number = $1 ORDER BY row_key, occurrence"));

static INSPECTIONS: LazyLock<String> = LazyLock::new(|| {
    let rest = "inspections WHERE reference_number = $1 ORDER BY scheduled_date DESC NULLS LAST, row_key, occurrence";
    select(Inspection::COLUMNS, rest)
});

static STEPS: LazyLock<String> = LazyLock::new(|| {
    let rest = "addenda WHERE application_number = $1
                ORDER BY addenda_number DESC NULLS LAST, step NULLS LAST, row_key, occurrence";
    select(Step::COLUMNS, rest)
});

/// The bound of lists holds here too; one permit has as many people as contacts at most.
static TEAM: LazyLock<String> = LazyLock::new(|| {
    let columns = Member::COLUMNS.join(", ");
    format!(
        "SELECT {columns} FROM (
            SELECT DISTINCT entity_id, 1::bigint AS permits_here FROM entity_permits WHERE permit_number = $1
        ) here JOIN entities USING (entity_id) ORDER BY entity_id LIMIT {PERMIT_LIST_MAX}"
    )
});

/// The worst first: the names of their tiers are in that order.
static SIGNALS: LazyLock<String> = LazyLock::new(|| {
    let rest = "permit_signals WHERE permit_number = $1 ORDER BY tier, since NULLS LAST, signal_type, station";
    select(Signal::COLUMNS, rest)
});

impl ReadOnly for Number {
    type Answer = Option<PermitFile>;

    /// Eight statements in one round trip; `None` when no row has the number.
    async fn read(&self, reader: &Reader) -> Result<Option<PermitFile>, tokio_postgres::Error> {
        let number = &self.0;
        let ask = |statement: &'static str| async move { reader.query_typed(statement, &[(number, Type::TEXT)]).await };
        // Polled in this order the first time, which sends them in this order.
        let (_, today, records, contacts, inspections, steps, team, signals, paces, _) = tokio::try_join!(
            biased;
            reader.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
            reader.query_typed(super::report::TODAY, &[]),
            ask(&RECORDS),
            ask(&CONTACTS),
            ask(&INSPECTIONS),
            ask(&STEPS),
            ask(&TEAM),
            ask(&SIGNALS),
            reader.query_typed(&PACE, &[(&STATIONS_MAX, Type::INT8)]),
            reader.batch_execute("COMMIT"),
        )?;
        let as_of = today.first().map_or(Ok(Date::MAX), |row| row.try_get(0))?;
        let mut records = all(&records, Permit::read)?;
        if records.is_empty() {
            return Ok(None);
        }
        let mut contacts = all(&contacts, Contact::read)?;
        let mut inspections = all(&inspections, Inspection::read)?;
        let mut steps = all(&steps, Step::read)?;
        let truncated = [
            ("records", cut(&mut records, PERMIT_LIST_MAX)),
            ("contacts", cut(&mut contacts, PERMIT_LIST_MAX)),
            ("inspections", cut(&mut inspections, PERMIT_LIST_MAX)),
            ("steps", cut(&mut steps, PERMIT_LIST_MAX)),
        ];
        contacts.sort_by_key(by_role);
        let routing = progress(&records, &steps, &all(&paces, Pace::read)?, as_of);
        let mut permits = group(records.clone());
        for permit in &mut permits {
            permit.contacts.clone_from(&contacts);
            permit.inspections.clone_from(&inspections);
        }
        let facts = Facts { permits: &permits, complaints: &[], violations: &[], property: None, today: as_of };
        Ok(Some(PermitFile {
            permit_number: number.clone(),
            as_of,
            severity: permits.first().map(|permit| severity_of(permit, as_of)),
            risks: risks(&facts),
            team: all(&team, Member::read)?,
            signals: all(&signals, Signal::read)?,
            routing,
            records,
            contacts,
            inspections,
            steps,
            link: tracker(number),
            truncated: truncated.iter().filter(|(_, more)| *more).map(|(name, _)| *name).collect(),
        }))
    }
}

/// How far the latest revision is; `None` for a permit that is not under way any more.
fn progress(records: &[Permit], steps: &[Step], paces: &[Pace], today: Date) -> Option<Routing> {
    let stage = Stage::of(records.first()?.status.as_deref());
    let under_way = matches!(stage, Stage::Review | Stage::Issued);
    let latest = steps.first()?.addenda_number;
    let revision = steps.partition_point(|step| step.addenda_number == latest);
    under_way.then(|| routing::progress(&steps[..revision], paces, today))?
}

/// Borrows a connection and reads the permit.
///
/// # Errors
/// 404 when no row has the number; otherwise when no connection is free, or the database fails.
pub(crate) async fn find(databases: &Databases, number: &Number) -> Result<PermitFile, Error> {
    let found = databases.read(number).await?;
    found.ok_or_else(|| Error::not_found(format!("The city's data holds no permit {}.", number.as_str())))
}

/// A permit, for programs.
#[derive(Clone)]
struct FileJson {
    databases: Databases,
    number: Number,
}

impl Document for FileJson {
    fn name(&self) -> String {
        format!("/api/v1/permit/{}", self.number.as_str())
    }

    fn content_type(&self) -> &'static str {
        JSON
    }

    fn tags(&self) -> Vec<String> {
        Number::tags()
    }

    fn is_cheap(&self) -> bool {
        true
    }

    async fn write(&self) -> Result<Written, Error> {
        let file = find(&self.databases, &self.number).await?;
        Ok(Written::json(&file)?.tagged(file.tags()))
    }
}

/// `GET /api/v1/permit/{permit_number}`
pub(crate) async fn json(State(site): State<Arc<Site>>, Path(number): Path<String>) -> Result<Response, Error> {
    let number = Number::asked(&number)?;
    site.documents.answer(&FileJson { databases: site.databases.clone(), number }).await
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_number_is_short_and_visible() {
        let longest = "9".repeat(PERMIT_NUMBER_BYTES_MAX);
        for (text, is_one) in [
            ("201508053399", true),
            ("E202011239876", true),
            ("201508053399S", true),
            (longest.as_str(), true),
            (&format!("{longest}9"), false),
            ("", false),
            ("2015 0805", false),
            ("20150805\n", false),
            ("Ä", false),
        ] {
            assert_eq!(Number::parse(text).is_some(), is_one, "{text:?}");
        }
    }

    #[test]
    fn answers_are_purged_with_each_parcel_once_and_with_so_many_only() {
        let record =
            |block: &str, lot: Option<String>| Permit { block: Some(block.to_owned()), lot, ..Permit::default() };
        let file = |records| PermitFile {
            permit_number: "1".to_owned(),
            as_of: date(2024, 3, 1),
            records,
            contacts: Vec::new(),
            inspections: Vec::new(),
            steps: Vec::new(),
            routing: None,
            severity: None,
            team: Vec::new(),
            risks: Vec::new(),
            signals: Vec::new(),
            link: String::new(),
            truncated: Vec::new(),
        };
        let lot = |lot: &str| Some(lot.to_owned());
        let records =
            vec![record("3507", lot("004")), record("3507", lot("4")), record("580", lot("11a")), record("1", None)];
        assert_eq!(file(records).tags(), ["parcel-0580-011A", "parcel-3507-004"]);
        let many = (1..=PARCEL_TAGS_MAX + 1).map(|lot| record("3507", Some(lot.to_string()))).collect();
        assert_eq!(file(many).tags().len(), PARCEL_TAGS_MAX);
    }

    #[test]
    fn progress_is_of_the_latest_revision_and_of_permits_under_way() {
        let step = |addenda_number| Step { addenda_number, ..Step::default() };
        let steps = [step(Some(2)), step(Some(2)), step(Some(1)), step(None)];
        let permit = |status: &str| Permit { status: Some(status.to_owned()), ..Permit::default() };
        let day = date(2024, 3, 1);
        let routing = progress(&[permit("issued")], &steps, &[], day).unwrap();
        assert_eq!((routing.total, routing.addenda_number), (2, Some(2)));
        assert_eq!(progress(&[permit("complete")], &steps, &[], day), None);
        assert_eq!(progress(&[permit("issued")], &[], &[], day), None);
    }
}
