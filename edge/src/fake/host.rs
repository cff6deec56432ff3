//! The platform of one request in a [`World`].

use core::time::Duration;
use std::{
    borrow::Cow,
    future::{poll_fn, ready},
    pin::pin,
    task::Poll,
};

use futures_util::future::{Either, pending, select};
use seawall_core::{cache::key::CacheKey, headers::Fields, limit::lua, time::Timestamp};

use crate::{
    Body, Platform,
    authority::{Question, Reply},
    body::within,
    message::{Headers, Request, Response},
    platform::{AuthorityError, FetchError, Script},
    purge::PurgeLog,
    record::Metric,
};

use super::{
    World,
    shelf::{Shelf, Which},
};

/// One request's view of a [`World`].
#[derive(Clone)]
pub struct Host(pub(super) World);

/// Header fields as a list.
#[derive(Clone, Debug, Default)]
pub struct FakeHeaders(pub(super) Vec<(String, String)>);

/// A response that an isolate of a [`World`] keeps in memory.
#[derive(Debug)]
pub struct Ready {
    status: u16,
    headers: FakeHeaders,
    body: String,
}

impl From<&[(&str, &str)]> for FakeHeaders {
    fn from(fields: &[(&str, &str)]) -> Self {
        Self(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }
}

impl Fields for FakeHeaders {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        let values: Vec<&str> =
            self.0.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| Cow::Owned(values.join(", ")))
    }
}

impl Headers for FakeHeaders {
    fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.append(name, value);
    }

    fn append(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    fn remove(&mut self, name: &str) {
        self.0.retain(|(field, _)| field != name);
    }

    fn each(&self, visit: &mut dyn FnMut(&str, &str)) {
        for (name, value) in &self.0 {
            visit(name, value);
        }
    }
}

impl Host {
    /// Takes a random time, as every dependency does.
    pub(super) async fn take_time(&self) {
        let longest = self.0.0.faults.borrow().delay_ms_max;
        if longest > 0 {
            self.0.sleep(Duration::from_millis(self.0.random() % longest)).await;
        }
    }

    /// Reads or writes a note, which fails as the purge log does and takes as long.
    async fn note<T>(&self, deadline: Duration, does: impl FnOnce() -> T) -> Result<T, AuthorityError> {
        let fails = self.0.happens(self.0.0.faults.borrow().purge_log);
        let work = async {
            self.take_time().await;
            if fails { Err(AuthorityError::Failed(String::from("by chance"))) } else { Ok(does()) }
        };
        match select(pin!(work), pin!(self.0.sleep(deadline))).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => Err(AuthorityError::Late),
        }
    }
}

impl Body for String {
    fn tee(self) -> (Self, Self) {
        (self.clone(), self)
    }

    fn slice(self, first: u64, length: u64) -> Result<Self, Self> {
        let part = within(first, length, self.len()).and_then(|range| self.get(range)).map(str::to_owned);
        part.ok_or(self)
    }

    fn join(self, next: Self) -> Self {
        self + &next
    }
}

impl Platform for Host {
    type Headers = FakeHeaders;
    type Body = String;
    type Ready = Ready;
    type Near = Shelf;
    type Far = Shelf;

    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn random(&self) -> u64 {
        self.0.random()
    }

    fn origins(&self) -> usize {
        self.0.0.origins.get()
    }

