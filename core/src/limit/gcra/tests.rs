//! The algorithm's reference vectors, its invariants, and a slow token bucket to compare with.

use alloc::vec::Vec;
use core::ops::Range;

use proptest::prelude::*;

use super::*;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
/// 2026-03-01, so that absolute times are as large as real ones.
const START: u64 = 1_772_323_200 * SECOND;

fn quota(limit: u32, window_ns: u64, burst: u32) -> Quota {
    let units = |number| NonZeroU32::new(number).expect("quotas of the tests are above zero");
    Quota::new(units(limit), Duration::from_nanos(window_ns), units(burst)).expect("quotas of the tests are sound")
}

fn at(ns: u64) -> Timestamp {
    Timestamp::from_unix_nanos(START + ns)
}

/// What one row of a vector expects.
#[derive(Debug, PartialEq, Eq)]
enum Expect {
    /// Passes, with so many units left.
    Ok(u32),
    /// Denied for so many nanoseconds, with so many units left.
    Wait(u64, u32),
    Never,
}
use Expect::{Never, Ok, Wait};

/// Runs `(time in ns, cost, expectation)` rows against one key.
fn check(quota: Quota, rows: &[(u64, u32, Expect)]) {
    let mut stored = None;
    for (row, (time, cost, expect)) in rows.iter().enumerate() {
        let seen = match quota.decide(stored, at(*time), *cost) {
            Decision::Allow { next } => {
                stored = Some(next);
                Ok(quota.remaining(stored, at(*time)))
            }
            Decision::Deny { retry_after } => Wait(nanos(retry_after), quota.remaining(stored, at(*time))),
            Decision::Never => Never,
        };
        assert_eq!(seen, *expect, "row {row} at {time}");
    }
}

#[test]
fn five_for_each_second() {
    check(
        quota(5, SECOND, 5),
        &[
            (0, 1, Ok(4)),
            (0, 1, Ok(3)),
            (0, 1, Ok(2)),
            (0, 1, Ok(1)),
            (0, 1, Ok(0)),
            (0, 1, Wait(200 * MS, 0)),
            (199 * MS, 1, Wait(MS, 0)),
            (200 * MS, 1, Ok(0)),
            (200 * MS, 1, Wait(200 * MS, 0)),
            (1000 * MS, 4, Ok(0)),
            (1000 * MS, 1, Wait(200 * MS, 0)),
            (1000 * MS, 2, Wait(400 * MS, 0)),
            (5000 * MS, 5, Ok(0)),
            (5000 * MS, 1, Wait(200 * MS, 0)),
            // The clock steps back.
            (4000 * MS, 1, Wait(1200 * MS, 0)),
            (4000 * MS, 6, Never),
        ],
    );
}

#[test]
fn a_rate_that_does_not_divide_is_rounded_against_the_client() {
    let third = quota(3, SECOND, 1);
    assert_eq!(third.interval_ns, 333_333_334);
    check(
        third,
        &[
            (0, 1, Ok(0)),
            (333 * MS, 1, Wait(333_334, 0)),
            (334 * MS, 1, Ok(0)),
            (667 * MS, 1, Wait(333_334, 0)),
            (668 * MS, 1, Ok(0)),
        ],
    );
}

/// A published limiter stored no state at all for this quota, and so never limited.
#[test]
fn six_thousand_for_each_second_are_six_thousand() {
    let quota = quota(6000, SECOND, 6000);
    let mut stored = None;
    for admitted in 0..6000 {
        let Decision::Allow { next } = quota.decide(stored, at(0), 1) else { panic!("denied after {admitted}") };
        stored = Some(next);
    }
    assert_eq!(quota.decide(stored, at(0), 1), Decision::Deny { retry_after: Duration::from_nanos(166_667) });
}

#[test]
fn a_denial_leaves_units_that_a_smaller_cost_may_spend() {
    check(quota(5, SECOND, 5), &[(0, 3, Ok(2)), (0, 3, Wait(200 * MS, 2)), (0, 2, Ok(0))]);
}

#[test]
fn no_cost_passes_unless_the_clock_steps_back() {
    let rows = [(0, 0, Ok(5)), (0, 5, Ok(0)), (0, 0, Ok(0))];
    check(quota(5, SECOND, 5), &rows);
    let full = Some(Tat::from_unix_nanos(START + SECOND));
    let earlier = Timestamp::from_unix_nanos(START - 1);
    let denied = Decision::Deny { retry_after: Duration::from_nanos(1) };
    assert_eq!(quota(5, SECOND, 5).decide(full, earlier, 0), denied);
}

