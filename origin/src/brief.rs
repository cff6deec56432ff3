//! The morning brief: what happened to what someone watches, on a page and by mail.
//!
//! # Design
//! A brief takes two statements, sent together, whatever is watched. What changed is read from `permit_changes`, which the
//! loads' own transactions write, so a status that the city dated days ago is news on the day it was published. Reviews
//! and inspections go by the city's dates.

pub(crate) mod contents;
pub(crate) mod mail;
mod sql;

use std::time::Duration;

use tokio_postgres::types::{ToSql, Type};

pub(crate) use self::contents::{Change, City, Contents, Pipeline};
use crate::db::{Databases, ReadOnly, Reader};
use crate::error::Error;
use crate::page_cache::{Entry, Lifetime, Payload};
use crate::permits::search::AFTER_STREET;

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
        let of: [(&(dyn ToSql + Sync), Type); 3] =
            [(&self.user_id, Type::INT8), (&self.lookback_days.0, Type::INT4), (&*AFTER_STREET, Type::TEXT)];
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
