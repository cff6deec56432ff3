//! What wrangler.toml and its secrets say, as the pipeline takes it.

use js_sys::Reflect;
use seawall_edge::{
    Settings,
    settings::{Build, Secret},
};
use wasm_bindgen::JsValue;
use worker::Env;

use crate::host;

/// Reads everything once: a changed variable or secret is a new deployment, which starts new isolates.
pub(crate) fn read(env: &Env) -> Settings {
    let version_id =
        Reflect::get(env, &JsValue::from_str(VERSION)).and_then(|found| Reflect::get(&found, &"id".into()));
    Settings {
        control_secret: secret(env, CONTROL_SECRET),
        build: Build {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            policy: env!("SEAWALL_POLICY_DIGEST").to_owned(),
            deployment: version_id.ok().and_then(|id| id.as_string()).unwrap_or_default(),
        },
    }
}

/// The text of a variable or secret; `None` when it is not set, or empty.
fn text(env: &Env, name: &str) -> Option<String> {
    Reflect::get(env, &JsValue::from_str(name)).ok()?.as_string().filter(|text| !text.is_empty())
}

/// A secret. One that is too short to be one opens nothing, and the log says so.
fn secret(env: &Env, name: &str) -> Option<Secret> {
    let text = text(env, name)?;
    let secret = Secret::new(text);
    if secret.is_none() {
        host::log("edge.settings secret=too-short: give at least 32 bytes, such as `openssl rand -hex 32` prints");
    }
    secret
}

/// The secret of `/__seawall/`.
const CONTROL_SECRET: &str = "CONTROL_SECRET";
/// The binding that names the deployment, where wrangler.toml has it.
const VERSION: &str = "CF_VERSION_METADATA";
