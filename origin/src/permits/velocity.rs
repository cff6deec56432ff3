//! Station velocity: how long plan review takes at each station, as the job `velocity-refresh` last computed it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::api::JSON;
use super::limits::STATIONS_MAX;
use crate::db::{Databases, ReadOnly, Reader};
use crate::documents::{Document, Written};
use crate::error::Error;
use crate::purge;
use crate::server::Site;

/// Days from arrival to finish at every station with enough reviews.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Velocity {
    /// When the figures were computed; absent before the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) updated_at: Option<Timestamp>,
    /// One for each station and kind of review, by name.
    pub(crate) stations: Vec<Station>,
}

/// One kind of review at one station.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Station {
    pub(crate) station: String,
    /// `initial` for the first set of plans, `revision` for later ones.
    pub(crate) metric_type: String,
    /// The last 90 days, or 180 where there are few reviews.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<Days>,
    /// The last 365 days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) baseline: Option<Days>,
}

/// Percentiles of the days that a review took.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub(crate) struct Days {
    pub(crate) p25_days: f64,
    pub(crate) p50_days: f64,
    pub(crate) p75_days: f64,
    pub(crate) p90_days: f64,
    /// Reviews that were counted.
    pub(crate) sample_count: i32,
}

const FIND: &str = "
    SELECT coalesce(c.station, b.station), coalesce(c.metric_type, b.metric_type),
           greatest(c.updated_at, b.updated_at),
           c.p25_days, c.p50_days, c.p75_days, c.p90_days, c.sample_count,
           b.p25_days, b.p50_days, b.p75_days, b.p90_days, b.sample_count
      FROM (SELECT * FROM station_velocity_v2 WHERE period = 'current') c
      FULL JOIN (SELECT * FROM station_velocity_v2 WHERE period = 'baseline') b
        ON b.station = c.station AND b.metric_type = c.metric_type
     ORDER BY 1, 2 LIMIT $1";

/// Reads all stations.
struct All;

impl ReadOnly for All {
    type Answer = Velocity;

    async fn read(&self, reader: &Reader) -> Result<Velocity, tokio_postgres::Error> {
        let mut velocity = Velocity::default();
        for row in reader.query_typed(FIND, &[(&STATIONS_MAX, Type::INT8)]).await? {
            velocity.updated_at = velocity.updated_at.max(row.try_get(2)?);
            velocity.stations.push(Station {
                station: row.try_get(0)?,
                metric_type: row.try_get(1)?,
                current: days(&row, 3)?,
                baseline: days(&row, 8)?,
            });
        }
        Ok(velocity)
    }
}

/// The five figures from column `first` on; all are there or none.
fn days(row: &Row, first: usize) -> Result<Option<Days>, tokio_postgres::Error> {
    let Some(p25_days) = row.try_get(first)? else { return Ok(None) };
    Ok(Some(Days {
        p25_days,
        p50_days: row.try_get(first + 1)?,
        p75_days: row.try_get(first + 2)?,
        p90_days: row.try_get(first + 3)?,
        sample_count: row.try_get(first + 4)?,
    }))
}

/// Borrows a connection and reads the figures; no station before the job ran the first time.
///
/// # Errors
/// When no connection is free, or the database fails.
pub(crate) async fn find(databases: &Databases) -> Result<Velocity, Error> {
    databases.read(&All).await
}

/// `GET /api/v1/velocity`
pub(crate) async fn json(State(site): State<Arc<Site>>) -> Result<Response, Error> {
    site.documents.answer(&VelocityJson(site.databases.clone())).await
}

/// The figures, for programs.
#[derive(Clone)]
struct VelocityJson(Databases);

impl Document for VelocityJson {
    fn name(&self) -> String {
        "/api/v1/velocity".to_owned()
    }

    fn content_type(&self) -> &'static str {
        JSON
    }

    fn tags(&self) -> Vec<String> {
        vec![purge::VELOCITY.to_owned()]
    }

    async fn write(&self) -> Result<Written, Error> {
        Written::json(&find(&self.0).await?)
    }
}
