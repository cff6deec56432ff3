//! A pool of connections to one server.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use deadpool_postgres::{Manager, ManagerConfig, PoolError, RecyclingMethod, Runtime, TimeoutType, Timeouts};
use futures_util::future::try_join_all;
use serde::Serialize;
use tokio_postgres::CancelToken;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::room::{self, RoomError};
use super::{Session, parse_url};
use crate::config;
use crate::logging::Seldom;

/// A pool of database connections; clones share the connections.
#[derive(Clone)]
pub struct Pool {
    inner: deadpool_postgres::Pool,
    name: &'static str,
    min: usize,
    warn_permille: u16,
    sessions_beside: usize,
    pooler: config::Pooler,
    tls: MakeRustlsConnect,
    warned: Arc<Warned>,
}

/// A connection on loan; dropping it gives it back. It dereferences to [`tokio_postgres::Client`] by way of
/// [`deadpool_postgres::ClientWrapper`].
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Connections open.
    pub size: usize,
    /// Of these, on loan.
    pub in_use: usize,
    /// Of these, waiting for work.
    pub idle: usize,
    /// Callers waiting for a connection, or for a new one to be opened.
    pub waiting: usize,
    /// Connections opened ahead.
    pub min: usize,
    /// Connections at most.
    pub max: usize,
}

/// When what was warned of last.
#[derive(Debug, Default)]
struct Warned {
    crowded: Seldom,
    exhausted: Seldom,
}

/// How often one warning of a pool is written.
const WARN_EVERY: Duration = Duration::from_secs(30);

impl Pool {
    /// Makes the pool. Opens no connection yet; [`Pool::warm`] does. `name` is what logs call it, and `sessions_beside` how many
    /// sessions of the same server this process opens beside it at most.
    ///
    /// # Errors
    /// When `url` is not one of Postgres.
    pub(super) fn open(
        config: &config::Database,
        url: &config::Secret,
        session: Session<'_>,
        name: &'static str,
        sessions_beside: usize,
    ) -> anyhow::Result<Self> {
        let mut target = parse_url(url.expose())?;
        session.prepare(&mut target.config, config.pooler);
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
        Ok(Self {
            inner,
            name,
            min: config.pool_min,
            warn_permille: config.pool_warn_permille,
            sessions_beside,
            pooler: config.pooler,
            tls: target.tls,
            warned: Arc::default(),
        })
    }

    /// Lends a connection, waiting for a free one for at most `DB_CHECKOUT_TIMEOUT` and, when a new one has to be
    /// opened, for at most `DB_CONNECT_TIMEOUT` more.
    ///
    /// Warns, once in `WARN_EVERY`, from `DB_POOL_WARN_THRESHOLD` on and when none became free in time.
    ///
    /// # Errors
    /// When none became free in time, or the database cannot be reached.
    pub async fn get(&self) -> Result<Connection, CheckoutError> {
        let lent = self.inner.get().await.map_err(|error| match error {
            PoolError::Timeout(TimeoutType::Wait) => CheckoutError::Exhausted,
            other => CheckoutError::Unreachable(Box::new(other)),
        });
        let stats = self.stats();
        let Stats { in_use, idle, waiting, max, .. } = stats;
        if matches!(lent, Err(CheckoutError::Exhausted)) {
            self.warned.exhausted.say(WARN_EVERY, |unsaid| {
                tracing::warn!(
                    event = "db.pool_exhausted",
                    pool = self.name,
                    in_use,
                    idle,
                    waiting,
                    max,
                    unsaid,
                    "no connection of the {} pool became free in time: {in_use} of {max} in use, {waiting} waiting",
                    self.name
                );
            });
        } else if stats.is_crowded(self.warn_permille) {
            self.warned.crowded.say(WARN_EVERY, |unsaid| {
                tracing::warn!(
                    event = "db.pool_crowded",
                    pool = self.name,
                    in_use,
                    idle,
                    waiting,
                    max,
                    unsaid,
                    "{in_use} of {max} connections of the {} pool are in use, {waiting} callers wait; \
                     raise DB_POOL_MAX if this lasts and the database has room",
                    self.name
                );
            });
        }
        lent
    }

