//! Requests of this instance that wait for another one's response.
//!
//! One request cannot wake another in Spin's world: wit-bindgen refuses, or the runtime traps. So each waiter looks at a
//! slot of its own, again and again, while nothing of the other's is touched.

use core::{
    cell::{Cell, RefCell},
    time::Duration,
};
use std::rc::Rc;

use seawall_core::cache::key::CacheKey;
use seawall_edge::waiting::Waiting;
use spin_sdk::time::sleep;

use crate::host;

thread_local! {
    static WAITING: RefCell<Waiting<Rc<Cell<bool>>>> = RefCell::default();
}

/// Waits until [`wake`] or until `at_most` has passed. Does not wait when too many do.
pub(crate) async fn wait(key: &CacheKey, at_most: Duration) {
    let now = host::now();
    let woken = Rc::new(Cell::new(false));
    let entered = WAITING.with_borrow_mut(|waiting| waiting.enter(*key, Rc::clone(&woken), now.after(at_most), now));
    let Some(place) = entered else { return };
    let mut left = at_most;
    while !woken.get() && !left.is_zero() {
        let step = left.min(LOOK_EVERY);
        sleep(step).await;
        left -= step;
    }
    WAITING.with_borrow_mut(|waiting| waiting.leave(place));
}

/// Wakes the requests that wait for `key`.
pub(crate) fn wake(key: &CacheKey) {
    for slot in WAITING.with_borrow_mut(|waiting| waiting.take(key)) {
        slot.set(true);
    }
}

/// How often a waiter looks: a small part of what a call to the origin takes.
const LOOK_EVERY: Duration = Duration::from_millis(5);
