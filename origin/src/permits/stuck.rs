//! Stuck permits: plans that wait longer at a station than nearly all others did.
//!
//! # Design
//! The job `signals` finds every wait once a night; here each is held against the pace of its station. That is one pass over
//! the waits and none over the four million steps, kept in the page cache until the next night.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_postgres::types::{ToSql, Type};

use super::api::JSON;
use super::limits::{STATIONS_MAX, STUCK_DAYS_MAX, STUCK_LISTED_MAX};
use crate::db::{Databases, ReadOnly, Reader};
use crate::documents::{Document, Written};
use crate::error::Error;
use crate::page_cache::{Answer, Entry, Lifetime, PageCache, Payload};
use crate::purge;
use crate::server::Site;

/// What waits too long in the whole city.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Stuck {
    /// The day in San Francisco on which this was counted.
    pub(crate) as_of: String,
    /// Permits that wait at some station longer than nine of ten take there.
    pub(crate) critical: i64,
    /// Permits that wait longer than three of four take, and not longer than nine of ten.
    pub(crate) stalled: i64,
    /// Permits whose applicants have comments to answer.
    pub(crate) comments: i64,
    /// The stations with the most waits that are critical first.
    pub(crate) stations: Vec<Station>,
    /// Waits of up to a year, the longest beside what is usual first.
    pub(crate) permits: Vec<Wait>,
}

/// What waits at one station.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "StuckStation")]
pub(crate) struct Station {
    pub(crate) station: String,
    pub(crate) critical: i64,
    pub(crate) stalled: i64,
    /// The longest of these waits.
    pub(crate) longest_days: i32,
    /// The median of first reviews there, where it is known.
    pub(crate) p50_days: Option<f64>,
    pub(crate) p90_days: Option<f64>,
}

/// One permit at one station.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "StuckPermit")]
pub(crate) struct Wait {
    pub(crate) permit_number: String,
    pub(crate) permit_type: Option<String>,
    pub(crate) address: String,
    pub(crate) block: Option<String>,
    pub(crate) lot: Option<String>,
    pub(crate) station: String,
    /// The day on which the plans arrived there.
    pub(crate) since: String,
    pub(crate) days: i32,
    pub(crate) p50_days: Option<f64>,
    pub(crate) p90_days: Option<f64>,
    /// `CRITICAL` or `STALLED`.
    pub(crate) status: String,
}

/// `$1`: longest wait that is listed, `$2`: so many are, `$3`: stations at most. A permit of several addresses is one, at
/// that of its first record.
const FIND: &str = "
WITH today AS (SELECT (now() AT TIME ZONE 'America/Los_Angeles')::date AS day),
pace AS (
    SELECT DISTINCT ON (station, metric_type) station, metric_type, p50_days, p75_days, p90_days
      FROM station_velocity_v2 ORDER BY station, metric_type, period = 'current' DESC LIMIT $3),
arrived AS MATERIALIZED (
    SELECT permit_number, station, since::date AS since, today.day - since::date AS days
      FROM permit_signals, today
     WHERE signal_type IN ('hold_stalled', 'hold_stalled_planning', 'station_slow') AND since IS NOT NULL),
waits AS MATERIALIZED (
    -- The night's look does not say which kind of review it is. First reviews are nearly all of them, and the slower ones.
    SELECT arrived.*, p50_days, p90_days,
           CASE WHEN days > coalesce(p90_days, 90) THEN 'CRITICAL'
                WHEN days > coalesce(p75_days, 45) THEN 'STALLED' END AS status
      FROM arrived LEFT JOIN pace ON pace.station = arrived.station AND metric_type = 'initial'),
stations AS (
    SELECT station, count(*) FILTER (WHERE status = 'CRITICAL') AS critical,
           count(*) FILTER (WHERE status = 'STALLED') AS stalled, max(days) AS longest_days,
           min(p50_days) AS p50_days, min(p90_days) AS p90_days
      FROM waits WHERE status IS NOT NULL GROUP BY station ORDER BY 2 DESC, 3 DESC, 1 LIMIT $3),
longest AS MATERIALIZED (
    SELECT * FROM waits WHERE status IS NOT NULL AND days <= $1
     ORDER BY status, days / greatest(coalesce(p50_days, 30), 1) DESC, days DESC, permit_number, station LIMIT $2),
