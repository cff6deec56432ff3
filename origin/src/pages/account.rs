//! What someone who is signed in has here: what they watch, how often they get a brief, and the way out.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::{Frame, brief, render, wrongly_filled};
use crate::accounts::watch::{Kind, LABEL_CHARS_MAX, Subject, WATCHES_MAX, Watch};
use crate::accounts::{Frequency, SignedForm, User, private};
use crate::error::Error;
use crate::server::Site;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    email: String,
    is_admin: bool,
    watches: Vec<Watch>,
    watches_max: i64,
    kinds: Vec<Choice>,
    subject: String,
    subject_chars_max: usize,
    /// What is wrong with the subject.
    error: String,
    frequencies: Vec<Choice>,
}

/// One choice of a list.
struct Choice {
    value: &'static str,
    words: &'static str,
    chosen: bool,
}

/// What the form to watch something sends; a link may fill it in.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct NewWatch {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    subject: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct OldWatch {
    watch_id: i64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct BriefChoice {
    frequency: String,
}

/// `GET /account`
pub(crate) async fn account(
    State(site): State<Arc<Site>>,
    user: User,
    Query(wanted): Query<NewWatch>,
) -> Result<Response, Error> {
    page(&site, &user, wanted, String::new()).await
}

async fn page(site: &Site, user: &User, wanted: NewWatch, error: String) -> Result<Response, Error> {
    let watches = user.watches(site.databases.primary()).await?;
    let chosen = Kind::find(&wanted.kind).unwrap_or(Kind::Address);
    let kind = |kind: Kind| Choice { value: kind.as_str(), words: kind.words(), chosen: kind == chosen };
    let frequency = |frequency: Frequency| Choice {
        value: frequency.as_str(),
        words: match frequency {
            Frequency::None => "No mail",
            Frequency::Daily => "Every morning",
            Frequency::Weekly => "Every Monday",
        },
        chosen: frequency == user.brief_frequency,
    };
    let response = render(&AccountPage {
        frame: Frame::new(if error.is_empty() { "Your account" } else { "Error: your account" })
            .of(site.accounts.form_token(&user.session)),
        email: user.email.clone(),
        is_admin: user.is_admin,
        watches,
        watches_max: WATCHES_MAX,
        kinds: Kind::ALL.map(kind).into(),
        subject: wanted.subject.chars().take(LABEL_CHARS_MAX).collect(),
        subject_chars_max: LABEL_CHARS_MAX,
        error,
        frequencies: Frequency::ALL.map(frequency).into(),
    })?;
    Ok(private(response))
}

/// `POST /account/watch`
pub(crate) async fn watch(State(site): State<Arc<Site>>, form: SignedForm<NewWatch>) -> Result<Response, Error> {
    let SignedForm { user, content } = form;
    let kind =
        Kind::find(&content.kind).ok_or_else(|| Error::bad_request("There is no such kind of thing to watch."))?;
    let refusal = match Subject::parse(kind, &content.subject) {
        Ok(subject) => user.watch(site.databases.primary(), &subject).await?.err(),
        Err(refusal) => Some(refusal),
    };
    let Some(refusal) = refusal else {
        brief::forget(&site, &user).await?;
        return Ok(private(Redirect::to("/account")));
    };
    Ok(wrongly_filled(page(&site, &user, content, refusal.to_string()).await?))
}

/// `POST /account/unwatch`
pub(crate) async fn unwatch(State(site): State<Arc<Site>>, form: SignedForm<OldWatch>) -> Result<Response, Error> {
    form.user.unwatch(site.databases.primary(), form.content.watch_id).await?;
    brief::forget(&site, &form.user).await?;
    Ok(private(Redirect::to("/account")))
}

/// `POST /account/brief`
pub(crate) async fn choose_brief(
    State(site): State<Arc<Site>>,
    form: SignedForm<BriefChoice>,
) -> Result<Response, Error> {
    let frequency = Frequency::find(&form.content.frequency);
    let frequency = frequency.ok_or_else(|| Error::bad_request("A brief comes never, daily or weekly."))?;
    form.user.choose_brief(site.databases.primary(), frequency).await?;
    Ok(private(Redirect::to("/account").into_response()))
}
