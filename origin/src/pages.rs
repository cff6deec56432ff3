//! The HTML pages: rendered here, complete without scripts, with no inline style and no request to anyone else.

pub(crate) mod account;
pub(crate) mod admin;
mod api;
pub(crate) mod brief;
pub(crate) mod crawlers;
mod data;
pub(crate) mod demo;
pub(crate) mod export;
mod firm;
pub(crate) mod perf;
mod permit;
pub(crate) mod place;
pub(crate) mod plot;
mod prose;
mod report;
mod search;
mod section;
pub(crate) mod sign_in;
mod stuck;
mod text;
mod velocity;

use askama::Template;
use axum::response::{Html, IntoResponse as _, Response};
use http::StatusCode;

pub(crate) use self::api::api;
pub(crate) use self::data::about_data;
pub(crate) use self::firm::firm;
pub(crate) use self::permit::permit;
pub(crate) use self::prose::{methodology, privacy};
pub(crate) use self::report::report;
pub(crate) use self::search::search;
pub(crate) use self::stuck::stuck;
pub(crate) use self::velocity::velocity;
use crate::error::Error;
use crate::http::errors::Written;
use crate::permits::limits::QUERY_CHARS_MAX;

/// Largest page. A page that shows the city's texts divides it among its parts and cuts each text; long lists give
/// way to their JSON.
pub const PAGE_BYTES_MAX: usize = 100_000;

/// Searches that show what the box takes: an address, a parcel, a street.
const EXAMPLES: [&str; 3] = ["1455 Market St", "block 3507 lot 4", "Valencia"];

/// What surrounds every page.
struct Frame {
    title: String,
    /// The one address of the page; empty for pages that are not to be found, such as those of a visitor's own.
    canonical: String,
    /// What search engines and whoever shares the page show of it.
    description: String,
    css: String,
    icon: String,
    suggest_js: String,
    account_js: String,
    /// For the form to sign out, on the pages of someone who is signed in; they are kept by nobody. Empty on all others.
    token: String,
    /// Whether the search box is in the header; the landing page has its own.
    search_on_top: bool,
    /// What the box holds.
    query: String,
    query_chars_max: usize,
}

impl Frame {
    fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            canonical: String::new(),
            description:
                "Building permits, inspections, plan review, complaints and violations in San Francisco, by parcel."
                    .to_owned(),
            css: place::asset("site.css"),
            icon: place::asset("icon.svg"),
            suggest_js: place::asset("suggest.js"),
            account_js: place::asset("account.js"),
            token: String::new(),
            search_on_top: true,
            query: String::new(),
            query_chars_max: QUERY_CHARS_MAX,
        }
    }

    /// Of a page that is found under `path`.
    fn at(self, path: &str) -> Self {
        let base_url = place::base_url();
        let canonical = if base_url.is_empty() { String::new() } else { format!("{base_url}{path}") };
        Self { canonical, ..self }
    }

    /// Of a page that says this of itself.
    fn about(self, description: String) -> Self {
        Self { description, ..self }
    }

    /// Of someone who is signed in, with the token for the forms of the session.
    fn of(self, token: String) -> Self {
        Self { token, ..self }
    }
}

fn render(template: &impl Template) -> Result<Response, Error> {
    Ok(Html(html(template)?).into_response())
}

fn html(template: &impl Template) -> Result<String, Error> {
    template.render().map_err(Error::bug)
}

/// The type of every page.
const HTML: &str = "text/html; charset=utf-8";

/// A page with a form that was filled in wrongly: 400, with what is wrong beside its field.
fn wrongly_filled(mut page: Response) -> Response {
    *page.status_mut() = StatusCode::BAD_REQUEST;
    page.extensions_mut().insert(Written);
    page
}

/// Renders parts in order until the next one would not fit.
fn spend<T: Template>(bytes_max: usize, parts: impl Iterator<Item = T>) -> Result<Vec<String>, Error> {
    let mut spent = 0;
    let mut rendered = Vec::new();
    for part in parts {
        let html = part.render().map_err(Error::bug)?;
        spent += html.len();
        if spent > bytes_max {
            break;
        }
        rendered.push(html);
    }
    Ok(rendered)
}

