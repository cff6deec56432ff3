//! Rows as the city publishes them: the table's columns, serialised under DataSF's names.

use std::collections::BTreeMap;
use std::str::FromStr;

use jiff::civil::DateTime;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;

/// A field that may be left out, as DataSF leaves out what is null.
pub(crate) trait Absent {
    fn absent(&self) -> bool;
}

impl<T> Absent for Option<T> {
    fn absent(&self) -> bool {
        self.is_none()
    }
}

impl Absent for String {
    fn absent(&self) -> bool {
        false
    }
}

/// A field that can be read from the text that would be stored.
trait Stored {
    fn of(text: Option<&String>) -> Self;
}

impl Stored for String {
    fn of(text: Option<&String>) -> Self {
        text.cloned().unwrap_or_default()
    }
}

impl<T: FromStr> Stored for Option<T> {
    fn of(text: Option<&String>) -> Self {
        text.and_then(|text| text.parse().ok())
    }
}

/// A row that can be read from texts, by column.
pub(crate) trait FromTexts {
    fn from_texts(texts: &BTreeMap<&'static str, String>) -> Self;
}

/// Describes a row as it is written: what would be null is absent, and everything else is always there.
fn absent_instead_of_null(schema: &mut schemars::Schema) {
    let Some(fields) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    let mut required = Vec::new();
    for (name, field) in fields {
        match field.get_mut("type") {
            Some(Value::Array(types)) => {
                types.retain(|kind| kind != "null");
                if let [kind] = &types[..] {
                    field["type"] = kind.clone();
                }
            }
            _ => required.push(Value::from(name.clone())),
        }
    }
    schema.insert("required".to_owned(), Value::Array(required));
}

/// Declares a struct whose fields are the columns of one SELECT list, in order.
macro_rules! record {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, Serialize, schemars::JsonSchema)]
        #[schemars(transform = absent_instead_of_null)]
        pub(crate) struct $name {
            $(
                #[serde(skip_serializing_if = "Absent::absent")]
                $(#[$field_meta])*
                pub(crate) $field: $type,
            )*
        }

        impl $name {
            /// The columns, in the order [`Self::read`] takes them.
            pub(crate) const COLUMNS: &[&str] = &[$(stringify!($field)),*];

            /// Reads the columns from `first` on.
            pub(crate) fn read(row: &Row, first: usize) -> Result<Self, tokio_postgres::Error> {
                let mut columns = first..;
                Ok(Self { $($field: row.try_get(columns.next().unwrap_or_default())?,)* })
            }
        }

        impl FromTexts for $name {
            fn from_texts(texts: &BTreeMap<&'static str, String>) -> Self {
                Self { $($field: Stored::of(texts.get(stringify!($field))),)* }
            }
        }
    };
}

record! {
    /// One row of `permits`: a permit at one address.
    Permit {
        permit_number: String,
        record_id: String,
        permit_type: Option<String>,
        permit_type_definition: Option<String>,
        status: Option<String>,
        status_date: Option<DateTime>,
        description: Option<String>,
        filed_date: Option<DateTime>,
        issued_date: Option<DateTime>,
        approved_date: Option<DateTime>,
        completed_date: Option<DateTime>,
        estimated_cost: Option<f64>,
        revised_cost: Option<f64>,
        existing_use: Option<String>,
        proposed_use: Option<String>,
        existing_units: Option<i32>,
        proposed_units: Option<i32>,
        street_number: Option<String>,
        street_number_suffix: Option<String>,
        street_name: Option<String>,
        street_suffix: Option<String>,
        unit: Option<String>,
        unit_suffix: Option<String>,
        zipcode: Option<String>,
        #[serde(rename = "neighborhoods_analysis_boundaries")]
        neighborhood: Option<String>,
        supervisor_district: Option<String>,
        block: Option<String>,
        lot: Option<String>,
        adu: Option<String>,
        primary_address_flag: Option<String>,
        longitude: Option<f64>,
        latitude: Option<f64>,
        data_as_of: Option<DateTime>,
    }
}

