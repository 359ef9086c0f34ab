//! Quotas and limit ranges (`pkg/apis/core/validation`).

use std::collections::BTreeSet;

use serde_json::Value;

use super::items;
use crate::{cluster::text, quantity::Quantity, status::FieldError, strategy::meta::qualified_name_faults};

/// The kinds of the core group whose objects a quota counts by their plain names.
pub const COUNTED: [&str; 7] =
    ["pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps", "persistentvolumeclaims"];
/// Services of these types, counted apart.
const COUNTED_SERVICES: [&str; 2] = ["services.nodeports", "services.loadbalancers"];
/// What pods take of their nodes; a pod must state it itself when a quota limits it.
pub const COMPUTE: [&str; 9] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];

fn is_counted(name: &str) -> bool {
    COUNTED.contains(&name) || COUNTED_SERVICES.contains(&name)
}

fn is_standard(name: &str) -> bool {
    is_counted(name)
        || COMPUTE.contains(&name)
        || name == "requests.storage"
        || name.starts_with("hugepages-")
        || name.starts_with("requests.hugepages-")
}

/// Faults of a quota's spec.
pub fn quota(spec: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    for (name, amount) in spec["hard"].as_object().into_iter().flatten() {
        let path = format!("spec.hard[{name}]");
        out.extend(qualified_name_faults(name).into_iter().map(|why| FieldError::invalid(&path, name.as_str(), why)));
        if !name.contains('/') && !is_standard(name) {
            for why in ["must be a standard resource type or fully qualified", "must be a standard resource for quota"]
            {
                out.push(FieldError::invalid(&path, name.as_str(), why));
            }
        }
        let own = Quantity::lenient(Some(amount));
        if own.sign() < 0 {
            out.push(FieldError::invalid(&path, own.to_string(), "must be greater than or equal to 0"));
        }
        let whole = is_counted(name) || name.starts_with("count/");
        if whole && own.nanos() % 1_000_000_000 != 0 {
            out.push(FieldError::invalid(&path, own.to_string(), "must be an integer"));
        }
    }
    scopes(spec, &mut out);
    out
}

fn scopes(spec: &Value, out: &mut Vec<FieldError>) {
    let own: Vec<&str> = items(spec, "scopes").iter().filter_map(Value::as_str).collect();
    let mut fault = |why: &str| out.push(FieldError::invalid("spec.scopes", spec["scopes"].clone(), why));
    let known = [
        "Terminating",
        "NotTerminating",
        "BestEffort",
        "NotBestEffort",
        "PriorityClass",
        "CrossNamespacePodAffinity",
        "VolumeAttributesClass",
    ];
    for scope in &own {
        if !known.contains(scope) {
            fault("unsupported scope");
        }
        for name in spec["hard"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()) {
            let fits = match *scope {
                "BestEffort" => name == "pods",
                "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" | "CrossNamespacePodAffinity" => {
                    name == "pods" || COMPUTE.contains(&name)
                }
                "VolumeAttributesClass" => matches!(name, "persistentvolumeclaims" | "requests.storage"),
                _ => true,
            };
            if is_standard(name) && !fits {
                fault("unsupported scope applied to resource");
            }
        }
    }
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|scope| own.contains(scope)) {
            fault("conflicting scopes");
        }
    }
}

/// Faults of a limit range's spec.
pub fn limit_range(spec: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for (index, limit) in items(spec, "limits").iter().enumerate() {
        let path = format!("spec.limits[{index}]");
        let kind = text(limit, &["type"]);
        if !kind.contains('/') && !matches!(kind, "Pod" | "Container" | "PersistentVolumeClaim") {
            let why = "must be a standard limit type or fully qualified";
            out.push(FieldError::invalid(format!("{path}.type"), kind, why));
        }
        if seen.contains(&kind) {
            out.push(FieldError::duplicate(format!("{path}.type"), kind));
        }
        seen.push(kind);
        if kind == "Pod" {
            for field in ["default", "defaultRequest"] {
                if limit[field].as_object().is_some_and(|map| !map.is_empty()) {
                    let why = "may not be specified when `type` is 'Pod'";
                    out.push(FieldError::forbidden(format!("{path}.{field}"), why));
                }
            }
        }
        if kind == "PersistentVolumeClaim" && limit["min"]["storage"].is_null() && limit["max"]["storage"].is_null() {
            let why = "either minimum or maximum storage value is required, but neither was provided";
            out.push(FieldError::required(format!("{path}.limits"), why));
        }
        amounts(limit, &path, &mut out);
    }
    out
}

fn amounts(limit: &Value, path: &str, out: &mut Vec<FieldError>) {
    let parts = ["min", "max", "default", "defaultRequest", "maxLimitRequestRatio"];
    let names: BTreeSet<&String> =
        parts.iter().filter_map(|part| limit[*part].as_object()).flat_map(|map| map.keys()).collect();
    for name in names {
        let get = |part: &str| limit[part].get(name).map(|own| Quantity::lenient(Some(own)));
        // Each pair: the lower, what it is called, the upper, what it is called, the field and the value that are blamed.
        let pairs = [
            ("min", "min value", "max", "max value", "min", 0),
            ("min", "min value", "defaultRequest", "default request value", "defaultRequest", 1),
            ("defaultRequest", "default request value", "max", "max value", "defaultRequest", 0),
            ("defaultRequest", "default request value", "default", "default limit value", "defaultRequest", 0),
            ("min", "min value", "default", "default value", "default", 0),
            ("default", "default value", "max", "max value", "default", 1),
        ];
        for (low, lower, high, upper, field, blamed) in pairs {
            if let (Some(low), Some(high)) = (get(low), get(high))
                && low.nanos() > high.nanos()
            {
                let why = format!("{lower} {low} is greater than {upper} {high}");
                let value = if blamed == 0 { low.to_string() } else { high.to_string() };
                out.push(FieldError::invalid(format!("{path}.{field}[{name}]"), value, why));
            }
        }
        if let Some(ratio) = get("maxLimitRequestRatio").filter(|ratio| ratio.nanos() < 1_000_000_000) {
            let field = format!("{path}.maxLimitRequestRatio[{name}]");
            out.push(FieldError::invalid(field, ratio.to_string(), format!("ratio {ratio} is less than 1")));
        }
    }
}
