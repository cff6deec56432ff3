//! States of every rule in bounded memory.

use core::num::NonZeroUsize;

use super::table::{KeyTable, Placed};
use super::{Algorithm, Leases, Log, State, Tat, Tokens, WindowCount, WindowCounts};
use crate::time::Timestamp;

/// One [`KeyTable`] for each kind of state that the given rules keep, so that a key under a
/// [`Quota`](super::Quota) takes 32 bytes although a key that holds leases takes one and a half thousand.
///
/// What happens when one of them is full is what happens in a [`KeyTable`]; the others are not touched by it.
///
/// ```
/// use core::num::{NonZeroU32, NonZeroUsize};
/// use core::time::Duration;
/// use seawall_core::limit::states::{Capacities, StateTable};
/// use seawall_core::limit::{Algorithm, Decision, Quota, Spend};
/// use seawall_core::time::Timestamp;
///
/// let two = NonZeroU32::new(2).unwrap();
/// let rule = Algorithm::from(Quota::new(two, Duration::from_secs(60), two)?);
/// let mut states = StateTable::new([&rule], Capacities::for_keys(NonZeroUsize::new(1000).unwrap()), 7);
///
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let key = 0xc0ffee;
/// let stored = states.get(&rule, key, now);
/// if let Decision::Allow { next } = rule.decide(stored.as_ref(), now, &Spend::new(1, key)) {
///     states.put(key, &next, rule.expires(&next), now);
/// }
/// assert_eq!(rule.remaining(states.get(&rule, key, now).as_ref(), now), 1);
/// # Ok::<(), seawall_core::limit::QuotaError>(())
/// ```
#[derive(Clone, Debug)]
pub struct StateTable {
    gcra: Option<KeyTable<Tat>>,
    sliding_window: Option<KeyTable<WindowCounts>>,
    fixed_window: Option<KeyTable<WindowCount>>,
    interval_bucket: Option<KeyTable<Tokens>>,
    sliding_log: Option<KeyTable<Log>>,
    concurrency: Option<KeyTable<Leases>>,
}

/// How many keys a [`StateTable`] holds at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacities {
    /// Under each rule that counts in one or two numbers; 32 to 40 bytes for each.
    pub counters: NonZeroUsize,
    /// Under [`Algorithm::SlidingLog`]; about 540 bytes for each.
    pub logs: NonZeroUsize,
    /// Under [`Algorithm::Concurrency`]; about 1,570 bytes for each.
    pub leases: NonZeroUsize,
}

impl Capacities {
    /// Room for `counters` counters, a sixteenth as many logs and a sixty-fourth as many leases: each kind
    /// then takes about as much memory.
    #[must_use]
    pub const fn for_keys(counters: NonZeroUsize) -> Self {
        Self { counters, logs: share(counters, 16), leases: share(counters, 64) }
    }
}

const fn share(of: NonZeroUsize, parts: usize) -> NonZeroUsize {
    match NonZeroUsize::new(of.get() / parts) {
        Some(share) => share,
        None => NonZeroUsize::MIN,
    }
}

impl StateTable {
    /// Room for the states of `rules`, with all memory taken now. `seed` is a number that clients cannot know.
    #[must_use]
    pub fn new<'a>(rules: impl IntoIterator<Item = &'a Algorithm>, capacities: Capacities, seed: u64) -> Self {
        let Capacities { counters, logs, leases } = capacities;
        let mut table = Self {
            gcra: None,
            sliding_window: None,
            fixed_window: None,
            interval_bucket: None,
            sliding_log: None,
            concurrency: None,
        };
        for rule in rules {
            match rule {
                Algorithm::Gcra(_) => make(&mut table.gcra, counters, seed),
                Algorithm::SlidingWindow(_) => make(&mut table.sliding_window, counters, seed),
                Algorithm::FixedWindow(_) => make(&mut table.fixed_window, counters, seed),
                Algorithm::IntervalBucket(_) => make(&mut table.interval_bucket, counters, seed),
                Algorithm::SlidingLog(_) => make(&mut table.sliding_log, logs, seed),
                Algorithm::Concurrency(_) => make(&mut table.concurrency, leases, seed),
            }
        }
        table
    }

    /// The state of `key` under `rule`, unless it has expired at `now`.
    #[must_use]
    pub fn get(&self, rule: &Algorithm, key: u128, now: Timestamp) -> Option<State> {
        match rule {
            Algorithm::Gcra(_) => read(self.gcra.as_ref(), key, now),
            Algorithm::SlidingWindow(_) => read(self.sliding_window.as_ref(), key, now),
            Algorithm::FixedWindow(_) => read(self.fixed_window.as_ref(), key, now),
            Algorithm::IntervalBucket(_) => read(self.interval_bucket.as_ref(), key, now),
            Algorithm::SlidingLog(_) => read(self.sliding_log.as_ref(), key, now),
            Algorithm::Concurrency(_) => read(self.concurrency.as_ref(), key, now),
        }
    }

    /// Puts the state of `key` in, to be forgotten at `expires`, which is [`Algorithm::expires`] of its rule.
    /// A state of a rule that the table was not made for is not kept.
    pub fn put(&mut self, key: u128, state: &State, expires: Timestamp, now: Timestamp) -> Option<Placed> {
        match state {
            State::Gcra(state) => write(self.gcra.as_mut(), key, *state, expires, now),
            State::SlidingWindow(state) => write(self.sliding_window.as_mut(), key, *state, expires, now),
            State::FixedWindow(state) => write(self.fixed_window.as_mut(), key, *state, expires, now),
            State::IntervalBucket(state) => write(self.interval_bucket.as_mut(), key, *state, expires, now),
            State::SlidingLog(state) => write(self.sliding_log.as_mut(), key, **state, expires, now),
            State::Concurrency(state) => write(self.concurrency.as_mut(), key, **state, expires, now),
        }
    }
}

