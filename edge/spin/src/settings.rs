//! The variables of spin.toml, as the pipeline and this adapter take them.

use seawall_edge::{
    Settings,
    message::parts,
    settings::{Build, Variable, Variables, addresses},
};
use seawall_upstash::Upstash;
use spin_sdk::variables::{self, Error};

use crate::host;

/// Where other servers are.
#[derive(Debug)]
pub(crate) struct Places {
    /// Origins that answer the same, in order; at least one.
    pub(crate) origins: Vec<Address>,
    /// The Redis that counts for all instances, if there is one.
    pub(crate) redis: Option<Redis>,
}

/// A Redis.
#[derive(Debug)]
pub(crate) enum Redis {
    /// At this address, by its own protocol.
    Server(String),
    /// At Upstash, over HTTP.
    Upstash(Upstash),
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
    let mut fallback = variable(FALLBACK_ORIGIN).await;
    fallback.text = fallback.text.filter(|address| address != NO_SERVER);
    let first = addresses(&variable(ORIGIN).await, host::log)?;
    if first.is_empty() {
        return Err(String::from("the variable origin is not set: give it the origin's address"));
    }
    // What has been checked is one.
    let origins =
        first.iter().chain(&addresses(&fallback, host::log)?).filter_map(|address| Address::parse(address)).collect();
    let variables = Variables {
        control_secret: variable(CONTROL_SECRET).await,
        // Spin starts no jobs by the clock; the origin's own timer does (docs/operating/spin.md).
        cron_secret: None,
        edge_secret: variable(EDGE_SECRET).await,
        maintenance: variable(MAINTENANCE).await,
    };
    let build = Build {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        policy: env!("SEAWALL_POLICY_DIGEST").to_owned(),
        deployment: text(DEPLOYMENT).await.unwrap_or_default(),
    };
    Ok((Settings::read(variables, build, host::log), Places { origins, redis: redis().await }))
}

async fn variable(name: &'static str) -> Variable {
    Variable { name, text: text(name).await }
}

/// The Redis that counts, by its own protocol where both ways are set.
async fn redis() -> Option<Redis> {
    if let Some(url) = text(REDIS).await {
        return Some(Redis::Server(url));
    }
    let url = text(UPSTASH_URL).await.filter(|url| url != NO_SERVER)?;
    match Upstash::new(&url, &text(UPSTASH_TOKEN).await.unwrap_or_default()) {
        Ok(upstash) => Some(Redis::Upstash(upstash)),
        Err(error) => {
            host::log(&format!("edge.settings {UPSTASH_URL}=refused: {error}"));
            None
        }
    }
}

impl Address {
    /// Reads one such as `https://origin.example/base`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, authority, path, _) = parts(text)?;
        let is_encrypted = match scheme {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let is_plain = !authority.is_empty() && !text.contains(['?', '#']);
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

/// The origin's address, or several, separated by commas.
const ORIGIN: &str = "origin";
/// The address of one that answers when the first fails. spin.toml names both as hosts that may be called, and a list of
/// those has an address in each place.
const FALLBACK_ORIGIN: &str = "fallback_origin";
/// What stands in such a place when there is none: a name that never resolves (RFC 6761 §6.4).
const NO_SERVER: &str = "http://none.invalid";
/// Redis's address.
const REDIS: &str = "redis_url";
/// The address of one at Upstash, which spin.toml names as a host that may be called.
const UPSTASH_URL: &str = "upstash_url";
/// The right to use it: a secret.
const UPSTASH_TOKEN: &str = "upstash_token";
/// The secret of `/__seawall/`.
const CONTROL_SECRET: &str = "control_secret";
/// What shows the origin that a request comes from this edge; the same text as its `EDGE_SECRET`.
const EDGE_SECRET: &str = "edge_secret";
/// Takes the site down (`on`) or up (`off`), whatever the policy says.
const MAINTENANCE: &str = "maintenance";
/// What this deployment is called.
const DEPLOYMENT: &str = "deployment";
