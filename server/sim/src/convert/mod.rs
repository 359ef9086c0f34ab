//! Between the version in which an object is stored and the one in which it is asked for.

mod autoscaling;

use serde_json::Value;

use crate::{
    registry::{ResourceType, api_version, builtin::gr},
    store::GroupResource,
};

static CORE_EVENTS: GroupResource = gr::EVENTS;

/// Where the objects of a resource are kept: `events.k8s.io` events are core events.
#[must_use]
pub fn stored_as(id: &GroupResource) -> &GroupResource {
    if id.group == "events.k8s.io" { &CORE_EVENTS } else { id }
}

/// Whether a version of a resource has fields of its own; all others share one shape.
#[must_use]
pub fn reshapes(resource: &ResourceType, version: &str) -> bool {
    resource.id == gr::HORIZONTAL_POD_AUTOSCALERS && version == "v1"
}

/// The object in `version`, or `None` when it is stored so already.
#[must_use]
pub fn to_version(resource: &ResourceType, version: &str, object: &Value) -> Option<Value> {
    let wanted = api_version(&resource.id.group, version);
    if object["apiVersion"] == wanted.as_str() {
        return None;
    }
    let mut out = object.clone();
    out["apiVersion"] = wanted.into();
    if reshapes(resource, version) {
        autoscaling::to_v1(&mut out);
    }
    Some(out)
}

/// The object as it is stored, from `version`.
#[must_use]
pub fn from_version(resource: &ResourceType, version: &str, mut object: Value) -> Value {
    object["apiVersion"] = resource.api_version().into();
    if reshapes(resource, version) {
        autoscaling::from_v1(&mut object);
    }
    object
}
