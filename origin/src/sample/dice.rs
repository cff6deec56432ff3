//! Random choices that come out the same everywhere: integers only, from one stream.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// A stream of choices.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number below `end`; zero when `end` is zero. The bias is below one in a hundred million.
    pub(super) fn below(&mut self, end: u32) -> u32 {
        // The product of a 32-bit number and `end`, shifted back, is below `end`.
        ((u64::from(self.0.next_u32()) * u64::from(end)) >> u32::BITS) as u32
    }

    /// A number from `first` to `last`.
    pub(super) fn between(&mut self, first: u32, last: u32) -> u32 {
        first + self.below(last - first + 1)
    }

    /// Whether something that happens `permille` times in a thousand happens.
    pub(super) fn chance(&mut self, permille: u32) -> bool {
        self.below(1000) < permille
    }

    /// One of a list, each as likely as the others.
    pub(super) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u32) as usize]
    }

    /// One of a list, each as likely as its weight says.
    pub(super) fn weighted<T: Copy>(&mut self, list: &[(T, u32)]) -> T {
        let total = list.iter().map(|(_, weight)| weight).sum();
        let mut at = self.below(total);
        for (item, weight) in list {
            if at < *weight {
                return *item;
            }
            at -= weight;
        }
        list[0].0
    }

    /// A number up to `last` that is small more often than not: the least of `draws`.
    pub(super) fn small(&mut self, last: u32, draws: u32) -> u32 {
        (0..draws).map(|_| self.below(last + 1)).min().unwrap_or(0)
    }

    /// An amount of money between two powers of ten, each size as likely as the next.
    pub(super) fn amount(&mut self, digits_min: u32, digits_max: u32) -> u32 {
        let digits = self.between(digits_min, digits_max);
        let head = self.between(10, 99);
        head * 10_u32.pow(digits.saturating_sub(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_stay_in_their_range() {
        let mut dice = Dice::new(7);
        for _ in 0..10_000 {
            assert!(dice.below(3) < 3);
            assert!((5..=6).contains(&dice.between(5, 6)));
            assert!(dice.small(10, 3) <= 10);
            assert!((1_000..=99_000).contains(&dice.amount(4, 5)));
        }
        assert_eq!(dice.below(0), 0);
        assert_eq!(dice.weighted(&[('a', 0), ('b', 1)]), 'b');
    }
}
