//! The search page.
//!
//! Texts of the city's are cut, and hits are shown until [`HITS_BYTES_MAX`] is used up; what is left is counted and
//! linked as JSON.

mod filter;

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query as Parameters, State};
use axum::response::Response;

use self::filter::FilterView;
use super::section::{Line, Section};
use super::text::{clip, count, date, encode, money, sentence};
use super::{Frame, HTML, PAGE_BYTES_MAX, html, render, spend};
use crate::documents::{Document, Written};
use crate::error::Error;
use crate::permits::api::{Asked, SearchParameters};
use crate::permits::limits::PLANNING_FOUND_MAX;
use crate::permits::search::query::{Kind, Refusal};
use crate::permits::search::{Found, Hit, Part, Place, Planned, Suggestion};
use crate::permits::standing::Stage;
use crate::purge;
use crate::server::Site;

/// Characters of a description; the city cuts its own at 300.
const DESCRIPTION_CHARS_MAX: usize = 240;

/// Characters of an address, a kind of permit, a number or a status; the longest of the city's have fifty.
const FIELD_CHARS_MAX: usize = 120;

/// Further addresses of one permit.
const OTHERS_MAX: usize = 5;

/// Bytes of hits. A full page of usual ones takes 25,000.
const HITS_BYTES_MAX: usize = 50_000;

/// Bytes of everything else: head, headings, footer, links, the query in each link, escaped, and the filters.
const FRAME_BYTES_MAX: usize = 50_000;

const _: () = assert!(HITS_BYTES_MAX + FRAME_BYTES_MAX <= PAGE_BYTES_MAX);

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    frame: Frame,
    /// Nothing was asked yet.
    blank: bool,
    advice: String,
    headline: String,
    note: String,
    /// Nothing is found in any way, filters or not.
    is_nowhere: bool,
    /// Whether the note says something unexpected.
    fell_through: bool,
    parcel: Option<String>,
    filters: Vec<FilterView>,
    /// Whether one of them is in use.
    narrowed: bool,
    /// What an export is ordered with: the text and the filters.
    order: Vec<(&'static str, String)>,
    similar: Vec<Suggestion>,
    planning: Option<Section>,
    hits: Vec<String>,
    /// Hits of this page that were left out because it would have grown too long.
    left: usize,
    /// The same page of results as JSON.
    json: String,
    /// The first page, on any other.
    newest: Option<String>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "hit.html")]
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

/// `GET /search?q=&after=&status=&type=&year=`
pub(crate) async fn search(
    State(site): State<Arc<Site>>,
    Parameters(parameters): Parameters<SearchParameters>,
) -> Result<Response, Error> {
    let part = parameters.part()?;
    if parameters.q.trim().is_empty() {
        return render(&SearchPage::blank());
    }
    site.documents
        .answer(&ResultsPage(Asked { databases: site.databases.clone(), query: parameters.query()?, part }))
        .await
}

/// One page of results, for people.
#[derive(Clone)]
struct ResultsPage(Asked);

impl Document for ResultsPage {
    fn name(&self) -> String {
        format!("/search {}", self.0.name())
    }

    fn content_type(&self) -> &'static str {
        HTML
    }

    fn tags(&self) -> Vec<String> {
        vec![purge::SEARCH.to_owned()]
    }

    async fn write(&self) -> Result<Written, Error> {
        let found = self.0.find().await?;
        let is_passing = found.is_nothing();
        Ok(Written::new(html(&SearchPage::of(found, &self.0.part)?)?).passing(is_passing))
    }
}

impl SearchPage {
    fn blank() -> Self {
        Self {
            frame: Frame::new("Search"),
            blank: true,
            advice: Refusal::Empty.to_string(),
            headline: String::new(),
            note: String::new(),
            is_nowhere: false,
            fell_through: false,
            parcel: None,
            filters: Vec::new(),
            narrowed: false,
            order: Vec::new(),
            similar: Vec::new(),
            planning: None,
            hits: Vec::new(),
            left: 0,
            json: String::new(),
            newest: None,
            next: None,
        }
    }

    fn of(found: Found, part: &Part) -> Result<Self, Error> {
        let mut frame = Frame::new(format!("Search: {}", found.query));
        let found_here = found.results.len();
        let here = link(&found.query, part, part.after.as_ref().map(ToString::to_string).as_deref());
        let headline = headline(&found, part);
        let note = note(&found);
        let newest = part.after.is_some().then(|| link(&found.query, part, None));
        let next = found.next.as_deref().map(|next| link(&found.query, part, Some(next)));
        let filters = FilterView::all(&found, part);
        // Once, before the newest permits.
        let planning = newest.is_none().then(|| planning(&found)).flatten();
        frame.query.clone_from(&found.query);
        let hits = spend(HITS_BYTES_MAX, found.results.into_iter().map(HitView::of))?;
        Ok(Self {
            frame,
            blank: false,
            advice: String::new(),
            headline,
            note,
            is_nowhere: found.kind.is_none(),
            fell_through: found.instead_of.is_some() || found.suffix_ignored,
            parcel: found.report,
            narrowed: part.is_filtered(),
            order: asked(&found.query, part),
            filters,
            similar: found.similar,
            planning,
            left: found_here - hits.len(),
            hits,
            json: format!("/api/v1{here}"),
            newest,
            next,
        })
    }
}