/// With units left the window runs to a full bucket, with none left to the next unit; never below a second.
#[test]
fn the_effective_window_follows_what_is_left() {
    let quota = quota(15, 60 * SECOND, 15);
    let mut stored = None;
    let mut seen = Vec::new();
    seen.push((quota.remaining(stored, at(0)), quota.effective_window_seconds(stored, at(0))));
    for _ in 0..15 {
        let Decision::Allow { next } = quota.decide(stored, at(0), 1) else { panic!("fifteen fit") };
        stored = Some(next);
        seen.push((quota.remaining(stored, at(0)), quota.effective_window_seconds(stored, at(0))));
    }
    assert_eq!(seen[..3], [(15, 1), (14, 4), (13, 8)]);
    assert_eq!(seen[14..], [(1, 56), (0, 4)]);
    assert_eq!(quota.effective_window_seconds(stored, at(3 * SECOND + 1)), 1);
    assert_eq!(quota.full_reset(stored, at(SECOND)), Duration::from_secs(59));
}

#[test]
fn what_is_no_quota_is_refused() {
    let units = |number| NonZeroU32::new(number).expect("above zero");
    let day = Duration::from_secs(86_400);
    for (limit, window, burst, expect) in [
        (1, Duration::ZERO, 1, Some(QuotaError::WindowTooShort)),
        (1000, Duration::from_nanos(999), 1, Some(QuotaError::WindowTooShort)),
        (1000, Duration::from_nanos(1000), 1, None),
        (1, Quota::WINDOW_MAX, 1, None),
        (1, Quota::WINDOW_MAX + Duration::from_nanos(1), 1, Some(QuotaError::WindowTooLong)),
        (1, Duration::MAX, 1, Some(QuotaError::WindowTooLong)),
        (1, Quota::WINDOW_MAX, 10, None),
        (1, Quota::WINDOW_MAX, 11, Some(QuotaError::RefillTooLong)),
        (1, day, 3660, None),
        (1, day, 3661, Some(QuotaError::RefillTooLong)),
        (1, Quota::WINDOW_MAX, u32::MAX, Some(QuotaError::RefillTooLong)),
        (u32::MAX, Quota::WINDOW_MAX, u32::MAX, None),
    ] {
        assert_eq!(Quota::new(units(limit), window, units(burst)).err(), expect, "{limit} {window:?} {burst}");
    }
}

#[test]
fn the_end_of_time_saturates() {
    let quota = quota(1, SECOND, 2);
    let end = Timestamp::from_unix_nanos(u64::MAX);
    let last = Decision::Allow { next: Tat::from_unix_nanos(u64::MAX) };
    assert_eq!(quota.decide(None, end, 2), last);
}

#[cfg(feature = "serde")]
#[test]
fn a_quota_and_its_state_travel_as_bytes() {
    let quota = quota(15, 60 * SECOND, 5);
    let bytes = postcard::to_allocvec(&quota).expect("a quota is plain data");
    assert_eq!(postcard::from_bytes(&bytes), Result::Ok(quota));
    let unsound = Terms { limit: quota.limit, window: Duration::ZERO, burst: quota.burst };
    let bytes = postcard::to_allocvec(&unsound).expect("terms are plain data");
    assert!(postcard::from_bytes::<Quota>(&bytes).is_err());
    let state = Tat::from_unix_nanos(START);
    let bytes = postcard::to_allocvec(&state).expect("a state is plain data");
    assert_eq!(postcard::from_bytes(&bytes), Result::Ok(state));
}

/// Small quotas over short times meet every boundary: each schedule of five checks on a grid, against the
/// formula of the reference written out in wide integers.
#[test]
fn every_small_schedule_agrees_with_the_formula() {
    const STEPS: u64 = 4;
    for (limit, window, burst) in [(1, 2, 1), (2, 3, 2), (3, 3, 2), (2, 5, 3), (3, 7, 3)] {
        let quota = quota(limit, window, burst);
        let interval = i128::from(window.div_ceil(u64::from(limit)));
        let depth = i128::from(burst) * interval;
        for schedule in 0..STEPS.pow(5) * 32 {
            // Five gaps of zero to three, and five costs of one or two.
            let (mut gaps, mut costs) = (schedule / 32, schedule % 32);
            let (mut now, mut tat, mut stored) = (0, 0_i128, None);
            for _ in 0..5 {
                now += gaps % STEPS;
                let cost = 1 + (costs % 2) as u32;
                (gaps, costs) = (gaps / STEPS, costs / 2);

                let new = tat.max(i128::from(now)) + i128::from(cost) * interval;
                let earliest = new - depth;
                let decision = quota.decide(stored, Timestamp::from_unix_nanos(now), cost);
                if cost > burst {
                    assert_eq!(decision, Decision::Never);
                } else if i128::from(now) >= earliest {
                    tat = new;
                    stored = Some(Tat::from_unix_nanos(new as u64));
                    assert_eq!(decision, Decision::Allow { next: Tat::from_unix_nanos(new as u64) });
                } else {
                    let retry_after = Duration::from_nanos((earliest - i128::from(now)) as u64);
                    assert_eq!(decision, Decision::Deny { retry_after });
                }
            }
        }
    }
}

