//! The database: pools of connections for the server, single sessions for migrations, loads and locks.
//!
//! # Design
//! What a session needs (statement timeout, application name) travels in the start-up message, so a check-out
//! costs no round trip. PgBouncer in transaction mode passes sessions from one client to another and refuses settings
//! in that message, so through it (`DB_POOLER=pgbouncer`) nothing is set, and the role carries the statement timeout.
//! No statement is prepared by name and none relies on a session's state beyond its transaction, with or without
//! PgBouncer; locks are held by a transaction.
//!
//! Pools open without their database, because many pages need none and the database may come back first. `DB_POOL_MIN`
//! connections are opened beside the serving, as soon as the database lets them; later ones on demand.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::{StreamExt as _, stream};
use seawall_core::breaker;
use tokio::sync::mpsc;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::{self, Pooler};
use crate::error::Error;

pub mod indexes;
pub mod migrations;
mod pool;
mod reader;
pub(crate) mod replay;
mod replica;
mod room;
mod url;

pub use pool::{CheckoutError, Connection, Pool, Stats};
use reader::CANCEL_TIME_MAX;
pub(crate) use reader::{ReadOnly, Reader};
pub use replica::{REPLICA_TIME_MAX, Replica};
pub use room::{RoomError, SESSIONS_BESIDE_JOBS};
pub use url::{UrlError, parse_url};

/// A connection over TLS, where the server's address asks for it.
type TlsStream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// What the server calls our pools' sessions in `pg_stat_activity`.
pub const APPLICATION: &str = "seawall";

/// Where pages are read from: a primary, and a replica if there is one. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Databases {
    primary: Pool,
    replica: Option<Arc<Replica>>,
}

impl Databases {
    /// Makes the pools. Opens no connection yet; [`Databases::warm`] does.
    ///
    /// # Errors
    /// When a URL is not one of Postgres.
    pub fn open(config: &config::Database, replica_breaker: breaker::Config) -> anyhow::Result<Self> {
        let session = Session { config, statement_timeout: Some(config.statement_timeout), name: APPLICATION };
        let primary = Pool::open(config, &config.url, session, "primary", config.sessions_beside_pool)?;
        let replica = match &config.replica_url {
            Some(url) => {
                let pool = Pool::open(config, url, session, "replica", replay::SESSIONS_MAX);
                let pool = pool.context("DATABASE_URL_READONLY")?;
                Some(Arc::new(Replica::new(pool, replica_breaker)))
            }
            None => None,
        };
        Ok(Self { primary, replica })
    }

    /// Fills the pools, however long the databases take to come.
    ///
    /// # Errors
    /// When a server has no room for a pool of this size.
    pub async fn warm(&self) -> Result<(), RoomError> {
        let replica = async {
            match &self.replica {
                Some(replica) => replica.pool().warm().await,
                None => Ok(()),
            }
        };
        tokio::try_join!(self.primary.warm(), replica).map(|_| ())
    }

    /// The database that takes writes.
    #[must_use]
    pub fn primary(&self) -> &Pool {
        &self.primary
    }

    /// The replica, if one is configured.
    #[must_use]
    pub fn replica(&self) -> Option<&Replica> {
        self.replica.as_deref()
    }

    /// Does work that only reads, on the replica if it answers, else on the primary. `work` may run twice.
    ///
    /// # Errors
    /// When no connection is free, or the database fails.
    pub(crate) async fn read<W: ReadOnly>(&self, work: &W) -> Result<W::Answer, Error> {
        if let Some(replica) = &self.replica
            && let Some(answer) = replica.read(work).await
        {
            return answer;
        }
        self.read_to_keep(work).await
    }

    /// The same on the primary, for what is kept for others: a replica that is behind would put what was there before a load
    /// into a cache that the load has just emptied.
    ///
    /// # Errors
    /// As [`Databases::read`].
    pub(crate) async fn read_to_keep<W: ReadOnly>(&self, work: &W) -> Result<W::Answer, Error> {
        let reader = Reader::borrow(&self.primary).await?;
        let answer = work.read(&reader).await?;
        reader.finish();
        Ok(answer)
    }

    /// Closes every connection: those that wait for work now, those on loan when they come back.
    pub fn close(&self) {
        self.primary.close();
        if let Some(replica) = &self.replica {
            replica.pool().close();
        }
    }
}

/// Opens one session outside the pools, without a statement timeout: for migrations, loads and locks. It goes to
/// `DATABASE_URL_DIRECT` where that is set.
///
/// # Errors
/// When the URL is not one of Postgres, or the database cannot be reached.
pub async fn session(config: &config::Database, name: &str) -> anyhow::Result<tokio_postgres::Client> {
    connect(config, Session { config, statement_timeout: None, name }).await
}

/// The same with a longest time for each statement, which through PgBouncer is the role's.
///
/// # Errors
/// As [`session`].
pub async fn session_within(
    config: &config::Database,
    name: &str,
    limit: Duration,
) -> anyhow::Result<tokio_postgres::Client> {
    connect(config, Session { config, statement_timeout: Some(limit), name }).await
}

