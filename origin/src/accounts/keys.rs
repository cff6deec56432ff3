//! What only this site could have written: HMAC-SHA256 (RFC 2104) under keys that can be changed without signing anyone out.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::config::Secret;

/// The first signs, all are accepted.
#[derive(Clone)]
pub(super) struct Keys(Vec<Hmac<Sha256>>);

/// What a signature is for: one that was made for another purpose does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A session's cookie.
    Session,
    /// The token in a form.
    Form,
    /// A link that ends briefs by mail.
    Unsubscribe,
}

pub(super) const SIGNATURE_BYTES: usize = 32;

/// What HMAC gives.
pub(super) type Signature = [u8; SIGNATURE_BYTES];

impl Keys {
    /// None given makes one that lasts as long as the process.
    pub(super) fn new(keys: &[Secret]) -> Self {
        let keyed = |key: &[u8]| Hmac::new_from_slice(key).expect("HMAC takes a key of any length");
        if keys.is_empty() {
            return Self(vec![keyed(&rand::random::<[u8; SIGNATURE_BYTES]>())]);
        }
        Self(keys.iter().map(|key| keyed(key.expose().as_bytes())).collect())
    }

    pub(super) fn sign(&self, purpose: Purpose, text: &str) -> Signature {
        // There is at least one by construction.
        message(&self.0[0], purpose, text).finalize().into_bytes().into()
    }

    /// Whether one of our keys made this; the comparison takes the same time wherever it fails.
    pub(super) fn verify(&self, purpose: Purpose, text: &str, signature: &[u8]) -> bool {
        self.0.iter().any(|key| message(key, purpose, text).verify_slice(signature).is_ok())
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

fn message(key: &Hmac<Sha256>, purpose: Purpose, text: &str) -> Hmac<Sha256> {
    let name: &[u8] = match purpose {
        Purpose::Session => b"session\n",
        Purpose::Form => b"form\n",
        Purpose::Unsubscribe => b"unsubscribe\n",
    };
    key.clone().chain_update(name).chain_update(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> Keys {
        Keys::new(&names.iter().map(|name| Secret::new(name.repeat(32))).collect::<Vec<_>>())
    }

    #[test]
    fn an_old_key_is_accepted_until_it_is_taken_out() {
        let signature = keys(&["a"]).sign(Purpose::Session, "text");
        for (names, accepted) in [(&["a"][..], true), (&["b", "a"], true), (&["b"], false), (&[], false)] {
            assert_eq!(keys(names).verify(Purpose::Session, "text", &signature), accepted, "{names:?}");
        }
    }

    #[test]
    fn a_signature_fits_one_text_and_one_purpose() {
        let keys = keys(&["a"]);
        let signature = keys.sign(Purpose::Session, "text");
        assert!(!keys.verify(Purpose::Session, "texu", &signature));
        assert!(!keys.verify(Purpose::Form, "text", &signature));
        assert!(!keys.verify(Purpose::Session, "text", &signature[..31]));
        assert!(!keys.verify(Purpose::Session, "text", &[]));
    }
}
