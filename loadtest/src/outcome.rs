//! How a request ended.

use serde::{Deserialize, Serialize};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A whole answer with status 200.
    Answered,
    /// 429: what a limit is for, so it is no error, and its time says nothing of a page.
    Limited,
    /// Anything else.
    Failed(Failure),
}

/// Why a request failed; the words stand in the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Failure {
    /// No connection.
    Connect,
    /// Not answered in full within the timeout.
    Timeout,
    /// The connection ended, or what came was no HTTP.
    Broken,
    /// 503: the server sheds load, and says so.
    Unavailable,
    /// Another status from 500 on.
    ServerError,
    /// A status that is neither 200 nor one of the above.
    Status,
    /// 200, and the page is not whole.
    NotWhole,
    /// Due, and never sent: no connection was free until long after the end.
    NotSent,
}

impl Failure {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Unavailable => "unavailable",
            Self::ServerError => "server_error",
            Self::Status => "status",
            Self::NotWhole => "not_whole",
            Self::NotSent => "not_sent",
        }
    }
}

impl Outcome {
    /// Reads an answer that came in full; `whole` says whether its body ends as it must.
    pub(crate) const fn of(status: u16, whole: bool) -> Self {
        match status {
            200 if whole => Self::Answered,
            200 => Self::Failed(Failure::NotWhole),
            429 => Self::Limited,
            503 => Self::Failed(Failure::Unavailable),
            500.. => Self::Failed(Failure::ServerError),
            _ => Self::Failed(Failure::Status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_sorted() {
        for (status, whole, outcome) in [
            (200, true, Outcome::Answered),
            (200, false, Outcome::Failed(Failure::NotWhole)),
            (429, false, Outcome::Limited),
            (503, true, Outcome::Failed(Failure::Unavailable)),
            (500, true, Outcome::Failed(Failure::ServerError)),
            (502, true, Outcome::Failed(Failure::ServerError)),
            (404, true, Outcome::Failed(Failure::Status)),
            (301, true, Outcome::Failed(Failure::Status)),
        ] {
            assert_eq!(Outcome::of(status, whole), outcome, "{status}");
        }
    }
}
