//! Numbers that a seed decides.

/// SplitMix64: small, quick, and the same everywhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from zero to below `end`, which is above zero.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    pub(crate) fn permille(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }
}

/// Draws places so that the n-th is drawn in proportion to `1 / n^1.1`, as requests spread over isolates.
pub(crate) struct Zipf {
    cumulated: Vec<u64>,
}

impl Zipf {
    pub(crate) fn new(places: usize) -> Self {
        let mut sum = 0;
        let weight = |place: usize| (1e12 / (place as f64).powf(1.1)) as u64;
        let cumulated = (1..=places)
            .map(|place| {
                sum += weight(place).max(1);
                sum
            })
            .collect();
        Self { cumulated }
    }

    pub(crate) fn draw(&self, random: &mut Random) -> usize {
        let sum = self.cumulated[self.cumulated.len() - 1];
        let drawn = random.below(sum);
        self.cumulated.partition_point(|cumulated| *cumulated <= drawn)
    }
}
