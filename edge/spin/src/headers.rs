//! Header fields, copied out of Spin's world and back into it.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use seawall_core::headers::{Fields, Names, Values};
use seawall_edge::message::Headers;
use spin_sdk::wasip3::http::types::{ErrorCode, Fields as WasiFields};

/// Header fields in this component's memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpinHeaders(HeaderMap);

impl SpinHeaders {
    /// A copy of the fields that `keep` lets pass. Spin has checked their syntax; what would still not be a field is left
    /// out.
    pub(crate) fn copy(fields: &WasiFields, keep: impl Fn(&str) -> bool) -> Self {
        let fields = fields.copy_all();
        let mut map = HeaderMap::with_capacity(fields.len());
        for (name, value) in fields.iter().filter(|(name, _)| keep(name)) {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
                map.append(name, value);
            }
        }
        Self(map)
    }

    /// The fields as Spin takes them, those left out on which it would answer 500.
    pub(crate) fn to_wasi(&self) -> Result<WasiFields, ErrorCode> {
        let fields: Vec<(String, Vec<u8>)> = self
            .0
            .iter()
            .filter(|(name, _)| !FORBIDDEN.contains(&name.as_str()))
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect();
        WasiFields::from_list(&fields).map_err(|error| ErrorCode::InternalError(Some(error.to_string())))
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
    }

    /// Adds what was kept of [`SpinHeaders::pairs`].
    pub(crate) fn append_bytes(&mut self, name: &str, value: &[u8]) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
            self.0.append(name, value);
        }
    }
}

impl Fields for SpinHeaders {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.field(name)
    }

    fn fields<const N: usize>(&self, names: &Names<N>) -> Values<'_, N> {
        self.0.fields(names)
    }
}

impl Headers for SpinHeaders {
    fn set(&mut self, name: &str, value: &str) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            self.0.insert(name, value);
        }
    }

    fn append(&mut self, name: &str, value: &str) {
        self.append_bytes(name, value.as_bytes());
    }

    fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    fn each(&self, visit: &mut dyn FnMut(&str, &str)) {
        for (name, value) in &self.0 {
            visit(name.as_str(), &String::from_utf8_lossy(value.as_bytes()));
        }
    }
}

/// What concerns one connection and not the message (RFC 9110 §7.6.1). Spin refuses a message that has one.
const FORBIDDEN: [&str; 11] = [
    "connection",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
