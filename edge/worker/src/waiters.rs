//! Requests of this isolate that wait for another one's response.
//!
//! workerd cancels a request that waits for nothing of its own, and does not let one request use another's
//! objects. So each waiter makes a promise of its own and a timer of its own; the other side only resolves it.

use core::{cell::RefCell, pin::pin, time::Duration};
use std::collections::HashMap;

use futures_util::future::select;
use js_sys::{Function, Promise};
use seawall_core::cache::key::CacheKey;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use worker::Delay;

thread_local! {
    static WAITERS: RefCell<HashMap<CacheKey, Vec<Function>>> = RefCell::default();
}

/// Waits until [`wake`] or until `at_most` has passed. Above [`WAITERS_MAX`] for one key it does not wait.
pub(crate) async fn wait(key: &CacheKey, at_most: Duration) {
    let is_full = WAITERS.with_borrow(|waiters| waiters.get(key).is_some_and(|waiting| waiting.len() >= WAITERS_MAX));
    if is_full {
        return;
    }
    let woken = Promise::new(&mut |resolve, _| {
        WAITERS.with_borrow_mut(|waiters| waiters.entry(*key).or_default().push(resolve));
    });
    let _ = select(pin!(JsFuture::from(woken)), pin!(Delay::from(at_most))).await;
}

/// Wakes every request that waits for `key`; those that stopped waiting are forgotten.
pub(crate) fn wake(key: &CacheKey) {
    let waiting = WAITERS.with_borrow_mut(|waiters| waiters.remove(key)).unwrap_or_default();
    for resolve in waiting {
        // A promise whose request is gone has nobody to tell.
        let _ = resolve.call0(&JsValue::UNDEFINED);
    }
}

/// Most requests that wait for one response. workerd holds each of them in memory; more would be a flood, and a
/// flood is better spent on the breaker than on patience.
const WAITERS_MAX: usize = 1024;
