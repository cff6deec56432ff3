//! What a host gives the pipeline.

use alloc::{string::String, vec::Vec};
use core::{fmt, future::ready, time::Duration};

use seawall_core::{cache::key::CacheKey, limit::lua, time::Timestamp};

use crate::{
    Body,
    authority::{Question, Reply},
    message::{Headers, Request, Response},
    record::Metric,
    store::Store,
};

/// One request's view of its host: clock, chance, origin, cache, limiter authority, and work after the answer.
///
/// A value is made for each request and is cheap to clone, because work that outlives the answer keeps one.
/// Failures of a dependency are ordinary results here; what they mean is decided by the pipeline.
pub trait Platform: Clone + 'static {
    /// Header fields, as the host has them.
    type Headers: Headers;
    /// A body that is passed on without being read.
    type Body: Body;
    /// A response in the memory of an isolate, ready to be sent.
    type Ready: fmt::Debug + 'static;
    /// The store of [`Platform::near`].
    type Near: Store<Self>;
    /// The store of [`Platform::far`].
    type Far: Store<Self>;

    /// The wall clock. Read at each step: on arrival and after each awaited call.
    fn now(&self) -> Timestamp;

    /// A number that clients cannot foresee.
    fn random(&self) -> u64;

    /// How many origins there are that answer the same, in the order in which they are tried.
    fn origins(&self) -> usize {
        1
    }

    /// Calls one of the origins, counted from zero; answers with the header of its response, the body still flowing.
    /// `request.path` and `request.query` are appended to the origin's own address, redirects are not followed. Takes the
    /// body; the rest of the request stays for another try.
    fn fetch(
        &self,
        origin: usize,
        request: &mut Request<Self>,
        deadline: Duration,
    ) -> impl Future<Output = Result<Response<Self>, FetchError>>;

    /// Where responses are kept for all isolates nearby.
    fn near(&self) -> Self::Near;

    /// Where responses are kept for all isolates everywhere; `None` where there is no such place, or the operator did
    /// not switch it on.
    fn far(&self) -> Option<Self::Far>;

    /// Makes a response ready to be sent many times, with the bytes it takes in memory; `None` when its body is longer
    /// than `bytes_max`, or breaks off.
    fn ready(
        &self,
        response: Response<Self>,
        bytes_max: usize,
    ) -> impl Future<Output = Option<(Self::Ready, usize)>> + 'static;

    /// A response of its own from one that is ready.
    fn revive(&self, ready: &Self::Ready) -> Response<Self>;

    /// The text of a body; `None` when it is longer than `bytes_max`, breaks off, or is no text. What visitors get is
    /// never read.
    fn read(&self, body: Self::Body, bytes_max: usize) -> impl Future<Output = Option<String>>;

    /// A body with this text.
    fn text(&self, text: String) -> Self::Body;

    /// Asks the authority of a shard of the shared limits.
    fn ask(
        &self,
        shard: u64,
        question: &Question,
        deadline: Duration,
    ) -> impl Future<Output = Result<Reply, AuthorityError>>;

    /// Runs core's script in the Redis that counts for everybody.
    fn run_script(
        &self,
        script: &Script<'_>,
        deadline: Duration,
    ) -> impl Future<Output = Result<lua::Reply, AuthorityError>> {
        let _ = (script, deadline);
        ready(Err(AuthorityError::Failed(String::from("this host has no Redis"))))
    }

    /// Counts one request of `key` under the limit of that name at this location, and says whether it may pass; `None`
    /// where the host keeps no such counter.
    fn count_at_location(&self, limit: &str, key: u128) -> impl Future<Output = Option<bool>> {
        let _ = (limit, key);
        ready(None)
    }

    /// Waits.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()>;

    /// Whether there is a log of purges for all isolates.
    fn has_purge_log(&self) -> bool;

    /// Asks the log of purges ([`crate::purge::PurgeLog`]).
    fn ask_purge_log(
        &self,
        question: String,
        deadline: Duration,
    ) -> impl Future<Output = Result<String, AuthorityError>>;

    /// Whether isolates can leave each other notes. Where there is no log of purges it is kept in one, and where there is no
    /// authority of breakers, so is what opened.
    fn has_notes(&self) -> bool {
        false
    }

    /// Reads a note; `None` when there is none. Whoever writes a note replaces it, and two who do so at the same moment do
    /// not learn of each other.
    fn read_note(
        &self,
        name: &'static str,
        deadline: Duration,
    ) -> impl Future<Output = Result<Option<String>, AuthorityError>> {
        let _ = (name, deadline);
        ready(Ok(None))
    }

    /// Writes a note.
    fn write_note(
        &self,
        name: &'static str,
        text: String,
        deadline: Duration,
    ) -> impl Future<Output = Result<(), AuthorityError>> {
        let _ = (name, text, deadline);
        ready(Err(AuthorityError::Failed(String::from("this host has no notes"))))
    }

    /// Whether the isolates of this place have an object by which they share calls to the origin.
    fn has_pop(&self) -> bool {
        false
    }

    /// Asks that object, or the one of several that has this share of the keys ([`crate::pop::PopFlights`]).
    fn ask_pop(
        &self,
        shard: u64,
        question: String,
        deadline: Duration,
    ) -> impl Future<Output = Result<String, AuthorityError>> {
        let _ = (shard, question, deadline);
        ready(Err(AuthorityError::Failed(String::from("this host has no such object"))))
    }

    /// Waits until [`Platform::wake`] is called for `key` by another request, or until `at_most` has passed.
    fn wait(&self, key: &CacheKey, at_most: Duration) -> impl Future<Output = ()>;

    /// Wakes the requests that wait for `key`.
    fn wake(&self, key: &CacheKey);

    /// Goes on with `work` after the answer has been sent.
    fn spawn(&self, work: impl Future<Output = ()> + 'static);

    /// Writes one line to the log.
    fn log(&self, line: &str);

    /// Counts something, where the host has counters.
    fn measure(&self, metric: &Metric<'_>) {
        let _ = metric;
    }
}

/// What core's script is asked in a Redis.
#[derive(Clone, Debug)]
pub struct Script<'a> {
    /// Whether to charge, or to take a charge back.
    pub operation: lua::Operation,
    /// The limits, decided on together.
    pub asked: &'a [lua::Asked<'a>],
    /// Their keys, in the same order.
    pub keys: Vec<String>,
}

impl Script<'_> {
    /// What to send.
    #[must_use]
    pub fn to_call(&self) -> lua::Call {
        lua::Call::new(self.operation, self.asked, self.keys.iter().cloned(), None)
    }
}

/// The origin did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// No connection, or it broke before the header of the response.
    Unreachable,
    /// No header within the deadline.
    Timeout,
}

impl FetchError {
    /// The word for it in headers, log and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
        }
    }
}

/// The authority of a shared limit did not answer. Each limit says what that means (`on_store_failure`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorityError {
    /// Not within the deadline.
    Late,
    /// It said something else, or the way to it is broken.
    Failed(String),
}

impl fmt::Display for AuthorityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late => f.write_str("no answer within the deadline"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl core::error::Error for AuthorityError {}