    /// Opens the first `DB_POOL_MIN` connections. While the database is away it tries again, with growing pauses, for
    /// as long as it takes.
    ///
    /// # Errors
    /// When the server has no room for a pool of this size.
    pub async fn warm(&self) -> Result<(), RoomError> {
        let mut failures = 0;
        loop {
            // All at once: one after the other would lend the same connection again and again.
            let opened = try_join_all((0..self.min).map(|_| self.get())).await;
            let error = match opened {
                Ok(connections) => match self.check_room(&connections).await {
                    Ok(()) => break,
                    Err(error @ RoomError::TooSmall { .. }) => return Err(error),
                    Err(RoomError::Unknown(error)) => anyhow::Error::from(error),
                },
                Err(error) => explained(error),
            };
            failures += 1;
            let pause = warm_pause(failures);
            let (error, pause_ms) = (format!("{error:#}"), pause.as_millis());
            tracing::warn!(
                event = "db.pool_cold",
                pool = self.name,
                failures,
                pause_ms,
                error,
                "the first {} connections of the {} pool could not be opened, trying again in {pause_ms} ms: {error}",
                self.min,
                self.name
            );
            tokio::time::sleep(pause).await;
        }
        tracing::info!(
            event = "db.pool_warm",
            pool = self.name,
            connections = self.min,
            "{} connections of the {} pool are open",
            self.min,
            self.name
        );
        Ok(())
    }

    /// Whether connections lead to a pooler, which lends sessions of its own.
    pub(crate) fn is_pooled_elsewhere(&self) -> bool {
        matches!(self.pooler, config::Pooler::PgBouncer)
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

    /// Asks the database to end the statement that `token` names, over TLS where the pool's connections use it.
    ///
    /// # Errors
    /// When the database does not take the request.
    pub(super) async fn cancel(&self, token: &CancelToken) -> Result<(), tokio_postgres::Error> {
        token.cancel_query(self.tls.clone()).await
    }

    /// Closes the connections that wait for work; those on loan close when they come back.
    pub fn close(&self) {
        self.inner.close();
    }

    async fn check_room(&self, connections: &[Connection]) -> Result<(), RoomError> {
        match (self.pooler, connections.first()) {
            // How many sessions of the server it uses is PgBouncer's own business.
            (config::Pooler::PgBouncer, _) | (_, None) => Ok(()),
            (config::Pooler::None, Some(connection)) => {
                room::check(connection, self.stats().max, self.sessions_beside).await
            }
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.name).field(&self.stats()).finish()
    }
}

impl Stats {
    /// Whether every connection is on loan and no other may be opened.
    pub(crate) fn is_full(&self) -> bool {
        self.in_use >= self.max && self.size >= self.max
    }

    /// Whether as many callers have a connection, or wait for one, as there may be connections. That is so of a full pool, also
    /// while one that was closed is opened anew, and of one whose server lets nobody connect.
    pub(crate) fn is_sought_by_all(&self) -> bool {
        self.in_use + self.waiting >= self.max
    }

    /// Whether so many thousandths of the pool are in use.
    fn is_crowded(&self, permille: u16) -> bool {
        self.in_use * 1_000 >= self.max * usize::from(permille)
    }
}

/// PgBouncer's refusal of a session's settings, with what to do about it.
fn explained(error: CheckoutError) -> anyhow::Error {
    let error = anyhow::Error::from(error);
    let refused = error.chain().any(|cause| cause.to_string().contains("unsupported startup parameter"));
    if refused { error.context("DATABASE_URL leads to a PgBouncer: set DB_POOLER=pgbouncer") } else { error }
}

/// The first pause of [`Pool::warm`]; each later one is twice as long.
const WARM_PAUSE_BASE: Duration = Duration::from_millis(500);

/// Longest pause of [`Pool::warm`]. A cold pool costs a visitor the time to connect, so there is no hurry.
const WARM_PAUSE_MAX: Duration = Duration::from_secs(30);

/// The pause after so many failures, one or more.
fn warm_pause(failures: u32) -> Duration {
    WARM_PAUSE_BASE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(WARM_PAUSE_MAX)
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

    #[test]
    fn a_pool_is_crowded_from_its_threshold_on() {
        for (in_use, max, permille, crowded) in
            [(39, 50, 800, false), (40, 50, 800, true), (1, 1, 1_000, true), (0, 1, 1_000, false), (7, 8, 1_000, false)]
        {
            let stats = Stats { size: in_use, in_use, idle: 0, waiting: 0, min: 1, max };
            assert_eq!(stats.is_crowded(permille), crowded, "{in_use} of {max} at {permille}");
        }
    }
}
