//! Cookies: one for the session, three for what becomes one, one for what is said once, two for what somebody likes.

use axum::http::{HeaderMap, HeaderValue, header};
use berth_core::ports::pages::{Language, Theme};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The session cookie's name. `__Host-` makes the browser refuse it from subdomains and without TLS.
#[must_use]
pub fn session_name(secure: bool) -> &'static str {
    if secure { "__Host-berth" } else { "berth-plain" }
}

/// The name of the cookie with the secret of a sign-in by a provider that is under way.
#[must_use]
pub fn attempt_name(secure: bool) -> &'static str {
    if secure { "__Host-berth-sign-in" } else { "berth-plain-sign-in" }
}

/// The name of the cookie with the secret of a link that was opened.
#[must_use]
pub fn link_name(secure: bool) -> &'static str {
    if secure { "__Host-berth-link" } else { "berth-plain-link" }
}

/// The name of the cookie with the secret of a sign-in that waits for a code.
#[must_use]
pub fn step_name(secure: bool) -> &'static str {
    if secure { "__Host-berth-code" } else { "berth-plain-code" }
}

const FLASH: &str = "berth-flash";
const LANGUAGE: &str = "berth-language";
const THEME: &str = "berth-theme";
const YEAR: i64 = 365 * 86_400;
const HOUR: i64 = 3_600;

/// The value of a cookie.
#[must_use]
pub fn get<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// What the last action said.
#[must_use]
pub fn flash(headers: &HeaderMap) -> Option<String> {
    let value = get(headers, FLASH).filter(|v| !v.is_empty())?;
    percent_decode_str(value).decode_utf8().ok().map(|text| text.chars().take(500).collect())
}

/// The language: chosen, else the browser's first that we speak.
#[must_use]
pub fn language(headers: &HeaderMap) -> Language {
    if let Some(chosen) = get(headers, LANGUAGE).and_then(Language::from_tag) {
        return chosen;
    }
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let mut tags: Vec<(f32, &str)> = accepted
        .split(',')
        .take(20)
        .filter_map(|item| {
            let (tag, q) = item.trim().split_once(";q=").unwrap_or((item.trim(), "1"));
            let q: f32 = q.parse().ok()?;
            (q > 0.0).then_some((q, tag))
        })
        .collect();
    tags.sort_by(|a, b| b.0.total_cmp(&a.0));
    tags.into_iter().find_map(|(_, tag)| Language::from_tag(tag)).unwrap_or_default()
}

/// The colours that were chosen.
#[must_use]
pub fn theme(headers: &HeaderMap) -> Theme {
    get(headers, THEME).and_then(Theme::from_word).unwrap_or_default()
}

fn cookie(name: &str, value: &str, seconds: i64, secure: bool, script_may_read: bool) -> Option<HeaderValue> {
    let secure = if secure { "; Secure" } else { "" };
    let http_only = if script_may_read { "" } else { "; HttpOnly" };
    let text = format!("{name}={value}; Path=/; SameSite=Lax; Max-Age={seconds}{http_only}{secure}");
    HeaderValue::try_from(text).ok()
}

/// Sets the session cookie until `expires_at`.
#[must_use]
pub fn set_session(secret: &str, now: Timestamp, expires_at: Timestamp, secure: bool) -> Option<HeaderValue> {
    cookie(session_name(secure), secret, expires_at.as_second() - now.as_second(), secure, false)
}

/// Removes the session cookie.
#[must_use]
pub fn end_session(secure: bool) -> Option<HeaderValue> {
    cookie(session_name(secure), "", 0, secure, false)
}

/// Sets the cookie of a sign-in under way. `Lax`: the browser comes back from another site, and brings it along.
#[must_use]
pub fn set_attempt(secret: &str, now: Timestamp, expires_at: Timestamp, secure: bool) -> Option<HeaderValue> {
    cookie(attempt_name(secure), secret, expires_at.as_second() - now.as_second(), secure, false)
}

