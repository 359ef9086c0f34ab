//! Keeps `status.used` of ResourceQuotas true (`pkg/controller/resourcequota`). Admission charges; this
//! controller gives back what went away.

use serde_json::json;

use super::{
    engine::{Context, Controller, Key, Outcome},
    fields::Fields,
    pods::is_finished,
};
use crate::{
    admission::quota::{recount, tidy},
    registry::builtin::gr,
    store::{Event, EventKind},
};

/// The controller.
pub struct Quotas;

impl Controller for Quotas {
    fn name(&self) -> &'static str {
        "resourcequota-controller"
    }

    fn observe(&mut self, event: &Event, cx: &Context<'_>, wake: &mut Vec<Key>) {
        if event.resource == gr::RESOURCE_QUOTAS {
            if event.previous.as_deref().is_none_or(|old| old.at("/spec") != event.object.at("/spec")) {
                wake.push(Key::of(event));
            }
            return;
        }
        // What is made is charged by admission; what ends or shrinks is given back here.
        let finished = event.resource == gr::PODS
            && is_finished(&event.object)
            && event.previous.as_deref().is_some_and(|old| !is_finished(old));
        let resized = [gr::SERVICES, gr::PERSISTENT_VOLUME_CLAIMS].contains(&event.resource)
            && event.previous.as_deref().is_some_and(|old| old.at("/spec") != event.object.at("/spec"));
        if !event.namespace.is_empty() && (event.kind == EventKind::Deleted || finished || resized) {
            for quota in cx.cluster.list(&gr::RESOURCE_QUOTAS, Some(&event.namespace)) {
                wake.push(Key::new(&event.namespace, quota.name()));
            }
        }
    }

    fn reconcile(&mut self, key: &Key, cx: &Context<'_>) -> Outcome {
        // Counting and writing are one, or a charge in between would be lost.
        let _guard = cx.cluster.lock();
        let Some(quota) = cx.cluster.find(&gr::RESOURCE_QUOTAS, &key.namespace, &key.name) else { return Ok(None) };
        let status = json!({"hard": quota.at("/spec/hard"), "used": tidy(&recount(cx.cluster, &quota))});
        if *quota.at("/status") != status {
            cx.cluster
                .modify_status(&gr::RESOURCE_QUOTAS, &key.namespace, &key.name, |value| value["status"] = status)?;
        }
        Ok(None)
    }
}
