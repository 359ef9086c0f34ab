//! The CustomResourceDefinitions, generated from the Rust types and committed at `deploy/crds`.

use std::time::Duration;

use berth_core::{Error, Result};
use berth_types::{
    AppStatus, ErrorCode,
    app::{AppSpec, GROUP, VERSION},
    app_validate::{MAX_ARGS, MAX_COMPONENTS, MAX_ENV, MAX_INIT_CONTAINERS, MAX_PORTS, MAX_PULL_SECRETS, MAX_VOLUMES},
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    KubeCluster,
    error::{Target, unavailable},
    meta,
    rest::{Kind, Rest, query},
};

/// Version of the schemas; grows with each change of them, so that an older Berth does not take fields from a newer one.
pub const SCHEMA_VERSION: u32 = 2;
/// Name of the definition of apps: plural and group, as the API server demands.
pub(crate) const APPS: &str = "apps.berth.dev";

/// All definitions that Berth installs.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    // A definition that does not parse is a mistake in this file, which the tests would show.
    serde_json::from_value(apps()).into_iter().collect()
}

fn apps() -> Value {
    let mut spec = schema::<AppSpec>();
    describe(&mut spec, "What is wanted of the app.");
    let components = &mut spec["properties"]["components"];
    components["minItems"] = json!(1);
    components["maxItems"] = json!(MAX_COMPONENTS);
    keyed(components, "name");
    for list in ["env", "volumes", "initContainers"] {
        keyed(&mut components["items"]["properties"][list], "name");
    }
    for (list, most) in [
        ("ports", MAX_PORTS),
        ("env", MAX_ENV),
        ("envFrom", MAX_VOLUMES),
        ("volumes", MAX_VOLUMES),
        ("command", MAX_ARGS),
        ("args", MAX_ARGS),
        ("initContainers", MAX_INIT_CONTAINERS),
        ("imagePullSecrets", MAX_PULL_SECRETS),
    ] {
        components["items"]["properties"][list]["maxItems"] = json!(most);
    }
    let mut status = schema::<AppStatus>();
    describe(&mut status, "What is true of the app. Written by Berth.");
    let column = |name: &str, kind: &str, path: &str| json!({ "name": name, "type": kind, "jsonPath": path });
    let mut cause = column("Cause", "string", ".status.cause.message");
    cause["priority"] = json!(1);
    json!({
        "apiVersion": Kind::CRD.api_version,
        "kind": Kind::CRD.kind,
        "metadata": {
            "name": APPS,
            "labels": { meta::MANAGED_BY: meta::BERTH },
            "annotations": { meta::SCHEMA_VERSION: SCHEMA_VERSION.to_string() },
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": "App", "listKind": "AppList", "plural": "apps", "singular": "app",
                "shortNames": ["bapp"], "categories": ["all", "berth"],
            },
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "additionalPrinterColumns": [
                    column("Phase", "string", ".status.phase"),
                    column("Ready", "string", ".status.ready"),
                    column("Image", "string", ".spec.components[0].image"),
                    column("Revision", "integer", ".status.revision"),
                    column("Age", "date", ".metadata.creationTimestamp"),
                    cause,
                ],
                "schema": { "openAPIV3Schema": {
                    "description": "A stateless workload: one or more components, each a Deployment and what goes with it.",
                    "type": "object",
                    "required": ["spec"],
                    "properties": {
                        "apiVersion": { "type": "string" },
                        "kind": { "type": "string" },
                        "metadata": { "type": "object" },
                        "spec": spec,
                        "status": status,
                    },
                } },
            }],
        },
    })
}

/// The version of the schema that a definition in the cluster has.
pub(crate) fn schema_version(definition: &Value) -> Option<u32> {
    definition["metadata"]["annotations"][meta::SCHEMA_VERSION].as_str()?.parse().ok()
}

fn describe(schema: &mut Value, text: &str) {
    schema["description"] = json!(text);
}

/// A list whose items are found by a key, so that server-side apply merges it item by item.
fn keyed(list: &mut Value, key: &str) {
    list["x-kubernetes-list-type"] = json!("map");
    list["x-kubernetes-list-map-keys"] = json!([key]);
}

fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|s| {
        s.inline_subschemas = true;
        s.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    structural(&mut schema);
    schema
}

/// Brings a schema into the form that Kubernetes demands: one type each, no `anyOf` for what may be absent, no
/// `additionalProperties` beside `properties` (unknown fields are pruned or refused anyway), no defaults (what is absent
/// stays absent).
fn structural(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    for gone in ["title", "$schema", "default", "definitions", "components", "nullable", "examples"] {
        object.remove(gone);
    }
    optional(object);
    words(object);
    if let Some(Value::Array(types)) = object.get("type") {
        let kept = types.iter().find(|t| *t != "null").cloned();
        object.insert("type".to_owned(), kept.unwrap_or_default());
    }
    // Only the widths that Kubernetes knows.
    if object.get("format").and_then(Value::as_str).is_some_and(|f| f.starts_with("uint")) {
        object.remove("format");
    }
    if object.contains_key("properties") {
        object.remove("additionalProperties");
    }
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(structural);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = object.get_mut(key) {
            structural(inner);
        }
    }
}