record! {
    /// One row of `contacts`: a person or firm on a permit.
    Contact {
        permit_number: String,
        source: String,
        role: String,
        name: Option<String>,
        first_name: Option<String>,
        last_name: Option<String>,
        firm_name: Option<String>,
        pts_agent_id: Option<String>,
        license_number: Option<String>,
        sf_business_license: Option<String>,
        phone: Option<String>,
        address: Option<String>,
        city: Option<String>,
        state: Option<String>,
        zipcode: Option<String>,
        is_applicant: Option<String>,
        from_date: Option<DateTime>,
    }
}

record! {
    /// One row of `inspections`.
    Inspection {
        reference_number: String,
        reference_number_type: Option<String>,
        source: String,
        scheduled_date: Option<DateTime>,
        inspector: Option<String>,
        result: Option<String>,
        inspection_description: Option<String>,
    }
}

record! {
    /// One row of `addenda`: a step of plan review.
    Step {
        application_number: String,
        addenda_number: Option<i32>,
        step: Option<i32>,
        station: Option<String>,
        arrive: Option<DateTime>,
        start_date: Option<DateTime>,
        finish_date: Option<DateTime>,
        plan_checked_by: Option<String>,
        review_results: Option<String>,
        hold_description: Option<String>,
        addenda_status: Option<String>,
        department: Option<String>,
    }
}

record! {
    /// One row of `complaints`.
    Complaint {
        complaint_number: String,
        date_filed: Option<DateTime>,
        date_abated: Option<DateTime>,
        status: Option<String>,
        complaint_description: Option<String>,
        nov_type: Option<String>,
        receiving_division: Option<String>,
        assigned_division: Option<String>,
        street_number: Option<String>,
        street_name: Option<String>,
        street_suffix: Option<String>,
        unit: Option<String>,
        zip_code: Option<String>,
        block: Option<String>,
        lot: Option<String>,
        parcel_number: Option<String>,
    }
}

record! {
    /// One row of `violations`: an item of a notice of violation.
    Violation {
        complaint_number: String,
        item_sequence_number: Option<String>,
        date_filed: Option<DateTime>,
        status: Option<String>,
        nov_category_description: Option<String>,
        item: Option<String>,
        nov_item_description: Option<String>,
        receiving_division: Option<String>,
        assigned_division: Option<String>,
        street_number: Option<String>,
        street_name: Option<String>,
        street_suffix: Option<String>,
        unit: Option<String>,
        zipcode: Option<String>,
        block: Option<String>,
        lot: Option<String>,
        #[serde(rename = "neighborhoods_analysis_boundaries")]
        neighborhood: Option<String>,
    }
}

record! {
    /// One row of `tax_rolls`.
    TaxRoll {
        tax_year: Option<i32>,
        property_location: Option<String>,
        zoning_code: Option<String>,
        use_code: Option<String>,
        use_definition: Option<String>,
        property_class_code: Option<String>,
        property_class_code_definition: Option<String>,
        year_property_built: Option<i32>,
        number_of_stories: Option<f64>,
        number_of_units: Option<i32>,
        number_of_rooms: Option<i32>,
        number_of_bedrooms: Option<i32>,
        number_of_bathrooms: Option<f64>,
        lot_area: Option<f64>,
        property_area: Option<f64>,
        assessed_land_value: Option<f64>,
        assessed_improvement_value: Option<f64>,
        assessed_personal_property: Option<f64>,
        assessed_fixtures: Option<f64>,
        current_sales_date: Option<DateTime>,
        neighborhood: Option<String>,
    }
}

record! {
    /// A permit of another parcel.
    Neighbor {
        permit_number: String,
        permit_type_definition: Option<String>,
        status: Option<String>,
        filed_date: Option<DateTime>,
        completed_date: Option<DateTime>,
        estimated_cost: Option<f64>,
        description: Option<String>,
        street_number: Option<String>,
        street_name: Option<String>,
        street_suffix: Option<String>,
        block: Option<String>,
        lot: Option<String>,
    }
}

record! {
    /// Another lot of the block that permits were granted for at an address of this one.
    FormerLot {
        lot: String,
        permits: Option<i64>,
        first_filed: Option<DateTime>,
        last_filed: Option<DateTime>,
    }
}

