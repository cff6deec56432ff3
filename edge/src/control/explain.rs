//! `explain?url=`: the request that an operator asks about.

use alloc::{borrow::ToOwned, string::String, vec::Vec};
use core::net::IpAddr;

use seawall_core::{cache::query::hex_digit, problem::Status};

use crate::{
    Platform,
    message::{Headers, Request, Response, parts},
    pipeline::explain,
};

use super::{Control, json, refusal};

impl<P: Platform> Control<'_, P> {
    /// What would become of `url`, an absolute URL in percent-encoding, asked for with `method`, `accept` and
    /// `accept-language` by `client`; all but the first may be left out.
    pub(super) async fn explain(&self, query: &str) -> Response<P> {
        let wrong = |detail| refusal(self.platform, Status::BadRequest, detail);
        let value = |name: &str| {
            let pair =
                |pair: &str| pair.split_once('=').and_then(|(known, value)| (known == name).then(|| decode(value)));
            query.split('&').find_map(pair)
        };
        let Some(Some(url)) = value("url") else {
            return wrong("Say which request: ?url= and an absolute URL in percent-encoding.");
        };
        let Some((scheme @ ("http" | "https"), host, path, query)) = parts(&url) else {
            return wrong("The URL must begin with http:// or https://.");
        };
        let mut headers = P::Headers::default();
        for name in ["accept", "accept-language"] {
            if let Some(Some(value)) = value(name) {
                headers.set(name, &value);
            }
        }
        let request = Request {
            method: value("method").flatten().unwrap_or_else(|| String::from("GET")),
            scheme: scheme.to_owned(),
            host: host.to_owned(),
            path: if path.is_empty() { String::from("/") } else { path.to_owned() },
            query: query.to_owned(),
            headers,
            body: None,
            client: value("client").flatten().and_then(|text| text.parse::<IpAddr>().ok()),
        };
        json(self.platform, explain(self.isolate, self.platform, request).await)
    }
}

/// Percent-decoding; `None` for what is no UTF-8 or no encoding. `+` stays what it is: in a URL that is a plus.
fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex_digit(bytes.next()?)? << 4 | hex_digit(bytes.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_read_back() {
        for (text, decoded) in [
            ("https%3A%2F%2Fa%2F%3Fq%3Db%2520c", Some("https://a/?q=b%20c")),
            ("a+b", Some("a+b")),
            ("", Some("")),
            ("%C3%A9", Some("é")),
            ("%", None),
            ("%4", None),
            ("%zz", None),
            ("%ff", None),
        ] {
            assert_eq!(decode(text).as_deref(), decoded, "{text}");
        }
    }
}
