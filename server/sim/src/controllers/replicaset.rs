//! ReplicaSets (and ReplicationControllers): as many pods as asked for (`pkg/controller/replicaset`).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    engine::{Context, Controller, Key, Outcome},
    fields::{Fields, set},
    pods,
    selector::{matches, matches_map},
};
use crate::{
    clock::format_time,
    registry::builtin::gr,
    status::Status,
    store::{Event, ObjectRef},
};

/// At most so many pods are created or deleted in one go.
const BURST: usize = 500;

/// The controller.
#[derive(Default)]
pub struct ReplicaSets;

impl Controller for ReplicaSets {
    fn name(&self) -> &'static str {
        "replicaset-controller"
    }

    fn observe(&mut self, event: &Event, cx: &Context<'_>, wake: &mut Vec<Key>) {
        if event.resource == gr::REPLICA_SETS {
            wake.push(Key::of(event));
        } else if event.resource == gr::PODS {
            wake_owners_of_pod(event, cx, "ReplicaSet", &gr::REPLICA_SETS, wake);
        }
    }

    fn reconcile(&mut self, key: &Key, cx: &Context<'_>) -> Outcome {
        let Some(set) = cx.cluster.find(&gr::REPLICA_SETS, &key.namespace, &key.name) else { return Ok(None) };
        let claimed = pods::claim(cx, &set, "apps/v1", "ReplicaSet")?;
        let (active, rest): (Vec<_>, Vec<_>) = claimed.into_iter().partition(|pod| pods::is_active(pod));
        let terminating = rest.iter().filter(|pod| pod.deleting() && !pods::is_finished(pod)).count();
        let managed = if set.deleting() { Ok(()) } else { manage(cx, &set, &active) };

        let failure = managed.as_ref().err().filter(|status| !pods::namespace_is_terminating(status));
        let status = status_of(&set, &active, terminating, failure, cx.now);
        if status != *set.at("/status") {
            cx.cluster.modify_status(&gr::REPLICA_SETS, &key.namespace, &key.name, |value| value["status"] = status)?;
        }
        match managed {
            Err(status) if !pods::namespace_is_terminating(&status) => return Err(status),
            _ => {}
        }
        let min_ready = set.int("/spec/minReadySeconds").unwrap_or_default();
        Ok(next_availability(&active, min_ready, cx.now))
    }
}

/// When the next ready pod becomes available.
pub fn next_availability(active: &[ObjectRef], min_ready_seconds: i64, now: Timestamp) -> Option<Timestamp> {
    if min_ready_seconds == 0 {
        return None;
    }
    active.iter().filter_map(|pod| pods::available_at(pod, min_ready_seconds)).filter(|at| *at > now).min()
}

/// Wakes the owner of a changed pod, or, for an orphan, everyone whose selector matches it.
pub fn wake_owners_of_pod(
    event: &Event,
    cx: &Context<'_>,
    kind: &str,
    resource: &crate::store::GroupResource,
    wake: &mut Vec<Key>,
) {
    let mut owners = Vec::new();
    for state in [Some(&event.object), event.previous.as_ref()].into_iter().flatten() {
        if let Some(owner) = state.controller().filter(|owner| owner.text("/kind") == kind) {
            owners.push(owner.text("/name").to_owned());
        }
    }
    owners.dedup();
    if owners.is_empty() && event.object.controller().is_none() {
        let labels = event.object.at("/metadata/labels");
        let candidates: Vec<ObjectRef> = if *resource == gr::REPLICA_SETS {
            let names = cx.index.selecting(resource, &event.namespace, labels);
            names.filter_map(|name| cx.cluster.find(resource, &event.namespace, name)).collect()
        } else {
            cx.cluster.list(resource, Some(&event.namespace))
        };
        for candidate in candidates {
            if matches(candidate.at("/spec/selector"), event.object.at("/metadata/labels")) {
                wake.push(Key::new(&event.namespace, candidate.name()));
            }
        }
    }
    wake.extend(owners.iter().map(|owner| Key::new(&event.namespace, owner)));
}

