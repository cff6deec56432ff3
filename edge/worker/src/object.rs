//! What a Durable Object keeps, as workerd offers it: a database and an alarm of its own.

use alloc::string::String;

use js_sys::{Array, JsString, Promise};
use seawall_core::time::Timestamp;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

#[wasm_bindgen]
extern "C" {
    /// <https://developers.cloudflare.com/durable-objects/api/state/>
    #[wasm_bindgen(js_name = DurableObjectState)]
    pub type State;

    #[wasm_bindgen(method, getter)]
    fn storage(this: &State) -> Storage;

    type Storage;

    #[wasm_bindgen(method, getter)]
    fn sql(this: &Storage) -> Sql;

    #[wasm_bindgen(method, js_name = setAlarm)]
    fn set_alarm(this: &Storage, at_ms: f64) -> Promise;

    type Sql;

    #[wasm_bindgen(method, catch, variadic)]
    fn exec(this: &Sql, query: &str, values: &Array) -> Result<Cursor, JsValue>;

    type Cursor;

    #[wasm_bindgen(method)]
    fn raw(this: &Cursor) -> Rows;

    type Rows;

    #[wasm_bindgen(method, catch, js_name = toArray)]
    fn to_array(this: &Rows) -> Result<Array, JsValue>;
}

impl State {
    /// Runs a statement, and returns its rows, each an array.
    pub(crate) fn exec(&self, query: &str, values: &[String]) -> Result<Array, JsValue> {
        let values: Array = values.iter().map(|value| JsString::from(value.as_str())).collect();
        self.storage().sql().exec(query, &values)?.raw().to_array()
    }

    /// Sets the alarm. What is answered meanwhile leaves only once that is written down, as with all that is stored.
    pub(crate) fn set_alarm(&self, at: Timestamp) {
        // Milliseconds since 1970 as a float hold every date exactly.
        let _ = self.storage().set_alarm(at.as_unix_millis() as f64);
    }
}
