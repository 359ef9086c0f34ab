//! YAML that people type or paste: bounded before it is understood, and errors that name the line.

use berth_types::{AppSpec, ErrorCode, FieldError};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};

mod strict;

/// Most bytes of a document.
pub const MAX_BYTES: usize = 256 * 1024;
/// Deepest nesting.
pub const MAX_DEPTH: usize = 32;

/// Reads one YAML (or JSON) document into JSON. Aliases, merge keys, duplicate keys, several documents, deep and large ones
/// are refused: none of them is needed for an app, and each has been used for attacks.
///
/// # Errors
/// `TooLarge`; `Invalid` at `yaml` with the line.
pub fn parse(text: &str) -> Result<Value> {
    if text.len() > MAX_BYTES {
        let message = format!("at most {} KiB are accepted", MAX_BYTES / 1024);
        return Err(Error::new(ErrorCode::TooLarge, message));
    }
    let budget = serde_saphyr::budget! {
        max_depth: MAX_DEPTH,
        max_aliases: 0,
        max_anchors: 0,
        max_documents: 1,
        max_nodes: 20_000,
    };
    let options = serde_saphyr::options! {
        budget: budget,
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::Error,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options::<Value>(text, options).map_err(|e| {
        let reason = told(&e.to_string());
        Error::field(FieldError::new("yaml", "yaml", reason.clone()).param("reason", reason))
    })
}

/// The parser's message without what only who programs with it can use.
fn told(message: &str) -> String {
    let place = message.split_once(": ").map(|(place, _)| place).filter(|place| place.starts_with("line "));
    let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
    let breached = |limit: &str| message.contains("budget breached") && message.contains(limit);
    let what = if breached("Depth") {
        format!("nested deeper than {MAX_DEPTH}")
    } else if breached("Alias") || breached("Anchor") || breached("MergeKey") {
        "anchors and aliases (& and *) are not taken: write it out".to_owned()
    } else if breached("Document") {
        "send one document only".to_owned()
    } else if message.contains("budget breached") {
        "it has more parts than any app needs".to_owned()
    } else if message.contains("uplicate") && message.contains("DuplicateKeyPolicy") {
        "a key stands twice".to_owned()
    } else {
        return message.to_owned();
    };
    place + &what
}

/// Writes JSON as YAML.
///
/// # Errors
/// Internal: JSON can always be written.
pub fn print(value: &impl serde::Serialize) -> Result<String> {
    serde_saphyr::to_string(value).map_err(|e| Error::internal(e.to_string()))
}

/// Reads `value` as `T`; an error stands at its field below `root` (which may be empty).
///
/// # Errors
/// `Invalid` at the field.
pub fn typed<T: DeserializeOwned>(root: &str, value: &Value) -> Result<T> {
    strict::read(value).map_err(|e| {
        let path = e.path().to_string();
        let inner = e.into_inner().to_string();
        let unknown = inner.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
        let missing = inner.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
        let (path, code) = match (path.as_str(), unknown) {
            (".", None) if missing.is_some() => (missing.unwrap_or_default().to_owned(), "required"),
            (path, None) if missing.is_some() => (format!("{path}.{}", missing.unwrap_or_default()), "required"),
            (".", Some(name)) => (name.to_owned(), "unknown_field"),
            (".", None) => (String::new(), "type"),
            (path, Some(name)) if !path.ends_with(name) => (format!("{path}.{name}"), "unknown_field"),
            (path, Some(_)) => (path.to_owned(), "unknown_field"),
            (path, None) => (path.to_owned(), "type"),
        };
        let field = if root.is_empty() || path.is_empty() { format!("{root}{path}") } else { format!("{root}.{path}") };
        Error::field(FieldError::new(field, code, strict::plain(&inner)).param("reason", strict::plain(&inner)))
    })
}

/// Reads and checks an app's `spec`.
///
/// # Errors
/// `Invalid` with every wrong field.
pub fn app_spec(value: &Value) -> Result<AppSpec> {
    let spec: AppSpec = typed("spec", value)?;
    match spec.validate() {
        errors if errors.is_empty() => Ok(spec),
        errors => Err(Error::invalid(errors)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn code(text: &str) -> String {
        let error = parse(text).unwrap_err();
        error.fields().first().map_or_else(|| error.code().to_string(), |f| f.code.clone())
    }

    #[test]
    fn bombs_are_refused() {
        assert_eq!(code("a: &a [1]\nb: [*a, *a]\n"), "yaml");
        assert_eq!(code(&"[".repeat(100)), "yaml");
        assert_eq!(code(&format!("a: \"{}\"", "x".repeat(MAX_BYTES))), "too-large");
        assert_eq!(code("a: 1\na: 2\n"), "yaml");
        assert_eq!(code("a: 1\n---\nb: 2\n"), "yaml");
        assert_eq!(code("a: [1\n"), "yaml");
    }

    #[test]
    fn refusals_are_told_in_plain_words() {
        for (text, says) in [
            (format!("{}{}", "[".repeat(40), "]".repeat(40)), "deeper than 32"),
            ("a: &a [1]\nb: [*a, *a]\n".to_owned(), "&"),
            ("a: 1\na: 2\n".to_owned(), "twice"),
        ] {
            let message = parse(&text).unwrap_err().fields()[0].message.clone();
            let inside = ["{", "budget", "Policy", "Options"].iter().any(|word| message.contains(word));
            assert!(message.contains(says) && !inside, "{message}");
        }
    }

    #[test]
    fn round_trip() {
        let value = parse("a: 1\nb: [x, 'yes', null]\nc: {d: 1.5}\n").unwrap();
        assert_eq!(parse(&print(&value).unwrap()).unwrap(), value);
    }

    #[test]
    fn unknown_and_mistyped_fields_stand_at_their_place() {
        for (yaml, field, code) in [
            ("components: [{name: main, image: a, replica: 1}]", "spec.components[0].replica", "unknown_field"),
            ("components: [{name: main, image: a, replicas: many}]", "spec.components[0].replicas", "type"),
            ("component: []", "spec.component", "unknown_field"),
            ("components: [{name: main}]", "spec.components[0].image", "required"),
            ("suspended: true", "spec.components", "required"),
            ("components: [[main, a]]", "spec.components[0]", "type"),
            ("[[]]", "spec", "type"),
            (
                "components: [{name: main, image: a, env: [{name: A, value: 010}]}]",
                "spec.components[0].env[0].value",
                "type",
            ),
        ] {
            let error = app_spec(&parse(yaml).unwrap()).unwrap_err();
            let got = &error.fields()[0];
            assert_eq!((got.field.as_str(), got.code.as_str()), (field, code), "{yaml}: {got:?}");
            for word in ["i32", "struct", "sequence", "variant", "expected"] {
                assert!(!got.message.contains(word), "{yaml}: {got:?}");
            }
        }
    }
}
