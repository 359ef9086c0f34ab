//! Decoding `application/vnd.kubernetes.protobuf` request bodies, driven by the field numbers of the
//! `generated.proto` files. Answers are always JSON.

use std::{collections::HashMap, io::Read as _, sync::LazyLock};

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};

use crate::{
    clock::{format_micro_time, format_time},
    schema,
    status::{Result, Status},
};

static PACKED: &[u8] = include_bytes!("../schemas/protobuf-1.35.4.json.gz");

/// How a field repeats.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    Once,
    List,
    Map,
}

struct Field {
    name: String,
    kind: String,
    repeat: Repeat,
    /// Go embeds it: its fields stand in the message itself.
    inline: bool,
}

type Message = HashMap<u64, Field>;

static MESSAGES: LazyLock<HashMap<String, Message>> = LazyLock::new(|| {
    let mut text = String::new();
    let packed: HashMap<String, HashMap<String, (String, String, String)>> = GzDecoder::new(PACKED)
        .read_to_string(&mut text)
        .ok()
        .and_then(|_| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    packed
        .into_iter()
        .map(|(message, fields)| {
            let known = schema::definitions().get(&definition_name(&message));
            let fields = fields
                .into_iter()
                .filter_map(|(number, (name, kind, repeat))| {
                    let repeat = match repeat.as_str() {
                        "list" => Repeat::List,
                        "map" => Repeat::Map,
                        _ => Repeat::Once,
                    };
                    let inline = kind.contains('.')
                        && repeat == Repeat::Once
                        && known.is_some_and(|known| {
                            known["properties"].is_object() && known["properties"][&name].is_null()
                        });
                    Some((number.parse().ok()?, Field { name, kind, repeat, inline }))
                })
                .collect();
            (message, fields)
        })
        .collect()
});

/// `io.k8s.api.core.v1.Pod` for `k8s.io.api.core.v1.Pod`.
fn definition_name(message: &str) -> String {
    message.replacen("k8s.io.", "io.k8s.", 1).replace("apiextensions_apiserver", "apiextensions-apiserver")
}

/// Whole numbers that Go keeps as pointers, so that 0 is not the same as nothing.
const POINTER_NUMBERS: &[&str] = &[
    "replicas",
    "minReplicas",
    "backoffLimit",
    "completions",
    "parallelism",
    "terminationGracePeriodSeconds",
    "gracePeriodSeconds",
    "revisionHistoryLimit",
    "partition",
    "defaultMode",
    "mode",
    "runAsUser",
    "runAsGroup",
    "fsGroup",
    "ttlSecondsAfterFinished",
    "successfulJobsHistoryLimit",
    "failedJobsHistoryLimit",
    "priority",
    "value",
    "activeDeadlineSeconds",
    "startingDeadlineSeconds",
    "progressDeadlineSeconds",
    "expirationSeconds",
    "tolerationSeconds",
    "stabilizationWindowSeconds",
    "leaseTransitions",
    "leaseDurationSeconds",
    "averageUtilization",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
    "seconds",
    "port",
];

/// Booleans that Go keeps plainly, so that false is the same as nothing.
const PLAIN_FLAGS: &[&str] = &[
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "stdin",
    "stdinOnce",
    "tty",
    "readOnly",
    "publishNotReadyAddresses",
    "paused",
    "unschedulable",
    "globalDefault",
    "orphanDependents",
    "manualSelector",
    "preserveUnknownFields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "uniqueItems",
    "nullable",
    "deprecated",
];

/// Texts that Go keeps as pointers.
const POINTER_TEXTS: &[&str] = &["storageClassName", "ingressClassName"];

fn broken(why: &str) -> Status {
    Status::bad_request(format!("unable to decode protobuf: {why}"))
}

/// A value as it stands on the wire.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn varint(&mut self) -> Result<u64> {
        let mut out = 0u64;
        for shift in (0..70).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or_else(|| broken("unexpected end"))?;
            self.0 = rest;
            out |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(out);
            }
        }
        Err(broken("a number is too long"))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        if count > self.0.len() {
            return Err(broken("unexpected end"));
        }
        let (head, rest) = self.0.split_at(count);
        self.0 = rest;
        Ok(head)
    }

    fn next(&mut self) -> Result<Option<(u64, Wire<'a>)>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let fixed = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |out, byte| (out << 8) | u64::from(*byte));
        let wire = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Number(fixed(self.take(8)?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| broken("a length is too large"))?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Number(fixed(self.take(4)?)),
            _ => return Err(broken("unknown wire type")),
        };
        Ok(Some((tag >> 3, wire)))
    }
}

