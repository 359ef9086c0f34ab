//! Signatures of messages, as <https://www.standardwebhooks.com> has them: `webhook-id`, `webhook-timestamp`, and in
//! `webhook-signature` the HMAC-SHA256 of both and the body.

use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use jiff::Timestamp;
use ring::hmac;
use secrecy::SecretString;
use uuid::Uuid;

use crate::{
    env::Random,
    error::{Error, Result},
};

/// Bytes of a secret.
pub const SECRET_BYTES: usize = 32;
/// How a secret begins that somebody copies.
const PREFIX: &str = "whsec_";

/// A new secret.
///
/// # Errors
/// Internal, when there is no randomness.
pub fn new_secret(random: &dyn Random) -> Result<[u8; SECRET_BYTES]> {
    let mut secret = [0; SECRET_BYTES];
    random.fill(&mut secret).map_err(Error::internal)?;
    Ok(secret)
}

/// A secret as receivers' libraries take it.
#[must_use]
pub fn shown(secret: &[u8]) -> SecretString {
    format!("{PREFIX}{}", BASE64.encode(secret)).into()
}

/// A message's id as the receiver sees it.
#[must_use]
pub fn message_id(id: Uuid) -> String {
    format!("msg_{}", id.simple())
}

/// The value of `webhook-signature`: one signature a secret, the newest first.
#[must_use]
pub fn signatures(secrets: &[&[u8]], id: &str, at: Timestamp, body: &str) -> String {
    let text = format!("{id}.{}.{body}", at.as_second());
    let one = |secret: &&[u8]| {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
        format!("v1,{}", BASE64.encode(tag.as_ref()))
    };
    secrets.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use secrecy::ExposeSecret;

    use super::*;
    use crate::env::SystemRandom;

    /// The example that the reference libraries are tested with.
    #[test]
    fn as_the_standard_says() {
        let secret = BASE64.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let at = Timestamp::from_second(1_614_265_330).unwrap();
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", r#"{"test": 2432232314}"#);
        let want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signatures(&[&secret], id, at, body), want);
        let two = signatures(&[&secret, b"old"], id, at, body);
        assert!(two.starts_with(&format!("{want} v1,")), "{two}");
        for (id, at, body) in [("msg_x", at, body), (id, Timestamp::UNIX_EPOCH, body), (id, at, "{}")] {
            assert_ne!(signatures(&[&secret], id, at, body), want);
        }
    }

    #[test]
    fn secrets() {
        let (one, other) = (new_secret(&SystemRandom).unwrap(), new_secret(&SystemRandom).unwrap());
        assert_ne!(one, other);
        let shown = shown(&one);
        let text = shown.expose_secret().strip_prefix(PREFIX).unwrap();
        assert_eq!(BASE64.decode(text).unwrap(), one);
    }
}