fn headline(found: &Found, part: &Part) -> String {
    if found.filters_leave_nothing {
        return format!("Nothing found for “{}” with these filters", found.query);
    }
    // Filters choose among permits, so with them those are counted.
    let by_record = found.kind == Some(Kind::PlanningRecord) && !part.is_filtered();
    if by_record || found.total == 0 && !found.planning.is_empty() {
        let at_least = if found.planning.len() as i64 == PLANNING_FOUND_MAX { "At least " } else { "" };
        let records = count(found.planning.len() as i64, "planning record");
        return format!("{at_least}{records} for “{}”", found.query);
    }
    if found.total == 0 {
        return format!("Nothing found for “{}”", found.query);
    }
    let at_least = if found.total_is_at_least { "At least " } else { "" };
    format!("{at_least}{} for “{}”", count(found.total, "permit"), found.query)
}

/// That the suffix was let go.
const ANY_SUFFIX: &str = "Nothing has this street suffix, so this is the name with any other.";

/// Says which kind matched when it is not the one that the text looked like.
fn note(found: &Found) -> String {
    match (found.kind, found.instead_of) {
        (Some(kind), _) if found.filters_leave_nothing => {
            format!("Without them something matches as {}.", kind.words())
        }
        (Some(_), _) if found.total == 0 && found.suffix_ignored => {
            format!("{ANY_SUFFIX} No permit is known there.")
        }
        (Some(kind), _) if found.total == 0 => format!("Matched as {}. No permit is known there.", kind.words()),
        (Some(Kind::PlanningRecord), None) => {
            "Matched as planning record. These are the permits of its parcel.".to_owned()
        }
        (Some(kind), Some(closest)) => {
            format!("No {} like this has a permit, so this is what it found as a {}.", closest.words(), kind.words())
        }
        (Some(_), None) if found.suffix_ignored => ANY_SUFFIX.to_owned(),
        // Some of what matches is looked at, and what is newer may be among the rest.
        (Some(kind @ (Kind::Name | Kind::Description)), None) if found.total_is_at_least => {
            format!("Matched as {}.", kind.words())
        }
        (Some(kind), None) => format!("Matched as {}. Newest first.", kind.words()),
        (None, _) => String::new(),
    }
}

/// What the planning department has there.
fn planning(found: &Found) -> Option<Section> {
    let line = |record: &Planned| {
        let parts = [
            record.project_name.clone(),
            record.address.clone(),
            record.open_date.map(|day| format!("opened {}", date(day))),
        ];
        let line = Line::new(&record.record_id, &parts.into_iter().flatten().collect::<Vec<_>>().join(" · "));
        let line = line.chip(record.record_status.as_deref().unwrap_or_default(), false);
        match &record.report {
            Some(report) => line.to(report),
            None => line,
        }
    };
    let intro = "Projects and applications, the newest first; each leads to the report of its parcel.";
    Section::of("planning", "At the planning department", intro, found.planning.iter().map(line))
}

/// The page of results with these filters, from the start or after a place.
fn link(query: &str, part: &Part, after: Option<&str>) -> String {
    let after = after.map(|after| ("after", after.to_owned()));
    let parameters: Vec<_> = asked(query, part).into_iter().chain(after).collect();
    let parameters: Vec<_> = parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    format!("/search?{}", parameters.join("&"))
}

