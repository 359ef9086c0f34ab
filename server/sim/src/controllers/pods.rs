//! What controllers need to know of pods, and how they make and unmake them
//! (`pkg/controller/controller_utils.go`, `pkg/api/v1/pod/util.go`).

use std::{cmp::Ordering, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    engine::Context,
    fields::{Fields, controller_reference, object_mut, set},
};
use crate::{
    cluster::DeleteOptions,
    registry::builtin::gr,
    status::{Result, Status},
    store::ObjectRef,
};

/// Neither finished nor on its way out.
#[must_use]
pub fn is_active(pod: &Value) -> bool {
    !is_finished(pod) && !pod.deleting()
}

/// Succeeded or Failed.
#[must_use]
pub fn is_finished(pod: &Value) -> bool {
    matches!(pod.text("/status/phase"), "Succeeded" | "Failed")
}

/// Whether the Ready condition is true.
#[must_use]
pub fn is_ready(pod: &Value) -> bool {
    pod.condition_is_true("Ready")
}

/// When the pod became ready, if it is.
#[must_use]
pub fn ready_since(pod: &Value) -> Option<Timestamp> {
    pod.condition("Ready").filter(|ready| ready.text("/status") == "True")?.time("/lastTransitionTime")
}

/// Whether the pod has been ready for `min_ready_seconds`.
#[must_use]
pub fn is_available(pod: &Value, min_ready_seconds: i64, now: Timestamp) -> bool {
    is_ready(pod) && (min_ready_seconds == 0 || available_at(pod, min_ready_seconds).is_some_and(|at| at <= now))
}

/// When a ready pod counts as available.
#[must_use]
pub fn available_at(pod: &Value, min_ready_seconds: i64) -> Option<Timestamp> {
    ready_since(pod)?.checked_add(Duration::from_secs(min_ready_seconds.unsigned_abs())).ok()
}

/// The sum of the restarts of a pod's containers; restartable init containers count.
#[must_use]
pub fn restarts(pod: &Value) -> i64 {
    ["/status/containerStatuses", "/status/initContainerStatuses"]
        .iter()
        .flat_map(|list| pod.items(list))
        .filter_map(|status| status.int("/restartCount"))
        .max()
        .unwrap_or_default()
}

/// Which of two pods a scale-down removes first (`ActivePodsWithRanks`): unassigned, then pending, not
/// ready, cheaper to delete, on a crowded node, ready for a shorter time, restarted more, younger.
#[must_use]
pub fn compare_for_deletion(a: (&Value, usize), b: (&Value, usize), now: Timestamp) -> Ordering {
    let ((a, rank_a), (b, rank_b)) = (a, b);
    let unassigned = |pod: &Value| pod.text("/spec/nodeName").is_empty();
    let phase = |pod: &Value| match pod.text("/status/phase") {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    };
    let cost = |pod: &Value| {
        pod.annotation("controller.kubernetes.io/pod-deletion-cost")
            .and_then(|cost| cost.parse::<i32>().ok())
            .unwrap_or_default()
    };
    // Times are compared on a logarithmic scale, so that pods of about one age are chosen at random by uid.
    let age_rank = |at: Option<Timestamp>| {
        let seconds = at.map_or(0, |at| now.duration_since(at).as_secs().max(0));
        if seconds == 0 { 0 } else { i64::from(seconds.ilog2()) + 1 }
    };
    unassigned(b)
        .cmp(&unassigned(a))
        .then_with(|| phase(a).cmp(&phase(b)))
        .then_with(|| is_ready(a).cmp(&is_ready(b)))
        .then_with(|| cost(a).cmp(&cost(b)))
        .then_with(|| rank_b.cmp(&rank_a))
        .then_with(|| {
            if is_ready(a) && is_ready(b) {
                age_rank(ready_since(a)).cmp(&age_rank(ready_since(b)))
            } else {
                Ordering::Equal
            }
        })
        .then_with(|| restarts(b).cmp(&restarts(a)))
        .then_with(|| age_rank(a.created()).cmp(&age_rank(b.created())))
        .then_with(|| a.uid().cmp(b.uid()))
}

/// The pod that a template and its owner ask for, without a name.
#[must_use]
pub fn from_template(template: &Value, api_version: &str, kind: &str, owner: &Value) -> Value {
    let mut pod = json!({
        "metadata": {
            "generateName": format!("{}-", owner.name()),
            "namespace": owner.namespace(),
            "ownerReferences": [controller_reference(api_version, kind, owner)],
        },
        "spec": template["spec"].clone(),
    });
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template.at("/metadata").get(field) {
            pod["metadata"][field] = value.clone();
        }
    }
    pod
}

/// Creates a pod and says so with events on its owner.
///
/// # Errors
/// What the API refused, after the FailedCreate event.
pub fn create(cx: &Context<'_>, pod: Value, owner: &Value, component: &str) -> Result<ObjectRef> {
    match cx.cluster.create(&gr::PODS, owner.namespace(), pod) {
        Ok(pod) => {
            cx.recorder.event(owner, "Normal", "SuccessfulCreate", &format!("Created pod: {}", pod.name()), component);
            Ok(pod)
        }
        Err(status) => {
            if !namespace_is_terminating(&status) {
                cx.recorder.event(owner, "Warning", "FailedCreate", &format!("Error creating: {status}"), component);
            }
            Err(status)
        }
    }
}

