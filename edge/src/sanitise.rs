//! The first stage: one reading of each request, the same for the cache key, the limits and the origin.
//!
//! Whatever two parsers could read in two ways is refused rather than repaired.

use alloc::{format, string::String};

use seawall_core::{cache::query::hex_digit, headers::Fields};

use crate::{
    Platform,
    limits::{CONNECTION_OPTIONS_MAX, HOST_BYTES_MAX, METHOD_BYTES_MAX, PATH_BYTES_MAX, QUERY_BYTES_MAX, RANGES_MAX},
    message::{Headers, Request},
};

/// Why a request goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// A method that no HTTP server takes, or that no route does.
    Method,
    /// A host name with characters that a host name cannot have.
    Host,
    /// A path that could be read in two ways.
    Path,
    /// A path or query above its bound.
    TooLong,
    /// Bytes in the query that have no place in a URL.
    Query,
    /// A `Connection` field that names fields it must not touch, or too many.
    Connection,
}

impl Malformed {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Host => "host",
            Self::Path => "path",
            Self::TooLong => "too-long",
            Self::Query => "query",
            Self::Connection => "connection",
        }
    }

    pub(crate) const fn status(self) -> u16 {
        match self {
            Self::Method => 501,
            Self::TooLong => 414,
            Self::Host | Self::Path | Self::Query | Self::Connection => 400,
        }
    }

    /// What a person who sees it can do.
    pub(crate) const fn detail(self) -> &'static str {
        match self {
            Self::Method => "This method is not supported.",
            Self::Host => "The host name is not valid.",
            Self::Path => {
                "Servers could read this path in two ways. It must not hold dot segments, empty segments, semicolons, \
                 backslashes or square brackets, nor percent signs but for the encoding of a character other than \
                 slash, backslash, percent sign, question mark, number sign, semicolon and control characters."
            }
            Self::TooLong => "The address is too long.",
            Self::Query => "The query holds a character that must be percent-encoded.",
            Self::Connection => "The Connection field names a field that is not hop-by-hop.",
        }
    }
}

/// Checks a request and takes out of it what must not travel: hop-by-hop fields, fields that claim who the client
/// is or where the request should go, a method in a header, and a body where none belongs.
pub(crate) fn sanitise<P: Platform>(request: &mut Request<P>) -> Result<(), Malformed> {
    if !is_method(&request.method) {
        return Err(Malformed::Method);
    }
    (request.host, request.path) = place(&request.host, &request.path, &request.query)?;
    let named = request.headers.field("connection").map(|value| value.to_ascii_lowercase()).unwrap_or_default();
    for (count, name) in named.split(',').map(str::trim).filter(|name| !name.is_empty()).enumerate() {
        if count == CONNECTION_OPTIONS_MAX || END_TO_END.contains(&name) {
            return Err(Malformed::Connection);
        }
        request.headers.remove(name);
    }
    for name in HOP_BY_HOP.iter().chain(&SPOOFABLE) {
        request.headers.remove(name);
    }
    if matches!(request.method.as_str(), "GET" | "HEAD") {
        request.body = None;
        request.headers.remove("content-length");
    }
    Ok(())
}

/// Whether an origin may be asked with this method: a token (RFC 9110 §9.1) of a length that methods have.
fn is_method(method: &str) -> bool {
    let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=METHOD_BYTES_MAX).contains(&method.len())
        && method.bytes().all(is_token_byte)
        && !NEVER_SERVED.contains(&method)
}

/// The one spelling of a host and a path, if they have one and the query holds nothing that it must not.
pub(crate) fn place(host: &str, path: &str, query: &str) -> Result<(String, String), Malformed> {
    if path.len() > PATH_BYTES_MAX || query.len() > QUERY_BYTES_MAX {
        return Err(Malformed::TooLong);
    }
    let host = self::host(host).ok_or(Malformed::Host)?;
    let path = canonical_path(path).ok_or(Malformed::Path)?;
    if query.bytes().all(is_query_byte) { Ok((host, path)) } else { Err(Malformed::Query) }
}

/// Takes a `Range` of more parts than anyone needs out of a request: an origin that obeys it sends every byte many times
/// over. It sends the whole instead, as RFC 9110 §14.2 allows.
pub(crate) fn drop_many_ranges(headers: &mut impl Headers) {
    if headers.field("range").is_some_and(|value| value.matches(',').count() >= RANGES_MAX) {
        headers.remove("range");
    }
}

/// Host in lower case, with a port of digits; `None` for anything else. A bracketed IPv6 address passes.
fn host(host: &str) -> Option<String> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => (host, "0"),
    };
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let is_name = !name.is_empty() && name.bytes().all(is_name_byte);
    let is_address = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.'));
    let is_port = !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    (host.len() <= HOST_BYTES_MAX && (is_name || is_address) && is_port).then(|| host.to_ascii_lowercase())
}

