//! What the tables should look like, and how they do.
//!
//! The list is written out rather than read from the migrations: it is what the code relies on, and a test holds it
//! against a database that the migrations made.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::db::indexes::Broken;

/// Tables and their columns, by name.
pub const EXPECTED: &[(&str, &[&str])] = &[
    (
        "addenda",
        &[
            "row_key",
            "occurrence",
            "primary_key",
            "application_number",
            "addenda_number",
            "step",
            "station",
            "arrive",
            "assign_date",
            "start_date",
            "finish_date",
            "approved_date",
            "plan_checked_by",
            "review_results",
            "hold_description",
            "addenda_status",
            "department",
            "title",
            "data_as_of",
        ],
    ),
    (
        "businesses",
        &[
            "row_key",
            "occurrence",
            "certificate_number",
            "ttxid",
            "ownership_name",
            "dba_name",
            "full_business_address",
            "city",
            "state",
            "business_zip",
            "dba_start_date",
            "dba_end_date",
            "location_start_date",
            "location_end_date",
            "parking_tax",
            "transient_occupancy_tax",
            "data_as_of",
        ],
    ),
    (
        "complaints",
        &[
            "row_key",
            "occurrence",
            "complaint_number",
            "date_filed",
            "date_abated",
            "block",
            "lot",
            "parcel_number",
            "street_number",
            "street_name",
            "street_suffix",
            "unit",
            "zip_code",
            "complaint_description",
            "status",
            "nov_type",
            "receiving_division",
            "assigned_division",
            "data_as_of",
        ],
    ),
    (
        "contacts",
        &[
            "row_key",
            "occurrence",
            "source",
            "permit_number",
            "role",
            "name",
            "first_name",
            "last_name",
            "firm_name",
            "pts_agent_id",
            "license_number",
            "sf_business_license",
            "phone",
            "address",
            "city",
            "state",
            "zipcode",
            "is_applicant",
            "from_date",
            "data_as_of",
        ],
    ),
    (
        "cron_log",
        &[
            "log_id",
            "job_type",
            "idempotency_key",
            "started_at",
            "completed_at",
            "status",
            "progress",
            "counts",
            "error_message",
            "job_id",
            "attempts",
        ],
    ),
    (
        "entities",
        &[
            "entity_id",
            "canonical_name",
            "canonical_firm",
            "entity_type",
            "license_number",
            "sf_business_license",
            "resolution_method",
            "resolution_confidence",
            "contact_count",
            "permit_count",
            "sources",
        ],
    ),
    ("entity_permits", &["entity_id", "permit_number", "role"]),
    (
        "ingest_log",
        &[
            "dataset_id",
            "dataset_name",
            "last_fetched",
            "rows_read",
            "rows_stored",
            "rows_refused",
            "data_as_of",
            "updated_through",
            "last_full",
            "spellings_at",
        ],
    ),
    ("ingest_quarantine", &["dataset_id", "column_name", "value", "row_key", "seen_at"]),
    ("ingest_refused", &["dataset_id", "reason", "row", "refused_at"]),
    ("ingest_spellings", &["dataset_id", "value", "spelling"]),
    (
        "inspections",
        &[
            "row_key",
            "occurrence",
            "source",
            "reference_number",
            "reference_number_type",
            "inspector",
            "scheduled_date",
            "result",
            "inspection_description",
            "block",
            "lot",
            "street_number",
            "street_name",
            "street_suffix",
            "neighborhood",
            "supervisor_district",
            "zipcode",
            "data_as_of",
        ],
    ),
    ("job_parts", &["job_id", "fence", "part", "content"]),
    (
        "jobs",
        &[
            "job_id",
            "kind",
            "payload",
            "request_key",
            "sole",
            "state",
            "fence",
            "leased_until",
            "failures",
            "attempts_max",
            "due_at",
            "cancel_requested",
            "progress",
            "checkpoint",
            "counts",
            "error",
            "result_type",
            "result_name",
            "result_bytes",
            "result_cut",
            "retention_seconds",
            "created_at",
            "started_at",
            "ended_at",
            "expires_at",
        ],
    ),
    (
        "page_cache",
        &[
            "cache_key",
            "payload",
            "computed_at",
            "ttl_seconds",
            "stale_seconds",
            "invalidated_at",
            "computing_until",
            "tags",
            "is_negative",
        ],
    ),
    ("permit_signals", &["permit_number", "signal_type", "station", "tier", "since"]),
    (
        "permits",
        &[
            "record_id",
            "permit_number",
            "permit_type",
            "permit_type_definition",
            "status",
            "status_date",
            "description",
            "filed_date",
            "issued_date",
            "approved_date",
            "completed_date",
            "estimated_cost",
            "revised_cost",
            "existing_use",
            "proposed_use",
            "existing_units",
            "proposed_units",
            "street_number",
            "street_number_suffix",
            "street_name",
            "street_suffix",
            "unit",
            "unit_suffix",
            "zipcode",
            "neighborhood",
            "supervisor_district",
            "block",
            "lot",
            "adu",
            "primary_address_flag",
            "longitude",
            "latitude",
            "data_as_of",
            "source",
        ],
    ),
    ("schema_migrations", &["version", "name", "checksum", "applied_at"]),
    (
        "planning_changes",
        &[
            "change_id",
            "record_id",
            "change_date",
            "change_type",
            "old_status",
            "new_status",
            "record_type",
            "project_name",
            "address",
            "block",
            "lot",
        ],
    ),
    (
        "planning_records",
        &[
            "row_key",
            "occurrence",
            "record_id",
            "record_type",
            "record_status",
            "block",
            "lot",
            "address",
            "project_name",
            "description",
            "applicant",
            "applicant_org",
            "assigned_planner",
            "open_date",
            "close_date",
            "environmental_doc_type",
            "units_existing",
            "units_proposed",
            "units_net",
            "affordable_units",
            "building_permits",
            "child_id",
            "parent_id",
            "data_as_of",
            "source",
        ],
    ),
    ("property_health", &["block", "lot", "tier", "at_risk", "behind", "slower", "computed_at"]),
    ("property_signals", &["block", "lot", "signal_type", "tier", "items", "since"]),
    ("purge_queue", &["tag", "queued_at", "cache_done_for"]),
    ("purged_tags", &["tag", "place"]),
    ("request_metrics", &["id", "path", "method", "status_code", "duration_ms", "weight", "recorded_at"]),
    ("search_terms", &["kind", "term", "target", "weight"]),
    ("sitemap_parcels", &["block", "lot", "list"]),
    (
        "station_velocity_v2",
        &[
            "station",
            "metric_type",
            "period",
            "p25_days",
            "p50_days",
            "p75_days",
            "p90_days",
            "sample_count",
            "updated_at",
        ],
    ),
    (
        "tax_rolls",
        &[
            "row_key",
            "occurrence",
            "block",
            "lot",
            "tax_year",
            "property_location",
            "parcel_number",
            "zoning_code",
            "use_code",
            "use_definition",
            "property_class_code",
            "property_class_code_definition",
            "year_property_built",
            "number_of_stories",
            "number_of_units",
            "number_of_rooms",
            "number_of_bedrooms",
            "number_of_bathrooms",
            "lot_area",
            "property_area",
            "assessed_land_value",
            "assessed_improvement_value",
            "assessed_personal_property",
            "assessed_fixtures",
            "current_sales_date",
            "neighborhood",
            "supervisor_district",
            "data_as_of",
        ],
    ),
    (
        "violations",
        &[
            "row_key",
            "occurrence",
            "complaint_number",
            "item_sequence_number",
            "date_filed",
            "block",
            "lot",
            "street_number",
            "street_name",
            "street_suffix",
            "unit",
            "status",
            "receiving_division",
            "assigned_division",
            "nov_category_description",
            "item",
            "nov_item_description",
            "neighborhood",
            "supervisor_district",
            "zipcode",
            "data_as_of",
        ],
    ),
    (
        "users",
        &[
            "user_id",
            "email",
            "is_admin",
            "is_active",
            "session_generation",
            "brief_frequency",
            "invite_code",
            "created_at",
            "last_login_at",
        ],
    ),
    (
        "permit_changes",
        &[
            "change_id",
            "permit_number",
            "change_date",
            "detected_at",
            "change_type",
            "old_status",
            "new_status",
            "old_cost",
            "new_cost",
            "permit_type",
            "description",
            "street_number",
            "street_name",
            "street_suffix",
            "neighborhood",
            "block",
            "lot",
        ],
    ),
    ("brief_mails", &["user_id", "period", "attempts", "sent_at", "outcome"]),
    ("auth_tokens", &["token_hash", "email", "invite_code", "created_at", "expires_at", "used_at"]),
    (
        "watch_items",
        &[
            "watch_id",
            "user_id",
            "watch_type",
            "subject",
            "label",
            "permit_number",
            "block",
            "lot",
            "street_number",
            "street_names",
            "street_suffixes",
            "street_whole",
            "entity_name",
            "neighborhood",
            "created_at",
        ],
    ),
];

