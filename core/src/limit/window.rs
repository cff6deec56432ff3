//! What windows have in common.

#[cfg(feature = "serde")]
use core::num::NonZeroU32;
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

/// What a rule of a limit and a window is made from: its serialised form, so that reading one checks it again.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Terms {
    pub(super) limit: NonZeroU32,
    pub(super) window: Duration,
}

/// Makes such a rule of its terms, and back.
#[cfg(feature = "serde")]
macro_rules! made_from_terms {
    ($rule:ident) => {
        impl From<$rule> for crate::limit::window::Terms {
            fn from(rule: $rule) -> Self {
                Self { limit: rule.limit, window: rule.window() }
            }
        }

        impl TryFrom<crate::limit::window::Terms> for $rule {
            type Error = RuleError;

            fn try_from(terms: crate::limit::window::Terms) -> Result<Self, RuleError> {
                Self::new(terms.limit, terms.window)
            }
        }
    };
}

#[cfg(feature = "serde")]
pub(super) use made_from_terms;
