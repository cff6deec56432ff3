//! The authority of shared limits as a Durable Object: one clock and one set of counters for all isolates.

use core::{cell::RefCell, num::NonZeroUsize, pin::pin, time::Duration};

use futures_util::future::{Either, select};
use seawall_core::{
    limit::{
        Admission, Algorithm,
        states::{Capacities, StateTable},
    },
    policy::Policy,
    time::Timestamp,
};
use seawall_edge::{
    authority::{Kept, Question, decode, encode},
    limits::AUTHORITY_KEYS,
    platform::AuthorityError,
};
use worker::{Delay, DurableObject, Env, Request, Response, SqlStorage, SqlStorageValue, State, durable_object};

use crate::host;

/// Asks the authority of `shard`.
pub(crate) async fn judge(
    env: &Env,
    shard: u64,
    question: &Question,
    deadline: Duration,
) -> Result<Admission, AuthorityError> {
    match select(pin!(call(env, shard, question)), pin!(Delay::from(deadline))).await {
        Either::Left((answer, _)) => answer.map_err(|error| AuthorityError(error.to_string())),
        Either::Right(_) => Err(AuthorityError(format!("no answer within {} ms", deadline.as_millis()))),
    }
}

async fn call(env: &Env, shard: u64, question: &Question) -> worker::Result<Admission> {
    let stub = env.durable_object("LIMITER")?.get_by_name(&format!("shard-{shard}"))?;
    let mut response = stub.fetch_with_str(&format!("https://limiter.seawall.internal{}", question.to_path())).await?;
    let text = response.text().await?;
    match response.status_code() {
        200 => decode(&text).ok_or_else(|| worker::Error::from("the answer does not decode")),
        status => Err(worker::Error::from(format!("answered {status}: {text}"))),
    }
}

/// Counts the keys of one shard.
///
/// Counters live in memory, bounded, and are written through to the object's storage, so that an object that is
/// moved or restarted goes on where it stopped. An alarm clears what has been earned back.
#[durable_object]
pub struct Limiter {
    state: State,
    policy: Policy,
    counters: RefCell<StateTable>,
}

impl DurableObject for Limiter {
    fn new(state: State, _env: Env) -> Self {
        // The policy was decoded in the same build's tests, and an object that cannot start says why in the log.
        let policy = crate::policy().expect("the embedded policy decodes");
        let capacities = Capacities::for_keys(const { NonZeroUsize::new(AUTHORITY_KEYS).unwrap() });
        let seed = host::random().unwrap_or_default();
        let counters = StateTable::new(policy.limits().iter().map(|limit| &limit.algorithm), capacities, seed);
        let limiter = Self { state, policy, counters: RefCell::new(counters) };
        limiter.restore().expect("the object's own storage is readable");
        limiter
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        let url = request.inner().url();
        let path = url.strip_prefix("https://limiter.seawall.internal").unwrap_or_default();
        let Ok(question) = Question::from_path(path, &self.policy) else {
            return Response::error("not a question about this policy's limits", 400);
        };
        let now = host::now();
        let stored = |rule: &Algorithm, key| self.counters.borrow().get(rule, key, now);
        let (admission, keep) = question.decide(&self.policy, stored, now);
        for kept in keep {
            self.counters.borrow_mut().put(kept.key, &kept.state, kept.expires, now);
            self.sql().exec(
                "INSERT INTO states (key, state, expires) VALUES (?, ?, ?)
                 ON CONFLICT (key) DO UPDATE SET state = excluded.state, expires = excluded.expires",
                // 64-bit numbers do not survive the way through JavaScript, their digits do.
                vec![
                    format!("{:032x}", kept.key).into(),
                    kept.state_to_text().into(),
                    format!("{:020}", kept.expires.as_unix_nanos()).into(),
                ],
            )?;
        }
        if self.state.storage().get_alarm().await?.is_none() {
            self.state.storage().set_alarm(SWEEP_EVERY).await?;
        }
        Response::ok(encode(&admission))
    }

    async fn alarm(&self) -> worker::Result<Response> {
        let now = format!("{:020}", host::now().as_unix_nanos());
        self.sql().exec("DELETE FROM states WHERE expires <= ?", vec![now.into()])?;
        // What does not fit into memory is of no use in storage.
        self.sql().exec(
            &format!(
                "DELETE FROM states WHERE key IN
                 (SELECT key FROM states ORDER BY expires DESC LIMIT -1 OFFSET {AUTHORITY_KEYS})"
            ),
            None,
        )?;
        let left = self.sql().exec("SELECT count(*) FROM states", None)?.raw().next().transpose()?;
        if left.is_some_and(|row| !matches!(row.first(), Some(SqlStorageValue::Integer(0)))) {
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
            "CREATE TABLE IF NOT EXISTS states (key TEXT PRIMARY KEY, state TEXT NOT NULL, expires TEXT NOT NULL) WITHOUT ROWID",
            None,
        )?;
        let now: Timestamp = host::now();
        let rows = self.sql().exec(
            &format!("SELECT key, state, expires FROM states ORDER BY expires DESC LIMIT {AUTHORITY_KEYS}"),
            None,
        )?;
        for row in rows.raw() {
            let row = row?;
            let [SqlStorageValue::String(key), SqlStorageValue::String(state), SqlStorageValue::String(expires)] =
                row.as_slice()
            else {
                continue;
            };
            let expires = expires.parse().map(Timestamp::from_unix_nanos);
            if let (Ok(key), Some(state), Ok(expires)) =
                (u128::from_str_radix(key, 16), Kept::state_from_text(state), expires)
            {
                self.counters.borrow_mut().put(key, &state, expires, now);
            }
        }
        Ok(())
    }
}

/// How often an object that holds counters clears those that are earned back.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
