//! Tells the edge which pages are old, so that a change shows within seconds and everything else stays stored.
//!
//! A page says by `Cache-Tag` what it is made of. Whoever changes data queues the tags in the same transaction; [`drain`]
//! hands them to the edge in portions, and a tag leaves the queue when the edge has taken it. An edge that does not answer
//! is asked again a few times, and then by the next job: pages end by themselves meanwhile, so nothing is wrong for longer
//! than their lifetime. With a replica, the edge is told when that has the change too.

use std::time::Duration;

use anyhow::{Context as _, bail};
use http::{HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use serde_json::json;
use tokio_postgres::types::Type;

use crate::config::{Config, Purge};
use crate::db::replay::Replay;
use crate::documents::TRUSTED_FOR;
use crate::permits::parcel::Parcel;
use crate::{db, page_cache, tls};

/// What the edge purges by (docs/operating/purge.md).
static CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");

/// All results of searches, suggestions and pages of people and firms: any load may change them.
pub(crate) const SEARCH: &str = "search";
/// All reports of parcels.
pub(crate) const REPORTS: &str = "reports";
/// What says when and how much was loaded.
pub(crate) const LOADS: &str = "loads";
/// How long plan review takes.
pub(crate) const VELOCITY: &str = "velocity";
/// What is stuck.
pub(crate) const SIGNALS: &str = "signals";

/// Parcels that are purged one by one, of one load and of all that waits; more are purged as [`REPORTS`]. The edge takes
/// 1,024 names a minute and remembers as many, of which several nights and operators need some.
pub(crate) const PARCELS_MAX: usize = 200;

/// Tags in one request; the edge takes 256.
const PORTION: i64 = 200;
/// Portions in one run; what is left waits for the next.
const PORTIONS_MAX: usize = 10;
/// Longest wait for the edge.
const DEADLINE: Duration = Duration::from_secs(5);
/// Attempts for one portion, and the pause between two.
const ATTEMPTS_MAX: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);
/// What the edge answers when it takes purges a little later: its log is away, or has taken many within a minute.
const PASSING: [StatusCode; 2] = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];

/// The tag of one parcel's report.
pub(crate) fn parcel_tag(parcel: &Parcel) -> String {
    format!("parcel-{}-{}", parcel.block(), parcel.lot())
}

/// Says by which tags a response can be purged. A tag is letters, digits and dashes.
pub(crate) fn tag(response: &mut axum::response::Response, tags: &[&str]) {
    if let Ok(value) = HeaderValue::try_from(tags.join(",")) {
        response.headers_mut().insert(CACHE_TAG.clone(), value);
    }
}

/// Queues tags. One that waits already is queued anew, so that it stays when the edge is being told of it as it was. All
/// take the rows in one order, so that nobody waits for each other.
pub(crate) async fn queue(
    session: &impl tokio_postgres::GenericClient,
    tags: &[String],
) -> Result<(), tokio_postgres::Error> {
    let statement = "INSERT INTO purge_queue (tag) SELECT DISTINCT tag FROM unnest($1::text[]) AS tag ORDER BY tag
        ON CONFLICT (tag) DO UPDATE SET queued_at = clock_timestamp()";
    session.query_typed(statement, &[(&tags, Type::TEXT_ARRAY)]).await?;
    Ok(())
}

/// More parcels than are purged one by one give way to all reports. A row that someone holds is being queued anew, and is
/// left to the next run.
const WIDEN: &str = "
    WITH gone AS (
        DELETE FROM purge_queue WHERE tag IN (SELECT tag FROM purge_queue WHERE tag LIKE 'parcel-%' FOR UPDATE SKIP LOCKED)
           AND (SELECT count(*) FROM purge_queue WHERE tag LIKE 'parcel-%') > $1
        RETURNING 1
    )
    INSERT INTO purge_queue (tag) SELECT $2 WHERE EXISTS (SELECT FROM gone)
    ON CONFLICT (tag) DO UPDATE SET queued_at = clock_timestamp()";

/// What the edge has been told of, as it was when it was read: a tag that is queued again meanwhile stays.
const TOLD: &str = "
    DELETE FROM purge_queue WHERE tag IN (
        SELECT waiting.tag FROM purge_queue waiting
          JOIN unnest($1::text[], $2::timestamptz[]) AS told (tag, queued_at) USING (tag, queued_at)
           FOR UPDATE OF waiting SKIP LOCKED)";

/// What waits behind `$2` and `$3`, the oldest first, and whether the page cache has been made old for it.
const WAITING: &str = "
    SELECT tag, queued_at, cache_done_for IS NOT DISTINCT FROM queued_at
      FROM purge_queue WHERE $2::timestamptz IS NULL OR (queued_at, tag) > ($2, $3)
     ORDER BY queued_at, tag LIMIT $1";

