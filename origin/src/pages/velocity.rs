//! The page of station velocity: how long plan review takes, station by station.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::plot::{Span, Spans};
use super::text::{clip, figure, thousands};
use super::{Frame, HTML, html};
use crate::db::Databases;
use crate::documents::{Document, Written};
use crate::error::Error;
use crate::permits::velocity::{self, Days, Station, Velocity};
use crate::purge;
use crate::server::Site;

/// Stations in the plot: those with the most reviews.
const DRAWN_MAX: usize = 15;
/// Rows of the table. The city has fewer than a hundred stations, each with two kinds of review.
const ROWS_MAX: usize = 150;
/// Characters of a station's name; the longest in use has eleven.
const STATION_CHARS_MAX: usize = 24;

#[derive(Template)]
#[template(path = "velocity.html")]
struct VelocityPage {
    frame: Frame,
    updated: String,
    plot: String,
    rows: Vec<StationView>,
    rows_left: usize,
}

struct StationView {
    station: String,
    kind: &'static str,
    median: String,
    middle_half: String,
    p90: String,
    reviews: String,
    baseline: String,
    /// How the median stands to the year's: in words, so that no colour is needed.
    change: &'static str,
    slower: bool,
}

/// `GET /velocity`
pub(crate) async fn velocity(State(site): State<Arc<Site>>) -> Result<Response, Error> {
    site.documents.answer(&Stations(site.databases.clone())).await
}

/// The page of all stations.
#[derive(Clone)]
struct Stations(Databases);

impl Document for Stations {
    fn name(&self) -> String {
        "/velocity".to_owned()
    }

    fn content_type(&self) -> &'static str {
        HTML
    }

    fn tags(&self) -> Vec<String> {
        vec![purge::VELOCITY.to_owned()]
    }

    async fn write(&self) -> Result<Written, Error> {
        let velocity = velocity::find(&self.0).await?;
        Ok(Written::new(html(&VelocityPage::of(&velocity)?)?))
    }
}

impl VelocityPage {
    fn of(velocity: &Velocity) -> Result<Self, Error> {
        let updated = velocity.updated_at.map(|at| at.strftime("%b %-d, %Y, %H:%M UTC").to_string());
        Ok(Self {
            frame: Frame::new("How long plan review takes")
                .at("/velocity")
                .about("How many days plan review takes at each station of San Francisco’s permit offices.".to_owned()),
            updated: updated.unwrap_or_default(),
            plot: plot(&velocity.stations)?,
            rows: velocity.stations.iter().take(ROWS_MAX).map(StationView::of).collect(),
            rows_left: velocity.stations.len().saturating_sub(ROWS_MAX),
        })
    }
}

/// What is shown of a station: the last months, or the year where those have too few reviews.
fn shown(station: &Station) -> Option<Days> {
    station.current.or(station.baseline)
}

/// First reviews at the stations that have most of them, the slowest first; empty when there are none.
fn plot(stations: &[Station]) -> Result<String, Error> {
    let initial = stations.iter().filter(|station| station.metric_type == "initial");
    let mut drawn: Vec<(&Station, Days)> = initial.filter_map(|station| Some((station, shown(station)?))).collect();
    drawn.sort_by_key(|(_, days)| std::cmp::Reverse(days.sample_count));
    drawn.truncate(DRAWN_MAX);
    drawn.sort_by(|(_, one), (_, other)| other.p50_days.total_cmp(&one.p50_days));
    let (Some((slowest, most)), Some((fastest, least))) = (drawn.first(), drawn.last()) else {
        return Ok(String::new());
    };
    let description = format!(
        "Of the {} stations with the most reviews, {} has the longest median with {} days and {} the shortest with {} days.",
        drawn.len(),
        clip(&slowest.station, STATION_CHARS_MAX),
        figure(most.p50_days),
        clip(&fastest.station, STATION_CHARS_MAX),
        figure(least.p50_days)
    );
    let longest = drawn.iter().map(|(_, days)| days.p90_days).fold(1.0, f64::max);
    let rows = drawn.iter().map(|(station, days)| Span {
        text: format!("{}: median {} days", clip(&station.station, STATION_CHARS_MAX), figure(days.p50_days)),
        from: days.p25_days,
        to: days.p75_days,
        mark: Some(days.p50_days),
        reach: Some(days.p90_days),
        class: "s0",
    });
    let ticks = super::plot::ticks(longest).map(|value| (value, format!("{} days", figure(value)))).collect::<Vec<_>>();
    let spans = Spans {
        title: "First review: the middle half, the median, and where nine of ten are done".to_owned(),
        description,
        axis: (0.0, ticks.last().map_or(longest, |(top, _)| *top)),
        ticks,
        rows: rows.collect(),
    };
    spans.html("stations")
}

