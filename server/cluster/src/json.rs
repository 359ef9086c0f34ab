//! Parts of objects as the API server answers them. What is not there is empty.

use serde_json::Value;

/// The text at a JSON pointer.
pub(crate) fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// The list at a JSON pointer.
pub(crate) fn items<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// What a list has.
pub(crate) fn listed(list: &Value) -> &[Value] {
    items(list, "/items")
}

/// What an object is called.
pub(crate) fn name(object: &Value) -> String {
    text(object, "/metadata/name").to_owned()
}

/// Whether a pod or a node is ready.
pub(crate) fn is_ready(object: &Value) -> bool {
    items(object, "/status/conditions").iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// The reference to what made an object and keeps it.
pub(crate) fn controller(object: &Value) -> Option<&Value> {
    items(object, "/metadata/ownerReferences").iter().find(|owner| owner["controller"] == true)
}
