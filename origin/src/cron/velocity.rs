//! How long plan review takes at each station: quarter, and year before it, from arrival to finish.
//!
//! One transaction replaces the table, so readers see the old figures until the new ones are whole.

use serde_json::json;

use super::job::{Counts, Job};
use crate::db::Attended;
use crate::jobs::{Context, Lease};
use crate::purge;

/// Counts per station, kind of review and period; a row for each with enough reviews.
///
/// A review is the step of one plan set at one station, finished last. Reviews that took no time at all count, those of
/// more than a year or that were no review do not. Shares are rounded half to even, as a `double precision` is.
const REFRESH: &str = "
    WITH today AS (SELECT (now() AT TIME ZONE 'America/Los_Angeles')::date AS today),
    lookback (label, days) AS (VALUES ('quarter', 90), ('half', 180), ('year', 365)),
    latest AS (
        SELECT DISTINCT ON (label, application_number, station, addenda_number)
               label, station,
               CASE WHEN addenda_number = 0 THEN 'initial' ELSE 'revision' END AS metric_type,
               extract(epoch FROM finish_date - arrive)::float8 / 86400 AS days_taken
          FROM addenda, today, lookback
         WHERE station IS NOT NULL AND finish_date IS NOT NULL AND addenda_number >= 0
           AND arrive::date BETWEEN today - days AND today
           AND coalesce(review_results, '') NOT IN ('Not Applicable', 'Administrative')
         ORDER BY label, application_number, station, addenda_number, finish_date DESC
    ),
    figures AS (
        SELECT label, station, metric_type, count(*)::int4 AS sample_count,
               percentile_cont(ARRAY[0.25, 0.5, 0.75, 0.9]) WITHIN GROUP (ORDER BY days_taken) AS p
          FROM latest WHERE days_taken BETWEEN 0 AND 365
         GROUP BY label, station, metric_type HAVING count(*) >= 10
    ),
    chosen AS (
        -- A quarter with fewer than 30 reviews gives way to the half year.
        SELECT DISTINCT ON (station, metric_type) 'current' AS period, station, metric_type, sample_count, p
          FROM figures WHERE label IN ('quarter', 'half')
         ORDER BY station, metric_type, (label = 'quarter' AND sample_count >= 30) DESC, label
    )
    INSERT INTO station_velocity_v2 (station, metric_type, period, p25_days, p50_days, p75_days, p90_days, sample_count)
    SELECT station, metric_type, period, round(p[1] * 10) / 10, round(p[2] * 10) / 10, round(p[3] * 10) / 10,
           round(p[4] * 10) / 10, sample_count
      FROM (TABLE chosen UNION ALL
            SELECT 'baseline', station, metric_type, sample_count, p FROM figures WHERE label = 'year') all_periods
    RETURNING station, period";

pub(super) async fn run(context: &Context, lease: &Lease) -> anyhow::Result<Counts> {
    let limit = Job::VelocityRefresh.deadline();
    let mut session = Attended::open(&context.config.database, "seawall-velocity", limit).await?;
    let transaction = session.transaction().await?;
    transaction.batch_execute("DELETE FROM station_velocity_v2").await?;
    let rows = transaction.query_typed(REFRESH, &[]).await?;
    purge::queue(&transaction, &[purge::VELOCITY.to_owned()]).await?;
    lease.hold(&transaction).await?;
    transaction.commit().await?;
    let mut stations: Vec<String> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    stations.sort_unstable();
    stations.dedup();
    Ok(Counts::from_iter([
        ("rows_inserted".to_owned(), json!(rows.len())),
        ("stations".to_owned(), json!(stations.len())),
    ]))
}
