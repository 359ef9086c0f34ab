//! Custom resources: defaults and validation by the structural schema of their definition
//! (`apiextensions-apiserver/pkg/apiserver/schema/defaulting`, `…/validation`).

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::status::FieldError;

/// Fills in the schema's defaults. Nulls of fields that are not nullable and have a default give way to it.
pub fn default(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(map) => {
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                let Some(default) = field.get("default") else { continue };
                let missing = match map.get(name) {
                    None => true,
                    Some(Value::Null) => field["nullable"] != true,
                    Some(_) => false,
                };
                if missing {
                    map.insert(name.clone(), default.clone());
                }
            }
            for (name, child) in map.iter_mut() {
                let field = &schema["properties"][name];
                let field = if field.is_null() { &schema["additionalProperties"] } else { field };
                default(child, field);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|item| default(item, &schema["items"])),
        _ => {}
    }
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

/// What is wrong with a custom resource.
pub fn validate(value: &Value, schema: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    // The root's own fields are every object's.
    let mut body = value.clone();
    if let Some(map) = body.as_object_mut() {
        for field in ["apiVersion", "kind", "metadata"] {
            map.shift_remove(field);
        }
    }
    node(&body, schema, "", &mut errors);
    errors
}

/// What the scale subresource cannot read.
pub fn scale_faults(resource: &crate::registry::ResourceType, value: &Value) -> Vec<FieldError> {
    let scale = resource.version(&resource.storage_version).and_then(|own| own.custom.as_ref()?.scale.as_ref());
    let Some(path) = scale.and_then(|scale| scale["specReplicasPath"].as_str()) else { return Vec::new() };
    let found = value.pointer(&path.replace('.', "/"));
    let kind = match found {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Number(number)) if number.is_i64() => return Vec::new(),
        Some(Value::Number(_)) => "float64",
        Some(Value::String(_)) => "string",
        Some(Value::Bool(_)) => "bool",
        Some(_) => "map[string]interface {}",
    };
    let shown = found.map_or_else(String::new, |own| own.as_str().map_or_else(|| own.to_string(), str::to_owned));
    let why = format!("{path} accessor error: {shown} is of the type {kind}, expected int64");
    vec![FieldError::invalid(path, 0, why)]
}

/// What is wrong with a part of a custom resource at `path`.
pub fn validate_at(value: &Value, schema: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    node(value, schema, path, &mut errors);
    errors
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn has_type(value: &Value, wanted: &str) -> bool {
    match wanted {
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        other => type_name(value) == other,
    }
}

fn node(value: &Value, schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if value.is_null() && schema["nullable"] == true {
        return;
    }
    if schema["x-kubernetes-int-or-string"] == true {
        if !(value.is_string() || value.is_i64() || value.is_u64()) {
            wrong_type(value, "integer,string", path, errors);
        }
        return;
    }
    let typed = schema["type"].as_str().is_none_or(|wanted| has_type(value, wanted));
    if let Some(wanted) = schema["type"].as_str().filter(|_| !typed) {
        wrong_type(value, wanted, path, errors);
    }
    let invalid = |detail: String| FieldError::invalid(path, value.clone(), format!("{path} in body {detail}"));
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        let shown: Vec<String> =
            allowed.iter().map(|own| own.as_str().map_or_else(|| own.to_string(), str::to_owned)).collect();
        let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
        errors.push(FieldError::not_supported(path, value.clone(), &shown));
    }
    if !typed {
        return;
    }
    match value {
        Value::String(text) => string(text, schema, path, errors, invalid),
        Value::Number(number) => {
            let own = number.as_f64().unwrap_or(0.0);
            if let Some(least) = schema["minimum"].as_f64() {
                let exclusive = schema["exclusiveMinimum"] == true;
                if own < least || (exclusive && own <= least) {
                    let words = if exclusive { "should be greater than" } else { "should be greater than or equal to" };
                    errors.push(invalid(format!("{words} {}", schema["minimum"])));
                }
            }
            if let Some(most) = schema["maximum"].as_f64() {
                let exclusive = schema["exclusiveMaximum"] == true;
                if own > most || (exclusive && own >= most) {
                    let words = if exclusive { "should be less than" } else { "should be less than or equal to" };
                    errors.push(invalid(format!("{words} {}", schema["maximum"])));
                }
            }
            if let Some(step) = schema["multipleOf"].as_f64()
                && (own / step).fract() != 0.0
            {
                errors.push(invalid(format!("should be a multiple of {}", schema["multipleOf"])));
            }
        }
        Value::Array(list) => array(list, schema, path, errors),
        Value::Object(map) => object(map, schema, path, errors),
        _ => {}
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        node(value, part, path, errors);
    }
    alternatives(value, schema, path, errors);
}

fn wrong_type(value: &Value, wanted: &str, path: &str, errors: &mut Vec<FieldError>) {
    let shown = if value.is_null() { json!("null") } else { json!(type_name(value)) };
    let detail = format!("{path} in body must be of type {wanted}: {shown}");
    errors.push(FieldError::type_invalid(path, shown, detail));
}

fn string(
    text: &str,
    schema: &Value,
    path: &str,
    errors: &mut Vec<FieldError>,
    invalid: impl Fn(String) -> FieldError,
) {
    let length = text.chars().count() as u64;
    if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
        errors.push(FieldError::too_long(path, usize::try_from(most).unwrap_or(usize::MAX)));
        // The first fault of a text is the only one that is told.
        return;
    }
    if let Some(least) = schema["minLength"].as_u64().filter(|least| length < *least) {
        errors.push(invalid(format!("should be at least {least} chars long")));
        return;
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && Regex::new(pattern).is_ok_and(|regex| !regex.is_match(text))
    {
        errors.push(invalid(format!("should match '{pattern}'")));
    }
    let format = schema["format"].as_str().unwrap_or_default();
    let good = match format {
        "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok(),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "uuid" => uuid::Uuid::parse_str(text).is_ok(),
        _ => true,
    };
    if !good {
        let detail = format!("{path} in body must be of type {format}: {}", json!(text));
        errors.push(FieldError::type_invalid(path, json!(text), detail));
    }
}

