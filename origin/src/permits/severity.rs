//! How much a permit needs attention: a score from 0 to 100, what drives it, and why.
//!
//! A pure function of one permit, the number of its inspections and the day. The score is that of the replaced site to
//! the last digit, which 200 cases computed there hold it to; sums therefore run in the order of the table, in `f64`.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Serialize;

mod category;
mod explain;

pub(crate) use self::category::Category;

/// What is known of a permit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Input<'a> {
    pub(crate) status: &'a str,
    pub(crate) permit_type_definition: &'a str,
    pub(crate) description: &'a str,
    pub(crate) filed: Option<Date>,
    pub(crate) issued: Option<Date>,
    pub(crate) status_since: Option<Date>,
    pub(crate) estimated_cost: Option<f64>,
    pub(crate) revised_cost: Option<f64>,
    /// Inspections whose reference is the permit's number.
    pub(crate) inspections: u32,
}

/// How much a permit needs attention.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Severity {
    pub(crate) score: u8,
    pub(crate) tier: Tier,
    pub(crate) category: &'static str,
    pub(crate) dimensions: [Dimension; 5],
    /// The dimension with the largest share of the score.
    pub(crate) top_driver: &'static str,
    /// `medium` where the absence of inspections may be a gap in the data.
    pub(crate) confidence: &'static str,
    pub(crate) explanation: String,
}

/// One part of the score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Dimension {
    pub(crate) name: &'static str,
    /// From 0 to 100, rounded to one decimal.
    pub(crate) score: f64,
    pub(crate) weight: f64,
}

/// Bands of the score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Tier {
    Critical,
    High,
    Medium,
    Low,
    Green,
}

/// Dimensions and their weights, in the order of the sum.
const DIMENSIONS: [(&str, f64); 5] = [
    ("inspection_activity", 0.25),
    ("age_staleness", 0.25),
    ("expiration_proximity", 0.20),
    ("cost_tier", 0.15),
    ("category_risk", 0.15),
];

impl Tier {
    fn of(score: u8) -> Self {
        match score {
            80.. => Self::Critical,
            60.. => Self::High,
            40.. => Self::Medium,
            20.. => Self::Low,
            _ => Self::Green,
        }
    }
}

/// Scores a permit as it stands on `today`.
pub(crate) fn score(input: &Input<'_>, today: Date) -> Severity {
    let status = input.status.to_lowercase();
    let category = Category::of(input.description, input.permit_type_definition);
    let raw = [
        inspection_activity(input, &status, category, today),
        age_staleness(input, &status, today),
        expiration_proximity(input, today),
        cost_tier(cost(input)),
        f64::from(category.risk),
    ];
    let mut sum = 0.0;
    for (value, (_, weight)) in raw.iter().zip(DIMENSIONS) {
        sum += value * weight;
    }
    // Clamped to 0..=100, so it fits.
    let score = sum.clamp(0.0, 100.0).round_ties_even() as u8;
    let dimensions = std::array::from_fn(|index| {
        let (name, weight) = DIMENSIONS[index];
        Dimension { name, score: one_decimal(raw[index]), weight }
    });
    let tier = Tier::of(score);
    let top = top(&dimensions);
    let unseen = input.inspections == 0 && status == "issued";
    Severity {
        score,
        tier,
        category: category.name,
        dimensions,
        top_driver: top.name,
        confidence: if unseen { "medium" } else { "high" },
        explanation: explain::explanation(input, tier, &top, category, today),
    }
}

/// The first dimension with the largest share.
fn top(dimensions: &[Dimension; 5]) -> Dimension {
    let mut top = dimensions[0];
    for dimension in &dimensions[1..] {
        if dimension.score * dimension.weight > top.score * top.weight {
            top = *dimension;
        }
    }
    top
}

/// Rounded to one decimal, half to even on the exact binary value, which is how the formatter rounds.
fn one_decimal(value: f64) -> f64 {
    format!("{value:.1}").parse().unwrap_or(value)
}

