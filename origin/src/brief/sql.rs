//! The statements of a brief. `$1` is the user, `$2` the days to look back, `$3` what may follow a street in an address; each
//! part is bounded, and each look-up of a watch goes through an index: the `LIMIT` in a lateral part keeps the planner from
//! reading a table whole. Ninety days of changes are some hundred thousand, so they are reached from what is watched; of the
//! whole city the newest 100,000 are counted.
//!
//! People and firms are found among the newest 2,000 changes, which are more than a night brings, and besides by what happened
//! to any 200 permits of each.

/// Every part but the last of a brief, a column each.
pub(super) const BRIEF: &str = "
WITH today AS (SELECT (now() AT TIME ZONE 'America/Los_Angeles')::date AS day),
since AS (SELECT day - $2 AS day FROM today),
w AS MATERIALIZED (SELECT * FROM watch_items WHERE user_id = $1),
-- The permits of what is watched by number or place.
mine AS MATERIALIZED (
    SELECT found.*, w.label
      FROM w CROSS JOIN LATERAL (
          SELECT * FROM permits WHERE permits.permit_number = w.permit_number ORDER BY record_id LIMIT 200) found
     WHERE w.watch_type = 'permit'
    UNION ALL
    SELECT found.*, w.label
      FROM w CROSS JOIN LATERAL (
          SELECT * FROM permits WHERE permits.block = w.block AND permits.lot = w.lot
           ORDER BY filed_date DESC NULLS LAST, record_id LIMIT 500) found
     WHERE w.watch_type = 'parcel'
    UNION ALL
    SELECT found.*, w.label
      FROM w CROSS JOIN LATERAL (
          SELECT * FROM permits
           WHERE lower(permits.street_name) = ANY (w.street_names) AND permits.street_number = w.street_number
             AND (cardinality(w.street_suffixes) = 0 OR lower(permits.street_suffix) = ANY (w.street_suffixes)
                  OR lower(permits.street_name) = ANY (w.street_whole))
           ORDER BY filed_date DESC NULLS LAST, record_id LIMIT 500) found
     WHERE w.watch_type = 'address'),
numbers AS MATERIALIZED (SELECT permit_number, min(label) AS label FROM mine GROUP BY permit_number),
newest AS MATERIALIZED (
    SELECT * FROM permit_changes
     WHERE change_date >= (SELECT day FROM since) AND EXISTS (SELECT FROM w WHERE watch_type = 'entity')
     ORDER BY change_date DESC, change_id DESC LIMIT 2000),
involved AS MATERIALIZED (
    SELECT newest.change_id, known.*
      FROM newest CROSS JOIN LATERAL (
          SELECT lower(name) AS name, lower(firm_name) AS firm_name FROM contacts
           WHERE contacts.permit_number = newest.permit_number LIMIT 100) known),
hits AS MATERIALIZED (
    SELECT changed.*, numbers.label, false AS is_team
      FROM numbers CROSS JOIN LATERAL (
          SELECT * FROM permit_changes
           WHERE permit_changes.permit_number = numbers.permit_number AND change_date >= (SELECT day FROM since)
           ORDER BY change_date DESC LIMIT 100) changed
    UNION ALL
    -- A new permit at a watched place is among its permits already, unless there are more than are read.
    SELECT changed.*, w.label, false
      FROM w CROSS JOIN LATERAL (
          SELECT * FROM permit_changes
           WHERE lower(permit_changes.neighborhood) = w.neighborhood AND change_date >= (SELECT day FROM since)
           ORDER BY change_date DESC, change_id DESC LIMIT 1000) changed
     WHERE w.neighborhood IS NOT NULL
    UNION ALL
    SELECT newest.*, w.label, true
      FROM w JOIN involved ON w.entity_name IN (involved.name, involved.firm_name) JOIN newest USING (change_id)
     WHERE w.watch_type = 'entity'
    UNION ALL
    SELECT changed.*, w.label, true
      FROM w CROSS JOIN LATERAL (
          SELECT DISTINCT permit_number FROM (
              SELECT permit_number FROM contacts
               WHERE lower(contacts.name) = w.entity_name OR lower(contacts.firm_name) = w.entity_name LIMIT 200) some_of_it) named
      CROSS JOIN LATERAL (
          SELECT * FROM permit_changes
           WHERE permit_changes.permit_number = named.permit_number AND change_date >= (SELECT day FROM since)
           ORDER BY change_date DESC LIMIT 100) changed
     WHERE w.watch_type = 'entity'),
counted AS MATERIALIZED (
    SELECT change_type FROM permit_changes WHERE change_date >= (SELECT day FROM since)
     ORDER BY change_date DESC, change_id DESC LIMIT 100000),
