//! The database: a pool of connections for the server, single sessions for migrations and loads.
//!
//! # Design
//! What a session needs (statement timeout, application name) travels in the start-up message, so a check-out
//! costs no round trip. PgBouncer before 1.20 refuses that message unless `ignore_startup_parameters` names
//! `options`.
//!
//! A pool opens without its database, because many pages need none and the database may come back first. `DB_POOL_MIN`
//! connections are opened beside the serving, as soon as the database lets them; later ones on demand.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use deadpool_postgres::{Manager, ManagerConfig, PoolError, RecyclingMethod, Runtime, Timeouts};
use futures_util::future::try_join_all;
use tokio_postgres::CancelToken;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config;

pub mod migrations;
mod url;

pub use url::{UrlError, parse_url};

/// A pool of database connections; clones share the connections.
#[derive(Clone)]
pub struct Pool {
    inner: deadpool_postgres::Pool,
    min: usize,
    tls: MakeRustlsConnect,
}

/// A connection on loan; dropping it gives it back. It dereferences to [`tokio_postgres::Client`] by way of
/// [`deadpool_postgres::ClientWrapper`], whose `prepare_cached` keeps statements with the connection.
pub type Connection = deadpool_postgres::Object;

/// Why no connection was lent.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// Every connection was busy for the whole of `DB_CHECKOUT_TIMEOUT`.
    #[error("no database connection became free within DB_CHECKOUT_TIMEOUT")]
    Exhausted,
    /// The database could not be reached or refused us.
    #[error("the database cannot be reached")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
}

/// What the pool holds now. `in_use + idle = size`, and `size <= max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Connections open or being opened.
    pub size: usize,
    /// Of these, on loan.
    pub in_use: usize,
    /// Of these, waiting for work.
    pub idle: usize,
    /// Callers waiting for a connection.
    pub waiting: usize,
    /// Connections opened ahead.
    pub min: usize,
    /// Connections at most.
    pub max: usize,
}

impl Pool {
    /// Lends a connection, waiting for a free one for at most `DB_CHECKOUT_TIMEOUT` and, when a new one has to be
    /// opened, for at most `DB_CONNECT_TIMEOUT` more.
    ///
    /// # Errors
    /// When none became free in time, or the database cannot be reached.
    pub async fn get(&self) -> Result<Connection, CheckoutError> {
        self.inner.get().await.map_err(|error| match error {
            PoolError::Timeout(deadpool_postgres::TimeoutType::Wait) => CheckoutError::Exhausted,
            other => CheckoutError::Unreachable(Box::new(other)),
        })
    }

    /// Opens the first `DB_POOL_MIN` connections. While the database is away it tries again, with growing pauses, for
    /// as long as it takes.
    pub async fn warm(&self) {
        let mut failures = 0;
        loop {
            // All at once: one after the other would lend the same connection again and again.
            let Err(error) = try_join_all((0..self.min).map(|_| self.get())).await else { break };
            failures += 1;
            let pause = warm_pause(failures);
            let (error, pause_ms) = (format!("{:#}", anyhow::Error::from(error)), pause.as_millis());
            tracing::warn!(
                event = "db.pool_cold",
                failures,
                pause_ms,
                error,
                "the first {} database connections could not be opened, trying again in {pause_ms} ms: {error}",
                self.min
            );
            tokio::time::sleep(pause).await;
        }
        tracing::info!(event = "db.pool_warm", connections = self.min, "{} database connections are open", self.min);
    }

    /// Asks the database to end the statement that `token` names, over TLS where the pool's connections use it.
    ///
    /// # Errors
    /// When the database does not take the request.
    pub(crate) async fn cancel(&self, token: &CancelToken) -> Result<(), tokio_postgres::Error> {
        token.cancel_query(self.tls.clone()).await
    }

    /// What the pool holds now: one consistent reading.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let status = self.inner.status();
        Stats {
            size: status.size,
            in_use: status.size - status.available,
            idle: status.available,
            waiting: status.waiting,
            min: self.min,
            max: status.max_size,
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.stats()).finish()
    }
}

/// Makes the pool. Opens no connection yet; [`Pool::warm`] does.
///
/// # Errors
/// When the URL is not one of Postgres.
pub fn open(config: &config::Database) -> anyhow::Result<Pool> {
    let mut target = parse_url(config.url.expose())?;
    settings(&mut target.config, config.connect_timeout, Some(config.statement_timeout), "seawall");
    let settings = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(target.config, target.tls.clone(), settings);
    let inner = deadpool_postgres::Pool::builder(manager)
        .max_size(config.pool_max)
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts {
            wait: Some(config.checkout_timeout),
            create: Some(config.connect_timeout),
            recycle: Some(config.connect_timeout),
        })
        .build()
        .context("the pool refused its settings")?;
    Ok(Pool { inner, min: config.pool_min, tls: target.tls })
}

/// Opens one session outside the pool, without a statement timeout: for migrations and loads.
///
/// # Errors
/// When the URL is not one of Postgres, or the database cannot be reached.
pub async fn session(config: &config::Database, name: &str) -> anyhow::Result<tokio_postgres::Client> {
    let mut target = parse_url(config.url.expose())?;
    settings(&mut target.config, config.connect_timeout, None, name);
    let connecting = target.config.connect(target.tls);
    let (client, connection) = tokio::time::timeout(config.connect_timeout, connecting)
        .await
        .with_context(|| {
            format!("the database did not answer within DB_CONNECT_TIMEOUT ({:?})", config.connect_timeout)
        })?
        .context("the database cannot be reached; check DATABASE_URL")?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(event = "db.session_lost", %error, "database session lost: {error}");
        }
    });
    Ok(client)
}

/// The first pause of [`Pool::warm`]; each later one is twice as long.
const WARM_PAUSE_BASE: Duration = Duration::from_millis(500);

/// Longest pause of [`Pool::warm`]. A cold pool costs a visitor the time to connect, so there is no hurry.
const WARM_PAUSE_MAX: Duration = Duration::from_secs(30);

/// The pause after so many failures, one or more.
fn warm_pause(failures: u32) -> Duration {
    WARM_PAUSE_BASE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(WARM_PAUSE_MAX)
}

/// A peer that vanished without a word is noticed within about this time.
const DEAD_PEER_AFTER: Duration = Duration::from_secs(30);

fn settings(
    target: &mut tokio_postgres::Config,
    connect_timeout: Duration,
    statement_timeout: Option<Duration>,
    name: &str,
) {
    let mut options = target.get_options().unwrap_or_default().to_owned();
    // Zero means no limit to Postgres.
    let limit_ms = statement_timeout.map_or(0, |limit| limit.as_millis());
    // Compiling a plan to machine code takes longer than any statement of ours.
    options.push_str(&format!(" -c statement_timeout={limit_ms} -c jit=off"));
    target.options(options.trim_start()).connect_timeout(connect_timeout);
    target.tcp_user_timeout(DEAD_PEER_AFTER).keepalives_idle(DEAD_PEER_AFTER);
    if target.get_application_name().is_none() {
        target.application_name(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_of_a_cold_pool_double_up_to_the_longest() {
        for (failures, pause_ms) in [(1, 500), (2, 1_000), (6, 16_000), (7, 30_000), (8, 30_000), (u32::MAX, 30_000)] {
            assert_eq!(warm_pause(failures), Duration::from_millis(pause_ms), "{failures}");
        }
    }
}
