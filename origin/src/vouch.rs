//! Whose word on a request is taken: the edge's, which shows its secret.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::Secret;

/// Where the edge shows its secret.
static EDGE_SECRET_FIELD: HeaderName = HeaderName::from_static("seawall-edge-secret");

/// Whether the edge vouches for what a request says of itself.
pub(crate) fn is_from_edge(headers: &HeaderMap, secret: &Secret) -> bool {
    secret.is(headers.get(&EDGE_SECRET_FIELD).map(HeaderValue::as_bytes).unwrap_or_default())
}
