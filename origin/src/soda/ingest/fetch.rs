//! Walks over a dataset, page by page.
//!
//! # Design
//! A page is asked for by the last row of the page before: "identifiers after this one", or "changes after this one, and
//! of those of the same moment the identifiers after this one". An `$offset` counts rows instead, so a row that is
//! deleted or moved before the place shifts every later row, and one is missed or read twice.
//!
//! A row keeps its identifier when it changes, so the walk by identifier reads it once, as it was or as it is. What was
//! changed or added behind its back has changed after it began, which the walk by change finds; a row that changes
//! during that one moves ahead of it and is read there. What is read twice is told by its identifier and the last
//! reading stays.

use serde_json::Value;
use tokio::sync::mpsc;

use super::LoadError;
use crate::soda::client::{Client, Page, Query, SodaError, quote};
use crate::soda::datasets::{Dataset, Group};

/// A walk over the rows of a dataset in an order that goes on from any row.
pub(super) struct Walk {
    dataset: &'static Dataset,
    page_size: usize,
    order: Order,
    /// What is asked of each row.
    select: String,
    /// Which rows are walked over, beside their place.
    conditions: Vec<String>,
}

enum Order {
    /// By `:id`, after this one.
    Identifier(Option<String>),
    /// By `:updated_at` and `:id`, after this moment, or of its rows those after this identifier.
    Change(String, Option<String>),
}

impl Walk {
    /// Every row, by identifier.
    pub(super) fn by_identifier(dataset: &'static Dataset, page_size: usize) -> Self {
        Self::new(dataset, page_size, Order::Identifier(None))
    }

    /// The rows that changed after this moment, in the order of their changes. Those of the moment itself were published
    /// with it, at once.
    pub(super) fn by_change_after(dataset: &'static Dataset, page_size: usize, moment: String) -> Self {
        Self::new(dataset, page_size, Order::Change(moment, None))
    }

    /// Which groups have a row that changed after this moment: also one that the dataset's condition leaves out by now.
    pub(super) fn changed_groups(dataset: &'static Dataset, group: &Group, page_size: usize, moment: String) -> Self {
        let select = format!(":id, :updated_at, {}", group.field);
        let order = Order::Change(moment, None);
        Self { dataset, page_size, order, select, conditions: Vec::new() }
    }

    /// The rows of these groups, by identifier.
    pub(super) fn of_groups(dataset: &'static Dataset, group: &Group, page_size: usize, values: &[String]) -> Self {
        let values: Vec<_> = values.iter().map(|value| quote(value)).collect();
        let mut walk = Self::by_identifier(dataset, page_size);
        walk.conditions.push(format!("{} IN ({})", group.field, values.join(", ")));
        walk
    }

    /// A walk over rows as they come; SODA's own fields tell where the next page begins.
    fn new(dataset: &'static Dataset, page_size: usize, order: Order) -> Self {
        let conditions = dataset.filter.map(str::to_owned).into_iter().collect();
        Self { dataset, page_size, order, select: ":*, *".to_owned(), conditions }
    }

    fn query(&self) -> Query {
        let (place, order) = match &self.order {
            Order::Identifier(None) => (None, ":id"),
            Order::Identifier(Some(id)) => (Some(format!(":id > {}", quote(id))), ":id"),
            Order::Change(moment, None) => (Some(format!(":updated_at > {}", quote(moment))), ":updated_at, :id"),
            Order::Change(moment, Some(id)) => {
                let (moment, id) = (quote(moment), quote(id));
                let place = format!("(:updated_at > {moment} OR (:updated_at = {moment} AND :id > {id}))");
                (Some(place), ":updated_at, :id")
            }
        };
        let conditions: Vec<_> = place.into_iter().chain(self.conditions.iter().cloned()).collect();
        Query {
            select: Some(self.select.clone()),
            filter: (!conditions.is_empty()).then(|| conditions.join(" AND ")),
            order: Some(order.to_owned()),
            limit: Some(self.page_size),
            ..Query::default()
        }
    }

    /// Goes on after the last row of a page.
    fn advance(&mut self, page: &Page) -> Result<(), SodaError> {
        let last = page.rows.last();
        let field = |name: &str| {
            let value = last.and_then(|row| row.get(name)).and_then(Value::as_str);
            value.map(str::to_owned).ok_or_else(|| SodaError::Malformed(format!("a row without {name}")))
        };
        match &mut self.order {
            Order::Identifier(after) => *after = Some(field(":id")?),
            Order::Change(moment, after) => (*moment, *after) = (field(":updated_at")?, Some(field(":id")?)),
        }
        Ok(())
    }
}

/// Fetches page after page until a short one, or an error, which is sent on as the last item.
pub(super) fn start(client: Client, mut walk: Walk) -> mpsc::Receiver<Result<Page, SodaError>> {
    // One page waits while one is being fetched and one is being copied.
    let (sender, pages) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let mut page = client.page_patiently(walk.dataset.id, &walk.query()).await;
            let full = page.as_ref().is_ok_and(|page| page.rows.len() >= walk.page_size);
            if full
                && let Ok(rows) = &page
                && let Err(error) = walk.advance(rows)
            {
                page = Err(error);
            }
            // A closed channel means that the load has failed on the other side.
            if sender.send(page).await.is_err() || !full {
                return;
            }
        }
    });
    pages
}

/// The time of the dataset's latest change; `None` when it has no rows.
pub(super) async fn newest_change(client: &Client, dataset: &Dataset) -> Result<Option<String>, LoadError> {
    let query = Query {
        select: Some(":updated_at".to_owned()),
        filter: dataset.filter.map(str::to_owned),
        order: Some(":updated_at DESC".to_owned()),
        limit: Some(1),
        ..Query::default()
    };
    let page = client.page_patiently(dataset.id, &query).await?;
    Ok(page.rows.first().and_then(|row| row.get(":updated_at")).and_then(Value::as_str).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_walk_goes_on_after_its_last_row() {
        let taxes = Dataset::find("tax_rolls").unwrap();
        let mut walk = Walk::by_change_after(taxes, 2, "2026-01-01T00:00:00.000Z".to_owned());
        let year = "closed_roll_year >= '2022'";
        assert_eq!(walk.query().filter.unwrap(), format!(":updated_at > '2026-01-01T00:00:00.000Z' AND {year}"));
        walk.advance(&Page { rows: vec![json!({":updated_at": "u", ":id": "o'k"})] }).unwrap();
        assert_eq!(
            walk.query().filter.unwrap(),
            format!("(:updated_at > 'u' OR (:updated_at = 'u' AND :id > 'o''k')) AND {year}")
        );
        assert!(walk.advance(&Page { rows: vec![json!({"a": "1"})] }).is_err());
        let mut walk = Walk::by_identifier(Dataset::find("permits").unwrap(), 2);
        assert_eq!(walk.query().filter, None);
        walk.advance(&Page { rows: vec![json!({":id": "row-1"})] }).unwrap();
        assert_eq!(walk.query().filter.unwrap(), ":id > 'row-1'");
    }
}
