//! A Redis by its own protocol, over one connection that all requests share.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Script};
use seawall_core::limit::lua::{self, Call, Reply};
use tokio::sync::Mutex;

use super::SharedError;
use crate::config::Secret;
use crate::tls;

/// Where it is, and the connection to it, if there is one.
pub(super) struct Redis {
    client: redis::Client,
    script: Script,
    connection: Arc<Mutex<Option<MultiplexedConnection>>>,
    /// Longest wait for an answer.
    deadline: Duration,
}

impl Redis {
    pub(super) fn new(url: &Secret, deadline: Duration) -> anyhow::Result<Self> {
        // The client takes the process's default provider.
        drop(tls::provider());
        let client = redis::Client::open(url.expose()).context("REDIS_URL is not understood")?;
        Ok(Self { client, script: Script::new(lua::SCRIPT), connection: Arc::default(), deadline })
    }

    /// Runs core's script.
    pub(super) async fn call(&self, call: &Call) -> Result<Reply, SharedError> {
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
