//! The edge on Cloudflare Workers: converts what workerd gives into what the pipeline takes, and back.
//!
//! Policy lives in policy.toml and the pipeline; here is none. Nor is std, because a panic here says
//! nothing (`bare`).
#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

mod authority;
#[cfg(target_arch = "wasm32")]
mod bare;
mod binding;
mod bindings;
mod body;
mod cache;
mod glue;
mod headers;
mod host;
mod kv;
mod metrics;
mod mould;
mod object;
mod origin;
mod pop;
mod purge;
mod ready;
mod refusals;
mod settings;
mod task;
#[cfg(feature = "contract")]
mod trap;
#[cfg(seawall_redis)]
mod upstash;
mod waiters;

use alloc::{
    borrow::ToOwned,
    boxed::Box,
    rc::Rc,
    string::{String, ToString},
};
use core::cell::OnceCell;

use js_sys::{Array, Object, Promise};
use once_cell::race::OnceBox;
use seawall_core::{headers::Fields, policy::Policy, time::Timestamp};
use seawall_edge::{
    Edge, Isolate,
    cron::{self, Tick},
    message::{Request, Response, parts},
    pipeline::{self, HEAD_FIELDS, Head, Quick},
};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::{
    bindings::Bindings,
    body::Body,
    headers::HeaderList,
    host::{Context, Host},
    refusals::Refusals,
    waiters::Waiters,
};

/// What this isolate keeps between requests; JavaScript holds it. Lost with the isolate, and after a panic.
#[wasm_bindgen]
pub struct Worker(Rc<Kept>);

struct Kept {
    /// Made by the first request.
    isolate: OnceCell<Rc<Isolate<Host>>>,
    /// Read by the first event.
    bindings: OnceCell<Rc<Bindings>>,
    /// The names of the fields that are read from each request, on the JavaScript side.
    names: Array,
    refusals: Refusals,
    waiters: Rc<Waiters>,
}

#[wasm_bindgen]
impl Worker {
    /// An isolate that has seen nothing.
    #[wasm_bindgen(constructor)]
    #[expect(clippy::new_without_default, reason = "JavaScript is who makes one")]
    pub fn new() -> Self {
        task::begin();
        let names = HEAD_FIELDS.iter().chain(&[CLIENT]).map(|name| JsValue::from_str(name)).collect();
        Self(Rc::new(Kept {
            isolate: OnceCell::new(),
            bindings: OnceCell::new(),
            names,
            refusals: Refusals::default(),
            waiters: Rc::default(),
        }))
    }

    /// Answers one request: at once with a response, or with the promise of one.
    pub fn fetch(&self, request: web_sys::Request, env: Object, context: Context) -> JsValue {
        #[cfg(feature = "contract")]
        trap::at(&request, "at-once");
        if let Some(response) = self.0.at_once(&request) {
            return response.into();
        }
        let kept = Rc::clone(&self.0);
        let answer = async move {
            let response = match kept.whole(&request, env, context).await {
                Ok(response) => response,
                Err(error) => {
                    host::log(&["edge.request failed: ", &glue::message(&error)].concat());
                    glue::answer(500, "", &JsValue::from_str("Internal Server Error"))?
                }
            };
            Ok(response.into())
        };
        task::now(Box::pin(answer)).into()
    }

    /// Runs the jobs of a timer of `[triggers]` in wrangler.toml. A promise that is refused makes Cloudflare count the run
    /// as failed.
    pub fn scheduled(&self, schedule: String, time: f64, env: Object, context: Context) -> Promise {
        let kept = Rc::clone(&self.0);
        task::now(Box::pin(async move {
            let isolate = kept.isolate(&env)?;
            let host = Host::for_jobs(kept.bindings(env), context, Rc::clone(&kept.waiters))?;
            // Milliseconds since 1970 as a float hold every date exactly.
            let tick = Tick { schedule: &schedule, scheduled: Timestamp::from_unix_millis(time as u64) };
            match cron::run(&isolate, &host, tick).await {
                Ok(()) => Ok(JsValue::NULL),
                Err(failed) => Err(js_sys::Error::new(&failed.to_string()).into()),
            }
        }))
    }
}

impl Kept {
    /// The answer that waits for nothing, if there is one: from isolate memory, or a refusal.
    fn at_once(&self, request: &web_sys::Request) -> Option<web_sys::Response> {
        let isolate = self.isolate.get()?;
        let head = glue::head(request, &self.names);
        let mut lines = head.split('\n');
        let (method, url) = (lines.next()?, lines.next()?);
        let mut field = || lines.next()?.strip_prefix('=');
        let fields = core::array::from_fn(|_| field());
        let client = field().and_then(|address| address.parse().ok());
        let head = Head { method, url, client, fields };
        let sent = pipeline::at_once(isolate, host::now(), &head, |quick| match quick {
            Quick::Hit(ready, shown) => ready.send(&shown),
            Quick::Refusal(refused) => self.refusals.send(&refused),
        });
        sent?.ok()
    }

