//! Which asks of one isolate have come, and which of them were allowed.

/// The newest [`ASKS`] numbers, as rings of bits: ask `n` lives at `n mod ASKS`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct History {
    newest: u64,
    came: [u64; WORDS],
    allowed: [u64; WORDS],
}

/// What is known of one ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It has not come.
    New,
    /// It came and was allowed.
    Allowed,
    /// It came and was refused, or is so old that nobody waits for it.
    Refused,
}

/// How many asks are remembered: what an isolate sends in a second, when it asks a thousand times.
pub(super) const ASKS: u64 = 64 * WORDS as u64;

const WORDS: usize = 16;

impl History {
    /// What is known of ask `seq`.
    pub(super) fn look_up(&self, seq: u64) -> Known {
        if seq > self.newest {
            return Known::New;
        }
        let (word, bit) = place(seq);
        if self.newest - seq >= ASKS || self.allowed[word] & bit == 0 && self.came[word] & bit != 0 {
            Known::Refused
        } else if self.allowed[word] & bit != 0 {
            Known::Allowed
        } else {
            Known::New
        }
    }

    /// Notes ask `seq`, which is new.
    pub(super) fn note(&mut self, seq: u64, allowed: bool) {
        for skipped in (self.newest + 1..=seq).rev().take(ASKS as usize) {
            let (word, bit) = place(skipped);
            self.came[word] &= !bit;
            self.allowed[word] &= !bit;
        }
        self.newest = self.newest.max(seq);
        let (word, bit) = place(seq);
        self.came[word] |= bit;
        if allowed {
            self.allowed[word] |= bit;
        }
    }
}

fn place(seq: u64) -> (usize, u64) {
    let place = seq % ASKS;
    // Below `ASKS`, so the word exists.
    ((place / 64) as usize, 1 << (place % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ask_is_new_once() {
        let mut history = History::default();
        let start = 1_772_323_200_000_000_000;
        for (seq, allowed) in [(start + 1, true), (start + 3, false), (start + 2, true), (start + 64, true)] {
            assert_eq!(history.look_up(seq), Known::New, "{seq}");
            history.note(seq, allowed);
            assert_eq!(history.look_up(seq), if allowed { Known::Allowed } else { Known::Refused }, "{seq}");
        }
        assert_eq!(history.look_up(start + 4), Known::New);
        // Older than all that is remembered: nobody waits for it.
        history.note(start + 2 + ASKS, true);
        assert_eq!(history.look_up(start + 2), Known::Refused);
        assert_eq!(history.look_up(start + 3), Known::Refused);
        assert_eq!(history.look_up(start + 4), Known::New);
        history.note(u64::MAX, true);
        assert_eq!(history.look_up(start + 64), Known::Refused);
        assert_eq!(history.look_up(u64::MAX - 1), Known::New);
    }
}
