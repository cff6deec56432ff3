//! Scripts: by hash, or whole.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use crate::{Error, Request, Upstash, Value, read};

/// One run of a script that a server most often knows already: sent by its hash first, and whole when the server says
/// that it does not know it.
#[derive(Clone, Debug)]
pub struct Script<'a> {
    upstash: &'a Upstash,
    text: &'a str,
    sha1: &'a str,
    keys: Vec<String>,
    args: Vec<String>,
    is_whole: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// Send [`Script::request`], which has changed.
    Send,
    /// The script ran, and answered this.
    Done(Value),
}

impl<'a> Script<'a> {
    /// A run of `text`, whose SHA-1 is `sha1` in lower-case hexadecimal.
    #[must_use]
    pub fn new(upstash: &'a Upstash, text: &'a str, sha1: &'a str, keys: &[&str], args: &[&str]) -> Self {
        let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        Self { upstash, text, sha1, keys: owned(keys), args: owned(args), is_whole: false }
    }

    /// What to send now.
    #[must_use]
    pub fn request(&self) -> Request {
        let count = self.keys.len().to_string();
        let mut words = match self.is_whole {
            true => alloc::vec!["EVAL", self.text],
            false => alloc::vec!["EVALSHA", self.sha1],
        };
        words.push(&count);
        words.extend(self.keys.iter().chain(&self.args).map(String::as_str));
        self.upstash.command(&words)
    }

    /// Takes the answer to [`Script::request`].
    ///
    /// # Errors
    /// As for [`read`].
    pub fn hear(&mut self, status: u16, body: &str) -> Result<Next, Error> {
        match read(status, body) {
            Ok(value) => Ok(Next::Done(value)),
            Err(error) if error.is_noscript() && !self.is_whole => {
                self.is_whole = true;
                Ok(Next::Send)
            }
            Err(error) => Err(error),
        }
    }
}
