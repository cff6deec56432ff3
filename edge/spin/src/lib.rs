//! The edge on Spin: converts what its world gives into what the pipeline takes, and back.
//!
//! Policy lives in policy.toml and the pipeline; here is none. Nothing here may panic: one trap ends every request that
//! this instance is answering.

mod authority;
mod body;
#[cfg(feature = "contract")]
mod contract;
mod headers;
mod host;
mod message;
mod notes;
mod origin;
mod settings;
mod store;
mod upstash;
mod waiters;

use core::time::Duration;
use std::{
    cell::{Cell, OnceCell},
    rc::Rc,
};

use seawall_core::policy::Policy;
use seawall_edge::{
    Edge, Isolate,
    message::Response,
    pipeline::{self, Quick, Refused},
};
use spin_sdk::{
    time::sleep,
    wasip3::{
        self,
        exports::http::handler::Guest,
        http::types::{ErrorCode, Request, Response as WasiResponse},
    },
};

use crate::{body::Body, headers::SpinHeaders, host::Host, message::Came};

thread_local! {
    /// What this instance keeps between requests. Spin ends instances that have nothing to do, so this lives short.
    static ISOLATE: OnceCell<(Rc<Isolate<Host>>, Rc<settings::Places>)> = const { OnceCell::new() };
    /// Whether someone is about to write down what was answered at once.
    static COUNTS_WAIT: Cell<bool> = const { Cell::new(false) };
}

struct Component;

spin_sdk::wasip3::http::service::export!(Component);

impl Guest for Component {
    async fn handle(request: Request) -> Result<WasiResponse, ErrorCode> {
        let came = Came::read(request).map_err(|error| refused(String::from(error)))?;
        if let Some(response) = at_once(&came) {
            return message::response(response);
        }
        let (isolate, places) = isolate().await.map_err(refused)?;
        #[cfg(feature = "contract")]
        if came.with_head(|head| head.url.ends_with(contract::PATH)) {
            return message::response(contract::run(places).await);
        }
        let response = pipeline::handle(isolate, Host::new(places), came.into_request()).await;
        message::response(response)
    }
}

/// The answer that waits for nothing, if there is one: from this instance's memory, or a refusal.
fn at_once(came: &Came) -> Option<Response<Host>> {
    let (isolate, places) = ISOLATE.with(|isolate| isolate.get().cloned())?;
    let now = host::now();
    let answer = came.with_head(|head| {
        pipeline::at_once(&isolate, now, head, |quick| match quick {
            Quick::Hit(ready, shown) => ready.send(&shown),
            Quick::Refusal(refused) => refusal(&refused),
        })
    })?;
    if !COUNTS_WAIT.replace(true) {
        wasip3::spawn(async move {
            sleep(COUNTS_WAIT_FOR).await;
            COUNTS_WAIT.set(false);
            pipeline::write_counts(&isolate, &Host::new(places), host::now());
        });
    }
    Some(answer)
}

/// A refusal that waits for nothing either.
fn refusal(refused: &Refused<'_>) -> Response<Host> {
    let mut headers = SpinHeaders::default();
    refused.write(&mut headers);
    Response::new(Refused::STATUS, headers, Some(Body::Bytes(refused.body().into())))
}

/// This instance's memory, made by its first request.
async fn isolate() -> Result<(Rc<Isolate<Host>>, Rc<settings::Places>), String> {
    if let Some((isolate, places)) = ISOLATE.with(|isolate| isolate.get().cloned()) {
        return Ok((isolate, places));
    }
    let (settings, places) = settings::read().await?;
    let seed = host::random();
    let made = (
        Rc::new(Isolate::new(Edge::new(Box::leak(Box::new(policy()?)), seed).with_settings(settings), seed)),
        Rc::new(places),
    );
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

/// How long answers are counted before a line says so. An instance may be asked nothing more, and ends when nothing is left
/// to do: it lives so much longer, and holds its memory.
const COUNTS_WAIT_FOR: Duration = Duration::from_millis(200);
