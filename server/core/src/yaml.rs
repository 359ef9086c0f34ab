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
    serde_saphyr::from_str_with_options::<Value>(text, options).map_err(|e| Error::field(unreadable(&e.to_string())))
}

/// The parser's message without what only who programs with it can use.
fn unreadable(message: &str) -> FieldError {
    let place = message.split_once(": ").map(|(place, _)| place).filter(|place| place.starts_with("line "));
    let line = place.and_then(|place| place.split_whitespace().nth(1));
    let breached = |limit: &str| message.contains("budget breached") && message.contains(limit);
    let (code, what) = if breached("Depth") {
        ("yaml_deep", format!("nested deeper than {MAX_DEPTH}"))
    } else if breached("Alias") || breached("Anchor") || breached("MergeKey") {
        ("yaml_alias", "anchors and aliases (& and *) are not taken: write it out".to_owned())
    } else if breached("Document") {
        ("yaml_documents", "send one document only".to_owned())
    } else if message.contains("budget breached") {
        ("yaml_parts", "it has more parts than any app needs".to_owned())
    } else if message.contains("uplicate") && message.contains("DuplicateKeyPolicy") {
        ("yaml_twice", "a key stands twice".to_owned())
    } else {
        ("yaml", message.to_owned())
    };
    let text = match place {
        Some(place) if code != "yaml" => format!("{place}: {what}"),
        _ => what,
    };
    let error = FieldError::new("yaml", code, text.clone()).param("reason", text).param("max", MAX_DEPTH);
    match line {
        Some(line) => error.param("line", line),
        None => error,
    }
}

/// Writes JSON as YAML.
///
/// # Errors
/// Internal: JSON can always be written.
pub fn print(value: &impl serde::Serialize) -> Result<String> {
    serde_saphyr::to_string(value).map_err(|e| Error::internal(e.to_string()))
}

/// Most errors of one document that are told.
const MAX_ERRORS: usize = 20;

/// Reads `value` as `T`; errors stand at their fields below `root` (which may be empty).
///
/// # Errors
/// `Invalid` with every field that is unknown, missing or of another type, at most [`MAX_ERRORS`].
pub fn typed<T: DeserializeOwned>(root: &str, value: &Value) -> Result<T> {
    read(root, value).map_err(|(errors, _)| Error::invalid(errors))
}

/// The same; with the errors what the rest says, where that can be told.
fn read<T: DeserializeOwned>(root: &str, value: &Value) -> Result<T, (Vec<FieldError>, Option<T>)> {
    strict::read(value).map_err(|first| {
        let (wrong, rest) = strict::all_wrong::<T>(value, first, MAX_ERRORS);
        (wrong.into_iter().map(|wrong| wrong.at(root)).collect(), rest)
    })
}

/// Reads and checks an app's `spec`.
///
/// # Errors
/// `Invalid` with every wrong field.
pub fn app_spec(value: &Value) -> Result<AppSpec> {
    match read::<AppSpec>("spec", value) {
        Ok(spec) => match spec.validate() {
            errors if errors.is_empty() => Ok(spec),
            errors => Err(Error::invalid(errors)),
        },
        Err((mut errors, rest)) => {
            // What is allowed is looked at in the rest, too; but not where something was put in for what is wrong.
            let put_in: Vec<String> = errors.iter().map(|e| e.field.clone()).collect();
            let is_put_in = |field: &str| put_in.iter().any(|wrong| field.starts_with(wrong.as_str()));
            let more = rest.map(|spec| spec.validate()).unwrap_or_default();
            errors.extend(more.into_iter().filter(|e| !is_put_in(&e.field)));
            Err(Error::invalid(errors))
        }
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
    fn all_that_is_wrong_is_told_at_once() {
        let text = "components:\n- {name: main, image: 7, replica: 1, ports: [{port: many}, {port: 80, prot: TCP}]}\n\
                    - {image: b, env: {A: 1}}\n- 5\nsuspend: yes\n";
        let error = app_spec(&parse(text).unwrap()).unwrap_err();
        let mut got: Vec<_> = error.fields().iter().map(|f| (f.field.as_str(), f.code.as_str())).collect();
        got.sort_unstable();
        assert_eq!(
            got,
            [
                ("spec.components[0].image", "type"),
                ("spec.components[0].ports[0].port", "type"),
                ("spec.components[0].ports[1].prot", "unknown_field"),
                ("spec.components[0].replica", "unknown_field"),
                ("spec.components[1].env", "type"),
                ("spec.components[1].name", "required"),
                ("spec.components[2]", "type"),
                ("spec.suspend", "unknown_field"),
            ]
        );
        let suggested = |path: &str| error.fields().iter().find(|f| f.field == path).unwrap().suggestions.clone();
        assert_eq!(suggested("spec.components[0].replica"), ["replicas"]);
        assert_eq!(suggested("spec.suspend"), ["suspended"]);
    }

    #[test]
    fn what_is_not_allowed_is_told_beside_what_cannot_be_read() {
        let text = "components: [{name: main, image: BAD IMAGE, replicas: many, env: [{name: 1 X, value: a}]}]";
        let error = app_spec(&parse(text).unwrap()).unwrap_err();
        let mut got: Vec<_> = error.fields().iter().map(|f| f.field.as_str()).collect();
        got.sort_unstable();
        assert_eq!(got, ["spec.components[0].env[0].name", "spec.components[0].image", "spec.components[0].replicas"]);
    }

    #[test]
    fn however_much_is_wrong_it_ends() {
        let text = format!("components: [{}]", "{x: 1}, ".repeat(5_000));
        let error = app_spec(&parse(&text).unwrap()).unwrap_err();
        assert_eq!(error.fields().len(), MAX_ERRORS);
    }

    #[test]
    fn bombs_are_refused() {
        assert_eq!(code("a: &a [1]\nb: [*a, *a]\n"), "yaml_alias");
        assert_eq!(code(&format!("{}{}", "[".repeat(100), "]".repeat(100))), "yaml_deep");
        assert_eq!(code(&format!("a: \"{}\"", "x".repeat(MAX_BYTES))), "too-large");
        assert_eq!(code("a: 1\na: 2\n"), "yaml_twice");
        assert_eq!(code("a: 1\n---\nb: 2\n"), "yaml_documents");
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
