//! A part of a body that flows: the runtime's own pipes pass a stream on whole, so this one reads it.

use js_sys::{Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{ReadableStream, ReadableStreamDefaultReader, WritableStream, WritableStreamDefaultWriter};

/// A stream of the bytes of `stream` from `first` on, `length` of them. Chunks stay on the JavaScript side; what comes
/// after the part is not waited for.
///
/// # Errors
/// When somebody reads the stream already.
pub(crate) fn cut(stream: &ReadableStream, first: u64, length: u64) -> Result<ReadableStream, JsValue> {
    let reader = ReadableStreamDefaultReader::new(stream)?;
    // Sizes of bodies are exact as floats up to 2^53.
    let part = FixedLengthStream::new(length as f64);
    let writer = part.writable().get_writer()?;
    spawn_local(async move {
        // A client that left wants no more of it, and a body that broke off has no more: both end the answer short of
        // its length, which is how a client sees it.
        if copy(&reader, &writer, first, length).await.is_err() {
            let _ = JsFuture::from(writer.abort()).await;
        }
        let _ = JsFuture::from(reader.cancel()).await;
    });
    Ok(part.readable())
}

async fn copy(
    reader: &ReadableStreamDefaultReader,
    writer: &WritableStreamDefaultWriter,
    first: u64,
    length: u64,
) -> Result<(), JsValue> {
    let (mut skip, mut left) = (first, length);
    while left > 0 {
        let step: Object = JsFuture::from(reader.read()).await?.unchecked_into();
        let chunk = Reflect::get(&step, &JsValue::from_str("value"))?;
        let Ok(chunk) = chunk.dyn_into::<Uint8Array>() else { break };
        let bytes = u64::from(chunk.length());
        let from = skip.min(bytes);
        let until = (from + left).min(bytes);
        if from < until {
            // Both within the chunk, whose length is 32 bits.
            let part = chunk.subarray(from as u32, until as u32);
            JsFuture::from(writer.write_with_chunk(&part)).await?;
        }
        skip -= from;
        left -= until - from;
    }
    JsFuture::from(writer.close()).await.map(drop)
}

#[wasm_bindgen]
extern "C" {
    /// workerd's own pipe for a body of known length.
    type FixedLengthStream;

    #[wasm_bindgen(constructor)]
    fn new(length: f64) -> FixedLengthStream;

    #[wasm_bindgen(method, getter)]
    fn readable(this: &FixedLengthStream) -> ReadableStream;

    #[wasm_bindgen(method, getter)]
    fn writable(this: &FixedLengthStream) -> WritableStream;
}
