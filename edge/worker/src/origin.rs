//! Calls to the origin.

use core::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use js_sys::Reflect;
use seawall_edge::{
    message::{Headers, Request, Response},
    platform::FetchError,
};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, RequestCache, RequestInit, RequestRedirect};
use worker::Delay;

use crate::{
    headers::JsHeaders,
    host::{Body, Host, global},
};

/// Calls the origin, with redirects left to the client; ends the call when no header came within the deadline.
pub(crate) async fn fetch(
    origin: &str,
    request: &mut Request<Host>,
    deadline: Duration,
) -> Result<Response<Host>, FetchError> {
    // The address names the host; a second one would be ignored or refused.
    request.headers.remove("host");
    let query = if request.query.is_empty() { "" } else { "?" };
    let url = format!("{origin}{}{query}{}", request.path, request.query);
    // Nothing in a request that passed the first stage is refused here; should it be, there is no call to make.
    let (call, abort) = start(&url, request).map_err(|_| FetchError::Unreachable)?;
    match select(pin!(JsFuture::from(call)), pin!(Delay::from(deadline))).await {
        Either::Left((Ok(response), _)) => Ok(convert(response.unchecked_into())),
        Either::Left((Err(_), _)) => Err(FetchError::Unreachable),
        Either::Right(_) => {
            abort.abort();
            Err(FetchError::Timeout)
        }
    }
}

fn start(url: &str, request: &mut Request<Host>) -> Result<(js_sys::Promise, AbortController), JsValue> {
    let abort = AbortController::new()?;
    let init = RequestInit::new();
    init.set_method(&request.method);
    init.set_headers(request.headers.as_js());
    init.set_redirect(RequestRedirect::Manual);
    // The platform's own cache would stand between the edge and the origin, and keep what nobody here can purge.
    init.set_cache(RequestCache::NoStore);
    init.set_signal(Some(&abort.signal()));
    // The bytes as the origin sent them: the runtime would decode an encoded body.
    Reflect::set(&init, &JsValue::from_str("encodeResponseBody"), &JsValue::from_str("manual"))?;
    match &request.body.take() {
        Some(Body::Stream(stream)) => init.set_body(stream),
        Some(Body::Bytes(bytes)) => init.set_body(bytes),
        Some(Body::Text(text)) => init.set_body(&JsValue::from_str(text)),
        None => {}
    }
    let request = web_sys::Request::new_with_str_and_init(url, &init)?;
    Ok((global().fetch_with_request(&request), abort))
}

fn convert(response: web_sys::Response) -> Response<Host> {
    // The runtime's own fields cannot be changed, so the pipeline works on a copy.
    let headers = JsHeaders::from(response.headers()).clone();
    Response::new(response.status(), headers, response.body().map(Body::Stream))
}
