//! What holds for every rule.

mod bounds;
mod laws;
mod models;

use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::time::Timestamp;

pub(super) const MS: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1000 * MS;
/// 2026-03-01, so that absolute times are as large as real ones; a multiple of the windows in the vectors.
pub(super) const START: Timestamp = Timestamp::from_unix_seconds(1_772_323_200);

pub(super) fn at(ns: u64) -> Timestamp {
    Timestamp::from_unix_nanos(START.as_unix_nanos() + ns)
}

pub(super) fn units(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("numbers of the tests are above zero")
}

pub(super) fn ns(ns: u64) -> Duration {
    Duration::from_nanos(ns)
}

/// What one row of a vector expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// Passes, with so many units left.
    Ok(u32),
    /// Denied for so many milliseconds, with so many units left.
    Wait(u64, u32),
    Never,
}

/// Runs `(time in ms, cost, expectation)` rows against one key.
pub(super) fn check(rule: impl Into<Algorithm>, rows: &[(u64, u32, Expect)]) {
    check_from(rule, None, rows);
}

/// The same from a given state; the leases of a concurrency limit are numbered by the rows.
pub(super) fn check_from(rule: impl Into<Algorithm>, mut stored: Option<State>, rows: &[(u64, u32, Expect)]) {
    let rule = rule.into();
    for (row, (time, cost, expect)) in (0_u64..).zip(rows) {
        let (now, spend) = (at(time * MS), Spend::new(*cost, KEY).with_lease(LeaseId(row)));
        let decision = rule.decide(stored.as_ref(), now, &spend);
        assert_eq!(rule.peek(stored.as_ref(), now, &spend), decision.ruling(), "row {row}");
        let seen = match decision {
            Decision::Allow { next } => {
                stored = Some(next);
                Expect::Ok(rule.remaining(stored.as_ref(), now))
            }
            Decision::Deny { retry_after } => {
                assert_eq!(retry_after.subsec_nanos() % 1_000_000, 0, "row {row}: {retry_after:?}");
                Expect::Wait(retry_after.as_millis() as u64, rule.remaining(stored.as_ref(), now))
            }
            Decision::Never => Expect::Never,
        };
        assert_eq!(seen, *expect, "row {row} at {time} ms");
    }
}

pub(super) const KEY: u128 = 0x2001_0db8_0000_0000_0001;

/// Any rule with small numbers, over times from microseconds to minutes.
pub(super) fn any_rule() -> impl Strategy<Value = Algorithm> {
    let time = prop_oneof![1..2000_u64, 1000..1_000_000_u64, 1_000_000..100_000_000_u64];
    (0..8_u8, 1..12_u32, 1..12_u32, time).prop_map(|(kind, a, b, micros)| {
        let time = Duration::from_micros(micros);
        let sound = "rules of the tests are sound";
        match kind {
            0 => Quota::new(units(a), time, units(b)).expect(sound).into(),
            1 => SlidingWindow::new(units(a), time).expect(sound).into(),
            2 => FixedWindow::new(units(a), Period::per_key(time).expect(sound)).into(),
            3 => FixedWindow::new(units(a), Period::day((b as i16 - 6) * 60).expect(sound)).into(),
            4 => FixedWindow::new(units(a), Period::month((b as i16 - 6) * 60).expect(sound)).into(),
            5 => IntervalBucket::new(units(a), units(b), time).expect(sound).into(),
            6 => SlidingLog::new(units(a), time).expect(sound).into(),
            _ => Concurrency::new(units(a), time).expect(sound).into(),
        }
    })
}

/// Requests of one key before [`START`]: how long before, and the cost.
pub(super) fn any_state(rule: Algorithm) -> impl Strategy<Value = Vec<(u64, u32)>> {
    let window = rule.window().map_or(SECOND, |window| window.as_nanos() as u64);
    prop::collection::vec((0..=2 * window, 0..6_u32), 0..12).prop_map(|mut past| {
        past.sort_by(|a, b| b.cmp(a));
        past
    })
}

/// The state that a key is in after `past`.
pub(super) fn aged(rule: &Algorithm, past: &[(u64, u32)]) -> Option<State> {
    let mut state = None;
    for (lease, (before, cost)) in (1..).zip(past) {
        let now = Timestamp::from_unix_nanos(START.as_unix_nanos() - before);
        if let Decision::Allow { next } =
            rule.decide(state.as_ref(), now, &Spend::new(*cost, KEY).with_lease(LeaseId(lease)))
        {
            state = Some(next);
        }
    }
    state
}
