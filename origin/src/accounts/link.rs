//! Links to sign in: asked for, sent, and used once.
//!
//! Whoever asks is answered before anything is looked up: the asking is put in a queue, in memory, because the token is
//! to be nowhere but in the mail. What is queued when a process is killed is lost, and its sender asks again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use lettre::Address;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_postgres::types::{ToSql, Type};

use super::{Accounts, Session};
use crate::db::Pool;
use crate::digest::{hex, unhex};
use crate::error::Error;
use crate::mail::{Mail, Mailer};

/// A mail address in its one spelling: lower case, as mail servers compare it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Email(Address);

impl Email {
    /// `Someone@Example.org` is `someone@example.org`; `someone` is refused, and more than [`EMAIL_BYTES_MAX`] is.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        // What is not ASCII has several spellings in lower case, and servers that take it are few.
        if text.len() > EMAIL_BYTES_MAX || !text.is_ascii() {
            return None;
        }
        text.to_ascii_lowercase().parse().ok().map(Self)
    }

    fn as_str(&self) -> &str {
        self.0.as_ref()
    }
}

/// Someone who asks for a link.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) email: Email,
    pub(crate) invite_code: Option<String>,
}

/// The secret of one link.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token([u8; TOKEN_BYTES]);

impl Token {
    fn random() -> Self {
        Self(rand::random())
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        unhex(text).map(Self)
    }

    fn as_text(self) -> String {
        hex(&self.0)
    }

    fn hash(self) -> Vec<u8> {
        Sha256::digest(self.0).to_vec()
    }
}

/// Takes what is asked for, and has it done beside the serving.
#[derive(Debug)]
pub(crate) struct Desk {
    queue: Mutex<Option<mpsc::Sender<Asked>>>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

/// Longest address that mail can have (RFC 5321 §4.5.3.1.3, without its brackets).
pub(crate) const EMAIL_BYTES_MAX: usize = 254;
/// 256 bits are not guessed.
const TOKEN_BYTES: usize = 32;
/// How long a link can be used.
pub(crate) const LINK_MINUTES: i32 = 30;
/// Links sent to one address within an hour; what is asked beyond that is not sent.
pub(crate) const LINKS_PER_HOUR_MAX: i64 = 5;
/// Askings that wait: a minute's worth when the mail server is slow. One more is told to come back.
const QUEUED_MAX: usize = 256;
/// Askings that are worked on at once.
const AT_ONCE: u32 = 4;
/// Longest that the end of the process waits for what is queued.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);

/// One asking of an address at a time, over all processes, so that its links are counted exactly.
const ALONE: &str = "SELECT pg_advisory_xact_lock(hashtextextended('sign-in ' || $1, 0))";

/// Puts a link down if the address may have one more and is known, or may sign up.
const ADMIT: &str = "
    INSERT INTO auth_tokens (token_hash, email, invite_code, expires_at)
    SELECT $2, $1, $3, now() + $4 * interval '1 minute'
     WHERE coalesce((SELECT is_active FROM users WHERE email = $1), $5)
       AND (SELECT count(*) FROM auth_tokens WHERE email = $1 AND created_at > now() - interval '1 hour') < $6
    RETURNING 1";

/// Uses a link up, and finds or makes its user.
const USE: &str = "
    WITH link AS (
        UPDATE auth_tokens SET used_at = now() WHERE token_hash = $1 AND used_at IS NULL AND expires_at > now()
        RETURNING email, invite_code)
    INSERT INTO users (email, invite_code, is_admin) SELECT email, invite_code, email = $2 FROM link
    ON CONFLICT (email) DO UPDATE SET last_login_at = now(), is_admin = users.is_admin OR EXCLUDED.is_admin
     WHERE users.is_active
    RETURNING user_id, session_generation";

impl Desk {
    /// Starts the worker.
    pub(crate) fn open(accounts: Arc<Accounts>, pool: Pool, mailer: Mailer) -> Self {
        let (queue, asked) = mpsc::channel(QUEUED_MAX);
        let worker = tokio::spawn(work(Arc::new(Clerk { accounts, pool, mailer }), asked));
        Self { queue: Mutex::new(Some(queue)), worker: Mutex::new(Some(worker)) }
    }

    /// Takes an asking. Says nothing of whether a link will be sent.
    ///
    /// # Errors
    /// 503 when too many wait.
    pub(crate) fn ask(&self, asked: Asked) -> Result<(), Error> {
        // Nothing panics while it is held.
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queue.as_ref().ok_or_else(|| Error::busy("this process is stopping"))?;
        queue.try_send(asked).map_err(|_| Error::busy("too many ask for links to sign in"))
    }

