//! Environment variables as lines, `NAME=value`.
//!
//! A value that a line cannot hold (line breaks, blanks at its ends), or that begins with `"`, is written as a JSON string.
//! Only variables that carry their value themselves are lines; those that refer to a ConfigMap or Secret keep their place
//! among them.

use berth_types::FieldError;
use serde_json::{Map, Value, json};

/// Whether the variable takes its value from elsewhere.
fn refers(var: &Value) -> bool {
    ["configMap", "secret"].iter().any(|key| !var[*key].is_null())
}

/// Names of the variables that refer to a ConfigMap or Secret, each with what it refers to: `Secret db, key password`.
#[must_use]
pub fn references(list: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = list.as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter()
        .filter_map(|var| {
            let (kind, key) =
                [("ConfigMap", "configMap"), ("Secret", "secret")].into_iter().find(|(_, key)| !var[*key].is_null())?;
            let source = &var[key];
            Some((text(&var["name"]), format!("{kind} {}/{}", text(&source["name"]), text(&source["key"]))))
        })
        .collect()
}

/// The variables of `list` that have a value, as lines.
#[must_use]
pub fn print(list: &Value) -> String {
    let all = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let lines: Vec<String> = all.iter().filter(|var| !refers(var)).map(line).collect();
    lines.join("\n")
}

fn line(var: &Value) -> String {
    let name = var["name"].as_str().unwrap_or_default();
    match &var["value"] {
        Value::Null => name.to_owned(),
        Value::String(value) => {
            let plain = !value.starts_with('"') && !value.chars().any(char::is_control) && value.trim() == value;
            if plain { format!("{name}={value}") } else { format!("{name}={}", json!(value)) }
        }
        other => format!("{name}={other}"),
    }
}

/// `list` with its lines replaced by those of `text`, and what is wrong with them, at `env`. A variable that is still there
/// keeps whatever else it has. Blank lines and those that begin with `#` say nothing. Lines that cannot be read are left out,
/// or kept as typed when `keep` is set.
#[must_use]
pub fn apply(list: &Value, text: &str, keep: bool) -> (Vec<Value>, Vec<FieldError>) {
    let before = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut errors = Vec::new();
    let mut typed = Vec::new();
    for (index, raw) in text.lines().enumerate() {
        let content = raw.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let content = content.strip_prefix("export ").unwrap_or(content);
        let (name, value) = match content.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(value.trim_start())),
            None => (content, None),
        };
        let known = before.iter().find(|var| !refers(var) && var["name"] == name);
        if let Some(known) = known.filter(|known| line(known) == content) {
            typed.push(known.clone());
            continue;
        }
        let error = |code: &str, message: &str| {
            FieldError::new("env", code, message).param("line", index + 1).param("value", content)
        };
        let wrong = errors.len();
        let value = match value {
            None => {
                errors.push(error("env_line", &format!("line {}: write NAME=value", index + 1)));
                None
            }
            Some(quoted) if quoted.starts_with('"') => match serde_json::from_str::<String>(quoted) {
                Ok(value) => Some(value),
                Err(_) => {
                    let message =
                        format!("line {}: the value begins with a quote but does not end with one", index + 1);
                    errors.push(error("env_quote", &message));
                    Some(quoted.to_owned())
                }
            },
            Some(plain) => Some(plain.to_owned()),
        };
        if !keep && errors.len() > wrong {
            continue;
        }
        let mut var = known.and_then(Value::as_object).cloned().unwrap_or_else(|| {
            let mut var = Map::new();
            var.insert("name".to_owned(), name.into());
            var
        });
        if let Some(value) = value {
            var.insert("value".to_owned(), value.into());
        }
        typed.push(Value::Object(var));
    }
    let mut typed = typed.into_iter();
    let mut after: Vec<Value> =
        before.iter().filter_map(|var| if refers(var) { Some(var.clone()) } else { typed.next() }).collect();
    after.extend(typed);
    (after, errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_back() {
        let list = json!([
            { "name": "A", "value": "1" },
            { "name": "S", "secret": { "name": "db", "key": "password" } },
            { "name": "EMPTY", "value": "" },
            { "name": "NONE" },
            { "name": "MANY", "value": "a\nb=c" },
            { "name": "QUOTE", "value": "\"x\"" },
            { "name": "PAD", "value": " x " },
            { "name": "C", "configMap": { "name": "conf", "key": "k" } },
        ]);
        let text = print(&list);
        assert_eq!(text, "A=1\nEMPTY=\nNONE\nMANY=\"a\\nb=c\"\nQUOTE=\"\\\"x\\\"\"\nPAD=\" x \"");
        assert_eq!(apply(&list, &text, false), (list.as_array().cloned().unwrap_or_default(), vec![]));
        assert_eq!(
            references(&list),
            [("S".to_owned(), "Secret db/password".to_owned()), ("C".to_owned(), "ConfigMap conf/k".to_owned())]
        );
    }

    #[test]
    fn references_keep_their_place() {
        let list = json!([{ "name": "A", "value": "1" }, { "name": "S", "secret": {} }, { "name": "B", "value": "2" }]);
        let (after, errors) = apply(&list, "# mine\nB=3\n\nA=1\nD=4", false);
        assert_eq!(errors, vec![]);
        assert_eq!(
            Value::from(after),
            json!([{ "name": "B", "value": "3" }, { "name": "S", "secret": {} }, { "name": "A", "value": "1" },
                { "name": "D", "value": "4" }])
        );
    }

    #[test]
    fn wrong_lines_are_named() {
        for (text, code, line) in [("A=1\nB", "env_line", "2"), ("A=\"x", "env_quote", "1")] {
            let (kept, errors) = apply(&Value::Null, text, true);
            let (read, _) = apply(&Value::Null, text, false);
            assert_eq!(read.len() + 1, kept.len(), "{text}");
            let got: Vec<_> = errors.iter().map(|e| (e.code.as_str(), e.params["line"].as_str())).collect();
            assert_eq!(got, [(code, line)], "{text}");
        }
    }
}
