//! Calls to the origin.

use core::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use seawall_edge::{
    message::{Request, Response},
    platform::FetchError,
};
use spin_sdk::{
    time::sleep,
    wasip3::http::{
        client,
        types::{ErrorCode, Request as WasiRequest, Scheme},
    },
};

use crate::{
    body::{Body, Parts},
    host::Host,
    message,
    settings::Address,
};

/// Calls the origin; gives up when no header came within the deadline. Spin follows no redirects.
pub(crate) async fn fetch(
    origin: &Address,
    request: &mut Request<Host>,
    deadline: Duration,
) -> Result<Response<Host>, FetchError> {
    // Nothing in a request that passed the first stage is refused here; should it be, there is no call to make.
    let call = prepare(origin, request).map_err(|_| FetchError::Unreachable)?;
    match select(pin!(client::send(call)), pin!(sleep(deadline))).await {
        Either::Left((Ok(response), _)) => Ok(message::fetched(response)),
        Either::Left((Err(_), _)) => Err(FetchError::Unreachable),
        Either::Right(_) => Err(FetchError::Timeout),
    }
}

fn prepare(origin: &Address, request: &mut Request<Host>) -> Result<WasiRequest, ErrorCode> {
    let Parts { stream, end } = request.body.take().map_or_else(Parts::empty, Body::into_parts);
    let (made, _sent) = WasiRequest::new(request.headers.to_wasi()?, stream, end, None);
    let question = if request.query.is_empty() { "" } else { "?" };
    let target = [&*origin.path, &request.path, question, &request.query].concat();
    let scheme = if origin.is_encrypted { Scheme::Https } else { Scheme::Http };
    let refused = |()| ErrorCode::HttpRequestUriInvalid;
    made.set_method(&message::wasi_method(&request.method)).map_err(refused)?;
    made.set_scheme(Some(&scheme)).map_err(refused)?;
    made.set_authority(Some(&origin.authority)).map_err(refused)?;
    made.set_path_with_query(Some(&target)).map_err(refused)?;
    Ok(made)
}
