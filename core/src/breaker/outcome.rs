//! What the end of a call tells the breaker.

use core::time::Duration;

use super::Config;

/// What became of one call, as the breaker counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Outcome {
    /// The upstream did its work, whatever it thought of the request.
    Success,
    /// The upstream did its work, but took longer than a call should.
    Slow,
    /// The upstream did not do its work.
    Failure {
        /// Whether it also took longer than a call should.
        slow: bool,
        /// How long it asked to be left alone, if it did.
        retry_after: Option<Duration>,
    },
    /// The call says nothing about the upstream's health.
    Ignored,
}

/// How a call ended, as the host saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A response began.
    Status {
        /// The status code.
        status: u16,
        /// The response's `Retry-After`, if it has one.
        retry_after: Option<Duration>,
    },
    /// No connection, or it broke before a response began.
    Disconnected,
    /// No response began within the deadline.
    TimedOut,
    /// The client left first.
    Abandoned,
}

impl Outcome {
    /// Sorts the end of a call: 502, 503, 504, a lost connection and a missed deadline are failures, and
    /// 500 is one where `config` says so.
    ///
    /// Every other response is a success, 4xx included: the upstream works, the request is at fault. 429 is
    /// ignored, because an upstream that counts its callers is healthy; it is a matter for throttling. A
    /// call that the client gave up says nothing. Responses that did not come from the upstream (from a
    /// cache, or made by the host) are not to be recorded at all.
    ///
    /// `took` is the time from the start of the call to its end; where `config` has a `slow_call`, one that
    /// took as long is slow, failed or not. A clock that stepped back meanwhile makes it zero, and no call slow.
    #[must_use]
    pub fn classify(config: &Config, reply: Reply, took: Duration) -> Self {
        let slow = config.slow_call.is_some_and(|slow_call| took >= slow_call);
        match reply {
            Reply::Disconnected | Reply::TimedOut => Self::Failure { slow, retry_after: None },
            Reply::Abandoned | Reply::Status { status: 429, .. } => Self::Ignored,
            Reply::Status { status: 502..=504, retry_after } => Self::Failure { slow, retry_after },
            Reply::Status { status: 500, retry_after } if config.fail_on_500 => Self::Failure { slow, retry_after },
            Reply::Status { .. } if slow => Self::Slow,
            Reply::Status { .. } => Self::Success,
        }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Failure { retry_after, .. } => *retry_after,
            Self::Success | Self::Slow | Self::Ignored => None,
        }
    }
}
