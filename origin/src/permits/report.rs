//! The report of a parcel: everything the city has published about it.
//!
//! Reading asks for all of it in one round trip: the statements are sent together on one connection, in one
//! read-only snapshot, and none waits for another's rows. The number of statements does not depend on the parcel.

mod findings;
pub(crate) mod live;
mod property;
pub(super) mod risk;
pub mod routing;
mod sql;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use schemars::JsonSchema;
use serde::Serialize;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use self::findings::Finding;
use self::live::{City, Live};
use self::property::Profile;
use self::risk::{Facts, Risk};
use self::routing::Routing;
pub(super) use self::sql::{PACE, TODAY};
use super::likeness::{self, SimilarBy};
use super::limits::{
    COMPLAINTS_MAX, CONTACTS_MAX, FORMER_LOTS_MAX, INSPECTIONS_MAX, NEARBY_MAX, PERMIT_ROWS_MAX, PLANNING_MAX,
    SIMILAR_MAX, STATIONS_MAX, STEPS_MAX, TAX_ROLLS_MAX, TEAM_MAX, VIOLATIONS_MAX, WHOLE_TIMES,
};
use super::parcel::Parcel;
use super::record::{
    Complaint, Contact, FormerLot, Inspection, Member, Neighbor, Pace, Permit, PlanningRecord, Step, TaxRoll, Violation,
};
use super::severity::{self, Severity};
use super::standing::{Stage, Standing};
use crate::db::{Databases, ReadOnly, Reader};
use crate::error::Error;

/// Everything about one parcel.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    pub(crate) block: String,
    pub(crate) lot: String,
    /// The address of the newest permit, or of a complaint or notice where there is no permit.
    pub(crate) address: Option<String>,
    pub(crate) neighborhood: Option<String>,
    pub(crate) summary: Summary,
    pub(crate) permits: Vec<PermitHistory>,
    pub(crate) complaints: Vec<Complaint>,
    pub(crate) violations: Vec<Violation>,
    /// What the assessor knows, from the newest roll.
    pub(crate) property: Option<Profile>,
    /// What the planning department was asked for here, the newest first.
    pub(crate) planning: Vec<PlanningRecord>,
    /// What may go wrong, the worst first.
    pub(crate) risks: Vec<Risk>,
    /// Where the city's records do not fit together.
    pub(crate) findings: Vec<Finding>,
    /// People and firms on the permits, the most frequent first.
    pub(crate) team: Vec<Member>,
    /// The newest permits of the neighborhood.
    pub(crate) nearby: Vec<Neighbor>,
    /// Finished permits like the newest one here.
    pub(crate) similar: Vec<Neighbor>,
    /// What those are like it by.
    pub(crate) similar_by: SimilarBy,
    /// Other lots at the same addresses: this parcel was perhaps part of them, or they of it.
    pub(crate) former_lots: Vec<FormerLot>,
    pub(crate) links: Links,
    /// Whether the city itself was asked for complaints and notices that are newer than the last load.
    pub(crate) city: City,
    /// The lists that were cut at their bound: more rows exist than are shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) truncated: Vec<&'static str>,
}

/// The counts at the top of the report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Summary {
    pub(crate) permits: usize,
    /// Permits in review or issued and not finished.
    pub(crate) open_permits: usize,
    pub(crate) complaints: usize,
    pub(crate) active_complaints: usize,
    pub(crate) violations: usize,
    pub(crate) active_violations: usize,
    /// Permits with a review step that nobody has touched for a while.
    pub(crate) stalled_permits: usize,
    pub(crate) last_filed: Option<DateTime>,
}

/// One permit and what belongs to it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PermitHistory {
    /// The newest row of the permit.
    #[serde(flatten)]
    pub(crate) permit: Permit,
    /// The rows of its other addresses on this parcel.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) other_records: Vec<Permit>,
    pub(crate) contacts: Vec<Contact>,
    pub(crate) inspections: Vec<Inspection>,
    /// Progress of plan review, for permits that are still under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) routing: Option<Routing>,
    /// How much it needs attention.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) severity: Option<Severity>,
    /// The permit in the city's own tracker.
    pub(crate) link: String,
}

