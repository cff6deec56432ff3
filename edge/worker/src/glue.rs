//! The few lines of JavaScript beside the Worker, in `glue.js`.

use js_sys::{Array, Promise, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use web_sys::ReadableStream;

#[wasm_bindgen(module = "/src/glue.js")]
extern "C" {
    /// What decides how a request is answered, in one call: a line for the method, one for the URL, and one for each of
    /// `names`, which is empty when the field is absent and begins with `=` otherwise.
    pub(crate) fn head(request: &web_sys::Request, names: &Array) -> String;

    /// All bytes of a stream, or null when there are more than `most`.
    #[wasm_bindgen(js_name = collect)]
    fn collect_js(stream: &ReadableStream, most: f64) -> Promise;

    /// All fields: a line for each name, and one for its value.
    pub(crate) fn fields(headers: &web_sys::Headers) -> String;

    /// The fields of such a text, but for what JavaScript refuses.
    pub(crate) fn headers(fields: &str) -> web_sys::Headers;

    /// Calls the origin: a promise of the response, or of null when no header came within the deadline.
    pub(crate) fn call(url: &str, method: &str, fields: &str, body: &JsValue, deadline_ms: f64) -> Promise;

    /// A response of these parts.
    #[wasm_bindgen(catch)]
    pub(crate) fn answer(status: u16, fields: &str, body: &JsValue) -> Result<web_sys::Response, JsValue>;

    #[wasm_bindgen(catch, js_name = cut)]
    fn cut_js(stream: &ReadableStream, first: f64, length: f64) -> Result<ReadableStream, JsValue>;
}

/// All bytes of a stream; `None` when there are more than `most`, or it breaks off.
pub(crate) async fn collect(stream: &ReadableStream, most: usize) -> Option<Uint8Array> {
    // Lengths far below 2^53 are exact as floats.
    JsFuture::from(collect_js(stream, most as f64)).await.ok()?.dyn_into().ok()
}

/// The bytes of a stream from `first` on, `length` of them; `None` when JavaScript refuses, and the stream is as it was.
pub(crate) fn cut(stream: &ReadableStream, first: u64, length: u64) -> Option<ReadableStream> {
    let exact = |number: u64| (number <= EXACT_MAX).then_some(number as f64);
    cut_js(stream, exact(first)?, exact(length)?).ok()
}

/// Beyond it, a float may be another number.
const EXACT_MAX: u64 = 1 << 53;
