//! A report to look at without searching, and the way to an account. The edge keeps it; it never fails: without its
//! database it says what would stand here, and is not kept.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use tokio_postgres::types::{ToSql, Type};

use super::{Frame, HTML, html, render};
use crate::accounts::private;
use crate::db::{Databases, ReadOnly, Reader};
use crate::documents::{Document, Written};
use crate::error::Error;
use crate::purge;
use crate::server::Site;

#[derive(Template)]
#[template(path = "demo.html")]
struct DemoPage {
    frame: Frame,
    parcel: Option<Parcel>,
    sign_up: String,
}

/// What the page shows of its parcel.
#[derive(Debug, Deserialize)]
struct Parcel {
    block: String,
    lot: String,
    address: Option<String>,
    neighborhood: Option<String>,
    permit_count: i64,
    open_permit_count: i64,
    complaint_count: i64,
    violation_count: i64,
    permits: Vec<Permit>,
    contacts: Vec<Contact>,
}

#[derive(Debug, Deserialize)]
struct Permit {
    permit_number: String,
    permit_type: Option<String>,
    status: Option<String>,
    filed: Option<String>,
    description: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Contact {
    name: String,
    role: String,
    permits: i64,
}

/// The page, with its parcel.
#[derive(Clone, Debug)]
struct Demo {
    databases: Databases,
    /// The way to an account, which the configuration decides.
    sign_up: String,
}

/// The parcel that is shown where it is known: an office tower with permits of every kind.
const PARCEL: (&str, &str) = ("3507", "004");

/// `$1` and `$2`: the parcel, or that with the most permits where it has none.
const FIND: &str = "
WITH chosen AS (
    SELECT block, lot FROM permits WHERE block = $1 AND lot = $2 LIMIT 1),
place AS (
    SELECT * FROM chosen
    UNION ALL
    (SELECT block, lot FROM permits WHERE NOT EXISTS (SELECT FROM chosen) AND block IS NOT NULL AND lot IS NOT NULL
      GROUP BY block, lot ORDER BY count(*) DESC, block, lot LIMIT 1)),
rows AS MATERIALIZED (SELECT permits.* FROM permits JOIN place USING (block, lot)),
numbers AS MATERIALIZED (SELECT DISTINCT permit_number FROM rows)
SELECT jsonb_build_object(
    'block', block, 'lot', lot,
    'address', (SELECT min(concat_ws(' ', street_number, street_name, street_suffix)) FROM rows),
    'neighborhood', (SELECT min(neighborhood) FROM rows),
    'permit_count', (SELECT count(*) FROM numbers),
    'open_permit_count', (SELECT count(DISTINCT permit_number) FROM rows WHERE lower(status) IN (
        'filed', 'filing', 'plancheck', 'triage', 'approved', 'issued', 'issuing', 'reinstated')),
    'complaint_count', (SELECT count(*) FROM complaints WHERE complaints.block = place.block AND complaints.lot = place.lot),
    'violation_count', (SELECT count(*) FROM violations WHERE violations.block = place.block AND violations.lot = place.lot),
    'permits', (SELECT coalesce(jsonb_agg(newest), '[]') FROM (
        SELECT permit_number, max(permit_type_definition) AS permit_type, max(status) AS status,
               max(filed_date)::date AS filed, left(max(description), 200) AS description
          FROM rows GROUP BY permit_number ORDER BY max(filed_date) DESC NULLS LAST, permit_number LIMIT 20) newest),
    'contacts', (SELECT coalesce(jsonb_agg(people), '[]') FROM (
        SELECT left(coalesce(firm_name, name), 100) AS name, min(role) AS role, count(DISTINCT permit_number) AS permits
          FROM contacts JOIN numbers USING (permit_number) WHERE coalesce(firm_name, name) IS NOT NULL
         GROUP BY 1 ORDER BY 3 DESC, 1 LIMIT 10) people)) AS parcel
  FROM place";

impl Document for Demo {
    fn name(&self) -> String {
        format!("/demo {}", self.sign_up)
    }

    fn content_type(&self) -> &'static str {
        HTML
    }

    fn tags(&self) -> Vec<String> {
        vec![purge::LOADS.to_owned()]
    }

    async fn write(&self) -> Result<Written, Error> {
        let parcel = self.databases.read_to_keep(&Find).await?;
        let parcel = parcel.map(serde_json::from_value).transpose().map_err(Error::bug)?;
        Ok(Written::new(html(&page(parcel, &self.sign_up))?))
    }
}

/// Reads what is shown of the parcel; none when there is none.
struct Find;

impl ReadOnly for Find {
    type Answer = Option<Value>;

    async fn read(&self, reader: &Reader) -> Result<Option<Value>, tokio_postgres::Error> {
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&PARCEL.0, Type::TEXT), (&PARCEL.1, Type::TEXT)];
        let rows = reader.query_typed(FIND, &parameters).await?;
        rows.first().map(|row| row.try_get(0)).transpose()
    }
}

fn page(parcel: Option<Parcel>, sign_up: &str) -> DemoPage {
    DemoPage { frame: Frame::new("What a report looks like").at("/demo"), parcel, sign_up: sign_up.to_owned() }
}

/// `GET /demo`
pub(crate) async fn demo(State(site): State<Arc<Site>>) -> Result<Response, Error> {
    let demo = Demo { databases: site.databases.clone(), sign_up: site.accounts.sign_up_path() };
    match site.documents.answer(&demo).await {
        Ok(answer) => Ok(answer),
        Err(_) => Ok(private(render(&page(None, &demo.sign_up))?)),
    }
}