/// Where the city shows the parcel.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Links {
    /// The planning department's property map.
    pub(crate) parcel: String,
}

/// Rows of each list at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    permits: usize,
    contacts: usize,
    inspections: usize,
    steps: usize,
    complaints: usize,
    violations: usize,
}

impl Bounds {
    /// For one page: what a request can wait for.
    pub(crate) const PAGE: Self = Self {
        permits: PERMIT_ROWS_MAX,
        contacts: CONTACTS_MAX,
        inspections: INSPECTIONS_MAX,
        steps: STEPS_MAX,
        complaints: COMPLAINTS_MAX,
        violations: VIOLATIONS_MAX,
    };

    /// For a report that a job makes.
    pub(crate) const WHOLE: Self = Self {
        permits: WHOLE_TIMES * PERMIT_ROWS_MAX,
        contacts: WHOLE_TIMES * CONTACTS_MAX,
        inspections: WHOLE_TIMES * INSPECTIONS_MAX,
        steps: WHOLE_TIMES * STEPS_MAX,
        complaints: WHOLE_TIMES * COMPLAINTS_MAX,
        violations: WHOLE_TIMES * VIOLATIONS_MAX,
    };
}

impl Default for Bounds {
    fn default() -> Self {
        Self::PAGE
    }
}

/// What the database said, before it is put together.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    bounds: Bounds,
    today: Date,
    permits: Vec<Permit>,
    contacts: Vec<Contact>,
    inspections: Vec<Inspection>,
    steps: Vec<Step>,
    complaints: Vec<Complaint>,
    violations: Vec<Violation>,
    tax_rolls: Vec<TaxRoll>,
    planning: Vec<PlanningRecord>,
    nearby: Vec<Neighbor>,
    similar: Vec<Neighbor>,
    similar_by: SimilarBy,
    former_lots: Vec<FormerLot>,
    team: Vec<Member>,
    paces: Vec<Pace>,
    /// When complaints or notices were loaded last.
    enforcement_loaded: Option<Timestamp>,
    city: City,
}

/// Borrows a connection and reads the report; `None` when nothing is known about the parcel.
///
/// # Errors
/// When no connection is free, or the database fails.
pub(crate) async fn find(databases: &Databases, parcel: &Parcel) -> Result<Option<Report>, Error> {
    Ok(assemble(parcel, databases.read(parcel).await?))
}

/// The same with what the city itself says just now, waited for no longer than [`live::DEADLINE`]. The city is not asked
/// about parcels that nothing is known of: anybody can make up block and lot.
///
/// # Errors
/// As [`find`]; without the city, the report says so.
pub(crate) async fn find_live(databases: &Databases, live: &Live, parcel: &Parcel) -> Result<Option<Report>, Error> {
    let mut rows = databases.read(parcel).await?;
    if rows.are_known() {
        live.ask(parcel, rows.enforcement_loaded).await.renew(&mut rows);
    }
    Ok(assemble(parcel, rows))
}

impl ReadOnly for Parcel {
    type Answer = Rows;

    async fn read(&self, reader: &Reader) -> Result<Rows, tokio_postgres::Error> {
        read_rows(reader, self, Bounds::PAGE).await
    }
}

/// Reads the report; `None` when nothing is known about the parcel.
///
/// # Errors
/// When the database fails.
pub(crate) async fn read(
    client: &Client,
    parcel: &Parcel,
    bounds: Bounds,
) -> Result<Option<Report>, tokio_postgres::Error> {
    Ok(assemble(parcel, read_rows(client, parcel, bounds).await?))
}

