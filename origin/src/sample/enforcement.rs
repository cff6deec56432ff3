//! Complaints about a parcel, and the notices of violation that follow some of them.

use jiff::civil::Date;

use super::calendar::{FIRST_DAY, Moment, days_between, extract, minus};
use super::dice::Dice;
use super::line::Line;
use super::place::Parcel;
use super::{Emit, Numbers};
use crate::soda::datasets::{DATASETS, Dataset};

const COMPLAINTS: &Dataset = &DATASETS[4];
const VIOLATIONS: &Dataset = &DATASETS[5];

/// Emits the complaints of one parcel with `permits` permit rows: one for four rows, on average.
pub(super) fn emit(
    dice: &mut Dice,
    numbers: &mut Numbers,
    parcel: &Parcel,
    permits: u32,
    today: Date,
    emit: Emit<'_>,
) -> anyhow::Result<()> {
    let count = (0..permits.min(COMPLAINTS_MAX)).filter(|_| dice.chance(250)).count();
    for _ in 0..count {
        let active = dice.chance(142);
        let span = if active { 1_500 } else { days_between(FIRST_DAY, today) };
        let filed = minus(today, dice.small(span, 2));
        // Year, then a serial number, as the city numbers them.
        let serial = numbers.complaints_of_year.entry(filed.year()).or_default();
        *serial += 1;
        let number = format!("{}{serial:05}", filed.year());
        let notice = dice.chance(500);
        let complaint = Complaint { number, filed, active, notice };
        emit(COMPLAINTS, &complaint.row(dice, parcel, today))?;
        if notice {
            for _ in 0..dice.between(1, 5) {
                numbers.items += 1;
                emit(VIOLATIONS, &complaint.violation(dice, numbers.items, parcel, today))?;
            }
        }
    }
    Ok(())
}

/// A parcel with many permits is large, not infamous.
const COMPLAINTS_MAX: u32 = 20;

struct Complaint {
    number: String,
    filed: Date,
    active: bool,
    notice: bool,
}

impl Complaint {
    fn row(&self, dice: &mut Dice, parcel: &Parcel, today: Date) -> String {
        let filed = Moment::midnight(self.filed);
        let days = 10 + dice.small(900, 2);
        let abated = (!self.active).then(|| Moment::midnight(filed.later(dice, days, today).day));
        let division = dice.weighted(DIVISIONS);
        let (as_of, loaded) = extract(today);
        Line::new()
            .with("complaint_number", &self.number)
            .with("date_filed", filed)
            .maybe("date_abated", abated)
            .with("block", &parcel.block)
            .with("lot", &parcel.lot)
            .with("parcel_number", format!("{}{}", parcel.block, parcel.lot))
            .with("street_number", parcel.number)
            .with("street_name", parcel.street.0)
            .with("street_suffix", parcel.street.1)
            .with("zip_code", parcel.area.zipcode)
            .maybe("complaint_description", dice.chance(997).then(|| dice.pick(SUBJECTS)))
            .with("status", if self.active { "Active" } else { "Not Active" })
            .maybe("nov_type", self.notice.then(|| dice.weighted(NOTICES)))
            .with("receiving_division", division)
            .with("assigned_division", division)
            .with("analysis_neighborhood", parcel.area.name)
            .with("supervisor_district", parcel.area.district)
            .with("data_as_of", as_of)
            .with("data_loaded_at", loaded)
            .end()
    }

    fn violation(&self, dice: &mut Dice, item: u64, parcel: &Parcel, today: Date) -> String {
        let (category, text) = dice.pick(ITEMS);
        let division = dice.weighted(DIVISIONS);
        let active = self.active && dice.chance(400);
        let (as_of, loaded) = extract(today);
        Line::new()
            .with("complaint_number", &self.number)
            .with("item_sequence_number", 30_000 + item)
            .with("date_filed", Moment::midnight(self.filed))
            .with("block", &parcel.block)
            .with("lot", &parcel.lot)
            .with("street_number", parcel.number)
            .with("street_name", parcel.street.0)
            .with("street_suffix", parcel.street.1)
            .with("status", if active { "active" } else { "not active" })
            .with("receiving_division", division)
            .with("assigned_division", division)
            .with("nov_category_description", category)
            .with("item", text)
            .maybe("nov_item_description", dice.chance(861).then(|| dice.pick(DETAILS)))
            .with("neighborhoods_analysis_boundaries", parcel.area.name)
            .with("supervisor_district", parcel.area.district)
            .with("zipcode", parcel.area.zipcode)
            .with("data_as_of", as_of)
            .with("data_loaded_at", loaded)
            .end()
    }
}

const DIVISIONS: &[(&str, u32)] = &[
    ("Housing Inspection Services", 522),
    ("Building Inspection Division", 300),
    ("Inspection Services", 77),
    ("Code Enforcement Section", 54),
    ("Plumbing Inspection Division", 37),
    ("Electrical Inspection Division", 3),
];

const NOTICES: &[(&str, u32)] = &[("Complaint", 141), ("Routine", 94)];

const SUBJECTS: &[&str] = &[
    "Mildew on ceiling above bathtub.",
    "Illegal unit in garage.",
    "Work without permit: rear deck.",
    "No heat in apartment.",
    "Construction beyond the scope of the permit.",
    "Leaking roof, water damage on top floor.",
    "Broken front door, tenants cannot lock it.",
    "Unsafe electrical wiring in common hallway.",
    "Vacant building, not secured.",
];

const ITEMS: &[(&str, &str)] = &[
    ("interior surfaces section", "repair damaged walls (1001b,h,o hc)"),
    ("interior surfaces section", "repair damaged ceilings (1001b,h,o hc)"),
    ("other section", "inspector comments"),
    ("building section", "building permit required (301 hc)"),
    ("building section", "paint walls (1001b,1301 hc)"),
    ("fire section", "remove egress obstruction at (801,1001(l) hc)"),
    ("fire section", "provide self-closing devices at exterior doors (706 hc)"),
    ("plumbing and electrical section", "repair lightswitch (1001e hc)"),
    ("security requirements section", "provide deadbolt lock at unit door (706 hc)"),
    ("sanitation section", "remove garbage and debris (1001b hc)"),
    ("smoke detection section", "provide smoke detectors in sleeping rooms (909 hc)"),
];

const DETAILS: &[&str] =
    &["at unit 2, kitchen.", "throughout common hallway.", "at rear stairs.", "in the light well.", "at garage level."];
