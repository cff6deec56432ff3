//! The authority of shared limits as a Durable Object: one clock and one set of counters for all isolates.

use core::{cell::RefCell, pin::pin, time::Duration};

use futures_util::future::{Either, select};
use seawall_core::policy::Policy;
use seawall_edge::{
    authority::{Kept, Question, Reply, Shard},
    limits::AUTHORITY_KEYS,
    platform::AuthorityError,
};
use worker::{Delay, DurableObject, Env, Request, Response, SqlStorage, SqlStorageValue, State, durable_object};

use crate::host;

/// Asks the authority of `shard`.
pub(crate) async fn ask(
    env: &Env,
    shard: u64,
    question: &Question,
    deadline: Duration,
) -> Result<Reply, AuthorityError> {
    match select(pin!(call(env, shard, question)), pin!(Delay::from(deadline))).await {
        Either::Left((answer, _)) => answer.map_err(|error| AuthorityError::Failed(error.to_string())),
        Either::Right(_) => Err(AuthorityError::Late),
    }
}

async fn call(env: &Env, shard: u64, question: &Question) -> worker::Result<Reply> {
    let stub = env.durable_object("LIMITER")?.get_by_name(&format!("shard-{shard}"))?;
    let mut response = stub.fetch_with_str(&format!("{ADDRESS}{}", question.encode())).await?;
    let text = response.text().await?;
    match response.status_code() {
        200 => Reply::decode(&text, question).ok_or_else(|| worker::Error::from("the answer does not decode")),
        status => Err(worker::Error::from(format!("answered {status}: {text}"))),
    }
}

/// Counts the keys of one shard.
///
/// What it knows lives in memory, bounded, and what must survive is written to the object's storage before the answer,
/// so that an object that is moved or restarted goes on where it stopped. An alarm clears what has been earned back.
#[durable_object]
pub struct Limiter {
    state: State,
    policy: Policy,
    shard: RefCell<Shard>,
}

impl DurableObject for Limiter {
    fn new(state: State, _env: Env) -> Self {
        // The policy was decoded in the same build's tests, and an object that cannot start says why in the log.
        let policy = crate::policy().expect("the embedded policy decodes");
        let shard = RefCell::new(Shard::new(&policy, host::random().unwrap_or_default(), host::now()));
        let limiter = Self { state, policy, shard };
        limiter.restore().expect("the object's own storage is readable");
        limiter
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        let url = request.inner().url();
        let question = Question::decode(url.strip_prefix(ADDRESS).unwrap_or_default(), &self.policy);
        let Ok(question) = question else {
            return Response::error("not a question about this policy's limits", 400);
        };
        // The upper half of a random number is as random as the whole.
        let random = (host::random().unwrap_or_default() >> 32) as u32;
        let heard = self.shard.borrow_mut().hear(&self.policy, &question, host::now(), random);
        for kept in &heard.keep {
            self.sql().exec(
                "INSERT INTO kept (key, written, expires) VALUES (?, ?, ?)
                 ON CONFLICT (key) DO UPDATE SET written = excluded.written, expires = excluded.expires",
                // 64-bit numbers do not survive the way through JavaScript, their digits do.
                vec![
                    format!("{:032x}", kept.key).into(),
                    kept.encode().into(),
                    format!("{:020}", kept.expires.as_unix_nanos()).into(),
                ],
            )?;
        }
        if self.state.storage().get_alarm().await?.is_none() {
            self.state.storage().set_alarm(SWEEP_EVERY).await?;
        }
        Response::ok(heard.reply.encode())
    }

    async fn alarm(&self) -> worker::Result<Response> {
        let now = host::now();
        let now = self.shard.borrow_mut().sweep(now);
        let now = format!("{:020}", now.as_unix_nanos());
        self.sql().exec("DELETE FROM kept WHERE expires <= ?", vec![now.into()])?;
        // What does not fit into memory is of no use in storage.
        self.sql().exec(
            &format!(
                "DELETE FROM kept WHERE key IN
                 (SELECT key FROM kept ORDER BY expires DESC LIMIT -1 OFFSET {AUTHORITY_KEYS})"
            ),
            None,
        )?;
        let left = self.sql().exec("SELECT count(*) FROM kept", None)?.raw().next().transpose()?;
        let is_empty = left.is_none_or(|row| matches!(row.first(), Some(SqlStorageValue::Integer(0))));
        if !is_empty || !self.shard.borrow().is_swept() {
            self.state.storage().set_alarm(SWEEP_EVERY).await?;
        }
        Response::ok("")
    }
}

impl Limiter {
    fn sql(&self) -> SqlStorage {
        self.state.storage().sql()
    }

    /// Reads back what an earlier life of this object wrote.
    fn restore(&self) -> worker::Result<()> {
        self.sql().exec(
            "CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, written TEXT NOT NULL, expires TEXT NOT NULL) WITHOUT ROWID",
            None,
        )?;
        let rows =
            self.sql().exec(&format!("SELECT written FROM kept ORDER BY expires DESC LIMIT {AUTHORITY_KEYS}"), None)?;
        let mut all = Vec::new();
        for row in rows.raw() {
            let row = row?;
            let [SqlStorageValue::String(written)] = row.as_slice() else { continue };
            all.extend(Kept::decode(written));
        }
        self.shard.borrow_mut().restore(&self.policy, &all);
        Ok(())
    }
}

/// What the address of a question begins with: an object has no other visitors.
const ADDRESS: &str = "https://limiter.seawall.internal/";

/// How often an object that holds counters clears those that are earned back.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
