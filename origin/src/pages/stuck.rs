//! The page of what is stuck in plan review, in the whole city.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::text::{clip, encode, figure, thousands};
use super::{Frame, HTML, html};
use crate::documents::{Document, Written};
use crate::error::Error;
use crate::permits::parcel::Parcel;
use crate::permits::stuck::{self, Kept, Stuck};
use crate::server::Site;

/// Rows of the table of stations.
const STATIONS_MAX: usize = 40;
/// Characters of a station's name; the longest in use has eleven.
const STATION_CHARS_MAX: usize = 24;
/// Characters of a number, an address or a kind of permit.
const FIELD_CHARS_MAX: usize = 48;

#[derive(Template)]
#[template(path = "stuck.html")]
struct StuckPage {
    frame: Frame,
    as_of: String,
    tiles: [(&'static str, String); 3],
    stations: Vec<StationRow>,
    permits: Vec<PermitRow>,
}

struct StationRow {
    name: String,
    critical: String,
    stalled: String,
    longest: String,
    p50: String,
    p90: String,
}

struct PermitRow {
    number: String,
    href: String,
    kind: String,
    address: String,
    /// The report of its parcel; empty where it has none.
    report: String,
    station: String,
    days: String,
    p50: String,
    p90: String,
    word: &'static str,
    critical: bool,
}

/// `GET /stuck`
pub(crate) async fn stuck(State(site): State<Arc<Site>>) -> Result<Response, Error> {
    site.documents.answer(&Waits(Kept::of(&site))).await
}

/// The page.
#[derive(Clone)]
struct Waits(Kept);

impl Document for Waits {
    fn name(&self) -> String {
        "/stuck".to_owned()
    }

    fn content_type(&self) -> &'static str {
        HTML
    }

    fn tags(&self) -> Vec<String> {
        Kept::tags()
    }

    async fn write(&self) -> Result<Written, Error> {
        let (stuck, is_old) = self.0.find().await?;
        Ok(Written::new(html(&StuckPage::of(&stuck))?).passing(is_old))
    }
}

fn days(days: Option<f64>) -> String {
    days.map_or_else(|| "–".to_owned(), figure)
}

impl StuckPage {
    fn of(stuck: &Stuck) -> Self {
        Self {
            frame: Frame::new("What is stuck in plan review").at("/stuck").about(
                "Which building permits in San Francisco wait longer in plan review than nearly all others did, and where."
                    .to_owned(),
            ),
            as_of: clip(&stuck.as_of, FIELD_CHARS_MAX),
            tiles: [
                ("longer than nine of ten", thousands(stuck.critical)),
                ("longer than three of four", thousands(stuck.stalled)),
                ("comments to answer", thousands(stuck.comments)),
            ],
            stations: stuck.stations.iter().take(STATIONS_MAX).map(StationRow::of).collect(),
            permits: stuck.permits.iter().map(PermitRow::of).collect(),
        }
    }
}

impl StationRow {
    fn of(station: &stuck::Station) -> Self {
        Self {
            name: clip(&station.station, STATION_CHARS_MAX),
            critical: thousands(station.critical),
            stalled: thousands(station.stalled),
            longest: thousands(station.longest_days.into()),
            p50: days(station.p50_days),
            p90: days(station.p90_days),
        }
    }
}

impl PermitRow {
    fn of(wait: &stuck::Wait) -> Self {
        let parcel = wait.block.as_deref().zip(wait.lot.as_deref());
        let parcel = parcel.and_then(|(block, lot)| Parcel::parse(block, lot).ok());
        let address = if wait.address.is_empty() { "Address not recorded" } else { &wait.address };
        let critical = wait.status == "CRITICAL";
        Self {
            number: clip(&wait.permit_number, FIELD_CHARS_MAX),
            href: format!("/permit/{}", encode(&wait.permit_number)),
            kind: clip(&super::text::sentence(wait.permit_type.as_deref().unwrap_or_default()), FIELD_CHARS_MAX),
            address: clip(address, FIELD_CHARS_MAX),
            report: parcel.map(|parcel| parcel.path()).unwrap_or_default(),
            station: clip(&wait.station, STATION_CHARS_MAX),
            days: thousands(wait.days.into()),
            p50: days(wait.p50_days),
            p90: days(wait.p90_days),
            word: if critical { "critical" } else { "stalled" },
            critical,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::PAGE_BYTES_MAX;
    use crate::permits::limits::{STATIONS_MAX as STATIONS_READ_MAX, STUCK_LISTED_MAX};

    #[test]
    fn the_fullest_page_stays_within_its_bytes() {
        let long = "&".repeat(300);
        let wait = || stuck::Wait {
            permit_number: "9".repeat(40),
            permit_type: Some(long.clone()),
            address: long.clone(),
            block: Some("3507A".to_owned()),
            lot: Some("004B".to_owned()),
            station: long.clone(),
            since: "2026-01-01".to_owned(),
            days: 365,
            p50_days: Some(99.9),
            p90_days: Some(199.9),
            status: "CRITICAL".to_owned(),
        };
        let station = || stuck::Station {
            station: long.clone(),
            critical: 99_999,
            stalled: 99_999,
            longest_days: 9_999,
            p50_days: Some(99.9),
            p90_days: Some(199.9),
        };
        let full = Stuck {
            stations: (0..STATIONS_READ_MAX).map(|_| station()).collect(),
            permits: (0..STUCK_LISTED_MAX).map(|_| wait()).collect(),
            ..Stuck::default()
        };
        let html = StuckPage::of(&full).render().unwrap();
        assert!(html.len() <= PAGE_BYTES_MAX, "{}", html.len());
        assert!(html.contains("/report/3507A/004B"));
        let html = StuckPage::of(&Stuck::default()).render().unwrap();
        assert!(html.contains("Nothing is known to be stuck"), "{html}");
    }
}
