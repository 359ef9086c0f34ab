//! What differs from kind to kind: defaults, what a write may set, validation.

mod custom;
mod data;
pub mod defaults;
pub mod meta;
mod network;
mod pod;
pub mod rules;
mod service;
mod workload;

use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, Propagation},
    crd,
    registry::{ResourceType, builtin::gr},
    status::{FieldError, Result},
};

/// Fills in what the user left out, as decoding does in a real API server.
pub fn default(resource: &ResourceType, value: &mut Value) {
    if resource.id == gr::CUSTOM_RESOURCE_DEFINITIONS {
        crd::default(value);
    } else if let Some(schema) = custom_schema(resource) {
        custom::default(value, schema);
    } else {
        defaults::apply(resource, value);
    }
}

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
pub fn prepare_create(cluster: &Cluster, resource: &ResourceType, value: &mut Value) -> Result<()> {
    if has_generation(resource) {
        value["metadata"]["generation"] = json!(1);
    }
    if resource.id == gr::NAMESPACES {
        let mut finalizers = value["spec"]["finalizers"].as_array().cloned().unwrap_or_default();
        if !finalizers.iter().any(|own| own == "kubernetes") {
            finalizers.push(json!("kubernetes"));
        }
        value["spec"]["finalizers"] = json!(finalizers);
        value["status"] = json!({"phase": "Active"});
    } else if resource.id == gr::PODS {
        value["status"] = json!({"phase": "Pending", "qosClass": qos_class(&value["spec"])});
        if value["spec"]["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0) {
            value["spec"]["terminationGracePeriodSeconds"] = json!(1);
        }
        if value["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
            value["status"]["conditions"] = json!([{
                "type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "lastProbeTime": null,
                "lastTransitionTime": cluster.time(),
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            }]);
        }
    } else if resource.id == gr::PERSISTENT_VOLUMES {
        value["status"] = json!({"phase": "Pending", "lastPhaseTransitionTime": cluster.time()});
    } else if resource.id == gr::PERSISTENT_VOLUME_CLAIMS {
        defaults::data_source(&mut value["spec"]);
        value["status"] = json!({"phase": "Pending"});
    } else if resource.id == gr::CUSTOM_RESOURCE_DEFINITIONS {
        crd::prepare_create(value);
    } else if resource.id == gr::SERVICES {
        service::allocate(cluster, value, None)?;
        value["status"] = json!({"loadBalancer": {}});
    } else if resource.id == gr::EVENTS
        && let Some(object) = value.as_object_mut()
    {
        // Go leaves none of these out.
        for field in ["eventTime", "firstTimestamp", "lastTimestamp"] {
            object.entry(field).or_insert(Value::Null);
        }
        for field in ["reportingComponent", "reportingInstance"] {
            object.entry(field).or_insert(json!(""));
        }
    } else if has_status(resource)
        && let Some(object) = value.as_object_mut()
    {
        object.shift_remove("status");
        if !resource.custom {
            fill_status(resource, object);
        }
        // Go writes it even when it is empty, and nobody has set it.
        if resource.id == gr::STATEFUL_SETS && object["spec"]["serviceName"].is_null() {
            object["spec"]["serviceName"] = json!("");
        }
    }
    Ok(())
}

