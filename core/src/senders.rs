//! Who sent which message already, in bounded memory.

use alloc::vec::Vec;

/// The numbers of one sender's messages that have come: the newest, and which of the 63 before it.
///
/// A message that is older than those counts as one that has come: it is late by so much that what it says
/// has been said again since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Replay {
    newest: u64,
    /// Bit `n` says whether message `newest - n` has come.
    seen: u64,
}

impl Replay {
    /// Notes message `seq`, and answers whether it came for the first time. Numbers start at one.
    pub(crate) const fn is_first(&mut self, seq: u64) -> bool {
        if seq > self.newest {
            let ahead = seq - self.newest;
            self.seen = if ahead < 64 { self.seen << ahead } else { 0 };
            self.seen |= 1;
            self.newest = seq;
            return true;
        }
        let behind = self.newest - seq;
        if behind >= 64 || self.seen & (1 << behind) != 0 {
            return false;
        }
        self.seen |= 1 << behind;
        true
    }
}

/// The [`Replay`] of each sender, for at most [`SENDERS_MAX`] of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Senders {
    /// Sorted by sender.
    heard: Vec<Heard>,
    /// Counts messages: the clock by which the sender that has been silent longest is found.
    messages: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Heard {
    sender: u64,
    replay: Replay,
    last: u64,
}

/// Most senders that are remembered: a message and its copies arrive within a second, and no authority hears
/// from so many isolates in that time. Above it the one that has been silent longest is forgotten.
pub(crate) const SENDERS_MAX: usize = 1024;

impl Senders {
    /// Notes message `seq` of `sender`, and answers whether it came for the first time.
    pub(crate) fn is_first(&mut self, sender: u64, seq: u64) -> bool {
        self.messages += 1;
        let place = match self.heard.binary_search_by_key(&sender, |heard| heard.sender) {
            Ok(place) => place,
            Err(_) => {
                if self.heard.len() >= SENDERS_MAX {
                    let silent = (0..self.heard.len()).min_by_key(|&place| self.heard[place].last);
                    silent.map(|place| self.heard.remove(place));
                }
                let place = self.heard.partition_point(|heard| heard.sender < sender);
                self.heard.insert(place, Heard { sender, replay: Replay::default(), last: 0 });
                place
            }
        };
        let heard = &mut self.heard[place];
        heard.last = self.messages;
        heard.replay.is_first(seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_first_once() {
        let mut replay = Replay::default();
        for (seq, first) in [(1, true), (1, false), (3, true), (2, true), (2, false), (70, true), (7, true), (6, false)]
        {
            assert_eq!(replay.is_first(seq), first, "{seq}");
        }
        assert!(replay.is_first(u64::MAX));
        assert!(!replay.is_first(70));
    }

    #[test]
    fn the_sender_that_is_silent_longest_is_forgotten() {
        let mut senders = Senders::default();
        for sender in 0..SENDERS_MAX as u64 {
            assert!(senders.is_first(sender, 1));
        }
        assert!(!senders.is_first(0, 1));
        assert!(senders.is_first(u64::MAX, 1));
        assert_eq!(senders.heard.len(), SENDERS_MAX);
        assert!(!senders.is_first(0, 1));
        assert!(senders.is_first(1, 1));
    }
}
