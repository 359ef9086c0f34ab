//! OpenAPI v3 documents: definitions and just enough of the paths for kubectl's apply and explain.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{OBJECT_META, definitions, kind_definition};
use crate::{
    cluster::Cluster,
    registry::{ResourceType, Version},
};

fn document_path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

fn group_versions(cluster: &Cluster) -> BTreeSet<(String, String)> {
    cluster
        .registry
        .all()
        .iter()
        .flat_map(|resource| {
            resource.versions.iter().map(|version| (resource.id.group.to_string(), version.name.clone()))
        })
        .collect()
}

/// `/openapi/v3`: one entry a group and version, named by the hash of its contents.
#[must_use]
pub fn openapi_index(cluster: &Cluster) -> Value {
    let mut paths = Map::new();
    for (group, version) in group_versions(cluster) {
        let path = document_path(&group, &version);
        let body = openapi_document(cluster, &group, &version).unwrap_or_default();
        let hash: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02X}")).collect();
        let url = format!("/openapi/v3/{path}?hash={hash}");
        paths.insert(path, json!({"serverRelativeURL": url}));
    }
    json!({"paths": paths})
}

/// `/openapi/v3/apis/GROUP/VERSION`, `None` when nothing of it is served.
#[must_use]
pub fn openapi_document(cluster: &Cluster, group: &str, version: &str) -> Option<Bytes> {
    let mut paths = Map::new();
    let mut wanted = Vec::new();
    let mut schemas = Map::new();
    for resource in cluster.registry.all().iter().filter(|resource| resource.id.group == group) {
        let Some(found) = resource.version(version) else {
            continue;
        };
        let name = definition_name(resource, found);
        if let Some(custom) = &found.custom {
            schemas.insert(name.clone(), custom_schema(resource, version, &custom.schema));
            wanted.push(OBJECT_META.to_owned());
        } else {
            wanted.push(name.clone());
        }
        add_paths(&mut paths, resource, found, &name);
    }
    if paths.is_empty() {
        return None;
    }
    while let Some(name) = wanted.pop() {
        if schemas.contains_key(&name) {
            continue;
        }
        let Some(schema) = definitions().get(&name) else {
            continue;
        };
        references(schema, &mut wanted);
        schemas.insert(name, schema.clone());
    }
    let document = json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.35.4"},
        "paths": paths,
        "components": {"schemas": schemas},
    });
    serde_json::to_vec(&document).ok().map(Bytes::from)
}

fn references(schema: &Value, out: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next()) {
                out.push(name.to_owned());
            }
            map.values().for_each(|value| references(value, out));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, out)),
        _ => {}
    }
}

/// The definition's name: `dev.berth.v1alpha1.App` for a custom resource of `berth.dev`.
fn definition_name(resource: &ResourceType, version: &Version) -> String {
    if let Some(name) = kind_definition(&resource.id.group, &version.name, &resource.kind) {
        return name.to_owned();
    }
    let reversed: Vec<_> = resource.id.group.rsplit('.').collect();
    format!("{}.{}.{}", reversed.join("."), version.name, resource.kind)
}

fn custom_schema(resource: &ResourceType, version: &str, schema: &Value) -> Value {
    let mut out = if schema.is_object() { schema.clone() } else { json!({"type": "object"}) };
    out["properties"]["apiVersion"] = json!({"type": "string", "description": "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources"});
    out["properties"]["kind"] = json!({"type": "string", "description": "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds"});
    out["properties"]["metadata"] = json!({
        "description": "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
        "allOf": [{"$ref": format!("#/components/schemas/{OBJECT_META}")}],
    });
    out["x-kubernetes-group-version-kind"] =
        json!([{"group": resource.id.group, "version": version, "kind": resource.kind}]);
    out
}

fn add_paths(paths: &mut Map<String, Value>, resource: &ResourceType, version: &Version, name: &str) {
    let gvk = json!({"group": resource.id.group, "version": version.name, "kind": resource.kind});
    let prefix = document_path(&resource.id.group, &version.name);
    let scope = if resource.namespaced { "namespaces/{namespace}/" } else { "" };
    let base = format!("/{prefix}/{scope}{}", resource.id.resource);
    let content = json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{name}")}}});
    let operation = |action: &str, options: &[&str]| {
        let parameters: Vec<_> = options
            .iter()
            .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}}))
            .collect();
        json!({
            "operationId": format!("{action}{}", resource.kind),
            "parameters": parameters,
            "responses": {"200": {"description": "OK", "content": content}},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk,
        })
    };
    let write = ["dryRun", "fieldManager", "fieldValidation"];
    let mut collection = json!({});
    let mut one = json!({});
    for verb in &resource.verbs {
        match *verb {
            "list" => collection["get"] = operation("list", &["labelSelector", "fieldSelector", "limit", "continue"]),
            "create" => collection["post"] = operation("post", &write),
            "get" => one["get"] = operation("get", &[]),
            "update" => one["put"] = operation("put", &write),
            "patch" => one["patch"] = operation("patch", &["dryRun", "fieldManager", "fieldValidation", "force"]),
            "delete" => one["delete"] = operation("delete", &["dryRun", "gracePeriodSeconds", "propagationPolicy"]),
            _ => {}
        }
    }
    if let Some(map) = collection.as_object().filter(|map| !map.is_empty()) {
        paths.insert(base.clone(), Value::Object(map.clone()));
    }
    if let Some(map) = one.as_object().filter(|map| !map.is_empty()) {
        paths.insert(format!("{base}/{{name}}"), Value::Object(map.clone()));
    }
}
