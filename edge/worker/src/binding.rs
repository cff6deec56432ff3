//! Cloudflare's rate-limiting binding: a counter in each of its locations, which says yes or no.

use alloc::{format, string::String};

use js_sys::{Object, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};

use crate::{settings, task};

#[wasm_bindgen]
extern "C" {
    type RateLimit;

    #[wasm_bindgen(method, catch)]
    fn limit(this: &RateLimit, options: &JsValue) -> Result<Promise, JsValue>;
}

/// Counts one request of `key` under the binding of a limit; `None` when there is none, or it fails: the isolate counts
/// then.
pub(crate) async fn count(env: &Object, limit: &str, key: u128) -> Option<bool> {
    let bound = settings::bound(env, &name(limit))?;
    let options = Object::new();
    Reflect::set(&options, &JsValue::from_str("key"), &JsValue::from_str(&format!("{key:x}"))).ok()?;
    let counted = bound.unchecked_into::<RateLimit>().limit(&options).ok()?;
    let outcome = task::ended(&counted).await.ok()?;
    Reflect::get(&outcome, &JsValue::from_str("success")).ok()?.as_bool()
}

/// `page-views` is bound as `LIMIT_PAGE_VIEWS`.
fn name(limit: &str) -> String {
    let upper = limit.chars().map(|letter| if letter == '-' { '_' } else { letter.to_ascii_uppercase() });
    "LIMIT_".chars().chain(upper).collect()
}
