//! Digests as text.

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 0xF] {
            text.push(char::from(DIGITS[usize::from(nibble)]));
        }
    }
    text
}

/// The bytes of exactly `N` pairs of lower-case hexadecimal digits.
#[must_use]
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let nibble = |digit: u8| DIGITS.iter().position(|known| *known == digit).and_then(|at| u8::try_from(at).ok());
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_become_two_digits_each() {
        assert_eq!(super::hex(&[0x00, 0x0F, 0xA0, 0xFF]), "000fa0ff");
        assert_eq!(super::unhex("000fa0ff"), Some([0x00, 0x0F, 0xA0, 0xFF]));
        for wrong in ["000fa0f", "000fa0ff0", "000FA0FF", "000fa0fg", "", "000fa0é"] {
            assert_eq!(super::unhex::<4>(wrong), None, "{wrong}");
        }
    }
}