/// Sixteen statements in one round trip, whatever the parcel; where the database keeps vectors of projects, one more in a
/// second.
async fn read_rows(client: &Client, parcel: &Parcel, bounds: Bounds) -> Result<Rows, tokio_postgres::Error> {
    let (blocks, lots) = (parcel.block_spellings(), parcel.lot_spellings());
    let (blocks, lots) = (&blocks, &lots);
    let ask = |statement: &'static str, bound: usize| async move {
        let bound = bound as i64;
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(blocks, Type::TEXT_ARRAY), (lots, Type::TEXT_ARRAY), (&bound, Type::INT8)];
        client.query_typed(statement, &parameters).await
    };
    // Polled in this order the first time, which sends them in this order; the answers arrive in the same one.
    let (
        _,
        today,
        permits,
        contacts,
        inspections,
        steps,
        complaints,
        violations,
        tax,
        planning,
        near,
        like,
        former,
        team,
        paces,
        loaded,
        has_vectors,
        _,
    ) = tokio::try_join!(
        biased;
        client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
        client.query_typed(TODAY, &[]),
        ask(&sql::PERMITS, bounds.permits),
        ask(&sql::CONTACTS, bounds.contacts),
        ask(&sql::INSPECTIONS, bounds.inspections),
        ask(&sql::STEPS, bounds.steps),
        ask(&sql::COMPLAINTS, bounds.complaints),
        ask(&sql::VIOLATIONS, bounds.violations),
        ask(&sql::TAX_ROLLS, TAX_ROLLS_MAX),
        ask(&sql::PLANNING, PLANNING_MAX),
        ask(&sql::NEARBY, NEARBY_MAX),
        ask(&sql::SIMILAR, SIMILAR_MAX),
        ask(&sql::FORMER_LOTS, FORMER_LOTS_MAX),
        ask(&sql::TEAM, TEAM_MAX),
        client.query_typed(&PACE, &[(&STATIONS_MAX, Type::INT8)]),
        client.query_typed(sql::ENFORCEMENT_LOADED, &[]),
        client.query_typed(likeness::ARE_KEPT, &[]),
        client.batch_execute("COMMIT"),
    )?;
    let mut rows = Rows {
        bounds,
        today: today.first().map_or(Ok(Date::MAX), |row| row.try_get(0))?,
        permits: all(&permits, Permit::read)?,
        contacts: all(&contacts, Contact::read)?,
        inspections: all(&inspections, Inspection::read)?,
        steps: all(&steps, Step::read)?,
        complaints: all(&complaints, Complaint::read)?,
        violations: all(&violations, Violation::read)?,
        tax_rolls: all(&tax, TaxRoll::read)?,
        planning: all(&planning, PlanningRecord::read)?,
        nearby: all(&near, Neighbor::read)?,
        similar: all(&like, Neighbor::read)?,
        similar_by: SimilarBy::Neighborhood,
        former_lots: all(&former, FormerLot::read)?,
        team: all(&team, Member::read)?,
        paces: all(&paces, Pace::read)?,
        enforcement_loaded: loaded.first().map_or(Ok(None), |row| row.try_get(0))?,
        city: City::default(),
    };
    if has_vectors.first().map_or(Ok(false), |row| row.try_get(0))?
        && let Some(newest) = rows.permits.first()
    {
        let like = likeness::find(client, newest, blocks, lots).await?;
        if !like.is_empty() {
            (rows.similar, rows.similar_by) = (like, SimilarBy::Description);
        }
    }
    Ok(rows)
}

impl Rows {
    /// Whether the city has published anything about the parcel.
    fn are_known(&self) -> bool {
        !(self.permits.is_empty()
            && self.complaints.is_empty()
            && self.violations.is_empty()
            && self.planning.is_empty()
            && self.tax_rolls.is_empty())
    }
}

pub(super) fn all<T>(
    rows: &[Row],
    read: impl Fn(&Row, usize) -> Result<T, tokio_postgres::Error>,
) -> Result<Vec<T>, tokio_postgres::Error> {
    rows.iter().map(|row| read(row, 0)).collect()
}

