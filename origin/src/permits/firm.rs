//! A person or firm: the permits it stands on, and whom it works with.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use tokio_postgres::types::Type;

use super::api::JSON;
use super::limits::{ASSOCIATES_MAX, FIRM_PERMITS_EXAMINED_MAX, FIRM_PERMITS_MAX};
use super::record::{Member, Neighbor};
use crate::db::{Databases, ReadOnly, Reader};
use crate::documents::{Document, Written};
use crate::error::Error;
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

/// What names a person or firm: sixteen hexadecimal digits.
#[derive(Clone, Debug)]
pub(crate) struct Id(String);

impl Id {
    /// The one that an address names.
    ///
    /// # Errors
    /// 404 for what cannot be one.
    pub(crate) fn asked(text: String) -> Result<Self, Error> {
        let plain = text.len() == ID_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if plain { Ok(Self(text)) } else { Err(missing()) }
    }

    /// Its digits.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl ReadOnly for Id {
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
        let ask = |statement: String| async move { reader.query_typed(&statement, &[(&self.0, Type::TEXT)]).await };
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
pub(crate) async fn find(databases: &Databases, id: &Id) -> Result<Firm, Error> {
    databases.read(id).await?.ok_or_else(missing)
}

fn missing() -> Error {
    Error::not_found(
        "There is no person or firm at this address. Names are put together anew at times: search for the name.",
    )
}

/// A person or firm, for programs.
#[derive(Clone)]
struct FirmJson {
    databases: Databases,
    id: Id,
}

impl Document for FirmJson {
    fn name(&self) -> String {
        format!("/api/v1/firm/{}", self.id.as_str())
    }

    fn content_type(&self) -> &'static str {
        JSON
    }

    fn tags(&self) -> Vec<String> {
        vec![purge::SEARCH.to_owned()]
    }

    fn is_cheap(&self) -> bool {
        true
    }

    async fn write(&self) -> Result<Written, Error> {
        Written::json(&find(&self.databases, &self.id).await?)
    }
}

/// `GET /api/v1/firm/{id}`
pub(crate) async fn json(State(site): State<Arc<Site>>, Path(id): Path<String>) -> Result<Response, Error> {
    let id = Id::asked(id)?;
    site.documents.answer(&FirmJson { databases: site.databases.clone(), id }).await
}
