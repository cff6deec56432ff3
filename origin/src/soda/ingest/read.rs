//! Pages on their way into the temporary table.

use std::collections::BTreeMap;
use std::pin::pin;

use bytes::Bytes;
use futures_util::SinkExt as _;
use serde_json::Value;
use tokio::sync::mpsc;

use super::changed::Spellings;
use super::{LoadError, Progress, REFUSED_KEPT_MAX, merge};
use crate::soda::client::{Page, SodaError};
use crate::soda::datasets::Dataset;
use crate::soda::row::{Encoder, Refusal};

/// What was read of one dataset.
pub(super) struct Read {
    dataset: &'static Dataset,
    pub(super) rows: u64,
    /// Rows that came, those that came again included.
    places: u64,
    rows_max: u64,
    /// How many walks over the dataset wrote rows: with more than one, a row may be there twice.
    walks: u32,
    /// The latest change that was seen, by the city's clock.
    pub(super) updated_through: Option<String>,
    pub(super) refused: BTreeMap<Refusal, u64>,
    /// The first refused rows, at most [`REFUSED_KEPT_MAX`].
    pub(super) kept: Vec<(Refusal, Value)>,
    /// Refused rows by the city's identifier, with their place: one that is read again counts once.
    refused_at: BTreeMap<String, (Refusal, u64)>,
    /// How the city writes the groups of these rows, where that is not what we store.
    pub(super) spellings: Spellings,
    pub(super) encoder: Encoder,
}

impl Read {
    /// Nothing read yet; more than `rows_max` rows end the load.
    pub(super) const fn new(dataset: &'static Dataset, rows_max: u64, updated_through: Option<String>) -> Self {
        Self {
            dataset,
            rows: 0,
            places: 0,
            rows_max,
            walks: 0,
            updated_through,
            refused: BTreeMap::new(),
            kept: Vec::new(),
            refused_at: BTreeMap::new(),
            spellings: Spellings::new(),
            encoder: Encoder::new(dataset),
        }
    }

    /// Streams pages into the temporary table until there are no more.
    pub(super) async fn copy(
        &mut self,
        session: &tokio_postgres::Client,
        mut pages: mpsc::Receiver<Result<Page, SodaError>>,
        progress: &Progress,
    ) -> Result<(), LoadError> {
        let before = self.rows;
        let mut sink = pin!(session.copy_in::<_, Bytes>(&merge::copy_statement(self.dataset)).await?);
        while let Some(page) = pages.recv().await {
            sink.send(Bytes::from(self.page(page?)?)).await?;
            progress.rows(self.rows);
        }
        sink.finish().await?;
        self.walks += u32::from(self.rows > before);
        Ok(())
    }

    /// Of a row that was read more than once, as it was before and after a change, keeps the last.
    pub(super) async fn forget_older(&mut self, session: &tokio_postgres::Client) -> Result<(), LoadError> {
        if self.walks > 0 {
            self.rows -= session.execute(merge::FORGET_OLDER, &[]).await?;
        }
        // Of a row that was refused once and taken once, too.
        let identifiers: Vec<_> = self.refused_at.keys().cloned().collect();
        for row in session.query(merge::TAKEN, &[&identifiers]).await? {
            let (id, place): (String, i64) = (row.get(0), row.get(1));
            let Some((refusal, refused)) = self.refused_at.get(&id).copied() else { continue };
            if place.cast_unsigned() > refused {
                self.forget_refusal(&id, refusal);
            } else {
                session.execute(merge::FORGET, &[&id]).await?;
            }
            self.rows -= 1;
        }
        Ok(())
    }

    /// Takes back that the row was refused.
    fn forget_refusal(&mut self, id: &str, refusal: Refusal) {
        self.refused_at.remove(id);
        if let Some(count) = self.refused.get_mut(&refusal) {
            *count -= 1;
        }
        self.refused.retain(|_, count| *count > 0);
        self.kept.retain(|(_, row)| row.get(":id").and_then(Value::as_str) != Some(id));
    }

