//! The statements of the report. `$1` holds the spellings of the block and `$2` those of the lot; none needs another's
//! rows, but for [`PACE`], which is of no parcel. `$3` is the bound; each reads one row beyond it, which tells a list that was cut from one that just fits.

use std::sync::LazyLock;

use crate::permits::limits::NEIGHBORS_EXAMINED_MAX;
use crate::permits::record::{
    Complaint, Contact, FormerLot, Inspection, Member, Neighbor, Pace, Permit, Step, TaxRoll, Violation,
};

/// The date in San Francisco by the database's clock, which the rows were written by.
pub(in crate::permits) const TODAY: &str = "SELECT (now() AT TIME ZONE 'America/Los_Angeles')::date";

/// The parcel's permit numbers, for the tables that hang on permits.
const NUMBERS: &str = "SELECT permit_number FROM permits WHERE block = ANY($1) AND lot = ANY($2)";

pub(super) static PERMITS: LazyLock<String> = LazyLock::new(|| {
    let columns = Permit::COLUMNS.join(", ");
    format!(
        "SELECT {columns} FROM permits WHERE block = ANY($1) AND lot = ANY($2)
        ORDER BY filed_date DESC NULLS LAST, permit_number DESC, record_id LIMIT $3 + 1"
    )
});

pub(super) static CONTACTS: LazyLock<String> = LazyLock::new(|| {
    let columns = Contact::COLUMNS.join(", ");
    format!(
        "SELECT {columns} FROM contacts WHERE permit_number IN ({NUMBERS})
        ORDER BY permit_number DESC, row_key, occurrence LIMIT $3 + 1"
    )
});

pub(super) static INSPECTIONS: LazyLock<String> = LazyLock::new(|| {
    let columns = Inspection::COLUMNS.join(", ");
    format!(
        "SELECT {columns} FROM inspections WHERE reference_number IN ({NUMBERS})
        ORDER BY reference_number DESC, scheduled_date DESC NULLS LAST, row_key, occurrence LIMIT $3 + 1"
    )
});

/// The steps of the latest revision of each permit that is under way.
pub(super) static STEPS: LazyLock<String> = LazyLock::new(|| {
    let columns = Step::COLUMNS.join(", ");
    format!(
        "SELECT {columns} FROM (
            SELECT addenda.*, rank() OVER (
                PARTITION BY application_number ORDER BY addenda_number DESC NULLS LAST
            ) AS revision
            FROM addenda WHERE application_number IN (
                {NUMBERS} AND lower(status) IN ('filed', 'plancheck', 'issued', 'reinstated')
            )
        ) latest WHERE revision = 1
        ORDER BY application_number DESC, step NULLS LAST, row_key, occurrence LIMIT $3 + 1"
    )
});

pub(super) static COMPLAINTS: LazyLock<String> = LazyLock::new(|| {
    let columns = Complaint::COLUMNS.join(", ");
    format!(
        "SELECT {columns} FROM complaints WHERE block = ANY($1) AND lot = ANY($2)
        ORDER BY date_filed DESC NULLS LAST, complaint_number DESC, row_key, occurrence LIMIT $3 + 1"
    )
});

pub(super) static VIOLATIONS: LazyLock<String> = LazyLock::new(|| {
    let columns = Violation::COLUMNS.join(", ");
    format!(
        "SELECT {columns} FROM violations WHERE block = ANY($1) AND lot = ANY($2)
        ORDER BY date_filed DESC NULLS LAST, complaint_number DESC, item_sequence_number, row_key, occurrence
        LIMIT $3 + 1"
    )
});

/// When the rows of the two before were loaded last.
pub(super) const ENFORCEMENT_LOADED: &str =
    "SELECT max(last_fetched) FROM ingest_log WHERE dataset_id IN ('gm2e-bten', 'nbtm-fbw5')";

/// The newest rolls first.
pub(super) static TAX_ROLLS: LazyLock<String> = LazyLock::new(|| {
    let columns = TaxRoll::COLUMNS.join(", ");
    format!(
        "SELECT {columns} FROM tax_rolls WHERE block = ANY($1) AND lot = ANY($2) ORDER BY tax_year DESC, row_key LIMIT $3"
    )
});

/// The newest permits of the neighborhood, but for this parcel's own.
pub(super) static NEARBY: LazyLock<String> = LazyLock::new(|| neighbors("true"));

/// Of those, the finished ones of the same kind that cost from half to half as much again.
pub(super) static SIMILAR: LazyLock<String> = LazyLock::new(|| {
    neighbors(
        "lower(newest.status) = 'complete' AND lower(newest.permit_type_definition) = here.kind
         AND newest.estimated_cost BETWEEN here.cost * 0.5 AND here.cost * 1.5",
    )
});

fn neighbors(condition: &str) -> String {
    let columns = Neighbor::COLUMNS.join(", newest.");
    format!(
        "WITH here AS (
            SELECT lower(neighborhood) AS name, lower(permit_type_definition) AS kind, estimated_cost AS cost
            FROM permits WHERE block = ANY($1) AND lot = ANY($2) AND neighborhood IS NOT NULL
            ORDER BY filed_date DESC NULLS LAST, record_id LIMIT 1
        )
        SELECT newest.{columns} FROM here CROSS JOIN LATERAL (
            SELECT * FROM permits WHERE lower(neighborhood) = here.name
            ORDER BY coalesce(filed_date, '-infinity') DESC, permit_number DESC LIMIT {NEIGHBORS_EXAMINED_MAX}
        ) newest
        WHERE {condition} AND NOT (coalesce(newest.block = ANY($1), false) AND coalesce(newest.lot = ANY($2), false))
        ORDER BY newest.filed_date DESC NULLS LAST, newest.permit_number DESC LIMIT $3"
    )
}

/// Lots are merged, divided and numbered anew, and a permit keeps the number of its day: other lots of the block with
/// permits at an address of this parcel's.
pub(super) static FORMER_LOTS: LazyLock<String> = LazyLock::new(|| {
    let columns = FormerLot::COLUMNS.join(", ");
    format!(
        "SELECT {columns} FROM (
            SELECT lot, count(DISTINCT permit_number) AS permits, min(filed_date) AS first_filed,
                max(filed_date) AS last_filed
            FROM permits
            WHERE block = ANY($1) AND NOT lot = ANY($2) AND (lower(street_name), street_number) IN (
                SELECT lower(street_name), street_number FROM permits WHERE block = ANY($1) AND lot = ANY($2))
            GROUP BY lot
        ) lots ORDER BY permits DESC, lot LIMIT $3"
    )
});

/// Who stands on the parcel's permits, the most frequent first.
pub(super) static TEAM: LazyLock<String> = LazyLock::new(|| {
    let columns = Member::COLUMNS.join(", ");
    format!(
        "SELECT {columns} FROM (
            SELECT entity_id, count(DISTINCT permit_number) AS permits_here FROM entity_permits
            WHERE permit_number IN ({NUMBERS}) GROUP BY entity_id ORDER BY 2 DESC, 1 LIMIT $3
        ) here JOIN entities USING (entity_id)
        ORDER BY permits_here DESC, entity_id"
    )
});

/// `$1`: how many. How long stations take now, or took over the year where there are too few reviews.
pub(in crate::permits) static PACE: LazyLock<String> = LazyLock::new(|| {
    let columns = Pace::COLUMNS.join(", ");
    format!(
        "SELECT DISTINCT ON (station, metric_type) {columns} FROM station_velocity_v2
        ORDER BY station, metric_type, period = 'current' DESC LIMIT $1"
    )
});
