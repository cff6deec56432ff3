//! Which field of the city's goes to which column of ours, dataset by dataset.

use super::{Column, From, Kind};

/// The city renamed this field, and some exports carry the old name.
const NEIGHBORHOOD: From =
    From::FirstOf(&["analysis_neighborhood", "neighborhoods_analysis_boundaries", "neighborhood"]);

pub(super) const PERMITS: &[Column] = &[
    code("record_id").required(),
    code("permit_number").required(),
    code("permit_type"),
    code("permit_type_definition"),
    code("status"),
    recorded("status_date"),
    text("description"),
    recorded("filed_date"),
    recorded("issued_date"),
    recorded("approved_date"),
    recorded("completed_date"),
    float("estimated_cost"),
    float("revised_cost"),
    text("existing_use"),
    text("proposed_use"),
    integer("existing_units"),
    integer("proposed_units"),
    code("street_number"),
    code("street_number_suffix"),
    code("street_name"),
    code("street_suffix"),
    code("unit"),
    code("unit_suffix"),
    code("zipcode"),
    code("neighborhood").by(NEIGHBORHOOD),
    code("supervisor_district"),
    code("block"),
    code("lot"),
    code("adu"),
    code("primary_address_flag"),
    float("longitude").by(From::Longitude),
    float("latitude").by(From::Latitude),
    time("data_as_of"),
    source("building"),
];

pub(super) const CONTACTS: &[Column] = &[
    source("building"),
    code("permit_number").required(),
    code("role").by(From::Role).required(),
    text("name").by(From::FullName),
    text("first_name"),
    text("last_name"),
    text("firm_name"),
    code("pts_agent_id"),
    code("license_number").of("license1"),
    code("sf_business_license").of("sf_business_license_number"),
    code("phone"),
    text("address").of("agent_address"),
    text("city"),
    code("state"),
    code("zipcode").of("agent_zipcode"),
    code("is_applicant"),
    time("from_date"),
    time("data_as_of"),
];

pub(super) const INSPECTIONS: &[Column] = &[
    source("building"),
    code("reference_number"),
    code("reference_number_type"),
    text("inspector"),
    recorded("scheduled_date"),
    text("result"),
    text("inspection_description"),
    code("block"),
    code("lot"),
    code("street_number"),
    code("street_name").of("avs_street_name"),
    code("street_suffix").of("avs_street_sfx"),
    code("neighborhood").by(NEIGHBORHOOD),
    code("supervisor_district"),
    code("zipcode").of("zip_code"),
    time("data_as_of"),
];

pub(super) const ADDENDA: &[Column] = &[
    code("primary_key"),
    code("application_number").required(),
    integer("addenda_number"),
    integer("step"),
    code("station"),
    recorded("arrive"),
    recorded("assign_date"),
    recorded("start_date"),
    recorded("finish_date"),
    recorded("approved_date"),
    text("plan_checked_by"),
    text("review_results"),
    text("hold_description"),
    text("addenda_status"),
    text("department"),
    text("title"),
    time("data_as_of"),
];

pub(super) const COMPLAINTS: &[Column] = &[
    code("complaint_number").required(),
    recorded("date_filed"),
    recorded("date_abated"),
    code("block"),
    code("lot"),
    code("parcel_number"),
    code("street_number"),
    code("street_name"),
    code("street_suffix"),
    code("unit"),
    code("zip_code"),
    text("complaint_description"),
    text("status"),
    text("nov_type"),
    text("receiving_division"),
    text("assigned_division"),
    time("data_as_of"),
];

pub(super) const VIOLATIONS: &[Column] = &[
    code("complaint_number").required(),
    code("item_sequence_number"),
    recorded("date_filed"),
    code("block"),
    code("lot"),
    code("street_number"),
    code("street_name"),
    code("street_suffix"),
    code("unit"),
    text("status"),
    text("receiving_division"),
    text("assigned_division"),
    text("nov_category_description"),
    text("item"),
    text("nov_item_description"),
    code("neighborhood").by(NEIGHBORHOOD),
    code("supervisor_district"),
    code("zipcode"),
    time("data_as_of"),
];

/// What the trades publish of a permit, which is less than of a building permit. The zip code has two names.
macro_rules! trade_permits {
    ($name:ident, $trade:literal, $title:literal, $zipcode:literal) => {
        pub(super) const $name: &[Column] = &[
            code("record_id").by(From::TradeRecord($trade)).required(),
            code("permit_number").required(),
            code("permit_type").by(From::Constant($trade)),
            text("permit_type_definition").by(From::Constant($title)),
            code("status"),
            text("description"),
            recorded("filed_date"),
            recorded("issued_date"),
            recorded("completed_date"),
            code("street_number"),
            code("street_name"),
            code("street_suffix"),
            code("unit"),
            code("zipcode").of($zipcode),
            code("neighborhood").by(NEIGHBORHOOD),
            code("supervisor_district"),
            code("block"),
            code("lot"),
            float("longitude").by(From::Longitude),
            float("latitude").by(From::Latitude),
            time("data_as_of"),
            source($trade),
        ];
    };
}

