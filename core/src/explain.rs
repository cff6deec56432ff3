//! Decisions as one line each: the verdict, why, the policy's name and every input that counted.
//!
//! Each kind of decision has an `explain` beside it, which takes what the decision takes and changes nothing:
//! [`Algorithm::explain`](crate::limit::Algorithm::explain) for one limit,
//! [`JointDecision::explain`](crate::limit::JointDecision::explain) for all limits of a request,
//! [`Spender::explain`](crate::limit::distributed::Spender::explain) for a shared limit in one isolate,
//! [`Breaker::explain`](crate::breaker::Breaker::explain), [`Throttle::explain`](crate::throttle::Throttle::explain),
//! [`Budget::explain`](crate::retry::Budget::explain), [`Overload::explain`](crate::overload::Overload::explain), and
//! for the cache [`crate::cache::explain`].
//!
//! [`replay`] reads such a line, decides again and writes the line of that, so a line from a log becomes a test. Who
//! never asks for a line pays nothing for it.
//!
//! ```
//! use core::{num::NonZeroU32, time::Duration};
//! use seawall_core::explain::replay;
//! use seawall_core::limit::{Algorithm, Quota, Spend};
//! use seawall_core::time::Timestamp;
//!
//! let five = NonZeroU32::new(5).unwrap();
//! let rule = Algorithm::from(Quota::new(five, Duration::from_secs(60), five)?);
//! let line = rule.explain(None, Timestamp::from_unix_seconds(1_800_000_000), &Spend::new(6, 7), "search");
//! assert!(line.starts_with("limit policy=\"search\" verdict=never "));
//! assert_eq!(replay(&line), Ok(line));
//! # Ok::<(), seawall_core::limit::QuotaError>(())
//! ```

mod line;

#[cfg(test)]
mod tests;

use alloc::{borrow::ToOwned, string::String};
use core::fmt;

use crate::{breaker::Breaker, limit, overload::Overload, retry::Budget, throttle::Throttle};

pub(crate) use line::{Inputs, Line, Record};

/// Why a line cannot be replayed: what was missing or could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidLine {
    /// The name of the input.
    pub input: String,
}

impl InvalidLine {
    pub(crate) fn of(input: &str) -> Self {
        Self { input: input.to_owned() }
    }
}

impl fmt::Display for InvalidLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no readable `{}` in the line; give a whole line that this release wrote", self.input)
    }
}

impl core::error::Error for InvalidLine {}

/// Takes the decision of a line again and writes its line: equal to the first one, as long as the rules are the same.
///
/// Lines of the cache depend on [`CacheOptions`](crate::cache::CacheOptions), so they are read by
/// [`cache::explain::replay`](crate::cache::explain::replay).
///
/// # Errors
/// When the kind is none of these, or an input is missing or unreadable.
pub fn replay(line: &str) -> Result<String, InvalidLine> {
    let inputs = Inputs::read(line);
    let policy = inputs.text("policy");
    match inputs.kind {
        "limit" => limit::explain::replay(&inputs, &policy?),
        "limit.joint" => limit::explain::replay_joint(&inputs),
        "limit.shared" => limit::distributed::Spender::replay(&inputs, &policy?),
        "breaker.admit" => Breaker::replay(&inputs, &policy?),
        "breaker.record" => Breaker::replay_end(&inputs, &policy?),
        "throttle" => Throttle::replay(&inputs, &policy?),
        "retry" => Budget::replay(&inputs, &policy?),
        "overload" => Overload::replay(&inputs, &policy?),
        _ => Err(InvalidLine::of("kind")),
    }
}
