//! Should this call even be tried, while the upstream refuses some?
//!
//! A breaker is all or nothing. The throttle stands beside it: each caller compares how many calls it wanted to make
//! with how many were accepted, and drops calls at random so that an overloaded upstream is sent about `k` times what
//! it accepts (the adaptive throttling of site reliability engineering). It needs no word from other isolates, and
//! only so many calls that one failure at night drops none ([`Settings::min_calls`]).
//!
//! ```text
//!   p = max(0, (requests - k * accepts) / (requests + 1)), at most 0.99
//! ```
//!
//! A call under way is a request at once, and an acceptance only when it was answered well. Until it has been under way
//! for one part in [`PATIENCE_DIVISOR`] of the window it is believed to be accepted, so that a crowd before the first answer is no
//! sign of trouble; after that it counts against an upstream that hangs, long before its deadline has passed.
//!
//! From an upstream that accepts a quarter of its calls, all calls pass again within one window of it being well;
//! from a full outage, where one call in a hundred is still sent, within four. An upstream that answers everything, slowly,
//! is never held back as long as its answers take less than `k` times that patience.

mod config;
mod explain;

#[cfg(test)]
mod tests;

pub use config::{Config, Settings};

use crate::breaker::Reply;
use crate::priority::Priority;
use crate::ring::Ring;
pub use crate::settings::ConfigError;
use crate::time::Timestamp;

/// The throttle of one upstream.
///
/// A plain value. A state belongs to one [`Config`]: when `window` or `buckets` changes, start anew. A clock that
/// steps back counts into the newest bucket until it has caught up. Nothing is allocated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Throttle {
    /// The window.
    calls: Ring<Calls>,
    /// Calls under way that are still believed to be accepted; from here they fall out by growing old.
    believed: Ring<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Calls {
    /// Calls that someone wanted to make, dropped ones included.
    requests: u32,
    /// Those of them that were answered well.
    accepts: u32,
}

/// What to do with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Pass {
    /// Send it, and give the ticket back with its end.
    Send(Ticket),
    /// Drop it: the upstream would probably refuse it.
    Drop {
        /// How likely a call of this priority was dropped at this moment, in thousandths.
        probability_permille: u16,
    },
}

/// A call that was sent. Given back to [`Throttle::record`]; a lost one counts like a call that hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a call without a recorded end counts as one that hangs"]
pub struct Ticket {
    /// The bucket of time in which the call was counted.
    bucket: u64,
    /// The bucket of time in which it is believed in.
    believed: u64,
}

/// How a call ended, as the throttle counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The upstream took it on, however it answered.
    Accepted,
    /// The upstream did not take it on.
    Refused,
    /// Nobody knows: the call is taken out of the count.
    Unknown,
}

impl End {
    /// Sorts the end of a call: 429, 502, 503, 504, a lost connection and a missed deadline are refusals. Every
    /// other response is an acceptance, 500 included: the upstream tried. A call that the client gave up says
    /// nothing.
    #[must_use]
    pub const fn classify(reply: Reply) -> Self {
        match reply {
            Reply::Status { status: 429 | 502..=504, .. } | Reply::Disconnected | Reply::TimedOut => Self::Refused,
            Reply::Abandoned => Self::Unknown,
            Reply::Status { .. } => Self::Accepted,
        }
    }
}

impl Throttle {
    /// A throttle that has seen nothing, and lets every call pass.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Decides on one call at `now`, and counts it before it is sent.
    ///
    /// `random` is any number the host draws: which calls are dropped depends on it, and nothing else does.
    pub fn admit(&mut self, config: &Config, priority: Priority, now: Timestamp, random: u32) -> Pass {
        let load = self.load(config, priority, now, random);
        let bucket = self.calls.slide(config.cut(), now);
        if let Some(calls) = self.calls.bucket(config.cut(), bucket) {
            calls.requests = calls.requests.saturating_add(1);
        }
        if let Some(probability_permille) = load.dropped() {
            return Pass::Drop { probability_permille };
        }
        let believed = self.believed.slide(config.patience(), now);
        if let Some(calls) = self.believed.bucket(config.patience(), believed) {
            *calls = calls.saturating_add(1);
        }
        Pass::Send(Ticket { bucket, believed })
    }

    /// What the decision on one call at `now` depends on.
    fn load(&mut self, config: &Config, priority: Priority, now: Timestamp, random: u32) -> Load {
        self.calls.slide(config.cut(), now);
        self.believed.slide(config.patience(), now);
        let believed = self.believed.iter(config.patience()).map(|calls| u64::from(*calls)).sum();
        let (requests, accepts) = self.calls.iter(config.cut()).fold((0, believed), |(requests, accepts), calls| {
            (requests + u64::from(calls.requests), accepts + u64::from(calls.accepts))
        });
        let min_calls = config.min_calls;
        Load { requests, accepts, min_calls, k_permille: config.k_permille(priority), priority, random }
    }

    /// Counts the end of a call that was sent, in the bucket in which it began: so that both fall out of the
    /// window together, and a slow upstream looks no better than it is.
    pub fn record(&mut self, config: &Config, ticket: Ticket, end: End) {
        if let Some(believed) = self.believed.bucket(config.patience(), ticket.believed) {
            *believed = believed.saturating_sub(1);
        }
        let Some(calls) = self.calls.bucket(config.cut(), ticket.bucket) else { return };
        match end {
            End::Accepted => calls.accepts = calls.accepts.saturating_add(1),
            End::Refused => {}
            End::Unknown => calls.requests = calls.requests.saturating_sub(1),
        }
    }
}

/// All that the decision on one call depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    /// Calls of the window that someone wanted to make.
    requests: u64,
    /// Those of them that were accepted, or are believed to be.
    accepts: u64,
    min_calls: u32,
    k_permille: u32,
    priority: Priority,
    random: u32,
}

impl Load {
    /// How likely the call was dropped, in thousandths, if it is.
    fn dropped(&self) -> Option<u16> {
        let Self { requests, accepts, min_calls, k_permille, priority, random } = *self;
        // Both in thousandths, so that `k` stays whole. Sixteen buckets of 32 bits leave plenty of room.
        let wanted = u128::from(requests) * 1000;
        let earned = u128::from(accepts) * u128::from(k_permille);
        let excess = wanted.saturating_sub(earned);
        let of = (u128::from(requests) + 1) * 1000;
        let knows = requests >= u64::from(min_calls) && priority != Priority::Always;
        let drops = knows && u128::from(random) * of < excess << 32 && random < DROP_MAX;
        // At most 990, by the cap.
        drops.then(|| (excess * 1000 / of).min(u128::from(DROP_MAX_PERMILLE)) as u16)
    }
}

/// Most calls that are dropped, in thousandths: the rest find out whether the upstream is well again.
const DROP_MAX_PERMILLE: u16 = 990;

/// The same as a fraction of 2^32.
const DROP_MAX: u32 = ((1_u64 << 32) * DROP_MAX_PERMILLE as u64 / 1000) as u32;

/// A call under way is believed to be accepted for the window divided by this. Larger is sooner sure that an upstream
/// hangs, and takes slow answers to a first crowd for a hang; any `k` below it sees a full hang. At the edge's window that
/// is 5 s, at a native one of two minutes 20 s.
pub const PATIENCE_DIVISOR: u32 = 6;
