//! Validation of what holds data: config maps, secrets, volume claims (`pkg/apis/core/validation`).

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{cluster::text, status::FieldError};

/// What is wrong with a key of a config map or secret.
pub fn config_key_faults(key: &str) -> Vec<String> {
    let mut out = Vec::new();
    if key.len() > 253 {
        out.push("must be no more than 253 bytes".to_owned());
    }
    if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
        out.push("a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')".to_owned());
    }
    if key == "." || key == ".." {
        out.push(format!("must not be '{key}'"));
    }
    out
}

/// The most bytes that a ConfigMap or Secret may hold.
const MAX_DATA: usize = 1024 * 1024;

/// Faults of a config map.
pub fn config_map(value: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    let mut size = 0;
    for field in ["data", "binaryData"] {
        for (key, own) in value[field].as_object().into_iter().flatten() {
            let path = format!("{field}[{key}]");
            out.extend(config_key_faults(key).into_iter().map(|why| FieldError::invalid(&path, key.as_str(), why)));
            if field == "data" && !value["binaryData"][key].is_null() {
                let detail = "duplicate of key present in binaryData";
                out.push(FieldError::invalid(path, key.as_str(), detail));
            }
            size += own.as_str().map_or(0, str::len);
        }
    }
    if size > MAX_DATA {
        out.push(FieldError::too_long("", MAX_DATA));
    }
    out
}

/// Faults of a secret.
pub fn secret(value: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    let mut size = 0;
    for (key, own) in value["data"].as_object().into_iter().flatten() {
        let path = format!("data[{key}]");
        out.extend(config_key_faults(key).into_iter().map(|why| FieldError::invalid(&path, key.as_str(), why)));
        size += own.as_str().map_or(0, |own| own.len() / 4 * 3);
    }
    if size > MAX_DATA {
        out.push(FieldError::too_long("data", MAX_DATA));
    }
    if text(value, &["type"]) == "kubernetes.io/service-account-token"
        && text(value, &["metadata", "annotations", "kubernetes.io/service-account.name"]).is_empty()
    {
        out.push(FieldError::required("metadata.annotations[kubernetes.io/service-account.name]", ""));
    }
    if text(value, &["type"]) == "kubernetes.io/basic-auth"
        && ["username", "password"].iter().all(|key| value["data"][*key].is_null())
    {
        out.extend(["username", "password"].map(|key| FieldError::required(format!("data[{key}]"), "")));
    }
    for (kind, key) in
        [("kubernetes.io/dockerconfigjson", ".dockerconfigjson"), ("kubernetes.io/dockercfg", ".dockercfg")]
    {
        let Some(encoded) = value["data"][key].as_str().filter(|_| text(value, &["type"]) == kind) else { continue };
        let decoded = STANDARD.decode(encoded).unwrap_or_default();
        if let Some(why) = crate::go_json::fault(&decoded) {
            out.push(FieldError::invalid(format!("data[{key}]"), "<secret contents redacted>", why));
        }
    }
    let needs: &[&str] = match text(value, &["type"]) {
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        _ => &[],
    };
    for key in needs {
        if value["data"][*key].is_null() {
            out.push(FieldError::required(format!("data[{key}]"), ""));
        }
    }
    out
}

/// Faults of a claim's spec.
pub fn claim(spec: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    let modes = spec["accessModes"].as_array().map(Vec::as_slice).unwrap_or_default();
    if modes.is_empty() {
        out.push(FieldError::required("spec.accessModes", "at least 1 access mode is required"));
    }
    for mode in modes {
        let known = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
        if !mode.as_str().is_some_and(|mode| known.contains(&mode)) {
            out.push(FieldError::not_supported("spec.accessModes", mode.clone(), &known));
        }
    }
    if modes.len() > 1 && modes.iter().any(|mode| mode == "ReadWriteOncePod") {
        let why = "may not use ReadWriteOncePod with other access modes";
        out.push(FieldError::forbidden("spec.accessModes", why));
    }
    if spec["resources"]["requests"]["storage"].is_null() {
        out.push(FieldError::required("spec.resources[storage]", ""));
    } else {
        let own = crate::quantity::Quantity::lenient(spec["resources"]["requests"].get("storage"));
        if own.sign() <= 0 {
            out.push(FieldError::invalid(
                "spec.resources[storage]",
                spec["resources"]["requests"]["storage"].clone(),
                "must be greater than zero",
            ));
        }
    }
    let class = text(spec, &["storageClassName"]);
    if !class.is_empty() {
        let faults = super::meta::subdomain_faults(class);
        out.extend(faults.into_iter().map(|why| FieldError::invalid("spec.storageClassName", class, why)));
    }
    out.extend(super::rules::one_of(spec, "volumeMode", "spec.", &["Block", "Filesystem"]));
    out
}
