//! The statements of search. `$1` to `$8` are the same in all (see [`PARAMETERS`]); the rest belongs to the kind.
//!
//! Each gives, on every row, the number of hits and whether there are more, the facets (on the first row only), what
//! matched, and the permit's columns. Without hits on the page it is one row without a permit. Hits are counted up to
//! [`COUNTED_MAX`]: a street is walked newest first through an index that holds that order, and a page goes on from the
//! last hit of the page before, so the thousandth page costs what the first one does.

use std::sync::LazyLock;

use crate::permits::limits::{
    COUNTED_MAX, NAME_EXAMINED_MAX, NAME_MATCHES_MAX, PAGE_ROWS_MAX, PAGE_SIZE, PLANNING_EXAMINED_MAX, WORD_MATCHES_MAX,
};
use crate::permits::record::Permit;

/// How many parameters all statements share: `$1` and `$2` the filed date and the number of the last hit of the page
/// before, `$3` whether there was one, `$4` the status, `$5` the kind of permit, `$6` and `$7` the first moment of the
/// year and of the next, `$8` how many rows an export takes. Absent ones are null.
pub(super) const PARAMETERS: usize = 8;

/// The statements of one kind of look-up.
#[derive(Debug)]
pub(super) struct Statements {
    /// One page, with the number of all hits.
    pub(super) page: String,
    /// All of them, newest first: what matched, and the permit's columns. Of more names or words than are looked at, those
    /// that are.
    pub(super) all: String,
}

/// `$9`: the number. Old numbers end in S, which people leave out.
pub(super) static BY_PERMIT_NUMBER: LazyLock<Statements> =
    LazyLock::new(|| few("", "permit_number = ANY(ARRAY[$9, $9 || 'S'])", "permits", "NULL::text", "false"));

/// `$9`: spellings of the block; `$10`: of the lot.
pub(super) static BY_PARCEL: LazyLock<Statements> =
    LazyLock::new(|| few("", "block = ANY($9) AND lot = ANY($10)", "permits", "NULL::text", "false"));

/// `$9`: how the number of a planning record begins. The permits of its parcels.
pub(super) static BY_PLANNING_RECORD: LazyLock<Statements> = LazyLock::new(|| {
    let found = format!(
        "parcels AS MATERIALIZED (
            SELECT DISTINCT block, lot FROM (
                SELECT block, lot FROM planning_records
                WHERE upper(record_id) ~>=~ $9 AND upper(record_id) ~<~ ($9 || '~') LIMIT {PLANNING_EXAMINED_MAX}
            ) records
        ), found AS MATERIALIZED (
            SELECT stored.* FROM parcels CROSS JOIN LATERAL (
                SELECT * FROM permits WHERE permits.block = parcels.block AND permits.lot = parcels.lot
                LIMIT {PAGE_ROWS_MAX}
            ) stored
        ),"
    );
    few(&found, "true", "found", "NULL::text", "false")
});

/// The suffix is one of `$10` unless that is empty or the name is one of `$11`. Written as a case, because Postgres takes
/// the three for independent otherwise, expects few rows, and sorts a whole street instead of walking it.
const SUFFIX: &str = "CASE WHEN cardinality($10) = 0 OR lower(street_suffix) = ANY($10) THEN true
    ELSE lower(street_name) = ANY($11) END";

/// `$9` to `$11`: the street; `$12`: the house number.
pub(super) static BY_ADDRESS: LazyLock<Statements> = LazyLock::new(|| {
    let here = format!("lower(street_name) = ANY($9) AND {SUFFIX} AND street_number = $12");
    few("", &here, "permits", "NULL::text", "false")
});

/// `$9` to `$11`: the street.
pub(super) static BY_STREET: LazyLock<Statements> = LazyLock::new(|| walk("lower(street_name)", SUFFIX));

/// `$9`: the neighborhood's names.
pub(super) static BY_NEIGHBORHOOD: LazyLock<Statements> = LazyLock::new(|| walk("lower(neighborhood)", "true"));

