//! The search page.

use std::sync::Arc;
use std::time::Instant;

use askama::Template;
use axum::extract::{Query as Parameters, State};
use axum::response::Response;

use super::text::{clip, count, date, money, sentence};
use super::{Frame, render};
use crate::error::Error;
use crate::http::observe::DatabaseTime;
use crate::permits::api::SearchParameters;
use crate::permits::search::query::Refusal;
use crate::permits::search::{self, Found, Hit, Page, Place};
use crate::permits::standing::Stage;
use crate::server::Site;

/// Characters of a description; the city cuts its own at 300.
const DESCRIPTION_CHARS_MAX: usize = 240;

/// Further addresses of one permit.
const OTHERS_MAX: usize = 5;

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    frame: Frame,
    /// Nothing was asked yet.
    blank: bool,
    advice: String,
    headline: String,
    note: String,
    /// Whether the note says something unexpected.
    fell_through: bool,
    parcel: Option<String>,
    /// The number of the first hit on this page.
    first: u32,
    hits: Vec<HitView>,
    page: u32,
    pages: u32,
    previous: Option<String>,
    next: Option<String>,
}

struct HitView {
    address: String,
    report: Option<String>,
    number: String,
    kind: String,
    status: String,
    stage: &'static str,
    facts: String,
    matched: String,
    description: String,
    others: Vec<Other>,
    others_left: usize,
}

struct Other {
    address: String,
    report: Option<String>,
}

/// `GET /search?q=&page=`
pub(crate) async fn search(
    State(site): State<Arc<Site>>,
    Parameters(parameters): Parameters<SearchParameters>,
) -> Result<Response, Error> {
    let page = parameters.page()?;
    if parameters.q.trim().is_empty() {
        return render(&SearchPage::blank());
    }
    let query = parameters.query()?;
    let started = Instant::now();
    let found = search::find(&site.pool, &query, page).await?;
    let waited = started.elapsed();
    let mut response = render(&SearchPage::of(found, page))?;
    response.extensions_mut().insert(DatabaseTime(waited));
    Ok(response)
}

impl SearchPage {
    fn blank() -> Self {
        Self {
            frame: Frame::new("Search"),
            blank: true,
            advice: Refusal::Empty.to_string(),
            headline: String::new(),
            note: String::new(),
            fell_through: false,
            parcel: None,
            first: 1,
            hits: Vec::new(),
            page: 1,
            pages: 0,
            previous: None,
            next: None,
        }
    }

    fn of(found: Found, page: Page) -> Self {
        let mut frame = Frame::new(format!("Search: {}", found.query));
        let link = |page: u32| format!("/search?q={}&page={page}", encode(&found.query));
        let number = page.number();
        let headline = headline(&found);
        let note = note(&found);
        let previous = (number > 1).then(|| link(number - 1));
        let next = (number < found.pages).then(|| link(number + 1));
        frame.query.clone_from(&found.query);
        Self {
            frame,
            blank: false,
            advice: String::new(),
            headline,
            note,
            fell_through: found.instead_of.is_some() || found.suffix_ignored,
            parcel: found.report,
            first: (number - 1) * found.page_size + 1,
            hits: found.results.into_iter().map(HitView::of).collect(),
            page: number,
            pages: found.pages,
            previous,
            next,
        }
    }
}

fn headline(found: &Found) -> String {
    if found.total == 0 {
        return format!("Nothing found for “{}”", found.query);
    }
    let at_least = if found.total_is_at_least { "At least " } else { "" };
    format!("{at_least}{} for “{}”", count(found.total, "permit"), found.query)
}

/// Says which kind matched when it is not the one that the text looked like.
fn note(found: &Found) -> String {
    match (found.kind, found.instead_of) {
        (Some(kind), Some(closest)) => {
            format!("No {} like this has a permit, so this is what it found as a {}.", closest.words(), kind.words())
        }
        (Some(_), None) if found.suffix_ignored => {
            "Nothing has this street suffix, so this is the name with any other.".to_owned()
        }
        (Some(kind), None) => format!("Matched as {}. Newest first.", kind.words()),
        (None, _) => String::new(),
    }
}

/// A query parameter's value: everything but unreserved characters as percent and hexadecimal.
fn encode(value: &str) -> String {
    value.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push_str(&crate::digest::hex(&[byte]).to_ascii_uppercase());
        }
        text
    })
}

