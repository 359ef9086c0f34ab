//! Validation of what is no workload: access, limits, storage, networks, definitions.

mod access;
mod autoscaling;
mod definition;
pub mod limits;
mod network;
pub mod pod;
mod storage;

use serde_json::{Value, json};

use super::meta::{qualified_name_faults, unknown_finalizer};
use crate::{cluster::text, registry::ResourceType, status::FieldError};

pub use autoscaling::autoscaler;
pub use network::{CIDR, backend, cidr};

/// Faults of a new object of a kind that this module knows.
pub fn validate(resource: &ResourceType, value: &Value) -> Vec<FieldError> {
    let spec = &value["spec"];
    match (resource.id.group.as_ref(), resource.id.resource.as_ref()) {
        ("", "resourcequotas") => limits::quota(spec),
        ("", "limitranges") => limits::limit_range(spec),
        ("", "persistentvolumes") => storage::volume(spec),
        ("", "namespaces") => namespace(value),
        ("", "events") => event(value),
        ("storage.k8s.io", "storageclasses") => storage::class(value),
        ("scheduling.k8s.io", "priorityclasses") => priority_class(value),
        ("coordination.k8s.io", "leases") => lease(spec),
        ("networking.k8s.io", "networkpolicies") => network::policy(spec),
        ("networking.k8s.io", "ingressclasses") => ingress_class(spec),
        ("rbac.authorization.k8s.io", "roles") => access::role(value, true),
        ("rbac.authorization.k8s.io", "clusterroles") => access::role(value, false),
        ("apiextensions.k8s.io", _) => definition::definition(value),
        _ => Vec::new(),
    }
}

/// What is accepted with a warning, as kubectl shows it.
#[must_use]
pub fn warnings(resource: &ResourceType, value: &Value) -> Vec<String> {
    let mut out = Vec::new();
    let (group, plural) = (resource.id.group.as_ref(), resource.id.resource.as_ref());
    let names_pods = matches!((group, plural), ("apps", "deployments" | "replicasets") | ("batch", "jobs"));
    if names_pods && text(value, &["metadata", "name"]).contains('.') {
        out.push("metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]".to_owned());
    }
    match (group, plural) {
        ("", "pods") => out.extend(pod::warnings(&value["spec"], "spec")),
        ("apps", _) | ("batch", "jobs") => {
            out.extend(pod::warnings(&value["spec"]["template"]["spec"], "spec.template.spec"))
        }
        _ => {}
    }
    out
}

/// The list of a field, empty when there is none.
fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// An enumerated field that must be one of `known` when it is set.
pub fn one_of(value: &Value, field: &str, path: &str, known: &[&str]) -> Option<FieldError> {
    let own = value[field].as_str()?;
    (!known.contains(&own)).then(|| FieldError::not_supported(format!("{path}{field}"), own, known))
}

/// A number that must not be below `least`.
fn at_least(value: &Value, field: &str, path: &str, least: i64, words: &str) -> Option<FieldError> {
    let own = value[field].as_i64().filter(|own| *own < least)?;
    Some(FieldError::invalid(format!("{path}{field}"), own, words))
}

fn finalizer_faults(name: &str) -> Vec<String> {
    let mut out = qualified_name_faults(name);
    if out.is_empty() {
        out.extend(unknown_finalizer(name).map(str::to_owned));
    }
    out
}

fn namespace(value: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    for own in items(&value["spec"], "finalizers").iter().filter_map(Value::as_str) {
        out.extend(finalizer_faults(own).into_iter().map(|why| FieldError::invalid("spec.finalizers", own, why)));
    }
    // Admission (PodSecurity) words this one.
    for mode in ["enforce", "audit", "warn"] {
        let label = format!("pod-security.kubernetes.io/{mode}");
        if let Some(level) = value["metadata"]["labels"][&label].as_str()
            && !matches!(level, "privileged" | "baseline" | "restricted")
        {
            let why = "must be one of privileged, baseline, restricted";
            out.push(FieldError::invalid(format!("metadata.labels[{label}]"), level, why));
        }
    }
    out
}

fn event(value: &Value) -> Vec<FieldError> {
    let (own, about) = (text(value, &["metadata", "namespace"]), text(value, &["involvedObject", "namespace"]));
    let fine = own == about || (about.is_empty() && own == "default");
    if fine {
        return Vec::new();
    }
    vec![FieldError::invalid("involvedObject.namespace", about, "does not match event.namespace")]
}

fn priority_class(value: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    let name = text(value, &["metadata", "name"]);
    if name.starts_with("system-") {
        if !matches!(name, "system-node-critical" | "system-cluster-critical") {
            let why = format!(
                "priority class names with 'system-' prefix are reserved for system use only. error: {name} is not a known system priority class"
            );
            out.push(FieldError::forbidden("metadata.name", why));
        }
    } else if value["value"].as_i64().is_some_and(|own| own > 1_000_000_000) {
        let why = "maximum allowed value of a user defined priority is 1000000000";
        out.push(FieldError::forbidden("value", why));
    }
    out.extend(one_of(value, "preemptionPolicy", "", &["PreemptLowerPriority", "Never"]));
    out
}

fn lease(spec: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    out.extend(at_least(spec, "leaseDurationSeconds", "spec.", 1, "must be greater than 0"));
    out.extend(at_least(spec, "leaseTransitions", "spec.", 0, "must be greater than or equal to 0"));
    out
}

fn ingress_class(spec: &Value) -> Vec<FieldError> {
    let controller = text(spec, &["controller"]);
    let fine = controller
        .split_once('/')
        .is_some_and(|(domain, path)| super::meta::subdomain_faults(domain).is_empty() && !path.is_empty());
    if controller.is_empty() || fine {
        return Vec::new();
    }
    let why = "must be a domain-prefixed path (such as \"acme.io/foo\")";
    vec![FieldError::invalid("spec.controller", json!(controller), why)]
}
