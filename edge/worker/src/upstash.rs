//! The Redis that counts for everybody, at Upstash over HTTP. Compiled in where the policy has a limit there.

use alloc::{
    borrow::ToOwned,
    string::{String, ToString},
};
use core::time::Duration;

use js_sys::{Object, Promise};
use seawall_core::limit::lua;
use seawall_edge::{
    message::Headers,
    platform::{AuthorityError, Script},
    upstash,
};
use seawall_upstash::{RESPONSE_BYTES_MAX, Request, Upstash};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::{glue, headers::HeaderList, host, settings};

/// Runs core's script, and ends the call when no answer came within the deadline.
pub(crate) async fn run(env: &Object, script: &Script<'_>, deadline: Duration) -> Result<lua::Reply, AuthorityError> {
    let (Some(url), Some(token)) = (settings::text(env, URL), settings::text(env, TOKEN)) else {
        let missing =
            "UPSTASH_REDIS_REST_URL or UPSTASH_REDIS_REST_TOKEN is not set, and policy.toml has a limit at redis";
        return Err(AuthorityError::Failed(String::from(missing)));
    };
    let upstash = Upstash::new(&url, &token).map_err(|error| AuthorityError::Failed(error.to_string()))?;
    let began = host::now();
    let in_time = async |request: Request| {
        let left = deadline.saturating_sub(host::now().since(began));
        send(&request, left).await?.ok_or(AuthorityError::Late)
    };
    upstash::run(&upstash, &script.to_call(), in_time).await
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

/// Where the database is, under the name that Upstash's own clients read.
const URL: &str = "UPSTASH_REDIS_REST_URL";
/// The right to use it: a secret.
const TOKEN: &str = "UPSTASH_REDIS_REST_TOKEN";
