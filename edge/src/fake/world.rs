//! What the requests of one test share: time, chance, and the dependencies.

use core::{
    cell::{Cell, RefCell},
    time::Duration,
};
use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use futures_executor::{LocalPool, LocalSpawner};
use futures_util::{FutureExt, future::abortable, task::LocalSpawnExt};
use seawall_core::{cache::key::CacheKey, limit::State, policy::Policy, time::Timestamp};

use crate::{
    Edge, Isolate,
    authority::{Kept, Shard},
    cron::{self, JobsFailed, Tick},
    message::{Request, Response},
    pipeline,
    pop::PopFlights,
    purge::PurgeLog,
    record::Metric,
    store::Stored,
};

use super::{
    host::Host,
    origin::{Answering, Reply},
    shelf::Which,
    time::Timer,
};

/// The world that an edge lives in.
#[derive(Clone)]
pub struct World(pub(super) Rc<Inner>);

/// Something in the cache, until when it is kept.
pub(super) struct Entry {
    pub(super) until: Timestamp,
    pub(super) stored: Stored<Host>,
}

/// What goes wrong by chance, each in a thousand calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The origin is not reached.
    pub unreachable: u64,
    /// The origin never answers.
    pub hang: u64,
    /// The origin answers 500.
    pub error: u64,
    /// The cache fails to load.
    pub load: u64,
    /// The cache fails to save.
    pub save: u64,
    /// An authority of shared limits fails, before it has heard the question.
    pub authority: u64,
    /// The log of purges fails.
    pub purge_log: u64,
    /// The object by which isolates share calls fails, before it has heard the question.
    pub pop: u64,
    /// It fails after it has heard the question.
    pub pop_answer: u64,
    /// It hears, and never answers.
    pub pop_hangs: u64,
    /// An authority fails after it has heard the question.
    pub authority_answer: u64,
    /// An authority ends after it has heard the question and written down what has to be.
    pub authority_ends: u64,
    /// An authority never answers.
    pub authority_hangs: u64,
    /// Longest time that any of them takes, in milliseconds.
    pub delay_ms_max: u64,
}

pub(super) struct Inner {
    pub(super) policy: &'static Policy,
    pub(super) now: RefCell<Timestamp>,
    random: RefCell<u64>,
    pub(super) pool: RefCell<LocalPool>,
    pub(super) spawner: LocalSpawner,
    pub(super) timers: RefCell<Vec<Timer>>,
    pub(super) timers_made: Cell<u64>,
    pub(super) script: RefCell<Answering>,
    pub(super) faults: RefCell<Faults>,
    pub(super) shelves: RefCell<HashMap<(Which, CacheKey), Entry>>,
    pub(super) has_far: Cell<bool>,
    pub(super) far_lag: Cell<Duration>,
    pub(super) body_bytes_max: Cell<u64>,
    pub(super) has_purge_log: Cell<bool>,
    pub(super) purge_log: RefCell<PurgeLog>,
    pub(super) has_notes: Cell<bool>,
    pub(super) notes: RefCell<BTreeMap<&'static str, String>>,
    pub(super) has_pop: Cell<bool>,
    pub(super) pop: RefCell<BTreeMap<u64, PopFlights>>,
    pub(super) shards: RefCell<BTreeMap<u64, Shard>>,
    /// What the shards wrote down.
    pub(super) written: RefCell<BTreeMap<u128, Kept>>,
    /// Questions that were sent to an authority.
    pub(super) asked: Cell<usize>,
    /// What a Redis holds.
    pub(super) redis: RefCell<HashMap<String, State>>,
    pub(super) waiting: RefCell<HashMap<CacheKey, Vec<Waker>>>,
    pub(super) wakes: RefCell<HashMap<CacheKey, u64>>,
    pub(super) calls: RefCell<Vec<String>>,
    /// By call: how many are under way, and how many were at most.
    pub(super) under_way: RefCell<HashMap<String, (usize, usize)>>,
    log: RefCell<Vec<String>>,
    metrics: RefCell<Vec<String>>,
    pub(super) origins: Cell<usize>,
}

