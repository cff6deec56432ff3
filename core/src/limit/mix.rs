//! Spreading keys.

/// Spreads every bit over all bits; a bijection, so that no key is lost.
#[inline]
pub(super) const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    bits = (bits ^ (bits >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    bits ^ (bits >> 32)
}

/// A key folded to 64 bits, each of which depends on all of the key and of `seed`.
#[inline]
pub(super) const fn fold(key: u128, seed: u64) -> u64 {
    mix(mix(key as u64 ^ seed) ^ (key >> 64) as u64)
}
