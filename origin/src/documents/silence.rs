//! For how long the database has said nothing.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// When the silence began, if there is one.
#[derive(Debug, Default)]
pub(super) struct Silence(Mutex<Option<Instant>>);

/// A silence that lasts for so long is no pause of the machine: a second look has failed too.
const LASTING: Duration = Duration::from_secs(2);

impl Silence {
    /// The database did not speak at `now`.
    pub(super) fn go_on(&self, now: Instant) {
        self.began(|began| Some(began.unwrap_or(now)));
    }

    /// It did.
    pub(super) fn end(&self) {
        self.began(|_| None);
    }

    /// Whether there is no use in waiting for it.
    pub(super) fn is_lasting(&self, now: Instant) -> bool {
        self.began(|began| began).is_some_and(|began| now.saturating_duration_since(began) >= LASTING)
    }

    fn began(&self, becomes: impl FnOnce(Option<Instant>) -> Option<Instant>) -> Option<Instant> {
        // A moment is whole whatever panicked.
        let mut began = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *began = becomes(*began);
        *began
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_lasts_from_its_first_moment_until_a_word() {
        let (silence, start) = (Silence::default(), Instant::now());
        assert!(!silence.is_lasting(start + 10 * LASTING));
        silence.go_on(start);
        silence.go_on(start + LASTING / 2);
        assert!(!silence.is_lasting(start + LASTING / 2) && silence.is_lasting(start + LASTING));
        silence.end();
        silence.go_on(start + LASTING);
        assert!(!silence.is_lasting(start + LASTING + LASTING / 2));
    }
}
