//! The bound holds whatever happens, and what the table says is repeatable and as good as it claims.

use super::*;
use crate::measure::Report;

fn thin(kind: Kind, isolates: u32) -> Terms {
    let subjects = Subject::references();
    let isolates = NonZeroU32::new(isolates).expect("some isolates");
    // A tenth of the quota, so that each of ten isolates may keep ten units to itself.
    subjects[0].terms(kind, 100, 1000, isolates).expect("sound terms")
}

/// Runs a scenario, and prints how to see it again if it fails.
fn run(kind: Kind, isolates: u32, load_permille: u64, traffic: Traffic, faults: Faults, seed: u64) -> Report {
    let terms = thin(kind, isolates);
    let duration = Duration::from_secs(40);
    let scenario = Scenario { terms, isolates, load_permille, duration, traffic, faults, seed };
    let report = world::run(scenario);
    let row = Row::new("thin", kind, &scenario, report.clone());
    let replay = format!("cargo xtask simulate --epsilon 100 {}", row.replay(seed));
    assert!(report.keeps_its_bound(), "{report:?}; again with: {replay}");
    report
}

#[test]
fn no_mode_exceeds_its_bound_whatever_goes_wrong() {
    for seed in 1..=4 {
        for kind in [Kind::Exact, Kind::Lease, Kind::Async] {
            for traffic in Traffic::value_variants().iter().copied() {
                for isolates in [1, 7, 50] {
                    run(kind, isolates, 3000, traffic, Faults::ALL, seed);
                    run(kind, isolates, 950, traffic, Faults::USUAL, seed);
                }
            }
        }
    }
}

#[test]
fn a_seed_says_everything() {
    let once = run(Kind::Lease, 20, 1500, Traffic::Steady, Faults::ALL, 9);
    let again = run(Kind::Lease, 20, 1500, Traffic::Steady, Faults::ALL, 9);
    assert_eq!(once, again);
    assert_ne!(once, run(Kind::Lease, 20, 1500, Traffic::Steady, Faults::ALL, 10));
}

#[test]
fn on_a_usual_day_nearly_all_that_fits_is_admitted() {
    for (kind, calls_max_permille) in [(Kind::Exact, 1050), (Kind::Lease, 450), (Kind::Async, 450)] {
        let report = run(kind, 10, 500, Traffic::Steady, Faults::USUAL, 3);
        assert!(report.admitted * 1000 >= report.ideal * 995, "{kind:?}: {report:?}");
        assert!(report.calls * 1000 <= report.requests * calls_max_permille, "{kind:?}: {report:?}");
    }
}

#[test]
fn what_is_held_stays_below_its_cap() {
    for traffic in Traffic::value_variants().iter().copied() {
        let report = run(Kind::Lease, 30, 3000, traffic, Faults::USUAL, 5);
        assert!(report.held_max <= 100, "{report:?}");
    }
}

#[test]
fn above_the_limit_a_refusal_spares_many_calls_and_costs_few_units() {
    for (isolates, calls_max_permille) in [(10, 150), (50, 350)] {
        let report = run(Kind::Lease, isolates, 3000, Traffic::Steady, Faults::USUAL, 3);
        assert!(report.admitted * 1000 >= report.ideal * 980, "{isolates}: {report:?}");
        assert!(report.calls * 1000 <= report.requests * calls_max_permille, "{isolates}: {report:?}");
    }
}
