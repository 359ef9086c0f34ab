//! Binding a pod to a node: what the scheduler's `pods/binding` does.

use serde_json::{Value, json};

use super::{Cluster, text, write::WriteContext};
use crate::{
    registry::builtin::gr,
    status::{Result, Status},
    store::ObjectRef,
};

impl Cluster {
    /// Puts a pod on a node and sets its PodScheduled condition.
    ///
    /// # Errors
    /// 404, or 409 when the pod is bound already or going away.
    pub fn bind(&self, namespace: &str, name: &str, node: &str) -> Result<ObjectRef> {
        let _guard = self.lock();
        let mut value = self.get(&gr::PODS, namespace, name)?.value().clone();
        let conflict = |why: String| Err(Status::conflict("", "pods/binding", name, &why));
        let bound = text(&value, &["spec", "nodeName"]);
        if !bound.is_empty() {
            return conflict(format!("pod {name} is already assigned to node \"{bound}\""));
        }
        if !value["metadata"]["deletionTimestamp"].is_null() {
            return conflict(format!("pod {name} is being deleted, cannot be assigned to a host"));
        }
        value["spec"]["nodeName"] = json!(node);
        let resource = self.resource(&gr::PODS)?;
        let cx = WriteContext { resource: &resource, version: "v1", subresource: Some("binding"), managed: false };
        self.update_with(cx, namespace, name, value)?;
        let generation = self.get(&gr::PODS, namespace, name)?["metadata"]["generation"].clone();
        let now = self.time();
        self.modify_status(&gr::PODS, namespace, name, |pod| {
            let mut conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
            conditions.retain(|condition| text(condition, &["type"]) != "PodScheduled");
            conditions.push(json!({
                "type": "PodScheduled",
                "observedGeneration": generation,
                "status": "True",
                "lastProbeTime": Value::Null,
                "lastTransitionTime": now,
            }));
            pod["status"]["conditions"] = Value::Array(conditions);
        })
    }
}
