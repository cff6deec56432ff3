//! Electrical and plumbing permits of a parcel, who did the work, and the plumbers' inspections.

use jiff::civil::Date;

use super::calendar::{FIRST_DAY, Moment, days_between, extract, minus, plus};
use super::contact::{LAST_NAMES, firm};
use super::dice::Dice;
use super::line::Line;
use super::place::Parcel;
use super::{Emit, Numbers};
use crate::soda::datasets::{DATASETS, Dataset};

/// A trade: its permits, its contacts, the letters of its numbers, and what it calls things.
struct Trade {
    permits: &'static Dataset,
    contacts: &'static Dataset,
    letters: &'static str,
    zipcode: &'static str,
    works: &'static [&'static str],
}

const ELECTRICAL: Trade = Trade {
    permits: &DATASETS[6],
    contacts: &DATASETS[8],
    letters: "E",
    zipcode: "zip_code",
    works: &["Service upgrade to 200 amps", "Rewire kitchen and bath", "Install photovoltaic system", "Fire alarm"],
};

const PLUMBING: Trade = Trade {
    permits: &DATASETS[7],
    contacts: &DATASETS[9],
    letters: "PW",
    zipcode: "zipcode",
    works: &["Replace water heater", "Gas line for range", "Repipe the building", "Fire sprinkler heads"],
};

const INSPECTIONS: &Dataset = &DATASETS[10];

/// Emits the trades' permits of one parcel with `permits` permit rows: two for three rows, on average.
pub(super) fn emit(
    dice: &mut Dice,
    numbers: &mut Numbers,
    parcel: &Parcel,
    permits: u32,
    today: Date,
    emit: Emit<'_>,
) -> anyhow::Result<()> {
    for trade in [&ELECTRICAL, &PLUMBING] {
        for _ in 0..permits {
            if dice.chance(330) {
                trade.permit(dice, numbers, parcel, today, emit)?;
            }
        }
    }
    Ok(())
}

impl Trade {
    fn permit(
        &self,
        dice: &mut Dice,
        numbers: &mut Numbers,
        parcel: &Parcel,
        today: Date,
        emit: Emit<'_>,
    ) -> anyhow::Result<()> {
        let day = minus(today, dice.small(days_between(FIRST_DAY, today), 2));
        let filed = Moment::on(dice, day);
        let (status, done) =
            dice.weighted(&[(("complete", true), 70), (("issued", false), 25), (("expired", false), 5)]);
        let days = dice.small(200, 2);
        let completed = done.then(|| filed.later(dice, days, today));
        numbers.trade_permits += 1;
        let number = format!("{}{}{:07}", self.letters, filed.day.year(), numbers.trade_permits);
        let (as_of, loaded) = extract(today);
        let line = Line::new()
            .with("permit_number", &number)
            .with("status", status)
            .with("description", dice.pick(self.works))
            .with("filed_date", filed)
            .with("issued_date", filed)
            .maybe("completed_date", completed)
            .with("block", &parcel.block)
            .with("lot", &parcel.lot)
            .with("street_number", parcel.number)
            .with("street_name", parcel.street.0)
            .with("street_suffix", parcel.street.1)
            .with(self.zipcode, parcel.area.zipcode)
            .with("neighborhoods_analysis_boundaries", parcel.area.name)
            .with("supervisor_district", parcel.area.district)
            .point("location", parcel.longitude, parcel.latitude)
            .with("data_as_of", &as_of)
            .with("data_loaded_at", &loaded);
        emit(self.permits, &line.end())?;
        self.contact(dice, &number, today, emit)?;
        if self.letters == PLUMBING.letters && done {
            let scheduled = plus(filed.day, dice.below(days + 1)).min(today);
            let line = Line::new()
                .with("reference_number", &number)
                .with("reference_number_type", "permit")
                .with("inspector", format!("{} {}", dice.pick(&["B", "D", "P"]), dice.pick(LAST_NAMES)))
                .with("scheduled_date", format!("{scheduled}T00:00:00.000"))
                .with("inspection_description", "FINAL INSPECTION")
                .with("block", &parcel.block)
                .with("lot", &parcel.lot)
                .with("street_number", parcel.number)
                .with("avs_street_name", parcel.street.0)
                .with("avs_street_sfx", parcel.street.1)
                .with("analysis_neighborhood", parcel.area.name)
                .with("zip_code", parcel.area.zipcode)
                .with("data_as_of", &as_of);
            emit(INSPECTIONS, &line.end())?;
        }
        Ok(())
    }

    fn contact(&self, dice: &mut Dice, permit: &str, today: Date, emit: Emit<'_>) -> anyhow::Result<()> {
        let firm = firm(dice);
        let electrical = self.letters == ELECTRICAL.letters;
        let (as_of, _) = extract(today);
        let line = Line::new()
            .with("permit_number", permit)
            .maybe(
                "contact_type",
                electrical.then(|| dice.weighted(&[("CONTRACTOR", 90), ("OWNER", 8), ("OTHERS", 2)])),
            )
            .with(if electrical { "company_name" } else { "firm_name" }, &firm.name)
            .with("license_number", firm.license)
            .with("sf_business_license_number", firm.business)
            .with("phone", format!("415555{:04}", dice.below(10_000)))
            .maybe("address", (!electrical).then_some("1 Bryant St"))
            .maybe("street_number", electrical.then_some("1"))
            .maybe("street", electrical.then_some("Bryant"))
            .maybe("street_suffix", electrical.then_some("St"))
            .maybe("city", (!electrical).then_some("San Francisco"))
            .with("state", "CA")
            .with("zipcode", "94107")
            .with("is_applicant", "Y")
            .with("data_as_of", as_of);
        emit(self.contacts, &line.end())
    }
}
