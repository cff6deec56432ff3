//! Why a rule cannot be.

use core::fmt;

/// Why a rule other than [`Quota`](super::Quota) cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuleError {
    /// The time is zero or has a part of a microsecond.
    TimeNotWholeMicros,
    /// The time is longer than [`Quota::WINDOW_MAX`](super::Quota::WINDOW_MAX).
    TimeTooLong,
    /// The bucket takes longer than [`Quota::REFILL_MAX`](super::Quota::REFILL_MAX) to fill.
    RefillTooLong,
    /// The limit is above [`SlidingLog::LIMIT_MAX`](super::SlidingLog::LIMIT_MAX).
    LogTooLong,
    /// The limit is above [`Concurrency::LIMIT_MAX`](super::Concurrency::LIMIT_MAX).
    TooManyLeases,
    /// The offset is outside [`Period::UTC_OFFSET_MINUTES`](super::Period::UTC_OFFSET_MINUTES).
    OffsetOutOfRange,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimeNotWholeMicros => "the time must be at least one microsecond, and whole microseconds",
            Self::TimeTooLong => "the time must be at most 366 days",
            Self::RefillTooLong => "the bucket must fill within ten years; make it smaller or the refill larger",
            Self::LogTooLong => "a sliding log keeps at most 64 units; use a sliding window for a larger limit",
            Self::TooManyLeases => "a concurrency limit holds at most 64 leases",
            Self::OffsetOutOfRange => "the offset from UTC must be from -720 to 840 minutes",
        })
    }
}

impl core::error::Error for RuleError {}
