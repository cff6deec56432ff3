//! The datasets that are loaded: what they are, what tells their rows apart, and how values are read. Module `columns` says
//! which field goes where.

mod columns;

use columns::{
    ADDENDA, BUSINESSES, COMPLAINTS, CONTACTS, ELECTRICAL_CONTACTS, ELECTRICAL_PERMITS, INSPECTIONS, PERMITS,
    PLUMBING_CONTACTS, PLUMBING_INSPECTIONS, PLUMBING_PERMITS, TAX_ROLLS, VIOLATIONS,
};

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
    /// Which rows are read again together when one of them has changed; absent where the key alone tells which row of ours
    /// a changed one is.
    pub group: Option<Group>,
    /// Columns in table order, after `row_key` and `occurrence` where [`Key`] calls for them.
    pub columns: &'static [Column],
}

/// Rows that have one value in common, which nearly every row keeps for as long as it is published. Keys change with what
/// they are made of, and rows that share one are told apart by their order; all rows of a group together leave no doubt, with
/// those of other groups that share a key with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The city's field.
    pub field: &'static str,
    /// Our column.
    pub column: &'static str,
}

impl Group {
    const fn by(name: &'static str) -> Option<Self> {
        Some(Self { field: name, column: name })
    }
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
        group: None,
        columns: PERMITS,
    },
    Dataset {
        id: "3pee-9qhc",
        name: "contacts",
        table: "contacts",
        title: "Building Permits Contacts",
        filter: None,
        // The city numbers the rows of its extract by `pts_agent_id`, every row once (22,148 rows of 10,013 permits, all
        // different); it names no agent. The permit and the role keep rows apart where an extract repeats a number.
        key: Key::Fields(&["permit_number", "pts_agent_id", "role"]),
        group: Group::by("permit_number"),
        columns: CONTACTS,
    },
    Dataset {
        id: "vckc-dh2h",
        name: "inspections",
        table: "inspections",
        title: "Building Inspections",
        filter: None,
        key: Key::Digest,
        group: Group::by("reference_number"),
        columns: INSPECTIONS,
    },
    Dataset {
        id: "87xy-gk8d",
        name: "addenda",
        table: "addenda",
        title: "Building Permit Addenda with Routing",
        filter: None,
        key: Key::Fields(&["primary_key"]),
        group: Group::by("application_number"),
        columns: ADDENDA,
    },
    Dataset {
        id: "gm2e-bten",
        name: "complaints",
        table: "complaints",
        title: "Department of Building Inspection Complaints",
        filter: None,
        key: Key::Fields(&["complaint_number"]),
        group: Group::by("complaint_number"),
        columns: COMPLAINTS,
    },
    Dataset {
        id: "nbtm-fbw5",
        name: "violations",
        table: "violations",
        title: "Notices of Violation",
        filter: None,
        key: Key::Fields(&["complaint_number", "item_sequence_number"]),
        group: Group::by("complaint_number"),
        columns: VIOLATIONS,
    },
    Dataset {
        id: "ftty-kx6y",
        name: "electrical_permits",
        table: "permits",
        title: "Electrical Permits",
        filter: None,
        key: Key::Unique("record_id"),
        group: Group::by("permit_number"),
        columns: ELECTRICAL_PERMITS,
    },
    Dataset {
        id: "a6aw-rudh",
        name: "plumbing_permits",
        table: "permits",
        title: "Plumbing Permits",
        filter: None,
        key: Key::Unique("record_id"),
        group: Group::by("permit_number"),
        columns: PLUMBING_PERMITS,
    },
    Dataset {
        id: "fdm7-jqqf",
        name: "electrical_contacts",
        table: "contacts",
        title: "Electrical Permits Contacts",
        filter: None,
        key: Key::Digest,
        group: Group::by("permit_number"),
        columns: ELECTRICAL_CONTACTS,
    },
    Dataset {
        id: "k6kv-9kix",
        name: "plumbing_contacts",
        table: "contacts",
        title: "Plumbing Permits Contacts",
        filter: None,
        key: Key::Digest,
        group: Group::by("permit_number"),
        columns: PLUMBING_CONTACTS,
    },
    Dataset {
        id: "fuas-yurr",
        name: "plumbing_inspections",
        table: "inspections",
        title: "Plumbing Inspections",
        filter: None,
        key: Key::Digest,
        group: Group::by("reference_number"),
        columns: PLUMBING_INSPECTIONS,
    },
    Dataset {
        id: "wv5m-vpq2",
        name: "tax_rolls",
        table: "tax_rolls",
        title: "Assessor Historical Secured Property Tax Rolls",
        filter: Some("closed_roll_year >= '2022'"),
        key: Key::Fields(&["block", "lot", "closed_roll_year"]),
        group: Group::by("block"),
        columns: TAX_ROLLS,
    },
    Dataset {
        id: "g8m3-pdis",
        name: "businesses",
        table: "businesses",
        title: "Registered Business Locations",
        filter: Some("location_end_date IS NULL"),
        key: Key::Fields(&["ttxid"]),
        group: Group::by("certificate_number"),
        columns: BUSINESSES,
    },
];

#[cfg(test)]
mod tests;
