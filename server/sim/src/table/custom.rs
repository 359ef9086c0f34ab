//! Columns of custom resources: `additionalPrinterColumns`, or the age alone.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Column, age};
use crate::{cluster::text, registry::CustomVersion};

const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";
const CREATED: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

pub fn columns(custom: &CustomVersion) -> Vec<Column> {
    let mut out = vec![Column {
        name: "Name".into(),
        kind: "string".into(),
        format: "name".into(),
        description: NAME.into(),
        priority: 0,
    }];
    if custom.columns.is_empty() {
        out.push(Column {
            name: "Age".into(),
            kind: "date".into(),
            format: String::new(),
            description: CREATED.into(),
            priority: 0,
        });
    }
    for column in &custom.columns {
        let path = text(column, &["jsonPath"]);
        let description = match text(column, &["description"]) {
            "" => format!("Custom resource definition column (in JSONPath format): {path}"),
            given => given.to_owned(),
        };
        out.push(Column {
            name: text(column, &["name"]).into(),
            kind: text(column, &["type"]).into(),
            format: text(column, &["format"]).into(),
            description,
            priority: column["priority"].as_i64().unwrap_or(0),
        });
    }
    out
}

pub fn cells(custom: &CustomVersion, object: &Value, now: Timestamp) -> Vec<Value> {
    let mut out = vec![object["metadata"]["name"].clone()];
    if custom.columns.is_empty() {
        out.push(json!(age(&object["metadata"]["creationTimestamp"], now)));
    }
    for column in &custom.columns {
        let found = find(object, text(column, &["jsonPath"]));
        out.push(cell(text(column, &["type"]), &found, now));
    }
    out
}

/// `apiextensions-apiserver/pkg/registry/customresource/tableconvertor`, cellForJSONValue.
fn cell(kind: &str, found: &[&Value], now: Timestamp) -> Value {
    let Some(first) = found.first() else { return Value::Null };
    match kind {
        "integer" => {
            first.as_i64().or_else(|| first.as_f64().map(|number| number as i64)).map_or(Value::Null, Value::from)
        }
        "number" => first.as_f64().map_or(Value::Null, |_| (*first).clone()),
        "boolean" => first.as_bool().map_or(Value::Null, Value::Bool),
        "date" => match first.as_str() {
            Some(at) if at.parse::<Timestamp>().is_err() => json!("<invalid>"),
            Some(_) => json!(age(first, now)),
            None => Value::Null,
        },
        _ => {
            let texts: Vec<String> = found
                .iter()
                .map(|value| match value {
                    Value::String(text) => text.clone(),
                    Value::Null => String::new(),
                    other => other.to_string(),
                })
                .collect();
            json!(texts.join(","))
        }
    }
}

/// The part of JSONPath that printer columns use: fields, `['quoted']`, `[0]`, `[*]`, `[?(@.a=="b")]`.
fn find<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut found = vec![object];
    let mut rest = path.trim_start_matches('$');
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let end = closing(inner);
            let (step, after) = inner.split_at(end);
            rest = after.strip_prefix(']').unwrap_or(after);
            found = bracket(&found, step);
        } else {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let mut end = rest.len();
            let mut escaped = false;
            for (at, c) in rest.char_indices() {
                match c {
                    '\\' if !escaped => escaped = true,
                    '.' | '[' if !escaped => {
                        end = at;
                        break;
                    }
                    _ => escaped = false,
                }
            }
            let name = rest.get(..end).unwrap_or_default().replace('\\', "");
            rest = rest.get(end..).unwrap_or_default();
            if name == "*" {
                found = found.into_iter().flat_map(children).collect();
            } else {
                found = found.into_iter().filter_map(|value| value.get(&name)).collect();
            }
        }
    }
    found
}

/// Where the bracket closes, quotes and inner brackets skipped.
fn closing(text: &str) -> usize {
    let mut depth = 0;
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return at,
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

fn bracket<'a>(found: &[&'a Value], step: &str) -> Vec<&'a Value> {
    let step = step.trim();
    if step == "*" {
        return found.iter().flat_map(|value| children(value)).collect();
    }
    if let Some(condition) = step.strip_prefix("?(").and_then(|rest| rest.strip_suffix(')')) {
        return found.iter().flat_map(|value| children(value)).filter(|item| holds(item, condition)).collect();
    }
    if let Ok(index) = step.parse::<i64>() {
        return found
            .iter()
            .filter_map(|value| {
                let list = value.as_array()?;
                let at = if index < 0 {
                    list.len().checked_sub(usize::try_from(-index).ok()?)?
                } else {
                    usize::try_from(index).ok()?
                };
                list.get(at)
            })
            .collect();
    }
    let name = step.trim_matches(['\'', '"']);
    found.iter().filter_map(|value| value.get(name)).collect()
}

fn holds(item: &Value, condition: &str) -> bool {
    let compare = |operator: &str| -> Option<(String, String)> {
        let (left, right) = condition.split_once(operator)?;
        Some((left.trim().trim_start_matches('@').to_owned(), right.trim().trim_matches(['\'', '"']).to_owned()))
    };
    let shown = |path: &str| -> Option<String> {
        find(item, path).first().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    if let Some((path, wanted)) = compare("==") {
        return shown(&path).is_some_and(|own| own == wanted);
    }
    if let Some((path, wanted)) = compare("!=") {
        return shown(&path).is_some_and(|own| own != wanted);
    }
    !find(item, condition.trim().trim_start_matches('@')).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find() {
        let object = json!({"status": {"conditions": [{"type": "A", "status": "False"}, {"type": "Ready", "status": "True"}]}, "metadata": {"annotations": {"a.b/c": "x"}}});
        for (path, expected) in [
            (".status.conditions[?(@.type==\"Ready\")].status", vec![json!("True")]),
            (".status.conditions[0].type", vec![json!("A")]),
            (".status.conditions[*].type", vec![json!("A"), json!("Ready")]),
            (".metadata.annotations['a.b/c']", vec![json!("x")]),
            (".metadata.annotations.a\\.b/c", vec![json!("x")]),
            (".status.missing", vec![]),
        ] {
            assert_eq!(find(&object, path).into_iter().cloned().collect::<Vec<_>>(), expected, "{path}");
        }
    }
}
