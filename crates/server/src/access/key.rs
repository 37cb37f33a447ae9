//! A key as its holder has it, and the hash that the service has of it.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What every key begins with, so that people and scanners of code know one when they see it.
pub(super) const PREFIX: &str = "siamese_";
/// Bytes that say which key it is. They are no secret.
const ID_BYTES: usize = 6;
/// Bytes that nobody can guess. With so many, a hash without salt and repetition is enough: there is no list of
/// likely keys to try.
const SECRET_BYTES: usize = 32;
/// Characters of a key: two for each byte, and what stands between them.
pub(super) const KEY_CHARS: usize = PREFIX.len() + 2 * ID_BYTES + 1 + 2 * SECRET_BYTES;

/// A key, which is shown once and then known to its holder only.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(String);

/// What is kept of a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyHash([u8; 32]);

impl SecretKey {
    /// Makes a key of the system's random numbers.
    ///
    /// # Errors
    /// When the system has none.
    pub(super) fn generate() -> Result<Self, getrandom::Error> {
        let (mut id, mut secret) = ([0; ID_BYTES], [0; SECRET_BYTES]);
        getrandom::fill(&mut id)?;
        getrandom::fill(&mut secret)?;
        Ok(Self(format!("{PREFIX}{}_{}", hex(&id), hex(&secret))))
    }

    /// Returns the key, if it has the form of one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let is_hex = |text: &str, bytes: usize| {
            let is_digit = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
            text.len() == 2 * bytes && text.bytes().all(is_digit)
        };
        let is_key = is_hex(id, ID_BYTES) && is_hex(secret, SECRET_BYTES);
        is_key.then(|| Self(text.to_owned()))
    }

    /// Returns the part that says which key it is.
    pub fn id(&self) -> &str {
        &self.0[PREFIX.len()..PREFIX.len() + 2 * ID_BYTES]
    }

    /// Returns the whole key, to be shown once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub(super) fn hash(&self) -> KeyHash {
        KeyHash(Sha256::digest(self.0.as_bytes()).into())
    }
}

/// Whatever prints it, prints which key it is and no more.
impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.id())
    }
}

impl KeyHash {
    /// The hash of no key, which a wrong one is compared with, so that an unknown key takes as long as a known one.
    pub(super) const NONE: Self = Self([0; 32]);

    /// Returns the hash that is written so, if it is one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// Returns how it is written.
    pub(super) fn to_hex(self) -> String {
        hex(&self.0)
    }

    /// Returns whether two are the same, in a time that does not say where they differ.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_keys_are_alike_and_each_is_read_again() {
        let (one, two) = (
            SecretKey::generate().unwrap(),
            SecretKey::generate().unwrap(),
        );
        assert!(one != two && one.id() != two.id());
        assert_eq!(one.reveal().len(), KEY_CHARS);
        assert_eq!(SecretKey::parse(one.reveal()), Some(one.clone()));
        assert!(one.hash().is(&one.hash()) && !one.hash().is(&two.hash()));
    }

    #[test]
    fn what_is_not_written_as_a_key_is_none() {
        let key = SecretKey::generate().unwrap();
        let key = key.reveal();
        for text in [
            "",
            PREFIX,
            &key[1..],
            &key[..KEY_CHARS - 1],
            &format!("{key}0"),
            &key.to_uppercase(),
            &key.replace('_', "-"),
        ] {
            assert_eq!(SecretKey::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_hash_is_read_as_it_was_written() {
        let hash = SecretKey::generate().unwrap().hash();
        assert!(KeyHash::parse(&hash.to_hex()).unwrap().is(&hash));
        for text in ["", "00", &"g".repeat(64), &"é".repeat(32)] {
            assert!(KeyHash::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn printing_a_key_for_developers_does_not_reveal_it() {
        let key = SecretKey::generate().unwrap();
        let printed = format!("{key:?}");
        assert!(printed.contains(key.id()) && printed.len() < KEY_CHARS / 2);
    }
}
