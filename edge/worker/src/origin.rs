//! Calls to the origin.

use core::time::Duration;

use seawall_edge::{
    message::{Headers, Request, Response},
    platform::FetchError,
};
use wasm_bindgen::{JsCast, JsValue};

use crate::{body::Body, glue, headers::HeaderList, host::Host, task};

/// Calls the origin, with redirects left to the client; ends the call when no header came within the deadline.
pub(crate) async fn fetch(
    origin: &str,
    request: &mut Request<Host>,
    deadline: Duration,
) -> Result<Response<Host>, FetchError> {
    // The address names the host; a second one would be ignored or refused.
    request.headers.remove("host");
    let query = if request.query.is_empty() { "" } else { "?" };
    let url = [origin, &request.path, query, &request.query].concat();
    let body = request.body.take().map_or(JsValue::UNDEFINED, |body| body.to_js());
    // A deadline in milliseconds is exact as a float.
    let deadline_ms = deadline.as_millis() as f64;
    let call = glue::call(&url, &request.method, &request.headers.to_text(), &body, deadline_ms);
    match task::ended(&call).await {
        Ok(response) if response.is_null() => Err(FetchError::Timeout),
        Ok(response) => Ok(convert(&response.unchecked_into())),
        Err(_) => Err(FetchError::Unreachable),
    }
}

fn convert(response: &web_sys::Response) -> Response<Host> {
    Response::new(response.status(), HeaderList::read(&response.headers()), response.body().map(Body::Stream))
}
