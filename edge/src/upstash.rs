//! Core's script in a Redis at Upstash, for hosts that bring the HTTP.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use seawall_core::limit::lua::{self, Call, Reply};
use seawall_upstash::{Error, Next, Request, Script, Upstash};

use crate::platform::AuthorityError;

/// Runs the script: by its hash, and whole where Redis does not know it. `send` gives the status and the text of an answer, at
/// most [`RESPONSE_BYTES_MAX`](seawall_upstash::RESPONSE_BYTES_MAX) of it, and keeps the deadline.
///
/// # Errors
/// With what `send` failed with, or what Upstash or Redis said.
pub async fn run(
    upstash: &Upstash,
    call: &Call,
    mut send: impl AsyncFnMut(Request) -> Result<(u16, String), AuthorityError>,
) -> Result<Reply, AuthorityError> {
    let (keys, args) = (words(&call.keys), words(&call.args));
    let mut run = Script::new(upstash, lua::SCRIPT, lua::SCRIPT_SHA1, &keys, &args);
    loop {
        let (status, text) = send(run.request()).await?;
        if let Next::Done(answer) = run.hear(status, &text).map_err(failed)? {
            let texts = answer.into_texts().ok_or(Error::Malformed).map_err(failed)?;
            let reply = Reply::parse(texts.iter().map(String::as_str));
            return reply.map_err(|error| AuthorityError::Failed(error.to_string()));
        }
    }
}

fn words(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

fn failed(error: Error) -> AuthorityError {
    AuthorityError::Failed(error.to_string())
}
