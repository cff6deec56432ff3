//! What wrangler.toml binds, and where it says that the origin is.

use alloc::{borrow::ToOwned, string::String, vec::Vec};

use js_sys::Object;
use wasm_bindgen::JsValue;

use crate::settings;

/// All of it, read once: the runtime gives each request of an isolate the same, and to look costs a call across the border.
pub(crate) struct Bindings {
    /// The rest, by name.
    pub(crate) env: Object,
    /// The Durable Objects that are the authority of shared limits.
    pub(crate) limiter: Option<Object>,
    /// Those by which isolates of a place share calls.
    pub(crate) collapse: Option<Object>,
    /// The one that keeps the log of purges.
    pub(crate) purges: Option<Object>,
    /// A namespace of Workers KV.
    pub(crate) cache: Option<Object>,
    /// A data set of Analytics Engine.
    pub(crate) metrics: Option<Object>,
    /// The addresses of origins that answer the same, in order, without a slash at the end.
    origins: Vec<String>,
    /// Where their jobs are started, if that is elsewhere.
    cron_origins: Vec<String>,
}

impl Bindings {
    pub(crate) fn read(env: Object) -> Self {
        let [limiter, collapse, purges, cache, metrics] =
            ["LIMITER", "COLLAPSE", "PURGES", "CACHE", "METRICS"].map(|name| settings::bound(&env, name));
        let [origins, cron_origins] = ["ORIGIN", "CRON_ORIGIN"].map(|name| addresses(&env, name));
        Self { env, limiter, collapse, purges, cache, metrics, origins, cron_origins }
    }

    /// The origins that visitors are answered by; at least one.
    ///
    /// # Errors
    /// When the variable `ORIGIN` is missing: there is nothing to be an edge of.
    pub(crate) fn origins(&self) -> Result<&[String], JsValue> {
        if self.origins.is_empty() {
            let missing =
                "the variable ORIGIN is not set: give it the origin's address, such as https://origin.example";
            return Err(JsValue::from_str(missing));
        }
        Ok(&self.origins)
    }

    /// The origins where jobs are started; at least one.
    ///
    /// # Errors
    /// As [`Bindings::origins`].
    pub(crate) fn cron_origins(&self) -> Result<&[String], JsValue> {
        if self.cron_origins.is_empty() { self.origins() } else { Ok(&self.cron_origins) }
    }
}

/// The addresses in a variable, separated by commas.
fn addresses(env: &Object, name: &str) -> Vec<String> {
    let text = settings::text(env, name).unwrap_or_default();
    let addresses = text.split(',').map(|address| address.trim().trim_end_matches('/').to_owned());
    addresses.filter(|address| !address.is_empty()).collect()
}
