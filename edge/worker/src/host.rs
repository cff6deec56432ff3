//! One request's view of workerd.

use alloc::{boxed::Box, rc::Rc, string::String};
use core::time::Duration;

use js_sys::{Date, Promise};
use seawall_core::{cache::key::CacheKey, time::Timestamp};
use seawall_edge::{
    Platform,
    authority::{Question, Reply},
    message::{Request, Response},
    platform::{AuthorityError, FetchError},
    record::Metric,
};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::{
    authority, binding,
    bindings::Bindings,
    body::Body,
    cache::Near,
    glue,
    headers::HeaderList,
    kv::Far,
    metrics, origin, pop, purge,
    ready::Ready,
    task::{self, Work},
    waiters::Waiters,
};

/// The platform of one request.
#[derive(Clone)]
pub(crate) struct Host(Rc<Inner>);

struct Inner {
    bindings: Rc<Bindings>,
    context: Context,
    /// Whether it is a job that runs here, and no visitor's request.
    is_job: bool,
    waiters: Rc<Waiters>,
}

impl Host {
    /// The host of a visitor's request.
    ///
    /// # Errors
    /// When nobody said where the origin is.
    pub(crate) fn new(bindings: Rc<Bindings>, context: Context, waiters: Rc<Waiters>) -> Result<Self, JsValue> {
        bindings.origins()?;
        Ok(Self(Rc::new(Inner { bindings, context, is_job: false, waiters })))
    }

    /// The host of jobs, which may have an origin of their own.
    ///
    /// # Errors
    /// When nobody said where one is.
    pub(crate) fn for_jobs(bindings: Rc<Bindings>, context: Context, waiters: Rc<Waiters>) -> Result<Self, JsValue> {
        bindings.cron_origins()?;
        Ok(Self(Rc::new(Inner { bindings, context, is_job: true, waiters })))
    }

    fn all_origins(&self) -> &[String] {
        let Inner { bindings, is_job, .. } = &*self.0;
        let origins = if *is_job { bindings.cron_origins() } else { bindings.origins() };
        // Checked when it was made.
        origins.unwrap_or_default()
    }
}

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
        self.all_origins().len()
    }

    async fn fetch(
        &self,
        origin: usize,
        request: &mut Request<Self>,
        deadline: Duration,
    ) -> Result<Response<Self>, FetchError> {
        let address = self.all_origins().get(origin).ok_or(FetchError::Unreachable)?;
        origin::fetch(address, request, deadline).await
    }

    fn near(&self) -> Near {
        Near
    }

    fn far(&self) -> Option<Far> {
        self.0.bindings.cache.clone().map(Far::new)
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
        authority::ask(self.0.bindings.limiter.as_ref(), shard, question, deadline).await
    }

    #[cfg(seawall_redis)]
    async fn run_script(
        &self,
        script: &seawall_edge::platform::Script<'_>,
        deadline: Duration,
    ) -> Result<seawall_core::limit::lua::Reply, AuthorityError> {
        crate::upstash::run(&self.0.bindings.env, script, deadline).await
    }

    async fn count_at_location(&self, limit: &str, key: u128) -> Option<bool> {
        binding::count(&self.0.bindings.env, limit, key).await
    }

    async fn sleep(&self, time: Duration) {
        let _ = task::ended(&glue::pause(glue::millis(time), &mut |_| {})).await;
    }

    async fn read(&self, body: Body, bytes_max: usize) -> Option<String> {
        let bytes = body.collect(bytes_max).await?;
        let fits = bytes.length() as usize <= bytes_max;
        if fits { String::from_utf8(bytes.to_vec()).ok() } else { None }
    }

    fn has_purge_log(&self) -> bool {
        self.0.bindings.purges.is_some()
    }

    async fn ask_purge_log(&self, question: String, deadline: Duration) -> Result<String, AuthorityError> {
        purge::ask(self.0.bindings.purges.as_ref(), question, deadline).await
    }

    fn has_pop(&self) -> bool {
        self.0.bindings.collapse.is_some()
    }

    async fn ask_pop(&self, shard: u64, question: String, deadline: Duration) -> Result<String, AuthorityError> {
        pop::ask(self.0.bindings.collapse.as_ref(), shard, &question, deadline).await
    }

    async fn wait(&self, key: &CacheKey, at_most: Duration) {
        self.0.waiters.wait(key, at_most).await;
    }

    fn wake(&self, key: &CacheKey) {
        self.0.waiters.wake(key);
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        let work: Work = Box::pin(async {
            work.await;
            Ok(JsValue::NULL)
        });
        // Refused after the end of the request, and then the work goes on for as long as the runtime lets it.
        let _ = self.0.context.wait_until(&task::soon(work));
    }

    fn log(&self, line: &str) {
        log(line);
    }

    fn measure(&self, metric: &Metric<'_>) {
        if let Some(dataset) = &self.0.bindings.metrics {
            metrics::write(dataset, metric);
        }
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

/// A JavaScript response of these parts.
pub(crate) fn response(status: u16, headers: &HeaderList, body: Option<&Body>) -> Result<web_sys::Response, JsValue> {
    glue::answer(status, &headers.to_text(), &body.map_or(JsValue::NULL, Body::to_js))
}

#[wasm_bindgen]
extern "C" {
    /// What the runtime gives with each event.
    pub type Context;

    #[wasm_bindgen(method, catch, js_name = waitUntil)]
    pub(crate) fn wait_until(this: &Context, promise: &Promise) -> Result<(), JsValue>;
}
