//! A report to look at without searching, and the way to an account. The edge keeps it; it never fails: without its
//! database it says what would stand here, and is not kept.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use tokio_postgres::types::{ToSql, Type};

use super::{Frame, render};
use crate::accounts::private;
use crate::db::{Databases, ReadOnly, Reader};
use crate::error::Error;
use crate::page_cache::{Entry, Lifetime, Payload};
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

#[derive(Clone, Debug)]
struct Demo(Databases);

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

impl Entry for Demo {
    fn key(&self) -> String {
        "demo".to_owned()
    }

    fn lifetime(&self) -> Lifetime {
        Lifetime { ttl: Duration::from_secs(15 * 60), stale: Duration::from_secs(24 * 60 * 60) }
    }

    async fn compute(&self) -> Result<Payload, Error> {
        self.0.read_to_keep(self).await
    }
}

impl ReadOnly for Demo {
    type Answer = Payload;

    async fn read(&self, reader: &Reader) -> Result<Payload, tokio_postgres::Error> {
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&PARCEL.0, Type::TEXT), (&PARCEL.1, Type::TEXT)];
        let rows = reader.query_typed(FIND, &parameters).await?;
        let parcel: Option<Value> = rows.first().map(|row| row.try_get(0)).transpose()?;
        Ok(Payload::from_iter([("parcel".to_owned(), parcel.unwrap_or(Value::Null))]))
    }
}

/// `GET /demo`
pub(crate) async fn demo(State(site): State<Arc<Site>>) -> Result<Response, Error> {
    let looked_up = site.cache.get_cached_or_compute(&Demo(site.databases.clone())).await;
    let is_known = looked_up.is_ok();
    let parcel = looked_up.ok().and_then(|mut payload| payload.remove("parcel"));
    let parcel = parcel.and_then(|parcel| serde_json::from_value(parcel).ok());
    let frame = Frame::new("What a report looks like").at("/demo");
    let page = render(&DemoPage { frame, parcel, sign_up: site.accounts.sign_up_path() })?;
    Ok(if is_known { page } else { private(page) })
}