impl HitView {
    fn of(hit: Hit) -> Self {
        let facts = [
            hit.filed_date.map(|day| format!("filed {}", date(day))),
            hit.issued_date.map(|day| format!("issued {}", date(day))),
            hit.completed_date.map(|day| format!("completed {}", date(day))),
            hit.revised_cost.filter(|cost| *cost > 0.0).or(hit.estimated_cost).map(money),
        ];
        let mut places = hit.addresses.into_iter().map(Other::of);
        let first = places.next();
        let mut others: Vec<Other> = places.collect();
        let others_left = others.len().saturating_sub(OTHERS_MAX);
        others.truncate(OTHERS_MAX);
        let (address, report) = first.map_or_else(Default::default, |place| (place.address, place.report));
        Self {
            address,
            report,
            number: hit.permit_number,
            kind: sentence(hit.permit_type_definition.as_deref().unwrap_or("permit")),
            stage: Stage::of(hit.status.as_deref()).as_str(),
            status: hit.status.unwrap_or_else(|| "no status".to_owned()),
            facts: facts.into_iter().flatten().collect::<Vec<_>>().join(" · "),
            matched: clip(&hit.matched.unwrap_or_default(), DESCRIPTION_CHARS_MAX),
            description: clip(&hit.description.unwrap_or_default(), DESCRIPTION_CHARS_MAX),
            others,
            others_left,
        }
    }
}

impl Other {
    fn of(place: Place) -> Self {
        let address = if place.address.is_empty() { "Address not recorded".to_owned() } else { place.address };
        Self { address, report: place.report }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::PAGE_BYTES_MAX;
    use crate::permits::limits::{PAGE_SIZE, QUERY_CHARS_MAX};
    use crate::permits::search::query::Kind;

    fn found(total: i64, results: Vec<Hit>) -> Found {
        Found {
            query: "1455 Market & <b>".into(),
            kind: (total > 0).then_some(Kind::Address),
            instead_of: None,
            page: 1,
            page_size: PAGE_SIZE,
            total,
            total_is_at_least: false,
            pages: u32::try_from(total).unwrap().div_ceil(PAGE_SIZE),
            suffix_ignored: false,
            report: None,
            results,
        }
    }

    fn hit(text: &str, addresses: usize) -> Hit {
        let place = |_| Place {
            record_id: text.into(),
            address: text.into(),
            block: None,
            lot: None,
            report: Some("/report/3507/004".into()),
        };
        Hit {
            permit_number: text.into(),
            permit_type_definition: None,
            status: None,
            filed_date: None,
            issued_date: None,
            completed_date: None,
            estimated_cost: Some(1e9),
            revised_cost: Some(0.0),
            description: Some(text.into()),
            matched: Some(text.into()),
            addresses: (0..addresses).map(place).collect(),
        }
    }

    #[test]
    fn hits_link_to_reports_and_texts_are_escaped() {
        let html = SearchPage::of(found(60, vec![hit("<i>x</i>", 8)]), Page::FIRST).render().unwrap();
        assert!(html.contains("60 permits for “1455 Market &#38; &#60;b&#62;”"), "{html}");
        assert!(html.contains("<a href=\"/report/3507/004\">&#60;i&#62;x&#60;/i&#62;</a>"));
        assert!(html.contains("and 2 more") && html.contains("$1,000,000,000"));
        assert!(html.contains("href=\"/search?q=1455%20Market%20%26%20%3Cb%3E&#38;page=2\""));
        assert!(!html.contains("<i>") && !html.contains("rel=\"prev\""));
    }

    #[test]
    fn nothing_found_offers_other_ways() {
        let html = SearchPage::of(found(0, Vec::new()), Page::FIRST).render().unwrap();
        assert!(html.contains("Nothing found for") && html.contains("Other ways to look"));
    }

    #[test]
    fn the_fullest_page_stays_small() {
        // Every field at its bound; five bytes for each character after escaping.
        let text = "&".repeat(300);
        let hits = (0..PAGE_SIZE).map(|_| Hit { permit_number: "2".into(), ..hit("Market Street &", 50) });
        let mut found = found(60, hits.collect());
        for hit in &mut found.results {
            hit.description = Some("x".repeat(DESCRIPTION_CHARS_MAX * 2));
            hit.matched = Some(text.clone());
        }
        found.query = "&".repeat(QUERY_CHARS_MAX);
        let html = SearchPage::of(found, Page::FIRST).render().unwrap();
        assert!(html.len() < PAGE_BYTES_MAX, "{}", html.len());
    }
}
