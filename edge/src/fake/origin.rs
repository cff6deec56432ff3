//! The origin of a [`World`]: how it answers, and what it was asked. And the requests that lead to that.

use core::{net::IpAddr, time::Duration};
use std::rc::Rc;

use crate::{
    message::{Request, Response},
    platform::FetchError,
};

use super::{
    World,
    host::{FakeHeaders, Host},
};

/// How the origin answers one call.
pub struct Reply {
    /// After this time.
    pub after: Duration,
    /// With this.
    pub result: Result<Response<Host>, FetchError>,
}

pub(super) type Answering = Rc<dyn Fn(&Request<Host>) -> Reply>;

impl World {
    /// Scripts the origin.
    pub fn origin(&self, script: impl Fn(&Request<Host>) -> Reply + 'static) {
        *self.0.script.borrow_mut() = Rc::new(script);
    }

    /// Sets how many origins there are. A script reads in the field `origin` which of them is called, where that is not
    /// the first.
    pub fn origins(&self, count: usize) {
        self.0.origins.set(count);
    }

    /// The calls that reached the origin, as `METHOD path?query`.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.0.calls.borrow().clone()
    }

    /// How many calls such as `GET /search?q=a` were under way at one moment, at most.
    #[must_use]
    pub fn most_calls_at_once(&self, call: &str) -> usize {
        self.0.under_way.borrow().get(call).map_or(0, |(_, most)| *most)
    }

    /// Notes a call that begins; it ends when what comes back is dropped.
    pub(super) fn call(&self, call: &str) -> UnderWay {
        self.0.calls.borrow_mut().push(call.to_owned());
        let mut under_way = self.0.under_way.borrow_mut();
        let (now, most) = under_way.entry(call.to_owned()).or_default();
        *now += 1;
        *most = (*most).max(*now);
        UnderWay { world: self.clone(), call: call.to_owned() }
    }
}

impl Reply {
    /// An answer of 200 at once, with these fields.
    #[must_use]
    pub fn ok(body: &str, fields: &[(&str, &str)]) -> Self {
        Self::status(200, body, fields)
    }

    /// An answer with this status at once, with these fields.
    #[must_use]
    pub fn status(status: u16, body: &str, fields: &[(&str, &str)]) -> Self {
        let response = Response::new(status, FakeHeaders::from(fields), Some(body.to_owned()));
        Self { after: Duration::ZERO, result: Ok(response) }
    }

    /// No answer: the call fails at once.
    #[must_use]
    pub const fn fails(error: FetchError) -> Self {
        Self { after: Duration::ZERO, result: Err(error) }
    }

    /// The same, later.
    #[must_use]
    pub fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

impl Request<Host> {
    /// A `GET` of a path and query at `https://permits.example`, from 192.0.2.1.
    #[must_use]
    pub fn get(target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            method: String::from("GET"),
            scheme: String::from("https"),
            host: String::from("permits.example"),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: FakeHeaders::default(),
            body: None,
            client: Some(IpAddr::from([192, 0, 2, 1])),
        }
    }

    /// The same with another method.
    #[must_use]
    pub fn method(self, method: &str) -> Self {
        Self { method: method.to_owned(), ..self }
    }

    /// The same with a field.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same from another address.
    #[must_use]
    pub fn from(self, client: [u8; 4]) -> Self {
        Self { client: Some(IpAddr::from(client)), ..self }
    }
}

/// A call to the origin that has not ended.
pub(super) struct UnderWay {
    world: World,
    call: String,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some((now, _)) = self.world.0.under_way.borrow_mut().get_mut(&self.call) {
            *now -= 1;
        }
    }
}
