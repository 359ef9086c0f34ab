//! Packs the Kubernetes OpenAPI v3 documents into the file that this crate embeds.

use std::{collections::BTreeSet, io::Write as _, path::Path};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Map, Value};

/// The documents of the groups that are served.
const DOCUMENTS: &[&str] = &[
    "api__v1",
    "apis__apiextensions.k8s.io__v1",
    "apis__apps__v1",
    "apis__authentication.k8s.io__v1",
    "apis__authorization.k8s.io__v1",
    "apis__autoscaling__v1",
    "apis__autoscaling__v2",
    "apis__batch__v1",
    "apis__coordination.k8s.io__v1",
    "apis__discovery.k8s.io__v1",
    "apis__events.k8s.io__v1",
    "apis__networking.k8s.io__v1",
    "apis__policy__v1",
    "apis__rbac.authorization.k8s.io__v1",
    "apis__scheduling.k8s.io__v1",
    "apis__storage.k8s.io__v1",
];

/// Kinds whose definitions are kept though no path of ours serves them.
fn unwanted(name: &str) -> bool {
    name.starts_with("io.k8s.api.admission") || name.starts_with("io.k8s.kube-aggregator")
}

/// Reads `api/openapi-spec/v3` of the Kubernetes repository and returns its definitions as gzipped JSON, the same
/// bytes for the same input.
///
/// # Errors
/// When a document is missing or malformed.
pub fn pack(folder: &Path) -> std::io::Result<Vec<u8>> {
    let mut all = Map::new();
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(folder.join(format!("{document}_openapi.json")))?;
        let mut value: Value = serde_json::from_str(&text)?;
        if let Value::Object(schemas) = value["components"]["schemas"].take() {
            for (name, mut schema) in schemas {
                if !unwanted(&name) {
                    trim(&name, &mut schema);
                    all.insert(name, schema);
                }
            }
        }
    }
    let names: BTreeSet<String> = all.keys().cloned().collect();
    let sorted: Map<String, Value> =
        names.into_iter().filter_map(|name| all.remove(&name).map(|schema| (name, schema))).collect();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(serde_json::to_string(&Value::Object(sorted))?.as_bytes())?;
    encoder.finish()
}

/// Options of requests name the kinds of every group; only one of them matters.
fn trim(name: &str, schema: &mut Value) {
    let shared = ["DeleteOptions", "WatchEvent"].iter().any(|kind| name.ends_with(kind));
    if shared && let Some(object) = schema.as_object_mut() {
        object.shift_remove("x-kubernetes-group-version-kind");
    }
}
