//! The variables of spin.toml, as the pipeline and this adapter take them.

use seawall_edge::{
    Settings,
    settings::{Build, Secret},
};
use spin_sdk::variables::{self, Error};

use crate::host;

/// Where other servers are.
#[derive(Debug)]
pub(crate) struct Places {
    /// Origins that answer the same, in order; at least one.
    pub(crate) origins: Vec<Address>,
    /// The Redis that counts for all instances, if there is one.
    pub(crate) redis: Option<String>,
}

/// The address of a server that speaks HTTP.
#[derive(Debug)]
pub(crate) struct Address {
    pub(crate) is_encrypted: bool,
    /// Host and port.
    pub(crate) authority: String,
    /// What stands before every path; empty, or without a slash at its end.
    pub(crate) path: String,
}

/// Reads everything once: Spin starts new instances when the application changes.
///
/// # Errors
/// When the origin's address is missing or is none: there is nothing to be an edge of.
pub(crate) async fn read() -> Result<(Settings, Places), String> {
    let origin = text(ORIGIN).await.ok_or("the variable origin is not set: give it the origin's address")?;
    let origins: Option<Vec<Address>> = origin.split(',').map(|address| Address::parse(address.trim())).collect();
    let origins = origins
        .ok_or_else(|| format!("the variable origin is {origin:?}: give an address such as https://origin.example"))?;
    let settings = Settings {
        control_secret: text(CONTROL_SECRET).await.and_then(secret),
        // Spin starts no jobs by the clock; the origin's own timer does (docs/operating/spin.md).
        cron_secret: None,
        edge_secret: text(EDGE_SECRET).await.and_then(secret),
        maintenance: text(MAINTENANCE).await.and_then(|word| switch(MAINTENANCE, &word)),
        build: Build {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            policy: env!("SEAWALL_POLICY_DIGEST").to_owned(),
            deployment: text(DEPLOYMENT).await.unwrap_or_default(),
        },
    };
    Ok((settings, Places { origins, redis: text(REDIS).await }))
}

impl Address {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let is_encrypted = match scheme {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let is_plain = !authority.is_empty() && !rest.contains(['?', '#']);
        let (authority, path) = (authority.to_owned(), path.trim_end_matches('/').to_owned());
        is_plain.then_some(Self { is_encrypted, authority, path })
    }
}

/// The text of a variable; `None` when it is not set, or empty.
async fn text(name: &str) -> Option<String> {
    match variables::get(name).await {
        Ok(text) => Some(text).filter(|text| !text.is_empty()),
        Err(Error::Undefined(_)) => None,
        Err(error) => {
            host::log(&format!("edge.settings {name}=unread: {error}"));
            None
        }
    }
}

/// A switch; anything but its two words is as if it were not set, and the log says so.
fn switch(name: &str, word: &str) -> Option<bool> {
    match word {
        "on" => Some(true),
        "off" => Some(false),
        _ => {
            host::log(&format!("edge.settings {name}=unknown: it may be on or off"));
            None
        }
    }
}

/// A secret. One that is too short to be one opens nothing, and the log says so.
fn secret(text: String) -> Option<Secret> {
    let secret = Secret::new(text);
    if secret.is_none() {
        host::log("edge.settings secret=too-short: give at least 32 bytes, such as `openssl rand -hex 32` prints");
    }
    secret
}

/// The origin's address, or several, separated by commas.
const ORIGIN: &str = "origin";
/// Redis's address.
const REDIS: &str = "redis_url";
/// The secret of `/__seawall/`.
const CONTROL_SECRET: &str = "control_secret";
/// What shows the origin that a request comes from this edge; the same text as its `EDGE_SECRET`.
const EDGE_SECRET: &str = "edge_secret";
/// Takes the site down (`on`) or up (`off`), whatever the policy says.
const MAINTENANCE: &str = "maintenance";
/// What this deployment is called.
const DEPLOYMENT: &str = "deployment";
