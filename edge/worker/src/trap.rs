//! Panics at the wish of a request, for the test that shows what becomes of them. What is deployed does not have this.

use alloc::boxed::Box;

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

/// `at-once`: before anything is awaited; `later`: after; `aside`: in what goes on after the answer.
const FIELD: &str = "x-test-trap";
