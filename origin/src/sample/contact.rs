//! Contacts of a permit: who builds, draws, pays and asks. People and firms are made up.

use jiff::civil::Date;

use super::calendar::{Moment, extract};
use super::dice::Dice;
use super::line::Line;
use super::permit::{Kind, Permit};
use super::{Emit, Numbers};
use crate::soda::datasets::{DATASETS, Dataset};

const DATASET: &Dataset = &DATASETS[1];

/// Emits the contacts of one permit, 2.2 on average.
pub(super) fn emit(
    dice: &mut Dice,
    numbers: &mut Numbers,
    permit: &Permit,
    today: Date,
    emit: Emit<'_>,
) -> anyhow::Result<()> {
    let count = if permit.kind == Kind::OverTheCounter { 1 + dice.small(4, 2) } else { 1 + dice.below(4) };
    for place in 0..count {
        numbers.contacts += 1;
        let role = dice.weighted(ROLES);
        emit(DATASET, &row(dice, numbers.contacts, permit, place, role, today))?;
    }
    Ok(())
}

fn row(dice: &mut Dice, id: u64, permit: &Permit, place: u32, role: &'static str, today: Date) -> String {
    // The same firms and people come back: each is one number, and everything about it follows from that.
    let agent = dice.small(AGENTS - 1, 2);
    let mut own = Dice::new(u64::from(agent));
    let (first, last) = (own.pick(FIRST_NAMES), own.pick(LAST_NAMES));
    let firm = format!("{} {}", own.pick(LAST_NAMES), own.pick(TRADES));
    let license = match role {
        "contractor" => Some(own.between(300_000, 1_099_999).to_string()),
        "engineer" => Some(format!("{}{}", own.pick(&["C", "S"]), own.between(2_000, 89_999))),
        "architect" => Some(format!("C{}", own.between(2_000, 39_999))),
        _ => None,
    };
    let firm = (license.is_some() || own.chance(550)).then_some(firm);
    let (as_of, loaded) = extract(today);
    Line::new()
        .with("id", format!("{}_{place}", permit.number))
        .with("permit_number", &permit.number)
        .with("role", role)
        .with("first_name", first)
        .with("last_name", last)
        .maybe("firm_name", firm)
        .maybe("license1", license)
        .with("pts_agent_id", 100_000 + id)
        .maybe("sf_business_license_number", own.chance(300).then(|| own.between(300_000, 1_199_999)))
        .with("agent_address", format!("{} {}", own.between(1, 2_999), own.pick(ADDRESSES)))
        .with("city", "San Francisco")
        .with("state", "CA")
        .with("agent_zipcode", own.pick(ZIPCODES))
        .with("is_applicant", if place == 0 { "Y" } else { "N" })
        .with("from_date", Moment::midnight(permit.filed.day))
        .with("data_as_of", as_of)
        .with("data_loaded_at", loaded)
        .end()
}

/// A firm of the trades, as it appears on each of its permits.
pub(super) struct Firm {
    pub(super) name: String,
    pub(super) license: u32,
    pub(super) business: u32,
}

/// One of the firms; the same come back.
pub(super) fn firm(dice: &mut Dice) -> Firm {
    let mut own = Dice::new(u64::from(AGENTS + dice.small(FIRMS - 1, 2)));
    let name = format!("{} {}", own.pick(LAST_NAMES), own.pick(TRADES));
    Firm { name, license: own.between(300_000, 1_099_999), business: own.between(300_000, 1_199_999) }
}

/// How many firms of the trades there are.
const FIRMS: u32 = 2_000;

/// How many people there are.
const AGENTS: u32 = 3_000;

/// Shares in tenths of a percent, as measured over the city's contacts.
const ROLES: &[(&str, u32)] = &[
    ("contractor", 408),
    ("authorized agent-others", 214),
    ("engineer", 102),
    ("architect", 98),
    ("payor", 57),
    ("project contact", 49),
    ("designer", 42),
    ("pmt consultant/expediter", 22),
    ("lessee", 8),
];

const FIRST_NAMES: &[&str] = &[
    "Ada", "Ben", "Cleo", "Dana", "Eli", "Fern", "Gil", "Hana", "Ivo", "June", "Kai", "Lena", "Milo", "Nora", "Otis",
    "Pia", "Quin", "Rosa", "Sol", "Tess", "Uma", "Vera", "Wes", "Yara", "Zeno",
];

/// Trees, stones and waters.
pub(super) const LAST_NAMES: &[&str] = &[
    "Alder",
    "Aspen",
    "Basalt",
    "Beech",
    "Birch",
    "Brook",
    "Cedar",
    "Chert",
    "Cypress",
    "Elm",
    "Fir",
    "Flint",
    "Granite",
    "Hawthorn",
    "Hazel",
    "Juniper",
    "Larch",
    "Laurel",
    "Linden",
    "Madrone",
    "Manzanita",
    "Maple",
    "Marble",
    "Oak",
    "Onyx",
    "Pebble",
    "Pine",
    "Poplar",
    "Quartz",
    "Redwood",
    "Rowan",
    "Sandstone",
    "Slate",
    "Spruce",
    "Sycamore",
    "Tamarack",
    "Walnut",
    "Willow",
    "Yew",
];

const TRADES: &[&str] = &[
    "Construction",
    "Builders Inc",
    "& Daughters",
    "Design Group",
    "Structural",
    "Roofing Co",
    "Electric",
    "Plumbing",
    "Architects",
    "Engineering",
    "Permits",
    "Windows & Doors",
    "General Contractors",
    "Studio",
    "Fire Protection",
];

const ADDRESSES: &[&str] = &["Mission St", "Bryant St", "Bayshore Bl", "Market St", "03rd St", "Geary Bl"];
const ZIPCODES: &[&str] = &["94103-0000", "94107-0000", "94110-0000", "94111-0000", "94124-0000"];
