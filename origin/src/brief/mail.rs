//! Briefs by mail: one for each person and period, over crashes too.
//!
//! The row of a mail is written before it is handed over and marked after that. A process that ends between the two leaves
//! a mail that is sent again, with the same Message-ID; one that ends before leaves one that is sent. A job that lost its
//! lease writes nothing more, so two processes never send together.

use anyhow::bail;
use askama::Template;
use serde_json::json;
use tokio_postgres::types::{ToSql, Type};

use super::{Brief, Contents, Lookback};
use crate::accounts::Frequency;
use crate::cron::job::Counts;
use crate::jobs::{Context, Lease, LeaseLost};
use crate::mail::{Mail, MailError};
use crate::page_cache::Entry as _;

/// Whoever is to get a brief and has none for the period yet. `$1`: after this user.
const DUE: &str = "
    SELECT user_id, email, brief_frequency, period FROM (
        SELECT users.*, CASE brief_frequency WHEN 'weekly' THEN date_trunc('week', day)::date ELSE day END AS period
          FROM users, (SELECT (now() AT TIME ZONE 'America/Los_Angeles')::date AS day) today
         WHERE is_active AND brief_frequency <> 'none') wanting
     WHERE user_id > $1
       AND EXISTS (SELECT FROM watch_items WHERE watch_items.user_id = wanting.user_id)
       AND NOT EXISTS (SELECT FROM brief_mails WHERE brief_mails.user_id = wanting.user_id
                          AND brief_mails.period = wanting.period AND sent_at IS NOT NULL)
     ORDER BY user_id LIMIT $2";

const CLAIM: &str = "INSERT INTO brief_mails (user_id, period) VALUES ($1, $2)
    ON CONFLICT (user_id, period) DO UPDATE SET attempts = brief_mails.attempts + 1 WHERE brief_mails.sent_at IS NULL
    RETURNING 1";

const MARK: &str =
    "UPDATE brief_mails SET sent_at = now(), outcome = $3 WHERE user_id = $1 AND period = $2 RETURNING 1";

/// People read at once.
const PORTION: i64 = 100;

/// Briefs that fail one after another; then it is no matter of one person's, and the run ends at once.
const FAILED_IN_A_ROW_MAX: u64 = 5;

struct Due {
    user_id: i64,
    email: String,
    frequency: Frequency,
    period: jiff::civil::Date,
}

#[derive(Template)]
#[template(path = "brief_mail.txt")]
struct Text<'a> {
    brief: &'a Contents,
    days: i32,
    page: String,
    unsubscribe: &'a str,
}

/// Sends what is due. Who cannot be sent theirs keeps nobody else from it.
///
/// # Errors
/// When one could not be sent, the database or the mail server is away, or the lease has ended; what was not sent then is
/// due still.
pub(crate) async fn run(context: &Context, lease: &Lease) -> anyhow::Result<Counts> {
    let (mut sent, mut empty, mut refused, mut last) = (0_u64, 0_u64, 0_u64, 0_i64);
    let (mut failed, mut in_a_row) = (0_u64, 0_u64);
    loop {
        let due = due(context, last).await?;
        let Some(next) = due.last().map(|due| due.user_id) else { break };
        for one in &due {
            match send(context, lease, one).await {
                Ok(Some("sent")) => sent += 1,
                Ok(Some("refused")) => refused += 1,
                Ok(Some(_)) => empty += 1,
                Ok(None) => {}
                Err(error) if error.is::<LeaseLost>() => return Err(error),
                Err(error) => {
                    (failed, in_a_row) = (failed + 1, in_a_row + 1);
                    if in_a_row >= FAILED_IN_A_ROW_MAX {
                        return Err(error.context(format!("{in_a_row} briefs failed one after another")));
                    }
                    let (user_id, error) = (one.user_id, format!("{error:#}"));
                    tracing::warn!(
                        event = "brief.failed",
                        user_id,
                        error,
                        "the brief of user {user_id} failed: {error}"
                    );
                    continue;
                }
            }
            in_a_row = 0;
        }
        last = next;
    }
    if failed > 0 {
        bail!("{failed} briefs failed and are due still, {sent} were sent");
    }
    Ok(Counts::from_iter([
        ("sent".to_owned(), json!(sent)),
        ("empty".to_owned(), json!(empty)),
        ("refused".to_owned(), json!(refused)),
    ]))
}

