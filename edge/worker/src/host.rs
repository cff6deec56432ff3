//! One request's view of workerd.

use core::time::Duration;
use std::rc::Rc;

use js_sys::Date;
use seawall_core::{cache::key::CacheKey, time::Timestamp};
use seawall_edge::{
    Platform,
    authority::{Question, Reply},
    message::{Request, Response},
    platform::{AuthorityError, FetchError, StoreError, Stored},
};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{ReadableStream, ResponseInit, WorkerGlobalScope};
use worker::{Context, Delay, Env};

use crate::{authority, cache, headers::JsHeaders, origin, waiters};

/// The platform of one request.
#[derive(Clone)]
pub(crate) struct Host(Rc<Inner>);

struct Inner {
    env: Env,
    context: Context,
    /// The origin's address, without a slash at the end.
    origin: String,
}

/// A body that stays on the JavaScript side, or a text of ours.
pub(crate) enum Body {
    Stream(ReadableStream),
    Text(Rc<str>),
}

impl Host {
    /// # Errors
    /// When the variable `ORIGIN` is missing: there is nothing to be an edge of.
    pub(crate) fn new(env: Env, context: Context) -> worker::Result<Self> {
        let origin = env
            .var("ORIGIN")
            .map_err(
                |_| "the variable ORIGIN is not set: give it the origin's address, such as https://origin.example",
            )?
            .to_string();
        Ok(Self(Rc::new(Inner { env, context, origin: origin.trim_end_matches('/').to_owned() })))
    }
}

impl Platform for Host {
    type Headers = JsHeaders;
    type Body = Body;

    fn now(&self) -> Timestamp {
        now()
    }

    fn random(&self) -> u64 {
        // Drawing numbers is refused outside a request only, and this is inside one.
        random().unwrap_or_default()
    }

    async fn fetch(&self, request: &mut Request<Self>, deadline: Duration) -> Result<Response<Self>, FetchError> {
        origin::fetch(&self.0.origin, request, deadline).await
    }

    async fn load(&self, key: &CacheKey) -> Result<Option<Stored<Self>>, StoreError> {
        cache::load(key).await
    }

    async fn save(&self, key: &CacheKey, stored: Stored<Self>, keep_for: Duration) -> Result<(), StoreError> {
        cache::save(key, stored, keep_for).await
    }

    async fn remove(&self, key: &CacheKey) -> Result<(), StoreError> {
        cache::remove(key).await
    }

    fn split(&self, body: Body) -> (Body, Body) {
        match body {
            Body::Text(text) => (Body::Text(Rc::clone(&text)), Body::Text(text)),
            Body::Stream(stream) => {
                let branches = stream.tee();
                let branch = |at| Body::Stream(branches.get(at).unchecked_into());
                (branch(0), branch(1))
            }
        }
    }

    fn text(&self, text: String) -> Body {
        Body::Text(text.into())
    }

    async fn ask(&self, shard: u64, question: &Question, deadline: Duration) -> Result<Reply, AuthorityError> {
        authority::ask(&self.0.env, shard, question, deadline).await
    }

    async fn sleep(&self, time: Duration) {
        Delay::from(time).await;
    }

    async fn wait(&self, key: &CacheKey, at_most: Duration) {
        waiters::wait(key, at_most).await;
    }

    fn wake(&self, key: &CacheKey) {
        waiters::wake(key);
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        self.0.context.wait_until(work);
    }

    fn log(&self, line: &str) {
        log(line);
    }
}

/// Writes one line to the log.
pub(crate) fn log(line: &str) {
    web_sys::console::log_1(&JsValue::from_str(line));
}

/// The runtime's clock. Deployed, it stands still between two awaited calls.
pub(crate) fn now() -> Timestamp {
    // Milliseconds since 1970 as a float hold every date exactly; a clock before 1970 reads as 1970.
    Timestamp::from_unix_millis(Date::now() as u64)
}

/// A random number.
pub(crate) fn random() -> worker::Result<u64> {
    let mut bytes = [0; 8];
    global().crypto()?.get_random_values_with_u8_array(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

pub(crate) fn global() -> WorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// A JavaScript response of these parts.
pub(crate) fn response(status: u16, headers: &JsHeaders, body: Option<&Body>) -> worker::Result<web_sys::Response> {
    let init = ResponseInit::new();
    init.set_status(status);
    init.set_headers(headers.as_js());
    let response = match body {
        Some(Body::Stream(stream)) => web_sys::Response::new_with_opt_readable_stream_and_init(Some(stream), &init),
        Some(Body::Text(text)) => web_sys::Response::new_with_opt_str_and_init(Some(text), &init),
        None => web_sys::Response::new_with_opt_str_and_init(None, &init),
    };
    Ok(response?)
}

/// What a JavaScript error says.
pub(crate) fn message(error: &JsValue) -> String {
    error.dyn_ref::<js_sys::Error>().map_or_else(|| format!("{error:?}"), |error| String::from(error.message()))
}
