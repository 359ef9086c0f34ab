//! What differs from kind to kind: defaults, what a write may set, validation.

use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, Propagation},
    registry::{ResourceType, builtin::gr},
    status::{FieldError, Result},
};

/// Fills in what the user left out, as decoding does in a real API server.
pub fn default(_resource: &ResourceType, _value: &mut Value) {}

/// Whether an update must name the version it replaces (`AllowUnconditionalUpdate` is false).
#[must_use]
pub fn needs_resource_version(resource: &ResourceType) -> bool {
    resource.custom || [gr::LEASES, gr::CUSTOM_RESOURCE_DEFINITIONS].contains(&resource.id)
}

/// What happens to dependents when a delete does not say.
#[must_use]
pub fn default_propagation(resource: &ResourceType) -> Propagation {
    if [gr::JOBS, gr::REPLICATION_CONTROLLERS].contains(&resource.id) {
        return Propagation::Orphan;
    }
    Propagation::Background
}

/// Whether `metadata.generation` counts the changes of this resource's spec.
fn has_generation(resource: &ResourceType) -> bool {
    resource.custom
        || [
            gr::DEPLOYMENTS,
            gr::REPLICA_SETS,
            gr::STATEFUL_SETS,
            gr::DAEMON_SETS,
            gr::JOBS,
            gr::CRON_JOBS,
            gr::INGRESSES,
            gr::INGRESS_CLASSES,
            gr::NETWORK_POLICIES,
            gr::POD_DISRUPTION_BUDGETS,
            gr::REPLICATION_CONTROLLERS,
            gr::CUSTOM_RESOURCE_DEFINITIONS,
            gr::PRIORITY_CLASSES,
            gr::ENDPOINT_SLICES,
            gr::PODS,
        ]
        .contains(&resource.id)
}

fn has_status(resource: &ResourceType) -> bool {
    resource.has_subresource("status")
}

/// Sets what only the server may set on a new object.
///
/// # Errors
/// 422 when something cannot be allocated.
pub fn prepare_create(_cluster: &Cluster, resource: &ResourceType, value: &mut Value) -> Result<()> {
    if has_generation(resource) {
        value["metadata"]["generation"] = json!(1);
    }
    if resource.id == gr::NAMESPACES {
        value["spec"]["finalizers"] = json!(["kubernetes"]);
        value["status"] = json!({"phase": "Active"});
    } else if resource.id == gr::PODS {
        value["status"] = json!({"phase": "Pending", "qosClass": "BestEffort"});
    } else if has_status(resource)
        && let Some(object) = value.as_object_mut()
    {
        object.shift_remove("status");
    }
    Ok(())
}

/// Keeps what this request may not change, and counts generations.
///
/// # Errors
/// 422 when something cannot be allocated.
pub fn prepare_update(
    _cluster: &Cluster,
    resource: &ResourceType,
    subresource: Option<&str>,
    value: &mut Value,
    current: &Value,
) -> Result<()> {
    if subresource == Some("status") {
        let mut kept = current.clone();
        kept["metadata"]["managedFields"] = value["metadata"]["managedFields"].clone();
        match value.get("status") {
            Some(status) => kept["status"] = status.clone(),
            None => {
                if let Some(object) = kept.as_object_mut() {
                    object.shift_remove("status");
                }
            }
        }
        *value = kept;
        return Ok(());
    }
    if has_status(resource)
        && let Some(object) = value.as_object_mut()
    {
        match current.get("status") {
            Some(status) => object.insert("status".into(), status.clone()),
            None => object.shift_remove("status"),
        };
    }
    if has_generation(resource) && changed(resource, value, current) {
        let generation = current["metadata"]["generation"].as_i64().unwrap_or(0);
        value["metadata"]["generation"] = json!(generation + 1);
    }
    Ok(())
}

fn changed(resource: &ResourceType, value: &Value, current: &Value) -> bool {
    if !resource.custom {
        return value.get("spec") != current.get("spec");
    }
    let rest = |value: &Value| {
        let mut value = value.clone();
        if let Some(object) = value.as_object_mut() {
            object.shift_remove("metadata");
            if has_status(resource) {
                object.shift_remove("status");
            }
        }
        value
    };
    rest(value) != rest(current)
}

/// Faults of a new object.
#[must_use]
pub fn validate_create(_cluster: &Cluster, _resource: &ResourceType, value: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if value["metadata"]["name"].as_str().unwrap_or_default().is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    }
    errors
}

/// Faults of a change.
#[must_use]
pub fn validate_update(
    _cluster: &Cluster,
    _resource: &ResourceType,
    _subresource: Option<&str>,
    _value: &Value,
    _current: &Value,
) -> Vec<FieldError> {
    Vec::new()
}

/// What follows at once from a write that has happened, e.g. a CustomResourceDefinition being served.
pub fn after_write(_cluster: &Cluster, _resource: &ResourceType, _now: Option<&Value>, _before: Option<&Value>) {}