trade_permits!(ELECTRICAL_PERMITS, "electrical", "Electrical Permit", "zip_code");
trade_permits!(PLUMBING_PERMITS, "plumbing", "Plumbing Permit", "zipcode");

pub(super) const ELECTRICAL_CONTACTS: &[Column] = &[
    source("electrical"),
    code("permit_number").required(),
    code("role").by(From::ContactType).required(),
    text("name").of("company_name"),
    text("firm_name").of("company_name"),
    code("license_number"),
    code("sf_business_license").of("sf_business_license_number"),
    code("phone"),
    text("address").by(From::Joined(&["street_number", "street", "street_suffix"])),
    code("state"),
    code("zipcode"),
    code("is_applicant"),
    time("data_as_of"),
];

pub(super) const PLUMBING_CONTACTS: &[Column] = &[
    source("plumbing"),
    code("permit_number").required(),
    code("role").by(From::Constant("contractor")).required(),
    text("name").of("firm_name"),
    text("firm_name"),
    code("license_number"),
    code("sf_business_license").of("sf_business_license_number"),
    code("phone"),
    text("address"),
    text("city"),
    code("state"),
    code("zipcode"),
    code("is_applicant"),
    time("data_as_of"),
];

pub(super) const PLUMBING_INSPECTIONS: &[Column] = &[
    source("plumbing"),
    code("reference_number"),
    code("reference_number_type"),
    text("inspector"),
    recorded("scheduled_date"),
    text("inspection_description"),
    code("block"),
    code("lot"),
    code("street_number"),
    code("street_name").of("avs_street_name"),
    code("street_suffix").of("avs_street_sfx"),
    code("neighborhood").by(NEIGHBORHOOD),
    code("supervisor_district"),
    code("zipcode").of("zip_code"),
    time("data_as_of"),
];

pub(super) const TAX_ROLLS: &[Column] = &[
    code("block").required(),
    code("lot").required(),
    integer("tax_year").of("closed_roll_year").required(),
    text("property_location"),
    code("parcel_number"),
    code("zoning_code"),
    code("use_code"),
    text("use_definition"),
    code("property_class_code"),
    text("property_class_code_definition"),
    integer("year_property_built"),
    float("number_of_stories"),
    integer("number_of_units"),
    integer("number_of_rooms"),
    integer("number_of_bedrooms"),
    float("number_of_bathrooms"),
    float("lot_area"),
    float("property_area"),
    float("assessed_land_value"),
    float("assessed_improvement_value"),
    float("assessed_personal_property").of("assessed_personal_property_value"),
    float("assessed_fixtures").of("assessed_fixtures_value"),
    time("current_sales_date"),
    code("neighborhood").by(From::FirstOf(&["analysis_neighborhood", "assessor_neighborhood"])),
    code("supervisor_district"),
    time("data_as_of"),
];

pub(super) const BUSINESSES: &[Column] = &[
    code("certificate_number").required(),
    code("ttxid"),
    text("ownership_name"),
    text("dba_name"),
    text("full_business_address"),
    text("city"),
    code("state"),
    code("business_zip"),
    time("dba_start_date"),
    time("dba_end_date"),
    time("location_start_date"),
    time("location_end_date"),
    code("parking_tax"),
    code("transient_occupancy_tax"),
    time("data_as_of"),
];

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, from: From::Field(name), kind, required: false }
}
const fn text(name: &'static str) -> Column {
    column(name, Kind::Text)
}
const fn code(name: &'static str) -> Column {
    column(name, Kind::Code)
}
const fn integer(name: &'static str) -> Column {
    column(name, Kind::Integer)
}
const fn float(name: &'static str) -> Column {
    column(name, Kind::Float)
}
const fn time(name: &'static str) -> Column {
    column(name, Kind::Timestamp)
}
const fn recorded(name: &'static str) -> Column {
    column(name, Kind::Recorded)
}
const fn source(name: &'static str) -> Column {
    Column { name: "source", from: From::Constant(name), kind: Kind::Code, required: true }
}

impl Column {
    const fn required(mut self) -> Self {
        self.required = true;
        self
    }
    const fn of(mut self, field: &'static str) -> Self {
        self.from = From::Field(field);
        self
    }
    const fn by(mut self, from: From) -> Self {
        self.from = from;
        self
    }
}
