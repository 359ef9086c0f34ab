//! Strategic merge patch.

use serde_json::Value;

use crate::{cluster::Cluster, registry::ResourceType, status::Result};

/// Merges `patch` into `object`.
pub fn merge(
    _cluster: &Cluster,
    _resource: &ResourceType,
    _version: &str,
    object: &mut Value,
    patch: &Value,
) -> Result<()> {
    json_patch::merge(object, patch);
    Ok(())
}
