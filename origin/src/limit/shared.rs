//! Counters in Redis, by core's script.

mod redis;
mod rest;

use std::time::Duration;

use seawall_core::breaker::{self, State};
use seawall_core::limit::lua::{self, Asked, Call, Operation, Reply};
use seawall_core::limit::{Admission, LeaseId, Spend};

use self::redis::Redis;
use self::rest::Rest;
use super::Named;
use super::client::Client;
use crate::config;
use crate::guard::{End, Guard};

/// The Redis of all processes, behind a breaker.
pub(super) struct Shared {
    transport: Transport,
    guard: Guard,
    deadline: Duration,
}

/// How it is reached.
enum Transport {
    /// By its own protocol.
    Redis(Box<Redis>),
    /// At Upstash, over HTTP.
    Upstash(Rest),
}

/// Why Redis did not decide. Each is a reason to count here.
#[derive(Debug, thiserror::Error)]
pub(super) enum SharedError {
    /// The breaker is open.
    #[error("it is left alone for a while")]
    Rejected,
    /// No answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// It could not be reached, or refused.
    #[error("{0}")]
    Redis(#[from] ::redis::RedisError),
    /// It could not be reached over HTTP.
    #[error("{0}")]
    Http(reqwest::Error),
    /// Upstash refused, or the Redis there did.
    #[error("{0}")]
    Upstash(#[from] seawall_upstash::Error),
    /// Something else answered.
    #[error("{0}")]
    Malformed(#[from] lua::MalformedReply),
}

/// What our keys begin with.
const SPACE: &str = "seawall";

impl Shared {
    /// The Redis of these settings: by its own protocol where both ways are set; `None` where neither is.
    pub(super) fn new(
        settings: &config::Limits,
        deadline: Duration,
        breaker: breaker::Config,
    ) -> anyhow::Result<Option<Self>> {
        let transport = match (&settings.redis_url, &settings.upstash) {
            (Some(url), _) => Transport::Redis(Box::new(Redis::new(url, deadline)?)),
            (None, Some(upstash)) => Transport::Upstash(Rest::new(upstash.clone())?),
            (None, None) => return Ok(None),
        };
        Ok(Some(Self { transport, guard: Guard::new(breaker), deadline }))
    }

    pub(super) fn state(&self) -> State {
        self.guard.state()
    }

    /// Charges all limits, or none.
    pub(super) async fn charge(
        &self,
        limits: &[Named<'_>],
        client: Client,
        lease: LeaseId,
    ) -> Result<Admission, SharedError> {
        let asked = asked(limits, client, lease);
        Ok(self.run(Operation::Spend, limits, &asked, client).await?.admission(&asked))
    }

    /// Gives back what a lease holds.
    pub(super) async fn release(
        &self,
        limits: &[Named<'_>],
        client: Client,
        lease: LeaseId,
    ) -> Result<(), SharedError> {
        let asked = asked(limits, client, lease);
        self.run(Operation::Refund, limits, &asked, client).await.map(|_| ())
    }

    async fn run(
        &self,
        operation: Operation,
        limits: &[Named<'_>],
        asked: &[Asked<'_>],
        client: Client,
    ) -> Result<Reply, SharedError> {
        let permit = self.guard.admit().ok_or(SharedError::Rejected)?;
        let keys = limits.iter().map(|(_, limit)| lua::key(SPACE, client.partition(), &limit.name));
        let call = Call::new(operation, asked, keys, None);
        let result = match tokio::time::timeout(self.deadline, self.transport.call(&call)).await {
            Ok(result) => result,
            Err(_) => Err(SharedError::TimedOut(self.deadline)),
        };
        permit.end(if result.is_ok() { End::Answered } else { End::Failed });
        result
    }
}

impl Transport {
    async fn call(&self, call: &Call) -> Result<Reply, SharedError> {
        match self {
            Self::Redis(redis) => redis.call(call).await,
            Self::Upstash(rest) => rest.call(call).await,
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The transport holds the password.
        f.debug_struct("Shared").field("guard", &self.guard).finish_non_exhaustive()
    }
}

fn asked<'a>(limits: &[Named<'a>], client: Client, lease: LeaseId) -> Vec<Asked<'a>> {
    let one = |(id, limit): &Named<'a>| Asked {
        limit: *id,
        algorithm: &limit.algorithm,
        spend: Spend::new(limit.cost, client.key(*id)).with_lease(lease),
    };
    limits.iter().map(one).collect()
}
