//! A call through the breaker beside failsafe, for context: the two do not count the same.

use std::hint::black_box;

use failsafe::CircuitBreaker;
use seawall_core::breaker::{Breaker, Config, Gate, Outcome};
use seawall_core::time::Timestamp;

use crate::measure::{Contender, Figures, compare};

/// Measures a call that succeeds.
pub(crate) fn all() -> Figures {
    let config = Config::default();
    let mut breaker = Breaker::new();
    let now = Timestamp::from_unix_seconds(1_772_323_200);
    let other = failsafe::Config::new().build();
    compare(
        "breaker, admit and record",
        None,
        CALLS,
        vec![
            Contender {
                name: "seawall",
                work: Box::new(|count| {
                    for _ in 0..count {
                        if let Gate::Pass(permit) = breaker.admit(&config, black_box(now)) {
                            breaker.record(&config, permit, black_box(Outcome::Success), now, 0);
                        }
                    }
                }),
            },
            Contender {
                name: "failsafe",
                work: Box::new(|count| {
                    for _ in 0..count {
                        let _ = black_box(other.call(|| black_box(Ok::<(), ()>(()))));
                    }
                }),
            },
        ],
    )
}

const CALLS: u64 = 5_000_000;
