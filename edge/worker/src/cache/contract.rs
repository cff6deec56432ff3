//! What the Cache API gets to see of a stored response, as a test that runs in workerd. Its local simulator acts on fewer
//! fields than Cloudflare does, so the contract of the stores passes with those in sight.

use alloc::{
    format,
    string::{String, ToString},
};
use core::time::Duration;

use super::{load, remove, save, settled, url};
use crate::{glue, headers::HeaderList};
use seawall_core::{
    cache::key::{CacheKey, Target},
    headers::Fields,
};
use seawall_edge::{
    message::{Headers, Response},
    store::Stored,
};

/// Runs it.
///
/// # Errors
/// With the field that the API gets to see, or that does not come back.
pub(crate) async fn check() -> Result<(), String> {
    let key = CacheKey::new(&Target { path: "/contract/fields", ..Target::default() });
    let mut headers = HeaderList::default();
    for name in ACTED_ON {
        headers.set(name, SAYS);
    }
    let stored = Stored { response: Response::new(200, headers, None), note: String::from("00ff") };
    save(&key, stored, Duration::from_secs(120)).await.map_err(|error| error.to_string())?;
    let found = settled(glue::find_stored(&url(&key))).await.map_err(|error| error.to_string())?;
    let entry = HeaderList::parse(&glue::fields_of(&found).ok_or_else(|| String::from("nothing is stored"))?);
    let back = load(&key).await.map_err(|error| error.to_string())?.map(|stored| stored.response.headers);
    for name in ACTED_ON {
        if entry.field(name).as_deref() == Some(SAYS) {
            return Err(format!("{name} is in sight"));
        }
        if back.as_ref().and_then(|back| back.field(name)).as_deref() != Some(SAYS) {
            return Err(format!("{name} does not come back"));
        }
    }
    remove(&key).await.map_err(|error| error.to_string())
}

/// Fields that Cloudflare's cache goes by. A response with `Set-Cookie` is never stored, and `Age` is not stored with one.
const ACTED_ON: [&str; 9] = [
    "cache-control",
    "cache-tag",
    "cdn-cache-control",
    "cloudflare-cdn-cache-control",
    "etag",
    "expires",
    "last-modified",
    "surrogate-control",
    "vary",
];

/// A value that nobody else writes.
const SAYS: &str = "of the origin";
