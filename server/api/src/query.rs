//! Query strings. An unknown parameter is refused with the known ones named: a mistyped filter must not show everything.

use std::{str::FromStr, time::Duration};

use axum::{
    extract::{FromRequestParts, OriginalUri, Query},
    http::{HeaderMap, Method, Uri, header, request::Parts},
};
use berth_core::{Error, Result};
use berth_types::{ErrorCode, FieldError, ListQuery, list::MAX_LIMIT};

use crate::{handlers::preflight::PREFLIGHT, problem::Failure};

/// What was asked, besides the path: query, headers, and the URI as the client sent it.
pub(crate) struct Asked {
    pub uri: Uri,
    pub headers: HeaderMap,
    params: Vec<(String, String)>,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let uri = match OriginalUri::from_request_parts(parts, state).await {
            Ok(OriginalUri(uri)) => uri,
            Err(never) => match never {},
        };
        let params = Query::<Vec<(String, String)>>::try_from_uri(&uri)
            .map_err(|e| Error::new(ErrorCode::Malformed, format!("the query cannot be read: {e}")))?;
        Ok(Self { uri, headers: parts.headers.clone(), params: params.0 })
    }
}

/// A list's columns, for its parameters and their documentation.
pub(crate) struct Columns {
    /// Columns to sort by; the first is the order when none is asked for.
    pub sorts: &'static [&'static str],
    /// Columns to filter by, with the values they may have (empty: any).
    pub filters: &'static [(&'static str, &'static [&'static str])],
}

/// Parameters of every list.
const LIST: [&str; 4] = ["limit", "cursor", "sort", "q"];

pub(crate) fn wrong(name: &str, code: &str, message: String) -> Error {
    Error::field(FieldError::new(name, code, message))
}

