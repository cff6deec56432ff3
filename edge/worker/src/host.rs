//! One request's view of workerd.

use alloc::{borrow::ToOwned, boxed::Box, rc::Rc, string::String, vec::Vec};
use core::{pin::Pin, time::Duration};

use js_sys::{Date, Object, Promise};
use seawall_core::{cache::key::CacheKey, time::Timestamp};
use seawall_edge::{
    Platform,
    authority::{Question, Reply},
    message::{Request, Response},
    platform::{AuthorityError, FetchError},
    record::Metric,
};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use web_sys::WorkerGlobalScope;

use crate::{
    authority, binding, body::Body, cache::Near, glue, headers::HeaderList, kv::Far, metrics, origin, pop, purge,
    ready::Ready, settings, waiters::Waiters,
};

/// The platform of one request.
#[derive(Clone)]
pub(crate) struct Host(Rc<Inner>);

struct Inner {
    env: Object,
    context: Context,
    /// The addresses of origins that answer the same, in order, without a slash at the end; at least one.
    origins: Vec<String>,
    waiters: Rc<Waiters>,
}

impl Host {
    /// The host of a visitor's request.
    ///
    /// # Errors
    /// When the variable `ORIGIN` is missing: there is nothing to be an edge of.
    pub(crate) fn new(env: Object, context: Context, waiters: Rc<Waiters>) -> Result<Self, JsValue> {
        let missing = "the variable ORIGIN is not set: give it the origin's address, such as https://origin.example";
        let origins = addresses(&env, ORIGIN).ok_or_else(|| JsValue::from_str(missing))?;
        Ok(Self(Rc::new(Inner { env, context, origins, waiters })))
    }

    /// The host of jobs, which may have an origin of their own.
    ///
    /// # Errors
    /// When the variable `ORIGIN` is missing.
    pub(crate) fn for_jobs(env: Object, context: Context, waiters: Rc<Waiters>) -> Result<Self, JsValue> {
        match addresses(&env, CRON_ORIGIN) {
            Some(origins) => Ok(Self(Rc::new(Inner { env, context, origins, waiters }))),
            None => Self::new(env, context, waiters),
        }
    }
}

/// The addresses in a variable, separated by commas.
fn addresses(env: &Object, name: &str) -> Option<Vec<String>> {
    let text = settings::text(env, name)?;
    let addresses = text.split(',').map(|address| address.trim().trim_end_matches('/').to_owned());
    let addresses: Vec<String> = addresses.filter(|address| !address.is_empty()).collect();
    (!addresses.is_empty()).then_some(addresses)
}

/// Where the origin is, or several that answer the same.
const ORIGIN: &str = "ORIGIN";
/// Where its jobs are started, if that is elsewhere.
const CRON_ORIGIN: &str = "CRON_ORIGIN";

impl Platform for Host {
    type Headers = HeaderList;
    type Body = Body;
    type Ready = Ready;
    type Near = Near;
    type Far = Far;

    fn now(&self) -> Timestamp {
        now()
    }

    fn random(&self) -> u64 {
        // Drawing numbers is refused outside a request only, and this is inside one.
        glue::random().unwrap_or_default()
    }

    fn origins(&self) -> usize {
        self.0.origins.len()
    }

    async fn fetch(
        &self,
        origin: usize,
        request: &mut Request<Self>,
        deadline: Duration,
    ) -> Result<Response<Self>, FetchError> {
        let address = self.0.origins.get(origin).ok_or(FetchError::Unreachable)?;
        origin::fetch(address, request, deadline).await
    }

    fn near(&self) -> Near {
        Near
    }

    fn far(&self) -> Option<Far> {
        Far::of(&self.0.env)
    }

    fn ready(
        &self,
        response: Response<Self>,
        bytes_max: usize,
    ) -> impl Future<Output = Option<(Ready, usize)>> + 'static {
        Ready::new(response, bytes_max)
    }

    fn revive(&self, ready: &Ready) -> Response<Self> {
        ready.revive()
    }

    fn text(&self, text: String) -> Body {
        Body::Text(text.into())
    }

    async fn ask(&self, shard: u64, question: &Question, deadline: Duration) -> Result<Reply, AuthorityError> {
        authority::ask(&self.0.env, shard, question, deadline).await
    }

    #[cfg(seawall_redis)]
    async fn run_script(
        &self,
        script: &seawall_edge::platform::Script<'_>,
        deadline: Duration,
    ) -> Result<seawall_core::limit::lua::Reply, AuthorityError> {
        crate::upstash::run(&self.0.env, script, deadline).await
    }

    async fn count_at_location(&self, limit: &str, key: u128) -> Option<bool> {
        binding::count(&self.0.env, limit, key).await
    }

    async fn sleep(&self, time: Duration) {
        let _ = JsFuture::from(glue::pause(glue::millis(time), &mut |_| {})).await;
    }

    async fn read(&self, body: Body, bytes_max: usize) -> Option<String> {
        let bytes = body.collect(bytes_max).await?;
        let fits = bytes.length() as usize <= bytes_max;
        if fits { String::from_utf8(bytes.to_vec()).ok() } else { None }
    }

    fn has_purge_log(&self) -> bool {
        purge::is_bound(&self.0.env)
    }

    async fn ask_purge_log(&self, question: String, deadline: Duration) -> Result<String, AuthorityError> {
        purge::ask(&self.0.env, question, deadline).await
    }

    fn has_pop(&self) -> bool {
        pop::is_bound(&self.0.env)
    }

    async fn ask_pop(&self, shard: u64, question: String, deadline: Duration) -> Result<String, AuthorityError> {
        pop::ask(&self.0.env, shard, &question, deadline).await
    }

    async fn wait(&self, key: &CacheKey, at_most: Duration) {
        self.0.waiters.wait(key, at_most).await;
    }

    fn wake(&self, key: &CacheKey) {
        self.0.waiters.wake(key);
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        let work: Pin<Box<dyn Future<Output = _>>> = Box::pin(async {
            work.await;
            Ok(JsValue::UNDEFINED)
        });
        self.0.context.wait_until(&glue::promise(work));
    }

    fn log(&self, line: &str) {
        log(line);
    }

    fn measure(&self, metric: &Metric<'_>) {
        metrics::write(&self.0.env, metric);
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

pub(crate) fn global() -> WorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// A JavaScript response of these parts.
pub(crate) fn response(status: u16, headers: &HeaderList, body: Option<&Body>) -> Result<web_sys::Response, JsValue> {
    glue::answer(status, &headers.to_text(), &body.map_or(JsValue::NULL, Body::to_js))
}

#[wasm_bindgen]
extern "C" {
    /// What the runtime gives with each event.
    pub type Context;

    #[wasm_bindgen(method, js_name = waitUntil)]
    pub(crate) fn wait_until(this: &Context, promise: &Promise);
}
