//! Cache decisions beside http-cache-semantics.

use std::hint::black_box;

use anyhow::{Result, ensure};
use seawall_benches::caches::{Line, Seawall, Semantics, hits};
use seawall_benches::corpus;

use crate::measure::{Contender, Figures, compare};

/// Measures all of it.
pub(crate) fn all() -> Result<Vec<Figures>> {
    let exchanges = corpus::read()?;
    let seawall = Seawall::default();
    let hits = hits(&seawall, &exchanges);
    ensure!(!hits.is_empty(), "nothing in the corpus is answered from the store");
    let mut line = Line::default();
    let mut copied = Line::default();
    let fresh = compare(
        "cache, fresh hit",
        Some(0.4),
        DECISIONS,
        vec![
            Contender {
                name: "seawall",
                work: Box::new(|count| {
                    for (exchange, kept, _) in hits.iter().cycle().take(count as usize) {
                        black_box(seawall.again(kept, black_box(exchange), &mut line));
                    }
                }),
            },
            Contender {
                name: "http-cache-semantics",
                work: Box::new(|count| {
                    for (exchange, _, policy) in hits.iter().cycle().take(count as usize) {
                        black_box(Semantics::again(policy, black_box(exchange)));
                    }
                }),
            },
            Contender {
                name: "seawall, all fields copied",
                work: Box::new(|count| {
                    for (exchange, kept, _) in hits.iter().cycle().take(count as usize) {
                        black_box(seawall.again_copied(kept, black_box(exchange), &mut copied));
                    }
                }),
            },
        ],
    );
    let keyed: Vec<_> = exchanges.iter().map(|exchange| (Seawall::key(exchange), exchange)).collect();
    let store = compare(
        "cache, storing",
        Some(0.4),
        DECISIONS,
        vec![
            Contender {
                name: "seawall",
                work: Box::new(|count| {
                    for (key, exchange) in keyed.iter().cycle().take(count as usize) {
                        black_box(seawall.store(*key, black_box(exchange)));
                    }
                }),
            },
            Contender {
                name: "http-cache-semantics",
                work: Box::new(|count| {
                    for exchange in exchanges.iter().cycle().take(count as usize) {
                        black_box(Semantics::store(black_box(exchange)));
                    }
                }),
            },
        ],
    );
    let mut line = Line::default();
    let cycle = compare(
        "cache, a response stored and used once",
        Some(0.4),
        DECISIONS,
        vec![
            Contender {
                name: "seawall",
                work: Box::new(|count| {
                    for (key, exchange) in keyed.iter().cycle().take(count as usize) {
                        if seawall.first(key, black_box(exchange))
                            && let Some(kept) = seawall.store(*key, exchange)
                        {
                            black_box(seawall.again(&kept, exchange, &mut line));
                        }
                    }
                }),
            },
            Contender {
                name: "http-cache-semantics",
                work: Box::new(|count| {
                    for exchange in exchanges.iter().cycle().take(count as usize) {
                        if let Some(policy) = Semantics::store(black_box(exchange)) {
                            black_box(Semantics::again(&policy, exchange));
                        }
                    }
                }),
            },
        ],
    );
    let key = compare(
        "cache, the name of a URL",
        None,
        DECISIONS,
        vec![Contender {
            name: "seawall",
            work: Box::new(|count| {
                for exchange in exchanges.iter().cycle().take(count as usize) {
                    black_box(Seawall::key(black_box(exchange)));
                }
            }),
        }],
    );
    Ok(vec![fresh, store, cycle, key])
}

const DECISIONS: u64 = 300_000;