events AS MATERIALIZED (
    SELECT DISTINCT ON (is_team, permit_number, change_date, change_type, new_status)
           permit_number, change_date, change_type, old_status, new_status, old_cost, new_cost, permit_type, description,
           concat_ws(' ', street_number, street_name, street_suffix) AS address, block, lot, label, is_team
      FROM hits ORDER BY is_team, permit_number, change_date, change_type, new_status, label),
changes AS (
    SELECT * FROM events WHERE change_type <> 'new_permit' ORDER BY change_date DESC, permit_number LIMIT 100),
new_filings AS (
    SELECT * FROM events WHERE change_type = 'new_permit' AND NOT is_team ORDER BY change_date DESC, permit_number LIMIT 50),
team_activity AS (
    SELECT * FROM events WHERE change_type = 'new_permit' AND is_team ORDER BY change_date DESC, permit_number LIMIT 30),
plan_reviews AS (
    SELECT DISTINCT ON (step.finish_date::date, numbers.permit_number, step.station)
           numbers.permit_number, numbers.label, step.station, step.finish_date::date AS finish_date, step.review_results,
           step.plan_checked_by
      FROM numbers, since, LATERAL (
          SELECT * FROM addenda WHERE application_number = numbers.permit_number AND finish_date >= since.day
           ORDER BY finish_date DESC LIMIT 20) step
     ORDER BY step.finish_date::date DESC, numbers.permit_number, step.station, step.row_key LIMIT 50),
inspected AS (
    SELECT numbers.permit_number, numbers.label, visit.scheduled_date::date AS scheduled_date,
           visit.inspection_description, visit.result,
           CASE WHEN lower(visit.result) IN ('approved', 'ok', 'pass', 'passed') THEN 'pass'
                WHEN lower(visit.result) IN ('disapproved', 'fail', 'failed', 'not approved') THEN 'fail' END AS outcome
      FROM numbers, since, LATERAL (
          SELECT * FROM inspections WHERE reference_number = numbers.permit_number AND scheduled_date >= since.day
           ORDER BY scheduled_date DESC, row_key LIMIT 20) visit
     ORDER BY visit.scheduled_date DESC, numbers.permit_number, visit.row_key LIMIT 50),
expiring AS (
    SELECT DISTINCT ON (permit_number) permit_number, label, permit_type_definition AS permit_type,
           (CASE WHEN permit_type_definition ILIKE '%demolition%' THEN 180
                 WHEN coalesce(nullif(revised_cost, 0), estimated_cost) >= 2500000 THEN 1440
                 WHEN coalesce(nullif(revised_cost, 0), estimated_cost) >= 100001 THEN 1080
                 ELSE 360 END) - (today.day - issued_date::date) AS expires_in
      FROM mine, today
     WHERE lower(status) IN ('issued', 'reinstated') AND issued_date IS NOT NULL AND completed_date IS NULL
     ORDER BY permit_number, record_id),
ending AS (SELECT * FROM expiring WHERE expires_in BETWEEN -30 AND 30 ORDER BY expires_in, permit_number LIMIT 50),
places AS (
    SELECT block, lot FROM mine WHERE block IS NOT NULL AND lot IS NOT NULL
    UNION SELECT block, lot FROM w WHERE watch_type = 'parcel' LIMIT 100),
sites AS MATERIALIZED (
    SELECT block, lot, min(label) AS label FROM (
        SELECT block, lot, label FROM mine WHERE block IS NOT NULL AND lot IS NOT NULL
        UNION ALL SELECT block, lot, label FROM w WHERE watch_type = 'parcel') named
     GROUP BY block, lot ORDER BY block, lot LIMIT 100),
-- What the planning department was asked for, or decided, at these parcels and at watched addresses.
planned AS (
    SELECT DISTINCT ON (change_date, record_id, change_type, new_status)
           record_id, change_date, change_type, old_status, new_status, record_type, project_name, address, block, lot, label
      FROM (
        SELECT changed.*, sites.label
          FROM sites CROSS JOIN LATERAL (
              SELECT * FROM planning_changes
               WHERE planning_changes.block = sites.block AND planning_changes.lot = sites.lot
                 AND change_date >= (SELECT day FROM since)
               ORDER BY change_date DESC LIMIT 50) changed
        UNION ALL
        SELECT changed.*, w.label
          FROM w CROSS JOIN LATERAL planning_begins(w.street_number, w.street_names, w.street_suffixes, w.street_whole) AS begins
          CROSS JOIN LATERAL (
              SELECT * FROM planning_changes
               WHERE planning_address(address) ~>=~ begins AND planning_address(address) ~<~ (rtrim(begins) || '!')
                 AND substr(planning_address(address), length(begins) + 1) ~ $3
                 AND change_date >= (SELECT day FROM since)
               ORDER BY change_date DESC LIMIT 50) changed
         WHERE w.watch_type = 'address') found
     ORDER BY change_date DESC, record_id, change_type, new_status, label LIMIT 50),
