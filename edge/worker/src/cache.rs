//! The Cache API as a plain store.
//!
//! The Cache API has caching rules of its own, and its local simulator has others. Neither gets a say: each entry is
//! a 200 under a made-up URL with a lifetime of ours, and the fields that would make the API act are carried under
//! other names.

use alloc::{
    format,
    string::{String, ToString},
};
use core::time::Duration;

use js_sys::Promise;
use seawall_core::cache::key::CacheKey;
use seawall_edge::{
    Store,
    message::{Headers, Response},
    store::{StoreError, Stored},
};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use web_sys::{ReadableStream, WritableStream};

use crate::{
    body::Body,
    glue::{self, message},
    headers::HeaderList,
    host::{self, Host},
    task,
};

#[cfg(feature = "contract")]
pub(crate) mod contract;

/// The Cache API: one copy in each point of presence.
pub(crate) struct Near;

impl Store<Host> for Near {
    async fn load(&self, key: &CacheKey) -> Result<Option<Stored<Host>>, StoreError> {
        load(key).await
    }

    async fn save(&self, key: &CacheKey, stored: Stored<Host>, keep_for: Duration) -> Result<(), StoreError> {
        save(key, stored, keep_for).await
    }

    async fn remove(&self, key: &CacheKey) -> Result<(), StoreError> {
        remove(key).await
    }
}

async fn load(key: &CacheKey) -> Result<Option<Stored<Host>>, StoreError> {
    let found = settled(glue::find_stored(&url(key))).await?;
    let Some(fields) = glue::fields_of(&found) else { return Ok(None) };
    let response: web_sys::Response = found.unchecked_into();
    let mut headers = HeaderList::parse(&fields);
    let status = headers.take(STATUS).and_then(|status| status.parse().ok());
    let (Some(note), Some(status)) = (headers.take(NOTE), status) else {
        return Err(StoreError(String::from("an entry was written by something else")));
    };
    for name in ["age", "cf-cache-status"] {
        headers.remove(name);
    }
    for name in CARRIED {
        headers.remove(name);
        if let Some(value) = headers.take(&carried(name)) {
            headers.set(name, &value);
        }
    }
    let has_body = !matches!(status, 204 | 205 | 304);
    let body = response.body().filter(|_| has_body).map(Body::Stream);
    Ok(Some(Stored { response: Response::new(status, headers, body), note }))
}

async fn save(key: &CacheKey, stored: Stored<Host>, keep_for: Duration) -> Result<(), StoreError> {
    let Stored { response: Response { status, mut headers, body }, note } = stored;
    for name in CARRIED {
        if let Some(value) = headers.take(name) {
            headers.set(&carried(name), &value);
        }
    }
    headers.set(NOTE, &note);
    headers.set(STATUS, &status.to_string());
    // The API keeps whole seconds; rounded up, so that what is asked for is still there.
    let seconds = seawall_core::time::seconds_ceil(keep_for);
    headers.set("cache-control", &format!("max-age={seconds}"));
    let (body, ended) = watched(body);
    let entry = host::response(200, &headers, body.as_ref()).map_err(|error| failed(&error))?;
    // A store that refuses does not read the body, so how that ends is asked only afterwards.
    settled(glue::store(&url(key), &entry)).await?;
    if let Err(error) = ended.await {
        // A store may take a body that broke off for a whole one; the local simulator does.
        remove(key).await?;
        return Err(StoreError(format!("the body broke off: {}", message(&error))));
    }
    Ok(())
}

async fn remove(key: &CacheKey) -> Result<(), StoreError> {
    settled(glue::remove_stored(&url(key))).await.map(drop)
}

/// What the API's promise ends with, if it makes one.
async fn settled(promised: Result<Promise, JsValue>) -> Result<JsValue, StoreError> {
    let promise = promised.map_err(|error| failed(&error))?;
    task::ended(&promise).await.map_err(|error| failed(&error))
}

/// The same body, and how it ended once it has been read.
fn watched(body: Option<Body>) -> (Option<Body>, impl Future<Output = Result<(), JsValue>>) {
    let (body, piped) = match body {
        Some(Body::Stream(stream)) => {
            let pipe = IdentityTransformStream::new();
            let piped = task::ended(&stream.pipe_to(&pipe.writable()));
            (Some(Body::Stream(pipe.readable())), Some(piped))
        }
        whole => (whole, None),
    };
    let ended = async {
        match piped {
            Some(piped) => piped.await.map(drop),
            None => Ok(()),
        }
    };
    (body, ended)
}

#[wasm_bindgen]
extern "C" {
    /// workerd's own pipe: bytes go through it without passing through JavaScript.
    type IdentityTransformStream;

    #[wasm_bindgen(constructor)]
    fn new() -> IdentityTransformStream;

    #[wasm_bindgen(method, getter)]
    fn readable(this: &IdentityTransformStream) -> ReadableStream;

    #[wasm_bindgen(method, getter)]
    fn writable(this: &IdentityTransformStream) -> WritableStream;
}

/// What a field is called while it is stored.
fn carried(name: &str) -> String {
    ["seawall-stored-", name].concat()
}

/// Which fields are under which names in what is stored: another number finds nothing of what another release stored, and
/// leaves it alone.
const FORMAT: u8 = 2;

fn url(key: &CacheKey) -> String {
    format!("https://cache.seawall.internal/{FORMAT}/{key}")
}

fn failed(error: &JsValue) -> StoreError {
    StoreError(message(error))
}

/// The pipeline's note.
const NOTE: &str = "seawall-note";
/// The status of the response.
const STATUS: &str = "seawall-status";
/// Fields on which the API would act or which it replaces. Of those that state a lifetime others outrank `Cache-Control`; by
/// tags the zone's own cache can be purged; and an answer of its own may be made of validators.
const CARRIED: [&str; 11] = [
    "cache-control",
    "cache-tag",
    "cdn-cache-control",
    "cloudflare-cdn-cache-control",
    "content-encoding",
    "date",
    "etag",
    "expires",
    "last-modified",
    "surrogate-control",
    "vary",
];
