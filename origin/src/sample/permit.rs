//! Permits: number, kind, status, dates, cost, and one row for each address.

use jiff::civil::Date;

use super::Numbers;
use super::calendar::{FIRST_DAY, Moment, days_between, extract, minus, plus};
use super::dice::Dice;
use super::line::Line;
use super::place::Parcel;
use crate::soda::datasets::{DATASETS, Dataset};

pub(super) const DATASET: &Dataset = &DATASETS[0];

/// A permit, before it is written as one row for each of its addresses.
pub(super) struct Permit {
    pub(super) number: String,
    pub(super) kind: Kind,
    pub(super) status: Status,
    pub(super) filed: Moment,
    pub(super) issued: Option<Moment>,
    pub(super) completed: Option<Moment>,
    pub(super) status_date: Moment,
    approved: Option<Moment>,
    description: String,
    estimated_cost: Option<u32>,
    revised_cost: Option<u32>,
    uses: (&'static str, &'static str),
    units: u32,
    stories: u32,
}

/// What is applied for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    OverTheCounter,
    Alteration,
    NewWoodFrame,
    New,
    Sign,
    PaintedSign,
    Demolition,
}

/// How far it got.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Complete,
    Issued,
    Reinstated,
    Expired,
    Suspended,
    Revoked,
    Approved,
    Filed,
    Filing,
    PlanCheck,
    Withdrawn,
    Cancelled,
    Disapproved,
    Denied,
}

impl Permit {
    pub(super) fn new(dice: &mut Dice, numbers: &mut Numbers, today: Date) -> Self {
        let kind = dice.weighted(KINDS);
        let status = dice.weighted(STATUSES);
        let filed_day = filed_day(dice, status, today);
        let filed = Moment::on(dice, filed_day);
        let review_days = match kind {
            Kind::OverTheCounter | Kind::Sign | Kind::PaintedSign => dice.small(30, 2),
            Kind::Alteration | Kind::Demolition => 20 + dice.small(500, 2),
            Kind::NewWoodFrame | Kind::New => 120 + dice.small(900, 2),
        };
        let approved = status.is_approved().then(|| filed.later(dice, review_days, today));
        let issued = approved.filter(|_| status.is_issued()).map(|day| {
            let wait = dice.small(40, 2);
            day.later(dice, wait, today)
        });
        let completed = issued.filter(|_| status == Status::Complete).map(|day| {
            let work = 5 + dice.small(1_000, 2);
            day.later(dice, work, today)
        });
        let waited = dice.small(700, 2);
        let status_date = match status {
            Status::Complete | Status::Issued | Status::Approved => completed.or(issued).or(approved).unwrap_or(filed),
            _ => issued.unwrap_or(filed).later(dice, waited, today),
        };
        let estimated_cost = cost(dice, kind);
        let revised_cost = match dice.below(1000) {
            0..=183 => None,
            184..=207 => Some(0),
            208..=299 => estimated_cost.map(|cost| cost / 2 + dice.below(cost.max(1))),
            _ => estimated_cost,
        };
        Self {
            number: number(dice, numbers, kind, filed.day),
            description: description(dice, kind),
            uses: dice.pick(USES),
            units: if kind == Kind::OverTheCounter { dice.between(1, 12) } else { 1 + dice.small(40, 3) },
            stories: 1 + dice.small(if kind == Kind::New { 40 } else { 4 }, 2),
            kind,
            status,
            filed,
            issued,
            completed,
            status_date,
            approved,
            estimated_cost,
            revised_cost,
        }
    }

