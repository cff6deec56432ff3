//! Which groups of rows have changed, and which further ones have to be read with them.
//!
//! # Design
//! The city is asked for the rows of a group by the values it writes, and ours are told by what we store, without blanks at
//! the ends. So loads note the values that it writes otherwise than we store them ([`Spellings`]): a group is asked for in
//! all of its spellings, or its rows of another spelling would seem to be gone.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio::sync::mpsc;

use super::{GROUPS_MAX, LoadError, SPELLINGS_MAX};
use crate::soda::client::{Page, SodaError};
use crate::soda::datasets::Group;
use crate::soda::row::CODE_BYTES_MAX;

/// Groups with a changed row, and up to when changes are known.
pub(super) struct Changed {
    values: BTreeSet<String>,
    pub(super) through: String,
}

impl Changed {
    /// Reads pages of changed rows; `None` when they are of more than [`GROUPS_MAX`] groups. A row without a value is in no
    /// group and on no page of ours, and waits for the next whole load.
    pub(super) async fn read(
        mut pages: mpsc::Receiver<Result<Page, SodaError>>,
        group: &Group,
        through: String,
    ) -> Result<Option<Self>, LoadError> {
        let mut changed = Self { values: BTreeSet::new(), through };
        while let Some(page) = pages.recv().await {
            for row in page?.rows {
                let word = |name: &str| row.get(name).and_then(Value::as_str);
                if let Some(time) = word(":updated_at").filter(|time| *time > changed.through.as_str()) {
                    changed.through = time.to_owned();
                }
                let value = word(group.field).filter(|value| !value.trim().is_empty());
                if let Some(value) = value.filter(|value| value.len() <= CODE_BYTES_MAX && !value.contains('\0')) {
                    changed.values.insert(value.to_owned());
                }
            }
            if changed.values.len() > GROUPS_MAX {
                return Ok(None);
            }
        }
        Ok(Some(changed))
    }

    /// What the city is asked for beside what we store: values as it writes them.
    pub(super) fn written(&self) -> Vec<String> {
        self.values.iter().cloned().collect()
    }

    /// The groups by what we store.
    pub(super) fn stored(&self) -> Vec<String> {
        self.values.iter().map(|value| value.trim().to_owned()).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// Values of a group's field that the city writes with blanks at the ends, with what we store for them: at most
/// [`SPELLINGS_MAX`].
#[derive(Debug, Default)]
pub(super) struct Spellings(BTreeMap<String, String>);

impl Spellings {
    /// None yet.
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Notes how the city writes the group of a row.
    pub(super) fn note(&mut self, group: &Group, row: &Value) {
        let Some(written) = row.get(group.field).and_then(Value::as_str) else { return };
        let stored = written.trim();
        let usual = stored.len() == written.len();
        if usual || stored.is_empty() || written.len() > CODE_BYTES_MAX || written.contains('\0') {
            return;
        }
        if self.0.len() < SPELLINGS_MAX {
            self.0.insert(written.to_owned(), stored.to_owned());
        }
    }

    /// As stored, and as written.
    pub(super) fn lists(&self) -> (Vec<&str>, Vec<&str>) {
        self.0.iter().map(|(written, stored)| (stored.as_str(), written.as_str())).unzip()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn read(rows: Vec<Value>) -> Option<Changed> {
        let (sender, pages) = mpsc::channel(1);
        sender.try_send(Ok(Page { rows })).unwrap();
        drop(sender);
        let group = Group { field: "permit_number", column: "permit_number" };
        Changed::read(pages, &group, "2026-01-01".to_owned()).await.unwrap()
    }

    #[tokio::test]
    async fn groups_are_told_by_what_is_stored_and_asked_for_as_they_are_written() {
        let row = |number: &str, time: &str| json!({"permit_number": number, ":updated_at": time});
        let rows = vec![row("2 ", "2026-01-03"), row("1", "2026-01-02"), row(" ", "2025-01-01"), json!({})];
        let changed = read(rows).await.unwrap();
        assert_eq!((changed.written(), changed.through.as_str()), (vec!["1".into(), "2 ".into()], "2026-01-03"));
        assert_eq!(changed.stored(), ["1", "2"]);
    }

    #[test]
    fn spellings_are_noted_where_they_differ_up_to_a_bound() {
        let group = Group { field: "permit_number", column: "permit_number" };
        let mut spellings = Spellings::default();
        let long = format!("{} ", "1".repeat(CODE_BYTES_MAX));
        for number in ["1", " 1", "1 ", "1 ", "  ", "", "1\0 ", &long] {
            spellings.note(&group, &json!({ "permit_number": number }));
        }
        assert_eq!(spellings.lists(), (vec!["1", "1"], vec![" 1", "1 "]));
        for number in 0..SPELLINGS_MAX {
            spellings.note(&group, &json!({ "permit_number": format!("{number}\t") }));
        }
        assert_eq!(spellings.lists().0.len(), SPELLINGS_MAX);
    }

    #[tokio::test]
    async fn too_many_groups_are_not_read_one_by_one() {
        let rows = |count: usize| (0..count).map(|number| json!({"permit_number": number.to_string()})).collect();
        assert!(read(rows(GROUPS_MAX)).await.is_some());
        assert!(read(rows(GROUPS_MAX + 1)).await.is_none());
    }
}
