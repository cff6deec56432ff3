//! The brief on a page and as JSON, and the end of its mails.

mod sections;

use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::text::{count, thousands};
use super::{Frame, PAGE_BYTES_MAX, render, spend};
use crate::accounts::{SignedForm, User, private};
use crate::brief::{Brief, City, Contents, Lookback, Pipeline};
use crate::error::Error;
use crate::server::Site;

/// Rows of the tables: of permits in review, and of places.
const ROWS_MAX: usize = 25;
/// Bytes of the lists. Each is cut at so many lines that all of them fit, unless every text is of the longest.
const SECTIONS_BYTES_MAX: usize = 45_000;
/// Bytes of everything else: the frame, and two tables of [`ROWS_MAX`] rows with the longest texts.
const FRAME_BYTES_MAX: usize = 55_000;

const _: () = assert!(SECTIONS_BYTES_MAX + FRAME_BYTES_MAX <= PAGE_BYTES_MAX);

#[derive(Template)]
#[template(path = "brief.html")]
struct BriefPage {
    frame: Frame,
    brief: Contents,
    days: i32,
    /// Periods to choose from.
    periods: [Period; 3],
    places: Vec<(&'static str, &'static str)>,
    /// What happened, then how things stand.
    news: Vec<String>,
    standing: Vec<String>,
    health: Vec<sections::Watched>,
    health_left: usize,
    cards: Vec<sections::Place>,
    cards_left: usize,
    city: String,
    loads: String,
    json: String,
}

struct Period {
    days: i32,
    words: &'static str,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "unsubscribe.html")]
struct UnsubscribePage {
    frame: Frame,
    /// Where the button leads; empty when it was pressed.
    action: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Days {
    lookback: Option<i64>,
}

impl Days {
    fn lookback(&self) -> Lookback {
        Lookback::clamped(self.lookback.unwrap_or(1))
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Nothing {}

/// `GET /brief?lookback=`
pub(crate) async fn brief(
    State(site): State<Arc<Site>>,
    user: User,
    Query(days): Query<Days>,
) -> Result<Response, Error> {
    let brief = find(&site, &user, days.lookback()).await?;
    let frame = Frame::new("Your brief").of(site.accounts.form_token(&user.session));
    Ok(private(render(&BriefPage::of(frame, brief, days.lookback().days())?)?))
}

/// `GET /api/v1/brief?lookback=`: the same for programs, which get no page to sign in on.
pub(crate) async fn json(
    State(site): State<Arc<Site>>,
    user: Result<User, Response>,
    Query(days): Query<Days>,
) -> Result<Response, Error> {
    let user = match user {
        Ok(user) => user,
        Err(elsewhere) if elsewhere.status().is_redirection() => {
            return Err(Error::unauthorized("Sign in on the site first: this is the brief of whoever has its cookie."));
        }
        Err(failed) => return Ok(failed),
    };
    Ok(private(Json(find(&site, &user, days.lookback()).await?)))
}

async fn find(site: &Site, user: &User, lookback_days: Lookback) -> Result<Contents, Error> {
    let entry = Brief { databases: site.databases.clone(), user_id: user.user_id, lookback_days };
    Contents::read(site.cache.get_cached_or_compute(&entry).await?)
}

impl BriefPage {
    fn of(frame: Frame, brief: Contents, days: i32) -> Result<Self, Error> {
        let json = format!("/api/v1/brief?lookback={days}");
        let (news, standing) = (sections::news(&brief, &json), sections::standing(&brief, &json));
        let mut places: Vec<_> = news.iter().chain(&standing).map(|section| section.place()).collect();
        if !brief.health.is_empty() {
            places.push(("health", "In review"));
        }
        if !brief.property_cards.is_empty() {
            places.push(("places", "Places"));
        }
        let shown = news.len();
        let mut rendered = spend(SECTIONS_BYTES_MAX, news.into_iter().chain(standing))?;
        let standing = rendered.split_off(shown.min(rendered.len()));
        Ok(Self {
            frame,
            days,
            periods: [(1, "a day"), (7, "a week"), (30, "a month")].map(|(period, words)| Period {
                days: period,
                words,
                chosen: period == days,
            }),
            places,
            news: rendered,
            standing,
            health: brief.health.iter().take(ROWS_MAX).map(sections::Watched::of).collect(),
            health_left: brief.health.len().saturating_sub(ROWS_MAX),
            cards: brief.property_cards.iter().take(ROWS_MAX).map(sections::Place::of).collect(),
            cards_left: brief.property_cards.len().saturating_sub(ROWS_MAX),
            city: city(&brief.city),
            loads: loads(&brief.pipeline_stats),
            brief,
            json,
        })
    }
}

/// What changed in the whole city; empty for a brief of another release.
fn city(city: &City) -> String {
    if city.since.is_empty() {
        return String::new();
    }
    let changes = format!("{} of status", count(city.status_changes, "change"));
    let costs = format!("{} of cost", count(city.cost_revisions, "revision"));
    let at_least = if city.at_least { "at least " } else { "" };
    let new = count(city.new_permits, "new permit");
    format!("In the whole city since {}: {at_least}{new}, {changes}, {costs}.", city.since)
}

fn loads(pipeline: &Pipeline) -> String {
    let mut text = format!(
        "In the last 24 hours {} ended well and {} failed.",
        count(pipeline.last_24h_success, "job"),
        thousands(pipeline.last_24h_failed)
    );
    if let Some(mean) = pipeline.avg_duration_seconds {
        text.push_str(&format!(" A nightly load takes {mean} s in the mean of the last ones."));
    }
    text
}

/// `POST /brief/refresh`: the next look computes it anew.
pub(crate) async fn refresh(State(site): State<Arc<Site>>, form: SignedForm<Nothing>) -> Result<Response, Error> {
    forget(&site, &form.user).await?;
    Ok(private(Redirect::to("/brief").into_response()))
}

/// Makes the briefs old that were computed for someone.
pub(super) async fn forget(site: &Site, user: &User) -> Result<(), Error> {
    site.cache.invalidate(&format!("brief:{}:%", user.user_id)).await.map(drop)
}

/// `GET /unsubscribe/{user_id}/{signature}`: a button, because programs look at every link in a mail.
pub(crate) async fn unsubscribe_page(Path((user_id, signature)): Path<(i64, String)>) -> Result<Response, Error> {
    let action = format!("/unsubscribe/{user_id}/{signature}");
    Ok(private(render(&UnsubscribePage { frame: Frame::new("No more mail"), action })?))
}

/// `POST /unsubscribe/{user_id}/{signature}`: from that button, or from a mail program by one click (RFC 8058). Needs no
/// session. A wrong signature is answered as a right one is.
pub(crate) async fn unsubscribe(
    State(site): State<Arc<Site>>,
    Path((user_id, signature)): Path<(i64, String)>,
) -> Result<Response, Error> {
    site.accounts.unsubscribe(site.databases.primary(), user_id, &signature).await?;
    Ok(private(render(&UnsubscribePage { frame: Frame::new("No more mail"), action: String::new() })?))
}
