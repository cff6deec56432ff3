//! Isolates, an authority and a network between them, in virtual time.
//!
//! One key of one limit. Everything that happens is an event in a queue ordered by time, and everything random
//! comes from the seed, so a run can be repeated.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use seawall_core::limit::Ruling;
use seawall_core::limit::distributed::{Answer, Ask, Ledger, Mode, Restart, Snapshot, Spender, Step, Terms};
use seawall_core::time::Timestamp;

use crate::measure::{Report, ideal, nanos, worst_window};
use crate::random::Random;
use crate::traffic::{Arrivals, Traffic};

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) terms: Terms,
    pub(crate) isolates: u32,
    /// Requests in thousandths of what the quota allows.
    pub(crate) load_permille: u64,
    pub(crate) duration: Duration,
    pub(crate) traffic: Traffic,
    pub(crate) faults: Faults,
    pub(crate) seed: u64,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Messages that do not arrive, in thousandths.
    pub(crate) loss_permille: u64,
    /// Messages that arrive twice, in thousandths.
    pub(crate) copy_permille: u64,
    /// Clocks of isolates are off by up to this.
    pub(crate) skew: Duration,
    /// About how often each isolate's clock steps to another offset.
    pub(crate) clock_steps_every: Option<Duration>,
    /// About how often each isolate is stopped, without a word, and another starts in its place.
    pub(crate) evictions_every: Option<Duration>,
    /// About how often the authority starts anew from what it wrote down.
    pub(crate) restarts_every: Option<Duration>,
}

impl Faults {
    /// What happens on any day.
    pub(crate) const USUAL: Self = Self {
        loss_permille: 10,
        copy_permille: 10,
        skew: Duration::from_secs(5),
        clock_steps_every: None,
        evictions_every: None,
        restarts_every: None,
    };

    /// What happens on a bad one.
    pub(crate) const ALL: Self = Self {
        loss_permille: 50,
        copy_permille: 50,
        clock_steps_every: Some(Duration::from_secs(7)),
        evictions_every: Some(Duration::from_secs(10)),
        restarts_every: Some(Duration::from_secs(13)),
        ..Self::USUAL
    };
}

/// Messages take half of a round trip of 20 to 150 ms, and so overtake each other.
const ONE_WAY_NS: std::ops::Range<u64> = 10_000_000..75_000_000;

/// How long a host waits before it sends an ask again, and again before it gives up.
const PATIENCE: Duration = Duration::from_millis(250);

/// When the virtual day begins.
const START_NS: u64 = 1_772_323_200_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Request,
    /// The message in that place of the post arrives.
    Arrive(usize),
    /// Nobody has answered that ask of that isolate; it was sent so many times.
    Overdue(usize, u64, u8),
    StepClock(usize),
    Evict(usize),
    Restart,
}

#[derive(Clone, Copy)]
enum Letter {
    Ask(usize, Ask),
    /// With the time at which the authority decided.
    Answer(usize, u64, Answer),
}

struct Isolate {
    id: u64,
    spender: Spender,
    offset_ns: u64,
    /// The asks that requests wait for.
    waiting: BTreeMap<u64, Ask>,
}

struct World {
    scenario: Scenario,
    random: Random,
    now_ns: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Event)>>,
    scheduled: u64,
    /// What is under way: each letter with how often it still arrives.
    post: Vec<(Letter, u8)>,
    /// Places of the post that are free again.
    free: Vec<usize>,
    ledger: Ledger,
    saved: Option<Snapshot>,
    isolates: Vec<Isolate>,
    arrivals: Vec<u64>,
    /// When requests were admitted: those that asked, when the authority decided.
    admitted: Vec<u64>,
    calls: u64,
    unanswered: u64,
    held_max: u64,
    /// When isolates were stopped and the authority started anew, and how many units that may have forgiven.
    forgiven: Vec<(u64, u64)>,
}

