//! The datasets that are loaded: which field of the city's goes to which column of ours, and what tells rows apart.

/// One dataset of the city's, and the table that it fills.
#[derive(Debug)]
pub struct Dataset {
    /// The city's identifier, as in `/resource/<id>.json`.
    pub id: &'static str,
    /// What commands, files and messages call it.
    pub name: &'static str,
    /// The table that it fills, perhaps with others: then the column `source` tells their rows apart.
    pub table: &'static str,
    /// The city's title.
    pub title: &'static str,
    /// Which of its rows are read, as a condition of the city's query language; all when absent.
    pub filter: Option<&'static str>,
    /// What tells its rows apart.
    pub key: Key,
    /// Columns in table order, after `row_key` and `occurrence` where [`Key`] calls for them.
    pub columns: &'static [Column],
}

/// What tells the rows of a dataset apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// This column, which the city keeps unique; the table has it as its primary key. A second row with the same
    /// value is refused.
    Unique(&'static str),
    /// These fields together, as `row_key`; a row that lacks one of them is known by a digest of its content.
    /// Rows that share a key are told apart by `occurrence`, so none is lost.
    Fields(&'static [&'static str]),
    /// The city publishes no key: a digest of the row's content.
    Digest,
}

/// One column and where its value comes from.
#[derive(Debug)]
pub struct Column {
    /// The column's name in our table.
    pub name: &'static str,
    /// Where the value comes from.
    pub from: From,
    /// How it is read.
    pub kind: Kind,
    /// Whether a row without it is refused.
    pub required: bool,
}

/// Where a column's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// This field.
    Field(&'static str),
    /// The first of these fields that has a value.
    FirstOf(&'static [&'static str]),
    /// First and last name joined.
    FullName,
    /// The field `role`, in our words.
    Role,
    /// What tells a trade's permits apart: the trade, the number, and a digest of the address.
    TradeRecord(&'static str),
    /// The field `contact_type`, in our words.
    ContactType,
    /// These fields joined by spaces.
    Joined(&'static [&'static str]),
    /// The longitude of the field `location`.
    Longitude,
    /// The latitude of the field `location`.
    Latitude,
    /// The same for every row.
    Constant(&'static str),
}

/// How a value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Kept as it came, except that blank is absent.
    Text,
    /// Trimmed; short, because it is looked up by.
    Code,
    /// A number, cut to a whole one: the city writes `3.0`.
    Integer,
    /// A number.
    Float,
    /// A floating timestamp: local time in San Francisco.
    Timestamp,
    /// The same of something that the city's systems recorded when it happened; what lies outside
    /// [`row::RECORDED_YEARS`](super::row::RECORDED_YEARS) is quarantined.
    Recorded,
}

impl Dataset {
    /// The dataset that goes by this name or identifier.
    #[must_use]
    pub fn find(name_or_id: &str) -> Option<&'static Self> {
        DATASETS.iter().find(|dataset| dataset.name == name_or_id || dataset.id == name_or_id)
    }

    /// Names of the columns that make a stored row unique.
    #[must_use]
    pub fn key_columns(&self) -> &'static [&'static str] {
        match self.key {
            Key::Unique(_) => &["record_id"],
            Key::Fields(_) | Key::Digest => &["row_key", "occurrence"],
        }
    }

    /// Whether a changed row can be told from a new one, so that changes alone can be loaded.
    #[must_use]
    pub const fn has_keys(&self) -> bool {
        !matches!(self.key, Key::Digest)
    }
}

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

/// Every dataset that is loaded, in loading order.
pub const DATASETS: &[Dataset] = &[
    Dataset {
        id: "i98e-djp9",
        name: "permits",
        table: "permits",
        title: "Building Permits",
        filter: None,
        key: Key::Unique("record_id"),
        columns: PERMITS,
    },
    Dataset {
        id: "3pee-9qhc",
        name: "contacts",
        table: "contacts",
        title: "Building Permits Contacts",
        filter: None,
        // An agent's number alone names the agent, on every permit.
        key: Key::Fields(&["permit_number", "pts_agent_id", "role"]),
        columns: CONTACTS,
    },
    Dataset {
        id: "vckc-dh2h",
        name: "inspections",
        table: "inspections",
        title: "Building Inspections",
        filter: None,
        key: Key::Digest,
        columns: INSPECTIONS,
    },
    Dataset {
        id: "87xy-gk8d",
        name: "addenda",
        table: "addenda",
        title: "Building Permit Addenda with Routing",
        filter: None,
        key: Key::Fields(&["primary_key"]),
        columns: ADDENDA,
    },
    Dataset {
        id: "gm2e-bten",
        name: "complaints",
        table: "complaints",
        title: "Department of Building Inspection Complaints",
        filter: None,
        key: Key::Fields(&["complaint_number"]),
        columns: COMPLAINTS,
    },
    Dataset {
        id: "nbtm-fbw5",
        name: "violations",
        table: "violations",
        title: "Notices of Violation",
        filter: None,
        key: Key::Fields(&["complaint_number", "item_sequence_number"]),
        columns: VIOLATIONS,
    },
    Dataset {
        id: "ftty-kx6y",
        name: "electrical_permits",
        table: "permits",
        title: "Electrical Permits",
        filter: None,
        key: Key::Unique("record_id"),
        columns: ELECTRICAL_PERMITS,
    },
    Dataset {
        id: "a6aw-rudh",
        name: "plumbing_permits",
        table: "permits",
        title: "Plumbing Permits",
        filter: None,
        key: Key::Unique("record_id"),
        columns: PLUMBING_PERMITS,
    },
    Dataset {
        id: "fdm7-jqqf",
        name: "electrical_contacts",
        table: "contacts",
        title: "Electrical Permits Contacts",
        filter: None,
        key: Key::Digest,
        columns: ELECTRICAL_CONTACTS,
    },
    Dataset {
        id: "k6kv-9kix",
        name: "plumbing_contacts",
        table: "contacts",
        title: "Plumbing Permits Contacts",
        filter: None,
        key: Key::Digest,
        columns: PLUMBING_CONTACTS,
    },
    Dataset {
        id: "fuas-yurr",
        name: "plumbing_inspections",
        table: "inspections",
        title: "Plumbing Inspections",
        filter: None,
        key: Key::Digest,
        columns: PLUMBING_INSPECTIONS,
    },
    Dataset {
        id: "wv5m-vpq2",
        name: "tax_rolls",
        table: "tax_rolls",
        title: "Assessor Historical Secured Property Tax Rolls",
        filter: Some("closed_roll_year >= '2022'"),
        key: Key::Fields(&["block", "lot", "closed_roll_year"]),
        columns: TAX_ROLLS,
    },
    Dataset {
        id: "g8m3-pdis",
        name: "businesses",
        table: "businesses",
        title: "Registered Business Locations",
        filter: Some("location_end_date IS NULL"),
        key: Key::Fields(&["ttxid"]),
        columns: BUSINESSES,
    },
];

