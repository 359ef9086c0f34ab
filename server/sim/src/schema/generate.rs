//! Packs the Kubernetes OpenAPI v3 documents and protobuf definitions into the files that this crate embeds.

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

/// Where `generated.proto` files stand, below the root of their module (`k8s.io/NAME`).
const PROTOS: &[(&str, &[&str])] = &[
    (
        "api",
        &[
            "apps/v1",
            "authentication/v1",
            "authorization/v1",
            "autoscaling/v1",
            "autoscaling/v2",
            "batch/v1",
            "coordination/v1",
            "core/v1",
            "discovery/v1",
            "events/v1",
            "networking/v1",
            "policy/v1",
            "rbac/v1",
            "scheduling/v1",
            "storage/v1",
        ],
    ),
    ("apimachinery", &["pkg/api/resource", "pkg/apis/meta/v1", "pkg/runtime", "pkg/util/intstr"]),
    ("apiextensions-apiserver", &["pkg/apis/apiextensions/v1"]),
];

/// Reads the `generated.proto` files of modules `k8s.io/NAME@VERSION` in a module cache and returns the field
/// numbers as gzipped JSON: message name to field number to `[name, type, "" | "list" | "map"]`.
///
/// # Errors
/// When a file is missing.
pub fn pack_protobuf(cache: &Path, version: &str) -> std::io::Result<Vec<u8>> {
    let mut all = std::collections::BTreeMap::new();
    for (module, folders) in PROTOS {
        for folder in *folders {
            let path = cache.join(format!("k8s.io/{module}@{version}/{folder}/generated.proto"));
            messages(&std::fs::read_to_string(path)?, &mut all);
        }
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(serde_json::to_string(&all)?.as_bytes())?;
    encoder.finish()
}

type Messages = std::collections::BTreeMap<String, Map<String, Value>>;

fn messages(text: &str, all: &mut Messages) {
    let mut package = String::new();
    let mut message = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("package ") {
            package = name.trim_end_matches(';').to_owned();
        } else if let Some(name) = line.strip_prefix("message ") {
            message = format!("{package}.{}", name.trim_end_matches('{').trim());
            all.insert(message.clone(), Map::new());
        } else if let Some((declaration, number)) = line.split_once(" = ")
            && !line.starts_with("//")
            && !line.starts_with("option ")
        {
            let number = number.split([';', ' ']).next().unwrap_or_default();
            let Some((kind, name)) = declaration.rsplit_once(' ') else { continue };
            let (shape, kind) = if let Some(kind) = kind.strip_prefix("repeated ") {
                ("list", kind)
            } else if let Some(kind) = kind.strip_prefix("map<string, ") {
                ("map", kind.trim_end_matches('>'))
            } else {
                ("", kind.trim_start_matches("optional "))
            };
            let scalar = ["string", "bytes", "bool", "int32", "int64", "double", "uint32"].contains(&kind);
            let kind = match kind.trim_start_matches('.') {
                kind if scalar || kind.contains('.') => kind.to_owned(),
                kind => format!("{package}.{kind}"),
            };
            if let Some(fields) = all.get_mut(&message) {
                fields.insert(number.to_owned(), serde_json::json!([name, kind, shape]));
            }
        }
    }
}
