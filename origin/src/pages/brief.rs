//! The brief on a page, and the end of its mails.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::{Frame, render};
use crate::accounts::{SignedForm, User, private};
use crate::brief::{Brief, Contents, Lookback};
use crate::error::Error;
use crate::server::Site;

#[derive(Template)]
#[template(path = "brief.html")]
struct BriefPage {
    frame: Frame,
    brief: Contents,
    days: i32,
    token: String,
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

#[derive(Debug, Deserialize)]
pub(crate) struct Nothing {}

/// `GET /brief?lookback=`
pub(crate) async fn brief(
    State(site): State<Arc<Site>>,
    user: User,
    Query(days): Query<Days>,
) -> Result<Response, Error> {
    let lookback_days = Lookback::clamped(days.lookback.unwrap_or(1));
    let entry = Brief { databases: site.databases.clone(), user_id: user.user_id, lookback_days };
    let brief = Contents::read(site.cache.get_cached_or_compute(&entry).await?)?;
    let token = site.accounts.form_token(&user.session);
    let page = BriefPage { frame: Frame::new("Your brief"), brief, days: lookback_days.days(), token };
    Ok(private(render(&page)?))
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
