//! The scale subresource: a small view of a big object.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Context, body};
use crate::{
    cluster::text,
    patch::PatchKind,
    registry::Version,
    status::{FieldError, Result, Status},
    strategy,
};

/// Where an object keeps what `autoscaling/v1 Scale` shows.
pub struct Paths {
    spec: Vec<String>,
    status: Vec<String>,
    /// Path of the selector, and whether it is stored as text.
    selector: Option<(Vec<String>, bool)>,
}

fn split(path: &str) -> Vec<String> {
    path.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

impl Paths {
    /// The built-in paths, or those that a CustomResourceDefinition names.
    pub fn of(version: &Version) -> Self {
        match version.custom.as_ref().and_then(|custom| custom.scale.as_ref()) {
            Some(scale) => Self {
                spec: split(text(scale, &["specReplicasPath"])),
                status: split(text(scale, &["statusReplicasPath"])),
                selector: scale["labelSelectorPath"].as_str().map(|path| (split(path), true)),
            },
            None => Self {
                spec: split("spec.replicas"),
                status: split("status.replicas"),
                selector: Some((split("spec.selector"), false)),
            },
        }
    }
}

fn at<'a>(value: &'a Value, path: &[String]) -> &'a Value {
    path.iter().try_fold(value, |value, part| value.get(part)).unwrap_or(&Value::Null)
}

/// The object as a Scale.
pub fn view(paths: &Paths, object: &Value) -> Value {
    let meta = &object["metadata"];
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = meta.get(field) {
            metadata[field] = value.clone();
        }
    }
    let mut spec = json!({});
    if let Some(replicas) = at(object, &paths.spec).as_i64().filter(|replicas| *replicas != 0) {
        spec["replicas"] = json!(replicas);
    }
    let mut status = json!({"replicas": at(object, &paths.status).as_i64().unwrap_or(0)});
    if let Some((path, as_text)) = &paths.selector {
        let found = at(object, path);
        let text =
            if *as_text { found.as_str().unwrap_or_default().to_owned() } else { strategy::selector_text(found) };
        if !text.is_empty() {
            status["selector"] = json!(text);
        }
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status})
}

/// The Scale after a patch.
pub fn patch(cx: &Context, view: &Value, body: &Bytes) -> Result<Value> {
    let kind = PatchKind::of(body::content_type(cx))
        .ok_or_else(|| body::unsupported("application/json-patch+json, application/merge-patch+json"))?;
    let parsed = body::parse_yaml(body)?;
    let mut out = view.clone();
    if kind == PatchKind::Json {
        let patch: json_patch::Patch = serde_json::from_value(parsed)
            .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?;
        json_patch::patch(&mut out, &patch).map_err(|error| Status::new(422, "Invalid", error.to_string()))?;
    } else {
        json_patch::merge(&mut out, &parsed);
    }
    Ok(out)
}

/// How many replicas a Scale asks for; checks its version and range.
pub fn wanted_replicas(name: &str, view: &Value, wanted: &Value) -> Result<i64> {
    let version = text(wanted, &["metadata", "resourceVersion"]);
    if !version.is_empty() && version != text(view, &["metadata", "resourceVersion"]) {
        return Err(Status::stale("", "", name));
    }
    let replicas = match &wanted["spec"]["replicas"] {
        Value::Null => 0,
        value => value.as_i64().ok_or_else(|| {
            Status::bad_request(
                "Scale in version \"v1\" cannot be handled as a Scale: json: cannot unmarshal string into Go struct field ScaleSpec.spec.replicas of type int32",
            )
        })?,
    };
    if replicas < 0 {
        let error = FieldError::invalid("spec.replicas", replicas, "must be greater than or equal to 0");
        return Err(Status::invalid("autoscaling", "Scale", name, &[error]));
    }
    Ok(replicas)
}

/// The object with another number of replicas.
pub fn with_replicas(paths: &Paths, object: &Value, replicas: i64) -> Value {
    let mut out = object.clone();
    let mut place = &mut out;
    for part in &paths.spec {
        place = &mut place[part.as_str()];
    }
    *place = json!(replicas);
    out
}
