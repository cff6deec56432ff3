//! `/api/stats`: how much there is.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::db::{Databases, ReadOnly, Reader};
use crate::error::Error;
use crate::page_cache::{Entry, Lifetime, Payload};
use crate::purge;
use crate::server::Site;

/// Exact counts, which take the database a second on the whole city.
#[derive(Clone, Debug)]
pub(crate) struct Stats(pub(crate) Databases);

struct Counts;

const COUNTS: &str = "
    SELECT (SELECT count(*) FROM permits), (SELECT count(*) FROM addenda), (SELECT count(*) FROM contacts),
           (SELECT count(*) FROM inspections), (SELECT max(last_fetched) FROM ingest_log)";

impl Entry for Stats {
    fn key(&self) -> String {
        "stats".to_owned()
    }

    fn lifetime(&self) -> Lifetime {
        // The city's data changes once a night, and the load makes the entry old.
        Lifetime { ttl: Duration::from_secs(3_600), stale: Duration::from_secs(86_400) }
    }

    async fn compute(&self) -> Result<Payload, Error> {
        self.0.read_to_keep(&Counts).await
    }
}

impl ReadOnly for Counts {
    type Answer = Map<String, Value>;

    async fn read(&self, reader: &Reader) -> Result<Self::Answer, tokio_postgres::Error> {
        let rows = reader.query_typed(COUNTS, &[]).await?;
        let mut counts = Map::new();
        for row in &rows {
            for (column, name) in ["permits", "routing_records", "entities", "inspections"].into_iter().enumerate() {
                counts.insert(name.to_owned(), json!(row.try_get::<_, i64>(column)?));
            }
            let refreshed: Option<Timestamp> = row.try_get(4)?;
            counts.insert("last_refresh".to_owned(), json!(refreshed));
        }
        Ok(counts)
    }
}

/// `GET /api/stats`
pub(crate) async fn stats(State(site): State<Arc<Site>>) -> Result<Response, Error> {
    let stats = site.cache.get_cached_or_compute(&Stats(site.databases.clone())).await?;
    let mut response = Json(stats).into_response();
    purge::tag(&mut response, &[purge::LOADS]);
    Ok(response)
}
