//! The edge on Cloudflare Workers: converts what workerd gives into what the pipeline takes, and back.
//!
//! Policy lives in policy.toml and the pipeline; here is none.

mod authority;
mod cache;
mod headers;
mod host;
mod origin;
mod settings;
mod waiters;

use std::{cell::OnceCell, rc::Rc};

use seawall_core::policy::Policy;
use seawall_edge::{
    Edge,
    message::{Request, Response},
    pipeline,
};
use worker::{Context, Env, event};

use crate::{
    headers::JsHeaders,
    host::{Body, Host},
};

thread_local! {
    /// What this isolate keeps between requests. Lost with the isolate, and after a panic.
    static EDGE: OnceCell<Rc<Edge>> = const { OnceCell::new() };
}

/// Answers one request.
#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, context: Context) -> worker::Result<web_sys::Response> {
    let edge = edge(&env)?;
    let host = Host::new(env, context)?;
    let Some(request) = convert(&request) else {
        return Err(worker::Error::from("the runtime gave a request without an absolute URL"));
    };
    let response = pipeline::handle(edge, host, request).await;
    let Response { status, headers, body } = response;
    host::response(status, &headers, body.as_ref())
}

/// This isolate's memory, made by its first request.
fn edge(env: &Env) -> worker::Result<Rc<Edge>> {
    EDGE.with(|edge| {
        if let Some(edge) = edge.get() {
            return Ok(Rc::clone(edge));
        }
        let made = Rc::new(Edge::new(policy()?, host::random()?).with_settings(settings::read(env)));
        Ok(Rc::clone(edge.get_or_init(|| made)))
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
    let (scheme, rest) = url.split_once("://")?;
    let (host, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = JsHeaders::from(request.headers());
    // Set by the platform; what a client sends under this name never gets here.
    let client = headers.get("cf-connecting-ip").and_then(|address| address.parse().ok());
    Some(Request {
        method: request.method(),
        scheme: scheme.to_owned(),
        host: host.to_owned(),
        path: if path.is_empty() { String::from("/") } else { path.to_owned() },
        query: query.to_owned(),
        // The runtime's own fields cannot be changed, so the pipeline works on a copy.
        headers: headers.clone(),
        body: request.body().map(Body::Stream),
        client,
    })
}