#[derive(Template)]
#[template(path = "landing.html")]
struct Landing {
    frame: Frame,
    examples: [&'static str; 3],
}

/// `GET /`
pub(crate) async fn landing() -> Result<Response, Error> {
    let frame =
        Frame { search_on_top: false, ..Frame::new("San Francisco permits by address, parcel and name").at("/") };
    render(&Landing { frame, examples: EXAMPLES })
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    frame: Frame,
    status: u16,
    headline: &'static str,
    detail: &'a str,
    /// When it is worth trying again.
    again: String,
    /// Only where we would look something up by it.
    request_id: &'a str,
}

/// The page of an error. Needs no database. `retry_after_s` is what its field of that name says.
pub(crate) fn error(error: &Error, request_id: &str, retry_after_s: Option<u64>) -> Response {
    let headline = match error.status() {
        StatusCode::NOT_FOUND => "Nothing is here",
        StatusCode::BAD_REQUEST => "That could not be read",
        StatusCode::TOO_MANY_REQUESTS => "Not so fast, please",
        StatusCode::SERVICE_UNAVAILABLE => "One moment, please",
        status if status.is_client_error() => "That is not possible here",
        _ => "Something went wrong",
    };
    let page = ErrorPage {
        frame: Frame::new(headline),
        status: error.status().as_u16(),
        headline,
        detail: error.public(),
        again: retry_after_s.map_or_else(String::new, again),
        request_id: if error.status().is_server_error() { request_id } else { "" },
    };
    // Rendering plain text into a template does not fail; if it did, the plain text would still say it.
    render(&page).unwrap_or_else(|_| error.public().to_owned().into_response())
}

fn again(seconds: u64) -> String {
    match seconds {
        0..=1 => "in a second".to_owned(),
        2..=90 => format!("in {seconds} seconds"),
        _ => format!("in {} minutes", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn text(response: Response) -> String {
        String::from_utf8(to_bytes(response.into_body(), PAGE_BYTES_MAX).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn pages_that_need_no_database_are_whole() {
        for page in [landing().await, methodology().await, privacy().await] {
            let html = text(page.unwrap()).await;
            assert!(html.starts_with("<!doctype html>") && html.trim_end().ends_with("</html>"));
            assert!(html.contains("<main id=\"main\">") && html.contains("href=\"/static/site."));
        }
        let html = text(landing().await.unwrap()).await;
        assert_eq!(html.matches("type=\"search\"").count(), 1);
        assert!(html.contains("href=\"/search?q=block%203507%20lot%204\""));
    }

    #[tokio::test]
    async fn nothing_is_inline_or_from_elsewhere() {
        let pages = [
            landing().await.unwrap(),
            methodology().await.unwrap(),
            privacy().await.unwrap(),
            error(&Error::bug("x"), "id-1", Some(1)),
        ];
        for page in pages {
            let html = text(page).await;
            for forbidden in [" style=", "<style", "<script>", " onclick", "src=\"http", "url(http"] {
                assert!(!html.contains(forbidden), "{forbidden}");
            }
        }
    }

    #[tokio::test]
    async fn an_error_page_says_when_to_come_back() {
        for (seconds, expected) in [
            (None, ""),
            (Some(0), "Try again in a second."),
            (Some(1), "Try again in a second."),
            (Some(40), "Try again in 40 seconds."),
            (Some(91), "Try again in 2 minutes."),
        ] {
            let html = text(error(&Error::too_many("Slowly."), "id-1", seconds)).await;
            assert!(html.contains(expected), "{html}");
            assert_eq!(html.contains("Try again"), seconds.is_some(), "{html}");
            assert!(html.contains("Everyone has so many pages a minute"), "{html}");
        }
    }

    #[tokio::test]
    async fn an_error_page_escapes_and_names_the_request_only_for_our_faults() {
        let html = text(error(&Error::bad_request("<script>"), "id-1", None)).await;
        assert!(html.contains("&#60;script&#62;") && !html.contains("id-1"));
        let html = text(error(&Error::bug("secret"), "id-1", None)).await;
        assert!(html.contains("id-1") && !html.contains("secret"));
    }
}
