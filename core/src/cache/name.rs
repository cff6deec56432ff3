//! Hashing parts so that no two lists of parts make the same name.

use sha2::{Digest, Sha256};

/// A name in the making.
pub(super) struct Name(Sha256);

impl Name {
    /// Begins with what keeps it apart from names of other kinds.
    pub(super) fn of(domain: &[u8]) -> Self {
        Self(Sha256::new_with_prefix(domain))
    }

    /// Bytes behind their length.
    pub(super) fn part(&mut self, part: &[u8]) {
        self.length_of(part.len());
        self.bytes(part);
    }

    /// The same of `length` bytes that are made as they are written.
    pub(super) fn part_with(&mut self, length: usize, mut bytes: impl Iterator<Item = u8>) {
        self.length_of(length);
        loop {
            let mut some = [0; 32];
            let made = some.iter_mut().zip(&mut bytes).map(|(place, byte)| *place = byte).count();
            self.bytes(&some[..made]);
            if made < some.len() {
                return;
            }
        }
    }

    /// One byte for what is short, so that most names fit into one or two blocks of the hash; a byte that no short length
    /// has, and eight more, for the rest.
    fn length_of(&mut self, length: usize) {
        match u8::try_from(length) {
            Ok(short) if short != LONG => self.bytes(&[short]),
            _ => {
                self.bytes(&[LONG]);
                self.bytes(&(length as u64).to_le_bytes());
            }
        }
    }

    /// Bytes as they are, where nothing else could stand.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all of it.
    pub(super) fn digest(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// Says that a length of eight bytes follows.
const LONG: u8 = u8::MAX;

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::*;

    #[test]
    fn each_part_stands_behind_its_length() {
        for lengths in
            [vec![], vec![0, 1], vec![254, 1], vec![255], vec![256, 3], vec![32, 33, 64, 65], vec![10, 900, 10]]
        {
            let mut name = Name::of(b"test\0");
            let mut plain: Vec<u8> = b"test\0".to_vec();
            for length in lengths.iter().copied() {
                let part: Vec<u8> = (0..length).map(|place| (place % 251) as u8).collect();
                if length % 2 == 0 {
                    name.part(&part);
                } else {
                    name.part_with(length, part.iter().copied());
                }
                match u8::try_from(length) {
                    Ok(short) if short < 255 => plain.push(short),
                    _ => {
                        plain.push(255);
                        plain.extend((length as u64).to_le_bytes());
                    }
                }
                plain.extend(&part);
            }
            assert_eq!(name.digest(), <[u8; 32]>::from(Sha256::digest(&plain)), "{lengths:?}");
        }
    }
}
