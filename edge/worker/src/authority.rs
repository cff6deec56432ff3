//! The authority of shared limits as a Durable Object: one clock and one set of counters for all isolates.

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::time::Duration;

use js_sys::{Array, Object};
use seawall_core::{policy::Policy, time::Timestamp};
use seawall_edge::{
    authority::{Kept, Question, Reply, Shard},
    limits::AUTHORITY_KEYS,
    platform::AuthorityError,
};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::{glue, host, object::State};

/// Asks the authority of `shard`.
pub(crate) async fn ask(
    bound: Option<&Object>,
    shard: u64,
    question: &Question,
    deadline: Duration,
) -> Result<Reply, AuthorityError> {
    let failed = |why: &str| AuthorityError::Failed(why.to_owned());
    let Some(objects) = bound else { return Err(failed("LIMITER is not bound")) };
    let name = ["shard-", &shard.to_string()].concat();
    match glue::ask(objects, &name, &question.encode(), deadline).await {
        Ok(Some(text)) => Reply::decode(&text, question).ok_or_else(|| failed("the answer does not decode")),
        Ok(None) => Err(AuthorityError::Late),
        Err(why) => Err(AuthorityError::Failed(why)),
    }
}

/// Counts the keys of one shard.
///
/// What it knows lives in memory, bounded, and what must survive is written to the object's storage before the answer,
/// so that an object that is moved or restarted goes on where it stopped. An alarm clears what has been earned back.
#[wasm_bindgen]
pub struct Limiter {
    state: State,
    policy: &'static Policy,
    shard: Shard,
    /// Whether this life of the object has set its alarm.
    is_armed: bool,
}

#[wasm_bindgen]
impl Limiter {
    /// The object, with what an earlier life of it wrote.
    ///
    /// # Errors
    /// When its storage is not readable.
    #[wasm_bindgen(constructor)]
    pub fn new(state: State) -> Result<Self, JsValue> {
        let policy = crate::policy();
        let mut shard = Shard::new(policy, glue::random()?, host::now());
        restore(&state, policy, &mut shard)?;
        Ok(Self { state, policy, shard, is_armed: false })
    }

    /// Answers a question; nothing when it is none about this policy's limits.
    ///
    /// # Errors
    /// When its storage does not take what must survive.
    pub fn answer(&mut self, question: &str) -> Result<Option<String>, JsValue> {
        #[cfg(feature = "contract")]
        crate::trap::hear("Limiter", question);
        let Ok(question) = Question::decode(question, self.policy) else { return Ok(None) };
        // The upper half of a random number is as random as the whole.
        let random = (glue::random()? >> 32) as u32;
        let heard = self.shard.hear(self.policy, &question, host::now(), random);
        if let Err(error) = self.write(&heard.keep) {
            self.shard.not_written(heard.keep);
            return Err(error);
        }
        if !self.is_armed {
            self.arm();
        }
        Ok(Some(heard.reply.encode()))
    }

    /// Forgets what is earned back.
    ///
    /// # Errors
    /// When its storage does not.
    pub fn alarm(&mut self) -> Result<(), JsValue> {
        let now = self.shard.sweep(host::now());
        self.state.exec("DELETE FROM kept WHERE expires <= ?", &[digits(now)])?;
        // What does not fit into memory is of no use in storage.
        let too_many = "DELETE FROM kept WHERE key IN (SELECT key FROM kept ORDER BY expires DESC LIMIT -1 OFFSET ?)";
        self.state.exec(too_many, &[AUTHORITY_KEYS.to_string()])?;
        let is_empty = self.state.exec("SELECT key FROM kept LIMIT 1", &[])?.length() == 0;
        if !is_empty || !self.shard.is_swept() {
            self.arm();
        } else {
            self.is_armed = false;
        }
        Ok(())
    }
}

impl Limiter {
    /// Writes down what must survive.
    fn write(&self, keep: &[Kept]) -> Result<(), JsValue> {
        for kept in keep {
            // 64-bit numbers do not survive the way through JavaScript, their digits do.
            let values = [format!("{:032x}", kept.key), kept.encode(), digits(kept.expires)];
            self.state.exec(
                "INSERT INTO kept (key, written, expires) VALUES (?, ?, ?)
                 ON CONFLICT (key) DO UPDATE SET written = excluded.written, expires = excluded.expires",
                &values,
            )?;
        }
        Ok(())
    }

    fn arm(&mut self) {
        self.state.set_alarm(host::now().after(SWEEP_EVERY));
        self.is_armed = true;
    }
}

/// Reads back what an earlier life of the object wrote.
fn restore(state: &State, policy: &Policy, shard: &mut Shard) -> Result<(), JsValue> {
    let table = "CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, written TEXT NOT NULL, expires TEXT NOT NULL) WITHOUT ROWID";
    state.exec(table, &[])?;
    let rows = state.exec("SELECT written FROM kept ORDER BY expires DESC LIMIT ?", &[AUTHORITY_KEYS.to_string()])?;
    let written = |row: JsValue| Kept::decode(&Array::from(&row).get(0).as_string()?);
    let kept: Vec<Kept> = rows.iter().filter_map(written).collect();
    shard.restore(policy, &kept);
    Ok(())
}

/// A time as text, in the order of time.
fn digits(time: Timestamp) -> String {
    format!("{:020}", time.as_unix_nanos())
}

/// How often an object that holds counters clears those that are earned back.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
