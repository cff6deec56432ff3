//! Naming a client's share without naming the client.

use core::fmt::{self, Write};

use sha2::{Digest, Sha256};

/// Parameter `pk` of a limit: which share of it an answer is about, so that a client behind several addresses can
/// tell that it has several.
///
/// It is a keyed hash, because the draft warns of putting what is sensitive into `pk`: without the secret nobody can
/// tell which client it stands for, or find another client's.
///
/// ```
/// use seawall_core::limit::fields::PartitionKey;
///
/// let secret = b"drawn at random, kept by the operator";
/// let key = PartitionKey::new(secret, b"192.0.2.1").to_string();
/// assert!(key.starts_with(':') && key.ends_with("=:") && key.len() == 14);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PartitionKey([u8; BYTES]);

impl PartitionKey {
    /// The share of `partition`: the first eight bytes of HMAC-SHA-256 (RFC 2104), enough to tell shares apart.
    ///
    /// `secret` is any key material that clients do not know, at best 32 random bytes.
    #[must_use]
    pub fn new(secret: &[u8], partition: &[u8]) -> Self {
        let mut key = [0; BLOCK_BYTES];
        if secret.len() > BLOCK_BYTES {
            key[..HASH_BYTES].copy_from_slice(&Sha256::digest(secret));
        } else {
            key[..secret.len()].copy_from_slice(secret);
        }
        let inner = Sha256::new_with_prefix(key.map(|byte| byte ^ 0x36)).chain_update(partition).finalize();
        let outer = Sha256::new_with_prefix(key.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize();
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(&outer[..BYTES]);
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> [u8; BYTES] {
        self.0
    }
}

impl fmt::Display for PartitionKey {
    /// A Byte Sequence (RFC 9651 §3.3.5): base64 between colons.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        f.write_str(":")?;
        for chunk in self.0.chunks(3) {
            let bits = chunk.iter().fold(0, |bits: u32, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
            for place in 0..4 {
                let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
                f.write_char(if place <= chunk.len() { char::from(digit) } else { '=' })?;
            }
        }
        f.write_str(":")
    }
}

const BYTES: usize = 8;
const HASH_BYTES: usize = 32;
/// What SHA-256 takes in at once, to which HMAC fills its key up.
const BLOCK_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    /// RFC 4231, test cases 1, 2 and 6 (a key longer than a block), cut to eight bytes.
    #[test]
    fn it_is_hmac_sha_256() {
        let data = b"Test Using Larger Than Block-Size Key - Hash Key First";
        for (secret, partition, expect) in [
            (&[0x0b; 20][..], &b"Hi There"[..], 0xb034_4c61_d8db_3853_u64),
            (b"Jefe", b"what do ya want for nothing?", 0x5bdc_c146_bf60_754e),
            (&[0xaa; 131], data, 0x60e4_3159_1ee0_b67f),
        ] {
            assert_eq!(PartitionKey::new(secret, partition).as_bytes(), expect.to_be_bytes());
        }
    }

    #[test]
    fn it_is_written_as_a_byte_sequence() {
        for (bytes, expect) in
            [([0; 8], ":AAAAAAAAAAA=:"), ([0xff; 8], "://////////8=:"), (*b"App-999!", ":QXBwLTk5OSE=:")]
        {
            assert_eq!(PartitionKey(bytes).to_string(), expect);
        }
    }
}
