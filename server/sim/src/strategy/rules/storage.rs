//! Volumes and their classes (`pkg/apis/{core,storage}/validation`).

use serde_json::Value;

use super::{items, one_of};
use crate::{cluster::text, quantity::Quantity, status::FieldError};

/// Faults of a volume's spec.
pub fn volume(spec: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    if items(spec, "accessModes").is_empty() {
        out.push(FieldError::required("spec.accessModes", ""));
    }
    let known = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
    for mode in items(spec, "accessModes") {
        if !mode.as_str().is_some_and(|mode| known.contains(&mode)) {
            out.push(FieldError::not_supported("spec.accessModes", mode.clone(), &known));
        }
    }
    let capacity = spec["capacity"].as_object();
    if capacity.is_none_or(serde_json::Map::is_empty) {
        out.push(FieldError::required("spec.capacity", ""));
    }
    if capacity.is_none_or(|capacity| capacity.len() != 1 || !capacity.contains_key("storage")) {
        out.push(FieldError::not_supported("spec.capacity", spec["capacity"].clone(), &["storage"]));
    }
    for (name, amount) in capacity.into_iter().flatten() {
        if Quantity::lenient(Some(amount)).sign() <= 0 {
            let path = format!("spec.capacity[{name}]");
            out.push(FieldError::invalid(path, amount.clone(), "must be greater than zero"));
        }
    }
    out.extend(one_of(spec, "persistentVolumeReclaimPolicy", "spec.", &["Delete", "Recycle", "Retain"]));
    let other = [
        "capacity",
        "accessModes",
        "claimRef",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "mountOptions",
        "volumeMode",
        "nodeAffinity",
        "volumeAttributesClassName",
    ];
    let sources: Vec<&String> = spec
        .as_object()
        .into_iter()
        .flat_map(|spec| spec.keys())
        .filter(|key| !other.contains(&key.as_str()))
        .collect();
    if sources.is_empty() {
        out.push(FieldError::required("spec", "must specify a volume type"));
    }
    for more in sources.iter().skip(1) {
        out.push(FieldError::forbidden(format!("spec.{more}"), "may not specify more than 1 volume type"));
    }
    if spec["hostPath"].is_object() {
        let path = text(spec, &["hostPath", "path"]);
        if path.is_empty() {
            out.push(FieldError::required("spec.hostPath.path", ""));
        } else if path.split('/').any(|part| part == "..") {
            out.push(FieldError::invalid("spec.hostPath.path", path, "must not contain '..'"));
        }
    }
    out
}

/// Faults of a storage class.
pub fn class(value: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    if text(value, &["provisioner"]).is_empty() {
        out.push(FieldError::required("provisioner", ""));
    }
    out.extend(one_of(value, "reclaimPolicy", "", &["Delete", "Retain"]));
    out.extend(one_of(value, "volumeBindingMode", "", &["Immediate", "WaitForFirstConsumer"]));
    out
}
