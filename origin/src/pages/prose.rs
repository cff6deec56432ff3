//! Pages of text that need no data: what the site does with records, and with its visitors.

use askama::Template;
use axum::response::Response;

use super::{Frame, render};
use crate::error::Error;
use crate::permits::limits::{
    COMPLAINTS_MAX, NAME_MATCHES_MAX, PERMIT_LIST_MAX, PERMIT_ROWS_MAX, STUCK_DAYS_MAX, VIOLATIONS_MAX,
};
use crate::permits::report::routing::STALLED_AFTER_DAYS;
use crate::permits::severity::Category;
use crate::permits::signals;
use crate::soda::datasets::{DATASETS, Dataset};

#[derive(Template)]
#[template(path = "methodology.html")]
struct Methodology {
    frame: Frame,
    name_matches_max: u32,
    stalled_after_days: i32,
    permit_rows_max: usize,
    complaints_max: usize,
    violations_max: usize,
    permit_list_max: usize,
    categories: Vec<&'static Category>,
    signals: &'static [signals::Kind],
    stuck_days_max: i32,
    datasets: &'static [Dataset],
}

/// `GET /methodology`
pub(crate) async fn methodology() -> Result<Response, Error> {
    render(&Methodology {
        frame: Frame::new("How the pages are made").at("/methodology"),
        name_matches_max: NAME_MATCHES_MAX,
        stalled_after_days: STALLED_AFTER_DAYS,
        permit_rows_max: PERMIT_ROWS_MAX,
        complaints_max: COMPLAINTS_MAX,
        violations_max: VIOLATIONS_MAX,
        permit_list_max: PERMIT_LIST_MAX,
        categories: Category::all().collect(),
        signals: &signals::KINDS,
        stuck_days_max: STUCK_DAYS_MAX,
        datasets: DATASETS,
    })
}

#[derive(Template)]
#[template(path = "privacy.html")]
struct Privacy {
    frame: Frame,
}

/// `GET /privacy`
pub(crate) async fn privacy() -> Result<Response, Error> {
    render(&Privacy { frame: Frame::new("Privacy").at("/privacy") })
}
