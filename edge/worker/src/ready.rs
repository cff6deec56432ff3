//! Responses in the memory of the isolate, with what JavaScript needs to send one made beforehand.

use alloc::{string::ToString, vec::Vec};
use core::{cell::RefCell, fmt};

use js_sys::{Reflect, Uint8Array};
use seawall_core::{
    headers::Fields,
    limit::{Verdict, fields},
};
use seawall_edge::{message::Response, pipeline::Shown};
use wasm_bindgen::JsValue;
use web_sys::ResponseInit;

use crate::{body::Body, headers::HeaderList, host::Host};

/// A response that is sent many times.
pub(crate) struct Ready {
    status: u16,
    headers: HeaderList,
    body: Option<Uint8Array>,
    last: RefCell<Option<Last>>,
}

/// What the last answer said, changed where the next one differs. JavaScript copies it into each.
struct Last {
    headers: web_sys::Headers,
    init: ResponseInit,
    /// The age and the lifetime that stand there, in seconds.
    times: Option<(u64, u64)>,
    /// What the limits said.
    verdicts: Vec<Verdict>,
}

impl Ready {
    /// The response with all of its body, and the bytes that takes; `None` when it is longer than `bytes_max`, or
    /// breaks off.
    pub(crate) async fn new(response: Response<Host>, bytes_max: usize) -> Option<(Self, usize)> {
        let Response { status, headers, body } = response;
        let body = match body {
            None => None,
            Some(body) => Some(body.collect(bytes_max).await?),
        };
        let body_bytes = body.as_ref().map_or(0, |body| body.length() as usize);
        let ready = Self { status, headers, body, last: RefCell::default() };
        (body_bytes <= bytes_max).then_some((ready, body_bytes + BYTES_BESIDE_THE_BODY))
    }

    /// A response of its own.
    pub(crate) fn revive(&self) -> Response<Host> {
        Response::new(self.status, self.headers.clone(), self.body.clone().map(Body::Bytes))
    }

    /// The whole response, saying what `shown` says.
    pub(crate) fn send(&self, shown: &Shown<'_>) -> Result<web_sys::Response, JsValue> {
        let mut last = self.last.borrow_mut();
        let Last { headers, init, times, verdicts } = last.get_or_insert_with(|| {
            let mut headers = self.headers.clone();
            shown.write_constant(&mut headers);
            let headers = headers.to_js();
            let init = ResponseInit::new();
            init.set_status(self.status);
            init.set_headers(&headers);
            if self.headers.field("content-encoding").is_some() {
                // It is encoded already. An object of ours takes every property.
                let _ = Reflect::set(&init, &JsValue::from_str("encodeBody"), &JsValue::from_str("manual"));
            }
            Last { headers, init, times: None, verdicts: Vec::new() }
        });
        let now = (shown.age.as_secs(), shown.ttl.as_secs());
        if *times != Some(now) {
            set(headers, "age", &now.0.to_string());
            set(headers, "cache-status", &shown.cache_status(self.headers.field("cache-status").as_deref()));
            *times = Some(now);
        }
        if verdicts != shown.verdicts() {
            match shown.rate_limit() {
                Some(value) => set(headers, fields::RATE_LIMIT, &value),
                None => drop(headers.delete(fields::RATE_LIMIT)),
            }
            verdicts.clear();
            verdicts.extend_from_slice(shown.verdicts());
        }
        match &self.body {
            Some(body) => web_sys::Response::new_with_opt_js_u8_array_and_init(Some(body), init),
            None => web_sys::Response::new_with_opt_str_and_init(None, init),
        }
    }
}

/// Sets a field whose value is ours, so that JavaScript has nothing to refuse.
fn set(headers: &web_sys::Headers, name: &str, value: &str) {
    let _ = headers.set(name, value);
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").field("status", &self.status).finish_non_exhaustive()
    }
}

/// About what fields and metadata of one response take.
const BYTES_BESIDE_THE_BODY: usize = 2048;