/// `$9`: a LIKE pattern. Contacts of permits that are not stored, or that the filters leave out, lead nowhere; with filters more
/// contacts are looked at for that. The permits are read one by one through their index, which the limit in the lateral keeps:
/// a join would scan the whole table when a name is common.
pub(super) static BY_NAME: LazyLock<Statements> = LazyLock::new(|| {
    let examined = format!("(CASE WHEN {UNFILTERED} THEN {NAME_MATCHES_MAX} ELSE {NAME_EXAMINED_MAX} END)");
    let found = format!(
        "examined AS MATERIALIZED (
            SELECT permit_number, CASE WHEN lower(name) LIKE lower($9) THEN name ELSE firm_name END AS matched
            FROM contacts WHERE lower(name) LIKE lower($9) OR lower(firm_name) LIKE lower($9)
            LIMIT {examined}
        ), found AS MATERIALIZED (
            SELECT stored.*, named.matched
            FROM (SELECT permit_number, min(matched) AS matched FROM examined GROUP BY permit_number) named
            CROSS JOIN LATERAL (
                SELECT * FROM permits WHERE permits.permit_number = named.permit_number AND {FILTERS}
                LIMIT {PAGE_ROWS_MAX}
            ) stored
        ),"
    );
    few(&found, "true", "found", "matched", &format!("(SELECT count(*) FROM examined) = {examined}"))
});

/// `$9`: words, as a person writes them. To find the newest of all would read every description that has them, so of more
/// than [`WORD_MATCHES_MAX`] some are looked at, and those are sorted.
pub(super) static BY_WORDS: LazyLock<Statements> = LazyLock::new(|| words("true"));

/// The same with filters; `$10`: what they ask for, as the function `permit_facets` has it. One index holds words and facets, so
/// that the rare is found among the common without reading it.
pub(super) static BY_WORDS_NARROWED: LazyLock<Statements> =
    LazyLock::new(|| words("permit_facets(status, permit_type_definition, filed_date) @> $10"));

fn words(narrowed: &str) -> Statements {
    let found = format!(
        "found AS MATERIALIZED (
            SELECT * FROM permits
            WHERE to_tsvector('english', description) @@ websearch_to_tsquery('english', $9) AND {narrowed}
            LIMIT {WORD_MATCHES_MAX}
        ),"
    );
    few(&found, "true", "found", "NULL::text", &format!("(SELECT count(*) FROM found) = {WORD_MATCHES_MAX}"))
}

/// The filters, for a row of permits.
const FILTERS: &str =
    "($4::text IS NULL OR lower(status) = $4) AND ($5::text IS NULL OR lower(permit_type_definition) = $5)
    AND ($6::timestamp IS NULL OR coalesce(filed_date, '-infinity') >= $6 AND coalesce(filed_date, '-infinity') < $7)";

/// Whether there are none.
const UNFILTERED: &str = "$4::text IS NULL AND $5::text IS NULL AND $6::timestamp IS NULL";

/// Where a row stands among others; what has no date comes last.
const FILED: &str = "coalesce(filed_date, '-infinity')";

/// Where rows begin.
#[derive(Clone, Copy)]
enum Begin {
    /// With the newest.
    Newest,
    /// After the last hit of the page before, if there was one.
    Place,
}

impl Begin {
    /// The condition, for rows that stand at `filed`. The number decides between those of one moment, so this is the whole
    /// of what hits are sorted by, and no page repeats or leaves out one.
    fn condition(self, filed: &str) -> String {
        match self {
            Self::Newest => "true".to_owned(),
            Self::Place => format!("(NOT $3::boolean OR ({filed}, permit_number) < ($1::timestamp, $2::text))"),
        }
    }
}

const NEWEST_FIRST: &str = "ORDER BY filed DESC, permit_number DESC";

const SHOWN: &str = "record_id, permit_number, filed_date, status, permit_type_definition";

