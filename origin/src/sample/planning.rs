//! Records of the planning department: projects, and what else it is asked for.

use jiff::civil::Date;

use super::calendar::{Moment, days_between, extract, minus};
use super::dice::Dice;
use super::line::Line;
use super::place::Parcel;
use super::{Emit, Numbers};
use crate::soda::datasets::{DATASETS, Dataset};

const PROJECTS: &Dataset = &DATASETS[13];
const OTHERS: &Dataset = &DATASETS[14];

/// Emits now and then a project on one parcel, and an application beside.
pub(super) fn emit(
    dice: &mut Dice,
    numbers: &mut Numbers,
    parcel: &Parcel,
    today: Date,
    emit: Emit<'_>,
) -> anyhow::Result<()> {
    let opened = minus(today, dice.below(days_between(Date::constant(2005, 1, 1), today)));
    let (as_of, loaded) = extract(today);
    let mut record = |kind: &str, name: &str, status: &str| {
        numbers.planning_records += 1;
        Line::new()
            .with("record_id", format!("{}-{:06}{kind}", opened.year(), numbers.planning_records))
            .with("record_type", kind)
            .with("record_status", status)
            .with("block", &parcel.block)
            .with("lot", &parcel.lot)
            .with("project_address", format!("{} {} {}", parcel.number, parcel.street.0, parcel.street.1))
            .with("project_name", format!("{} {} {name}", parcel.number, parcel.street.0))
            .with("open_date", Moment::midnight(opened))
            .with("data_as_of", &as_of)
            .with("data_loaded_at", &loaded)
    };
    if dice.chance(150) {
        let (existing, proposed) = (dice.small(8, 2), dice.small(60, 3));
        let line = record("PRJ", "new dwellings", dice.pick(STATUSES))
            .with("description", "Demolition of a building and construction of dwellings.")
            .with("number_of_units_exist", existing)
            .with("number_of_units_prop", proposed)
            .with("number_of_units_net", f64::from(proposed) - f64::from(existing))
            .with("number_of_affordable_units", proposed / 10);
        emit(PROJECTS, &line.end())?;
    }
    if dice.chance(250) {
        let (kind, description) = dice.pick(KINDS);
        emit(OTHERS, &record(kind, "application", dice.pick(STATUSES)).with("description", description).end())?;
    }
    Ok(())
}

const STATUSES: &[&str] = &["Closed", "Closed - Approved", "Closed - Withdrawn", "Under Review", "Open"];

/// Kinds of applications, and what they are for.
const KINDS: &[(&str, &str)] = &[
    ("CUA", "Conditional use for a restaurant."),
    ("VAR", "Variance from the rear yard."),
    ("ENV", "Environmental review of the project."),
    ("MIS", "Letter of determination."),
];
