//! A person or firm: the permits it stands on, and whom it works with.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::Serialize;
use tokio_postgres::types::Type;

use super::limits::{ASSOCIATES_MAX, FIRM_PERMITS_EXAMINED_MAX, FIRM_PERMITS_MAX};
use super::record::{Member, Neighbor};
use crate::db::{Databases, ReadOnly, Reader};
use crate::error::Error;
use crate::http::observe::DatabaseTime;
use crate::purge;
use crate::server::Site;

/// A person or firm, as the job `resolve-entities` last put it together.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Firm {
    pub(crate) entity_id: String,
    pub(crate) canonical_name: String,
    pub(crate) canonical_firm: Option<String>,
    /// What it is on most permits.
    pub(crate) entity_type: String,
    pub(crate) license_number: Option<String>,
    pub(crate) sf_business_license: Option<String>,
    /// By what its contacts were told to be one.
    pub(crate) resolution_method: String,
    pub(crate) resolution_confidence: String,
    pub(crate) contact_count: i32,
    pub(crate) permit_count: i32,
    pub(crate) sources: Vec<String>,
    /// The newest permits.
    pub(crate) permits: Vec<Neighbor>,
    /// Who stands on the same permits, the most frequent first; among so many of them as are looked at.
    pub(crate) associates: Vec<Member>,
}

/// Digits of an identifier.
const ID_DIGITS: usize = 16;

const FIRM: &str = "SELECT entity_id, canonical_name, canonical_firm, entity_type, license_number, sf_business_license,
        resolution_method, resolution_confidence, contact_count, permit_count, sources
    FROM entities WHERE entity_id = $1";

const NUMBERS: &str = "SELECT DISTINCT permit_number FROM entity_permits WHERE entity_id = $1";

struct Find {
    entity_id: String,
}

impl ReadOnly for Find {
    type Answer = Option<Firm>;

    /// Three statements in one round trip.
    async fn read(&self, reader: &Reader) -> Result<Option<Firm>, tokio_postgres::Error> {
        let columns = Neighbor::COLUMNS.join(", permits.");
        let members = Member::COLUMNS.join(", ");
        // A permit of several addresses is shown once.
        let permits = format!(
            "SELECT permits.{columns} FROM (
                SELECT DISTINCT ON (permits.permit_number) permits.record_id, permits.filed_date, permits.permit_number
                FROM ({NUMBERS} ORDER BY permit_number DESC LIMIT {FIRM_PERMITS_EXAMINED_MAX}) named
                JOIN permits USING (permit_number) ORDER BY permits.permit_number, permits.record_id
            ) newest JOIN permits USING (record_id)
            ORDER BY newest.filed_date DESC NULLS LAST, newest.permit_number DESC LIMIT {FIRM_PERMITS_MAX}"
        );
        let associates = format!(
            "SELECT {members} FROM (
                SELECT others.entity_id, count(DISTINCT permit_number) AS permits_here
                FROM ({NUMBERS} ORDER BY permit_number DESC LIMIT {FIRM_PERMITS_EXAMINED_MAX}) named
                JOIN entity_permits others USING (permit_number)
                WHERE others.entity_id <> $1 GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {ASSOCIATES_MAX}
            ) here JOIN entities USING (entity_id)
            ORDER BY permits_here DESC, entity_id"
        );
        let ask =
            |statement: String| async move { reader.query_typed(&statement, &[(&self.entity_id, Type::TEXT)]).await };
        let (firm, permits, associates) =
            tokio::try_join!(biased; ask(FIRM.to_owned()), ask(permits), ask(associates))?;
        let Some(row) = firm.first() else { return Ok(None) };
        Ok(Some(Firm {
            entity_id: row.try_get(0)?,
            canonical_name: row.try_get(1)?,
            canonical_firm: row.try_get(2)?,
            entity_type: row.try_get(3)?,
            license_number: row.try_get(4)?,
            sf_business_license: row.try_get(5)?,
            resolution_method: row.try_get(6)?,
            resolution_confidence: row.try_get(7)?,
            contact_count: row.try_get(8)?,
            permit_count: row.try_get(9)?,
            sources: row.try_get(10)?,
            permits: permits.iter().map(|row| Neighbor::read(row, 0)).collect::<Result<_, _>>()?,
            associates: associates.iter().map(|row| Member::read(row, 0)).collect::<Result<_, _>>()?,
        }))
    }
}

/// Reads a person or firm.
///
/// # Errors
/// 404 when there is none of this identifier; otherwise when no connection is free, or the database fails.
pub(crate) async fn find(databases: &Databases, entity_id: String) -> Result<Firm, Error> {
    let missing = || {
        Error::not_found(
            "There is no person or firm at this address. Names are put together anew at times: search for the name.",
        )
    };
    let plain = entity_id.len() == ID_DIGITS && entity_id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !plain {
        return Err(missing());
    }
    databases.read(&Find { entity_id }).await?.ok_or_else(missing)
}

/// `GET /api/v1/firm/{id}`
pub(crate) async fn json(State(site): State<Arc<Site>>, Path(id): Path<String>) -> Result<Response, Error> {
    let started = Instant::now();
    let firm = find(&site.databases, id).await?;
    let mut response = Json(firm).into_response();
    purge::tag(&mut response, &[purge::SEARCH]);
    response.extensions_mut().insert(DatabaseTime(started.elapsed()));
    Ok(response)
}
