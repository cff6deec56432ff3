//! The administrators' page: who has an account, what ran, and where the rest is.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use tokio_postgres::types::{ToSql, Type};

use super::text::thousands;
use super::{Frame, render};
use crate::accounts::{Admin, private};
use crate::error::Error;
use crate::server::Site;

#[derive(Template)]
#[template(path = "admin.html")]
struct AdminPage {
    frame: Frame,
    email: String,
    users: String,
    active_users: String,
    watches: String,
    mailed: String,
    newest: Vec<NewUser>,
    runs: Vec<Run>,
}

struct NewUser {
    email: String,
    is_admin: bool,
    last_login: String,
    watches: i64,
}

struct Run {
    job: String,
    status: String,
    started: String,
    took: String,
}

/// Users on the page, those who signed in last.
const USERS_MAX: i64 = 50;
/// Runs on the page, the last ones.
const RUNS_MAX: i64 = 20;

const COUNTS: &str = "SELECT count(*), count(*) FILTER (WHERE last_login_at > now() - interval '30 days'),
    (SELECT count(*) FROM watch_items), count(*) FILTER (WHERE brief_frequency <> 'none') FROM users";

const USERS: &str = "SELECT email, is_admin, last_login_at,
        (SELECT count(*) FROM watch_items WHERE watch_items.user_id = users.user_id)
    FROM users ORDER BY last_login_at DESC, user_id LIMIT $1";

const RUNS: &str = "SELECT job_type, status, started_at, extract(epoch FROM completed_at - started_at)::bigint
    FROM cron_log ORDER BY log_id DESC LIMIT $1";

/// `GET /admin`
pub(crate) async fn admin(State(site): State<Arc<Site>>, Admin(user): Admin) -> Result<Response, Error> {
    let connection = site.databases.primary().get().await?;
    let at_most = |rows: &'static i64| [(rows as &(dyn ToSql + Sync), Type::INT8)];
    let (users_max, runs_max) = (at_most(&USERS_MAX), at_most(&RUNS_MAX));
    // Sent together, answered one after the other: one round trip.
    let (counts, users, runs) = tokio::try_join!(
        connection.query_typed(COUNTS, &[]),
        connection.query_typed(USERS, &users_max),
        connection.query_typed(RUNS, &runs_max)
    )?;
    let counts = counts.first().ok_or_else(|| Error::bug("a count without a row"))?;
    let count = |column| Ok::<_, tokio_postgres::Error>(thousands(counts.try_get(column)?));
    let listed = |row: &tokio_postgres::Row| {
        Ok::<_, tokio_postgres::Error>(NewUser {
            email: row.try_get(0)?,
            is_admin: row.try_get(1)?,
            last_login: when(row.try_get(2)?),
            watches: row.try_get(3)?,
        })
    };
    let run = |row: &tokio_postgres::Row| {
        let seconds: Option<i64> = row.try_get(3)?;
        Ok::<_, tokio_postgres::Error>(Run {
            job: row.try_get(0)?,
            status: row.try_get(1)?,
            started: when(row.try_get(2)?),
            took: seconds.map_or_else(|| "–".to_owned(), |seconds| format!("{} s", thousands(seconds))),
        })
    };
    let page = AdminPage {
        frame: Frame::new("Administration").of(site.accounts.form_token(&user.session)),
        email: user.email,
        users: count(0)?,
        active_users: count(1)?,
        watches: count(2)?,
        mailed: count(3)?,
        newest: users.iter().map(listed).collect::<Result<_, _>>()?,
        runs: runs.iter().map(run).collect::<Result<_, _>>()?,
    };
    Ok(private(render(&page)?))
}

fn when(at: Timestamp) -> String {
    at.strftime("%b %-d, %Y, %H:%M UTC").to_string()
}