/// What `/health/schema` answers.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    /// `ok`, or `broken`.
    status: &'static str,
    tables: BTreeMap<&'static str, TableAnswer>,
    /// Indexes that are there and that no query uses, each with the statement that mends it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    broken_indexes: BTreeMap<String, String>,
}

/// One table.
#[derive(Debug, Serialize)]
struct TableAnswer {
    /// `ok`, `missing`, or `broken`.
    status: &'static str,
    /// How many columns are expected.
    columns: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing_columns: Vec<&'static str>,
}

impl Compared {
    pub(super) fn is_whole(&self) -> bool {
        self.status == "ok"
    }
}

/// Each expected table against `actual`, the columns of those that are there. Further tables and columns are no fault:
/// a newer release may have added them. An index that is not there is none either: it is slow, and `origin explain` names
/// it; a broken one looks as if it were there.
pub(super) fn compare(actual: &BTreeMap<String, Vec<String>>, broken_indexes: &[Broken]) -> Compared {
    let table = |(table, expected): &(&'static str, &'static [&'static str])| {
        let columns = expected.len();
        let answer = match actual.get(*table) {
            None => TableAnswer { status: "missing", columns, missing_columns: Vec::new() },
            Some(found) => {
                let is_missing = |name: &&&str| !found.iter().any(|column| column == **name);
                let missing_columns: Vec<_> = expected.iter().filter(is_missing).copied().collect();
                let status = if missing_columns.is_empty() { "ok" } else { "broken" };
                TableAnswer { status, columns, missing_columns }
            }
        };
        (*table, answer)
    };
    let tables: BTreeMap<_, _> = EXPECTED.iter().map(table).collect();
    let whole = broken_indexes.is_empty() && tables.values().all(|table| table.status == "ok");
    let broken_indexes = broken_indexes.iter().map(|broken| (broken.index.clone(), broken.mend.clone())).collect();
    Compared { status: if whole { "ok" } else { "broken" }, tables, broken_indexes }
}

/// The expected tables that are not there.
pub(super) fn missing_tables(actual: &BTreeMap<String, Vec<String>>) -> Vec<&'static str> {
    EXPECTED.iter().map(|(table, _)| *table).filter(|table| !actual.contains_key(*table)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_tables_and_columns_are_named_and_further_ones_pass() {
        let mut actual: BTreeMap<String, Vec<String>> = EXPECTED
            .iter()
            .map(|(table, columns)| ((*table).to_owned(), columns.iter().map(|name| (*name).to_owned()).collect()))
            .collect();
        actual.insert("newer".to_owned(), vec!["one".to_owned()]);
        actual.entry("permits".to_owned()).or_default().push("newer".to_owned());
        assert!(compare(&actual, &[]).is_whole());

        actual.entry("permits".to_owned()).or_default().retain(|column| column != "lot");
        actual.remove("addenda");
        let json = serde_json::to_value(compare(&actual, &[])).unwrap();
        assert_eq!(json["status"], "broken");
        assert_eq!(
            json["tables"]["permits"],
            serde_json::json!({"status": "broken", "columns": 34, "missing_columns": ["lot"]})
        );
        assert_eq!(json["tables"]["addenda"]["status"], "missing");
        assert_eq!(json["tables"]["contacts"]["status"], "ok");
        assert_eq!(missing_tables(&actual), ["addenda"]);
    }
}
