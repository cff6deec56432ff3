//! Static files: embedded, each served under its own name and under one that changes with its content.
//!
//! Pages link to the second (`/static/site.<hash>.css`), which browsers and the edge may keep forever; the first
//! is for people. Which lifetime each gets is policy.toml's business.

use std::sync::{Arc, LazyLock};

use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use http::HeaderValue;
use http::header::{CONTENT_TYPE, ETAG};

use crate::documents::Page;
use crate::error::Error;
use crate::http::cache::{HASH_DIGITS, digest};

/// A file of the site.
struct Asset {
    name: &'static str,
    hashed_name: String,
    content_type: &'static str,
    page: Arc<Page>,
}

/// Names and contents; the extension decides the type.
const FILES: [(&str, &[u8]); 4] = [
    ("account.js", include_bytes!("../static/account.js")),
    ("icon.svg", include_bytes!("../static/icon.svg")),
    ("site.css", include_bytes!("../static/site.css")),
    ("suggest.js", include_bytes!("../static/suggest.js")),
];

static ASSETS: LazyLock<Vec<Asset>> =
    LazyLock::new(|| FILES.into_iter().map(|(name, content)| Asset::new(name, content)).collect());

impl Asset {
    fn new(name: &'static str, content: &'static [u8]) -> Self {
        let hash = digest(content);
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        let content_type = match extension {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => "application/octet-stream",
        };
        Self { name, hashed_name: format!("{stem}.{hash}.{extension}"), content_type, page: Page::new(content) }
    }

    /// Whether `name` is the hashed name of another version of this file.
    fn had_name(&self, name: &str) -> bool {
        let mut parts = name.split('.');
        let (stem, hash, extension) = (parts.next(), parts.next(), parts.next());
        let is_hash = |hash: &str| hash.len() == HASH_DIGITS && hash.bytes().all(|b| b.is_ascii_hexdigit());
        stem.zip(extension) == self.name.split_once('.') && hash.is_some_and(is_hash) && parts.next().is_none()
    }
}

/// The address of a file under the name that changes with its content; empty for a file we do not have.
#[must_use]
pub fn href(name: &str) -> String {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    asset.map_or_else(String::new, |asset| format!("/static/{}", asset.hashed_name))
}

/// `GET /static/{name}`
pub(crate) async fn serve(Path(name): Path<String>) -> Result<Response, Error> {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name || asset.hashed_name == name) else {
        // A page stored before the last release still links to the file under its old name.
        let current = ASSETS.iter().find(|asset| asset.had_name(&name));
        let current =
            current.ok_or_else(|| Error::not_found("There is no such file. Pages link to the current ones."))?;
        return Ok(Redirect::temporary(&format!("/static/{}", current.name)).into_response());
    };
    let fields =
        [(CONTENT_TYPE, HeaderValue::from_static(asset.content_type)), (ETAG, asset.page.entity_tag().clone())];
    let mut response = (fields, asset.page.text().clone()).into_response();
    response.extensions_mut().insert(Arc::clone(&asset.page));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[tokio::test]
    async fn both_names_serve_the_same_bytes() {
        for (name, kind) in [("site.css", "text/css; charset=utf-8"), ("icon.svg", "image/svg+xml")] {
            let hashed = href(name).strip_prefix("/static/").unwrap().to_owned();
            assert_ne!(hashed, name);
            let plain = serve(Path(name.to_owned())).await.unwrap();
            let hashed = serve(Path(hashed)).await.unwrap();
            assert_eq!(plain.headers()[CONTENT_TYPE], kind);
            assert_eq!(plain.headers()[ETAG], hashed.headers()[ETAG]);
        }
    }

    #[tokio::test]
    async fn other_names_are_not_found() {
        for name in ["", "site", "site.123.css", "site.0000000000000000.js", "x.0000000000000000.css", "../Cargo.toml"]
        {
            assert_eq!(serve(Path(name.to_owned())).await.unwrap_err().status(), StatusCode::NOT_FOUND, "{name}");
        }
        assert_eq!(href("missing.css"), "");
    }

    #[tokio::test]
    async fn the_name_of_an_older_version_leads_to_the_current_one() {
        let answer = serve(Path("site.0000000000000000.css".to_owned())).await.unwrap();
        assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(answer.headers()[http::header::LOCATION], "/static/site.css");
    }
}
