//! Signing in and out. No page here is kept by anyone, and none says whether an address is known.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{AppendHeaders, Redirect, Response};
use http::header::SET_COOKIE;
use serde::Deserialize;

use super::{Frame, render, wrongly_filled};
use crate::accounts::{Asked, EMAIL_BYTES_MAX, Email, LINK_MINUTES, SignedForm, Token, User, private};
use crate::config::INVITE_BYTES_MAX;
use crate::error::Error;
use crate::server::Site;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    frame: Frame,
    email: String,
    email_bytes_max: usize,
    /// What is wrong with the address.
    error: &'static str,
    needs_invite: bool,
    invite_code: String,
    invite_bytes_max: usize,
    minutes: i32,
}

#[derive(Template)]
#[template(path = "link_sent.html")]
struct LinkSent {
    frame: Frame,
    minutes: i32,
}

#[derive(Template)]
#[template(path = "link.html")]
struct LinkPage {
    frame: Frame,
    action: String,
}

/// What `/auth/login` and `/auth/send-link` take.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Fields {
    #[serde(default)]
    email: String,
    #[serde(default)]
    invite_code: String,
}

/// `GET /auth/login`; whoever is signed in already is led to their account.
pub(crate) async fn sign_in(
    State(site): State<Arc<Site>>,
    user: Result<User, Response>,
    Query(fields): Query<Fields>,
) -> Result<Response, Error> {
    if user.is_ok() {
        return Ok(private(Redirect::to("/account")));
    }
    page(&site, fields, "")
}

fn page(site: &Site, fields: Fields, error: &'static str) -> Result<Response, Error> {
    let short = |text: String, bytes_max| if text.len() <= bytes_max { text } else { String::new() };
    let invite_code = short(fields.invite_code, INVITE_BYTES_MAX);
    let response = render(&SignInPage {
        frame: Frame::new(if error.is_empty() { "Sign in" } else { "Error: sign in" }),
        email: short(fields.email, EMAIL_BYTES_MAX),
        email_bytes_max: EMAIL_BYTES_MAX,
        error,
        needs_invite: site.accounts.needs_invite() || !invite_code.is_empty(),
        invite_code,
        invite_bytes_max: INVITE_BYTES_MAX,
        minutes: LINK_MINUTES,
    })?;
    Ok(private(response))
}

/// `POST /auth/send-link`: the same answer, at once, for every address there can be.
pub(crate) async fn send_link(State(site): State<Arc<Site>>, Form(fields): Form<Fields>) -> Result<Response, Error> {
    let Some(email) = Email::parse(&fields.email) else {
        let error = "This is not a mail address. One looks like name@example.org.";
        return Ok(wrongly_filled(page(&site, fields, error)?));
    };
    let code = Some(fields.invite_code.trim().to_owned()).filter(|code| !code.is_empty());
    site.desk.ask(Asked { email, invite_code: code })?;
    Ok(private(Redirect::to("/auth/sent")))
}

/// `GET /auth/sent`
pub(crate) async fn sent() -> Result<Response, Error> {
    Ok(private(render(&LinkSent { frame: Frame::new("Look into your mail"), minutes: LINK_MINUTES })?))
}

/// `GET /auth/verify/{token}`: a button. Programs that look at every link in a mail do not press it.
pub(crate) async fn link(Path(token): Path<String>) -> Result<Response, Error> {
    if Token::parse(&token).is_none() {
        return Err(used_up());
    }
    Ok(private(render(&LinkPage { frame: Frame::new("Sign in"), action: format!("/auth/verify/{token}") })?))
}

/// `POST /auth/verify/{token}`
pub(crate) async fn verify(State(site): State<Arc<Site>>, Path(token): Path<String>) -> Result<Response, Error> {
    let token = Token::parse(&token).ok_or_else(used_up)?;
    let session = site.accounts.sign_in(site.databases.primary(), token).await?.ok_or_else(used_up)?;
    let cookies = AppendHeaders(site.accounts.begin(&session).map(|cookie| (SET_COOKIE, cookie)));
    Ok(private((cookies, Redirect::to("/account"))))
}

fn used_up() -> Error {
    Error::bad_request("This link has been used, or is too old. Please ask for another one on the sign-in page.")
}

#[derive(Debug, Deserialize)]
pub(crate) struct Nothing {}

/// `POST /auth/logout`: ends the session in this browser.
pub(crate) async fn sign_out(State(site): State<Arc<Site>>, _: SignedForm<Nothing>) -> Response {
    signed_out(&site)
}

/// `POST /auth/logout-everywhere`: ends every session of the user.
pub(crate) async fn sign_out_everywhere(
    State(site): State<Arc<Site>>,
    form: SignedForm<Nothing>,
) -> Result<Response, Error> {
    form.user.end_sessions(site.databases.primary()).await?;
    Ok(signed_out(&site))
}

fn signed_out(site: &Site) -> Response {
    private((AppendHeaders(site.accounts.end().map(|cookie| (SET_COOKIE, cookie))), Redirect::to("/")))
}
