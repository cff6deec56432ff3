//! What happened on a parcel, year by year.

use jiff::civil::DateTime;

use crate::error::Error;
use crate::pages::plot::{Form, Plot, Series};
use crate::pages::text::thousands;
use crate::permits::report::Report;

/// Years that are drawn, the last ones: as many as have room side by side on a phone.
pub(super) const YEARS_MAX: usize = 25;

/// Years before it are errors of typing: the city's own records begin after the fire of 1906.
const YEAR_MIN: i16 = 1906;

/// A plot of permits, complaints and notices filed in each year; empty when none has a date that can be true.
pub(super) fn plot(report: &Report) -> Result<String, Error> {
    let permits = report.permits.iter().filter_map(|permit| permit.permit.filed_date);
    let complaints = report.complaints.iter().filter_map(|complaint| complaint.date_filed);
    let violations = report.violations.iter().filter_map(|violation| violation.date_filed);
    let kinds =
        [("Permits", years(permits)), ("Complaints", years(complaints)), ("Notices of violation", years(violations))];
    let all = || kinds.iter().flat_map(|(_, years)| years.iter().copied());
    let (Some(first), Some(last)) = (all().min(), all().max()) else { return Ok(String::new()) };
    let drawn: Vec<i16> = (first..=last).rev().take(YEARS_MAX).collect::<Vec<_>>().into_iter().rev().collect();
    let Some(from) = drawn.first().copied() else { return Ok(String::new()) };
    let earlier = all().filter(|year| *year < from).count();
    let series: Vec<Series> = kinds
        .iter()
        .filter(|(_, years)| !years.is_empty())
        .map(|(name, years)| Series {
            name: (*name).to_owned(),
            values: drawn.iter().map(|year| Some(years.iter().filter(|other| *other == year).count() as f64)).collect(),
        })
        .collect();
    let busiest = drawn.iter().rev().max_by_key(|year| all().filter(|other| other == *year).count());
    let before = if earlier > 0 { format!(" {earlier} more lie before {from}.") } else { String::new() };
    let description = format!(
        "Filed between {first} and {last}, most of them in {}.{before}",
        busiest.map_or_else(String::new, i16::to_string)
    );
    let title = match earlier {
        0 => "Filed in each year".to_owned(),
        _ => format!("Filed in each year ({} before {from})", thousands(earlier as i64)),
    };
    let labels = drawn.iter().map(i16::to_string).collect();
    Plot { title, unit: "", description, form: Form::Bars, label: "Year", labels, series }.html("years")
}

fn years(days: impl Iterator<Item = DateTime>) -> Vec<i16> {
    days.map(DateTime::year).filter(|year| *year >= YEAR_MIN).collect()
}
