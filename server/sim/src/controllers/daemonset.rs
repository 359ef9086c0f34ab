//! DaemonSets: one pod on every node that suits (`pkg/controller/daemon`).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    engine::{Context, Controller, Key, Outcome},
    fields::{Fields, int_or_percent, set},
    pods,
    replicaset::{next_availability, wake_owners_of_pod},
    revisions::{self, REVISION_LABEL},
};
use crate::{
    registry::builtin::gr,
    scheduler::filter::{matches_node_affinity, tolerates},
    store::{Event, EventKind, ObjectRef},
};

const COMPONENT: &str = "daemonset-controller";

/// The controller.
#[derive(Default)]
pub struct DaemonSets;

impl Controller for DaemonSets {
    fn name(&self) -> &'static str {
        COMPONENT
    }

    fn observe(&mut self, event: &Event, cx: &Context<'_>, wake: &mut Vec<Key>) {
        if event.resource == gr::DAEMON_SETS {
            wake.push(Key::of(event));
        } else if event.resource == gr::PODS {
            wake_owners_of_pod(event, cx, "DaemonSet", &gr::DAEMON_SETS, wake);
        } else if event.resource == gr::NODES {
            let same = event.kind == EventKind::Modified
                && event.previous.as_deref().is_some_and(|old| {
                    old.at("/metadata/labels") == event.object.at("/metadata/labels")
                        && old.at("/spec") == event.object.at("/spec")
                });
            if !same {
                wake.extend(
                    cx.cluster.list(&gr::DAEMON_SETS, None).iter().map(|set| Key::new(set.namespace(), set.name())),
                );
            }
        }
    }

    fn reconcile(&mut self, key: &Key, cx: &Context<'_>) -> Outcome {
        let Some(daemon) = cx.cluster.find(&gr::DAEMON_SETS, &key.namespace, &key.name) else { return Ok(None) };
        if daemon.deleting() {
            return Ok(None);
        }
        let revision = revisions::present(cx, &daemon, "apps/v1", "DaemonSet")?;
        let hash = revision.label(REVISION_LABEL).unwrap_or_default().to_owned();
        let own = pods::claim(cx, &daemon, "apps/v1", "DaemonSet")?;
        let mut by_node: BTreeMap<String, Vec<ObjectRef>> = BTreeMap::new();
        for pod in &own {
            by_node.entry(target_node(pod)).or_default().push(pod.clone());
        }
        let mut wanted = Vec::new();
        for node in cx.cluster.list(&gr::NODES, None) {
            if suits(&daemon, &node) {
                wanted.push(node.name().to_owned());
            }
        }
        let mut misscheduled = 0;
        for (node, list) in &by_node {
            let keep = wanted.contains(node);
            misscheduled += usize::from(!keep);
            // A finished pod makes room for another; of several the oldest stays.
            for (index, pod) in list.iter().filter(|pod| !pod.deleting()).enumerate() {
                if !keep || pods::is_finished(pod) || index > 0 {
                    pods::delete(cx, pod, &daemon, COMPONENT)?;
                }
            }
        }
        for node in &wanted {
            if by_node.get(node).is_none_or(Vec::is_empty) {
                pods::create(cx, pod_for(&daemon, node, &hash), &daemon, COMPONENT)?;
            }
        }
        update(cx, &daemon, &by_node, &wanted, &hash)?;
        write_status(cx, &daemon, &by_node, &wanted, misscheduled, &hash)?;
        revisions::trim(cx, &daemon, &[revision.name()])?;
        Ok(next_availability(&own, daemon.int("/spec/minReadySeconds").unwrap_or_default(), cx.now))
    }
}

/// Tolerations that every daemon pod gets.
const TOLERATED: &[(&str, &str)] = &[
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

fn pod_for(daemon: &Value, node: &str, hash: &str) -> Value {
    let mut pod = pods::from_template(daemon.at("/spec/template"), "apps/v1", "DaemonSet", daemon);
    set(&mut pod, &["metadata", "labels", REVISION_LABEL], hash);
    let term = json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]);
    set(
        &mut pod,
        &["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"],
        term,
    );
    let mut tolerations = pod.items("/spec/tolerations").to_vec();
    tolerations
        .extend(TOLERATED.iter().map(|(key, effect)| json!({"key": key, "operator": "Exists", "effect": effect})));
    if pod.flag("/spec/hostNetwork") {
        tolerations.push(
            json!({"key": "node.kubernetes.io/network-unavailable", "operator": "Exists", "effect": "NoSchedule"}),
        );
    }
    pod["spec"]["tolerations"] = json!(tolerations);
    pod
}

