//! Isolates that take all they can, keep it as long as they can, and spend it all at once.

use alloc::vec::Vec;

use super::*;

/// Renews with and without returning for thirty leases, then spends everything, here and at the authority. Says how
/// much that was, all in one instant.
fn hoard(outstanding_max: u32, isolates: u64, ttl_ms: u64, returns: bool) -> u64 {
    let terms = terms(Mode::Lease { outstanding_max, ttl: Duration::from_millis(ttl_ms) });
    let mut ledger = Ledger::new();
    let mut held: Vec<u32> = (0..isolates).map(|_| 0).collect();
    let mut now = 0;
    let mut seq = 0;
    for round in 0..60 {
        now = round * (ttl_ms / 2 - 1);
        seq += 1;
        for (isolate, held) in (0..).zip(&mut held) {
            let (kept, returned) = if returns && round % 2 == 1 { (0, *held) } else { (*held, 0) };
            let account = want(u32::MAX, kept, returned, seq - 1);
            *held = kept
                + hear(&mut ledger, &terms, &ask(isolate, seq, 0, account), now)
                    .holding
                    .map_or(0, |holding| holding.granted);
        }
    }
    let at_hand: u64 = held.iter().copied().map(u64::from).sum();
    assert!(at_hand <= u64::from(outstanding_max));
    let asked = (1..=200)
        .filter(|n| hear(&mut ledger, &terms, &ask(999, *n, 1, Account::None), now).ruling == Ruling::Allow)
        .count();
    at_hand + asked as u64
}

#[test]
fn the_rolling_hoarder_gains_no_more_than_the_bound() {
    for (isolates, ttl_ms) in [(20, 200), (50, 200), (5, 200), (50, 2000), (500, 1000)] {
        for outstanding_max in [0, 10, 50] {
            for returns in [false, true] {
                let spent = hoard(outstanding_max, isolates, ttl_ms, returns);
                // In one instant a single store admits its burst.
                let bound = 100 + u64::from(outstanding_max);
                assert!(spent <= bound, "{spent} of {bound} by {isolates} isolates, lease {ttl_ms} ms");
                // Who never returns anything reaches it, but for what is earned in a moment.
                assert!(returns || spent + 10 >= bound, "the bound is nearly reached: {spent} of {bound}");
            }
        }
    }
}
