//! What wrangler.toml binds, and where it says that the origin is.

use alloc::{string::String, vec::Vec};

use js_sys::Object;
use seawall_edge::settings::addresses;
use wasm_bindgen::JsValue;

use crate::{host, settings};

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
    /// The addresses of origins that answer the same, in order, without a slash at the end; or what is wrong with them.
    origins: Result<Vec<String>, String>,
    /// Where their jobs are started, if that is elsewhere.
    cron_origins: Result<Vec<String>, String>,
}

impl Bindings {
    pub(crate) fn read(env: Object) -> Self {
        let [limiter, collapse, purges, cache, metrics] =
            ["LIMITER", "COLLAPSE", "PURGES", "CACHE", "METRICS"].map(|name| settings::bound(&env, name));
        let [origins, cron_origins] =
            ["ORIGIN", "CRON_ORIGIN"].map(|name| addresses(&settings::variable(&env, name), host::log));
        Self { env, limiter, collapse, purges, cache, metrics, origins, cron_origins }
    }

    /// The origins that visitors are answered by; at least one.
    ///
    /// # Errors
    /// When the variable `ORIGIN` is missing, or is no address: there is nothing to be an edge of.
    pub(crate) fn origins(&self) -> Result<&[String], JsValue> {
        let missing = "the variable ORIGIN is not set: give it the origin's address, such as https://origin.example";
        match &self.origins {
            Ok(origins) if !origins.is_empty() => Ok(origins),
            Ok(_) => Err(JsValue::from_str(missing)),
            Err(wrong) => Err(JsValue::from_str(wrong)),
        }
    }

    /// The origins where jobs are started; at least one.
    ///
    /// # Errors
    /// As [`Bindings::origins`].
    pub(crate) fn cron_origins(&self) -> Result<&[String], JsValue> {
        match &self.cron_origins {
            Ok(origins) if origins.is_empty() => self.origins(),
            Ok(origins) => Ok(origins),
            Err(wrong) => Err(JsValue::from_str(wrong)),
        }
    }
}
