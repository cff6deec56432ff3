//! The score in a sentence or two.

use jiff::civil::Date;

use super::{Category, Dimension, Input, Tier, days_left, days_since};

pub(super) fn explanation(input: &Input<'_>, tier: Tier, top: &Dimension, category: &Category, today: Date) -> String {
    let mut parts = vec![
        match tier {
            Tier::Critical => "Requires immediate attention",
            Tier::High => "Significant risk factors present",
            Tier::Medium => "Moderate risk — monitor closely",
            Tier::Low => "Minor risk factors",
            Tier::Green => "On track, no action needed",
        }
        .to_owned(),
        format!("Top driver: {} ({:.0}/100)", label(top.name), top.score),
    ];
    match top.name {
        "expiration_proximity" => parts.extend(days_left(input, today).map(|left| match left {
            ..=0 => format!("Permit expired {} days ago", -left),
            _ => format!("Permit expires in {left} days"),
        })),
        "age_staleness" => {
            parts.extend(input.filed.map(|filed| format!("Filed {} days ago", days_since(filed, today))));
            let still = input.status_since.map(|since| days_since(since, today)).filter(|days| *days > 60);
            parts.extend(still.map(|days| format!("No activity in {days} days")));
        }
        "inspection_activity" => parts.push(format!(
            "{} inspections (expected ~{:.0} for {})",
            input.inspections, category.inspections, category.name
        )),
        _ => {}
    }
    parts.join(". ")
}

fn label(dimension: &str) -> &'static str {
    match dimension {
        "inspection_activity" => "Inspection Activity",
        "age_staleness" => "Age / Staleness",
        "expiration_proximity" => "Expiration Proximity",
        "cost_tier" => "Cost Tier",
        _ => "Category Risk",
    }
}
