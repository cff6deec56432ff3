//! What work that waits leaves behind, as a test that runs in workerd.

use alloc::{boxed::Box, format, rc::Rc, string::String};
use core::{cell::RefCell, future::poll_fn, pin::pin, task::Waker};

use js_sys::Promise;
use wasm_bindgen::JsValue;

use super::{ended, expected, now};

/// Runs it.
///
/// # Errors
/// With what is left behind.
pub(crate) async fn check() -> Result<(), String> {
    let before = expected();
    let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
    let kept = Rc::clone(&waker);
    let work = now(Box::pin(async move {
        wait_beside(Some(&kept)).await?;
        let waiting = expected();
        // It is waited for no more, but for something else.
        kept.take();
        wait_beside(None).await?;
        let going_on = expected();
        wait_beside(Some(&kept)).await?;
        Ok(JsValue::from_str(&format!("{waiting} {going_on}")))
    }));
    let seen = ended(&work).await.map_err(|_| String::from("a promise was refused"))?;
    let (seen, wanted) = (seen.as_string().unwrap_or_default(), format!("{} {before}", before + 1));
    if seen != wanted {
        return Err(format!("while it goes on: {seen} in place of {wanted}"));
    }
    let after = expected();
    if after != before {
        return Err(format!("when it has ended: {after} in place of {before}"));
    }
    // Who wakes it too late wakes nothing.
    waker.take().ok_or_else(|| String::from("nobody has the waker"))?.wake();
    Ok(())
}

/// Waits for a promise, which is kept as soon as nothing else runs, and gives the waker away meanwhile.
async fn wait_beside(waker: Option<&RefCell<Option<Waker>>>) -> Result<JsValue, JsValue> {
    let mut promised = pin!(ended(&Promise::resolve(&JsValue::NULL)));
    poll_fn(|context| {
        if let Some(kept) = waker {
            kept.replace(Some(context.waker().clone()));
        }
        promised.as_mut().poll(context)
    })
    .await
}
