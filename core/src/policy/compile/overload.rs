//! The table `[overload]`.

use super::PolicyError;
use super::reader::Section;
use crate::overload::{Config, Law, Settings};

pub(super) fn read(root: &Section<'_>) -> Result<Config, PolicyError> {
    let Some(entry) = root.get("overload") else { return Ok(Config::default()) };
    let section = entry.section()?;
    let default = Settings::default();
    let is_gradient = section.choice("law", [("gradient", true), ("additive", false)])?;
    let (law, own) = if is_gradient { read_gradient(&section)? } else { read_additive(&section)? };
    let mut known = alloc::vec![
        "law",
        "limit_min",
        "limit_start",
        "limit_max",
        "sample_calls",
        "sample_time",
        "normal_permille",
        "sheddable_permille",
    ];
    known.extend(own);
    section.only(&known)?;
    let limit = |key, default| section.whole_or(key, 1..=Settings::LIMIT_MAX, default);
    let part = |key, default| section.whole_or(key, 1..=1000, default);
    let settings = Settings {
        law,
        limit_min: limit("limit_min", default.limit_min)?,
        limit_start: limit("limit_start", default.limit_start)?,
        limit_max: limit("limit_max", default.limit_max)?,
        sample_calls: section.whole_or("sample_calls", 1..=1000, default.sample_calls)?,
        sample_time: section.time_or(
            "sample_time",
            core::time::Duration::ZERO..=Settings::SAMPLE_TIME_MAX,
            default.sample_time,
        )?,
        normal_permille: part("normal_permille", default.normal_permille)?,
        sheddable_permille: part("sheddable_permille", default.sheddable_permille)?,
    };
    Config::new(settings).map_err(|error| section.unfit(&error))
}

/// A law, and the options that only it has.
type Read = (Law, [&'static str; 2]);

fn read_gradient(section: &Section<'_>) -> Result<Read, PolicyError> {
    let law = Law::Gradient {
        tolerance_permille: section.whole_or("tolerance_permille", 0..=1000, TOLERANCE_PERMILLE_DEFAULT)?,
        measure_every: section.time_or("measure_every", Settings::MEASURE_EVERY, MEASURE_EVERY_DEFAULT)?,
    };
    Ok((law, ["tolerance_permille", "measure_every"]))
}

fn read_additive(section: &Section<'_>) -> Result<Read, PolicyError> {
    let latency_max = section.require("latency_max")?;
    let law = Law::Additive {
        latency_max: latency_max.time(Settings::LATENCY_MAX, super::reader::MILLISECOND)?,
        decrease_permille: section.whole_or("decrease_permille", 500..=999, DECREASE_PERMILLE_DEFAULT)?,
    };
    Ok((law, ["latency_max", "decrease_permille"]))
}

const TOLERANCE_PERMILLE_DEFAULT: u16 = 250;
const MEASURE_EVERY_DEFAULT: core::time::Duration = core::time::Duration::from_secs(60);
const DECREASE_PERMILLE_DEFAULT: u16 = 900;