/// Remembers for what the page cache has been made old, as it was when it was read. A tag that is queued again gets another
/// time, and its transaction may be open still: `queued_at` says nothing of when the change could be seen, so no entry is
/// compared with it.
const CACHE_DONE: &str = "
    UPDATE purge_queue SET cache_done_for = queued_at WHERE tag IN (
        SELECT waiting.tag FROM purge_queue waiting
          JOIN unnest($1::text[], $2::timestamptz[]) AS done (tag, queued_at) USING (tag, queued_at)
           FOR UPDATE OF waiting SKIP LOCKED)";

/// Makes old what the page cache keeps of everything that is queued, then tells the edge of it, and returns how many tags
/// that has taken. Without an edge to tell, the queue is emptied. While nobody knows whether the replica has the change, pages
/// may be made anew without it: then what was told stays queued for the next run too.
///
/// # Errors
/// When the database fails, or the edge does not take a portion; what it has not taken stays queued.
pub async fn drain(config: &Config) -> anyhow::Result<usize> {
    let session = db::session_within(&config.database, "seawall-purge", DEADLINE).await?;
    drop(tls::provider());
    let http = reqwest::Client::builder().timeout(DEADLINE).build().context("the HTTP client cannot be made")?;
    session.query_typed(WIDEN, &[(&(PARCELS_MAX as i64), Type::INT8), (&REPORTS, Type::TEXT)]).await?;
    let mut taken = 0;
    let mut last: (Option<Timestamp>, String) = (None, String::new());
    for _ in 0..PORTIONS_MAX {
        let rows = session.query(WAITING, &[&PORTION, &last.0, &last.1]).await?;
        let Some(newest) = rows.last() else { break };
        // Whoever asks once the edge has forgotten a page is given it as the replica has it, for as long as pages live.
        let replay = db::replay::wait(&config.database, &session).await;
        let replay = replay.context("the edge is not told what the replica lacks")?;
        let tags: Vec<String> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        let times: Vec<Timestamp> = rows.iter().map(|row| row.try_get(1)).collect::<Result<_, _>>()?;
        let done: Vec<bool> = rows.iter().map(|row| row.try_get(2)).collect::<Result<_, _>>()?;
        let due = tags.iter().zip(&done).filter(|(_, done)| !**done).map(|(tag, _)| tag.clone());
        let due: Vec<String> = due.collect();
        if !due.is_empty() {
            page_cache::invalidate_tagged(&session, &due).await?;
            if replay == Replay::Caught {
                session.execute(CACHE_DONE, &[&tags, &times]).await?;
            }
        }
        if let Some(edge) = &config.purge {
            // What a process has in memory is old to it too then, so the edge gets nothing that was just made old.
            tokio::time::sleep(2 * TRUSTED_FOR).await;
            tell(&http, edge, &tags).await?;
            taken += tags.len();
        }
        match replay {
            Replay::Caught => drop(session.execute(TOLD, &[&tags, &times]).await?),
            // The next portion is behind these.
            Replay::Unknown => last = (Some(newest.try_get(1)?), newest.try_get(0)?),
        }
    }
    Ok(taken)
}

/// What everybody asks for is served as it was while it is made anew; a changed parcel shows its change at once.
async fn tell(http: &reqwest::Client, edge: &Purge, tags: &[String]) -> anyhow::Result<()> {
    let (wide, narrow): (Vec<_>, Vec<_>) =
        tags.iter().partition(|tag| [SEARCH, REPORTS, LOADS, VELOCITY, SIGNALS].contains(&tag.as_str()));
    for (tags, soft) in [(wide, true), (narrow, false)] {
        if !tags.is_empty() {
            order(http, edge, &json!({ "tags": tags, "soft": soft })).await?;
        }
    }
    Ok(())
}

/// Sends one order, again after a failure that may pass.
async fn order(http: &reqwest::Client, edge: &Purge, body: &serde_json::Value) -> anyhow::Result<()> {
    let mut attempt = 1;
    loop {
        let request = http.post(format!("{}/__seawall/purge", edge.url)).bearer_auth(edge.secret.expose());
        let answer = request.header("content-type", "application/json").body(body.to_string()).send().await;
        let why = match answer {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) if PASSING.contains(&answer.status()) => answer.status().to_string(),
            Ok(answer) => bail!("the edge answered a purge with {}; check PURGE_URL and PURGE_SECRET", answer.status()),
            Err(error) => error.without_url().to_string(),
        };
        if attempt >= ATTEMPTS_MAX {
            bail!("the edge did not take a purge: {why}; the next job tries again");
        }
        attempt += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;

    use super::*;

    #[test]
    fn tags_are_one_field() {
        let parcel = Parcel::parse("580", "11a").unwrap();
        let mut response = "x".into_response();
        tag(&mut response, &[REPORTS, &parcel_tag(&parcel)]);
        assert_eq!(response.headers()["cache-tag"], "reports,parcel-0580-011A");
    }
}
