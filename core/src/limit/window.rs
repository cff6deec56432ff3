//! What windows have in common.

use core::time::Duration;

use super::{Quota, RuleError};
use crate::time::nanos;

/// The time as nanoseconds, if it is one that rules count in: whole microseconds, because that is as fine as the
/// clock of a shared store is, so that every store decides alike.
pub(super) fn window_ns(time: Duration) -> Result<u64, RuleError> {
    if time > Quota::WINDOW_MAX {
        return Err(RuleError::TimeTooLong);
    }
    match nanos(time) {
        0 => Err(RuleError::TimeNotWholeMicros),
        ns if !ns.is_multiple_of(1000) => Err(RuleError::TimeNotWholeMicros),
        ns => Ok(ns),
    }
}
