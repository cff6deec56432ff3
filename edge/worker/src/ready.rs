//! Responses in the memory of the isolate, with what JavaScript needs to send one made beforehand.

use alloc::{string::ToString, vec::Vec};
use core::{cell::RefCell, fmt};

use js_sys::Uint8Array;
use seawall_core::{
    headers::Fields,
    limit::{Verdict, fields},
};
use seawall_edge::{message::Response, pipeline::Shown};
use wasm_bindgen::JsValue;

use crate::{body::Body, headers::HeaderList, host::Host, mould::Mould};

/// A response that is sent many times.
pub(crate) struct Ready {
    status: u16,
    headers: HeaderList,
    body: Option<Uint8Array>,
    last: RefCell<Option<Last>>,
}

/// What the last answer said, changed where the next one differs.
struct Last {
    mould: Mould,
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
        let Last { mould, times, verdicts } = last.get_or_insert_with(|| {
            let mut headers = self.headers.clone();
            shown.write_constant(&mut headers);
            let mould = Mould::new(self.status, &headers, self.body.clone());
            Last { mould, times: None, verdicts: Vec::new() }
        });
        let now = (shown.age.as_secs(), shown.ttl.as_secs());
        if *times != Some(now) {
            mould.set("age", Some(&now.0.to_string()));
            mould.set("cache-status", Some(&shown.cache_status(self.headers.field("cache-status").as_deref())));
            *times = Some(now);
        }
        if verdicts != shown.verdicts() {
            mould.set(fields::RATE_LIMIT, shown.rate_limit().as_deref());
            verdicts.clear();
            verdicts.extend_from_slice(shown.verdicts());
        }
        mould.cast()
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").field("status", &self.status).finish_non_exhaustive()
    }
}

/// About what fields and metadata of one response take.
const BYTES_BESIDE_THE_BODY: usize = 2048;