/// `anyOf: [X, null]` and `allOf: [X]` become X; the description beside them stays.
fn optional(object: &mut Map<String, Value>) {
    for key in ["anyOf", "allOf", "oneOf"] {
        let Some(Value::Array(choices)) = object.get(key) else { continue };
        let is_null = |c: &Value| {
            c["type"] == "null" || c["enum"] == json!([null]) || c["const"].is_null() && c.get("const").is_some()
        };
        let real: Vec<Value> = choices.iter().filter(|c| !is_null(c)).cloned().collect();
        if let [Value::Object(only)] = real.as_slice() {
            object.remove(key);
            for (k, v) in only {
                object.entry(k.clone()).or_insert_with(|| v.clone());
            }
            optional(object);
            return;
        }
    }
}

/// `oneOf` of described constants becomes an `enum`, with the descriptions joined.
fn words(object: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = object.get("oneOf") else { return };
    let mut values = Vec::new();
    let mut descriptions = Vec::new();
    for choice in choices {
        let of_enum = choice["enum"].as_array().cloned().unwrap_or_default();
        let these: Vec<Value> = choice.get("const").cloned().into_iter().chain(of_enum).collect();
        if let (Some(text), [Value::String(word)]) = (choice["description"].as_str(), these.as_slice()) {
            descriptions.push(format!("{word}: {text}"));
        }
        values.extend(these);
    }
    object.remove("oneOf");
    object.insert("type".to_owned(), json!("string"));
    object.insert("enum".to_owned(), json!(values));
    if !descriptions.is_empty() {
        let before = object.get("description").and_then(Value::as_str).map(|d| format!("{d} ")).unwrap_or_default();
        object.insert("description".to_owned(), json!(before + &descriptions.join(" ")));
    }
}

impl KubeCluster {
    /// Installs or updates the definitions, and waits until the API server serves them.
    ///
    /// # Errors
    /// `Conflict` when the cluster holds those of a newer Berth; `ClusterRefused` without the right; `ClusterUnavailable`.
    pub async fn ensure_crds(&self) -> Result<()> {
        let rest = self.controller_rest();
        for crd in crds() {
            let name = crd.metadata.name.clone().unwrap_or_default();
            let target = Target::new("the definition", &name);
            let path = Kind::CRD.at("", &name);
            let have = match rest.get::<Value>(&target, &path).await {
                Ok(have) => have,
                Err(e) if e.code() == ErrorCode::NotFound => Value::Null,
                Err(e) => return Err(e),
            };
            if schema_version(&have).is_some_and(|v| v > SCHEMA_VERSION) {
                return Err(Error::new(
                    ErrorCode::Conflict,
                    format!("the cluster's definition of {name} was made by a newer Berth; update this one"),
                ));
            }
            let mut wanted = serde_json::to_value(&crd).map_err(Error::internal)?;
            wanted["apiVersion"] = json!(Kind::CRD.api_version);
            wanted["kind"] = json!(Kind::CRD.kind);
            let apply = query(&path, &[("fieldManager", meta::CONTROLLER), ("force", "true")]);
            rest.apply(&target, &apply, &wanted).await?;
            self.wait_until_served(&rest, &crd).await?;
            if have.is_null() {
                self.cache.health.try_again();
            }
        }
        Ok(())
    }

    /// A definition is served a moment after it is there.
    async fn wait_until_served(&self, rest: &Rest, crd: &CustomResourceDefinition) -> Result<()> {
        let path = format!("/apis/{GROUP}/{VERSION}");
        for _ in 0..100 {
            let served = rest.get::<Value>(&Target::new("the definitions", GROUP), &path).await;
            let resources = served.as_ref().ok().and_then(|s| s["resources"].as_array());
            if resources.is_some_and(|list| list.iter().any(|r| r["name"] == crd.spec.names.plural.as_str())) {
                return Ok(());
            }
            crate::cache::pause(Duration::from_millis(100)).await;
        }
        let what = crd.metadata.name.as_deref().unwrap_or_default();
        Err(unavailable(format!("the definition of {what} is not served after 10 s")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every node of a schema has exactly one type and none of what Kubernetes refuses.
    fn check(path: &str, schema: &Value) {
        assert!(schema["type"].is_string(), "{path} has no type: {schema}");
        for key in ["anyOf", "oneOf", "allOf", "$ref", "default", "nullable", "title"] {
            assert!(schema.get(key).is_none(), "{path} has {key}: {schema}");
        }
        assert!(schema.get("properties").is_none() || schema.get("additionalProperties").is_none(), "{path}");
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            check(&format!("{path}.{name}"), inner);
        }
        for key in ["items", "additionalProperties"] {
            if let Some(inner) = schema.get(key) {
                check(&format!("{path}.{key}"), inner);
            }
        }
    }

    #[test]
    fn is_structural() {
        check("", &apps()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]);
        assert_eq!(crds().len(), 1, "it parses");
    }

    #[test]
    fn says_what_the_types_say() {
        let crd = apps();
        let component = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["components"]
            ["items"];
        assert_eq!(component["required"], json!(["name", "image"]));
        assert_eq!(component["properties"]["replicas"]["maximum"], json!(1000));
        assert_eq!(component["properties"]["imagePullPolicy"]["enum"], json!(["Always", "IfNotPresent", "Never"]));
        assert_eq!(
            component["properties"]["expose"]["properties"]["type"]["enum"],
            json!(["None", "Internal", "Ingress", "LoadBalancer"])
        );
    }

    #[test]
    fn committed_file_is_current() {
        let yaml = serde_saphyr::to_string(&crds()[0]).expect("YAML");
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/crds/apps.yaml");
        let committed = std::fs::read_to_string(path).expect("deploy/crds/apps.yaml");
        assert!(committed == yaml, "deploy/crds/apps.yaml is not what the types say; run `cargo xtask regenerate`");
    }
}