    /// The whole way through the pipeline.
    async fn whole(
        &self,
        request: &web_sys::Request,
        env: Object,
        context: Context,
    ) -> Result<web_sys::Response, JsValue> {
        let isolate = self.isolate(&env)?;
        #[cfg(feature = "contract")]
        {
            trap::aside(request, &context);
            task::ended(&Promise::resolve(&JsValue::NULL)).await?;
            trap::at(request, "later");
        }
        glue::learn_place(request);
        let host = Host::new(self.bindings(env), context, Rc::clone(&self.waiters))?;
        let Some(request) = convert(request) else {
            return Err(JsValue::from_str("the runtime gave a request without an absolute URL"));
        };
        let Response { status, headers, body } = pipeline::handle(isolate, host, request).await;
        host::response(status, &headers, body.as_ref())
    }

    fn bindings(&self, env: Object) -> Rc<Bindings> {
        Rc::clone(self.bindings.get_or_init(|| Rc::new(Bindings::read(env))))
    }

    /// This isolate's memory.
    fn isolate(&self, env: &Object) -> Result<Rc<Isolate<Host>>, JsValue> {
        if let Some(isolate) = self.isolate.get() {
            return Ok(Rc::clone(isolate));
        }
        let seed = glue::random()?;
        let made = Rc::new(Isolate::new(Edge::new(policy(), seed).with_settings(settings::read(env)), seed));
        Ok(Rc::clone(self.isolate.get_or_init(|| made)))
    }
}

/// Runs the contracts of bodies and of stores against every kind, and those of the Cache API and of work that waits; resolves
/// to what went wrong, or to nothing.
#[cfg(feature = "contract")]
#[wasm_bindgen]
pub fn contract(env: Object, context: Context) -> Promise {
    use alloc::{format, vec::Vec};
    use seawall_edge::{Platform, body, store::contract::check};
    task::now(Box::pin(async move {
        let host = Host::new(Rc::new(Bindings::read(env)), context, Rc::default())?;
        let in_memory = |text: &str| Body::Bytes(js_sys::Uint8Array::from(text.as_bytes()));
        let bytes = body::contract::check(&host, in_memory).await.map_err(|error| format!("bytes: {error}"));
        let streamed = |text: &str| {
            let stream = web_sys::Response::new_with_opt_str(Some(text)).ok().and_then(|response| response.body());
            stream.map_or_else(|| in_memory(text), Body::Stream)
        };
        let streams = body::contract::check(&host, streamed).await.map_err(|error| format!("streams: {error}"));
        let near = check(&host, &host.near()).await.map_err(|error| format!("near: {error}"));
        let far = match host.far() {
            Some(far) => check(&host, &far).await.map_err(|error| format!("far: {error}")),
            None => Err(String::from("far: no namespace is bound")),
        };
        let fields = cache::contract::check().await.map_err(|error| format!("fields: {error}"));
        let tasks = task::contract::check().await.map_err(|error| format!("tasks: {error}"));
        let faults: Vec<String> =
            [bytes, streams, near, far, fields, tasks].into_iter().filter_map(Result::err).collect();
        Ok(JsValue::from_str(&faults.join("\n")))
    }))
}

/// Lays the embedded policy out in memory, and answers where the bytes are that this reads: their address above their
/// number. The build calls this, and makes the memory that it leaves that of the module (`edge/worker/shrink.mjs`), so
/// that nothing in a deployed Worker reads a policy.
#[wasm_bindgen]
pub fn lay_out() -> u64 {
    let embedded = include_bytes!(concat!(env!("OUT_DIR"), "/policy.bin"));
    // The same build wrote it.
    let Ok(policy) = postcard::from_bytes(embedded) else { panic!("the embedded policy does not decode") };
    // Whoever came first has laid out the same.
    let _ = POLICY.set(Box::new(policy));
    (embedded.as_ptr() as u64) << 32 | embedded.len() as u64
}

/// The policy that the build laid out.
fn policy() -> &'static Policy {
    let Some(policy) = POLICY.get() else { panic!("the build did not lay out the policy") };
    policy
}

/// Set before the module is deployed.
static POLICY: OnceBox<Policy> = OnceBox::new();

/// The request as the pipeline takes it; `None` when its URL is not absolute.
fn convert(request: &web_sys::Request) -> Option<Request<Host>> {
    let url = request.url();
    let (scheme, host, path, query) = parts(&url)?;
    let headers = HeaderList::read(&request.headers());
    // Set by the platform; what a client sends under this name never gets here.
    let client = headers.field(CLIENT).and_then(|address| address.parse().ok());
    Some(Request {
        method: request.method(),
        scheme: scheme.to_owned(),
        host: host.to_owned(),
        path: if path.is_empty() { "/" } else { path }.to_owned(),
        query: query.to_owned(),
        headers,
        body: request.body().map(Body::Stream),
        client,
    })
}

/// Where Cloudflare names the client.
const CLIENT: &str = "cf-connecting-ip";