/// Runs a scenario.
pub(crate) fn run(scenario: Scenario) -> Report {
    let mut world = World::new(scenario);
    let mut arrivals = Arrivals::new(&scenario);
    let mut next = arrivals.next(&mut world.random);
    world.schedule(next.0, Event::Request);
    while let Some(Reverse((time, _, event))) = world.queue.pop() {
        if time > nanos(scenario.duration) + nanos(PATIENCE) * 4 {
            break;
        }
        world.now_ns = time;
        if event == Event::Request {
            world.request(next.1);
            next = arrivals.next(&mut world.random);
            if next.0 < nanos(scenario.duration) {
                world.schedule(next.0, Event::Request);
            }
        } else {
            world.happen(event);
        }
    }
    world.report()
}

impl World {
    fn new(scenario: Scenario) -> Self {
        let mut world = Self {
            scenario,
            random: Random::new(scenario.seed),
            now_ns: 0,
            queue: BinaryHeap::new(),
            scheduled: 0,
            post: Vec::new(),
            free: Vec::new(),
            ledger: Ledger::new(),
            saved: None,
            isolates: Vec::new(),
            arrivals: Vec::new(),
            admitted: Vec::new(),
            calls: 0,
            unanswered: 0,
            held_max: 0,
            forgiven: Vec::new(),
        };
        let faults = scenario.faults;
        for place in 0..scenario.isolates as usize {
            let offset_ns = world.offset();
            let isolate = world.start(offset_ns);
            world.isolates.push(isolate);
            world.schedule_fault(faults.clock_steps_every, Event::StepClock(place));
            world.schedule_fault(faults.evictions_every, Event::Evict(place));
        }
        world.schedule_fault(faults.restarts_every, Event::Restart);
        world
    }

    fn start(&mut self, offset_ns: u64) -> Isolate {
        let spender = Spender::new(Timestamp::from_unix_nanos(START_NS + self.now_ns + offset_ns));
        Isolate { id: self.random.next(), spender, offset_ns, waiting: BTreeMap::new() }
    }

    /// How far a clock is ahead of the most backward one.
    fn offset(&mut self) -> u64 {
        self.random.below(2 * nanos(self.scenario.faults.skew) + 1)
    }

    fn schedule(&mut self, time: u64, event: Event) {
        self.scheduled += 1;
        self.queue.push(Reverse((time, self.scheduled, event)));
    }

    /// Schedules a fault for a time around `every` from now.
    fn schedule_fault(&mut self, every: Option<Duration>, event: Event) {
        if let Some(every) = every {
            let later = self.random.below(2 * nanos(every));
            self.schedule(self.now_ns + later, event);
        }
    }

    fn clock(&self, place: usize) -> Timestamp {
        Timestamp::from_unix_nanos(START_NS + self.now_ns + self.isolates[place].offset_ns)
    }

    fn happen(&mut self, event: Event) {
        let faults = self.scenario.faults;
        match event {
            Event::Request => {}
            Event::Arrive(place) => {
                let (letter, left) = &mut self.post[place];
                *left -= 1;
                let letter = *letter;
                if *left == 0 {
                    self.free.push(place);
                }
                match letter {
                    Letter::Ask(place, ask) => self.decide(place, &ask),
                    Letter::Answer(place, decided_ns, answer) => self.answered(place, decided_ns, &answer),
                }
            }
            Event::Overdue(place, seq, sent) => {
                let Some(ask) = self.isolates[place].waiting.get(&seq).copied() else { return };
                if sent < 2 {
                    self.send(place, ask);
                    self.schedule(self.now_ns + nanos(PATIENCE), Event::Overdue(place, seq, sent + 1));
                } else {
                    self.isolates[place].waiting.remove(&seq);
                    self.unanswered += 1;
                }
            }
            Event::StepClock(place) => {
                self.isolates[place].offset_ns = self.offset();
                self.schedule_fault(faults.clock_steps_every, event);
            }
            Event::Evict(place) => {
                let offset_ns = self.offset();
                let fresh = self.start(offset_ns);
                // Requests that waited there get no answer from anyone.
                self.unanswered += std::mem::replace(&mut self.isolates[place], fresh).waiting.len() as u64;
                let lost = self.scenario.terms.overshoot_bound(1);
                if matches!(self.scenario.terms.mode(), Mode::Async { .. }) {
                    self.forgiven.push((self.now_ns, lost));
                }
                self.schedule_fault(faults.evictions_every, event);
            }
            Event::Restart => {
                let restart = if self.random.permille(500) {
                    Restart::Strict(self.saved)
                } else {
                    self.saved.map_or(Restart::Cold, Restart::Saved)
                };
                let terms = self.scenario.terms;
                self.forgiven.push((self.now_ns, terms.restart_bound(&restart)));
                let now = Timestamp::from_unix_nanos(START_NS + self.now_ns);
                self.ledger = Ledger::resume(&terms, restart, now);
                self.schedule_fault(faults.restarts_every, event);
            }
        }
    }

