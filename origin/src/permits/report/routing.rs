//! How far a permit's plan review has come.

use jiff::civil::{Date, DateTime};
use schemars::JsonSchema;
use serde::Serialize;

use crate::permits::record::{Pace, Step};

/// A step that arrived longer ago than this many days and has neither finished nor a stated hold is stalled.
pub const STALLED_AFTER_DAYS: i32 = 30;

/// Progress through the stations of the latest revision.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
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
    /// Steps that wait longer than their stations usually take, as last computed.
    pub(crate) stuck: Vec<Stuck>,
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

/// A step that waits longer than its station usually takes.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Stuck {
    pub(crate) station: String,
    /// Days since it arrived there.
    pub(crate) days: i32,
    /// The median of the station, where it is known.
    pub(crate) p50_days: Option<f64>,
    pub(crate) status: StuckStatus,
}

/// How long beyond the usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum StuckStatus {
    /// Longer than three reviews of four take, or there are comments to answer.
    Stalled,
    /// Longer than nine of ten take.
    Critical,
}

/// Days that are long at a station whose pace is not known, and very long.
const STALLED_WITHOUT_PACE_DAYS: i32 = 45;
const CRITICAL_WITHOUT_PACE_DAYS: i32 = 90;

/// How a wait of so many days at a station compares with its usual pace.
fn stuck(step: &Step, station: &str, days: i32, paces: &[Pace]) -> Option<Stuck> {
    let kind = if step.addenda_number.unwrap_or(0) > 0 { "revision" } else { "initial" };
    let pace = paces.iter().find(|pace| pace.station == station && pace.metric_type == kind);
    let waited = f64::from(days);
    let (stalled, critical) = match pace {
        Some(Pace { p75_days: Some(long), p90_days: Some(longest), .. }) => (waited > *long, waited > *longest),
        _ => (days > STALLED_WITHOUT_PACE_DAYS, days > CRITICAL_WITHOUT_PACE_DAYS),
    };
    let commented = step.review_results.as_deref().is_some_and(|result| result.to_lowercase().contains("comment"));
    let status = match (critical, stalled || commented) {
        (true, _) => StuckStatus::Critical,
        (false, true) => StuckStatus::Stalled,
        (false, false) => return None,
    };
    Some(Stuck { station: station.to_owned(), days, p50_days: pace.and_then(|pace| pace.p50_days), status })
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
pub(crate) fn progress(steps: &[Step], paces: &[Pace], today: Date) -> Option<Routing> {
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
    let mut waiting = Vec::new();
    for step in steps.iter().filter(|step| step.finish_date.is_none()) {
        let name = station(step);
        if !pending_stations.contains(&name) {
            pending_stations.push(name.clone());
        }
        let held = step.hold_description.as_deref().is_some_and(|hold| !hold.trim().is_empty());
        let days = step.arrive.and_then(|arrive| arrive.date().until(today).ok()).map(|span| span.get_days());
        waiting.extend(days.and_then(|days| stuck(step, &name, days, paces)));
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
        stuck: waiting,
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
        let routing = progress(&steps, &[], TODAY).unwrap();
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
            let routing = progress(&[step("CPB", Some(arrive), None, "", "")], &[], TODAY).unwrap();
            assert_eq!(!routing.stalled.is_empty(), stalled, "{arrive}");
        }
    }

    #[test]
    fn a_word_in_an_unfinished_step_is_no_result() {
        let routing = progress(&[step("CPB", None, None, "Approved with comments", "")], &[], TODAY).unwrap();
        assert_eq!((routing.approved, routing.comments), (0, 0));
    }

    #[test]
    fn nothing_to_review_has_no_progress() {
        assert_eq!(progress(&[], &[], TODAY), None);
        let done = progress(&[step("CPB", None, Some(TODAY), "Approved", "")], &[], TODAY).unwrap();
        assert!(done.is_all_clear);
        assert_eq!(done.pct, 100);
    }

    #[test]
    fn a_wait_is_compared_with_what_the_station_usually_takes() {
        let pace = |kind: &str| Pace {
            station: "BLDG".into(),
            metric_type: kind.into(),
            p50_days: Some(5.0),
            p75_days: Some(10.0),
            p90_days: Some(20.0),
        };
        let paces = [pace("revision")];
        let arrived = |days: i32| Some(TODAY.saturating_sub(jiff::Span::new().days(days)));
        for (station, days, result, expected) in [
            ("BLDG", 10, "", None),
            ("BLDG", 11, "", Some(StuckStatus::Stalled)),
            ("BLDG", 21, "", Some(StuckStatus::Critical)),
            ("BLDG", 1, "Issued Comments", Some(StuckStatus::Stalled)),
            ("SFFD", 45, "", None),
            ("SFFD", 46, "", Some(StuckStatus::Stalled)),
            ("SFFD", 91, "", Some(StuckStatus::Critical)),
        ] {
            let routing = progress(&[step(station, arrived(days), None, result, "")], &paces, TODAY).unwrap();
            assert_eq!(routing.stuck.first().map(|stuck| stuck.status), expected, "{station} {days}");
        }
    }
}