    async fn fetch(
        &self,
        origin: usize,
        request: &mut Request<Self>,
        deadline: Duration,
    ) -> Result<Response<Self>, FetchError> {
        request.headers.remove("origin");
        if origin > 0 {
            request.headers.set("origin", &origin.to_string());
        }
        let faults = *self.0.0.faults.borrow();
        let question = if request.query.is_empty() { "" } else { "?" };
        let _under_way = self.0.call(&format!("{} {}{question}{}", request.method, request.path, request.query));
        if self.0.happens(faults.unreachable) {
            return Err(FetchError::Unreachable);
        }
        let hangs = self.0.happens(faults.hang);
        let fails = self.0.happens(faults.error);
        let answer = async {
            if hangs {
                pending::<()>().await;
            }
            self.take_time().await;
            let script = self.0.0.script.borrow().clone();
            let reply = script(request);
            self.0.sleep(reply.after).await;
            if fails { Ok(Response::new(500, FakeHeaders::default(), None)) } else { reply.result }
        };
        match select(pin!(answer), pin!(self.0.sleep(deadline))).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => Err(FetchError::Timeout),
        }
    }

    fn near(&self) -> Shelf {
        Shelf { host: self.clone(), which: Which::Near }
    }

    fn far(&self) -> Option<Shelf> {
        self.0.0.has_far.get().then(|| Shelf { host: self.clone(), which: Which::Far })
    }

    fn ready(
        &self,
        response: Response<Self>,
        bytes_max: usize,
    ) -> impl Future<Output = Option<(Self::Ready, usize)>> + 'static {
        let Response { status, headers, body } = response;
        let body = body.unwrap_or_default();
        let bytes = body.len();
        ready((bytes <= bytes_max).then_some((Ready { status, headers, body }, bytes)))
    }

    fn revive(&self, ready: &Ready) -> Response<Self> {
        Response::new(ready.status, ready.headers.clone(), Some(ready.body.clone()))
    }

    async fn read(&self, body: String, bytes_max: usize) -> Option<String> {
        (body.len() <= bytes_max).then_some(body)
    }

    fn text(&self, text: String) -> String {
        text
    }

    async fn ask(&self, shard: u64, question: &Question, deadline: Duration) -> Result<Reply, AuthorityError> {
        let faults = *self.0.0.faults.borrow();
        let world = &self.0.0;
        world.asked.set(world.asked.get() + 1);
        let answer = async {
            self.take_time().await;
            if self.0.happens(faults.authority) {
                return Err(AuthorityError::Failed(String::from("by chance")));
            }
            if self.0.happens(faults.authority_hangs) {
                pending::<()>().await;
            }
            // Both ends of the wire, so that what travels is what is decided on.
            let malformed = |what: &str| AuthorityError::Failed(format!("malformed {what}"));
            let question = Question::decode(&question.encode(), world.policy).map_err(|_| malformed("question"))?;
            let heard = self.0.hear(shard, &question);
            if self.0.happens(faults.authority_ends) {
                self.0.restart_authorities();
            }
            if self.0.happens(faults.authority_answer) {
                return Err(AuthorityError::Failed(String::from("after it was heard")));
            }
            Reply::decode(&heard.encode(), &question).ok_or_else(|| malformed("reply"))
        };
        match select(pin!(answer), pin!(self.0.sleep(deadline))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(AuthorityError::Late),
        }
    }

    async fn run_script(&self, script: &Script<'_>, deadline: Duration) -> Result<lua::Reply, AuthorityError> {
        let faults = *self.0.0.faults.borrow();
        let answer = async {
            self.take_time().await;
            if self.0.happens(faults.authority) {
                return Err(AuthorityError::Failed(String::from("by chance")));
            }
            if self.0.happens(faults.authority_hangs) {
                pending::<()>().await;
            }
            Ok(self.0.run_script(script))
        };
        match select(pin!(answer), pin!(self.0.sleep(deadline))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(AuthorityError::Late),
        }
    }

    async fn sleep(&self, time: Duration) {
        self.0.sleep(time).await;
    }

    fn has_purge_log(&self) -> bool {
        self.0.0.has_purge_log.get()
    }

    async fn ask_purge_log(&self, question: String, deadline: Duration) -> Result<String, AuthorityError> {
        let faults = *self.0.0.faults.borrow();
        let answer = async {
            self.take_time().await;
            if self.0.happens(faults.purge_log) {
                return Err(AuthorityError::Failed(String::from("by chance")));
            }
            let mut log = self.0.0.purge_log.borrow_mut();
            // Kept and read back each time, so that what is kept is what is answered with.
            *log = PurgeLog::from_text(&log.to_text(), self.0.now());
            let answer = log.answer(&question, self.0.now());
            answer.map(|(answer, _)| answer).ok_or_else(|| AuthorityError::Failed(String::from("malformed question")))
        };
        match select(pin!(answer), pin!(self.0.sleep(deadline))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(AuthorityError::Late),
        }
    }

    fn has_notes(&self) -> bool {
        self.0.0.has_notes.get()
    }

    async fn read_note(&self, name: &'static str, deadline: Duration) -> Result<Option<String>, AuthorityError> {
        self.note(deadline, || self.0.0.notes.borrow().get(name).cloned()).await
    }

    async fn write_note(&self, name: &'static str, text: String, deadline: Duration) -> Result<(), AuthorityError> {
        self.note(deadline, || drop(self.0.0.notes.borrow_mut().insert(name, text))).await
    }

    fn has_pop(&self) -> bool {
        self.0.0.has_pop.get()
    }

    async fn ask_pop(&self, shard: u64, question: String, deadline: Duration) -> Result<String, AuthorityError> {
        let faults = *self.0.0.faults.borrow();
        let answer = async {
            self.take_time().await;
            if self.0.happens(faults.pop) {
                return Err(AuthorityError::Failed(String::from("by chance")));
            }
            let answer = self.0.0.pop.borrow_mut().entry(shard).or_default().answer(&question, self.0.now());
            if self.0.happens(faults.pop_answer) {
                return Err(AuthorityError::Failed(String::from("after it was heard")));
            }
            if self.0.happens(faults.pop_hangs) {
                pending::<()>().await;
            }
            answer.ok_or_else(|| AuthorityError::Failed(String::from("malformed question")))
        };
        match select(pin!(answer), pin!(self.0.sleep(deadline))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(AuthorityError::Late),
        }
    }

    async fn wait(&self, key: &CacheKey, at_most: Duration) {
        let world = &self.0.0;
        let seen = world.wakes.borrow().get(key).copied();
        let woken = poll_fn(|context| {
            if world.wakes.borrow().get(key).copied() != seen {
                return Poll::Ready(());
            }
            world.waiting.borrow_mut().entry(*key).or_default().push(context.waker().clone());
            Poll::Pending
        });
        let _ = select(pin!(woken), pin!(self.0.sleep(at_most))).await;
    }

    fn wake(&self, key: &CacheKey) {
        *self.0.0.wakes.borrow_mut().entry(*key).or_default() += 1;
        for waker in self.0.0.waiting.borrow_mut().remove(key).unwrap_or_default() {
            waker.wake();
        }
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        self.0.spawn(work);
    }

    fn log(&self, line: &str) {
        self.0.write(line);
    }

    fn measure(&self, metric: &Metric<'_>) {
        self.0.count(metric);
    }
}
