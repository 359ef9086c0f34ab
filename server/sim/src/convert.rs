//! Between the version in which an object is stored and the one in which it is asked for.

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

/// The object in `version`, or `None` when it is stored so already.
#[must_use]
pub fn to_version(resource: &ResourceType, version: &str, object: &Value) -> Option<Value> {
    let wanted = api_version(&resource.id.group, version);
    if object["apiVersion"] == wanted.as_str() {
        return None;
    }
    let mut out = object.clone();
    out["apiVersion"] = wanted.into();
    Some(out)
}

/// The object as it is stored, from `version`.
#[must_use]
pub fn from_version(resource: &ResourceType, _version: &str, mut object: Value) -> Value {
    object["apiVersion"] = resource.api_version().into();
    object
}