    /// Takes one page, and gives the lines to copy.
    fn page(&mut self, page: Page) -> Result<String, LoadError> {
        let mut lines = String::new();
        for row in page.rows {
            self.rows += 1;
            self.places += 1;
            let place = self.places;
            if self.rows > self.rows_max {
                return Err(LoadError::Endless);
            }
            let system = |name: &str| row.get(name).and_then(Value::as_str);
            // The city's identifiers and times are short and plain.
            let changed = system(":updated_at").filter(|time| plain(time));
            if changed > self.updated_through.as_deref() {
                self.updated_through = changed.map(str::to_owned);
            }
            if let Some(group) = &self.dataset.group {
                self.spellings.note(group, &row);
            }
            let start = lines.len();
            lines.push_str(system(":id").filter(|id| plain(id)).unwrap_or("\\N"));
            lines.push('\t');
            lines.push_str(&place.to_string());
            lines.push('\t');
            if let Err(refusal) = self.encoder.encode(&row, &mut lines) {
                lines.truncate(start);
                if let Some(id) = row.get(":id").and_then(Value::as_str).filter(|id| plain(id)) {
                    if let Some((before, _)) = self.refused_at.get(id).copied() {
                        self.forget_refusal(id, before);
                        self.rows -= 1;
                    }
                    if self.refused_at.len() < REFUSED_KNOWN_MAX {
                        self.refused_at.insert(id.to_owned(), (refusal, place));
                    }
                }
                *self.refused.entry(refusal).or_default() += 1;
                if self.kept.len() < REFUSED_KEPT_MAX {
                    self.kept.push((refusal, row));
                }
            }
        }
        Ok(lines)
    }
}

/// Refused rows whose identifiers are remembered. One beyond these that is read again counts twice, and the load fails as if
/// the city had withdrawn a row; somebody looks at a dataset with so many anyway.
const REFUSED_KNOWN_MAX: usize = 10_000;

/// Whether `COPY` takes the text as it is.
fn plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(rows: usize) -> Page {
        let row = |number| json!({"record_id": format!("{number}"), "permit_number": "1"});
        Page { rows: (0..rows).map(row).collect() }
    }

    fn read(rows_max: u64) -> Read {
        Read::new(&crate::soda::datasets::DATASETS[0], rows_max, None)
    }

    #[test]
    fn a_dataset_that_does_not_end_is_cut_off() {
        let mut read = read(20);
        assert_eq!(read.page(page(20)).unwrap().lines().count(), 20);
        assert!(matches!(read.page(page(1)), Err(LoadError::Endless)));
    }

    #[test]
    fn refused_rows_are_all_counted_and_the_first_are_kept() {
        let mut read = read(super::super::ROWS_MAX);
        let rows = vec![json!({"permit_number": "1"}); REFUSED_KEPT_MAX + 1];
        assert_eq!(read.page(Page { rows }).unwrap(), "");
        let counted = (REFUSED_KEPT_MAX + 1) as u64;
        assert_eq!(read.refused, [(Refusal::Missing("record_id"), counted)].into());
        assert_eq!((read.rows, read.kept.len()), (counted, REFUSED_KEPT_MAX));
    }

    #[test]
    fn a_refused_row_that_is_read_again_counts_once_up_to_a_bound() {
        let mut read = read(super::super::ROWS_MAX);
        let row = |number: usize| json!({":id": format!("row-{number}"), "permit_number": "1"});
        let known = REFUSED_KNOWN_MAX as u64;
        read.page(Page { rows: (0..REFUSED_KNOWN_MAX).map(row).collect() }).unwrap();
        read.page(Page { rows: vec![row(0)] }).unwrap();
        assert_eq!((read.rows, read.refused[&Refusal::Missing("record_id")]), (known, known));
        read.page(Page { rows: vec![row(REFUSED_KNOWN_MAX), row(REFUSED_KNOWN_MAX), row(REFUSED_KNOWN_MAX - 1)] })
            .unwrap();
        assert_eq!((read.rows, read.refused[&Refusal::Missing("record_id")]), (known + 2, known + 2));
    }

    #[test]
    fn the_latest_change_is_kept_and_lines_carry_the_citys_identifier() {
        let mut read = read(10);
        let row = |id: &str, time: &str| json!({":id": id, ":updated_at": time, "record_id": id, "permit_number": "1"});
        let rows = vec![row("row-a", "2026-02-01T00:00:00.000Z"), row("a\tb", "2026-01-01T00:00:00.000Z")];
        let lines = read.page(Page { rows }).unwrap();
        assert_eq!(read.updated_through.as_deref(), Some("2026-02-01T00:00:00.000Z"));
        let starts: Vec<_> = lines.lines().map(|line| line.split('\t').take(2).collect::<Vec<_>>()).collect();
        assert_eq!(starts, [["row-a", "1"], ["\\N", "2"]]);
    }
}
