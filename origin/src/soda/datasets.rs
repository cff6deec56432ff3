//! The datasets that are loaded: which field of the city's goes to which column of ours, and what tells rows apart.

/// One dataset of the city's, and the table that it fills.
#[derive(Debug)]
pub struct Dataset {
    /// The city's identifier, as in `/resource/<id>.json`.
    pub id: &'static str,
    /// What commands, files and messages call it; also its table.
    pub name: &'static str,
    /// The city's title.
    pub title: &'static str,
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
        title: "Building Permits",
        key: Key::Unique("record_id"),
        columns: PERMITS,
    },
    Dataset {
        id: "3pee-9qhc",
        name: "contacts",
        title: "Building Permits Contacts",
        // An agent's number alone names the agent, on every permit.
        key: Key::Fields(&["permit_number", "pts_agent_id", "role"]),
        columns: CONTACTS,
    },
    Dataset {
        id: "vckc-dh2h",
        name: "inspections",
        title: "Building Inspections",
        key: Key::Digest,
        columns: INSPECTIONS,
    },
    Dataset {
        id: "87xy-gk8d",
        name: "addenda",
        title: "Building Permit Addenda with Routing",
        key: Key::Fields(&["primary_key"]),
        columns: ADDENDA,
    },
    Dataset {
        id: "gm2e-bten",
        name: "complaints",
        title: "Department of Building Inspection Complaints",
        key: Key::Fields(&["complaint_number"]),
        columns: COMPLAINTS,
    },
    Dataset {
        id: "nbtm-fbw5",
        name: "violations",
        title: "Notices of Violation",
        key: Key::Fields(&["complaint_number", "item_sequence_number"]),
        columns: VIOLATIONS,
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
    time("status_date"),
    text("description"),
    time("filed_date"),
    time("issued_date"),
    time("approved_date"),
    time("completed_date"),
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
    time("scheduled_date"),
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
    time("arrive"),
    time("assign_date"),
    time("start_date"),
    time("finish_date"),
    time("approved_date"),
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
    time("date_filed"),
    time("date_abated"),
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
    time("date_filed"),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The columns of a table, as the migration creates it.
    fn created(table: &str) -> Vec<(String, String)> {
        let sql = include_str!("../../migrations/0001_city_data.sql");
        let body = sql.split(&format!("CREATE TABLE {table} (")).nth(1).unwrap().split("\n);").next().unwrap();
        let lines = body.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("PRIMARY KEY"));
        lines
            .map(|line| {
                let (name, kind) = line.trim_end_matches(',').split_once(' ').unwrap();
                (name.to_owned(), kind.trim().replace(" NOT NULL", "").replace(" PRIMARY KEY", ""))
            })
            .collect()
    }

    #[test]
    fn columns_are_those_of_the_migration() {
        for dataset in DATASETS {
            let mut expected = Vec::new();
            if !matches!(dataset.key, Key::Unique(_)) {
                expected.push(("row_key".to_owned(), "text".to_owned()));
                expected.push(("occurrence".to_owned(), "integer".to_owned()));
            }
            expected.extend(dataset.columns.iter().map(|column| {
                let kind = match column.kind {
                    Kind::Text | Kind::Code => "text",
                    Kind::Integer => "integer",
                    Kind::Float => "double precision",
                    Kind::Timestamp => "timestamp",
                };
                (column.name.to_owned(), kind.to_owned())
            }));
            assert_eq!(created(dataset.name), expected, "{}", dataset.name);
        }
    }

    #[test]
    fn keys_are_columns() {
        for dataset in DATASETS {
            let keys: &[&str] = match &dataset.key {
                Key::Unique(column) => &[column],
                Key::Fields(columns) => columns,
                Key::Digest => &[],
            };
            assert!(keys.iter().all(|key| dataset.columns.iter().any(|column| column.name == *key)), "{keys:?}");
        }
    }

    #[test]
    fn datasets_are_found_by_name_and_identifier() {
        assert_eq!(Dataset::find("permits").unwrap().id, "i98e-djp9");
        assert_eq!(Dataset::find("nbtm-fbw5").unwrap().name, "violations");
        assert!(Dataset::find("street-use").is_none());
    }
}
