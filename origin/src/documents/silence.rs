//! For how long the database has said nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What was heard of the database, and what was not.
#[derive(Debug, Default)]
pub(super) struct Silence(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// The last word of it.
    word: Option<Instant>,
    /// When the first question since then was asked that got none, and when the last was given up.
    misses: Option<(Instant, Instant)>,
}

/// What goes on for so long is no pause of the machine: a second look has failed too.
const LASTING: Duration = Duration::from_secs(2);

/// For how long the last of them counts: after a quiet time nobody knows, and who comes then asks with all patience.
const RECENT: Duration = Duration::from_secs(10);

impl Silence {
    /// At `now` a question of `asked` has no answer. That is nothing where another one has been answered meanwhile: the
    /// database speaks, and is slow.
    pub(super) fn go_on(&self, asked: Instant, now: Instant) {
        let mut state = self.state();
        if state.word.is_none_or(|word| word < asked) {
            let first = state.misses.map_or(asked, |(first, _)| first);
            state.misses = Some((first, now));
        }
    }

    /// The database spoke at `now`.
    pub(super) fn end(&self, now: Instant) {
        *self.state() = State { word: Some(now), misses: None };
    }

    /// Whether there is no use in waiting for it.
    pub(super) fn is_lasting(&self, now: Instant) -> bool {
        self.state().misses.is_some_and(|(first, last)| {
            last.saturating_duration_since(first) >= LASTING && now.saturating_duration_since(last) < RECENT
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Moments are whole whatever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A question of a second that ends at `now` without an answer.
    fn miss(silence: &Silence, now: Instant) {
        silence.go_on(now - SECOND, now);
    }

    #[test]
    fn a_silence_lasts_from_a_second_look_until_a_word_or_a_quiet_time() {
        let (silence, start) = (Silence::default(), Instant::now() + 10 * SECOND);
        assert!(!silence.is_lasting(start));
        miss(&silence, start);
        // One slow answer says nothing, however long ago it was.
        assert!(!silence.is_lasting(start + LASTING) && !silence.is_lasting(start + RECENT));
        miss(&silence, start + SECOND / 2);
        assert!(!silence.is_lasting(start + SECOND / 2));
        let second = start + SECOND;
        miss(&silence, second);
        assert!(silence.is_lasting(second));
        assert!(!silence.is_lasting(second + RECENT), "nobody has asked for a while");
        silence.end(second);
        miss(&silence, second + 2 * SECOND);
        assert!(!silence.is_lasting(second + 2 * SECOND));
    }

    #[test]
    fn a_word_in_between_makes_a_miss_a_slow_answer() {
        let (silence, start) = (Silence::default(), Instant::now() + 10 * SECOND);
        for second in 0..10 {
            let now = start + second * SECOND;
            silence.end(now - SECOND / 2);
            miss(&silence, now);
            assert!(!silence.is_lasting(now), "{second}");
        }
    }
}
