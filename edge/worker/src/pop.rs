//! The object by which the isolates of one point of presence share calls to the origin. It lives where its first question
//! came from, and holds nothing that has to survive it.

use alloc::string::{String, ToString};
use core::time::Duration;

use js_sys::Object;
use seawall_edge::{platform::AuthorityError, pop::PopFlights};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::{glue, host, object::State};

/// Asks the object of this place that has a share of the keys.
pub(crate) async fn ask(
    bound: Option<&Object>,
    shard: u64,
    question: &str,
    deadline: Duration,
) -> Result<String, AuthorityError> {
    let Some(objects) = bound else {
        return Err(AuthorityError::Failed(String::from("COLLAPSE is not bound")));
    };
    let name = [&glue::place(), "-", &shard.to_string()].concat();
    match glue::ask(objects, &name, question, deadline).await {
        Ok(answer) => answer.ok_or(AuthorityError::Late),
        Err(why) => Err(AuthorityError::Failed(why)),
    }
}

/// Says who leads.
#[wasm_bindgen]
#[derive(Debug, Default)]
pub struct Collapser {
    flights: PopFlights,
}

#[wasm_bindgen]
impl Collapser {
    /// The object, which keeps nothing.
    #[wasm_bindgen(constructor)]
    pub fn new(_state: State) -> Self {
        Self::default()
    }

    /// Answers a question; nothing when it is none.
    pub fn answer(&mut self, question: &str) -> Option<String> {
        #[cfg(feature = "contract")]
        crate::trap::hear("Collapser", question);
        self.flights.answer(question, host::now())
    }
}
