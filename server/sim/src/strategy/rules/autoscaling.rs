//! Autoscalers (`pkg/apis/autoscaling/validation`).

use serde_json::Value;

use super::{at_least, items};
use crate::{cluster::text, quantity::Quantity, status::FieldError};

/// Faults of an autoscaler's spec.
pub fn autoscaler(spec: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    let (least, most) = (spec["minReplicas"].as_i64(), spec["maxReplicas"].as_i64().unwrap_or(0));
    if least.is_some_and(|least| least < 1) {
        out.push(FieldError::invalid("spec.minReplicas", least, "must be greater than or equal to 1"));
    }
    if most < 1 {
        out.push(FieldError::invalid("spec.maxReplicas", most, "must be greater than 0"));
    }
    if least.is_some_and(|least| most < least) {
        out.push(FieldError::invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"));
    }
    let target = &spec["scaleTargetRef"];
    for field in ["kind", "name"] {
        let (path, own) = (format!("spec.scaleTargetRef.{field}"), text(target, &[field]));
        if own.is_empty() {
            out.push(FieldError::required(path, ""));
        } else if own.contains('/') {
            out.push(FieldError::invalid(path, own, "may not contain '/'"));
        }
    }
    let api = text(target, &["apiVersion"]);
    if !api.contains('/') && !(api == "v1" && text(target, &["kind"]) == "ReplicationController") {
        out.push(FieldError::invalid("spec.scaleTargetRef.apiVersion", api, "apiVersion must specify API group"));
    }
    let metrics = items(spec, "metrics");
    for (index, metric) in metrics.iter().enumerate() {
        self::metric(metric, &format!("spec.metrics[{index}]"), &mut out);
    }
    if least == Some(0) && !metrics.iter().any(|metric| matches!(text(metric, &["type"]), "Object" | "External")) {
        let why = "must specify at least one Object or External metric to support scaling to zero replicas";
        out.push(FieldError::forbidden("spec.metrics", why));
    }
    for side in ["scaleUp", "scaleDown"] {
        behavior(&spec["behavior"][side], &format!("spec.behavior.{side}."), &mut out);
    }
    out
}

const SOURCES: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

fn metric(metric: &Value, path: &str, out: &mut Vec<FieldError>) {
    let kind = text(metric, &["type"]);
    if kind.is_empty() {
        out.push(FieldError::required(format!("{path}.type"), "must specify a metric source type"));
        return;
    }
    let Some((_, field)) = SOURCES.iter().find(|(known, _)| *known == kind) else {
        let known = SOURCES.map(|(known, _)| known);
        // Two checks of the original find it.
        let fault = FieldError::not_supported(format!("{path}.type"), kind, &known);
        out.extend([fault.clone(), fault]);
        return;
    };
    let source = &metric[*field];
    if !source.is_object() {
        let why = "must populate information for the given metric source";
        out.push(FieldError::required(format!("{path}.{field}"), why));
        return;
    }
    let place = format!("{path}.{field}");
    if matches!(kind, "Resource" | "ContainerResource") && text(source, &["name"]).is_empty() {
        out.push(FieldError::required(format!("{place}.name"), "must specify a resource name"));
    }
    target(&source["target"], kind, &format!("{place}.target"), out);
}

fn target(own: &Value, kind: &str, path: &str, out: &mut Vec<FieldError>) {
    let percent = own["averageUtilization"].as_i64();
    if percent.is_some_and(|percent| percent < 1) {
        out.push(FieldError::invalid(format!("{path}.averageUtilization"), percent, "must be greater than 0"));
    }
    for amount in ["value", "averageValue"] {
        if own.get(amount).is_some() && Quantity::lenient(own.get(amount)).sign() <= 0 {
            let field = format!("{path}.{amount}");
            out.push(FieldError::invalid(field, own[amount].clone(), "must be positive"));
        }
    }
    let absent = |amount: &str| own[amount].is_null();
    match kind {
        "Resource" | "ContainerResource" if absent("averageUtilization") && absent("averageValue") => {
            let why = "must set either a target raw value or a target utilization";
            out.push(FieldError::required(format!("{path}.averageUtilization"), why));
        }
        "External" | "Object" if absent("value") && absent("averageValue") => {
            let why = "must set either a target value for metric or a per-pod target";
            out.push(FieldError::required(format!("{path}.averageValue"), why));
        }
        "Pods" if absent("averageValue") => {
            out.push(FieldError::required(
                format!("{path}.averageValue"),
                "must specify a positive target averageValue",
            ));
        }
        _ => {}
    }
}

fn behavior(rules: &Value, path: &str, out: &mut Vec<FieldError>) {
    if !rules.is_object() {
        return;
    }
    let words = "must be greater than or equal to zero";
    out.extend(at_least(rules, "stabilizationWindowSeconds", path, 0, words));
    if rules["stabilizationWindowSeconds"].as_i64().is_some_and(|seconds| seconds > 3600) {
        let own = rules["stabilizationWindowSeconds"].clone();
        let field = format!("{path}stabilizationWindowSeconds");
        out.push(FieldError::invalid(field, own, "must be less than or equal to 3600"));
    }
    out.extend(super::one_of(rules, "selectPolicy", path, &["Disabled", "Max", "Min"]));
    if items(rules, "policies").is_empty() {
        out.push(FieldError::required(format!("{path}policies"), "must specify at least one Policy"));
    }
    for (index, policy) in items(rules, "policies").iter().enumerate() {
        let place = format!("{path}policies[{index}].");
        out.extend(super::one_of(policy, "type", &place, &["Percent", "Pods"]));
        for field in ["value", "periodSeconds"] {
            let own = policy[field].as_i64().unwrap_or(0);
            if own <= 0 {
                out.push(FieldError::invalid(format!("{place}{field}"), own, "must be greater than zero"));
            } else if field == "periodSeconds" && own > 1800 {
                out.push(FieldError::invalid(format!("{place}{field}"), own, "must be less than or equal to 1800"));
            }
        }
    }
}