/// A continuous token bucket in exact fractions: `burst` tokens at most, one earned in each interval.
///
/// Tokens are counted in nanoseconds of earning, so nothing is ever rounded.
struct TokenBucket {
    interval: u128,
    capacity: u128,
    level: u128,
    filled_at: u64,
}

impl TokenBucket {
    fn new(quota: Quota) -> Self {
        let capacity = u128::from(quota.refill_ns);
        Self { interval: u128::from(quota.interval_ns), capacity, level: capacity, filled_at: 0 }
    }

    /// Earns what the time until `now` brings; the time never goes back.
    fn fill(&mut self, now: u64) {
        self.level = (self.level + u128::from(now - self.filled_at)).min(self.capacity);
        self.filled_at = now;
    }

    /// Spends `cost`, or says how long until it could.
    fn spend(&mut self, cost: u32) -> Result<(), u64> {
        let wanted = u128::from(cost) * self.interval;
        if wanted <= self.level {
            self.level -= wanted;
            return Result::Ok(());
        }
        Err((wanted - self.level) as u64)
    }
}

/// Gaps of every size between a nanosecond and many windows.
fn gap() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..10_u64, 0..MS, 0..SECOND, 0..100 * SECOND]
}

fn any_quota() -> impl Strategy<Value = Quota> {
    let window = prop_oneof![1000..2000_u64, MS..SECOND, SECOND..3600 * SECOND];
    (1..200_u32, window, 1..200_u32).prop_map(|(limit, window, burst)| quota(limit, window, burst))
}

fn checks(len: Range<usize>) -> impl Strategy<Value = Vec<(u64, u32)>> {
    prop::collection::vec((gap(), 0..8_u32), len)
}

