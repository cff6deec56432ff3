//! The security fields every answer carries.

use std::sync::LazyLock;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderValue;
use http::header::{CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};

use crate::pages::place::static_base_url;

/// Everything comes from this site and the host of its files, nothing is inline, and no page may frame ours.
fn policy(files: &str) -> String {
    let files = if files.is_empty() { String::new() } else { format!(" {files}") };
    format!(
        "default-src 'none'; script-src 'self'{files}; style-src 'self'{files}; img-src 'self'{files}; \
         font-src 'self'{files}; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    // Where our files are has been read as a scheme and a host, which fit into a field.
    HeaderValue::try_from(policy(static_base_url())).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

const FIELDS: [(HeaderName, &str); 5] = [
    (X_FRAME_OPTIONS, "DENY"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "strict-origin-when-cross-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Adds the fields.
pub(crate) async fn layer(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    for (name, value) in FIELDS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_lets_nothing_inline_run() {
        for files in ["", "https://static.example.org"] {
            let policy = policy(files);
            assert!(!policy.contains("unsafe") && policy.starts_with("default-src 'none'"), "{policy}");
        }
        assert!(policy("https://static.example.org").contains("style-src 'self' https://static.example.org;"));
        assert!(!policy("").contains(" ;"));
    }
}