impl World {
    /// A world at the start of 2026, where the origin answers 200 and nothing fails. Its policy stays in memory when the
    /// world ends, as an edge's does.
    #[must_use]
    pub fn new(policy: Policy, seed: u64) -> Self {
        let pool = LocalPool::new();
        Self(Rc::new(Inner {
            policy: Box::leak(Box::new(policy)),
            now: RefCell::new(Timestamp::from_unix_seconds(1_767_225_600)),
            random: RefCell::new(seed),
            spawner: pool.spawner(),
            pool: RefCell::new(pool),
            timers: RefCell::default(),
            timers_made: Cell::default(),
            script: RefCell::new(Rc::new(|_| Reply::ok("", &[]))),
            faults: RefCell::default(),
            shelves: RefCell::default(),
            has_far: Cell::default(),
            far_lag: Cell::default(),
            body_bytes_max: Cell::new(u64::MAX),
            has_purge_log: Cell::default(),
            purge_log: RefCell::default(),
            has_notes: Cell::default(),
            notes: RefCell::default(),
            has_pop: Cell::default(),
            pop: RefCell::default(),
            shards: RefCell::default(),
            written: RefCell::default(),
            asked: Cell::default(),
            redis: RefCell::default(),
            waiting: RefCell::default(),
            wakes: RefCell::default(),
            calls: RefCell::default(),
            under_way: RefCell::default(),
            log: RefCell::default(),
            metrics: RefCell::default(),
            origins: Cell::new(1),
        }))
    }