cards AS (
    SELECT places.block, places.lot, standing.*, health.tier AS health, roll.zoning_code, roll.use_definition,
           (SELECT count(*) FROM complaints
             WHERE complaints.block = places.block AND complaints.lot = places.lot
               AND lower(complaints.status) IN ('active', 'open')) AS open_complaints,
           (SELECT count(*) FROM violations
             WHERE violations.block = places.block AND violations.lot = places.lot
               AND lower(violations.status) IN ('active', 'open')) AS open_violations
      FROM places CROSS JOIN LATERAL (
          SELECT min(concat_ws(' ', street_number, street_name, street_suffix)) AS address,
                 count(DISTINCT permit_number) AS permits,
                 count(DISTINCT permit_number) FILTER (WHERE lower(status) IN (
                     'filed', 'filing', 'plancheck', 'triage', 'approved', 'issued', 'issuing', 'reinstated')) AS open_permits,
                 max(status_date)::date AS last_change
            FROM permits WHERE permits.block = places.block AND permits.lot = places.lot) standing
      LEFT JOIN property_health health ON health.block = places.block AND health.lot = places.lot
      LEFT JOIN LATERAL (
          SELECT zoning_code, use_definition FROM tax_rolls
           WHERE tax_rolls.block = places.block AND tax_rolls.lot = places.lot ORDER BY tax_year DESC LIMIT 1) roll ON true
     ORDER BY last_change DESC NULLS LAST, places.block, places.lot),
pace AS MATERIALIZED (
    SELECT DISTINCT ON (station, metric_type) station, metric_type, p50_days, p75_days, p90_days
      FROM station_velocity_v2 ORDER BY station, metric_type, period = 'current' DESC LIMIT 400),
under_way AS (
    SELECT DISTINCT ON (permit_number) permit_number, label, permit_type_definition AS permit_type FROM mine
     WHERE completed_date IS NULL AND lower(status) IN (
               'filed', 'filing', 'plancheck', 'triage', 'approved', 'appeal', 'upheld', 'suspend', 'issued', 'issuing',
               'reinstated', 'incomplete')
     ORDER BY permit_number, record_id LIMIT 300),
-- Where their plans lie: the steps of the latest revision that have arrived.
steps AS MATERIALIZED (
    SELECT under_way.*, step.station, step.arrive::date AS since, step.finish_date::date AS finish_date,
           coalesce(step.finish_date::date, today.day) - step.arrive::date AS days, step.review_results,
           step.hold_description, step.plan_checked_by,
           CASE WHEN step.addenda_number > 0 THEN 'revision' ELSE 'initial' END AS metric_type
      FROM under_way, today, LATERAL (
          SELECT DISTINCT ON (station) * FROM (
              SELECT addenda.*, rank() OVER (ORDER BY addenda_number DESC NULLS LAST) AS revision
                FROM addenda WHERE application_number = under_way.permit_number LIMIT 500) latest
           WHERE revision = 1 AND station IS NOT NULL AND arrive < today.day + 1
           ORDER BY station, arrive DESC, row_key LIMIT 40) step),
waits AS MATERIALIZED (
    SELECT steps.permit_number, label, permit_type, station, since, days, p50_days, p90_days, review_results,
           hold_description, plan_checked_by,
           CASE WHEN days > coalesce(p90_days, 90) THEN 'at_risk' WHEN days > coalesce(p75_days, 45) THEN 'behind'
                WHEN days > coalesce(p50_days, 45) THEN 'slower' ELSE 'on_track' END AS health,
           CASE WHEN p50_days > 0 THEN least(round(days * 100 / p50_days), 99999)::int4 END AS pct_of_typical,
           coalesce(review_results, '') ILIKE '%comment%' AS has_comments
      FROM steps LEFT JOIN pace USING (station, metric_type) WHERE finish_date IS NULL),
-- A permit is as well as its worst wait.
worst AS (
    SELECT DISTINCT ON (permit_number) * FROM waits ORDER BY permit_number, days / greatest(coalesce(p90_days, 90), 1) DESC, station),
in_review AS (
    SELECT permit_number, label, permit_type, station, since, days, p50_days, p90_days, health, pct_of_typical
      FROM worst ORDER BY array_position(ARRAY['at_risk', 'behind', 'slower', 'on_track'], health), days DESC, permit_number LIMIT 100),
stuck AS (
    SELECT permit_number, label, permit_type, station, since, days, p50_days, p90_days, plan_checked_by, hold_description,
           has_comments, CASE WHEN health = 'at_risk' THEN 'CRITICAL' ELSE 'STALLED' END AS status
      FROM waits WHERE health IN ('at_risk', 'behind') OR has_comments
     ORDER BY status, days DESC, permit_number, station LIMIT 50),
