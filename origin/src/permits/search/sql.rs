//! The statements of search. `$1` and `$2` are the page's size and offset; the rest belongs to the kind.
//!
//! Each gives, on every row, the number of hits and whether there may be more, then the matched name and the
//! permit's columns. Without hits on the page it is one row without a permit. The statement for an export has no page and
//! gives the matched name and the permit's columns of everything.

use std::sync::LazyLock;

use crate::permits::limits::{NAME_MATCHES_MAX, PAGE_ROWS_MAX};
use crate::permits::record::Permit;

/// The statements of one kind of look-up.
#[derive(Debug)]
pub(super) struct Statements {
    /// One page, with the number of all hits.
    pub(super) page: String,
    /// All of them; `$1` is the longest, and `$2` how many rows to leave out.
    pub(super) all: String,
}

/// `$3`: the number. Old numbers end in S, which people leave out.
pub(super) static BY_PERMIT_NUMBER: LazyLock<Statements> =
    LazyLock::new(|| statements(&plain("permit_number = ANY(ARRAY[$3, $3 || 'S'])"), "false"));

/// `$3`: spellings of the block; `$4`: of the lot.
pub(super) static BY_PARCEL: LazyLock<Statements> =
    LazyLock::new(|| statements(&plain("block = ANY($3) AND lot = ANY($4)"), "false"));

/// The name is one of `$3`, and the suffix is one of `$4` unless that is empty or the name is one of `$5`.
const ON_STREET: &str = "lower(street_name) = ANY($3)
    AND (cardinality($4) = 0 OR lower(street_suffix) = ANY($4) OR lower(street_name) = ANY($5))";

/// `$3` to `$5`: the street; `$6`: the house number.
pub(super) static BY_ADDRESS: LazyLock<Statements> =
    LazyLock::new(|| statements(&plain(&format!("{ON_STREET} AND street_number = $6")), "false"));

/// `$3` to `$5`: the street.
pub(super) static BY_STREET: LazyLock<Statements> = LazyLock::new(|| statements(&plain(ON_STREET), "false"));

/// `$3`: a LIKE pattern. Contacts of permits that are not stored lead nowhere and are left out. The permits are
/// read one by one through their index: a join would scan the whole table when a name is common.
pub(super) static BY_NAME: LazyLock<Statements> = LazyLock::new(|| {
    let hits = format!(
        "WITH named AS MATERIALIZED (
            SELECT permit_number, CASE WHEN lower(name) LIKE lower($3) THEN name ELSE firm_name END AS matched
            FROM contacts WHERE lower(name) LIKE lower($3) OR lower(firm_name) LIKE lower($3)
            LIMIT {NAME_MATCHES_MAX}
        ), hits AS (
            SELECT named.permit_number, stored.filed, named.matched
            FROM (SELECT permit_number, min(matched) AS matched FROM named GROUP BY permit_number) named
            CROSS JOIN LATERAL (
                SELECT max(filed_date) AS filed, count(*) AS rows FROM permits
                WHERE permits.permit_number = named.permit_number
            ) stored
            WHERE stored.rows > 0
        )"
    );
    statements(&hits, &format!("(SELECT count(*) FROM named) = {NAME_MATCHES_MAX}"))
});

fn plain(condition: &str) -> String {
    format!(
        "WITH hits AS (
            SELECT permit_number, max(filed_date) AS filed, NULL::text AS matched
            FROM permits WHERE {condition} GROUP BY permit_number
        )"
    )
}

/// Newest first; permits without a date last; the number decides between equals, so that no page repeats one.
fn statements(hits: &str, capped: &str) -> Statements {
    let columns = Permit::COLUMNS.join(", permits.");
    let all = format!(
        "{hits} SELECT hits.matched, permits.{columns}
        FROM hits JOIN permits ON permits.permit_number = hits.permit_number
        ORDER BY hits.filed DESC NULLS LAST, hits.permit_number DESC, permits.record_id LIMIT $1 OFFSET $2"
    );
    let page = format!(
        "{hits}, page AS (
            SELECT permit_number, filed, matched FROM hits
            ORDER BY filed DESC NULLS LAST, permit_number DESC LIMIT $1 OFFSET $2
        )
        SELECT total.hits, total.capped, page.matched, permits.{columns}
        FROM (SELECT count(*) AS hits, {capped} AS capped FROM hits) total
        LEFT JOIN page ON true
        LEFT JOIN permits ON permits.permit_number = page.permit_number
        ORDER BY page.filed DESC NULLS LAST, page.permit_number DESC, permits.record_id LIMIT {PAGE_ROWS_MAX}"
    );
    Statements { page, all }
}
