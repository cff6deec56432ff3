//! Rows that change while the stand-in runs, at once or between two pages.

use std::sync::PoisonError;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{FAULTS_MAX, Shared, lock};

/// One publication: rows that the city changed, added and deleted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Change {
    /// The dataset's identifier.
    dataset: String,
    /// How many pages of rows are answered first.
    after_pages: u32,
    /// When it happens, by the city's clock: what the rows say as `:updated_at`.
    updated_at: String,
    /// Whole rows, known by `:id`. A row with an identifier that is there replaces it.
    set: Vec<Map<String, Value>>,
    /// Identifiers of rows that go.
    remove: Vec<String>,
}

/// Makes the change, or lets it wait for its page.
pub(super) fn add(shared: &Shared, change: Change) -> anyhow::Result<()> {
    if change.after_pages == 0 {
        return apply(shared, change);
    }
    let mut waiting = lock(&shared.changes);
    anyhow::ensure!(waiting.len() < FAULTS_MAX, "too many changes wait");
    waiting.push(change);
    Ok(())
}

/// Counts a page of rows, and makes the changes that waited for it.
pub(super) fn after_page(shared: &Shared, dataset_id: &str, query: &str) {
    // A count, and the look at the latest change, are no pages.
    if query.contains("count") || query.contains("DESC") {
        return;
    }
    let mut due = Vec::new();
    lock(&shared.changes).retain_mut(|change| {
        if change.dataset == dataset_id {
            change.after_pages -= 1;
        }
        let keep = change.after_pages > 0;
        if !keep {
            due.push(change.clone());
        }
        keep
    });
    for change in due {
        // Its rows were objects when it was ordered, which is all that can be wrong with them.
        let _ = apply(shared, change);
    }
}

fn apply(shared: &Shared, change: Change) -> anyhow::Result<()> {
    let mut tables = shared.tables.write().unwrap_or_else(PoisonError::into_inner);
    let table = tables.change(&change.dataset)?;
    table.rows.retain(|row| !change.remove.iter().any(|id| **id == *row.id));
    for mut row in change.set {
        row.insert(":updated_at".to_owned(), Value::from(change.updated_at.clone()));
        if let Some(id) = row.get(":id").and_then(Value::as_str) {
            table.rows.retain(|known| &*known.id != id);
        }
        table.push_line(&Value::Object(row).to_string())?;
    }
    table.rows.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(())
}
