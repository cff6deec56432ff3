//! Counters in Redis, by core's script.

use std::sync::Arc;
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
    connection: Arc<Mutex<Option<MultiplexedConnection>>>,
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
        Ok(Self { client, script, connection: Arc::default(), guard: Guard::new(breaker), deadline })
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
        let kept = Kept { slot: &self.connection, keep: false };
        let elements: Vec<String> = invocation.invoke_async(&mut connection).await?;
        kept.keep();
        Ok(Reply::parse(elements.iter().map(String::as_str))?)
    }

    /// The connection there is, or a new one that others wait for too. It is made beside the request: one over TLS takes
    /// longer than a request waits, and is there for the next.
    async fn connect(&self) -> Result<MultiplexedConnection, SharedError> {
        let ready = self.connection.try_lock().ok().and_then(|slot| slot.clone());
        if let Some(connection) = ready {
            return Ok(connection);
        }
        let (slot, client, deadline) = (Arc::clone(&self.connection), self.client.clone(), self.deadline);
        let connecting = tokio::spawn(async move {
            let mut slot = slot.lock().await;
            if let Some(connection) = &*slot {
                return Ok(connection.clone());
            }
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECT_TIME_MAX))
                .set_response_timeout(Some(deadline));
            let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
            *slot = Some(connection.clone());
            Ok(connection)
        });
        connecting.await.map_err(|_| SharedError::TimedOut(deadline))?
    }
}

/// Forgets the connection unless the call over it succeeded, also when the request went away or its time was over:
/// whatever is wrong with it, the next call makes a new one.
struct Kept<'a> {
    slot: &'a Mutex<Option<MultiplexedConnection>>,
    keep: bool,
}

impl Kept<'_> {
    fn keep(mut self) {
        self.keep = true;
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        // Who holds the lock makes a new one already.
        if !self.keep
            && let Ok(mut slot) = self.slot.try_lock()
        {
            *slot = None;
        }
    }
}

/// Longest time to connect, which no request waits for.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

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
