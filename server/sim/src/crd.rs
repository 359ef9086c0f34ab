//! CustomResourceDefinitions: what they add to the API, and their own status.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, DeleteOptions, text},
    registry::{CustomVersion, ResourceType, Subresource, Version, builtin::gr},
    store::GroupResource,
};

/// Instances of a definition that goes away are deleted before it.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The resource that a definition describes.
#[must_use]
pub fn resource_type(definition: &Value) -> ResourceType {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let group = text(spec, &["group"]);
    let kind = text(names, &["kind"]).to_owned();
    let all = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut versions: Vec<(String, Version)> = all
        .iter()
        .filter(|version| version["served"] == true)
        .map(|version| (text(version, &["name"]).to_owned(), served_version(group, &kind, version, all)))
        .collect();
    versions.sort_by(|a, b| crate::http::compare_versions(&b.0, &a.0));
    let list_kind = match text(names, &["listKind"]) {
        "" => format!("{kind}List"),
        given => given.to_owned(),
    };
    let singular = match text(names, &["singular"]) {
        "" => kind.to_lowercase(),
        given => given.to_owned(),
    };
    ResourceType {
        id: GroupResource::owned(group, text(names, &["plural"])),
        list_kind,
        singular,
        short_names: strings(&names["shortNames"]),
        categories: strings(&names["categories"]),
        namespaced: spec["scope"] == "Namespaced",
        storage_version: storage_version(definition).to_owned(),
        versions: versions.into_iter().map(|(_, version)| version).collect(),
        custom: true,
        // In the order in which the original lists those of custom resources.
        verbs: vec!["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
        kind,
    }
}

fn storage_version(definition: &Value) -> &str {
    definition["spec"]["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|version| version["storage"] == true)
        .map_or("", |version| text(version, &["name"]))
}

fn served_version(group: &str, kind: &str, version: &Value, all: &[Value]) -> Version {
    // The best of those that are to stay.
    let better = all
        .iter()
        .filter(|own| own["served"] == true && own["deprecated"] != true)
        .map(|own| text(own, &["name"]))
        .max_by(|a, b| crate::http::compare_versions(a, b));
    let instead = better.map_or_else(String::new, |better| format!("; use {group}/{better} {kind}"));
    let name = text(version, &["name"]);
    let sub = &version["subresources"];
    let mut subresources = Vec::new();
    let verbs: &[&str] = &["get", "patch", "update"];
    if !sub["status"].is_null() {
        subresources.push(Subresource { name: "status", kind: ("", "", ""), verbs });
    }
    if !sub["scale"].is_null() {
        subresources.push(Subresource { name: "scale", kind: ("autoscaling", "v1", "Scale"), verbs });
    }
    let warning = (version["deprecated"] == true).then(|| {
        version["deprecationWarning"]
            .as_str()
            .map_or_else(|| format!("{group}/{name} {kind} is deprecated{instead}"), str::to_owned)
    });
    Version {
        name: name.to_owned(),
        subresources,
        custom: Some(Arc::new(CustomVersion {
            schema: version["schema"]["openAPIV3Schema"].clone(),
            node: Arc::new(crate::schema::compile_custom(&version["schema"]["openAPIV3Schema"])),
            columns: version["additionalPrinterColumns"].as_array().cloned().unwrap_or_default(),
            scale: (!sub["scale"].is_null()).then(|| sub["scale"].clone()),
            status: !sub["status"].is_null(),
            warning,
            selectable: version["selectableFields"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|field| field["jsonPath"].as_str().map(str::to_owned))
                .collect(),
        })),
    }
}

/// Fills in names and conversion as `apiextensions/v1` defaults do.
pub fn default(definition: &mut Value) {
    let spec = &mut definition["spec"];
    let kind = text(spec, &["names", "kind"]).to_owned();
    if text(spec, &["names", "singular"]).is_empty() {
        spec["names"]["singular"] = json!(kind.to_lowercase());
    }
    if text(spec, &["names", "listKind"]).is_empty() && !kind.is_empty() {
        spec["names"]["listKind"] = json!(format!("{kind}List"));
    }
    if spec["conversion"].is_null() {
        spec["conversion"] = json!({"strategy": "None"});
    }
}

/// Follows a write to a definition: serves it, publishes its status, or removes its instances.
pub fn after_write(cluster: &Cluster, now: Option<&Value>, before: Option<&Value>) {
    let Some(definition) = now else {
        if let Some(gone) = before {
            cluster.registry.remove(&resource_type(gone).id);
        }
        return;
    };
    let resource = resource_type(definition);
    let id = resource.id.clone();
    cluster.registry.insert(resource);
    let controller = cluster.component("kube-apiserver");
    let name = text(definition, &["metadata", "name"]).to_owned();
    if !definition["metadata"]["deletionTimestamp"].is_null() {
        remove_instances(&controller, &id, &name);
        return;
    }
    let established = definition["status"]["conditions"]
        .as_array()
        .is_some_and(|list| list.iter().any(|own| own["type"] == "Established"));
    let stored = storage_version(definition);
    let known = strings(&definition["status"]["storedVersions"]).iter().any(|own| own == stored);
    let names_current = definition["status"]["acceptedNames"] == definition["spec"]["names"];
    if established && known && names_current {
        return;
    }
    let at = cluster.time();
    let outcome = controller.modify_status(&gr::CUSTOM_RESOURCE_DEFINITIONS, "", &name, |value| {
        let names = value["spec"]["names"].clone();
        if !value["status"]["conditions"].is_array() {
            value["status"]["conditions"] = json!([
                {"lastTransitionTime": at, "message": "no conflicts found", "reason": "NoConflicts", "status": "True", "type": "NamesAccepted"},
                {"lastTransitionTime": at, "message": "the initial names have been accepted", "reason": "InitialNamesAccepted", "status": "True", "type": "Established"},
            ]);
        }
        value["status"]["acceptedNames"] = names;
        let mut versions = strings(&value["status"]["storedVersions"]);
        let stored = storage_version(value).to_owned();
        if !versions.contains(&stored) {
            versions.push(stored);
        }
        value["status"]["storedVersions"] = json!(versions);
    });
    if let Err(status) = outcome {
        tracing::error!(%status, name, "definition not established");
    }
}

/// Deletes all instances, then lets the definition go once none is left.
fn remove_instances(controller: &Cluster, id: &GroupResource, name: &str) {
    for object in controller.list(id, None) {
        let namespace = text(&object, &["metadata", "namespace"]);
        if object["metadata"]["deletionTimestamp"].is_null()
            && let Err(status) =
                controller.delete(id, namespace, text(&object, &["metadata", "name"]), &DeleteOptions::default())
        {
            tracing::debug!(%status, "instance not deleted");
        }
    }
    release_if_empty(controller, id, name);
}

/// Takes the finalizer off a definition that is going away and has no instances left.
pub fn release_if_empty(controller: &Cluster, id: &GroupResource, name: &str) {
    if controller.store.count(id) > 0 {
        return;
    }
    let Some(definition) = controller.find(&gr::CUSTOM_RESOURCE_DEFINITIONS, "", name) else {
        return;
    };
    if definition["metadata"]["deletionTimestamp"].is_null() {
        return;
    }
    let outcome = controller.modify(&gr::CUSTOM_RESOURCE_DEFINITIONS, "", name, |value| {
        if let Some(list) = value["metadata"]["finalizers"].as_array_mut() {
            list.retain(|own| own != CLEANUP);
        }
    });
    if let Err(status) = outcome {
        tracing::debug!(%status, "definition not released");
    }
}

/// Puts the finalizer on that a definition keeps, once it is to go, until its instances are gone.
pub fn prepare_delete(definition: &mut Value) {
    let mut finalizers = strings(&definition["metadata"]["finalizers"]);
    if !finalizers.iter().any(|own| own == CLEANUP) {
        finalizers.push(CLEANUP.into());
    }
    definition["metadata"]["finalizers"] = json!(finalizers);
}

/// The status of a new definition.
pub fn prepare_create(definition: &mut Value) {
    definition["status"] = json!({"conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": [storage_version(definition)]});
}