/// The path in its one spelling: unreserved characters decoded, other escapes in upper case. `None` when servers
/// disagree about what it means.
pub(crate) fn canonical_path(path: &str) -> Option<String> {
    let rest = path.strip_prefix('/')?;
    let mut canonical = String::with_capacity(path.len());
    let last = rest.split('/').count() - 1;
    for (at, segment) in rest.split('/').enumerate() {
        let start = canonical.len() + 1;
        canonical.push('/');
        let mut bytes = segment.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'%' => {
                    let decoded = hex_digit(bytes.next()?)? << 4 | hex_digit(bytes.next()?)?;
                    match decoded {
                        decoded if is_unreserved(decoded) => canonical.push(char::from(decoded)),
                        b'/' | b'\\' | b'%' | b'?' | b'#' | b';' | 0..=0x1f | 0x7f => return None,
                        decoded => canonical.push_str(&format!("%{decoded:02X}")),
                    }
                }
                byte if is_unreserved(byte) || PATH_PUNCTUATION.contains(&byte) => canonical.push(char::from(byte)),
                _ => return None,
            }
        }
        let segment = &canonical[start..];
        if matches!(segment, "." | "..") || (segment.is_empty() && at != last) {
            return None;
        }
    }
    Some(canonical)
}

/// RFC 3986 §2.3: an escape of one of these means the same as the character.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986 §3.4, and the few more that browsers send as they are.
const fn is_query_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'#' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`')
}

/// What else may stand in a path as it is (RFC 3986 §3.3). `;` is left out: some servers cut a path there.
const PATH_PUNCTUATION: &[u8] = b"!$&'()*+,=:@";

/// Methods that are for the hop itself: `CONNECT` asks for a tunnel, and `TRACE` for what was sent, secrets included
/// (RFC 9110 §9.3.6, §9.3.8).
const NEVER_SERVED: [&str; 2] = ["CONNECT", "TRACE"];

/// Fields of one connection (RFC 9110 §7.6.1 and the older ones that still occur).
pub(crate) const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields with which a client could claim another address, host, path or method than its own, or to be part of a trace of
/// the operator's and have it sampled; and those that carry this edge's own secrets.
const SPOOFABLE: [&str; 27] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-original-host",
    "x-original-url",
    "x-rewrite-url",
    "true-client-ip",
    "cf-connecting-ip",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-middleware-subrequest",
    "cdn-loop",
    "traceparent",
    "tracestate",
    "baggage",
    crate::settings::SECRET_FIELD,
    crate::settings::EDGE_SECRET_FIELD,
];

/// Fields that must reach the origin when they were sent: naming one in `Connection` would take it away.
const END_TO_END: [&str; 8] =
    ["authorization", "cache-control", "content-length", "content-type", "cookie", "host", "origin", "range"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling_or_none() {
        for (given, expect) in [
            ("/", Some("/")),
            ("/search", Some("/search")),
            ("/search/", Some("/search/")),
            ("/%73earch", Some("/search")),
            ("/a%20b", Some("/a%20b")),
            ("/%c3%a9", Some("/%C3%A9")),
            ("/~a/-._", Some("/~a/-._")),
            ("/a:b@c!$&'()*+,=", Some("/a:b@c!$&'()*+,=")),
            ("", None),
            ("search", None),
            ("//search", None),
            ("/a//b", None),
            ("/a/../b", None),
            ("/a/%2e%2E/b", None),
            ("/.", None),
            ("/a/.", None),
            ("/a%2fb", None),
            ("/a%5cb", None),
            ("/a\\b", None),
            ("/a%00", None),
            ("/a%0d%0ab", None),
            ("/a%23b", None),
            ("/a%3fb", None),
            ("/a%252fb", None),
            ("/a%3bjs", None),
            ("/a;b.css", None),
            ("/a%2", None),
            ("/a%zz", None),
            ("/a b", None),
            ("/é", None),
        ] {
            assert_eq!(canonical_path(given).as_deref(), expect, "{given}");
        }
    }

    #[test]
    fn a_path_in_its_one_spelling_stays_as_it_is() {
        for given in ["/a%20b/%C3%A9", "/search", "/report/3507/004"] {
            assert_eq!(canonical_path(given).as_deref(), Some(given));
        }
    }

    #[test]
    fn a_method_is_a_token_and_not_for_the_hop() {
        let long = "A".repeat(METHOD_BYTES_MAX + 1);
        for (given, expect) in [
            ("GET", true),
            ("M-SEARCH", true),
            ("get", true),
            ("", false),
            ("GET /", false),
            ("GET\r\n", false),
            ("TRACE", false),
            ("CONNECT", false),
            (&long[1..], true),
            (&long, false),
        ] {
            assert_eq!(is_method(given), expect, "{given}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address_with_a_port() {
        for (given, expect) in [
            ("Permits.Example", Some("permits.example")),
            ("permits.example:8787", Some("permits.example:8787")),
            ("127.0.0.1:8787", Some("127.0.0.1:8787")),
            ("[::1]:8787", Some("[::1]:8787")),
            ("[::1]", Some("[::1]")),
            ("", None),
            (":80", None),
            ("a b", None),
            ("a/b", None),
            ("a@b", None),
            ("a:b", None),
            ("a:", None),
            ("a:123456", None),
            ("[::1", None),
            ("a\r\nx", None),
        ] {
            assert_eq!(host(given).as_deref(), expect, "{given}");
        }
        assert_eq!(host(&"a".repeat(HOST_BYTES_MAX)).map(|host| host.len()), Some(HOST_BYTES_MAX));
        assert_eq!(host(&"a".repeat(HOST_BYTES_MAX + 1)), None);
    }
}
