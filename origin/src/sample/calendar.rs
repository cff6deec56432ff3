//! Days and times of the sample, written as SODA's floating timestamps.

use std::fmt;

use jiff::ToSpan as _;
use jiff::civil::{Date, date};

use super::dice::Dice;

/// The city's electronic records begin about here.
pub(super) const FIRST_DAY: Date = date(1982, 1, 4);
/// From this year on the city records the time of day.
const TIMED_SINCE: i16 = 2013;

/// A floating timestamp.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    pub(super) day: Date,
    second: u32,
}

impl Moment {
    /// Some time in the working hours of a day; midnight in the older records.
    pub(super) fn on(dice: &mut Dice, day: Date) -> Self {
        let second = if day.year() >= TIMED_SINCE { dice.between(7 * 3_600, 17 * 3_600) } else { 0 };
        Self { day, second }
    }

    pub(super) const fn midnight(day: Date) -> Self {
        Self { day, second: 0 }
    }

    /// `days` later, but not after `today`.
    pub(super) fn later(self, dice: &mut Dice, days: u32, today: Date) -> Self {
        Self::on(dice, plus(self.day, days).min(today))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute, second) = (self.second / 3_600, self.second / 60 % 60, self.second % 60);
        write!(f, "{}T{hour:02}:{minute:02}:{second:02}.000", self.day)
    }
}

pub(super) fn plus(day: Date, days: u32) -> Date {
    day.saturating_add(i64::from(days).days())
}

pub(super) fn minus(day: Date, days: u32) -> Date {
    day.saturating_sub(i64::from(days).days()).max(FIRST_DAY)
}

/// Whole days from `first` to `last`; zero when `last` is earlier.
pub(super) fn days_between(first: Date, last: Date) -> u32 {
    u32::try_from((last - first).get_days()).unwrap_or(0)
}

/// When the city made the extract, and when it published it: the night before `today`.
pub(super) fn extract(today: Date) -> (String, String) {
    (format!("{}T23:55:01.000", today.saturating_sub(1.days())), format!("{today}T03:30:43.448"))
}