/// The same with a bound of [`LISTENER_STATEMENT_MAX`], and word of each notification that the session hears.
///
/// # Errors
/// As [`session`].
pub(crate) async fn listening_session(
    config: &config::Database,
    name: &str,
) -> anyhow::Result<(tokio_postgres::Client, mpsc::Receiver<()>)> {
    let (client, mut connection) =
        open(config, Session { config, statement_timeout: Some(LISTENER_STATEMENT_MAX), name }).await?;
    // One place: who has not yet looked hears only once that there is something.
    let (say, heard) = mpsc::channel(1);
    tokio::spawn(async move {
        let messages = stream::poll_fn(|context| connection.poll_message(context));
        let mut messages = std::pin::pin!(messages);
        while let Some(message) = messages.next().await {
            match message {
                Ok(AsyncMessage::Notification(_)) => drop(say.try_send(())),
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(event = "db.session_lost", %error, "database session lost: {error}");
                    break;
                }
            }
        }
    });
    Ok((client, heard))
}

/// A session of one task. When that is dropped before its end, its statement is ended too.
#[derive(Debug)]
pub(crate) struct Attended {
    client: tokio_postgres::Client,
    url: config::Secret,
}

impl Attended {
    /// Opens one, as [`session_within`] does.
    ///
    /// # Errors
    /// As [`session`].
    pub(crate) async fn open(config: &config::Database, name: &str, limit: Duration) -> anyhow::Result<Self> {
        let client = session_within(config, name, limit).await?;
        Ok(Self { client, url: config.direct_url.as_ref().unwrap_or(&config.url).clone() })
    }
}

impl Deref for Attended {
    type Target = tokio_postgres::Client;

    fn deref(&self) -> &Self::Target {
        &self.client
    }
}

impl DerefMut for Attended {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.client
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        // Asking costs a connection, also when nothing runs any more; tasks are few.
        let (token, target) = (self.client.cancel_token(), parse_url(self.url.expose()));
        if let (Ok(runtime), Ok(target)) = (tokio::runtime::Handle::try_current(), target) {
            runtime.spawn(async move { tokio::time::timeout(CANCEL_TIME_MAX, token.cancel_query(target.tls)).await });
        }
    }
}

async fn connect(config: &config::Database, session: Session<'_>) -> anyhow::Result<tokio_postgres::Client> {
    let (client, connection) = open(config, session).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(event = "db.session_lost", %error, "database session lost: {error}");
        }
    });
    Ok(client)
}

async fn open(
    config: &config::Database,
    session: Session<'_>,
) -> anyhow::Result<(tokio_postgres::Client, tokio_postgres::Connection<Socket, TlsStream>)> {
    let mut target = parse_url(config.direct_url.as_ref().unwrap_or(&config.url).expose())?;
    session.prepare(&mut target.config, if config.is_pooled() { Pooler::PgBouncer } else { Pooler::None });
    let connecting = target.config.connect(target.tls);
    tokio::time::timeout(config.connect_timeout, connecting)
        .await
        .with_context(|| {
            format!("the database did not answer within DB_CONNECT_TIMEOUT ({:?})", config.connect_timeout)
        })?
        .context("the database cannot be reached; check DATABASE_URL")
}

/// Whether the same statements may succeed later: the connection was lost, the server was full or restarting, or others
/// were in the way.
pub(crate) fn is_transient(error: &tokio_postgres::Error) -> bool {
    let Some(state) = error.code() else { return true };
    // Tables and columns come with a migration, which a release may be running.
    let comes = *state == SqlState::UNDEFINED_TABLE || *state == SqlState::UNDEFINED_COLUMN;
    // 08 connection, 40 rolled back for others, 53 resources, 55 in use or locked, 57 operator intervention.
    comes || state.code().get(..2).is_some_and(|class| ["08", "40", "53", "55", "57"].contains(&class))
}

/// Longest statement of a session that listens: all of them look at a few rows.
const LISTENER_STATEMENT_MAX: Duration = Duration::from_secs(10);

/// A peer that vanished without a word is noticed within about this time.
const DEAD_PEER_AFTER: Duration = Duration::from_secs(30);

/// How sessions are opened.
#[derive(Clone, Copy, Debug)]
struct Session<'a> {
    config: &'a config::Database,
    statement_timeout: Option<Duration>,
    name: &'a str,
}

impl Session<'_> {
    fn prepare(&self, target: &mut tokio_postgres::Config, pooler: Pooler) {
        if pooler == Pooler::None {
            let mut options = target.get_options().unwrap_or_default().to_owned();
            // Zero means no limit to Postgres.
            let limit_ms = self.statement_timeout.map_or(0, |limit| limit.as_millis());
            // Compiling a plan to machine code takes longer than any statement of ours. Reading a page here and there costs
            // little more than reading on, from memory or a disk without heads; by Postgres's own figure of 4 it reads
            // whole tables that it has an index for.
            options.push_str(&format!(" -c statement_timeout={limit_ms} -c jit=off -c random_page_cost=1.1"));
            target.options(options.trim_start());
        }
        target.connect_timeout(self.config.connect_timeout);
        target.tcp_user_timeout(DEAD_PEER_AFTER).keepalives_idle(DEAD_PEER_AFTER);
        if target.get_application_name().is_none() {
            target.application_name(self.name);
        }
    }
}