fn target_node(pod: &Value) -> String {
    let bound = pod.text("/spec/nodeName");
    if !bound.is_empty() {
        return bound.to_owned();
    }
    pod.text("/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields/0/values/0")
        .to_owned()
}

fn suits(daemon: &Value, node: &Value) -> bool {
    let pod = daemon.at("/spec/template");
    let own = TOLERATED.iter().map(|(key, _)| *key).collect::<Vec<_>>();
    let tolerated = |taint: &Value| {
        own.contains(&taint.text("/key"))
            || tolerates(pod, taint.text("/key"), taint.text("/value"), taint.text("/effect"))
    };
    matches_node_affinity(pod, node)
        && node.items("/spec/taints").iter().filter(|taint| taint.text("/effect") != "PreferNoSchedule").all(tolerated)
}

/// RollingUpdate: replaces old pods as far as `maxUnavailable` allows.
fn update(
    cx: &Context<'_>,
    daemon: &Value,
    by_node: &BTreeMap<String, Vec<ObjectRef>>,
    wanted: &[String],
    hash: &str,
) -> crate::status::Result<()> {
    if daemon.text("/spec/updateStrategy/type") == "OnDelete" {
        return Ok(());
    }
    let total = i64::try_from(wanted.len()).unwrap_or_default();
    let most =
        int_or_percent(daemon.at("/spec/updateStrategy/rollingUpdate/maxUnavailable"), total, true).unwrap_or(1).max(1);
    let min_ready = daemon.int("/spec/minReadySeconds").unwrap_or_default();
    let (mut unavailable, mut old) = (0, Vec::new());
    for node in wanted {
        let pod = by_node.get(node).and_then(|list| list.iter().find(|pod| !pod.deleting()));
        match pod {
            Some(pod) if pods::is_available(pod, min_ready, cx.now) => {
                if pod.label(REVISION_LABEL) != Some(hash) {
                    old.push(pod);
                }
            }
            // An old pod that is not available costs nothing to replace.
            Some(pod) if pod.label(REVISION_LABEL) != Some(hash) => {
                unavailable += 1;
                pods::delete(cx, pod, daemon, COMPONENT)?;
            }
            _ => unavailable += 1,
        }
    }
    let room = usize::try_from(most - unavailable).unwrap_or_default();
    for pod in old.into_iter().take(room) {
        pods::delete(cx, pod, daemon, COMPONENT)?;
    }
    Ok(())
}

fn write_status(
    cx: &Context<'_>,
    daemon: &Value,
    by_node: &BTreeMap<String, Vec<ObjectRef>>,
    wanted: &[String],
    misscheduled: usize,
    hash: &str,
) -> crate::status::Result<()> {
    let min_ready = daemon.int("/spec/minReadySeconds").unwrap_or_default();
    let running: Vec<&ObjectRef> =
        wanted.iter().filter_map(|node| by_node.get(node)?.iter().find(|pod| !pod.deleting())).collect();
    let count = |pick: &dyn Fn(&&&ObjectRef) -> bool| running.iter().filter(|pod| pick(pod)).count();
    let available = count(&|pod| pods::is_available(pod, min_ready, cx.now));
    let mut status = json!({
        "currentNumberScheduled": running.len(),
        "numberMisscheduled": misscheduled,
        "desiredNumberScheduled": wanted.len(),
        "numberReady": count(&|pod| pods::is_ready(pod)),
        "observedGeneration": daemon.generation(),
    });
    for (field, number) in [
        ("updatedNumberScheduled", count(&|pod| pod.label(REVISION_LABEL) == Some(hash))),
        ("numberAvailable", available),
        ("numberUnavailable", wanted.len().saturating_sub(available)),
    ] {
        if number > 0 {
            status[field] = json!(number);
        }
    }
    if status != *daemon.at("/status") {
        cx.cluster
            .modify_status(&gr::DAEMON_SETS, daemon.namespace(), daemon.name(), |value| value["status"] = status)?;
    }
    Ok(())
}