/// A state that a quota may really be in, and a time to ask at.
fn any_state(quota: Quota) -> impl Strategy<Value = Option<Tat>> {
    prop::option::of((0..=2 * quota.refill_ns).prop_map(|ahead| Tat::from_unix_nanos(START + ahead)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// (a) Every interval of length d admits at most burst + ceil(d / interval) - 1 units.
    #[test]
    fn no_interval_admits_more_than_its_bound(quota in any_quota(), checks in checks(1..40)) {
        let (mut now, mut stored, mut admitted) = (0, None, Vec::new());
        for (gap, cost) in checks {
            now += gap;
            if let Decision::Allow { next } = quota.decide(stored, at(now), cost) {
                stored = Some(next);
                admitted.push((now, u64::from(cost)));
            }
        }
        for from in 0..admitted.len() {
            let mut units = 0;
            for (time, cost) in &admitted[from..] {
                units += cost;
                // The shortest half-open interval that holds both ends is one nanosecond longer.
                let length = time - admitted[from].0 + 1;
                let bound = u64::from(quota.burst().get()) + length.div_ceil(quota.interval_ns) - 1;
                prop_assert!(units <= bound, "{units} units in {length} ns, bound {bound}");
            }
        }
    }

    /// (b) Waiting exactly `retry_after` is enough, and a nanosecond less is not.
    #[test]
    fn the_wait_is_exact(
        (quota, stored) in any_quota().prop_flat_map(|quota| (Just(quota), any_state(quota))),
        cost in 1..20_u32,
    ) {
        if let Decision::Deny { retry_after } = quota.decide(stored, at(0), cost) {
            let wait = nanos(retry_after);
            prop_assert!(matches!(quota.decide(stored, at(wait), cost), Decision::Allow { .. }), "{:?}", retry_after);
            let sooner = quota.decide(stored, at(wait - 1), cost);
            prop_assert_eq!(sooner, Decision::Deny { retry_after: Duration::from_nanos(1) });
        }
    }

    /// (c) A cost of n is n costs of one at the same time: both pass to the same state, or neither passes.
    #[test]
    fn a_cost_is_so_many_single_units(
        (quota, stored) in any_quota().prop_flat_map(|quota| (Just(quota), any_state(quota))),
        cost in 1..20_u32,
    ) {
        let mut singly = stored;
        let all = (0..cost).all(|_| match quota.decide(singly, at(0), 1) {
            Decision::Allow { next } => {
                singly = Some(next);
                true
            }
            Decision::Deny { .. } | Decision::Never => false,
        });
        match quota.decide(stored, at(0), cost) {
            Decision::Allow { next } => prop_assert_eq!((all, singly), (true, Some(next))),
            Decision::Deny { .. } | Decision::Never => prop_assert!(!all),
        }
    }

    /// (d) It decides as a continuous token bucket does, with the same waits.
    #[test]
    fn it_is_a_token_bucket(quota in any_quota(), checks in checks(1..60)) {
        let (mut now, mut stored) = (START, None);
        let mut bucket = TokenBucket::new(quota);
        for (gap, cost) in checks {
            now += gap;
            bucket.fill(now);
            let expect = if cost > quota.burst().get() { None } else { Some(bucket.spend(cost)) };
            let seen = match quota.decide(stored, Timestamp::from_unix_nanos(now), cost) {
                Decision::Allow { next } => {
                    stored = Some(next);
                    Some(Result::Ok(()))
                }
                Decision::Deny { retry_after } => Some(Err(nanos(retry_after))),
                Decision::Never => None,
            };
            prop_assert_eq!(seen, expect);
            let left = (bucket.level / bucket.interval) as u32;
            prop_assert_eq!(quota.remaining(stored, Timestamp::from_unix_nanos(now)), left);
        }
    }

    /// (e) The state never moves back, and (g) past it the key is as good as new.
    #[test]
    fn the_state_only_grows_and_then_expires(
        (quota, stored) in any_quota().prop_flat_map(|quota| (Just(quota), any_state(quota))),
        cost in 0..20_u32,
        later in gap(),
    ) {
        if let Decision::Allow { next } = quota.decide(stored, at(0), cost) {
            prop_assert!(stored <= Some(next) && next.expires() >= at(0));
            let expired = Timestamp::from_unix_nanos(next.as_unix_nanos() + later);
            prop_assert_eq!(quota.decide(Some(next), expired, cost), quota.decide(None, expired, cost));
            prop_assert_eq!(quota.full_reset(Some(next), at(0)), next.expires().since(at(0)));
        }
    }

    /// An earlier clock never admits what a later one refuses, and never waits for less.
    #[test]
    fn an_earlier_clock_admits_no_more(
        (quota, stored) in any_quota().prop_flat_map(|quota| (Just(quota), any_state(quota))),
        cost in 0..20_u32,
        back in gap(),
    ) {
        let earlier = Timestamp::from_unix_nanos(START - back);
        prop_assert!(quota.remaining(stored, earlier) <= quota.remaining(stored, at(0)));
        match (quota.decide(stored, earlier, cost), quota.decide(stored, at(0), cost)) {
            (Decision::Allow { .. }, now) => prop_assert!(matches!(now, Decision::Allow { .. }), "{now:?}"),
            (Decision::Deny { retry_after }, Decision::Deny { retry_after: now }) => {
                prop_assert_eq!(nanos(retry_after), nanos(now) + back);
            }
            (Decision::Deny { .. }, now) => prop_assert!(matches!(now, Decision::Allow { .. }), "{now:?}"),
            (Decision::Never, now) => prop_assert_eq!(now, Decision::Never),
        }
    }

    /// (f) Until the last decade before 2554, nothing overflows with the largest of quotas.
    #[test]
    fn nothing_overflows_until_2554(
        limit in 1..=u32::MAX,
        burst in 1..=u32::MAX,
        window in 0..=Quota::WINDOW_MAX.as_nanos() as u64,
        state in any::<u64>(),
        now in 0..u64::MAX - 10 * 366 * 86_400 * SECOND,
        cost in any::<u32>(),
    ) {
        let units = |number| NonZeroU32::new(number).expect("above zero");
        if let Result::Ok(quota) = Quota::new(units(limit), Duration::from_nanos(window), units(burst)) {
            let (state, now) = (Some(Tat::from_unix_nanos(state)), Timestamp::from_unix_nanos(now));
            let (before, after) = match quota.decide(state, now, cost) {
                Decision::Allow { next } => (state, Some(next)),
                Decision::Deny { .. } | Decision::Never => (state, state),
            };
            prop_assert!(quota.remaining(after, now) <= quota.remaining(before, now));
            prop_assert!(quota.remaining(after, now) <= burst);
            prop_assert!(quota.effective_window_seconds(after, now) >= 1);
        }
    }
}
