//! Workers KV as a store for every point of presence.
//!
//! A value is read and written whole, so entries are small ([`seawall_edge::limits::FAR_ENTRY_BYTES_MAX`]). KV keeps
//! nothing for less than a minute, and a place that has asked for a key, found or not, may get the same answer for a
//! minute: whoever looks too early asks the origin.

use alloc::{
    borrow::ToOwned,
    string::{String, ToString},
    vec::Vec,
};
use core::time::Duration;

use js_sys::{ArrayBuffer, Object, Promise, Reflect, Uint8Array};
use seawall_core::{cache::key::CacheKey, time::seconds_ceil};
use seawall_edge::{
    Store,
    limits::FAR_ENTRY_BYTES_MAX,
    message::{Headers, Response},
    store::{StoreError, Stored},
};
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};

use crate::{body::Body, glue::message, headers::HeaderList, host::Host, task};

/// A namespace of Workers KV.
pub(crate) struct Far(Namespace);

impl Far {
    pub(crate) fn new(bound: Object) -> Self {
        Self(bound.unchecked_into())
    }
}

/// What is written before the body.
#[derive(Serialize, Deserialize)]
struct Front {
    status: u16,
    fields: Vec<(String, String)>,
    note: String,
    has_body: bool,
}

impl Store<Host> for Far {
    async fn load(&self, key: &CacheKey) -> Result<Option<Stored<Host>>, StoreError> {
        let got = task::ended(&self.0.get(&key.to_string(), "arrayBuffer")).await.map_err(|error| failed(&error))?;
        let Ok(buffer) = got.dyn_into::<ArrayBuffer>() else { return Ok(None) };
        let value = Uint8Array::new(&buffer);
        let wrong = || StoreError(String::from("an entry was written by something else"));
        if value.length() < LENGTH_BYTES {
            return Err(wrong());
        }
        let mut length = [0; LENGTH_BYTES as usize];
        value.subarray(0, LENGTH_BYTES).copy_to(&mut length);
        let end = LENGTH_BYTES.checked_add(u32::from_le_bytes(length)).filter(|end| *end <= value.length());
        let front = value.subarray(LENGTH_BYTES, end.ok_or_else(wrong)?).to_vec();
        let Front { status, fields, note, has_body } = postcard::from_bytes(&front).map_err(|_| wrong())?;
        let mut headers = HeaderList::default();
        for (name, value) in &fields {
            headers.append(name, value);
        }
        // A copy, so that the front does not stay in memory for as long as the body does.
        let body = has_body.then(|| Body::Bytes(value.slice(LENGTH_BYTES + front.len() as u32, value.length())));
        Ok(Some(Stored { response: Response::new(status, headers, body), note }))
    }

    async fn save(&self, key: &CacheKey, stored: Stored<Host>, keep_for: Duration) -> Result<(), StoreError> {
        let Stored { response: Response { status, headers, body }, note } = stored;
        let mut fields = Vec::new();
        headers.each(&mut |name, value| fields.push((name.to_owned(), value.to_owned())));
        let has_body = body.is_some();
        let body = match body {
            None => Uint8Array::new_with_length(0),
            // A test holds the bound to a number that a usize of 32 bits holds.
            Some(body) => body
                .collect(FAR_ENTRY_BYTES_MAX as usize)
                .await
                .ok_or_else(|| StoreError(String::from("the body broke off, or is too long")))?,
        };
        // Plain data into a growing vector: nothing in it can fail.
        let front = postcard::to_allocvec(&Front { status, fields, note, has_body }).expect("plain data serialises");
        let front_bytes = front.len() as u32;
        let value = Uint8Array::new_with_length(LENGTH_BYTES + front_bytes + body.length());
        value.set(&Uint8Array::from(&front_bytes.to_le_bytes()[..]), 0);
        value.set(&Uint8Array::from(front.as_slice()), LENGTH_BYTES);
        value.set(&body, LENGTH_BYTES + front_bytes);
        let options = Object::new();
        let seconds = seconds_ceil(keep_for).max(EXPIRATION_SECONDS_MIN);
        // Seconds far below 2^53 are exact as a float.
        let set = Reflect::set(&options, &JsValue::from_str("expirationTtl"), &JsValue::from_f64(seconds as f64));
        set.map_err(|error| failed(&error))?;
        task::ended(&self.0.put(&key.to_string(), &value, &options)).await.map_err(|error| failed(&error))?;
        Ok(())
    }

    async fn remove(&self, key: &CacheKey) -> Result<(), StoreError> {
        task::ended(&self.0.delete(&key.to_string())).await.map_err(|error| failed(&error))?;
        Ok(())
    }
}

#[wasm_bindgen]
extern "C" {
    type Namespace;

    #[wasm_bindgen(method)]
    fn get(this: &Namespace, key: &str, form: &str) -> Promise;

    #[wasm_bindgen(method)]
    fn put(this: &Namespace, key: &str, value: &Uint8Array, options: &Object) -> Promise;

    #[wasm_bindgen(method)]
    fn delete(this: &Namespace, key: &str) -> Promise;
}

fn failed(error: &JsValue) -> StoreError {
    StoreError(message(error))
}

/// The length of the front stands before it.
const LENGTH_BYTES: u32 = 4;
/// What KV wants at least.
const EXPIRATION_SECONDS_MIN: u64 = 60;
