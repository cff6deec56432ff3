//! The kinds of signals, in words. Which permits and parcels have them, the job `signals` works out each night.

/// One kind of signal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// As the database and the data of pages have it.
    pub(crate) name: &'static str,
    pub(crate) tier: Tier,
    /// What it says, in a few words.
    pub(crate) title: &'static str,
    /// When it is there.
    pub(crate) rule: &'static str,
    /// What someone can do about it.
    pub(crate) advice: &'static str,
}

/// How bad a signal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    AtRisk,
    Behind,
    Slower,
}

impl Tier {
    /// In words.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::AtRisk => "at risk",
            Self::Behind => "behind",
            Self::Slower => "slower",
        }
    }
}

const fn kind(name: &'static str, tier: Tier, title: &'static str, rule: &'static str, advice: &'static str) -> Kind {
    Kind { name, tier, title, rule, advice }
}

/// All kinds, the worst first.
pub(crate) const KINDS: [Kind; 13] = [
    kind(
        "nov",
        Tier::AtRisk,
        "Notice of violation stands",
        "A notice of violation on the parcel is active or open.",
        "Work that the notice asks for needs a permit of its own, mostly.",
    ),
    kind(
        "abatement",
        Tier::AtRisk,
        "Notice on its way to a hearing",
        "Such a notice speaks of abatement, a hearing or the director.",
        "An order recorded against the property follows when nobody comes to the hearing.",
    ),
    kind(
        "hold_comments",
        Tier::AtRisk,
        "Comments wait for an answer",
        "The last word of a station on the plans is “Issued Comments”.",
        "The plans move on when the applicant answers the comments.",
    ),
    kind(
        "hold_stalled_planning",
        Tier::AtRisk,
        "More than a year at planning",
        "The plans have waited for more than 365 days at PPC, CP-ZOC or CPB.",
        "Ask the planner whether the application is still alive.",
    ),
    kind(
        "expired_uninspected",
        Tier::AtRisk,
        "Expired without a final inspection",
        "The permit expired after four inspections or more, none of them a final one that was passed.",
        "Finished work needs a permit that is renewed for its final inspection.",
    ),
    kind(
        "stale_with_activity",
        Tier::AtRisk,
        "Issued long ago, work goes on",
        "Issued more than two years ago, two inspections or more, the last of them within five years, no final one.",
        "Check that the permit has not run out, and ask for an extension in time.",
    ),
    kind(
        "hold_stalled",
        Tier::Behind,
        "More than 30 days at a station",
        "The plans have waited for more than 30 days at a station, and it is not the signal for planning.",
        "Ask the station, or the plan checker who is named in the steps.",
    ),
    kind(
        "station_slow",
        Tier::Behind,
        "Longer than nine of ten reviews",
        "Up to 30 days at a station, and longer than nine of ten reviews there take now.",
        "Ask the station whether something is missing.",
    ),
    kind(
        "expired_minor_activity",
        Tier::Behind,
        "Expired after few inspections",
        "The permit expired after one to three inspections, none of them a final one that was passed.",
        "Finished work needs a permit that is renewed for its final inspection.",
    ),
    kind(
        "expired_inconclusive",
        Tier::Behind,
        "Expired without any inspection",
        "The permit expired and was never inspected, and it is not an over-the-counter permit.",
        "Nothing says whether the work was done.",
    ),
    kind(
        "complaint",
        Tier::Slower,
        "Complaint is open",
        "A complaint about the parcel is active or open, and no notice of violation that stands came of it.",
        "An inspector visits, and closes it or writes a notice.",
    ),
    kind(
        "expired_otc",
        Tier::Slower,
        "Over-the-counter permit expired",
        "An over-the-counter permit expired and was never inspected.",
        "Small work is often done and never inspected.",
    ),
    kind(
        "stale_no_activity",
        Tier::Slower,
        "Issued long ago, no activity",
        "Issued more than two years ago, without recent inspections and without a final one.",
        "Nothing says whether the work was begun.",
    ),
];

/// The kind of this name; `None` for one that another release knows.
pub(crate) fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_that_is_found_has_words_and_the_other_way_round() {
        let job = include_str!("../cron/signals.rs");
        let table = job.split("//! | ").filter_map(|line| line.split('`').nth(1)).collect::<BTreeSet<_>>();
        assert_eq!(table, KINDS.iter().map(|kind| kind.name).collect());
        for kind in KINDS {
            assert!(job.contains(&format!("'{}'", kind.name)), "{} is never written", kind.name);
        }
        assert!(KINDS.is_sorted_by_key(|kind| kind.tier as u8));
    }
}
