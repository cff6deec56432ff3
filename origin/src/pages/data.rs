//! The page about the data: which datasets, loaded when, with how many rows.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use tokio_postgres::types::Type;

use super::text::thousands;
use super::{Frame, HTML, html};
use crate::db::{Databases, ReadOnly, Reader};
use crate::documents::{Document, Written};
use crate::error::Error;
use crate::purge;
use crate::server::Site;
use crate::soda::datasets::DATASETS;

/// Datasets read from the log of loads; the city publishes fewer than this about buildings.
const LOGGED_MAX: i64 = 100;

#[derive(Template)]
#[template(path = "about_data.html")]
struct AboutData {
    frame: Frame,
    datasets: Vec<DatasetView>,
}

#[derive(Debug, PartialEq, Eq)]
struct DatasetView {
    id: String,
    name: String,
    loaded: String,
    read: String,
    stored: String,
    refused: String,
}

/// One row of `ingest_log`.
struct Load {
    dataset_id: String,
    dataset_name: String,
    last_fetched: Timestamp,
    rows_read: i64,
    rows_stored: i64,
    rows_refused: i64,
}

/// `GET /about-data`
pub(crate) async fn about_data(State(site): State<Arc<Site>>) -> Result<Response, Error> {
    site.documents.answer(&Log(site.databases.clone())).await
}

/// The page.
#[derive(Clone)]
struct Log(Databases);

impl Document for Log {
    fn name(&self) -> String {
        "/about-data".to_owned()
    }

    fn content_type(&self) -> &'static str {
        HTML
    }

    fn tags(&self) -> Vec<String> {
        vec![purge::LOADS.to_owned()]
    }

    async fn write(&self) -> Result<Written, Error> {
        let loads = self.0.read(&Loads).await?;
        let page = AboutData { frame: Frame::new("The data").at("/about-data"), datasets: datasets(&loads) };
        Ok(Written::new(html(&page)?))
    }
}

/// The log of loads.
struct Loads;

impl ReadOnly for Loads {
    type Answer = Vec<Load>;

    async fn read(&self, reader: &Reader) -> Result<Vec<Load>, tokio_postgres::Error> {
        let statement = "SELECT dataset_id, dataset_name, last_fetched, rows_read, rows_stored, rows_refused
            FROM ingest_log ORDER BY dataset_name, dataset_id LIMIT $1";
        let load = |row: &tokio_postgres::Row| {
            Ok(Load {
                dataset_id: row.try_get(0)?,
                dataset_name: row.try_get(1)?,
                last_fetched: row.try_get(2)?,
                rows_read: row.try_get(3)?,
                rows_stored: row.try_get(4)?,
                rows_refused: row.try_get(5)?,
            })
        };
        reader.query_typed(statement, &[(&LOGGED_MAX, Type::INT8)]).await?.iter().map(load).collect()
    }
}

/// The datasets that are loaded, in their order, then whatever else the log has.
fn datasets(loads: &[Load]) -> Vec<DatasetView> {
    let known = DATASETS.iter().map(|dataset| {
        let load = loads.iter().find(|load| load.dataset_id == dataset.id);
        load.map_or_else(|| DatasetView::missing(dataset.id, dataset.title), DatasetView::of)
    });
    let others = loads.iter().filter(|load| DATASETS.iter().all(|dataset| load.dataset_id != dataset.id));
    known.chain(others.map(DatasetView::of)).collect()
}

impl DatasetView {
    fn of(load: &Load) -> Self {
        Self {
            id: load.dataset_id.clone(),
            name: load.dataset_name.clone(),
            loaded: load.last_fetched.strftime("%b %-d, %Y, %H:%M UTC").to_string(),
            read: thousands(load.rows_read),
            stored: thousands(load.rows_stored),
            refused: thousands(load.rows_refused),
        }
    }

    fn missing(id: &str, name: &str) -> Self {
        let dash = || "–".to_owned();
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            loaded: "not loaded yet".to_owned(),
            read: dash(),
            stored: dash(),
            refused: dash(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dataset_is_listed_loaded_or_not() {
        let load = |id: &str, name: &str| Load {
            dataset_id: id.into(),
            dataset_name: name.into(),
            last_fetched: "2024-02-27T10:05:00Z".parse().unwrap(),
            rows_read: 20_001,
            rows_stored: 20_000,
            rows_refused: 1,
        };
        let views = datasets(&[load("i98e-djp9", "Permits"), load("xxxx-xxxx", "Another")]);
        let listed: Vec<_> = views.iter().map(|view| view.id.as_str()).collect();
        let expected: Vec<_> = DATASETS.iter().map(|dataset| dataset.id).chain(["xxxx-xxxx"]).collect();
        assert_eq!(listed, expected);
        assert_eq!(views[0].loaded, "Feb 27, 2024, 10:05 UTC");
        assert_eq!((views[0].read.as_str(), views[0].refused.as_str()), ("20,001", "1"));
        assert_eq!(views[1].loaded, "not loaded yet");
        assert_eq!(views.last().unwrap().name, "Another");
    }
}