/// An empty status is written by Go where the kind's status is a struct.
fn fill_status(resource: &ResourceType, object: &mut serde_json::Map<String, Value>) {
    let status = match (resource.id.group.as_ref(), resource.id.resource.as_ref()) {
        ("apps", "replicasets") | ("", "replicationcontrollers") => json!({"replicas": 0}),
        ("apps", "statefulsets") => json!({"replicas": 0, "availableReplicas": 0}),
        ("apps", "daemonsets") => {
            json!({"currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0})
        }
        ("autoscaling", _) => json!({"currentMetrics": null, "desiredReplicas": 0}),
        ("policy", _) => {
            json!({"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0})
        }
        ("networking.k8s.io", "ingresses") => json!({"loadBalancer": {}}),
        ("storage.k8s.io", _) => return,
        _ => json!({}),
    };
    object.insert("status".into(), status);
}

/// `Guaranteed`, `Burstable` or `BestEffort` (`pkg/apis/core/v1/helper/qos`).
#[must_use]
pub fn qos_class(spec: &Value) -> &'static str {
    use crate::quantity::Quantity;
    let mut any = false;
    let mut guaranteed = true;
    let containers = ["containers", "initContainers"];
    for container in containers.iter().filter_map(|list| spec[*list].as_array()).flatten() {
        for resource in ["cpu", "memory"] {
            let request = Quantity::lenient(container["resources"]["requests"].get(resource));
            let limit = Quantity::lenient(container["resources"]["limits"].get(resource));
            any |= !request.is_zero() || !limit.is_zero();
            guaranteed &= !limit.is_zero() && request.nanos() == limit.nanos();
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// Keeps what this request may not change, and counts generations.
///
/// # Errors
/// 422 when something cannot be allocated.
pub fn prepare_update(
    cluster: &Cluster,
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
    if resource.id == gr::SERVICES {
        service::allocate(cluster, value, Some(current))?;
    }
    if resource.id == gr::DAEMON_SETS {
        let name = defaults::TEMPLATE_GENERATION;
        let count = current["metadata"]["annotations"][name].as_str().and_then(|own| own.parse::<i64>().ok());
        let changed = value["spec"]["template"] != current["spec"]["template"];
        value["metadata"]["annotations"][name] = json!((count.unwrap_or(0) + i64::from(changed)).to_string());
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

/// The schema that a custom resource is stored under.
fn custom_schema(resource: &ResourceType) -> Option<&Value> {
    let version = resource.version(&resource.storage_version)?;
    version.custom.as_ref().map(|custom| &custom.schema)
}

/// Faults of a new object.
#[must_use]
pub fn validate_create(_cluster: &Cluster, resource: &ResourceType, value: &Value) -> Vec<FieldError> {
    let mut errors = meta::validate(resource, &value["metadata"]);
    match custom_schema(resource) {
        Some(schema) => {
            errors.extend(custom::validate(value, schema));
            errors.extend(custom::scale_faults(resource, value));
        }
        None => {
            if resource.id != gr::CUSTOM_RESOURCE_DEFINITIONS {
                errors.extend(meta::finalizer_faults(&value["metadata"]));
            }
            errors.extend(workload::validate(resource, value));
        }
    }
    errors
}

/// Faults of a change.
#[must_use]
pub fn validate_update(
    _cluster: &Cluster,
    resource: &ResourceType,
    subresource: Option<&str>,
    value: &Value,
    current: &Value,
) -> Vec<FieldError> {
    let mut errors = meta::validate_update(&value["metadata"], &current["metadata"]);
    if let Some(schema) = custom_schema(resource) {
        errors.extend(custom::validate(value, schema));
    } else if resource.id == gr::NAMESPACES && subresource == Some("status") {
        let (phase, going) = (&value["status"]["phase"], !value["metadata"]["deletionTimestamp"].is_null());
        if !going && *phase != "Active" {
            let why = "may only be 'Active' if `deletionTimestamp` is empty";
            errors.push(FieldError::invalid("status.Phase", phase.clone(), why));
        }
    } else if subresource.is_none() || subresource == Some("scale") {
        errors.extend(meta::immutable_faults(resource, value, current));
        errors.extend(workload::validate_update(resource, value, current));
    }
    errors
}

/// What follows at once from a write that has happened, e.g. a CustomResourceDefinition being served.
pub fn after_write(cluster: &Cluster, resource: &ResourceType, now: Option<&Value>, before: Option<&Value>) {
    if resource.id == gr::CUSTOM_RESOURCE_DEFINITIONS {
        crd::after_write(cluster, now, before);
    } else if resource.custom && now.is_none() {
        let name = format!("{}.{}", resource.id.resource, resource.id.group);
        crd::release_if_empty(&cluster.component("kube-apiserver"), &resource.id, &name);
    }
}

/// Whether a `metav1.LabelSelector` selects an object. An empty one selects everything, a missing one nothing.
#[must_use]
pub fn selector_matches(selector: &Value, object: &Value) -> bool {
    if selector.is_null() {
        return false;
    }
    let labels = &object["metadata"]["labels"];
    let own = |key: &str| labels.get(key).and_then(Value::as_str);
    let exact = selector["matchLabels"]
        .as_object()
        .is_none_or(|wanted| wanted.iter().all(|(key, value)| own(key) == value.as_str()));
    let expressions = selector["matchExpressions"].as_array().is_none_or(|list| {
        list.iter().all(|term| {
            let found = own(term["key"].as_str().unwrap_or_default());
            let listed = found
                .is_some_and(|found| term["values"].as_array().is_some_and(|values| values.iter().any(|v| v == found)));
            match term["operator"].as_str().unwrap_or_default() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
    });
    exact && expressions
}

/// A `metav1.LabelSelector`, or a plain map as Services have it, as text: `app=web,tier in (a,b)`.
#[must_use]
pub fn selector_text(selector: &Value) -> String {
    let Some(object) = selector.as_object() else {
        return String::new();
    };
    let structured = object.contains_key("matchLabels") || object.contains_key("matchExpressions");
    let mut terms: Vec<(String, String)> = Vec::new();
    let plain = if structured { selector["matchLabels"].as_object() } else { Some(object) };
    for (key, value) in plain.into_iter().flatten() {
        terms.push((key.clone(), format!("{key}={}", value.as_str().unwrap_or_default())));
    }
    for term in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = term["key"].as_str().unwrap_or_default();
        let mut values: Vec<_> = term["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let text = match term["operator"].as_str().unwrap_or_default() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        };
        terms.push((key.to_owned(), text));
    }
    terms.sort();
    terms.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(",")
}

/// Sets or adds the condition of the same type in `status.conditions`.
pub fn set_condition(status: &mut Value, condition: Value) {
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let Some(list) = status["conditions"].as_array_mut() else {
        return;
    };
    match list.iter_mut().find(|own| own["type"] == condition["type"]) {
        Some(own) => *own = condition,
        None => list.push(condition),
    }
}
