//! May this key spend this cost now?
//!
//! [`Quota`] says what is allowed and [`Tat`] is the whole state of one key: one number, so the same
//! decision runs over a table in memory, a Durable Object, a compare-and-swap loop or a database row. The
//! host loads the state, calls [`Quota::decide`], and stores what comes back. A decision has no effect, so a
//! loop may run it twice.
//!
//! [`Algorithm`] is that and every other rule, [`State`] its state, and [`decide_all`] decides on a request
//! that meets several limits: all are charged, or none is. [`lua`] decides alike inside a Redis.
//!
//! [`Verdict`] and [`Admission`] are what is left when the decision is made: plain values that an authority
//! elsewhere sends back, and that [`fields`] turns into response fields. [`table`] keeps states in bounded
//! memory, [`states`] those of every rule.
//!
//! # What several hosts together admit
//!
//! A quota bounds one store. A limit that lives in each of `n` isolates admits up to `n` times its quota.
//! [`distributed`] lets isolates share one store without a call for each request, and says by how much that
//! exceeds the quota at most.

mod algorithm;
mod concurrency;
mod decision;
mod fixed_window;
mod gcra;
mod interval_bucket;
mod joint;
mod mix;
mod rule_error;
mod sliding_log;
mod sliding_window;
mod verdict;
mod window;

pub mod distributed;
pub(crate) mod explain;
pub mod fields;
pub mod lua;
pub mod states;
pub mod table;

pub use algorithm::{Algorithm, Spend, State};
pub use concurrency::{Concurrency, Lease, LeaseId, Leases};
pub use decision::Decision;
pub use fixed_window::{FixedWindow, Period, WindowCount};
pub use gcra::{Quota, QuotaError, Tat};
pub use interval_bucket::{IntervalBucket, Tokens};
pub use joint::{Check, JointDecision, decide_all};
pub use rule_error::RuleError;
pub use sliding_log::{Log, SlidingLog};
pub use sliding_window::{SlidingWindow, WindowCounts};
pub use verdict::{Admission, LimitId, Refusal, Ruling, Verdict};

/// How many limits one request may meet: a route naming more is refused when the policy is compiled, and
/// [`decide_all`] refuses to look at more.
///
/// Each shared limit may cost a call to another place, so a handful is already too many; eight leaves room
/// for a bound on the client, the route, the account and the site, each over a short and a long window.
pub const LIMITS_PER_REQUEST_MAX: usize = 8;

#[cfg(test)]
mod tests;
