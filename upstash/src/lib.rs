//! Upstash's Redis over its REST API, without I/O: a host sends a [`Request`] by whatever HTTP it has, and hands status
//! and body of the answer to what made the request.
//!
//! ```
//! use seawall_upstash::{Next, Script, Upstash, Value};
//!
//! let upstash = Upstash::new("https://eu1.upstash.example", "secret")?;
//! let request = upstash.command(&["INCR", "visits"]);
//! assert_eq!((&*request.url, &*request.body), ("https://eu1.upstash.example/", "[\"INCR\",\"visits\"]"));
//! assert_eq!(seawall_upstash::read(200, "{\"result\":7}")?, Value::Integer(7));
//!
//! // A script goes by its hash, and whole when the server does not know it.
//! let mut script = Script::new(&upstash, "return KEYS[1]", "4a2267357833227dd98abdedb8cf24b15a986445", &["a"], &[]);
//! assert!(script.request().body.starts_with("[\"EVALSHA\",\"4a22"));
//! let Next::Send = script.hear(400, "{\"error\":\"NOSCRIPT No matching script.\"}")? else { panic!("once more") };
//! assert!(script.request().body.starts_with("[\"EVAL\",\"return KEYS[1]\",\"1\",\"a\""));
//! assert!(matches!(script.hear(200, "{\"result\":\"a\"}")?, Next::Done(Value::Text(text)) if text == "a"));
//! # Ok::<(), seawall_upstash::Error>(())
//! ```
//!
//! # What it leaves out
//!
//! The option `Upstash-Encoding: base64`, which is for values that are not text; paths as commands (`/get/a`), which
//! mean something else for keys with a slash; `subscribe` and `monitor`, which never end. Requests are not tried again
//! here: whether that is right depends on the command, and a script that ran before its answer was lost would run twice.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod error;
mod json;
mod script;

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

pub use error::Error;
pub use script::{Next, Script};

/// One database, and the right to use it.
#[derive(Clone)]
pub struct Upstash {
    /// Without a slash at the end.
    url: String,
    authorization: String,
}

/// What to send: always `POST`, with [`Request::FIELDS`] and the authorization.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Where to.
    pub url: String,
    /// The value of the field `authorization`. Belongs into no log.
    pub authorization: String,
    /// A JSON array.
    pub body: String,
}

/// What Redis answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing, as for a key that does not exist.
    Nil,
    /// A number.
    Integer(i64),
    /// A text, or the word of a status such as `OK`.
    Text(String),
    /// Several.
    List(Vec<Self>),
}

/// Longest answer that is read. The limiter's script answers with a few hundred bytes; a host reads no more than this,
/// and [`read`] refuses what is longer.
pub const RESPONSE_BYTES_MAX: usize = 64 << 10;

/// How deep the lists of an answer may be nested: Redis's own answers go to three.
pub const DEPTH_MAX: usize = 8;

impl Request {
    /// The fields of every request, beside `authorization`.
    pub const FIELDS: [(&'static str, &'static str); 1] = [("content-type", "application/json")];
}

impl Upstash {
    /// The database at `url`, which is `UPSTASH_REDIS_REST_URL` of its page, with the token that goes with it.
    ///
    /// # Errors
    /// [`Error::Configuration`] when the URL is not `https://..` (or `http://..` to this machine), or the token has what
    /// no header field can carry.
    pub fn new(url: &str, token: &str) -> Result<Self, Error> {
        let url = url.trim().trim_end_matches('/');
        let is_local = ["http://127.0.0.1", "http://localhost", "http://[::1]"]
            .iter()
            .any(|local| url.strip_prefix(local).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/'])));
        if !(url.starts_with("https://") || is_local) {
            return Err(Error::Configuration("the URL must begin with https://"));
        }
        let token = token.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::Configuration("the token must be one word of visible ASCII"));
        }
        Ok(Self { url: url.to_owned(), authorization: format!("Bearer {token}") })
    }

    /// One command; [`read`] reads its answer.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Request {
        let mut body = String::new();
        json::append_list(&mut body, words.iter().copied());
        self.request("/", body)
    }

    /// Several commands, answered one by one in this order and not as a whole: others may come between.
    /// [`read_pipeline`] reads the answers.
    #[must_use]
    pub fn pipeline(&self, commands: &[&[&str]]) -> Request {
        self.request("/pipeline", several(commands))
    }

    /// The same, with nothing of others in between. [`read_pipeline`] reads the answers.
    #[must_use]
    pub fn transaction(&self, commands: &[&[&str]]) -> Request {
        self.request("/multi-exec", several(commands))
    }

    fn request(&self, path: &str, body: String) -> Request {
        Request { url: [&*self.url, path].concat(), authorization: self.authorization.clone(), body }
    }
}

fn several(commands: &[&[&str]]) -> String {
    let mut body = String::from("[");
    for (at, words) in commands.iter().enumerate() {
        if at > 0 {
            body.push(',');
        }
        json::append_list(&mut body, words.iter().copied());
    }
    body.push(']');
    body
}

/// Reads the answer to one command.
///
/// # Errors
/// [`Error`] says who is at fault: Redis refused the command, Upstash the request, or it is no answer of theirs.
pub fn read(status: u16, body: &str) -> Result<Value, Error> {
    let answer = parsed(body);
    match (status, answer) {
        (200, Ok(answer)) => answer.into_result(),
        (400, Ok(answer)) => answer.into_result().and(Err(Error::Malformed)),
        (401, _) => Err(Error::Unauthorized),
        (200 | 400, Err(error)) => Err(error),
        (status, _) => Err(Error::Status(status)),
    }
}

/// Reads the answers to `count` commands; each may have failed for itself.
///
/// # Errors
/// As for [`read`], when the request failed as a whole: a transaction that was discarded does.
pub fn read_pipeline(status: u16, body: &str, count: usize) -> Result<Vec<Result<Value, Error>>, Error> {
    if status != 200 {
        return Err(read(status, body).err().unwrap_or(Error::Malformed));
    }
    match parsed(body)? {
        json::Json::List(answers) if answers.len() == count => {
            Ok(answers.into_iter().map(json::Json::into_result).collect())
        }
        _ => Err(Error::Malformed),
    }
}

fn parsed(body: &str) -> Result<json::Json, Error> {
    if body.len() > RESPONSE_BYTES_MAX { Err(Error::TooLong) } else { json::parse(body).ok_or(Error::Malformed) }
}

impl Value {
    /// The texts of a list of texts and numbers, which is how a script answers; `None` for anything else.
    #[must_use]
    pub fn into_texts(self) -> Option<Vec<String>> {
        let Self::List(values) = self else { return None };
        let text = |value| match value {
            Self::Text(text) => Some(text),
            Self::Integer(number) => Some(number.to_string()),
            Self::Nil | Self::List(_) => None,
        };
        values.into_iter().map(text).collect()
    }
}

/// Never the token: a value that is printed is a value that is logged.
impl fmt::Debug for Upstash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstash").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Never the token.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("url", &self.url).field("body", &self.body).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
