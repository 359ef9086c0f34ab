//! Discovery, version, health and OpenAPI.

use std::collections::BTreeMap;

use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{
    Context,
    negotiate::{bytes_response, json_response},
};
use crate::{
    registry::{ResourceType, Version, api_version},
    schema,
    status::{Result, Status},
};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Groups in the order in which a real server lists them; others (custom ones) follow by name.
const GROUP_ORDER: &[&str] = &[
    "",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
];

/// Answers a path that is no resource.
pub fn serve(cx: &Context) -> Result<Response<Body>> {
    let path = cx.info.path.trim_end_matches('/');
    if !matches!(cx.info.verb, "get" | "head") {
        return Err(Status::no_such_resource());
    }
    let parts: Vec<_> = path.split('/').skip(1).collect();
    match parts.as_slice() {
        [] | [""] => Ok(json_response(StatusCode::OK, &paths(cx))),
        ["version"] => Ok(json_response(StatusCode::OK, &version())),
        [check @ ("healthz" | "livez" | "readyz")]
            if *check == "readyz" && !cx.api.cluster.store.has_room() || cx.query.contains("verbose") =>
        {
            let well = *check == "livez" || cx.api.cluster.store.has_room();
            let (code, etcd, verdict) = if well {
                (StatusCode::OK, "[+]etcd ok", "passed")
            } else {
                (StatusCode::INTERNAL_SERVER_ERROR, "[-]etcd failed: database space exceeded", "failed")
            };
            let text = format!("[+]ping ok\n[+]log ok\n{etcd}\n{check} check {verdict}\n");
            Ok(bytes_response(code, "text/plain; charset=utf-8", text.into()))
        }
        ["healthz" | "livez" | "readyz"] | ["healthz" | "livez" | "readyz", "ping" | "log" | "etcd"] => {
            Ok(bytes_response(StatusCode::OK, "text/plain; charset=utf-8", Bytes::from_static(b"ok")))
        }
        ["api"] if cx.accept.aggregated => Ok(aggregated(cx, true)),
        ["apis"] if cx.accept.aggregated => Ok(aggregated(cx, false)),
        ["api"] => Ok(json_response(
            StatusCode::OK,
            &json!({
                "kind": "APIVersions",
                "versions": ["v1"],
                "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443"}],
            }),
        )),
        ["apis"] => {
            let groups: Vec<_> = groups(cx)
                .into_iter()
                .filter(|(name, _)| !name.is_empty())
                .map(|(name, list)| api_group(&name, &list))
                .collect();
            Ok(json_response(StatusCode::OK, &json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})))
        }
        ["api", "v1"] => resource_list(cx, "", "v1"),
        ["apis", group] => {
            let found = groups(cx).into_iter().find(|(name, _)| name == group).ok_or_else(Status::no_such_page)?;
            let mut out = json!({"kind": "APIGroup", "apiVersion": "v1"});
            if let (Some(out), Value::Object(rest)) = (out.as_object_mut(), api_group(&found.0, &found.1)) {
                out.extend(rest);
            }
            Ok(json_response(StatusCode::OK, &out))
        }
        ["apis", group, version] => resource_list(cx, group, version),
        ["openapi", "v3"] => Ok(json_response(StatusCode::OK, &schema::openapi_index(&cx.api.cluster))),
        ["openapi", "v3", "api", "v1"] => openapi(cx, "", "v1"),
        ["openapi", "v3", "apis", group, version] => openapi(cx, group, version),
        _ => Err(Status::no_such_page()),
    }
}

fn openapi(cx: &Context, group: &str, version: &str) -> Result<Response<Body>> {
    let document = schema::openapi_document(&cx.api.cluster, group, version).ok_or_else(Status::no_such_resource)?;
    Ok(bytes_response(StatusCode::OK, "application/json", document))
}

fn version() -> Value {
    json!({
        "major": "1",
        "minor": "35",
        "emulationMajor": "1",
        "emulationMinor": "35",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "34",
        "gitVersion": "v1.35.4",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": "linux/amd64",
    })
}

fn paths(cx: &Context) -> Value {
    let mut out = vec!["/api".to_owned(), "/api/v1".into(), "/apis".into()];
    for (group, resources) in groups(cx) {
        if group.is_empty() {
            continue;
        }
        out.push(format!("/apis/{group}"));
        out.extend(versions(&resources).into_iter().map(|version| format!("/apis/{group}/{version}")));
    }
    out.extend(["/healthz", "/livez", "/openapi/v3", "/readyz", "/version"].map(str::to_owned));
    json!({"paths": out})
}

type Group = (String, Vec<std::sync::Arc<ResourceType>>);

fn groups(cx: &Context) -> Vec<Group> {
    let mut by_name: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for resource in cx.api.cluster.registry.all() {
        by_name.entry(resource.id.group.to_string()).or_default().push(resource);
    }
    let rank = |name: &str| GROUP_ORDER.iter().position(|own| *own == name).unwrap_or(GROUP_ORDER.len());
    let mut out: Vec<_> = by_name.into_iter().collect();
    out.sort_by(|a, b| rank(&a.0).cmp(&rank(&b.0)).then_with(|| a.0.cmp(&b.0)));
    out
}

/// Versions of a group, the preferred first: GA before beta before alpha, higher before lower.
fn versions(resources: &[std::sync::Arc<ResourceType>]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for resource in resources {
        for version in &resource.versions {
            if !out.contains(&version.name) {
                out.push(version.name.clone());
            }
        }
    }
    out.sort_by(|a, b| compare_versions(b, a));
    out
}