fn array(list: &[Value], schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let length = list.len() as u64;
    if let Some(most) = schema["maxItems"].as_u64().filter(|most| length > *most) {
        errors.push(FieldError::too_many(path, list.len(), usize::try_from(most).unwrap_or(usize::MAX)));
    }
    if let Some(least) = schema["minItems"].as_u64().filter(|least| length < *least) {
        errors.push(FieldError::invalid(
            path,
            list.len(),
            format!("{path} in body should have at least {least} items"),
        ));
    }
    let keys: Vec<&str> =
        schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let kind = schema["x-kubernetes-list-type"].as_str().unwrap_or_default();
    let mut seen: Vec<Value> = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let place = format!("{path}[{index}]");
        let identity = match kind {
            "set" => Some(item.clone()),
            "map" => {
                let found: Map<String, Value> = keys
                    .iter()
                    .filter_map(|key| {
                        let own = item.get(*key).or_else(|| schema["items"]["properties"][*key].get("default"))?;
                        Some(((*key).to_owned(), own.clone()))
                    })
                    .collect();
                Some(Value::Object(found))
            }
            _ => None,
        };
        if let Some(identity) = identity {
            if seen.contains(&identity) {
                errors.push(FieldError::duplicate(&place, identity));
            } else {
                seen.push(identity);
            }
        }
        if schema["items"].is_object() {
            node(item, &schema["items"], &place, errors);
        }
    }
}

fn object(map: &Map<String, Value>, schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let length = map.len() as u64;
    if let Some(most) = schema["maxProperties"].as_u64().filter(|most| length > *most) {
        errors.push(FieldError::too_many(path, map.len(), usize::try_from(most).unwrap_or(usize::MAX)));
    }
    if let Some(least) = schema["minProperties"].as_u64().filter(|least| length < *least) {
        errors.push(FieldError::invalid(
            path,
            Value::Object(map.clone()),
            format!("{path} in body should have at least {least} properties"),
        ));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let own = path.is_empty() && matches!(name, "apiVersion" | "kind" | "metadata");
        if !map.contains_key(name) && !own {
            errors.push(FieldError::required(join(path, name), ""));
        }
    }
    for (name, child) in map {
        let field = &schema["properties"][name];
        if field.is_object() {
            node(child, field, &join(path, name), errors);
        } else if schema["additionalProperties"].is_object() {
            node(child, &schema["additionalProperties"], &join(path, name), errors);
        }
    }
}

fn alternatives(value: &Value, schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let matches = |part: &Value| {
        let mut found = Vec::new();
        node(value, part, path, &mut found);
        found.is_empty()
    };
    let fail = |detail: &str| FieldError::invalid(path, "", format!("{path} in body {detail}").trim().to_owned());
    if let Some(parts) = schema["anyOf"].as_array()
        && !parts.iter().any(matches)
    {
        errors.push(FieldError::invalid(path, "", format!("\"{path}\" must validate at least one schema (anyOf)")));
    }
    if let Some(parts) = schema["oneOf"].as_array() {
        let count = parts.iter().filter(|part| matches(part)).count();
        if count != 1 {
            let found =
                if count == 0 { "Found none valid".to_owned() } else { format!("Found {count} valid alternatives") };
            errors.push(FieldError::invalid(
                path,
                "",
                format!("\"{path}\" must validate one and only one schema (oneOf). {found}"),
            ));
        }
    }
    if schema["not"].is_object() && matches(&schema["not"]) {
        errors.push(fail("must not validate the schema (not)"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_read_as_the_real_ones() {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "required": ["image"], "properties": {
            "image": {"type": "string", "minLength": 1},
            "replicas": {"type": "integer", "minimum": 1, "default": 1},
            "mode": {"type": "string", "enum": ["a", "b"]},
            "name": {"type": "string", "pattern": "^[a-z]+$"},
            "ports": {"type": "array", "maxItems": 1, "items": {"type": "integer"}},
        }}}});
        let shown =
            |value: Value| -> Vec<String> { validate(&value, &schema).iter().map(ToString::to_string).collect() };
        assert_eq!(shown(json!({"spec": {}})), ["spec.image: Required value"]);
        assert_eq!(
            shown(json!({"spec": {"image": "x", "replicas": "3"}})),
            ["spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer: \"string\""]
        );
        assert_eq!(
            shown(json!({"spec": {"image": "x", "replicas": 0}})),
            ["spec.replicas: Invalid value: 0: spec.replicas in body should be greater than or equal to 1"]
        );
        assert_eq!(
            shown(json!({"spec": {"image": "x", "mode": "c"}})),
            ["spec.mode: Unsupported value: \"c\": supported values: \"a\", \"b\""]
        );
        assert_eq!(
            shown(json!({"spec": {"image": "x", "name": "A"}})),
            ["spec.name: Invalid value: \"A\": spec.name in body should match '^[a-z]+$'"]
        );
        assert_eq!(
            shown(json!({"spec": {"image": "x", "ports": [1, 2]}})),
            ["spec.ports: Too many: 2: must have at most 1 item"]
        );
        let mut value = json!({"spec": {"image": "x", "replicas": null}});
        default(&mut value, &schema);
        assert_eq!(value["spec"]["replicas"], 1);
    }
}