planning AS (
    SELECT permit_number, label, station, since, finish_date, days, review_results, hold_description
      FROM steps WHERE station LIKE 'CP-%' OR station LIKE 'PLAN%'
     ORDER BY finish_date IS NOT NULL, coalesce(finish_date, since) DESC, permit_number, station LIMIT 50),
signals AS (
    SELECT signal_type, tier, permit_number, NULL AS block, NULL AS lot, nullif(station, '') AS station,
           since::date AS since, 1 AS items, label
      FROM permit_signals JOIN numbers USING (permit_number)
    UNION ALL
    SELECT signal_type, tier, NULL, block, lot, NULL, since::date, items, block || '/' || lot
      FROM property_signals JOIN places USING (block, lot) WHERE signal_type IN ('nov', 'abatement', 'complaint')
     ORDER BY tier, since DESC NULLS LAST, signal_type, permit_number, block, lot, station LIMIT 100)
SELECT (SELECT coalesce(jsonb_agg(changes), '[]') FROM changes) AS changes,
       (SELECT coalesce(jsonb_agg(new_filings), '[]') FROM new_filings) AS new_filings,
       (SELECT coalesce(jsonb_agg(team_activity), '[]') FROM team_activity) AS team_activity,
       (SELECT coalesce(jsonb_agg(plan_reviews), '[]') FROM plan_reviews) AS plan_reviews,
       (SELECT coalesce(jsonb_agg(inspected), '[]') FROM inspected) AS inspections,
       (SELECT coalesce(jsonb_agg(ending), '[]') FROM ending) AS expiring,
       (SELECT coalesce(jsonb_agg(planned), '[]') FROM planned) AS planning_changes,
       (SELECT coalesce(jsonb_agg(cards), '[]') FROM cards) AS property_cards,
       (SELECT coalesce(jsonb_agg(in_review), '[]') FROM in_review) AS health,
       (SELECT coalesce(jsonb_agg(stuck), '[]') FROM stuck) AS stuck,
       (SELECT coalesce(jsonb_agg(planning), '[]') FROM planning) AS planning,
       (SELECT coalesce(jsonb_agg(signals), '[]') FROM signals) AS signals,
       -- What changed since, in the whole city: whether a quiet brief is a quiet day.
       (SELECT jsonb_build_object(
            'since', (SELECT day FROM since),
            'new_permits', count(*) FILTER (WHERE change_type = 'new_permit'),
            'status_changes', count(*) FILTER (WHERE change_type = 'status_change'),
            'cost_revisions', count(*) FILTER (WHERE change_type = 'cost_revision'),
            'at_least', count(*) = 100000) FROM counted) AS city,
       jsonb_build_object(
           'total_watches', (SELECT count(*) FROM w),
           'total_properties', (SELECT count(*) FROM places),
           'changes_count', (SELECT count(*) FROM changes),
           'new_filings_count', (SELECT count(*) FROM new_filings),
           'team_count', (SELECT count(*) FROM team_activity),
           'plan_reviews_count', (SELECT count(*) FROM plan_reviews),
           'inspections_count', (SELECT count(*) FROM inspected),
           'expiring_count', (SELECT count(*) FROM ending),
           'planning_changes_count', (SELECT count(*) FROM planned),
           'at_risk_count', (SELECT count(DISTINCT permit_number) FROM worst WHERE health = 'at_risk'),
           'stuck_count', (SELECT count(*) FROM stuck),
           'signals_count', (SELECT count(*) FROM signals),
           'enforcement_count', (SELECT coalesce(sum(open_complaints + open_violations), 0) FROM cards)) AS summary";

/// How the last five nightly loads went, and all jobs of a day.
pub(super) const PIPELINE: &str = "
WITH nights AS (
    SELECT job_type, status, started_at,
           round(extract(epoch FROM completed_at - started_at), 2) AS elapsed_seconds
      FROM cron_log WHERE job_type = 'nightly' ORDER BY started_at DESC, log_id DESC LIMIT 5)
SELECT jsonb_build_object(
    'recent_jobs', (SELECT coalesce(jsonb_agg(nights), '[]') FROM nights),
    'avg_duration_seconds', (SELECT round(avg(elapsed_seconds), 2) FROM nights WHERE status = 'success'),
    'last_24h_success', count(*) FILTER (WHERE status = 'success'),
    'last_24h_failed', count(*) FILTER (WHERE status = 'failed'),
    'last_24h_jobs', count(*),
    'last_success', (SELECT max(completed_at) FROM cron_log WHERE job_type = 'nightly' AND status = 'success'),
    -- A load that is late by half a day is missed.
    'is_stale', (SELECT max(completed_at) < now() - interval '36 hours' FROM cron_log
                  WHERE job_type = 'nightly' AND status = 'success')) AS pipeline_stats
  FROM cron_log WHERE started_at > now() - interval '24 hours'";