/// One walk through an index for each name of `$9`, each in the index's own order. A permit stands where the newest of its
/// rows does that meet the conditions: an older one is passed over, which only a later page comes across.
fn walk(named: &str, further: &str) -> Statements {
    let rows = |begin: Begin, most: &str| {
        let after = begin.condition(FILED);
        format!(
            "SELECT {SHOWN}, filed, NULL::text AS matched FROM unnest($9::text[]) AS wanted (name)
             CROSS JOIN LATERAL (
                SELECT {SHOWN}, {FILED} AS filed FROM permits
                WHERE {named} = wanted.name AND {further} AND {FILTERS} AND {after}
                ORDER BY {FILED} DESC, permit_number DESC LIMIT {most}
             ) walked {NEWEST_FIRST} LIMIT {most}"
        )
    };
    let newest = format!(
        "NOT $3::boolean OR NOT (SELECT EXISTS (
            SELECT FROM permits WHERE permits.permit_number = hits.permit_number AND {FILED} > hits.filed
               AND {named} = ANY($9) AND {further} AND {FILTERS}))"
    );
    statements("", rows, &newest, "false")
}

/// Few rows, found by a condition or in a part of the statement before: all of them are read before they are sorted.
fn few(before: &str, condition: &str, table: &str, matched: &str, capped: &str) -> Statements {
    let rows = |begin: Begin, most: &str| {
        let after = begin.condition("filed");
        format!(
            "SELECT {SHOWN}, filed, matched FROM (
                SELECT {SHOWN}, {matched} AS matched, max({FILED}) OVER (PARTITION BY permit_number) AS filed
                FROM {table} WHERE {condition} AND {FILTERS}
             ) known WHERE {after} {NEWEST_FIRST} LIMIT {most}"
        )
    };
    statements(before, rows, "true", capped)
}

/// Statements around `rows`, which gives at most so many; `newest` tells whether a hit stands at the
/// newest of its rows.
fn statements(before: &str, rows: impl Fn(Begin, &str) -> String, newest: &str, capped: &str) -> Statements {
    let (counted, all) = (rows(Begin::Newest, &(COUNTED_MAX + 1).to_string()), rows(Begin::Newest, "$8"));
    let rows = rows(Begin::Place, &PAGE_ROWS_MAX.to_string());
    let columns = Permit::COLUMNS.join(", permits.");
    let facet = |name: &str, value: &str| {
        format!(
            "'{name}', (SELECT coalesce(jsonb_object_agg(value, permits), '{{}}') FROM (
                SELECT {value} AS value, count(DISTINCT permit_number) AS permits FROM counted
                WHERE {value} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {FACET_VALUES_MAX}) facet)"
        )
    };
    let facets = [
        facet("status", "lower(status)"),
        facet("type", "lower(permit_type_definition)"),
        facet("year", "extract(year FROM filed_date)::text"),
    ]
    .join(", ");
    // What comes before ends in a comma, because a page has further parts.
    let with = if before.is_empty() { String::new() } else { format!("WITH {}", before.trim_end_matches(',')) };
    let all = format!(
        "{with} SELECT hits.matched, permits.{columns} FROM ({all}) hits JOIN permits USING (record_id)
        ORDER BY hits.filed DESC, permits.permit_number DESC, record_id"
    );
    let page = format!(
        "WITH {before} counted AS MATERIALIZED ({counted}), rows AS MATERIALIZED ({rows}), page AS (
            SELECT permit_number, filed, matched FROM (
                SELECT permit_number, max(filed) AS filed, min(matched) AS matched
                FROM rows GROUP BY permit_number {NEWEST_FIRST}
            ) hits WHERE {newest} {NEWEST_FIRST} LIMIT {PAGE_SIZE} + 1
        )
        SELECT total.hits, total.capped, CASE WHEN row_number() OVER () = 1 THEN jsonb_build_object({facets}) END,
            page.matched, nullif(page.filed, '-infinity'), permits.{columns}
        FROM (
            SELECT least(count(DISTINCT permit_number), {COUNTED_MAX}) AS hits,
                {capped} OR count(*) > {COUNTED_MAX} AS capped FROM counted
        ) total
        LEFT JOIN page ON true
        LEFT JOIN permits ON permits.permit_number = page.permit_number
        ORDER BY page.filed DESC, page.permit_number DESC, coalesce(permits.filed_date, '-infinity') DESC,
            permits.record_id LIMIT {PAGE_ROWS_MAX}"
    );
    Statements { page, all }
}

/// Values of one facet; the city has a score of statuses, and permits of fifty years.
const FACET_VALUES_MAX: u32 = 60;
