//! One request's view of Spin.

use core::time::Duration;
use std::{
    rc::Rc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use seawall_core::{cache::key::CacheKey, limit::lua, time::Timestamp};
use seawall_edge::{
    Platform,
    authority::{Question, Reply},
    message::{Request, Response},
    pipeline::Shown,
    platform::{AuthorityError, FetchError, Script},
};
use spin_sdk::wasip3::{self, random::random::get_random_u64};

use crate::{authority, body::Body, headers::SpinHeaders, notes, origin, settings::Places, store::KeyValue, waiters};

/// The platform of one request.
#[derive(Clone)]
pub(crate) struct Host(Rc<Places>);

/// A response in the memory of this instance.
#[derive(Debug)]
pub(crate) struct Ready {
    status: u16,
    headers: SpinHeaders,
    body: Bytes,
}

impl Host {
    pub(crate) const fn new(places: Rc<Places>) -> Self {
        Self(places)
    }
}

impl Ready {
    async fn new(response: Response<Host>, bytes_max: usize) -> Option<(Self, usize)> {
        let Response { status, headers, body } = response;
        let body = match body {
            Some(body) => body.collect(bytes_max).await?,
            None => Bytes::new(),
        };
        let bytes = body.len();
        Some((Self { status, headers, body }, bytes))
    }

    /// A response of its own.
    fn revive(&self) -> Response<Host> {
        Response::new(self.status, self.headers.clone(), Some(Body::Bytes(self.body.clone())))
    }

    /// The whole response, saying what `shown` says.
    pub(crate) fn send(&self, shown: &Shown<'_>) -> Response<Host> {
        let mut response = self.revive();
        shown.write(&mut response.headers);
        response
    }
}

impl Platform for Host {
    type Headers = SpinHeaders;
    type Body = Body;
    type Ready = Ready;
    type Near = KeyValue;
    type Far = KeyValue;

    fn now(&self) -> Timestamp {
        now()
    }

    fn random(&self) -> u64 {
        random()
    }

    fn origins(&self) -> usize {
        self.0.origins.len()
    }

    async fn fetch(
        &self,
        origin: usize,
        request: &mut Request<Self>,
        deadline: Duration,
    ) -> Result<Response<Self>, FetchError> {
        let address = self.0.origins.get(origin).ok_or(FetchError::Unreachable)?;
        origin::fetch(address, request, deadline).await
    }

    fn near(&self) -> KeyValue {
        KeyValue
    }

    /// One key-value store is all that Spin has: what is near is far as well.
    fn far(&self) -> Option<KeyValue> {
        None
    }

    fn ready(
        &self,
        response: Response<Self>,
        bytes_max: usize,
    ) -> impl Future<Output = Option<(Ready, usize)>> + 'static {
        Ready::new(response, bytes_max)
    }

    fn revive(&self, ready: &Ready) -> Response<Self> {
        ready.revive()
    }

    fn text(&self, text: String) -> Body {
        Body::Bytes(text.into())
    }

    async fn read(&self, body: Body, bytes_max: usize) -> Option<String> {
        String::from_utf8(body.collect(bytes_max).await?.into()).ok()
    }

    /// It is kept in a note.
    fn has_purge_log(&self) -> bool {
        false
    }

    async fn ask_purge_log(&self, _: String, _: Duration) -> Result<String, AuthorityError> {
        Err(AuthorityError::Failed(String::from("Spin has no authority that could keep a log of purges")))
    }

    fn has_notes(&self) -> bool {
        true
    }

    async fn read_note(&self, name: &'static str, deadline: Duration) -> Result<Option<String>, AuthorityError> {
        notes::within(deadline, notes::read(name)).await
    }

    async fn write_note(&self, name: &'static str, text: String, deadline: Duration) -> Result<(), AuthorityError> {
        notes::within(deadline, notes::write(name, text)).await
    }

    /// Nothing is kept in objects: this platform has none, and its policy says so.
    async fn ask(&self, _: u64, _: &Question, _: Duration) -> Result<Reply, AuthorityError> {
        Err(AuthorityError::Failed(String::from("Spin has no objects that could keep limits")))
    }

    async fn run_script(&self, script: &Script<'_>, deadline: Duration) -> Result<lua::Reply, AuthorityError> {
        authority::run(self.0.redis.as_ref(), &script.to_call(), deadline).await
    }

    async fn sleep(&self, time: Duration) {
        spin_sdk::time::sleep(time).await;
    }

    async fn wait(&self, key: &CacheKey, at_most: Duration) {
        waiters::wait(key, at_most).await;
    }

    fn wake(&self, key: &CacheKey) {
        waiters::wake(key);
    }

    /// Spin lets an instance go on after its answer until everything it has spawned is done.
    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        wasip3::spawn(work);
    }

    fn log(&self, line: &str) {
        log(line);
    }
}

/// Writes one line to the log.
pub(crate) fn log(line: &str) {
    println!("{line}");
}

/// The host's wall clock; before 1970 it reads as 1970.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Milliseconds of a u64 last for half a billion years.
    Timestamp::from_unix_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A random number.
pub(crate) fn random() -> u64 {
    get_random_u64()
}
