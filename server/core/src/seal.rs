//! Secrets that Berth must be able to read again, such as those of authenticator apps, stand sealed in the database
//! (ChaCha20-Poly1305): the key is a file of the machine, so that a copy of the database alone is worth nothing.

use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use secrecy::{SecretSlice, SecretString};

use crate::{
    env::Random,
    error::{Error, Result},
};

/// The first byte of what is sealed: how it was.
const VERSION: u8 = 1;
const KEY_BYTES: usize = 32;

/// A text that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it holds no 32 bytes in base64, as `openssl rand -base64 32` makes them")]
pub struct NoKey;

/// Seals and opens. Can neither be read out nor logged.
pub struct SealKey(LessSafeKey);

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey")
    }
}

impl SealKey {
    /// The file of a new key.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new_text(random: &dyn Random) -> std::io::Result<SecretString> {
        let mut key = [0; KEY_BYTES];
        random.fill(&mut key)?;
        Ok(format!("{}\n", BASE64.encode(key)).into())
    }

    /// The key in a file.
    ///
    /// # Errors
    /// It holds none.
    pub fn from_text(text: &str) -> Result<Self, NoKey> {
        let bytes = BASE64.decode(text.trim()).map_err(|_| NoKey)?;
        UnboundKey::new(&CHACHA20_POLY1305, &bytes).map(|key| Self(LessSafeKey::new(key))).map_err(|_| NoKey)
    }

    /// Seals `secret` for one place: what is sealed for another does not open there.
    ///
    /// # Errors
    /// Internal, when there is no randomness.
    pub fn seal(&self, secret: &[u8], place: &str, random: &dyn Random) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce).map_err(Error::internal)?;
        let mut sealed = secret.to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut sealed)
            .map_err(|_| Error::internal("a secret could not be sealed"))?;
        Ok([&[VERSION], nonce.as_slice(), sealed.as_slice()].concat())
    }

    /// Opens what was sealed for `place`; `None` when it was not, or with another key.
    #[must_use]
    pub fn open(&self, sealed: &[u8], place: &str) -> Option<SecretSlice<u8>> {
        let (version, rest) = sealed.split_first()?;
        let (nonce, rest) = rest.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok().filter(|_| *version == VERSION)?;
        let mut text = rest.to_vec();
        let length = self.0.open_in_place(nonce, Aad::from(place), &mut text).ok()?.len();
        text.truncate(length);
        Some(text.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use secrecy::ExposeSecret;

    use super::*;
    use crate::env::SystemRandom;

    fn key() -> SealKey {
        SealKey::from_text(SealKey::new_text(&SystemRandom).unwrap().expose_secret()).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_at_its_place() {
        let key = key();
        let sealed = key.seal(b"secret", "ann", &SystemRandom).unwrap();
        assert_eq!(key.open(&sealed, "ann").unwrap().expose_secret(), b"secret");
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_ne!(sealed, key.seal(b"secret", "ann", &SystemRandom).unwrap(), "never twice the same");
        assert!(key.open(&sealed, "bob").is_none());
        assert!(self::key().open(&sealed, "ann").is_none());
        for at in 0..sealed.len() {
            let mut other = sealed.clone();
            other[at] ^= 1;
            assert!(key.open(&other, "ann").is_none(), "byte {at}");
            assert!(key.open(&sealed[..at], "ann").is_none(), "cut at {at}");
        }
    }

    #[test]
    fn what_is_a_key() {
        let fits = |text: &str| SealKey::from_text(text).is_ok();
        assert!(fits(&BASE64.encode([7; 32])) && fits(&format!("{}\n", BASE64.encode([7; 32]))));
        for text in ["", "x", &BASE64.encode([7; 31]), &BASE64.encode([7; 33]), "-----BEGIN PRIVATE KEY-----"] {
            assert!(!fits(text), "{text}");
        }
    }
}
