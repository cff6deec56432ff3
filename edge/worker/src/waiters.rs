//! Requests of this isolate that wait for another one's response.
//!
//! workerd cancels a request that waits for nothing of its own, and does not let one request use another's
//! objects. So each waiter makes a promise of its own and a timer of its own; the other side only resolves it.

use core::{cell::RefCell, time::Duration};

use js_sys::Function;
use seawall_core::cache::key::CacheKey;
use seawall_edge::waiting::Waiting;
use wasm_bindgen::JsValue;

use crate::{glue, host, task};

/// The requests that wait.
#[derive(Debug, Default)]
pub(crate) struct Waiters(RefCell<Waiting<Function>>);

impl Waiters {
    /// Waits until [`Waiters::wake`] or until `at_most` has passed. Does not wait when too many do.
    pub(crate) async fn wait(&self, key: &CacheKey, at_most: Duration) {
        let now = host::now();
        let mut place = None;
        let woken = glue::pause(glue::millis(at_most), &mut |resolve| {
            place = self.0.borrow_mut().enter(*key, resolve, now.after(at_most), now);
        });
        if let Some(place) = place {
            let _ = task::ended(&woken).await;
            self.0.borrow_mut().leave(place);
        }
    }

    /// Wakes the requests that wait for `key`.
    pub(crate) fn wake(&self, key: &CacheKey) {
        let waiting = self.0.borrow_mut().take(key);
        for resolve in waiting {
            // A promise whose request is gone has nobody to tell.
            let _ = resolve.call0(&JsValue::UNDEFINED);
        }
    }
}