fn manage(cx: &Context<'_>, set: &Value, active: &[ObjectRef]) -> Result<(), Status> {
    let wanted = usize::try_from(set.int("/spec/replicas").unwrap_or(1)).unwrap_or_default();
    if active.len() < wanted {
        for _ in 0..(wanted - active.len()).min(BURST) {
            let pod = pods::from_template(set.at("/spec/template"), "apps/v1", "ReplicaSet", set);
            match pods::create(cx, pod, set, "replicaset-controller") {
                Ok(_) => {}
                // Each further one would be refused in the same words: slow start stops here.
                Err(status) => return Err(status),
            }
        }
    } else if active.len() > wanted {
        let excess = (active.len() - wanted).min(BURST);
        for pod in to_delete(active, &crowding(cx, set, active), excess, cx.now) {
            pods::delete(cx, pod, set, "replicaset-controller")?;
        }
    }
    Ok(())
}

/// How many pods of the same Deployment run on each pod's node.
fn crowding(cx: &Context<'_>, set: &Value, active: &[ObjectRef]) -> Vec<usize> {
    let deployment = set.controller().map(|owner| owner.text("/uid").to_owned());
    active
        .iter()
        .map(|pod| {
            cx.index
                .pods_on(pod.text("/spec/nodeName"))
                .filter_map(|(namespace, name)| cx.cluster.find(&gr::PODS, namespace, name))
                .filter(|other| {
                    let Some(owner) = other.controller() else { return false };
                    let uid = owner.text("/uid");
                    pods::is_active(other)
                        && (uid == set.uid()
                            || deployment.as_deref().is_some_and(|deployment| {
                                cx.index
                                    .dependents_of(deployment, &gr::REPLICA_SETS)
                                    .any(|at| at.name == owner.text("/name") && at.namespace == other.namespace())
                            }))
                })
                .count()
        })
        .collect()
}

fn to_delete<'a>(active: &'a [ObjectRef], ranks: &[usize], count: usize, now: Timestamp) -> Vec<&'a ObjectRef> {
    let mut ranked: Vec<_> = active.iter().zip(ranks.iter().copied()).collect();
    ranked.sort_by(|a, b| pods::compare_for_deletion((a.0, a.1), (b.0, b.1), now));
    ranked.into_iter().take(count).map(|(pod, _)| pod).collect()
}

fn status_of(set: &Value, active: &[ObjectRef], terminating: usize, failure: Option<&Status>, now: Timestamp) -> Value {
    let labels = set.at("/spec/template/metadata/labels");
    let min_ready = set.int("/spec/minReadySeconds").unwrap_or_default();
    let labeled = active.iter().filter(|pod| matches_map(labels, pod.at("/metadata/labels"))).count();
    let ready = active.iter().filter(|pod| pods::is_ready(pod)).count();
    let available = active.iter().filter(|pod| pods::is_available(pod, min_ready, now)).count();

    let mut status = json!({"replicas": active.len()});
    for (field, count) in
        [("fullyLabeledReplicas", labeled), ("readyReplicas", ready), ("availableReplicas", available)]
    {
        if count > 0 {
            status[field] = json!(count);
        }
    }
    status["terminatingReplicas"] = json!(terminating);
    status["observedGeneration"] = json!(set.generation());

    let mut conditions = set.items("/status/conditions").to_vec();
    let failed = conditions.iter().any(|condition| condition.text("/type") == "ReplicaFailure");
    match failure {
        Some(failure) if !failed => {
            let wanted = set.int("/spec/replicas").unwrap_or(1);
            let missing = i64::try_from(active.len()).unwrap_or_default() < wanted;
            conditions.push(json!({
                "type": "ReplicaFailure",
                "status": "True",
                "lastTransitionTime": format_time(now),
                "reason": if missing { "FailedCreate" } else { "FailedDelete" },
                "message": failure.message,
            }));
        }
        None if failed => conditions.retain(|condition| condition.text("/type") != "ReplicaFailure"),
        _ => {}
    }
    if !conditions.is_empty() {
        self::set(&mut status, &["conditions"], conditions);
    }
    status
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_failure_is_told_once_and_forgotten_when_over() {
        let now = Timestamp::UNIX_EPOCH;
        let mut set = json!({"metadata": {"generation": 2}, "spec": {"replicas": 3}, "status": {}});
        let refusal = Status::forbidden("", "pods", "x", "exceeded quota: q");
        let failing = status_of(&set, &[], 0, Some(&refusal), now);
        assert_eq!(failing["conditions"][0]["reason"], "FailedCreate");
        assert_eq!(failing["conditions"][0]["message"], "pods \"x\" is forbidden: exceeded quota: q");
        assert_eq!(failing["observedGeneration"], 2);
        set["status"] = failing;
        assert!(status_of(&set, &[], 0, None, now).get("conditions").is_none());
    }
}
