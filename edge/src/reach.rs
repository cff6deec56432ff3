//! Asking an authority: within its deadline, behind a breaker, and once more when the first call broke off.

use alloc::{format, vec::Vec};
use core::time::Duration;

use seawall_core::{
    breaker::{Breaker, Gate, Outcome, Permit},
    limit::lua,
    policy::Authority,
    time::Timestamp,
};

use crate::{
    Edge, Platform,
    authority::{Question, Reply},
    platform::{AuthorityError, Script},
    record::{Failure, Metric},
};

/// The authority gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Away {
    /// It is left alone, because it did not answer before.
    HeldBack,
    /// It was asked.
    Failed(AuthorityError),
}

/// Asks the authority of a shard.
///
/// An object that is moved or starts anew breaks its calls off and is there again at once. A question has a number, so
/// one that was heard before its answer was lost is not charged again: the object remembers its answers, and a new life of
/// it the last question that charged each key.
pub(crate) async fn ask<P: Platform>(
    edge: &Edge,
    platform: &P,
    shard: u64,
    question: &Question,
) -> Result<Reply, Away> {
    let deadline = edge.policy.reach(Authority::Objects).deadline;
    let call = Call::begin(edge, platform, Authority::Objects, shard)?;
    let mut result = platform.ask(shard, question, deadline).await;
    if matches!(result, Err(AuthorityError::Failed(_))) {
        let left = deadline.saturating_sub(platform.now().since(call.began));
        if !left.is_zero() {
            result = platform.ask(shard, question, left).await;
        }
    }
    call.end(result)
}

/// Runs core's script in the Redis that everybody shares. Not tried again: a script that ran before its answer was
/// lost would charge twice.
pub(crate) async fn run<P: Platform>(edge: &Edge, platform: &P, script: &Script<'_>) -> Result<lua::Reply, Away> {
    let deadline = edge.policy.reach(Authority::Redis).deadline;
    let call = Call::begin(edge, platform, Authority::Redis, 0)?;
    let result = platform.run_script(script, deadline).await;
    call.end(result)
}

/// A call that the breaker let through.
struct Call<'a, P> {
    edge: &'a Edge,
    platform: &'a P,
    authority: Authority,
    shard: u64,
    permit: Permit,
    began: Timestamp,
}

impl<'a, P: Platform> Call<'a, P> {
    fn begin(edge: &'a Edge, platform: &'a P, authority: Authority, shard: u64) -> Result<Self, Away> {
        let began = platform.now();
        let config = &edge.policy.reach(authority).breaker;
        let mut state = edge.state.borrow_mut();
        match state.authorities.breaker(authority, shard).admit(config, began) {
            Gate::Pass(permit) => Ok(Self { edge, platform, authority, shard, permit, began }),
            Gate::Reject { .. } => {
                state.authorities.held_back += 1;
                Err(Away::HeldBack)
            }
        }
    }

    fn end<T>(self, result: Result<T, AuthorityError>) -> Result<T, Away> {
        let Self { edge, platform, authority, shard, permit, .. } = self;
        let outcome = match &result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure { slow: false, retry_after: None },
        };
        let config = &edge.policy.reach(authority).breaker;
        // The upper half of a random number is as random as the whole; a success needs none.
        let random = if result.is_ok() { 0 } else { (platform.random() >> 32) as u32 };
        let mut state = edge.state.borrow_mut();
        state.authorities.breaker(authority, shard).record(config, permit, outcome, platform.now(), random);
        state.authorities.asked += 1;
        if let Err(error) = &result {
            state.authorities.failed += 1;
            platform.log(&format!("edge.limit.{} failed: {error}", authority.as_str()));
            platform.measure(&Metric::Failure(Failure::Authority));
        }
        result.map_err(Away::Failed)
    }
}

/// What an isolate knows of its authorities.
#[derive(Debug)]
pub(crate) struct Authorities {
    /// One for each shard of the platform's own: they fail one by one.
    shards: Vec<Breaker>,
    redis: Breaker,
    /// Calls that were made.
    pub(crate) asked: u64,
    /// Calls that had no answer.
    pub(crate) failed: u64,
    /// Calls that were not made, because those before had no answer.
    pub(crate) held_back: u64,
    /// Requests on which this isolate decided instead.
    pub(crate) fallbacks: u64,
}

impl Authorities {
    pub(crate) fn new(shards: u64) -> Self {
        let shards = (0..shards).map(|_| Breaker::new()).collect();
        Self { shards, redis: Breaker::new(), asked: 0, failed: 0, held_back: 0, fallbacks: 0 }
    }

    fn breaker(&mut self, authority: Authority, shard: u64) -> &mut Breaker {
        match authority {
            // A shard is below the number of shards, which is a power of two.
            Authority::Objects => {
                let last = self.shards.len() - 1;
                &mut self.shards[shard as usize & last]
            }
            Authority::Redis => &mut self.redis,
        }
    }
}

/// What a client waits when a limit that fails closed has no authority.
pub(crate) const CLOSED_RETRY_AFTER: Duration = Duration::from_secs(5);
