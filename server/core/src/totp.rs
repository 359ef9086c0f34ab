//! Codes of authenticator apps: TOTP (RFC 6238) with what every app knows, which is SHA-1, six digits, thirty seconds. Pure.

use data_encoding::BASE32_NOPAD;
use jiff::Timestamp;
use ring::hmac;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use subtle::ConstantTimeEq;
use url::Url;

/// How long a code counts.
const STEP_SECONDS: i64 = 30;
/// Steps before and after the present one whose codes count too: clocks differ, and people type slowly.
const DRIFT: i64 = 1;
/// Digits of a code.
pub const DIGITS: usize = 6;
/// Bytes of a secret: as many as SHA-1 has (RFC 4226, section 4).
pub const SECRET_BYTES: usize = 20;

/// What came of a code that was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// It is the code of this step, after which no code of it or an earlier one counts.
    Step(i64),
    /// It was right, and has been taken.
    Used,
    /// It is none of the codes that count now.
    Wrong,
}

/// The step that is running.
fn step(now: Timestamp) -> i64 {
    now.as_second().div_euclid(STEP_SECONDS)
}

/// The code of a step (RFC 4226, section 5.3).
fn code(secret: &[u8], step: i64) -> String {
    // SHA-1 is what apps know; what is known to be weak in it does not touch HMAC.
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let bytes = tag.as_ref();
    let at = usize::from(bytes.last().map_or(0, |last| last & 0xf));
    let four = bytes.iter().skip(at).take(4).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    format!("{:06}", (four & 0x7fff_ffff) % 1_000_000)
}

/// The digits of what was typed, if it can be a code: with spaces or without.
#[must_use]
pub fn digits(typed: &str) -> Option<String> {
    let text: String = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    (text.len() == DIGITS && text.bytes().all(|b| b.is_ascii_digit())).then_some(text)
}

/// What a code is worth at `now`, when `last` is the last step whose code was taken.
#[must_use]
pub fn check(secret: &SecretSlice<u8>, now: Timestamp, last: i64, typed: &str) -> Checked {
    let Some(typed) = digits(typed) else { return Checked::Wrong };
    let present = step(now);
    let mut found = None;
    // All of them each time, so that the time it takes does not tell which.
    for candidate in present - DRIFT..=present + DRIFT {
        let right = code(secret.expose_secret(), candidate);
        if bool::from(right.as_bytes().ct_eq(typed.as_bytes())) {
            found = Some(candidate);
        }
    }
    match found {
        Some(step) if step > last => Checked::Step(step),
        Some(_) => Checked::Used,
        None => Checked::Wrong,
    }
}

/// The secret as people type it into an app that has no camera.
#[must_use]
pub fn text(secret: &SecretSlice<u8>) -> SecretString {
    BASE32_NOPAD.encode(secret.expose_secret()).into()
}

/// The secret as apps read it from a QR code. `site` is where the account is, so that two portals can be told apart.
#[must_use]
pub fn uri(secret: &SecretSlice<u8>, name: &str, site: &str) -> SecretString {
    let host = Url::parse(site).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let host: String = host.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')).collect();
    let label = if host.is_empty() { format!("Berth:{name}") } else { format!("Berth:{name}@{host}") };
    let secret = text(secret);
    format!("otpauth://totp/{label}?secret={}&issuer=Berth", secret.expose_secret()).into()
}

/// The code of a secret at `now`, as the app of whoever has it shows.
#[cfg(any(test, feature = "testing"))]
#[must_use]
pub fn code_at(secret: &str, now: Timestamp) -> String {
    code(&BASE32_NOPAD.decode(secret.as_bytes()).unwrap_or_default(), step(now))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn secret() -> SecretSlice<u8> {
        b"12345678901234567890".to_vec().into()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// RFC 6238, appendix B, its last six digits.
    #[test]
    fn codes_of_the_standard() {
        for (second, want) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code(secret().expose_secret(), step(at(second))), want, "{second}");
        }
    }

    #[test]
    fn a_code_counts_a_step_early_and_late_and_once() {
        let right = code(secret().expose_secret(), 100);
        for (second, last, want) in [
            (2_969, 0, Checked::Wrong),
            (2_970, 0, Checked::Step(100)),
            (3_000, 0, Checked::Step(100)),
            (3_059, 0, Checked::Step(100)),
            (3_060, 0, Checked::Wrong),
            (3_000, 99, Checked::Step(100)),
            (3_000, 100, Checked::Used),
            (3_000, 101, Checked::Used),
        ] {
            assert_eq!(check(&secret(), at(second), last, &right), want, "{second} {last}");
        }
    }

    #[test]
    fn what_can_be_a_code() {
        for (typed, want) in [
            ("123456", Some("123456")),
            (" 123 456\n", Some("123456")),
            ("123-456", Some("123456")),
            ("12345", None),
            ("1234567", None),
            ("12345a", None),
            ("１２３４５６", None),
            ("", None),
        ] {
            assert_eq!(digits(typed).as_deref(), want, "{typed:?}");
        }
        assert_eq!(check(&secret(), at(59), 0, "287 082"), Checked::Step(1));
        assert_eq!(check(&secret(), at(59), 0, "287083"), Checked::Wrong);
    }

    #[test]
    fn what_apps_read() {
        for (site, want) in [
            ("https://berth.example.com", "Berth:ann@berth.example.com"),
            ("http://127.0.0.1:8080", "Berth:ann@127.0.0.1"),
            ("", "Berth:ann"),
        ] {
            let uri = uri(&secret(), "ann", site);
            let want = format!("otpauth://totp/{want}?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Berth");
            assert_eq!(uri.expose_secret(), want);
        }
        let shown = text(&secret());
        assert_eq!(code_at(shown.expose_secret(), at(59)), "287082");
    }
}
