//! Failures on demand.

use std::time::Duration;

use axum::http::StatusCode;
use serde::Deserialize;

/// One ordered failure. Parts can be combined; an empty one does nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Fault {
    /// Only requests for this dataset's identifier; absent for all.
    dataset: Option<String>,
    /// Answer with this status, 400 to 599.
    status: Option<u16>,
    /// Seconds for `Retry-After` beside `status`.
    pub(super) retry_after: Option<u32>,
    /// Wait before anything else.
    delay_ms: Option<u64>,
    /// Close the connection without an answer.
    pub(super) drop: bool,
    /// Break off after so many bytes of the body.
    pub(super) truncate: Option<usize>,
    /// Leave out so many rows at the end of the page.
    pub(super) omit: usize,
    /// For so many requests; absent until cleared.
    remaining: Option<u32>,
}

impl Fault {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match self.status {
            Some(status) if !(400..600).contains(&status) => Err("status: expected 400 to 599"),
            _ => Ok(()),
        }
    }

    pub(super) fn status(&self) -> Option<StatusCode> {
        StatusCode::from_u16(self.status?).ok()
    }

    pub(super) fn delay(&self) -> Option<Duration> {
        self.delay_ms.map(Duration::from_millis)
    }
}

/// The first fault for this dataset, counted down.
pub(super) fn take(faults: &mut Vec<Fault>, dataset_id: &str) -> Option<Fault> {
    let index = faults.iter().position(|fault| fault.dataset.as_deref().is_none_or(|id| id == dataset_id))?;
    let fault = faults[index].clone();
    match &mut faults[index].remaining {
        None => {}
        Some(0 | 1) => drop(faults.remove(index)),
        Some(remaining) => *remaining -= 1,
    }
    Some(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_counted_down_in_order() {
        let order = |text| serde_json::from_str::<Fault>(text).unwrap();
        let mut faults =
            vec![order(r#"{"dataset": "aaaa-aaaa", "status": 500, "remaining": 2}"#), order(r#"{"delay_ms": 5}"#)];
        let mut take = |id| take(&mut faults, id).and_then(|fault| fault.status());
        assert_eq!(take("bbbb-bbbb"), None);
        assert_eq!(take("aaaa-aaaa"), Some(StatusCode::INTERNAL_SERVER_ERROR));
        assert_eq!(take("aaaa-aaaa"), Some(StatusCode::INTERNAL_SERVER_ERROR));
        assert_eq!(take("aaaa-aaaa"), None);
        assert_eq!(faults.len(), 1);
    }

    #[test]
    fn misspelt_faults_are_refused() {
        assert!(serde_json::from_str::<Fault>(r#"{"stauts": 500}"#).is_err());
        assert!(serde_json::from_str::<Fault>(r#"{"status": 200}"#).unwrap().check().is_err());
    }
}
