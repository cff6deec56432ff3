//! GCRA beside governor: one key, and a million of them.

use std::hint::black_box;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock, FakeRelativeClock, MonotonicClock, QuantaClock};
use governor::{Quota as GovernorQuota, RateLimiter};
use seawall_core::limit::table::KeyTable;
use seawall_core::limit::{Algorithm, Check, Decision, LimitId, Quota, SlidingWindow, Spend, State, Tat, decide_all};
use seawall_core::time::Timestamp;

use crate::measure::{Contender, Figures, compare};

/// Measures all of it.
pub(crate) fn all() -> Vec<Figures> {
    let mut figures = Vec::new();
    figures.push(one_key("GCRA, one key, time given", || START, FakeRelativeClock::default, Some(0.5)));
    let clock = quanta::Clock::new();
    let start = clock.raw();
    figures.push(one_key(
        "GCRA, one key, quanta's clock read",
        || START + clock.delta_as_nanos(start, clock.raw()),
        QuantaClock::default,
        Some(0.5),
    ));
    figures.push(compare(
        "reading quanta's clock alone",
        None,
        CHECKS,
        vec![Contender {
            name: "seawall",
            work: Box::new(|count| {
                for _ in 0..count {
                    black_box(START + clock.delta_as_nanos(start, clock.raw()));
                }
            }),
        }],
    ));
    let start = Instant::now();
    figures.push(one_key(
        "GCRA, one key, std's clock read",
        || START + start.elapsed().as_nanos() as u64,
        MonotonicClock::default,
        None,
    ));
    figures.extend(refusal());
    figures.push(three_limits());
    figures.extend(million());
    figures
}

fn one_key<C: Clock>(
    operation: &'static str,
    now: impl Fn() -> u64,
    clock: impl Fn() -> C,
    target: Option<f64>,
) -> Figures {
    let quota = quota(UNITS);
    let mut state = Tat::default();
    let limiter = RateLimiter::direct_with_clock(governor_quota(UNITS), clock());
    compare(
        operation,
        target,
        CHECKS,
        vec![
            Contender {
                name: "seawall",
                work: Box::new(|count| {
                    for _ in 0..count {
                        // In memory, as with the other side.
                        let state = black_box(&mut state);
                        let now = Timestamp::from_unix_nanos(black_box(now()));
                        if let Decision::Allow { next } = quota.decide(Some(*state), now, 1) {
                            *state = next;
                        }
                    }
                }),
            },
            Contender {
                name: "governor",
                work: Box::new(|count| {
                    for _ in 0..count {
                        let _ = black_box(limiter.check());
                    }
                }),
            },
        ],
    )
}

/// A key that has spent everything.
fn refusal() -> Option<Figures> {
    let quota = quota(NonZeroU32::MIN);
    let now = Timestamp::from_unix_nanos(START);
    let Decision::Allow { next } = quota.decide(None, now, 1) else { return None };
    let limiter = RateLimiter::direct_with_clock(governor_quota(NonZeroU32::MIN), FakeRelativeClock::default());
    limiter.check().ok()?;
    Some(compare(
        "GCRA, one key, refused",
        None,
        CHECKS,
        vec![
            Contender {
                name: "seawall",
                work: Box::new(|count| {
                    for _ in 0..count {
                        let _ = black_box(quota.decide(black_box(Some(next)), black_box(now), 1));
                    }
                }),
            },
            Contender {
                name: "governor",
                work: Box::new(|count| {
                    for _ in 0..count {
                        let _ = black_box(limiter.check());
                    }
                }),
            },
        ],
    ))
}

/// A request that three limits judge, charged in all of them or in none.
fn three_limits() -> Figures {
    let window = SlidingWindow::new(UNITS, Duration::from_secs(3600)).expect("far inside the bounds");
    let rules = [quota(UNITS).into(), quota(UNITS).into(), Algorithm::from(window)];
    let mut states: [Option<State>; 3] = [const { None }; 3];
    compare(
        "three limits on one request",
        None,
        CHECKS / 10,
        vec![Contender {
            name: "seawall",
            work: Box::new(|count| {
                for number in 0..count {
                    let now = Timestamp::from_unix_nanos(black_box(START + number));
                    let check = |place: usize| Check {
                        limit: LimitId(place as u16),
                        algorithm: &rules[place],
                        stored: states[place].as_ref(),
                        spend: Spend::new(1, 7),
                    };
                    let checks = [check(0), check(1), check(2)];
                    let mut next = [const { None }; 3];
                    for (check, state) in decide_all(&checks, now).next_states() {
                        next[usize::from(check.limit.0)] = Some(state);
                    }
                    for (kept, next) in states.iter_mut().zip(next) {
                        *kept = next.or_else(|| kept.take());
                    }
                }
            }),
        }],
    )
}

