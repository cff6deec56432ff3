//! Everything that a search finds with its filters, as CSV (RFC 4180): one row for each permit and address.

use anyhow::Context as _;
use futures_util::StreamExt as _;
use serde_json::{Map, Value, json};

use super::Context;
use super::kind::Kind;
use super::lease::{Lease, Outcome};
use super::result::Writer;
use crate::db::Attended;
use crate::permits::api::SearchParameters;
use crate::permits::record::Permit;
use crate::permits::search;

/// Rows of one export; the longest street of the city has some 40,000. More are left out, and the answer says so.
pub(crate) const EXPORT_ROWS_MAX: usize = 50_000;

/// How many rows are written between two words on progress.
const SAY_EVERY: usize = 500;

/// Holds the search in an order with filters. Workers of the version before look for a text beside it, and fail rather than
/// export what the filters leave out; of an order without filters they and we make the same.
const SEARCH: &str = "search";

/// The order of an export, of a search without its page.
pub(super) fn order(search: Map<String, Value>) -> Map<String, Value> {
    let filtered = search.keys().any(|name| name != "q");
    if filtered { Map::from_iter([(SEARCH.to_owned(), Value::Object(search))]) } else { search }
}

/// The search of an order.
fn asked(order: &Map<String, Value>) -> anyhow::Result<SearchParameters> {
    let search = order.get(SEARCH).cloned().unwrap_or_else(|| Value::Object(order.clone()));
    serde_json::from_value(search).context("an export is asked for as a search is")
}

pub(super) async fn run(context: &Context, lease: &Lease, payload: &Map<String, Value>) -> anyhow::Result<Outcome> {
    let asked = asked(payload)?;
    let (query, part) = (asked.query()?, asked.part()?);
    let deadline = Kind::Export.terms().deadline;
    let session = Attended::open(&context.config.database, "seawall-export", deadline).await?;
    let mut writer = Writer::new(lease);
    writer.write(&line(header())?).await?;
    let (mut rows, mut cut) = (0, false);
    // One more than may be written tells what was cut from what just fits.
    if let Some(found) = search::all(&session, &query, &part, EXPORT_ROWS_MAX as i64 + 1).await? {
        let mut found = std::pin::pin!(found);
        while let Some(row) = found.next().await {
            let (matched, permit) = row?;
            let line = line(cells(matched, &permit)?)?;
            if rows == EXPORT_ROWS_MAX || !writer.fits(line.len()) {
                cut = true;
                break;
            }
            writer.write(&line).await?;
            rows += 1;
            if rows % SAY_EVERY == 0 {
                lease.progress("rows", rows, EXPORT_ROWS_MAX);
            }
        }
    }
    let result = writer.end("text/csv; charset=utf-8", "permits.csv".to_owned(), cut).await?;
    Ok(Outcome { counts: Map::from_iter([("rows".to_owned(), json!(rows))]), result: Some(result) })
}

/// The names that the fields have in JSON too.
fn header() -> impl Iterator<Item = String> {
    let name =
        |column: &str| if column == "neighborhood" { "neighborhoods_analysis_boundaries" } else { column }.to_owned();
    Permit::COLUMNS.iter().map(move |column| name(column)).chain(["matched".to_owned()])
}

fn cells(matched: Option<String>, permit: &Permit) -> anyhow::Result<Vec<String>> {
    let Value::Object(fields) = serde_json::to_value(permit)? else { anyhow::bail!("a permit is an object") };
    let cell = |name: String| match fields.get(&name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => plain(text),
        Some(other) => other.to_string(),
    };
    let names = header().take(Permit::COLUMNS.len());
    Ok(names.map(cell).chain([matched.map(|name| plain(&name)).unwrap_or_default()]).collect())
}

/// Text that a spreadsheet would take for a formula gets an apostrophe, which says that it is text: what people wrote into
/// the city's forms must not run in a reader's program.
fn plain(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if formula { format!("'{text}") } else { text.to_owned() }
}

fn line(cells: impl IntoIterator<Item = String>) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(cells)?;
    Ok(writer.into_inner()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_with_filters_has_no_text_that_an_older_worker_would_export_without_them() {
        let flat = |search: Value| search.as_object().cloned().unwrap();
        for (search, older_does) in [
            (json!({"q": "noe street"}), true),
            (json!({"q": "noe street", "status": "issued"}), false),
            (json!({"q": "noe street", "type": "8", "year": "2015"}), false),
        ] {
            let order = order(flat(search.clone()));
            assert_eq!(order.get("q").is_some(), older_does, "{search}");
            assert_eq!(serde_json::to_value(asked(&order).unwrap()).unwrap(), search);
        }
        // As the first builds with filters put them down.
        assert!(asked(&flat(json!({"q": "noe street", "year": "2015"}))).unwrap().part().unwrap().year.is_some());
    }

    #[test]
    fn a_line_has_as_many_cells_as_the_header_and_nothing_that_runs() {
        let permit = Permit {
            permit_number: "1".to_owned(),
            description: Some("=HYPERLINK(\"x\"), \"new\"\nroof".to_owned()),
            neighborhood: Some("Mission".to_owned()),
            longitude: Some(-122.5),
            ..Permit::default()
        };
        let lines =
            [line(header()).unwrap(), line(cells(Some("@firm".to_owned()), &permit).unwrap()).unwrap()].concat();
        let mut reader = csv::Reader::from_reader(&*lines);
        let names = reader.headers().unwrap().clone();
        let row = reader.records().next().unwrap().unwrap();
        let cell = |name| row.get(names.iter().position(|known| known == name).unwrap()).unwrap();
        assert_eq!(cell("permit_number"), "1");
        assert_eq!(cell("description"), "'=HYPERLINK(\"x\"), \"new\"\nroof");
        assert_eq!(cell("neighborhoods_analysis_boundaries"), "Mission");
        assert_eq!((cell("longitude"), cell("latitude"), cell("matched")), ("-122.5", "", "'@firm"));
    }
}