/// `k8s.io/apimachinery/pkg/version` CompareKubeAwareVersionStrings.
pub fn compare_versions(a: &str, b: &str) -> std::cmp::Ordering {
    fn key(version: &str) -> Option<(u8, u64, u64)> {
        let rest = version.strip_prefix('v')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (major, tail) = rest.split_at(digits);
        let major = major.parse().ok()?;
        if tail.is_empty() {
            return Some((2, major, 0));
        }
        if let Some(minor) = tail.strip_prefix("beta") {
            return Some((1, major, minor.parse().ok()?));
        }
        Some((0, major, tail.strip_prefix("alpha")?.parse().ok()?))
    }
    match (key(a), key(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => std::cmp::Ordering::Greater,
        (None, Some(_)) => std::cmp::Ordering::Less,
        (None, None) => b.cmp(a),
    }
}

fn api_group(name: &str, resources: &[std::sync::Arc<ResourceType>]) -> Value {
    let versions: Vec<_> = versions(resources)
        .into_iter()
        .map(|version| json!({"groupVersion": api_version(name, &version), "version": version}))
        .collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions.first()})
}

fn resource_list(cx: &Context, group: &str, version: &str) -> Result<Response<Body>> {
    let mut entries = Vec::new();
    let mut known = false;
    for resource in cx.api.cluster.registry.all().into_iter().filter(|resource| resource.id.group == group) {
        let Some(found) = resource.version(version) else {
            continue;
        };
        known = true;
        let mut entry = json!({
            "name": resource.id.resource,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": resource.verbs,
        });
        if !resource.short_names.is_empty() {
            entry["shortNames"] = json!(resource.short_names);
        }
        if !resource.categories.is_empty() {
            entry["categories"] = json!(resource.categories);
        }
        if !resource.verbs.is_empty() && resource.verbs.len() > 2 {
            entry["storageVersionHash"] = json!(storage_hash(&resource));
        }
        entries.push(entry);
        for sub in &found.subresources {
            let mut entry = json!({
                "name": format!("{}/{}", resource.id.resource, sub.name),
                "singularName": "",
                "namespaced": resource.namespaced,
            });
            let own = sub.kind.2 == resource.kind || (sub.name == "status" && resource.custom);
            if !own && (sub.kind.0 != group || sub.kind.1 != version) {
                entry["group"] = json!(sub.kind.0);
                entry["version"] = json!(sub.kind.1);
            }
            entry["kind"] = if sub.name == "status" { json!(resource.kind) } else { json!(sub.kind.2) };
            entry["verbs"] = json!(sub.verbs);
            entries.push(entry);
        }
    }
    if !known {
        // Built-in groups tell in their own words what they do not have.
        let built_in = cx.api.cluster.registry.all().iter().any(|own| own.id.group == group && !own.custom);
        return Err(if built_in { Status::no_such_resource() } else { Status::no_such_page() });
    }
    let mut out = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version(group, version), "resources": entries});
    if let Some(out) = out.as_object_mut().filter(|_| group.is_empty()) {
        // The oldest of them says less.
        out.shift_remove("apiVersion");
    }
    Ok(json_response(StatusCode::OK, &out))
}

/// `k8s.io/apiserver/pkg/endpoints/discovery` StorageVersionHash: the start of a SHA-256 over group/version/kind.
fn storage_hash(resource: &ResourceType) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use sha2::{Digest, Sha256};
    let text = format!("{}/{}/{}", resource.id.group, resource.storage_version, resource.kind);
    let hash = Sha256::digest(text);
    STANDARD.encode(hash.iter().copied().take(8).collect::<Vec<_>>())
}

fn aggregated(cx: &Context, core: bool) -> Response<Body> {
    let mut items = Vec::new();
    for (group, resources) in groups(cx).into_iter().filter(|(name, _)| name.is_empty() == core) {
        let versions: Vec<_> = versions(&resources)
            .into_iter()
            .map(|version| {
                let entries: Vec<_> = resources
                    .iter()
                    .filter_map(|resource| Some((resource, resource.version(&version)?)))
                    .map(|(resource, found)| aggregated_resource(resource, found))
                    .collect();
                json!({"version": version, "resources": entries, "freshness": "Current"})
            })
            .collect();
        let mut metadata = json!({});
        if !group.is_empty() {
            metadata["name"] = json!(group);
        }
        items.push(json!({"metadata": metadata, "versions": versions}));
    }
    let body = json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items});
    bytes_response(StatusCode::OK, AGGREGATED, serde_json::to_vec(&body).unwrap_or_default().into())
}

fn aggregated_resource(resource: &ResourceType, version: &Version) -> Value {
    let scope = if resource.namespaced { "Namespaced" } else { "Cluster" };
    let mut out = json!({
        "resource": resource.id.resource,
        "responseKind": {"group": resource.id.group, "version": version.name, "kind": resource.kind},
        "scope": scope,
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    });
    if !resource.short_names.is_empty() {
        out["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        out["categories"] = json!(resource.categories);
    }
    if !version.subresources.is_empty() {
        let subresources: Vec<_> = version
            .subresources
            .iter()
            .map(|sub| {
                let kind = if sub.name == "status" {
                    json!({"group": resource.id.group, "version": version.name, "kind": resource.kind})
                } else {
                    json!({"group": sub.kind.0, "version": sub.kind.1, "kind": sub.kind.2})
                };
                json!({"subresource": sub.name, "responseKind": kind, "verbs": sub.verbs})
            })
            .collect();
        out["subresources"] = json!(subresources);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_by_stability_then_number() {
        let mut versions = ["v1alpha1", "v10", "v2", "v1beta2", "v11alpha2", "foo1"];
        versions.sort_by(|a, b| compare_versions(b, a));
        assert_eq!(versions, ["v10", "v2", "v1beta2", "v11alpha2", "v1alpha1", "foo1"]);
    }
}