fn make<V: Copy + Default>(table: &mut Option<KeyTable<V>>, capacity: NonZeroUsize, seed: u64) {
    table.get_or_insert_with(|| KeyTable::new(capacity, seed));
}

fn read<V: Copy + Default + Into<State>>(table: Option<&KeyTable<V>>, key: u128, now: Timestamp) -> Option<State> {
    table?.get(key, now).map(Into::into)
}

fn write<V: Copy + Default>(
    table: Option<&mut KeyTable<V>>,
    key: u128,
    state: V,
    expires: Timestamp,
    now: Timestamp,
) -> Option<Placed> {
    Some(table?.put(key, state, expires, now))
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::limit::tests::{KEY, SECOND, START, at, ns, units};
    use crate::limit::{Concurrency, Decision, IntervalBucket, LeaseId, Quota, SlidingLog, SlidingWindow, Spend};

    fn capacities(keys: usize) -> Capacities {
        Capacities::for_keys(NonZeroUsize::new(keys).expect("tests ask for room"))
    }

    fn rules() -> [Algorithm; 5] {
        let (sound, minute) = ("rules of the tests are sound", ns(60 * SECOND));
        [
            Quota::new(units(5), minute, units(5)).expect(sound).into(),
            SlidingWindow::new(units(5), minute).expect(sound).into(),
            IntervalBucket::new(units(5), units(5), minute).expect(sound).into(),
            SlidingLog::new(units(5), minute).expect(sound).into(),
            Concurrency::new(units(5), minute).expect(sound).into(),
        ]
    }

    fn spend(table: &mut StateTable, rule: &Algorithm, key: u128, cost: u32) -> bool {
        let stored = table.get(rule, key, START);
        let Decision::Allow { next } = rule.decide(stored.as_ref(), START, &Spend::new(cost, key)) else {
            return false;
        };
        table.put(key, &next, rule.expires(&next), START);
        true
    }

    #[test]
    fn each_rule_finds_its_own_state_until_it_expires() {
        let rules = rules();
        let mut table = StateTable::new(&rules, capacities(64), 7);
        for rule in &rules {
            assert!(spend(&mut table, rule, KEY, 3));
        }
        for rule in &rules {
            let stored = table.get(rule, KEY, START);
            assert_eq!(rule.remaining(stored.as_ref(), START), 2, "{rule:?}");
            let expires = rule.expires(&stored.expect("it was put in"));
            assert_eq!(table.get(rule, KEY, expires), None);
            assert_eq!(table.get(rule, KEY + 1, START), None);
        }
    }

    #[test]
    fn a_rule_without_a_table_keeps_nothing() {
        let [first, second, ..] = rules();
        let mut table = StateTable::new([&first], capacities(64), 7);
        let Decision::Allow { next } = second.decide(None, START, &Spend::new(1, KEY)) else { panic!("one fits") };
        assert_eq!(table.put(KEY, &next, at(SECOND), START), None);
        assert_eq!(table.get(&second, KEY, START), None);
        assert_eq!(Capacities::for_keys(NonZeroUsize::MIN).leases, NonZeroUsize::MIN);
    }

    /// A flood of new keys under every rule does not make the tables grow, and does not forgive what lasts longer
    /// than what it spends itself.
    #[test]
    fn a_flood_of_new_keys_forgives_no_heavy_one() {
        let rules = [rules()[0], rules()[3], rules()[4]];
        let mut table = StateTable::new(&rules, capacities(4096), 7);
        for rule in &rules {
            let heavy = u128::MAX;
            let spend_all = Spend::new(5, heavy).with_lease(LeaseId(1));
            let later = START.after(Duration::from_secs(1));
            let Decision::Allow { next } = rule.decide(None, later, &spend_all) else { panic!("five fit") };
            table.put(heavy, &next, rule.expires(&next), later);
            for key in 0..20_000 {
                assert!(spend(&mut table, rule, key, 1));
            }
            assert_eq!(rule.remaining(table.get(rule, heavy, later).as_ref(), later), 0, "{rule:?}");
        }
    }
}
