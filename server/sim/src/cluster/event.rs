//! Recording events, as client-go's recorder does: repeated ones are counted, not repeated.

use serde_json::{Value, json};

use super::{Cluster, text};
use crate::registry::builtin::gr;

impl Cluster {
    /// Records that something happened to `about`. `kind` is `Normal` or `Warning`, `component` who says so.
    /// A failure to record is not an error of whoever records.
    pub fn event(&self, about: &Value, kind: &str, reason: &str, message: &str, component: &str) {
        let namespace = match text(about, &["metadata", "namespace"]) {
            "" => "default",
            namespace => namespace,
        };
        let uid = text(about, &["metadata", "uid"]);
        let _guard = self.lock();
        let seen = self.list(&gr::EVENTS, Some(namespace)).into_iter().find(|event| {
            text(event, &["involvedObject", "uid"]) == uid
                && text(event, &["reason"]) == reason
                && text(event, &["type"]) == kind
                && text(event, &["message"]) == message
                && text(event, &["source", "component"]) == component
                && text(event, &["involvedObject", "name"]) == text(about, &["metadata", "name"])
        });
        let now = self.time();
        let recorder = self.component(component);
        let outcome = if let Some(event) = seen {
            let name = text(&event, &["metadata", "name"]).to_owned();
            let count = event["count"].as_i64().unwrap_or(1) + 1;
            recorder.patch(&gr::EVENTS, namespace, &name, &json!({"count": count, "lastTimestamp": now}))
        } else {
            let name = text(about, &["metadata", "name"]);
            let unique = self.clock.now().as_nanosecond();
            recorder.create(
                &gr::EVENTS,
                namespace,
                json!({
                    "metadata": {"name": format!("{name}.{:x}{:04x}", unique, self.store.revision() & 0xffff)},
                    "involvedObject": {
                        "kind": about["kind"],
                        "namespace": text(about, &["metadata", "namespace"]),
                        "name": name,
                        "uid": uid,
                        "apiVersion": about["apiVersion"],
                        "resourceVersion": about["metadata"]["resourceVersion"],
                    },
                    "reason": reason,
                    "message": message,
                    "source": {"component": component},
                    "firstTimestamp": now,
                    "lastTimestamp": now,
                    "count": 1,
                    "type": kind,
                    "eventTime": null,
                    "reportingComponent": component,
                    "reportingInstance": "",
                }),
            )
        };
        if let Err(status) = outcome {
            tracing::debug!(%status, reason, "event not recorded");
        }
    }
}
