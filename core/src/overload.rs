//! How many calls may be in flight?
//!
//! A server that takes on more than it can do gets slower for everyone, and at last does nothing. [`Overload`]
//! bounds what it takes on, and finds the bound by itself: while calls take as long as in an idle moment there is
//! room for more; when they take longer they are waiting for each other. It is for a native process, whose calls
//! share one machine or one pool; an isolate at the edge lives too shortly to learn anything.
//!
//! Two ways to move the limit:
//!
//! - [`Law::Gradient`]: `limit = limit * idle latency / latency now + sqrt(limit)`. The idle latency is
//!   measured now and then, by letting only a few calls in for a moment. It finds the limit quickly, also after
//!   the upstream changed.
//! - [`Law::Additive`]: one more for each limit's worth of calls that went well, a tenth less after one that
//!   did not. Simple, slower, and never in need of an idle moment.
//!
//! The limit is for the most important calls; less important ones may use a part of it, so that under load they go
//! first. Health checks and administration always get in.

mod config;
mod explain;
mod sample;

#[cfg(test)]
mod tests;

use core::time::Duration;

pub use config::{Config, Law, Settings};

use crate::priority::Priority;
pub use crate::settings::ConfigError;
use crate::time::{Timestamp, nanos};
use sample::Sample;

/// The calls in flight to one resource, and how many there may be.
///
/// Nothing is allocated. A clock that steps back makes calls seem to take no time, which counts for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overload {
    /// In 1024ths, so that it grows by parts of a call.
    limit_1024: u64,
    in_flight: u32,
    phase: Phase,
    sample: Sample,
}

/// What to do with one call.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Gate {
    /// Take it on, and give the permit back with its end.
    Admit(Permit),
    /// Refuse it: there is no room for its priority. Asking again makes sense after about a second.
    Shed {
        /// How many are in flight.
        in_flight: u32,
        /// How many there may be for this priority.
        limit: u32,
    },
}

/// The right to one call. Given back to [`Overload::finish`]; a lost one takes a place for good, so a host keeps
/// it in a guard.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not given back takes a place for good"]
pub struct Permit {
    began: Timestamp,
    /// Whether it began while the idle latency was being measured.
    idle: bool,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was done: how long it took says something.
    Done,
    /// It was refused further on, or took too long: there are too many.
    Overloaded,
    /// It was given up, or failed for reasons of its own: how long it took says nothing.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Only a few calls get in, so that those from before can end and the idle latency shows.
    Measuring {
        /// The limit to go back to.
        limit_1024: u64,
    },
    /// The limit follows the latency.
    Following {
        idle_ns: u64,
        /// When to measure again.
        until: Timestamp,
        /// How many samples in a row kept the limit near its smallest.
        low: u8,
    },
}

impl Overload {
    /// No calls in flight; the limit starts where `config` says.
    #[must_use]
    pub fn new(config: &Config, now: Timestamp) -> Self {
        let start = u64::from(config.limit_start) * ONE;
        let phase = match config.law {
            Law::Gradient { .. } => Phase::Measuring { limit_1024: start },
            Law::Additive { .. } => Phase::Following { idle_ns: 0, until: now, low: 0 },
        };
        // A process that starts is idle enough for a first measurement, so nothing is held back for it.
        Self { limit_1024: start, in_flight: 0, phase, sample: Sample::new(now) }
    }

