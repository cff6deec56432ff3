//! What the assessor and the tax collector know of a parcel.

use jiff::civil::Date;

use super::calendar::{Moment, days_between, extract, minus};
use super::contact::firm;
use super::dice::Dice;
use super::line::Line;
use super::place::Parcel;
use super::{Emit, Numbers};
use crate::soda::datasets::{DATASETS, Dataset};

const TAX_ROLLS: &Dataset = &DATASETS[11];
const BUSINESSES: &Dataset = &DATASETS[12];

/// The first roll that is loaded, and how many follow at most: the roll of a year closes in its summer.
const FIRST_ROLL: i16 = 2022;

/// Emits the tax rolls of one parcel since [`FIRST_ROLL`], and now and then a business.
pub(super) fn emit(
    dice: &mut Dice,
    numbers: &mut Numbers,
    parcel: &Parcel,
    today: Date,
    emit: Emit<'_>,
) -> anyhow::Result<()> {
    let (class, definition, usage) = dice.weighted(CLASSES);
    let units = if class == "D" { 1 } else { 1 + dice.small(60, 3) };
    let (land, improvement) = (dice.amount(5, 7), dice.amount(5, 8));
    let sold = minus(today, dice.below(days_between(Date::constant(1990, 1, 1), today)));
    let (as_of, loaded) = extract(today);
    for year in FIRST_ROLL..today.year() {
        let line = Line::new()
            .with("closed_roll_year", year)
            .with("block", &parcel.block)
            .with("lot", &parcel.lot)
            .with("parcel_number", format!("{}{}", parcel.block, parcel.lot))
            .with("property_location", format!("0000 {:04} {} {}0000", parcel.number, parcel.street.0, parcel.street.1))
            .with("zoning_code", dice.pick(ZONES))
            .with("use_code", usage)
            .with("use_definition", definition)
            .with("property_class_code", class)
            .with("year_property_built", 1880 + dice.small(140, 1))
            .with("number_of_stories", format!("{}.0", 1 + dice.small(6, 2)))
            .with("number_of_units", format!("{units}.0"))
            .with("number_of_rooms", format!("{}.0", units * 5))
            .with("number_of_bedrooms", format!("{}.0", units * 2))
            .with("number_of_bathrooms", format!("{}.5", units))
            .with("lot_area", dice.between(1_000, 9_000))
            .with("property_area", dice.between(800, 40_000))
            .with("assessed_land_value", land)
            .with("assessed_improvement_value", improvement)
            .with("assessed_personal_property_value", 0)
            .with("assessed_fixtures_value", dice.small(9_000, 3))
            .with("current_sales_date", Moment::midnight(sold))
            .with("analysis_neighborhood", parcel.area.name)
            .with("supervisor_district", parcel.area.district)
            .with("data_as_of", &as_of)
            .with("data_loaded_at", &loaded);
        emit(TAX_ROLLS, &line.end())?;
    }
    if dice.chance(150) {
        numbers.businesses += 1;
        let firm = firm(dice);
        let begun = Moment::midnight(minus(today, dice.below(12_000)));
        let line = Line::new()
            .with("certificate_number", firm.business)
            .with("ttxid", format!("{}-{:02}-001", firm.business, numbers.businesses))
            .with("ownership_name", format!("{} Holdings", firm.name))
            .with("dba_name", &firm.name)
            .with("full_business_address", format!("{} {} {}", parcel.number, parcel.street.0, parcel.street.1))
            .with("city", "San Francisco")
            .with("state", "CA")
            .with("business_zip", parcel.area.zipcode)
            .with("dba_start_date", begun)
            .with("location_start_date", begun)
            .with("parking_tax", "false")
            .with("transient_occupancy_tax", "false")
            .with("data_as_of", &as_of);
        emit(BUSINESSES, &line.end())?;
    }
    Ok(())
}

/// Class, the assessor's words for the use, and its code.
const CLASSES: &[((&str, &str, &str), u32)] = &[
    (("D", "Single Family Residential", "SRES"), 60),
    (("F2", "Multi-Family Residential", "MRES"), 25),
    (("A5", "Multi-Family Residential", "MRES"), 5),
    (("C1", "Commercial Retail", "COMR"), 6),
    (("O", "Commercial Office", "COMO"), 4),
];

const ZONES: &[&str] = &["RH-1", "RH-1(D)", "RH-2", "RH-2", "RH-3", "RM-1", "NC-2", "C-3-O", "MUG"];