record! {
    /// One row of `planning_records`: what somebody asked the planning department for.
    PlanningRecord {
        record_id: String,
        record_type: Option<String>,
        record_status: Option<String>,
        address: Option<String>,
        project_name: Option<String>,
        description: Option<String>,
        applicant: Option<String>,
        applicant_org: Option<String>,
        assigned_planner: Option<String>,
        open_date: Option<DateTime>,
        close_date: Option<DateTime>,
        environmental_doc_type: Option<String>,
        units_existing: Option<i32>,
        units_proposed: Option<i32>,
        units_net: Option<f64>,
        affordable_units: Option<i32>,
        building_permits: Option<String>,
        parent_id: Option<String>,
    }
}

record! {
    /// A person or firm on permits of a parcel.
    Member {
        entity_id: String,
        canonical_name: String,
        canonical_firm: Option<String>,
        entity_type: String,
        permits_here: Option<i64>,
        permit_count: Option<i32>,
    }
}

record! {
    /// How long a station takes, for one kind of review.
    Pace {
        station: String,
        metric_type: String,
        p50_days: Option<f64>,
        p75_days: Option<f64>,
        p90_days: Option<f64>,
    }
}

record! {
    /// Something that is wrong, slow or forgotten with a permit, as the job `signals` last found.
    Signal {
        signal_type: String,
        tier: String,
        /// Empty unless it belongs to a station of plan review.
        station: String,
        since: Option<DateTime>,
    }
}

impl Neighbor {
    /// Number and street.
    pub(crate) fn address(&self) -> String {
        address([&self.street_number, &self.street_name, &self.street_suffix, &None], [&None, &None])
    }
}

impl Permit {
    /// Number, street and unit, as far as the row has them: `1455 Market St, unit 600`. `0` stands for no unit.
    pub(crate) fn address(&self) -> String {
        address(
            [&self.street_number, &self.street_number_suffix, &self.street_name, &self.street_suffix],
            [&self.unit, &self.unit_suffix],
        )
    }

    /// The cost to show: the revised one where there is one, else the estimate.
    pub(crate) fn cost(&self) -> Option<f64> {
        self.revised_cost.filter(|cost| *cost > 0.0).or(self.estimated_cost)
    }
}

fn address(street: [&Option<String>; 4], unit: [&Option<String>; 2]) -> String {
    let words = |parts: &[&Option<String>]| {
        let parts = parts.iter().filter_map(|part| part.as_deref()).map(str::trim).filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(" ")
    };
    let (street, unit) = (words(&street), words(&unit));
    match unit.as_str() {
        "" | "0" => street,
        _ => format!("{street}, unit {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permit(parts: [&str; 5]) -> Permit {
        let [number, suffix, name, kind, unit] = parts.map(|part| (part != "-").then(|| part.to_owned()));
        Permit {
            street_number: number,
            street_number_suffix: suffix,
            street_name: name,
            street_suffix: kind,
            unit,
            ..Permit::default()
        }
    }

    #[test]
    fn an_address_leaves_out_what_is_missing() {
        for (parts, expected) in [
            (["1455", "-", "Market", "St", "-"], "1455 Market St"),
            (["1455", "-", "Market", "St", "0"], "1455 Market St"),
            (["1455", "A", "Market", "St", "600"], "1455 A Market St, unit 600"),
            (["1", "-", "The Embarcadero", "-", ""], "1 The Embarcadero"),
            (["-", "-", "-", "-", "-"], ""),
        ] {
            assert_eq!(permit(parts).address(), expected);
        }
    }

    #[test]
    fn a_revised_cost_of_zero_is_none() {
        for (estimated, revised, expected) in
            [(Some(1.0), Some(0.0), Some(1.0)), (Some(1.0), Some(5.0), Some(5.0)), (None, None, None)]
        {
            let permit = Permit { estimated_cost: estimated, revised_cost: revised, ..Permit::default() };
            assert_eq!(permit.cost(), expected);
        }
    }

    #[test]
    fn absent_fields_are_left_out_and_names_are_the_citys() {
        let permit = Permit { neighborhood: Some("Mission".into()), ..Permit::default() };
        let json = serde_json::to_value(permit).unwrap();
        let expected =
            serde_json::json!({"permit_number": "", "record_id": "", "neighborhoods_analysis_boundaries": "Mission"});
        assert_eq!(json, expected);
    }
}
