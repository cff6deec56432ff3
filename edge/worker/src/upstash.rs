//! The Redis that counts for everybody, at Upstash over HTTP. Compiled in where the policy has a limit there.

use alloc::{
    borrow::ToOwned,
    string::{String, ToString},
    vec::Vec,
};
use core::time::Duration;

use js_sys::{Object, Promise};
use seawall_core::limit::lua;
use seawall_edge::{
    message::Headers,
    platform::{AuthorityError, Script},
};
use seawall_upstash::{Error, Next, RESPONSE_BYTES_MAX, Request, Upstash, Value};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::{glue, headers::HeaderList, host, settings};

/// Runs core's script, and ends the call when no answer came within the deadline.
pub(crate) async fn run(env: &Object, script: &Script<'_>, deadline: Duration) -> Result<lua::Reply, AuthorityError> {
    let (Some(url), Some(token)) = (settings::text(env, URL), settings::text(env, TOKEN)) else {
        let missing =
            "UPSTASH_REDIS_REST_URL or UPSTASH_REDIS_REST_TOKEN is not set, and policy.toml has a limit at redis";
        return Err(AuthorityError::Failed(String::from(missing)));
    };
    let upstash = Upstash::new(&url, &token).map_err(failed)?;
    let call = script.to_call();
    let (keys, args) = (words(&call.keys), words(&call.args));
    let mut run = seawall_upstash::Script::new(&upstash, lua::SCRIPT, lua::SCRIPT_SHA1, &keys, &args);
    let began = host::now();
    loop {
        let left = deadline.saturating_sub(host::now().since(began));
        let Some((status, body)) = send(&run.request(), left).await? else { return Err(AuthorityError::Late) };
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

/// The status and the text of the answer; `None` when there was none within the deadline. An answer that is too long has no
/// text, and what is no answer is refused by who reads it.
async fn send(request: &Request, deadline: Duration) -> Result<Option<(u16, String)>, AuthorityError> {
    let mut headers = HeaderList::default();
    headers.set("authorization", &request.authorization);
    for (name, value) in Request::FIELDS {
        headers.set(name, value);
    }
    // A bound far below 2^53 is exact as a float.
    let most = RESPONSE_BYTES_MAX as f64;
    let answer = post(&request.url, &headers.to_text(), &request.body, most, glue::millis(deadline));
    let Some(answer) = glue::text(answer).await.map_err(AuthorityError::Failed)? else { return Ok(None) };
    let (status, text) = answer.split_once('\n').unwrap_or_default();
    Ok(Some((status.parse().unwrap_or_default(), text.to_owned())))
}

#[wasm_bindgen(module = "/src/glue.js")]
extern "C" {
    /// Posts a text: a promise of a line with the status and the text of the answer after it, or of null when there was no
    /// answer within the deadline.
    fn post(url: &str, fields: &str, body: &str, most: f64, deadline_ms: f64) -> Promise;
}

fn failed(error: Error) -> AuthorityError {
    AuthorityError::Failed(error.to_string())
}

/// Where the database is, under the name that Upstash's own clients read.
const URL: &str = "UPSTASH_REDIS_REST_URL";
/// The right to use it: a secret.
const TOKEN: &str = "UPSTASH_REDIS_REST_TOKEN";
