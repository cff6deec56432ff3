//! Signals: permits and parcels where something is wrong, slow or forgotten.
//!
//! | tier | signal | when |
//! |---|---|---|
//! | at risk | `hold_comments` | the last word of a station is "Issued Comments" |
//! | | `hold_stalled_planning` | more than a year at PPC, CP-ZOC or CPB |
//! | | `nov` | a notice of violation stands |
//! | | `abatement` | one that speaks of abatement, a hearing or the director stands |
//! | | `expired_uninspected` | expired after four inspections or more, none of them a final one that was passed |
//! | | `stale_with_activity` | issued more than two years ago, two inspections or more, the last within five years |
//! | behind | `hold_stalled` | more than 30 days at a station, unless it is `hold_stalled_planning` |
//! | | `expired_minor_activity` | expired after one to three inspections, without a final one |
//! | | `expired_inconclusive` | expired without an inspection, and not an over-the-counter permit |
//! | | `station_slow` | up to 30 days at a station, and longer than nine of ten reviews there take |
//! | slower | `complaint` | a complaint stands, without a notice of violation that stands |
//! | | `expired_otc` | an over-the-counter permit that expired without an inspection |
//! | | `stale_no_activity` | issued more than two years ago, and not `stale_with_activity` |
//!
//! Inspections count when they were passed, failed or disapproved. Of a parcel's tier, two kinds of signals at risk make
//! `high_risk`, otherwise its worst one decides, and without any it is `on_track`.
//!
//! # Design
//! One statement for each table, in one transaction: readers see the old signals until the new ones are whole, and no row
//! travels to this process. The city writes one status in several ways, so whole words decide, as in
//! [`crate::permits::standing`].

use serde_json::json;

use super::job::{Counts, Job};
use crate::db::Attended;
use crate::jobs::{Context, Lease};
use crate::purge;

const EMPTY: &str = "DELETE FROM permit_signals; DELETE FROM property_signals; DELETE FROM property_health";

/// Signals of building permits. A permit has one row for each address; the newest word on it counts.
const OF_PERMITS: &str = "
    WITH today AS (SELECT (now() AT TIME ZONE 'America/Los_Angeles')::date::timestamp AS today),
    standing AS (
        SELECT DISTINCT ON (permit_number)
               permit_number, lower(trim(status)) AS status, status_date, issued_date, completed_date,
               lower(coalesce(permit_type_definition, '')) LIKE 'otc%' AS otc
          FROM permits WHERE source = 'building'
         ORDER BY permit_number, status_date DESC NULLS LAST, record_id
    ),
    inspected AS (
        SELECT reference_number AS permit_number, count(*) AS visits, max(scheduled_date) AS latest,
               bool_or(upper(trim(result)) = 'PASSED' AND upper(inspection_description) LIKE '%FINAL%') AS final
          FROM inspections WHERE upper(trim(result)) IN ('PASSED', 'FAILED', 'DISAPPROVED')
         GROUP BY reference_number
    ),
    worked AS (
        SELECT standing.*, coalesce(visits, 0) AS visits, latest, coalesce(final, false) AS final
          FROM standing LEFT JOIN inspected USING (permit_number)
    ),
    -- Where the plans of what is under way lie: the last step at each station.
    reviews AS (
        SELECT DISTINCT ON (application_number, station)
               application_number AS permit_number, station, arrive, finish_date,
               lower(trim(review_results)) AS result,
               CASE WHEN addenda_number = 0 THEN 'initial' ELSE 'revision' END AS metric_type
          FROM addenda JOIN standing ON standing.permit_number = addenda.application_number
         WHERE station IS NOT NULL AND completed_date IS NULL
           AND status IN ('filed', 'filing', 'plancheck', 'triage', 'approved', 'appeal', 'upheld', 'suspend',
                          'issued', 'issuing', 'reinstated', 'incomplete')
         ORDER BY application_number, station, addenda_number DESC NULLS LAST, arrive DESC NULLS LAST,
                  step DESC NULLS LAST, row_key, occurrence
    ),
    waiting AS (
        SELECT permit_number, station, arrive, metric_type, extract(epoch FROM today - arrive)::float8 / 86400 AS days
          FROM reviews, today WHERE finish_date IS NULL AND result IS NULL AND arrive <= today
    )
    INSERT INTO permit_signals (permit_number, signal_type, tier, station, since)
    SELECT permit_number, 'hold_comments', 'at_risk', station, finish_date FROM reviews WHERE result = 'issued comments'
    UNION ALL
    SELECT permit_number,
           CASE WHEN days > 365 AND station IN ('PPC', 'CP-ZOC', 'CPB') THEN 'hold_stalled_planning'
                ELSE 'hold_stalled' END,
           CASE WHEN days > 365 AND station IN ('PPC', 'CP-ZOC', 'CPB') THEN 'at_risk' ELSE 'behind' END,
           station, arrive
      FROM waiting WHERE days > 30
    UNION ALL
    SELECT permit_number, 'station_slow', 'behind', station, arrive
      FROM waiting JOIN station_velocity_v2 USING (station, metric_type)
     WHERE period = 'current' AND days <= 30 AND days > p90_days
    UNION ALL
    SELECT permit_number,
           CASE WHEN visits >= 4 THEN 'expired_uninspected' WHEN visits >= 1 THEN 'expired_minor_activity'
                WHEN otc THEN 'expired_otc' ELSE 'expired_inconclusive' END,
           CASE WHEN visits >= 4 THEN 'at_risk' WHEN visits = 0 AND otc THEN 'slower' ELSE 'behind' END,
           '', status_date
      FROM worked WHERE status = 'expired' AND NOT final
    UNION ALL
    SELECT permit_number,
           CASE WHEN visits >= 2 AND latest >= today - interval '5 years' THEN 'stale_with_activity'
                ELSE 'stale_no_activity' END,
           CASE WHEN visits >= 2 AND latest >= today - interval '5 years' THEN 'at_risk' ELSE 'slower' END,
           '', issued_date
      FROM worked, today
     WHERE status IN ('issued', 'reinstated') AND completed_date IS NULL AND NOT final
       AND issued_date < today - interval '2 years'";

