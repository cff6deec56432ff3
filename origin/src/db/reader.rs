//! A database connection on loan for one page.

use std::ops::Deref;
use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::{CancelToken, Client};

use super::{CheckoutError, Connection, Pool};

/// Longest wait for the server to take a cancellation.
pub(super) const CANCEL_TIME_MAX: Duration = Duration::from_secs(2);

/// A connection on loan. [`Reader::finish`] gives it back. When it is dropped before that, because the client
/// went away, the deadline passed or a statement failed, statements may still be running on it: they are
/// cancelled and the connection is closed, so that the next page does not queue behind them.
pub(crate) struct Reader {
    connection: Option<Connection>,
    pool: Pool,
}

/// Work that only reads, and may therefore be done on a replica, or twice.
pub(crate) trait ReadOnly: Sync {
    /// What it reads.
    type Answer: Send;

    /// Does it.
    fn read(&self, reader: &Reader) -> impl Future<Output = Result<Self::Answer, tokio_postgres::Error>> + Send;
}

impl Reader {
    /// Borrows a connection.
    pub(crate) async fn borrow(pool: &Pool) -> Result<Self, CheckoutError> {
        Ok(Self { connection: Some(pool.get().await?), pool: pool.clone() })
    }

    /// Gives the connection back; every statement has been read to its end.
    pub(crate) fn finish(mut self) {
        drop(self.connection.take());
    }
}

impl Deref for Reader {
    type Target = Client;

    fn deref(&self) -> &Client {
        // Only `finish` and `drop` empty it, and both end the reader.
        self.connection.as_deref().expect("a reader holds its connection until it ends")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let token = connection.cancel_token();
        drop(Object::take(connection));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(cancel(self.pool.clone(), token));
        }
    }
}

async fn cancel(pool: Pool, token: CancelToken) {
    match tokio::time::timeout(CANCEL_TIME_MAX, pool.cancel(&token)).await {
        Ok(Ok(())) => {}
        // The statement ends by DB_STATEMENT_TIMEOUT then.
        Ok(Err(error)) => tracing::debug!(event = "db.cancel_failed", %error, "statement not cancelled: {error}"),
        Err(_) => tracing::debug!(event = "db.cancel_timed_out", "statement not cancelled: no answer in time"),
    }
}
