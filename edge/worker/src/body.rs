//! Bodies: JavaScript's streams handed on as they are.

use alloc::rc::Rc;

use js_sys::Uint8Array;
use seawall_edge::body::within;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::ReadableStream;

use crate::glue;

/// A body that stays on the JavaScript side, or a text of ours.
pub(crate) enum Body {
    Stream(ReadableStream),
    /// All of it, in memory; never changed.
    Bytes(Uint8Array),
    Text(Rc<str>),
}

impl Body {
    /// As a request or response takes it.
    pub(crate) fn to_js(&self) -> JsValue {
        match self {
            Self::Stream(stream) => stream.into(),
            Self::Bytes(bytes) => bytes.into(),
            Self::Text(text) => JsValue::from_str(text),
        }
    }

    /// All of it, in memory; `None` when it is a stream of more than `bytes_max`, or one that breaks off.
    pub(crate) async fn collect(self, bytes_max: usize) -> Option<Uint8Array> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Text(text) => Some(Uint8Array::from(text.as_bytes())),
            Self::Stream(stream) => glue::collect(&stream, bytes_max).await,
        }
    }
}

impl seawall_edge::Body for Body {
    fn tee(self) -> (Self, Self) {
        match self {
            Self::Text(text) => (Self::Text(Rc::clone(&text)), Self::Text(text)),
            Self::Bytes(bytes) => (Self::Bytes(bytes.clone()), Self::Bytes(bytes)),
            Self::Stream(stream) => {
                let branches = stream.tee();
                let branch = |at| Self::Stream(branches.get(at).unchecked_into());
                (branch(0), branch(1))
            }
        }
    }

    fn slice(self, first: u64, length: u64) -> Result<Self, Self> {
        match &self {
            Self::Stream(stream) => glue::cut(stream, first, length).map(Self::Stream).ok_or(self),
            Self::Bytes(bytes) => {
                // What is in memory is shorter than 4 GiB.
                let part = within(first, length, bytes.length() as usize);
                let part = part.map(|range| Self::Bytes(bytes.subarray(range.start as u32, range.end as u32)));
                part.ok_or(self)
            }
            // What is a text is an answer of our own, and of those nobody asks for a part.
            Self::Text(_) => Err(self),
        }
    }

    fn join(self, next: Self) -> Self {
        Self::Stream(glue::join(&self.to_js(), &next.to_js()))
    }
}