    /// The policy of this world.
    #[must_use]
    pub fn policy(&self) -> &'static Policy {
        self.0.policy
    }

    /// An isolate in this world.
    #[must_use]
    pub fn edge(&self) -> Rc<Isolate<Host>> {
        let seed = self.random();
        Rc::new(Isolate::new(Edge::new(self.0.policy, seed), seed))
    }

    /// Gives the world a far store, or takes it away.
    pub fn set_far(&self, has_far: bool) {
        self.0.has_far.set(has_far);
    }

    /// Lets what the far store answers be so old: what is removed there is found for that time, and a load takes it.
    pub fn set_far_lag(&self, lag: Duration) {
        self.0.far_lag.set(lag);
    }

    /// Lets the stores take no body that is longer.
    pub fn set_body_bytes_max(&self, bytes: u64) {
        self.0.body_bytes_max.set(bytes);
    }

    /// Gives the world a log of purges.
    pub fn set_purge_log(&self, has_purge_log: bool) {
        self.0.has_purge_log.set(has_purge_log);
    }

    /// Lets isolates leave each other notes.
    pub fn set_notes(&self, has_notes: bool) {
        self.0.has_notes.set(has_notes);
    }

    /// All notes, for a test that puts old ones back.
    #[must_use]
    pub fn notes(&self) -> &RefCell<BTreeMap<&'static str, String>> {
        &self.0.notes
    }

    /// Gives the isolates of this world an object by which they share calls.
    pub fn set_pop(&self, has_pop: bool) {
        self.0.has_pop.set(has_pop);
    }

    /// Empties the near store, as another point of presence has it.
    pub fn empty_near(&self) {
        self.0.shelves.borrow_mut().retain(|(which, _), _| *which == Which::Far);
    }

    /// How many questions were sent to an authority so far.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.0.asked.get()
    }

    /// Sets what goes wrong from now on.
    pub fn faults(&self, faults: Faults) {
        *self.0.faults.borrow_mut() = faults;
    }

    /// A number of this world's sequence.
    #[must_use]
    pub fn random(&self) -> u64 {
        let mut state = self.0.random.borrow_mut();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Whether something with this chance in a thousand happens now.
    #[must_use]
    pub fn happens(&self, permille: u64) -> bool {
        permille > 0 && self.random() % 1000 < permille
    }

    /// One request's view of this world.
    #[must_use]
    pub fn host(&self) -> Host {
        Host(self.clone())
    }

    /// Lets the world run until `work` is done.
    ///
    /// # Panics
    /// When nothing in the world can ever end it.
    pub fn run_now<T: 'static>(&self, work: impl Future<Output = T>) -> T {
        let mut work = core::pin::pin!(work);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(done) = work.as_mut().poll(&mut context) {
                return done;
            }
            self.0.pool.borrow_mut().run_until_stalled();
            assert!(self.jump_to_next_timer(None), "this never ends; log: {:#?}", self.log());
        }
    }

    /// Sends a request and lets the world run until it is answered.
    ///
    /// # Panics
    /// When nothing in the world can ever answer it.
    #[must_use]
    pub fn send(&self, edge: &Rc<Isolate<Host>>, request: Request<Host>) -> Response<Host> {
        let answers = self.send_all(edge, vec![request]);
        // One request, one answer.
        answers.into_iter().next().expect("one answer for one request")
    }

    /// Sends requests at one moment and lets the world run until all are answered.
    ///
    /// # Panics
    /// When nothing in the world can ever answer one of them.
    #[must_use]
    pub fn send_all(&self, edge: &Rc<Isolate<Host>>, requests: Vec<Request<Host>>) -> Vec<Response<Host>> {
        let count = requests.len();
        let answers: Rc<RefCell<Vec<Option<Response<Host>>>>> = Rc::default();
        answers.borrow_mut().resize_with(count, || None);
        for (at, request) in requests.into_iter().enumerate() {
            let (edge, host, answers) = (Rc::clone(edge), Host(self.clone()), Rc::clone(&answers));
            self.spawn(async move {
                let response = pipeline::handle(edge, host, request).await;
                answers.borrow_mut()[at] = Some(response);
            });
        }
        loop {
            self.0.pool.borrow_mut().run_until_stalled();
            if answers.borrow().iter().all(Option::is_some) {
                return answers.take().into_iter().flatten().collect();
            }
            assert!(self.jump_to_next_timer(None), "a request is never answered; log: {:#?}", self.log());
        }
    }

    /// Lets a timer of the host go off, and the world run until its jobs have ended.
    ///
    /// # Errors
    /// As [`cron::run`].
    ///
    /// # Panics
    /// When nothing in the world can ever end one.
    pub fn tick(&self, edge: &Rc<Isolate<Host>>, schedule: &str) -> Result<(), JobsFailed> {
        let (edge, host, schedule) = (Rc::clone(edge), Host(self.clone()), schedule.to_owned());
        let ended: Rc<RefCell<Option<Result<(), JobsFailed>>>> = Rc::default();
        let end = Rc::clone(&ended);
        self.spawn(async move {
            let tick = Tick { schedule: &schedule, scheduled: host.0.now() };
            let result = cron::run(&edge, &host, tick).await;
            *end.borrow_mut() = Some(result);
        });
        loop {
            self.0.pool.borrow_mut().run_until_stalled();
            if let Some(result) = ended.take() {
                return result;
            }
            assert!(self.jump_to_next_timer(None), "a job never ends; log: {:#?}", self.log());
        }
    }

    /// Sends a request whose client leaves after `patience`: from then on nothing of it runs, as hosts do it.
    pub fn send_and_leave(&self, edge: &Rc<Isolate<Host>>, request: Request<Host>, patience: Duration) {
        let (work, leave) = abortable(pipeline::handle(Rc::clone(edge), Host(self.clone()), request));
        self.spawn(work.map(drop));
        let world = self.clone();
        self.spawn(async move {
            world.sleep(patience).await;
            leave.abort();
        });
    }

    /// The log lines so far.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.0.log.borrow().clone()
    }

    /// What was counted so far, without requests: each of those has its line in the log. A call as
    /// `call origin ok`, answers from memory as `hits search 3`, a failure as `failure cache-load`, a job as `job nightly ok 1`.
    #[must_use]
    pub fn metrics(&self) -> Vec<String> {
        self.0.metrics.borrow().clone()
    }

    pub(super) fn count(&self, metric: &Metric<'_>) {
        let line = match metric {
            Metric::Request(_) => return,
            Metric::Call { upstream, outcome, .. } => format!("call {upstream} {outcome}"),
            Metric::Hits { route, count } => format!("hits {route} {count}"),
            Metric::Denials { route, count } => format!("denials {route} {count}"),
            Metric::Failure(failure) => format!("failure {}", failure.as_str()),
            Metric::Job { name, outcome, attempts } => format!("job {name} {outcome} {attempts}"),
        };
        self.0.metrics.borrow_mut().push(line);
    }

    pub(super) fn write(&self, line: &str) {
        self.0.log.borrow_mut().push(line.to_owned());
    }

    pub(super) fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        // The pool lives as long as the world, so it takes work.
        self.0.spawner.spawn_local(work).expect("the pool is there");
    }
}