fn assemble(parcel: &Parcel, mut rows: Rows) -> Option<Report> {
    if !rows.are_known() {
        return None;
    }
    let bounds = rows.bounds;
    let bounded = [
        ("permits", cut(&mut rows.permits, bounds.permits)),
        ("contacts", cut(&mut rows.contacts, bounds.contacts)),
        ("inspections", cut(&mut rows.inspections, bounds.inspections)),
        ("routing", cut(&mut rows.steps, bounds.steps)),
        ("complaints", cut(&mut rows.complaints, bounds.complaints)),
        ("violations", cut(&mut rows.violations, bounds.violations)),
    ];
    let truncated = bounded.iter().filter(|(_, more)| *more).map(|(name, _)| *name).collect();

    let address = address(&rows);
    let neighborhood = rows.permits.iter().find_map(|permit| permit.neighborhood.clone());
    let mut permits = group(rows.permits);
    attach(&mut permits, rows.contacts, |c| &c.permit_number, |permit, contacts| permit.contacts = contacts);
    attach(&mut permits, rows.inspections, |i| &i.reference_number, |permit, found| permit.inspections = found);
    attach(
        &mut permits,
        rows.steps,
        |s| &s.application_number,
        |permit, steps| {
            permit.routing = routing::progress(&steps, &rows.paces, rows.today);
        },
    );
    for permit in &mut permits {
        permit.contacts.sort_by_key(by_role);
        permit.severity = Some(severity_of(permit, rows.today));
    }

    let summary = summary(&permits, &rows.complaints, &rows.violations);
    let property = Profile::of(rows.tax_rolls);
    let facts = Facts {
        permits: &permits,
        complaints: &rows.complaints,
        violations: &rows.violations,
        property: property.as_ref(),
        today: rows.today,
    };
    let (risks, findings) = (risk::risks(&facts), findings::findings(&facts));
    Some(Report {
        property,
        planning: rows.planning,
        risks,
        findings,
        team: rows.team,
        nearby: rows.nearby,
        similar: rows.similar,
        similar_by: rows.similar_by,
        former_lots: rows.former_lots,
        block: parcel.block().to_owned(),
        lot: parcel.lot().to_owned(),
        address,
        neighborhood,
        summary,
        permits,
        complaints: rows.complaints,
        violations: rows.violations,
        links: Links::of(parcel),
        city: rows.city,
        truncated,
    })
}

/// Keeps the first `max` rows and says whether there were more. Each statement reads one row beyond its bound, so
/// that a list that just fits is not taken for a cut one.
pub(super) fn cut<T>(rows: &mut Vec<T>, max: usize) -> bool {
    let more = rows.len() > max;
    rows.truncate(max);
    more
}

fn address(rows: &Rows) -> Option<String> {
    let join = |parts: [&Option<String>; 3]| {
        let parts = parts.iter().filter_map(|part| part.as_deref()).collect::<Vec<_>>();
        parts.join(" ")
    };
    let permits = rows.permits.iter().map(|p| join([&p.street_number, &p.street_name, &p.street_suffix]));
    let complaints = rows.complaints.iter().map(|c| join([&c.street_number, &c.street_name, &c.street_suffix]));
    let violations = rows.violations.iter().map(|v| join([&v.street_number, &v.street_name, &v.street_suffix]));
    let planning =
        rows.planning.iter().filter_map(|record| record.address.as_deref()).map(|text| text.trim().to_owned());
    permits.chain(complaints).chain(violations).chain(planning).find(|address| !address.is_empty())
}

