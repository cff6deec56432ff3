//! The Redis that counts for everybody, at Upstash over HTTP.

use core::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use seawall_core::limit::lua;
use seawall_edge::platform::{AuthorityError, Script};
use seawall_upstash::{Error, Next, RESPONSE_BYTES_MAX, Request, Upstash, Value};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, Headers, RequestInit, Response};
use worker::{Delay, Env};

use crate::{
    glue,
    host::{global, message},
    settings,
};

/// Runs core's script, and ends the call when no answer came within the deadline.
pub(crate) async fn run(env: &Env, script: &Script<'_>, deadline: Duration) -> Result<lua::Reply, AuthorityError> {
    let (Some(url), Some(token)) = (settings::text(env, URL), settings::text(env, TOKEN)) else {
        let missing =
            "UPSTASH_REDIS_REST_URL or UPSTASH_REDIS_REST_TOKEN is not set, and policy.toml has a limit at redis";
        return Err(AuthorityError::Failed(String::from(missing)));
    };
    let upstash = Upstash::new(&url, &token).map_err(failed)?;
    let Ok(abort) = AbortController::new() else { return Err(AuthorityError::Failed(String::from("no abort signal"))) };
    match select(pin!(ask(&upstash, script, &abort)), pin!(Delay::from(deadline))).await {
        Either::Left((reply, _)) => reply,
        Either::Right(_) => {
            abort.abort();
            Err(AuthorityError::Late)
        }
    }
}

async fn ask(upstash: &Upstash, script: &Script<'_>, abort: &AbortController) -> Result<lua::Reply, AuthorityError> {
    let call = script.to_call();
    let (keys, args) = (words(&call.keys), words(&call.args));
    let mut run = seawall_upstash::Script::new(upstash, lua::SCRIPT, lua::SCRIPT_SHA1, &keys, &args);
    loop {
        let (status, body) =
            send(&run.request(), abort).await.map_err(|error| AuthorityError::Failed(message(&error)))?;
        match run.hear(status, &body).map_err(failed)? {
            Next::Send => {}
            Next::Done(answer) => return reply(answer),
        }
    }
}

fn words(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

fn reply(answer: Value) -> Result<lua::Reply, AuthorityError> {
    let texts = answer.into_texts().ok_or(Error::Malformed).map_err(failed)?;
    lua::Reply::parse(texts.iter().map(String::as_str)).map_err(|error| AuthorityError::Failed(error.to_string()))
}

async fn send(request: &Request, abort: &AbortController) -> Result<(u16, String), JsValue> {
    let headers = Headers::new()?;
    headers.set("authorization", &request.authorization)?;
    for (name, value) in Request::FIELDS {
        headers.set(name, value)?;
    }
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_headers(&headers);
    init.set_body(&JsValue::from_str(&request.body));
    init.set_signal(Some(&abort.signal()));
    let response = JsFuture::from(global().fetch_with_str_and_init(&request.url, &init)).await?;
    let response: Response = response.unchecked_into();
    // Never more than that in memory, whatever length it says or does not say. What is no answer is refused by who reads
    // it.
    let bytes = match response.body() {
        Some(stream) => glue::collect(&stream, RESPONSE_BYTES_MAX).await,
        None => None,
    };
    let text = bytes.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
    Ok((response.status(), text.unwrap_or_default()))
}

fn failed(error: Error) -> AuthorityError {
    AuthorityError::Failed(error.to_string())
}

/// Where the database is, under the name that Upstash's own clients read.
const URL: &str = "UPSTASH_REDIS_REST_URL";
/// The right to use it: a secret.
const TOKEN: &str = "UPSTASH_REDIS_REST_TOKEN";
