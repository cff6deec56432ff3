//! How often keys were asked for lately, roughly, in 4 KiB.

use alloc::boxed::Box;

/// A count-min sketch: each key has one counter in each row, and its count is the lowest of them, so it is never too
/// low, and too high only where it shares all of its counters with others. Every counter is halved from time to time,
/// so that what was asked for yesterday does not outweigh what is asked for now.
#[derive(Debug)]
pub(super) struct Sketch {
    rows: Box<[[u8; WIDTH]; ROWS]>,
    seed: u64,
    added: u32,
}

impl Sketch {
    /// `seed` is a number that clients cannot know: they cannot look for keys that share counters with another.
    pub(super) fn new(seed: u64) -> Self {
        Self { rows: Box::new([[0; WIDTH]; ROWS]), seed, added: 0 }
    }

    pub(super) fn add(&mut self, key: u128) {
        for (row, place) in self.places(key).into_iter().enumerate() {
            let counter = &mut self.rows[row][place];
            *counter = counter.saturating_add(1).min(COUNT_MAX);
        }
        self.added += 1;
        if self.added == HALVED_EVERY {
            self.added = 0;
            self.rows.iter_mut().flatten().for_each(|counter| *counter /= 2);
        }
    }

    pub(super) fn count(&self, key: u128) -> u8 {
        let counts = self.places(key).into_iter().enumerate().map(|(row, place)| self.rows[row][place]);
        counts.min().unwrap_or_default()
    }

    /// The place in each row. The key is a part of a SHA-256, so its own bits are as good as a hash of it.
    fn places(&self, key: u128) -> [usize; ROWS] {
        let mixed = ((key >> 64) as u64 ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (key as u64).rotate_left(32);
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        core::array::from_fn(|row| (mixed >> (row * 16)) as usize % WIDTH)
    }
}

const ROWS: usize = 4;
/// Twice as many as entries that compete.
const WIDTH: usize = 1024;
/// Counts beyond it make no difference: whoever is asked for this often stays. However many keys there are, a counter is around
/// 20 when it is halved; what is asked for more often has to stand out from twice that.
const COUNT_MAX: u8 = 63;
/// Ten times the counters of a row, as TinyLFU advises for counters of this size.
const HALVED_EVERY: u32 = 10 * WIDTH as u32;

#[cfg(test)]
mod tests {
    use super::*;

    const fn spread(key: u128) -> u128 {
        key * ((1 << 64) + 31)
    }

    #[test]
    fn a_count_is_never_too_low_before_it_is_halved() {
        let mut sketch = Sketch::new(7);
        for key in 0..400_u128 {
            for _ in 0..key % 9 {
                sketch.add(spread(key));
            }
        }
        for key in 0..400_u128 {
            assert!(sketch.count(spread(key)) >= (key % 9) as u8, "{key}");
        }
    }

    #[test]
    fn what_was_asked_for_long_ago_is_forgotten_by_halves() {
        let mut sketch = Sketch::new(7);
        (0..100).for_each(|_| sketch.add(1));
        assert_eq!(sketch.count(1), COUNT_MAX);
        (0..HALVED_EVERY - 100).for_each(|_| sketch.add(2));
        assert_eq!(sketch.count(1), COUNT_MAX / 2);
        (0..HALVED_EVERY * 5).for_each(|_| sketch.add(2));
        assert_eq!(sketch.count(1), 0);
    }

    #[test]
    fn a_flood_of_keys_hardly_raises_what_was_never_asked_for() {
        let mut sketch = Sketch::new(7);
        for key in 0..1_000_u128 {
            sketch.add(spread(key));
        }
        let raised = (0..1_000_u128).filter(|key| sketch.count(spread(key + 5_000)) >= 3).count();
        assert!(raised < 50, "{raised} of 1000");
    }
}
