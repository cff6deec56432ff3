//! What one limit says to one request.

use core::time::Duration;

use super::{Ruling, Tat};

/// What to do with one request. `S` is the state of the rule that decided: [`Tat`] for [`Quota`](super::Quota).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision<S = Tat> {
    /// Let it pass, and store `next`.
    Allow {
        /// The state to keep.
        next: S,
    },
    /// Refuse it for now. What is stored stays as it is.
    Deny {
        /// The shortest wait after which the same cost passes, if nothing else is spent meanwhile. Above zero.
        retry_after: Duration,
    },
    /// Refuse it for good: the cost is above all that the rule ever admits at once, so no wait helps. What is
    /// stored stays as it is.
    Never,
}

impl<S> Decision<S> {
    /// The same decision about another form of the state.
    pub fn map<T>(self, form: impl FnOnce(S) -> T) -> Decision<T> {
        match self {
            Self::Allow { next } => Decision::Allow { next: form(next) },
            Self::Deny { retry_after } => Decision::Deny { retry_after },
            Self::Never => Decision::Never,
        }
    }

    /// The decision without the state.
    #[must_use]
    pub fn ruling(&self) -> Ruling {
        match self {
            Self::Allow { .. } => Ruling::Allow,
            Self::Deny { retry_after } => Ruling::Deny { retry_after: *retry_after },
            Self::Never => Ruling::Never,
        }
    }

    /// The decision of `ruling`, with the state to keep made only where it is needed.
    pub(super) fn of(ruling: Ruling, next: impl FnOnce() -> S) -> Self {
        match ruling {
            Ruling::Allow => Self::Allow { next: next() },
            Ruling::Deny { retry_after } => Self::Deny { retry_after },
            Ruling::Never => Self::Never,
        }
    }
}
