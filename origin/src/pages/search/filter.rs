//! The filters of a page of results: what they would leave, and how each is taken away.

use serde_json::Value;

use super::{FIELD_CHARS_MAX, link};
use crate::pages::text::{clip, sentence};
use crate::permits::search::{Found, Part};

/// One way to narrow the results, or to widen them again.
pub(super) struct FilterView {
    pub(super) name: &'static str,
    pub(super) values: Vec<FilterValue>,
}

pub(super) struct FilterValue {
    pub(super) text: String,
    pub(super) href: String,
    pub(super) permits: i64,
    /// Whether the results are narrowed by it; following it then widens them.
    pub(super) chosen: bool,
}

impl FilterView {
    pub(super) fn all(found: &Found, part: &Part) -> Vec<Self> {
        let year = part.year.map(|year| year.to_string());
        [("status", "Status", &part.status), ("type", "Kind", &part.kind), ("year", "Year", &year)]
            .into_iter()
            .filter_map(|(key, name, chosen)| {
                let counts = found.facets.as_ref()?.get(key)?.as_object()?;
                let view = |value: &str| {
                    let is_chosen = chosen.as_deref() == Some(value);
                    let picked = (!is_chosen).then(|| value.to_owned());
                    let mut narrowed = Part { after: None, ..part.clone() };
                    match key {
                        "status" => narrowed.status = picked,
                        "type" => narrowed.kind = picked,
                        _ => narrowed.year = picked.and_then(|year| year.parse().ok()),
                    }
                    FilterValue {
                        text: clip(&if key == "type" { sentence(value) } else { value.to_owned() }, FIELD_CHARS_MAX),
                        href: link(&found.query, &narrowed, None),
                        permits: counts.get(value).and_then(Value::as_i64).unwrap_or_default(),
                        chosen: is_chosen,
                    }
                };
                let mut values: Vec<_> = counts.keys().map(|value| view(value)).collect();
                if key == "year" {
                    values.sort_by(|a, b| b.text.cmp(&a.text));
                } else {
                    values.sort_by(|a, b| b.permits.cmp(&a.permits).then_with(|| a.text.cmp(&b.text)));
                }
                values.truncate(FILTER_VALUES_MAX);
                // Whoever has chosen one sees it, whatever is left of it, to take it back.
                if let Some(chosen) = chosen.as_deref().filter(|_| !values.iter().any(|value| value.chosen)) {
                    values.push(view(chosen));
                }
                // One value narrows nothing, unless it is what narrowed.
                (values.len() > 1 || values.iter().any(|value| value.chosen)).then_some(Self { name, values })
            })
            .collect()
    }
}

/// Values of one filter; the most used, or the last years.
const FILTER_VALUES_MAX: usize = 12;
