//! Requests that change something come from our own pages, as far as the browser says where they come from.
//!
//! Every browser of the last years says it, by `Sec-Fetch-Site` or `Origin`, and a page cannot change either. Who sends
//! neither is no browser, carries nobody's cookie without knowing it, and passes. Programs authenticate by a field of
//! their own below `/cron` and `/api`, where cookies mean nothing.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::ORIGIN;
use http::{HeaderMap, HeaderName, Method};

use super::Accounts;
use crate::error::Error;
use crate::http::errors::speaks_json;

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses what a page of another site has a visitor's browser send.
pub(crate) async fn layer(State(accounts): State<Arc<Accounts>>, request: Request, next: Next) -> Response {
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if is_safe || speaks_json(request.uri().path()) || accounts.is_same_site(request.headers()) {
        return next.run(request).await;
    }
    Error::forbidden("This form was sent by another site. Please open the page here and send it again.").into_response()
}

impl Accounts {
    fn is_same_site(&self, headers: &HeaderMap) -> bool {
        if let Some(site) = headers.get(&SEC_FETCH_SITE) {
            return site == "same-origin" || site == "none";
        }
        headers.get_all(ORIGIN).iter().all(|origin| origin.as_bytes().eq_ignore_ascii_case(self.origin.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::tests::accounts;

    #[test]
    fn only_our_own_pages_and_what_is_no_browser_pass() {
        let accounts = accounts(&[]);
        for (fields, passes) in [
            (&[][..], true),
            (&[("origin", "https://permits.example")], true),
            (&[("origin", "https://permits.example:444")], false),
            (&[("origin", "http://permits.example")], false),
            (&[("origin", "https://permits.example.evil.example")], false),
            (&[("origin", "null")], false),
            (&[("origin", "https://permits.example"), ("origin", "https://evil.example")], false),
            (&[("sec-fetch-site", "same-origin"), ("origin", "null")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site"), ("origin", "https://permits.example")], false),
            (&[("sec-fetch-site", "cross-site")], false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(HeaderName::from_static(name), value.parse().unwrap());
            }
            assert_eq!(accounts.is_same_site(&headers), passes, "{headers:?}");
        }
    }
}
