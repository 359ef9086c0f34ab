//! The key that signs checkpoints: Ed25519, in the files that `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout`
//! write (PKCS#8 and SubjectPublicKeyInfo in PEM; RFC 8410).

use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use super::chain::hex;
use crate::env::Random;

/// What stands before the 32 bytes of a private key in PKCS#8 (RFC 8410, section 7).
const PRIVATE_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// What stands before the 32 bytes of a public key in SubjectPublicKeyInfo (RFC 8410, section 4).
const PUBLIC_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No PEM block of the kind that is needed.
    #[error("no -----BEGIN {0}----- block")]
    Missing(&'static str),
    /// A block that holds something else.
    #[error("the -----BEGIN {0}----- block holds no Ed25519 key")]
    Other(&'static str),
}

/// Signs. Its secret half can neither be read out nor logged.
pub struct AuditKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl std::fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AuditKey({})", self.public.id())
    }
}

impl AuditKey {
    /// The file of a new key.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new_pem(random: &dyn Random) -> std::io::Result<SecretString> {
        let mut der = PRIVATE_PREFIX.to_vec();
        let mut seed = [0; 32];
        random.fill(&mut seed)?;
        der.extend(seed);
        Ok(pem(PRIVATE, &der).into())
    }

    /// The key in a file.
    ///
    /// # Errors
    /// It holds none.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = blocks(text, PRIVATE).next().ok_or(KeyError::Missing(PRIVATE))?;
        let wrong = KeyError::Other(PRIVATE);
        // As openssl writes it: without the public half, which therefore cannot be checked.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der.ok_or(wrong)?).map_err(|_| wrong)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| wrong)?;
        Ok(Self { pair, public: PublicKey(public) })
    }

    /// The half that everybody may know.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn sign(&self, message: &[u8]) -> String {
        BASE64.encode(self.pair.sign(message))
    }
}

/// Checks what an [`AuditKey`] signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// All keys in a file, which has more than one where the installation's key was replaced.
    ///
    /// # Errors
    /// It holds none, or one of another kind.
    pub fn all_from_pem(text: &str) -> Result<Vec<Self>, KeyError> {
        let keys = blocks(text, PUBLIC).map(|der| {
            let bytes = der.as_deref().and_then(|der| der.strip_prefix(&PUBLIC_PREFIX));
            bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(KeyError::Other(PUBLIC))
        });
        let keys = keys.collect::<Result<Vec<Self>, KeyError>>()?;
        if keys.is_empty() { Err(KeyError::Missing(PUBLIC)) } else { Ok(keys) }
    }

    /// The key as a file.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let mut der = PUBLIC_PREFIX.to_vec();
        der.extend(self.0);
        pem(PUBLIC, &der)
    }

    /// The first 16 hexadecimal digits of its SHA-256, to tell keys apart.
    #[must_use]
    pub fn id(&self) -> String {
        hex(&Sha256::digest(self.0)[..8])
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let Ok(signature) = BASE64.decode(signature) else { return false };
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, &signature).is_ok()
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
}

/// The contents of the blocks with this label; `None` for one that is not base64 or has no end.
fn blocks<'t>(text: &'t str, label: &str) -> impl Iterator<Item = Option<Vec<u8>>> + use<'t> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let rest = text.split(begin.as_str()).skip(1).map(str::to_owned).collect::<Vec<_>>();
    rest.into_iter().map(move |block| {
        let (body, _) = block.split_once(&end)?;
        BASE64.decode(body.split_ascii_whitespace().collect::<String>()).ok()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use secrecy::ExposeSecret;

    use super::*;
    use crate::{env::SystemRandom, testing::audit_key};

    /// Made with `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout`.
    const OPENSSL: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
    /// RFC 8032, section 7.1, test 1: the key above is its secret key, this its public key.
    const RFC_8032: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    #[test]
    fn the_key_of_the_rfc() {
        let key = AuditKey::from_pem(OPENSSL).unwrap();
        assert_eq!(hex(&key.public().0), RFC_8032);
        let signature = BASE64.decode(key.sign(b"")).unwrap();
        assert!(hex(&signature).starts_with("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"));
    }

    #[test]
    fn a_key_survives_its_file() {
        let pem = AuditKey::new_pem(&SystemRandom).unwrap();
        let key = AuditKey::from_pem(pem.expose_secret()).unwrap();
        let other = audit_key();
        let both = format!("{}\n{}", other.public().to_pem(), key.public().to_pem());
        assert_eq!(PublicKey::all_from_pem(&both).unwrap(), [other.public().clone(), key.public().clone()]);
        let signature = key.sign(b"message");
        assert!(key.public().verifies(b"message", &signature));
        assert!(!key.public().verifies(b"massage", &signature));
        assert!(!other.public().verifies(b"message", &signature));
        assert!(!key.public().verifies(b"message", "no base64"));
        assert!(!format!("{key:?}").contains(pem.expose_secret()));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let rsa = "-----BEGIN PRIVATE KEY-----\nMIIBVQ==\n-----END PRIVATE KEY-----";
        assert_eq!(AuditKey::from_pem("").unwrap_err(), KeyError::Missing(PRIVATE));
        assert_eq!(AuditKey::from_pem(rsa).unwrap_err(), KeyError::Other(PRIVATE));
        assert_eq!(AuditKey::from_pem(&OPENSSL[..80]).unwrap_err(), KeyError::Other(PRIVATE));
        assert_eq!(PublicKey::all_from_pem(OPENSSL).unwrap_err(), KeyError::Missing(PUBLIC));
        let cut = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2Vw\n-----END PUBLIC KEY-----";
        assert_eq!(PublicKey::all_from_pem(cut).unwrap_err(), KeyError::Other(PUBLIC));
    }
}