/// The text and the filters, by the names of their parameters.
fn asked(query: &str, part: &Part) -> Vec<(&'static str, String)> {
    let year = part.year.map(|year| year.to_string());
    let given =
        [("q", Some(query.to_owned())), ("status", part.status.clone()), ("type", part.kind.clone()), ("year", year)];
    given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
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
            number: clip(&hit.permit_number, FIELD_CHARS_MAX),
            kind: clip(&sentence(hit.permit_type_definition.as_deref().unwrap_or("permit")), FIELD_CHARS_MAX),
            stage: Stage::of(hit.status.as_deref()).as_str(),
            status: clip(hit.status.as_deref().unwrap_or("no status"), FIELD_CHARS_MAX),
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
        let address = if place.address.is_empty() { "Address not recorded" } else { &place.address };
        let address = clip(address, FIELD_CHARS_MAX);
        Self { address, report: place.report }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::permits::limits::{PAGE_SIZE, QUERY_CHARS_MAX};
    use crate::soda::row::{CODE_BYTES_MAX, TEXT_BYTES_MAX};

    fn found(total: i64, results: Vec<Hit>) -> Found {
        Found {
            query: "1455 Market & <b>".into(),
            kind: (total > 0).then_some(Kind::Address),
            instead_of: None,
            page_size: PAGE_SIZE,
            total,
            total_is_at_least: false,
            facets: Some(json!({"status": {"complete": 40, "issued": 20}, "type": {"x": 60}, "year": {}})),
            next: (total > i64::from(PAGE_SIZE)).then(|| "2015-01-01T00:00:00_1".to_owned()),
            similar: Vec::new(),
            suffix_ignored: false,
            filters_leave_nothing: false,
            report: None,
            planning: Vec::new(),
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
        let html = SearchPage::of(found(60, vec![hit("<i>x</i>", 8)]), &Part::default()).unwrap().render().unwrap();
        assert!(html.contains("60 permits for “1455 Market &#38; &#60;b&#62;”"), "{html}");
        assert!(html.contains("<a href=\"/report/3507/004\">&#60;i&#62;x&#60;/i&#62;</a>"));
        assert!(html.contains("and 2 more") && html.contains("$1,000,000,000"));
        let next = "href=\"/search?q=1455%20Market%20%26%20%3Cb%3E&#38;after=2015-01-01T00%3A00%3A00_1\"";
        assert!(html.contains(next), "{html}");
        assert!(!html.contains("<i>") && !html.contains("Newest permits"));
    }

    #[test]
    fn filters_narrow_and_widen() {
        let part = Part { status: Some("issued".into()), ..Part::default() };
        let html = SearchPage::of(found(60, vec![hit("x", 1)]), &part).unwrap().render().unwrap();
        assert!(html.contains(
            "<a href=\"/search?q=1455%20Market%20%26%20%3Cb%3E&#38;status=complete\">complete <span>40</span></a>"
        ));
        assert!(html.contains(
            "<a href=\"/search?q=1455%20Market%20%26%20%3Cb%3E\" aria-current=\"true\">issued <span>20</span>"
        ));
        assert!(!html.contains("Kind") && !html.contains("Year"), "one value narrows nothing");
        let order = "name=\"q\" value=\"1455 Market &#38; &#60;b&#62;\"><input type=\"hidden\" name=\"status\" value=\"issued\">";
        assert!(html.contains(order) && !html.contains("name=\"year\""), "{html}");
    }

    #[test]
    fn filters_that_leave_nothing_stay_to_be_taken_back() {
        let part = Part { status: Some("expired".into()), year: Some(2031), ..Part::default() };
        let nothing = Found { kind: Some(Kind::Address), filters_leave_nothing: true, ..found(0, Vec::new()) };
        let html = SearchPage::of(nothing, &part).unwrap().render().unwrap();
        assert!(html.contains("with these filters") && !html.contains("Other ways to look"), "{html}");
        let query = "/search?q=1455%20Market%20%26%20%3Cb%3E";
        assert!(
            html.contains(&format!("<a href=\"{query}&#38;year=2031\" aria-current=\"true\">expired <span>0</span>")),
            "{html}"
        );
        assert!(
            html.contains(&format!("<a href=\"{query}&#38;status=expired\" aria-current=\"true\">2031 <span>0</span>"))
        );
    }

    #[test]
    fn nothing_found_offers_other_ways() {
        let html = SearchPage::of(found(0, Vec::new()), &Part::default()).unwrap().render().unwrap();
        assert!(html.contains("Nothing found for") && html.contains("Other ways to look"));
    }

    #[test]
    fn the_fullest_page_stays_small_and_counts_what_it_leaves_out() {
        // Every field as long as the loader lets it be; five bytes for each character after escaping.
        let (code, text) = ("&".repeat(CODE_BYTES_MAX), "&".repeat(TEXT_BYTES_MAX));
        let fullest = || Hit {
            permit_number: code.clone(),
            permit_type_definition: Some(text.clone()),
            status: Some(code.clone()),
            description: Some(text.clone()),
            ..hit(&text, 50)
        };
        for hits in [1, PAGE_SIZE as usize] {
            let mut found = found(60, (0..hits).map(|_| fullest()).collect());
            found.query = "&".repeat(QUERY_CHARS_MAX);
            let page = SearchPage::of(found, &Part::default()).unwrap();
            assert_eq!(page.hits.len() + page.left, hits);
            // One hit always has room, so a page that found something shows something.
            assert_eq!(page.left > 0, hits > 1);
            let html = page.render().unwrap();
            assert!(html.len() <= PAGE_BYTES_MAX, "{}", html.len());
            assert_eq!(html.contains("are in <a href=\"/api/v1/search?q=%26"), hits > 1);
        }
    }

    #[test]
    fn a_full_page_of_usual_hits_is_shown_whole() {
        let long = "The longest description that the city publishes ".repeat(7);
        let usual = |_| Hit {
            permit_number: "201508053399".into(),
            description: Some(long.clone()),
            ..hit("1455 Market St", 29)
        };
        let page = SearchPage::of(found(60, (0..PAGE_SIZE).map(usual).collect()), &Part::default()).unwrap();
        assert_eq!((page.hits.len(), page.left), (PAGE_SIZE as usize, 0));
    }
}
