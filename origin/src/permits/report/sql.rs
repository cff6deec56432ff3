//! The statements of the report. `$1` holds the spellings of the block and `$2` those of the lot; none needs another's
//! rows. `$3` is the bound; each reads one row beyond it, which tells a list that was cut from one that just fits.

use std::sync::LazyLock;

use crate::permits::record::{Complaint, Contact, Inspection, Permit, Step, Violation};

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