/// Removes it.
#[must_use]
pub fn end_attempt(secure: bool) -> Option<HeaderValue> {
    cookie(attempt_name(secure), "", 0, secure, false)
}

/// Sets the cookie of a sign-in that waits for a code.
#[must_use]
pub fn set_step(secret: &str, now: Timestamp, expires_at: Timestamp, secure: bool) -> Option<HeaderValue> {
    cookie(step_name(secure), secret, expires_at.as_second() - now.as_second(), secure, false)
}

/// Removes it.
#[must_use]
pub fn end_step(secure: bool) -> Option<HeaderValue> {
    cookie(step_name(secure), "", 0, secure, false)
}

/// Holds the secret of a link that was opened, if it can be one: it comes from an address that anybody may write.
#[must_use]
pub fn set_link(secret: &str, secure: bool) -> Option<HeaderValue> {
    let ours = secret.len() <= 100 && secret.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    cookie(link_name(secure), if ours { secret } else { "-" }, HOUR, secure, false)
}

/// Removes it.
#[must_use]
pub fn end_link(secure: bool) -> Option<HeaderValue> {
    cookie(link_name(secure), "", 0, secure, false)
}

/// Says something on the next page.
#[must_use]
pub fn set_flash(text: &str, secure: bool) -> Option<HeaderValue> {
    let text: String = text.chars().take(500).collect();
    cookie(FLASH, &utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string(), 60, secure, false)
}

/// It was said.
#[must_use]
pub fn clear_flash(secure: bool) -> Option<HeaderValue> {
    cookie(FLASH, "", 0, secure, false)
}

/// Remembers a language.
#[must_use]
pub fn set_language(language: Language, secure: bool) -> Option<HeaderValue> {
    cookie(LANGUAGE, language.tag(), YEAR, secure, true)
}

/// Remembers colours.
#[must_use]
pub fn set_theme(theme: Theme, secure: bool) -> Option<HeaderValue> {
    cookie(THEME, theme.as_str(), YEAR, secure, true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn reads_one_of_many() {
        let map = headers(header::COOKIE, "a=1; berth-plain=xyz; b=2");
        assert_eq!(get(&map, "berth-plain"), Some("xyz"));
        assert_eq!(get(&map, "berth"), None);
    }

    #[test]
    fn chooses_the_language_that_is_liked_best() {
        for (accept, want) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Language::ZhCn),
            ("fr, en;q=0.5, zh;q=0.7", Language::ZhCn),
            ("fr", Language::En),
            ("zh;q=0", Language::En),
            ("", Language::En),
        ] {
            assert_eq!(language(&headers(header::ACCEPT_LANGUAGE, accept)), want, "{accept}");
        }
        let mut map = headers(header::ACCEPT_LANGUAGE, "zh");
        map.insert(header::COOKIE, HeaderValue::from_static("berth-language=en"));
        assert_eq!(language(&map), Language::En);
    }

    #[test]
    fn what_is_no_secret_of_ours_becomes_no_part_of_a_cookie() {
        for (secret, held) in [("aB3-_x", "aB3-_x"), ("a; Domain=evil.example", "-"), ("a\r\nb", "-"), ("", "")] {
            let set = set_link(secret, true).unwrap();
            assert_eq!(set, format!("__Host-berth-link={held}; Path=/; SameSite=Lax; Max-Age=3600; HttpOnly; Secure"));
        }
    }

    #[test]
    fn secure_cookies_have_the_prefix() {
        let now = Timestamp::UNIX_EPOCH;
        let set = set_session("s", now, now, true).unwrap();
        assert_eq!(set, "__Host-berth=s; Path=/; SameSite=Lax; Max-Age=0; HttpOnly; Secure");
        assert_eq!(
            set_flash("a; b", false).unwrap(),
            "berth-flash=a%3B%20b; Path=/; SameSite=Lax; Max-Age=60; HttpOnly"
        );
    }
}
