//! The edge on Spin: converts what its world gives into what the pipeline takes, and back.
//!
//! Policy lives in policy.toml and the pipeline; here is none. Nothing here may panic: one trap ends every request that
//! this instance is answering.

mod authority;
mod body;
mod headers;
mod host;
mod message;
mod notes;
mod origin;
mod settings;
mod store;
mod waiters;

use std::{cell::OnceCell, rc::Rc};

use seawall_core::policy::Policy;
use seawall_edge::{Edge, Isolate, pipeline};
use spin_sdk::wasip3::{
    exports::http::handler::Guest,
    http::types::{ErrorCode, Request, Response},
};

use crate::host::Host;

thread_local! {
    /// What this instance keeps between requests. Spin ends instances that have nothing to do, so this lives short.
    static ISOLATE: OnceCell<(Rc<Isolate<Host>>, Rc<settings::Places>)> = const { OnceCell::new() };
}

struct Component;

spin_sdk::wasip3::http::service::export!(Component);

impl Guest for Component {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let (isolate, places) = isolate().await.map_err(refused)?;
        let request = message::request(request).map_err(|error| refused(String::from(error)))?;
        let response = pipeline::handle(isolate, Host::new(places), request).await;
        message::response(response)
    }
}

/// This instance's memory, made by its first request.
async fn isolate() -> Result<(Rc<Isolate<Host>>, Rc<settings::Places>), String> {
    if let Some((isolate, places)) = ISOLATE.with(|isolate| isolate.get().cloned()) {
        return Ok((isolate, places));
    }
    let (settings, places) = settings::read().await?;
    let seed = host::random();
    let made = (Rc::new(Isolate::new(Edge::new(policy()?, seed).with_settings(settings), seed)), Rc::new(places));
    // While the variables were read, another first request may have been faster.
    Ok(ISOLATE.with(|isolate| isolate.get_or_init(|| made).clone()))
}

/// The policy that the build embedded, on a platform without objects.
fn policy() -> Result<Policy, String> {
    postcard::from_bytes(include_bytes!(concat!(env!("OUT_DIR"), "/policy.bin")))
        .map(Policy::kept_in_redis)
        .map_err(|error| format!("the embedded policy does not decode: {error}"))
}

/// What Spin makes a 500 of; the reason goes to the log.
fn refused(why: String) -> ErrorCode {
    host::log(&format!("edge.request failed: {why}"));
    ErrorCode::InternalError(None)
}