    /// Takes nothing more, and waits a little for what is queued.
    pub(crate) async fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker {
            let _ = tokio::time::timeout(STOP_TIME_MAX, worker).await;
        }
    }
}

struct Clerk {
    accounts: Arc<Accounts>,
    pool: Pool,
    mailer: Mailer,
}

async fn work(clerk: Arc<Clerk>, mut asked: mpsc::Receiver<Asked>) {
    let places = Arc::new(Semaphore::new(AT_ONCE as usize));
    while let Some(asked) = asked.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let clerk = Arc::clone(&clerk);
        tokio::spawn(async move {
            if let Err(error) = clerk.serve(&asked).await {
                let error = format!("{error:#}");
                tracing::warn!(event = "accounts.link_not_sent", error, "a link to sign in was not sent: {error}");
            }
            drop(place);
        });
    }
    // All places are free again when the last one is done.
    let _ = places.acquire_many(AT_ONCE).await;
}

impl Clerk {
    async fn serve(&self, asked: &Asked) -> anyhow::Result<()> {
        let token = Token::random();
        if !self.admit(asked, token).await? {
            tracing::debug!(
                event = "accounts.link_refused",
                "a link to sign in was not sent: unknown address, or too many"
            );
            return Ok(());
        }
        let link = self.accounts.url(&format!("/auth/verify/{}", token.as_text()));
        let text = format!(
            "Hello,\n\nthis link signs you in. It works once, within {LINK_MINUTES} minutes:\n\n{link}\n\n\
             Did you not ask for it? Then there is nothing to do: without the link nobody gets in.\n"
        );
        let subject = "Your link to sign in".to_owned();
        let mail = Mail { to: asked.email.0.clone(), subject, text, message_id: None, unsubscribe: None };
        Ok(self.mailer.send(&mail).await?)
    }

    async fn admit(&self, asked: &Asked, token: Token) -> anyhow::Result<bool> {
        let email = asked.email.as_str();
        let code = asked.invite_code.as_deref().filter(|code| self.accounts.is_invited(code));
        let may_sign_up = !self.accounts.needs_invite() || code.is_some() || self.accounts.is_admin(email);
        let hash = token.hash();
        let parameters: [(&(dyn ToSql + Sync), Type); 6] = [
            (&email, Type::TEXT),
            (&hash, Type::BYTEA),
            (&code, Type::TEXT),
            (&LINK_MINUTES, Type::INT4),
            (&may_sign_up, Type::BOOL),
            (&LINKS_PER_HOUR_MAX, Type::INT8),
        ];
        let mut connection = self.pool.get().await?;
        let transaction = connection.transaction().await?;
        transaction.query_typed(ALONE, &[(&email, Type::TEXT)]).await?;
        let admitted = !transaction.query_typed(ADMIT, &parameters).await?.is_empty();
        transaction.commit().await?;
        Ok(admitted)
    }
}

impl Accounts {
    /// Begins a session by a link, which can then not be used again. `None` when it was used, is too old, or never was.
    ///
    /// # Errors
    /// When the database does not answer; the link can be used again.
    pub(crate) async fn sign_in(&self, pool: &Pool, token: Token) -> Result<Option<Session>, Error> {
        let (hash, admin) = (token.hash(), self.settings.admin_email.as_deref());
        let parameters: [(&(dyn ToSql + Sync), Type); 2] =
            [(&hash, Type::BYTEA), (&admin.unwrap_or_default(), Type::TEXT)];
        let rows = pool.get().await?.query_typed(USE, &parameters).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Session::begin(row.try_get(0)?, row.try_get(1)?, Timestamp::now())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_one_spelling() {
        let longest = format!("{}@{}.org", "a".repeat(64), "b".repeat(63));
        for (text, email) in [
            (" Someone@Example.ORG ", Some("someone@example.org")),
            ("someone+tag@example.org", Some("someone+tag@example.org")),
            (&longest, Some(&*longest)),
            ("someone", None),
            ("someone@", None),
            ("@example.org", None),
            ("some one@example.org", None),
            ("someone@example.org\r\nBcc: other@example.org", None),
            ("some@one@example.org", None),
            ("ſomeone@example.org", None),
            ("", None),
        ] {
            assert_eq!(Email::parse(text).as_ref().map(Email::as_str), email, "{text:?}");
        }
        assert_eq!(Email::parse(&format!("a@{}.org", "b.".repeat(125))), None);
    }

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let token = Token::random();
        assert!(Token::parse(&token.as_text()) == Some(token));
        assert!(
            Token::parse(&token.as_text().to_uppercase()).is_none()
                || token.as_text().bytes().all(|b| b.is_ascii_digit())
        );
        assert!(Token::parse("").is_none());
    }
}