/// The city renamed this field, and some exports carry the old name.
const NEIGHBORHOOD: From =
    From::FirstOf(&["analysis_neighborhood", "neighborhoods_analysis_boundaries", "neighborhood"]);

const PERMITS: &[Column] = &[
    code("record_id").required(),
    code("permit_number").required(),
    code("permit_type"),
    text("permit_type_definition"),
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

const CONTACTS: &[Column] = &[
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

const INSPECTIONS: &[Column] = &[
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

const ADDENDA: &[Column] = &[
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

const COMPLAINTS: &[Column] = &[
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

const VIOLATIONS: &[Column] = &[
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
        const $name: &[Column] = &[
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

const ELECTRICAL_CONTACTS: &[Column] = &[
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

const PLUMBING_CONTACTS: &[Column] = &[
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

const PLUMBING_INSPECTIONS: &[Column] = &[
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

const TAX_ROLLS: &[Column] = &[
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

const BUSINESSES: &[Column] = &[
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

#[cfg(test)]
mod tests {
    use super::*;

    const MIGRATIONS: &[&str] = &[
        include_str!("../../migrations/0001_city_data.sql"),
        include_str!("../../migrations/0009_trades_and_property.sql"),
    ];

    /// The columns of a table with their types, as the migrations create and add them.
    fn created(table: &str) -> Vec<(String, String)> {
        let column = |line: &str| {
            let (name, kind) = line.trim().trim_end_matches([',', ';']).split_once(' ').unwrap();
            let kind = kind.split(" DEFAULT").next().unwrap().replace(" NOT NULL", "").replace(" PRIMARY KEY", "");
            (name.to_owned(), kind.trim().to_owned())
        };
        let sql = MIGRATIONS.concat();
        let body = sql.split(&format!("CREATE TABLE {table} (")).nth(1).unwrap().split("\n);").next().unwrap();
        let lines = body.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("PRIMARY KEY"));
        let added = sql.lines().filter_map(|line| line.strip_prefix(&format!("ALTER TABLE {table} ADD COLUMN ")));
        lines.chain(added).map(column).collect()
    }

    #[test]
    fn columns_are_those_of_the_migrations() {
        for dataset in DATASETS {
            let mut ours = Vec::new();
            if !matches!(dataset.key, Key::Unique(_)) {
                ours.push(("row_key".to_owned(), "text".to_owned()));
                ours.push(("occurrence".to_owned(), "integer".to_owned()));
            }
            ours.extend(dataset.columns.iter().map(|column| {
                let kind = match column.kind {
                    Kind::Text | Kind::Code => "text",
                    Kind::Integer => "integer",
                    Kind::Float => "double precision",
                    Kind::Timestamp | Kind::Recorded => "timestamp",
                };
                (column.name.to_owned(), kind.to_owned())
            }));
            let created = created(dataset.table);
            for column in &ours {
                assert!(created.contains(column), "{}: {column:?}", dataset.name);
            }
            // A table is filled whole by the dataset that it is named after.
            assert!(dataset.name != dataset.table || ours.len() == created.len(), "{}", dataset.name);
        }
    }

    #[test]
    fn keys_are_fields_of_columns() {
        for dataset in DATASETS {
            let has = |key: &&str| {
                let reads = |column: &Column| matches!(column.from, From::Field(field) if field == *key);
                dataset.columns.iter().any(|column| reads(column) || column.name == *key)
            };
            let keys: &[&str] = match &dataset.key {
                Key::Unique(column) => &[column],
                Key::Fields(fields) => fields,
                Key::Digest => &[],
            };
            assert!(keys.iter().all(has), "{keys:?}");
        }
    }

    #[test]
    fn datasets_that_share_a_table_are_told_apart() {
        for dataset in DATASETS {
            let source = |one: &Dataset| {
                let column = one.columns.iter().find(|column| column.name == "source");
                column.and_then(|column| if let From::Constant(name) = column.from { Some(name) } else { None })
            };
            let others = DATASETS.iter().filter(|other| other.id != dataset.id && other.table == dataset.table);
            for other in others {
                assert!(source(dataset).is_some() && source(dataset) != source(other), "{}", dataset.name);
            }
        }
    }

    #[test]
    fn datasets_are_found_by_name_and_identifier() {
        assert_eq!(Dataset::find("permits").unwrap().id, "i98e-djp9");
        assert_eq!(Dataset::find("nbtm-fbw5").unwrap().name, "violations");
        assert!(Dataset::find("street-use").is_none());
    }
}