/// Days from `date` to `today`; negative for a date to come.
fn days_since(date: Date, today: Date) -> i32 {
    (today - date).get_days()
}

/// The revised cost, even when it is zero, else the estimate.
fn cost(input: &Input<'_>) -> f64 {
    input.revised_cost.or(input.estimated_cost).unwrap_or(0.0)
}

/// How many days a permit stays valid once issued, by Table B of the building code.
pub(crate) fn validity_days(permit_type_definition: &str, cost: f64) -> i32 {
    if permit_type_definition.to_lowercase().contains("demolition") {
        180
    } else if cost >= 2_500_000.0 {
        1440
    } else if cost >= 100_001.0 {
        1080
    } else {
        360
    }
}

fn inspection_activity(input: &Input<'_>, status: &str, category: &Category, today: Date) -> f64 {
    let done = f64::from(input.inspections);
    let ratio = done / category.inspections;
    match (status, input.issued) {
        ("complete", _) if input.inspections == 0 && category.is_life_safety() => 90.0,
        ("complete", _) if input.inspections == 0 && category.is_much_inspected() => 70.0,
        ("complete", _) if input.inspections == 0 => 30.0,
        ("complete", _) if ratio >= 1.0 => 0.0,
        ("complete", _) => clamp((1.0 - ratio) * 50.0),
        ("issued", Some(issued)) => {
            let days = days_since(issued, today);
            let years = (f64::from(days) / 365.0).min(2.0);
            if days < 30 {
                0.0
            } else if input.inspections == 0 && category.is_life_safety() {
                clamp(40.0 + 30.0 * years)
            } else if input.inspections == 0 {
                clamp(20.0 + 20.0 * years)
            } else if ratio >= 0.5 {
                0.0
            } else {
                clamp((0.5 - ratio) * 40.0)
            }
        }
        _ => 0.0,
    }
}

fn age_staleness(input: &Input<'_>, status: &str, today: Date) -> f64 {
    let age = input.filed.map_or(0, |filed| days_since(filed, today));
    let mut staleness = if age > 0 { clamp(f64::from(age) / 1460.0 * 100.0) } else { 0.0 };
    if let Some(still) = input.status_since.map(|since| days_since(since, today)).filter(|days| *days > 60) {
        staleness = clamp(staleness + (f64::from(still - 60) / 300.0 * 40.0).clamp(0.0, 40.0));
    }
    if status == "complete" {
        staleness *= 0.1;
    }
    clamp(staleness)
}

/// Days until the permit expires, negative when it has; only for one that is issued.
fn days_left(input: &Input<'_>, today: Date) -> Option<i32> {
    let issued = input.issued.filter(|_| input.status.eq_ignore_ascii_case("issued"))?;
    Some(validity_days(input.permit_type_definition, cost(input)) - days_since(issued, today))
}

fn expiration_proximity(input: &Input<'_>, today: Date) -> f64 {
    match days_left(input, today) {
        None => 0.0,
        Some(..=0) => 100.0,
        Some(..=30) => 90.0,
        Some(..=90) => 70.0,
        Some(..=180) => 50.0,
        Some(left @ ..=360) => (f64::from(360 - left) / 180.0 * 25.0).clamp(0.0, 25.0),
        Some(_) => 0.0,
    }
}

fn cost_tier(cost: f64) -> f64 {
    match cost {
        cost if cost <= 0.0 => 0.0,
        cost if cost >= 2_500_000.0 => 100.0,
        cost if cost >= 1_000_000.0 => 80.0,
        cost if cost >= 500_000.0 => 60.0,
        cost if cost >= 200_000.0 => 40.0,
        cost if cost >= 50_000.0 => 20.0,
        _ => 10.0,
    }
}

fn clamp(value: f64) -> f64 {
    value.clamp(0.0, 100.0)
}

#[cfg(test)]
mod tests;