    /// One row: the permit at its `copy`-th address.
    pub(super) fn row(
        &self,
        dice: &mut Dice,
        numbers: &mut Numbers,
        parcel: &Parcel,
        copy: u32,
        today: Date,
    ) -> String {
        numbers.permit_rows += 1;
        let (kind, definition) = self.kind.names();
        let (as_of, loaded) = extract(today);
        let units = format!("{}.0", self.units);
        let new = matches!(self.kind, Kind::New | Kind::NewWoodFrame);
        let unit = dice.chance(140).then(|| dice.between(0, 40));
        let line = Line::new()
            .with("permit_number", &self.number)
            .with("permit_type", kind)
            .with("permit_type_definition", definition)
            .with("permit_creation_date", Moment::midnight(self.filed.day))
            .with("block", &parcel.block)
            .with("lot", &parcel.lot)
            .with("street_number", parcel.number + 2 * copy)
            .with("street_name", parcel.street.0)
            .with("street_suffix", parcel.street.1)
            .maybe("unit", unit)
            .maybe("description", (!self.description.is_empty()).then_some(&self.description))
            .with("status", self.status.name())
            .with("status_date", self.status_date)
            .with("filed_date", self.filed)
            .maybe("issued_date", self.issued)
            .maybe("approved_date", self.approved)
            .maybe("completed_date", self.completed)
            .maybe("estimated_cost", self.estimated_cost.map(|cost| format!("{cost}.0")))
            .maybe("revised_cost", self.revised_cost.map(|cost| format!("{cost}.0")))
            .maybe("existing_use", (!new).then_some(self.uses.0))
            .with("proposed_use", self.uses.1)
            .maybe("existing_units", (!new).then_some(&units))
            .with("proposed_units", &units)
            .maybe("number_of_existing_stories", (!new).then_some(self.stories))
            .with("number_of_proposed_stories", self.stories)
            .with("plansets", dice.pick(&[0, 2, 2, 2, 3]))
            .with("proposed_construction_type", 5)
            .with("proposed_construction_type_description", "wood frame (5)")
            .with("adu", if self.description.contains("accessory dwelling") { "Y" } else { "N" })
            .with("primary_address_flag", if copy == 0 { "Y" } else { "N" })
            .with("supervisor_district", parcel.area.district)
            .with("neighborhoods_analysis_boundaries", parcel.area.name)
            .with("zipcode", parcel.area.zipcode);
        // One row in eight has no point, as in the city's older records.
        let line = if dice.chance(124) { line } else { line.point("location", parcel.longitude, parcel.latitude) };
        line.with("point_source", "eas_address_point")
            .with("record_id", RECORD_ID_FIRST + 97 * numbers.permit_rows)
            .with("data_as_of", as_of)
            .with("data_loaded_at", loaded)
            .end()
    }
}

/// In the range of the city's.
const RECORD_ID_FIRST: u64 = 1_300_000_000_000;

impl Kind {
    const fn names(self) -> (u8, &'static str) {
        match self {
            Self::New => (1, "new construction"),
            Self::NewWoodFrame => (2, "new construction wood frame"),
            Self::Alteration => (3, "additions alterations or repairs"),
            Self::Sign => (4, "sign - erect"),
            Self::Demolition => (6, "demolitions"),
            Self::PaintedSign => (7, "wall or painted sign"),
            Self::OverTheCounter => (8, "otc alterations permit"),
        }
    }
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Issued => "issued",
            Self::Reinstated => "reinstated",
            Self::Expired => "expired",
            Self::Suspended => "suspend",
            Self::Revoked => "revoked",
            Self::Approved => "approved",
            Self::Filed => "filed",
            Self::Filing => "filing",
            Self::PlanCheck => "plancheck",
            Self::Withdrawn => "withdrawn",
            Self::Cancelled => "cancelled",
            Self::Disapproved => "disapproved",
            Self::Denied => "denied",
        }
    }

    pub(super) const fn is_issued(self) -> bool {
        matches!(
            self,
            Self::Complete | Self::Issued | Self::Reinstated | Self::Expired | Self::Suspended | Self::Revoked
        )
    }

    const fn is_approved(self) -> bool {
        self.is_issued() || matches!(self, Self::Approved)
    }

    pub(super) const fn is_open(self) -> bool {
        matches!(self, Self::Filed | Self::Filing | Self::PlanCheck | Self::Approved | Self::Issued | Self::Reinstated)
    }
}

/// Shares as counted in 20,000 of the city's rows; demolitions more often, to have some.
const KINDS: &[(Kind, u32)] = &[
    (Kind::OverTheCounter, 10_145),
    (Kind::Alteration, 4_951),
    (Kind::NewWoodFrame, 3_507),
    (Kind::New, 1_125),
    (Kind::Sign, 239),
    (Kind::Demolition, 60),
    (Kind::PaintedSign, 29),
];

const STATUSES: &[(Status, u32)] = &[
    (Status::Complete, 10_478),
    (Status::Issued, 4_530),
    (Status::Filed, 2_339),
    (Status::Withdrawn, 732),
    (Status::Cancelled, 693),
    (Status::Expired, 656),
    (Status::Approved, 428),
    (Status::Reinstated, 67),
    (Status::Filing, 28),
    (Status::PlanCheck, 12),
    (Status::Disapproved, 12),
    (Status::Suspended, 11),
    (Status::Denied, 4),
    (Status::Revoked, 4),
];

/// Existing and proposed.
const USES: &[(&str, &str)] = &[
    ("office", "office"),
    ("office", "office"),
    ("apartments", "apartments"),
    ("apartments", "apartments"),
    ("1 family dwelling", "1 family dwelling"),
    ("1 family dwelling", "2 family dwelling"),
    ("2 family dwelling", "2 family dwelling"),
    ("retail sales", "retail sales"),
    ("retail sales", "food/beverage hndlng"),
    ("warehouse,no frnitur", "office"),
    ("tourist hotel/motel", "tourist hotel/motel"),
];

