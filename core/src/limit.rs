//! May this key spend this cost now?
//!
//! [`Quota`] says what is allowed and [`Tat`] is the whole state of one key: one number, so the same
//! decision runs over a table in memory, a Durable Object, a compare-and-swap loop or a database row. The
//! host loads the state, calls [`Quota::decide`] (or [`decide_all`] when a request meets several limits),
//! and stores what comes back. A decision has no effect, so a loop may run it twice.
//!
//! [`Verdict`] and [`Admission`] are what is left when the decision is made: plain values that an authority
//! elsewhere sends back, and that [`fields`] turns into response fields. [`table`] keeps states in bounded
//! memory.
//!
//! # What several hosts together admit
//!
//! A quota bounds one store. A limit that lives in each of `n` isolates admits up to `n` times its quota.

mod gcra;
mod joint;
mod verdict;

pub mod distributed;
pub mod fields;
pub mod table;

pub use gcra::{Decision, Quota, QuotaError, Tat};
pub use joint::{Check, JointDecision, NextStates, decide_all};
pub use verdict::{Admission, LimitId, Refusal, Ruling, Verdict};

/// How many limits one request may meet: a route naming more is refused when the policy is compiled, and
/// [`decide_all`] refuses to look at more.
///
/// Each shared limit may cost a call to another place, so a handful is already too many; eight leaves room
/// for a bound on the client, the route, the account and the site, each over a short and a long window.
pub const LIMITS_PER_REQUEST_MAX: usize = 8;
