//! How much any interval admits, at worst: the table that docs state, from an adversary, and for random schedules.

use super::*;

/// The most units that any half-open interval of length `window` admitted.
fn worst(admitted: &[(u64, u32)], window: u64) -> u32 {
    let mut most = 0;
    let (mut from, mut sum) = (0, 0);
    for (time, cost) in admitted {
        sum += cost;
        while admitted[from].0 + window <= *time {
            sum -= admitted[from].1;
            from += 1;
        }
        most = most.max(sum);
    }
    most
}

/// Who is denied comes again one step later, from `start` for three windows.
fn hammer(rule: &Algorithm, state: &mut Option<State>, start: u64, window: u64, step: u64) -> Vec<(u64, u32)> {
    let mut admitted = Vec::new();
    for now in (start..start + 3 * window).step_by(step as usize) {
        while let Decision::Allow { next } = rule.decide(state.as_ref(), at(now), &Spend::new(1, KEY)) {
            *state = Some(next);
            admitted.push((now, 1));
        }
    }
    admitted
}

/// L = 100 for each second, the adversary of the table: all at the end of a window, then without a pause. And the
/// same without the first burst.
#[test]
fn the_worst_window_is_as_stated() {
    const WINDOW: u64 = SECOND;
    let sound = "rules of the tests are sound";
    let full = Quota::new(units(100), ns(WINDOW), units(100)).expect(sound);
    let tenth = Quota::new(units(100), ns(WINDOW), units(10)).expect(sound);
    let sliding = SlidingWindow::new(units(100), ns(WINDOW)).expect(sound);
    let fixed = FixedWindow::new(units(100), Period::aligned(ns(WINDOW)).expect(sound));
    let log = SlidingLog::new(units(64), ns(WINDOW)).expect(sound);
    // (rule, worst window after a burst at a window's end, worst hundredth of it, worst window without the burst)
    let table: [(Algorithm, u32, u32, u32); 5] = [
        (fixed.into(), 200, 200, 100),
        (sliding.into(), 199, 100, 100),
        (full.into(), 199, 100, 199),
        (tenth.into(), 109, 10, 109),
        (log.into(), 64, 64, 64),
    ];
    for (rule, after_burst, in_hundredth, steady) in table {
        // The last step of a window, then on: a hundredth of a window is a hundred steps.
        let step = WINDOW / 10_000;
        let admitted = hammer(&rule, &mut None, WINDOW - step, WINDOW, step);
        assert_eq!(worst(&admitted, WINDOW), after_burst, "{rule:?}");
        assert_eq!(worst(&admitted, WINDOW / 100), in_hundredth, "{rule:?}");
        let admitted = hammer(&rule, &mut None, 0, WINDOW, step);
        assert_eq!(worst(&admitted, WINDOW), steady, "{rule:?}");
    }
}

/// The most that an interval of `length` may admit.
fn bound(rule: &Algorithm, length: u64) -> Option<u64> {
    let window = rule.window().map_or(u64::MAX, |window| window.as_nanos() as u64);
    let limit = u64::from(rule.quota().get());
    match rule {
        Algorithm::Gcra(quota) => {
            let interval = quota.interval().as_nanos() as u64;
            Some(u64::from(quota.burst().get()) + length.div_ceil(interval) - 1)
        }
        // Each window that the interval touches admits no more than the limit, and within one window's length
        // at most twice the limit less one: the last unit of a second burst would have to be free of the first.
        Algorithm::SlidingWindow(_) if length <= window => Some((2 * limit).saturating_sub(1).max(limit)),
        Algorithm::SlidingWindow(_) | Algorithm::FixedWindow(_) => Some(limit * (length.div_ceil(window) + 1)),
        Algorithm::IntervalBucket(bucket) => {
            let interval = bucket.interval().as_nanos() as u64;
            let refills = u64::from(bucket.refill().get()).saturating_mul(length.div_ceil(interval));
            Some(u64::from(bucket.capacity().get()).saturating_add(refills))
        }
        Algorithm::SlidingLog(_) => Some(limit * length.div_ceil(window)),
        Algorithm::Concurrency(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// No schedule gets more into any interval than the rule's bound, on a clock that also steps back.
    #[test]
    fn no_interval_admits_more_than_its_bound(
        rule in any_rule(),
        steps in prop::collection::vec((0..8_u8, any::<u32>(), 1..6_u32), 1..80),
    ) {
        let window = rule.window().map_or(SECOND, |window| window.as_nanos() as u64);
        let (mut now, mut latest, mut state, mut admitted) = (START.as_unix_nanos(), 0, None, Vec::new());
        for (kind, size, cost) in steps {
            let size = u64::from(size);
            now = match kind {
                0 | 1 => now,
                2 | 3 => now + (size << 16) % (window / 16 + 1),
                4 => now + (size << 16) % window,
                5 => now + window - now % window,
                6 => now - size % (window + 1),
                _ => (now + window - now % window) - 1,
            };
            let decision = rule.decide(state.as_ref(), Timestamp::from_unix_nanos(now), &Spend::new(cost, KEY));
            if let Decision::Allow { next } = decision {
                state = Some(next);
                // What is spent on a clock that stepped back is spent after what was spent before, so at the
                // latest time that it showed then.
                latest = now.max(latest);
                admitted.push((latest, u64::from(cost)));
            }
        }
        for from in 0..admitted.len() {
            let mut sum = 0;
            for (time, cost) in &admitted[from..] {
                sum += cost;
                // The shortest half-open interval that holds both ends is one nanosecond longer.
                let length = time - admitted[from].0 + 1;
                if let Some(bound) = bound(&rule, length) {
                    prop_assert!(sum <= bound, "{sum} units in {length} ns under {rule:?}, bound {bound}");
                }
            }
        }
    }

    /// However leases are taken, renewed and released, no more than the limit are alive.
    #[test]
    fn no_more_leases_live_than_the_limit(
        limit in 1..8_u32,
        steps in prop::collection::vec((0..400_u64, 0..12_u64, 0..5_u32, any::<bool>()), 1..60),
    ) {
        let rule = Concurrency::new(units(limit), ns(SECOND)).expect("sound");
        let (mut now, mut state): (_, Option<Leases>) = (0, None);
        for (gap, id, cost, release) in steps {
            now += gap * MS;
            let before = rule.remaining(state.as_ref(), at(now));
            if release {
                let released = rule.release(state.as_ref(), at(now), LeaseId(id));
                prop_assert_eq!(rule.release(Some(&released), at(now), LeaseId(id)), released);
                prop_assert!(rule.remaining(Some(&released), at(now)) >= before);
                state = Some(released);
            } else if let Decision::Allow { next } = rule.decide(state.as_ref(), at(now), LeaseId(id), cost) {
                // The same message once more changes nothing.
                let again = rule.decide(Some(&next), at(now), LeaseId(id), cost);
                prop_assert_eq!(again, Decision::Allow { next });
                state = Some(next);
            }
            if let Some(state) = &state {
                let live = state.as_slice().iter().filter(|lease| lease.expires > at(now));
                prop_assert!(live.map(|lease| lease.units).sum::<u32>() <= limit);
            }
        }
    }
}