/// A million keys, each known, in an order without any order.
fn million() -> [Figures; 2] {
    let keys: Vec<u64> = (0..KEYS).map(scattered).collect();
    // A charge is owed long after the last check, so that no state ever expires.
    let slow = (Duration::from_millis(10), UNITS);
    let quota = Quota::new(NonZeroU32::MIN, slow.0, slow.1).expect("far inside the bounds");
    let other = GovernorQuota::with_period(slow.0).expect("above zero").allow_burst(slow.1);
    let table = || {
        // Twice the keys, so that few are crowded out.
        let mut table: KeyTable<Tat> = KeyTable::new(NonZeroUsize::MIN.saturating_add(2 * KEYS as usize - 1), 7);
        keys.iter().for_each(|key| check(&quota, &mut table, *key, Timestamp::from_unix_nanos(START)));
        table
    };
    // Made, not read from a list: the list would be waited for as long as the tables are.
    let order = |count: u64| (0..count).map(|number| scattered(scattered(number ^ 0x5555) % KEYS));

    let mut own = table();
    let locked = Mutex::new(table());
    let limiter = RateLimiter::dashmap_with_clock(other, FakeRelativeClock::default());
    keys.iter().for_each(|key| drop(limiter.check_key(key)));
    let given = compare(
        "GCRA, a million keys, time given",
        Some(0.8),
        KEYED_CHECKS,
        vec![
            Contender {
                name: "seawall",
                work: Box::new(|count| {
                    let now = Timestamp::from_unix_nanos(START);
                    order(count).for_each(|key| check(&quota, &mut own, key, black_box(now)));
                }),
            },
            Contender {
                name: "governor, DashMap",
                work: Box::new(|count| order(count).for_each(|key| drop(black_box(limiter.check_key(&key))))),
            },
            Contender {
                name: "seawall, in a Mutex",
                work: Box::new(|count| {
                    let now = Timestamp::from_unix_nanos(START);
                    order(count).for_each(|key| {
                        let mut table = locked.lock().unwrap_or_else(PoisonError::into_inner);
                        check(&quota, &mut table, key, black_box(now));
                    });
                }),
            },
        ],
    );

    let clock = quanta::Clock::new();
    let start = clock.raw();
    let limiter = RateLimiter::dashmap(other);
    keys.iter().for_each(|key| drop(limiter.check_key(key)));
    let read = compare(
        "GCRA, a million keys, quanta's clock read",
        Some(0.8),
        KEYED_CHECKS,
        vec![
            Contender {
                name: "seawall",
                work: Box::new(|count| {
                    order(count).for_each(|key| {
                        let now = Timestamp::from_unix_nanos(START + clock.delta_as_nanos(start, clock.raw()));
                        check(&quota, &mut own, key, now);
                    });
                }),
            },
            Contender {
                name: "governor, DashMap",
                work: Box::new(|count| order(count).for_each(|key| drop(black_box(limiter.check_key(&key))))),
            },
        ],
    );
    [given, read]
}

#[inline]
fn check(quota: &Quota, table: &mut KeyTable<Tat>, key: u64, now: Timestamp) {
    let decide = |stored| match quota.decide(stored, now, 1) {
        Decision::Allow { next } => (true, Some((next, next.expires()))),
        Decision::Deny { .. } | Decision::Never => (false, None),
    };
    black_box(table.update(u128::from(key), now, decide));
}

fn quota(burst: NonZeroU32) -> Quota {
    let window = if burst.get() == 1 { Duration::from_secs(3600) } else { Duration::from_secs(1) };
    Quota::new(burst, window, burst).expect("a unit a nanosecond, or one an hour")
}

fn governor_quota(burst: NonZeroU32) -> GovernorQuota {
    if burst.get() == 1 { GovernorQuota::per_hour(burst) } else { GovernorQuota::per_second(burst) }
}

/// A number that looks drawn, another one for each `number` (the finaliser of splitmix64).
const fn scattered(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

const START: u64 = 1_772_323_200_000_000_000;
const KEYS: u64 = 1_000_000;
/// More than all runs spend, at one unit for each nanosecond.
const UNITS: NonZeroU32 = NonZeroU32::new(1_000_000_000).expect("above zero");
const CHECKS: u64 = 20_000_000;
const KEYED_CHECKS: u64 = 4_000_000;
