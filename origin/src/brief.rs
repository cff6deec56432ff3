//! The morning brief: what happened to what someone watches, on a page and by mail.
//!
//! # Design
//! A brief takes two statements, sent together, whatever is watched. What changed is read from `permit_changes`, which the
//! loads' own transactions write, so a status that the city dated days ago is news on the day it was published. Reviews
//! and inspections go by the city's dates.

pub(crate) mod mail;
mod sql;

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio_postgres::types::{ToSql, Type};

use crate::db::{Databases, ReadOnly, Reader};
use crate::error::Error;
use crate::page_cache::{Entry, Lifetime, Payload};

/// The brief of one person over some days.
#[derive(Clone, Debug)]
pub(crate) struct Brief {
    pub(crate) databases: Databases,
    pub(crate) user_id: i64,
    pub(crate) lookback_days: Lookback,
}

/// How many days a brief looks back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lookback(i32);

impl Lookback {
    pub(crate) const DAY: Self = Self(1);
    pub(crate) const WEEK: Self = Self(7);

    /// Any number of days; less than one is one, more than [`LOOKBACK_DAYS_MAX`] is that.
    pub(crate) fn clamped(days: i64) -> Self {
        Self(i32::try_from(days.clamp(1, i64::from(LOOKBACK_DAYS_MAX))).unwrap_or(LOOKBACK_DAYS_MAX))
    }

    pub(crate) const fn days(self) -> i32 {
        self.0
    }
}

/// Changes are kept for some days more than this.
const LOOKBACK_DAYS_MAX: i32 = 90;

/// What a brief says, as pages and mails read it.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Contents {
    pub(crate) changes: Vec<Change>,
    pub(crate) new_filings: Vec<Change>,
    pub(crate) team_activity: Vec<Change>,
    pub(crate) plan_reviews: Vec<Review>,
    pub(crate) inspections: Vec<Inspection>,
    pub(crate) expiring: Vec<Expiring>,
    pub(crate) property_cards: Vec<Card>,
    pub(crate) summary: Summary,
    pub(crate) pipeline_stats: Pipeline,
}

/// A permit that changed or is new.
#[derive(Debug, Deserialize)]
pub(crate) struct Change {
    pub(crate) permit_number: String,
    pub(crate) change_date: String,
    pub(crate) change_type: String,
    pub(crate) old_status: Option<String>,
    pub(crate) new_status: Option<String>,
    pub(crate) permit_type: Option<String>,
    pub(crate) address: String,
    pub(crate) label: String,
}

/// A step of plan review that ended.
#[derive(Debug, Deserialize)]
pub(crate) struct Review {
    pub(crate) permit_number: String,
    pub(crate) station: Option<String>,
    pub(crate) finish_date: String,
    pub(crate) review_results: Option<String>,
    pub(crate) label: String,
}

/// An inspection that was, or is to come.
#[derive(Debug, Deserialize)]
pub(crate) struct Inspection {
    pub(crate) permit_number: String,
    pub(crate) scheduled_date: String,
    pub(crate) inspection_description: Option<String>,
    pub(crate) result: Option<String>,
    /// `pass`, `fail`, or neither.
    pub(crate) outcome: Option<String>,
    pub(crate) label: String,
}

/// A permit whose time ends.
#[derive(Debug, Deserialize)]
pub(crate) struct Expiring {
    pub(crate) permit_number: String,
    /// Below zero it has ended.
    pub(crate) expires_in: i32,
    pub(crate) permit_type: Option<String>,
    pub(crate) label: String,
}

/// A watched parcel as it stands.
#[derive(Debug, Deserialize)]
pub(crate) struct Card {
    pub(crate) block: String,
    pub(crate) lot: String,
    pub(crate) address: Option<String>,
    pub(crate) permits: i64,
    pub(crate) open_permits: i64,
    pub(crate) open_complaints: i64,
    pub(crate) open_violations: i64,
    pub(crate) last_change: Option<String>,
}

/// How many of each there are.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Summary {
    pub(crate) total_watches: i64,
    pub(crate) changes_count: i64,
    pub(crate) new_filings_count: i64,
    pub(crate) team_count: i64,
    pub(crate) plan_reviews_count: i64,
    pub(crate) inspections_count: i64,
    pub(crate) expiring_count: i64,
    pub(crate) enforcement_count: i64,
}

impl Summary {
    /// Things that happened; a brief without any is not mailed.
    pub(crate) const fn news(&self) -> i64 {
        self.changes_count
            + self.new_filings_count
            + self.team_count
            + self.plan_reviews_count
            + self.inspections_count
            + self.expiring_count
    }
}

/// How the nightly loads went.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Pipeline {
    pub(crate) recent_jobs: Vec<PipelineJob>,
    pub(crate) avg_duration_seconds: Option<f64>,
    pub(crate) last_24h_success: i64,
    pub(crate) last_24h_failed: i64,
}

/// One of the last nightly loads.
#[derive(Debug, Deserialize)]
pub(crate) struct PipelineJob {
    pub(crate) status: String,
    pub(crate) started_at: String,
    pub(crate) elapsed_seconds: Option<f64>,
}

impl Contents {
    /// # Errors
    /// When the entry was made by another release, or is damaged.
    pub(crate) fn read(payload: Payload) -> Result<Self, Error> {
        serde_json::from_value(Value::Object(payload)).map_err(Error::bug)
    }
}

impl Entry for Brief {
    fn key(&self) -> String {
        format!("brief:{}:{}", self.user_id, self.lookback_days.0)
    }

    fn lifetime(&self) -> Lifetime {
        // The data changes at night, and the load makes briefs old; what is watched changes by day and does so too.
        Lifetime { ttl: Duration::from_secs(30 * 60), stale: Duration::from_secs(60 * 60) }
    }

    async fn compute(&self) -> Result<Payload, Error> {
        self.databases.read_to_keep(self).await
    }
}

impl ReadOnly for Brief {
    type Answer = Payload;

    async fn read(&self, reader: &Reader) -> Result<Payload, tokio_postgres::Error> {
        let of: [(&(dyn ToSql + Sync), Type); 2] = [(&self.user_id, Type::INT8), (&self.lookback_days.0, Type::INT4)];
        let (brief, pipeline) =
            tokio::try_join!(reader.query_typed(sql::BRIEF, &of), reader.query_typed(sql::PIPELINE, &[]))?;
        let mut payload = Payload::new();
        for row in brief.iter().chain(&pipeline) {
            for (index, column) in row.columns().iter().enumerate() {
                payload.insert(column.name().to_owned(), row.try_get(index)?);
            }
        }
        payload.insert("lookback_days".to_owned(), self.lookback_days.0.into());
        Ok(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brief_looks_back_from_one_day_to_ninety() {
        for (days, expected) in [(i64::MIN, 1), (0, 1), (1, 1), (7, 7), (90, 90), (91, 90), (i64::MAX, 90)] {
            assert_eq!(Lookback::clamped(days).days(), expected);
        }
    }
}
