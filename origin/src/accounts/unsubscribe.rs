//! Links that end briefs by mail, for whoever has the mail and without a session.

use tokio_postgres::types::{ToSql, Type};

use super::Accounts;
use super::keys::{Purpose, SIGNATURE_BYTES};
use crate::db::Pool;
use crate::digest::{hex, unhex};
use crate::error::Error;

impl Accounts {
    /// The link for one person's mails. Another address of the same person makes another link.
    pub(crate) fn unsubscribe_url(&self, user_id: i64, email: &str) -> String {
        let signature = self.keys.sign(Purpose::Unsubscribe, &format!("{user_id}:{email}"));
        self.url(&format!("/unsubscribe/{user_id}/{}", hex(&signature)))
    }

    /// Ends the mails, if the link is one of ours. Says nothing of whether it was.
    ///
    /// # Errors
    /// When the database does not take it.
    pub(crate) async fn unsubscribe(&self, pool: &Pool, user_id: i64, signature: &str) -> Result<(), Error> {
        let Some(signature) = unhex::<SIGNATURE_BYTES>(signature) else { return Ok(()) };
        let connection = pool.get().await?;
        let whose = [(&user_id as &(dyn ToSql + Sync), Type::INT8)];
        let rows = connection.query_typed("SELECT email FROM users WHERE user_id = $1", &whose).await?;
        let Some(row) = rows.first() else { return Ok(()) };
        let email: &str = row.try_get(0)?;
        if self.keys.verify(Purpose::Unsubscribe, &format!("{user_id}:{email}"), &signature) {
            let sql = "UPDATE users SET brief_frequency = 'none' WHERE user_id = $1 RETURNING 1";
            connection.query_typed(sql, &whose).await?;
        }
        Ok(())
    }
}
