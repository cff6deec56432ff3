//! JavaScript `Headers`, read and changed in place.

use std::borrow::Cow;

use js_sys::{Array, JsString};
use seawall_core::headers::Fields;
use seawall_edge::message::Headers;
use wasm_bindgen::JsCast;

/// Header fields that live on the JavaScript side. A clone is a copy, as for any other value.
#[derive(Debug)]
pub(crate) struct JsHeaders(web_sys::Headers);

impl JsHeaders {
    pub(crate) const fn as_js(&self) -> &web_sys::Headers {
        &self.0
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        // Fails only for names that no field can have, and those are absent.
        self.0.get(name).ok().flatten()
    }
}

impl From<web_sys::Headers> for JsHeaders {
    fn from(headers: web_sys::Headers) -> Self {
        Self(headers)
    }
}

impl Default for JsHeaders {
    fn default() -> Self {
        // The constructor without arguments has nothing to refuse.
        Self(web_sys::Headers::new().expect("empty headers"))
    }
}

impl Clone for JsHeaders {
    fn clone(&self) -> Self {
        // Copying valid fields has nothing to refuse.
        Self(web_sys::Headers::new_with_headers(&self.0).expect("a copy of valid headers"))
    }
}

impl Fields for JsHeaders {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).map(Cow::Owned)
    }
}

// A value that JavaScript refuses (a line break in it, say) is left out: no field is better than a forged one.
impl Headers for JsHeaders {
    fn set(&mut self, name: &str, value: &str) {
        let _ = self.0.set(name, value);
    }

    fn append(&mut self, name: &str, value: &str) {
        let _ = self.0.append(name, value);
    }

    fn remove(&mut self, name: &str) {
        let _ = self.0.delete(name);
    }

    fn each(&self, visit: &mut dyn FnMut(&str, &str)) {
        for entry in self.0.entries().into_iter().flatten() {
            let Ok(pair) = entry.dyn_into::<Array>() else { continue };
            let text = |at| pair.get(at).dyn_into::<JsString>().map(String::from);
            if let (Ok(name), Ok(value)) = (text(0), text(1)) {
                visit(&name, &value);
            }
        }
    }
}
