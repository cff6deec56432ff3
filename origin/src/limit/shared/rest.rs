//! A Redis at Upstash, over HTTP.

use anyhow::Context as _;
use reqwest::redirect;
use seawall_core::limit::lua::{self, Call, Reply};
use seawall_upstash::{Error, Next, RESPONSE_BYTES_MAX, Request, Script, Upstash};

use super::SharedError;
use crate::tls;

/// Where it is, and what sends requests there.
pub(super) struct Rest {
    upstash: Upstash,
    http: reqwest::Client,
}

impl Rest {
    pub(super) fn new(upstash: Upstash) -> anyhow::Result<Self> {
        drop(tls::provider());
        // The token is for that server and no other.
        let http = reqwest::Client::builder().redirect(redirect::Policy::none());
        Ok(Self { upstash, http: http.build().context("the HTTP client cannot be made")? })
    }

    /// Runs core's script: by its hash, and whole where Redis does not know it.
    pub(super) async fn call(&self, call: &Call) -> Result<Reply, SharedError> {
        let [keys, args] = [&call.keys, &call.args].map(|words| words.iter().map(String::as_str).collect::<Vec<_>>());
        let mut run = Script::new(&self.upstash, lua::SCRIPT, lua::SCRIPT_SHA1, &keys, &args);
        loop {
            let (status, text) = self.send(run.request()).await?;
            if let Next::Done(answer) = run.hear(status, &text)? {
                let texts = answer.into_texts().ok_or(Error::Malformed)?;
                return Ok(Reply::parse(texts.iter().map(String::as_str))?);
            }
        }
    }

    /// The status and the text of the answer.
    async fn send(&self, request: Request) -> Result<(u16, String), SharedError> {
        let post = self.http.post(request.url).header("authorization", request.authorization).body(request.body);
        let post = Request::FIELDS.iter().fold(post, |post, (name, value)| post.header(*name, *value));
        let failed = |error: reqwest::Error| SharedError::Http(error.without_url());
        let mut response = post.send().await.map_err(failed)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > RESPONSE_BYTES_MAX {
                return Err(Error::TooLong.into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok((response.status().as_u16(), String::from_utf8_lossy(&body).into_owned()))
    }
}
