//! Reading objects: short paths into JSON, with the API's meaning of "absent".

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::clock::format_time;

/// Accessors for the JSON of an object. Paths are JSON pointers.
pub trait Fields {
    /// The value itself.
    fn json(&self) -> &Value;

    /// What stands at a JSON pointer, `null` when nothing does. Pointers are written in this code and need no escapes,
    /// which `Value::pointer` would look for in every part, allocating twice.
    fn at(&self, pointer: &str) -> &Value {
        pointer
            .split('/')
            .skip(1)
            .try_fold(self.json(), |at, part| match at {
                Value::Object(map) => map.get(part),
                Value::Array(list) => list.get(part.parse::<usize>().ok()?),
                _ => None,
            })
            .unwrap_or(&Value::Null)
    }
    /// A string, "" when absent.
    fn text(&self, pointer: &str) -> &str {
        self.at(pointer).as_str().unwrap_or_default()
    }
    /// A whole number.
    fn int(&self, pointer: &str) -> Option<i64> {
        self.at(pointer).as_i64()
    }
    /// A boolean, false when absent.
    fn flag(&self, pointer: &str) -> bool {
        self.at(pointer).as_bool().unwrap_or_default()
    }
    /// A list, empty when absent.
    fn items(&self, pointer: &str) -> &[Value] {
        self.at(pointer).as_array().map(Vec::as_slice).unwrap_or_default()
    }
    /// The entries of an object whose values are strings.
    fn pairs(&self, pointer: &str) -> impl Iterator<Item = (&str, &str)> {
        self.at(pointer)
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
    }
    /// A time (`metav1.Time` or `MicroTime`).
    fn time(&self, pointer: &str) -> Option<Timestamp> {
        self.at(pointer).as_str()?.parse().ok()
    }

    /// `metadata.name`
    fn name(&self) -> &str {
        self.text("/metadata/name")
    }
    /// `metadata.namespace`
    fn namespace(&self) -> &str {
        self.text("/metadata/namespace")
    }
    /// `metadata.uid`
    fn uid(&self) -> &str {
        self.text("/metadata/uid")
    }
    /// `metadata.generation`, 0 when absent.
    fn generation(&self) -> i64 {
        self.int("/metadata/generation").unwrap_or_default()
    }
    /// `metadata.creationTimestamp`
    fn created(&self) -> Option<Timestamp> {
        self.time("/metadata/creationTimestamp")
    }
    /// Whether `metadata.deletionTimestamp` is set.
    fn deleting(&self) -> bool {
        !self.at("/metadata/deletionTimestamp").is_null()
    }
    /// A label.
    fn label(&self, key: &str) -> Option<&str> {
        self.at("/metadata/labels").get(key)?.as_str()
    }
    /// An annotation.
    fn annotation(&self, key: &str) -> Option<&str> {
        self.at("/metadata/annotations").get(key)?.as_str()
    }
    /// Whether `metadata.finalizers` has `name`.
    fn has_finalizer(&self, name: &str) -> bool {
        self.items("/metadata/finalizers").iter().any(|entry| entry == name)
    }
    /// The owner reference with `controller: true`.
    fn controller(&self) -> Option<&Value> {
        self.items("/metadata/ownerReferences").iter().find(|owner| owner.flag("/controller"))
    }
    /// Whether `uid` is the controlling owner.
    fn controlled_by(&self, uid: &str) -> bool {
        self.controller().is_some_and(|owner| owner.text("/uid") == uid)
    }
    /// The entry of `status.conditions` of a type.
    fn condition(&self, kind: &str) -> Option<&Value> {
        self.items("/status/conditions").iter().find(|condition| condition.text("/type") == kind)
    }
    /// Whether a condition is `True`.
    fn condition_is_true(&self, kind: &str) -> bool {
        self.condition(kind).is_some_and(|condition| condition.text("/status") == "True")
    }
}

impl Fields for Value {
    fn json(&self) -> &Value {
        self
    }
}

