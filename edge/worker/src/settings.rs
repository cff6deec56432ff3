//! What wrangler.toml and its secrets say, as the pipeline takes it.

use alloc::{borrow::ToOwned, string::String};

use js_sys::{Object, Reflect};
use seawall_edge::{
    Settings,
    settings::{Build, Variable, Variables},
};
use wasm_bindgen::{JsCast, JsValue};

use crate::host;

/// Reads everything once: a changed variable or secret is a new deployment, which starts new isolates.
pub(crate) fn read(env: &Object) -> Settings {
    let version_id =
        Reflect::get(env, &JsValue::from_str(VERSION)).and_then(|found| Reflect::get(&found, &"id".into()));
    let variables = Variables {
        control_secret: variable(env, CONTROL_SECRET),
        cron_secret: Some(variable(env, CRON_SECRET)),
        edge_secret: variable(env, EDGE_SECRET),
        maintenance: variable(env, MAINTENANCE),
    };
    let build = Build {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        policy: env!("SEAWALL_POLICY_DIGEST").to_owned(),
        deployment: version_id.ok().and_then(|id| id.as_string()).unwrap_or_default(),
    };
    Settings::read(variables, build, host::log)
}

/// A variable or secret.
pub(crate) fn variable(env: &Object, name: &'static str) -> Variable {
    Variable { name, text: text(env, name) }
}

/// The text of a variable or secret; `None` when it is not set, or empty.
pub(crate) fn text(env: &Object, name: &str) -> Option<String> {
    Reflect::get(env, &JsValue::from_str(name)).ok()?.as_string().filter(|text| !text.is_empty())
}

/// The object that is bound under a name; `None` when there is none.
pub(crate) fn bound(env: &Object, name: &str) -> Option<Object> {
    let bound = Reflect::get(env, &JsValue::from_str(name)).ok()?;
    bound.is_object().then(|| bound.unchecked_into())
}

/// The secret of `/__seawall/`.
const CONTROL_SECRET: &str = "CONTROL_SECRET";
/// What the origin wants of who starts its jobs; the same text as its own `CRON_SECRET`.
const CRON_SECRET: &str = "CRON_SECRET";
/// What shows the origin that a request comes from this edge; the same text as its own `EDGE_SECRET`.
const EDGE_SECRET: &str = "EDGE_SECRET";
/// Takes the site down (`on`) or up (`off`), whatever the policy says.
const MAINTENANCE: &str = "MAINTENANCE";
/// The binding that names the deployment, where wrangler.toml has it.
const VERSION: &str = "CF_VERSION_METADATA";