    fn request(&mut self, place: usize) {
        self.arrivals.push(self.now_ns);
        let now = self.clock(place);
        let Isolate { id, spender, .. } = &mut self.isolates[place];
        match spender.spend(&self.scenario.terms, *id, 1, now) {
            Step::Allow { tell } => {
                self.admitted.push(self.now_ns);
                if let Some(ask) = tell {
                    self.send(place, ask);
                }
            }
            Step::Deny { .. } | Step::Never => {}
            Step::Ask(ask) => {
                self.isolates[place].waiting.insert(ask.seq, ask);
                self.send(place, ask);
                self.schedule(self.now_ns + nanos(PATIENCE), Event::Overdue(place, ask.seq, 1));
            }
        }
    }

    fn send(&mut self, place: usize, ask: Ask) {
        self.calls += 1;
        self.carry(Letter::Ask(place, ask));
    }

    fn carry(&mut self, letter: Letter) {
        let faults = self.scenario.faults;
        if self.random.permille(faults.loss_permille) {
            return;
        }
        let copies = 1 + u8::from(self.random.permille(faults.copy_permille));
        let place = self.free.pop().unwrap_or(self.post.len());
        if place == self.post.len() {
            self.post.push((letter, copies));
        } else {
            self.post[place] = (letter, copies);
        }
        for _ in 0..copies {
            let delay = ONE_WAY_NS.start + self.random.below(ONE_WAY_NS.end - ONE_WAY_NS.start);
            self.schedule(self.now_ns + delay, Event::Arrive(place));
        }
    }

    fn decide(&mut self, place: usize, ask: &Ask) {
        let now = Timestamp::from_unix_nanos(START_NS + self.now_ns);
        let heard = self.ledger.hear(&self.scenario.terms, ask, now);
        self.saved = heard.save.or(self.saved);
        self.held_max = self.held_max.max(u64::from(self.ledger.held()));
        self.carry(Letter::Answer(place, self.now_ns, heard.answer));
    }

    fn answered(&mut self, place: usize, decided_ns: u64, answer: &Answer) {
        let now = self.clock(place);
        let random = self.random.next() as u32;
        let isolate = &mut self.isolates[place];
        let ruling = isolate.spender.answer(&self.scenario.terms, answer, now, random);
        if isolate.waiting.remove(&answer.seq).is_some() && ruling == Ruling::Allow {
            self.admitted.push(decided_ns);
        }
    }

    fn report(mut self) -> Report {
        let terms = self.scenario.terms;
        let window = terms.quota().window();
        self.admitted.sort_unstable();
        let admitted = self.admitted;
        let ideal = ideal(terms.quota(), &self.arrivals);
        let forgiven_times = self.forgiven.iter().map(|(time, _)| *time);
        let forgiven = forgiven_times
            .map(|from| {
                let within = |(time, _): &&(u64, u64)| (from..from + nanos(window)).contains(time);
                self.forgiven.iter().filter(within).map(|(_, units)| units).sum::<u64>()
            })
            .max()
            .unwrap_or(0);
        let overshoot = terms.overshoot_bound(u64::from(self.scenario.isolates)) + forgiven;
        Report {
            requests: self.arrivals.len() as u64,
            admitted: admitted.len() as u64,
            ideal: ideal.len() as u64,
            worst_window: worst_window(&admitted, window),
            ideal_window: worst_window(&ideal, window),
            bound: terms.window_bound() + overshoot,
            overshoot,
            calls: self.calls,
            wrong_denials: (ideal.len() as u64).saturating_sub(admitted.len() as u64),
            unanswered: self.unanswered,
            held_max: self.held_max,
        }
    }
}
