//! Plan review: the stations that a permit's plans pass.

use jiff::civil::Date;

use super::calendar::{Moment, extract};
use super::contact::LAST_NAMES;
use super::dice::Dice;
use super::line::Line;
use super::permit::{Kind, Permit};
use super::{Emit, Numbers};
use crate::soda::datasets::{DATASETS, Dataset};

const DATASET: &Dataset = &DATASETS[3];

/// Emits the steps of one permit, 3.7 on average, revisions included.
pub(super) fn emit(
    dice: &mut Dice,
    numbers: &mut Numbers,
    permit: &Permit,
    today: Date,
    emit: Emit<'_>,
) -> anyhow::Result<()> {
    let steps = match permit.kind {
        Kind::OverTheCounter | Kind::Sign | Kind::PaintedSign => dice.between(1, 4),
        Kind::Alteration | Kind::Demolition => dice.between(2, 7),
        Kind::NewWoodFrame | Kind::New => dice.between(3, 9),
    };
    // Permits that were dropped left few steps behind.
    let steps = if permit.status.is_issued() || permit.status.is_open() { steps } else { steps.min(3) };
    let revisions = if dice.chance(30) { dice.between(1, 2) } else { 0 };
    let mut arrive = permit.filed;
    for addenda_number in 0..=revisions {
        for step in 1..=(if addenda_number == 0 { steps } else { 2 }) {
            let last = addenda_number == revisions && step == steps;
            // Plans of a permit that is not issued yet still lie at their last station.
            let waiting = last && permit.status.is_open() && permit.issued.is_none();
            numbers.steps += 1;
            let station = if step == 1 { STATIONS[0].0 } else { dice.weighted(STATIONS) };
            let finish = (!waiting).then(|| {
                let days = dice.small(station.days * 3, 2);
                arrive.later(dice, days, today)
            });
            let place = Place { addenda_number, step, station, arrive, finish };
            emit(DATASET, &row(dice, numbers.steps, permit, &place, today))?;
            let pause = dice.small(6, 2);
            arrive = finish.unwrap_or(arrive).later(dice, pause, today);
        }
    }
    Ok(())
}

struct Place {
    addenda_number: u32,
    step: u32,
    station: Station,
    arrive: Moment,
    finish: Option<Moment>,
}

fn row(dice: &mut Dice, id: u64, permit: &Permit, place: &Place, today: Date) -> String {
    let (as_of, loaded) = extract(today);
    let reviewer =
        format!("{} {}", dice.pick(LAST_NAMES).to_uppercase(), dice.pick(&["A", "B", "C", "D", "J", "M", "R"]));
    let result = (place.finish.is_some() && dice.chance(94)).then(|| dice.weighted(RESULTS));
    let hold = dice.chance(344).then(|| dice.pick(HOLDS));
    Line::new()
        .with("primary_key", format!("{}_{}_{}_{id}", permit.number, place.addenda_number, place.step))
        .with("application_number", &permit.number)
        .with("addenda_number", place.addenda_number)
        .with("step", place.step)
        .with("station", place.station.name)
        .with("arrive", place.arrive)
        .with("assign_date", place.arrive)
        .maybe("start_date", place.finish.map(|_| place.arrive))
        .maybe("finish_date", place.finish)
        .maybe(
            "approved_date",
            permit.issued.filter(|_| place.finish.is_some()).map(|moment| Moment::midnight(moment.day)),
        )
        .maybe("plan_checked_by", place.finish.map(|_| reviewer))
        .maybe("review_results", result)
        .maybe("hold_description", hold)
        .with("addenda_status", if place.finish.is_some() { "APPROVED" } else { "IN REVIEW" })
        .with("department", place.station.department)
        .with("title", if place.addenda_number == 0 { "SITE PERMIT" } else { "ADDENDUM" })
        .with("data_as_of", as_of)
        .with("data_loaded_at", loaded)
        .end()
}

#[derive(Clone, Copy)]
struct Station {
    name: &'static str,
    department: &'static str,
    /// Days that plans stay there, on average.
    days: u32,
}

const fn station(name: &'static str, department: &'static str, days: u32) -> Station {
    Station { name, department, days }
}

/// Shares in tenths of a percent and days, as measured over the city's routing.
const STATIONS: &[(Station, u32)] = &[
    (station("CPB", "DBI", 5), 280),
    (station("BLDG", "DBI", 3), 106),
    (station("CP-ZOC", "CPC", 6), 86),
    (station("SFFD", "SFFD", 24), 79),
    (station("INTAKE", "DBI", 1), 69),
    (station("CNT-PC", "DBI", 1), 59),
    (station("MECH", "DBI", 12), 50),
    (station("DPW-BSM", "DPW", 18), 48),
    (station("PPC", "DBI", 174), 45),
    (station("SFPUC", "PUC", 9), 40),
    (station("MECH-E", "DBI", 14), 38),
    (station("PID-PC", "DBI", 10), 36),
    (station("HEALTH", "DPH", 15), 34),
    (station("CP-NP", "CPC", 30), 30),
];

const RESULTS: &[(&str, u32)] = &[
    ("Approved", 55),
    ("Issued Comments", 25),
    ("Approved-Stipulated", 10),
    ("Administrative", 6),
    ("Not Applicable", 4),
];

const HOLDS: &[&str] = &[
    "Plans in bin, waiting for recheck.",
    "Comments issued; applicant to resubmit.",
    "Fees paid, route to next station.",
    "Approved over the counter.",
    "Hold for planning approval of scope.",
    "Applicant to provide structural calculations.",
];
