//! The OpenAPI schemas of what is served.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::cluster::Cluster;

/// `/openapi/v3`.
#[must_use]
pub fn openapi_index(_cluster: &Cluster) -> Value {
    json!({"paths": {}})
}

/// `/openapi/v3/apis/GROUP/VERSION`.
#[must_use]
pub fn openapi_document(_cluster: &Cluster, _group: &str, _version: &str) -> Option<Bytes> {
    None
}
