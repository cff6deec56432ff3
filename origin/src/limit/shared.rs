//! Counters in Redis, by core's script.

use std::time::Duration;

use anyhow::Context as _;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Script};
use seawall_core::breaker::{self, State};
use seawall_core::limit::lua::{self, Asked, Call, Operation, Reply};
use seawall_core::limit::{Admission, LeaseId, Spend};
use tokio::sync::Mutex;

use super::Named;
use super::client::Client;
use crate::config::Secret;
use crate::guard::{End, Guard};
use crate::tls;

/// One connection, shared by all requests, behind a breaker.
pub(super) struct Shared {
    client: redis::Client,
    script: Script,
    connection: Mutex<Option<MultiplexedConnection>>,
    guard: Guard,
    deadline: Duration,
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
    Redis(#[from] redis::RedisError),
    /// Something else answered.
    #[error("{0}")]
    Malformed(#[from] lua::MalformedReply),
}

/// What our keys begin with.
const SPACE: &str = "seawall";

impl Shared {
    pub(super) fn new(url: &Secret, deadline: Duration, breaker: breaker::Config) -> anyhow::Result<Self> {
        // The client takes the process's default provider.
        drop(tls::provider());
        let client = redis::Client::open(url.expose()).context("REDIS_URL is not understood")?;
        let script = Script::new(lua::SCRIPT);
        Ok(Self { client, script, connection: Mutex::default(), guard: Guard::new(breaker), deadline })
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
        let result = match tokio::time::timeout(self.deadline, self.call(&call)).await {
            Ok(result) => result,
            Err(_) => Err(SharedError::TimedOut(self.deadline)),
        };
        if result.is_err() {
            // Whatever is wrong with it, the next call makes a new one.
            *self.connection.lock().await = None;
        }
        permit.end(if result.is_ok() { End::Answered } else { End::Failed });
        result
    }

    async fn call(&self, call: &Call) -> Result<Reply, SharedError> {
        let mut connection = self.connect().await?;
        let mut invocation = self.script.prepare_invoke();
        for key in &call.keys {
            invocation.key(key);
        }
        for arg in &call.args {
            invocation.arg(arg);
        }
        let elements: Vec<String> = invocation.invoke_async(&mut connection).await?;
        Ok(Reply::parse(elements.iter().map(String::as_str))?)
    }

    /// The connection there is, or a new one that others wait for too.
    async fn connect(&self) -> Result<MultiplexedConnection, SharedError> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = &*slot {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.deadline))
            .set_response_timeout(Some(self.deadline));
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        *slot = Some(connection.clone());
        Ok(connection)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The client holds the password.
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