listed AS (
    SELECT longest.*, permit_type_definition AS permit_type, block, lot,
           coalesce(concat_ws(' ', street_number, street_name, street_suffix), '') AS address
      FROM longest LEFT JOIN LATERAL (
          SELECT * FROM permits WHERE permits.permit_number = longest.permit_number ORDER BY record_id LIMIT 1) record ON true
     ORDER BY status, days / greatest(coalesce(p50_days, 30), 1) DESC, days DESC, longest.permit_number, station),
each AS (SELECT permit_number, min(status) AS status FROM waits WHERE status IS NOT NULL GROUP BY permit_number)
SELECT jsonb_build_object(
    'as_of', (SELECT day FROM today),
    'critical', (SELECT count(*) FROM each WHERE status = 'CRITICAL'),
    'stalled', (SELECT count(*) FROM each WHERE status = 'STALLED'),
    'comments', (SELECT count(DISTINCT permit_number) FROM permit_signals WHERE signal_type = 'hold_comments'),
    'stations', (SELECT coalesce(jsonb_agg(stations), '[]') FROM stations),
    'permits', (SELECT coalesce(jsonb_agg(listed), '[]') FROM listed)) AS stuck";

/// The entry of the page cache.
#[derive(Clone, Debug)]
pub(crate) struct Whole(pub(crate) Databases);

impl Entry for Whole {
    fn key(&self) -> String {
        "stuck".to_owned()
    }

    fn lifetime(&self) -> Lifetime {
        // Found once a night; the job makes the entry old.
        Lifetime { ttl: Duration::from_secs(3_600), stale: Duration::from_secs(86_400) }
    }

    fn tags(&self) -> Vec<String> {
        Kept::tags()
    }

    async fn compute(&self) -> Result<Payload, Error> {
        self.0.read_to_keep(self).await
    }
}

impl ReadOnly for Whole {
    type Answer = Payload;

    async fn read(&self, reader: &Reader) -> Result<Payload, tokio_postgres::Error> {
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(&STUCK_DAYS_MAX, Type::INT4), (&STUCK_LISTED_MAX, Type::INT8), (&STATIONS_MAX, Type::INT8)];
        let rows = reader.query_typed(FIND, &parameters).await?;
        let found: Option<Value> = rows.first().map(|row| row.try_get(0)).transpose()?;
        Ok(found.and_then(|found| found.as_object().cloned()).unwrap_or_default())
    }
}

/// What waits too long, as the page cache has it for the page and for programs.
#[derive(Clone)]
pub(crate) struct Kept {
    cache: PageCache,
    databases: Databases,
}

impl Kept {
    pub(crate) fn of(site: &Site) -> Self {
        Self { cache: site.cache.clone(), databases: site.databases.clone() }
    }

    /// What is made of it is made of this.
    pub(crate) fn tags() -> Vec<String> {
        vec![purge::SIGNALS.to_owned(), purge::VELOCITY.to_owned()]
    }

    /// What waits too long, and whether newer figures should be there and could not be computed.
    ///
    /// # Errors
    /// When it was never computed and cannot be now.
    pub(crate) async fn find(&self) -> Result<(Stuck, bool), Error> {
        match self.cache.get(&Whole(self.databases.clone())).await? {
            (Answer::Other(payload, _), is_old) => {
                Ok((serde_json::from_value(Value::Object(payload)).map_err(Error::bug)?, is_old))
            }
            (Answer::Same, _) => Err(Error::bug("the page cache left out what its caller does not have")),
        }
    }
}

/// The same, for programs.
#[derive(Clone)]
struct StuckJson(Kept);

impl Document for StuckJson {
    fn name(&self) -> String {
        "/api/v1/stuck".to_owned()
    }

    fn content_type(&self) -> &'static str {
        JSON
    }

    fn tags(&self) -> Vec<String> {
        Kept::tags()
    }

    async fn write(&self) -> Result<Written, Error> {
        let (stuck, is_old) = self.0.find().await?;
        Ok(Written::json(&stuck)?.passing(is_old))
    }
}

/// `GET /api/v1/stuck`
pub(crate) async fn json(State(site): State<Arc<Site>>) -> Result<Response, Error> {
    site.documents.answer(&StuckJson(Kept::of(&site))).await
}