/// The object at `pointer`'s parent path, made if need be, to be written into.
pub fn object_mut<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut Map<String, Value> {
    let mut at = value;
    for key in path {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[*key];
    }
    if !at.is_object() {
        *at = json!({});
    }
    match at {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

/// Sets `path` to `value`, making objects on the way.
pub fn set(object: &mut Value, path: &[&str], value: impl Into<Value>) {
    if let Some((last, parents)) = path.split_last() {
        object_mut(object, parents).insert((*last).to_owned(), value.into());
    }
}

/// Removes what stands at `path`.
pub fn unset(object: &mut Value, path: &[&str]) {
    if let Some((last, parents)) = path.split_last() {
        let mut at = object;
        for key in parents {
            match at.get_mut(*key) {
                Some(next) => at = next,
                None => return,
            }
        }
        if let Some(map) = at.as_object_mut() {
            map.shift_remove(*last);
        }
    }
}

/// Removes a finalizer; whether it was there.
pub fn remove_finalizer(object: &mut Value, name: &str) -> bool {
    let Some(list) = object.pointer_mut("/metadata/finalizers").and_then(Value::as_array_mut) else { return false };
    let before = list.len();
    list.retain(|entry| entry != name);
    let removed = list.len() != before;
    if list.is_empty() {
        unset(object, &["metadata", "finalizers"]);
    }
    removed
}

/// Adds a finalizer; whether it was missing.
pub fn add_finalizer(object: &mut Value, name: &str) -> bool {
    if object.has_finalizer(name) {
        return false;
    }
    match object_mut(object, &["metadata"]).entry("finalizers").or_insert_with(|| json!([])) {
        Value::Array(list) => list.push(json!(name)),
        other => *other = json!([name]),
    }
    true
}

/// Puts a condition into `conditions` (a list): keeps `lastTransitionTime` while the status stays,
/// replaces in place. Returns whether anything but times changed.
pub fn set_condition(
    conditions: &mut Vec<Value>,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> bool {
    let mut fresh = json!({"type": kind, "status": status, "lastTransitionTime": format_time(now)});
    if !reason.is_empty() {
        fresh["reason"] = json!(reason);
    }
    if !message.is_empty() {
        fresh["message"] = json!(message);
    }
    let Some(old) = conditions.iter_mut().find(|condition| condition.text("/type") == kind) else {
        conditions.push(fresh);
        return true;
    };
    if old.text("/status") == status {
        if old.text("/reason") == reason && old.text("/message") == message {
            return false;
        }
        fresh["lastTransitionTime"] = old.at("/lastTransitionTime").clone();
    }
    *old = fresh;
    true
}

/// An owner reference to a controller.
#[must_use]
pub fn controller_reference(api_version: &str, kind: &str, owner: &Value) -> Value {
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "name": owner.name(),
        "uid": owner.uid(),
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// A number or a percentage of `total`, as `intstr.GetScaledValueFromIntOrPercent`.
#[must_use]
pub fn int_or_percent(value: &Value, total: i64, round_up: bool) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => {
            let percent: i64 = text.strip_suffix('%')?.parse().ok()?;
            let product = percent.checked_mul(total)?;
            Some(if round_up {
                product.div_euclid(100) + i64::from(product.rem_euclid(100) != 0)
            } else {
                product.div_euclid(100)
            })
        }
        _ => None,
    }
}

/// Sorted `key=value` pairs joined by commas, as selectors are printed.
#[must_use]
pub fn join_pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut list: Vec<String> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
    list.sort();
    list.join(",")
}

/// 32-bit FNV-1a, Kubernetes' choice for short hashes.
#[must_use]
pub fn fnv32a(parts: &[&[u8]]) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    for byte in parts.iter().copied().flatten() {
        hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    }
    hash
}

/// Kubernetes' `rand.SafeEncodeString`: no vowels, so no words.
#[must_use]
pub fn safe_encode(text: &str) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    text.bytes().map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])).collect()
}

