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