impl StationView {
    fn of(station: &Station) -> Self {
        let days = shown(station);
        let show = |value: fn(&Days) -> String| days.as_ref().map_or_else(|| "–".to_owned(), value);
        let (change, slower) = match (station.current, station.baseline) {
            (Some(now), Some(year)) if now.p50_days > year.p50_days => ("slower", true),
            (Some(now), Some(year)) if now.p50_days < year.p50_days => ("faster", false),
            (Some(_), Some(_)) => ("the same", false),
            _ => ("–", false),
        };
        Self {
            station: clip(&station.station, STATION_CHARS_MAX),
            kind: if station.metric_type == "initial" { "first" } else { "revision" },
            median: show(|days| figure(days.p50_days)),
            middle_half: show(|days| format!("{} to {}", figure(days.p25_days), figure(days.p75_days))),
            p90: show(|days| figure(days.p90_days)),
            reviews: show(|days| thousands(i64::from(days.sample_count))),
            baseline: station.baseline.map_or_else(|| "–".to_owned(), |days| figure(days.p50_days)),
            change,
            slower,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::PAGE_BYTES_MAX;

    fn days(median: f64, sample_count: i32) -> Days {
        Days { p25_days: median / 2.0, p50_days: median, p75_days: median * 2.0, p90_days: median * 4.0, sample_count }
    }

    fn station(name: &str, current: Option<Days>, baseline: Option<Days>) -> Station {
        Station { station: name.to_owned(), metric_type: "initial".to_owned(), current, baseline }
    }

    #[test]
    fn a_station_says_how_it_stands_to_its_year() {
        for (current, baseline, median, change) in [
            (Some(12.5), Some(10.0), "12.5", "slower"),
            (Some(5.0), Some(10.0), "5", "faster"),
            (Some(10.0), Some(10.0), "10", "the same"),
            (None, Some(8.0), "8", "–"),
            (Some(8.0), None, "8", "–"),
            (None, None, "–", "–"),
        ] {
            let days = |median: Option<f64>| median.map(|median| days(median, 30));
            let view = StationView::of(&station("BLDG", days(current), days(baseline)));
            assert_eq!((view.median.as_str(), view.change), (median, change), "{current:?} {baseline:?}");
        }
    }

    #[test]
    fn the_plot_has_the_busiest_stations_and_the_slowest_of_them_first() {
        let busy: Vec<Station> = (1..=DRAWN_MAX + 1)
            .map(|number| {
                let days = days(number as f64, i32::try_from(number).unwrap());
                station(&format!("S{number}"), Some(days), None)
            })
            .collect();
        let html = plot(&busy).unwrap();
        assert_eq!(html.matches("<rect").count(), DRAWN_MAX);
        assert!(!html.contains("S1: "), "{html}");
        assert!(html.find("S16: ").unwrap() < html.find("S15: ").unwrap());
        assert!(html.contains("S16 has the longest median with 16 days and S2 the shortest with 2 days."), "{html}");
    }

    #[test]
    fn without_figures_the_page_says_so() {
        let html = VelocityPage::of(&Velocity::default()).unwrap().render().unwrap();
        assert!(html.contains("No figures yet") && !html.contains("<svg"), "{html}");
    }

    #[test]
    fn the_fullest_page_stays_small() {
        let long = "&".repeat(200);
        let stations = (0..=ROWS_MAX).map(|_| station(&long, Some(days(99.9, 999_999)), Some(days(99.9, 9)))).collect();
        let html = VelocityPage::of(&Velocity { updated_at: None, stations }).unwrap().render().unwrap();
        assert!(html.len() <= PAGE_BYTES_MAX, "{}", html.len());
        assert!(html.contains("1 more"));
    }
}
