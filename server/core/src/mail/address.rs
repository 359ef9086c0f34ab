//! What Berth takes for an address: what can be written into an envelope and a header as it is.

use berth_types::{FieldError, mail::MAX_ADDRESS};

use crate::error::{Error, Result};

/// The characters before the `@` besides letters and digits (RFC 5321's dot-string; quoted ones are nobody's).
const PERSON: &str = ".!#$%&'*+-/=?^_`{|}~";

fn is_address(text: &str) -> bool {
    let Some((person, host)) = text.split_once('@') else { return false };
    let dots = |part: &str| !part.is_empty() && part.split('.').all(|word| !word.is_empty());
    let label = |word: &str| !word.starts_with('-') && !word.ends_with('-') && word.len() <= 63;
    text.len() <= MAX_ADDRESS
        && person.len() <= 64
        && dots(person)
        && person.chars().all(|c| c.is_ascii_alphanumeric() || PERSON.contains(c))
        && dots(host)
        && host.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c))
        && host.split('.').all(label)
}

/// The address that was typed at `email`; none where nothing was.
///
/// # Errors
/// `Invalid` at `email`.
pub fn typed(text: &str) -> Result<Option<String>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if !is_address(text) {
        return Err(Error::field(FieldError::new("email", "email", "an address such as ann@example.com")));
    }
    Ok(Some(text.to_owned()))
}

/// An address that somebody else vouches for, if it is one.
#[must_use]
pub fn vouched(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| is_address(text))
}

/// As it is shown to who may see that there is one, but need not see which: `a…@example.com`.
#[must_use]
pub fn veiled(address: &str) -> String {
    match address.split_once('@') {
        Some((person, host)) => format!("{}…@{host}", person.chars().take(1).collect::<String>()),
        None => "…".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses() {
        for (text, want) in [
            (" ann@example.com ", Ok(Some("ann@example.com"))),
            ("o'neill+berth@mail.example.com", Ok(Some("o'neill+berth@mail.example.com"))),
            ("ann@localhost", Ok(Some("ann@localhost"))),
            ("", Ok(None)),
            ("  ", Ok(None)),
            ("ann", Err(())),
            ("@example.com", Err(())),
            ("ann@", Err(())),
            ("a@b@c", Err(())),
            ("ann smith@example.com", Err(())),
            ("ann@example.com\r\nBcc: bob@example.com", Err(())),
            ("ann@example.com,bob@example.com", Err(())),
            ("Ann <ann@example.com>", Err(())),
            ("ann@[127.0.0.1]", Err(())),
            ("ann..b@example.com", Err(())),
            ("ann@example..com", Err(())),
            ("ann@-example.com", Err(())),
            ("änn@example.com", Err(())),
            (&format!("{}@example.com", "a".repeat(65)), Err(())),
            (&format!("ann@{}com", "a.".repeat(130)), Err(())),
        ] {
            let got = typed(text);
            assert_eq!(got.as_ref().map(|e| e.as_deref()).map_err(|_| ()), want, "{text}");
            assert_eq!(vouched(text), want.ok().flatten(), "{text}");
        }
    }

    #[test]
    fn enough_to_recognise_ones_own() {
        assert_eq!(veiled("ann@example.com"), "a…@example.com");
        assert_eq!(veiled("?"), "…");
    }
}
