//! May this dependency be called?
//!
//! A [`Breaker`] watches the results of calls to one upstream. While too many of them fail it refuses
//! calls, waits, then lets a few probes through and closes again when they succeed:
//!
//! ```text
//!            failure rate reached                 wait is over
//!   closed ------------------------> open -----------------------> half-open
//!     ^                               ^                             |     |
//!     |                               '--- too many probes failed --'     |
//!     '--------------------- enough probes succeeded ---------------------'
//! ```
//!
//! The state is a plain value. A host calls [`Breaker::admit`] before a call and [`Breaker::record`] after
//! it; a call whose end is never recorded (the host was stopped, the client left) holds a probe's place only
//! until its lease ends.
//!
//! Each change of state starts a new generation, and a result of an earlier one counts for nothing: a slow
//! failure from before the upstream recovered does not open the breaker again.
//!
//! With a `slow_call` it also opens when too many calls are slow; a slow probe then counts as a failed one,
//! or else an upstream that is only slow would be called in full again after each wait.
//!
//! [`shared`] lets many isolates, each with its own breaker, open together and probe together.

mod config;
mod explain;
mod outcome;
pub mod shared;
mod window;

#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::time::Duration;

pub use config::{Config, RETRY_AFTER_MAX, Settings};
pub use outcome::{Outcome, Reply};

pub use crate::settings::ConfigError;
use crate::time::Timestamp;
use shared::Standing;
pub use window::Counts;
use window::Window;

/// The breaker of one upstream.
///
/// A state belongs to one [`Config`]: when `window` or `buckets` changes, start anew.
///
/// # When the clock steps back
///
/// Results then count into the newest bucket until the clock has caught up. A wait or a lease that would
/// end later than it could if it started now is cut to that, so a step never locks the breaker.
///
/// # Cost
///
/// A few hundred bytes are touched at most, and nothing is allocated except a list of probes while half-open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Breaker {
    generation: u64,
    /// How often it opened since it was last closed: the exponent of the back-off.
    opens: u32,
    phase: Phase,
}

/// What a call may do.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Gate {
    /// Call, and give the permit back with the result.
    Pass(Permit),
    /// Do not call.
    Reject {
        /// When the breaker may let a call through again. Above zero.
        retry_after: Duration,
    },
}

/// The right to one call. Given back to [`Breaker::record`] with the result; a lost one is recovered.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a call without a recorded result tells the breaker nothing"]
pub struct Permit {
    generation: u64,
    /// Which lease, when the call is a probe.
    lease: Option<u32>,
}

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Calls pass, and their results are counted.
    Closed,
    /// Calls are refused.
    Open,
    /// The wait is over, and only probes pass.
    HalfOpen,
}

impl State {
    /// The word for fields, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Phase {
    Closed { window: Window },
    Open { until: Timestamp },
    HalfOpen { probes: Probes },
}

