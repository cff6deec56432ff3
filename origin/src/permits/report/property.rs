//! What the assessor knows of a parcel.

use schemars::JsonSchema;
use serde::Serialize;

use crate::permits::record::TaxRoll;

/// The newest tax roll, and how the assessed value went.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Profile {
    /// Land and improvements together, where the roll has either.
    pub(crate) assessed_value: Option<f64>,
    #[serde(flatten)]
    pub(crate) roll: TaxRoll,
    /// Year and assessed value, the newest first.
    pub(crate) history: Vec<(i32, f64)>,
}

impl Profile {
    /// Reads rolls that come newest first; `None` without any.
    pub(super) fn of(rolls: Vec<TaxRoll>) -> Option<Self> {
        let history = rolls.iter().filter_map(|roll| Some((roll.tax_year?, assessed(roll)?))).collect();
        let roll = rolls.into_iter().next()?;
        Some(Self { assessed_value: assessed(&roll), roll, history })
    }

    /// Whether the zone is for single homes, where little may be added.
    pub(super) fn is_restricted(&self) -> bool {
        let zone = self.roll.zoning_code.as_deref().unwrap_or_default().trim().to_ascii_uppercase();
        matches!(zone.as_str(), "RH-1" | "RH-1(D)" | "RH-1(S)" | "RH-1D" | "RH-1S")
    }
}

fn assessed(roll: &TaxRoll) -> Option<f64> {
    match (roll.assessed_land_value, roll.assessed_improvement_value) {
        (None, None) => None,
        (land, improvement) => Some(land.unwrap_or(0.0) + improvement.unwrap_or(0.0)),
    }
}