/// The JSON of an object that was sent as protobuf.
///
/// # Errors
/// 400 when it cannot be decoded.
pub fn decode(body: &[u8]) -> Result<Value> {
    let envelope = body.strip_prefix(b"k8s\0").ok_or_else(|| {
        broken("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    })?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    let mut reader = Reader(envelope);
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => {
                let mut types = Reader(bytes);
                while let Some((number, wire)) = types.next()? {
                    match (number, wire) {
                        (1, Wire::Bytes(bytes)) => api_version = text(bytes)?,
                        (2, Wire::Bytes(bytes)) => kind = text(bytes)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let (group, version) = crate::registry::split_api_version(&api_version);
    let name = message_name(group, version, &kind)
        .ok_or_else(|| broken(&format!("no kind \"{kind}\" is registered for version \"{api_version}\"")))?;
    let mut value = message(&name, raw, 0)?;
    value["apiVersion"] = json!(api_version);
    value["kind"] = json!(kind);
    Ok(value)
}

/// The message of a kind. Options that every group knows (DeleteOptions) are meta/v1's.
fn message_name(group: &str, version: &str, kind: &str) -> Option<String> {
    let meta = format!("k8s.io.apimachinery.pkg.apis.meta.v1.{kind}");
    if let Some(definition) = schema::kind_definition(group, version, kind) {
        let name =
            definition.replacen("io.k8s.", "k8s.io.", 1).replace("apiextensions-apiserver", "apiextensions_apiserver");
        if MESSAGES.contains_key(&name) {
            return Some(name);
        }
    }
    MESSAGES.contains_key(&meta).then_some(meta)
}

fn text(bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| broken("a text is not UTF-8"))
}

/// The fields of a small message whose fields are known here.
fn fields<'a>(bytes: &'a [u8]) -> Result<HashMap<u64, Wire<'a>>> {
    let mut out = HashMap::new();
    let mut reader = Reader(bytes);
    while let Some((number, wire)) = reader.next()? {
        out.insert(number, wire);
    }
    Ok(out)
}

fn number(wire: Option<&Wire<'_>>) -> i64 {
    match wire {
        Some(Wire::Number(number)) => number.cast_signed(),
        _ => 0,
    }
}

/// Messages whose JSON is not an object of their fields.
fn special(name: &str, bytes: &[u8]) -> Result<Option<Value>> {
    let short = name.rsplit_once("k8s.io.").map_or(name, |(_, short)| short);
    let value = match short {
        "apimachinery.pkg.api.resource.Quantity" => match fields(bytes)?.get(&1) {
            Some(Wire::Bytes(bytes)) => json!(text(bytes)?),
            _ => json!("0"),
        },
        "apimachinery.pkg.apis.meta.v1.Time" | "apimachinery.pkg.apis.meta.v1.MicroTime" => {
            let found = fields(bytes)?;
            if found.is_empty() {
                return Ok(Some(Value::Null));
            }
            let nanos = i32::try_from(number(found.get(&2))).unwrap_or(0);
            let Ok(at) = jiff::Timestamp::new(number(found.get(&1)), nanos) else { return Ok(Some(Value::Null)) };
            if name.ends_with("MicroTime") { json!(format_micro_time(at)) } else { json!(format_time(at)) }
        }
        "apimachinery.pkg.util.intstr.IntOrString" => {
            let found = fields(bytes)?;
            match (number(found.get(&1)), found.get(&3)) {
                (1, Some(Wire::Bytes(bytes))) => json!(text(bytes)?),
                _ => json!(number(found.get(&2))),
            }
        }
        "apimachinery.pkg.runtime.RawExtension"
        | "apimachinery.pkg.apis.meta.v1.FieldsV1"
        | "apiextensions_apiserver.pkg.apis.apiextensions.v1.JSON" => match fields(bytes)?.get(&1) {
            Some(Wire::Bytes(bytes)) => serde_json::from_slice(bytes).map_err(|error| broken(&error.to_string()))?,
            _ => Value::Null,
        },
        "apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool" => {
            let found = fields(bytes)?;
            match found.get(&2) {
                Some(Wire::Bytes(bytes)) => message(&name.replace("OrBool", ""), bytes, 1)?,
                _ => json!(number(found.get(&1)) != 0),
            }
        }
        "apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray" => match fields(bytes)?.get(&1) {
            Some(Wire::Bytes(bytes)) => message(&name.replace("OrArray", ""), bytes, 1)?,
            _ => Value::Null,
        },
        _ => return Ok(None),
    };
    Ok(Some(value))
}

/// How deep messages may nest.
const MAX_DEPTH: usize = 64;

fn message(name: &str, bytes: &[u8], depth: usize) -> Result<Value> {
    if depth > MAX_DEPTH {
        return Err(broken("nested too deeply"));
    }
    if let Some(value) = special(name, bytes)? {
        return Ok(value);
    }
    let Some(known) = MESSAGES.get(name) else { return Err(broken(&format!("unknown message {name}"))) };
    let mut out = Map::new();
    let mut reader = Reader(bytes);
    while let Some((number, wire)) = reader.next()? {
        let Some(field) = known.get(&number) else { continue };
        match field.repeat {
            Repeat::List => {
                let item = scalar_or_message(&field.kind, &wire, depth)?;
                if let Value::Array(list) = out.entry(field.name.clone()).or_insert_with(|| json!([])) {
                    list.push(item);
                }
            }
            Repeat::Map => {
                let Wire::Bytes(bytes) = wire else { continue };
                let entry = fields(bytes)?;
                let key = match entry.get(&1) {
                    Some(Wire::Bytes(bytes)) => text(bytes)?,
                    _ => String::new(),
                };
                let value = match entry.get(&2) {
                    Some(wire) => scalar_or_message(&field.kind, wire, depth)?,
                    None => json!(""),
                };
                if let Value::Object(map) = out.entry(field.name.clone()).or_insert_with(|| json!({})) {
                    map.insert(key, value);
                }
            }
            Repeat::Once => {
                let value = scalar_or_message(&field.kind, &wire, depth)?;
                match value {
                    Value::Object(inner) if field.inline => out.extend(inner),
                    value if is_unset(&field.name, &value) => {}
                    value => {
                        out.insert(field.name.clone(), value);
                    }
                }
            }
        }
    }
    // Lists of strings that are types of their own (`Verbs`, `ExtraValue`) hold nothing but `items`.
    if name.ends_with(".ExtraValue") || name.ends_with(".Verbs") {
        return Ok(out.shift_remove("items").unwrap_or_else(|| json!([])));
    }
    Ok(Value::Object(out))
}

/// Whether Go would have left the field out of JSON.
fn is_unset(name: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty() && !POINTER_TEXTS.contains(&name),
        Value::Number(number) => number.as_f64() == Some(0.0) && !POINTER_NUMBERS.contains(&name),
        Value::Bool(flag) => !flag && PLAIN_FLAGS.contains(&name),
        _ => false,
    }
}

fn scalar_or_message(kind: &str, wire: &Wire<'_>, depth: usize) -> Result<Value> {
    Ok(match (kind, wire) {
        ("string", Wire::Bytes(bytes)) => json!(text(bytes)?),
        ("bytes", Wire::Bytes(bytes)) => json!(STANDARD.encode(bytes)),
        ("bool", Wire::Number(number)) => json!(*number != 0),
        ("double", Wire::Number(number)) => json!(f64::from_bits(*number)),
        ("int32" | "int64" | "uint32", Wire::Number(number)) => json!(number.cast_signed()),
        (kind, Wire::Bytes(bytes)) => message(kind, bytes, depth + 1)?,
        _ => return Err(broken("a field has another type than it should")),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn tagged(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
        out.extend(bytes);
        out
    }

    #[test]
    fn a_config_map_decodes() {
        let types = [tagged(1, b"v1"), tagged(2, b"ConfigMap")].concat();
        let meta = [tagged(1, b"settings"), tagged(2, b"")].concat();
        let entry = [tagged(1, b"key"), tagged(2, b"value")].concat();
        let raw = [tagged(1, &meta), tagged(2, &entry)].concat();
        let body = [b"k8s\0".to_vec(), tagged(1, &types), tagged(2, &raw)].concat();
        assert_eq!(
            decode(&body).unwrap(),
            json!({"metadata": {"name": "settings"}, "data": {"key": "value"}, "apiVersion": "v1", "kind": "ConfigMap"})
        );
        assert!(decode(b"{}").is_err());
        assert!(decode(&body[..body.len() - 3]).is_err());
    }
}
