//! Core's decisions in loops, as a WASM module that imports nothing: `cargo xtask bench core` runs it in Node and says
//! how big it is. With the feature `policy` it reads a compiled policy too, so that everything an edge uses of core is in
//! it.
#![cfg(target_family = "wasm")]
#![expect(unsafe_code, reason = "an exported name is only unsafe when two are the same, and the linker would say so")]

use std::cell::RefCell;
use std::hint::black_box;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use seawall_core::breaker::{Breaker, Config, Gate, Outcome};
use seawall_core::cache::judge::Origin;
use seawall_core::cache::key::{CacheKey, Target};
use seawall_core::cache::purge::Purges;
use seawall_core::cache::store::Exchange;
use seawall_core::cache::variants::Variants;
use seawall_core::cache::{Ask, CacheOptions, Decision as CacheDecision, Keep, Known, Stored, decide, on_response};
use seawall_core::limit::table::KeyTable;
use seawall_core::limit::{Decision, Quota, Tat};
use seawall_core::time::Timestamp;

#[cfg(feature = "policy")]
mod policy;

const NOW: Timestamp = Timestamp::from_unix_seconds(784_111_777);
const TARGET: Target<'_> =
    Target { method: "GET", tenant: "", scheme: "https", host: "permits.example", path: "/search", query: "q=a" };
/// As in an edge, fields are of one type, so that what decides is in the module once.
type Fields = [(&'static str, &'static str)];
const REQUEST: &Fields = &[("accept", "text/html"), ("accept-language", "es"), ("user-agent", "x")];
const RESPONSE: &Fields = &[
    ("cache-control", "public, max-age=300, stale-while-revalidate=600"),
    ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ("etag", "\"a\""),
    ("vary", "Accept-Language"),
    ("content-length", "1000"),
    ("content-type", "text/html"),
];

fn quota() -> Option<Quota> {
    let units = NonZeroU32::new(1_000_000_000)?;
    Quota::new(units, Duration::from_secs(1), units).ok()
}

/// One key, `count` times; how many were admitted.
#[unsafe(no_mangle)]
pub extern "C" fn gcra(count: u32) -> u32 {
    let Some(quota) = quota() else { return 0 };
    let mut state = None;
    let mut admitted = 0;
    for _ in 0..count {
        if let Decision::Allow { next } = quota.decide(black_box(state), black_box(NOW), 1) {
            state = Some(next);
            admitted += 1;
        }
    }
    admitted
}

thread_local! {
    static STATE: RefCell<u64> = const { RefCell::new(0) };
}

/// One decision for each call from JavaScript: the state is kept between calls.
#[unsafe(no_mangle)]
pub extern "C" fn gcra_once(now_ns: u64) -> u32 {
    let Some(quota) = quota() else { return 0 };
    STATE.with_borrow_mut(|state| {
        match quota.decide(Some(Tat::from_unix_nanos(*state)), Timestamp::from_unix_nanos(now_ns), 1) {
            Decision::Allow { next } => {
                *state = next.as_unix_nanos();
                1
            }
            Decision::Deny { .. } | Decision::Never => 0,
        }
    })
}

/// A hundred thousand keys in an order without order, `count` times; how many were admitted.
#[unsafe(no_mangle)]
pub extern "C" fn gcra_keyed(count: u32) -> u32 {
    let Some(quota) = quota() else { return 0 };
    let mut table: KeyTable<Tat> = KeyTable::new(NonZeroUsize::MIN.saturating_add(KEYS_ROOM), 7);
    let mut admitted = 0;
    for number in 0..count {
        let key = u128::from(number.wrapping_mul(0x9e37_79b9) % KEYS);
        if let Decision::Allow { next } = quota.decide(table.get(key, NOW), NOW, 1) {
            table.put(key, next, next.expires(), NOW);
            admitted += 1;
        }
    }
    admitted
}

/// A response that is stored, then asked for again `count` times; how many were answered from the store.
#[unsafe(no_mangle)]
pub extern "C" fn cache_hit(count: u32) -> u32 {
    let options = CacheOptions::default();
    let mut purges = Purges::default();
    let generation = purges.stamp(NOW);
    let url = CacheKey::new(&TARGET);
    let exchange = Exchange {
        target: TARGET,
        request: &REQUEST,
        status: 200,
        response: &RESPONSE,
        request_time: NOW,
        response_time: NOW,
        generation,
        random: 0,
    };
    let nothing: Option<Known<'_, &Fields>> = None;
    let Keep::Store(metadata) = on_response(&exchange, nothing, &url, &purges, &options).keep else { return 0 };
    let mut variants = Variants::default();
    variants.insert(&url, &metadata, &REQUEST, &options.vary, NOW);
    let mut hits = 0;
    for _ in 0..count {
        let ask = Ask {
            target: black_box(TARGET),
            key: &url,
            request: black_box(&REQUEST),
            purges: &purges,
            origin: Origin::Reachable,
            now: NOW,
        };
        let variant = variants.select(&url, ask.request, &options.vary);
        if variant.is_some() && matches!(decide(&ask, Stored::Response(&metadata), &options), CacheDecision::Serve(_)) {
            hits += 1;
        }
    }
    hits
}

/// A response decided on `count` times; how many are stored.
#[unsafe(no_mangle)]
pub extern "C" fn cache_store(count: u32) -> u32 {
    let options = CacheOptions::default();
    let mut purges = Purges::default();
    let generation = purges.stamp(NOW);
    let url = CacheKey::new(&TARGET);
    let mut stored = 0;
    for _ in 0..count {
        let exchange = Exchange {
            target: black_box(TARGET),
            request: &REQUEST,
            status: 200,
            response: black_box(&RESPONSE),
            request_time: NOW,
            response_time: NOW,
            generation,
            random: 0,
        };
        let nothing: Option<Known<'_, &Fields>> = None;
        stored += u32::from(matches!(on_response(&exchange, nothing, &url, &purges, &options).keep, Keep::Store(_)));
    }
    stored
}

/// A call through the breaker, `count` times; how many passed.
#[unsafe(no_mangle)]
pub extern "C" fn breaker(count: u32) -> u32 {
    let config = Config::default();
    let mut breaker = Breaker::new();
    let mut passed = 0;
    for _ in 0..count {
        if let Gate::Pass(permit) = breaker.admit(&config, black_box(NOW)) {
            breaker.record(&config, permit, black_box(Outcome::Success), NOW, 0);
            passed += 1;
        }
    }
    passed
}

const KEYS: u32 = 100_000;
const KEYS_ROOM: usize = 2 * KEYS as usize;