/// The hash of a pod template for names and labels. Stable for equal templates, whatever their key
/// order. (The real one hashes a dump of Go structures, so the letters differ from a real cluster's.)
#[must_use]
pub fn template_hash(template: &Value, collision_count: Option<i64>) -> String {
    let mut bytes = Vec::new();
    canonical(template, &mut bytes);
    let salt = collision_count.map(|count| i32::try_from(count).unwrap_or_default().to_le_bytes()).unwrap_or_default();
    let salt: &[u8] = if collision_count.is_some() { &salt } else { &[] };
    safe_encode(&fnv32a(&[&bytes, salt]).to_string())
}

fn canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().filter(|(_, value)| !empty(value)).collect();
            keys.sort_by_key(|(key, _)| key.as_str());
            out.push(b'{');
            for (key, value) in keys {
                out.extend_from_slice(key.as_bytes());
                out.push(b':');
                canonical(value, out);
                out.push(b',');
            }
            out.push(b'}');
        }
        Value::Array(list) => {
            out.push(b'[');
            for value in list {
                canonical(value, out);
                out.push(b',');
            }
            out.push(b']');
        }
        other => out.extend_from_slice(other.to_string().as_bytes()),
    }
}

/// Whether Go would call it an empty pointer, map or slice (an absent field).
fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// Equality as `apiequality.Semantic.DeepEqual` sees it: absent, null and empty are the same.
#[must_use]
pub fn semantically_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let covered = |p: &Map<String, Value>, q: &Map<String, Value>| {
                p.iter().all(|(key, value)| match q.get(key) {
                    Some(other) => semantically_equal(value, other),
                    None => vacant(value),
                })
            };
            covered(x, y) && y.iter().all(|(key, value)| x.contains_key(key) || vacant(value))
        }
        (Value::Array(x), Value::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(p, q)| semantically_equal(p, q))
        }
        _ => a == b || (vacant(a) && vacant(b)),
    }
}

fn vacant(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn percentages_round_as_asked() {
        for (value, total, up, expected) in [
            (json!(3), 10, true, Some(3)),
            (json!("25%"), 10, true, Some(3)),
            (json!("25%"), 10, false, Some(2)),
            (json!("100%"), 7, false, Some(7)),
            (json!("0%"), 7, true, Some(0)),
            (json!("x"), 7, true, None),
            (json!(null), 7, true, None),
        ] {
            assert_eq!(int_or_percent(&value, total, up), expected, "{value} of {total}");
        }
    }

    #[test]
    fn template_hash_ignores_key_order_and_nulls_but_not_values() {
        let hash = |value: Value| template_hash(&value, None);
        assert_eq!(hash(json!({"a": 1, "b": [], "c": null})), hash(json!({"c": null, "a": 1})));
        assert_ne!(hash(json!({"a": 1})), hash(json!({"a": 2})));
        assert_ne!(template_hash(&json!({"a": 1}), None), template_hash(&json!({"a": 1}), Some(1)));
    }

    #[test]
    fn conditions_keep_their_transition_time_while_the_status_stays() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut list = Vec::new();
        assert!(set_condition(&mut list, "Ready", "False", "A", "", at(1)));
        assert!(!set_condition(&mut list, "Ready", "False", "A", "", at(2)));
        assert!(set_condition(&mut list, "Ready", "False", "B", "", at(3)));
        assert_eq!(list[0]["lastTransitionTime"], "1970-01-01T00:00:01Z");
        assert!(set_condition(&mut list, "Ready", "True", "", "", at(4)));
        assert_eq!(list[0], json!({"type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:00:04Z"}));
    }

    #[test]
    fn semantic_equality() {
        assert!(semantically_equal(&json!({"a": {"x": null}, "b": 1}), &json!({"b": 1, "a": {}})));
        assert!(!semantically_equal(&json!({"a": 0}), &json!({})));
        assert!(semantically_equal(&json!({"a": []}), &json!({})));
    }
}
