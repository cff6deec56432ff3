//! How far a permit's plan review has come.

use jiff::civil::{Date, DateTime};
use schemars::JsonSchema;
use serde::Serialize;

use crate::permits::record::Step;

/// A step that arrived longer ago than this many days and has neither finished nor a stated hold is stalled.
pub const STALLED_AFTER_DAYS: i32 = 30;

/// Progress through the stations of the latest revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Routing {
    /// 0 is the first review; each revision counts up.
    pub(crate) addenda_number: Option<i32>,
    pub(crate) total: usize,
    pub(crate) completed: usize,
    /// Completed steps that ended in approval.
    pub(crate) approved: usize,
    /// Completed steps that ended in comments to answer.
    pub(crate) comments: usize,
    pub(crate) pending: usize,
    /// Whole percent of the steps completed, rounded down.
    pub(crate) pct: usize,
    /// Every step is completed and none asked for changes.
    pub(crate) is_all_clear: bool,
    /// Stations that have not finished, in order, each once.
    pub(crate) pending_stations: Vec<String>,
    pub(crate) stalled: Vec<Stalled>,
    /// The step that finished last.
    pub(crate) latest: Option<Latest>,
}

/// A step that nobody has touched for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Stalled {
    pub(crate) station: String,
    /// Days since it arrived there.
    pub(crate) days: i32,
}

/// The step that finished last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Latest {
    pub(crate) station: String,
    pub(crate) result: Option<String>,
    pub(crate) date: DateTime,
}

/// Reads the progress off the steps of one revision; `None` when there are none. `today` is the date in San
/// Francisco; steps that arrive after it are not stalled.
pub(crate) fn progress(steps: &[Step], today: Date) -> Option<Routing> {
    let first = steps.first()?;
    let station = |step: &Step| step.station.clone().unwrap_or_else(|| "no station".to_owned());
    let result_has = |step: &Step, word: &str| {
        let result = step.review_results.as_deref().unwrap_or_default();
        step.finish_date.is_some() && result.to_ascii_lowercase().contains(word)
    };
    let completed = steps.iter().filter(|step| step.finish_date.is_some()).count();
    let comments = steps.iter().filter(|step| result_has(step, "comment")).count();

    let mut pending_stations = Vec::new();
    let mut stalled = Vec::new();
    for step in steps.iter().filter(|step| step.finish_date.is_none()) {
        let name = station(step);
        if !pending_stations.contains(&name) {
            pending_stations.push(name.clone());
        }
        let held = step.hold_description.as_deref().is_some_and(|hold| !hold.trim().is_empty());
        let days = step.arrive.and_then(|arrive| arrive.date().until(today).ok()).map(|span| span.get_days());
        if let Some(days) = days.filter(|days| !held && *days > STALLED_AFTER_DAYS) {
            stalled.push(Stalled { station: name, days });
        }
    }
    let finished = steps.iter().filter_map(|step| Some((step.finish_date?, step)));
    let latest = finished.max_by_key(|(date, _)| *date).map(|(date, step)| Latest {
        station: station(step),
        result: step.review_results.clone(),
        date,
    });
    Some(Routing {
        addenda_number: first.addenda_number,
        total: steps.len(),
        completed,
        approved: steps.iter().filter(|step| result_has(step, "approv")).count(),
        comments,
        pending: steps.len() - completed,
        pct: completed * 100 / steps.len(),
        is_all_clear: completed == steps.len() && comments == 0,
        pending_stations,
        stalled,
        latest,
    })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const TODAY: Date = date(2024, 3, 1);

    fn step(station: &str, arrive: Option<Date>, finish: Option<Date>, result: &str, hold: &str) -> Step {
        let midnight = |date: Date| date.at(0, 0, 0, 0);
        Step {
            station: Some(station.into()),
            arrive: arrive.map(midnight),
            finish_date: finish.map(midnight),
            review_results: Some(result.into()),
            hold_description: Some(hold.into()),
            addenda_number: Some(1),
            ..Step::default()
        }
    }

    #[test]
    fn counts_of_a_review_under_way() {
        let long_ago = Some(date(2023, 1, 1));
        let steps = [
            step("CPB", long_ago, Some(date(2023, 1, 2)), "Approved", ""),
            step("BLDG", long_ago, Some(date(2023, 2, 1)), "Issued Comments", ""),
            step("SFFD", long_ago, None, "", " "),
            step("SFFD", long_ago, None, "", "waiting for drawings"),
            step("PPC", None, None, "", ""),
        ];
        let routing = progress(&steps, TODAY).unwrap();
        assert_eq!((routing.total, routing.completed, routing.pending), (5, 2, 3));
        assert_eq!((routing.approved, routing.comments, routing.pct), (1, 1, 40));
        assert_eq!(routing.pending_stations, ["SFFD", "PPC"]);
        assert_eq!(routing.stalled, [Stalled { station: "SFFD".into(), days: 425 }]);
        assert_eq!(routing.latest.unwrap().station, "BLDG");
        assert!(!routing.is_all_clear);
        assert_eq!(routing.addenda_number, Some(1));
    }

    #[test]
    fn stalled_begins_after_the_thirtieth_day() {
        for (arrive, stalled) in [
            (date(2024, 1, 31), false), // 30 days
            (date(2024, 1, 30), true),  // 31 days
            (TODAY, false),
            (date(2024, 3, 2), false),
            (Date::MIN, true),
            (Date::MAX, false),
        ] {
            let routing = progress(&[step("CPB", Some(arrive), None, "", "")], TODAY).unwrap();
            assert_eq!(!routing.stalled.is_empty(), stalled, "{arrive}");
        }
    }

    #[test]
    fn a_word_in_an_unfinished_step_is_no_result() {
        let routing = progress(&[step("CPB", None, None, "Approved with comments", "")], TODAY).unwrap();
        assert_eq!((routing.approved, routing.comments), (0, 0));
    }

    #[test]
    fn nothing_to_review_has_no_progress() {
        assert_eq!(progress(&[], TODAY), None);
        let done = progress(&[step("CPB", None, Some(TODAY), "Approved", "")], TODAY).unwrap();
        assert!(done.is_all_clear);
        assert_eq!(done.pct, 100);
    }
}
