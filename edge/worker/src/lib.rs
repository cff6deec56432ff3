//! The edge on Cloudflare Workers: converts what workerd gives into what the pipeline takes, and back.
//!
//! Policy lives in policy.toml and the pipeline; here is none.

mod authority;
mod binding;
mod cache;
mod glue;
mod headers;
mod host;
mod kv;
mod metrics;
mod origin;
mod pop;
mod purge;
mod ready;
mod settings;
mod upstash;
mod waiters;

use std::{cell::OnceCell, rc::Rc};

use js_sys::Array;
use seawall_core::{headers::Fields, policy::Policy, time::Timestamp};
use seawall_edge::{
    Edge, Isolate,
    cron::{self, Tick},
    message::{Request, Response},
    pipeline::{self, HEAD_FIELDS, Head, Refused},
};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::future_to_promise;
use worker::{Context, Env, worker_sys};

use crate::{
    headers::HeaderList,
    host::{Body, Host},
    ready::Ready,
};

thread_local! {
    /// What this isolate keeps between requests. Lost with the isolate, and after a panic.
    static ISOLATE: OnceCell<Rc<Isolate<Host>>> = const { OnceCell::new() };
    /// The names of the fields that are read from each request, on the JavaScript side.
    static NAMES: Array = HEAD_FIELDS.iter().chain(&[CLIENT]).map(|name| JsValue::from_str(name)).collect();
}

/// Answers one request: at once with a response, or with the promise of one.
#[wasm_bindgen]
pub fn fetch(request: web_sys::Request, env: Env, context: worker_sys::Context) -> JsValue {
    if let Some(response) = at_once(&request) {
        return response.into();
    }
    let answer = async move {
        let response = match whole(&request, env, Context::new(context)).await {
            Ok(response) => response,
            Err(error) => {
                host::log(&format!("edge.request failed: {error}"));
                worker::Response::error("Internal Server Error", 500)?.into()
            }
        };
        Ok(response.into())
    };
    future_to_promise(answer).into()
}

/// Runs the jobs of a timer of `[triggers]` in wrangler.toml. A promise that is refused makes Cloudflare count the run as
/// failed, which the `worker` crate's own attribute does not.
#[wasm_bindgen]
pub fn scheduled(event: worker_sys::ScheduledEvent, env: Env, context: JsValue) -> js_sys::Promise {
    future_to_promise(async move {
        let (schedule, time) = (event.cron()?, event.scheduled_time()?);
        // Both events' contexts are the same object to JavaScript.
        let host = Host::for_jobs(env.clone(), Context::new(context.unchecked_into()))?;
        // Milliseconds since 1970 as a float hold every date exactly.
        let tick = Tick { schedule: &schedule, scheduled: Timestamp::from_unix_millis(time as u64) };
        match cron::run(&*isolate(&env)?, &host, tick).await {
            Ok(()) => Ok(JsValue::UNDEFINED),
            Err(failed) => Err(js_sys::Error::new(&failed.to_string()).into()),
        }
    })
}

/// Runs the contract of the stores against both; resolves to what went wrong, or to nothing.
#[cfg(feature = "contract")]
#[wasm_bindgen]
pub fn contract(env: Env, context: worker_sys::Context) -> js_sys::Promise {
    use seawall_edge::{Platform, store::contract::check};
    future_to_promise(async move {
        let host = Host::new(env, Context::new(context))?;
        let near = check(&host, &host.near()).await.map_err(|error| format!("near: {error}"));
        let far = match host.far() {
            Some(far) => check(&host, &far).await.map_err(|error| format!("far: {error}")),
            None => Err(String::from("far: no namespace is bound")),
        };
        let faults: Vec<String> = [near, far].into_iter().filter_map(Result::err).collect();
        Ok(JsValue::from_str(&faults.join("\n")))
    })
}

/// The answer that waits for nothing, if there is one: from isolate memory, or a refusal.
fn at_once(request: &web_sys::Request) -> Option<web_sys::Response> {
    let isolate = ISOLATE.with(|isolate| isolate.get().cloned())?;
    let head = NAMES.with(|names| glue::head(request, names));
    let mut lines = head.split('\n');
    let (method, url) = (lines.next()?, lines.next()?);
    let mut field = || lines.next()?.strip_prefix('=');
    let fields = core::array::from_fn(|_| field());
    let client = field().and_then(|address| address.parse().ok());
    let head = Head { method, url, client, fields };
    let now = host::now();
    match pipeline::at_once(&isolate, now, &head, Ready::send) {
        Some(sent) => sent.ok(),
        None => refusal(&pipeline::refused_at_once(&isolate, now, &head)?).ok(),
    }
}

/// A refusal that waits for nothing either.
fn refusal(refused: &Refused<'_>) -> worker::Result<web_sys::Response> {
    let mut headers = HeaderList::default();
    refused.write(&mut headers);
    host::response(Refused::STATUS, &headers, Some(&Body::Text(refused.body().into())))
}

/// The whole way through the pipeline.
async fn whole(request: &web_sys::Request, env: Env, context: Context) -> worker::Result<web_sys::Response> {
    let isolate = isolate(&env)?;
    pop::learn_place(request);
    let host = Host::new(env, context)?;
    let Some(request) = convert(request) else {
        return Err(worker::Error::from("the runtime gave a request without an absolute URL"));
    };
    let Response { status, headers, body } = pipeline::handle(isolate, host, request).await;
    host::response(status, &headers, body.as_ref())
}

/// This isolate's memory, made by its first request.
fn isolate(env: &Env) -> worker::Result<Rc<Isolate<Host>>> {
    ISOLATE.with(|isolate| {
        if let Some(isolate) = isolate.get() {
            return Ok(Rc::clone(isolate));
        }
        let seed = host::random()?;
        let made = Rc::new(Isolate::new(Edge::new(policy()?, seed).with_settings(settings::read(env)), seed));
        Ok(Rc::clone(isolate.get_or_init(|| made)))
    })
}

/// The policy that the build embedded.
fn policy() -> worker::Result<Policy> {
    postcard::from_bytes(include_bytes!(concat!(env!("OUT_DIR"), "/policy.bin")))
        .map_err(|error| worker::Error::from(format!("the embedded policy does not decode: {error}")))
}

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
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: request.body().map(Body::Stream),
        client,
    })
}

/// Scheme, host with port, path and query of an absolute URL.
fn parts(url: &str) -> Option<(&str, &str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (host, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Some((scheme, host, if path.is_empty() { "/" } else { path }, query))
}

/// Where Cloudflare names the client.
const CLIENT: &str = "cf-connecting-ip";
