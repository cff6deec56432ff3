//! Inspections of permits that were issued.

use jiff::civil::Date;

use super::Emit;
use super::calendar::{days_between, extract, plus};
use super::contact::LAST_NAMES;
use super::dice::Dice;
use super::line::Line;
use super::permit::{Kind, Permit};
use super::place::Parcel;
use crate::soda::datasets::{DATASETS, Dataset};

const DATASET: &Dataset = &DATASETS[2];

/// Emits the inspections of one permit: none before it is issued, more for larger work.
pub(super) fn emit(
    dice: &mut Dice,
    permit: &Permit,
    parcel: &Parcel,
    today: Date,
    emit: Emit<'_>,
) -> anyhow::Result<()> {
    let Some(issued) = permit.issued else { return Ok(()) };
    let last = permit.completed.map_or(today, |moment| moment.day);
    let span = days_between(issued.day, last);
    let most = match permit.kind {
        Kind::NewWoodFrame | Kind::New => 8,
        Kind::Alteration | Kind::Demolition => 4,
        Kind::OverTheCounter | Kind::Sign | Kind::PaintedSign => 2,
    };
    let mut days: Vec<_> = (0..dice.small(most, 2)).map(|_| dice.below(span + 1)).collect();
    days.sort_unstable();
    let count = days.len();
    let (as_of, loaded) = extract(today);
    for (index, after) in days.into_iter().enumerate() {
        let last = index + 1 == count;
        let description = if last && permit.completed.is_some() { "FINAL INSPECT/APPRVD" } else { dice.pick(KINDS) };
        let result = if last && permit.completed.is_some() { "PASSED" } else { dice.weighted(RESULTS) };
        let line = Line::new()
            .with("reference_number", &permit.number)
            .with("reference_number_type", "permit")
            .with("inspector", format!("{} {}", dice.pick(&["A", "E", "J", "K", "M", "T"]), dice.pick(LAST_NAMES)))
            // The city records the day of an inspection, never the hour.
            .with("scheduled_date", format!("{}T00:00:00.000", plus(issued.day, after)))
            .with("result", result)
            .with("inspection_description", description)
            .with("block", &parcel.block)
            .with("lot", &parcel.lot)
            .with("street_number", parcel.number)
            .with("avs_street_name", parcel.street.0)
            .with("avs_street_sfx", parcel.street.1)
            .with("analysis_neighborhood", parcel.area.name)
            .with("supervisor_district", parcel.area.district)
            .with("zip_code", parcel.area.zipcode)
            .with("data_as_of", &as_of)
            .with("data_loaded_at", &loaded);
        emit(DATASET, &line.end())?;
    }
    Ok(())
}

const KINDS: &[&str] = &[
    "ROUGH FRAME",
    "FOUNDATION FORMS",
    "REINFORCING STEEL",
    "START WORK",
    "SHEAR WALL NAILING",
    "SHEETROCK NAILING",
    "OK TO COVER",
    "SITE VERIFICATION",
    "ROUGH FRAME, PARTIAL",
];

const RESULTS: &[(&str, u32)] = &[("PASSED", 70), ("PARTIAL", 12), ("CORRECTION REQUIRED", 12), ("FAILED", 6)];
