//! Errors that a client can read: RFC 9457 problem details.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use crate::json::append_string;

/// The media type of [`Problem::to_json`].
pub const CONTENT_TYPE: &str = "application/problem+json";

/// One problem with one request.
///
/// ```
/// use seawall_core::problem::{Problem, Status};
///
/// let problem = Problem::plain(Status::GatewayTimeout, "The origin did not answer in time.");
/// assert_eq!(problem.status(), 504);
/// assert_eq!(
///     problem.to_json(),
///     r#"{"type":"about:blank","title":"Gateway Timeout","status":504,"detail":"The origin did not answer in time."}"#,
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem<'a> {
    kind: Kind<'a>,
    detail: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind<'a> {
    QuotaExceeded { violated: Vec<&'a str> },
    TemporaryReducedCapacity,
    AbnormalUsage { violated: Vec<&'a str> },
    Plain(Status),
}

/// Statuses of problems that need no type of their own: the status says it all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the status code of its name in RFC 9110 §15 or RFC 6585")]
pub enum Status {
    BadRequest = 400,
    Unauthorized = 401,
    NotFound = 404,
    MethodNotAllowed = 405,
    ContentTooLarge = 413,
    UriTooLong = 414,
    MisdirectedRequest = 421,
    RequestHeaderFieldsTooLarge = 431,
    InternalServerError = 500,
    NotImplemented = 501,
    BadGateway = 502,
    ServiceUnavailable = 503,
    GatewayTimeout = 504,
}

impl<'a> Problem<'a> {
    /// The client spent more than its quota: 429, naming the limits that object
    /// (draft-ietf-httpapi-ratelimit-headers-11, problem type `quota-exceeded`).
    #[must_use]
    pub fn quota_exceeded(violated: impl IntoIterator<Item = &'a str>, detail: &'a str) -> Self {
        Self { kind: Kind::QuotaExceeded { violated: violated.into_iter().collect() }, detail }
    }

    /// The site cannot do its work for the moment, whoever asks: 503 (same draft, problem type
    /// `temporary-reduced-capacity`).
    #[must_use]
    pub const fn temporary_reduced_capacity(detail: &'a str) -> Self {
        Self { kind: Kind::TemporaryReducedCapacity, detail }
    }

    /// The client is on a deny list, or in the penalty that its pattern of requests has earned: 429, naming what it
    /// broke, which may be nothing that has a name (same draft, problem type `abnormal-usage-detected`).
    #[must_use]
    pub fn abnormal_usage(violated: impl IntoIterator<Item = &'a str>, detail: &'a str) -> Self {
        Self { kind: Kind::AbnormalUsage { violated: violated.into_iter().collect() }, detail }
    }

    /// A problem that its status explains (RFC 9457 §4.2.1, `about:blank`).
    #[must_use]
    pub const fn plain(status: Status, detail: &'a str) -> Self {
        Self { kind: Kind::Plain(status), detail }
    }

    /// The status code of the response.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self.kind {
            Kind::QuotaExceeded { .. } | Kind::AbnormalUsage { .. } => 429,
            Kind::TemporaryReducedCapacity => 503,
            Kind::Plain(status) => status as u16,
        }
    }

    /// The response body.
    #[must_use]
    pub fn to_json(&self) -> String {
        let (type_uri, title) = match self.kind {
            Kind::QuotaExceeded { .. } => (
                "https://iana.org/assignments/http-problem-types#quota-exceeded",
                "Request cannot be satisfied as assigned quota has been exceeded",
            ),
            Kind::TemporaryReducedCapacity => (
                "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
                "Request cannot be satisfied due to temporary server capacity constraints",
            ),
            Kind::AbnormalUsage { .. } => (
                "https://iana.org/assignments/http-problem-types#abnormal-usage-detected",
                "Request not satisfied due to detection of abnormal request pattern",
            ),
            Kind::Plain(status) => ("about:blank", status.phrase()),
        };
        let mut json = String::from("{\"type\":");
        append_string(&mut json, type_uri);
        json.push_str(",\"title\":");
        append_string(&mut json, title);
        // Writing a number to a String does not fail.
        let _ = write!(json, ",\"status\":{}", self.status());
        json.push_str(",\"detail\":");
        append_string(&mut json, self.detail);
        if let Kind::QuotaExceeded { violated } | Kind::AbnormalUsage { violated } = &self.kind {
            json.push_str(",\"violated-policies\":[");
            for (at, name) in violated.iter().enumerate() {
                if at > 0 {
                    json.push(',');
                }
                append_string(&mut json, name);
            }
            json.push(']');
        }
        json.push('}');
        json
    }
}

impl Status {
    /// The reason phrase, which is the title of an `about:blank` problem.
    #[must_use]
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::BadRequest => "Bad Request",
            Self::Unauthorized => "Unauthorized",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::ContentTooLarge => "Content Too Large",
            Self::UriTooLong => "URI Too Long",
            Self::MisdirectedRequest => "Misdirected Request",
            Self::RequestHeaderFieldsTooLarge => "Request Header Fields Too Large",
            Self::InternalServerError => "Internal Server Error",
            Self::NotImplemented => "Not Implemented",
            Self::BadGateway => "Bad Gateway",
            Self::ServiceUnavailable => "Service Unavailable",
            Self::GatewayTimeout => "Gateway Timeout",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_type_status_and_members() {
        for (problem, status, json) in [
            (
                Problem::quota_exceeded(["search", "client"], "Wait 4 seconds."),
                429,
                concat!(
                    r#"{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","#,
                    r#""title":"Request cannot be satisfied as assigned quota has been exceeded","status":429,"#,
                    r#""detail":"Wait 4 seconds.","violated-policies":["search","client"]}"#
                ),
            ),
            (
                Problem::temporary_reduced_capacity("The origin rests."),
                503,
                concat!(
                    r#"{"type":"https://iana.org/assignments/http-problem-types#temporary-reduced-capacity","#,
                    r#""title":"Request cannot be satisfied due to temporary server capacity constraints","#,
                    r#""status":503,"detail":"The origin rests."}"#
                ),
            ),
            (
                Problem::abnormal_usage([], "Ask the operator."),
                429,
                concat!(
                    r#"{"type":"https://iana.org/assignments/http-problem-types#abnormal-usage-detected","#,
                    r#""title":"Request not satisfied due to detection of abnormal request pattern","status":429,"#,
                    r#""detail":"Ask the operator.","violated-policies":[]}"#
                ),
            ),
            (
                Problem::plain(Status::MisdirectedRequest, "This host is not served here."),
                421,
                concat!(
                    r#"{"type":"about:blank","title":"Misdirected Request","status":421,"#,
                    r#""detail":"This host is not served here."}"#
                ),
            ),
        ] {
            assert_eq!((problem.status(), &*problem.to_json()), (status, json));
        }
    }
}