    /// How many calls of the highest priority there may be.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        // The limit is cut at `limit_max`, 32 bits.
        (self.limit_1024 / ONE) as u32
    }

    /// How many calls are in flight.
    #[must_use]
    pub const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Asks for one call at `now`.
    ///
    /// Calls of [`Priority::Always`] get in whatever is in flight, and count like all others.
    pub fn admit(&mut self, config: &Config, priority: Priority, now: Timestamp) -> Gate {
        let room = self.room(config, priority);
        if room.is_full() {
            return Gate::Shed { in_flight: room.in_flight, limit: room.limit };
        }
        self.in_flight = self.in_flight.saturating_add(1);
        self.sample.saw_in_flight(self.in_flight);
        // Calls from before the measurement still crowd those that begin in it, until only few are left.
        let few = self.in_flight <= self.limit();
        Gate::Admit(Permit { began: now, idle: few && matches!(self.phase, Phase::Measuring { .. }) })
    }

    /// What the decision on one call depends on.
    fn room(&self, config: &Config, priority: Priority) -> Room {
        Room { in_flight: self.in_flight, limit: config.limit_for(priority, self.limit()), priority }
    }

    /// Takes back a permit with how the call ended, at `now`. `random` is any number the host draws; it spreads
    /// the moments of measuring over many processes, and decides nothing else.
    pub fn finish(&mut self, config: &Config, permit: Permit, end: End, now: Timestamp, random: u32) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let took_ns = nanos(now.since(permit.began));
        match config.law {
            Law::Gradient { tolerance_permille, measure_every, .. } => {
                let measuring = matches!(self.phase, Phase::Measuring { .. });
                match end {
                    End::Done if !measuring || permit.idle => self.sample.add(took_ns),
                    // A call that did not end well took at least twice what it should.
                    End::Overloaded if !measuring => self.sample.add_overloaded(),
                    End::Done | End::Overloaded | End::Unknown => {}
                }
                if let Some(sample) = self.sample.take_if_full(config, measuring, now) {
                    self.follow_gradient(config, &sample, tolerance_permille, measure_every, now, random);
                }
            }
            Law::Additive { latency_max, decrease_permille } => {
                let overloaded = end == End::Overloaded || (end == End::Done && took_ns > nanos(latency_max));
                // What began before the last decrease says nothing about the limit since.
                let Phase::Following { until, .. } = &mut self.phase else { return };
                if overloaded && permit.began >= *until {
                    *until = now;
                    self.set(config, self.limit_1024 * u64::from(decrease_permille) / 1000);
                } else if end == End::Done && !overloaded && u64::from(self.in_flight) * 2 * ONE >= self.limit_1024 {
                    // One more for each limit's worth of calls, if they need it.
                    self.set(config, self.limit_1024 + ONE * ONE / self.limit_1024.max(ONE));
                }
            }
        }
    }

    fn follow_gradient(
        &mut self,
        config: &Config,
        sample: &Sample,
        tolerance_permille: u16,
        measure_every: Duration,
        now: Timestamp,
        random: u32,
    ) {
        let (idle_ns, until, low) = match self.phase {
            Phase::Measuring { limit_1024 } => {
                self.set(config, limit_1024);
                // Up to a sixth later, so that not all processes measure at once.
                let every = nanos(measure_every);
                let later = ((u128::from(every / 6) * u128::from(random)) >> 32) as u64;
                let until = now.after(Duration::from_nanos(every.saturating_add(later)));
                self.phase = Phase::Following { idle_ns: sample.mean_ns(0).max(1), until, low: 0 };
                return;
            }
            Phase::Following { idle_ns, until, low } => (idle_ns, until, low),
        };
        let latency_ns = sample.mean_ns(idle_ns.saturating_mul(2)).max(1);
        let tolerated_ns = u128::from(idle_ns) * (1000 + u128::from(tolerance_permille)) / 1000;
        // At most halved or doubled by one sample: noise must not empty the server, nor flood it.
        let scaled = u128::from(self.limit_1024) * tolerated_ns / u128::from(latency_ns);
        let scaled = (scaled as u64).clamp(self.limit_1024 / 2, self.limit_1024 * 2);
        // In 1024ths the square root of a number of calls is 32 times that of its 1024ths.
        let wanted = scaled + 32 * scaled.isqrt();
        // Calls that never filled the limit do not show that a higher one holds.
        let filled = u64::from(sample.in_flight_max()) * 2 * ONE >= self.limit_1024;
        if wanted < self.limit_1024 || filled {
            self.set(config, wanted);
        }
        // Long near the smallest limit: what is idle now is slower than what was measured.
        let low = if self.limit() <= config.limit_min.saturating_mul(2) { low + 1 } else { 0 };
        self.phase = Phase::Following { idle_ns, until, low };
        let due = now >= until || until.since(now) > measure_every * 2;
        if due || low >= LOW_SAMPLES_MAX {
            self.phase = Phase::Measuring { limit_1024: self.limit_1024 };
            self.set(config, u64::from(config.limit_min) * ONE);
        }
    }

    fn set(&mut self, config: &Config, limit_1024: u64) {
        self.limit_1024 = limit_1024.clamp(u64::from(config.limit_min) * ONE, u64::from(config.limit_max) * ONE);
    }
}

/// All that the decision on one call depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Room {
    in_flight: u32,
    /// How many there may be for this priority.
    limit: u32,
    priority: Priority,
}

impl Room {
    fn is_full(&self) -> bool {
        self.in_flight >= self.limit && self.priority != Priority::Always
    }
}

/// After so many samples near the smallest limit the idle latency is measured anew, before its time.
const LOW_SAMPLES_MAX: u8 = 5;

/// One call, as the limit counts.
const ONE: u64 = 1024;
