//! Deletes what is too old to be of use, in portions, so that no lock is held for long.

use tokio_postgres::types::Type;

use super::job::{Counts, Job};
use crate::db;
use crate::jobs::Context;
use crate::page_cache::{ENTRIES_MAX, PASSING_MAX, TRIM};

/// Rows that are kept for a while: the table, and which of its rows are too old.
const KEPT: [(&str, &str); 6] = [
    // Three months of nights; the last runs of a job that has not run since stay. Nothing that runs is deleted.
    ("cron_log", "started_at < now() - interval '90 days' AND completed_at IS NOT NULL"),
    // A brief looks back 90 days at most.
    ("permit_changes", "change_date < (now() AT TIME ZONE 'America/Los_Angeles')::date - 100"),
    ("planning_changes", "change_date < (now() AT TIME ZONE 'America/Los_Angeles')::date - 100"),
    ("brief_mails", "period < (now() AT TIME ZONE 'America/Los_Angeles')::date - 100"),
    // An hour of links is counted.
    ("auth_tokens", "expires_at < now() - interval '1 day'"),
    // A week shows a day beside the same day of the week before.
    ("request_metrics", "recorded_at < now() - interval '8 days'"),
];

/// Rows deleted by one statement.
const PORTION: i64 = 5_000;

pub(super) async fn run(context: &Context) -> anyhow::Result<Counts> {
    let session = db::session_within(&context.config.database, "seawall-prune", Job::Prune.deadline()).await?;
    let mut counts = Counts::new();
    for (table, too_old) in KEPT {
        let sql = format!(
            "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE {too_old} LIMIT $1)) RETURNING 1"
        );
        let mut deleted = 0;
        loop {
            let portion = session.query_typed(&sql, &[(&PORTION, Type::INT8)]).await?.len();
            deleted += portion;
            if (portion as i64) < PORTION {
                break;
            }
        }
        counts.insert(table.to_owned(), deleted.into());
    }
    let beyond = session.query_typed(TRIM, &[(&ENTRIES_MAX, Type::INT8), (&PASSING_MAX, Type::INT8)]).await?.len();
    counts.insert("page_cache".to_owned(), beyond.into());
    Ok(counts)
}
