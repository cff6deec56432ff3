//! Calls of the component to other servers.

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{DATE, HeaderValue};
use http::{Request, Response};
use http_body_util::BodyExt;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks, default_send_request};

use crate::world::World;

/// Sends what the component sends.
pub(crate) struct Outbound(pub(crate) Arc<World>);

type Ending = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Ending,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Ending), Error>> + Send> {
        let world = Arc::clone(&self.0);
        Box::new(async move {
            let (response, ending) = default_send_request(request, options).await?;
            let mut response = response.map(BodyExt::boxed_unsync);
            live_in_the_same_moment(&world, &mut response);
            Ok((response, Box::new(ending) as Ending))
        })
    }
}

/// Without this a response to a clock that was moved would arrive hours old.
fn live_in_the_same_moment(world: &World, response: &mut Response<WasiBody>) {
    let date = response.headers().get(DATE).and_then(|value| value.to_str().ok());
    let date = date.and_then(|text| httpdate::parse_http_date(text).ok());
    if let (Some(ahead), Some(date)) = (world.clock.ahead(), date) {
        let moved: SystemTime = date + ahead;
        if let Ok(value) = HeaderValue::from_str(&httpdate::fmt_http_date(moved)) {
            response.headers_mut().insert(DATE, value);
        }
    }
}