impl Default for Phase {
    fn default() -> Self {
        Self::Closed { window: Window::default() }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Probes {
    /// At most `probes` of them.
    leases: Vec<Lease>,
    issued: u32,
    succeeded: u8,
    failed: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Lease {
    id: u32,
    expires: Timestamp,
}

impl Breaker {
    /// A closed breaker that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the breaker stands at `now`: the next call meets this state.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> State {
        match self.phase {
            Phase::Closed { .. } => State::Closed,
            Phase::Open { until } if now < until => State::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// How often the breaker opened since it was last closed.
    #[must_use]
    pub const fn opens(&self) -> u32 {
        self.opens
    }

    /// Asks for one call at `now`.
    pub fn admit(&mut self, config: &Config, now: Timestamp) -> Gate {
        if let Phase::Open { until } = &mut self.phase {
            *until = (*until).min(now.after(config.pause_max()));
            if now < *until {
                return Gate::Reject { retry_after: until.since(now) };
            }
            self.enter(Phase::HalfOpen { probes: Probes::default() });
        }
        let lease = match &mut self.phase {
            Phase::HalfOpen { probes } => match probes.lease(config, now) {
                Ok(id) => Some(id),
                Err(retry_after) => return Gate::Reject { retry_after },
            },
            Phase::Closed { .. } | Phase::Open { .. } => None,
        };
        Gate::Pass(Permit { generation: self.generation, lease })
    }

    /// Takes back a permit with what became of the call, at `now`.
    ///
    /// `random` is any number the host draws; it spreads the waits of many breakers, and decides nothing
    /// else. A result of an earlier generation changes nothing. A late result of a probe counts although
    /// its lease is over, or else an upstream slower than the lease could never prove itself.
    pub fn record(&mut self, config: &Config, permit: Permit, outcome: Outcome, now: Timestamp, random: u32) {
        if permit.generation != self.generation {
            return;
        }
        let opens = match &mut self.phase {
            Phase::Open { .. } => false,
            Phase::Closed { window } => window.record(config, Counts::of(&outcome), now),
            Phase::HalfOpen { probes } => {
                probes.record(&permit, &outcome);
                if probes.succeeded >= config.probes_to_close {
                    self.opens = 0;
                    self.enter(Phase::Closed { window: Window::default() });
                    return;
                }
                probes.failed > config.probes - config.probes_to_close
            }
        };
        if opens {
            self.trip(config, outcome.retry_after(), now, random);
        }
    }

    /// Counts many ends of calls at once, while closed.
    fn tally(&mut self, config: &Config, counts: Counts, retry_after: Option<Duration>, now: Timestamp, random: u32) {
        if let Phase::Closed { window } = &mut self.phase
            && window.record(config, counts, now)
        {
            self.trip(config, retry_after, now, random);
        }
    }

    fn trip(&mut self, config: &Config, retry_after: Option<Duration>, now: Timestamp, random: u32) {
        let pause = config.pause(self.opens, retry_after, random);
        self.opens = self.opens.saturating_add(1);
        self.enter(Phase::Open { until: now.after(pause) });
    }

    /// Opens until a time that another breaker chose.
    fn open(&mut self, until: Timestamp) {
        self.enter(Phase::Open { until });
    }

    /// Closes because another breaker did.
    fn close(&mut self) {
        self.opens = 0;
        self.enter(Phase::default());
    }

    fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed { .. })
    }

    /// Whether a probe's lease holds at `now`.
    fn holds(&self, lease: u32, now: Timestamp) -> bool {
        match &self.phase {
            Phase::HalfOpen { probes } => probes.leases.iter().any(|held| held.id == lease && held.expires > now),
            Phase::Closed { .. } | Phase::Open { .. } => false,
        }
    }

    /// Where it stands at `now`, for others to believe.
    fn standing(&self, config: &Config, now: Timestamp) -> Standing {
        match &self.phase {
            Phase::Closed { .. } => Standing::Closed,
            Phase::Open { until } => match until.since(now).min(config.pause_max()) {
                Duration::ZERO => Standing::HalfOpen { wait: Duration::ZERO },
                wait => Standing::Open { wait },
            },
            Phase::HalfOpen { probes } => Standing::HalfOpen { wait: probes.wait(config, now) },
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation = self.generation.wrapping_add(1);
    }
}

impl Probes {
    /// Leases one probe, or says when the next place is free.
    fn lease(&mut self, config: &Config, now: Timestamp) -> Result<u32, Duration> {
        let expires = now.after(config.probe_timeout);
        for lease in &mut self.leases {
            lease.expires = lease.expires.min(expires);
        }
        self.leases.retain(|lease| lease.expires > now);
        match self.wait(config, now) {
            Duration::ZERO => {
                self.issued = self.issued.wrapping_add(1);
                self.leases.push(Lease { id: self.issued, expires });
                Ok(self.issued)
            }
            wait => Err(wait),
        }
    }

    /// How long until a place is free; zero when one is.
    fn wait(&self, config: &Config, now: Timestamp) -> Duration {
        let live = || self.leases.iter().filter(|lease| lease.expires > now);
        let settled = usize::from(self.succeeded) + usize::from(self.failed);
        if live().count() + settled < usize::from(config.probes) {
            return Duration::ZERO;
        }
        // What has settled without a decision leaves room for one more probe, so at least one lease is held.
        let next = live().map(|lease| lease.expires.since(now)).min().unwrap_or(config.probe_timeout);
        next.min(config.probe_timeout)
    }

    fn record(&mut self, permit: &Permit, outcome: &Outcome) {
        self.leases.retain(|lease| Some(lease.id) != permit.lease);
        match outcome {
            Outcome::Success => self.succeeded = self.succeeded.saturating_add(1),
            Outcome::Slow | Outcome::Failure { .. } => self.failed = self.failed.saturating_add(1),
            Outcome::Ignored => {}
        }
    }
}
