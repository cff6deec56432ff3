//! Work that waits for promises.
//!
//! JavaScript goes on with it: what a promise ends with wakes the work that waits for it, and no other
//! (docs/decisions/0036-what-a-request-costs-in-the-worker.md). Work that waits for other work is woken by the waker that
//! Rust knows.

use alloc::{boxed::Box, sync::Arc, task::Wake};
use core::{
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
};

use js_sys::Promise;
use wasm_bindgen::{JsValue, closure::Closure, prelude::wasm_bindgen};

#[cfg(feature = "contract")]
pub(crate) mod contract;

/// Work as it is given away: in a box, so that there is one kind of it.
pub(crate) type Work = Pin<Box<dyn Future<Output = Result<JsValue, JsValue>>>>;

/// A promise of what comes of some work, which begins now. It ends with a value that is not `undefined`.
pub(crate) fn now(work: Work) -> Promise {
    run(poll(work), false)
}

/// The same of work that begins when whoever asks for it has to wait.
pub(crate) fn soon(work: Work) -> Promise {
    run(poll(work), true)
}

/// What goes on with some work: gives `undefined` until that has ended, and from then on.
fn poll(work: Work) -> JsValue {
    let mut work = Some(work);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let poll = move || {
        while let Some(left) = &mut work {
            woken.is_woken.store(false, Ordering::Relaxed);
            if let Poll::Ready(end) = left.as_mut().poll(&mut Context::from_waker(&waker)) {
                work = None;
                woken.expect(false);
                return end;
            }
            if !woken.is_woken.load(Ordering::Relaxed) {
                // Beside the two here, whoever promised to wake it has one.
                woken.expect(Arc::strong_count(&woken) > 2);
                break;
            }
        }
        Ok(JsValue::UNDEFINED)
    };
    Closure::<dyn FnMut() -> Result<JsValue, JsValue>>::new(poll).into_js_value()
}

/// What has become of the waker of some work.
#[derive(Default)]
struct Woken {
    /// Whether the work was woken while it went on.
    is_woken: AtomicBool,
    /// Whether JavaScript lets it be woken by its name: it holds all of the work for that, until it is told not to.
    is_expected: AtomicBool,
}

impl Woken {
    /// A number that no other work has at the same time.
    fn name(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }

    /// Lets the work that is going on be woken by its name, or no more.
    fn expect(self: &Arc<Self>, is: bool) {
        if self.is_expected.swap(is, Ordering::Relaxed) != is {
            expect(self.name(), is);
        }
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::Relaxed);
        if self.is_expected.swap(false, Ordering::Relaxed) {
            wake(self.name());
        }
    }
}

/// What a promise ends with, for work that [`now`] or [`soon`] runs.
pub(crate) fn ended(promise: &JsValue) -> Ended {
    Ended(keep(promise))
}

/// The end of a promise.
pub(crate) struct Ended(Kept);

impl Future for Ended {
    type Output = Result<JsValue, JsValue>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        match look(&self.0) {
            0 => Poll::Pending,
            1 => Poll::Ready(Ok(self.0.value())),
            _ => Poll::Ready(Err(self.0.value())),
        }
    }
}

#[wasm_bindgen(module = "/src/task.js")]
extern "C" {
    /// Calls `poll`, at once or as soon as nothing else runs, and again whenever something it waits for has ended.
    fn run(poll: JsValue, later: bool) -> Promise;

    /// Lets the work that is going on be woken by this name, or no more.
    fn expect(name: usize, is: bool);

    /// Forgets all work that waits for other work: in a module that begins there is none, and names of the one before come
    /// again.
    pub(crate) fn begin();

    /// How much work waits for other work.
    #[cfg(feature = "contract")]
    fn expected() -> usize;

    /// Wakes the work of this name, which waits.
    fn wake(name: usize);

    /// What becomes of a promise.
    type Kept;

    fn keep(promise: &JsValue) -> Kept;

    /// 0 while the promise has not ended, and then the work that is going on is told when it has; 1 when it was kept; 2 when it
    /// was refused.
    fn look(kept: &Kept) -> u8;

    #[wasm_bindgen(method, getter)]
    fn value(this: &Kept) -> JsValue;
}
