//! The edge on Cloudflare Workers: converts what workerd gives into what the pipeline takes, and back.
//!
//! Policy lives in policy.toml and the pipeline; here is none.

mod authority;
mod binding;
mod body;
mod cache;
mod glue;
mod headers;
mod host;
mod kv;
mod metrics;
mod object;
mod origin;
mod pop;
mod purge;
mod ready;
mod settings;
#[cfg(seawall_redis)]
mod upstash;
mod waiters;

use std::{cell::OnceCell, rc::Rc};

use js_sys::{Array, Object, Promise};
use seawall_core::{headers::Fields, policy::Policy, time::Timestamp};
use seawall_edge::{
    Edge, Isolate,
    cron::{self, Tick},
    message::{Request, Response},
    pipeline::{self, HEAD_FIELDS, Head, Refused},
};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::{
    body::Body,
    headers::HeaderList,
    host::{Context, Host},
    ready::Ready,
};

thread_local! {
    /// What this isolate keeps between requests. Lost with the isolate, and after a panic.
    static ISOLATE: OnceCell<Rc<Isolate<Host>>> = const { OnceCell::new() };
    /// The names of the fields that are read from each request, on the JavaScript side.
    static NAMES: Array = HEAD_FIELDS.iter().chain(&[CLIENT]).map(|name| JsValue::from_str(name)).collect();
}

/// Says in the log what a panic was about: the runtime sees a trap and nothing else.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| web_sys::console::error_1(&JsValue::from_str(&panic.to_string()))));
}

/// Answers one request: at once with a response, or with the promise of one.
#[wasm_bindgen]
pub fn fetch(request: web_sys::Request, env: Object, context: Context) -> JsValue {
    if let Some(response) = at_once(&request) {
        return response.into();
    }
    let answer = async move {
        let response = match whole(&request, env, context).await {
            Ok(response) => response,
            Err(error) => {
                host::log(&["edge.request failed: ", &glue::message(&error)].concat());
                glue::answer(500, "", &JsValue::from_str("Internal Server Error"))?
            }
        };
        Ok(response.into())
    };
    glue::promise(Box::pin(answer)).into()
}

/// Runs the jobs of a timer of `[triggers]` in wrangler.toml. A promise that is refused makes Cloudflare count the run as
/// failed.
#[wasm_bindgen]
pub fn scheduled(schedule: String, time: f64, env: Object, context: Context) -> Promise {
    glue::promise(Box::pin(async move {
        let host = Host::for_jobs(env.clone(), context)?;
        // Milliseconds since 1970 as a float hold every date exactly.
        let tick = Tick { schedule: &schedule, scheduled: Timestamp::from_unix_millis(time as u64) };
        match cron::run(&*isolate(&env)?, &host, tick).await {
            Ok(()) => Ok(JsValue::UNDEFINED),
            Err(failed) => Err(js_sys::Error::new(&failed.to_string()).into()),
        }
    }))
}

/// Runs the contracts of bodies and of stores against every kind; resolves to what went wrong, or to nothing.
#[cfg(feature = "contract")]
#[wasm_bindgen]
pub fn contract(env: Object, context: Context) -> Promise {
    use seawall_edge::{Platform, body, store::contract::check};
    glue::promise(Box::pin(async move {
        let host = Host::new(env, context)?;
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
        let faults: Vec<String> = [bytes, streams, near, far].into_iter().filter_map(Result::err).collect();
        Ok(JsValue::from_str(&faults.join("\n")))
    }))
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
fn refusal(refused: &Refused<'_>) -> Result<web_sys::Response, JsValue> {
    let mut headers = HeaderList::default();
    refused.write(&mut headers);
    host::response(Refused::STATUS, &headers, Some(&Body::Text(refused.body().into())))
}

/// The whole way through the pipeline.
async fn whole(request: &web_sys::Request, env: Object, context: Context) -> Result<web_sys::Response, JsValue> {
    let isolate = isolate(&env)?;
    pop::learn_place(request);
    let host = Host::new(env, context)?;
    let Some(request) = convert(request) else {
        return Err(JsValue::from_str("the runtime gave a request without an absolute URL"));
    };
    let Response { status, headers, body } = pipeline::handle(isolate, host, request).await;
    host::response(status, &headers, body.as_ref())
}

/// This isolate's memory, made by its first request.
fn isolate(env: &Object) -> Result<Rc<Isolate<Host>>, JsValue> {
    ISOLATE.with(|isolate| {
        if let Some(isolate) = isolate.get() {
            return Ok(Rc::clone(isolate));
        }
        let seed = host::random()?;
        let made = Rc::new(Isolate::new(Edge::new(policy(), seed).with_settings(settings::read(env)), seed));
        Ok(Rc::clone(isolate.get_or_init(|| made)))
    })
}

/// The policy that the build embedded.
fn policy() -> Policy {
    let embedded = include_bytes!(concat!(env!("OUT_DIR"), "/policy.bin"));
    // The same build wrote it.
    let Ok(policy) = postcard::from_bytes(embedded) else { panic!("the embedded policy does not decode") };
    policy
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
