//! Bodies: bounded, then read as JSON or YAML, then as what the operation expects. Errors name line and field.

use std::fmt;

use axum::{
    body::{Bytes, to_bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, Method, header},
};
use berth_core::{Error, Result, yaml};
use berth_types::{ErrorCode, FieldError};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::problem::Failure;

/// Most bytes of a body.
pub(crate) const MAX_BODY: usize = 512 * 1024;

/// What an operation takes.
pub(crate) trait Input: DeserializeOwned {
    /// Whether it may be written as YAML too.
    const YAML: bool = false;
    /// Whether it is a merge patch.
    const MERGE_PATCH: bool = false;

    /// From what was sent.
    ///
    /// # Errors
    /// `Invalid` at the field.
    fn from_value(value: Value) -> Result<Self> {
        yaml::typed("", &value)
    }
}

/// A body read as `T`.
pub(crate) struct Sent<T>(pub T);

impl<S: Send + Sync, T: Input> FromRequest<S> for Sent<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        // What an action does depends on nothing that was read before; a condition that is not looked at would be a promise.
        if parts.method == Method::POST && parts.headers.contains_key(header::IF_MATCH) {
            let message = "If-Match is not taken here: PATCH, PUT and DELETE look at it";
            return Err(Error::new(ErrorCode::Malformed, message).into());
        }
        let packed = parts.headers.get(header::CONTENT_ENCODING).is_some_and(|how| how != "identity");
        if packed {
            let message = "send the body as it is, without Content-Encoding";
            return Err(Error::new(ErrorCode::UnsupportedMediaType, message).into());
        }
        let kind = kind::<T>(&parts.headers)?;
        let bytes = read(body).await?;
        // Some editors put a byte order mark before UTF-8.
        let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
        let value = match kind {
            Kind::Json => json(text)?,
            Kind::Yaml => from_yaml(text)?,
        };
        if !value.is_object() {
            return Err(Error::field(FieldError::new("body", "type", "an object is meant")).into());
        }
        Ok(Self(T::from_value(value)?))
    }
}

/// All of a body.
///
/// # Errors
/// `TooLarge`; `Malformed` when it breaks off.
pub(crate) async fn read(body: axum::body::Body) -> Result<Bytes> {
    to_bytes(body, MAX_BODY).await.map_err(|e| {
        let too_large = std::error::Error::source(&e).is_some_and(|s| s.is::<http_body_util::LengthLimitError>());
        if too_large {
            Error::new(ErrorCode::TooLarge, format!("at most {} KiB are accepted", MAX_BODY / 1024))
        } else {
            Error::new(ErrorCode::Malformed, "the body broke off").caused_by(e)
        }
    })
}

enum Kind {
    Json,
    Yaml,
}

fn kind<T: Input>(headers: &HeaderMap) -> Result<Kind> {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("application/json");
    let charset = sent
        .split(';')
        .skip(1)
        .find_map(|p| p.trim().to_ascii_lowercase().strip_prefix("charset=").map(|c| c.trim_matches('"').to_owned()));
    if let Some(charset) = charset.filter(|c| !matches!(c.as_str(), "utf-8" | "utf8" | "us-ascii")) {
        let message = format!("the charset “{charset}” is not understood; send UTF-8");
        return Err(Error::new(ErrorCode::UnsupportedMediaType, message));
    }
    let kind = sent.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/json" => Ok(Kind::Json),
        "application/merge-patch+json" if T::MERGE_PATCH => Ok(Kind::Json),
        "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" if T::YAML => Ok(Kind::Yaml),
        _ => {
            let mut known = vec!["application/json"];
            if T::MERGE_PATCH {
                known.push("application/merge-patch+json");
            }
            if T::YAML {
                known.push("application/yaml");
            }
            let message = format!("“{kind}” is not understood here; send {}", known.join(" or "));
            Err(Error::new(ErrorCode::UnsupportedMediaType, message))
        }
    }
}

/// Reads JSON with the bounds that YAML has: no duplicate keys, no depth that nobody needs. An empty body is `{}`.
fn json(bytes: &[u8]) -> Result<Value> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(Map::new()));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Bounded(0).deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|e| {
        let text = e.to_string();
        let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
        let message = format!("the JSON cannot be read: line {}, column {}: {what}", e.line(), e.column());
        Error::new(ErrorCode::Malformed, message)
    })
}

fn from_yaml(bytes: &[u8]) -> Result<Value> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        Error::new(ErrorCode::Malformed, format!("the YAML is not UTF-8 from byte {}", e.valid_up_to()))
    })?;
    yaml::parse(text).map_err(|e| match e.fields().first() {
        Some(field) => Error::new(ErrorCode::Malformed, format!("the YAML cannot be read: {}", field.message)),
        None => e,
    })
}

/// Reads a value that is nested at most [`yaml::MAX_DEPTH`] deep; holds the depth so far.
struct Bounded(usize);

impl<'de> DeserializeSeed<'de> for Bounded {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        if self.0 > yaml::MAX_DEPTH {
            return Err(D::Error::custom(format_args!("nested deeper than {}", yaml::MAX_DEPTH)));
        }
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Bounded(self.0 + 1))? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key “{key}” stands twice")));
            }
            let value = entries.next_value_seed(Bounded(self.0 + 1))?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// Tells an absent field from one that is `null`.
pub(crate) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(reader: D) -> Result<Option<T>, D::Error> {
    T::deserialize(reader).map(Some)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn json_is_bounded_and_errors_name_the_place() {
        assert_eq!(json(b" \n").unwrap(), serde_json::json!({}));
        assert_eq!(json(br#"{"a":[1,-2,1.5,"x",true,null]}"#).unwrap()["a"][5], Value::Null);
        let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
        for (text, want) in [
            ("{\n  \"a\": ]", "line 2, column 8"),
            ("{\"a\":1,\"a\":2}", "“a” stands twice"),
            ("{} {}", "line 1, column 4"),
            (deep.as_str(), "nested deeper than 32"),
        ] {
            let error = json(text.as_bytes()).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Malformed);
            assert!(error.message().contains(want), "{text}: {error}");
        }
    }
}