impl Asked {
    /// Refuses what is not `known`.
    ///
    /// # Errors
    /// `Invalid` at the parameter.
    pub(crate) fn only(&self, known: &[&str]) -> Result<()> {
        match self.params.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let message = format!("there is no such parameter here; known: {known}");
                Err(Error::field(FieldError::new(name, "parameter_unknown", message).param("known", known)))
            }
            None => Ok(()),
        }
    }

    /// The parameter's only value; empty is absent.
    ///
    /// # Errors
    /// `Invalid` when it is there twice.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>> {
        let mut values = self.params.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let value = values.next();
        if values.next().is_some() {
            return Err(wrong(name, "duplicate", "send it once".to_owned()));
        }
        Ok(value.filter(|value| !value.is_empty()))
    }

    /// `true` or `false` (the default).
    ///
    /// # Errors
    /// `Invalid` for anything else.
    pub(crate) fn flag(&self, name: &str) -> Result<bool> {
        match self.one(name)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(wrong(name, "boolean", format!("“{other}” is neither true nor false"))),
        }
    }

    /// A whole number within bounds.
    ///
    /// # Errors
    /// `Invalid` for anything else.
    pub(crate) fn number<T: FromStr + PartialOrd + std::fmt::Display>(
        &self,
        name: &str,
        min: T,
        max: T,
    ) -> Result<Option<T>> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        match text.parse::<T>() {
            Ok(number) if number >= min && number <= max => Ok(Some(number)),
            _ => {
                let message = format!("“{text}” is no whole number from {min} to {max}");
                let error = FieldError::new(name, "number_range", message).param("min", min).param("max", max);
                Err(Error::field(error))
            }
        }
    }

    /// A span of time: `90s`, `10m`, `1h30m`.
    ///
    /// # Errors
    /// `Invalid` for anything else.
    pub(crate) fn span(&self, name: &str) -> Result<Option<Duration>> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let span = text.parse::<jiff::SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
        let wrong = || wrong(name, "duration", format!("“{text}” is no span of time: write 90s, 10m or 1h30m"));
        span.filter(|span| !span.is_zero()).map(Some).ok_or_else(wrong)
    }

    /// What part of a list with these columns is wanted.
    ///
    /// # Errors
    /// `Invalid` at the parameter, with what is known.
    pub(crate) fn list(&self, columns: &Columns) -> Result<ListQuery> {
        let filters = columns.filters.iter().map(|(name, _)| *name);
        let known: Vec<&str> = LIST.into_iter().chain(filters).collect();
        self.only(&known)?;
        let sort = ListQuery::parse_sort(self.one("sort")?.unwrap_or_default());
        if let Some(key) = sort.iter().find(|key| !columns.sorts.contains(&key.field.as_str())) {
            let known = columns.sorts.join(", ");
            let message = format!("“{}” is nothing to sort by; known: {known}", key.field);
            let error = FieldError::new("sort", "sort_unknown", message).param("value", &key.field);
            return Err(Error::field(error.param("known", known)));
        }
        Ok(ListQuery {
            limit: self.number("limit", 1, MAX_LIMIT)?.unwrap_or_default(),
            cursor: self.one("cursor")?.map(str::to_owned),
            sort,
            ..self.filtered(columns)?
        })
    }

    /// Which rows of a list with these columns are wanted, all of them at once.
    ///
    /// # Errors
    /// `Invalid` at the parameter, with what is known.
    pub(crate) fn filters(&self, columns: &Columns) -> Result<ListQuery> {
        let filters = columns.filters.iter().map(|(name, _)| *name);
        self.only(&std::iter::once("q").chain(filters).collect::<Vec<_>>())?;
        self.filtered(columns)
    }

    fn filtered(&self, columns: &Columns) -> Result<ListQuery> {
        let mut query = ListQuery { q: self.one("q")?.unwrap_or_default().to_owned(), ..ListQuery::default() };
        for (name, values) in columns.filters {
            for (_, value) in self.params.iter().filter(|(key, _)| key == name) {
                if !values.is_empty() && !values.contains(&value.as_str()) {
                    let known = values.join(", ");
                    let message = format!("“{value}” is none of {known}");
                    let error = FieldError::new(*name, "filter_value", message).param("value", value);
                    return Err(Error::field(error.param("known", known)));
                }
                query = query.filter(name, value);
            }
        }
        Ok(query)
    }

    /// This list's URI with another cursor.
    pub(crate) fn next(&self, cursor: &str) -> String {
        let mut query: Vec<String> = Vec::new();
        let kept = self.params.iter().filter(|(name, _)| name != "cursor").map(|(n, v)| (n.as_str(), v.as_str()));
        for (name, value) in kept.chain([("cursor", cursor)]) {
            query.push(format!("{}={}", encode(name), encode(value)));
        }
        format!("{}?{}", self.uri.path(), query.join("&"))
    }

    /// The first of `offered` media types that `Accept` wants most; the first when it wants none of them or says nothing.
    pub(crate) fn accepts(&self, offered: &[&'static str]) -> &'static str {
        let mut best = (0.0, 0);
        let sent: Vec<&str> = self.headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
        for (at, kind) in offered.iter().enumerate() {
            let quality = sent.iter().flat_map(|value| value.split(',')).filter_map(|one| quality(one, kind));
            // The most specific range that fits has the say.
            let (_, quality) = quality.fold((0, 0.0), |a, b| if b.0 > a.0 { b } else { a });
            if quality > best.0 {
                best = (quality, at);
            }
        }
        offered.get(best.1).copied().unwrap_or_default()
    }
}

/// All forms in which operations answer.
const FORMS: [&str; 7] = [
    "application/json",
    "application/problem+json",
    "application/yaml",
    "text/event-stream",
    "text/plain",
    "application/x-ndjson",
    "text/csv",
];

/// Refuses what no operation understands: an `Accept` that none of our forms fits, parameters of a change (only those of apps have
/// one, which they check).
///
/// # Errors
/// `NotAcceptable`; `Invalid` at the parameter.
pub(crate) fn acceptable(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<()> {
    let sent: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
    let wanted = |range: &str| FORMS.iter().any(|form| quality(range, form).is_some_and(|(_, q)| q > 0.0));
    if sent.iter().any(|v| !v.trim().is_empty()) && !sent.iter().flat_map(|v| v.split(',')).any(wanted) {
        let message = format!("“{}” is none of the forms there are: {}", sent.join(", "), FORMS.join(", "));
        return Err(Error::new(ErrorCode::NotAcceptable, message));
    }
    let changes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let first = uri.query().and_then(|query| query.split(['&', '=']).next()).filter(|name| !name.is_empty());
    match first {
        Some(PREFLIGHT) if uri.path().contains("/apps") => Ok(()),
        Some(name) if changes => {
            let message = "a change takes no parameters in its URL; all of it stands in the body".to_owned();
            Err(wrong(name, "parameter_unknown", message))
        }
        _ => Ok(()),
    }
}

/// How specifically one range of `Accept` fits `kind`, and with which quality.
fn quality(range: &str, kind: &str) -> Option<(u8, f32)> {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next()?.to_ascii_lowercase();
    let specific = if name == kind {
        3
    } else if name.strip_suffix("/*").is_some_and(|main| main != "*" && kind.starts_with(&format!("{main}/"))) {
        2
    } else if name == "*/*" {
        1
    } else {
        return None;
    };
    let q = parts.find_map(|p| p.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
    Some((specific, q))
}

/// Percent-encodes all but unreserved characters (RFC 3986).
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const COLUMNS: Columns =
        Columns { sorts: &["name", "created"], filters: &[("phase", &["Ready", "Degraded"]), ("image", &[])] };

    fn asked(uri: &str) -> Asked {
        let uri: Uri = uri.parse().unwrap();
        let params = Query::try_from_uri(&uri).unwrap().0;
        Asked { uri, headers: HeaderMap::new(), params }
    }

    #[test]
    fn lists() {
        let query =
            asked("/a?limit=5&sort=-created,name&q=a%20b&phase=Ready&phase=Degraded&image=x").list(&COLUMNS).unwrap();
        assert_eq!((query.limit, query.q.as_str(), query.sort_text().as_str()), (5, "a b", "-created,name"));
        assert_eq!(query.filters["phase"], ["Ready", "Degraded"]);
        for (uri, field, says) in [
            ("/a?colour=red", "colour", "known: limit, cursor, sort, q, phase, image"),
            ("/a?sort=size", "sort", "known: name, created"),
            ("/a?limit=0", "limit", "from 1 to 500"),
            ("/a?limit=many", "limit", "from 1 to 500"),
            ("/a?limit=1&limit=2", "limit", "once"),
            ("/a?phase=ready", "phase", "none of Ready, Degraded"),
        ] {
            let error = asked(uri).list(&COLUMNS).unwrap_err();
            let field_error = &error.fields()[0];
            assert_eq!(field_error.field, field, "{uri}");
            assert!(field_error.message.contains(says), "{uri}: {}", field_error.message);
        }
    }

    #[test]
    fn next_page() {
        assert_eq!(asked("/a?q=a+b&cursor=old&limit=2").next("n/w"), "/a?q=a%20b&limit=2&cursor=n%2Fw");
    }

    #[test]
    fn spans() {
        assert_eq!(asked("/a?since=1h30m").span("since").unwrap(), Some(Duration::from_secs(5400)));
        for text in ["0s", "-5m", "soon"] {
            assert!(asked(&format!("/a?since={text}")).span("since").is_err(), "{text}");
        }
    }

    #[test]
    fn negotiation() {
        let offered = ["application/json", "application/yaml", "text/event-stream"];
        for (accept, want) in [
            ("", "application/json"),
            ("*/*", "application/json"),
            ("text/event-stream", "text/event-stream"),
            ("application/yaml;q=0.5, application/json;q=0.4", "application/yaml"),
            ("application/*, text/event-stream;q=0.9", "application/json"),
            ("application/json;q=0, */*", "application/yaml"),
            ("image/png", "application/json"),
        ] {
            let mut asked = asked("/a");
            if !accept.is_empty() {
                asked.headers.insert(header::ACCEPT, accept.parse().unwrap());
            }
            assert_eq!(asked.accepts(&offered), want, "{accept}");
        }
    }
}
