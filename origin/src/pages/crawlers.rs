//! What is said to programs that walk through the site: where they may go, what there is, and whom to tell of a hole.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use jiff::{Timestamp, ToSpan as _};
use tokio_postgres::types::{ToSql, Type};

use super::place::base_url;
use crate::db::{Databases, ReadOnly, Reader};
use crate::documents::{Document, Written};
use crate::error::Error;
use crate::permits::limits::LISTED_MAX;
use crate::permits::parcel::Parcel;
use crate::purge;
use crate::server::Site;

/// Lists of reports: five times the city's parcels.
const LISTS_MAX: i64 = 500;
/// How long security.txt may be trusted, in hours: RFC 9116 §2.5.5 advises less than a year.
const CONTACT_HOURS: i64 = 90 * 24;

/// Pages that are worth finding and need no data to be listed.
const PAGES: [&str; 8] = ["/", "/demo", "/velocity", "/stuck", "/methodology", "/about-data", "/api", "/privacy"];

/// What crawlers leave alone: what differs for each visitor, or costs more than it tells.
const DISALLOWED: [&str; 9] =
    ["/search", "/exports", "/auth/", "/account", "/admin", "/brief", "/cron/", "/api/", "/health"];

/// `GET /robots.txt`
pub(crate) async fn robots() -> Response {
    let mut text = String::from("User-agent: *\n");
    for path in DISALLOWED {
        // Writing into a string does not fail.
        let _ = writeln!(text, "Disallow: {path}");
    }
    let _ = write!(text, "\nSitemap: {}/sitemap.xml\n", base_url());
    plain(text)
}

/// `GET /sitemap.xml`: the lists.
pub(crate) async fn sitemap(State(site): State<Arc<Site>>) -> Result<Response, Error> {
    site.documents.answer(&Lists(site.databases.clone())).await
}

/// The lists that there are.
#[derive(Clone)]
struct Lists(Databases);

impl Document for Lists {
    fn name(&self) -> String {
        "/sitemap.xml".to_owned()
    }

    fn content_type(&self) -> &'static str {
        XML
    }

    fn tags(&self) -> Vec<String> {
        vec![purge::SEARCH.to_owned()]
    }

    async fn write(&self) -> Result<Written, Error> {
        let lists = self.0.read(&Listed).await?;
        let reports = (1..=lists.min(LISTS_MAX)).map(|list| format!("reports-{list}"));
        let names = std::iter::once("pages".to_owned()).chain(reports);
        let urls = names.map(|name| format!("/sitemaps/{name}.xml"));
        Ok(Written::new(xml("sitemapindex", "sitemap", urls)))
    }
}

/// One list of reports.
#[derive(Clone)]
struct List {
    databases: Databases,
    number: i64,
}

impl Document for List {
    fn name(&self) -> String {
        format!("/sitemaps/reports-{}.xml", self.number)
    }

    fn content_type(&self) -> &'static str {
        XML
    }

    fn tags(&self) -> Vec<String> {
        vec![purge::SEARCH.to_owned()]
    }

    async fn write(&self) -> Result<Written, Error> {
        let parcels = self.databases.read(&Parcels { list: self.number }).await?;
        if parcels.is_empty() {
            return Err(no_list());
        }
        Ok(Written::new(xml("urlset", "url", parcels.iter().map(Parcel::path))))
    }
}

fn no_list() -> Error {
    Error::not_found("There is no such list; /sitemap.xml names them all.")
}

/// `GET /sitemaps/{list}`: one list of addresses.
pub(crate) async fn list(State(site): State<Arc<Site>>, Path(list): Path<String>) -> Result<Response, Error> {
    if list == "pages.xml" {
        let text = xml("urlset", "url", PAGES.iter().map(|path| (*path).to_owned()));
        return Ok(([(CONTENT_TYPE, HeaderValue::from_static(XML))], text).into_response());
    }
    let number = list.strip_prefix("reports-").and_then(|rest| rest.strip_suffix(".xml")).ok_or_else(no_list)?;
    let number: i64 = number.parse().ok().filter(|number| (1..=LISTS_MAX).contains(number)).ok_or_else(no_list)?;
    site.documents.answer(&List { databases: site.databases.clone(), number }).await
}

/// `GET /.well-known/security.txt` (RFC 9116), where a contact is set.
pub(crate) async fn security(State(site): State<Arc<Site>>) -> Result<Response, Error> {
    let contact = site.security_contact.as_deref();
    let contact = contact.ok_or_else(|| Error::not_found("There is nothing at this address."))?;
    let expires = Timestamp::now().saturating_add(CONTACT_HOURS.hours()).map_err(Error::bug)?;
    let place = base_url();
    Ok(plain(format!(
        "Contact: {contact}\nExpires: {}\nPreferred-Languages: en\nCanonical: {place}/.well-known/security.txt\n",
        expires.strftime("%Y-%m-%dT%H:%M:%SZ")
    )))
}

/// How many lists of reports there are, as the job `resolve-entities` last made them.
struct Listed;

impl ReadOnly for Listed {
    type Answer = i64;

    async fn read(&self, reader: &Reader) -> Result<i64, tokio_postgres::Error> {
        let rows = reader.query_typed("SELECT coalesce(max(list), 0) FROM sitemap_parcels", &[]).await?;
        rows.first().map_or(Ok(0), |row| row.try_get(0))
    }
}

/// The parcels of one list.
struct Parcels {
    list: i64,
}

impl ReadOnly for Parcels {
    type Answer = Vec<Parcel>;

    async fn read(&self, reader: &Reader) -> Result<Vec<Parcel>, tokio_postgres::Error> {
        let statement = "SELECT block, lot FROM sitemap_parcels WHERE list = $1 ORDER BY block, lot LIMIT $2";
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&self.list, Type::INT8), (&LISTED_MAX, Type::INT8)];
        let rows = reader.query_typed(statement, &parameters).await?;
        let mut parcels = Vec::with_capacity(rows.len());
        for row in rows {
            let (block, lot): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
            // What is no parcel has no report.
            parcels.extend(Parcel::parse(block, lot).ok());
        }
        Ok(parcels)
    }
}

/// A list of addresses below `base_url`. Our own paths hold nothing that XML would read.
fn xml(list: &str, entry: &str, paths: impl Iterator<Item = String>) -> String {
    let place = base_url();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{list} xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n"
    );
    for path in paths {
        let _ = writeln!(text, "<{entry}><loc>{place}{path}</loc></{entry}>");
    }
    let _ = writeln!(text, "</{list}>");
    text
}

const XML: &str = "application/xml";

fn plain(text: String) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))], text).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn text(response: Response) -> String {
        String::from_utf8(to_bytes(response.into_body(), 10_000).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn crawlers_are_kept_from_what_differs_and_costs() {
        let text = text(robots().await).await;
        for path in ["/search", "/auth/", "/account", "/admin", "/cron/"] {
            assert!(text.contains(&format!("Disallow: {path}\n")), "{text}");
        }
        assert!(text.ends_with("/sitemap.xml\n") && !text.contains("Disallow: /\n"), "{text}");
        assert!(PAGES.iter().all(|page| DISALLOWED.iter().all(|path| !page.starts_with(path))));
    }

    #[test]
    fn lists_are_xml_with_one_entry_a_line() {
        let text = xml("urlset", "url", ["/", "/velocity"].into_iter().map(str::to_owned));
        assert_eq!(text.matches("<url><loc>").count(), 2, "{text}");
        assert!(text.starts_with("<?xml") && text.ends_with("</urlset>\n"), "{text}");
    }
}
