//! Entity tags: `ETag`, `If-Match`, `If-None-Match` (RFC 9110, 8.8 and 13.1).

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use berth_core::{Error, Result, audit::chain::hex};
use berth_types::ErrorCode;
use sha2::{Digest, Sha256};

/// What `If-Match` demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IfMatch {
    /// Nothing was said.
    Absent,
    /// Any version, as long as it exists.
    Any,
    /// This version.
    Version(String),
}

impl IfMatch {
    /// Reads the header.
    ///
    /// # Errors
    /// `Malformed` for anything but `*` or one strong tag.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self> {
        let Some(value) = only(headers, header::IF_MATCH)? else {
            return Ok(Self::Absent);
        };
        if value == "*" {
            return Ok(Self::Any);
        }
        let tag = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        match tag.filter(|tag| !tag.contains('"')) {
            // The same version has one tag as JSON and another as YAML.
            Some(tag) => Ok(Self::Version(tag.strip_suffix(YAML_SUFFIX).unwrap_or(tag).to_owned())),
            None => Err(Error::new(ErrorCode::Malformed, "If-Match: send the ETag of the last answer as it was, or *")),
        }
    }

    /// The version, where the change must not be made blindly.
    ///
    /// # Errors
    /// `PreconditionRequired` when nothing was said.
    pub(crate) fn required(self) -> Result<Option<String>> {
        match self {
            Self::Absent => Err(Error::new(
                ErrorCode::PreconditionRequired,
                "send If-Match with the ETag of the version you read, or * to replace whatever is there",
            )),
            other => Ok(other.version()),
        }
    }

    /// The version, if one was named, where versions are numbers: anything else is none that ever was.
    pub(crate) fn number(self) -> Option<i64> {
        self.version().map(|text| text.parse().unwrap_or(-1))
    }

    /// The version, if one was named.
    pub(crate) fn version(self) -> Option<String> {
        match self {
            Self::Version(version) => Some(version),
            Self::Absent | Self::Any => None,
        }
    }
}

/// A lost race is a failed precondition when a version was named.
pub(crate) fn failed(error: Error) -> Error {
    // A conflict that passes by itself (an app that is being deleted) has nothing to do with the version.
    if error.code() == ErrorCode::Conflict && error.wait().is_none() {
        Error::new(ErrorCode::PreconditionFailed, error.message().to_owned()).caused_by(error)
    } else {
        error
    }
}

const YAML_SUFFIX: &str = ";yaml";

/// The tag of a version.
pub(crate) fn tag(version: impl std::fmt::Display, yaml: bool) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("\"{version}{}\"", if yaml { YAML_SUFFIX } else { "" })).ok()
}

/// The tag of what is sent, where nothing counts its versions.
pub(crate) fn tag_of(body: &[u8]) -> Option<HeaderValue> {
    tag(hex(&Sha256::digest(body)[..16]), false)
}

/// Whether the client has this already (`If-None-Match`; weak comparison).
pub(crate) fn known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let Ok(tag) = tag.to_str() else { return false };
    let sent = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    sent.flat_map(|value| value.split(',')).map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}

/// The header's only value.
///
/// # Errors
/// `Malformed` when it is there twice or is no text.
pub(crate) fn only(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>> {
    let mut values = headers.get_all(&name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match (value.to_str(), values.next()) {
        (Ok(value), None) => Ok(Some(value.trim())),
        _ => Err(Error::new(ErrorCode::Malformed, format!("send {name} once, in ASCII"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn if_match() {
        for (sent, want) in [
            (None, Ok(IfMatch::Absent)),
            (Some("*"), Ok(IfMatch::Any)),
            (Some("\"105\""), Ok(IfMatch::Version("105".into()))),
            (Some("\"105;yaml\""), Ok(IfMatch::Version("105".into()))),
            (Some("W/\"105\""), Err(ErrorCode::Malformed)),
            (Some("105"), Err(ErrorCode::Malformed)),
            (Some("\"1\", \"2\""), Err(ErrorCode::Malformed)),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(sent) = sent {
                headers.insert(header::IF_MATCH, sent.parse().unwrap());
            }
            assert_eq!(IfMatch::read(&headers).map_err(|e| e.code()), want, "{sent:?}");
        }
        assert_eq!(IfMatch::Absent.required().unwrap_err().code(), ErrorCode::PreconditionRequired);
    }

    #[test]
    fn if_none_match() {
        let tag = HeaderValue::from_static("\"a\"");
        for (sent, want) in [("\"a\"", true), ("W/\"a\"", true), ("\"b\", \"a\"", true), ("*", true), ("\"b\"", false)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, sent.parse().unwrap());
            assert_eq!(known(&headers, &tag), want, "{sent}");
        }
    }
}
