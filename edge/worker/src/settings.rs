//! What wrangler.toml and its secrets say, as the pipeline takes it.

use js_sys::{Object, Reflect};
use seawall_edge::{
    Settings,
    settings::{Build, Secret},
};
use wasm_bindgen::{JsCast, JsValue};

use crate::host;

/// Reads everything once: a changed variable or secret is a new deployment, which starts new isolates.
pub(crate) fn read(env: &Object) -> Settings {
    let version_id =
        Reflect::get(env, &JsValue::from_str(VERSION)).and_then(|found| Reflect::get(&found, &"id".into()));
    Settings {
        control_secret: secret(env, CONTROL_SECRET),
        cron_secret: secret(env, CRON_SECRET),
        maintenance: switch(env, MAINTENANCE),
        build: Build {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            policy: env!("SEAWALL_POLICY_DIGEST").to_owned(),
            deployment: version_id.ok().and_then(|id| id.as_string()).unwrap_or_default(),
        },
    }
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

/// A switch; anything but its two words is as if it were not set, and the log says so.
fn switch(env: &Object, name: &str) -> Option<bool> {
    match text(env, name)?.as_str() {
        "on" => Some(true),
        "off" => Some(false),
        _ => {
            host::log(&["edge.settings ", name, "=unknown: it may be on or off"].concat());
            None
        }
    }
}

/// A secret. One that is too short to be one opens nothing, and the log says so.
fn secret(env: &Object, name: &str) -> Option<Secret> {
    let text = text(env, name)?;
    let secret = Secret::new(text);
    if secret.is_none() {
        let advice = "=too-short: give at least 32 bytes, such as `openssl rand -hex 32` prints";
        host::log(&["edge.settings ", name, advice].concat());
    }
    secret
}

/// The secret of `/__seawall/`.
const CONTROL_SECRET: &str = "CONTROL_SECRET";
/// What the origin wants of who starts its jobs; the same text as its own `CRON_SECRET`.
const CRON_SECRET: &str = "CRON_SECRET";
/// Takes the site down (`on`) or up (`off`), whatever the policy says.
const MAINTENANCE: &str = "MAINTENANCE";
/// The binding that names the deployment, where wrangler.toml has it.
const VERSION: &str = "CF_VERSION_METADATA";
