//! Whether the server has room for a whole pool, asked once at start-up: a pool that is too large would fail in the
//! busiest hour and not before.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

/// Sessions that a process opens beside its pool and those of its jobs: one for health and one for the queue of jobs. Each
/// job that it does at a time has one more; a job that tells the edge has that session and no other at that time.
pub const SESSIONS_BESIDE_JOBS: usize = 2;

/// Why a pool was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// The pool could never be full.
    #[error(
        "DB_POOL_MAX is {pool_max}, and the database leaves room for {room} connections \
         ({beside} of them are used beside the pool): \
         set DB_POOL_MAX to {} or less, or raise max_connections",
        room.saturating_sub(*beside)
    )]
    TooSmall {
        /// `DB_POOL_MAX`.
        pool_max: usize,
        /// Connections that this user may open to this database.
        room: usize,
        /// Connections beside the pool, those of `JOB_SLOTS` among them.
        beside: usize,
    },
    /// The database did not say.
    #[error("the database does not say how many connections it takes")]
    Unknown(#[from] tokio_postgres::Error),
}

/// Connections this user may open to this database (the server's `max_connections` without what it reserves, and the
/// limits of role and database), and how many clients other than this one are connected now.
const ROOM: &str = "
    SELECT least(
               current_setting('max_connections')::int8
                   - CASE WHEN usesuper THEN 0
                          ELSE current_setting('superuser_reserved_connections')::int8
                               + coalesce(current_setting('reserved_connections', true)::int8, 0) END,
               CASE WHEN rolconnlimit < 0 OR usesuper THEN 2147483647 ELSE rolconnlimit END,
               CASE WHEN datconnlimit < 0 OR usesuper THEN 2147483647 ELSE datconnlimit END
           )::int8,
           (SELECT count(*) FROM pg_stat_activity
             WHERE backend_type = 'client backend' AND application_name IS DISTINCT FROM $1)
      FROM pg_user JOIN pg_roles ON rolname = usename, pg_database
     WHERE usename = current_user AND datname = current_database()";

/// Refuses a pool larger than the room there is. Others that are connected now may leave, so that they take up room is
/// only warned of: a new release starts while the old one still serves.
pub(super) async fn check(client: &Client, pool_max: usize, beside: usize) -> Result<(), RoomError> {
    let rows = client.query_typed(ROOM, &[(&super::APPLICATION, Type::TEXT)]).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let count = |column| row.try_get::<_, i64>(column).map(|number| usize::try_from(number).unwrap_or(0));
    let (room, others) = (count(0)?, count(1)?);
    if pool_max + beside > room {
        return Err(RoomError::TooSmall { pool_max, room, beside });
    }
    if pool_max + beside + others > room {
        tracing::warn!(
            event = "db.room_short",
            pool_max,
            room,
            others,
            "the database takes {room} connections and others hold {others}, so a full pool of {pool_max} would not fit"
        );
    }
    Ok(())
}
