//! Decoding as a Kubernetes API server does it: duplicate and unknown fields found, types checked, and the
//! result shaped as Go's encoder would write it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::{
    cluster::Cluster,
    registry::{ResourceType, Version},
    schema::{self, Node, ScalarType, Shape},
    status::{Result, Status},
};

/// How deep JSON may nest.
const MAX_DEPTH: usize = 100;

/// Parses JSON and lists duplicate fields, e.g. `duplicate field "spec.replicas"`.
///
/// # Errors
/// What is wrong with the syntax.
pub fn parse_json(bytes: &[u8]) -> std::result::Result<(Value, Vec<String>), String> {
    let mut faults = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { path: String::new(), faults: &mut faults, depth: 0 }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| crate::go_json::fault(bytes).unwrap_or_else(|| error.to_string()))?;
    Ok((value, faults))
}

/// Reads a value and remembers duplicate keys; the last one wins, as in Go.
struct Strict<'a> {
    path: String,
    faults: &'a mut Vec<String>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Value, A::Error> {
        let mut out = Vec::new();
        if self.depth >= MAX_DEPTH {
            return Err(serde::de::Error::custom("exceeded max depth"));
        }
        loop {
            let item = Strict {
                path: format!("{}[{}]", self.path, out.len()),
                faults: &mut *self.faults,
                depth: self.depth + 1,
            };
            match seq.next_element_seed(item)? {
                Some(value) => out.push(value),
                None => return Ok(Value::Array(out)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Value, A::Error> {
        let mut out = Map::new();
        if self.depth >= MAX_DEPTH {
            return Err(serde::de::Error::custom("exceeded max depth"));
        }
        while let Some(key) = map.next_key::<String>()? {
            let path = join(&self.path, &key);
            let value =
                map.next_value_seed(Strict { path: path.clone(), faults: &mut *self.faults, depth: self.depth + 1 })?;
            if out.insert(key, value).is_some() {
                let fault = format!("duplicate field \"{path}\"");
                if !self.faults.contains(&fault) {
                    self.faults.push(fault);
                }
            }
        }
        Ok(Value::Object(out))
    }
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

/// Checks `value` against the version's schema, drops unknown fields, and lists them, e.g.
/// `unknown field "spec.foo"`.
///
/// # Errors
/// 400 when a field has another type.
pub fn check(_cluster: &Cluster, resource: &ResourceType, version: &Version, value: &mut Value) -> Result<Vec<String>> {
    let node = schema::of(resource, &version.name);
    let mut walk = Walk {
        faults: Vec::new(),
        custom: resource.custom,
        what: format!("{} in version \"{}\" cannot be handled as a {}", resource.kind, version.name, resource.kind),
    };
    let root = Place { path: String::new(), names: String::new(), owner: "" };
    let node: &Node = &node;
    walk.node(node.resolve(), node, value, &root)?;
    if resource.custom {
        // Pruning goes by name, not by the order in which fields came.
        walk.faults.sort();
    }
    Ok(walk.faults)
}

struct Walk {
    faults: Vec<String>,
    custom: bool,
    what: String,
}

/// Where the walk stands.
struct Place<'a> {
    /// With list indices: `spec.containers[0].image`.
    path: String,
    /// Without: `spec.containers.image`, as Go's decoder names fields.
    names: String,
    /// The Go struct that has the field.
    owner: &'a str,
}

fn short(definition: &str) -> &str {
    definition.rsplit('.').next().unwrap_or(definition)
}

/// `v1.PodSpec` for `io.k8s.api.core.v1.PodSpec`.
fn qualified(definition: &str) -> String {
    let mut parts = definition.rsplit('.');
    let kind = parts.next().unwrap_or_default();
    let package = parts.next().unwrap_or_default();
    format!("{package}.{kind}")
}

/// The Go type of a node, as decoding errors name it.
fn go_type(node: &Node) -> String {
    let node = node.resolve();
    match &node.shape {
        Shape::Scalar(ScalarType::Boolean) => "bool".into(),
        Shape::Scalar(ScalarType::Int32) => "int32".into(),
        Shape::Scalar(ScalarType::Int64) => "int64".into(),
        Shape::Scalar(ScalarType::Number) => "float64".into(),
        Shape::Scalar(ScalarType::Bytes) => "[]uint8".into(),
        Shape::Scalar(_) => "string".into(),
        Shape::List { items, .. } => format!("[]{}", go_type(items)),
        Shape::Object { .. } if !node.name.is_empty() => qualified(&node.name),
        Shape::Object { rest: Some(rest), .. } => format!("map[string]{}", go_type(rest)),
        _ => "interface {}".into(),
    }
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Walk {
    fn mismatch(&self, node: &Node, value: &Value, place: &Place<'_>) -> Status {
        let found = match value {
            Value::Number(number)
                if matches!(node.resolve().shape, Shape::Scalar(ScalarType::Int32 | ScalarType::Int64)) =>
            {
                format!("number {number}")
            }
            other => json_type(other).to_owned(),
        };
        Status::bad_request(format!(
            "{}: json: cannot unmarshal {found} into Go struct field {}.{} of type {}",
            self.what,
            short(place.owner),
            place.names,
            go_type(node)
        ))
    }

    /// `node` is resolved; `declared` is the node as its parent has it.
    fn node(&mut self, node: &Node, declared: &Node, value: &mut Value, place: &Place<'_>) -> Result<()> {
        // Custom resources keep their JSON types for their own validation to judge.
        let typed = !self.custom || place.path == "metadata" || place.path.starts_with("metadata.");
        match (&node.shape, &mut *value) {
            (_, Value::Null) | (Shape::Any | Shape::Ref(_), _) => Ok(()),
            (Shape::Object { .. }, Value::Object(map)) => self.object(node, map, place, typed),
            (Shape::List { items, .. }, Value::Array(list)) => {
                for (index, item) in list.iter_mut().enumerate() {
                    let place = Place {
                        path: format!("{}[{index}]", place.path),
                        names: place.names.clone(),
                        owner: place.owner,
                    };
                    self.node(items.resolve(), items, item, &place)?;
                }
                Ok(())
            }
            (Shape::Scalar(kind), _) if typed => {
                if let Some(fixed) = scalar(*kind, value).map_err(|why| match why {
                    Some(why) => Status::bad_request(format!("{}: {why}", self.what)),
                    None => self.mismatch(node, value, place),
                })? {
                    *value = fixed;
                }
                Ok(())
            }
            _ if typed => Err(self.mismatch(if node.name.is_empty() { declared } else { node }, value, place)),
            _ => Ok(()),
        }
    }

    fn object(&mut self, node: &Node, map: &mut Map<String, Value>, place: &Place<'_>, typed: bool) -> Result<()> {
        let Shape::Object { fields, required, rest, preserve } = &node.shape else {
            return Ok(());
        };
        let mut unknown = Vec::new();
        for (key, child) in map.iter_mut() {
            let own = fields.get(key);
            let Some(declared) = own.or(rest.as_deref()) else {
                if !preserve {
                    // Go's decoder drops nulls of unknown fields, too, but reports them all the same.
                    self.faults.push(format!("unknown field \"{}\"", join(&place.path, key)));
                    unknown.push(key.clone());
                }
                continue;
            };
            let owner = if node.name.is_empty() { place.owner } else { &node.name };
            let inner = Place {
                path: join(&place.path, key),
                names: if own.is_some() { join(&place.names, key) } else { place.names.clone() },
                owner,
            };
            self.node(declared.resolve(), declared, child, &inner)?;
        }
        for key in unknown {
            map.shift_remove(&key);
        }
        if typed && !node.name.is_empty() {
            go_shape(map, fields, required);
        }
        Ok(())
    }
}

/// What Go's encoder makes of a struct: no nulls, no empty optional lists and maps, embedded structs always there.
fn go_shape(map: &mut Map<String, Value>, fields: &std::collections::HashMap<String, Node>, required: &[String]) {
    map.retain(|key, value| {
        if value.is_null() {
            return false;
        }
        if required.iter().any(|own| own == key) {
            return true;
        }
        let empty_list = value.as_array().is_some_and(Vec::is_empty);
        let empty_map = value.as_object().is_some_and(Map::is_empty)
            && fields.get(key).is_some_and(|field| matches!(&field.shape, Shape::Object { rest: Some(_), .. }));
        !(empty_list || empty_map)
    });
    for (key, field) in fields {
        let is_struct = field.default.as_ref().is_some_and(|default| default.as_object().is_some_and(Map::is_empty))
            && matches!(field.resolve().shape, Shape::Object { .. });
        if is_struct {
            let inner = map.entry(key.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let (Value::Object(inner), Shape::Object { fields, required, .. }) = (inner, &field.resolve().shape) {
                go_shape(inner, fields, required);
            }
        }
    }
}

/// Checks a scalar; a value to put in its place, or `Err(None)` for the wrong type and `Err(Some(_))` for a text
/// of its own.
fn scalar(kind: ScalarType, value: &Value) -> std::result::Result<Option<Value>, Option<String>> {
    match (kind, value) {
        (ScalarType::Boolean, Value::Bool(_))
        | (ScalarType::Number, Value::Number(_))
        | (ScalarType::String | ScalarType::IntOrString, Value::String(_)) => Ok(None),
        (ScalarType::Int32, Value::Number(number)) => {
            number.as_i64().and_then(|number| i32::try_from(number).ok()).map(|_| None).ok_or(None)
        }
        (ScalarType::Int64, Value::Number(number)) => number.as_i64().map(|_| None).ok_or(None),
        (ScalarType::IntOrString, Value::Number(number)) => {
            number.as_i64().and_then(|number| i32::try_from(number).ok()).map(|_| None).ok_or(None)
        }
        (ScalarType::Quantity, Value::String(text)) => canonical_quantity(text).map(|text| Some(Value::String(text))),
        (ScalarType::Quantity, Value::Number(number)) => {
            canonical_quantity(&number.to_string()).map(|text| Some(Value::String(text)))
        }
        (ScalarType::Time | ScalarType::MicroTime, Value::String(text)) => match text.parse::<jiff::Timestamp>() {
            Ok(at) if kind == ScalarType::Time => Ok(Some(crate::clock::format_time(at).into())),
            Ok(at) => Ok(Some(crate::clock::format_micro_time(at).into())),
            Err(_) => {
                let fraction = if kind == ScalarType::Time { "" } else { ".000000" };
                Err(Some(format!(
                    "parsing time \"{text}\" as \"2006-01-02T15:04:05{fraction}Z07:00\": cannot parse \"{text}\" as \"2006\""
                )))
            }
        },
        (ScalarType::Bytes, Value::String(text)) => {
            use base64::{Engine, engine::general_purpose::STANDARD};
            match STANDARD.decode(text.replace(['\n', '\r'], "")) {
                Ok(_) => Ok(None),
                Err(error) => {
                    let at = match error {
                        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                        base64::DecodeError::InvalidLength(length) => length - length % 4,
                        base64::DecodeError::InvalidPadding => text.len(),
                    };
                    Err(Some(format!("illegal base64 data at input byte {at}")))
                }
            }
        }
        _ => Err(None),
    }
}

fn canonical_quantity(text: &str) -> std::result::Result<String, Option<String>> {
    crate::quantity::Quantity::parse(text).map(|quantity| quantity.to_string()).map_err(|error| Some(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn duplicate_fields_are_found_where_they_stand() {
        let (value, faults) = parse_json(br#"{"spec": {"a": 1, "a": 2, "l": [{"b": 1, "b": 1}]}}"#).unwrap();
        assert_eq!(value["spec"]["a"], 2);
        assert_eq!(faults, ["duplicate field \"spec.a\"", "duplicate field \"spec.l[0].b\""]);
        assert!(parse_json(b"{\"a\": 1} x").is_err());
        let deep = "[".repeat(200);
        assert!(parse_json(deep.as_bytes()).is_err());
    }
}
