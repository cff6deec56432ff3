//! Which groups of rows have changed.

use std::collections::BTreeSet;

use serde_json::Value;
use tokio::sync::mpsc;

use super::{GROUPS_MAX, LoadError};
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

    /// What the city is asked for: values as it writes them, and as we store them, which are of one group.
    pub(super) fn asked(&self) -> Vec<String> {
        let both = self.values.iter().flat_map(|value| [value.as_str(), value.trim()]);
        both.collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect()
    }

    /// The groups by what we store.
    pub(super) fn stored(&self) -> Vec<String> {
        self.values.iter().map(|value| value.trim().to_owned()).collect()
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
        assert_eq!(
            (changed.asked(), changed.through.as_str()),
            (vec!["1".into(), "2".into(), "2 ".into()], "2026-01-03")
        );
        assert_eq!(changed.stored(), ["1", "2"]);
    }

    #[tokio::test]
    async fn too_many_groups_are_not_read_one_by_one() {
        let rows = |count: usize| (0..count).map(|number| json!({"permit_number": number.to_string()})).collect();
        assert!(read(rows(GROUPS_MAX)).await.is_some());
        assert!(read(rows(GROUPS_MAX + 1)).await.is_none());
    }
}
