//! The few lines of JavaScript beside the Worker, in `glue.js`.

use alloc::string::String;
use core::time::Duration;

use js_sys::{Array, Function, Object, Promise, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use web_sys::ReadableStream;

use crate::task;

#[wasm_bindgen(module = "/src/glue.js")]
extern "C" {
    /// What decides how a request is answered, in one call: a line for the method, one for the URL, and one for each of
    /// `names`, which is empty when the field is absent and begins with `=` otherwise.
    pub(crate) fn head(request: &web_sys::Request, names: &Array) -> String;

    /// A random number that nobody has had.
    ///
    /// # Errors
    /// Outside a request, where the runtime gives none.
    #[wasm_bindgen(catch)]
    pub(crate) fn random() -> Result<u64, JsValue>;

    /// Takes in what a request says of the place that it came to. An isolate is in one place, so the first one is enough.
    #[wasm_bindgen(js_name = learnPlace)]
    pub(crate) fn learn_place(request: &web_sys::Request);

    /// The point of presence that this isolate is in; locally there is one, without a name.
    #[wasm_bindgen(js_name = place)]
    pub(crate) fn place() -> String;

    /// All bytes of a stream, or null when there are more than `most`.
    #[wasm_bindgen(js_name = collect)]
    fn collect_js(stream: &ReadableStream, most: f64) -> Promise;

    /// All fields: a line for each name, and one for its value.
    pub(crate) fn fields(headers: &web_sys::Headers) -> String;

    /// The fields of a response, likewise; `None` of what is none.
    #[wasm_bindgen(js_name = fieldsOf)]
    pub(crate) fn fields_of(response: &JsValue) -> Option<String>;

    /// Looks into the Cache API of this place: a promise of a response, or of nothing.
    #[wasm_bindgen(catch, js_name = findStored)]
    pub(crate) fn find_stored(url: &str) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn store(url: &str, entry: &web_sys::Response) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch, js_name = removeStored)]
    pub(crate) fn remove_stored(url: &str) -> Result<Promise, JsValue>;

    /// The fields of such a text, but for what JavaScript refuses.
    pub(crate) fn headers(fields: &str) -> web_sys::Headers;

    /// Calls the origin: a promise of the response, or of null when no header came within the deadline.
    pub(crate) fn call(url: &str, method: &str, fields: &str, body: &JsValue, deadline_ms: f64) -> Promise;

    /// Asks a Durable Object: a promise of the text of its answer, or of null when there was none within the deadline.
    #[wasm_bindgen(js_name = ask)]
    fn ask_js(namespace: &Object, name: &str, question: &str, deadline_ms: f64) -> Promise;

    /// A promise that ends after some time, or earlier when the function that `take` is given is called.
    pub(crate) fn pause(ms: f64, take: &mut dyn FnMut(Function)) -> Promise;

    /// A response of these parts.
    #[wasm_bindgen(catch)]
    pub(crate) fn answer(status: u16, fields: &str, body: &JsValue) -> Result<web_sys::Response, JsValue>;

    #[wasm_bindgen(catch, js_name = cut)]
    fn cut_js(stream: &ReadableStream, first: f64, length: f64) -> Result<ReadableStream, JsValue>;

    /// One body and then another, each as [`answer`] takes it.
    pub(crate) fn join(first: &JsValue, next: &JsValue) -> ReadableStream;

    /// What an error says.
    #[wasm_bindgen(js_name = reason)]
    pub(crate) fn message(error: &JsValue) -> String;
}

/// All bytes of a stream; `None` when there are more than `most`, or it breaks off.
pub(crate) async fn collect(stream: &ReadableStream, most: usize) -> Option<Uint8Array> {
    // Lengths far below 2^53 are exact as floats.
    task::ended(&collect_js(stream, most as f64)).await.ok()?.dyn_into().ok()
}

/// The bytes of a stream from `first` on, `length` of them; `None` when JavaScript refuses, and the stream is as it was.
pub(crate) fn cut(stream: &ReadableStream, first: u64, length: u64) -> Option<ReadableStream> {
    let exact = |number: u64| (number <= EXACT_MAX).then_some(number as f64);
    cut_js(stream, exact(first)?, exact(length)?).ok()
}

/// The answer of the Durable Object of that name; `None` when there was none within the deadline.
///
/// # Errors
/// When the way there is broken, or the object does not take the question.
pub(crate) async fn ask(
    namespace: &Object,
    name: &str,
    question: &str,
    deadline: Duration,
) -> Result<Option<String>, String> {
    text(ask_js(namespace, name, question, millis(deadline))).await
}

/// The text that a promise ends with; `None` when it ends with none.
///
/// # Errors
/// With what the promise was refused for.
pub(crate) async fn text(promise: Promise) -> Result<Option<String>, String> {
    match task::ended(&promise).await {
        Ok(said) => Ok(said.as_string()),
        Err(error) => Err(message(&error)),
    }
}

/// A time in milliseconds is exact as a float.
pub(crate) const fn millis(time: Duration) -> f64 {
    time.as_millis() as f64
}

/// Beyond it, a float may be another number.
const EXACT_MAX: u64 = 1 << 53;