/// What is under way was filed lately; what is done lies anywhere in the records.
fn filed_day(dice: &mut Dice, status: Status, today: Date) -> Date {
    match status {
        Status::Filing | Status::PlanCheck => minus(today, dice.small(200, 2)),
        Status::Filed | Status::Approved => minus(today, dice.small(1_500, 2)),
        Status::Issued | Status::Reinstated => minus(today, 20 + dice.small(3_500, 2)),
        _ => {
            let span = days_between(FIRST_DAY, today).saturating_sub(800);
            // The middle of two draws: few in the first years, most in the last twenty.
            plus(FIRST_DAY, span - dice.small(span, 2))
        }
    }
}

/// Twelve digits since 2000; before, seven, and some with a letter.
fn number(dice: &mut Dice, numbers: &mut Numbers, kind: Kind, filed: Date) -> String {
    let (year, month, day) = (i32::from(filed.year()), i32::from(filed.month()), i32::from(filed.day()));
    if year >= 2_000 {
        let serial = numbers.permits_of_day.entry(year * 10_000 + month * 100 + day).or_default();
        *serial += 1 + dice.below(3);
        return format!("{year:04}{month:02}{day:02}{serial:04}");
    }
    let serial = numbers.permits_of_day.entry(year).or_default();
    *serial += 1;
    let suffix = if kind == Kind::Alteration && dice.chance(300) { "S" } else { "" };
    format!("{:02}{serial:05}{suffix}", year % 100)
}

/// The city has an estimate of one dollar on one permit in twelve, and none on one in twenty-three.
fn cost(dice: &mut Dice, kind: Kind) -> Option<u32> {
    match dice.below(1000) {
        0..=42 => None,
        43..=128 => Some(1),
        _ => Some(match kind {
            Kind::OverTheCounter => dice.amount(3, 5),
            Kind::Sign | Kind::PaintedSign => dice.amount(3, 4),
            Kind::Alteration | Kind::Demolition => dice.amount(4, 6),
            Kind::NewWoodFrame => dice.amount(6, 7),
            Kind::New => dice.amount(6, 8),
        }),
    }
}

fn description(dice: &mut Dice, kind: Kind) -> String {
    if dice.chance(22) {
        return String::new();
    }
    let count = dice.between(2, 14);
    let first = match kind {
        Kind::OverTheCounter => dice.pick(OTC_WORK),
        Kind::Alteration => dice.pick(ALTERATIONS),
        Kind::NewWoodFrame | Kind::New => dice.pick(NEW_BUILDINGS),
        Kind::Sign | Kind::PaintedSign => dice.pick(SIGNS),
        Kind::Demolition => "demolish {n} story building.",
    };
    let mut text = first.replace("{n}", &count.to_string());
    if dice.chance(350) {
        // Real descriptions hold line breaks now and then.
        text.push_str(if dice.chance(30) { "\n" } else { " " });
        text.push_str(dice.pick(REMARKS));
    }
    text
}

const OTC_WORK: &[&str] = &[
    "reroofing",
    "replace {n} windows in kind, not visible from street",
    "kitchen remodel: new cabinets, counters and lighting. no structural work",
    "bathroom remodel on 2nd floor, replace fixtures in kind",
    "replace water heater and repipe {n} units",
    "install {n} smoke detectors and upgrade fire alarm panel",
    "tenant improvement on floor {n}: non-bearing partitions, ceiling and lighting",
    "dry rot repair at rear stairs, less than 50%",
    "fire sprinkler: relocate {n} heads",
    "upgrade electrical service, new wiring and {n} circuits",
    "solar photovoltaic system, {n} panels on roof",
    "replace garage door and front door",
    "comply with complaint: remove illegal partitions",
    "renew permit for final inspection only",
];

const ALTERATIONS: &[&str] = &[
    "horizontal addition at rear, {n} feet; remodel kitchen and {n} bathrooms",
    "vertical addition of one story; new roof deck",
    "voluntary seismic upgrade: brace and bolt, new shear wall at ground floor",
    "soft story retrofit per building code chapter 4d",
    "convert garage to accessory dwelling unit",
    "excavate basement, new foundation and retaining wall",
    "new elevator, stair and {n} restrooms",
    "change of use, ground floor, {n} seats",
    "structural repair of fire damage, replace beam and columns",
];

const NEW_BUILDINGS: &[&str] = &[
    "erect {n} stories, residential building",
    "to erect {n} units of apartments over retail",
    "new construction of single family dwelling",
    "erect {n} story office building, type 1",
];

const SIGNS: &[&str] =
    &["erect one electric, single faced wall sign", "install {n} awnings with lettering", "painted wall sign"];

const REMARKS: &[&str] = &[
    "work per plan.",
    "all work to be inspected.",
    "maher ordinance n/a.",
    "ref application of last year.",
    "no change to exterior.",
    "title-24 compliance.",
];