/// Signals of parcels: those of their permits, and what stands against the parcel itself.
const OF_PARCELS: &str = "
    WITH notices AS (
        SELECT block, lot, complaint_number, date_filed, lower(coalesce(nov_category_description, '')) AS category
          FROM violations WHERE lower(trim(status)) IN ('active', 'open')
    ),
    signals AS (
        SELECT DISTINCT block, lot, signal_type, tier, permit_number AS item, since
          FROM permit_signals JOIN permits USING (permit_number) WHERE source = 'building'
        UNION ALL
        SELECT block, lot, 'nov', 'at_risk', complaint_number, date_filed FROM notices
        UNION ALL
        SELECT block, lot, 'abatement', 'at_risk', complaint_number, date_filed FROM notices
         WHERE category LIKE '%abatement%' OR category LIKE '%hearing%' OR category LIKE '%director%'
        UNION ALL
        SELECT block, lot, 'complaint', 'slower', complaint_number, date_filed FROM complaints
         WHERE lower(trim(status)) IN ('active', 'open')
           AND NOT EXISTS (SELECT FROM notices WHERE notices.complaint_number = complaints.complaint_number)
    )
    INSERT INTO property_signals (block, lot, signal_type, tier, items, since)
    SELECT block, lot, signal_type, tier, count(DISTINCT item), min(since)
      FROM signals WHERE block IS NOT NULL AND lot IS NOT NULL GROUP BY block, lot, signal_type, tier";

const HEALTH: &str = "
    WITH parcels AS (
        SELECT block, lot FROM permits WHERE block IS NOT NULL AND lot IS NOT NULL
        UNION SELECT block, lot FROM property_signals
    ),
    counted AS (
        SELECT block, lot, count(*) FILTER (WHERE tier = 'at_risk') AS at_risk,
               count(*) FILTER (WHERE tier = 'behind') AS behind, count(*) FILTER (WHERE tier = 'slower') AS slower
          FROM parcels LEFT JOIN property_signals USING (block, lot) GROUP BY block, lot
    )
    INSERT INTO property_health (block, lot, tier, at_risk, behind, slower)
    SELECT block, lot,
           CASE WHEN at_risk >= 2 THEN 'high_risk' WHEN at_risk = 1 THEN 'at_risk' WHEN behind > 0 THEN 'behind'
                WHEN slower > 0 THEN 'slower' ELSE 'on_track' END, at_risk, behind, slower
      FROM counted";

pub(super) async fn run(context: &Context, lease: &Lease) -> anyhow::Result<Counts> {
    let limit = Job::Signals.deadline();
    let mut session = Attended::open(&context.config.database, "seawall-signals", limit).await?;
    let transaction = session.transaction().await?;
    transaction.batch_execute(EMPTY).await?;
    let mut counts = Counts::new();
    let tables = [("permit_signals", OF_PERMITS), ("property_signals", OF_PARCELS), ("property_health", HEALTH)];
    for (done, (table, sql)) in tables.into_iter().enumerate() {
        lease.progress(table, done, tables.len());
        counts.insert(table.to_owned(), json!(transaction.execute_typed(sql, &[]).await?));
    }
    purge::queue(&transaction, &[purge::SIGNALS.to_owned()]).await?;
    lease.hold(&transaction).await?;
    transaction.commit().await?;
    // An entry that stays is an hour old at most.
    for entries in ["stuck", "brief:%"] {
        let _ = context.cache.invalidate(entries).await;
    }
    Ok(counts)
}