/// Rows of one permit become one, in the order in which the permits first occur.
pub(super) fn group(rows: Vec<Permit>) -> Vec<PermitHistory> {
    let mut permits: Vec<PermitHistory> = Vec::new();
    for row in rows {
        // At most a few thousand rows, and rows of one permit mostly follow each other.
        match permits.iter_mut().rev().find(|known| known.permit.permit_number == row.permit_number) {
            Some(known) => known.other_records.push(row),
            None => permits.push(PermitHistory {
                link: tracker(&row.permit_number),
                permit: row,
                other_records: Vec::new(),
                contacts: Vec::new(),
                inspections: Vec::new(),
                routing: None,
                severity: None,
            }),
        }
    }
    permits
}

/// Gives each permit its rows, which come ordered by permit.
fn attach<T>(
    permits: &mut [PermitHistory],
    rows: Vec<T>,
    number: impl Fn(&T) -> &str,
    set: impl Fn(&mut PermitHistory, Vec<T>),
) {
    let mut by_number = std::collections::HashMap::<String, Vec<T>>::new();
    for row in rows {
        by_number.entry(number(&row).to_owned()).or_default().push(row);
    }
    for permit in permits {
        if let Some(rows) = by_number.remove(&permit.permit.permit_number) {
            set(permit, rows);
        }
    }
}

/// The applicant first, then who builds, designs and calculates, then everyone else as they came.
pub(super) fn by_role(contact: &Contact) -> u8 {
    if contact.is_applicant.as_deref().is_some_and(|flag| flag.eq_ignore_ascii_case("y")) {
        return 1;
    }
    match contact.role.as_str() {
        "applicant" => 1,
        "contractor" => 2,
        "architect" => 3,
        "engineer" => 4,
        _ => 5,
    }
}

fn summary(permits: &[PermitHistory], complaints: &[Complaint], violations: &[Violation]) -> Summary {
    let open = |permit: &&PermitHistory| {
        permit.permit.completed_date.is_none()
            && matches!(Stage::of(permit.permit.status.as_deref()), Stage::Review | Stage::Issued)
    };
    let active = |status: &Option<String>| Standing::of(status.as_deref()) == Standing::Active;
    let stalled = |permit: &&PermitHistory| permit.routing.as_ref().is_some_and(|routing| !routing.stalled.is_empty());
    Summary {
        permits: permits.len(),
        open_permits: permits.iter().filter(open).count(),
        complaints: complaints.len(),
        active_complaints: complaints.iter().filter(|complaint| active(&complaint.status)).count(),
        violations: violations.len(),
        active_violations: violations.iter().filter(|violation| active(&violation.status)).count(),
        stalled_permits: permits.iter().filter(stalled).count(),
        last_filed: permits.iter().filter_map(|permit| permit.permit.filed_date).max(),
    }
}

/// The permit's score; inspections whose reference is its number count.
pub(super) fn severity_of(permit: &PermitHistory, today: Date) -> Severity {
    let row = &permit.permit;
    let text = |text: &'_ Option<String>| -> String { text.clone().unwrap_or_default() };
    let (status, definition) = (text(&row.status), text(&row.permit_type_definition));
    let input = severity::Input {
        status: &status,
        permit_type_definition: &definition,
        description: row.description.as_deref().unwrap_or_default(),
        filed: row.filed_date.map(DateTime::date),
        issued: row.issued_date.map(DateTime::date),
        status_since: row.status_date.map(DateTime::date),
        estimated_cost: row.estimated_cost,
        revised_cost: row.revised_cost,
        inspections: u32::try_from(permit.inspections.len()).unwrap_or(u32::MAX),
    };
    severity::score(&input, today)
}

/// The permit in the building department's tracker. Permit numbers are letters and digits.
pub(super) fn tracker(permit_number: &str) -> String {
    let number: String = permit_number.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("https://dbiweb02.sfgov.org/dbipts/default.aspx?page=PermitDetails&PermitNumber={number}")
}

impl Links {
    fn of(parcel: &Parcel) -> Self {
        let (block, lot) = (parcel.block(), parcel.lot());
        Self { parcel: format!("https://sfplanninggis.org/pim/?search={block}%2F{lot}") }
    }
}

#[cfg(test)]
mod tests;
