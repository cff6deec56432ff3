//! Answers that are nearly the same, made of one set of fields and one body that stay on the JavaScript side.

use js_sys::{Reflect, Uint8Array};
use seawall_core::headers::Fields;
use wasm_bindgen::JsValue;
use web_sys::ResponseInit;

use crate::headers::HeaderList;

/// What answers are made of; JavaScript copies the fields into each.
pub(crate) struct Mould {
    headers: web_sys::Headers,
    init: ResponseInit,
    body: Option<Uint8Array>,
}

impl Mould {
    pub(crate) fn new(status: u16, headers: &HeaderList, body: Option<Uint8Array>) -> Self {
        let is_encoded = headers.field("content-encoding").is_some();
        let headers = headers.to_js();
        let init = ResponseInit::new();
        init.set_status(status);
        init.set_headers(&headers);
        if is_encoded {
            // It stays so. An object of ours takes every property.
            let _ = Reflect::set(&init, &JsValue::from_str("encodeBody"), &JsValue::from_str("manual"));
        }
        Self { headers, init, body }
    }

    /// Sets a field for the next answers, or takes it away. Its value is ours, so JavaScript has nothing to refuse.
    pub(crate) fn set(&self, name: &str, value: Option<&str>) {
        let _ = match value {
            Some(value) => self.headers.set(name, value),
            None => self.headers.delete(name),
        };
    }

    /// An answer.
    pub(crate) fn cast(&self) -> Result<web_sys::Response, JsValue> {
        match &self.body {
            Some(body) => web_sys::Response::new_with_opt_js_u8_array_and_init(Some(body), &self.init),
            None => web_sys::Response::new_with_opt_str_and_init(None, &self.init),
        }
    }
}