/// Deletes a pod and says so with events on its owner.
///
/// # Errors
/// What the API refused; a pod that is gone already is no error.
pub fn delete(cx: &Context<'_>, pod: &Value, owner: &Value, component: &str) -> Result<()> {
    match cx.cluster.delete(&gr::PODS, pod.namespace(), pod.name(), &DeleteOptions::default()) {
        Ok(_) => {
            cx.recorder.event(owner, "Normal", "SuccessfulDelete", &format!("Deleted pod: {}", pod.name()), component);
            Ok(())
        }
        Err(status) if status.is_not_found() => Ok(()),
        Err(status) => {
            cx.recorder.event(owner, "Warning", "FailedDelete", &format!("Error deleting: {status}"), component);
            Err(status)
        }
    }
}

/// Whether a create was refused because its namespace goes away.
#[must_use]
pub fn namespace_is_terminating(status: &Status) -> bool {
    status
        .details
        .as_ref()
        .is_some_and(|details| details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating"))
}

/// The pods that `owner` controls. Orphans that its selector matches are adopted, pods whose labels no
/// longer match are released, as `PodControllerRefManager` does.
///
/// # Errors
/// What the API refused.
pub fn claim(cx: &Context<'_>, owner: &Value, api_version: &str, kind: &str) -> Result<Vec<ObjectRef>> {
    let selector = owner.at("/spec/selector");
    let mut claimed = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for at in cx.index.dependents_of(owner.uid(), &gr::PODS) {
        let Some(pod) = cx.cluster.find(&gr::PODS, &at.namespace, &at.name) else { continue };
        if !pod.controlled_by(owner.uid()) {
            continue;
        }
        if super::selector::matches(selector, pod.at("/metadata/labels")) {
            seen.insert(pod.uid().to_owned());
            claimed.push(pod);
        } else if !owner.deleting() && !pod.deleting() {
            release(cx, &pod, owner.uid())?;
        }
    }
    if !owner.deleting() {
        for at in cx.index.orphan_pods(owner.namespace()) {
            let Some(pod) = cx.cluster.find(&gr::PODS, owner.namespace(), at) else { continue };
            if pod.controller().is_some()
                || pod.deleting()
                || is_finished(&pod)
                || seen.contains(pod.uid())
                || !super::selector::matches(selector, pod.at("/metadata/labels"))
            {
                continue;
            }
            let reference = controller_reference(api_version, kind, owner);
            let adopted = cx.cluster.modify(&gr::PODS, pod.namespace(), pod.name(), |pod| {
                match object_mut(pod, &["metadata"]).entry("ownerReferences").or_insert_with(|| json!([])) {
                    Value::Array(list) => list.push(reference),
                    other => *other = json!([reference]),
                }
            })?;
            claimed.push(adopted);
        }
    }
    Ok(claimed)
}

fn release(cx: &Context<'_>, pod: &Value, owner: &str) -> Result<()> {
    let kept: Vec<Value> = pod
        .items("/metadata/ownerReferences")
        .iter()
        .filter(|reference| reference.text("/uid") != owner)
        .cloned()
        .collect();
    match cx
        .cluster
        .modify(&gr::PODS, pod.namespace(), pod.name(), |pod| set(pod, &["metadata", "ownerReferences"], kept))
    {
        Err(status) if !status.is_not_found() => Err(status),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn pod(name: &str, node: &str, phase: &str, ready_at: Option<&str>, restarts: i64) -> Value {
        let mut pod = json!({
            "metadata": {"name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": node},
            "status": {"phase": phase, "containerStatuses": [{"restartCount": restarts}]},
        });
        if let Some(at) = ready_at {
            pod["status"]["conditions"] = json!([{"type": "Ready", "status": "True", "lastTransitionTime": at}]);
        }
        pod
    }

    #[test]
    fn the_least_useful_pod_goes_first() {
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        let mut dear = pod("dear", "n1", "Running", Some("2026-01-01T00:00:00Z"), 0);
        dear["metadata"]["annotations"] = json!({"controller.kubernetes.io/pod-deletion-cost": "100"});
        let mut pods = [
            (dear, 0),
            (pod("old", "n1", "Running", Some("2026-01-01T00:00:00Z"), 0), 0),
            (pod("restarted", "n1", "Running", Some("2026-01-01T00:00:00Z"), 3), 0),
            (pod("young", "n1", "Running", Some("2026-01-01T23:59:00Z"), 0), 0),
            (pod("crowded", "n1", "Running", Some("2026-01-01T00:00:00Z"), 0), 2),
            (pod("unready", "n1", "Running", None, 0), 0),
            (pod("pending", "n1", "Pending", None, 0), 0),
            (pod("unassigned", "", "Pending", None, 0), 0),
        ];
        pods.sort_by(|a, b| compare_for_deletion((&a.0, a.1), (&b.0, b.1), now));
        let order: Vec<_> = pods.iter().map(|(pod, _)| pod.name()).collect();
        assert_eq!(order, ["unassigned", "pending", "unready", "crowded", "young", "restarted", "old", "dear"]);
    }

    #[test]
    fn availability_waits_for_min_ready_seconds() {
        let pod = pod("p", "n", "Running", Some("2026-01-01T00:00:00Z"), 0);
        let at = |text: &str| text.parse().unwrap();
        assert!(is_available(&pod, 0, at("2026-01-01T00:00:00Z")));
        assert!(!is_available(&pod, 10, at("2026-01-01T00:00:09Z")));
        assert!(is_available(&pod, 10, at("2026-01-01T00:00:10Z")));
    }
}