async fn due(context: &Context, after: i64) -> anyhow::Result<Vec<Due>> {
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&after, Type::INT8), (&PORTION, Type::INT8)];
    let rows = context.databases.primary().get().await?.query_typed(DUE, &parameters).await?;
    let due = |row: &tokio_postgres::Row| {
        let frequency = Frequency::find(row.try_get(2)?).unwrap_or(Frequency::Daily);
        Ok(Due { user_id: row.try_get(0)?, email: row.try_get(1)?, frequency, period: row.try_get(3)? })
    };
    rows.iter().map(due).collect()
}

/// Sends one, and says what became of it; `None` when another has sent it.
async fn send(context: &Context, lease: &Lease, due: &Due) -> anyhow::Result<Option<&'static str>> {
    let mut connection = context.databases.primary().get().await?;
    let transaction = connection.transaction().await?;
    lease.hold(&transaction).await?;
    let whose: [(&(dyn ToSql + Sync), Type); 2] = [(&due.user_id, Type::INT8), (&due.period, Type::DATE)];
    let is_ours = !transaction.query_typed(CLAIM, &whose).await?.is_empty();
    transaction.commit().await?;
    drop(connection);
    if !is_ours {
        return Ok(None);
    }
    let outcome = hand_over(context, lease, due).await?;
    let mark: [(&(dyn ToSql + Sync), Type); 3] =
        [(&due.user_id, Type::INT8), (&due.period, Type::DATE), (&outcome, Type::TEXT)];
    context.databases.primary().get().await?.query_typed(MARK, &mark).await?;
    Ok(Some(outcome))
}

async fn hand_over(context: &Context, lease: &Lease, due: &Due) -> anyhow::Result<&'static str> {
    let lookback_days = if due.frequency == Frequency::Weekly { Lookback::WEEK } else { Lookback::DAY };
    let brief = Brief { databases: context.databases.clone(), user_id: due.user_id, lookback_days };
    let brief = Contents::read(brief.compute().await?)?;
    if brief.summary.news() == 0 {
        return Ok("empty");
    }
    let accounts = &context.accounts;
    let unsubscribe = accounts.unsubscribe_url(due.user_id, &due.email);
    let page = accounts.url(&format!("/brief?lookback={}", lookback_days.days()));
    let text = Text { brief: &brief, days: lookback_days.days(), page, unsubscribe: &unsubscribe }.render()?;
    let mail = Mail {
        to: due.email.parse()?,
        subject: format!("{} on what you watch", headline(brief.summary.news())),
        text,
        message_id: Some(format!("<brief.{}.{}@{}>", due.user_id, due.period, accounts.host())),
        unsubscribe: Some(unsubscribe),
    };
    // The brief took a while to compute. Who lost the lease meanwhile leaves the mail to who has it.
    let mut connection = context.databases.primary().get().await?;
    let transaction = connection.transaction().await?;
    lease.hold(&transaction).await?;
    transaction.commit().await?;
    drop(connection);
    match context.mailer.send(&mail).await {
        Ok(()) => Ok("sent"),
        Err(error @ MailError::Refused(_)) => {
            let (user_id, error) = (due.user_id, format!("{:#}", anyhow::Error::from(error)));
            tracing::warn!(event = "brief.refused", user_id, error, "the brief of user {user_id} is refused: {error}");
            Ok("refused")
        }
        Err(error) => Err(error.into()),
    }
}

fn headline(news: i64) -> String {
    if news == 1 { "One piece of news".to_owned() } else { format!("{news} pieces of news") }
}
