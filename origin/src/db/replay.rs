//! Whether the replica has replayed what the primary has written.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::session_within;
use crate::config;

/// How long a replica may be behind before whoever waits gives up and comes again later. It is behind by milliseconds on most
/// days, and by seconds while a whole dataset is loaded.
const BEHIND_MAX: Duration = Duration::from_secs(30);

/// How often it is asked.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Longest question.
const STATEMENT_MAX: Duration = Duration::from_secs(5);

/// Sessions at the replica that a process opens for this at most: one for each job that purges.
pub(super) const SESSIONS_MAX: usize = config::CRON_SLOTS;

/// What the session is called in `pg_stat_activity`.
const NAME: &str = "seawall-replay";

/// What pages that are read from now on show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    /// All that was committed: there is no replica, or it has it, or it replays no log.
    Caught,
    /// Nobody knows: the replica did not answer this session. Most pages are read from the primary while that is so, and not
    /// those for which the site's pool still has a connection.
    Unknown,
}

/// Waits until the replica has all that was committed at the primary before this call: pages that are read from it then show
/// it. Nobody waits for a replica that does not answer.
///
/// # Errors
/// When the replica is behind for longer than [`BEHIND_MAX`], or the primary fails.
pub(crate) async fn wait(config: &config::Database, primary: &Client) -> anyhow::Result<Replay> {
    let Some(url) = &config.replica_url else { return Ok(Replay::Caught) };
    // Where the next record goes: also what was committed without waiting for the disk lies before it.
    let rows = primary.query_typed("SELECT pg_current_wal_insert_lsn()::text", &[]).await?;
    let written: String = rows.first().context("the primary does not say how far it has written")?.try_get(0)?;
    let there = config::Database { url: url.clone(), direct_url: None, ..config.clone() };
    let replica = match session_within(&there, NAME, STATEMENT_MAX).await {
        Ok(replica) => replica,
        Err(error) => return Ok(unknown(&error)),
    };
    let replayed = "SELECT coalesce(pg_last_wal_replay_lsn() >= $1::text::pg_lsn, true)";
    let since = Instant::now();
    loop {
        let rows = match replica.query_typed(replayed, &[(&written, Type::TEXT)]).await {
            Ok(rows) => rows,
            Err(error) => return Ok(unknown(&error.into())),
        };
        if rows.first().map_or(Ok(true), |row| row.try_get(0))? {
            return Ok(Replay::Caught);
        }
        pause(since).await?;
    }
}

fn unknown(error: &anyhow::Error) -> Replay {
    let error = format!("{error:#}");
    tracing::warn!(
        event = "db.replay_unknown",
        error,
        "the replica does not say how far it is, so what was changed is purged now and once more when it does: {error}"
    );
    Replay::Unknown
}

/// Before it is asked again; an error once that has gone on for [`BEHIND_MAX`].
async fn pause(since: Instant) -> anyhow::Result<()> {
    if since.elapsed() >= BEHIND_MAX {
        bail!("the replica is more than {BEHIND_MAX:?} behind the primary");
    }
    tokio::time::sleep(LOOK_EVERY).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_stays_behind_is_not_waited_for_any_longer() {
        let since = Instant::now();
        let mut looks = 1;
        while pause(since).await.is_ok() {
            looks += 1;
        }
        assert_eq!((since.elapsed(), looks), (BEHIND_MAX, 151));
    }
}
