//! The log of purges as a Durable Object: one for all isolates, in memory, and in its storage.

use alloc::string::String;
use core::time::Duration;

use js_sys::{Array, Object};
use seawall_edge::{platform::AuthorityError, purge::PurgeLog};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::{glue, host, object::State};

/// Asks the object.
pub(crate) async fn ask(
    bound: Option<&Object>,
    question: String,
    deadline: Duration,
) -> Result<String, AuthorityError> {
    let Some(objects) = bound else {
        return Err(AuthorityError::Failed(String::from("PURGES is not bound")));
    };
    match glue::ask(objects, "purges", &question, deadline).await {
        Ok(answer) => answer.ok_or(AuthorityError::Late),
        Err(why) => Err(AuthorityError::Failed(why)),
    }
}

/// Keeps the log. It is bounded by itself, so what is kept is bounded too.
#[wasm_bindgen]
pub struct Purger {
    state: State,
    log: PurgeLog,
}

#[wasm_bindgen]
impl Purger {
    /// The object, with what an earlier life of it wrote.
    ///
    /// # Errors
    /// When its storage is not readable.
    #[wasm_bindgen(constructor)]
    pub fn new(state: State) -> Result<Self, JsValue> {
        state.exec("CREATE TABLE IF NOT EXISTS log (id INTEGER PRIMARY KEY, text TEXT NOT NULL)", &[])?;
        let written =
            state.exec("SELECT text FROM log", &[])?.iter().next().and_then(|row| Array::from(&row).get(0).as_string());
        let log = written.map(|text| PurgeLog::from_text(&text, host::now()));
        Ok(Self { state, log: log.unwrap_or_default() })
    }

    /// Answers a question; nothing when it is none.
    ///
    /// # Errors
    /// When its storage does not take what changed.
    pub fn answer(&mut self, question: &str) -> Result<Option<String>, JsValue> {
        #[cfg(feature = "contract")]
        crate::trap::hear("Purger", question);
        let Some((answer, changed)) = self.log.answer(question, host::now()) else { return Ok(None) };
        if changed {
            self.state.exec("REPLACE INTO log (id, text) VALUES (1, ?)", &[self.log.to_text()])?;
        }
        Ok(Some(answer))
    }
}
