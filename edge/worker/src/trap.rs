//! Panics at the wish of a request, or of a question to a Durable Object, for the test that shows what becomes of them. What
//! is deployed does not have this.

use alloc::boxed::Box;

use js_sys::Reflect;
use wasm_bindgen::JsValue;

use crate::{host::Context, task};

/// Panics if the request names this place in [`FIELD`].
pub(crate) fn at(request: &web_sys::Request, place: &str) {
    assert!(!is_wished(request, place), "as the request wishes");
}

/// The same in work that goes on after the answer.
pub(crate) fn aside(request: &web_sys::Request, context: &Context) {
    if is_wished(request, "aside") {
        let _ = context.wait_until(&task::soon(Box::pin(async { panic!("as the request wishes") })));
    }
}

fn is_wished(request: &web_sys::Request, place: &str) -> bool {
    request.headers().get(FIELD).ok().flatten().as_deref() == Some(place)
}

/// Panics if an object of this kind was told to: [`ARM`] and a number is no question, and so many questions after it are not
/// survived. The number is kept where a panic does not reach.
pub(crate) fn hear(kind: &str, question: &str) {
    let (global, kind) = (js_sys::global(), JsValue::from_str(kind));
    let set = |left: f64| Reflect::set(&global, &kind, &JsValue::from_f64(left));
    if let Some(times) = question.strip_prefix(ARM).and_then(|times| times.parse().ok()) {
        let _ = set(times);
        return;
    }
    let left = Reflect::get(&global, &kind).ok().and_then(|left| left.as_f64()).unwrap_or_default();
    if left > 0.0 {
        let _ = set(left - 1.0);
        panic!("as it was told to");
    }
}

const ARM: &str = "panic ";

/// `at-once`: before anything is awaited; `later`: after; `aside`: in what goes on after the answer.
const FIELD: &str = "x-test-trap";
