//! Roles (`pkg/apis/rbac/validation`).

use serde_json::{Value, json};

use super::items;
use crate::{status::FieldError, strategy::workload::label_selector};

/// Faults of a role or cluster role.
pub fn role(value: &Value, namespaced: bool) -> Vec<FieldError> {
    let mut out = Vec::new();
    for (index, own) in items(value, "rules").iter().enumerate() {
        rule(own, namespaced, &format!("rules[{index}]"), &mut out);
    }
    if value["aggregationRule"].is_object() {
        let selectors = items(&value["aggregationRule"], "clusterRoleSelectors");
        let path = "aggregationRule.clusterRoleSelectors";
        if selectors.is_empty() {
            let why = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            out.push(FieldError::required(path, why));
        }
        for (index, own) in selectors.iter().enumerate() {
            let place = format!("{path}[{index}]");
            let faults = label_selector(own, &place);
            let bad = !faults.is_empty();
            out.extend(faults);
            if bad {
                out.push(FieldError::invalid(place, Value::Null, "invalid label selector."));
            }
        }
    }
    out
}

fn rule(own: &Value, namespaced: bool, path: &str, out: &mut Vec<FieldError>) {
    let none = |field: &str| items(own, field).is_empty();
    if none("verbs") {
        out.push(FieldError::required(format!("{path}.verbs"), "verbs must contain at least one value"));
    }
    if !none("nonResourceURLs") {
        let field = format!("{path}.nonResourceURLs");
        let urls = json!(own["nonResourceURLs"]);
        if namespaced {
            let why = "namespaced rules cannot apply to non-resource URLs";
            out.push(FieldError::invalid(&field, urls.clone(), why));
        }
        if !(none("apiGroups") && none("resources") && none("resourceNames")) {
            let why = "rules cannot apply to both regular resources and non-resource URLs";
            out.push(FieldError::invalid(&field, urls, why));
        }
        return;
    }
    for (field, noun) in [("apiGroups", "api group"), ("resources", "resource")] {
        if none(field) {
            let why = format!("resource rules must supply at least one {noun}");
            out.push(FieldError::required(format!("{path}.{field}"), why));
        }
    }
}
